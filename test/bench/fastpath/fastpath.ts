// SPDX-License-Identifier: Apache-2.0
/**
 * `./weir bench fastpath`: what a packet costs in the XDP program, beside one look-up in the kernel's hash of the same key,
 * value and number of entries. All of it in turn, in each round.
 */
import { LabError } from "../../../ops/lab/errors.ts";
import type { Progress } from "../../../ops/progress.ts";
import type { Row, Target } from "../rows.ts";
import { median, rounded } from "../rows.ts";
import type { Sandbox } from "../sandbox.ts";
import {
  type Family,
  firstFragment,
  type FrameKind,
  packet,
  tooBig,
} from "./frames.ts";
import { life } from "./life.ts";
import { Machine, type Timed } from "./machine.ts";
import {
  ADDRESSES,
  CREATED_PORT,
  FILLED_PORT,
  PORTS,
  UDP_PORT,
} from "./place.ts";
import { endsOf, FEW, fill, repliesOf } from "./sessions.ts";

/** Sessions of each family; K is 1024 here. */
const SIZES = [1_024, 65_536, 1_048_576, 8_388_608] as const;
/** At this size all else is measured, too. */
const DETAILED = 1_048_576;
const FAMILIES = [4, 6] as const;

const PACKETS = 200_000;
/** Sessions that one measurement creates: their records fit the ring. */
const CREATED = 10_000;
/** Room for those that are created, beyond what the table is planned for: a share of the sessions. */
const SPARE = 0.3;

const XDP_DROP = 1;
const XDP_TX = 3;
const XDP_REDIRECT = 4;

const HIT_TARGETS: Readonly<Record<number, number>> = {
  1_024: 1.4,
  1_048_576: 0.75,
  8_388_608: 0.65,
};
const CREATE_TARGET = 1.2;
const BYTES_TARGETS = { 4: 360, 6: 640 } as const;

export const FASTPATH_SETTING: readonly string[] = [
  "Each packet is one run of the program by BPF_PROG_TEST_RUN: no driver, no link. The wrapper that restores the frame and picks a",
  "random flow is measured by itself in each round, and taken off: nsNet. `floor` is nsNet of one look-up in the kernel's hash of",
  "the same family and size (for creation: one look-up, two inserts and a record); ratio = nsNet / floor, of each round.",
];

export type FastpathRow = Row & {
  readonly family: Family;
  readonly sessions: number;
  /** The wrapper included, ns. */
  readonly nsMedian: number;
  readonly nsNet: number;
  /** Of what it is compared with; undefined: with nothing. */
  readonly floor?: number;
  readonly ratio?: number;
};

/** What one measurement is of. */
type Subject = {
  readonly name: string;
  readonly family: Family;
  readonly program: string;
  readonly kind: FrameKind;
  /** Random ones of so many; 0: each packet is of another one. */
  readonly flows: number;
  /** How often in one measurement. */
  readonly packets: number;
  readonly verdict: number;
  /** Whose net time it is compared with, by name. */
  readonly floor?: string;
};

const LOOKUP =
  "floor: MAC addresses swapped and one look-up in the kernel's hash";
const KERNEL_CREATE =
  "floor: a look-up, two inserts and a record of the kernel's";

export async function benchFastpath(
  sandbox: Sandbox,
  rounds: number,
  progress: Progress,
  sizes: readonly number[] = SIZES,
): Promise<readonly Row[]> {
  const machine = await Machine.create(sandbox);
  const rows: Row[] = [];
  for (const sessions of sizes) {
    progress.step(`${sessions} sessions of each family`);
    const places = placesOf(sessions);
    await machine.start(places);
    rows.push(...(await chargeOf(machine, sessions, places)));
    for (const family of FAMILIES) await fill(machine, family, sessions);
    rows.push(...(await measure(machine, sessions, rounds, progress)));
    await machine.stop();
  }
  const largest = Math.max(...sizes);
  rows.push(...(await life(machine, largest, placesOf(largest), progress)));
  return rows;
}

/** What the tables are made for. */
function placesOf(sessions: number): number {
  const created = sessions === DETAILED ? sessions * SPARE : 0;
  return Math.ceil(sessions + created) + FEW;
}

