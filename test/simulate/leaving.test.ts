// SPDX-License-Identifier: Apache-2.0
// What leaves, byte for byte: translated packets of each kind, and answers.
import test, { type ExecutionContext } from "ava";
import { ICMP, ICMPV6, TCP_FLAG } from "../model/translate/protocols.ts";
import { run } from "../unit/cli-run.ts";
import { type Answer, CONFIG, Files } from "./files.ts";
import {
  CLIENT,
  CLIENT6,
  FOUR_TO_SIX_REAL,
  LIP,
  LIP6,
  SIX_TO_FOUR,
  SIX_TO_FOUR_LIP,
  SIX_TO_FOUR_REAL,
  WEB,
  WEB6,
  WEB6_REAL,
  WEB_REAL,
} from "./hosts.ts";
import { ODD, ODD_FILE } from "./odd.ts";
import { frame, patched, tcp, udp } from "./packets.ts";

/** From the node's interfaces to the routers of weir.yaml. */
const TO_CLIENTS = { macs: "020000000101027765000000" };
const TO_REALS = { macs: "020000000201027765000001" };
const MSS = Buffer.from("020405b4", "hex");
const TTL = { ttl: 63 };

const TRANSLATED: Readonly<Record<string, Buffer>> = {
  "a SYN 1": frame(
    tcp(LIP, WEB_REAL, "S", { ...TTL, dontFragment: true }, { options: MSS }),
    TO_REALS,
  ),
  "its SYN/ACK": frame(tcp(WEB, CLIENT, "SA", TTL), TO_CLIENTS),
  "Ethernet's padding": frame(tcp(LIP, WEB_REAL, "A", TTL), {
    ...TO_REALS,
    trailer: Buffer.alloc(6),
  }),
  "two VLAN tags": frame(tcp(LIP, WEB_REAL, "A", TTL), TO_REALS),
  "a player at another port": frame(udp(LIP, "10.3.5.2:27016", TTL), TO_REALS),
  "the game's answer": frame(udp("192.0.2.10:27015", CLIENT, TTL), TO_CLIENTS),
  "a SYN over IPv6": frame(tcp(LIP6, WEB6_REAL, "S", TTL), TO_REALS),
  "its SYN/ACK over IPv6": frame(tcp(WEB6, CLIENT6, "SA", TTL), TO_CLIENTS),
  "a SYN from IPv4 to IPv6": frame(
    tcp(LIP6, FOUR_TO_SIX_REAL, "S", TTL),
    TO_REALS,
  ),
};
const FOUR_FROM_SIX = frame(
  tcp(SIX_TO_FOUR_LIP, SIX_TO_FOUR_REAL, "S", TTL),
  TO_REALS,
);
const SIX_FROM_FOUR = frame(tcp(SIX_TO_FOUR, CLIENT6, "SA", TTL), TO_CLIENTS);
/** Type, or flags, and code, behind the IP header. */
const ANSWERS: Readonly<Record<string, readonly [at: number, ...number[]]>> = {
  "a SYN for an unknown port": [13, TCP_FLAG.rst | TCP_FLAG.ack],
  "an ACK for an unknown port": [13, TCP_FLAG.rst],
  "a datagram for an unknown port": [0, ICMP.unreachable, 3],
  "a datagram over IPv6 for an unknown port": [0, ICMPV6.unreachable, 4],
  "a SYN at its last hop": [0, ICMP.timeExceeded, 0],
  "a SYN over IPv6 at its last hop": [0, ICMPV6.timeExceeded, 0],
  "1400 bytes into a tunnel, not to be fragmented": [0, ICMP.unreachable, 4],
  "1400 bytes over IPv6 into a tunnel": [0, ICMPV6.tooBig, 0],
  "an echo request": [0, ICMP.echoReply, 0],
  "an echo request over IPv6": [0, ICMPV6.echoReply, 0],
};
const ETHERNET = 14;
/** In a frame: the IPv4 header's identification and checksum. */
const ID = ETHERNET + 4;
const IP_CHECKSUM = ETHERNET + 10;

test("simulate shows how it translates", async (t) => {
  const answers = await simulate(t, CONFIG);
  for (const [what, expected] of Object.entries(TRANSLATED)) {
    const bytes = leaving(answers, what);
    t.is(bytes.toString("hex"), expected.toString("hex"), what);
  }
});

test("simulate shows how it translates IPv6 to IPv4, and back", async (t) => {
  // There is a second port: for IPv4 real servers of IPv6 clients.
  const config = new Files(t).config("ports: 1024-1024", "ports: 1024-1025");
  const answers = await simulate(t, config);
  const back = leaving(answers, "its SYN/ACK from IPv4");
  t.is(back.toString("hex"), SIX_FROM_FOUR.toString("hex"));
  const bytes = leaving(answers, "a SYN from IPv6 to IPv4");
  // The identification is the program's choice.
  const id = [...bytes.subarray(ID, ID + 2)];
  const sum = [...bytes.subarray(IP_CHECKSUM, IP_CHECKSUM + 2)];
  const expected = patched(
    patched(FOUR_FROM_SIX, ID, ...id),
    IP_CHECKSUM,
    ...sum,
  );
  t.is(bytes.toString("hex"), expected.toString("hex"));
  const { session, server } = answers.get("its SYN/ACK from IPv4") ?? {};
  t.deepEqual(session, {
    client: CLIENT6,
    virtual: SIX_TO_FOUR,
    local: SIX_TO_FOUR_LIP,
    real: SIX_TO_FOUR_REAL,
    protocol: "tcp",
    state: "synack",
    service: "six-to-four",
  });
  t.is(server, SIX_TO_FOUR_REAL);
});

test("simulate shows its answers", async (t) => {
  const answers = await simulate(t, CONFIG);
  for (const [what, [at, ...expected]] of Object.entries(ANSWERS)) {
    const question = ODD.find((one) => one.what === what)?.bytes;
    const answer = leaving(answers, what);
    t.true(answer.length > ETHERNET, `there is no answer to ${what}`);
    // Back to where it came from.
    t.deepEqual(answer.subarray(0, 6), question?.subarray(6, 12), what);
    const header = answer.readUInt8(ETHERNET) >> 4 === 4 ? 20 : 40;
    const from = ETHERNET + header + at;
    const found = [...answer.subarray(from, from + expected.length)];
    t.deepEqual(found, expected, what);
  }
});

async function simulate(
  t: ExecutionContext,
  config: string,
): Promise<ReadonlyMap<string, Answer>> {
  const { code, stdout, stderr } = await run(
    "simulate",
    ...["--config", config, "--pcap", ODD_FILE, "--out", "/dev/null", "--json"],
  );
  t.is(stderr, "");
  t.is(code, 0);
  const list: readonly Answer[] = JSON.parse(stdout);
  return new Map(list.map((one, i) => [ODD[i]?.what ?? "", one]));
}

function leaving(from: ReadonlyMap<string, Answer>, what: string): Buffer {
  return Buffer.from(from.get(what)?.out[0]?.hex ?? "", "hex");
}
