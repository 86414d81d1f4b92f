// SPDX-License-Identifier: Apache-2.0
/** From a record of the session table to the session that it stands for. */
import type {
  Endpoint,
  NodeName,
  Protocol,
  Session,
  SessionFlag,
  SessionState,
  Timeouts,
} from "../model.ts";
import { addressFromBytes, formatIpv4, SESSION_STATES } from "../model.ts";
import * as layout from "./layout.ts";
import { DEFAULT_TIMEOUTS, msOf, protocolOf } from "./words.ts";

type Truth = layout.WeirTruth4 | layout.WeirTruth6;

/** What the config knows about a record: records hold numbers. */
export type SessionNames = {
  /** The name of a real server's service; empty if there is none any more. */
  service(real: number): string;
  /** The name of a node; its number in hexadecimal if the config no longer has it. */
  origin(number: number): NodeName;
  /** Undefined: those of a real server that the config no longer has. */
  timeouts(real: number): Timeouts | undefined;
};

/** `now` in ticks of the dataplane's clock. */
export function readSession(
  { head, truth }: layout.WeirRecord4 | layout.WeirRecord6,
  names: SessionNames,
  now: bigint,
): Session {
  const { entry } = truth;
  const timeouts = names.timeouts(entry.real) ?? DEFAULT_TIMEOUTS;
  const idleMs = msOf(idleTicks(truth, now));
  const protocol = protocolOf(entry.key.proto);
  const state = stateOf(head, protocol);
  const reset = isReset(truth);
  return {
    client: endpoint(entry.new_daddr, entry.new_dport),
    virtual: endpoint(entry.new_saddr, entry.new_sport),
    local: endpoint(entry.key.daddr, entry.key.dport),
    real: endpoint(entry.key.saddr, entry.key.sport),
    protocol,
    state,
    flags: flagsOf(head, reset),
    service: names.service(entry.real),
    origin: names.origin(truth.origin),
    generation: entry.generation,
    idleMs,
    expiresInMs: Math.max(0, timeToLiveMs(state, reset, timeouts) - idleMs),
  };
}

/**
 * How long a silent session stays, as weir_sweep() has it: its timeout, a quarter of that, because whoever sees its packets
 * says so no more often, and a margin. A RST makes the timeout shorter.
 */
function timeToLiveMs(
  state: SessionState,
  reset: boolean,
  timeouts: Timeouts,
): number {
  const timeoutMs = timeoutOf(state, timeouts);
  const shorterMs = reset ? Math.min(timeoutMs, timeouts.resetMs) : timeoutMs;
  return shorterMs * 1.25 + msOf(layout.WEIR_MARGIN_TICKS);
}

function timeoutOf(state: SessionState, timeouts: Timeouts): number {
  switch (state) {
    case "syn":
    case "synack":
    case "unanswered":
      return timeouts.handshakeMs;
    case "established":
    case "finOne":
      return timeouts.establishedMs;
    case "finBoth":
      return timeouts.closedMs;
  }
}

export function stateOf(head: bigint, protocol: Protocol): SessionState {
  const code = Number(head & 0xffn);
  const state =
    protocol === "udp" && code === layout.WEIR_SYN
      ? "unanswered"
      : SESSION_STATES[code - layout.WEIR_LIVE];
  if (state === undefined)
    throw new RangeError(
      `Cannot read a session: its state is unknown: current value is ${code}`,
    );
  return state;
}

function flagsOf(head: bigint, reset: boolean): readonly SessionFlag[] {
  const bits = Number((head >> 8n) & 0xffffn);
  const flags: SessionFlag[] = [];
  if (bits & layout.WEIR_FLAG_FIN_CLIENT) flags.push("clientFin");
  if (bits & layout.WEIR_FLAG_FIN_REAL) flags.push("realFin");
  if (reset) flags.push("reset");
  return flags;
}

/** A RST was seen, and no data later than the grace after it. */
function isReset({ reset, entry }: Truth): boolean {
  return (
    reset !== 0 &&
    ticksBetween(reset, BigInt(entry.seen)) <= layout.WEIR_RESET_GRACE_TICKS
  );
}

/** Since the last packet, or since a RST that another node has seen. */
function idleTicks({ entry, reset }: Truth, now: bigint): number {
  const idle = ticksBetween(entry.seen, now);
  return reset === 0 ? idle : Math.min(idle, ticksBetween(reset, now));
}

/** Ticks have 32 bits and wrap; a packet may have come after `to` was read. */
function ticksBetween(from: number, to: bigint): number {
  return Math.max(0, Number(BigInt.asIntN(32, to - BigInt(from))));
}

/** The wide table has addresses in 16 bytes, the narrow one in 32 bits. */
function endpoint(
  address: number | layout.WeirAddress,
  port: number,
): Endpoint {
  return {
    address:
      typeof address === "number"
        ? formatIpv4(address)
        : addressFromBytes(address.word),
    port,
  };
}
