// SPDX-License-Identifier: Apache-2.0
// What becomes of each odd packet, and of those between which it comes.
import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { readCapture } from "../../src/simulate/capture.ts";
import { run } from "../unit/cli-run.ts";
import { type Answer, CONFIG, Files } from "./files.ts";
import { ODD, ODD_FILE, oddCapture } from "./odd.ts";

/** Of each packet: verdict, counter, and, where there is one, its session with its state, and the way out. */
const EXPECTED = tableOf(`
an ARP request                                   | pass    | passed_foreign
an LLDP frame                                    | pass    | passed_foreign
a segment for another host                       | pass    | passed_foreign
a broadcast                                      | pass    | passed_foreign
a neighbour solicitation                         | pass    | passed_foreign
an Ethernet header and no more                   | pass    | passed_foreign
half an IP header                                | pass    | passed_foreign
three VLAN tags                                  | pass    | passed_foreign
a SYN 1                                          | forward | forwarded              | web syn         | eth2
a SYN 2                                          | forward | forwarded              | web syn         | eth2
its SYN/ACK                                      | forward | forwarded              | web synack      | eth1
its ACK                                          | forward | forwarded              | web synack      | eth2
a request                                        | forward | forwarded              | web synack      | eth2
a response                                       | forward | forwarded              | web established | eth1
Ethernet's padding                               | forward | forwarded              | web established | eth2
a VLAN tag                                       | forward | forwarded              | web established | eth2
two VLAN tags                                    | forward | forwarded              | web established | eth2
an IP option                                     | forward | forwarded              | web established | eth2
urgent data                                      | forward | forwarded              | web established | eth2
SYN and FIN                                      | drop    | drop_tcp_flags         | web established
SYN and RST                                      | drop    | drop_tcp_flags         | web established
no flags                                         | drop    | drop_tcp_flags         | web established
FIN without ACK                                  | drop    | drop_tcp_flags         | web established
FIN, PSH and URG                                 | drop    | drop_tcp_flags         | web established
a TCP header of 16 bytes                         | drop    | drop_malformed         | web established
a TCP header of 60 bytes in 20                   | drop    | drop_malformed         | web established
half a TCP header                                | drop    | drop_malformed         | web established
an IP length beyond the frame                    | drop    | drop_malformed         | web established
an IP length of 16 bytes                         | drop    | drop_malformed         | web established
an IP header of 16 bytes                         | drop    | drop_malformed
IP version 5                                     | drop    | drop_malformed         | web established
an ACK of nobody's session                       | drop    | drop_no_session
a RST of nobody's session                        | drop    | drop_no_session
a SYN/ACK from a client                          | drop    | drop_no_session
a SYN too many for the pool                      | drop    | drop_no_lport
a SYN that no server takes                       | drop    | drop_no_real_server
a SYN/ACK from no real server                    | drop    | drop_no_session
a datagram from no real server                   | drop    | drop_no_session
a SYN for an unknown port                        | answer  | drop_no_service        |                 | eth1
an ACK for an unknown port                       | answer  | drop_no_service        |                 | eth1
a RST for an unknown port                        | drop    | drop_no_service
a SYN for a port of UDP                          | answer  | drop_no_service        |                 | eth1
a SYN from its own destination                   | drop    | drop_land
a SYN from another VIP                           | drop    | drop_own_source
a SYN from a local address                       | drop    | drop_own_source
a SYN at its last hop                            | answer  | drop_ttl               |                 | eth1
a segment at its last hop 1                      | answer  | drop_ttl               | web established | eth1
a segment at its last hop 2                      | answer  | drop_ttl               | web established | eth1
an answer at its last hop                        | answer  | drop_ttl               | web established | eth2
a SYN from behind an unknown MAC                 | forward | forwarded              | lost syn        | eth2
a SYN/ACK to an unknown MAC                      | pass    | passed_no_neighbour    | lost synack
a SYN from nowhere                               | forward | forwarded              | far syn         | eth2
a SYN/ACK to nowhere                             | drop    | drop_no_route          | far synack
a SYN into a tunnel                              | forward | forwarded              | small syn       | eth2
1400 bytes into a tunnel                         | pass    | passed_too_big         | small syn
1400 bytes into a tunnel, not to be fragmented   | answer  | drop_too_big           | small syn       | eth1
a question                                       | forward | forwarded              | dns unanswered  | eth2
its answer                                       | forward | forwarded              | dns established | eth1
a question without a checksum                    | forward | forwarded              | dns established | eth2
a UDP length beyond the packet                   | drop    | drop_malformed         | dns established
a UDP length of 7 bytes                          | drop    | drop_malformed         | dns established
half a UDP header                                | drop    | drop_malformed         | dns established
a datagram for an unknown port                   | answer  | drop_no_service        |                 | eth1
a player                                         | forward | forwarded              | games unanswered | eth2
the game's answer                                | forward | forwarded              | games established | eth1
a player at another port                         | forward | forwarded              | games unanswered | eth2
a player behind the last port                    | answer  | drop_no_service        |                 | eth1
SCTP                                             | drop    | drop_protocol
GRE                                              | drop    | drop_protocol
a SYN over IPv6                                  | forward | forwarded              | web6 syn        | eth2
its SYN/ACK over IPv6                            | forward | forwarded              | web6 synack     | eth1
its ACK over IPv6                                | forward | forwarded              | web6 synack     | eth2
an answer over IPv6                              | forward | forwarded              | web6 established | eth1
hop-by-hop options                               | forward | forwarded              | web6 established | eth2
destination options                              | forward | forwarded              | web6 established | eth2
a routing header                                 | forward | forwarded              | web6 established | eth2
four extension headers                           | forward | forwarded              | web6 established | eth2
five extension headers                           | drop    | drop_extension         | web6 established
an authentication header                         | drop    | drop_protocol
no next header                                   | drop    | drop_protocol
an atomic fragment                               | forward | forwarded              | web6 established | eth2
a SYN over IPv6 at its last hop                  | answer  | drop_ttl               |                 | eth1
a SYN over IPv6 for an unknown port              | answer  | drop_no_service        |                 | eth1
a datagram over IPv6 for an unknown port         | answer  | drop_no_service        |                 | eth1
a SYN over IPv6 from its own destination         | drop    | drop_land
an IPv4-mapped source                            | drop    | drop_malformed
an IPv6 length beyond the frame                  | drop    | drop_malformed         | web6 established
a question over IPv6                             | forward | forwarded              | dns6 unanswered | eth2
its answer over IPv6                             | forward | forwarded              | dns6 established | eth1
a question over IPv6 without a checksum          | drop    | drop_udp_checksum      | dns6 established
1400 bytes over IPv6 into a tunnel               | answer  | drop_too_big           | small6 unanswered | eth1
a SYN from IPv6 to IPv4                          | drop    | drop_no_lport
its SYN/ACK from IPv4                            | drop    | drop_no_session
its ACK to IPv4                                  | drop    | drop_no_session
a route behind it, from IPv6 to IPv4             | drop    | drop_no_session
a route before it, from IPv6 to IPv4             | drop    | drop_no_session
a SYN from IPv4 to IPv6                          | forward | forwarded              | four-to-six syn | eth2
its SYN/ACK from IPv6                            | forward | forwarded              | four-to-six synack | eth1
its ACK to IPv6                                  | forward | forwarded              | four-to-six synack | eth2
a route before it, from IPv4 to IPv6             | drop    | drop_untranslatable    | four-to-six synack
a question without a checksum, from IPv4 to IPv6 | drop    | drop_udp_checksum
an echo request                                  | answer  | answered_echo          |                 | eth1
an echo request over IPv6                        | answer  | answered_echo          |                 | eth1
an echo request to a local address               | drop    | drop_icmp_type
an echo reply                                    | drop    | drop_icmp_type
a timestamp request                              | drop    | drop_icmp_type
port unreachable from the real server            | forward | forwarded              | dns established | eth1
fragmentation needed towards the client          | forward | forwarded              | web established | eth2
packet too big towards the client                | forward | forwarded              | web6 established | eth2
fragmentation needed, from IPv4 to IPv6          | drop    | drop_icmp_no_session
time exceeded about nobody's packet              | drop    | drop_icmp_no_session
an error about half a packet                     | drop    | drop_icmp_inner
a first fragment                                 | forward | forwarded              | dns established | eth2
its last fragment                                | forward | forwarded              | dns established | eth2
its last fragment again                          | drop    | drop_fragment_stranger | dns established
another first fragment                           | forward | forwarded              | dns established | eth2
a fragment over it                               | drop    | drop_fragment_overlap  | dns established
the fragment that would have followed            | drop    | drop_fragment_overlap  | dns established
a fragment over TCP's flags                      | drop    | drop_fragment_overlap
a fragment of an unknown datagram                | drop    | drop_fragment_stranger
a first fragment without a whole header          | drop    | drop_fragment_tiny     | web established
a fragment of 13 bytes that is not the last      | drop    | drop_fragment_tiny
a first fragment over IPv6                       | forward | forwarded              | dns6 established | eth2
its last fragment over IPv6                      | forward | forwarded              | dns6 established | eth2
a fragment of an unknown datagram over IPv6      | drop    | drop_fragment_stranger
a first fragment from IPv4 to IPv6               | forward | forwarded              | four-to-six-dns unanswered | eth2
its last fragment from IPv4 to IPv6              | forward | forwarded              | four-to-six-dns unanswered | eth2
a FIN                                            | forward | forwarded              | web finOne      | eth2
the other FIN                                    | forward | forwarded              | web finBoth     | eth1
the last ACK                                     | forward | forwarded              | web finBoth     | eth2
a RST from the real server                       | forward | forwarded              | web finBoth     | eth1
`);

