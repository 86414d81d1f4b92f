// SPDX-License-Identifier: Apache-2.0
// `./weir drill`: breaks one part of a rack while traffic runs, and measures what clients notice.

import { randomInt } from "node:crypto";
import { UsageError } from "../../src/errors.ts";
import { renderTable } from "../lab/inspect.ts";
import { DIRECTORS } from "../lab/rack.ts";
import { readArgs, runProgram } from "../program.ts";
import { Progress } from "../progress.ts";
import { AGENT_KILL } from "./agent-kill.ts";
import { DAEMON_KILL } from "./daemon-kill.ts";
import {
  runDrill,
  type DrillOptions,
  type DrillResult,
  type Run,
  type Scenario,
} from "./drill.ts";
import { LOAD_SCENARIOS } from "./scenarios.ts";

const CONNECTIONS_DEFAULT = 1_000;
/** With fewer, chance alone may keep a director's shares below what a run needs. */
const CONNECTIONS_MIN = 300;
const CONNECTIONS_MAX = 20_000;

const HELP = `Usage: ./weir drill SCENARIO [--family 4|6] [--protocol tcp|udp] [--json] [--runs N] [--seed S] [--connections N]
                              [--control] [--break] [--name NAME]

Deploys a rack of its own, breaks one part of it while traffic runs, mends it, and says what clients noticed. Each
director has its turn.

Scenarios, about 20 seconds for each run:
  agent-kill       kill the agent of the director that carries a transfer, start it again 10 s later.
                   Bounds: no connection breaks, no transfer stands still for 200 ms, the director forwards all the time
  daemon-kill      kill a director's gobgpd, start it again 10 s later.
                   Bounds: its routes are back within 10 s without touching the agent, no connection breaks

Scenarios under load: many connections with numbered, checksummed bytes in both directions, and curl, redis and a shell
beside them. Bounds of all of them: no connection breaks or stands still for 5 s (except sessions created less than 50 ms
before a director is cut off, and not more than 1 % of all); within 10 s after the traffic all directors hold equal tables.
With --protocol udp they are flows of numbered, checksummed datagrams, and nothing else: what is lost is counted, and is no
fault; but no flow may get another real server, or another local address and port, than it had.
${LOAD_SCENARIOS.map(({ name, about }) => `  ${name.padEnd(15)}  ${about.join(`\n${" ".repeat(19)}`)}`).join("\n")}

Options:
  --family 4|6     clients, VIP and real servers speak IPv4 or IPv6 (default: 4)
  --protocol P     tcp or udp, under load (default: tcp)
  --runs N         how many runs (default: ${DIRECTORS.length}, one for each director)
  --seed S         a number that fixes the order and the moments (default: a random one, printed)
  --connections N  how many lasting connections, under load (default: ${CONNECTIONS_DEFAULT})
  --control        negative control of all but agent-kill: the directors share no sessions; ok only if each run fails
  --break          negative control of the first two: really break what the drill watches over; it must fail then
  --name NAME      the lab's name (default: drill)
  --json           print one JSON object: {scenario, family, protocol, seed, runs, worst, ...}
  -h, --help       this text

Exits with 0 if all runs were within the bounds (with --control: if none was), else with 1.

Examples:
  ./weir drill agent-kill
  ./weir drill power-off --connections 2000 --runs 20 --json | jq .broken
  ./weir drill power-off --control
  ./weir drill rejoin --family 6 --protocol udp
  ./weir drill daemon-kill --runs 1 --seed 7
`;

const EXIT_FAILED = 1;

const FAMILIES = { "4": 4, "6": 6 } as const;
const PROTOCOLS = { tcp: "tcp", udp: "udp" } as const;

const OPTIONS = {
  family: { type: "string", default: "4" },
  protocol: { type: "string", default: "tcp" },
  json: { type: "boolean", default: false },
  runs: { type: "string", default: String(DIRECTORS.length) },
  seed: { type: "string" },
  connections: { type: "string", default: String(CONNECTIONS_DEFAULT) },
  control: { type: "boolean", default: false },
  break: { type: "boolean", default: false },
  name: { type: "string", default: "drill" },
  help: { type: "boolean", short: "h", default: false },
} as const;

