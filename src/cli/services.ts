// SPDX-License-Identifier: Apache-2.0
/** `weir services`: the virtual services. */
import type { ServiceMessage } from "../admin/api.ts";
import { formatHost } from "../model.ts";
import { AGENT_OPTIONS_HELP } from "./command.ts";
import { listing } from "./listing.ts";
import { type Column, formatCount, formatYesNo, renderTable } from "./table.ts";

export const services = listing({
  help: `Usage: ./weir services [--json] [--socket PATH]

The virtual services of a running node: what clients connect to, how many of its real servers may have
new sessions, whether this node announces the VIP, and how many sessions it holds.

Options
${AGENT_OPTIONS_HELP}

Examples
  ./weir services
  ./weir services --json | jq -r '.[] | select(.servers.up == 0) | .name'
`,
  read: async (client) => (await client.call("ListServices")).services,
  toPlain: (list) =>
    list.map(({ serversUp, serversTotal, ...service }) => ({
      ...service,
      servers: { up: serversUp, total: serversTotal },
    })),
  render: (list) =>
    list.length === 0 ? "No services.\n" : renderTable(COLUMNS, list),
});

const COLUMNS: readonly Column<ServiceMessage>[] = [
  { title: "SERVICE", value: ({ name }) => name },
  {
    title: "VIRTUAL",
    value: ({ vip, ports }) => `${formatHost(vip)}:${ports}`,
  },
  { title: "PROTOCOL", value: ({ protocol }) => protocol },
  { title: "SCHEDULER", value: ({ scheduler }) => scheduler },
  {
    title: "SERVERS UP",
    value: ({ serversUp, serversTotal }) => `${serversUp} of ${serversTotal}`,
  },
  { title: "ANNOUNCED", value: ({ announced }) => formatYesNo(announced) },
  {
    title: "SESSIONS",
    value: ({ sessions }) => formatCount(sessions),
    align: "right",
  },
];
