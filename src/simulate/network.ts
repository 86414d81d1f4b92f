// SPDX-License-Identifier: Apache-2.0
/**
 * The network of a simulation: the node's interfaces as one end of veth pairs, in a network namespace that has nothing
 * else, and what the config's section `simulate` says of it.
 */
import { writeFileSync } from "node:fs";
import { WeirError } from "../errors.ts";
import { formatPrefix, networkOf } from "../model.ts";
import type { ConfigFile } from "../node/config-schema.ts";
import { vlanOf } from "../node/config-simulate.ts";
import { changeIp } from "../node/ip.ts";

export type SimulatedNetwork = NonNullable<
  ConfigFile["nodes"][string]["simulate"]
>;

export type SimulatedInterface = {
  readonly name: string;
  readonly mac: string;
};

/** Of the node's interfaces, followed by a number. Those of the routers that nobody has described have 01 in place of 00. */
const MAC = "02:77:65:00";
const ROUTER_MAC = "02:77:65:01:00:01";
const ROUTER4 = "169.254.0.1";
const ROUTER6 = "fe80::1";

/** The kernel forwards, and takes the addresses as they are given. */
const SETTINGS: readonly (readonly [setting: string, value: string])[] = [
  ["ipv6/conf/all/disable_ipv6", "0"],
  ["ipv6/conf/default/disable_ipv6", "0"],
  ["ipv6/conf/default/accept_dad", "0"],
  ["ipv6/conf/default/accept_ra", "0"],
  ["ipv4/ip_forward", "1"],
  ["ipv6/conf/all/forwarding", "1"],
];

export function interfacesOf(
  names: readonly string[],
): readonly SimulatedInterface[] {
  return names.map((name, index) => ({
    name,
    mac: `${MAC}:${hexByte(index >> 8)}:${hexByte(index & 0xff)}`,
  }));
}

/** Everything is behind one router on the first interface. */
export function defaultNetwork(first: string): SimulatedNetwork {
  const routers = [
    { prefix: { address: "0.0.0.0", length: 0 }, via: ROUTER4 },
    { prefix: { address: "::", length: 0 }, via: ROUTER6 },
  ];
  return {
    addresses: [],
    neighbors: routers.map(({ via }) => ({
      interface: first,
      address: via,
      mac: ROUTER_MAC,
    })),
    routes: routers.map((route) => ({
      ...route,
      interface: first,
      mtu: undefined,
    })),
  };
}

/** As `ip -batch` takes them. The other ends have names that no interface of the node has. */
export function networkLines(
  interfaces: readonly SimulatedInterface[],
  { addresses, neighbors, routes }: SimulatedNetwork,
): readonly string[] {
  const names = new Set(interfaces.map(({ name }) => name));
  let number = 0;
  const freeName = (): string => {
    const name = `far${number++}`;
    return names.has(name) ? freeName() : name;
  };
  return [
    "link set lo up",
    ...interfaces.flatMap(({ name, mac }) => {
      const far = freeName();
      return [
        `link add name ${name} address ${mac} type veth peer name ${far}`,
        `link set dev ${far} up`,
        `link set dev ${name} up`,
      ];
    }),
    ...vlansIn([...addresses, ...neighbors, ...routes], names).flatMap(
      ({ name, parent, id }) => [
        `link add link ${parent} name ${name} type vlan id ${id}`,
        `link set dev ${name} up`,
      ],
    ),
    ...addresses.map(
      (one) => `address add ${formatPrefix(one.address)} dev ${one.interface}`,
    ),
    ...neighbors.map(
      (one) =>
        `neighbour replace ${one.address} lladdr ${one.mac} dev ${one.interface} nud permanent`,
    ),
    ...routes.map(({ prefix, via, mtu, interface: device }) =>
      [
        `route replace ${formatPrefix(networkOf(prefix))}`,
        ...(via === undefined ? [] : [`via ${via}`]),
        `dev ${device}`,
        // The router need not be within one of the addresses.
        ...(via === undefined ? [] : ["onlink"]),
        ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
      ].join(" "),
    ),
  ];
}

/** The VLAN devices that are spoken of. */
function vlansIn(
  places: readonly { readonly interface: string }[],
  interfaces: ReadonlySet<string>,
) {
  return [...new Set(places.map((place) => place.interface))].flatMap(
    (name) => {
      const vlan = interfaces.has(name) ? undefined : vlanOf(name);
      return vlan === undefined ? [] : [{ name, ...vlan }];
    },
  );
}

/** In the network namespace of this process. Rejects with WeirError if the kernel refuses it. */
export async function setUpNetwork(lines: readonly string[]): Promise<void> {
  try {
    for (const [setting, value] of SETTINGS)
      writeFileSync(`/proc/sys/net/${setting}`, value);
  } catch (cause) {
    throw new WeirError(
      `Cannot make the simulated network: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  const { failed, error } = await changeIp(["ip"], lines);
  if (failed.length > 0)
    throw new WeirError(
      `Cannot make the simulated network: ${error.split("\n")[0]}: current value is ip ${failed[0]}`,
    );
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, "0");
}