function subjectsOf(family: Family, sessions: number): readonly Subject[] {
  const inbound = packet(endsOf(family, FILLED_PORT), "source");
  const of = { family, flows: sessions, packets: PACKETS, verdict: XDP_TX };
  const hit = { ...of, program: "weir", verdict: XDP_REDIRECT, floor: LOOKUP };
  const some: readonly Subject[] = [
    { ...of, name: "wrapper", program: "nothing", kind: inbound },
    {
      ...of,
      name: "floor: MAC addresses swapped",
      program: "floor_tx",
      kind: inbound,
    },
    { ...of, name: LOOKUP, program: `floor_hash${family}`, kind: inbound },
    { ...hit, name: "inbound hit", kind: inbound },
    {
      ...hit,
      name: "outbound hit",
      kind: packet(repliesOf(family, FILLED_PORT), "target"),
    },
  ];
  if (sessions !== DETAILED) return some;
  const created = packet(endsOf(family, CREATED_PORT), "source", { syn: true });
  const few = { ...hit, flows: FEW };
  return [
    ...some,
    {
      ...of,
      name: KERNEL_CREATE,
      program: `create_hash${family}`,
      kind: created,
      flows: 0,
      packets: CREATED,
    },
    {
      ...hit,
      name: "session created, with its record",
      kind: created,
      flows: 0,
      packets: CREATED,
      floor: KERNEL_CREATE,
    },
    {
      ...few,
      name: "UDP inbound hit of 1 K",
      kind: packet(endsOf(family, UDP_PORT), "source"),
    },
    {
      ...hit,
      name: "miss: no SYN, no session",
      kind: packet(endsOf(family, CREATED_PORT), "source"),
      verdict: XDP_DROP,
    },
    {
      ...hit,
      name: "ICMP error, of one session",
      flows: 1,
      kind: tooBig(ADDRESSES[family].router, {
        ...endsOf(family, FILLED_PORT),
        source: ADDRESSES[family].vip,
        sport: FILLED_PORT,
        target: ADDRESSES[family].client,
        dport: PORTS.min,
      }),
    },
    ...(family === 4
      ? [
          {
            ...hit,
            name: "first fragment of a UDP datagram",
            kind: firstFragment({ ...endsOf(4, UDP_PORT), sport: PORTS.min }),
            flows: 0,
          },
        ]
      : []),
  ];
}

async function measure(
  machine: Machine,
  sessions: number,
  rounds: number,
  progress: Progress,
): Promise<readonly FastpathRow[]> {
  const subjects = FAMILIES.flatMap((family) => subjectsOf(family, sessions));
  const gross = new Map<Subject, number[]>(subjects.map((one) => [one, []]));
  await machine.begin(sessions);
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    progress.live(`${sessions} sessions: round ${round} of ${rounds}`);
    for (const subject of subjects) {
      const { program, kind, packets, flows } = subject;
      const first = sessions + round * packets;
      const timed = await machine.time(program, kind, packets, {
        flows,
        first,
      });
      check(subject, timed);
      if (round > 0) gross.get(subject)?.push(timed.ns);
    }
  }
  return subjects.map((subject) => rowOf(subject, sessions, gross));
}

function check(subject: Subject, timed: Timed): void {
  const { name, program, packets, verdict } = subject;
  const forwarded =
    program === "weir" && verdict === XDP_REDIRECT ? packets : 0;
  if (timed.verdict !== verdict || timed.forwarded !== forwarded)
    throw new LabError(
      `Cannot time ${name}: not all of ${packets} packets had it: ${JSON.stringify(timed)}`,
    );
}

function rowOf(
  subject: Subject,
  sessions: number,
  gross: ReadonlyMap<Subject, readonly number[]>,
): FastpathRow {
  const { name, family } = subject;
  const named = (wanted: string) =>
    [...gross].find(
      ([one]) => one.name === wanted && one.family === family,
    )?.[1] ?? [];
  const wrapper = named("wrapper");
  const net = (samples: readonly number[]) =>
    samples.map((ns, round) => ns - (wrapper[round] ?? 0));
  const samples = gross.get(subject) ?? [];
  const own = net(samples);
  const floor =
    subject.floor === undefined ? undefined : net(named(subject.floor));
  const ratios = floor && own.map((ns, round) => ns / (floor[round] ?? 0));
  const target = targetOf(subject, sessions);
  return {
    name: `IPv${family}, ${sessions} sessions: ${name}`,
    family,
    sessions,
    rounds: samples.length,
    nsMedian: median(samples),
    nsNet: median(own),
    ...(floor && { floor: median(floor) }),
    ...(ratios && { ratio: rounded(median(ratios)) }),
    median: rounded(ratios ? median(ratios) : median(own)),
    samples: (ratios ?? own).map(rounded),
    ...(target && { target }),
  };
}

function targetOf(
  { name, floor }: Subject,
  sessions: number,
): Target | undefined {
  const value =
    floor === KERNEL_CREATE
      ? CREATE_TARGET
      : name === "inbound hit" || name === "outbound hit"
        ? HIT_TARGETS[sessions]
        : undefined;
  return value === undefined ? undefined : { is: "at most", value };
}

async function chargeOf(
  machine: Machine,
  sessions: number,
  places: number,
): Promise<readonly Row[]> {
  const { narrow, wide } = await machine.charged();
  return FAMILIES.map((family) => {
    const bytes = Math.round((family === 4 ? narrow : wide) / places);
    return {
      ...single(
        `IPv${family}, ${sessions} sessions: bytesPerSession at 60 % load`,
        bytes,
      ),
      ...(sessions >= DETAILED && {
        target: { is: "at most", value: BYTES_TARGETS[family] } as const,
      }),
    };
  });
}

function single(name: string, value: number): Row {
  return { name, rounds: 1, median: rounded(value), samples: [rounded(value)] };
}
