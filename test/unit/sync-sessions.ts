// SPDX-License-Identifier: Apache-2.0
/** Packets that make sessions on nodes of a simulated cluster. */
import { isMapped, type Key, mapped, type Session } from "../model/session.ts";
import {
  IPV6,
  NARROW_SERVICE,
  type SimNode,
  WIDE_SERVICES,
} from "../histories/cluster.ts";

/** The key of a client's packets. */
export function clientOf(i: number, { vaddr } = NARROW_SERVICE): Key {
  return {
    saddr: isMapped(vaddr) ? mapped(0xc0a80001) : IPV6 + 1n,
    sport: 40_000 + i,
    daddr: vaddr,
    dport: 80,
    proto: 6,
  };
}

/** The same of one whose session is wide. */
export function wideClientOf(i: number): Key {
  return clientOf(i, WIDE_SERVICES[i % WIDE_SERVICES.length]);
}

/** A SYN. @throws Error if it makes no session. */
export function open(node: SimNode, i: number, client = clientOf(i)): Session {
  const segment = { syn: true, sequence: i };
  const verdict = node.director.inbound(client, segment);
  if (verdict.kind !== "forward")
    throw new Error(`Cannot open a session on ${node.name}: ${verdict.kind}`);
  return verdict.session;
}

/** A whole handshake. */
export function establish(
  node: SimNode,
  i: number,
  client = clientOf(i),
): Session {
  const session = open(node, i, client);
  node.director.outbound(session.key, { syn: true, ack: true, sequence: i });
  node.director.inbound(client, { ack: true });
  node.director.outbound(session.key, { ack: true });
  return session;
}
