// SPDX-License-Identifier: Apache-2.0
/** `weir routes`: what the node announces, and to whom. */
import type { RoutesMessage } from "../admin/api.ts";
import { AGENT_OPTIONS_HELP } from "./command.ts";
import { listing } from "./listing.ts";
import {
  type Column,
  formatDuration,
  formatYesNo,
  renderTable,
} from "./table.ts";

export const routes = listing({
  help: `Usage: ./weir routes [--json] [--socket PATH]

What this node announces to its routers. CARRIES are the address families whose routes a session takes, as
both ends have agreed. WANTED is what the agent asks for: the VIP of a service without a
healthy real server is not wanted. ANNOUNCED is what the routing daemon says that it does. Blackholes are
the kernel's routes that discard what reaches a VIP or a pool while the dataplane does not take it.

Options
${AGENT_OPTIONS_HELP}

Examples
  ./weir routes
  ./weir routes --json | jq '.announced[] | select(.wanted != .announced)'
`,
  read: (client) => client.call("ListRoutes"),
  toPlain: ({ state, error, neighbors, routes: announced, blackholes }) => ({
    state,
    ...(error === "" ? {} : { error }),
    neighbors,
    announced,
    blackholes,
  }),
  render,
});

type Neighbor = RoutesMessage["neighbors"][number];
type Route = RoutesMessage["routes"][number];

const NEIGHBOR_COLUMNS: readonly Column<Neighbor>[] = [
  { title: "NEIGHBOR", value: ({ address }) => address },
  { title: "AS", value: ({ asn }) => String(asn), align: "right" },
  { title: "STATE", value: ({ state }) => state },
  {
    title: "UP FOR",
    value: ({ uptimeMs }) =>
      Number(uptimeMs) === 0 ? "-" : formatDuration(uptimeMs),
  },
  {
    title: "CARRIES",
    value: ({ families }) =>
      families.map((family) => `IPv${family}`).join(", ") || "-",
  },
];

const ROUTE_COLUMNS: readonly Column<Route>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "KIND", value: ({ kind }) => kind },
  { title: "WANTED", value: ({ wanted }) => formatYesNo(wanted) },
  { title: "ANNOUNCED", value: ({ announced }) => formatYesNo(announced) },
];

function render({
  state,
  error,
  neighbors,
  routes: announced,
  blackholes,
}: RoutesMessage): string {
  return [
    `Routing daemon: ${state}${error === "" ? "" : `: ${error}`}\n`,
    neighbors.length === 0
      ? "No neighbors.\n"
      : renderTable(NEIGHBOR_COLUMNS, neighbors),
    announced.length === 0
      ? "No routes.\n"
      : renderTable(ROUTE_COLUMNS, announced),
    `Blackholes: ${blackholes.length === 0 ? "none" : blackholes.join(", ")}\n`,
  ].join("\n");
}
