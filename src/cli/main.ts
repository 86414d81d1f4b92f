// SPDX-License-Identifier: Apache-2.0
/** The CLI: `main.ts COMMAND [ARGUMENT]...`. Exit code 0, 1 if the agent does not answer, 2 for a call that makes no sense. */
import { once } from "node:events";
import { AgentUnreachableError, UsageError } from "../errors.ts";
import type { Command, Output } from "./command.ts";

const EXIT_UNREACHABLE = 1;
const EXIT_USAGE = 2;

/** Loaded when called, so that `check` does not wait for gRPC. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  services: async () => (await import("./services.ts")).services,
  servers: async () => (await import("./servers.ts")).servers,
  sessions: async () => (await import("./sessions.ts")).sessions,
  nodes: async () => (await import("./nodes.ts")).nodes,
  counters: async () => (await import("./counters.ts")).counters,
  routes: async () => (await import("./routes.ts")).routes,
  sync: async () => (await import("./sync.ts")).sync,
  check: async () => (await import("./check.ts")).check,
  simulate: async () => (await import("./simulate.ts")).simulate,
};

/** Runs one command. Resolves to the exit code; rejects only for a fault of ours. */
export async function runCommand(
  [name = "", ...args]: readonly string[],
  output: Output,
): Promise<number> {
  const command = Object.hasOwn(COMMANDS, name)
    ? await COMMANDS[name]?.()
    : undefined;
  if (command === undefined) {
    output.note(
      `Usage: ./weir COMMAND [ARGUMENT]...\nCommands: ${Object.keys(COMMANDS).join(", ")}`,
    );
    return EXIT_USAGE;
  }
  if (args.includes("--help") || args.includes("-h")) {
    await output.write(command.help);
    return 0;
  }
  try {
    return await command.run(args, output);
  } catch (error) {
    if (!(
      error instanceof UsageError || error instanceof AgentUnreachableError
    ))
      throw error;
    output.note(
      error instanceof UsageError
        ? `${error.message}\nSee: weir ${name} --help`
        : error.message,
    );
    return error instanceof UsageError ? EXIT_USAGE : EXIT_UNREACHABLE;
  }
}

const terminal: Output = {
  write: async (text) => {
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  },
  note: (text) => {
    process.stderr.write(`${text}\n`);
  },
};

if (import.meta.main) {
  // The reader may have seen enough, as in `weir sessions | head`.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  process.exitCode = await runCommand(process.argv.slice(2), terminal);
}
