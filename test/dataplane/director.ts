// SPDX-License-Identifier: Apache-2.0
/** A director on real pinned maps for the packet tests, with one service, and with next hops out of one interface. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import type { Limits, Session, SyncPolicy } from "../../src/model.ts";
import type { Counters } from "../../src/node/dataplane.ts";
import type { Dataplane } from "../../src/node/dataplane.ts";
import type { EgressHop } from "../../src/node/egress.ts";
import { decodeLinks } from "../../src/node/rtnetlink.ts";
import { egressOf, egressOfClients } from "../../src/node/words.ts";
import { LIMITS, open, temporaryPins } from "./addon-fixture.ts";
import { build, parse, type Packet, type ParsedPacket } from "./packet.ts";

export const VIP = "192.0.2.10";
export const CLIENT = "198.51.100.1";
export const AGGREGATE = { address: "10.200.0.0", length: 24 };
export const POOL = { address: "10.200.0.16", length: 28 };
export const OTHER_POOL = { address: "10.200.0.32", length: 28 };
const SERVICE = {
  vip: VIP,
  ports: { min: 80, max: 80 },
  protocol: "tcp",
} as const;
export const REAL = { address: "10.3.1.2", port: 8080 };
/** The kernel knows the way to it, but not the next hop's MAC. */
export const OTHER_REAL = { address: "10.3.2.2", port: 8080 };

/** The interface is one end of a veth pair of this name. */
const DEVICE = "weirt0";
const PEER = "weirt1";
const MAC = "02:00:00:00:04:00";
const ROUTER = "02:00:00:00:04:01";
const REAL_ROUTER = "02:00:00:00:03:01";
const NETWORK = [
  `link add ${DEVICE} address ${MAC} type veth peer name ${PEER}`,
  `link set ${DEVICE} up`,
  `link set ${PEER} up`,
  `address add 10.1.9.2/24 dev ${DEVICE}`,
  `neighbour add 10.1.9.1 lladdr ${ROUTER} dev ${DEVICE} nud permanent`,
  `neighbour add 10.1.9.3 lladdr ${REAL_ROUTER} dev ${DEVICE} nud permanent`,
  `route add 198.51.100.0/24 via 10.1.9.1`,
  `route add 10.3.1.0/24 via 10.1.9.3`,
  `route add 10.3.2.0/24 via 10.1.9.4`,
  "route add blackhole 203.0.113.0/24",
];

/** What is no packet's outcome; all other counters are. */
const EVENTS: ReadonlySet<keyof Counters> = new Set([
  "received",
  "session_created",
  "session_replaced",
  "session_established",
  "session_closed",
  "session_reset",
  "lport_probe",
  "insert_race",
  "icmp_translated",
  "rst_sent",
  "icmp_sent",
  "reply_limited",
  "event_sent",
  "event_lost",
  "miss_told",
]);

export type Sent = {
  readonly verdict: string;
  readonly packet: ParsedPacket;
  /** Counters that rose, with by how much, without `received`. */
  readonly counted: Partial<Record<keyof Counters, number>>;
};

/** This node, in weir_nodes: another one's pool is the next /28. */
export const ORIGIN = 7;

export class Director {
  /** Of now: `replace` makes another one. */
  dataplane: Dataplane;
  readonly ifindex: number;
  readonly toClients: EgressHop;
  readonly toReal: EgressHop;

  constructor(t: ExecutionContext, limits: Limits = LIMITS) {
    this.ifindex = makeInterface(t);
    const hop = { smac: MAC, ifindex: this.ifindex, vlan: 0, mtu: 1500 };
    this.toClients = { ...hop, dmac: ROUTER };
    this.toReal = { ...hop, dmac: REAL_ROUTER };
    this.dataplane = open(t, { ...temporaryPins(t), limits });
    this.#configure();
  }

  /** Another node in the place of this one: it knows no session, and has its own pool. */
  replace(t: ExecutionContext): void {
    this.dataplane.close();
    this.dataplane = open(t, temporaryPins(t));
    this.#configure({ pool: OTHER_POOL, origin: ORIGIN + 1 });
  }

