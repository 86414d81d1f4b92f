// SPDX-License-Identifier: Apache-2.0
/**
 * Captures of Ethernet frames: pcap and pcapng in (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng), pcapng out. Pure.
 */

/** Frames are whole: a capture that cut them short is refused. */
export type CapturedFrame = {
  /** As the capture names it; undefined where it does not. */
  readonly iface: string | undefined;
  /** Since 1970. */
  readonly timeNs: bigint;
  readonly bytes: Uint8Array;
};

/** `message` says what is wrong, and at which byte. */
export class CaptureError extends Error {}

const ETHERNET = 1;
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION_END = 0;
const OPTION_IF_NAME = 2;
const OPTION_IF_TSRESOL = 9;

const PCAP_MAGICS: Readonly<Record<number, bigint>> = {
  0xa1b2c3d4: 1_000n, // microseconds
  0xa1b23c4d: 1n,
};

/** @throws CaptureError */
export function readCapture(bytes: Uint8Array): readonly CapturedFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 24)
    throw new CaptureError(
      `the file is no capture: it has ${bytes.length} bytes`,
    );
  if (view.getUint32(0) === SECTION_HEADER) return [...readPcapng(view)];
  for (const little of [false, true]) {
    const tickNs = PCAP_MAGICS[view.getUint32(0, little)];
    if (tickNs !== undefined) return [...readPcap(view, little, tickNs)];
  }
  throw new CaptureError(
    `the file is no capture: it begins with 0x${view.getUint32(0).toString(16)}`,
  );
}

function* readPcap(
  view: DataView,
  little: boolean,
  tickNs: bigint,
): Generator<CapturedFrame> {
  checkLinkType(view.getUint32(20, little) & 0xffff, 20);
  for (let at = 24; at < view.byteLength;) {
    need(view, at, 16);
    const seconds = BigInt(view.getUint32(at, little));
    const ticks = BigInt(view.getUint32(at + 4, little));
    const captured = view.getUint32(at + 8, little);
    const original = view.getUint32(at + 12, little);
    yield {
      iface: undefined,
      timeNs: seconds * 1_000_000_000n + ticks * tickNs,
      bytes: frameAt(view, at + 16, captured, original),
    };
    at += 16 + captured;
  }
}

type Interface = {
  readonly name: string | undefined;
  readonly perSecond: bigint;
};

function* readPcapng(view: DataView): Generator<CapturedFrame> {
  let little = false;
  let interfaces: Interface[] = [];
  for (let at = 0; at < view.byteLength;) {
    need(view, at, 12);
    const type = view.getUint32(at, little);
    if (type === SECTION_HEADER) {
      little = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
      if (!little && view.getUint32(at + 8) !== BYTE_ORDER_MAGIC)
        throw new CaptureError(`byte ${at + 8}: no byte-order magic`);
      interfaces = [];
    }
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0)
      throw new CaptureError(`byte ${at + 4}: a block of ${length} bytes`);
    need(view, at, length);
    const body = at + 8;
    if (type === INTERFACE_DESCRIPTION) {
      checkLinkType(view.getUint16(body, little), body);
      interfaces.push(readInterface(view, body + 8, at + length - 4, little));
    } else if (type === ENHANCED_PACKET) {
      const { name, perSecond } = interfaceAt(
        interfaces,
        view.getUint32(body, little),
        body,
      );
      const ticks =
        (BigInt(view.getUint32(body + 4, little)) << 32n) |
        BigInt(view.getUint32(body + 8, little));
      yield {
        iface: name,
        timeNs: (ticks * 1_000_000_000n) / perSecond,
        bytes: frameAt(
          view,
          body + 20,
          view.getUint32(body + 12, little),
          view.getUint32(body + 16, little),
        ),
      };
    } else if (type === SIMPLE_PACKET) {
      const original = view.getUint32(body, little);
      const { name } = interfaceAt(interfaces, 0, body);
      const captured = Math.min(original, length - 16);
      yield {
        iface: name,
        timeNs: 0n,
        bytes: frameAt(view, body + 4, captured, original),
      };
    }
    at += length;
  }
}

function readInterface(
  view: DataView,
  begin: number,
  end: number,
  little: boolean,
): Interface {
  let name: string | undefined;
  let perSecond = 1_000_000n;
  for (let at = begin; at + 4 <= end;) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === OPTION_END) break;
    need(view, at + 4, length);
    if (code === OPTION_IF_NAME)
      name = new TextDecoder().decode(
        new Uint8Array(view.buffer, view.byteOffset + at + 4, length),
      );
    if (code === OPTION_IF_TSRESOL && length === 1) {
      const resolution = view.getUint8(at + 4);
      perSecond =
        resolution & 0x80
          ? 2n ** BigInt(resolution & 0x7f)
          : 10n ** BigInt(resolution);
    }
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return { name, perSecond };
}

function interfaceAt(
  interfaces: readonly Interface[],
  index: number,
  at: number,
): Interface {
  const one = interfaces[index];
  if (one === undefined)
    throw new CaptureError(`byte ${at}: no interface ${index} is described`);
  return one;
}

function checkLinkType(type: number, at: number): void {
  if (type !== ETHERNET)
    throw new CaptureError(`byte ${at}: link type ${type} is not Ethernet (1)`);
}

function frameAt(
  view: DataView,
  at: number,
  captured: number,
  original: number,
): Uint8Array {
  need(view, at, captured);
  if (captured < original)
    throw new CaptureError(
      `byte ${at}: of a frame of ${original} bytes only ${captured} were captured`,
    );
  return new Uint8Array(view.buffer, view.byteOffset + at, captured).slice();
}

function need(view: DataView, at: number, length: number): void {
  if (at + length > view.byteLength)
    throw new CaptureError(
      `byte ${at}: the file ends ${at + length - view.byteLength} bytes too early`,
    );
}

/** All frames name their interface here. Times have nanoseconds. */
export function writeCapture(
  frames: readonly (CapturedFrame & { readonly iface: string })[],
): Uint8Array {
  const names = [...new Set(frames.map(({ iface }) => iface))];
  return Buffer.concat([
    block(
      SECTION_HEADER,
      words(BYTE_ORDER_MAGIC, 0x0000_0001, 0xffff_ffff, 0xffff_ffff),
    ),
    ...names.map((name) =>
      block(
        INTERFACE_DESCRIPTION,
        words(ETHERNET, 0),
        option(OPTION_IF_NAME, new TextEncoder().encode(name)),
        option(OPTION_IF_TSRESOL, Uint8Array.of(9)),
        option(OPTION_END, new Uint8Array()),
      ),
    ),
    ...frames.map(({ iface, timeNs, bytes }) =>
      block(
        ENHANCED_PACKET,
        words(
          names.indexOf(iface),
          Number(timeNs >> 32n),
          Number(timeNs & 0xffff_ffffn),
          bytes.length,
          bytes.length,
        ),
        padded(bytes),
      ),
    ),
  ]);
}

function block(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const length = body.length + 12;
  return Buffer.concat([words(type, length), body, words(length)]);
}

function option(code: number, value: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(value)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return whole;
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32LE(value >>> 0, index * 4));
  return bytes;
}
