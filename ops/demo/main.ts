// SPDX-License-Identifier: Apache-2.0
// `./weir demo`: deploys the rack, sends real traffic through it, shows who carried it, destroys the rack.

import { performance } from "node:perf_hooks";
import { labNames, LabError } from "../lab/lab.ts";
import { type Family, formatHost } from "../../src/model.ts";
import {
  addressesOf,
  CLIENTS,
  DIRECTORS,
  RACK,
  withRack,
  type Client,
  type Director,
  type Rack,
} from "../lab/rack.ts";
import { readArgs, runProgram } from "../program.ts";
import { Progress } from "../progress.ts";
import { cutOff, type Cut } from "./cut.ts";
import {
  formatCount,
  formatMegabytes,
  judge,
  renderResult,
  tally,
  type DemoResult,
} from "./result.ts";
import { readRound, roundCommand, type Fetch, type Round } from "./round.ts";

const HELP = `Usage: ./weir demo [--keep] [--json] [--name NAME]

Deploys a rack in network namespaces (two clients, a router with ECMP, three directors, three real servers), fetches
files through its VIPs with curl, one client with IPv4 and the other one with IPv6, verifies each of them by its hash, and
shows which director and which real server has carried how much. Then it takes the power from the busiest director in the middle of hundreds of
connections, and shows who has taken them over, and how long they stood still. It takes about 20 seconds.

Options:
  --keep        leave the rack up, and say how to look around
  --json        print one JSON object: {ok, requests, failed, perDirector, perServer, bytesVerified, cut, ...}
  --name NAME   the lab's name (default: rack)
  -h, --help    this text

Exits with 0 if all requests succeeded, each director and each real server had its share, and no connection broke when
the power went; else with 1.

Examples:
  ./weir demo
  ./weir demo --json | jq .perDirector
  ./weir demo --json | jq .cut.stallMs
  ./weir demo --keep && ./weir lab exec d1 -- /opt/weir/weir sessions
`;

const EXIT_FAILED = 1;

const DEFAULT_NAME = "rack";

/** What each client speaks. */
const SPEAKS: Readonly<Record<Client, Family>> = { c1: 4, c2: 6 };

/** For each client. */
const ROUNDS: readonly Round[] = Array.from({ length: 8 }, (_, index) => ({
  "files/1k": 24,
  "files/64k": 6,
  "files/1m": 2,
  ...(index % 2 === 0 ? { "files/8m": 1 } : {}),
}));
const REQUESTS =
  CLIENTS.length *
  ROUNDS.flatMap((round) => Object.values(round)).reduce((a, b) => a + b, 0);

/** Longer than curl's own limit for each of a round's fetches. */
const ROUND_LIMIT_MS = 60_000;

const OPTIONS = {
  keep: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  name: { type: "string", default: DEFAULT_NAME },
  help: { type: "boolean", short: "h", default: false },
} as const;

type Options = {
  readonly keep: boolean;
  readonly json: boolean;
  readonly name: string;
};

