// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { BusError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import { renderNatsConfig } from "../../src/sync/nats-config.ts";
import { NatsServer } from "../../src/sync/nats-server.ts";
import type { NatsServerOptions } from "../../src/sync/nats-server.ts";
import { NatsTransport } from "../../src/sync/nats.ts";
import { FULL, SINGLE } from "../unit/nats-config-golden.ts";
import { linked, until } from "../unit/transport-suite.ts";
import { makeCertificates } from "./certificates.ts";
import { freeze, freshBuses, temporaryDirectory } from "./nats-mesh.ts";

function directoryOf(t: ExecutionContext): string {
  const directory = temporaryDirectory();
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

function optionsOf(t: ExecutionContext, directory: string): NatsServerOptions {
  const [self, ...peers] = freshBuses(2);
  if (self === undefined) throw new Error("unreachable");
  return {
    node: "d1",
    cluster: "lab",
    self,
    peers,
    directory,
    log: silentLog,
    lookMs: 100,
  };
}

async function start(
  t: ExecutionContext,
  options: NatsServerOptions,
): Promise<NatsServer> {
  const server = await NatsServer.start(options);
  t.teardown(() => server.close());
  return server;
}

/** A transport that is up. */
async function client(
  t: ExecutionContext,
  { url }: NatsServer,
  tls?: NatsServerOptions["tls"],
): Promise<NatsTransport> {
  const transport = new NatsTransport({
    name: "d1",
    servers: [url],
    tls,
    log: silentLog,
  });
  t.teardown(() => transport.close());
  await until("the client is connected", () => transport.state === "up");
  return transport;
}

function isAlive(pid: number | undefined): boolean {
  return pid !== undefined && existsSync(`/proc/${pid}/exe`);
}

/** Starts the server by an agent of its own, which is then killed. Returns the server's process id. */
async function leftover(
  t: ExecutionContext,
  options: NatsServerOptions,
): Promise<number> {
  const script = path.join(import.meta.dirname, "nats-agent.ts");
  const agent = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => agent.kill("SIGKILL"));
  const [line] = await once(agent.stdout, "data");
  agent.kill("SIGKILL");
  await once(agent, "exit");
  const pid = Number(String(line));
  t.true(isAlive(pid), "the server died with its agent");
  return pid;
}

for (const [name, config] of Object.entries({ SINGLE, FULL }))
  test(`renderNatsConfig() writes what nats-server accepts: ${name}`, (t) => {
    const directory = directoryOf(t);
    const tls = config.tls && makeCertificates(directory, ["127.0.0.1"]);
    const file = path.join(directory, "nats-server.conf");
    writeFileSync(file, renderNatsConfig({ ...config, directory, tls }));
    t.notThrows(() =>
      execFileSync("nats-server", ["-c", file, "-t"], { stdio: "pipe" }),
    );
  });

test("NatsServer serves until it is closed", async (t) => {
  const directory = directoryOf(t);
  const server = await start(t, optionsOf(t, directory));
  const transport = await client(t, server);
  const { state, pid, adopted, restarts } = server.status();
  t.deepEqual(
    { state, adopted, restarts },
    { state: "up", adopted: false, restarts: 0 },
  );
  await server.close();
  t.false(isAlive(pid), "the process lives on");
  t.is(server.status().state, "down");
  await until("the client has noticed", () => transport.state === "down");
  t.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith(".ports")),
    [],
    "a ports file is left",
  );
});

test("NatsServer starts a server again that has died", async (t) => {
  const server = await start(t, optionsOf(t, directoryOf(t)));
  const transport = await client(t, server);
  const { pid = 0 } = server.status();
  process.kill(pid, "SIGKILL");
  await until("it is noticed", () => server.status().state === "down");
  const ms = await until(
    "it is up again",
    () => server.status().state === "up",
  );
  t.log(`up again ${ms.toFixed()} ms after it was noticed`);
  t.not(server.status().pid, pid);
  t.is(server.status().restarts, 1);
  await until("the client is back", () => transport.state === "up");
});

test("NatsServer kills a server that is frozen, and starts another", async (t) => {
  const server = await start(t, optionsOf(t, directoryOf(t)));
  const { pid = 0 } = server.status();
  await freeze(pid);
  const ms = await until(
    "another one is up",
    () => server.status().restarts === 1 && server.status().state === "up",
  );
  t.log(`replaced after ${ms.toFixed()} ms`);
  t.false(isAlive(pid), "the frozen one is left");
  t.is(server.status().lastError, "it did not answer");
});