const RUNS_MAX = 1_000;
const SEED_MAX = 2 ** 31;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArgs({
    args: [...args],
    allowPositionals: true,
    options: OPTIONS,
  });
  const [scenario, ...surplus] = positionals;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const names = [AGENT_KILL, DAEMON_KILL, ...LOAD_SCENARIOS].map(
    ({ name }) => name,
  );
  if (scenario === undefined || surplus.length > 0)
    throw new UsageError(`give exactly one scenario of ${names.join(", ")}`);
  const underLoad = LOAD_SCENARIOS.find(({ name }) => name === scenario);
  if (values.control && scenario === AGENT_KILL.name)
    throw new UsageError(`${scenario} has --break, not --control`);
  if (values.break && underLoad !== undefined)
    throw new UsageError(`${scenario} has --control, not --break`);
  const options: DrillOptions = {
    name: values.name,
    family: oneOf("--family", values.family, FAMILIES),
    protocol: oneOf("--protocol", values.protocol, PROTOCOLS),
    runs: numberOf("--runs", values.runs, 1, RUNS_MAX),
    seed:
      values.seed === undefined
        ? randomInt(SEED_MAX)
        : numberOf("--seed", values.seed, 0, SEED_MAX),
    sabotage: values.break,
    control: values.control,
    connections: numberOf(
      "--connections",
      values.connections,
      CONNECTIONS_MIN,
      CONNECTIONS_MAX,
    ),
  };
  if (underLoad === undefined && options.protocol !== "tcp")
    throw new UsageError(`${scenario} has --protocol tcp only`);
  if (underLoad !== undefined) return report(underLoad, options, values.json);
  switch (scenario) {
    case AGENT_KILL.name:
      return report(AGENT_KILL, options, values.json);
    case DAEMON_KILL.name:
      return report(DAEMON_KILL, options, values.json);
    default:
      throw new UsageError(
        `there is no scenario ${scenario}; there are ${names.join(", ")}`,
      );
  }
}

function oneOf<T>(
  option: string,
  text: string,
  choices: Readonly<Record<string, T>>,
): T {
  const choice = Object.hasOwn(choices, text) ? choices[text] : undefined;
  if (choice === undefined)
    throw new UsageError(
      `${option} takes ${Object.keys(choices).join(" or ")}: current value is ${text}`,
    );
  return choice;
}

function numberOf(
  option: string,
  text: string,
  min: number,
  max: number,
): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max))
    throw new UsageError(
      `${option} takes a number from ${min} to ${max}: current value is ${text}`,
    );
  return number;
}

async function report<R extends Run>(
  scenario: Scenario<R>,
  options: DrillOptions,
  json: boolean,
): Promise<number> {
  const progress = new Progress();
  const result = await runDrill(scenario, options, progress);
  progress.clear();
  process.stdout.write(
    json
      ? `${JSON.stringify(result, null, 2)}\n`
      : `\n${render(scenario, result)}`,
  );
  return result.ok ? 0 : EXIT_FAILED;
}

function render<R extends Run>(
  { headings, cells, notes }: Scenario<R>,
  result: DrillResult<R>,
): string {
  const { scenario, seed, control, runs, problems, ok, seconds } = result;
  const { family, protocol } = result;
  const way = `IPv${family}, ${protocol.toUpperCase()}`;
  const name = `${control ? `${scenario} without sync` : scenario} (${way})`;
  const rows = runs.map((run) => [run.director, ...cells(run)]);
  return `${[
    renderTable([["DIRECTOR", ...headings], ...rows]),
    "",
    ...notes(runs),
    ok
      ? `${name}: ok, in ${seconds.toFixed(0)} s (seed ${seed})`
      : `${name}: NOT ok, in ${seconds.toFixed(0)} s (seed ${seed})`,
    ...problems.map((problem) => `  ${problem}`),
  ].join("\n")}\n`;
}

await runProgram("drill", main);
