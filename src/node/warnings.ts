// SPDX-License-Identifier: Apache-2.0
/** What a config may say, but probably should not. */
import type { ConfigError } from "../errors.ts";
import { type Cluster, sharesSessions } from "../model.ts";

export type ConfigWarning = Pick<ConfigError, "path" | "message" | "hint">;

export function warningsOf(cluster: Cluster): readonly ConfigWarning[] {
  // A node alone has nobody to tell.
  if (cluster.nodes.length < 2) return [];
  if (!sharesSessions(cluster))
    return [
      {
        path: "nodes",
        message:
          "have no bus: sessions are not shared, and break when their node dies or leaves",
        hint: "give each node a bus, or name NATS servers in bus.servers",
      },
    ];
  return [...unencrypted(cluster), ...unused(cluster)];
}

function unencrypted({ bus }: Cluster): readonly ConfigWarning[] {
  const byUrl =
    bus.servers.length > 0 &&
    bus.servers.every((url) => url.startsWith("tls://"));
  if (bus.tls !== undefined || byUrl) return [];
  return [
    {
      path: "bus.tls",
      message:
        "is missing: whoever reaches the bus can read and change the sessions",
      hint: "name the files, or let nobody but the nodes reach these ports",
    },
  ];
}

function unused({ bus, nodes }: Cluster): readonly ConfigWarning[] {
  if (bus.servers.length === 0) return [];
  return nodes
    .filter((node) => node.bus !== undefined)
    .map(({ name }) => ({
      path: `nodes.${name}.bus`,
      message: "is not used: bus.servers names the NATS servers",
      hint: "remove one of the two",
    }));
}
