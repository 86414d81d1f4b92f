// SPDX-License-Identifier: Apache-2.0
// Which of a node's own real servers a session of another node has.
import test from "ava";
import { addressBytes } from "../../src/model.ts";
import type { WeirBackend } from "../../src/node/layout.ts";
import { NativeTable } from "../model/native.ts";
import {
  type Address,
  ESTABLISHED,
  FACTS,
  SHARED,
  type Session,
} from "../model/session.ts";
import { encodeAll } from "../model/wire.ts";

const TCP = 6;
const UDP = 17;
const UNKNOWN = 0xffff;
const NOW = 1000;

const VIP4 = "192.0.2.10";
const VIP6 = "2001:db8::10";
const REAL4 = "10.3.1.2";
const REAL6 = "2001:db8:3::2";

const EXACT = { vport_min: 80, vport_max: 80, rport: 8080, proto: TCP };
const SAME = { vport_min: 53, vport_max: 53, rport: 0, proto: UDP };
const RANGE = { vport_min: 5000, vport_max: 5999, rport: 0, proto: UDP };
const HIGHER = { vport_min: 6000, vport_max: 6099, rport: 0, proto: UDP };
const FIXED = { vport_min: 7000, vport_max: 7999, rport: 77, proto: TCP };
/** Within RANGE: goes before it. */
const WITHIN = { vport_min: 5060, vport_max: 5060, rport: 0, proto: UDP };
const PORTS = [EXACT, SAME, RANGE, HIGHER, FIXED, WITHIN];

/** Each service once for each pair of addresses; `real` counts them. */
const PAIRS = [
  [VIP4, REAL4],
  [VIP6, REAL6],
  [VIP6, REAL4],
  [VIP4, REAL6],
] as const;
const BACKENDS: readonly WeirBackend[] = PAIRS.flatMap(([vip, real], pair) =>
  PORTS.map((ports, i) => ({
    ...ports,
    vaddr: { word: addressBytes(vip) },
    raddr: { word: addressBytes(real) },
    real: pair * PORTS.length + i,
    egress: 0,
  })),
);

type Case = {
  readonly vport: number;
  readonly rport: number;
  readonly proto: number;
  /** Undefined: none. */
  readonly found: (typeof PORTS)[number] | undefined;
};

const CASES: readonly Case[] = [
  { vport: 80, rport: 8080, proto: TCP, found: EXACT },
  { vport: 80, rport: 8080, proto: UDP, found: undefined },
  { vport: 80, rport: 80, proto: TCP, found: undefined },
  { vport: 53, rport: 53, proto: UDP, found: SAME },
  { vport: 53, rport: 54, proto: UDP, found: undefined },
  { vport: 5000, rport: 5000, proto: UDP, found: RANGE },
  { vport: 5999, rport: 5999, proto: UDP, found: RANGE },
  { vport: 5999, rport: 5998, proto: UDP, found: undefined },
  { vport: 6000, rport: 6000, proto: UDP, found: HIGHER },
  { vport: 4999, rport: 4999, proto: UDP, found: undefined },
  { vport: 7500, rport: 77, proto: TCP, found: FIXED },
  { vport: 7500, rport: 7500, proto: TCP, found: undefined },
  { vport: 5060, rport: 5060, proto: UDP, found: WITHIN },
];

function numberOf(address: string): Address {
  return BigInt(`0x${Buffer.from(addressBytes(address)).toString("hex")}`);
}

function session(
  [vip, real]: (typeof PAIRS)[number],
  { vport, rport, proto }: Case,
  generation: number,
): Session {
  const isIpv6 = (address: string) => address.includes(":");
  return {
    key: {
      saddr: numberOf(real),
      daddr: numberOf(isIpv6(real) ? "2001:db8:200::1" : "10.200.0.1"),
      sport: rport,
      dport: generation,
      proto,
    },
    vaddr: numberOf(vip),
    vport,
    caddr: numberOf(isIpv6(vip) ? "2001:db8:c::1" : "198.51.100.1"),
    cport: generation,
    generation: BigInt(generation),
    supersedes: 0n,
    origin: 1,
    state: ESTABLISHED,
    flags: SHARED,
    seen: NOW,
    reset: undefined,
    changed: NOW,
    facts: Array.from({ length: FACTS }, () => undefined),
  };
}

test("weir_merge() gives a session this node's number of its real server", async (t) => {
  const native = new NativeTable();
  try {
    await native.begin(1n, 16, 0);
    await native.useBackends(BACKENDS);
    const asked = PAIRS.flatMap((pair, i) =>
      CASES.map((one) => ({ pair, i, one })),
    );
    const sessions = asked.map(({ pair, one }, i) => session(pair, one, 1 + i));
    const { inserted } = await native.merge(encodeAll(sessions, NOW), NOW, 0);
    t.is(inserted, BigInt(sessions.length));
    const reals = await native.reals();
    for (const [at, { pair, i, one }] of asked.entries()) {
      const { vport, rport, proto, found } = one;
      t.is(
        reals.get(BigInt(1 + at)),
        found ? i * PORTS.length + PORTS.indexOf(found) : UNKNOWN,
        `${pair.join(" ")}: protocol ${proto}, port ${vport} to ${rport}`,
      );
    }
  } finally {
    native.close();
  }
});
