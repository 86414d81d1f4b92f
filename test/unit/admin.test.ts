// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import {
  existsSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import type {
  ListSessionsRequest,
  ListSessionsResponse,
} from "../../src/admin/api.ts";
import { AdminClient } from "../../src/cli/client.ts";
import {
  AgentRunningError,
  AgentUnreachableError,
  UsageError,
  WeirError,
} from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import type { Session } from "../../src/model.ts";
import { serveAdmin } from "../../src/node/admin.ts";
import {
  GENERATION,
  inBatches,
  makeSessions,
  makeSource,
  serve,
  socketPath,
  STARTED_AT_MS,
} from "./admin-source.ts";

const TIME_LIMIT_MS = 10_000;
const ALL: ListSessionsRequest = {
  client: "",
  virtual: "",
  local: "",
  real: "",
  state: "",
  protocol: "",
  limit: 0,
  countOnly: false,
};

function connect(
  t: ExecutionContext,
  socket: string,
  timeoutMs?: number,
): AdminClient {
  const client = new AdminClient(socket, timeoutMs);
  t.teardown(() => client.close());
  return client;
}

async function listAll(
  client: AdminClient,
  request: Partial<ListSessionsRequest> = {},
): Promise<readonly ListSessionsResponse[]> {
  const messages: ListSessionsResponse[] = [];
  for await (const message of client.listSessions({ ...ALL, ...request }))
    messages.push(message);
  return messages;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + TIME_LIMIT_MS;
  while (!condition()) {
    if (Date.now() > deadline)
      throw new Error("the state that the test waits for did not come");
    await delay(5);
  }
}

test("serveAdmin() answers every call with what its source says", async (t) => {
  const source = makeSource();
  const client = connect(t, await serve(t, source));
  t.deepEqual((await client.call("ListServices")).services, [
    { ...(await source.services())[0], sessions: 1_234n },
    { ...(await source.services())[1], sessions: 5n },
  ]);
  t.like((await client.call("ListServers")).servers[0], {
    inboundBytes: 2n ** 63n,
    lastCheck: { durationMs: 1.5 },
  });
  t.is((await client.call("ListServers")).servers[2]?.lastCheck, null);
  const [self, other] = (await client.call("ListNodes")).nodes;
  t.like(self?.detail, {
    incarnation: GENERATION,
    startedAtUnixMs: BigInt(STARTED_AT_MS),
  });
  t.is(other?.detail, null);
  t.like((await client.call("GetCounters")).counters, [
    { name: "received", value: 10_000n },
    { name: "forwarded", value: 9_999n },
  ]);
  t.like(await client.call("ListRoutes"), {
    state: "up",
    blackholes: ["192.0.2.10/32", "10.200.0.0/24"],
  });
});

test("serveAdmin() tells of session sync what is known, and not what is not", async (t) => {
  const client = connect(t, await serve(t, makeSource()));
  const { nodes, pairs, risk, fingerprint } = await client.call("GetSync");
  t.deepEqual(nodes[2], {
    name: "d3",
    self: false,
    state: "unheard",
    incarnation: 0n,
    problems: [],
  });
  t.like(pairs, [
    {
      from: "d2",
      to: "d1",
      lagMs: 0.8,
      seq: 5_000n,
      gaps: 3n,
      digestEqual: true,
    },
    {
      from: "d1",
      to: "d2",
      lagMs: undefined,
      gaps: undefined,
      behindRecords: 40n,
    },
  ]);
  t.deepEqual(risk, {
    ifDies: "d1",
    sessions: 12n,
    notOnAll: 40n,
    onNone: 0n,
  });
  t.is(fingerprint, null);
  t.like(await client.call("GetSync", { fingerprint: true }), {
    fingerprint: { truth: "00c0ffee00c0ffee" },
  });
});

