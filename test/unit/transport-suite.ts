// SPDX-License-Identifier: Apache-2.0
/** What each `Transport` must do, whatever carries it: one suite, to be run on each implementation. */
import type { ExecutionContext, TestFn } from "ava";
import { setTimeout as delay } from "node:timers/promises";
import { SyncError } from "../../src/errors.ts";
import type { SyncErrorReason } from "../../src/errors.ts";
import type { Transport, TransportCounters } from "../../src/sync/transport.ts";

export type CountedTransport = Transport & {
  readonly counters: TransportCounters;
};

export interface TransportRig {
  /** The transports of two nodes, which are up. What they lose or gain by cut() and restore() is theirs alone. */
  pair(): Promise<readonly [CountedTransport, CountedTransport]>;
  /** The first node's transport loses its connection; resolves when it may take a moment to notice. */
  cutFirst(): Promise<void>;
  restoreFirst(): Promise<void>;
}

const LIMIT_MS = 10_000;
const POLL_MS = 2;
let subjects = 0;

/** Resolves, with the milliseconds that it took, as soon as that is so. */
export async function until(
  what: string,
  isSo: () => boolean,
  limitMs = LIMIT_MS,
): Promise<number> {
  const start = performance.now();
  while (!isSo()) {
    if (performance.now() - start > limitMs)
      throw new Error(`Not within ${limitMs} ms: ${what}`);
    await delay(POLL_MS);
  }
  return performance.now() - start;
}

/** A subject that no other test uses. */
export function freshSubject(): string {
  return `weir.suite.${process.pid}-${subjects++}`;
}

/** Resolves when what `from` publishes reaches all that `to` has subscribed before: news of that take a moment. */
export async function linked(from: Transport, to: Transport): Promise<void> {
  const subject = freshSubject();
  let heard = false;
  const end = to.subscribe(subject, () => (heard = true));
  await until("a message goes from one node to the other", () => {
    from.publish(subject, new Uint8Array());
    return heard;
  });
  end();
}

/** Collects the first byte of each message. */
function listen(transport: Transport, subject: string) {
  const bytes: (number | undefined)[] = [];
  const end = transport.subscribe(subject, ({ data }) => bytes.push(data[0]));
  return { bytes, end };
}

export async function fails(
  t: ExecutionContext,
  request: Promise<unknown>,
  reason: SyncErrorReason,
): Promise<void> {
  const error = await t.throwsAsync(request, { instanceOf: SyncError });
  t.is(error.reason, reason, error.message);
}

