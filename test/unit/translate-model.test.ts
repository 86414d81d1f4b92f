// SPDX-License-Identifier: Apache-2.0
// The model that judges the dataplane's translation, itself held against what Linux's NAT does with the same packets.
import test from "ava";
import { address, rangeOf } from "../model/translate/address.ts";
import { buildFrame } from "../model/translate/build.ts";
import { headTo } from "../model/translate/ethernet.ts";
import { judge } from "../model/translate/judge.ts";
import type { Outcome } from "../model/translate/outcome.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import type { Counter } from "../model/translate/reason.ts";
import { type Hop, World } from "../model/translate/world.ts";
import { type Capture, CAPTURES } from "./translate-captures.ts";

const hop = (last: string): Hop => ({
  dmac: `02:00:00:00:04:${last}`,
  smac: "02:00:00:00:04:00",
  vlan: 0,
  mtu: 1500,
});
const TO_CLIENTS = hop("01");
const TO_REALS = hop("02");

function linuxWorld(): World {
  const service = (vip: string, real: string, isTcp: boolean) => {
    const [port, realPort] = isTcp ? [80, 8080] : [53, 5353];
    return {
      vip: address(vip),
      protocol: isTcp ? PROTOCOL.tcp : PROTOCOL.udp,
      ports: { min: port, max: port },
      reals: [{ address: address(real), port: realPort, hop: TO_REALS }],
    };
  };
  return new World({
    services: [true, false].flatMap((isTcp) => [
      service("192.0.2.10", "10.3.1.2", isTcp),
      service("2001:db8:5::10", "2001:db8:3::2", isTcp),
    ]),
    otherVips: [],
    aggregates: [rangeOf("10.200.0.0/24"), rangeOf("2001:db8:200::/64")],
    pools: [rangeOf("10.200.0.16/28"), rangeOf("2001:db8:200::10/124")],
    ports: { min: 2000, max: 2100 },
    unknownPort: "drop",
    options: "pass",
    clients: { 4: TO_CLIENTS, 6: TO_CLIENTS },
    clientPrefixes: [rangeOf("0.0.0.0/0"), rangeOf("::/0")],
  });
}

/** What a director would have done that translates as Linux did. */
function outcomeOf({ title, after }: Capture): Outcome {
  const packet = Buffer.from(after, "hex");
  const isNew = /^(SYN|datagram) over/.test(title);
  const isError = /unreachable/.test(title);
  const isInbound = isNew || /data of|FIN/.test(title);
  const counted = new Map<Counter, number>([
    ["received", 1],
    ["forwarded", 1],
    ...(isNew ? ([["session_created", 1]] as const) : []),
    ...(isError ? ([["icmp_translated", 1]] as const) : []),
  ]);
  const version = (packet[0] ?? 0) >> 4 === 4 ? 4 : 6;
  const head = headTo(isInbound ? TO_REALS : TO_CLIENTS, version);
  return { verdict: "redirect", frame: Buffer.concat([head, packet]), counted };
}

for (const [i, capture] of CAPTURES.entries()) {
  test(`judge() agrees with Linux's NAT on a ${capture.title}`, (t) => {
    const world = linuxWorld();
    for (const each of CAPTURES.slice(0, i)) judgeCapture(each, world);
    t.is(judgeCapture(capture, world), undefined);
  });

  test(`judge() notices each byte that is wrong in a ${capture.title}`, (t) => {
    const outcome = outcomeOf(capture);
    for (let at = 0; at < outcome.frame.length; at++) {
      const frame = Buffer.from(outcome.frame);
      frame.writeUInt8((frame[at] ?? 0) ^ 0x55, at);
      const world = linuxWorld();
      for (const each of CAPTURES.slice(0, i)) judgeCapture(each, world);
      const complaint = judge(frameOf(capture), { ...outcome, frame }, world);
      t.not(complaint, undefined, `nobody noticed byte ${at}`);
    }
  });
}

function frameOf({ before }: Capture): Buffer {
  return buildFrame(Buffer.from(before, "hex"));
}

function judgeCapture(capture: Capture, world: World): string | undefined {
  return judge(frameOf(capture), outcomeOf(capture), world);
}
