// SPDX-License-Identifier: Apache-2.0
/**
 * One random history of a cluster: packets to any node, while messages are lost, repeated and reordered, nodes are cut off
 * and agents and machines restart. Then all heals, and the tables have to become equal.
 */
import type { SubjectKind } from "../../src/sync/wire.ts";
import { isWide, TICKS_PER_SECOND, type Timeouts } from "../model/session.ts";
import { SimCluster, type SimNode } from "./cluster.ts";
import { filtered } from "./filter.ts";
import { SyncedPromise } from "./promise.ts";
import { Random } from "./random.ts";
import { Traffic } from "./traffic.ts";
import { difference, missing } from "./view.ts";

const seconds = (count: number) => count * TICKS_PER_SECOND;

/** Short ones, so that a history sees sessions expire. */
const TIMEOUTS: Timeouts = {
  handshake: seconds(4),
  established: seconds(40),
  closed: seconds(4),
  reset: seconds(3),
};
const SETTLED_AFTER = seconds(5);
/** Within this time of a packet no node drops a session, whatever it knows of its state. */
const FRESH = seconds(9);

/** Such a part of the others has a node that is away for longer than sessions live. */
const LONG_ABSENCE = 0.1;
const ABSENCE_MS = 110_000;
/** And such a part one that the others do not hear, and whose agent starts again before they do. */
const RESTART_UNHEARD = 0.3;

const STEP_MS = 50;
const PROMISE_MS = 200;
/** Packets of established sessions that are otherwise idle. */
const KEEP_ALIVE_MS = 4000;
/** Such a part of the histories has no trouble but a bad bus. */
const BAD_BUS_ONLY = 0.3;
/** Then resends have brought all that was missing when what is half-open has expired ... */
const RESENT_MS = 12_000;
/** ... all say that they hold what the others hold ... */
const SYNCED_MS = 5000;
/** ... otherwise what only some have seen has to settle or expire, which a node puts off while a peer is unheard. */
const EXPIRED_MS = 120_000;

export type HistoryOptions = {
  readonly seed: number;
  /** Requests that nobody answers: what they repair stays broken, and tables have to differ now and then. */
  readonly without?: readonly SubjectKind[];
  /** No trouble but a bad bus; otherwise the seed decides. */
  readonly badBusOnly?: boolean;
};

export type HistoryResult = {
  readonly seed: number;
  /** Undefined: the tables have become equal, and nodes were synced when they said so. */
  readonly difference: string | undefined;
  /** In each table at the end; `wide` of them are. */
  readonly sessions: number;
  readonly wide: number;
  /** From the end of the trouble until they were equal. */
  readonly ms: number;
  /** What happened, in order. */
  readonly story: readonly string[];
  /** Equal for two runs that did the same. */
  readonly trace: string;
};

export async function runHistory(
  options: HistoryOptions,
): Promise<HistoryResult> {
  const history = new History(options);
  try {
    return await history.run();
  } finally {
    history.close();
  }
}

class History {
  readonly #seed: number;
  readonly #random: Random;
  readonly #cluster: SimCluster;
  readonly #traffic: Traffic;
  readonly #story: string[] = [];
  #keptAliveAtMs = 0;
  readonly #promise = new SyncedPromise();
  #promisedAtMs = 0;
  #broken: string | undefined;
  readonly #badBusOnly: boolean;
  readonly #resets: boolean;

