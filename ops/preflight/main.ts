// SPDX-License-Identifier: Apache-2.0
// ./weir preflight: what this machine lacks to be a director, and the command that mends it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readArgs, runProgram } from "../program.ts";
import { evaluate, type Item } from "./evaluate.ts";
import { readFacts } from "./read.ts";

const USAGE = `Usage: ./weir preflight [--json] [--interface NAME]... [--gobgpd SOCKET]

Looks at this machine, changes nothing, and prints what a director needs, what was found, and the command that mends
each thing that is wrong. Exits with 0 if nothing is, else with 1.

Options:
  --interface NAME   an interface that shall carry traffic; may be repeated (default: those of the default routes)
  --gobgpd SOCKET    where gobgpd's API listens (default /run/gobgpd.sock)
  --json             {ok, items: [{name, found, needed, fix}]}; needed is empty where nothing depends on it

Examples:
  ./weir preflight
  ./weir preflight --interface eth1 --interface eth2 --json`;

const PACKAGES = join(import.meta.dirname, "../setup/packages.txt");

async function main(args: readonly string[]): Promise<number> {
  const { values } = readArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h" },
      json: { type: "boolean" },
      interface: { type: "string", multiple: true, default: [] },
      gobgpd: { type: "string", default: "/run/gobgpd.sock" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const facts = await readFacts({
    interfaces: values.interface,
    packages: readFileSync(PACKAGES, "utf8").trim().split("\n"),
    gobgpdSocket: values.gobgpd,
  });
  const verdict = evaluate(facts);
  if (values.json) console.log(JSON.stringify(verdict, undefined, 2));
  else for (const line of render(verdict.items)) console.log(line);
  return verdict.ok ? 0 : 1;
}

/** A table, with the fix under each line that needs one. */
function render(items: readonly Item[]): readonly string[] {
  const width = Math.max(...items.map(({ name }) => name.length));
  const wrong = items.filter(({ needed, fix }) => needed !== "" && fix !== "");
  return [
    ...items.flatMap((item) => {
      const { name, found, needed, fix } = item;
      const mark = needed === "" ? "info" : fix === "" ? "ok" : "FIX";
      const head = `${mark.padEnd(4)}  ${name.padEnd(width)}  ${found}`;
      if (fix === "") return [head];
      return [`${head}${needed && `; needed: ${needed}`}`, `        ${fix}`];
    }),
    wrong.length === 0
      ? "This machine can be a director."
      : `This machine cannot be a director yet: ${wrong.length} to fix.`,
  ];
}

await runProgram("preflight", main);
