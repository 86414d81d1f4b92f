// SPDX-License-Identifier: Apache-2.0
/**
 * Two nodes of weir with all that sync consists of: XDP program, table, agent's part, a nats-server each, and a link
 * between them. Only the packets come from BPF_PROG_TEST_RUN, on node a.
 *
 *   wa: program, replicator, nats-server --- y0/y1 --- wb: the same
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../ops/lab/host.ts";
import type { CpuTimes } from "./cpu.ts";
import { quiet, readTraffic, wireBytes } from "./link.ts";
import type { Contender, Life, Load, Opened } from "./load.ts";
import {
  arrivalOf,
  cpuOf,
  marksPath,
  openingOf,
  planArgs,
  program,
  readSent,
} from "./load.ts";
import { makeMarks } from "./marks.ts";
import type { Process, Sandbox } from "./sandbox.ts";
import type { Task } from "./weir-node.ts";
import type { SyncStatus } from "../../src/sync/status.ts";
import { WEIR_LAYOUT_VERSION } from "../../src/node/layout.ts";

const SIDES = {
  a: {
    namespace: "wa",
    address: "10.99.1.1",
    link: "y0",
    pool: "10.200.0.0/24",
  },
  b: {
    namespace: "wb",
    address: "10.99.1.2",
    link: "y1",
    pool: "10.200.1.0/24",
  },
} as const;
type Side = keyof typeof SIDES;

/** Frames come in and leave by it, on either node. */
const DEVICE = "x0";
const OWN_MAC = "02:00:00:00:00:01";
const HOP_MAC = "02:00:00:00:00:03";

/** A million sessions take seconds; on a machine that is too slow for the load, longer. */
const SEND_LIMIT_MS = 120_000;

/** Of either table, for 1 M sessions and a rest. */
const SESSIONS_MAX = 1_250_000;

export class WeirPair implements Contender {
  readonly #sandbox: Sandbox;
  readonly #nodes = new Map<Side, Process>();
  #load: Process | undefined;

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Two machines on which nothing runs yet. */
  static async create(sandbox: Sandbox): Promise<WeirPair> {
    const pair = new WeirPair(sandbox);
    await pair.#makeNetwork();
    return pair;
  }

  async open(load: Load): Promise<Opened> {
    await this.#startPair();
    try {
      return await this.#open(load);
    } finally {
      await this.#stop();
    }
  }

  async live(load: Load): Promise<Life> {
    await this.#startPair();
    try {
      const opened = await this.#open(load);
      const before = await this.#traffic();
      const closed = await this.#cpu(load, async () => {
        await this.#send("close", load, false);
        await quiet(this.#sandbox, SIDES.b.namespace, SIDES.b.link);
      });
      return {
        ...opened,
        closeCpuUs: closed.cpuUs,
        closeBytes: wireBytes(before, await this.#traffic()) / load.sessions,
      };
    } finally {
      await this.#stop();
    }
  }

