// SPDX-License-Identifier: Apache-2.0
/** `weir check`: all that is wrong with a config file. The one command that needs no agent. */
import { isLeft } from "fp-ts/lib/Either.js";
import { type ConfigError, UsageError, WeirError } from "../errors.ts";
import type { Cluster } from "../model.ts";
import { type Host, readConfig, readHost } from "../node/config.ts";
import { type ConfigWarning, warningsOf } from "../node/warnings.ts";
import { type Command, type Output, readArgs, toJson } from "./command.ts";

const VALUE_WIDTH_MAX = 100;

const EXIT_INVALID = 2;

const OPTIONS = {
  json: { type: "boolean", default: false },
  node: { type: "string" },
} as const;

export const check: Command = {
  help: `Usage: ./weir check FILE [--node NAME] [--json]

Reads a config file as the agent does and lists everything that is wrong with it, each error with its place,
its value and what to do about it. Changes nothing. Exits with 0 if the file can be used, else with ${EXIT_INVALID}.
Warnings are about what can be used, but is probably not meant; they do not change the exit code.

The pools are also compared with the addresses of the machine that the check runs on.

Options
  --node NAME  this machine is that node: the file must have it, and no address of the machine may be
               within the aggregate
  --json       print {"ok": BOOLEAN, "errors": [{"path", "value", "message", "hint", "line", "column"}],
               "warnings": [{"path", "message", "hint"}]}

Examples
  ./weir check /etc/weir/weir.yaml
  ./weir check /etc/weir/weir.yaml --node d1 && kill -HUP "$(cat /run/weir/lock)"
  ./weir check ops/config/weir.yaml --json
`,
  run: async (args, output) => {
    const { values, positionals } = readArgs(args, OPTIONS, true);
    const [file, ...surplus] = positionals;
    if (file === undefined || surplus.length > 0)
      throw new UsageError("Cannot check: give exactly one file");
    const loaded = await readConfig(
      file,
      await hostIfKnown(values.node, output),
    );
    const errors = isLeft(loaded) ? loaded.left : [];
    const warnings = isLeft(loaded) ? [] : warningsOf(loaded.right);
    const text = isLeft(loaded)
      ? renderErrors(file, loaded.left)
      : renderWarnings(file, warnings) + renderSummary(file, loaded.right);
    await output.write(
      values.json
        ? `${toJson({ ok: errors.length === 0, errors, warnings })}\n`
        : text,
    );
    return errors.length === 0 ? 0 : EXIT_INVALID;
  },
};

/** A machine that cannot list its addresses can still check a file. */
async function hostIfKnown(
  node: string | undefined,
  output: Output,
): Promise<Host> {
  try {
    return await readHost(node);
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    output.note(
      `The pools are not compared with this machine's addresses. ${error.message}`,
    );
    return { addresses: [], ...(node === undefined ? {} : { node }) };
  }
}

/** One block for each error: `file:line:column: what is wrong`, its value, what to do. */
export function renderErrors(
  file: string,
  errors: readonly ConfigError[],
): string {
  const blocks = errors.map(({ path, value, message, hint, line, column }) => {
    const place = [file, line, column]
      .filter((part) => part !== undefined)
      .join(":");
    return [
      `${place}: ${path}${path === "" ? "" : " "}${message}`,
      ...(value === null
        ? []
        : [`    value: ${shorten(JSON.stringify(value))}`]),
      ...(hint === "" ? [] : [`    hint:  ${hint}`]),
    ].join("\n");
  });
  const total = errors.length === 1 ? "1 error" : `${errors.length} errors`;
  return `${blocks.join("\n\n")}\n\n${total}. Nothing has been changed.\n`;
}

function renderWarnings(
  file: string,
  warnings: readonly ConfigWarning[],
): string {
  return warnings
    .map(
      ({ path, message, hint }) =>
        `${file}: warning: ${path} ${message}\n    hint:  ${hint}\n\n`,
    )
    .join("");
}

function shorten(text: string): string {
  return text.length > VALUE_WIDTH_MAX
    ? `${text.slice(0, VALUE_WIDTH_MAX - 3)}...`
    : text;
}

function renderSummary(
  file: string,
  { name, nodes, services }: Cluster,
): string {
  const servers = services.reduce(
    (sum, service) => sum + service.servers.length,
    0,
  );
  return `${file}: ok: cluster ${name}, nodes: ${nodes.length}, services: ${services.length}, real servers: ${servers}\n`;
}
