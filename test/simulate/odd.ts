// SPDX-License-Identifier: Apache-2.0
/**
 * The packets of odd.pcapng, for the node of weir.yaml: sessions that begin, go on and end, and among them what no
 * well-meaning host sends. `node test/simulate/odd.ts` writes the file.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeCapture } from "../../src/simulate/capture.ts";
import type { Odd } from "./hosts.ts";
import {
  bothFamilies,
  datagrams,
  fragments,
  ipv6,
  messages,
} from "./odd-other.ts";
import { ends, foreign, malformed, strangers, ways, web } from "./odd-tcp.ts";

export const ODD_FILE = join(import.meta.dirname, "odd.pcapng");

/** When the first one came, in ns since 1970, and the time from one to the next. */
export const BEGIN_NS = 1_700_000_000_000_000_000n;
export const STEP_NS = 1_000_000n;

export const ODD: readonly Odd[] = [
  ...foreign,
  ...web,
  ...malformed,
  ...strangers,
  ...ways,
  ...datagrams,
  ...ipv6,
  ...bothFamilies,
  ...messages,
  ...fragments,
  ...ends,
];

export function oddCapture(): Uint8Array {
  return writeCapture(
    ODD.map(({ iface, bytes }, index) => ({
      iface,
      bytes,
      timeNs: BEGIN_NS + BigInt(index) * STEP_NS,
    })),
  );
}

if (import.meta.main) writeFileSync(ODD_FILE, oddCapture());
