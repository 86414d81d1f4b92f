// SPDX-License-Identifier: Apache-2.0
/**
 * What one would use in place of weir's sync: a machine that translates with nftables, and conntrackd (FTFW), which keeps
 * the sessions ready on a second machine. There they are in the daemon's memory, and forward nothing, until they are
 * committed to the kernel.
 *
 *   g: clients and real servers --- c0/c1, s0/s1 --- a: nftables, conntrackd --- y0/y1 --- b: the same
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CpuTimes } from "./cpu.ts";
import { readTraffic, quiet, wireBytes } from "./link.ts";
import type { Contender, Life, Load, Opened } from "./load.ts";
import {
  arrivalOf,
  cpuOf,
  marksPath,
  openingOf,
  planArgs,
  program,
  readSent,
  until,
} from "./load.ts";
import { makeMarks } from "./marks.ts";
import type { Process, Sandbox } from "./sandbox.ts";

const SYNC = { a: "10.99.0.1", b: "10.99.0.2" } as const;
const DEVICE = { a: "y0", b: "y1" } as const;
type Side = keyof typeof SYNC;

/** By its path: among the npm packages is another program of this name. */
const NFT = "/usr/sbin/nft";

/** What the machine's interfaces are called by its neighbours, and neighbours that take all and answer nothing. */
const MACHINE_MAC = "02:00:00:00:00:01";
const SINK_MAC = "02:00:00:00:00:03";

/** Each client keeps its port and gets an address of its own, so that the load knows where to answer to. */
const RULES = `table ip weir {
  chain pre {
    type nat hook prerouting priority dstnat
    ip daddr 192.0.2.10 tcp dport 80 dnat to 10.3.0.2:8080
  }
  chain post {
    type nat hook postrouting priority srcnat
    ip daddr 10.3.0.2 snat ip prefix to ip saddr map { 10.64.0.0/16 : 10.200.0.0/16, 10.65.0.0/16 : 10.201.0.0/16 }
  }
}
`;

/** Of the kernel's table: bus and daemons need some, too. */
const SESSIONS_ROOM = 1.2;

