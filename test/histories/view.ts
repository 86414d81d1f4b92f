// SPDX-License-Identifier: Apache-2.0
import {
  clientKeyOf,
  ESTABLISHED,
  isClosed,
  nameOf,
  type Session,
} from "../model/session.ts";
import type { ModelTable } from "../model/table.ts";

/** What nodes must agree about, as lines of text: the truth of each session, and whom the index names for each client. */
export function viewOf(table: ModelTable): readonly string[] {
  const sessions = table.sessions();
  const clients = new Map(
    sessions.map((session) => {
      const client = clientKeyOf(session);
      return [nameOf(client), table.named(client)];
    }),
  );
  return [
    ...sessions.map(truthOf),
    ...[...clients].map(
      ([client, session]) => `${client} is ${session?.generation}`,
    ),
  ].toSorted();
}

/** Times are of each node's own clock, so they are left out, but for what follows from them. */
function truthOf(session: Session): string {
  const { key, generation, supersedes, origin, state, flags, facts } = session;
  const client = nameOf(clientKeyOf(session));
  return `${nameOf(key)} for ${client}: ${generation} after ${supersedes} of ${origin}, state ${state}, flags ${flags}, closed ${isClosed(session)}, facts ${facts.join(",")}`;
}

type View = { readonly name: string; readonly table: ModelTable };

/**
 * A sentence for an established session, with a packet in the last `ticks`, that one node holds and another lacks;
 * undefined: there is none.
 */
export function missing(
  nodes: readonly View[],
  ticks: number,
): string | undefined {
  for (const { name, table } of nodes)
    for (const session of table.sessions()) {
      const { key, generation, state, seen } = session;
      if (state !== ESTABLISHED || table.now() - seen > ticks) continue;
      for (const other of nodes)
        if ((other.table.twinOf(session)?.generation ?? 0n) < generation)
          return `${other.name} says that it is synced, and lacks ${nameOf(key)} of generation ${generation}, which ${name} holds`;
    }
  return undefined;
}

/** A sentence for the first thing that two nodes do not agree about; undefined: they agree. */
export function difference(tables: readonly View[]): string | undefined {
  const [first, ...others] = tables.map(({ name, table }) => ({
    name,
    view: viewOf(table),
  }));
  for (const other of others) {
    if (first === undefined) break;
    const [ours, theirs] = [new Set(first.view), new Set(other.view)];
    for (const line of first.view)
      if (!theirs.has(line))
        return `only ${first.name}, not ${other.name}, says: ${line}`;
    for (const line of other.view)
      if (!ours.has(line))
        return `only ${other.name}, not ${first.name}, says: ${line}`;
  }
  return undefined;
}
