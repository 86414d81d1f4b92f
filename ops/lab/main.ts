// SPDX-License-Identifier: Apache-2.0
// `./weir lab`: containerlab topologies in network namespaces, from the command line.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../src/errors.ts";
import { readArgs, runProgram } from "../program.ts";
import { exitCode } from "./command.ts";
import { inspect, inspectionRows, renderTable } from "./inspect.ts";
import { deployLab, destroyLab, labNames, openLab } from "./lab.ts";
import { mustRead } from "./state.ts";
import { loadTopology } from "./topology.ts";

const RACK = fileURLToPath(new URL("rack.clab.yml", import.meta.url));

const HELP = `Usage: ./weir lab COMMAND [-t FILE] [--name NAME] [--json]

Runs a containerlab topology (.clab.yml, kind linux) in network namespaces.

Commands:
  deploy            make the lab; --reconfigure destroys an old one first
  destroy           remove the lab, also what an interrupted deploy has left
  inspect           list the nodes; --all: of all labs
  exec NODE -- CMD  run a command in a node; its exit code is passed on
  kill NODE         power the node off: all its processes end, its links go down
  start NODE        power the node on again, from a fresh root

Options:
  -t, --topo FILE   the topology; without it, the rack of three directors
  --name NAME       the lab's name, instead of the one in the file
  --json            print what containerlab prints with "-f json"
  -h, --help        this text

Examples:
  ./weir lab deploy
  ./weir lab exec d1 -- /opt/weir/weir sessions
  ./weir lab exec c1 -- curl -si http://192.0.2.10/healthz
  ./weir lab deploy -t ops/lab/rack.clab.yml --name second
  ./weir lab destroy
`;

const EXIT_USAGE = 2;

const OPTIONS = {
  topo: { type: "string", short: "t" },
  name: { type: "string" },
  reconfigure: { type: "boolean", short: "c" },
  all: { type: "boolean", short: "a" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** The commands, each with how many nodes it is about. */
const COMMANDS: ReadonlyMap<string, number> = new Map([
  ["deploy", 0],
  ["destroy", 0],
  ["inspect", 0],
  ["exec", 1],
  ["kill", 1],
  ["start", 1],
]);

async function main(args: readonly string[]): Promise<number> {
  const dashes = args.indexOf("--");
  const command = dashes < 0 ? [] : args.slice(dashes + 1);
  const { values, positionals } = readArgs({
    args: dashes < 0 ? [...args] : args.slice(0, dashes),
    allowPositionals: true,
    options: OPTIONS,
  });
  const [verb, ...operands] = positionals;
  if (values.help === true || verb === undefined) {
    process.stdout.write(HELP);
    return verb === undefined && values.help !== true ? EXIT_USAGE : 0;
  }
  const nodes = COMMANDS.get(verb);
  if (nodes === undefined) throw new UsageError(`there is no command ${verb}`);
  if (operands.length < nodes)
    throw new UsageError(`${verb} needs the name of a node`);
  if (operands.length > nodes)
    throw new UsageError(
      `too many arguments for ${verb}: ${operands.slice(nodes).join(" ")}`,
    );
  const [node = ""] = operands;
  if (verb !== "exec" && dashes >= 0)
    throw new UsageError(`only exec takes a command after --, not ${verb}`);
  // A name is enough for all but deploy: a lab can be destroyed although its file is gone or broken.
  const name = () => values.name ?? loadTopology(values.topo ?? RACK).lab;
  const json = values.json === true;
  switch (verb) {
    case "deploy":
      return deployCommand(
        values.topo ?? RACK,
        values.name,
        values.reconfigure === true,
        json,
      );
    case "destroy":
      return destroyCommand(name());
    case "inspect":
      return inspectCommand(values.all === true ? labNames() : [name()], json);
    case "exec":
      if (command.length === 0)
        throw new UsageError(
          "exec needs a command: weir lab exec NODE -- COMMAND...",
        );
      return json
        ? execForPrograms(name(), node, command)
        : execForPeople(name(), node, command);
    case "kill":
      await openLab(name()).killNode(node);
      return 0;
    case "start":
      await openLab(name()).startNode(node);
      return 0;
    default:
      throw new RangeError(`Cannot run ${verb}: it is not implemented`);
  }
}

async function deployCommand(
  file: string,
  name: string | undefined,
  reconfigure: boolean,
  json: boolean,
): Promise<number> {
  const lab = await deployLab(file, { name, reconfigure });
  if (!json && lab.times !== undefined) {
    const { nodesMs, linksMs, execMs } = lab.times;
    const { nodes, links } = lab.topology;
    console.log(
      `deployed lab ${lab.name} in ${seconds(nodesMs + linksMs + execMs)}: ${nodes.length} nodes ${seconds(nodesMs)}, ${links.length} links ${seconds(linksMs)}, exec ${seconds(execMs)}`,
    );
  }
  inspectCommand([lab.name], json);
  // Last: whoever interrupts before having read that the lab is there gets none.
  lab.keep();
  return 0;
}

async function destroyCommand(name: string): Promise<number> {
  const begin = performance.now();
  const found = await destroyLab(name);
  console.error(
    found
      ? `destroyed lab ${name} in ${seconds(performance.now() - begin)}`
      : `there is no lab ${name}`,
  );
  return 0;
}

function inspectCommand(names: readonly string[], json: boolean): number {
  const inspection = Object.assign(
    {},
    ...names.map((name) => inspect(mustRead(name))),
  );
  console.log(
    json
      ? JSON.stringify(inspection, null, 2)
      : renderTable(inspectionRows(inspection)),
  );
  return 0;
}

async function execForPeople(
  lab: string,
  node: string,
  argv: readonly string[],
): Promise<number> {
  const [program = "", ...args] = openLab(lab).enter(node, argv);
  // The terminal sends a Ctrl-C to the command as well: it decides, and its exit code is what this program returns.
  process.on("SIGINT", () => {});
  return exitCode(spawn(program, args, { stdio: "inherit" }));
}

/** Output that is JSON itself is embedded as such, as containerlab does. */
async function execForPrograms(
  name: string,
  node: string,
  argv: readonly string[],
): Promise<number> {
  const lab = openLab(name);
  const { code, stdout, stderr } = await lab.exec(node, argv);
  const result = {
    cmd: argv,
    "return-code": code,
    stdout: jsonOrText(stdout),
    stderr,
  };
  console.log(JSON.stringify({ [lab.node(node).longName]: [result] }, null, 2));
  return code;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

await runProgram("lab", main);
