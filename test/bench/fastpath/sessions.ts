// SPDX-License-Identifier: Apache-2.0
/** Sessions of `./weir bench fastpath`: whose packets they are of, and how they come into the tables. */
import { LabError } from "../../../ops/lab/errors.ts";
import { type Ends, type Family, packet } from "./frames.ts";
import type { Machine } from "./machine.ts";
import { ADDRESSES, FILLED_PORT, UDP_PORT } from "./place.ts";

/** Of UDP, and of fragments. */
export const FEW = 1_024;

export function endsOf(family: Family, port: number): Ends {
  const { client, vip } = ADDRESSES[family];
  const protocol = port === UDP_PORT ? "udp" : "tcp";
  return {
    family,
    protocol,
    source: client,
    sport: 0,
    target: vip,
    dport: port,
  };
}

/** Of the same sessions: what their real servers send. */
export function repliesOf(family: Family, port: number): Ends {
  const { real, lip } = ADDRESSES[family];
  const protocol = port === UDP_PORT ? "udp" : "tcp";
  return { family, protocol, source: real, sport: port, target: lip, dport: 0 };
}

/** Sessions as packets make them: both ends have spoken. */
export async function fill(
  machine: Machine,
  family: Family,
  sessions: number,
): Promise<void> {
  await machine.fill(
    family,
    packet(endsOf(family, FILLED_PORT), "source"),
    sessions,
  );
  for (const [port, count] of [
    [UDP_PORT, Math.min(FEW, sessions)],
    [FILLED_PORT, sessions],
  ] as const) {
    await machine.begin(0);
    const all = { flows: 0, first: 0 };
    const opening = packet(endsOf(family, port), "source", { syn: true });
    const opened = await machine.time("weir", opening, count, all);
    const answer = packet(repliesOf(family, port), "target");
    const answered = await machine.time("weir", answer, count, all);
    if (opened.created !== count || answered.forwarded !== count)
      throw new LabError(
        `Cannot fill the table with ${count} sessions: ${JSON.stringify({ opened, answered })}`,
      );
  }
}
