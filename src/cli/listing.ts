// SPDX-License-Identifier: Apache-2.0
/** The commands that ask the agent one question and print the answer. */
import { AdminClient } from "./client.ts";
import { AGENT_OPTIONS, type Command, readArgs, toJson } from "./command.ts";

export type Listing<T> = {
  readonly help: string;
  readonly read: (client: AdminClient) => Promise<T>;
  /** What --json prints: camelCase keys, units in their names. Fields may be added, never renamed. */
  readonly toPlain: (answer: T) => unknown;
  /** What people read. */
  readonly render: (answer: T) => string;
};

export function listing<T>({
  help,
  read,
  toPlain,
  render,
}: Listing<T>): Command {
  return {
    help,
    run: async (args, output) => {
      const { json, socket } = readArgs(args, AGENT_OPTIONS).values;
      const client = new AdminClient(socket);
      try {
        const answer = await read(client);
        await output.write(
          json ? `${toJson(toPlain(answer))}\n` : render(answer),
        );
        return 0;
      } finally {
        client.close();
      }
    },
  };
}
