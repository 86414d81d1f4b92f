// SPDX-License-Identifier: Apache-2.0
// Reads the facts from this machine and changes nothing. Interfaces are asked about through `ip` and `ethtool`, which see
// the network namespace that we are in; /sys/class/net may show another one.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces, release } from "node:os";
import { join } from "node:path";
import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import { WeirError } from "../../src/errors.ts";
import { contains } from "../../src/model.ts";
import type { Facts, InterfaceFacts, Offloads, PeerFacts } from "./facts.ts";

/** The parts of `ip -json -details link show` that are used. */
const linkCodec = t.intersection([
  t.type({
    ifindex: t.number,
    ifname: t.string,
    flags: t.array(t.string),
    mtu: t.number,
  }),
  t.partial({
    /** The other end of a veth, or a VLAN's parent; an index if it is in another namespace. */
    link: t.string,
    link_index: t.number,
    link_netnsid: t.number,
    linkinfo: t.partial({ info_kind: t.string }),
    xdp: t.partial({ mode: t.number }),
  }),
]);
type Link = t.TypeOf<typeof linkCodec>;

/** XDP_ATTACHED_* of linux/if_link.h. */
const XDP_ATTACHED_DRIVER = 1;

const LINK_LOCAL = { address: "fe80::", length: 10 };

/** The namespace's commands begin with this: nothing, or nsenter with its arguments. */
type Prefix = readonly string[];

export type Question = {
  /** None = those of the default routes. */
  readonly interfaces: readonly string[];
  readonly packages: readonly string[];
  readonly gobgpdSocket: string;
};

export async function readFacts(question: Question): Promise<Facts> {
  const links = readLinks([]);
  const names =
    question.interfaces.length > 0
      ? question.interfaces
      : defaultRouteInterfaces();
  return {
    kernel: release(),
    btf: existsSync("/sys/kernel/btf/vmlinux"),
    bpffs: readFileSync("/proc/mounts", "utf8").includes(" /sys/fs/bpf bpf "),
    memlockBytes: readMemlock(),
    packages: question.packages.map((name) => ({
      name,
      version: packageVersion(name),
    })),
    // null where there is no `ip`; the packages say so.
    managedNeighbours: String(
      spawnSync("ip", ["neigh", "help"], { encoding: "utf8" }).stderr,
    ).includes("managed"),
    gobgpd: {
      socket: question.gobgpdSocket,
      state: await socketState(question.gobgpdSocket),
    },
    forwarding: readSysctl("ipv4/ip_forward") === 1,
    ipv6Forwarding: names.some(hasIpv6)
      ? readSysctl("ipv6/conf/all/forwarding") === 1
      : undefined,
    rpFilterAll: readSysctl("ipv4/conf/all/rp_filter"),
    acceptLocalAll: readSysctl("ipv4/conf/all/accept_local"),
    interfaces: names.map((name) => readInterface(name, links)),
  };
}

function readInterface(name: string, links: readonly Link[]): InterfaceFacts {
  const link = links.find(({ ifname }) => ifname === name);
  if (!link) return { name, exists: false };
  const driver = /^driver: (.*)$/m.exec(run([], "ethtool", "-i", name) ?? "");
  return {
    name,
    exists: true,
    up: link.flags.includes("UP"),
    driver: driver?.[1] ?? "no driver",
    mtu: link.mtu,
    xdp: attached(link),
    offloads: readOffloads([], name),
    hasVlans: links.some(
      (other) => other.linkinfo?.info_kind === "vlan" && other.link === name,
    ),
    rpFilter: readSysctl(`ipv4/conf/${name}/rp_filter`),
    acceptLocal: readSysctl(`ipv4/conf/${name}/accept_local`),
    peer: readPeer(link, links),
  };
}

