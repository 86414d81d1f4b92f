// SPDX-License-Identifier: Apache-2.0
/** How the nodes reach each other: what `check` says about the bus. */
import type { Problem } from "./config-codec.ts";
import { type NodeFacts, problem, repeats, when } from "./config-facts.ts";
import type { ConfigDraft } from "./config-schema.ts";

export function checkBus(
  draft: ConfigDraft,
  nodes: readonly NodeFacts[],
): readonly Problem[] {
  return [
    ...checkPresence(draft),
    ...checkPorts(draft),
    ...repeats(nodes.flatMap(({ busAddress }) => busAddress)).map(
      ([address, first]) =>
        problem(
          address,
          `is also ${first.name}`,
          "give each node's bus an address of its own",
        ),
    ),
    ...repeats(
      (draft?.bus?.servers ?? []).flatMap((value, index) =>
        value === undefined
          ? []
          : [{ value, place: ["bus", "servers", index], name: "a server" }],
      ),
    ).map(([url]) =>
      problem(url, "stands in this list twice", "remove one of the two"),
    ),
  ];
}

/** Each node has a bus of its own, or none. Servers that others run take the place of all of them. */
function checkPresence(draft: ConfigDraft): readonly Problem[] {
  if (draft?.bus?.servers?.length !== 0) return [];
  const nodes = Object.entries(draft.nodes ?? {}).flatMap(([name, node]) =>
    node === undefined ? [] : [{ name, hasBus: node.bus !== undefined }],
  );
  const having = nodes.filter(({ hasBus }) => hasBus).map(({ name }) => name);
  return nodes
    .filter(({ hasBus }) => !hasBus && having.length > 0)
    .map(({ name }) => ({
      place: ["nodes", name, "bus"],
      value: undefined,
      message: `is missing, and ${having.join(", ")} ${having.length === 1 ? "has" : "have"} one`,
      hint: "nodes share their sessions all or not at all: give each a bus, or name NATS servers in bus.servers",
    }));
}

function checkPorts(draft: ConfigDraft): readonly Problem[] {
  return Object.entries(draft?.nodes ?? {}).flatMap(([name, node]) => {
    const { client_port, cluster_port } = node?.bus ?? {};
    return when(client_port !== undefined && client_port === cluster_port, {
      place: ["nodes", name, "bus", "cluster_port"],
      value: cluster_port,
      message: "is the client_port too",
      hint: "clients and the other nodes' servers need a port each",
    });
  });
}
