// SPDX-License-Identifier: Apache-2.0
/**
 * Which number each service and real server has in the dataplane, over all reloads and restarts. Sessions hold the number of
 * their real server: one that has left the config is *retired*, and its number given to no other, until no session has it.
 */
import type { Cluster, VirtualService } from "../model.ts";
import {
  type DataplaneState,
  type Numbers,
  numbersFor,
  realServersOf,
} from "./desired.ts";
import type { RealServerSlot } from "./words.ts";

/**
 * A sweep that began before the last session was created may have missed it; two in a row, after the number has left every
 * schedule, cannot.
 */
const IDLE_SWEEPS = 2;

type Retired = {
  readonly slot: RealServerSlot;
  /** The last one that had it; absent if that was before this agent's time. */
  readonly service: VirtualService | undefined;
  idleSweeps: number;
};
type Slots = DataplaneState["realServers"];

export class Placement {
  readonly #retired = new Map<number, Retired>();
  #numbers: Numbers = { services: new Map(), realServers: new Map() };
  #services: ReadonlyMap<number, VirtualService> = new Map();

  /** `observed`: what an earlier agent has left. All of it is retired until a config has it. */
  constructor(observed: Slots) {
    this.#retire(observed);
  }

  get numbers(): Numbers {
    return this.#numbers;
  }

  /** What must stay in the maps beside the config's own. */
  get retired(): Slots {
    return new Map(
      [...this.#retired].map(([number, { slot }]) => [number, slot]),
    );
  }

  /** The service that a real server's number belongs, or last belonged, to; undefined if no config of this agent had it. */
  serviceOf(real: number): VirtualService | undefined {
    return this.#services.get(real) ?? this.#retired.get(real)?.service;
  }

  /** The numbers that `use` would give. Throws WeirError if a limit is exceeded. */
  numbersFor(cluster: Cluster, observed: DataplaneState): Numbers {
    const reserved = new Map([...this.retired, ...this.#held(observed)]);
    return numbersFor(cluster, observed, reserved);
  }

  /** Makes this the config. Throws as `numbersFor`, and has changed nothing then. */
  use(cluster: Cluster, observed: DataplaneState): void {
    const numbers = this.numbersFor(cluster, observed);
    this.#retire(this.#held(observed));
    for (const number of numbers.realServers.values())
      this.#retired.delete(number);
    this.#numbers = numbers;
    this.#services = new Map(
      realServersOf(cluster).flatMap(({ id, service }) => {
        const number = numbers.realServers.get(id);
        return number === undefined ? [] : [[number, service] as const];
      }),
    );
  }

  /** After a sweep. Returns whether a number has become free. */
  release(sessionsPerReal: readonly number[]): boolean {
    let released = false;
    for (const [number, retired] of this.#retired) {
      const idle = (sessionsPerReal[number] ?? 0) === 0;
      retired.idleSweeps = idle ? retired.idleSweeps + 1 : 0;
      if (retired.idleSweeps < IDLE_SWEEPS) continue;
      this.#retired.delete(number);
      released = true;
    }
    return released;
  }

  #retire(slots: Slots): void {
    for (const [number, slot] of slots)
      if (!this.#retired.has(number))
        this.#retired.set(number, {
          slot,
          service: this.#services.get(number),
          idleSweeps: 0,
        });
  }

  /** The slots that the config of now has in the maps. */
  #held({ realServers }: DataplaneState): Slots {
    const numbers = new Set(this.#numbers.realServers.values());
    return new Map([...realServers].filter(([number]) => numbers.has(number)));
  }
}
