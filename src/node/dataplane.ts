// SPDX-License-Identifier: Apache-2.0
/**
 * The agent's view of this node's XDP dataplane. What it writes stays in pinned maps, and the program stays on its
 * interfaces, when the agent goes: `close` only lets go.
 *
 * The order is: fill the maps, attach, announce routes.
 */
import { setImmediate } from "node:timers/promises";
import {
  RECORD_BYTES,
  type Records,
  WIDE_RECORD_BYTES,
} from "../sync/table.ts";
import type { Prefix, Session } from "../model.ts";
import { submitInTime } from "./addon.ts";
import type { Attachment } from "./attach.ts";
import { attachAll } from "./attach.ts";
import type { EgressGroup } from "./egress.ts";
import type { Backend } from "./desired.ts";
import * as layout from "./layout.ts";
import type { OpenMaps } from "./maps.ts";
import { ArrayMap, clearPerCpu, KeyedMap, PerCpuSums } from "./maps.ts";
import type { DataplaneOptions } from "./pins.ts";
import { openMaps } from "./pins.ts";
import type { SessionNames } from "./session-record.ts";
import { readSession } from "./session-record.ts";
import {
  hasOnePort,
  portPrefixes,
  serviceId,
  type ServiceKey,
} from "./service-key.ts";
import { SharedTable } from "./shared-table.ts";
import { decode, decodeAll, encode, encodeAll, u32, u64 } from "./struct.ts";
import * as words from "./words.ts";

export type { Attachment } from "./attach.ts";
export type { DataplaneOptions } from "./pins.ts";
export type { SessionNames } from "./session-record.ts";

/** How long the egress groups count as fresh after `renewLease`. */
const LEASE_MS = 1000;
/** Sessions that are decoded before other work gets its turn. */
const SESSIONS_BATCH = 1000;
/** Records of either kind that one sweep may tell the other nodes of; the rest waits a second. */
const SWEEP_RECORDS = 65_536;
const POSITIONS_ALL = 2n ** 64n - 1n;

const XDP_VERDICTS = ["aborted", "drop", "pass", "tx", "redirect"] as const;
export type Counters = layout.WeirCounters;
export type Traffic = layout.WeirTraffic;

export type Sweep = layout.WeirSweepResult & {
  /** Live sessions by the number of their real server. */
  readonly sessionsPerReal: readonly number[];
  /** What the other nodes have to be told, as wire records. */
  readonly news: Records;
};

export type SweepOrder = {
  /** Of a real server, by its number; undefined = the dataplane's own. */
  readonly terms: (real: number) => words.SessionTerms | undefined;
  readonly origin: number;
  /** A peer is unheard: sessions live for one more timeout. */
  readonly weak: boolean;
  /** A peer lacks records: no LIP:port of an expired session is given out again. */
  readonly hold: boolean;
};

/** Equal on two nodes that hold the same sessions. */
export type Fingerprint = {
  readonly sessions: number;
  /** Sums of hashes, as hexadecimal words of 64 bits. */
  readonly truth: string;
  readonly index: string;
};

export type TestRun = {
  readonly verdict: (typeof XDP_VERDICTS)[number];
  readonly frame: Uint8Array;
  /** Of one run, on average. */
  readonly durationNs: number;
};

export class Dataplane {
  /** Of services of one port. */
  readonly serviceIndex: KeyedMap<ServiceKey, number>;
  /** Of services of a range of ports. */
  readonly serviceRanges: KeyedMap<words.ServiceRange, number>;
  readonly services: ArrayMap<words.ServiceSlot>;
  readonly schedules: ArrayMap<ArrayLike<number> & Iterable<number>>;
  readonly realServers: ArrayMap<words.RealServerSlot>;
  /** See `egressOfClients` and `egressOf`. */
  readonly egressGroups: ArrayMap<EgressGroup>;
  readonly prefixes: KeyedMap<Prefix, words.Owner>;
  /** One slot. */
  readonly nodes: ArrayMap<words.NodePlace>;
  /** The interfaces that frames may leave by. `attach` fills it. */
  readonly devices: KeyedMap<number, number>;
  /** Names one run of this node's dataplane: when its pins were made, in ns since 1970. */
  readonly incarnation: bigint;
  readonly #lease: ArrayMap<bigint>;
  readonly #counters: PerCpuSums<Counters>;
  readonly #traffic: PerCpuSums<Traffic>;
  readonly #maps: OpenMaps;
  #backends: Buffer = Buffer.alloc(0);

  /** Throws as `openMaps` does. Takes seconds if the session table is new and of gigabytes. */
  static open(options: DataplaneOptions): Dataplane {
    const maps = openMaps(options);
    try {
      return new Dataplane(maps);
    } catch (error) {
      maps.addon.close();
      throw error;
    }
  }

