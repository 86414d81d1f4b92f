// SPDX-License-Identifier: Apache-2.0
import { acceptedFrom, type Context } from "./context.ts";
import { Peer } from "./peer.ts";
import type { Message } from "./transport.ts";
import { hello, type Hello, subjectOf } from "./wire.ts";

/** What this node says about itself in a hello. */
export type SelfState = Pick<
  Hello,
  | "seq"
  | "pool"
  | "poolHash"
  | "synced"
  | "partial"
  | "digestRound"
  | "sessions"
>;

export type MembershipEvent = {
  /** `restarted`: the agent of a known node has a new incarnation. */
  readonly kind: "heard" | "unheard" | "restarted";
  readonly peer: Peer;
};

/** Who is there. A wrong guess costs nothing: sessions move by routing, and this only says who is asked and waited for. */
export class Membership {
  /**
   * Of which run of each node's agent it is known what the table held when that run began. Envelopes bring only what has
   * changed since, so this takes a snapshot: of that node, or of one that has taken it.
   */
  tables: Map<string, bigint> = new Map();
  readonly #context: Context;
  readonly #self: () => SelfState;
  readonly #onEvent: (event: MembershipEvent) => void;
  readonly #onHello: (peer: Peer, hello: Hello) => void;
  readonly #peers = new Map<string, Peer>();
  #expected: readonly string[];
  #tickedAtMs: number;
  #changedAtMs: number;

  constructor(
    context: Context,
    options: {
      readonly expected: readonly string[];
      readonly self: () => SelfState;
      readonly onEvent: (event: MembershipEvent) => void;
      readonly onHello: (peer: Peer, hello: Hello) => void;
    },
  ) {
    this.#context = context;
    this.#self = options.self;
    this.#onEvent = options.onEvent;
    this.#onHello = options.onHello;
    this.#expected = options.expected;
    this.#tickedAtMs = context.clock.now();
    this.#changedAtMs = this.#tickedAtMs;
  }

  get peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  get heard(): readonly Peer[] {
    return this.peers.filter((peer) => peer.heard);
  }

