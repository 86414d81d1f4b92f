// SPDX-License-Identifier: Apache-2.0
/**
 * One node's dataplane as its agent would fill it, all real servers up, and the packets that are run through it. Not a
 * moment passes between two packets for a session: nothing expires, because nobody sweeps the table.
 */
import type { Cluster, ClusterNode, Limits } from "../model.ts";
import { findInterfaces } from "../node/attach.ts";
import { type Counters, Dataplane } from "../node/dataplane.ts";
import { desiredState, destinationsOf } from "../node/desired.ts";
import { type EgressGroup, resolve } from "../node/egress.ts";
import { readKernel } from "../node/kernel.ts";
import { OBJECT_PATHS } from "../node/objects.ts";
import { Placement } from "../node/placement.ts";
import { observe, perform, plan } from "../node/plan.ts";
import type { Link } from "../node/rtnetlink.ts";
import { ScheduleCache } from "../node/schedule.ts";
import { serviceId } from "../node/service-key.ts";
import type { SessionTable } from "../sync/table.ts";
import { FlowReader } from "./flow.ts";
import { findSession, type FoundSession } from "./sessions.ts";
import { outcomeOf, type Verdict, verdictOf } from "./verdict.ts";

/** A table with room for so many times the sessions that the packets can make never has full buckets. */
const ROOM_FACTOR = 4;
const ROOM_MIN = 1_024;
/** An exact port, as a prefix of a range. */
const PORT_BITS = 16;
/** Where a frame has the MAC address that it was sent from. */
const SOURCE_MAC = 6;

export type SimulationOptions = {
  readonly cluster: Cluster;
  readonly node: ClusterNode;
  /** How many packets will be run. */
  readonly packets: number;
  /** For the lock, and for pins: in a bpf file system. */
  readonly stateDir: string;
  readonly pinDir: string;
};

/** What became of one packet. */
export type PacketResult = {
  readonly verdict: Verdict;
  readonly counter: keyof Counters;
  /** The session that it belongs to, as it stands after the packet. */
  readonly session: SimulatedSession | undefined;
  /** What leaves. */
  readonly out: readonly OutFrame[];
};
export type SimulatedSession = FoundSession & { readonly service: string };
export type OutFrame = { readonly iface: string; readonly bytes: Uint8Array };

export class Simulation {
  readonly #dataplane: Dataplane;
  readonly #table: SessionTable;
  readonly #flows = new FlowReader();
  readonly #ifindexes: ReadonlyMap<string, number>;
  /** Interfaces by their MACs, in hexadecimal digits. */
  readonly #names: ReadonlyMap<string, string>;
  /** Of services, by their numbers. */
  readonly #services: ReadonlyMap<number, string>;
  #counters: Counters;

  /** In a network namespace that has the node's interfaces. Rejects with WeirError if the kernel refuses. */
  static async open({
    cluster,
    node,
    packets,
    stateDir,
    pinDir,
  }: SimulationOptions): Promise<Simulation> {
    const dataplane = Dataplane.open({
      stateDir,
      pinDir,
      limits: limitsFor(cluster.limits, packets),
      objectPaths: OBJECT_PATHS,
    });
    const observed = observe(dataplane);
    const placement = new Placement(observed.realServers);
    placement.use(cluster, observed);
    const desired = desiredState(findable(cluster), node, {
      numbers: placement.numbers,
      isUp: () => true,
      groups: await egressGroups(cluster, node, placement),
      retired: placement.retired,
      wasMixed: false,
      schedules: new ScheduleCache(),
      allocation: { pools: node.pools, ports: node.ports, lookups: false },
    });
    for (const action of plan(desired, observed)) perform(dataplane, action);
    const links = await findInterfaces(node.interfaces);
    for (const { ifindex } of links) dataplane.devices.set(ifindex, ifindex);
    return new Simulation(dataplane, links, placement, cluster);
  }

