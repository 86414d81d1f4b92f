// SPDX-License-Identifier: Apache-2.0
/** What a packet must look like once its addresses and ports are others, of the same version of IP or of the other one. */
import { type Endpoint, versionOf, writeAddress } from "./address.ts";
import { pseudoHeader, setChecksum, sumOf } from "./checksum.ts";
import { type Icmp, icmpPseudoHeader, type Quote } from "./icmp.ts";
import { type Ip, isWhole, payloadOf } from "./ip.ts";
import { PROTOCOL } from "./protocols.ts";
import { isTranslation, translatedHeader } from "./rfc7915.ts";
import { type IcmpHead, translatedHeads } from "./rfc7915-icmp.ts";
import type { Transport } from "./transport.ts";

export type Tuple = { readonly from: Endpoint; readonly to: Endpoint };

/** What is left to the program. */
export type Liberty = {
  /** Identification of an IPv4 packet that was an IPv6 one. */
  readonly id: number;
  /** The same of the packet that an error quotes. */
  readonly quotedId: number;
  /** What an error tells of where the one that it stands for does not say. */
  readonly mtu: number;
};

/** A packet that is forwarded, from its IP header on. A fragment that is not the first has no transport. */
export function translatedPacket(
  ip: Ip,
  transport: Transport | undefined,
  tuple: Tuple,
  liberty: Liberty,
): Buffer {
  return renumbered(ip, transport, tuple, ip.ttl - 1, liberty);
}

/**
 * An ICMP error that is forwarded. `tuple` is whom it goes to and whom it comes from then, `quoted` the tuple of the packet
 * that it quotes. Any of them may come out; none: nothing corresponds to it.
 */
export function translatedErrors(
  { ip, icmp, quote }: { ip: Ip; icmp: Icmp; quote: Quote },
  tuple: Tuple,
  quoted: Tuple,
  mtu: number,
  liberty: Liberty,
): readonly Buffer[] {
  const { ip: about, transport } = quote;
  const isOther = isTranslation(ip, { daddr: tuple.to.address });
  const heads = isOther
    ? translatedHeads(ip.version, icmp, {
        mtu4: mtu,
        mtu6: mtu,
        quoted: about.totalLength,
        guess: liberty.mtu,
      })
    : [icmp];
  // What is behind the quote says how long that is, in units of the version: it cannot stay.
  const behind = isOther && quote.isExtended ? Buffer.alloc(0) : quote.behind;
  const about4 = { ...liberty, id: liberty.quotedId };
  return wholes(about, isOther).flatMap((each) => {
    const inner = renumbered(each, transport, quoted, about.ttl, about4);
    return heads.map((head) =>
      errorPacket(ip, head, Buffer.concat([inner, behind]), tuple, liberty),
    );
  });
}

/** A fragment that is a whole datagram is one (RFC 6946): another version need not have its fragment header. */
export function wholes(ip: Ip, isOther: boolean): readonly Ip[] {
  const isAtomic = ip.fragment !== undefined && isWhole(ip) && isOther;
  return isAtomic ? [ip, { ...ip, fragment: undefined }] : [ip];
}

function errorPacket(
  ip: Ip,
  head: IcmpHead,
  body: Buffer,
  tuple: Tuple,
  liberty: Liberty,
): Buffer {
  const message = Buffer.concat([Buffer.alloc(4), head.rest, body]);
  message.writeUInt8(head.type, 0);
  message.writeUInt8(head.code, 1);
  const payload = payloadOf(ip);
  const residue = sumOf(icmpPseudoHeader(ip, payload.length), payload);
  const saddr = tuple.from.address;
  const daddr = tuple.to.address;
  const version = versionOf(daddr);
  setChecksum(
    message,
    2,
    residue,
    icmpPseudoHeader({ version, saddr, daddr }, message.length),
  );
  const totalLength = ip.headerLength + message.length;
  return withHeader(
    { ...ip, totalLength },
    message,
    tuple,
    ip.ttl - 1,
    liberty,
  );
}

function renumbered(
  ip: Ip,
  transport: Transport | undefined,
  tuple: Tuple,
  ttl: number,
  liberty: Liberty,
): Buffer {
  const payload = Buffer.from(payloadOf(ip));
  if (transport !== undefined) renumberPorts(ip, transport, tuple, payload);
  return withHeader(ip, payload, tuple, ttl, liberty);
}

function renumberPorts(
  ip: Ip,
  { protocol, checksum, checksumAt }: Transport,
  { from, to }: Tuple,
  payload: Buffer,
): void {
  // The length is the same before and after.
  const before = pseudoHeader(ip.saddr, ip.daddr, protocol, 0);
  const residue = sumOf(before, payload);
  payload.writeUInt16BE(from.port, 0);
  payload.writeUInt16BE(to.port, 2);
  const isNone = protocol === PROTOCOL.udp && checksum === 0;
  if (checksum === undefined || isNone) return;
  const after = pseudoHeader(from.address, to.address, protocol, 0);
  const right = setChecksum(payload, checksumAt, residue, after);
  // RFC 768: zero says that there is none.
  if (protocol === PROTOCOL.udp && right === 0)
    payload.writeUInt16BE(0xffff, checksumAt);
}

function withHeader(
  ip: Ip,
  payload: Buffer,
  { from, to }: Tuple,
  ttl: number,
  { id }: Liberty,
): Buffer {
  const saddr = from.address;
  const daddr = to.address;
  if (isTranslation(ip, { daddr }))
    return Buffer.concat([
      translatedHeader(ip, { saddr, daddr, ttl, id }),
      payload,
    ]);
  const header = Buffer.from(ip.bytes.subarray(0, ip.headerLength));
  if (ip.version === 6) {
    header.writeUInt8(ttl, 7);
    writeAddress(header, 8, saddr);
    writeAddress(header, 24, daddr);
  } else {
    const residue = sumOf(header);
    header.writeUInt8(ttl, 8);
    writeAddress(header, 12, saddr);
    writeAddress(header, 16, daddr);
    setChecksum(header, 10, residue);
  }
  return Buffer.concat([header, payload]);
}
