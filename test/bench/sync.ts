// SPDX-License-Identifier: Apache-2.0
/**
 * `./weir bench sync`: new sessions from one node into another one's table, by weir and by conntrackd, in turn.
 *
 * Each measurement begins with empty tables and fresh processes. What a node does for its own packets is measured by
 * itself, with the same load and no sync, and taken off: what remains is the price of the second node.
 */
import { cpus } from "node:os";
import type { Progress } from "../../ops/progress.ts";
import { Conntrackd } from "./conntrackd.ts";
import { total } from "./cpu.ts";
import type { Arrival, Contender, Load } from "./load.ts";
import type { Row, Target } from "./rows.ts";
import { Samples } from "./rows.ts";
import type { Sandbox } from "./sandbox.ts";
import { WeirPair } from "./weir-pair.ts";

const SECONDS = 2;
const RATES = [10_000, 50_000] as const;
/** At which processor time is compared. */
const RATE = 100_000;
/** How long sessions are opened while digests are compared: they settle within 10 s, a round of digests begins every 5 s. */
const COMPARED_SECONDS = 25;
const PEAK_SESSIONS = 1_000_000;
const SNAPSHOT_SESSIONS = 1_000_000;

const CPU = "CPU until the other node can forward, us/session";
const PEAK = "highest rate of new sessions, sessions/s";
const REPAIRED = "weir: moved by the comparison of digests at 10k/s, %";
const SHARE = "weir / conntrackd: CPU until the other node can forward";
const TARGETS: Readonly<Record<string, Target>> = {
  [`weir: ${PEAK}`]: { is: "at least", value: 500_000 },
  "weir: lag p99 at 100k/s, ms": { is: "at most", value: 10 },
  [REPAIRED]: { is: "at most", value: 1 },
  [SHARE]: { is: "at most", value: 0.333 },
  "weir: 1 M sessions to a node that joins, s": { is: "at most", value: 5 },
};

type Entry = {
  readonly name: string;
  readonly pair: Contender;
  /** conntrackd is so slow that more would only take longer. */
  readonly sessionsMax: number;
};

export const SETTING: readonly string[] = [
  `Both nodes are on this machine, with ${cpus().length} processors in all; the links between them are veth.`,
  "weir: XDP program, table, agent's part and nats-server are real; the packets come from BPF_PROG_TEST_RUN.",
  "conntrackd: FTFW with its external cache, nftables FULLNAT, frames on veth. Its lag ends when the message is on the other",
  "node's link; there the session forwards nothing until it is committed, which its processor time includes.",
  "The load waits while the other node is 16,384 sessions behind: where a rate is not reached, lag is that of a full queue.",
  "A session's life: SYN, SYN/ACK, ACK, ACK of the real server; two FINs and an ACK.",
  "Processor time: all processes and the kernel's work for them on both nodes, less that of the same load without sync.",
];

export async function benchSync(
  sandbox: Sandbox,
  rounds: number,
  progress: Progress,
): Promise<readonly Row[]> {
  const samples = new Samples();
  const conntrackd = await Conntrackd.create(sandbox, SNAPSHOT_SESSIONS);
  const weir = await WeirPair.create(sandbox);
  const they = { name: "conntrackd", pair: conntrackd, sessionsMax: 100_000 };
  const we = { name: "weir", pair: weir, sessionsMax: 1_000_000 };
  for (let round = 1; round <= rounds; round++) {
    progress.step(`round ${round} of ${rounds}`);
    const theirs = await roundOf(they, samples, progress);
    const ours = await roundOf(we, samples, progress);
    samples.add(SHARE, ours / theirs);
    progress.live(REPAIRED);
    const rate = 10_000;
    const load = { sessions: rate * COMPARED_SECONDS, rate };
    samples.add(REPAIRED, await weir.repaired(load));
  }
  await snapshots(conntrackd, weir, samples, rounds, progress);
  return samples.rows(TARGETS);
}

/** Returns the processor time until the other node can forward, in µs for each session. */
async function roundOf(
  { name, pair, sessionsMax }: Entry,
  samples: Samples,
  progress: Progress,
): Promise<number> {
  const add = (what: string, sample: number): void =>
    samples.add(`${name}: ${what}`, sample);
  const open = async (what: string, load: Load): Promise<Arrival> => {
    progress.live(`${name}: ${what}`);
    return (await pair.open(load)).arrival;
  };
  const bounded = (sessions: number): number => Math.min(sessions, sessionsMax);

  for (const rate of RATES) {
    const load = { sessions: bounded(rate * SECONDS), rate };
    addLag(add, rate, await open(`lag at ${rate}/s`, load));
  }
  const load = { sessions: bounded(RATE * SECONDS), rate: RATE };
  progress.live(`${name}: whole lives at ${RATE}/s`);
  const life = await pair.live(load);
  addLag(add, RATE, life.arrival);
  add("reached of 100k/s, sessions/s", life.arrival.perSecond);
  progress.live(`${name}: the same without sync`);
  const alone = await pair.alone(load);
  const { openCpuUs, commitCpuUs = {}, closeCpuUs } = life;
  const cpuUs = total(openCpuUs) - total(alone.openCpuUs) + total(commitCpuUs);
  add(CPU, cpuUs);
  for (const [role, time] of Object.entries(openCpuUs))
    if (time > 0) add(`of it ${role}`, time - (alone.openCpuUs[role] ?? 0));
  if (life.commitCpuUs) add("of it the commit", total(commitCpuUs));
  add(
    "CPU of its end, us/session",
    total(closeCpuUs) - total(alone.closeCpuUs),
  );
  add("on the wire until established, bytes/session", life.openBytes);
  add("on the wire for its end, bytes/session", life.closeBytes);

  const most = { sessions: bounded(PEAK_SESSIONS), rate: 0 };
  const handshakes = await open("highest rate with handshakes", most);
  add("highest rate with handshakes, sessions/s", handshakes.perSecond);
  const syns = await open("highest rate", { ...most, synOnly: true });
  add(PEAK, syns.perSecond);
  return cpuUs;
}

/** A node that has 1 M sessions, and one that joins it again and again. */
async function snapshots(
  conntrackd: Conntrackd,
  weir: WeirPair,
  samples: Samples,
  rounds: number,
  progress: Progress,
): Promise<void> {
  const load: Load = { sessions: SNAPSHOT_SESSIONS, rate: 0 };
  progress.step("1 M sessions on one node of either");
  await conntrackd.fill(load);
  await weir.fill(load);
  for (let round = 1; round <= rounds; round++) {
    progress.step(`round ${round} of ${rounds}: a node joins`);
    const { received, committed } = await conntrackd.join(load);
    samples.add("conntrackd: 1 M sessions to a node that joins, s", received);
    samples.add("conntrackd: the same, committed to its kernel, s", committed);
    const seconds = await weir.join(load);
    samples.add("weir: 1 M sessions to a node that joins, s", seconds);
  }
  await conntrackd.close();
  await weir.close();
}

function addLag(
  add: (what: string, sample: number) => void,
  rate: number,
  { lagMs }: Arrival,
): void {
  add(`lag p50 at ${rate / 1_000}k/s, ms`, lagMs.p50);
  add(`lag p99 at ${rate / 1_000}k/s, ms`, lagMs.p99);
}
