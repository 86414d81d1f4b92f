// SPDX-License-Identifier: Apache-2.0
import type { Log } from "../log.ts";
import { formatPrefix, type Prefix } from "../model.ts";
import { CatchUp, type Joined, republish } from "./catch-up.ts";
import type { Clock } from "./clock.ts";
import type { Context } from "./context.ts";
import { zeroCounters } from "./counters.ts";
import { Digests } from "./digests.ts";
import {
  changedFlags,
  claimsBefore,
  type FlagSources,
  logFlags,
  readFlags,
} from "./flags.ts";
import { type Limits, LIMITS } from "./limits.ts";
import { Lookups } from "./lookups.ts";
import {
  Membership,
  type MembershipEvent,
  type SelfState,
} from "./membership.ts";
import { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import { Publisher } from "./publisher.ts";
import { Receiver } from "./receiver.ts";
import { Server } from "./server.ts";
import { Rates, statusOf } from "./report.ts";
import type { SyncFlags, SyncStatus } from "./status.ts";
import { isEmpty } from "./records.ts";
import type { Records, SessionTable } from "./table.ts";
import type { Message, Transport } from "./transport.ts";
import { type Hello, type SubjectKind, subjectOf } from "./wire.ts";

export type ReplicatorOptions = {
  /** Names as in the config; they are words of subjects. */
  readonly cluster: string;
  readonly node: string;
  /** One run of this node's agent: higher than those before, as far as the clock can be trusted. */
  readonly incarnation: bigint;
  /** What this node allocates from. */
  readonly pool: readonly Prefix[];
  /** Of the pools of all nodes, in this node's config. */
  readonly poolHash: bigint;
  readonly table: SessionTable;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of the other nodes in the config. */
  readonly peers: readonly string[];
  /** Called with the flags whenever one has changed. */
  readonly onChange?: (flags: SyncFlags) => void;
  readonly limits?: Partial<Limits>;
};

/**
 * Keeps the sessions of this node and its peers alike: publishes what the local dataplane writes, merges what peers
 * publish, and sees to it that nothing lost stays lost. It looks into no record. It owns neither table nor transport.
 */
export class Replicator {
  /** As the peers are told in each hello. */
  partial = false;
  readonly #context: Context;
  readonly #options: ReplicatorOptions;
  readonly #closing = new AbortController();
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #publisher: Publisher;
  readonly #receiver: Receiver;
  readonly #catchUp: CatchUp;
  readonly #digests: Digests;
  readonly #lookups: Lookups;
  readonly #server: Server;
  readonly #rates = new Rates();
  /** Ends of subscriptions and timers. */
  readonly #ends: (() => void)[] = [];
  #cancelTick: () => void = () => {};
  #started: Promise<void> | undefined;
  #joining: Promise<Joined> | undefined;
  #poolHash: bigint;
  #flags: SyncFlags;

  constructor(options: ReplicatorOptions) {
    const { cluster, node, incarnation, table, transport, clock } = options;
    const context: Context = {
      cluster,
      node,
      incarnation,
      table,
      transport,
      clock,
      log: options.log.child({ part: "sync" }),
      limits: { ...LIMITS, ...options.limits },
      counters: zeroCounters(),
      signal: this.#closing.signal,
    };
    this.#options = options;
    this.#poolHash = options.poolHash;
    this.#context = context;
    const isSynced = (): boolean => this.#catchUp.synced;
    this.#membership = new Membership(context, {
      expected: options.peers,
      self: () => this.#selfState(),
      onEvent: (event) => this.#onMembership(event),
      onHello: (peer, hello) => this.#onHello(peer, hello),
    });
    const membership = this.#membership;
    const merger = new Merger(context);
    const receiver = new Receiver(context, membership, merger);
    this.#merger = merger;
    this.#receiver = receiver;
    this.#publisher = new Publisher(context);
    this.#catchUp = new CatchUp(context, { membership, merger, receiver });
    this.#digests = new Digests(
      context,
      membership,
      merger,
      isSynced,
      (records) => this.publish(records),
    );
    this.#lookups = new Lookups(context, membership, merger, isSynced);
    this.#server = new Server(context, this.#publisher);
    this.#flags = readFlags(this.#sources());
  }

  /**
   * Starts, and brings the sessions of the peers into the table. It ends when that is done, or when nothing has come for
   * limits.aloneMs.
   */
  async join(): Promise<Joined> {
    this.#started ??= this.#start();
    await this.#started;
    return this.resync();
  }

  /** The same for a node that runs: before it may announce its pool again. */
  resync(): Promise<Joined> {
    this.#joining ??= this.#catchUp.join().finally(() => {
      this.#joining = undefined;
      this.#update();
    });
    this.#update();
    return this.#joining;
  }

  /** Publishes records that were read from the table just now; their buffers must not change any more. */
  publish(records: Records): void {
    this.#publisher.publish(records);
  }

  get flags(): SyncFlags {
    return this.#flags;
  }

  /** The other nodes of a new config, and the hash of its pools. */
  setPeers(nodes: readonly string[], poolHash = this.#poolHash): void {
    this.#membership.expect(nodes);
    this.#poolHash = poolHash;
    this.#update();
  }

  status(): SyncStatus {
    return statusOf(this.#context, {
      flags: this.#flags,
      membership: this.#membership,
      publisher: this.#publisher,
      merger: this.#merger,
      digests: this.#digests,
      rates: this.#rates,
      earlierClaims: claimsBefore(this.#sources()),
      poolHash: this.#poolHash,
    });
  }

  /** Says nothing more and listens to nobody. */
  close(): void {
    this.#closing.abort();
    this.#cancelTick();
    for (const end of this.#ends.splice(0)) end();
  }

  async #start(): Promise<void> {
    const { table, transport } = this.#context;
    this.#subscribe("session", (message) => this.#receiver.onMessage(message));
    this.#subscribe("hello", (message) => this.#membership.onMessage(message));
    this.#subscribe("digest", (message) => this.#digests.onMessage(message));
    this.#ends.push(
      this.#server.start(),
      transport.onState((state) => this.#onTransport(state)),
      table.listen(({ records, misses }) => {
        if (!isEmpty(records)) this.#publisher.publish(records);
        if (!isEmpty(misses)) this.#lookups.onMisses(misses);
      }),
    );
    this.#tick();
    await republish(this.#context, this.#publisher);
  }

  #subscribe(kind: SubjectKind, onMessage: (message: Message) => void): void {
    const { transport, cluster } = this.#context;
    this.#ends.push(
      transport.subscribe(subjectOf(cluster, kind, "*"), onMessage),
    );
  }

  #onTransport(state: string): void {
    this.#context.log.info("the bus has changed", {
      event: state === "up" ? "busUp" : "busDown",
    });
    if (state !== "up") return;
    this.#membership.doubt();
    this.#membership.greet();
    this.#update();
  }

  #tick(): void {
    const { clock, limits } = this.#context;
    this.#cancelTick = clock.after(limits.helloMs, () => this.#tick());
    this.#membership.tick();
    if (this.#digests.tick()) this.#membership.greet();
    this.#catchUp.tick();
    this.#rates.read(this.#context, this.#membership.peers);
    this.#update();
  }

  #onMembership({ kind }: MembershipEvent): void {
    // It need not wait for the next hello to learn who is there.
    if (kind !== "unheard") this.#membership.greet();
    this.#update();
  }

  #onHello(peer: Peer, hello: Hello): void {
    this.#receiver.expect(peer, hello.seq);
    // What a third node has, the publisher has sent: so the end of what a node sent before it fell silent is known.
    for (const { node, incarnation, seq } of hello.applied) {
      const publisher = this.#membership.get(node);
      if (publisher?.incarnation === incarnation)
        this.#receiver.expect(publisher, seq);
    }
    this.#digests.onRound(hello.digestRound);
    this.#update();
  }

  #selfState(): SelfState {
    return {
      seq: this.#publisher.seq,
      pool: this.#options.pool.map(formatPrefix),
      poolHash: this.#poolHash,
      synced: this.#catchUp.synced,
      partial: this.partial,
      digestRound: this.#digests.round,
      sessions: BigInt(this.#digests.sessions),
    };
  }

  #update(): void {
    if (this.#context.signal.aborted) return;
    const sources = this.#sources();
    const flags = readFlags(sources);
    const changed = changedFlags(this.#flags, flags);
    if (changed.length === 0) return;
    this.#flags = flags;
    // Peers wait for it.
    if (changed.includes("synced")) this.#membership.greet();
    logFlags(this.#context, changed, flags, claimsBefore(sources));
    this.#options.onChange?.(flags);
  }

  #sources(): FlagSources {
    const { node, incarnation, pool } = this.#options;
    return {
      membership: this.#membership,
      catchUp: this.#catchUp,
      lookups: this.#lookups,
      claim: { node, incarnation, pool },
      poolHash: this.#poolHash,
    };
  }
}
