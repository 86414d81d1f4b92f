// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import test from "ava";
import { silentLog } from "../../src/log.ts";
import type { HealthCheck } from "../../src/model.ts";
import type { HealthState, HealthTarget } from "../../src/node/health.ts";
import { HealthMonitor } from "../../src/node/health.ts";

const TIME_LIMIT_MS = 10_000;

test("set() brings up a server that accepts connections", async (t) => {
  const port = await listen(t, net.createServer());
  const seen = watch(t, [target(port, { type: "tcp" })]);
  await until(() => seen.monitor.isUp("server"));
  t.deepEqual(seen.states, ["up"], "the first result did not decide at once");
});

test("set() takes down a server that refuses connections", async (t) => {
  const port = await unusedPort();
  const seen = watch(t, [target(port, { type: "tcp" })]);
  await until(() => seen.states.length > 0);
  t.deepEqual(seen.states, ["down"]);
  const [status] = seen.monitor.status();
  t.is(status?.reason, "refused");
  t.regex(status?.last?.error ?? "", /ECONNREFUSED/);
});

test("set() follows a server down after `fall` failures and up after `rise` successes", async (t) => {
  const answers = [200, 500, 200, 500, 500, 500, 200, 500, 302, 204];
  let requests = 0;
  const port = await listen(
    t,
    http.createServer((_request, response) => {
      response.statusCode = answers[requests++] ?? 204;
      response.end();
    }),
  );
  const changes: number[] = [];
  const seen = watch(
    t,
    [target(port, { type: "http", intervalMs: 5, rise: 2, fall: 3 })],
    () => changes.push(requests),
  );
  await until(() => requests > answers.length);
  t.deepEqual(seen.states, ["up", "down", "up"]);
  t.deepEqual(changes, [1, 6, 10], "a change came after another answer");
  t.is(seen.monitor.status()[0]?.transitions, 3);
});

test("set() asks for the path with address and port as host, on a connection of its own", async (t) => {
  const asked: string[] = [];
  const sockets = new Set<net.Socket>();
  const port = await listen(
    t,
    http.createServer((request, response) => {
      sockets.add(request.socket);
      asked.push(
        `${request.method} ${request.url} ${request.headers.host} ${request.headers.connection}`,
      );
      response.end("fine");
    }),
  );
  watch(t, [target(port, { type: "http", path: "/healthz?x=1" })]);
  await until(() => asked.length >= 2);
  t.is(asked[0], `GET /healthz?x=1 127.0.0.1:${port} close`);
  t.is(sockets.size, asked.length, "two checks shared a connection");
});

for (const type of ["tcp", "http"] as const)
  test(`set() brings up a server that answers a check by ${type} over IPv6`, async (t) => {
    const hosts = new Set<string | undefined>();
    const server = http.createServer((request, response) => {
      hosts.add(request.headers.host);
      response.end();
    });
    const port = await listen(t, server, "::1");
    const seen = watch(t, [{ ...target(port, { type }), address: "::1" }]);
    await until(() => seen.monitor.isUp("server"));
    t.deepEqual([...hosts], type === "http" ? [`[::1]:${port}`] : []);
  });

test("set() reads no more of a body than its limit", async (t) => {
  let written = 0;
  const port = await listen(
    t,
    http.createServer((request, response) => {
      const chunk = Buffer.alloc(16 * 1024);
      const more = (): void => {
        if (request.socket.destroyed) return;
        written += chunk.length;
        response.write(chunk, () => setImmediate(more));
      };
      more();
    }),
  );
  const seen = watch(t, [
    target(port, { type: "http", intervalMs: 60_000, timeoutMs: 5000 }),
  ]);
  await until(() => seen.states.length > 0);
  t.deepEqual(seen.states, ["up"], "an endless body is a failure");
  t.true(written < 64 * 1024 * 1024, "the body was read on and on");
});