  /** Names of nodes that should be there and are not heard. */
  get unheard(): readonly string[] {
    const known = this.peers.map((peer) => peer.node);
    return [...new Set([...this.#expected, ...known])].filter(
      (node) => !this.#peers.get(node)?.heard,
    );
  }

  get expected(): readonly string[] {
    return this.#expected;
  }

  /** Since the last change of who is heard. */
  get quietMs(): number {
    return this.#context.clock.now() - this.#changedAtMs;
  }

  /** Those that the config names; others are peers, too, while they are heard. */
  expect(nodes: readonly string[]): void {
    this.#expected = nodes;
    for (const peer of this.peers)
      if (!peer.heard && !nodes.includes(peer.node))
        this.#peers.delete(peer.node);
  }

  /** Messages of any of them may have been lost. */
  doubt(): void {
    for (const peer of this.heard) peer.doubt(this.#context.clock.now());
  }

  get(node: string): Peer | undefined {
    return this.#peers.get(node);
  }

  /** What the peer held when its agent started is here. */
  hasTable({ node, incarnation }: Peer): boolean {
    return this.tables.get(node) === incarnation;
  }

  /** Says hello to all peers. */
  greet(): void {
    const { cluster, node, incarnation, transport, clock, counters } =
      this.#context;
    const now = clock.now();
    const data = hello.encode({
      cluster,
      node,
      incarnation,
      ...this.#self(),
      sentAtMs: now,
      echoes: this.heard.flatMap((peer) =>
        peer.hello === undefined
          ? []
          : [
              {
                node: peer.node,
                sentAtMs: peer.hello.sentAtMs,
                heldMs: now - peer.heardAtMs,
              },
            ],
      ),
      applied: this.peers.map((peer) => ({
        node: peer.node,
        incarnation: peer.incarnation,
        seq: peer.applied,
        table: this.hasTable(peer),
      })),
    });
    const sent =
      transport.state === "up" &&
      transport.publish(subjectOf(cluster, "hello", node), data);
    if (!sent) counters.unsentOther++;
  }

  /** To be called each helloMs. */
  tick(): void {
    const { clock, limits } = this.#context;
    const now = clock.now();
    // An agent that has slept itself has not heard anybody, and that says nothing about them.
    const slept = now - this.#tickedAtMs > limits.unheardMs / 2;
    this.#tickedAtMs = now;
    for (const peer of this.heard)
      if (!slept && now - peer.heardAtMs > limits.unheardMs) {
        peer.heard = false;
        this.#change("unheard", peer);
        if (!this.#expected.includes(peer.node)) this.#peers.delete(peer.node);
      }
    this.greet();
  }

  onMessage(message: Message): void {
    const { cluster, node, incarnation, clock, counters, log } = this.#context;
    const said = acceptedFrom(
      this.#context,
      message,
      hello.decode(message.data, cluster),
    );
    if (said === undefined) return;
    if (said.node === node) {
      if (said.incarnation === incarnation) return; // late: see sight()
      counters.ownName++;
      log.error("another agent runs under this node's name", {
        event: "ownNameHeard",
        incarnation: said.incarnation,
      });
      return;
    }
    const now = clock.now();
    const peer = this.sight(said.node, said.incarnation, true);
    if (peer === undefined) return;
    const wasHeard = peer.heard;
    peer.hear(
      said,
      now,
      said.echoes.find((one) => one.node === node),
    );
    this.#onHello(peer, said);
    if (!wasHeard) this.#change("heard", peer);
  }

  /**
   * The peer of this name, if that is its incarnation. A new peer is made; a later incarnation takes the place of the one
   * before. An earlier one does so only in a hello, and when the other is silent: it is late, or a clock is wrong. This node
   * itself is no peer: a server that was frozen brings late what this node had given it before it moved to another.
   */
  sight(node: string, incarnation: bigint, inHello = false): Peer | undefined {
    if (node === this.#context.node) return undefined;
    const known = this.#peers.get(node);
    if (known === undefined) {
      const peer = new Peer(node, this.#context.limits);
      peer.restart(incarnation);
      this.#peers.set(node, peer);
      return peer;
    }
    if (known.incarnation === incarnation) return known;
    if (incarnation < known.incarnation && (known.heard || !inHello))
      return undefined;
    const isFollowed = this.#isFollowed(known);
    if (!isFollowed) this.#forgetTables(known);
    known.restart(incarnation);
    if (isFollowed) this.tables.set(node, incarnation);
    this.#change("restarted", known);
    return known;
  }

  /** All that the peer had to say until now is here: if its agent starts again, that one tells what its dataplane did since. */
  #isFollowed(peer: Peer): boolean {
    const { clock, limits } = this.#context;
    return (
      clock.now() - peer.heardAtMs <= limits.unheardMs &&
      this.hasTable(peer) &&
      peer.applied === peer.sequence.top &&
      !peer.isOwing
    );
  }

  /** Of the run that has ended, others may hold what did not come here, and their envelopes will not bring it. */
  #forgetTables({ node, incarnation, sequence }: Peer): void {
    for (const peer of this.#peers.values()) {
      const applied = peer.appliedOf(node, incarnation);
      if (!peer.heard || applied === undefined || applied > sequence.contiguous)
        this.tables.delete(peer.node);
    }
  }

  #change(kind: MembershipEvent["kind"], peer: Peer): void {
    const { clock, counters, log } = this.#context;
    this.#changedAtMs = clock.now();
    counters.membershipChanges++;
    log.info("a peer has changed", {
      event: {
        heard: "peerHeard",
        unheard: "peerUnheard",
        restarted: "peerRestarted",
      }[kind],
      peer: peer.node,
      incarnation: peer.incarnation,
    });
    this.#onEvent({ kind, peer });
  }
}
