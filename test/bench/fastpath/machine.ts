// SPDX-License-Identifier: Apache-2.0
/** The node under test and the program that times packets through it, in a network namespace of their own. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../../../ops/lab/errors.ts";
import { run } from "../../../ops/lab/host.ts";
import { WEIR_LAYOUT_VERSION } from "../../../src/node/layout.ts";
import { program } from "../load.ts";
import type { Process, Sandbox } from "../sandbox.ts";
import type { Family, FrameKind } from "./frames.ts";
import type { Task } from "./node.ts";
import { PORTS } from "./place.ts";

const NAMESPACE = "fast";
/** Frames come in and leave by it. */
const DEVICE = "x0";
/** 8 M sessions take a minute to fill. */
const LIMIT_MS = 300_000;
/** How many LIP:ports there are: 2^8 LIPs of each family. */
const LPORTS = 256 * (PORTS.max - PORTS.min + 1);

export type Timed = {
  /** For each packet, the wrapper included. */
  readonly ns: number;
  /** Of the last packet: XDP_DROP 1, XDP_PASS 2, XDP_TX 3, XDP_REDIRECT 4. */
  readonly verdict: number;
  readonly forwarded: number;
  readonly created: number;
};

/** Which flows: random ones of the first `flows`, or, if that is 0, one after the other from `first` on. */
export type Flows = { readonly flows: number; readonly first: number };

export type Swept = {
  readonly ms: number;
  readonly sessions: number;
  readonly expired: number;
};

export class Machine {
  readonly #sandbox: Sandbox;
  readonly #directory: string;
  #node: Process | undefined;
  #timer: Process | undefined;

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.#directory = join(sandbox.directory, "fastpath");
  }

  static async create(sandbox: Sandbox): Promise<Machine> {
    await sandbox.addNamespace(NAMESPACE);
    await sandbox.ip(
      [
        `link add ${DEVICE} address 02:00:00:00:00:01 type veth peer name x1`,
        `link set ${DEVICE} up`,
        "link set x1 up",
        `address add 10.98.0.1/24 dev ${DEVICE}`,
        `address add 2001:db8:98::1/64 dev ${DEVICE} nodad`,
        `neighbour add 10.98.0.2 lladdr 02:00:00:00:00:03 dev ${DEVICE} nud permanent`,
        `neighbour add 2001:db8:98::2 lladdr 02:00:00:00:00:03 dev ${DEVICE} nud permanent`,
        "route add default via 10.98.0.2",
        "route add default via 2001:db8:98::2",
      ],
      NAMESPACE,
    );
    await sandbox.run(
      "forward packets",
      [
        "sh",
        "-c",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
      ],
      { namespace: NAMESPACE },
    );
    return new Machine(sandbox);
  }

  /** Empty tables for so many sessions of each family. */
  async start(sessions: number, wideSessions = sessions): Promise<void> {
    const bpf = join(this.#directory, "bpf");
    mkdirSync(bpf, { recursive: true });
    await run("mount a bpf file system", ["mount", "-t", "bpf", "bpf", bpf]);
    const pinDir = join(bpf, "weir");
    const task: Task = {
      directory: this.#directory,
      pinDir,
      device: DEVICE,
      sessions,
      wideSessions,
    };
    const script = join(import.meta.dirname, "node.ts");
    this.#node = this.#sandbox.start(
      [process.execPath, ...process.execArgv, script, JSON.stringify(task)],
      { namespace: NAMESPACE },
    );
    await this.#node.line(/^ready$/, { limitMs: LIMIT_MS });
    this.#timer = this.#sandbox.start(
      [
        program("fastpath"),
        program("fastpath.bpf.o"),
        join(pinDir, `v${WEIR_LAYOUT_VERSION}`),
        DEVICE,
        String(sessions),
      ],
      { namespace: NAMESPACE },
    );
    await this.#timer.line(/^ready$/, { limitMs: LIMIT_MS });
  }

  async stop(): Promise<void> {
    await this.#timer?.stop("SIGKILL");
    await this.#node?.stop();
    this.#timer = this.#node = undefined;
    await run("unmount", ["umount", join(this.#directory, "bpf")]);
    rmSync(this.#directory, { recursive: true });
  }

  /** The next session gets LIP:port number `flow`. */
  async begin(flow: number): Promise<void> {
    await this.#ask(`begin ${flow} ${LPORTS}`, /^begun$/);
  }

  /** So many flows into the kernel's hash. */
  async fill(family: Family, kind: FrameKind, flows: number): Promise<void> {
    await this.#ask(`fill ${family} ${wordsOf(kind)} ${flows}`, /^filled$/);
  }

  /** @param name of a program of fastpath.bpf.c, or `weir` */
  async time(
    name: string,
    kind: FrameKind,
    repeat: number,
    { flows, first }: Flows,
  ): Promise<Timed> {
    const line = await this.#ask(
      `time ${name} ${repeat} ${wordsOf(kind)} ${flows} ${first}`,
      /^\{"ns"/,
    );
    return JSON.parse(line);
  }

  /** What the kernel charges for both tables of a family, in bytes. */
  async charged(): Promise<{ readonly narrow: number; readonly wide: number }> {
    return JSON.parse(await this.#ask("charged", /^\{"narrow"/));
  }

  /** One pass, in which sessions expire that were idle for longer, and the dataplane's own margin. */
  async sweep(idleMs: number): Promise<Swept> {
    const node = this.#node;
    const from = node?.lines.length ?? 0;
    node?.tell(`sweep ${idleMs}`);
    const line = await node?.line(/^swept /, { from, limitMs: LIMIT_MS });
    return JSON.parse((line ?? "").slice("swept ".length));
  }

  async #ask(question: string, answer: RegExp): Promise<string> {
    const timer = this.#timer;
    if (timer === undefined) throw new LabError("Cannot time: not started");
    const from = timer.lines.length;
    timer.tell(question);
    return timer.line(answer, { from, limitMs: LIMIT_MS });
  }
}

function wordsOf({ bytes, addressAt, portAt, address }: FrameKind): string {
  return [Buffer.from(bytes).toString("hex"), addressAt, portAt, address].join(
    " ",
  );
}
