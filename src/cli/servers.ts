// SPDX-License-Identifier: Apache-2.0
/** `weir servers`: the real servers of each service. */
import type { ServerMessage } from "../admin/api.ts";
import { formatServer } from "../model.ts";
import { AGENT_OPTIONS_HELP } from "./command.ts";
import { listing } from "./listing.ts";
import {
  type Column,
  formatAmount,
  formatCount,
  formatDuration,
  renderTable,
} from "./table.ts";

export const servers = listing({
  help: `Usage: ./weir servers [--json] [--socket PATH]

The real servers of each service, as this node sees them: weight, health and the last check of it, the
sessions held now and created since the node's dataplane was loaded, and the traffic since then.
A real server without a port is sent each session to the port that its client has asked for.
IN is from clients to the server, OUT is from the server to clients.

Options
${AGENT_OPTIONS_HELP}

Examples
  ./weir servers
  ./weir servers --json | jq -r '.[] | select(.health != "up") | "\\(.address): \\(.lastCheck.error)"'
`,
  read: async (client) => (await client.call("ListServers")).servers,
  toPlain: (list) => list.map(toPlain),
  render: (list) =>
    list.length === 0
      ? "No real servers.\n"
      : renderTable(columnsAt(Date.now()), list),
});

function toPlain({
  lastCheck,
  sessionsCreated,
  ...server
}: ServerMessage): unknown {
  return {
    ...server,
    created: sessionsCreated,
    ...(lastCheck === null
      ? {}
      : {
          lastCheck: {
            at: new Date(Number(lastCheck.atUnixMs)).toISOString(),
            ms: lastCheck.durationMs,
            ...(lastCheck.error === "" ? {} : { error: lastCheck.error }),
          },
        }),
  };
}

function columnsAt(nowMs: number): readonly Column<ServerMessage>[] {
  return [
    { title: "SERVICE", value: ({ service }) => service },
    { title: "REAL SERVER", value: formatServer },
    { title: "WEIGHT", value: ({ weight }) => String(weight), align: "right" },
    { title: "HEALTH", value: ({ health }) => health },
    {
      title: "LAST CHECK",
      value: ({ lastCheck }) => describeCheck(lastCheck, nowMs),
    },
    {
      title: "SESSIONS",
      value: ({ sessions }) => formatCount(sessions),
      align: "right",
    },
    {
      title: "CREATED",
      value: ({ sessionsCreated }) => formatCount(sessionsCreated),
      align: "right",
    },
    {
      title: "PACKETS IN",
      value: ({ inboundPackets }) => formatAmount(inboundPackets),
      align: "right",
    },
    {
      title: "BYTES IN",
      value: ({ inboundBytes }) => formatAmount(inboundBytes, "B"),
      align: "right",
    },
    {
      title: "PACKETS OUT",
      value: ({ outboundPackets }) => formatAmount(outboundPackets),
      align: "right",
    },
    {
      title: "BYTES OUT",
      value: ({ outboundBytes }) => formatAmount(outboundBytes, "B"),
      align: "right",
    },
  ];
}

/** `0.4 s ago: ok in 2 ms`, `0.4 s ago: connection refused`. */
function describeCheck(
  check: ServerMessage["lastCheck"],
  nowMs: number,
): string {
  if (check === null) return "-";
  const ago = formatDuration(Math.max(0, nowMs - Number(check.atUnixMs)));
  return `${ago} ago: ${check.error === "" ? `ok in ${formatDuration(check.durationMs)}` : check.error}`;
}