test("NatsServer adopts what a killed agent has left", async (t) => {
  const options = optionsOf(t, directoryOf(t));
  const pid = await leftover(t, options);
  const server = await start(t, options);
  const { adopted, pid: now } = server.status();
  t.deepEqual({ adopted, now }, { adopted: true, now: pid });
  await client(t, server);

  process.kill(pid, "SIGKILL");
  await until("its death is noticed", () => server.status().restarts === 1);
  await until("another one is up", () => server.status().state === "up");
  t.false(server.status().adopted);
});

test("NatsServer ends an adopted server when it is closed", async (t) => {
  const options = optionsOf(t, directoryOf(t));
  const pid = await leftover(t, options);
  const server = await start(t, options);
  await server.close();
  t.false(isAlive(pid), "the process lives on");
});

test("NatsServer replaces a leftover with another config", async (t) => {
  const options = optionsOf(t, directoryOf(t));
  const pid = await leftover(t, options);
  const server = await start(t, { ...options, peers: [] });
  t.false(isAlive(pid), "the old one lives on");
  t.false(server.status().adopted);
  await client(t, server);
});

test("NatsServer replaces a leftover that is frozen", async (t) => {
  const options = optionsOf(t, directoryOf(t));
  const pid = await leftover(t, options);
  await freeze(pid);
  const server = await start(t, options);
  t.false(isAlive(pid), "the frozen one lives on");
  await client(t, server);
});

test("NatsServer leaves a process alone that has the number of an old server", async (t) => {
  const directory = directoryOf(t);
  const options = optionsOf(t, directory);
  const stranger = spawn("sleep", ["60"]);
  t.teardown(() => stranger.kill("SIGKILL"));
  writeFileSync(path.join(directory, "nats-server.pid"), `${stranger.pid}`);
  const server = await start(t, options);
  t.true(isAlive(stranger.pid), "a stranger was killed");
  t.false(server.status().adopted, "a stranger was adopted");
  await server.close();
  t.true(isAlive(stranger.pid), "a stranger was killed");
});

test("NatsServer says why it cannot start", async (t) => {
  const options = optionsOf(t, directoryOf(t));
  await start(t, options);
  const error = await t.throwsAsync(
    NatsServer.start({ ...options, directory: directoryOf(t) }),
    { instanceOf: BusError },
  );
  t.regex(error.message, /^Cannot run nats-server: .*address already in use/s);
});

test("servers and clients show each other certificates", async (t) => {
  const directory = directoryOf(t);
  const [first, second] = freshBuses(2);
  if (!first || !second) throw new Error("unreachable");
  const tls = makeCertificates(directory, [first.address, second.address]);
  const common = { ...optionsOf(t, directory), tls };
  const one = await start(t, {
    ...common,
    self: first,
    peers: [second],
    directory: directoryOf(t),
  });
  const two = await start(t, {
    ...common,
    node: "d2",
    self: second,
    peers: [first],
    directory: directoryOf(t),
  });
  await until("the servers are connected", () => one.status().routes === 1);
  await linked(await client(t, one, tls), await client(t, two, tls));

  const refusal = async (url: string, shown: NatsServerOptions["tls"]) => {
    const told: string[] = [];
    const log = {
      ...silentLog,
      warn: (_: string, fields: object = {}) =>
        told.push(JSON.stringify(fields)),
    };
    const servers = [url];
    const stranger = new NatsTransport({ name: "x", servers, tls: shown, log });
    t.teardown(() => stranger.close());
    await until("it is refused", () => told.length > 0);
    t.is(stranger.state, "down", "it got in");
    return told.join();
  };
  await refusal(one.url, undefined);
  const others = makeCertificates(directoryOf(t), [first.address]);
  t.regex(await refusal(one.url, others), /certificate/);

  const elsewhere = makeCertificates(directoryOf(t), ["127.0.0.9"]);
  const impostor = await start(t, {
    ...optionsOf(t, directoryOf(t)),
    tls: elsewhere,
  });
  t.regex(await refusal(impostor.url, elsewhere), /does not match certificate/);
});
