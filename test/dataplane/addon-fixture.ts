// SPDX-License-Identifier: Apache-2.0
/** What the tests of the addon stand on: pins and interfaces of their own, and other processes. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ExecutionContext } from "ava";
import { loadAddon } from "../../src/node/addon.ts";
import type { DataplaneOptions } from "../../src/node/dataplane.ts";
import { Dataplane } from "../../src/node/dataplane.ts";
import * as layout from "../../src/node/layout.ts";
import { encode, u32 } from "../../src/node/struct.ts";
import type { Outcome, Task } from "./addon-process.ts";

export const LIMITS = {
  sessions: 1000,
  wideSessions: 500,
  services: 4,
  realServers: 8,
};
const BUILD = join(import.meta.dirname, "../../build");
/** How long a test waits for another process. */
const WAIT_MS = 20_000;

/** A bpf file system and a state directory of the test's own. */
export function temporaryPins(t: ExecutionContext): DataplaneOptions {
  const directory = mkdtempSync(join(tmpdir(), "weir-addon-"));
  const bpf = join(directory, "bpf");
  mkdirSync(bpf);
  execFileSync("mount", ["-t", "bpf", "bpf", bpf]);
  t.teardown(() => {
    loadAddon().close();
    execFileSync("umount", [bpf]);
    rmSync(directory, { recursive: true });
  });
  return {
    stateDir: join(directory, "state"),
    pinDir: join(bpf, "weir"),
    limits: LIMITS,
    objectPaths: objectsOf("director"),
  };
}

/** The program of a source file, for each family. */
export function objectsOf(source: string): readonly string[] {
  return [4, 6].map((family) => join(BUILD, `${source}${family}.bpf.o`));
}

export function open(
  t: ExecutionContext,
  options: DataplaneOptions,
): Dataplane {
  const dataplane = Dataplane.open(options);
  t.teardown(() => dataplane.close());
  return dataplane;
}

export function pins(options: DataplaneOptions): readonly string[] {
  return readdirSync(join(options.pinDir, `v${layout.WEIR_LAYOUT_VERSION}`));
}

export function linkPath(options: DataplaneOptions): string {
  const link = pins(options).find((name) => name.startsWith("link-"));
  return join(options.pinDir, `v${layout.WEIR_LAYOUT_VERSION}`, link ?? "");
}

/** The bytes of a map's first element. */
export function readRaw(map: string): Buffer {
  return loadAddon().mapLookup(map, encode(u32, 0));
}

export type Namespace = { readonly name: string; readonly remove: () => void };

/** A network namespace with veth0, whose peer is in it too. */
export function temporaryVeth(t: ExecutionContext): Namespace {
  const name = `weir-addon-${process.pid}`;
  execFileSync("ip", ["netns", "add", name]);
  let there = true;
  const remove = (): void => {
    if (there) execFileSync("ip", ["netns", "delete", name]);
    there = false;
  };
  t.teardown(remove);
  const veth = ["veth0", "type", "veth", "peer", "name", "veth1"];
  execFileSync("ip", ["-n", name, "link", "add", ...veth]);
  execFileSync("ip", ["-n", name, "link", "set", "veth0", "up"]);
  return { name, remove };
}

export function hasProgram({ name }: Namespace, device: string): boolean {
  const show = ["-n", name, "link", "show", "dev", device];
  return /\bxdp\b/.test(execFileSync("ip", show, { encoding: "utf8" }));
}

/** Runs addon-process.ts. `outcome` is what it prints; one that does not hold has ended by then. */
export function start(t: ExecutionContext, task: Task, namespace?: Namespace) {
  const script = join(import.meta.dirname, "addon-process.ts");
  const node = [process.execPath, script, JSON.stringify(task)] as const;
  // `ip netns exec` would hide the bpf file system behind a new /sys.
  const [file, ...args] =
    namespace === undefined
      ? node
      : (["nsenter", `--net=/run/netns/${namespace.name}`, ...node] as const);
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  t.teardown(kill);
  const outcome = (async (): Promise<Outcome> => {
    const timer = setTimeout(() => child.kill("SIGKILL"), WAIT_MS);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (!task.hold) await ended;
    clearTimeout(timer);
    const outcome: Outcome = JSON.parse(value ?? "null");
    return outcome;
  })();
  return { pid: child.pid, kill, outcome };
}