function readPeer(link: Link, links: readonly Link[]): PeerFacts | undefined {
  if (link.linkinfo?.info_kind !== "veth") return undefined;
  const namespace =
    link.link_netnsid === undefined
      ? undefined
      : namespaceName(link.link_netnsid);
  if (link.link_netnsid !== undefined && namespace === undefined)
    return undefined;
  const prefix = namespace ? ["nsenter", `--net=/run/netns/${namespace}`] : [];
  const peer = (namespace ? readLinks(prefix) : links).find(
    ({ ifname, ifindex }) =>
      ifname === link.link || ifindex === link.link_index,
  );
  return (
    peer && {
      name: peer.ifname,
      namespace,
      xdp: attached(peer),
      offloads: readOffloads(prefix, peer.ifname),
    }
  );
}

function attached({ xdp }: Link): "none" | "driver" | "generic" {
  if (xdp?.mode === undefined) return "none";
  return xdp.mode === XDP_ATTACHED_DRIVER ? "driver" : "generic";
}

function readLinks(prefix: Prefix): readonly Link[] {
  return runJson(t.array(linkCodec), prefix, [
    "ip",
    "-json",
    "-details",
    "link",
  ]);
}

function readOffloads(prefix: Prefix, name: string): Offloads {
  const on = (run(prefix, "ethtool", "-k", name) ?? "").matchAll(
    /^\s*([\w-]+): on\b/gm,
  );
  return new Set([...on].flatMap(([, feature]) => feature ?? []));
}

function defaultRouteInterfaces(): readonly string[] {
  const hop = t.partial({ dev: t.string });
  const route = t.intersection([hop, t.partial({ nexthops: t.array(hop) })]);
  const routes = ["-4", "-6"].flatMap((family) =>
    runJson(
      t.array(route),
      [],
      ["ip", "-json", family, "route", "show", "default"],
    ),
  );
  const names = routes.flatMap(({ dev, nexthops = [] }) =>
    [dev, ...nexthops.map((next) => next.dev)].flatMap((name) => name ?? []),
  );
  return [...new Set(names)];
}

/** The name under /run/netns of the namespace that the kernel calls `id` here. */
function namespaceName(id: number): string | undefined {
  const namespace = t.partial({ name: t.string, id: t.number });
  const all = runJson(t.array(namespace), [], ["ip", "-json", "netns", "list"]);
  return all.find((known) => known.id === id)?.name;
}

/** It has an IPv6 address that is not link-local. */
function hasIpv6(name: string): boolean {
  const addresses = networkInterfaces()[name] ?? [];
  return addresses.some(
    ({ family, address }) =>
      family === "IPv6" && !contains(LINK_LOCAL, address),
  );
}

function readSysctl(name: string): number {
  return Number(readFileSync(join("/proc/sys/net", name), "utf8"));
}

function readMemlock(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const soft = /^Max locked memory +(\S+)/m.exec(limits)?.[1] ?? "unlimited";
  return soft === "unlimited" ? Infinity : Number(soft);
}

function packageVersion(name: string): string | undefined {
  const format = "${db:Status-Status} ${Version}";
  const answer = run([], "dpkg-query", "--show", "--showformat", format, name);
  return /^installed (\S+)/.exec(answer ?? "")?.[1];
}

function socketState(path: string): Promise<Facts["gobgpd"]["state"]> {
  if (!existsSync(path)) return Promise.resolve("absent");
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve("accepting"));
    socket.once("error", () => resolve("refusing"));
    socket.once("connect", () => socket.destroy());
  });
}

/** @throws WeirError if the answer is not what the codec expects. */
function runJson<T>(
  codec: t.Decoder<unknown, T>,
  prefix: Prefix,
  command: readonly string[],
): T {
  const answer: unknown = JSON.parse(run(prefix, ...command) || "[]");
  const decoded = codec.decode(answer);
  if (isLeft(decoded))
    throw new WeirError(
      `Cannot understand "${command.join(" ")}": its answer is ${JSON.stringify(answer)}`,
    );
  return decoded.right;
}

/** What the command prints; undefined if it is not there or fails. */
function run(
  prefix: Prefix,
  ...command: readonly string[]
): string | undefined {
  const [program = "", ...args] = [...prefix, ...command];
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return undefined;
  }
}