  private constructor(
    dataplane: Dataplane,
    links: readonly Link[],
    { numbers }: Placement,
    { services }: Cluster,
  ) {
    this.#dataplane = dataplane;
    this.#table = dataplane.sharedTable();
    this.#ifindexes = new Map(
      links.map(({ name, ifindex }) => [name, ifindex]),
    );
    this.#names = new Map(
      links.map(({ name, mac }) => [mac.replaceAll(":", ""), name]),
    );
    this.#services = new Map(
      services.flatMap((service) => {
        const number = numbers.services.get(serviceId(service));
        return number === undefined ? [] : [[number, service.name] as const];
      }),
    );
    this.#counters = dataplane.readCounters();
  }

  /** `iface` is one of the node's. */
  async run(frame: Uint8Array, iface: string): Promise<PacketResult> {
    const ifindex = this.#ifindexes.get(iface);
    if (ifindex === undefined)
      throw new RangeError(
        `Cannot run a packet: no such interface: current value is ${iface}`,
      );
    this.#dataplane.renewLease();
    this.#dataplane.renewBudgets();
    const run = this.#dataplane.testRun(frame, { ifindex });
    const before = this.#counters;
    this.#counters = this.#dataplane.readCounters();
    const counter = outcomeOf(before, this.#counters);
    const verdict = verdictOf(counter, run);
    const flow = this.#flows.read(frame);
    const session = flow && (await findSession(this.#table, flow));
    return {
      verdict,
      counter,
      session: session && { ...session, service: this.#serviceOf(session) },
      out:
        verdict === "forward" || verdict === "answer"
          ? [
              {
                iface: this.#wayOf(run.frame, verdict, iface),
                bytes: run.frame,
              },
            ]
          : [],
    };
  }

  /** By which interface a frame leaves: an answer goes back, all others have the MAC of their way. */
  #wayOf(frame: Uint8Array, verdict: Verdict, ingress: string): string {
    if (verdict === "answer") return ingress;
    const mac = Buffer.from(frame.subarray(SOURCE_MAC, 2 * SOURCE_MAC));
    const name = this.#names.get(mac.toString("hex"));
    if (name === undefined)
      throw new RangeError(
        `Cannot tell which way a packet leaves: current value is ${mac.toString("hex")}`,
      );
    return name;
  }

  /** As the program finds it. */
  #serviceOf({ virtual: { address, port }, protocol }: FoundSession): string {
    const key = { vip: address, protocol };
    const number =
      this.#dataplane.serviceIndex.get({
        ...key,
        ports: { min: port, max: port },
      }) ??
      this.#dataplane.serviceRanges.get({ ...key, port, length: PORT_BITS });
    return (number !== undefined && this.#services.get(number)) || "";
  }
}

/** The tables need not be as large as a cluster's, as long as they cannot be full before those would be. */
function limitsFor(limits: Limits, packets: number): Limits {
  const room = Math.max(ROOM_MIN, ROOM_FACTOR * packets);
  return {
    ...limits,
    sessions: Math.min(limits.sessions, room),
    wideSessions: Math.min(limits.wideSessions, room),
  };
}

/** The same with sessions that the table tells of when it is asked. Packets do not notice. */
function findable(cluster: Cluster): Cluster {
  return {
    ...cluster,
    services: cluster.services.map((service) => ({
      ...service,
      sync: { policy: "immediate" },
    })),
  };
}

/** As the agent has them, from the kernel's tables at this moment. */
async function egressGroups(
  cluster: Cluster,
  node: ClusterNode,
  { retired }: Placement,
): Promise<ReadonlyMap<string, EgressGroup>> {
  const destinations = destinationsOf(cluster, retired);
  const kernel = await readKernel(["ip"], destinations);
  const interfaces = new Set(node.interfaces);
  return new Map(
    destinations.map((destination) => [
      destination,
      resolve(destination, kernel, interfaces),
    ]),
  );
}