  constructor({ seed, without = [], badBusOnly }: HistoryOptions) {
    const random = new Random(seed);
    this.#seed = seed;
    this.#random = random;
    this.#cluster = new SimCluster({
      size: random.between(2, 6),
      seed,
      // What changed longer ago is not published again: it has to come by a snapshot.
      limits: { requestMs: 300, aloneMs: 1500, republishMs: 2000 },
      table: {
        timeouts: TIMEOUTS,
        settledAfter: SETTLED_AFTER,
        positions: 512,
      },
      wrap: (transport) =>
        filtered(transport, {
          request: (subject) =>
            !without.some((kind) => subject.includes(`.${kind}.`)),
        }),
    });
    const drawn = random.chance(BAD_BUS_ONLY);
    this.#badBusOnly = badBusOnly ?? drawn;
    // After a RST, data that only one node has seen decides whether a session lives.
    this.#resets = !this.#badBusOnly && random.chance(0.5);
    this.#traffic = new Traffic(random, random.between(2, 24), {
      resets: this.#resets,
    });
  }

  async run(): Promise<HistoryResult> {
    this.#note(`${this.#cluster.nodes.length} nodes`);
    await this.#cluster.start();
    const chapters = this.#random.between(3, 10);
    for (let i = 0; i < chapters; i++) {
      this.#happen();
      await this.#pass(this.#random.between(200, 3000), true);
    }
    if (!this.#badBusOnly && this.#random.chance(LONG_ABSENCE))
      await this.#isolateForLong();
    if (!this.#badBusOnly && this.#random.chance(RESTART_UNHEARD))
      await this.#restartUnheard();
    await this.#heal();
    const healedAtMs = this.#cluster.clock.now();
    const found =
      (await this.#lacking()) ??
      (await this.#equal(this.#badBusOnly ? RESENT_MS : EXPIRED_MS));
    const sessions = this.#cluster.nodes[0]?.table.sessions() ?? [];
    return {
      seed: this.#seed,
      difference: this.#broken ?? found,
      sessions: sessions.length,
      wide: sessions.filter(isWide).length,
      ms: this.#cluster.clock.now() - healedAtMs,
      story: this.#story,
      trace: this.#trace(),
    };
  }

  close(): void {
    this.#cluster.close();
  }

  /** Something changes for the worse, or for the better. */
  #happen(): void {
    const random = this.#random;
    const { nodes, bus } = this.#cluster;
    const node = random.pick(nodes);
    const bad: Record<string, () => void> = {
      nothing: () => {},
      faults: () => {
        bus.setFaults({
          loss: random.next() * 0.2,
          repeat: random.next() * 0.1,
          reorder: random.next() * 0.5,
          delayMsMax: random.between(0, 40),
        });
      },
      noFaults: () => bus.setFaults({}),
    };
    const worse: Record<string, () => void> = {
      partition: () => {
        const side = nodes.filter(() => random.chance(0.5));
        const rest = nodes.filter((one) => !side.includes(one));
        bus.partition([side.map(nameOf), rest.map(nameOf)]);
      },
      isolate: () =>
        bus.partition([nodes.filter((one) => one !== node).map(nameOf)]),
      healPartition: () => bus.heal(),
      cut: () => bus.cut(node.name),
      restore: () => bus.restore(node.name),
      routerBack: () => void node.replicator?.resync(),
      agentDies: () => node.crash(),
      machineDies: () => {
        node.crash();
        node.loseTable();
      },
      agentStarts: () => this.#restart(nodes.filter((one) => !one.isAlive)),
    };
    const events = this.#badBusOnly ? bad : { ...bad, ...worse };
    const name = random.pick(Object.keys(events));
    this.#note(`${name} (${node.name})`);
    events[name]?.();
  }

  #restart(nodes: readonly SimNode[]): void {
    for (const node of nodes) void node.start();
  }

  /** A node that neither bus nor packets reach comes back after all that it holds has expired there. */
  async #isolateForLong(): Promise<void> {
    const { nodes, bus } = this.#cluster;
    const node = this.#random.pick(nodes);
    const others = nodes.filter((one) => one !== node);
    this.#note(`isolated for long (${node.name})`);
    bus.partition([others.map(nameOf)]);
    await this.#pass(ABSENCE_MS, true, others);
  }

  /** A node that packets reach, and the bus does not, until its agent has started again. */
  async #restartUnheard(): Promise<void> {
    const { nodes, bus } = this.#cluster;
    const node = this.#random.pick(nodes);
    this.#note(`restarts unheard (${node.name})`);
    bus.partition([nodes.filter((one) => one !== node).map(nameOf)]);
    await this.#pass(this.#random.between(2000, 8000), true);
    node.crash();
    await this.#pass(this.#random.between(0, 4000), true);
    this.#restart([node]);
  }

  async #heal(): Promise<void> {
    const { bus, nodes } = this.#cluster;
    this.#note("all heals");
    bus.heal();
    bus.setFaults({ delayMsMax: 5 });
    for (const { name } of nodes) bus.restore(name);
    this.#restart(nodes.filter((node) => !node.isAlive));
    await this.#pass(2000, false);
  }

  /** Time goes on, with packets or with none but those that keep sessions alive. */
  async #pass(
    ms: number,
    withPackets: boolean,
    nodes = this.#cluster.nodes,
  ): Promise<void> {
    const { clock } = this.#cluster;
    const end = clock.now() + ms;
    while (clock.now() < end) {
      if (withPackets)
        for (let i = this.#random.between(0, 3); i > 0; i--)
          this.#traffic.packet(nodes);
      if (clock.now() - this.#keptAliveAtMs >= KEEP_ALIVE_MS) {
        this.#keptAliveAtMs = clock.now();
        this.#traffic.keepAlive(nodes);
      }
      await this.#cluster.advance(withPackets ? STEP_MS : STEP_MS * 10);
      if (clock.now() - this.#promisedAtMs < PROMISE_MS) continue;
      this.#promisedAtMs = clock.now();
      this.#broken ??= this.#promise.broken(this.#cluster.nodes, clock.now());
    }
  }

  /** @returns what a node lacks of another although all say that they hold everything, or that not all say so */
  async #lacking(): Promise<string | undefined> {
    const { nodes } = this.#cluster;
    for (let i = 0; i < SYNCED_MS / 100; i++) {
      if (nodes.every(({ agent }) => agent.flags.allPeersSynced))
        return this.#resets ? undefined : missing(nodes, FRESH);
      await this.#cluster.advance(100);
    }
    return `not all are synced after ${SYNCED_MS} ms`;
  }

  /** @returns what differs when the time is over */
  async #equal(limitMs: number): Promise<string | undefined> {
    const { clock, nodes } = this.#cluster;
    const end = clock.now() + limitMs;
    for (;;) {
      const found = difference(nodes);
      if (found === undefined || clock.now() >= end) return found;
      await this.#pass(500, false);
    }
  }

  #note(line: string): void {
    this.#story.push(`${this.#cluster.clock.now()} ms: ${line}`);
  }

  #trace(): string {
    return this.#cluster.alive
      .map(({ agent }) => {
        const { self } = agent.status();
        return `${self.seq} ${Object.values(self.counters).join(" ")}`;
      })
      .join("; ");
  }
}

function nameOf({ name }: SimNode): string {
  return name;
}
