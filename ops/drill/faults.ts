// SPDX-License-Identifier: Apache-2.0
// What a drill does to a rack: single faults, each with its end, that scenarios put together.

import type { Family } from "../../src/model.ts";
import { LabError } from "../lab/errors.ts";
import {
  addressesOf,
  CHECKOUT,
  DIRECTORS,
  FAMILIES,
  interfaceTowards,
  RACK,
  type Director,
  type Rack,
} from "../lab/rack.ts";
import { kill } from "./kill.ts";

export type Fault = {
  /** What it does, for the reader: "power off". */
  readonly what: string;
  /** Resolves when it has happened. @returns when it began, in ms since 1970, and no earlier than that */
  inject(): Promise<number>;
  /** As `inject`. */
  undo(): Promise<number>;
};

/** Those that are in effect. All of them are within the rack: where it is destroyed, nothing is left of them either. */
export class Faults {
  readonly #active: Fault[] = [];

  async inject(fault: Fault): Promise<number> {
    this.#active.push(fault);
    return fault.inject();
  }

  /** Undoes one of them, or does nothing if it is not in effect: then it returns undefined. */
  async undo(fault: Fault): Promise<number | undefined> {
    const at = this.#active.indexOf(fault);
    if (at < 0) return undefined;
    this.#active.splice(at, 1);
    return fault.undo();
  }

  /** The last one first. What cannot be undone keeps no other one from it. @throws LabError with all that failed */
  async undoAll(): Promise<void> {
    const problems: string[] = [];
    for (let fault = this.#active.pop(); fault; fault = this.#active.pop())
      try {
        await fault.undo();
      } catch (error) {
        if (!(error instanceof LabError)) throw error;
        problems.push(error.message);
      }
    if (problems.length > 0) throw new LabError(problems.join("; "));
  }
}

/** The cable of a director is pulled at the router's end. The director lives, and loses nothing of its configuration. */
export function cableOut(rack: Rack, director: Director): Fault {
  const set = (state: "up" | "down") =>
    timed(rack, `ip link set ${interfaceTowards(director)} ${state}`);
  return {
    what: "cable out",
    inject: () => set("down"),
    undo: () => set("up"),
  };
}

/** First its packets stop in both directions, with the carrier; then all of its processes are killed. */
export function powerOff(rack: Rack, director: Director): Fault {
  const cable = cableOut(rack, director);
  return {
    what: "power off",
    inject: async () => {
      const atMs = await cable.inject();
      await rack.lab.killNode(director);
      return atMs;
    },
    undo: async () => {
      const atMs = await cable.undo();
      if (!rack.lab.isRunning(director)) await rack.lab.startNode(director);
      return atMs;
    },
  };
}

/** nats-server's ports: of clients, and of servers among each other. */
const BUS_PORTS = [4222, 6222] as const;

/** The router drops what belongs to the bus, without a word: that of one director, or of all of them. */
export function busCut(rack: Rack, director?: Director): Fault {
  const rules = FAMILIES.flatMap((family) =>
    endsOf(family, director).flatMap((end) =>
      BUS_PORTS.flatMap((port) =>
        ["dport", "sport"].map(
          (side) =>
            [family, `${end} ipproto tcp ${side} ${port} blackhole`] as const,
        ),
      ),
    ),
  );
  const change = (verb: "add" | "del") =>
    timed(
      rack,
      rules
        .map(([family, rule]) => `ip -${family} rule ${verb} ${rule}`)
        .join(" && "),
    );
  return {
    what: director === undefined ? "bus cut between all" : "bus cut",
    inject: () => change("add"),
    undo: () => change("del"),
  };
}

/** How rules of the router name what comes from a director and what goes to it; without one, what comes from any. */
function endsOf(family: Family, director?: Director): readonly string[] {
  const { directors } = addressesOf(family);
  if (director === undefined)
    return DIRECTORS.map((one) => `from ${directors[one].address}`);
  const { address } = directors[director];
  return [`from ${address}`, `to ${address}`];
}

/** The agent is stopped where it is (SIGSTOP), and later goes on as if nothing had happened. */
export function agentStop(rack: Rack, director: Director): Fault {
  const signal = async (name: string) => {
    await rack.output(director, [
      ...["bash", "-c", `kill -${name} "$(</run/weir-agent.pid)"`],
    ]);
    return Date.now();
  };
  return {
    what: "agent stopped",
    inject: () => signal("STOP"),
    undo: () => signal("CONT"),
  };
}

/** By addresses, protocol and ports, as rack.clab.yml says; and without the protocol. All flows of a drill have the same
 * one: that spreads them as evenly, but every one of them anew. */
const HASH_FIELDS = { usual: 55, other: 51 } as const;

/** The router hashes by another function: two thirds of the flows go another way, and nobody has failed. */
export function rehash(rack: Rack): Fault {
  const set = (fields: number) =>
    timed(
      rack,
      FAMILIES.map(
        (family) =>
          `echo ${fields} >/proc/sys/net/ipv${family}/fib_multipath_hash_fields`,
      ).join(" && "),
    );
  return {
    what: "the router hashes differently",
    inject: () => set(HASH_FIELDS.other),
    undo: () => set(HASH_FIELDS.usual),
  };
}

/** The router sends all that is for the VIP to one director, and all that is for local addresses to another one. */
export function splitHalves(
  rack: Rack,
  forward: Director,
  reply: Director,
): Fault {
  const routes = FAMILIES.flatMap((family) => {
    const { vip, directors } = addressesOf(family);
    // Better than the routes from BGP, whose metric is 20.
    const route = (prefix: string, director: Director) =>
      `${prefix} via ${directors[director].address} metric 1`;
    return [
      route(vip, forward),
      ...Object.values(directors).map(({ pool }) => route(pool, reply)),
    ];
  });
  const change = (verb: "add" | "del") =>
    timed(rack, routes.map((one) => `ip route ${verb} ${one}`).join(" && "));
  return {
    what: `all of the VIP through ${forward}, all replies through ${reply}`,
    inject: () => change("add"),
    undo: () => change("del"),
  };
}

/** The variable that wrong-clock.ts reads. */
const OFFSET = "WRONG_CLOCK_MS";

/** A director's agent is replaced by one whose clock is an hour off; the machine's own clock is not. */
export function wrongClock(
  rack: Rack,
  director: Director,
  offsetMs: number,
): Fault {
  const restart = async (environment: readonly string[]) => {
    await kill(rack, director, "/run/weir-agent.pid");
    await rack.output(director, [
      ...["env", ...environment],
      ...["bash", `${CHECKOUT}/ops/lab/rack/agent.sh`],
    ]);
    return Date.now();
  };
  return {
    what: `its agent's clock is off by ${offsetMs / 60_000} minutes`,
    inject: () =>
      restart([
        `NODE_OPTIONS=--import=${CHECKOUT}/ops/drill/wrong-clock.ts`,
        `${OFFSET}=${offsetMs}`,
      ]),
    undo: async () => {
      // A director that has been restarted meanwhile has the right one.
      const found = await rack.output(director, [
        ...["bash", "-c", `cat /proc/$(</run/weir-agent.pid)/environ || true`],
      ]);
      return found.includes(`${OFFSET}=`) ? restart([]) : Date.now();
    },
  };
}

/** Runs a script in the router. @returns when it was done, in ms since 1970 */
async function timed(rack: Rack, script: string): Promise<number> {
  const output = await rack.output(RACK.router, [
    ...["bash", "-c", `${script} && date +%s%6N`],
  ]);
  return Number(output) / 1000;
}