test("set() takes down an HTTP server that switches protocols, and goes on checking it", async (t) => {
  let requests = 0;
  const server = net.createServer((socket) => {
    socket.on("data", () => {
      requests++;
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
      );
    });
  });
  const seen = watch(t, [target(await listen(t, server), { type: "http" })]);
  await until(() => requests >= 3);
  t.deepEqual(seen.states, ["down"]);
});

for (const [name, answer] of Object.entries({
  "accepts and stays silent": () => {},
  "sends its body too slowly": (socket: net.Socket) =>
    void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
  "has shut its side down without an answer": undefined,
})) {
  test(`set() takes down an HTTP server that ${name}`, async (t) => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.resume();
      if (answer === undefined) socket.end();
      else answer(socket);
    });
    const port = await listen(t, server);
    const timeoutMs = answer === undefined ? TIME_LIMIT_MS : 50;
    const seen = watch(t, [target(port, { type: "http", timeoutMs })]);
    await until(() => seen.states.length > 0);
    t.deepEqual(seen.states, ["down"]);
    t.is(
      seen.monitor.status()[0]?.reason,
      answer === undefined ? "reset" : "timeout",
    );
  });
}

test("set() never checks one server twice at a time", async (t) => {
  let open = 0;
  let openMax = 0;
  let requests = 0;
  const port = await listen(
    t,
    http.createServer((_request, response) => {
      requests++;
      openMax = Math.max(openMax, ++open);
      setTimeout(() => {
        open--;
        response.end();
      }, 20);
    }),
  );
  watch(t, [target(port, { type: "http", intervalMs: 1 })]);
  await until(() => requests >= 5);
  t.is(openMax, 1, "checks overlapped");
});

test("set() counts the interval from start to start", async (t) => {
  const starts: number[] = [];
  const port = await listen(
    t,
    http.createServer((_request, response) => {
      starts.push(performance.now());
      setTimeout(() => response.end(), 300);
    }),
  );
  watch(t, [target(port, { type: "http", intervalMs: 350 })]);
  await until(() => starts.length >= 4);
  const meanMs = ((starts[3] ?? 0) - (starts[0] ?? 0)) / 3;
  t.true(
    meanMs > 250 && meanMs < 550,
    `checks of 300 ms, one each 350 ms, are ${meanMs} ms apart`,
  );
});

test("set() spreads the first checks of many servers", async (t) => {
  const arrivals: number[] = [];
  const port = await listen(
    t,
    net.createServer(() => void arrivals.push(performance.now())),
  );
  const targets = Array.from({ length: 200 }, (_, index) =>
    target(port, { type: "tcp", intervalMs: 5000 }, `server ${index}`),
  );
  let calls = 0;
  const random = (): number => calls++ / targets.length;
  const seen = watch(t, targets, undefined, random);
  await until(() => targets.every(({ id }) => seen.monitor.isUp(id)));
  const spanMs = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0);
  t.true(spanMs > 100, `200 first checks came within ${spanMs} ms`);
});

test("set() keeps the health of a server whose check only changes its numbers", async (t) => {
  const port = await listen(t, net.createServer());
  const seen = watch(t, [target(port, { type: "tcp" })]);
  await until(() => seen.monitor.isUp("server"));
  const [before] = seen.monitor.status();
  seen.monitor.set([target(port, { type: "tcp", intervalMs: 7, fall: 9 })]);
  t.true(seen.monitor.isUp("server"), "a reload took a healthy server down");
  t.is(seen.monitor.status()[0]?.target.check.intervalMs, 7);
  await until(
    () =>
      seen.monitor.status()[0]?.last?.startedAt.getTime() !==
      before?.last?.startedAt.getTime(),
  );
  t.deepEqual(seen.states, ["up"]);
});

test("set() begins anew with a server whose port changed", async (t) => {
  const port = await listen(t, net.createServer());
  const closed = await unusedPort();
  const seen = watch(t, [target(port, { type: "tcp" })]);
  await until(() => seen.monitor.isUp("server"));
  seen.monitor.set([target(closed, { type: "tcp", fall: 100 })]);
  t.is(seen.monitor.status()[0]?.state, "unknown");
  await until(() => seen.states.length === 3);
  t.deepEqual(seen.states, ["up", "unknown", "down"]);
});

