// SPDX-License-Identifier: Apache-2.0
/** Clients and real servers of a simulated cluster. Any node may get either half of a flow, from packet to packet. */
import type { Segment, Verdict } from "../model/director.ts";
import { ESTABLISHED, type Key } from "../model/session.ts";
import type { SimNode } from "./cluster.ts";
import type { Random } from "./random.ts";

const VIRTUAL = { daddr: 0xcb007101, dport: 80, proto: 6 };

/** A client's address and port. It is used again for new connections, also before the last one has ended everywhere. */
type Client = {
  readonly key: Key;
  /** What real servers have seen of it: outbound keys, the last one at the end. */
  readonly flows: Key[];
};

/** How often each thing happens, relative to the others. */
const ACTIONS = [
  ...repeated("syn", 6),
  ...repeated("synack", 6),
  ...repeated("ack", 6),
  ...repeated("data", 8),
  "clientFin",
  "realFin",
  "clientFin",
  "realFin",
  "clientRst",
  "realRst",
] as const;

type Action = (typeof ACTIONS)[number];

/** Flows of a client that real servers remember. */
const FLOWS = 3;

export class Traffic {
  readonly #random: Random;
  readonly #clients: readonly Client[];
  readonly #actions: readonly Action[];

  constructor(
    random: Random,
    clients: number,
    options: { readonly resets: boolean },
  ) {
    this.#random = random;
    this.#actions = ACTIONS.filter(
      (action) => options.resets || !action.endsWith("Rst"),
    );
    this.#clients = Array.from({ length: clients }, (_, i) => ({
      key: {
        saddr: 0xc0a80001 + (i >> 2),
        sport: 40_000 + (i & 3),
        ...VIRTUAL,
      },
      flows: [],
    }));
  }

  /** One packet, to one of these nodes. */
  packet(nodes: readonly SimNode[]): void {
    const client = this.#random.pick(this.#clients);
    this.#act(
      this.#random.pick(this.#actions),
      client,
      this.#random.pick(nodes),
    );
  }

  /** Established sessions stay alive: what each client's own stack would send, to a node that knows the session. */
  keepAlive(nodes: readonly SimNode[]): void {
    for (const { key } of this.#clients) {
      const { table, director } = this.#random.pick(nodes);
      const session = table.named(key);
      if (session?.state === ESTABLISHED && session.reset === undefined)
        director.inbound(key, { ack: true });
    }
  }

  #act(action: Action, client: Client, node: SimNode): void {
    if (action === "syn") {
      this.#toReal(client, node, { syn: true, sequence: this.#sequence() });
      return;
    }
    if (action === "ack") this.#toReal(client, node, { ack: true });
    if (action === "clientFin")
      this.#toReal(client, node, { fin: true, sequence: this.#sequence() });
    if (action === "clientRst") this.#toReal(client, node, { rst: true });
    const flow = client.flows.at(
      this.#random.chance(0.9) ? -1 : -this.#random.between(1, FLOWS),
    );
    if (flow === undefined) return;
    if (action === "synack")
      this.#toClient(flow, node, { syn: true, ack: true });
    if (action === "data") this.#toClient(flow, node, { ack: true });
    if (action === "realFin") this.#toClient(flow, node, { fin: true });
    if (action === "realRst") this.#toClient(flow, node, { rst: true });
  }

  #toReal(client: Client, node: SimNode, segment: Segment): void {
    const verdict: Verdict = node.director.inbound(client.key, segment);
    if (verdict.kind !== "forward" || !segment.syn) return;
    client.flows.push(verdict.session.key);
    if (client.flows.length > FLOWS) client.flows.shift();
  }

  #toClient(flow: Key, node: SimNode, segment: Segment): void {
    // A real server's numbers are functions of the flow: whoever forwards them learns the same.
    const sequence = (flow.daddr * 31 + flow.dport) >>> 0;
    node.director.outbound(flow, { ...segment, sequence });
  }

  #sequence(): number {
    return this.#random.between(1, 0xffff_ffff);
  }
}

function repeated<Item extends string>(item: Item, times: number): Item[] {
  return Array.from({ length: times }, () => item);
}
