// SPDX-License-Identifier: Apache-2.0
/**
 * What a config file may still get wrong when each of its values is well formed: how the values fit each other, and the
 * host. Works on drafts, so that a file with a malformed value hears of its other mistakes in the same go.
 */
import {
  contains,
  formatPrefix,
  isAddress,
  networkOf,
  originOf,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../model.ts";
import { checkBus } from "./check-bus.ts";
import type { Problem } from "./config-codec.ts";
import {
  aggregateFact,
  type Fact,
  type NodeFacts,
  nodeFacts,
  problem,
  repeats,
  type ServiceFacts,
  serviceFacts,
  when,
} from "./config-facts.ts";
import type { ConfigDraft } from "./config-schema.ts";
import { suggestion } from "./suggestion.ts";

/** A longer list would leave a server fewer than 16 of a schedule's 16,381 entries. */
export const SERVERS_PER_SERVICE_MAX = 1_000;

const NOT_UNICAST = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"].flatMap(
  (text) => parsePrefix(text) ?? [],
);

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
  const aggregate = aggregateFact(draft);
  const nodes = nodeFacts(draft);
  const services = serviceFacts(draft);
  const pools = nodes.flatMap(({ pool }) => pool);
  const vips = services.flatMap(({ vip }) => vip);
  const hosts = [
    ...nodes.flatMap(({ routerId, listen, neighbors, busAddress }) => [
      ...routerId,
      ...listen,
      ...neighbors,
      ...busAddress.filter(({ value }) => isAddress(value)),
    ]),
    ...services.flatMap(({ serverAddresses }) => serverAddresses),
  ];
  return [
    ...checkPrefixes([...aggregate, ...pools]),
    ...checkPools(pools, aggregate),
    ...checkAddresses([...hosts, ...vips], [...pools, ...aggregate]),
    ...checkVips(vips, hosts),
    ...checkNodes(nodes),
    ...checkBus(draft, nodes),
    ...checkServices(services),
    ...checkSizes(draft),
    ...(host === undefined ? [] : checkHost(host, nodes, pools, aggregate)),
  ];
}

function checkPrefixes(prefixes: readonly Fact<Prefix>[]): readonly Problem[] {
  return prefixes.flatMap((one) => {
    const network = networkOf(one.value);
    const hostBits = network.address !== one.value.address;
    const unusable = NOT_UNICAST.some((range) => overlaps(range, one.value));
    return [
      ...when(
        hostBits,
        prefixProblem(
          one,
          "has host bits set",
          `write ${formatPrefix(network)}`,
        ),
      ),
      ...when(
        unusable,
        prefixProblem(
          one,
          "has addresses that are not unicast",
          "use a prefix that can be routed",
        ),
      ),
    ];
  });
}

function checkPools(
  pools: readonly Fact<Prefix>[],
  aggregate: readonly Fact<Prefix>[],
): readonly Problem[] {
  const outside = aggregate.flatMap((outer) =>
    pools
      .filter((pool) => !contains(outer.value, pool.value))
      .map((pool) =>
        prefixProblem(
          pool,
          `is outside ${nameOf(outer)}`,
          "when a node goes, replies to its pool follow the aggregate: it must cover every pool",
        ),
      ),
  );
  const overlapping = pools.flatMap((pool, index) =>
    pools
      .slice(0, index)
      .filter((earlier) => overlaps(earlier.value, pool.value))
      .map((earlier) =>
        prefixProblem(
          pool,
          `overlaps ${nameOf(earlier)}`,
          "two nodes would hand out the same addresses: give each node a pool of its own",
        ),
      ),
  );
  return [...outside, ...overlapping];
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

function checkNodes(nodes: readonly NodeFacts[]): readonly Problem[] {
  const origins = nodes.map(({ node }) => ({
    ...node,
    value: originOf(node.value),
  }));
  return [
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

function checkServices(services: readonly ServiceFacts[]): readonly Problem[] {
  const names = services.flatMap(({ service: { value, ...rest } }) =>
    value === undefined ? [] : [{ value, ...rest }],
  );
  return [
    ...repeats(names).map(([name]) =>
      problem(
        name,
        "is the name of an earlier service too",
        "rename one of the two",
      ),
    ),
    ...repeats(services.flatMap(({ endpoint }) => endpoint)).map(
      ([endpoint, first]) =>
        problem(
          endpoint,
          `is a duplicate service: ${first.name} has this VIP, port and protocol too`,
          "merge the two, or change one",
        ),
    ),
    ...services
      .flatMap(({ serverEndpoints }) => repeats(serverEndpoints))
      .map(([server]) =>
        problem(
          server,
          "is a duplicate server of this service",
          "remove one of the two, and use weight for more",
        ),
      ),
  ];
}

function checkSizes(draft: ConfigDraft): readonly Problem[] {
  const { nodes, services, limits } = draft ?? {};
  const servers = (services ?? []).map(
    (service) => service?.servers?.length ?? 0,
  );
  const serversTotal = servers.reduce((sum, count) => sum + count, 0);
  const over = (count: number, max: number | undefined): boolean =>
    max !== undefined && count > max;
  return [
    ...when(Object.keys(nodes ?? { some: "unknown" }).length === 0, {
      place: ["nodes"],
      value: {},
      message: "has no node",
      hint: "name at least one",
    }),
    ...Object.entries(nodes ?? {}).flatMap(([name, node]) =>
      when(node?.interfaces?.length === 0, {
        place: ["nodes", name, "interfaces"],
        value: [],
        message: "has no interface",
        hint: "name each interface that carries traffic of clients or servers",
      }),
    ),
    ...servers.flatMap((count, index) =>
      when(count > SERVERS_PER_SERVICE_MAX, {
        place: ["services", index, "servers"],
        value: count,
        message: `has more than ${SERVERS_PER_SERVICE_MAX} servers`,
        hint: "split the service",
      }),
    ),
    ...when(over(services?.length ?? 0, limits?.services), {
      place: ["services"],
      value: services?.length,
      message: `has more services than limits.services allows, ${limits?.services}`,
      hint: "raise limits.services",
    }),
    ...when(over(serversTotal, limits?.real_servers), {
      place: ["services"],
      value: serversTotal,
      message: `has more real servers in all than limits.real_servers allows, ${limits?.real_servers}`,
      hint: "raise limits.real_servers; an address that serves two services counts twice",
    }),
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

function prefixProblem(
  fact: Fact<Prefix>,
  message: string,
  hint: string,
): Problem {
  return problem({ ...fact, value: formatPrefix(fact.value) }, message, hint);
}

function nameOf({ name, value }: Fact<Prefix>): string {
  return `${name}, ${formatPrefix(value)}`;
}
