// SPDX-License-Identifier: Apache-2.0
/**
 * Links, neighbours and routes as `ip -json -details` prints them (iproute2 6.1 and later), reduced to what next hops are
 * made of. An answer of another shape is a WeirError.
 */
import { WeirError } from "../errors.ts";

export type Link = {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: string;
  readonly mtu: number;
  readonly ethernet: boolean;
  /** Administratively up, and with a carrier. */
  readonly up: boolean;
  /** A VLAN device; its parent is absent if that is in another network namespace. */
  readonly vlan?: {
    readonly parent: string | undefined;
    readonly id: number;
    readonly protocol: string;
  };
};

export type NeighbourName = {
  readonly address: string;
  readonly device: string;
};

export type Neighbour = NeighbourName & {
  /** Absent while unresolved. */
  readonly mac?: string;
  /** The kernel keeps it resolved (NTF_EXT_MANAGED, Linux 5.16). */
  readonly managed: boolean;
  /** Set by hand: never probed, never to be touched. */
  readonly permanent: boolean;
  /** Who made it: a number, or a name from rt_protos. */
  readonly protocol?: string;
};

export type Nexthop = {
  /** Absent if the destination itself is on the link. Often link-local for IPv6; may be IPv6 in a route for IPv4 (RFC 8950). */
  readonly gateway?: string;
  readonly device: string;
  readonly weight: number;
  /** Packets are wrapped on this way. */
  readonly tunnelled: boolean;
};

export type Route = {
  /** `unicast`, `local`, `blackhole`, ... */
  readonly type: string;
  /** 0 = not set. */
  readonly mtu: number;
  /** The lower, the better. */
  readonly metric: number;
  /** Only for packets of some type of service, or from some addresses. */
  readonly special: boolean;
  readonly nexthops: readonly Nexthop[];
};

type Fields = Readonly<Record<string, unknown>>;

/** One key for each address and device. */
export function neighbourKey({ address, device }: NeighbourName): string {
  return `${address} ${device}`;
}

/** The answer to `link show`. */
export function decodeLinks(answer: unknown): readonly Link[] {
  return records(answer).map((fields) => {
    const flags = texts(fields, "flags");
    const info = optionalRecord(fields, "linkinfo");
    const link = {
      name: text(fields, "ifname"),
      ifindex: number(fields, "ifindex"),
      mac: optionalText(fields, "address") ?? "",
      mtu: number(fields, "mtu"),
      ethernet: fields["link_type"] === "ether",
      up: flags.includes("UP") && flags.includes("LOWER_UP"),
    };
    if (info?.["info_kind"] !== "vlan") return link;
    const data = record(info["info_data"]);
    const vlan = {
      parent: optionalText(fields, "link"),
      id: number(data, "id"),
      protocol: text(data, "protocol"),
    };
    return { ...link, vlan };
  });
}

/** The answer to `neigh show`. */
export function decodeNeighbours(answer: unknown): readonly Neighbour[] {
  return records(answer).map((fields) => {
    const mac = optionalText(fields, "lladdr");
    const protocol = optionalText(fields, "protocol");
    return {
      address: text(fields, "dst"),
      device: text(fields, "dev"),
      managed: "managed" in fields,
      permanent: texts(fields, "state").includes("PERMANENT"),
      ...(mac === undefined ? {} : { mac }),
      ...(protocol === undefined ? {} : { protocol }),
    };
  });
}

/** The answer to `route show` or `route get fibmatch`. */
export function decodeRoutes(answer: unknown): readonly Route[] {
  return records(answer).map((fields) => ({
    type: optionalText(fields, "type") ?? "unicast",
    mtu: mtuOf(fields),
    metric: optionalNumber(fields, "metric") ?? 0,
    special: "tos" in fields || "from" in fields,
    nexthops: ("nexthops" in fields
      ? records(fields["nexthops"])
      : [fields]
    ).flatMap(nexthopOf),
  }));
}

/** What the line of a neighbour event in `ip monitor label` says; undefined for any other line. */
export function decodeNeighbourEvent(
  line: string,
):
  | (NeighbourName & { readonly mac?: string; readonly deleted: boolean })
  | undefined {
  const match = /^\[NEIGH\](Deleted )?(\S+) dev (\S+)(?: lladdr (\S+))?/.exec(
    line,
  );
  if (match === null) return undefined;
  const [, deleted, address = "", device = "", mac] = match;
  const event = { address, device, deleted: deleted !== undefined };
  return mac === undefined ? event : { ...event, mac };
}

function nexthopOf(fields: Fields): readonly Nexthop[] {
  const device = optionalText(fields, "dev");
  if (device === undefined) return []; // blackhole and its like
  const gateway =
    optionalText(fields, "gateway") ??
    optionalText(optionalRecord(fields, "via") ?? {}, "host");
  const nexthop = {
    device,
    weight: optionalNumber(fields, "weight") ?? 1,
    tunnelled: "encap" in fields,
  };
  return [gateway === undefined ? nexthop : { ...nexthop, gateway }];
}

/** Metrics are printed as a list of one record. */
function mtuOf(fields: Fields): number {
  return "metrics" in fields
    ? Math.max(
        0,
        ...records(fields["metrics"]).map(
          (metrics) => optionalNumber(metrics, "mtu") ?? 0,
        ),
      )
    : 0;
}

function records(value: unknown): readonly Fields[] {
  if (!Array.isArray(value)) throw unexpected("a list", value);
  return value.map(record);
}

function record(value: unknown): Fields {
  if (!isRecord(value)) throw unexpected("a record", value);
  return value;
}

function optionalRecord(fields: Fields, name: string): Fields | undefined {
  return fields[name] === undefined ? undefined : record(fields[name]);
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw unexpected(`a text as ${name}`, fields);
  return value;
}

function optionalText(fields: Fields, name: string): string | undefined {
  return fields[name] === undefined ? undefined : text(fields, name);
}

function texts(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
    throw unexpected(`texts as ${name}`, fields);
  return value;
}

function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number")
    throw unexpected(`a number as ${name}`, fields);
  return value;
}

function optionalNumber(fields: Fields, name: string): number | undefined {
  return fields[name] === undefined ? undefined : number(fields, name);
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unexpected(what: string, value: unknown): WeirError {
  return new WeirError(
    `Cannot read the kernel's tables: ip printed no ${what}: current value is ${JSON.stringify(value)}`,
  );
}
