// SPDX-License-Identifier: Apache-2.0
// Whose packet a frame is.
import test from "ava";
import { FlowReader } from "../../src/simulate/flow.ts";
import { ICMP, ICMPV6, PROTOCOL } from "../model/translate/protocols.ts";
import { fragment, frame, icmp, ip, tcp, udp } from "../simulate/packets.ts";

const FROM = "198.51.100.1:40000";
const TO = "192.0.2.10:80";
const FROM6 = "[2001:db8:c::1]:40000";
const TO6 = "[2001:db8:100::10]:80";
const HERE = "192.0.2.10";
const HERE6 = "2001:db8:100::10";

const flow = {
  protocol: "tcp",
  source: { address: "198.51.100.1", port: 40_000 },
  destination: { address: HERE, port: 80 },
} as const;
const flow6 = {
  protocol: "tcp",
  source: { address: "2001:db8:c::1", port: 40_000 },
  destination: { address: HERE6, port: 80 },
} as const;

const OPTIONS = Buffer.from("01010100", "hex");
const PADDING = Buffer.from("0000010400000000", "hex");
const extensions = [
  { type: PROTOCOL.hopByHop, bytes: PADDING },
  { type: PROTOCOL.destination, bytes: PADDING },
];

for (const { what, bytes, expected } of [
  { what: "a segment", bytes: frame(tcp(FROM, TO, "S")), expected: flow },
  {
    what: "a datagram",
    bytes: frame(udp(FROM, TO)),
    expected: { ...flow, protocol: "udp" },
  },
  {
    what: "a segment with IP options, behind two VLAN tags",
    bytes: frame(tcp(FROM, TO, "S", { options: OPTIONS }), { vlans: [5, 7] }),
    expected: flow,
  },
  { what: "IPv6", bytes: frame(tcp(FROM6, TO6, "S")), expected: flow6 },
  {
    what: "IPv6 with extension headers",
    bytes: frame(tcp(FROM6, TO6, "S", { extensions, atomic: true })),
    expected: flow6,
  },
  {
    what: "an ICMP error, the flow that it is about, from its other end",
    bytes: frame(
      icmp("198.51.100.9", HERE, ICMP.unreachable, 3, tcp(TO, FROM, "A")),
    ),
    expected: flow,
  },
  {
    what: "an ICMPv6 error",
    bytes: frame(
      icmp("2001:db8:c::9", HERE6, ICMPV6.tooBig, 0, tcp(TO6, FROM6, "A")),
    ),
    expected: flow6,
  },
  {
    what: "an echo request, none",
    bytes: frame(icmp("198.51.100.1", HERE, ICMP.echoRequest)),
    expected: undefined,
  },
  {
    what: "another protocol, none",
    bytes: frame(ip(FROM, TO, { protocol: 47 }, Buffer.alloc(8))),
    expected: undefined,
  },
  {
    what: "a fragment of an unknown datagram, none",
    bytes: frame(fragment(udp(FROM, TO), { from: 8 }, 1)),
    expected: undefined,
  },
])
  test(`FlowReader.read() finds of ${what}`, (t) => {
    t.deepEqual(new FlowReader().read(bytes), expected);
  });

for (const [family, packet, expected] of [
  ["IPv4", tcp(FROM, TO, "A", {}, { data: Buffer.alloc(64) }), flow],
  ["IPv6", tcp(FROM6, TO6, "A", {}, { data: Buffer.alloc(64) }), flow6],
] as const)
  test(`FlowReader.read() knows a datagram's later fragments, of ${family}`, (t) => {
    const reader = new FlowReader();
    t.deepEqual(reader.read(frame(fragment(packet, { to: 40 }, 7))), expected);
    t.deepEqual(
      reader.read(frame(fragment(packet, { from: 40 }, 7))),
      expected,
    );
    t.is(reader.read(frame(fragment(packet, { from: 40 }, 8))), undefined);
  });

test("FlowReader.read() takes any bytes", (t) => {
  const whole = [
    frame(tcp(FROM, TO, "S", { options: OPTIONS }), { vlans: [5, 7] }),
    frame(tcp(FROM6, TO6, "S", { extensions, atomic: true })),
    frame(icmp("198.51.100.9", HERE, ICMP.unreachable, 3, tcp(TO, FROM, "A"))),
  ];
  const reader = new FlowReader();
  for (const bytes of whole)
    for (let length = 0; length < bytes.length; length++)
      t.notThrows(() => reader.read(bytes.subarray(0, length)));
});
