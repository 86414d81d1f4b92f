// SPDX-License-Identifier: Apache-2.0
// What changes in the router's kernel, and when: `ip monitor route` with the kernel's messages as they come.

import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Family } from "../../src/model.ts";
import type { LabProcess } from "../lab/lab.ts";
import {
  addressesOf,
  RACK,
  until,
  type Director,
  type Rack,
} from "../lab/rack.ts";

/** A route as it is from then on; without gateways when it is gone. */
export type RouteChange = {
  /** In ms since 1970. */
  readonly atMs: number;
  /** As `ip` writes it: a host route has no length. */
  readonly prefix: string;
  readonly gateways: readonly string[];
};

/** From the first to the last of some changes that belong together, in ms since 1970. */
export type Window = { readonly fromMs: number; readonly toMs: number };

/** Nobody's (TEST-NET-2, RFC 5737): shows that the watch has begun. */
const PROBE = "198.51.100.0/24";
const PROBE_LIMIT_MS = 5_000;
const PROBE_WAIT_MS = 20;

/** Each route on one line, each with the time in UTC. */
const COMMAND = "env TZ=UTC ip -tshort -oneline monitor route".split(" ");

export class RouteWatch {
  readonly changes: RouteChange[] = [];
  readonly #process: LabProcess;

  /** Resolves when no change can be missed any more. @throws LabError */
  static async start(rack: Rack): Promise<RouteWatch> {
    const watch = new RouteWatch(rack.lab.spawn(RACK.router, COMMAND));
    await until(
      "watch the router's routes",
      async () => {
        for (const verb of ["add", "del"])
          await rack.output(RACK.router, [
            ...["ip", "route", verb, "blackhole", PROBE],
          ]);
        await delay(PROBE_WAIT_MS);
        return watch.changes.length > 0 ? undefined : "nothing was heard";
      },
      PROBE_LIMIT_MS,
    );
    return watch;
  }

  private constructor(process: LabProcess) {
    this.#process = process;
    createInterface({ input: process.stdout }).on("line", (line) => {
      const change = parseRouteChange(line);
      if (change !== undefined) this.changes.push(change);
    });
  }

  close(): void {
    this.#process.kill();
  }
}

/** A line of `ip -tshort -oneline monitor route`; undefined for what is not a route through a gateway or its end. */
export function parseRouteChange(line: string): RouteChange | undefined {
  const match = /^\[(\S+)\] (Deleted )?(?:blackhole )?([\da-f:./]+) /.exec(
    line,
  );
  const [, time = "", deleted, prefix] = match ?? [];
  const atMs = Date.parse(`${time}Z`);
  if (prefix === undefined || Number.isNaN(atMs)) return undefined;
  // Date.parse() stops at milliseconds.
  const fraction = Number(/\.\d{3}(\d+)$/.exec(time)?.[1] ?? 0) / 1000;
  const hops = [...line.matchAll(/\bvia ([\da-f:.]+)/g)];
  return {
    atMs: atMs + fraction,
    prefix,
    gateways: deleted ? [] : hops.flatMap(([, gateway]) => gateway ?? []),
  };
}

/**
 * When, from `sinceMs` on, the last of a director's three routes of a family was gone (`present` false) or there again
 * (true), and the first of them. Undefined while one of them is missing.
 */
export function windowOf(
  changes: readonly RouteChange[],
  {
    director,
    family,
  }: { readonly director: Director; readonly family: Family },
  present: boolean,
  sinceMs: number,
): Window | undefined {
  const { vip, aggregate, directors } = addressesOf(family);
  const { address, pool } = directors[director];
  const times = [vip, aggregate, pool].map(
    (prefix) =>
      changes.find(
        (change) =>
          change.atMs >= sinceMs &&
          change.prefix === prefix &&
          change.gateways.includes(address) === present,
      )?.atMs,
  );
  const known = times.flatMap((atMs) => atMs ?? []);
  return known.length < times.length
    ? undefined
    : { fromMs: Math.min(...known), toMs: Math.max(...known) };
}
