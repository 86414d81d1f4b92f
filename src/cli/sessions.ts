// SPDX-License-Identifier: Apache-2.0
/** `weir sessions`: the translated flows that this node holds. */
import type { ListSessionsRequest, SessionMessage } from "../admin/api.ts";
import { UsageError } from "../errors.ts";
import { PROTOCOLS, SESSION_STATES } from "../model.ts";
import { AdminClient } from "./client.ts";
import {
  AGENT_OPTIONS,
  AGENT_OPTIONS_HELP,
  type Command,
  type Output,
  readArgs,
  toJson,
} from "./command.ts";
import {
  type Column,
  formatCount,
  formatDuration,
  renderRows,
  renderTable,
} from "./table.ts";

/** What people get to see at once; --json has no limit of its own. */
const TABLE_LIMIT = 1_000;

const OPTIONS = {
  ...AGENT_OPTIONS,
  client: { type: "string", default: "" },
  virtual: { type: "string", default: "" },
  local: { type: "string", default: "" },
  real: { type: "string", default: "" },
  state: { type: "string", default: "" },
  protocol: { type: "string", default: "" },
  limit: { type: "string" },
  count: { type: "boolean", default: false },
} as const;

export const sessions: Command = {
  help: `Usage: ./weir sessions [--client WHO] [--virtual WHO] [--local WHO] [--real WHO] [--state STATE]
                     [--protocol PROTOCOL] [--limit N] [--count] [--json] [--socket PATH]

The sessions that this node holds, in no particular order. A session is one translated flow pair: what CLIENT
sends to VIRTUAL goes on as from LOCAL to REAL, and what REAL answers comes back the same way. ORIGIN is the
node that made the session. A UDP session is unanswered until its real server has sent something.

Options
  --client WHO, --virtual WHO, --local WHO, --real WHO
                 only sessions with this address, address:port ([address]:port for IPv6) or prefix
  --state STATE  only sessions in this state: ${SESSION_STATES.join(", ")}
  --protocol PROTOCOL
                 only sessions of ${PROTOCOLS.join(" or ")}
  --limit N      at most N sessions, 0 for all (default: ${TABLE_LIMIT} in a table, all with --json)
  --count        only how many there are
${AGENT_OPTIONS_HELP}

Examples
  ./weir sessions --client 10.10.1.2
  ./weir sessions --real 10.3.1.2:80 --state established --limit 20
  ./weir sessions --client 10.10.0.0/16 --count
  ./weir sessions --virtual '[2001:db8::10]:53' --protocol udp
  ./weir sessions --json | jq -r '.[] | select(.idleMs > 60000) | .client'
`,
  run: async (args, output) => {
    const { json, socket, limit, count, ...filter } = readArgs(
      args,
      OPTIONS,
    ).values;
    const limitDefault = json ? 0 : TABLE_LIMIT;
    const request = {
      ...filter,
      limit: limit === undefined ? limitDefault : parseLimit(limit),
      countOnly: count,
    };
    const client = new AdminClient(socket);
    try {
      const print = json ? printJson : printTable;
      await (count
        ? printCount(client, request, output, json)
        : print(client, request, output));
      return 0;
    } finally {
      client.close();
    }
  },
};

async function printCount(
  client: AdminClient,
  request: ListSessionsRequest,
  output: Output,
  json: boolean,
): Promise<void> {
  for await (const { totals } of client.listSessions(request)) {
    if (totals === null) continue;
    await output.write(
      json ? `${toJson({ count: totals.matched })}\n` : `${totals.matched}\n`,
    );
  }
}

/** One array, written as the sessions come. */
async function printJson(
  client: AdminClient,
  request: ListSessionsRequest,
  output: Output,
): Promise<void> {
  let separator = "[\n";
  for await (const { sessions: batch } of client.listSessions(request)) {
    for (const session of batch) {
      await output.write(separator + toJson(toPlain(session)));
      separator = ",\n";
    }
  }
  await output.write(separator === ",\n" ? "\n]\n" : "[]\n");
}

function toPlain(session: SessionMessage): unknown {
  return { ...session, generation: String(session.generation) };
}

async function printTable(
  client: AdminClient,
  request: ListSessionsRequest,
  output: Output,
): Promise<void> {
  let render = renderTable<SessionMessage>;
  let endpointWidth = ENDPOINT_WIDTH;
  for await (const { sessions: batch, totals } of client.listSessions(
    request,
  )) {
    if (batch.length > 0) {
      endpointWidth = Math.max(endpointWidth, ...batch.flatMap(lengthsOf));
      await output.write(render(columnsOf(endpointWidth), batch));
      render = renderRows;
    }
    if (totals?.matched === 0n) await output.write("No sessions.\n");
    else if (totals !== null && totals.sent < totals.matched) {
      output.note(
        `${formatCount(totals.sent)} of ${formatCount(totals.matched)} sessions: --limit 0 shows all.`,
      );
    }
  }
}

/** Widths for the longest values, so that the parts of a long table line up. */
const DURATION_WIDTH = "59 min 59 s".length;
const ENDPOINT_WIDTH = "255.255.255.255:65535".length;

/** Those of IPv6 are mostly far shorter than the longest: as wide as those that were there so far. */
function lengthsOf(session: SessionMessage): readonly number[] {
  const { client, virtual, local, real } = session;
  return [client, virtual, local, real].map(({ length }) => length);
}

const columnsOf = (widthMin: number): readonly Column<SessionMessage>[] => [
  { title: "PROTOCOL", value: ({ protocol }) => protocol },
  {
    title: "STATE",
    value: ({ state }) => state,
    widthMin: "established".length,
  },
  {
    title: "EXPIRES IN",
    value: ({ expiresInMs }) => formatDuration(expiresInMs),
    widthMin: DURATION_WIDTH,
    align: "right",
  },
  {
    title: "IDLE",
    value: ({ idleMs }) => formatDuration(idleMs),
    align: "right",
    widthMin: DURATION_WIDTH,
  },
  { title: "CLIENT", value: ({ client }) => client, widthMin },
  { title: "VIRTUAL", value: ({ virtual }) => virtual, widthMin },
  { title: "LOCAL", value: ({ local }) => local, widthMin },
  { title: "REAL", value: ({ real }) => real, widthMin },
  { title: "SERVICE", value: ({ service }) => service || "-", widthMin: 10 },
  { title: "ORIGIN", value: ({ origin }) => origin },
];

function parseLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  if (limit === undefined)
    throw new UsageError(
      `Cannot limit the list: --limit takes a number: current value is ${text}`,
    );
  return limit;
}
