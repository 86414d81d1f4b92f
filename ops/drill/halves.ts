// SPDX-License-Identifier: Apache-2.0
// Which director carries which half of a connection: the router is asked where it sends a packet of it now, in the way in
// which it decides for each packet (the input route with addresses, protocol and ports, hashed as ECMP does).

import { LabError } from "../lab/errors.ts";
import { DIRECTORS, RACK, type Director, type Rack } from "../lab/rack.ts";
import type { ClientStream } from "./streams.ts";

/** Of one connection. Undefined: the packets go nowhere. */
export type Halves = {
  /** From the client to the VIP. */
  readonly forward: Director | undefined;
  /** From the real server to the local address. */
  readonly reply: Director | undefined;
};

/** The router's interface towards each machine, by rack.clab.yml. */
const TOWARDS: Readonly<Record<string, string>> = {
  c1: "eth21",
  c2: "eth22",
  s1: "eth11",
  s2: "eth12",
  s3: "eth13",
};

const PORT = RACK.ports.streams;

/** In the order of the connections, each of which a real server has answered. @throws LabError */
export async function halvesOf(
  rack: Rack,
  streams: readonly ClientStream[],
): Promise<readonly Halves[]> {
  if (streams.length === 0) return [];
  // -force: a packet that goes nowhere is an answer, too.
  const output = await rack.output(
    RACK.router,
    ["bash", "-c", "ip -oneline -force -batch - 2>&1 || true"],
    { input: streams.flatMap(questions).join("") },
  );
  return readHalves(output, streams.length);
}

function questions(stream: ClientStream): readonly string[] {
  const { client, port, server, lip, lport } = stream;
  const realServers: Readonly<Record<string, string>> = RACK.realServers;
  return [
    `route get ${RACK.vip} from ${RACK.clients[client]} iif ${TOWARDS[client]} ipproto tcp sport ${port} dport ${PORT}\n`,
    `route get ${lip} from ${realServers[server]} iif ${TOWARDS[server]} ipproto tcp sport ${PORT} dport ${lport}\n`,
  ];
}

/** The answers to `questions`, in their order: one line that names a route, or one error. Pure. @throws LabError */
export function readHalves(output: string, count: number): readonly Halves[] {
  const answers = output
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("Command failed "))
    .map((line) => {
      const gateway = / via (\S+)/.exec(line)?.[1];
      return DIRECTORS.find(
        (director) => RACK.directors[director].address === gateway,
      );
    });
  if (answers.length !== 2 * count)
    throw new LabError(
      `Cannot tell which director carries what: the router gave ${answers.length} answers to ${2 * count} questions`,
    );
  return Array.from({ length: count }, (_, index) => ({
    forward: answers[2 * index],
    reply: answers[2 * index + 1],
  }));
}