async function main(args: readonly string[]): Promise<number> {
  const { values } = readArgs({ args: [...args], options: OPTIONS });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const progress = new Progress();
  const result = await demo(values, progress);
  progress.clear();
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result, null, 2)}\n`
      : `\n${renderResult(result)}`,
  );
  if (values.keep && labNames().includes(values.name))
    process.stderr.write(`\n${lookAround(values.name)}`);
  return result.ok ? 0 : EXIT_FAILED;
}

/** A rack that cannot be deployed, or breaks, is a result too. */
async function demo(
  { keep, name }: Options,
  progress: Progress,
): Promise<DemoResult> {
  const begin = performance.now();
  const secondsSince = (since: number) =>
    Math.round(performance.now() - since) / 1000;
  const fetches: Fetch[] = [];
  const times = { deploySeconds: 0, trafficSeconds: 0 };
  let created: Readonly<Record<string, number>> = {};
  let cut: Cut | null = null;
  const result = () =>
    judge(
      tally(fetches),
      created,
      { ...times, seconds: secondsSince(begin) },
      cut,
    );
  try {
    progress.step("deploying the rack: 2 clients, 3 directors, 3 real servers");
    await withRack({ name, keep }, async (rack) => {
      await rack.ready((missing) => progress.live(`waiting: ${missing}`));
      times.deploySeconds = secondsSince(begin);
      progress.step(
        `ready after ${times.deploySeconds.toFixed(1)} s: all directors announce ${RACK.vip} and ${RACK.ipv6.vip}, all real servers are up`,
      );
      const before = await sessionsCreated(rack);
      const trafficBegin = performance.now();
      progress.step(`fetching ${formatCount(REQUESTS)} files with curl`);
      await sendAll(rack, fetches, () => showFetches(progress, fetches));
      times.trafficSeconds = secondsSince(trafficBegin);
      const after = await sessionsCreated(rack);
      created = Object.fromEntries(
        DIRECTORS.map((one) => [one, (after[one] ?? 0) - (before[one] ?? 0)]),
      );
      cut = await cutOff(rack, busiest(created), progress, keep);
      progress.step(keep ? "leaving the rack up" : "removing the rack");
    });
    return result();
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    const rest = result();
    // Without any traffic the other problems say nothing more.
    const problems = fetches.length === 0 ? [] : rest.problems;
    return { ...rest, ok: false, problems: [error.message, ...problems] };
  }
}

function busiest(created: Readonly<Record<string, number>>): Director {
  const load = (director: Director) => created[director] ?? 0;
  return DIRECTORS.toSorted((a, b) => load(b) - load(a))[0] ?? "d1";
}

/** Both clients at once, each one round after the other. */
async function sendAll(
  rack: Rack,
  fetches: Fetch[],
  onRound: () => void,
): Promise<void> {
  const send = async (client: Client) => {
    const host = formatHost(addressesOf(SPEAKS[client]).vip);
    for (const round of ROUNDS) {
      const { stdout } = await rack.lab.exec(
        client,
        roundCommand(host, round),
        { timeoutMs: ROUND_LIMIT_MS },
      );
      fetches.push(...readRound(stdout, round));
      onRound();
    }
  };
  await Promise.all(CLIENTS.map(send));
}

function showFetches(progress: Progress, fetches: readonly Fetch[]): void {
  const { requests, failed, perDirector, bytesVerified } = tally(fetches);
  const directors = Object.entries(perDirector)
    .map(([name, count]) => `${name} ${count}`)
    .join("  ");
  progress.live(
    `${requests}/${REQUESTS} fetched, ${failed} failed, ${formatMegabytes(bytesVerified)} verified: ${directors}`,
  );
}

/** What the directors themselves count. */
async function sessionsCreated(
  rack: Rack,
): Promise<Readonly<Record<string, number>>> {
  const counted = DIRECTORS.map(async (director) => {
    const { session_created = 0 } = await rack.counters(director);
    return [director, session_created] as const;
  });
  return Object.fromEntries(await Promise.all(counted));
}

function lookAround(name: string): string {
  const option = name === DEFAULT_NAME ? "" : ` --name ${name}`;
  const run = (node: string, command: string) =>
    `  ./weir lab exec${option} ${node} -- ${command}`;
  return `The rack is up. To look around:
${run("c1", `curl -si http://${RACK.vip}/`)}
${run("c2", `curl -gsi http://[${RACK.ipv6.vip}]/`)}
${run("d1", "/opt/weir/weir sessions")}
${run("d1", "/opt/weir/weir counters")}
${run("d1", "/opt/weir/weir servers")}
${run("d1", "/opt/weir/weir routes")}
${run(RACK.router, "ip route")}
${run(RACK.router, 'vtysh -c "show bgp ipv6 unicast"')}
${run("s1", "tcpdump -ni eth1 port 80")}
To remove it:
  ./weir lab destroy${option}
`;
}

await runProgram("demo", main);
