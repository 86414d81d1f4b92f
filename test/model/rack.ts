// SPDX-License-Identifier: Apache-2.0
/**
 * Nodes that share sessions in the plainest way: what one tells reaches all others at once, or never. For tests of the merge
 * rule; how records really travel is src/sync's.
 */
import type { Records } from "../../src/sync/table.ts";
import { clientKey } from "./arbitrary.ts";
import { ModelDirector } from "./director.ts";
import {
  clientKeyOf,
  mapped,
  nameOf,
  type Session,
  TICKS_PER_SECOND,
} from "./session.ts";
import { ModelTable, type Settings } from "./table.ts";

const SERVICES = [
  {
    vaddr: clientKey(0).daddr,
    servers: [{ address: mapped(0x0a030102), port: 80 }],
  },
];

export type Member = {
  readonly table: ModelTable;
  readonly director: ModelDirector;
  /** It neither hears nor is heard. */
  isolated: boolean;
};

export class ModelRack {
  readonly members: readonly Member[];
  #now = 1000;

  /** `ports`: in each node's pool, which has one address. */
  constructor(size: number, ports: number, settings: Partial<Settings> = {}) {
    this.members = Array.from({ length: size }, (_, i) => {
      const table = new ModelTable({
        ...settings,
        now: () => this.#now,
        origin: i + 1,
      });
      const pool = {
        addresses: [mapped(0x0ac80001 + i * 16)],
        ports: { min: 1024, max: 1023 + ports },
      };
      const director = new ModelDirector(table, pool, SERVICES);
      return { table, director, isolated: false };
    });
    for (const member of this.members)
      member.table.listen(({ records }) => this.#tell(member, records));
  }

  get now(): number {
    return this.#now;
  }

  /** @throws Error if there is no such node. */
  member(i: number): Member {
    const member = this.members[i];
    if (member === undefined) throw new Error(`Cannot find node ${i}`);
    return member;
  }

  /** Each node sweeps once a second. */
  pass(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.#now += TICKS_PER_SECOND;
      for (const { table } of this.members) table.sweep();
    }
  }

  /** Does any node hold a LIP:port for a session that has expired there? */
  holds(): boolean {
    return this.members.some(({ table }) => table.sweep().held > 0);
  }

  #tell(from: Member, records: Records): void {
    if (from.isolated) return;
    for (const to of this.members) {
      if (to !== from && !to.isolated) to.table.mergeNow(records, 0);
    }
  }

  /** Each node gets all that any other holds, as after a partition. */
  async heal(): Promise<void> {
    for (const from of this.members) {
      const { table } = from;
      const all = await table.collect(0n, table.positions, Infinity);
      from.isolated = false;
      for (const to of this.members) {
        if (to !== from) to.table.mergeNow(all.records, 0);
      }
    }
  }
}

/** What a node would do with any packet, in one comparable form: its sessions, and which of them clients reach. */
export function viewOf(table: ModelTable): readonly unknown[] {
  return table
    .sessions()
    .map((session) => ({
      session,
      reached: table.named(clientKeyOf(session))?.generation,
    }))
    .sort((a, b) => order(a.session, b.session));
}

function order(a: Session, b: Session): number {
  return nameOf(a.key) < nameOf(b.key) ? -1 : 1;
}
