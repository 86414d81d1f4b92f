// SPDX-License-Identifier: Apache-2.0
/**
 * What a config file may still get wrong when each of its values is well formed: how the values fit each other, and the
 * host. Works on drafts, so that a file with a malformed value hears of its other mistakes in the same go.
 */
import { contains, originOf, type Prefix } from "../model.ts";
import { checkBus } from "./check-bus.ts";
import {
  checkPools,
  nameOf,
  NOT_UNICAST,
  prefixProblem,
} from "./check-pools.ts";
import { checkServices } from "./check-services.ts";
import { checkSimulate, simulatedAddresses } from "./check-simulate.ts";
import type { Problem } from "./config-codec.ts";
import {
  aggregateFacts,
  type Fact,
  type NodeFacts,
  nodeFacts,
  problem,
  repeats,
  serviceFacts,
  when,
} from "./config-facts.ts";
import type { ConfigDraft } from "./config-schema.ts";
import { suggestion } from "./suggestion.ts";

export { SERVERS_PER_SERVICE_MAX } from "./check-services.ts";

/** The machine that the check runs on. */
export type Host = {
  readonly addresses: readonly {
    readonly interface: string;
    readonly address: string;
  }[];
  /** The node that this machine is. Without it, the machine may have nothing to do with the cluster. */
  readonly node?: string;
};

/** All that does not fit; empty if the draft, or what there is of it, is sound. */
export function checkDraft(
  draft: ConfigDraft,
  host?: Host,
): readonly Problem[] {
  const aggregate = aggregateFacts(draft);
  const nodes = nodeFacts(draft);
  const services = serviceFacts(draft);
  const pools = nodes.flatMap(({ pool }) => pool.prefixes);
  const vips = services.flatMap(({ vip }) => vip);
  const hosts = [
    ...nodes.flatMap(({ routerId, listen, neighbors, busAddress }) => [
      ...routerId,
      ...listen,
      ...neighbors,
      ...busAddress,
    ]),
    ...services.flatMap(({ serverAddresses }) => serverAddresses),
    ...simulatedAddresses(draft),
  ];
  return [
    ...checkPools(aggregate, nodes, services),
    ...checkAddresses([...hosts, ...vips], [...pools, ...aggregate.prefixes]),
    ...checkVips(vips, hosts),
    ...checkNodes(draft, nodes),
    ...checkBus(draft, nodes),
    ...checkServices(draft, services),
    ...checkSimulate(draft),
    ...(host === undefined
      ? []
      : checkHost(host, nodes, pools, aggregate.prefixes)),
  ];
}

/** `ours`: the pools and the aggregate. */
function checkAddresses(
  addresses: readonly Fact<string>[],
  ours: readonly Fact<Prefix>[],
): readonly Problem[] {
  return addresses.flatMap((address) => {
    const unusable = NOT_UNICAST.some((range) =>
      contains(range, address.value),
    );
    const owner = ours.find((prefix) => contains(prefix.value, address.value));
    return [
      ...when(
        unusable,
        problem(
          address,
          "is not a unicast address",
          "use an address that can be routed",
        ),
      ),
      ...when(
        owner !== undefined,
        problem(
          address,
          `is within ${owner && nameOf(owner)}`,
          "what reaches a pool or the aggregate is never given to a machine: use an address outside",
        ),
      ),
    ];
  });
}

function checkVips(
  vips: readonly Fact<string>[],
  hosts: readonly Fact<string>[],
): readonly Problem[] {
  const hostOf = new Map(hosts.map((host) => [host.value, host]));
  return vips.flatMap((vip) => {
    const host = hostOf.get(vip.value);
    return when(
      host !== undefined,
      problem(
        vip,
        `is also ${host?.name}`,
        "what reaches a VIP is never given to a machine: use an address of its own",
      ),
    );
  });
}

function checkNodes(
  draft: ConfigDraft,
  nodes: readonly NodeFacts[],
): readonly Problem[] {
  const origins = nodes.map(({ node }) => ({
    ...node,
    value: originOf(node.value),
  }));
  return [
    ...when(draft?.nodes !== undefined && nodes.length === 0, {
      place: ["nodes"],
      value: {},
      message: "has no node",
      hint: "name at least one",
    }),
    ...Object.entries(draft?.nodes ?? {}).flatMap(([name, node]) =>
      when(node?.interfaces?.length === 0, {
        place: ["nodes", name, "interfaces"],
        value: [],
        message: "has no interface",
        hint: "name each interface that carries traffic of clients or servers",
      }),
    ),
    ...repeats(origins).map(([node, first]) => ({
      ...problem(
        node,
        `has the origin number of ${first.name}, ${node.value}`,
        "numbers are made of names: rename one of the two",
      ),
      value: node.place.at(-1),
    })),
    ...repeats(nodes.flatMap(({ routerId }) => routerId)).map(
      ([routerId, first]) =>
        problem(
          routerId,
          `is also ${first.name}`,
          "give each node its own router_id",
        ),
    ),
    ...nodes
      .flatMap(({ listen, neighbors, interfaces }) => [
        listen,
        neighbors,
        interfaces,
      ])
      .flatMap(repeats)
      .map(([one]) =>
        problem(one, "stands in this list twice", "remove one of the two"),
      ),
  ];
}

/** A director must not have an address of its own within what the dataplane takes for itself. */
function checkHost(
  host: Host,
  nodes: readonly NodeFacts[],
  pools: readonly Fact<Prefix>[],
  aggregate: readonly Fact<Prefix>[],
): readonly Problem[] {
  const names = nodes.map(({ node }) => node.value);
  const unknown = host.node !== undefined && !names.includes(host.node);
  const ours = [...pools, ...(host.node === undefined ? [] : aggregate)];
  return [
    ...when(unknown, {
      place: ["nodes"],
      value: host.node,
      message: `has no node of the name ${host.node}`,
      hint:
        suggestion(host.node, names) ??
        `the nodes of this file: ${names.join(", ")}`,
    }),
    ...host.addresses.flatMap(({ interface: device, address }) => {
      const owner = ours.find((prefix) => contains(prefix.value, address));
      return owner === undefined
        ? []
        : [
            prefixProblem(
              owner,
              `contains ${address}, an address of this machine's ${device}`,
              "what reaches a pool is never given to the kernel: move one of the two",
            ),
          ];
    }),
  ];
}
