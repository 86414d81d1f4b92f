// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { COUNTER_NOTES } from "../../src/admin/counter-notes.ts";
import { weirCounters } from "../../src/node/layout.ts";
import { decode } from "../../src/node/struct.ts";
import {
  GENERATION,
  inBatches,
  makeSessions,
  makeSource,
  makeWideSessions,
  serve,
  socketPath,
} from "./admin-source.ts";
import { run, type Result } from "./cli-run.ts";

const COMMANDS = [
  "services",
  "servers",
  "sessions",
  "nodes",
  "counters",
  "routes",
  "sync",
  "check",
];

/** What a command says to an agent of fixed answers. */
async function ask(
  t: ExecutionContext,
  ...args: readonly string[]
): Promise<Result> {
  return run(...args, "--socket", await serve(t, makeSource()));
}

async function askJson(
  t: ExecutionContext,
  ...args: readonly string[]
): Promise<unknown> {
  const { code, stdout, stderr } = await ask(t, ...args, "--json");
  t.is(code, 0, stderr);
  return JSON.parse(stdout);
}

test("services --json prints what the agent says", async (t) => {
  t.deepEqual(await askJson(t, "services"), [
    {
      name: "web",
      vip: "192.0.2.10",
      port: 80,
      ports: "80",
      protocol: "tcp",
      scheduler: "maglev",
      announced: true,
      sessions: 1234,
      servers: { up: 2, total: 3 },
    },
    {
      name: "dns",
      vip: "2001:db8::10",
      port: 8000,
      ports: "8000-8999",
      protocol: "udp",
      scheduler: "rr",
      announced: true,
      sessions: 5,
      servers: { up: 1, total: 1 },
    },
  ]);
});

test("services prints a table", async (t) => {
  const { stdout } = await ask(t, "services");
  t.is(
    stdout,
    [
      "SERVICE  VIRTUAL                   PROTOCOL  SCHEDULER  SERVERS UP  ANNOUNCED  SESSIONS",
      "web      192.0.2.10:80             tcp       maglev     2 of 3      yes           1,234",
      "dns      [2001:db8::10]:8000-8999  udp       rr         1 of 1      yes               5",
      "",
    ].join("\n"),
  );
});

test("servers --json tells the last check, and large numbers as strings", async (t) => {
  const list = await askJson(t, "servers");
  t.like(list, [
    {
      service: "web",
      address: "10.3.1.2",
      port: 80,
      weight: 1,
      health: "up",
      lastCheck: { at: "2026-01-02T03:04:05.000Z", ms: 1.5 },
      sessions: 7,
      created: 4000,
      inboundPackets: 1234567,
      inboundBytes: "9223372036854775808",
      outboundPackets: 99,
      outboundBytes: 0,
    },
    { health: "down", lastCheck: { error: "connection refused" } },
    { health: "unknown" },
    { address: "2001:db8:3::2", port: 0 },
  ]);
  t.false(
    JSON.stringify(list).includes("null"),
    "an absent value is printed as null",
  );
});

test("servers prints a table", async (t) => {
  const { stdout } = await ask(t, "servers");
  const [, up, down, unchecked, anyPort] = stdout.split("\n");
  t.regex(
    up ?? "",
    /^web +10\.3\.1\.2:80 +1 +up +\d+ .* ago: ok in 2 ms +7 +4,000 +1\.2 M +9\.2 EB +99 +0 B$/,
  );
  t.regex(down ?? "", /10\.3\.2\.2:80 +1 +down +.* ago: connection refused +0/);
  t.regex(unchecked ?? "", /10\.3\.3\.2:80 +0 +unknown +- +0/);
  t.regex(anyPort ?? "", /^dns +2001:db8:3::2 +1 +up +- +5/);
});

