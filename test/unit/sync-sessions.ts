// SPDX-License-Identifier: Apache-2.0
/** Packets that make sessions on nodes of a simulated cluster. */
import type { Key, Session } from "../model/session.ts";
import type { SimNode } from "../histories/cluster.ts";

/** The key of a client's packets. */
export function clientOf(i: number): Key {
  return {
    saddr: 0xc0a80001,
    sport: 40_000 + i,
    daddr: 0xcb007101,
    dport: 80,
    proto: 6,
  };
}

/** A SYN. @throws Error if it makes no session. */
export function open(node: SimNode, i: number): Session {
  const segment = { syn: true, sequence: i };
  const verdict = node.director.inbound(clientOf(i), segment);
  if (verdict.kind !== "forward")
    throw new Error(`Cannot open a session on ${node.name}: ${verdict.kind}`);
  return verdict.session;
}

/** A whole handshake. */
export function establish(node: SimNode, i: number): Session {
  const session = open(node, i);
  node.director.outbound(session.key, { syn: true, ack: true, sequence: i });
  node.director.inbound(clientOf(i), { ack: true });
  node.director.outbound(session.key, { ack: true });
  return session;
}
