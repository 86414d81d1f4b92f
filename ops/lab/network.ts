// SPDX-License-Identifier: Apache-2.0
// A lab's network namespaces and the veth pairs between them.

import { existsSync } from "node:fs";
import { LabExistsError } from "./errors.ts";
import { inCgroup, run } from "./host.ts";
import { toolsCgroup, type LabRecord } from "./state.ts";
import type { LabNode, Topology } from "./topology.ts";

/** Where `ip netns` keeps its names; containerlab puts its containers there too, so the same commands work with both. */
export function netnsPath(node: LabNode): string {
  return `/run/netns/${node.longName}`;
}

/**
 * Refuses names that are taken, before anything is recorded: destroy removes what the record names.
 * @throws LabExistsError
 */
export function expectFreeNames(topology: Topology): void {
  for (const node of topology.nodes) {
    if (existsSync(netnsPath(node))) {
      throw new LabExistsError(
        `Cannot deploy lab ${topology.lab}: the network namespace ${node.longName} exists already and was not made by this runner; \`ip netns del ${node.longName}\` removes it`,
      );
    }
  }
}

export async function createNamespaces(
  record: LabRecord,
  nodes: readonly LabNode[],
): Promise<void> {
  await ipBatch(
    record,
    nodes.map((node) => `netns add ${node.longName}`),
  );
}

/** Both ends are made where they belong: their names never appear in the host's namespace. */
export async function createLinks(record: LabRecord): Promise<void> {
  const { links, nodes } = record.topology;
  const longName = (name: string) =>
    nodes.find((node) => node.name === name)?.longName ?? name;
  await ipBatch(
    record,
    links.map(({ endpoints, mtu }) => {
      const [a, b] = endpoints.map(
        (end) =>
          `name ${end.interface} address ${end.mac} mtu ${mtu} netns ${longName(end.node)}`,
      );
      return `link add ${a} type veth peer ${b}`;
    }),
  );
}

/**
 * Sets the node's interfaces up. As in containerlab transmit checksum offload is off: a veth would hand on packets without
 * a checksum, an XDP program would redirect them as they are, and the receiver would drop them.
 */
export async function raiseLinks(
  record: LabRecord,
  node: LabNode,
): Promise<void> {
  const script =
    'ip link set lo up; for i; do ethtool -K "$i" tx off >/dev/null; ip link set "$i" up; done';
  const argv = [
    "nsenter",
    `--net=${netnsPath(node)}`,
    "sh",
    "-ec",
    script,
    "raise-links",
  ];
  const names = interfacesOf(record.topology, node);
  await run(`set up the interfaces of ${node.name}`, [
    ...inCgroup(toolsCgroup(record)),
    ...argv,
    ...names,
  ]);
}

/** Takes the node's cables out: its peers lose their carrier. */
export async function lowerLinks(
  record: LabRecord,
  node: LabNode,
): Promise<void> {
  await ipBatch(
    record,
    interfacesOf(record.topology, node).map((name) => `link set ${name} down`),
    node.longName,
  );
}

/**
 * Gives a stopped node a fresh network namespace that keeps nothing but its ends of the links: addresses, routes, nftables
 * rules and XDP programs go, as they do when a machine boots. The links wait in a third namespace meanwhile.
 */
export async function renewNamespace(
  record: LabRecord,
  node: LabNode,
): Promise<void> {
  const [own, shelf] = [node.longName, shelfName(node)];
  const names = interfacesOf(record.topology, node);
  const moveTo = (namespace: string) =>
    names.map((name) => `link set ${name} netns ${namespace}`);
  await ipBatch(record, [`netns add ${shelf}`]);
  await ipBatch(record, moveTo(shelf), own);
  await ipBatch(record, [`netns del ${own}`, `netns add ${own}`]);
  await ipBatch(record, moveTo(own), shelf);
  await ipBatch(record, [`netns del ${shelf}`]);
}

/** Removes all namespaces of the lab that there are, and with them the links. Runs when the lab's cgroup is gone. */
export async function removeNamespaces(topology: Topology): Promise<void> {
  const names = topology.nodes.flatMap((node) => [
    node.longName,
    shelfName(node),
  ]);
  const lines = names
    .filter((name) => existsSync(`/run/netns/${name}`))
    .map((name) => `netns del ${name}\n`);
  if (lines.length > 0)
    await run(
      "remove the network namespaces",
      ["ip", "-batch", "-"],
      lines.join(""),
    );
}

function shelfName(node: LabNode): string {
  return `${node.longName}.shelf`;
}

function interfacesOf(topology: Topology, node: LabNode): readonly string[] {
  const ends = topology.links.flatMap((link) => link.endpoints);
  return ends
    .filter((end) => end.node === node.name)
    .map((end) => end.interface);
}

/** One `ip` process for all lines. With `namespace` it works in that one. */
async function ipBatch(
  record: LabRecord,
  lines: readonly string[],
  namespace?: string,
): Promise<void> {
  const where = namespace === undefined ? [] : ["-n", namespace];
  const argv = [
    ...inCgroup(toolsCgroup(record)),
    "ip",
    ...where,
    "-batch",
    "-",
  ];
  if (lines.length > 0)
    await run("change the lab's network", argv, `${lines.join("\n")}\n`);
}