test("serveAdmin() sends sessions in several messages and the totals in the last", async (t) => {
  const sessions = makeSessions(1_000);
  const client = connect(
    t,
    await serve(t, makeSource({ sessions: () => inBatches(sessions, 77) })),
  );
  const messages = await listAll(client);
  t.true(messages.length > 1);
  t.deepEqual(
    messages.flatMap((message) =>
      message.sessions.map(({ generation }) => generation),
    ),
    sessions.map(({ generation }) => generation),
    "sessions are missing, repeated or out of their order",
  );
  t.deepEqual(
    messages.map(({ totals }) => totals).filter((totals) => totals !== null),
    [{ matched: 1_000n, sent: 1_000n }],
  );
  t.deepEqual(messages[0]?.sessions[1], {
    client: "10.10.2.2:20001",
    virtual: "192.0.2.10:80",
    local: "10.200.0.1:1025",
    real: "10.3.2.2:80",
    protocol: "tcp",
    state: "established",
    flags: ["clientFin"],
    service: "web",
    origin: "d1",
    generation: GENERATION + 1n,
    idleMs: 1_500n,
    expiresInMs: 898_500n,
  });
});

const FILTERS: readonly (readonly [
  request: Partial<ListSessionsRequest>,
  matched: number,
  sent: number,
])[] = [
  [{}, 30, 30],
  [{ client: "10.10.1.2" }, 15, 15],
  [{ client: "10.10.1.2:20000" }, 1, 1],
  [{ client: "10.10.1.2:20001" }, 0, 0],
  [{ client: "10.10.0.0/16" }, 30, 30],
  [{ client: "10.10.2.0/24", state: "syn" }, 5, 5],
  [{ real: "10.3.3.2" }, 10, 10],
  [{ local: "10.200.0.1:1030" }, 1, 1],
  [{ virtual: "192.0.2.11" }, 0, 0],
  [{ state: "SYN" }, 10, 10],
  [{ state: "finBoth" }, 0, 0],
  [{ limit: 7 }, 30, 7],
  [{ limit: 7, real: "10.3.1.2:80" }, 10, 7],
  [{ countOnly: true, client: "10.10.1.2" }, 15, 0],
];

for (const [request, matched, sent] of FILTERS) {
  test(`serveAdmin() finds ${matched} sessions and sends ${sent} for ${JSON.stringify(request)}`, async (t) => {
    const client = connect(
      t,
      await serve(
        t,
        makeSource({ sessions: () => inBatches(makeSessions(30), 10) }),
      ),
    );
    const messages = await listAll(client, request);
    t.is(messages.flatMap((message) => message.sessions).length, sent);
    t.deepEqual(messages.at(-1)?.totals, {
      matched: BigInt(matched),
      sent: BigInt(sent),
    });
  });
}

for (const request of [
  { client: "ten" },
  { real: "10.3.1.2:" },
  { real: "2001:db8::1:80:" },
  { state: "open" },
  { protocol: "sctp" },
]) {
  test(`serveAdmin() refuses ${JSON.stringify(request)}`, async (t) => {
    const client = connect(t, await serve(t, makeSource()));
    await t.throwsAsync(listAll(client, request), {
      instanceOf: UsageError,
      message: /^Cannot list sessions by .*current value is/,
    });
  });
}

test("serveAdmin() stops reading the table when its reader goes away", async (t) => {
  let stopped = false;
  async function* endless(): AsyncGenerator<readonly Session[]> {
    try {
      for (;;) yield await delay(1, makeSessions(300));
    } finally {
      stopped = true;
    }
  }
  const client = connect(t, await serve(t, makeSource({ sessions: endless })));
  for await (const _ of client.listSessions(ALL)) break;
  await until(() => stopped);
  t.pass();
});

test("serveAdmin() tells the client of a source that fails, and goes on", async (t) => {
  const source = makeSource({
    services: () => Promise.reject(new Error("the map is gone")),
  });
  const client = connect(t, await serve(t, source));
  await t.throwsAsync(client.call("ListServices"), {
    instanceOf: AgentUnreachableError,
    message: /the map is gone/,
  });
  t.is((await client.call("ListServers")).servers.length, 4);
});

