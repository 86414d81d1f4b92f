// SPDX-License-Identifier: Apache-2.0
// Which director carries which half of a connection: for a moment the router's packets towards the directors are looked at.
// To ask the router instead is no way: for IPv6, Linux works out another hash for a question than for a packet
// (rt6_multipath_custom_hash_fl6() and _skb(), 6.1 to 6.18).

import { LabError } from "../lab/errors.ts";
import {
  addressesOf,
  DIRECTORS,
  interfaceTowards,
  RACK,
  type Director,
  type Rack,
} from "../lab/rack.ts";
import type { Transport } from "./drill.ts";
import { STREAMS_PORTS, type ClientStream } from "./streams.ts";

/** Of one connection. Undefined: no packet was seen. */
export type Halves = {
  /** From the client to the VIP. */
  readonly forward: Director | undefined;
  /** From the real server to the local address. */
  readonly reply: Director | undefined;
};

/** For tcpdump to begin. */
const START_MS = 500;
/** Beside the time that it looks. */
const LIMIT_MS = 15_000;

/**
 * One line for each direction of each connection: the interface that its last packet has left by, and from where to where.
 * `$1`: seconds, `$2`: a filter.
 */
const SCRIPT = `timeout --preserve-status --signal INT "$1" \\
		tcpdump --immediate-mode -i any -Q out -nnqtl -s 96 -B 16384 "$2" |
	awk 'NF > 5 { left[$4 " " $6] = $1 } END { for (one in left) print left[one], one }'`;

/** In the order of the connections, both of whose ends send at least once in `everyMs`. @throws LabError */
export async function halvesOf(
  rack: Rack,
  transport: Transport,
  streams: readonly ClientStream[],
  everyMs: number,
): Promise<readonly Halves[]> {
  if (streams.length === 0) return [];
  const lookMs = START_MS + 2 * everyMs;
  const output = await rack.output(
    RACK.router,
    [
      ...["bash", "-c", SCRIPT, "halves", String(lookMs / 1000)],
      filterOf(transport),
    ],
    { timeoutMs: lookMs + LIMIT_MS },
  );
  return readHalves(output, transport, streams);
}

function filterOf({ family, protocol }: Transport): string {
  const { vip, aggregate } = addressesOf(family);
  const port = STREAMS_PORTS[protocol];
  return `${protocol} and ((dst host ${vip} and dst port ${port}) or (dst net ${aggregate} and src port ${port}))`;
}

/** What SCRIPT has printed. Pure. @throws LabError when it is nothing at all */
export function readHalves(
  output: string,
  { family, protocol }: Transport,
  streams: readonly ClientStream[],
): readonly Halves[] {
  const { vip, clients, realServers } = addressesOf(family);
  const servers: Readonly<Record<string, string>> = realServers;
  const service = STREAMS_PORTS[protocol];
  const carriers = new Map(
    output.split("\n").map((line) => {
      const [left, from, to = ""] = line.split(" ");
      const carrier = DIRECTORS.find((one) => interfaceTowards(one) === left);
      return [`${from} ${to.replace(/:$/, "")}`, carrier];
    }),
  );
  if (output.trim() === "")
    throw new LabError(
      `Cannot tell which director carries what: the router sends none of ${streams.length} connections to any`,
    );
  return streams.map(({ client, port, server, lip, lport }) => ({
    forward: carriers.get(`${clients[client]}.${port} ${vip}.${service}`),
    reply: carriers.get(`${servers[server]}.${service} ${lip}.${lport}`),
  }));
}
