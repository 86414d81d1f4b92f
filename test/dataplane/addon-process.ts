// SPDX-License-Identifier: Apache-2.0
/**
 * Another process with the dataplane, for the tests: opens it, attaches, prints what it got as JSON, and closes it; with
 * `hold`, when its standard input ends.
 */
import { text } from "node:stream/consumers";
import type { Attachment, DataplaneOptions } from "../../src/node/dataplane.ts";
import { Dataplane } from "../../src/node/dataplane.ts";

export type Task = {
  readonly options: DataplaneOptions;
  /** To be attached, one list after another. */
  readonly attach: readonly (readonly string[])[];
  readonly hold: boolean;
};

export type Outcome =
  | {
      readonly ok: true;
      readonly attachments: readonly (readonly Attachment[])[];
    }
  | {
      readonly ok: false;
      readonly name: string;
      readonly message: string;
      readonly code: string;
    };

async function perform(task: Task): Promise<Outcome> {
  try {
    const dataplane = Dataplane.open(task.options);
    const attachments = [];
    for (const interfaces of task.attach)
      attachments.push(await dataplane.attach(interfaces));
    return { ok: true, attachments };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { name, message } = error;
    return {
      ok: false,
      name,
      message,
      code: "code" in error ? String(error.code) : "",
    };
  }
}

const task: Task = JSON.parse(process.argv[2] ?? "");
process.stdout.write(`${JSON.stringify(await perform(task))}\n`);
// The end of the process closes it, as after a crash.
if (task.hold) await text(process.stdin);
