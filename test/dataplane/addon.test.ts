// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import {
  AgentRunningError,
  DataplaneError,
  LayoutMismatchError,
  UnsupportedSystemError,
} from "../../src/errors.ts";
import type { Session } from "../../src/model.ts";
import { loadAddon } from "../../src/node/addon.ts";
import { Dataplane } from "../../src/node/dataplane.ts";
import * as layout from "../../src/node/layout.ts";
import { array, decode, encode, u32, u64 } from "../../src/node/struct.ts";
import {
  LIMITS,
  open,
  pins,
  readRaw,
  start,
  temporaryPins,
} from "./addon-fixture.ts";
import { TCP } from "./packet.ts";

/** 1000 sessions in slots of which 60 % may be taken, 7 slots a bucket; and 500 wide ones. */
const BUCKETS = 239;
const WIDE_BUCKETS = 120;
const WEB = {
  vip: "192.0.2.10",
  ports: { min: 80, max: 80 },
  protocol: "tcp",
} as const;
const POLICY = { scheduler: "rr", sync: "immediate", wide: false } as const;
const SWEEP = { terms: () => undefined, origin: 7, weak: false, hold: false };
const ARP = Uint8Array.from({ length: 60 }, (_, i) => [8, 6][i - 12] ?? 0);
const LOOPBACK = 1;

test("open() pins maps of the sizes that the limits ask for, for root alone", (t) => {
  const options = temporaryPins(t);
  const dataplane = open(t, options);
  t.is(statSync(options.pinDir).mode & 0o777, 0o700);
  t.true(pins(options).includes("weir_outbound4"));
  const made = decode(layout.weirLayout, readRaw("weir_layouts"));
  t.is(made.version, layout.WEIR_LAYOUT_VERSION);
  t.is(made.inbound4_buckets, BUCKETS);
  t.is(made.outbound4_buckets, BUCKETS);
  t.is(made.inbound6_buckets, WIDE_BUCKETS);
  t.is(made.outbound6_buckets, WIDE_BUCKETS);
  t.is(dataplane.services.length, LIMITS.services);
  t.is(dataplane.schedules.length, 2 * LIMITS.services);
  t.is(dataplane.realServers.length, LIMITS.realServers);
  t.is(
    dataplane.egressGroups.length,
    layout.WEIR_EGRESS_REALS + LIMITS.realServers,
  );
});

test("open() adopts what an earlier agent has pinned", async (t) => {
  const options = temporaryPins(t);
  const first = open(t, options);
  const made = readRaw("weir_layouts");
  first.setService(3, WEB, POLICY, [1, 2]);
  first.devices.set(LOOPBACK, LOOPBACK);
  first.testRun(ARP, { ifindex: LOOPBACK, repeat: 5 });
  first.close();

  const second = open(t, options);
  t.deepEqual(readRaw("weir_layouts"), made, "the hash key has changed");
  t.is(second.serviceIndex.get(WEB), 3);
  t.like(second.services.get(3), { ...WEB, ...POLICY, entries: 2 });
  t.deepEqual(second.devices.keys(), [LOOPBACK]);
  t.is(second.readCounters().received, 5n);
  second.testRun(ARP, { ifindex: LOOPBACK });
  t.is(
    second.readCounters().received,
    6n,
    "the new program does not use the pinned maps",
  );
});

test("open() chooses another hash key for each set of pins", async (t) => {
  const keys = [];
  for (let i = 0; i < 2; i++) {
    const dataplane = open(t, temporaryPins(t));
    keys.push(decode(layout.weirLayout, readRaw("weir_layouts")).hash_key);
    dataplane.close();
  }
  t.notDeepEqual(keys[0], keys[1]);
});

test("open() refuses pins of other sizes and leaves them alone", async (t) => {
  const options = temporaryPins(t);
  open(t, options).close();
  const limits = { ...LIMITS, services: 8 };
  const error = t.throws(() => Dataplane.open({ ...options, limits }), {
    instanceOf: LayoutMismatchError,
  });
  t.regex(error.message, /services_max 4, .* needs 8/);
  open(t, options).close();
});

test("open() refuses pins of another layout version", (t) => {
  const options = temporaryPins(t);
  mkdirSync(join(options.pinDir, "v0"), { recursive: true });
  t.throws(() => Dataplane.open(options), {
    instanceOf: LayoutMismatchError,
    message: /layout version 0/,
  });
});

test("open() refuses a directory outside a bpf file system", (t) => {
  const options = temporaryPins(t);
  t.throws(() => Dataplane.open({ ...options, pinDir: options.stateDir }), {
    instanceOf: UnsupportedSystemError,
    message: /mount -t bpf/,
  });
});