  async alone(
    load: Load,
  ): Promise<{ readonly openCpuUs: CpuTimes; readonly closeCpuUs: CpuTimes }> {
    await this.#startNode("a", false);
    await this.#startLoad();
    try {
      const opened = await this.#cpu(load, () =>
        this.#send("open", load, false),
      );
      const closed = await this.#cpu(load, () =>
        this.#send("close", load, false),
      );
      return { openCpuUs: opened.cpuUs, closeCpuUs: closed.cpuUs };
    } finally {
      await this.#stop();
    }
  }

  /** Fills node a once. */
  async fill(load: Load): Promise<void> {
    await this.#startNode("a", true);
    await this.#startLoad();
    await this.#send("open", load, false);
  }

  /** A second node comes and gets all that the filled one has. In seconds, from its first question on. */
  async join({ sessions }: Load): Promise<number> {
    try {
      const joinMs = await this.#startNode("b", true);
      const state = await this.state("b");
      if (state.sessions < sessions)
        throw new Error(`node b joined with ${JSON.stringify(state)}`);
      return joinMs / 1_000;
    } finally {
      await this.#stopNode("b");
    }
  }

  /**
   * How many records the comparison of digests moves under a load, in percent of all that the second node gets. The load
   * lasts longer than sessions take to settle: only settled ones are compared.
   */
  async repaired(load: Load): Promise<number> {
    await this.#startPair();
    try {
      await this.#open(load);
      const states = await Promise.all([this.state("a"), this.state("b")]);
      const [a, b] = states.map(({ sync }) => sync?.self);
      if (a === undefined || b === undefined || b.settledSessions === 0)
        throw new Error(`nothing was compared: ${JSON.stringify(states)}`);
      const moved = a.counters.repairedRecords + b.counters.repairedRecords;
      return (100 * moved) / b.counters.receivedRecords;
    } finally {
      await this.#stop();
    }
  }

  /** What a node says of itself. */
  async state(
    side: Side,
  ): Promise<{ readonly sessions: number; readonly sync?: SyncStatus }> {
    const node = this.#nodes.get(side);
    const from = node?.lines.length ?? 0;
    node?.tell("state");
    const line = (await node?.line(/^state /, { from })) ?? "state {}";
    return JSON.parse(line.slice("state ".length));
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  async #open(load: Load): Promise<Opened> {
    const { namespace, link } = SIDES.b;
    const watch = this.#sandbox.start([
      program("weir-watch"),
      this.#pins("b"),
      marksPath(this.#sandbox),
    ]);
    try {
      await watch.line(/^ready$/);
      const before = await this.#traffic();
      const { result: arrival, cpuUs } = await this.#cpu(load, async () => {
        const arrived = await arrivalOf(this.#sandbox, load, () =>
          this.#send(openingOf(load), load, true),
        );
        await quiet(this.#sandbox, namespace, link);
        return arrived;
      });
      const openBytes =
        wireBytes(before, await this.#traffic()) / load.sessions;
      const { sessions } = await this.state("b");
      if (sessions !== load.sessions)
        throw new Error(
          `node b has ${sessions} sessions in place of ${load.sessions}`,
        );
      return { arrival, openCpuUs: cpuUs, openBytes };
    } finally {
      await watch.stop();
    }
  }

  async #startPair(): Promise<void> {
    await Promise.all([this.#startNode("a", true), this.#startNode("b", true)]);
    await this.#startLoad();
  }

  /** Returns how long it took to join, in ms. */
  async #startNode(side: Side, shares: boolean): Promise<number> {
    const { namespace } = SIDES[side];
    mkdirSync(this.#bpf(side), { recursive: true });
    const task: Task = {
      node: side,
      directory: this.#directory(side),
      pinDir: join(this.#bpf(side), "weir"),
      device: DEVICE,
      pool: SIDES[side].pool,
      sessions: SESSIONS_MAX,
      ...(shares && { bus: busOf(side) }),
    };
    await run("mount a bpf file system", [
      ...["mount", "-t", "bpf", "bpf", this.#bpf(side)],
    ]);
    const node = this.#sandbox.start(
      [
        process.execPath,
        ...process.execArgv, // what the launcher gives to all of weir
        join(import.meta.dirname, "weir-node.ts"),
        JSON.stringify(task),
      ],
      { role: `agent-${side}`, namespace },
    );
    this.#nodes.set(side, node);
    const joined = await node.line(/^joined /);
    if (shares)
      this.#sandbox.move(this.#natsServer(side), `nats-server-${side}`);
    const { joinMs = 0 }: { readonly joinMs?: number } = JSON.parse(
      joined.slice("joined ".length),
    );
    return joinMs;
  }

  async #startLoad(): Promise<void> {
    makeMarks(marksPath(this.#sandbox));
    this.#load = this.#sandbox.start(
      [
        program("weir-load"),
        program("weir-load.bpf.o"),
        this.#pins("a"),
        DEVICE,
        marksPath(this.#sandbox),
      ],
      { role: "packets", namespace: SIDES.a.namespace },
    );
    await this.#load.line(/^ready$/);
  }

  async #send(
    phase: "open" | "syn" | "close",
    load: Load,
    follow: boolean,
  ): Promise<string> {
    const from = this.#load?.lines.length ?? 0;
    this.#load?.tell([phase, ...planArgs(load, follow)].join(" "));
    const output =
      (await this.#load?.line(/^\{/, { from, limitMs: SEND_LIMIT_MS })) ?? "";
    readSent(output, load);
    return output;
  }

  #natsServer(side: Side): number {
    const file = join(this.#directory(side), "nats/nats-server.pid");
    return Number(readFileSync(file, "utf8"));
  }

  #cpu<T>({ sessions }: Load, action: () => Promise<T>) {
    return cpuOf(this.#sandbox, sessions, action);
  }

  #traffic() {
    return readTraffic(this.#sandbox, SIDES.b.namespace, SIDES.b.link);
  }

  async #stop(): Promise<void> {
    await this.#load?.stop("SIGKILL");
    this.#load = undefined;
    await this.#stopNode("a");
    await this.#stopNode("b");
  }

  /** With its sessions. */
  async #stopNode(side: Side): Promise<void> {
    const node = this.#nodes.get(side);
    if (node === undefined) return;
    this.#nodes.delete(side);
    await node.stop();
    await run("unmount", ["umount", this.#bpf(side)]);
    rmSync(this.#directory(side), { recursive: true });
  }

  #directory(side: Side): string {
    return join(this.#sandbox.directory, `node-${side}`);
  }

  #bpf(side: Side): string {
    return join(this.#directory(side), "bpf");
  }

  #pins(side: Side): string {
    return join(this.#bpf(side), "weir", `v${WEIR_LAYOUT_VERSION}`);
  }

  async #makeNetwork(): Promise<void> {
    const sandbox = this.#sandbox;
    for (const { namespace } of Object.values(SIDES))
      await sandbox.addNamespace(namespace);
    const b = sandbox.netns(SIDES.b.namespace);
    await sandbox.ip(
      [`link add y0 type veth peer name y1 netns ${b}`],
      SIDES.a.namespace,
    );
    for (const { namespace, address, link } of Object.values(SIDES)) {
      await sandbox.ip(
        [
          `link set ${link} up`,
          `address add ${address}/24 dev ${link}`,
          `link add ${DEVICE} address ${OWN_MAC} type veth peer name x1`,
          `link set ${DEVICE} up`,
          "link set x1 up",
          `address add 10.98.0.1/24 dev ${DEVICE}`,
          `neighbour add 10.98.0.2 lladdr ${HOP_MAC} dev ${DEVICE} nud permanent`,
          "route add 10.64.0.0/15 via 10.98.0.2",
          "route add 10.3.0.0/24 via 10.98.0.2",
        ],
        namespace,
      );
      const forward = "echo 1 >/proc/sys/net/ipv4/ip_forward";
      await sandbox.run("forward packets", ["sh", "-c", forward], {
        namespace,
      });
    }
  }
}

function busOf(side: Side): NonNullable<Task["bus"]> {
  const other = side === "a" ? "b" : "a";
  const of = (one: Side) => ({
    address: SIDES[one].address,
    clientPort: 4222,
    clusterPort: 6222,
  });
  return { self: of(side), peer: { node: other, bus: of(other) } };
}