export function transportSuite(test: TestFn, rig: TransportRig): void {
  test.serial("publish() reaches others, not its own node", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const own = listen(a, subject);
    const one = listen(b, subject);
    const two = listen(b, subject);
    await linked(a, b);
    await linked(b, a);
    const { sent } = a.counters;
    t.true(a.publish(subject, Uint8Array.of(7)));
    t.true(b.publish(subject, Uint8Array.of(8)));
    await until("both have got the other's message", () =>
      [own, one, two].every(({ bytes }) => bytes.length > 0),
    );
    t.deepEqual(
      [own.bytes, one.bytes, two.bytes],
      [[8], [7], [7]],
      "a message came twice, or to its own node",
    );
    t.is(a.counters.sent - sent, 1, "the message was not counted");
    t.true(b.counters.received > 0, "what arrived was not counted");
  });

  test.serial("publish() keeps the order, and each buffer", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const { bytes } = listen(b, subject);
    await linked(a, b);
    const sent = Array.from({ length: 1000 }, (_, i) => i % 251);
    for (const byte of sent) a.publish(subject, Uint8Array.of(byte));
    await until("all have arrived", () => bytes.length >= sent.length);
    t.deepEqual(bytes, sent, "messages were mixed up");
    await until("nothing is pending any more", () => a.pending === 0);
  });

  test.serial("subscribe() understands .* and .> at the end", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const words = listen(b, `${subject}.*`);
    const tails = listen(b, `${subject}.>`);
    await linked(a, b);
    const names = ["", ".x", ".x.y", ".x.y.z", "x"];
    for (const [i, name] of names.entries())
      a.publish(subject + name, Uint8Array.of(i));
    await linked(a, b);
    t.deepEqual(words.bytes, [1], "a single word is .x alone");
    t.deepEqual(tails.bytes, [1, 2, 3], "a tail has at least one word");
  });

  test.serial("subscribe() returns the end of it", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const { bytes, end } = listen(b, subject);
    await linked(a, b);
    end();
    a.publish(subject, Uint8Array.of(1));
    await linked(a, b);
    t.deepEqual(bytes, [], "a message came after the end");
  });

  test.serial("publish() refuses what is too large", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    let length = 0;
    b.subscribe(subject, ({ data }) => (length = data.length));
    await linked(a, b);
    t.false(a.publish(subject, new Uint8Array(a.maxPayload + 1)));
    t.is(a.counters.refusedSize, 1, "the refusal was not counted");
    t.true(a.publish(subject, new Uint8Array(a.maxPayload)));
    await until("the largest message has arrived", () => length > 0);
    t.is(length, a.maxPayload);
    await fails(
      t,
      a.request(subject, new Uint8Array(a.maxPayload + 1), { timeoutMs: 100 }),
      "refused",
    );
  });

  test.serial("request() gets the answer", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    b.subscribe(`${subject}.*`, ({ data, respond }) =>
      respond?.(Uint8Array.of((data[0] ?? 0) + 1)),
    );
    let plain: boolean | undefined;
    b.subscribe(
      `${subject}.plain`,
      ({ respond }) => (plain = respond === undefined),
    );
    await linked(a, b);
    const answers = await Promise.all(
      [1, 2, 3].map((byte) =>
        a.request(`${subject}.x`, Uint8Array.of(byte), { timeoutMs: LIMIT_MS }),
      ),
    );
    t.deepEqual(
      answers.map(([byte]) => byte),
      [2, 3, 4],
    );
    a.publish(`${subject}.plain`, Uint8Array.of(1));
    await until("the message has arrived", () => plain !== undefined);
    t.true(plain, "a message that is no request can be answered");
  });

  test.serial("request() fails when nobody listens", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const request = () =>
      a.request(subject, new Uint8Array(1), { timeoutMs: LIMIT_MS });
    await fails(t, request(), "noResponder");
    a.subscribe(subject, ({ respond }) => respond?.(new Uint8Array(1)));
    await linked(b, a);
    await fails(t, request(), "noResponder");
  });

  test.serial("request() fails when no answer comes in time", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    b.subscribe(subject, () => {});
    await linked(a, b);
    await fails(
      t,
      a.request(subject, new Uint8Array(1), { timeoutMs: 50 }),
      "timeout",
    );
  });

  test.serial("publish() and request() fail while down", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const states: string[] = [];
    const end = a.onState((state) => states.push(state));
    const { bytes } = listen(a, subject);
    b.subscribe(subject, () => {});
    await linked(a, b);
    const waiting = a.request(subject, new Uint8Array(1), {
      timeoutMs: LIMIT_MS,
    });
    await Promise.all([fails(t, waiting, "down"), rig.cutFirst()]);
    await until("the node has noticed", () => a.state === "down");
    const { refusedDown } = a.counters;
    t.false(a.publish(subject, Uint8Array.of(1)), "it seems to be sent");
    t.is(a.counters.refusedDown - refusedDown, 1, "it was not counted");
    t.is(a.pending, 0, "something waits for a connection that is gone");
    await fails(
      t,
      a.request(subject, new Uint8Array(1), { timeoutMs: LIMIT_MS }),
      "down",
    );

    await rig.restoreFirst();
    await until("the node has a connection again", () => a.state === "up");
    t.deepEqual(states, ["down", "up"], "the listener was told something else");
    t.is(a.counters.losses, 1, "the loss was not counted");
    await linked(b, a);
    b.publish(subject, Uint8Array.of(5));
    await until("the subscription lives again", () => bytes.length > 0);
    end();
  });

  test.serial("close() ends all that is under way", async (t) => {
    const [a, b] = await rig.pair();
    const subject = freshSubject();
    const { bytes } = listen(b, subject);
    await linked(a, b);
    t.true(a.publish(subject, Uint8Array.of(1)));
    await a.close();
    await until("what was published before has arrived", () => bytes[0] === 1);
    t.is(a.state, "down");
    t.false(a.publish(subject, Uint8Array.of(2)));
    await fails(
      t,
      a.request(subject, new Uint8Array(1), { timeoutMs: LIMIT_MS }),
      "down",
    );
    await a.close();
  });
}
