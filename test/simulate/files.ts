// SPDX-License-Identifier: Apache-2.0
/** The files of one run of the command, in a directory that goes with the test. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { writeCapture } from "../../src/simulate/capture.ts";
import { BEGIN_NS, STEP_NS } from "./odd.ts";

export const CONFIG = join(import.meta.dirname, "weir.yaml");

/** One packet as --json tells of it. */
export type Answer = {
  readonly n: number;
  readonly iface: string;
  readonly verdict: string;
  readonly counter: string;
  readonly session: {
    readonly client: string;
    readonly virtual: string;
    readonly local: string;
    readonly real: string;
    readonly protocol: string;
    readonly state: string;
    readonly service: string;
  } | null;
  readonly server: string | null;
  readonly out: readonly { readonly iface: string; readonly hex: string }[];
};

export class Files {
  readonly directory: string;
  readonly out: string;

  constructor(t: ExecutionContext) {
    this.directory = mkdtempSync(join(tmpdir(), "weir-simulate-"));
    this.out = join(this.directory, "out.pcapng");
    t.teardown(() => rmSync(this.directory, { recursive: true }));
  }

  write(name: string, content: string | Uint8Array): string {
    const file = join(this.directory, name);
    writeFileSync(file, content);
    return file;
  }

  /** The config of weir.yaml after a change. */
  config(found: string, replacement: string): string {
    const text = readFileSync(CONFIG, "utf8");
    if (!text.includes(found)) throw new Error(`weir.yaml has no ${found}`);
    return this.write("weir.yaml", text.replace(found, replacement));
  }

  capture(frames: readonly Uint8Array[], iface = "eth1"): string {
    return this.write(
      "in.pcapng",
      writeCapture(
        frames.map((bytes, index) => ({
          iface,
          bytes,
          timeNs: BEGIN_NS + BigInt(index) * STEP_NS,
        })),
      ),
    );
  }
}