test("serveAdmin() makes a socket that only its owner may open, and the directory", async (t) => {
  const socket = join(dirname(socketPath(t)), "run", "weir", "agent.sock");
  const server = await serveAdmin(makeSource(), socket, silentLog);
  t.is(statSync(socket).mode & 0o777, 0o600);
  t.deepEqual(
    readdirSync(dirname(socket)),
    ["agent.sock"],
    "something is left beside the socket",
  );
  await server.close();
  t.deepEqual(
    readdirSync(dirname(socket)),
    [],
    "the socket outlives its server",
  );
});

test("serveAdmin() refuses the socket of a live agent", async (t) => {
  const socket = await serve(t, makeSource());
  await t.throwsAsync(serveAdmin(makeSource(), socket, silentLog), {
    instanceOf: AgentRunningError,
  });
  t.is(
    (await connect(t, socket).call("ListServers")).servers.length,
    4,
    "the first agent lost its socket",
  );
});

test("serveAdmin() replaces the socket of a dead agent", async (t) => {
  const socket = socketPath(t);
  const dead = net.createServer().listen(`${socket}.before`);
  await once(dead, "listening");
  renameSync(`${socket}.before`, socket);
  dead.close();
  await once(dead, "close");
  t.true(existsSync(socket));
  const server = await serveAdmin(makeSource(), socket, silentLog);
  t.is((await connect(t, socket).call("ListServers")).servers.length, 4);
  await server.close();
});

test("serveAdmin() leaves a file alone that is no socket", async (t) => {
  const socket = socketPath(t);
  writeFileSync(socket, "precious");
  await t.throwsAsync(serveAdmin(makeSource(), socket, silentLog), {
    instanceOf: WeirError,
    message: /is not a socket/,
  });
  t.is(statSync(socket).size, "precious".length);
});

test("close() does not remove the socket of the agent that came after", async (t) => {
  const socket = socketPath(t);
  const first = await serveAdmin(makeSource(), socket, silentLog);
  renameSync(socket, `${socket}.old`);
  const second = await serveAdmin(makeSource(), socket, silentLog);
  await first.close();
  t.is((await connect(t, socket).call("ListServers")).servers.length, 4);
  await second.close();
});

test("close() does not wait for ever for a call in progress", async (t) => {
  const socket = socketPath(t);
  const server = await serveAdmin(
    makeSource({ services: () => new Promise(() => {}) }),
    socket,
    silentLog,
  );
  const call = connect(t, socket).call("ListServices");
  const failure = t.throwsAsync(call, { instanceOf: AgentUnreachableError });
  await delay(50);
  await server.close();
  await failure;
});

test("call() names a socket that does not exist", async (t) => {
  const socket = socketPath(t);
  await t.throwsAsync(connect(t, socket).call("ListServices"), {
    instanceOf: AgentUnreachableError,
    message: `Cannot ask the agent at ${socket}: there is no such socket. Does the agent run, and is this its socket?`,
  });
});

test("call() gives up on an agent that does not answer", async (t) => {
  const socket = await serve(
    t,
    makeSource({ services: () => new Promise(() => {}) }),
  );
  await t.throwsAsync(connect(t, socket, 50).call("ListServices"), {
    instanceOf: AgentUnreachableError,
    message: /has not answered for 0\.05 s/,
  });
});

test("listSessions() gives up on an agent that stops in the middle", async (t) => {
  async function* stuck(): AsyncGenerator<readonly Session[]> {
    yield makeSessions(300);
    await new Promise(() => {});
  }
  const socket = await serve(t, makeSource({ sessions: stuck }));
  await t.throwsAsync(listAll(connect(t, socket, 200)), {
    instanceOf: AgentUnreachableError,
    message: /has not answered/,
  });
});