  private constructor(maps: OpenMaps) {
    this.#maps = maps;
    this.serviceIndex = new KeyedMap(
      maps,
      "weir_service_index",
      words.serviceKey,
      u32,
    );
    this.serviceRanges = new KeyedMap(
      maps,
      "weir_service_ranges",
      words.serviceRange,
      u32,
    );
    this.services = new ArrayMap(maps, "weir_services", words.service);
    this.schedules = new ArrayMap(maps, "weir_schedules", words.schedule);
    this.realServers = new ArrayMap(
      maps,
      "weir_real_servers",
      words.realServer,
    );
    this.egressGroups = new ArrayMap(
      maps,
      "weir_egress_groups",
      words.egressGroup,
    );
    this.prefixes = new KeyedMap(
      maps,
      "weir_prefixes",
      words.prefix,
      words.owner,
    );
    this.nodes = new ArrayMap(maps, "weir_nodes", words.node);
    this.devices = new KeyedMap(maps, "weir_devices", u32, words.device);
    this.incarnation =
      new ArrayMap(maps, "weir_layouts", layout.weirLayout).get(0)
        ?.incarnation ?? 0n;
    this.#lease = new ArrayMap(maps, "weir_lease", u64);
    this.#counters = new PerCpuSums(maps, "weir_counters", layout.weirCounters);
    this.#traffic = new PerCpuSums(maps, "weir_traffic", layout.weirTraffic);
  }

  /**
   * Makes `number` the service `key`, or changes it. `reals` is its schedule: numbers of real servers, in order. Sessions
   * see the old schedule or the new one, never a mixture.
   */
  setService(
    number: number,
    key: ServiceKey,
    policy: Pick<words.ServiceSlot, "scheduler" | "sync" | "wide">,
    reals: ArrayLike<number> & Iterable<number>,
  ): void {
    const current = this.services.get(number);
    if (current !== undefined && serviceId(current) !== serviceId(key))
      this.removeService(number);
    // A service owns two rows: the new schedule goes where nobody reads.
    const row = current?.row === 2 * number ? 2 * number + 1 : 2 * number;
    this.schedules.set(row, reals);
    this.services.set(number, {
      ...key,
      ...policy,
      row,
      entries: reals.length,
    });
    if (hasOnePort(key)) this.serviceIndex.set(key, number);
    else
      for (const range of rangesOf(key)) this.serviceRanges.set(range, number);
  }

  /** Whether packets to each of its ports find the service. */
  isIndexed(number: number, key: ServiceKey): boolean {
    return hasOnePort(key)
      ? this.serviceIndex.get(key) === number
      : rangesOf(key).every(
          (range) => this.serviceRanges.get(range) === number,
        );
  }

  /** New sessions of this service are refused from now on; the others go on. */
  removeService(number: number): void {
    const service = this.services.get(number);
    if (service === undefined) return;
    if (hasOnePort(service)) this.serviceIndex.delete(service);
    else
      for (const range of rangesOf(service)) this.serviceRanges.delete(range);
    this.services.clear(number);
  }

