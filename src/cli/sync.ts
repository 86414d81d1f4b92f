// SPDX-License-Identifier: Apache-2.0
/** `weir sync`: how far the nodes have told each other of their sessions. */
import type {
  CounterMessage,
  SyncMessage,
  SyncNodeMessage,
  SyncPairMessage,
} from "../admin/api.ts";
import { UsageError } from "../errors.ts";
import { SYNC_NOTES } from "../admin/sync-notes.ts";
import { AdminClient } from "./client.ts";
import {
  AGENT_OPTIONS,
  AGENT_OPTIONS_HELP,
  type Command,
  readArgs,
  toJson,
} from "./command.ts";
import {
  type Column,
  formatAmount,
  formatCount,
  formatDuration,
  formatYesNo,
  renderTable,
} from "./table.ts";

const OPTIONS = {
  ...AGENT_OPTIONS,
  fingerprint: { type: "boolean", default: false },
  since: { type: "string", default: "0" },
} as const;

export const sync: Command = {
  help: `Usage: ./weir sync [--fingerprint [--since GENERATION]] [--json] [--socket PATH]

How far the nodes have told each other of their sessions, as the answering node, marked with *, sees it: who
is heard, what is on its way from one node to another, what would be lost if this node died now, and what
has happened since its agent started.

The pairs are those that this node is one of: each peer to it, which it has measured itself, and it to each
peer, as that one says. What only the other end knows is "-", in JSON null: ask there. So do for pairs of
two other nodes.

  LAG      from reading a record on FROM to having it in the table of TO: the median, and 99 % are below P99
  SEQ      the last message of FROM; BEHIND is how many of them TO has not merged
  GAPS     how often TO has missed messages, and RESENDS how often it has asked for them again
  EQUAL    whether both held the same settled sessions when they last compared
  QUEUE    what waits at this node: for the bus if it is FROM, for its table if it is TO

A node is synced if it is heard and says that it holds all that its peers hold, heard if it does not say
so, or unheard. Problems: notInConfig (of this node), claimsPool (it has claimed addresses of this node's
pool before this node did, which therefore makes no sessions), poolsDiffer (its config has other pools).

Options
  --fingerprint  also two sums over the whole table, equal on nodes that hold the same sessions
  --since GEN    of sessions from this generation on (ns since 1970): older ones may be expiring, which each
                 node does at a moment of its own
${AGENT_OPTIONS_HELP}

Examples
  ./weir sync
  ./weir sync --json | jq '.pairs[] | select(.lagP99Ms > 10 or .digestEqual == false)'
  ./weir sync --json | jq .risk.notOnAll
`,
  run: async (args, output) => {
    const values = readArgs(args, OPTIONS).values;
    const { json, socket, fingerprint, since } = values;
    if (!/^\d{1,19}$/.test(since))
      throw new UsageError(
        `--since takes a generation: current value is ${since}`,
      );
    const client = new AdminClient(socket);
    try {
      const answer = await client.call("GetSync", {
        fingerprint,
        since: BigInt(since),
      });
      await output.write(
        json ? `${toJson(toPlain(answer))}\n` : render(answer),
      );
      return 0;
    } finally {
      client.close();
    }
  },
};

function toPlain({ fingerprint, ...answer }: SyncMessage): unknown {
  return {
    ...answer,
    nodes: answer.nodes.map((node) => ({
      ...node,
      incarnation: String(node.incarnation),
      silentMs: node.silentMs ?? null,
      roundTripMs: node.roundTripMs ?? null,
    })),
    pairs: answer.pairs.map((pair) => ({
      ...pair,
      lagMs: pair.lagMs ?? null,
      lagP99Ms: pair.lagP99Ms ?? null,
      behind: behindOf(pair),
      behindRecords: pair.behindRecords ?? null,
      gaps: pair.gaps ?? null,
      resends: pair.resends ?? null,
      digestEqual: pair.digestEqual ?? null,
    })),
    counters: Object.fromEntries(
      answer.counters.map(({ name, value }) => [name, value]),
    ),
    ...(fingerprint === null ? {} : { fingerprint }),
  };
}

function behindOf({ seq, applied }: SyncPairMessage): bigint {
  return BigInt(seq) - BigInt(applied);
}

