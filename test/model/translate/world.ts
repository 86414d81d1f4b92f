// SPDX-License-Identifier: Apache-2.0
/** What a director has been told, and what has gone through it so far: all that its next verdict may depend on. */
import {
  type Address,
  type AddressRange,
  type Endpoint,
  isWithin,
  type Version,
} from "./address.ts";
import type { TransportProtocol } from "./transport.ts";
import { Datagrams } from "./datagrams.ts";
import { Sessions } from "./sessions.ts";

export type Hop = {
  readonly dmac: string;
  readonly smac: string;
  /** 0: untagged. */
  readonly vlan: number;
  readonly mtu: number;
};

/** One that takes new sessions. Port 0: the one that the client has asked for. */
export type RealServer = Endpoint & { readonly hop: Hop };

export type Service = {
  readonly vip: Address;
  readonly protocol: TransportProtocol;
  /** Both are inside. */
  readonly ports: { readonly min: number; readonly max: number };
  readonly reals: readonly RealServer[];
};

export type Settings = {
  readonly services: readonly Service[];
  /** They have no service of their own. */
  readonly otherVips: readonly Address[];
  /** Of all nodes. */
  readonly aggregates: readonly AddressRange[];
  /** Of this node. */
  readonly pools: readonly AddressRange[];
  readonly ports: { readonly min: number; readonly max: number };
  readonly unknownPort: "drop" | "reject";
  readonly options: "pass" | "drop";
  readonly clients: Readonly<Record<Version, Hop>>;
  /** Where clients are. */
  readonly clientPrefixes: readonly AddressRange[];
};

export class World {
  readonly settings: Settings;
  readonly sessions = new Sessions();
  readonly datagrams = new Datagrams();
  readonly #vips: ReadonlySet<Address>;

  constructor(settings: Settings) {
    this.settings = settings;
    this.#vips = new Set([
      ...settings.otherVips,
      ...settings.services.map(({ vip }) => vip),
    ]);
  }

  isVip(address: Address): boolean {
    return this.#vips.has(address);
  }

  isLocal(address: Address): boolean {
    return this.settings.aggregates.some((range) => isWithin(range, address));
  }

  isOwn(address: Address): boolean {
    return this.isVip(address) || this.isLocal(address);
  }

  /** The kernel knows a way to the client. */
  isReachable(address: Address): boolean {
    return this.settings.clientPrefixes.some((range) =>
      isWithin(range, address),
    );
  }

  /** One with that very port comes before one with a range, and a narrower range before a wider one. */
  service(
    vip: Address,
    port: number,
    protocol: TransportProtocol,
  ): Service | undefined {
    return this.settings.services
      .filter(
        (service) =>
          service.vip === vip &&
          service.protocol === protocol &&
          service.ports.min <= port &&
          port <= service.ports.max,
      )
      .toSorted((a, b) => widthOf(a) - widthOf(b))[0];
  }
}

function widthOf({ ports }: Service): number {
  return ports.max - ports.min;
}
