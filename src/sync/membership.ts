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
  | "origin"
  | "poolHash"
  | "synced"
  | "digestRound"
  | "digestTotal"
  | "sessions"
>;

export type MembershipEvent = {
  /** `restarted`: the agent of a known node has a new incarnation. */
  readonly kind: "heard" | "unheard" | "restarted";
  readonly peer: Peer;
  /** Something of the peer was missing when it started again, and it cannot send that any more. */
  readonly lost: boolean;
};

/** Who is there. A wrong guess costs nothing: sessions move by routing, and this only says who is asked and waited for. */
export class Membership {
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

  get(node: string): Peer | undefined {
    return this.#peers.get(node);
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
        this.#change("unheard", peer, false);
        if (!this.#expected.includes(peer.node)) this.#peers.delete(peer.node);
      }
    this.greet();
  }

  onMessage(message: Message): void {
    const { cluster, clock, node, counters, log } = this.#context;
    const said = acceptedFrom(
      this.#context,
      message,
      hello.decode(message.data, cluster),
    );
    if (said === undefined) return;
    if (said.node === node) {
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
    peer.hello = said;
    peer.heardAtMs = now;
    const echo = said.echoes.find((one) => one.node === node);
    if (echo !== undefined)
      peer.offset.add(echo.sentAtMs, now, said.sentAtMs, echo.heldMs);
    if (!peer.heard) {
      peer.heard = true;
      this.#change("heard", peer, false);
    }
    this.#onHello(peer, said);
  }

  /**
   * The peer of this name, if that is its incarnation. A new peer is made; a later incarnation takes the place of the one
   * before. An earlier one does so only in a hello, and when the other is silent: it is late, or a clock is wrong.
   */
  sight(node: string, incarnation: bigint, inHello = false): Peer | undefined {
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
    const lost = known.sequence.missing.length > 0;
    known.restart(incarnation);
    this.#change("restarted", known, lost);
    return known;
  }

  #change(kind: MembershipEvent["kind"], peer: Peer, lost: boolean): void {
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
    this.#onEvent({ kind, peer, lost });
  }
}
