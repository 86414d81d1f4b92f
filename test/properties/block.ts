// SPDX-License-Identifier: Apache-2.0
/**
 * A part of a fuzzer's run: clients of their own, whose sessions are opened and then get packets that are right, nearly
 * right, or not at all. The same seed and number give the same packets, but for the local addresses and ports that the
 * director chooses.
 */
import { Random } from "../histories/random.ts";
import {
  address,
  type Address,
  type Endpoint,
  versionOf,
} from "../model/translate/address.ts";
import { buildFrame } from "../model/translate/build.ts";
import type { Service, World } from "../model/translate/world.ts";
import { mutated, randomBytes } from "./mutate.ts";
import {
  aPacket,
  anEcho,
  anError,
  anOpening,
  someFragments,
  type Way,
} from "./packets.ts";

/** Frames are made and run in rounds, so that a round knows what came of those before it. */
export const ROUNDS = 8;
export const ROUND_FRAMES = 16;
export const BLOCK_FRAMES = ROUNDS * ROUND_FRAMES;

/** More than one block cuts up. */
const DATAGRAMS = 32;
/** Client flows of one block. */
const FLOWS = 10;
const MUTATED = 0.5;
/** Clients are numbered from these on, in 198.18.0.0/15 and below a prefix of their own. */
const CLIENTS4 = 0xc612_0000;
const CLIENTS4_BITS = 17;
const CLIENTS6 = address("2001:db8:c::").slice(0, 24);

export class Block {
  readonly index: number;
  readonly #random: Random;
  readonly #world: World;
  readonly #ways: readonly Way[];
  #datagrams = 0;

  constructor(world: World, seed: number, index: number) {
    this.index = index;
    this.#world = world;
    this.#random = new Random(
      Math.imul(seed, 0x9e3779b1) ^ Math.imul(index, 0x85ebca6b),
    );
    this.#ways = Array.from({ length: FLOWS }, () => this.#aWay());
  }

  /** The frames of one round, from 0 on. */
  round(number: number): readonly Buffer[] {
    const random = this.#random;
    const frames =
      number === 0 ? this.#ways.map((way) => anOpening(way, random)) : [];
    while (frames.length < ROUND_FRAMES)
      for (const frame of this.#some())
        frames.push(random.chance(MUTATED) ? mutated(frame, random) : frame);
    return frames.slice(0, ROUND_FRAMES);
  }

  /** One frame, or those of one datagram. */
  #some(): readonly Buffer[] {
    const random = this.#random;
    const [inbound, outbound] = this.#aFlow();
    const way = random.chance(0.5) ? inbound : outbound;
    const roll = random.next();
    if (roll < 0.45) return [aPacket(way, random)];
    if (roll < 0.6) return someFragments(way, this.#id(), random);
    if (roll < 0.85) return [anError(this.#back(way), random)];
    if (roll < 0.9)
      return [anEcho(inbound.from.address, inbound.to.address, random)];
    if (roll < 0.95) return [aPacket(this.#aWay(), random)];
    if (roll < 0.98) return [aPacket(this.#foreign(way), random)];
    return [this.#noise()];
  }

  /** What packets of one of the flows carry in either direction; the same twice if it has no session. */
  #aFlow(): readonly [Way, Way] {
    const way = this.#random.pick(this.#ways);
    const choice = this.#world.sessions.inbound(way)?.choice;
    if (choice === undefined) return [way, way];
    const { real, local } = choice;
    return [way, { protocol: way.protocol, from: real, to: local }];
  }

  /** What the packet's receiver sends: errors quote it. */
  #back({ protocol, from, to }: Way): Way {
    return { protocol, from: to, to: from };
  }

  #aWay(): Way {
    const random = this.#random;
    const service = random.pick(this.#world.settings.services);
    return {
      protocol: service.protocol,
      from: this.#aClient(service.vip),
      to: { address: service.vip, port: this.#aPort(service) },
    };
  }

  #aClient(vip: Address): Endpoint {
    const number = (this.index * 4 + this.#random.between(0, 3)) >>> 0;
    const digits = (value: number) => value.toString(16).padStart(8, "0");
    return {
      address:
        versionOf(vip) === 4
          ? digits(CLIENTS4 + (number % 2 ** CLIENTS4_BITS))
          : CLIENTS6 + digits(number),
      port: this.#random.between(1024, 65_535),
    };
  }

  #aPort({ ports }: Service): number {
    const { min, max } = ports;
    return this.#random.chance(0.95)
      ? this.#random.between(min, max)
      : this.#random.between(0, 65_535);
  }

  #foreign({ protocol, from, to }: Way): Way {
    const host = versionOf(to.address) === 4 ? "10.1.1.2" : "2001:db8:1::2";
    return { protocol, from, to: { address: address(host), port: to.port } };
  }

  #noise(): Buffer {
    const random = this.#random;
    const bytes = randomBytes(random, random.between(14, 200));
    return random.chance(0.5) ? bytes : buildFrame(bytes);
  }

  /** No two datagrams between the same addresses have the same for a long time. */
  #id(): number {
    return (this.index * DATAGRAMS + this.#datagrams++) & 0xffff;
  }
}