  #configure({ pool = POOL, origin = ORIGIN, lookups = false } = {}): void {
    const { dataplane } = this;
    dataplane.nodes.set(0, {
      aggregates: [AGGREGATE],
      pools: [pool],
      ports: { min: 1024, max: 65535 },
      origin,
      lookups,
      unknownPort: "drop",
      ipOptions: "pass",
      mixed: false,
    });
    dataplane.setBackends(
      [REAL, OTHER_REAL].map((server, real) => ({
        service: SERVICE,
        server,
        real,
        egress: egressOf(real),
      })),
    );
    dataplane.prefixes.set(AGGREGATE, "pool");
    dataplane.prefixes.set({ address: VIP, length: 32 }, "vip");
    dataplane.devices.set(this.ifindex, this.ifindex);
    [REAL, OTHER_REAL].forEach((server, number) => {
      dataplane.egressGroups.set(egressOf(number), { hops: [this.toReal] });
      dataplane.realServers.set(number, {
        ...server,
        egress: egressOf(number),
        service: 0,
      });
    });
    dataplane.egressGroups.set(egressOfClients(4), { hops: [this.toClients] });
    this.schedule([0]);
  }

  /** The program tells of packets that no session claims. */
  tellMisses(): void {
    this.#configure({ lookups: true });
  }

  /** Gives new sessions to these real servers in turn. */
  schedule(reals: readonly number[], sync: SyncPolicy["policy"] = "off"): void {
    this.dataplane.setService(
      0,
      SERVICE,
      { scheduler: "rr", sync, wide: false },
      reals,
    );
  }

  /** Runs a frame through the program with a fresh lease, and checks that it was counted exactly once. */
  send(t: ExecutionContext, fields: Partial<Packet>): Sent {
    this.dataplane.renewLease();
    return this.sendFrame(t, build(fields));
  }

  sendFrame(t: ExecutionContext, frame: Uint8Array): Sent {
    const before = this.dataplane.readCounters();
    const run = this.dataplane.testRun(frame, { ifindex: this.ifindex });
    const after = this.dataplane.readCounters();
    const { received, ...counted } = rises(before, after);
    t.is(received, 1, "the frame was not received once");
    const outcomes = Object.entries(counted)
      .filter(([name]) => ![...EVENTS].some((event) => event === name))
      .reduce((sum, [, rise]) => sum + rise, 0);
    t.is(outcomes, 1, `a frame had ${outcomes} outcomes`);
    return { verdict: run.verdict, packet: parse(run.frame), counted };
  }

  async sessions(): Promise<readonly Session[]> {
    const sessions = [];
    const timeouts = {
      handshakeMs: 1,
      establishedMs: 1,
      closedMs: 1,
      resetMs: 1,
    };
    for await (const session of this.dataplane.sessions({
      service: () => "web",
      origin: String,
      timeouts: () => timeouts,
    }))
      sessions.push(session);
    return sessions;
  }
}

/** The interface, with routes and neighbours as a director has them. Returns its ifindex. */
function makeInterface(t: ExecutionContext): number {
  t.teardown(() => {
    execFileSync("ip", ["-batch", "-"], {
      input: `link delete ${DEVICE}\nroute delete blackhole 203.0.113.0/24`,
    });
  });
  execFileSync("ip", ["-batch", "-"], { input: NETWORK.join("\n") });
  writeFileSync(`/proc/sys/net/ipv4/conf/${DEVICE}/forwarding`, "1");
  const links: unknown = JSON.parse(
    execFileSync("ip", ["-json", "link", "show", "dev", DEVICE], {
      encoding: "utf8",
    }),
  );
  const [link] = decodeLinks(links);
  if (link === undefined) throw new Error(`there is no interface ${DEVICE}`);
  return link.ifindex;
}

function rises(
  before: Counters,
  after: Counters,
): Partial<Record<keyof Counters, number>> {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, value]) => [
        name,
        // Both have the same fields.
        Number(value - (before[name as keyof Counters] ?? 0n)),
      ])
      .filter(([, rise]) => rise !== 0),
  );
}