  /** Says that the egress groups are right. The agent repeats this each 200 ms; else the dataplane asks the kernel. */
  renewLease(): void {
    this.#lease.set(
      0,
      this.#maps.addon.clock() + BigInt(words.ticksOf(LEASE_MS)),
    );
  }

  /** The dataplane asks the kernel from now on. */
  endLease(): void {
    this.#lease.clear(0);
  }

  /** What the dataplane does only so often at a time, it may do anew: for runs that are faster than life. */
  renewBudgets(): void {
    clearPerCpu(this.#maps, "weir_budgets");
  }

  /** Summed over all CPUs, since the pins were made. */
  readCounters(): Counters {
    return this.#counters.get(0);
  }

  /** Of one real server, as `readCounters`. */
  readTraffic(real: number): Traffic {
    return this.#traffic.get(real);
  }

  /** When a number gets another real server. */
  clearTraffic(real: number): void {
    this.#traffic.clear(real);
  }

  /**
   * Has the program on these interfaces, and on no others. Doing it again is harmless. Throws DataplaneError if one
   * cannot be had; those before it are attached then.
   */
  attach(interfaces: readonly string[]): Promise<readonly Attachment[]> {
    return attachAll(this.#maps, this.devices, interfaces);
  }

  /** Takes the program off all interfaces. */
  async detach(): Promise<void> {
    await this.attach([]);
  }

  /** One pass over the session table, off the event loop: expiry, removal, repair. To be called once a second. */
  async sweep({ terms, origin, weak, hold }: SweepOrder): Promise<Sweep> {
    const { length } = this.realServers;
    const order = encode(layout.weirSweepOrder, {
      now: 0, // the job's own
      origin,
      weak: weak ? 1 : 0,
      hold: hold ? 1 : 0,
    });
    const each = Array.from(
      { length },
      (_, real) => terms(real) ?? words.DEFAULT_TIMEOUTS,
    );
    const perReal = layout.weirSweepResult.size;
    const records = perReal + length * u32.size;
    const output = await this.#maps.addon.submit(
      layout.WEIR_JOB_SWEEP,
      Buffer.concat([order, encodeAll(words.timeouts, each)]),
      records + SWEEP_RECORDS * (RECORD_BYTES + WIDE_RECORD_BYTES),
    );
    const result = decode(layout.weirSweepResult, output.subarray(0, perReal));
    const wide = records + Number(result.records) * RECORD_BYTES;
    return {
      ...result,
      sessionsPerReal: decodeAll(u32, output.subarray(perReal, records)),
      news: {
        narrow: output.subarray(records, wide),
        wide: output.subarray(wide),
      },
    };
  }

  /** Where sessions of other nodes find their real servers here. Those that are merged from now on go by it. */
  setBackends(backends: readonly Backend[]): void {
    const input = encodeAll(words.backend, backends);
    if (input.equals(this.#backends)) return;
    this.#backends = input;
    // The writer thread refuses nothing of this but for want of memory, and then the process is lost anyway.
    void submitInTime(
      () => this.#maps.addon.submit(layout.WEIR_JOB_BACKENDS, input, 0),
      () => this.#backends === input,
    );
  }

  /** Of all sessions that the nodes share, from a generation on. */
  async fingerprint(since = 0n): Promise<Fingerprint> {
    const sums = decode(
      layout.weirTableSums,
      await this.#maps.addon.submit(
        layout.WEIR_JOB_SUMS,
        encode(layout.weirSumsJob, { since }),
        layout.weirTableSums.size,
      ),
    );
    const hex = (sum: bigint) => sum.toString(16).padStart(16, "0");
    return {
      sessions: Number(sums.sessions),
      truth: hex(sums.truth),
      index: hex(sums.index),
    };
  }

  /** The session table as the other nodes see it. */
  sharedTable(): SharedTable {
    return new SharedTable(this.#maps);
  }

  /** The sessions that `filter` takes, at most `limit`, in no order. What changes meanwhile may be seen or not. */
  async *sessions(
    names: SessionNames,
    {
      limit = Number.POSITIVE_INFINITY,
      filter = () => true,
    }: {
      readonly limit?: number;
      readonly filter?: (session: Session) => boolean;
    } = {},
  ): AsyncGenerator<Session, void, void> {
    let room = limit;
    let from = 0n;
    while (from !== POSITIONS_ALL) {
      const output = await this.#maps.addon.submit(
        layout.WEIR_JOB_SNAPSHOT,
        encode(layout.weirCollectJob, {
          from,
          to: POSITIONS_ALL,
          changed_within: 0,
        }),
        layout.weirCollectResult.size +
          SESSIONS_BATCH * layout.weirRecord6.size,
      );
      const now = this.#maps.addon.clock();
      const [next, sessions] = readSnapshot(output, names, now);
      for (const session of sessions) {
        if (room <= 0) return;
        if (!filter(session)) continue;
        room--;
        yield session;
      }
      from = next;
      await setImmediate();
    }
  }

  /** What the program would do with a frame that comes in on an interface. Nothing is sent; maps change as they would. */
  testRun(
    frame: Uint8Array,
    {
      ifindex,
      repeat = 1,
    }: { readonly ifindex: number; readonly repeat?: number },
  ): TestRun {
    const run = this.#maps.addon.testRun(frame, ifindex, repeat);
    const verdict = XDP_VERDICTS[run.verdict];
    if (verdict === undefined)
      throw new RangeError(
        `Cannot name an XDP verdict: current value is ${run.verdict}`,
      );
    return { ...run, verdict };
  }

  /** Releases maps and lock; the pinned dataplane goes on. */
  close(): void {
    this.#backends = Buffer.alloc(0);
    this.#maps.addon.close();
  }
}

function rangesOf({ vip, ports, protocol }: ServiceKey) {
  return portPrefixes(ports).map((range) => ({ vip, protocol, ...range }));
}

/** The position to go on from, and the sessions of one answer. */
function readSnapshot(
  output: Uint8Array,
  names: SessionNames,
  now: bigint,
): readonly [bigint, readonly Session[]] {
  const { size } = layout.weirCollectResult;
  const head = decode(layout.weirCollectResult, output.subarray(0, size));
  const wide = size + Number(head.narrow) * layout.weirRecord4.size;
  const records = [
    ...decodeAll(layout.weirRecord4, output.subarray(size, wide)),
    ...decodeAll(layout.weirRecord6, output.subarray(wide)),
  ];
  return [head.next, records.map((record) => readSession(record, names, now))];
}
