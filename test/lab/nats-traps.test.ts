// SPDX-License-Identifier: Apache-2.0
// Where NATS, or its client library, loses messages in silence or waits for minutes: what the transport makes of it.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import path from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { silentLog } from "../../src/log.ts";
import { RECORD_BYTES } from "../../src/sync/table.ts";
import { envelope } from "../../src/sync/wire.ts";
import { fails, freshSubject, linked, until } from "../unit/transport-suite.ts";
import { freeze, NatsMesh } from "./nats-mesh.ts";
import type { MeshOptions } from "./nats-mesh.ts";
import { eventually } from "./eventually.ts";

/** Three pings, one second apart, and some time for a busy machine. */
const FROZEN_MS_MAX = 5000;
const KILOBYTE = new Uint8Array(1024);
const MEGABYTE = new Uint8Array(1024 * 1024);

async function meshOf(
  t: ExecutionContext,
  count: number,
  options: MeshOptions = {},
): Promise<NatsMesh> {
  const mesh = await NatsMesh.start(count, options);
  t.teardown(() => mesh.end());
  return mesh;
}

test("publish() carries envelopes that were encoded of one buffer", async (t) => {
  const mesh = await meshOf(t, 1);
  const [a, b] = [await mesh.connected(0), await mesh.connected(0)];
  const subject = freshSubject();
  const got: (number | undefined)[] = [];
  b.subscribe(subject, ({ data }) => {
    const { message } = { message: undefined, ...envelope.decode(data, "c") };
    got.push(message?.sections[0]?.records[0]);
  });
  await linked(a, b);
  const records = new Uint8Array(RECORD_BYTES);
  for (const byte of [1, 2, 3, 4, 5]) {
    records.fill(byte);
    a.publish(
      subject,
      envelope.encode({
        cluster: "c",
        node: "d1",
        incarnation: 1n,
        seq: 1n,
        recordVersion: 1,
        delayTicks: 0,
        readAtMs: 0,
        sections: [{ type: 1, records }],
      }),
    );
  }
  await until("all have arrived", () => got.length >= 5);
  t.deepEqual(got, [1, 2, 3, 4, 5], "the library reads a buffer later");
});

test("publish() loses nothing in silence when the server dies", async (t) => {
  const mesh = await meshOf(t, 2);
  const [a, b] = [await mesh.connected(0), await mesh.connected(1)];
  const subject = freshSubject();
  let received = 0;
  b.subscribe(subject, () => received++);
  await linked(a, b);

  const before = { ...a.counters };
  let refused = 0;
  const publishing = setInterval(() => {
    for (let i = 0; i < 100; i++) if (!a.publish(subject, KILOBYTE)) refused++;
  }, 1);
  t.teardown(() => clearInterval(publishing));
  await until("messages arrive", () => received > 1000);
  await mesh.killServer(0);
  await until("publishing is refused", () => refused > 1000);
  t.is(a.state, "down");
  t.is(a.pending, 0, "something waits for a server that is gone");
  clearInterval(publishing);

  const sent = a.counters.sent - before.sent;
  const unconfirmed = a.counters.unconfirmedBytes / KILOBYTE.length;
  t.is(a.counters.refusedDown - before.refusedDown, refused);
  await mesh.startServer(0);
  await until("the client is back", () => a.state === "up");
  await mesh.whole();
  await linked(a, b);
  t.log(`${sent} sent, ${received} received, ${unconfirmed} unconfirmed`);
  t.true(
    received >= sent - unconfirmed,
    "more is lost than what was known to be in doubt",
  );
  t.true(received <= sent, "what was refused was sent later");
});

test("publish() refuses what a frozen server does not take, and pings find it out", async (t) => {
  const mesh = await meshOf(t, 2);
  const [home = "", other = ""] = mesh.urls;
  const a = await mesh.connected(0, {
    servers: [home, other],
    pendingBytesMax: 32 * MEGABYTE.length,
    homeMs: 100,
  });
  await mesh.freezeServer(0);
  const start = performance.now();
  await until("the queue is full", () => !a.publish("weir.x", MEGABYTE), 1000);
  t.is(a.state, "up", "a full queue is no lost connection");
  t.true(a.pending > 31 * MEGABYTE.length, "little was pending");
  t.is(a.counters.refusedFull, 1, "it was not counted");

  await until("it is noticed", () => a.state === "down", FROZEN_MS_MAX);
  const noticedMs = performance.now() - start;
  t.true(a.counters.unconfirmedBytes >= 31 * MEGABYTE.length);
  await until("another server serves", () => a.state === "up", 2000);
  const backMs = performance.now() - start;
  t.log(
    `down after ${noticedMs.toFixed()} ms, up after ${backMs.toFixed()} ms`,
  );
  t.is(a.server, other);

  mesh.thawServer(0);
  await until("it goes home", () => a.server === home);
  t.is(a.counters.losses, 2, "the way home was not told");
});

