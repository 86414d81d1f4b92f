// SPDX-License-Identifier: Apache-2.0
/**
 * The agent's view of this node's XDP dataplane. What it writes stays in pinned maps, and the program stays on its
 * interfaces, when the agent goes: `close` only lets go.
 *
 * The order is: fill the maps, attach, announce routes.
 */
import { setImmediate } from "node:timers/promises";
import type { Prefix, Scheduler, Session, Timeouts } from "../model.ts";
import type { Attachment } from "./attach.ts";
import { attachAll } from "./attach.ts";
import type { EgressGroup } from "./egress.ts";
import * as layout from "./layout.ts";
import type { OpenMaps } from "./maps.ts";
import { ArrayMap, KeyedMap, PerCpuSums } from "./maps.ts";
import type { DataplaneOptions } from "./pins.ts";
import { openMaps } from "./pins.ts";
import type { SessionNames } from "./session-record.ts";
import { readSession } from "./session-record.ts";
import { array, decode, decodeAll, encode, u32, u64 } from "./struct.ts";
import * as words from "./words.ts";

export type { Attachment } from "./attach.ts";
export type { DataplaneOptions } from "./pins.ts";
export type { SessionNames } from "./session-record.ts";

/** How long the egress groups count as fresh after `renewLease`. */
const LEASE_MS = 1000;
/** Sessions that are decoded before other work gets its turn. */
const SESSIONS_BATCH = 1000;
const SNAPSHOT_END = 2n ** 64n - 1n;

const XDP_VERDICTS = ["aborted", "drop", "pass", "tx", "redirect"] as const;
export type Counters = layout.WeirCounters;
export type Traffic = layout.WeirTraffic;

export type Sweep = layout.WeirSweepResult & {
  /** Live sessions by the number of their real server. */
  readonly sessionsPerReal: readonly number[];
};

export type TestRun = {
  readonly verdict: (typeof XDP_VERDICTS)[number];
  readonly frame: Uint8Array;
  /** Of one run, on average. */
  readonly durationNs: number;
};

export class Dataplane {
  readonly serviceIndex: KeyedMap<words.ServiceKey, number>;
  readonly services: ArrayMap<words.ServiceSlot>;
  readonly schedules: ArrayMap<ArrayLike<number> & Iterable<number>>;
  readonly realServers: ArrayMap<words.RealServerSlot>;
  /** See `EGRESS_CLIENTS` and `egressOf`. */
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
  #sweeping: Promise<unknown> = Promise.resolve();

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
    key: words.ServiceKey,
    scheduler: Scheduler,
    reals: ArrayLike<number> & Iterable<number>,
  ): void {
    const current = this.services.get(number);
    if (current !== undefined && !words.isSameService(current, key))
      this.removeService(number);
    // A service owns two rows: the new schedule goes where nobody reads.
    const row = current?.row === 2 * number ? 2 * number + 1 : 2 * number;
    this.schedules.set(row, reals);
    this.services.set(number, {
      ...key,
      scheduler,
      row,
      entries: reals.length,
    });
    this.serviceIndex.set(key, number);
  }

  /** New sessions of this service are refused from now on; the others go on. */
  removeService(number: number): void {
    const service = this.services.get(number);
    if (service === undefined) return;
    this.serviceIndex.delete(service);
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

  /**
   * One pass over the session table, off the event loop: expiry, removal, repair. To be called once a second; throws with
   * code EBUSY while one runs. Real servers without timeouts, because the config no longer has them, get the defaults.
   */
  async sweep(
    timeouts: (real: number) => Timeouts | undefined,
  ): Promise<Sweep> {
    const { length } = this.realServers;
    const sweeping = this.#maps.addon.sweep(
      encode(
        array(length, words.timeouts),
        Array.from(
          { length },
          (_, real) => timeouts(real) ?? words.DEFAULT_TIMEOUTS,
        ),
      ),
    );
    this.#sweeping = sweeping.catch(() => {});
    const { result, sessionsPerReal } = await sweeping;
    return {
      ...decode(layout.weirSweepResult, result),
      sessionsPerReal: decodeAll(u32, sessionsPerReal),
    };
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
    let cursor = 0n;
    while (cursor !== SNAPSHOT_END) {
      const batch = this.#maps.addon.snapshot(cursor, SESSIONS_BATCH);
      const now = this.#maps.addon.clock();
      for (const record of decodeAll(layout.weirRecord4, batch.records)) {
        if (room <= 0) return;
        const session = readSession(record, names, now);
        if (!filter(session)) continue;
        room--;
        yield session;
      }
      cursor = batch.cursor;
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
  async close(): Promise<void> {
    await this.#sweeping;
    this.#maps.addon.close();
  }
}
