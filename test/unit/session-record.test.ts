// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { addressBytes } from "../../src/model.ts";
import * as layout from "../../src/node/layout.ts";
import type { SessionNames } from "../../src/node/session-record.ts";
import { readSession } from "../../src/node/session-record.ts";
import { msOf } from "../../src/node/words.ts";

const NOW = 1_000_000;
const NAMES: SessionNames = {
  service: (real) => (real === 3 ? "web" : ""),
  origin: (number) => (number === 0xd1 ? "d1" : number.toString(16)),
  timeouts: () => ({
    handshakeMs: 60_000,
    establishedMs: 900_000,
    closedMs: 40_000,
    resetMs: 10_000,
  }),
};

test("readSession() names the four ends of a session", (t) => {
  t.like(readSession(record({}), NAMES, BigInt(NOW)), {
    client: { address: "10.10.1.2", port: 40000 },
    virtual: { address: "192.0.2.10", port: 80 },
    local: { address: "10.200.0.1", port: 1024 },
    real: { address: "10.3.1.2", port: 8080 },
    protocol: "tcp",
    service: "web",
    origin: "d1",
    generation: 7n,
  });
});

test("readSession() reads a wide record, whose IPv4 addresses are mapped", (t) => {
  const { head, truth } = record({});
  const { key, ...entry } = truth.entry;
  const address = (text: string) => ({ word: addressBytes(text) });
  const wide: layout.WeirRecord6 = {
    head,
    truth: {
      ...truth,
      entry: {
        ...entry,
        key: {
          ...key,
          saddr: address("10.3.1.2"),
          daddr: address("10.200.0.1"),
        },
        new_saddr: address("2001:db8::10"),
        new_daddr: address("2001:db8:1::2"),
      },
    },
  };
  t.like(readSession(wide, NAMES, BigInt(NOW)), {
    client: { address: "2001:db8:1::2", port: 40000 },
    virtual: { address: "2001:db8::10", port: 80 },
    local: { address: "10.200.0.1", port: 1024 },
    real: { address: "10.3.1.2", port: 8080 },
    service: "web",
    state: "established",
  });
});

test("readSession() calls a UDP session unanswered before it is established", (t) => {
  const udp = (state: number) => {
    const one = record({ state });
    const { entry } = one.truth;
    const key = { ...entry.key, proto: 17 };
    const truth = { ...one.truth, entry: { ...entry, key } };
    return readSession({ ...one, truth }, NAMES, BigInt(NOW));
  };
  const fresh = udp(layout.WEIR_SYN);
  t.like(fresh, { protocol: "udp", state: "unanswered" });
  t.is(fresh.expiresInMs, 60_000 * 1.25 + msOf(5 * 954));
  t.is(udp(layout.WEIR_ESTABLISHED).state, "established");
});

test("readSession() reads state and flags from the head", (t) => {
  const states = [
    [layout.WEIR_SYN, "syn"],
    [layout.WEIR_SYNACK, "synack"],
    [layout.WEIR_ESTABLISHED, "established"],
    [layout.WEIR_FIN_ONE, "finOne"],
    [layout.WEIR_FIN_BOTH, "finBoth"],
  ] as const;
  for (const [code, state] of states)
    t.is(readSession(record({ state: code }), NAMES, BigInt(NOW)).state, state);
  const flags = layout.WEIR_FLAG_FIN_CLIENT | layout.WEIR_FLAG_FIN_REAL;
  t.deepEqual(readSession(record({ flags }), NAMES, BigInt(NOW)).flags, [
    "clientFin",
    "realFin",
  ]);
});

test("readSession() says how long a silent session stays", (t) => {
  const idle = 954 * 10;
  const session = readSession(record({ seen: NOW - idle }), NAMES, BigInt(NOW));
  t.is(session.idleMs, msOf(idle));
  t.is(session.expiresInMs, 900_000 * 1.25 + msOf(5 * 954) - msOf(idle));

  const old = readSession(record({ seen: 1 }), NAMES, 0x7fff_0000n);
  t.is(old.expiresInMs, 0, "a session that should be gone expires in the past");
});

test("readSession() takes a RST for void if data came after its grace", (t) => {
  const reset = NOW - 5000;
  const grace = layout.WEIR_RESET_GRACE_TICKS;
  const dying = record({ reset, seen: reset + grace });
  t.deepEqual(readSession(dying, NAMES, BigInt(NOW)).flags, ["reset"]);
  const restored = record({ reset, seen: reset + grace + 1 });
  t.deepEqual(readSession(restored, NAMES, BigInt(NOW)).flags, []);
});

test("readSession() follows the clock past 32 bits, and packets past the clock", (t) => {
  const wrapped = record({ seen: 0xffff_fff0 });
  t.is(readSession(wrapped, NAMES, 0x1_0000_0010n).idleMs, msOf(0x20));
  t.is(readSession(record({ seen: NOW + 1 }), NAMES, BigInt(NOW)).idleMs, 0);
});

function record({
  state = layout.WEIR_ESTABLISHED,
  flags = 0,
  seen = NOW,
  reset = 0,
}: {
  readonly state?: number;
  readonly flags?: number;
  readonly seen?: number;
  readonly reset?: number;
}): layout.WeirRecord4 {
  return {
    head: (0xabcdn << 48n) | (5n << 24n) | BigInt((flags << 8) | state),
    truth: {
      entry: {
        key: {
          saddr: 0x0a030102,
          daddr: 0x0ac80001,
          sport: 8080,
          dport: 1024,
          proto: 6,
        },
        generation: 7n,
        new_saddr: 0xc000020a,
        new_daddr: 0x0a0a0102,
        new_sport: 80,
        new_dport: 40000,
        l3_delta: 0,
        l4_delta: 0,
        sequence_fact: 0n,
        timestamp_fact: 0n,
        seen,
        egress: 2,
        real: 3,
      },
      supersedes: 0n,
      origin: 0xd1,
      reset,
      client_isn_fact: 0n,
      real_isn_fact: 0n,
      client_fin_fact: 0n,
      real_fin_fact: 0n,
      options_fact: 0n,
      changed: seen,
      synced: seen,
    },
  };
}
