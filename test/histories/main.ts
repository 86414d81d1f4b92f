// SPDX-License-Identifier: Apache-2.0
// node test/histories/main.ts COUNT SEED: random histories of clusters, one for each seed from SEED on. Prints TAP.
import { runHistory } from "./history.ts";

/** All that brings what was lost. */
const REPAIRS = ["resend", "snapshot", "repair", "lookup"] as const;

/** With nothing repaired, most histories end in a difference; so many in a row that do not would be no accident. */
const BROKEN_MAX = 30;

const NOTE_MS = 10_000;

async function main(count: number, seed: number): Promise<void> {
  const differing = await runAll(count, seed);
  say(
    differing === 0,
    `histories end in equal tables: ${count} from seed ${seed}`,
  );
  say(await isRepeatable(seed), "a history is the same again for its seed");
  say(
    await breaks(seed),
    "histories with nothing sent again or repaired do not all end in equal tables",
  );
  console.log(`1..${said}`);
}

/** @returns how many ended in a difference; each is described */
async function runAll(count: number, seed: number): Promise<number> {
  let differing = 0;
  let sessions = 0;
  let wide = 0;
  let slowestMs = 0;
  let notedAtMs = performance.now();
  for (let i = 0; i < count; i++) {
    const result = await runHistory({ seed: seed + i });
    sessions += result.sessions;
    wide += result.wide;
    slowestMs = Math.max(slowestMs, result.ms);
    if (result.difference !== undefined) {
      differing++;
      say(false, `history ${result.seed} ends in equal tables`, [
        result.difference,
        `./weir test histories --count 1 --seed ${result.seed}`,
        ...result.story,
      ]);
    }
    if (performance.now() - notedAtMs > NOTE_MS) {
      notedAtMs = performance.now();
      console.error(`${i + 1} histories, ${differing} of them differ`);
    }
  }
  console.error(
    `${count} histories, ${differing} differ; ${sessions} sessions, ${wide} of them wide, compared at the end; equal after at most ${slowestMs} ms`,
  );
  return differing;
}

async function isRepeatable(seed: number): Promise<boolean> {
  const [first, second] = [
    await runHistory({ seed }),
    await runHistory({ seed }),
  ];
  return first.trace === second.trace && first.trace !== "";
}

async function breaks(seed: number): Promise<boolean> {
  for (let i = 0; i < BROKEN_MAX; i++) {
    const result = await runHistory({
      seed: seed + i,
      without: REPAIRS,
      badBusOnly: true,
    });
    if (result.difference !== undefined) return true;
  }
  return false;
}

let said = 0;

function say(
  isGood: boolean,
  title: string,
  detail: readonly string[] = [],
): void {
  said++;
  console.log(`${isGood ? "" : "not "}ok ${said} - ${title}`);
  if (detail.length === 0) return;
  console.log("  ---");
  for (const line of detail) console.log(`    ${line}`);
  console.log("  ...");
}

await main(Number(process.argv[2]), Number(process.argv[3]));