test("NatsTransport falls back to other servers, and returns to its own", async (t) => {
  const mesh = await meshOf(t, 2);
  const [home = "", other = ""] = mesh.urls;
  const a = await mesh.connected(0, { servers: [home, other], homeMs: 100 });
  const b = await mesh.connected(1);
  const subject = freshSubject();
  let received = 0;
  a.subscribe(subject, () => received++);
  const states: string[] = [];
  a.onState((state) => states.push(`${state} ${performance.now().toFixed()}`));
  await linked(b, a);

  await mesh.killServer(0);
  const ms = await until("another server serves", () => a.server === other);
  t.log(`noticed and back within ${ms.toFixed()} ms: ${states.join(", ")}`);
  t.true(ms < 1000, "it takes long to fall back");
  await linked(b, a);
  b.publish(subject, KILOBYTE);
  await until("the subscription lives at the other one", () => received === 1);

  await mesh.startServer(0);
  await until("it goes home", () => a.server === home);
  t.deepEqual(
    states.map((state) => state.split(" ")[0]),
    ["down", "up", "down", "up"],
  );
  await mesh.whole();
  await linked(b, a);
  b.publish(subject, KILOBYTE);
  await until("the subscription lives at home", () => received === 2);
});

test("NatsTransport waits for a server that is not there yet", async (t) => {
  const mesh = await meshOf(t, 1);
  await mesh.killServer(0);
  const a = mesh.transport(0);
  t.is(a.state, "down");
  t.false(a.publish("weir.x", KILOBYTE));
  await mesh.startServer(0);
  await until("the client is connected", () => a.state === "up", 2000);
  const never = mesh.transport(0, { servers: ["nats://127.0.0.1:1"] });
  await never.close();
  t.is(never.state, "down", "it cannot be closed while it dials");
});

test("a subscriber that was too slow is told so by down and up", async (t) => {
  const mesh = await meshOf(t, 2);
  const a = await mesh.connected(0);
  const subject = freshSubject();
  const { child, lines } = subscriber(t, mesh.urls[1] ?? "", subject);
  await until("the subscriber is connected", () => lines.length > 0);
  await linkedTo(a, subject);

  const stopped = child.pid ?? 0;
  await freeze(stopped);
  let sent = 0;
  const flood = setInterval(() => {
    while (a.pending < 8 * MEGABYTE.length && a.publish(subject, MEGABYTE))
      sent++;
  }, 1);
  t.teardown(() => clearInterval(flood));
  await eventually("the server drops the subscriber", async () => {
    const vitals = await mesh.vitals(1);
    return (vitals?.slowConsumers ?? 0) > 0;
  });
  clearInterval(flood);
  t.is(a.state, "up", "the publisher is told, which nobody expects");
  process.kill(stopped, "SIGCONT");
  await until("it is told", () => lines.at(-1)?.startsWith("up") ?? false);
  await until("it is told of both", () => lines.length === 3);
  const states = lines.map((line) => line.split(" ")[0]);
  t.deepEqual(states, ["up", "down", "up"]);
  const received = await linkedTo(a, subject);
  t.log(`${sent} sent, ${received} received`);
  t.true(received < sent, "nothing was lost, so nothing was tested");
});

test("servers give up a peer that is frozen, and take it back", async (t) => {
  const mesh = await meshOf(t, 2);
  const [a, b] = [await mesh.connected(0), await mesh.connected(1)];
  await linked(a, b);
  await mesh.freezeServer(1);
  const ms = await eventually("the route is gone", async () => {
    const vitals = await mesh.vitals(0);
    return vitals?.routes === 0;
  });
  t.log(`gone after ${ms.toFixed()} ms`);
  t.true(ms < 8000, "a frozen peer blocks the bus for long");
  mesh.thawServer(1);
  await mesh.whole();
  await until("the other client is back", () => b.state === "up");
  await linked(a, b);
  t.pass();
});

test("what the bus forbids is counted and told", async (t) => {
  const mesh = await meshOf(t, 1, {
    more: `authorization {
      users = [{ user: "node", password: "x", permissions: {
        publish: { deny: "weir.secret.>" }, subscribe: { deny: "weir.secret.>" }
      }}]
    }
    no_auth_user: "node"
    `,
  });
  const told: string[] = [];
  const a = await mesh.connected(0, {
    log: {
      ...silentLog,
      warn: (_, fields) => told.push(String(fields?.["error"])),
    },
  });
  a.subscribe("weir.secret.sub", () => {});
  a.publish("weir.secret.pub", KILOBYTE);
  await until("both are counted", () => a.counters.forbidden === 2);
  await fails(
    t,
    a.request("weir.secret.request", KILOBYTE, { timeoutMs: 5000 }),
    "refused",
  );
  t.is(a.state, "up", "a refusal ends the connection");
  t.regex(told.join(), /secret\.sub.*secret\.pub.*secret\.request/s);
});

/** A node of its own process; `lines` are what it prints. */
function subscriber(
  t: ExecutionContext,
  url: string,
  subject: string,
): { readonly child: ChildProcess; readonly lines: readonly string[] } {
  const script = path.join(import.meta.dirname, "nats-subscriber.ts");
  const child = spawn(process.execPath, [script, url, subject], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    lines.push(...text.trim().split("\n"));
  });
  return { child, lines };
}

/** Resolves, with how many messages the subscriber has got, when the two are linked. */
async function linkedTo(
  transport: Awaited<ReturnType<NatsMesh["connected"]>>,
  subject: string,
): Promise<number> {
  let count = NaN;
  await eventually("the subscriber answers", async () => {
    try {
      const reply = await transport.request(`${subject}.count`, KILOBYTE, {
        timeoutMs: 1000,
      });
      count = Number(Buffer.from(reply).toString());
      return true;
    } catch {
      return false;
    }
  });
  return count;
}
