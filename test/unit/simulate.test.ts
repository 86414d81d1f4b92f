// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import type { Counters } from "../../src/node/dataplane.ts";
import { weirCounters } from "../../src/node/layout.ts";
import { decode } from "../../src/node/struct.ts";
import {
  defaultNetwork,
  interfacesOf,
  networkLines,
} from "../../src/simulate/network.ts";
import { outcomeOf, verdictOf } from "../../src/simulate/verdict.ts";

const ZERO: Counters = decode(weirCounters, new Uint8Array(weirCounters.size));

test("outcomeOf() is the one outcome that was counted, beside events", (t) => {
  const after = {
    ...ZERO,
    received: 1n,
    forwarded: 1n,
    session_created: 1n,
    lport_probe: 3n,
  };
  t.is(outcomeOf(ZERO, after), "forwarded");
  t.is(
    outcomeOf(after, { ...after, received: 2n, drop_ttl: 1n, icmp_sent: 1n }),
    "drop_ttl",
  );
});

test("outcomeOf() throws for none, and for two", (t) => {
  t.throws(() => outcomeOf(ZERO, { ...ZERO, received: 1n }), {
    instanceOf: RangeError,
  });
  t.throws(() => outcomeOf(ZERO, { ...ZERO, forwarded: 1n, drop_ttl: 1n }), {
    instanceOf: RangeError,
    message: /forwarded, drop_ttl/,
  });
});

for (const [counter, xdp, verdict] of [
  ["forwarded", "redirect", "forward"],
  ["forwarded", "tx", "forward"],
  ["passed_foreign", "pass", "pass"],
  ["passed_too_big", "pass", "pass"],
  ["drop_ttl", "drop", "drop"],
  ["drop_ttl", "redirect", "answer"],
  ["answered_echo", "redirect", "answer"],
] as const)
  test(`verdictOf() says ${verdict} of ${counter} with XDP's ${xdp}`, (t) => {
    t.is(verdictOf(counter, { verdict: xdp }), verdict);
  });

test("networkLines() makes the interfaces, and all that is behind them", (t) => {
  const lines = networkLines(interfacesOf(["eth1", "far1"]), {
    addresses: [
      { interface: "eth1", address: { address: "10.1.1.2", length: 24 } },
    ],
    neighbors: [
      { interface: "eth1.7", address: "fe80::1", mac: "02:00:00:00:01:01" },
    ],
    routes: [
      {
        prefix: { address: "10.3.0.9", length: 16 },
        interface: "far1",
        via: "10.1.2.1",
        mtu: 1_400,
      },
      {
        prefix: { address: "2001:db8:3::", length: 48 },
        interface: "eth1.7",
        via: undefined,
        mtu: undefined,
      },
    ],
  });
  t.deepEqual(lines, [
    "link set lo up",
    "link add name eth1 address 02:77:65:00:00:00 type veth peer name far0",
    "link set dev far0 up",
    "link set dev eth1 up",
    "link add name far1 address 02:77:65:00:00:01 type veth peer name far2",
    "link set dev far2 up",
    "link set dev far1 up",
    "link add link eth1 name eth1.7 type vlan id 7",
    "link set dev eth1.7 up",
    "address add 10.1.1.2/24 dev eth1",
    "neighbour replace fe80::1 lladdr 02:00:00:00:01:01 dev eth1.7 nud permanent",
    "route replace 10.3.0.0/16 via 10.1.2.1 dev far1 onlink mtu 1400",
    "route replace 2001:db8:3::/48 dev eth1.7",
  ]);
});

test("defaultNetwork() has a default route of each family, to a known MAC", (t) => {
  const lines = networkLines([], defaultNetwork("eth1"));
  t.deepEqual(lines.slice(1), [
    "neighbour replace 169.254.0.1 lladdr 02:77:65:01:00:01 dev eth1 nud permanent",
    "neighbour replace fe80::1 lladdr 02:77:65:01:00:01 dev eth1 nud permanent",
    "route replace 0.0.0.0/0 via 169.254.0.1 dev eth1 onlink",
    "route replace ::/0 via fe80::1 dev eth1 onlink",
  ]);
});
