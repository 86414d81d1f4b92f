// SPDX-License-Identifier: Apache-2.0
/** A node's section `simulate`: what the kernel of a simulation is told beside the names of the node's interfaces. */
import { parsePrefix, type Prefix } from "../model.ts";
import { Leaf, Maybe, Optional } from "./config-codec.ts";
import { Fields, List } from "./config-containers.ts";
import { address, interfaceName, whole } from "./config-values.ts";

/** IPv6's least MTU, and IPv4's largest packet. */
const MTU_MIN = 1_280;
const MTU_MAX = 65_535;
/** IEEE 802.1Q: 0 and 4095 have other meanings. */
const VLAN_MAX = 4_094;

const onePrefix = new Leaf<Prefix>(
  "an address and a length",
  "an address and a length, such as 10.1.1.2/24 or ::/0",
  (input) => (typeof input === "string" ? parsePrefix(input) : undefined),
);
/** Of one interface: the first bit of a group address is set. */
const mac = new Leaf(
  "a MAC address",
  "six hexadecimal bytes, the first one even, such as 02:00:00:00:00:01",
  (input) =>
    typeof input === "string" &&
    /^[\da-f][02468ace](:[\da-f]{2}){5}$/i.test(input)
      ? input.toLowerCase()
      : undefined,
);

const ownAddress = new Fields("a mapping", {
  interface: interfaceName,
  address: onePrefix,
});

const neighbor = new Fields("a mapping", {
  interface: interfaceName,
  address,
  mac,
});

const route = new Fields("a mapping", {
  prefix: onePrefix,
  interface: interfaceName,
  via: new Maybe(address),
  mtu: new Maybe(whole("an MTU", MTU_MIN, MTU_MAX)),
});

export const simulate = new Fields("a mapping", {
  addresses: new Optional(new List("a list of addresses", ownAddress), []),
  neighbors: new Optional(new List("a list of neighbors", neighbor), []),
  routes: new List("a list of routes", route),
});

/** What `eth1.7` names: VLAN 7 on eth1. Undefined for a name of another form. */
export function vlanOf(
  name: string,
): { readonly parent: string; readonly id: number } | undefined {
  const [, parent, digits] = /^(.+)\.([1-9]\d{0,3})$/.exec(name) ?? [];
  const id = Number(digits);
  return parent === undefined || id > VLAN_MAX ? undefined : { parent, id };
}