/** What changes with `unknown_port: drop` and `ip_options: drop`. */
const EXPECTED_STRICT = tableOf(`
an IP option                                     | drop    | drop_options           | web established
a SYN for an unknown port                        | drop    | drop_no_service
an ACK for an unknown port                       | drop    | drop_no_service
a SYN for a port of UDP                          | drop    | drop_no_service
a datagram for an unknown port                   | drop    | drop_no_service
a player behind the last port                    | drop    | drop_no_service
hop-by-hop options                               | drop    | drop_options           | web6 established
destination options                              | drop    | drop_options           | web6 established
a routing header                                 | drop    | drop_options           | web6 established
four extension headers                           | drop    | drop_options           | web6 established
a SYN over IPv6 for an unknown port              | drop    | drop_no_service
a datagram over IPv6 for an unknown port         | drop    | drop_no_service
a route behind it, from IPv6 to IPv4             | drop    | drop_options
a route before it, from IPv6 to IPv4             | drop    | drop_options
a route before it, from IPv4 to IPv6             | drop    | drop_options           | four-to-six synack
`);

/** What changes with `ports: 1024-1025`: there is one for IPv4 real servers of IPv6 clients. */
const EXPECTED_SIX_TO_FOUR = tableOf(`
a SYN from IPv6 to IPv4                          | forward | forwarded              | six-to-four syn | eth2
its SYN/ACK from IPv4                            | forward | forwarded              | six-to-four synack | eth1
its ACK to IPv4                                  | forward | forwarded              | six-to-four synack | eth2
a route behind it, from IPv6 to IPv4             | forward | forwarded              | six-to-four synack | eth2
a route before it, from IPv6 to IPv4             | drop    | drop_untranslatable    | six-to-four synack
fragmentation needed, from IPv4 to IPv6          | forward | forwarded              | six-to-four synack | eth1
`);

