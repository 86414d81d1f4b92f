// SPDX-License-Identifier: Apache-2.0
/**
 * `./weir bench rack`: what a director with two arms carries, and at what price, beside the least that one can do (bare
 * XDP_REDIRECT) and what the kernel does (forwarding, and nftables that translates both addresses). In turn, in each round.
 */
import { cpus } from "node:os";
import type { Progress } from "../../../ops/progress.ts";
import type { Row, Target } from "../rows.ts";
import { Samples } from "../rows.ts";
import type { Sandbox } from "../sandbox.ts";
import { Datagrams } from "./datagrams.ts";
import { startDirectors } from "./directors.ts";
import { makeNetwork } from "./network.ts";
import type { Contender } from "./place.ts";
import { CONTENDERS, NFTABLES, REDIRECT, WEIR } from "./place.ts";
import { checkCpus } from "./processor.ts";
import { Streams } from "./streams.ts";

const GBITS = "one TCP stream, Gbit/s";
const PACKETS = "64-byte packets, Mpps";
const CPU = "64-byte packets, CPU ns/packet";
const GBITS_SHARE = `${WEIR.name} / ${REDIRECT.name}: ${GBITS}`;
const CPU_SHARE = `${WEIR.name} / ${NFTABLES.name}: ${CPU}`;
const TARGETS: Readonly<Record<string, Target>> = {
  [GBITS_SHARE]: { is: "at least", value: 0.9 },
  [CPU_SHARE]: { is: "at most", value: 0.2 },
};

export const RACK_SETTING: readonly string[] = [
  `Client, directors and server are on this machine, with ${cpus().length} processors in all. The links are veth: these are figures of veth, and no`,
  "network card, driver or interrupt is in them. weir is its program and its maps, with sessions that no other node is told of.",
  "TCP: iperf3 from client to server, which take most of the processors themselves. Frames have 1,500 bytes; XDP forwards each by",
  "itself, while the kernel's directors put them together first (GRO) and hand on up to 64 KB at once.",
  "64-byte packets: UDP of 1,024 flows, by a generator in the kernel that is faster than any director. The director's receiving",
  "thread has a processor of its own; its time counts, for each packet that came through, with veth's part and the server's drop.",
  "What is not as it should be afterwards (sessions, addresses, a processor that others had) is measured again, four times at most.",
];

/** What one contender's figures of a round are measured by. */
type Measurement = (
  contender: Contender,
) => Promise<Readonly<Record<string, number>>>;

export async function benchRack(
  sandbox: Sandbox,
  rounds: number,
  progress: Progress,
): Promise<readonly Row[]> {
  checkCpus();
  await makeNetwork(sandbox);
  const weir = await startDirectors(sandbox);
  const samples = new Samples();
  const measure = (what: string, measurement: Measurement) =>
    interleave(what, measurement, { samples, rounds, progress });

  const streams = await Streams.start(sandbox, weir);
  await measure(GBITS, async (contender) => ({
    [GBITS]: await streams.measure(contender),
  }));
  samples.addRatio(GBITS_SHARE, named(WEIR, GBITS), named(REDIRECT, GBITS));

  const datagrams = await Datagrams.start(sandbox, weir);
  await measure(PACKETS, async (contender) => {
    const { packetsPerSecond, cpuNs } = await datagrams.measure(contender);
    return { [PACKETS]: packetsPerSecond / 1e6, [CPU]: cpuNs };
  });
  samples.addRatio(CPU_SHARE, named(WEIR, CPU), named(NFTABLES, CPU));
  return samples.rows(TARGETS);
}

/** All contenders in turn, in each round. The first round, which is not counted, warms up. */
async function interleave(
  what: string,
  measurement: Measurement,
  to: {
    readonly samples: Samples;
    readonly rounds: number;
    readonly progress: Progress;
  },
): Promise<void> {
  to.progress.step(what);
  for (let round = 0; round <= to.rounds; round++)
    for (const contender of CONTENDERS) {
      to.progress.live(`round ${round} of ${to.rounds}: ${contender.name}`);
      const figures = await measurement(contender);
      if (round === 0) continue;
      for (const [figure, value] of Object.entries(figures))
        to.samples.add(named(contender, figure), value);
    }
}

/** Of a row. */
function named({ name }: Contender, figure: string): string {
  return `${name}: ${figure}`;
}
