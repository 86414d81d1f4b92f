// SPDX-License-Identifier: Apache-2.0
// nats-servers on loopback addresses of their own, so that no port can be taken, with the config that nodes use.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { silentLog } from "../../src/log.ts";
import type { NodeBus, TlsFiles } from "../../src/model.ts";
import { natsUrl, renderNatsConfig } from "../../src/sync/nats-config.ts";
import { NatsProcess } from "../../src/sync/nats-process.ts";
import type { Vitals } from "../../src/sync/nats-process.ts";
import { NatsTransport } from "../../src/sync/nats.ts";
import type { NatsOptions } from "../../src/sync/nats.ts";
import { until } from "../unit/transport-suite.ts";
import { eventually } from "./eventually.ts";

const READY_MS_MAX = 10_000;

/** So many addresses of 127.0.0.0/8 that no other program uses now, most likely. */
export function freshBuses(count: number): readonly NodeBus[] {
  const [second, third] = [0, 0].map(() => 1 + Math.floor(Math.random() * 250));
  return Array.from({ length: count }, (_, i) => ({
    address: `127.${second}.${third}.${i + 1}`,
    clientPort: 4222,
    clusterPort: 6222,
  }));
}

export function temporaryDirectory(): string {
  return mkdtempSync(path.join(tmpdir(), "weir-nats-"));
}

export type MeshOptions = {
  readonly tls?: TlsFiles;
  /** Added to each config. */
  readonly more?: string;
};

/** Servers that know each other. A server has the number of its place in the list. */
export class NatsMesh {
  readonly buses: readonly NodeBus[];
  readonly #directory = temporaryDirectory();
  readonly #options: MeshOptions;
  readonly #processes = new Map<number, NatsProcess>();
  readonly #transports: NatsTransport[] = [];

  /** Resolves when all are connected to all. */
  static async start(count: number, options: MeshOptions = {}) {
    const mesh = new NatsMesh(freshBuses(count), options);
    await Promise.all(mesh.buses.map((_, i) => mesh.startServer(i)));
    await mesh.whole();
    return mesh;
  }

  constructor(buses: readonly NodeBus[], options: MeshOptions) {
    this.buses = buses;
    this.#options = options;
  }

  get urls(): readonly string[] {
    return this.buses.map(natsUrl);
  }

  /** A client of that server, and of the others from it on if it may fall back. Closed with the mesh. */
  transport(server: number, options: Partial<NatsOptions> = {}): NatsTransport {
    const transport = new NatsTransport({
      name: `n${server}`,
      servers: this.urls.slice(server, server + 1),
      tls: this.#options.tls,
      log: silentLog,
      ...options,
    });
    this.#transports.push(transport);
    return transport;
  }

  /** The same, when it is up. */
  async connected(
    server: number,
    options: Partial<NatsOptions> = {},
  ): Promise<NatsTransport> {
    const transport = this.transport(server, options);
    await until("the client is connected", () => transport.state === "up");
    return transport;
  }

  /** Resolves when it serves. */
  async startServer(server: number): Promise<void> {
    const self = this.buses[server];
    if (self === undefined) throw new Error(`there is no server ${server}`);
    const directory = path.join(this.#directory, `n${server}`);
    mkdirSync(directory, { recursive: true });
    const config = path.join(directory, "nats-server.conf");
    const text = renderNatsConfig({
      node: `n${server}`,
      cluster: "lab",
      self,
      peers: this.buses.filter((bus) => bus !== self),
      tls: this.#options.tls,
      directory,
    });
    writeFileSync(config, text + (this.#options.more ?? ""));
    const log = path.join(directory, "log");
    const started = await NatsProcess.start(config, log);
    this.#processes.set(server, started);
    await eventually(
      `server ${server} is ready`,
      async () => (await started.vitals()) !== undefined,
      READY_MS_MAX,
    );
  }

  async killServer(server: number): Promise<void> {
    await this.#processes.get(server)?.kill();
    this.#processes.delete(server);
  }

  /** It does nothing any more, and its connections stay. */
  async freezeServer(server: number): Promise<void> {
    const { pid } = this.#processes.get(server) ?? {};
    if (pid !== undefined) await freeze(pid);
  }

  thawServer(server: number): void {
    const { pid } = this.#processes.get(server) ?? {};
    if (pid !== undefined) process.kill(pid, "SIGCONT");
  }

  async vitals(server: number): Promise<Vitals | undefined> {
    return this.#processes.get(server)?.vitals();
  }

  /** Resolves when all servers are connected to all. */
  async whole(): Promise<void> {
    const running = [...this.#processes.keys()];
    await eventually("all servers are connected to all", async () => {
      const all = await Promise.all(running.map((i) => this.vitals(i)));
      return all.every((vitals) => vitals?.routes === running.length - 1);
    });
  }

  async end(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close()));
    await Promise.all(
      [...this.#processes.keys()].map((server) => this.killServer(server)),
    );
    rmSync(this.#directory, { recursive: true });
  }
}

/** Resolves when no thread of the process runs any more: the signal alone does not say that. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  const tasks = `/proc/${pid}/task`;
  await until(`process ${pid} stands still`, () =>
    readdirSync(tasks).every((task) =>
      /\) [Tt] /.test(readFileSync(`${tasks}/${task}/stat`, "utf8")),
    ),
  );
}