test("odd.pcapng has the packets of odd.ts", (t) => {
  t.deepEqual(readFileSync(ODD_FILE), Buffer.from(oddCapture()));
  t.is(new Set(ODD.map(({ what }) => what)).size, ODD.length);
  t.true(ODD.length >= 60);
});

test("simulate says what becomes of each odd packet", async (t) => {
  const answers = await simulate(t, CONFIG);
  t.deepEqual(differences(answers.map(toRow), EXPECTED), []);
  t.deepEqual(
    answers.map(({ n, iface }) => [n, iface]),
    ODD.map(({ iface }, index) => [index + 1, iface]),
  );
});

test("simulate goes by unknown_port and ip_options", async (t) => {
  const file = new Files(t).config(
    "unknown_port: reject",
    "unknown_port: drop\nip_options: drop",
  );
  const changed = new Map(EXPECTED_STRICT.map((row) => [whatOf(row), row]));
  const answers = await simulate(t, file);
  const expected = EXPECTED.map((row) => changed.get(whatOf(row)) ?? row);
  t.deepEqual(differences(answers.map(toRow), expected), []);
});

test("simulate has a second port for IPv4 real servers of IPv6 clients", async (t) => {
  const file = new Files(t).config("ports: 1024-1024", "ports: 1024-1025");
  const whats = new Set(EXPECTED_SIX_TO_FOUR.map(whatOf));
  const rows = (await simulate(t, file)).map(toRow);
  t.deepEqual(
    rows.filter((row) => whats.has(whatOf(row))),
    EXPECTED_SIX_TO_FOUR,
  );
});

function differences(
  rows: readonly string[],
  expected: readonly string[],
): readonly string[] {
  const found = rows.flatMap((row, index) =>
    row === expected[index] ? [] : [`${row}, and not ${expected[index]}`],
  );
  return rows.length === expected.length
    ? found
    : [`there are ${rows.length} packets, and not ${expected.length}`];
}

/** Runs odd.pcapng. What would leave has to be in the file, too. */
async function simulate(
  t: ExecutionContext,
  config: string,
): Promise<readonly Answer[]> {
  const { out } = new Files(t);
  const files = ["--config", config, "--pcap", ODD_FILE, "--out", out];
  const { code, stdout, stderr } = await run("simulate", ...files, "--json");
  t.is(stderr, "");
  t.is(code, 0);
  const answers: readonly Answer[] = JSON.parse(stdout);
  const odd = readCapture(readFileSync(ODD_FILE));
  t.deepEqual(
    readCapture(readFileSync(out)).map(({ iface, timeNs, bytes }) => ({
      iface,
      timeNs,
      hex: Buffer.from(bytes).toString("hex"),
    })),
    answers.flatMap((answer) =>
      answer.out.map((frame) => ({
        ...frame,
        timeNs: odd[answer.n - 1]?.timeNs,
      })),
    ),
  );
  return answers;
}

function toRow({ n, verdict, counter, session, out }: Answer): string {
  return rowOf([
    ODD[n - 1]?.what ?? "",
    verdict,
    counter,
    session ? `${session.service} ${session.state}` : "",
    out.map(({ iface }) => iface).join(" "),
  ]);
}

function tableOf(text: string): readonly string[] {
  return text
    .trim()
    .split("\n")
    .map((line) => rowOf(line.split("|").map((cell) => cell.trim())));
}

/** Cells at the end may be left out. */
function rowOf(cells: readonly string[]): string {
  return cells.join(" | ").replace(/[ |]+$/, "");
}

function whatOf(row: string): string {
  return row.slice(0, row.indexOf(" | "));
}