test("nodes --json tells of this node in full, of others what is known", async (t) => {
  t.deepEqual(await askJson(t, "nodes"), [
    {
      name: "d1",
      self: true,
      pool: "10.200.0.0/28",
      pools: ["10.200.0.0/28", "2001:db8:200::1:0/112"],
      state: "forwarding",
      incarnation: String(GENERATION),
      startedAt: "2026-01-02T03:04:05.000Z",
      interfaces: [{ name: "eth1", ifindex: 2, mode: "native" }],
      sessions: { total: 12, halfOpen: 2, established: 9, closing: 1 },
      table: { entries: 12, capacity: 1200, load: 0.625 },
      tables: [
        { name: "narrow", sessions: 9, load: 0.015 },
        { name: "wide", sessions: 3, load: 0.625 },
      ],
    },
    {
      name: "d2",
      self: false,
      pool: "10.200.0.16/28",
      pools: ["10.200.0.16/28"],
      state: "synced",
    },
  ]);
});

test("nodes prints a table that marks the node that answers", async (t) => {
  const { stdout } = await ask(t, "nodes");
  t.regex(
    stdout,
    /^d1 \* +forwarding +10\.200\.0\.0\/28, 2001:db8:200::1:0\/112 +eth1 \(native\) +12 +2 +9 +1 +62\.5 %/m,
  );
  t.regex(stdout, /^d2 +synced +10\.200\.0\.16\/28 +- +-/m);
});

test("counters --json maps names to values, also unknown ones", async (t) => {
  t.deepEqual(await askJson(t, "counters"), {
    received: 10000,
    forwarded: 9999,
    drop_ttl: 1,
    counter_of_a_newer_agent: 5,
  });
});

test("counters prints a table with the meaning of each", async (t) => {
  const { stdout } = await ask(t, "counters");
  t.regex(stdout, /^received +10,000 +Frames that reached the program\.$/m);
  t.regex(stdout, /^counter_of_a_newer_agent +5$/m);
});

test("COUNTER_NOTES says something about each counter of the dataplane and of nothing else", (t) => {
  t.deepEqual(
    Object.keys(COUNTER_NOTES),
    Object.keys(decode(weirCounters, new Uint8Array(weirCounters.size))),
  );
});

test("routes --json tells what is wanted and what is announced", async (t) => {
  t.deepEqual(await askJson(t, "routes"), {
    state: "up",
    neighbors: [
      {
        address: "10.1.1.1",
        asn: 65000,
        state: "established",
        uptimeMs: 3700000,
        families: [4, 6],
      },
    ],
    announced: [
      { prefix: "192.0.2.10/32", kind: "vip", wanted: true, announced: true },
      { prefix: "10.200.0.0/28", kind: "pool", wanted: true, announced: false },
    ],
    blackholes: ["192.0.2.10/32", "10.200.0.0/24"],
  });
});

test("routes prints its tables", async (t) => {
  const { stdout } = await ask(t, "routes");
  t.regex(stdout, /^Routing daemon: up$/m);
  t.regex(stdout, /^10\.1\.1\.1 +65000 +established +1 h 1 min +IPv4, IPv6$/m);
  t.regex(stdout, /^10\.200\.0\.0\/28 +pool +yes +no$/m);
  t.regex(stdout, /^Blackholes: 192\.0\.2\.10\/32, 10\.200\.0\.0\/24$/m);
});

test("sessions --json prints whole sessions", async (t) => {
  const list = await askJson(t, "sessions", "--client", "10.10.2.2:20001");
  t.deepEqual(list, [
    {
      client: "10.10.2.2:20001",
      virtual: "192.0.2.10:80",
      local: "10.200.0.1:1025",
      real: "10.3.2.2:80",
      protocol: "tcp",
      state: "established",
      flags: ["clientFin"],
      service: "web",
      origin: "d1",
      idleMs: 1500,
      expiresInMs: 898500,
      generation: String(GENERATION + 1n),
    },
  ]);
});

test("sessions --json prints an empty array for no session", async (t) => {
  t.deepEqual(await askJson(t, "sessions", "--state", "finBoth"), []);
});

test("sessions --json has no limit of its own", async (t) => {
  const socket = await serve(
    t,
    makeSource({ sessions: () => inBatches(makeSessions(2_500), 500) }),
  );
  const { stdout } = await run("sessions", "--json", "--socket", socket);
  const list: unknown = JSON.parse(stdout);
  t.true(Array.isArray(list) && list.length === 2_500);
});

