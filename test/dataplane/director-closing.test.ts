// SPDX-License-Identifier: Apache-2.0
// How a session ends, and who may have its client's key then.
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { Director } from "./director.ts";
import {
  DATA,
  establish,
  FROM_CLIENT,
  open,
  parsed,
  SYN_OPTIONS,
} from "./flow.ts";

/** WEIR_RESET_GRACE_TICKS. */
const GRACE_MS = 2000;

test.serial(
  "director goes through FIN from both sides and lets a SYN take the client's key",
  async (t) => {
    const director = new Director(t);
    const { sent, reply } = establish(t, director);
    t.deepEqual(director.send(t, { ...FROM_CLIENT, flags: "FA" }).counted, {
      forwarded: 1,
    });
    t.is((await director.sessions())[0]?.state, "finOne");
    const fin = { ...reply, flags: "FA" };
    t.deepEqual(director.send(t, fin).counted, {
      forwarded: 1,
      session_closed: 1,
    });
    t.deepEqual(
      director.send(t, fin).counted,
      { forwarded: 1 },
      "a repeated FIN was counted as another end",
    );
    t.deepEqual(
      director.send(t, { ...FROM_CLIENT, flags: "A" }).counted,
      { forwarded: 1 },
      "a closed session stopped translation",
    );
    t.like((await director.sessions())[0], {
      state: "finBoth",
      flags: ["clientFin", "realFin"],
    });

    const next = open(t, director, { seq: 77 }).sent;
    t.deepEqual(next.counted, {
      forwarded: 1,
      session_created: 1,
      session_replaced: 1,
    });
    t.notDeepEqual(
      [next.packet.saddr, next.packet.sport],
      [sent.packet.saddr, sent.packet.sport],
      "a LIP:port in TIME_WAIT was used again",
    );
    const late = director.send(t, { ...reply, flags: "A" });
    t.is(
      late.verdict,
      "redirect",
      "the old session's late segment was not passed on",
    );
  },
);

test.serial(
  "director passes a RST of the real server on and lets a SYN take the client's key",
  async (t) => {
    const director = new Director(t);
    const { reply } = establish(t, director);
    const rst = { ...reply, flags: "R", seq: 1 };
    t.deepEqual(director.send(t, rst).counted, {
      forwarded: 1,
      session_reset: 1,
    });
    t.deepEqual(
      director.send(t, rst).counted,
      { forwarded: 1 },
      "a repeated RST was counted twice",
    );
    t.deepEqual((await director.sessions())[0]?.flags, ["reset"]);
    t.deepEqual(open(t, director).sent.counted, {
      forwarded: 1,
      session_created: 1,
      session_replaced: 1,
    });
  },
);

test.serial(
  "director passes a RST of the client on, but gives the client's key away only after the grace time",
  async (t) => {
    const director = new Director(t);
    const { sent } = establish(t, director);
    t.deepEqual(director.send(t, { ...FROM_CLIENT, flags: "R" }).counted, {
      forwarded: 1,
      session_reset: 1,
    });
    const soon = open(t, director).sent;
    t.deepEqual(
      soon.counted,
      { forwarded: 1 },
      "two forged segments took a session over",
    );
    t.is(soon.packet.sport, sent.packet.sport);
    const isReplaced = (): boolean =>
      open(t, director, { seq: 6 }).sent.counted.session_replaced === 1;
    t.true(
      await within(GRACE_MS + 2000, isReplaced),
      "a reset session was not replaced",
    );
  },
);

test.serial(
  "director lets a SYN take the client's key of a half-open session that its client has reset",
  (t) => {
    const director = new Director(t);
    open(t, director);
    director.send(t, { ...FROM_CLIENT, flags: "R" });
    t.deepEqual(open(t, director).sent.counted, {
      forwarded: 1,
      session_created: 1,
      session_replaced: 1,
    });
  },
);

test.serial(
  "director keeps a half-open session half-open when its client sends a FIN",
  async (t) => {
    const director = new Director(t);
    const { reply } = open(t, director);
    t.deepEqual(director.send(t, { ...FROM_CLIENT, flags: "FA" }).counted, {
      forwarded: 1,
    });
    t.like((await director.sessions())[0], {
      state: "syn",
      flags: ["clientFin"],
    });
    director.send(t, { ...reply, flags: "FA" });
    t.is((await director.sessions())[0]?.state, "finBoth");
  },
);

for (const flags of ["S", "R"]) {
  test.serial(
    `director passes ${flags} of a real server on though its session lost the client's key`,
    (t) => {
      const director = new Director(t);
      const { reply } = open(t, director);
      director.send(t, { ...FROM_CLIENT, flags: "R" });
      open(t, director, { seq: 99 });
      t.is(director.send(t, { ...reply, flags }).counted.forwarded, 1);
    },
  );
}

test.serial(
  "director answers the SYN/ACK of a session that lost its client key with a RST",
  (t) => {
    const director = new Director(t);
    const { reply } = open(t, director);
    director.send(t, { ...FROM_CLIENT, flags: "R" });
    open(t, director, { seq: 99 });
    const synack = {
      ...reply,
      flags: "SA",
      seq: 4711,
      ack: 0x01020305,
      tcpOptions: SYN_OPTIONS,
      payload: DATA,
    };
    const { verdict, packet, counted } = director.send(t, synack);
    t.deepEqual(counted, { drop_not_indexed: 1, rst_sent: 1 });
    t.is(verdict, "redirect");
    const { saddr, daddr, sport, dport, flags, seq, totalLength } = packet;
    t.deepEqual(
      { saddr, daddr, sport, dport, flags, seq, totalLength },
      {
        saddr: reply.daddr,
        daddr: reply.saddr,
        sport: reply.dport,
        dport: reply.sport,
        flags: "R",
        seq: 0x01020305,
        totalLength: 40,
      },
    );
    t.true(packet.ipChecksumRight, "IP checksum is wrong");
    t.true(packet.tcpChecksumRight, "TCP checksum is wrong");
    t.is(packet.destination, parsed(synack).source);
  },
);

/** Polls until `reached` says so; false if the time is over. */
async function within(
  limitMs: number,
  reached: () => boolean,
): Promise<boolean> {
  const end = Date.now() + limitMs;
  while (!reached()) {
    if (Date.now() > end) return false;
    await sleep(50);
  }
  return true;
}
