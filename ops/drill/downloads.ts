// SPDX-License-Identifier: Apache-2.0
// Downloads with curl, one after the other: 2 s each, at a steady pace, verified by hash.

import { LabError } from "../lab/errors.ts";
import { fileHash, FILES } from "../lab/rack/files.ts";
import { type Family, formatHost } from "../../src/model.ts";
import { addressesOf, type Client, type Rack } from "../lab/rack.ts";
import type { Outcome } from "./events.ts";

const FILE = "steady/2m";
/** Nothing for so long: broken. */
const SILENCE_S = 5;
const LIMIT_MS = 30_000;

/** curl's exit codes for these ends. */
const CURL_OUTCOMES: Readonly<Record<string, Outcome>> = {
  18: "endedEarly",
  28: "timedOut",
  52: "endedEarly",
  56: "reset",
};

/**
 * One line: curl's exit code, how long it took by its own word in seconds, its port, when it ended in ms since 1970, and
 * the hash of what came.
 */
const SCRIPT = `file=$(mktemp)
curl --disable --globoff --silent --connect-timeout "$1" --speed-limit 1 --speed-time "$1" --output "$file" \\
	--write-out '%{exitcode} %{time_total} %{local_port}' "$2"
echo " $(date +%s%3N) $(sha256sum <"$file")"
rm "$file"`;

/** What came of one. Times are in ms since 1970. */
export type Download = {
  readonly kind: "curl";
  readonly who: string;
  readonly outcome: Outcome;
  readonly beginMs: number;
  readonly endMs: number;
  readonly bytesVerified: number;
};

export class Downloads {
  readonly #rack: Rack;
  readonly #client: Client;
  readonly #url: string;
  readonly #all: Promise<readonly Download[]>;
  #stopped = false;

  /** They begin at once. */
  constructor(rack: Rack, client: Client, family: Family) {
    this.#rack = rack;
    this.#client = client;
    this.#url = `http://${formatHost(addressesOf(family).vip)}/${FILE}`;
    this.#all = this.#run();
  }

  /** Waits for the one that is going on. */
  async finish(): Promise<readonly Download[]> {
    this.#stopped = true;
    return this.#all;
  }

  close(): void {
    this.#stopped = true;
  }

  async #run(): Promise<readonly Download[]> {
    const downloads: Download[] = [];
    while (!this.#stopped) downloads.push(await this.#download());
    return downloads;
  }

  async #download(): Promise<Download> {
    const argv = [
      ...["bash", "-c", SCRIPT, "download", String(SILENCE_S), this.#url],
    ];
    const startedMs = Date.now();
    try {
      const line = await this.#rack.output(this.#client, argv, {
        timeoutMs: LIMIT_MS,
      });
      return readDownload(line, this.#client);
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      return {
        ...{ kind: "curl", who: this.#client, outcome: "timedOut" },
        ...{ beginMs: startedMs, endMs: Date.now(), bytesVerified: 0 },
      };
    }
  }
}

/** What SCRIPT has printed. The begin is that of curl's work, not of its process: it says how old the session is. Pure. */
export function readDownload(line: string, client: string): Download {
  const [code = "", seconds, port, end, hash] = line.trim().split(/\s+/);
  const isRight = hash === fileHash(FILE);
  const outcome: Outcome =
    code === "0"
      ? isRight
        ? "complete"
        : "corrupted"
      : (CURL_OUTCOMES[code] ?? "reset");
  const endMs = Number(end);
  return {
    kind: "curl",
    who: `${client}:${port}`,
    outcome,
    beginMs: endMs - Number(seconds) * 1000,
    endMs,
    bytesVerified: outcome === "complete" ? (FILES[FILE] ?? 0) : 0,
  };
}