export class Conntrackd implements Contender {
  readonly #sandbox: Sandbox;
  readonly #daemons = new Map<Side, Process>();

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Two machines that translate so many sessions; no daemon runs yet. */
  static async create(sandbox: Sandbox, sessions: number): Promise<Conntrackd> {
    const pair = new Conntrackd(sandbox);
    const entries = Math.ceil(sessions * SESSIONS_ROOM);
    sandbox.raise("/proc/sys/net/netfilter/nf_conntrack_max", entries);
    // One hash table for all namespaces.
    sandbox.raise("/proc/sys/net/netfilter/nf_conntrack_buckets", 2 * entries);
    await pair.#makeNetwork();
    for (const side of ["a", "b"] as const)
      writeFileSync(pair.#path(side, "conf"), pair.#config(side));
    return pair;
  }

  async open(load: Load): Promise<Opened> {
    await this.#startDaemons();
    try {
      return await this.#open(load);
    } finally {
      await this.#stopDaemons();
    }
  }

  async live(load: Load): Promise<Life> {
    await this.#startDaemons();
    try {
      const opened = await this.#open(load);
      const committed = await this.#cpu(load, () => this.#commit(load));
      // The other node is a stand-by again.
      await this.#flushKernel("b");
      const before = await this.#traffic();
      const closed = await this.#cpu(load, () => this.#close(load));
      return {
        ...opened,
        commitCpuUs: committed.cpuUs,
        closeCpuUs: closed.cpuUs,
        closeBytes: wireBytes(before, await this.#traffic()) / load.sessions,
      };
    } finally {
      await this.#stopDaemons();
    }
  }

  async alone(
    load: Load,
  ): Promise<{ readonly openCpuUs: CpuTimes; readonly closeCpuUs: CpuTimes }> {
    makeMarks(marksPath(this.#sandbox));
    const opened = await this.#cpu(load, () => this.#send("open", load, false));
    const closed = await this.#cpu(load, () =>
      this.#send("close", load, false),
    );
    await this.#flushKernel("a");
    return { openCpuUs: opened.cpuUs, closeCpuUs: closed.cpuUs };
  }

  /** Fills node a once, without telling anybody. */
  async fill(load: Load): Promise<void> {
    makeMarks(marksPath(this.#sandbox));
    readSent(await this.#send("open", load, false), load);
    await this.#startDaemon("a");
  }

  /** A second node comes, gets all that the filled one has, and takes it over. In seconds. */
  async join(
    load: Load,
  ): Promise<{ readonly received: number; readonly committed: number }> {
    await this.#startDaemon("b");
    try {
      const begin = performance.now();
      await this.#control("b", "-n");
      await this.#untilHeld("b", "external", load.sessions);
      const received = (performance.now() - begin) / 1_000;
      await this.#commit(load);
      return { received, committed: (performance.now() - begin) / 1_000 };
    } finally {
      await this.#stopDaemon("b");
    }
  }

  async close(): Promise<void> {
    await this.#stopDaemons();
  }

  async #open(load: Load): Promise<Opened> {
    const marks = marksPath(this.#sandbox);
    makeMarks(marks);
    const watch = this.#sandbox.start(
      [program("conntrack-watch"), marks, DEVICE.b],
      { namespace: "b" },
    );
    try {
      await watch.line(/^ready$/);
      const before = await this.#traffic();
      const { result: arrival, cpuUs } = await this.#cpu(load, async () => {
        const arrived = await arrivalOf(this.#sandbox, load, () =>
          this.#send(openingOf(load), load, true),
        );
        await this.#untilHeld("b", "external", load.sessions);
        await quiet(this.#sandbox, "b", DEVICE.b);
        return arrived;
      });
      const after = await this.#traffic();
      const openBytes = wireBytes(before, after) / load.sessions;
      return { arrival, openCpuUs: cpuUs, openBytes };
    } finally {
      await watch.stop();
    }
  }

  /** Has the other node's kernel know all sessions, and the address of each that it could forward. */
  async #commit(load: Load): Promise<void> {
    await this.#control("b", "-c");
    await until(
      async () => (await this.#kernelEntries("b")) >= load.sessions,
      () => "the sessions are not in the other node's kernel",
      60_000,
    );
  }

  async #close(load: Load): Promise<void> {
    await this.#send("close", load, false);
    await quiet(this.#sandbox, "b", DEVICE.b);
  }

  #cpu<T>({ sessions }: Load, action: () => Promise<T>) {
    return cpuOf(this.#sandbox, sessions, action);
  }

  #send(
    phase: "open" | "syn" | "close",
    load: Load,
    follow: boolean,
  ): Promise<string> {
    return this.#sandbox.run(
      `${phase} sessions`,
      [
        program("conntrack-load"),
        phase,
        marksPath(this.#sandbox),
        ...["c0", "s0"],
        ...planArgs(load, follow),
      ],
      { role: "packets", namespace: "g" },
    );
  }

  #traffic() {
    return readTraffic(this.#sandbox, "b", DEVICE.b);
  }

  async #startDaemons(): Promise<void> {
    await this.#startDaemon("a");
    await this.#startDaemon("b");
  }

  async #startDaemon(side: Side): Promise<void> {
    const daemon = this.#sandbox.start(
      ["conntrackd", "-C", this.#path(side, "conf")],
      { role: `conntrackd-${side}`, namespace: side },
    );
    this.#daemons.set(side, daemon);
    await daemon.line(/initialization completed/);
  }

  async #stopDaemons(): Promise<void> {
    await this.#stopDaemon("a");
    await this.#stopDaemon("b");
  }

