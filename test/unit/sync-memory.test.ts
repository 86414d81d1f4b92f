// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { systemClock } from "../../src/sync/clock.ts";
import { MemoryBus } from "../../src/sync/memory.ts";
import type { Faults, MemoryTransport } from "../../src/sync/memory.ts";
import { matches } from "../../src/sync/subject.ts";
import { VirtualClock } from "../../src/sync/virtual-clock.ts";
import { fails, transportSuite } from "./transport-suite.ts";

let suiteBus: MemoryBus;
transportSuite(test, {
  pair() {
    suiteBus = new MemoryBus({
      clock: systemClock,
      faults: { delayMsMin: 0, delayMsMax: 5 },
    });
    return Promise.resolve([suiteBus.join("a"), suiteBus.join("b")] as const);
  },
  cutFirst() {
    suiteBus.cut("a");
    return Promise.resolve();
  },
  restoreFirst() {
    suiteBus.restore("a");
    return Promise.resolve();
  },
});

function setUp(faults: Partial<Faults> = {}, seed = 1) {
  const clock = new VirtualClock();
  const bus = new MemoryBus({ clock, seed, faults });
  const [a, b, c] = ["a", "b", "c"].map((name) => {
    const transport = bus.join(name);
    const got: string[] = [];
    transport.subscribe("x.>", ({ subject, data, respond }) => {
      got.push(`${subject} ${data[0]}`);
      respond?.(data);
    });
    return { transport, got };
  });
  if (!a || !b || !c) throw new Error("unreachable");
  return { clock, bus, a, b, c };
}

function publish(transport: MemoryTransport, count: number): void {
  for (let i = 0; i < count; i++) transport.publish("x.y", Uint8Array.of(i));
}

test("MemoryBus carries nothing before time goes on", async (t) => {
  const { clock, a, b } = setUp({ delayMsMin: 5, delayMsMax: 5 });
  publish(a.transport, 1);
  t.deepEqual(b.got, []);
  await clock.advance(4.9);
  t.deepEqual(b.got, []);
  await clock.advance(0.1);
  t.deepEqual(b.got, ["x.y 0"]);
});

test("MemoryBus loses, repeats and reorders as told", async (t) => {
  const run = async (faults: Partial<Faults>) => {
    const { clock, a, b } = setUp({ delayMsMax: 10, ...faults });
    publish(a.transport, 200);
    await clock.advance(1000);
    return b.got.map((line) => Number(line.slice(4)));
  };
  const all = Array.from({ length: 200 }, (_, i) => i);
  t.deepEqual(await run({}), all, "without faults, order is kept");

  const some = await run({ loss: 0.5 });
  t.true(some.length > 60 && some.length < 140, `${some.length} of 200 arrive`);
  t.deepEqual(
    some,
    some.toSorted((x, y) => x - y),
    "loss changes the order",
  );
  t.deepEqual(await run({ loss: 1 }), [], "something gets through");

  const twice = await run({ repeat: 1 });
  t.is(twice.length, 400, "not each message arrives twice");
  t.is(new Set(twice).size, 200, "not each message arrives");

  const mixed = await run({ reorder: 0.2 });
  t.notDeepEqual(mixed, all, "nothing is overtaken");
  t.deepEqual(
    mixed.toSorted((x, y) => x - y),
    all,
    "reordering loses something",
  );
});

test("MemoryBus does the same for the same seed, and other things for another", async (t) => {
  const run = async (seed: number) => {
    const faults = { loss: 0.2, repeat: 0.2, reorder: 0.3, delayMsMax: 20 };
    const { clock, a, b, c } = setUp(faults, seed);
    publish(a.transport, 50);
    publish(c.transport, 50);
    await clock.advance(1000);
    return [a.got, b.got, c.got];
  };
  t.deepEqual(await run(1), await run(1));
  t.notDeepEqual(await run(1), await run(2));
});

test("partition() lets only members of a group hear each other, until heal()", async (t) => {
  const { clock, bus, a, b, c } = setUp();
  bus.partition([["a", "b"]]);
  publish(a.transport, 1);
  publish(c.transport, 1);
  await clock.advance(10);
  t.deepEqual([a.got, b.got, c.got], [[], ["x.y 0"], []]);
  t.is(c.transport.state, "up", "a partition is noticed");

  const answers = c.transport.request("x.z", Uint8Array.of(9), {
    timeoutMs: 100,
  });
  await Promise.all([fails(t, answers, "timeout"), clock.advance(100)]);

  bus.heal();
  publish(c.transport, 1);
  await clock.advance(10);
  t.deepEqual([a.got, b.got], [["x.y 0"], ["x.y 0", "x.y 0"]]);
});

test("partition() stops what is under way", async (t) => {
  const { clock, bus, a, b } = setUp({ delayMsMin: 10, delayMsMax: 10 });
  publish(a.transport, 1);
  bus.partition([["a"], ["b"]]);
  await clock.advance(20);
  t.deepEqual(b.got, []);
});

test("crash() silences a member, and its name can be used again", async (t) => {
  const { clock, bus, a, b } = setUp({ delayMsMin: 1, delayMsMax: 1 });
  const states: string[] = [];
  b.transport.onState((state) => states.push(state));
  publish(a.transport, 1);
  bus.crash("b");
  await clock.advance(10);
  t.deepEqual(b.got, [], "a dead member hears");
  t.deepEqual(states, [], "a dead member is told of its end");
  t.false(b.transport.publish("x.y", new Uint8Array()), "a dead member speaks");

  const again = bus.join("b");
  let heard = 0;
  again.subscribe("x.y", () => heard++);
  publish(a.transport, 1);
  await clock.advance(10);
  t.is(heard, 1, "the new member hears something else");
});

test("cut() loses what is under way to the member", async (t) => {
  const { clock, bus, a, b } = setUp({ delayMsMin: 5, delayMsMax: 5 });
  publish(a.transport, 1);
  bus.cut("b");
  await clock.advance(10);
  bus.restore("b");
  await clock.advance(10);
  t.deepEqual(b.got, []);
});

test("request() takes the first answer of several, and one that is repeated once", async (t) => {
  const { clock, a } = setUp({ repeat: 1, delayMsMax: 10 });
  const answer = a.transport.request("x.z", Uint8Array.of(4), {
    timeoutMs: 100,
  });
  await clock.advance(100);
  t.deepEqual(await answer, Uint8Array.of(4));
});

test("VirtualClock lets promises go on between its timers", async (t) => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const note = (what: string) => seen.push(`${clock.now()} ${what}`);
  clock.after(10, () => {
    void Promise.resolve().then(() => clock.after(5, () => note("second")));
    note("first");
  });
  clock.after(15, () => note("made earlier"));
  const cancel = clock.after(12, () => note("cancelled"));
  cancel();
  await clock.advance(20);
  t.deepEqual(seen, ["10 first", "15 made earlier", "15 second"]);
  t.is(clock.now(), 20);
});

test("matches() knows NATS's wildcards at the end", (t) => {
  t.true(matches("a.b", "a.b"));
  t.false(matches("a.b", "a.b.c"));
  t.true(matches("a.*", "a.b"));
  t.false(matches("a.*", "a.b.c"));
  t.false(matches("a.*", "a"));
  t.true(matches("a.>", "a.b.c"));
  t.false(matches("a.>", "a"));
  t.false(matches("a.>", "ab.c"));
});