test("open() says what libbpf says of a bad object", (t) => {
  const objectPaths = [import.meta.filename];
  t.throws(() => Dataplane.open({ ...temporaryPins(t), objectPaths }), {
    instanceOf: DataplaneError,
    message: /addon\.test\.ts[^]*libbpf: elf/,
  });
});

test("open() refuses a second agent, until the first is dead", async (t) => {
  const options = temporaryPins(t);
  const other = start(t, { options, attach: [], hold: true });
  t.like(await other.outcome, { ok: true });
  t.throws(() => Dataplane.open(options), {
    instanceOf: AgentRunningError,
    message: new RegExp(`process ${other.pid}`),
  });
  await other.kill();
  t.notThrows(() => open(t, options));
});

test("mapUpdate() and mapLookup() refuse bytes of another length than the map's", (t) => {
  open(t, temporaryPins(t));
  const addon = loadAddon();
  const key = encode(u32, 0);
  const expected = {
    code: "EINVAL",
    message: /weir_services: value has 39 bytes, it must have 40/,
  };
  const value = new Uint8Array(39);
  t.throws(() => addon.mapUpdate("weir_services", key, value), expected);
  t.throws(() => addon.mapLookup("weir_services", new Uint8Array(3)), {
    code: "EINVAL",
    message: /key has 3 bytes, it must have 4/,
  });
  t.throws(() => addon.mapUpdate("weir_counters", key, new Uint8Array(8)), {
    code: "EINVAL",
  });
  t.throws(() => addon.mapLookup("weir_nonsense", key), { code: "ENOENT" });
  t.throws(() => addon.mapLookup("weir_services", encode(u32, 4)), {
    code: "ENOENT",
  });
});

test("Addon functions refuse arguments of another kind", (t) => {
  open(t, temporaryPins(t));
  const takesNothing = new Set(["close", "clock"]);
  for (const [name, call] of Object.entries(loadAddon()))
    for (const args of [[], [-1], [{}, {}, {}], ["x".repeat(5000)]])
      if (!takesNothing.has(name) && !(name === "events" && args.length === 0))
        t.throws(
          () => Reflect.apply(call, undefined, args),
          undefined,
          `${name}() took ${JSON.stringify(args).slice(0, 20)}`,
        );
});

test("close() leaves nothing that can be used", async (t) => {
  const dataplane = open(t, temporaryPins(t));
  dataplane.close();
  t.throws(() => dataplane.readCounters(), { code: "EBADF" });
  t.notThrows(() => dataplane.close());
});

test("KeyedMap.set() says when the map is full", (t) => {
  const { serviceIndex } = open(t, temporaryPins(t));
  const ofPort = (port: number) => ({
    ...WEB,
    ports: { min: port, max: port },
  });
  for (let port = 0; port < LIMITS.services; port++)
    serviceIndex.set(ofPort(port), port);
  t.throws(() => serviceIndex.set(WEB, 4), { code: "E2BIG" });
  t.true(serviceIndex.delete(ofPort(0)));
  t.false(serviceIndex.delete(ofPort(0)));
  t.notThrows(() => serviceIndex.set(WEB, 4));
  t.is(serviceIndex.keys().length, LIMITS.services);
});

test("setService() writes a schedule where no packet reads it, then switches over", (t) => {
  const dataplane = open(t, temporaryPins(t));
  dataplane.setService(1, WEB, POLICY, [5, 6, 7]);
  const first = dataplane.services.get(1);
  dataplane.setService(1, WEB, POLICY, [7]);
  const second = dataplane.services.get(1);
  t.deepEqual(
    new Set([first?.row, second?.row]),
    new Set([2, 3]),
    "a service does not alternate between its own two rows",
  );
  t.like(second, { entries: 1 });
  t.deepEqual(
    Array.from(dataplane.schedules.get(second?.row ?? 0) ?? []).slice(0, 2),
    [7, 0],
  );
  const other = { ...WEB, ports: { min: 81, max: 81 } };
  dataplane.setService(1, other, POLICY, []);
  t.is(
    dataplane.serviceIndex.get(WEB),
    undefined,
    "the old port still leads to it",
  );
  dataplane.removeService(1);
  t.deepEqual(dataplane.serviceIndex.keys(), []);
  t.is(dataplane.services.get(1), undefined);
});

