// SPDX-License-Identifier: Apache-2.0
/** `weir counters`: what became of each packet. */
import type { CounterMessage } from "../admin/api.ts";
import { AGENT_OPTIONS_HELP } from "./command.ts";
import { COUNTER_NOTES } from "../admin/counter-notes.ts";
import { listing } from "./listing.ts";
import { type Column, formatCount, renderTable } from "./table.ts";

export const counters = listing({
  help: `Usage: ./weir counters [--json] [--socket PATH]

What became of each packet that reached the node's interfaces, since the dataplane was loaded: every one
received was forwarded, passed to the kernel, or dropped for a reason that has its own counter. The last
group counts events.

Options
${AGENT_OPTIONS_HELP}

Examples
  ./weir counters
  ./weir counters --json | jq 'to_entries[] | select(.value > 0 and (.key | startswith("drop_")))'
`,
  read: async (client) => (await client.call("GetCounters")).counters,
  toPlain: (list) =>
    Object.fromEntries(list.map(({ name, value }) => [name, value])),
  render: (list) => renderTable(COLUMNS, list),
});

const COLUMNS: readonly Column<CounterMessage>[] = [
  { title: "COUNTER", value: ({ name }) => name },
  { title: "COUNT", value: ({ value }) => formatCount(value), align: "right" },
  { title: "MEANING", value: ({ name }) => COUNTER_NOTES[name] ?? "" },
];
