// SPDX-License-Identifier: Apache-2.0
/** The prefixes of a cluster: what `check` says about the aggregates and the pools. */
import {
  contains,
  type Family,
  familyOf,
  formatPrefix,
  networkOf,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../model.ts";
import type { Problem } from "./config-codec.ts";
import {
  type Fact,
  type NodeFacts,
  type PrefixFacts,
  problem,
  type ServiceFacts,
  when,
} from "./config-facts.ts";

/** The last 32 bits of an IPv6 address are what the dataplane counts up. */
const POOL6_LENGTH_MIN = 96;

/** Also what IPv6 keeps for IPv4 and itself, and addresses that mean another machine on each link. */
export const NOT_UNICAST = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "224.0.0.0/3",
  "::/64",
  "fe80::/10",
  "ff00::/8",
].flatMap((text) => parsePrefix(text) ?? []);

export function checkPools(
  aggregate: PrefixFacts,
  nodes: readonly NodeFacts[],
  services: readonly ServiceFacts[],
): readonly Problem[] {
  const pools = nodes.flatMap(({ pool }) => pool.prefixes);
  return [
    ...[aggregate, ...nodes.map(({ pool }) => pool)].flatMap(checkList),
    ...[...aggregate.prefixes, ...pools].flatMap(checkPrefix),
    ...pools.flatMap(checkSize),
    ...pools.flatMap((pool) => checkCovered(pool, aggregate)),
    ...checkOverlaps(pools),
    ...nodes.flatMap(({ pool }) => checkFamilies(pool, services)),
  ];
}

/** One prefix of each family at most, and at least one in all. */
function checkList({
  place,
  prefixes,
  whole,
}: PrefixFacts): readonly Problem[] {
  return [
    ...when(whole && prefixes.length === 0, {
      place,
      value: [],
      message: "has no prefix",
      hint: "write an IPv4 prefix, an IPv6 one, or both",
    }),
    ...prefixes.flatMap((prefix, index) => {
      const first = prefixes
        .slice(0, index)
        .find((one) => familyOfPrefix(one) === familyOfPrefix(prefix));
      return first === undefined
        ? []
        : [
            prefixProblem(
              prefix,
              `stands beside ${formatPrefix(first.value)}, of the same family`,
              "write at most one prefix of each family",
            ),
          ];
    }),
  ];
}

function checkPrefix(one: Fact<Prefix>): readonly Problem[] {
  const network = networkOf(one.value);
  const hostBits = network.address !== one.value.address;
  const unusable = NOT_UNICAST.some((range) => overlaps(range, one.value));
  return [
    ...when(
      hostBits,
      prefixProblem(one, "has host bits set", `write ${formatPrefix(network)}`),
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
}

function checkSize(pool: Fact<Prefix>): readonly Problem[] {
  return when(
    familyOfPrefix(pool) === 6 && pool.value.length < POOL6_LENGTH_MIN,
    prefixProblem(
      pool,
      `is larger than a /${POOL6_LENGTH_MIN}`,
      `use a part of it: /${POOL6_LENGTH_MIN} or longer, such as /112`,
    ),
  );
}

function checkCovered(
  pool: Fact<Prefix>,
  { prefixes, whole }: PrefixFacts,
): readonly Problem[] {
  const family = familyOfPrefix(pool);
  const aggregate = prefixes.find((one) => familyOfPrefix(one) === family);
  if (aggregate === undefined)
    return when(
      whole,
      prefixProblem(
        pool,
        `is IPv${family}, and the aggregate has no IPv${family} prefix`,
        "add one to the aggregate that covers the pools of all nodes",
      ),
    );
  return when(
    !contains(aggregate.value, pool.value),
    prefixProblem(
      pool,
      `is outside ${nameOf(aggregate)}`,
      "when a node goes, replies to its pool follow the aggregate: it must cover every pool",
    ),
  );
}

function checkOverlaps(pools: readonly Fact<Prefix>[]): readonly Problem[] {
  return pools.flatMap((pool, index) =>
    pools
      .slice(0, index)
      // Of one node: said already.
      .filter((earlier) => earlier.name !== pool.name)
      .filter((earlier) => overlaps(earlier.value, pool.value))
      .map((earlier) =>
        prefixProblem(
          pool,
          `overlaps ${nameOf(earlier)}`,
          "two nodes would hand out the same addresses: give each node a pool of its own",
        ),
      ),
  );
}

/** A real server is spoken to from a pool of its own family. */
function checkFamilies(
  { place, prefixes, whole }: PrefixFacts,
  services: readonly ServiceFacts[],
): readonly Problem[] {
  const missing = ([4, 6] as const).filter(
    (family) => !prefixes.some((one) => familyOfPrefix(one) === family),
  );
  return missing.flatMap((family) => {
    const user = services.find(({ serverAddresses }) =>
      serverAddresses.some(({ value }) => familyOf(value) === family),
    );
    return when(whole && prefixes.length > 0 && user !== undefined, {
      place,
      value: prefixes.map(({ value }) => formatPrefix(value)).join(", "),
      message: `has no IPv${family} prefix, and the real servers of ${user?.service.name} speak IPv${family}`,
      hint: `add an IPv${family} prefix, also to the aggregate`,
    });
  });
}

function familyOfPrefix({ value }: Fact<Prefix>): Family {
  return familyOf(value.address);
}

export function prefixProblem(
  fact: Fact<Prefix>,
  message: string,
  hint: string,
): Problem {
  return problem({ ...fact, value: formatPrefix(fact.value) }, message, hint);
}

export function nameOf({ name, value }: Fact<Prefix>): string {
  return `${name}, ${formatPrefix(value)}`;
}
