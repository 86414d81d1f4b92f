// SPDX-License-Identifier: Apache-2.0
/** The values of the config file: how each kind is written, and what it is read into. */
import { isLeft } from "fp-ts/lib/Either.js";
import {
  ALL_PORTS,
  type Endpoint,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parsePrefix,
  type PortRange,
  type Prefix,
  type SyncPolicy,
} from "../model.ts";
import { Leaf } from "./config-codec.ts";
import { suggestion } from "./suggestion.ts";

/** Linux IFNAMSIZ less the final zero. */
const INTERFACE_NAME_MAX = 15;
/** sun_path of a unix socket less the final zero. */
const SOCKET_PATH_MAX = 107;
const FILE_PATH_MAX = 1_023;
const PORT_MAX = 65_535;
const SYNC_POLICIES = ["immediate", "established", "off"] as const;

const DURATION_UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
];

export const name = new Leaf(
  "a name",
  "1 to 32 of a-z, 0-9 and hyphen",
  textLike(/^[a-z0-9-]{1,32}$/),
);
export const ipv4 = new Leaf(
  "an IPv4 address",
  "four numbers from 0 to 255, such as 192.0.2.10",
  (input) =>
    typeof input === "string" && parseIpv4(input) !== undefined
      ? input
      : undefined,
);
/** Without a zone: it would mean another thing on each node. */
export const address = new Leaf(
  "an IP address",
  "an IPv4 or IPv6 address, such as 192.0.2.10 or 2001:db8::10",
  (input) => (typeof input === "string" ? parseAddress(input) : undefined),
);
export const prefix = new Leaf<Prefix>(
  "an IP prefix",
  "an address and a length, or a list of such, one for each family, such as 10.200.0.0/28 or [10.200.0.0/28, 2001:db8:200::/112]",
  (input) => (typeof input === "string" ? parsePrefix(input) : undefined),
);
export const listenAt = new Leaf<Endpoint>(
  "an address and a port",
  "an IPv4 or IPv6 address and a port, such as 127.0.0.1:9550 or [::1]:9550",
  readListen,
);
export const busUrl = new Leaf(
  "the URL of a NATS server",
  "nats:// or tls://, a host and a port, such as nats://10.0.0.1:4222",
  readBusUrl,
);
export const ports = new Leaf<PortRange>(
  "a range of ports",
  "lowest and highest, such as 1024-65535",
  readPorts,
);
export const servicePorts = new Leaf<PortRange>(
  "a range of ports",
  "lowest and highest, or all, such as 8000-8999",
  (input) => (input === "all" ? ALL_PORTS : readPorts(input)),
);
export const port = whole("a port", 1, PORT_MAX);
export const asn = whole("an AS number", 1, 4_294_967_295);
export const interfaceName = new Leaf(
  "the name of an interface",
  `1 to ${INTERFACE_NAME_MAX} characters, such as eth1`,
  textLike(new RegExp(`^[^\\s/:]{1,${INTERFACE_NAME_MAX}}$`)),
);
export const socket = new Leaf(
  "the path of a unix socket",
  `an absolute path of at most ${SOCKET_PATH_MAX} bytes, such as /run/gobgpd.sock`,
  textLike(new RegExp(`^/[\\x21-\\x7e]{1,${SOCKET_PATH_MAX - 1}}$`)),
);
export const file = new Leaf(
  "the path of a file",
  `an absolute path of at most ${FILE_PATH_MAX} bytes, such as /etc/weir/tls/ca.pem`,
  textLike(new RegExp(`^/[\\x21-\\x7e]{1,${FILE_PATH_MAX - 1}}$`)),
);
export const httpPath = new Leaf(
  "the path of an HTTP request",
  "a path such as /healthz",
  textLike(/^\/[\x21-\x7e]{0,1023}$/),
);

const afterDuration = duration(1_000, 3_600_000);
export const sync = new Leaf<SyncPolicy>(
  "a known sync policy",
  syncHint,
  readSync,
);

function textLike(pattern: RegExp): (input: unknown) => string | undefined {
  return (input) =>
    typeof input === "string" && pattern.test(input) ? input : undefined;
}

export function whole(what: string, min: number, max: number): Leaf<number> {
  return new Leaf(what, `a whole number from ${min} to ${max}`, (input) =>
    typeof input === "number" &&
    Number.isInteger(input) &&
    input >= min &&
    input <= max
      ? input
      : undefined,
  );
}

function readListen(input: unknown): Endpoint | undefined {
  const endpoint = typeof input === "string" ? parseEndpoint(input) : undefined;
  return endpoint?.port === 0 ? undefined : endpoint;
}

function readBusUrl(input: unknown): string | undefined {
  if (typeof input !== "string") return undefined;
  const [, digits] =
    /^(?:nats|tls):\/\/(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})$/.exec(input) ??
    [];
  const number = Number(digits);
  return number >= 1 && number <= PORT_MAX ? input : undefined;
}

/** A word, or a mapping with the one key `after`. */
function readSync(input: unknown): SyncPolicy | undefined {
  const word = SYNC_POLICIES.find((one) => one === input);
  if (word !== undefined) return { policy: word };
  const [entry, ...others] =
    typeof input === "object" && input !== null ? Object.entries(input) : [];
  if (entry?.[0] !== "after" || others.length > 0) return undefined;
  const decoded = afterDuration.decode(entry[1]);
  return isLeft(decoded)
    ? undefined
    : { policy: "after", afterMs: decoded.right };
}

function syncHint(input: unknown): string {
  const all = `write ${SYNC_POLICIES.join(", ")} or { after: 1s to 1h }, such as { after: 5s }`;
  return suggestion(input, SYNC_POLICIES) ?? all;
}

function readPorts(input: unknown): PortRange | undefined {
  const [, low, high] =
    (typeof input === "string" && /^(\d{1,5})-(\d{1,5})$/.exec(input)) || [];
  const [min, max] = [Number(low), Number(high)];
  return min >= 1 && max <= PORT_MAX && min <= max ? { min, max } : undefined;
}

/** Written as `200ms`, `5s`, `15m` or `1h`; decoded to milliseconds. */
export function duration(
  minMs: number,
  maxMs: number,
  stepMs = 1,
): Leaf<number> {
  const examples = ["500ms", "5s", "15m", "1h"].filter(
    (text) => (parseDuration(text) ?? 0) % stepMs === 0,
  );
  const wanted = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as ${examples.slice(0, -1).join(", ")} or ${examples.at(-1)}`;
  return new Leaf("a duration", wanted, (input) => {
    const durationMs =
      typeof input === "string" ? parseDuration(input) : undefined;
    return durationMs !== undefined &&
      durationMs >= minMs &&
      durationMs <= maxMs &&
      durationMs % stepMs === 0
      ? durationMs
      : undefined;
  });
}

function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,10})([a-z]{1,2})$/.exec(text) ?? [];
  const [, unitMs] = DURATION_UNITS.find(([one]) => one === unit) ?? [];
  return unitMs && Number(digits) * unitMs;
}

/** In the largest unit that says it exactly. */
function formatDuration(durationMs: number): string {
  const [unit, unitMs] = DURATION_UNITS.findLast(
    ([, ms]) => durationMs % ms === 0,
  ) ?? ["ms", 1];
  return `${durationMs / unitMs}${unit}`;
}