function render(answer: SyncMessage): string {
  const { state, bus, nodes, pairs, risk, counters, fingerprint } = answer;
  const happened = counters.filter(({ value }) => BigInt(value) > 0n);
  const parts = [
    state === "off"
      ? "Session sync: off. The config has no bus, or no other node.\n"
      : `Session sync: ${state}, bus ${bus}\n`,
    ...(nodes.length === 0 ? [] : [renderTable(NODE_COLUMNS, nodes)]),
    ...(pairs.length === 0 ? [] : [renderTable(PAIR_COLUMNS, pairs)]),
    ...(risk === null ? [] : [describeRisk(risk)]),
    ...(fingerprint === null
      ? []
      : [
          `Fingerprint: sessions ${formatCount(fingerprint.sessions)}, truth ${fingerprint.truth}, index ${fingerprint.index}\n`,
        ]),
    ...(happened.length === 0 ? [] : [renderTable(COUNTER_COLUMNS, happened)]),
  ];
  return parts.join("\n");
}

function describeRisk({
  ifDies,
  sessions,
  notOnAll,
  onNone,
}: NonNullable<SyncMessage["risk"]>): string {
  return `If ${ifDies} died now: of what it has published, ${formatCount(notOnAll)} records are not on all nodes that are heard, ${formatCount(onNone)} on none. It holds ${formatCount(sessions)} sessions.\n`;
}

const NODE_COLUMNS: readonly Column<SyncNodeMessage>[] = [
  { title: "NODE", value: ({ name, self }) => `${name}${self ? " *" : ""}` },
  { title: "STATE", value: ({ state }) => state },
  {
    title: "SILENT FOR",
    value: ({ silentMs }) =>
      silentMs === undefined ? "-" : formatDuration(silentMs),
    align: "right",
  },
  {
    title: "ROUND TRIP",
    value: ({ roundTripMs }) => formatLag(roundTripMs),
    align: "right",
  },
  {
    title: "PROBLEMS",
    value: ({ problems }) =>
      problems.length === 0 ? "-" : problems.join(", "),
  },
];

const PAIR_COLUMNS: readonly Column<SyncPairMessage>[] = [
  { title: "FROM", value: ({ from }) => from },
  { title: "TO", value: ({ to }) => to },
  { title: "LAG", value: ({ lagMs }) => formatLag(lagMs), align: "right" },
  {
    title: "P99",
    value: ({ lagP99Ms }) => formatLag(lagP99Ms),
    align: "right",
  },
  { title: "SEQ", value: ({ seq }) => formatCount(seq), align: "right" },
  {
    title: "BEHIND",
    value: (pair) => formatCount(behindOf(pair)),
    align: "right",
  },
  {
    title: "GAPS",
    value: ({ gaps }) => (gaps === undefined ? "-" : formatCount(gaps)),
    align: "right",
  },
  {
    title: "RESENDS",
    value: ({ resends }) =>
      resends === undefined ? "-" : formatCount(resends),
    align: "right",
  },
  {
    title: "EQUAL",
    value: ({ digestEqual }) =>
      digestEqual === undefined ? "-" : formatYesNo(digestEqual),
  },
  {
    title: "QUEUE",
    value: ({ queue }) => formatAmount(queue, "B"),
    align: "right",
  },
  {
    title: "RECORDS/S",
    value: ({ recordsPerSecond }) => formatAmount(recordsPerSecond),
    align: "right",
  },
  {
    title: "BYTES/S",
    value: ({ bytesPerSecond }) => formatAmount(bytesPerSecond, "B"),
    align: "right",
  },
];

const COUNTER_COLUMNS: readonly Column<CounterMessage>[] = [
  { title: "COUNTER", value: ({ name }) => name },
  { title: "COUNT", value: ({ value }) => formatCount(value), align: "right" },
  { title: "MEANING", value: ({ name }) => SYNC_NOTES[name] ?? "" },
];

/** `0.42 ms`, `12 ms`, `1.3 s`. */
function formatLag(lagMs: number | undefined): string {
  if (lagMs === undefined) return "-";
  return lagMs < 10 ? `${lagMs.toFixed(2)} ms` : formatDuration(lagMs);
}