test("readCounters() sums over the CPUs", (t) => {
  const dataplane = open(t, temporaryPins(t));
  const cpus = readRaw("weir_counters").length / layout.weirCounters.size;
  const each = layout.weirCounters.size / u64.size;
  const values = Array.from({ length: cpus * each }, (_, i) =>
    BigInt(i % each),
  );
  loadAddon().mapUpdate(
    "weir_counters",
    encode(u32, 0),
    encode(array(values.length, u64), values),
  );
  t.deepEqual(
    Object.values(dataplane.readCounters()),
    values.slice(0, each).map((value) => value * BigInt(cpus)),
  );
});

test("testRun() counts each run", (t) => {
  const dataplane = open(t, temporaryPins(t));
  const run = dataplane.testRun(ARP, { ifindex: LOOPBACK, repeat: 100 });
  t.is(run.verdict, "pass");
  t.deepEqual(new Uint8Array(run.frame), ARP, "a foreign frame was changed");
  const { received, passed_foreign: foreign } = dataplane.readCounters();
  t.is(received, 100n);
  t.is(foreign, 100n);
});

test("open() maps the session table so that a child does not copy it", (t) => {
  open(t, temporaryPins(t));
  const mappings = readFileSync("/proc/self/smaps", "utf8")
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((mapping) => mapping.includes("bpf-map"));
  t.is(mappings.length, 5, "not one for each table and the generation");
  for (const mapping of mappings)
    t.regex(mapping, /^VmFlags:.* dc( |$)/m, "fork() copies its page tables");
});

test("sessions() lists the live entries of the table", async (t) => {
  const dataplane = open(t, temporaryPins(t));
  const now = Number(BigInt.asUintN(32, loadAddon().clock()));
  for (const [bucket, sport] of [8080, 8081, 8082].entries())
    putTruth(bucket * 100, { sport, seen: now, real: bucket });
  const names = {
    service: (real: number) => `service${real}`,
    origin: () => "d1",
    timeouts: () => undefined,
  };
  const all = await collect(dataplane.sessions(names));
  t.deepEqual(
    all.map(({ real, service, state }) => [real.port, service, state]),
    [
      [8080, "service0", "established"],
      [8081, "service1", "established"],
      [8082, "service2", "established"],
    ],
  );
  const filter = (session: Session) => session.real.port > 8080;
  const filtered = await collect(
    dataplane.sessions(names, { filter, limit: 1 }),
  );
  t.deepEqual(
    filtered.map(({ real }) => real.port),
    [8081],
  );
});

test("sweep() counts the live sessions and removes those that are idle for too long", async (t) => {
  const dataplane = open(t, temporaryPins(t));
  const now = Number(BigInt.asUintN(32, loadAddon().clock()));
  const idle = 100 * layout.WEIR_TICKS_PER_SECOND;
  putTruth(0, { sport: 8080, seen: now, real: 3 });
  putTruth(100, { sport: 8081, seen: (now - idle) >>> 0, real: 3 });
  putTruth(200, { sport: 8082, seen: (now - idle) >>> 0, real: 4 });
  const short = {
    handshakeMs: 1000,
    establishedMs: 1000,
    closedMs: 1000,
    resetMs: 1000,
  };
  const sweep = await dataplane.sweep({
    ...SWEEP,
    terms: (real) => (real === 3 ? short : undefined),
  });
  t.is(sweep.sessions, 2n);
  t.is(sweep.expired, 1n);
  t.deepEqual(sweep.sessionsPerReal, [0, 0, 0, 1, 1, 0, 0, 0]);
  const buckets = BUCKETS + WIDE_BUCKETS;
  t.is(sweep.outbound_slots, BigInt(buckets * layout.WEIR_SLOTS));
  t.is(sweep.narrow_sessions, 2n);
  t.is(sweep.wide_sessions, 0n);
});

test("close() waits for the sweep", async (t) => {
  const dataplane = open(t, temporaryPins(t));
  const sweep = dataplane.sweep(SWEEP);
  dataplane.close();
  t.is((await sweep).sessions, 0n);
});

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** Writes an established session into a bucket of the outbound table, as if its key had that hash. */
function putTruth(
  bucket: number,
  {
    sport,
    seen,
    real,
  }: { readonly sport: number; readonly seen: number; readonly real: number },
): void {
  const empty = decode(
    layout.weirTruth4,
    new Uint8Array(layout.weirTruth4.size),
  );
  const key = { ...empty.entry.key, sport, proto: TCP };
  const truth = { ...empty, entry: { ...empty.entry, key, seen, real } };
  const head = [(1n << 48n) | BigInt(layout.WEIR_ESTABLISHED)];
  loadAddon().mapUpdate(
    "weir_outbound4",
    encode(u32, bucket),
    encode(layout.weirOutbound4Bucket, { slot: [truth], head }),
  );
}
