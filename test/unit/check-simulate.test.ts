// SPDX-License-Identifier: Apache-2.0
// What a config may get wrong about the network of a simulation.
import test from "ava";
import { isLeft } from "fp-ts/lib/Either.js";
import { decodeConfig } from "../../src/node/config.ts";
import { errorsOf, MINIMAL } from "./config-file.ts";

/** MINIMAL with a section of these lines. */
function withNetwork(...lines: readonly string[]): string {
  return MINIMAL.replace(
    "services:\n",
    `    simulate:\n${lines.map((line) => `      ${line}\n`).join("")}services:\n`,
  );
}

const ROUTES =
  "routes: [{ prefix: 0.0.0.0/0, interface: eth1, via: 10.1.1.1 }]";

test("decodeConfig() reads a network", (t) => {
  const decoded = decodeConfig(
    withNetwork(
      "addresses: [{ interface: eth1, address: 10.1.1.2/24 }]",
      "neighbors: [{ interface: eth1, address: 2001:DB8::1, mac: 02:00:00:00:00:AB }]",
      "routes: [{ prefix: 10.3.0.0/16, interface: eth1, mtu: 1400 }]",
    ),
  );
  t.deepEqual(
    isLeft(decoded) ? decoded.left : decoded.right.nodes["d1"]?.simulate,
    {
      addresses: [
        { interface: "eth1", address: { address: "10.1.1.2", length: 24 } },
      ],
      neighbors: [
        { interface: "eth1", address: "2001:db8::1", mac: "02:00:00:00:00:ab" },
      ],
      routes: [
        {
          prefix: { address: "10.3.0.0", length: 16 },
          interface: "eth1",
          via: undefined,
          mtu: 1_400,
        },
      ],
    },
  );
});

test("decodeConfig() takes a network of routes alone, and VLANs", (t) => {
  t.deepEqual(errorsOf(withNetwork(ROUTES)), []);
  t.deepEqual(errorsOf(withNetwork(ROUTES.replace("eth1", "eth1.7"))), []);
});

const UNSOUND: Readonly<
  Record<string, readonly [lines: readonly string[], ...string[]]>
> = {
  "no routes": [["addresses: []"], "nodes.d1.simulate.routes: is missing"],
  "an interface of nobody": [
    [
      ROUTES,
      "neighbors: [{ interface: eth2, address: 10.1.1.1, mac: 02:00:00:00:00:01 }]",
    ],
    "nodes.d1.simulate.neighbors[0].interface: is not an interface of d1, nor a VLAN on one",
  ],
  "a VLAN on an interface of nobody": [
    ["routes: [{ prefix: 0.0.0.0/0, interface: eth2.7 }]"],
    "nodes.d1.simulate.routes[0].interface: is not an interface of d1, nor a VLAN on one",
  ],
  "a VLAN that is none": [
    ["routes: [{ prefix: 0.0.0.0/0, interface: eth1.4095 }]"],
    "nodes.d1.simulate.routes[0].interface: is not an interface of d1, nor a VLAN on one",
  ],
  "an address of a group of interfaces": [
    [
      ROUTES,
      "neighbors: [{ interface: eth1, address: 10.1.1.1, mac: 01:00:5e:00:00:01 }]",
    ],
    "nodes.d1.simulate.neighbors[0].mac: is not a MAC address",
  ],
  "an address without a length": [
    [ROUTES, "addresses: [{ interface: eth1, address: 10.1.1.2 }]"],
    "nodes.d1.simulate.addresses[0].address: is not an address and a length",
  ],
  "an address within the pool": [
    [ROUTES, "addresses: [{ interface: eth1, address: 10.200.0.1/24 }]"],
    "nodes.d1.simulate.addresses[0].address: is within the pool of d1, 10.200.0.0/28",
  ],
  "a VIP as an address": [
    [ROUTES, "addresses: [{ interface: eth1, address: 192.0.2.10/32 }]"],
    "services[0].vip: is also a simulated address of d1",
  ],
  "a router of the other family": [
    ['routes: [{ prefix: "::/0", interface: eth1, via: 10.1.1.1 }]'],
    "nodes.d1.simulate.routes[0].via: is of another address family than the route",
  ],
  "two routes for one prefix": [
    [
      "routes:",
      "  - { prefix: 10.3.0.0/16, interface: eth1 }",
      "  - { prefix: 10.3.1.0/16, interface: eth1, via: 10.1.1.1 }",
    ],
    "nodes.d1.simulate.routes[1].prefix: stands in this list twice",
  ],
};

for (const [what, [lines, ...expected]] of Object.entries(UNSOUND))
  test(`decodeConfig() refuses ${what}`, (t) => {
    t.deepEqual(
      errorsOf(withNetwork(...lines)).map(
        ({ path, message }) => `${path}: ${message}`,
      ),
      expected,
    );
  });
