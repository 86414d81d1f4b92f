// SPDX-License-Identifier: Apache-2.0
/** Datagrams that come in fragments. */
import {
  buildFrame,
  buildIp,
  type IpFields,
} from "../model/translate/build.ts";
import { payloadOf } from "../model/translate/ip.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import type { TransportProtocol } from "../model/translate/transport.ts";
import {
  data,
  ipOf,
  kindOf,
  type Leg,
  packet,
  type Rack,
  type Sent,
} from "./families.ts";

/** In units of 8 bytes. */
export type Piece = readonly [begin: number, end: number];

let lastId = 0;

/** Of no datagram so far. */
export function nextId(): number {
  return ++lastId;
}

/** One datagram, of which fragments are sent. */
export class Datagram {
  readonly id = nextId();
  readonly bytes: Buffer;
  readonly #rack: Rack;
  readonly #leg: Leg;
  readonly #protocol: TransportProtocol;

  constructor(
    rack: Rack,
    leg: Leg,
    protocol: TransportProtocol,
    length: number,
  ) {
    this.#rack = rack;
    this.#leg = leg;
    this.#protocol = protocol;
    const whole = packet(leg, protocol, {}, { data: data(length) });
    this.bytes = payloadOf(ipOf(buildFrame(whole)));
  }

  get units(): number {
    return Math.ceil(this.bytes.length / 8);
  }

  frame([begin, end]: Piece, fields: Partial<IpFields> = {}): Buffer {
    const { from, to } = this.#leg;
    return buildFrame(
      buildIp(
        {
          saddr: from.address,
          daddr: to.address,
          protocol: this.#protocol,
          id: this.id,
          offset: 8 * begin,
          more: end < this.units,
          ...fields,
        },
        this.bytes.subarray(8 * begin, 8 * end),
      ),
    );
  }

  send(piece: Piece, fields: Partial<IpFields> = {}): Sent {
    return this.#rack.send(this.frame(piece, fields));
  }
}

/** Of a new flow. */
export function aDatagram(
  rack: Rack,
  kind = kindOf(4),
  protocol: TransportProtocol = PROTOCOL.udp,
  length = 1600,
): Datagram {
  return new Datagram(
    rack,
    rack.open(kind, protocol).inbound.before,
    protocol,
    length,
  );
}