  async #stopDaemon(side: Side): Promise<void> {
    const daemon = this.#daemons.get(side);
    if (daemon === undefined) return;
    await daemon.stop();
    this.#daemons.delete(side);
    await this.#flushKernel(side);
  }

  async #flushKernel(side: Side): Promise<void> {
    await this.#sandbox.run("empty the connection table", ["conntrack", "-F"], {
      namespace: side,
    });
  }

  async #kernelEntries(side: Side): Promise<number> {
    const output = await this.#sandbox.run(
      "count the kernel's connections",
      ["conntrack", "-C"],
      { namespace: side },
    );
    return Number(output);
  }

  /** Waits until a daemon's cache has so many sessions. */
  async #untilHeld(
    side: Side,
    cache: "internal" | "external",
    sessions: number,
  ): Promise<void> {
    let held = 0;
    await until(
      async () => {
        const statistics = await this.#control(side, "-s");
        const pattern = `cache ${cache}:\\s*current active connections:\\s*(\\d+)`;
        held = Number(new RegExp(pattern).exec(statistics)?.[1]);
        return held >= sessions;
      },
      () => `conntrackd has ${held} of ${sessions} sessions`,
    );
  }

  #control(side: Side, command: string): Promise<string> {
    return this.#sandbox.run(
      "ask conntrackd",
      ["conntrackd", "-C", this.#path(side, "conf"), command],
      { namespace: side },
    );
  }

  #path(side: Side, kind: string): string {
    return join(this.#sandbox.directory, `${side}.${kind}`);
  }

  /** As its documentation's example for FTFW, with room for the load: unicast on a link of its own, larger buffers. */
  #config(side: Side): string {
    const other = side === "a" ? "b" : "a";
    return `Sync {
  Mode FTFW {
    ResendQueueSize 262144
  }
  UDP {
    IPv4_address ${SYNC[side]}
    IPv4_Destination_Address ${SYNC[other]}
    Port 3780
    Interface ${DEVICE[side]}
    SndSocketBuffer 33554432
    RcvSocketBuffer 33554432
    Checksum on
  }
}
General {
  HashSize 262144
  HashLimit 2000000
  LockFile ${this.#path(side, "lock")}
  UNIX {
    Path ${this.#path(side, "ctl")}
  }
  NetlinkBufferSize 33554432
  NetlinkBufferSizeMaxGrowth 134217728
  Filter From Kernelspace {
    Protocol Accept {
      TCP
    }
    Address Ignore {
      IPv4_address 127.0.0.1
      IPv4_address ${SYNC.a}
      IPv4_address ${SYNC.b}
    }
  }
}
`;
  }

  async #makeNetwork(): Promise<void> {
    const sandbox = this.#sandbox;
    for (const namespace of ["g", "a", "b"])
      await sandbox.addNamespace(namespace);
    const a = sandbox.netns("a");
    await sandbox.ip(
      ["c", "s"].flatMap((link) => [
        `link add ${link}0 type veth peer name ${link}1 address ${MACHINE_MAC} netns ${a}`,
        `link set ${link}0 up`,
      ]),
      "g",
    );
    await sandbox.ip(
      [
        `link add y0 type veth peer name y1 netns ${sandbox.netns("b")}`,
        ...["c1", "s1", "y0"].map((link) => `link set ${link} up`),
        `address add ${SYNC.a}/24 dev y0`,
        "address add 10.98.0.1/24 dev c1",
        "address add 10.3.0.1/24 dev s1",
        `neighbour add 10.98.0.2 lladdr ${SINK_MAC} dev c1 nud permanent`,
        `neighbour add 10.3.0.2 lladdr ${SINK_MAC} dev s1 nud permanent`,
        "route add 10.64.0.0/15 via 10.98.0.2",
      ],
      "a",
    );
    await sandbox.ip(
      ["link set y1 up", `address add ${SYNC.b}/24 dev y1`],
      "b",
    );
    for (const side of ["a", "b"]) {
      const options = { namespace: side };
      const forward = "echo 1 >/proc/sys/net/ipv4/ip_forward";
      await sandbox.run("forward packets", ["sh", "-c", forward], options);
      await sandbox.run("load the rules", [NFT, "-f", "-"], options, RULES);
    }
  }
}
