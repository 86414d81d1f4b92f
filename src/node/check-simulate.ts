// SPDX-License-Identifier: Apache-2.0
/** How the section `simulate` of a node must fit the rest of the file. */
import { familyOf, formatPrefix, networkOf, type Prefix } from "../model.ts";
import type { Place, Problem } from "./config-codec.ts";
import { type Fact, problem, repeats, when } from "./config-facts.ts";
import { vlanOf } from "./config-simulate.ts";
import type { ConfigDraft } from "./config-schema.ts";

/** The addresses that a simulation gives to interfaces: like all hosts' ones, they are no VIPs, and in no pool. */
export function simulatedAddresses(
  draft: ConfigDraft,
): readonly Fact<string>[] {
  return nodesOf(draft).flatMap(({ name, at, simulate }) =>
    (simulate.addresses ?? []).flatMap((one, index) =>
      one?.address === undefined
        ? []
        : [
            {
              value: one.address.address,
              place: at("addresses", index, "address"),
              name: `a simulated address of ${name}`,
            },
          ],
    ),
  );
}

export function checkSimulate(draft: ConfigDraft): readonly Problem[] {
  return nodesOf(draft).flatMap(({ name, interfaces, at, simulate }) => [
    ...(["addresses", "neighbors", "routes"] as const).flatMap((list) =>
      (simulate[list] ?? []).flatMap((one, index) =>
        when(isElsewhere(one?.interface, interfaces), {
          place: at(list, index, "interface"),
          value: one?.interface,
          message: `is not an interface of ${name}, nor a VLAN on one`,
          hint: `write one of: ${interfaces?.join(", ")}; or such as ${interfaces?.[0]}.7`,
        }),
      ),
    ),
    ...(simulate.routes ?? []).flatMap((route, index) =>
      when(isMixed(route?.prefix, route?.via), {
        place: at("routes", index, "via"),
        value: route?.via,
        message: "is of another address family than the route",
        hint: "write a router's address of the prefix's own family",
      }),
    ),
    ...repeats(
      (simulate.routes ?? []).flatMap((route, index) =>
        route?.prefix === undefined
          ? []
          : [
              {
                value: formatPrefix(networkOf(route.prefix)),
                place: at("routes", index, "prefix"),
                name: "a route",
              },
            ],
      ),
    ).map(([one]) =>
      problem(one, "stands in this list twice", "remove one of the two"),
    ),
  ]);
}

function isElsewhere(
  device: string | undefined,
  interfaces: readonly (string | undefined)[] | undefined,
): boolean {
  return (
    device !== undefined &&
    interfaces !== undefined &&
    !interfaces.includes(device) &&
    !interfaces.includes(vlanOf(device)?.parent ?? device)
  );
}

function isMixed(prefix: Prefix | undefined, via: string | undefined): boolean {
  return (
    prefix !== undefined &&
    via !== undefined &&
    familyOf(prefix.address) !== familyOf(via)
  );
}

/** The nodes that have the section. */
function nodesOf(draft: ConfigDraft) {
  return Object.entries(draft?.nodes ?? {}).flatMap(([name, node]) =>
    node?.simulate === undefined
      ? []
      : [
          {
            name,
            interfaces: node.interfaces,
            simulate: node.simulate,
            at: (...rest: Place): Place => ["nodes", name, "simulate", ...rest],
          },
        ],
  );
}