test("sessions prints a table, and says what it leaves out", async (t) => {
  const socket = await serve(
    t,
    makeSource({ sessions: () => inBatches(makeSessions(2_500), 500) }),
  );
  const { stdout, stderr } = await run("sessions", "--socket", socket);
  const [titles, ...lines] = stdout.trimEnd().split("\n");
  t.is(lines.length, 1_000);
  const column = titles?.indexOf("CLIENT") ?? -1;
  t.true(
    lines.every((line) => line.slice(column).startsWith("10.10.")),
    "the parts of the table do not line up",
  );
  t.is(stderr, "1,000 of 2,500 sessions: --limit 0 shows all.\n");
});

test("sessions lines the parts of a table up, also with IPv6", async (t) => {
  const all = [...makeWideSessions(300), ...makeSessions(300)];
  const socket = await serve(
    t,
    makeSource({ sessions: () => inBatches(all, 100) }),
  );
  const { stdout } = await run("sessions", "--socket", socket);
  const [titles, ...lines] = stdout.trimEnd().split("\n");
  const column = titles?.indexOf("REAL") ?? -1;
  t.is(lines.length, 600);
  t.true(lines.every((line) => line.slice(column).startsWith("10.3.")));
  t.regex(lines[0] ?? "", /^udp +unanswered .* \[2001:db8:10::1\]:20000 /);
});

test("sessions --count prints a number", async (t) => {
  t.is((await ask(t, "sessions", "--count", "--state", "syn")).stdout, "2\n");
  t.deepEqual(await askJson(t, "sessions", "--count"), { count: 6 });
});

for (const args of [
  ["sessions", "--limit", "many"],
  ["sessions", "--client", "nobody"],
  ["sessions", "--clients", "10.10.1.2"],
  ["services", "web"],
  ["check"],
  ["check", "a.yaml", "b.yaml"],
]) {
  test(`runCommand() exits 2 for ${args.join(" ")}`, async (t) => {
    const { code, stdout, stderr } =
      args[0] === "check" ? await run(...args) : await ask(t, ...args);
    t.is(code, 2);
    t.is(stdout, "");
    t.regex(stderr, new RegExp(`\nSee: weir ${args[0]} --help\n$`));
  });
}

test("runCommand() exits 2 and lists the commands for an unknown one", async (t) => {
  for (const name of ["", "session", "constructor"]) {
    const { code, stderr } = await run(name);
    t.is(code, 2);
    t.regex(
      stderr,
      /Commands: services, servers, sessions, nodes, counters, routes, sync, check/,
    );
  }
});

for (const command of COMMANDS) {
  test(`${command} --help has a usage line, options and examples`, async (t) => {
    const { code, stdout } = await run(command, "--help");
    t.is(code, 0);
    t.regex(
      stdout,
      new RegExp(
        `^Usage: ./weir ${command} [^]*\nOptions\n[^]*--json[^]*\nExamples\n  ./weir ${command}`,
      ),
    );
    t.true(
      stdout.split("\n").every((line) => line.length <= 110),
      "a line is longer than a terminal is wide",
    );
  });
}

for (const command of COMMANDS.filter((name) => name !== "check")) {
  test(`${command} exits 1 with one sentence that names the socket when there is no agent`, async (t) => {
    const socket = socketPath(t);
    const { code, stdout, stderr } = await run(
      command,
      "--json",
      "--socket",
      socket,
    );
    t.is(code, 1);
    t.is(stdout, "");
    t.is(
      stderr,
      `Cannot ask the agent at ${socket}: there is no such socket. Does the agent run, and is this its socket?\n`,
    );
  });
}

test("main.ts writes to the terminal and sets the exit code", async (t) => {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const outcome = await new Promise<Result>((resolve) => {
    execFile(
      process.execPath,
      [main, "services", "--socket", socketPath(t)],
      (error, stdout, stderr) => {
        resolve({ code: Number(error?.code ?? 0), stdout, stderr });
      },
    );
  });
  t.is(outcome.code, 1);
  t.is(outcome.stdout, "");
  t.regex(
    outcome.stderr,
    /^Cannot ask the agent at .*agent\.sock: there is no such socket\./,
  );
});
