// SPDX-License-Identifier: Apache-2.0
/** `weir nodes`: the nodes of the cluster. */
import type { NodeDetail, NodeMessage } from "../admin/api.ts";
import { AGENT_OPTIONS_HELP } from "./command.ts";
import { listing } from "./listing.ts";
import {
  type Column,
  formatCount,
  formatDuration,
  renderTable,
} from "./table.ts";

export const nodes = listing({
  help: `Usage: ./weir nodes [--json] [--socket PATH]

The nodes of the cluster. The node that answers, marked with *, tells its interfaces, its sessions and how
full the fuller one of its session tables is: the narrow one is for IPv4 on both sides, the wide one for all
others, and --json tells of each. Of the other nodes it knows what the config says and, by session sync,
whether they are synced (heard, and they hold all that their peers hold), heard or unheard: see ./weir sync.

Options
${AGENT_OPTIONS_HELP}

Examples
  ./weir nodes
  ./weir nodes --json | jq '.[] | select(.self) | .table.load'
`,
  read: async (client) => (await client.call("ListNodes")).nodes,
  toPlain: (list) => list.map(toPlain),
  render: (list) => renderTable(columnsAt(Date.now()), list),
});

function toPlain({ detail, ...node }: NodeMessage): unknown {
  if (detail === null) return node;
  const { incarnation, startedAtUnixMs, table, tables, ...rest } = detail;
  return {
    ...node,
    incarnation: String(incarnation),
    startedAt: new Date(Number(startedAtUnixMs)).toISOString(),
    ...rest,
    table: { ...table, load: loadOf(detail) },
    tables,
  };
}

function columnsAt(nowMs: number): readonly Column<NodeMessage>[] {
  const detailOf =
    (tell: (detail: NodeDetail) => string) => (node: NodeMessage) =>
      node.detail === null ? "-" : tell(node.detail);
  return [
    { title: "NODE", value: ({ name, self }) => `${name}${self ? " *" : ""}` },
    { title: "STATE", value: ({ state }) => state },
    { title: "POOL", value: ({ pools }) => pools.join(", ") },
    {
      title: "INTERFACES",
      value: detailOf(({ interfaces }) =>
        interfaces.map(({ name, mode }) => `${name} (${mode})`).join(", "),
      ),
    },
    {
      title: "SESSIONS",
      value: detailOf(({ sessions }) => formatCount(sessions.total)),
      align: "right",
    },
    {
      title: "HALF-OPEN",
      value: detailOf(({ sessions }) => formatCount(sessions.halfOpen)),
      align: "right",
    },
    {
      title: "ESTABLISHED",
      value: detailOf(({ sessions }) => formatCount(sessions.established)),
      align: "right",
    },
    {
      title: "CLOSING",
      value: detailOf(({ sessions }) => formatCount(sessions.closing)),
      align: "right",
    },
    {
      title: "TABLE",
      value: detailOf((detail) => `${(loadOf(detail) * 100).toFixed(1)} %`),
      align: "right",
    },
    {
      title: "AGENT UP FOR",
      value: detailOf(({ startedAtUnixMs }) =>
        formatDuration(Math.max(0, nowMs - Number(startedAtUnixMs))),
      ),
    },
  ];
}

/** The share of the session table that is in use, 0 to 1. */
/** Of the fuller table. */
function loadOf({ tables }: NodeDetail): number {
  return Math.max(0, ...tables.map(({ load }) => load));
}
