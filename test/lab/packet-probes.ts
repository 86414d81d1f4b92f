// SPDX-License-Identifier: Apache-2.0
// What a client of the rack does with stock programs, and what they say came of it.

import * as t from "io-ts";
import { isLeft } from "fp-ts/lib/Either.js";
import { CHECKOUT, type Rack } from "../../ops/lab/rack.ts";
import type { Echoes } from "./echo-client.ts";

const CLIENT = "c1";
const LIMIT_MS = 60_000;

/** A download stands still for so long: it is given up. */
const SILENCE_S = 4;

export const CURL_REFUSED = 7;
export const CURL_TIMED_OUT = 28;

export type Download = { readonly code: number; readonly hash: string };

/** curl's exit code, and the hash of what came. */
export async function download(rack: Rack, url: string): Promise<Download> {
  const script = `set -o pipefail
curl --disable --globoff --silent --connect-timeout ${SILENCE_S} \\
	--speed-limit 1 --speed-time ${SILENCE_S} "$1" | sha256sum`;
  const { code, stdout } = await rack.lab.exec(
    CLIENT,
    ["bash", "-c", script, "download", url],
    { timeoutMs: LIMIT_MS },
  );
  return { code, hash: stdout.split(" ")[0] ?? "" };
}

const sumCodec = t.type({ bytes: t.number });
const iperfCodec = t.type({
  end: t.type({ sum_sent: sumCodec, sum_received: sumCodec }),
});

/** The bytes of one second. */
export async function iperf(
  rack: Rack,
  vip: string,
  port: number,
  options: readonly string[],
): Promise<{ readonly sent: number; readonly received: number }> {
  const { stdout } = await rack.lab.exec(
    CLIENT,
    [
      ...["iperf3", "--client", vip, "--port", String(port), "--json"],
      ...["--connect-timeout", "5000", "--time", "1", ...options],
    ],
    { timeoutMs: LIMIT_MS },
  );
  const decoded = iperfCodec.decode(JSON.parse(stdout));
  if (isLeft(decoded)) throw new Error(`iperf3 has failed: ${stdout}`);
  const { sum_sent, sum_received } = decoded.right.end;
  return { sent: sum_sent.bytes, received: sum_received.bytes };
}

export async function echo(
  rack: Rack,
  vip: string,
  port: number,
  sizes: readonly number[],
): Promise<Echoes> {
  const program = [rack.nodeProgram, `${CHECKOUT}/test/lab/echo-client.ts`];
  const output = await rack.output(
    CLIENT,
    [...program, vip, String(port), ...sizes.map(String)],
    { timeoutMs: LIMIT_MS },
  );
  return JSON.parse(output);
}

export type Trace = {
  readonly pmtu: number;
  /** Who has answered, from the first on. Hops without an answer are missing. */
  readonly hops: readonly string[];
  readonly reached: boolean;
};

/** @param port of a range: each packet goes to another one */
export async function tracepath(
  rack: Rack,
  vip: string,
  port: number,
): Promise<Trace> {
  const output = await rack.output(
    CLIENT,
    ["tracepath", "-n", "-m", "8", "-p", String(port), vip],
    { timeoutMs: LIMIT_MS },
  );
  return readTracepath(output);
}

/** A hop may have several lines: one for each size that was tried. Pure. */
export function readTracepath(output: string): Trace {
  const hops = new Map<number, string>();
  for (const [, hop, address = ""] of output.matchAll(
    /^ *(\d+): +([\da-f.:]+) /gm,
  ))
    hops.set(Number(hop), address);
  return {
    pmtu: Number(/Resume: pmtu (\d+)/.exec(output)?.[1]),
    hops: [...hops.values()],
    reached: /\breached$/m.test(output),
  };
}

/** How many datagrams a machine has put together from fragments. */
export async function reassembled(
  rack: Rack,
  node: string,
  family: 4 | 6,
): Promise<number> {
  const text = await rack.output(node, [
    ...["cat", "/proc/net/snmp", "/proc/net/snmp6"],
  ]);
  if (family === 6) return Number(/^Ip6ReasmOKs\s+(\d+)/m.exec(text)?.[1]);
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("Ip: "))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("ReasmOKs")]);
}
