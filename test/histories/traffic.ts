// SPDX-License-Identifier: Apache-2.0
/** Clients and real servers of a simulated cluster. Any node may get either half of a flow, from packet to packet. */
import type { Segment, Verdict } from "../model/director.ts";
import {
  ESTABLISHED,
  isMapped,
  type Key,
  mapped,
  nameOf,
} from "../model/session.ts";
import {
  IPV6,
  NARROW_SERVICE,
  type SimNode,
  WIDE_SERVICES,
} from "./cluster.ts";
import type { Random } from "./random.ts";

const TCP = 6;
const UDP = 17;
/** Such a part of the clients asks for a service that only has narrow sessions ... */
const NARROW = 0.4;
/** ... and such a part of all speaks UDP. */
const DATAGRAMS = 0.25;

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
      key: this.#clientKey(i),
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

  #clientKey(i: number): Key {
    const random = this.#random;
    const { vaddr } = random.chance(NARROW)
      ? NARROW_SERVICE
      : random.pick(WIDE_SERVICES);
    const host = 0xc0a80001 + (i >> 2);
    return {
      saddr: isMapped(vaddr) ? mapped(host) : IPV6 + BigInt(host),
      sport: 40_000 + (i & 3),
      daddr: vaddr,
      dport: 80,
      proto: random.chance(DATAGRAMS) ? UDP : TCP,
    };
  }

  #act(action: Action, client: Client, node: SimNode): void {
    if (client.key.proto === UDP) {
      this.#exchange(client, node);
      return;
    }
    if (action === "syn") {
      this.#toReal(client, node, { syn: true, sequence: this.#sequence() });
      return;
    }
    if (action === "ack") this.#toReal(client, node, { ack: true });
    if (action === "clientFin")
      this.#toReal(client, node, { fin: true, sequence: this.#sequence() });
    if (action === "clientRst") this.#toReal(client, node, { rst: true });
    const flow = this.#flowOf(client);
    if (flow === undefined) return;
    if (action === "synack")
      this.#toClient(flow, node, { syn: true, ack: true });
    if (action === "data") this.#toClient(flow, node, { ack: true });
    if (action === "realFin") this.#toClient(flow, node, { fin: true });
    if (action === "realRst") this.#toClient(flow, node, { rst: true });
  }

  /** A datagram, or an answer. */
  #exchange(client: Client, node: SimNode): void {
    if (this.#random.chance(0.5)) this.#toReal(client, node, {});
    else {
      const flow = this.#flowOf(client);
      if (flow !== undefined) this.#toClient(flow, node, {});
    }
  }

  #flowOf({ flows }: Client): Key | undefined {
    return flows.at(
      this.#random.chance(0.9) ? -1 : -this.#random.between(1, FLOWS),
    );
  }

  #toReal({ key, flows }: Client, node: SimNode, segment: Segment): void {
    const verdict: Verdict = node.director.inbound(key, segment);
    if (verdict.kind !== "forward") return;
    const flow = verdict.session.key;
    const last = flows.at(-1);
    if (last !== undefined && nameOf(last) === nameOf(flow)) return;
    if (!segment.syn && key.proto === TCP) return;
    flows.push(flow);
    if (flows.length > FLOWS) flows.shift();
  }

  #toClient(flow: Key, node: SimNode, segment: Segment): void {
    // A real server's numbers are functions of the flow: whoever forwards them learns the same.
    const sequence = (Number(flow.daddr & 0xffffn) * 31 + flow.dport) >>> 0;
    node.director.outbound(flow, { ...segment, sequence });
  }

  #sequence(): number {
    return this.#random.between(1, 0xffff_ffff);
  }
}

function repeated<Item extends string>(item: Item, times: number): Item[] {
  return Array.from({ length: times }, () => item);
}
