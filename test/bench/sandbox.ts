// SPDX-License-Identifier: Apache-2.0
/** Where a benchmark runs: network namespaces, cgroups and a directory of its own. All of it goes at the end. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { LabError } from "../../ops/lab/errors.ts";
import {
  cgroupRoot,
  createCgroup,
  inCgroup,
  ownMounts,
  removeCgroup,
  run,
} from "../../ops/lab/host.ts";
import { CpuMeter } from "./cpu.ts";

/** How long a program may take to say that it is ready, or to end when it is told to. */
const PROCESS_LIMIT_MS = 30_000;

export type ProcessOptions = {
  /** Whose cgroup its processor time is counted for; undefined = a tool, not counted. */
  readonly role?: string;
  /** The network namespace; undefined = the machine's own. */
  readonly namespace?: string;
  readonly env?: Readonly<Record<string, string>>;
};

export class Sandbox {
  /** For files that do not outlive the run. */
  readonly directory: string;
  readonly cpu: CpuMeter;
  readonly #name: string;
  readonly #cgroup: string;
  readonly #namespaces: string[] = [];
  /** Settings of the kernel, as they were. */
  readonly #settings = new Map<string, string>();
  #closing: Promise<void> | undefined;

  constructor() {
    this.#name = `weir-bench-${process.pid}`;
    this.#cgroup = join(cgroupRoot(), this.#name);
    createCgroup(join(this.#cgroup, "tools"));
    createCgroup(join(this.#cgroup, "counted"));
    this.cpu = new CpuMeter(join(this.#cgroup, "counted"));
    this.directory = mkdtempSync(join(tmpdir(), "weir-bench-"));
  }

  /** The name by which `ip -n` knows the namespace. */
  netns(namespace: string): string {
    return `${this.#name}-${namespace}`;
  }

  async addNamespace(namespace: string): Promise<void> {
    await this.ip([`netns add ${this.netns(namespace)}`]);
    this.#namespaces.push(namespace);
    await this.ip(["link set lo up"], namespace);
  }

  /** `ip -batch`. */
  async ip(lines: readonly string[], namespace?: string): Promise<void> {
    const where = namespace === undefined ? [] : ["-n", this.netns(namespace)];
    await run(
      "set up the network",
      ["ip", ...where, "-batch", "-"],
      lines.join("\n"),
    );
  }

  /** A program that ends by itself. Returns what it prints. @throws LabCommandError */
  run(
    what: string,
    argv: readonly string[],
    options: ProcessOptions = {},
    input = "",
  ): Promise<string> {
    return run(what, this.#command(argv, options), input);
  }

  /** A program that goes on until it is stopped. */
  start(argv: readonly string[], options: ProcessOptions = {}): Process {
    return new Process(
      argv[0] ?? "",
      this.#command(argv, options),
      options.env,
    );
  }

  /** At least so much of something that all namespaces share, until the end. */
  raise(file: string, value: number): void {
    const before = readFileSync(file, "utf8");
    if (Number(before) >= value) return;
    if (!this.#settings.has(file)) this.#settings.set(file, before);
    writeFileSync(file, String(value));
  }

  /** Counts a process that another one has started for this role. */
  move(pid: number, role: string): void {
    const cgroup = join(this.#cgroup, "counted", role);
    mkdirSync(cgroup, { recursive: true });
    writeFileSync(join(cgroup, "cgroup.procs"), String(pid));
  }

  /** May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await removeCgroup(this.#cgroup);
    for (const namespace of this.#namespaces)
      await this.ip([`netns delete ${this.netns(namespace)}`]);
    for (const [file, value] of this.#settings) writeFileSync(file, value);
    // What is mounted below must not be emptied.
    const mounts = ownMounts()
      .map(({ target }) => target)
      .filter((target) => target.startsWith(`${this.directory}/`));
    for (const target of mounts.toReversed())
      await run("unmount", ["umount", target]);
    rmSync(this.directory, { recursive: true });
  }

  #command(
    argv: readonly string[],
    { role, namespace }: ProcessOptions,
  ): readonly string[] {
    const cgroup =
      role === undefined
        ? join(this.#cgroup, "tools")
        : join(this.#cgroup, "counted", role);
    mkdirSync(cgroup, { recursive: true });
    // `ip netns exec` would hide the bpf file system behind a new /sys.
    const enter =
      namespace === undefined
        ? []
        : ["nsenter", `--net=/run/netns/${this.netns(namespace)}`];
    return [...inCgroup(cgroup), ...enter, ...argv];
  }
}

/** Its output is kept, for when it fails. */
export class Process {
  readonly lines: string[] = [];
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | string>;
  #onLine: () => void = () => {};
  #running = true;

  constructor(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    const [program = "", ...args] = command;
    this.#name = name;
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      createInterface(stream).on("line", (line) => {
        this.lines.push(line);
        this.#onLine();
      });
    this.#ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        this.#running = false;
        this.#onLine();
        resolve(code ?? signal ?? "unknown");
      });
    });
  }

  /** The first line from number `from` on that matches. @throws LabError when the program ends before, or takes too long */
  async line(
    pattern: RegExp,
    { from = 0, limitMs = PROCESS_LIMIT_MS } = {},
  ): Promise<string> {
    const deadline = AbortSignal.timeout(limitMs);
    for (;;) {
      const found = this.lines.slice(from).find((line) => pattern.test(line));
      if (found !== undefined) return found;
      if (!this.#running || deadline.aborted)
        throw new LabError(
          `Cannot go on: ${this.#name} ${this.#running ? "does not say" : "ended before it said"} ${pattern}:\n${this.lines.join("\n")}`,
        );
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** Sends it a line. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#running) this.#child.kill(signal);
    const ended = this.#ended.then(() => true);
    if (!(await Promise.race([ended, delay(PROCESS_LIMIT_MS, false)])))
      throw new LabError(
        `Cannot stop ${this.#name}:\n${this.lines.join("\n")}`,
      );
  }
}