test("set() lets the old health stand until a check of another type has decided", async (t) => {
  const port = await listen(t, net.createServer());
  const seen = watch(t, [target(port, { type: "tcp" })]);
  await until(() => seen.monitor.isUp("server"));
  seen.monitor.set([target(port, { type: "http", timeoutMs: 50, fall: 1000 })]);
  t.true(seen.monitor.isUp("server"), "a reload took a healthy server down");
  await until(() => seen.states.length === 2);
  t.deepEqual(seen.states, ["up", "down"], "the first result did not decide");
});

test("set() counts a server without a check as up", (t) => {
  const seen = watch(t, [target(1, { type: "none" })]);
  t.true(seen.monitor.isUp("server"));
  t.deepEqual(seen.states, ["up"]);
});

test("set() forgets a server that has left the list", async (t) => {
  let arrivals = 0;
  const port = await listen(
    t,
    net.createServer(() => void arrivals++),
  );
  const seen = watch(t, [target(port, { type: "tcp", intervalMs: 5 })]);
  await until(() => arrivals > 2);
  seen.monitor.set([]);
  t.false(seen.monitor.isUp("server"));
  t.deepEqual(seen.monitor.status(), []);
  const before = arrivals;
  await delay(50);
  t.true(arrivals <= before + 1, "a removed server was checked on");
});

test("set() refuses two targets of one id", (t) => {
  const seen = watch(t, []);
  const twins = [target(1, { type: "none" }), target(2, { type: "none" })];
  t.throws(() => seen.monitor.set(twins), { instanceOf: RangeError });
});

test("close() ends a check that hangs and reports nothing more", async (t) => {
  let sockets = 0;
  const port = await listen(
    t,
    net.createServer((socket) => {
      sockets++;
      socket.on("error", () => {});
      socket.on("close", () => sockets--);
      socket.resume();
    }),
  );
  const seen = watch(t, [target(port, { type: "http", timeoutMs: 60_000 })]);
  await until(() => sockets === 1);
  seen.monitor.close();
  await until(() => sockets === 0);
  t.deepEqual(seen.states, []);
});

type Seen = { readonly monitor: HealthMonitor; readonly states: HealthState[] };

/** A monitor of these targets that ends with the test, and the states that it reports. */
function watch(
  t: ExecutionContext,
  targets: readonly HealthTarget[],
  onChange: () => void = () => {},
  random: () => number = () => 0,
): Seen {
  const states: HealthState[] = [];
  const monitor = new HealthMonitor({
    log: silentLog,
    random,
    onChange: (_target, state) => {
      states.push(state);
      onChange();
    },
  });
  t.teardown(() => monitor.close());
  monitor.set(targets);
  return { monitor, states };
}

function target(
  port: number,
  check: Partial<HealthCheck>,
  id = "server",
): HealthTarget {
  return {
    id,
    address: "127.0.0.1",
    port,
    check: {
      type: "tcp",
      path: "/",
      intervalMs: 10,
      timeoutMs: 2000,
      rise: 2,
      fall: 3,
      ...check,
    },
  };
}

/** The port on which `server` listens until the test ends. */
async function listen(
  t: ExecutionContext,
  server: net.Server,
  address = "127.0.0.1",
): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await new Promise<void>((resolve) =>
    server.listen(0, address, () => resolve()),
  );
  return portOf(server);
}

/** A port on which nobody listens. */
async function unusedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve()),
  );
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("Cannot test: the server has no port");
  return address.port;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + TIME_LIMIT_MS;
  while (!condition()) {
    if (performance.now() > deadline)
      throw new Error(
        `Still not so after ${TIME_LIMIT_MS} ms: ${condition.toString()}`,
      );
    await delay(2);
  }
}
