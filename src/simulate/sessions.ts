// SPDX-License-Identifier: Apache-2.0
/** Finds the session of a flow in the table that the program uses. */
import {
  addressBytes,
  addressFromBytes,
  type Endpoint,
  familyOf,
  formatIpv4,
  parseIpv4,
  type Session,
} from "../model.ts";
import * as layout from "../node/layout.ts";
import { stateOf } from "../node/session-record.ts";
import { be16, be32, decode, encode, struct, u8 } from "../node/struct.ts";
import { PROTOCOL_NUMBERS, protocolOf } from "../node/words.ts";
import {
  RECORD_BYTES,
  type SessionTable,
  WIDE_RECORD_BYTES,
} from "../sync/table.ts";
import type { Flow } from "./flow.ts";

export type FoundSession = Pick<
  Session,
  "client" | "virtual" | "local" | "real" | "protocol" | "state"
>;

/** Where a key, and a record, have the session's state. In a key, 1 there: it is a client's. */
const NARROW_STATE = 13;
const WIDE_STATE = 37;

/** The parts of proto/weir/v1/sync.proto's records that make a FoundSession. */
const narrowRecord = struct(RECORD_BYTES, {
  key: [0, layout.weirKey4],
  state: [NARROW_STATE, u8],
  vaddr: [32, be32],
  caddr: [36, be32],
  vport: [40, be16],
  cport: [42, be16],
});
const wideRecord = struct(WIDE_RECORD_BYTES, {
  key: [0, layout.weirKey6],
  state: [WIDE_STATE, u8],
  vaddr: [56, layout.weirAddress],
  caddr: [72, layout.weirAddress],
  vport: [88, be16],
  cport: [90, be16],
});

/** The session that one of these packets belongs to. Only a session that the other nodes are told of is found. */
export async function findSession(
  table: Pick<SessionTable, "find">,
  flow: Flow,
): Promise<FoundSession | undefined> {
  const isNarrow = familyOf(flow.source.address) === 4;
  const { narrow, wide } = await table.find({
    narrow: isNarrow
      ? asBoth(encode(layout.weirKey4, narrowKey(flow)), NARROW_STATE)
      : new Uint8Array(),
    // A session of two families is a wide one.
    wide: asBoth(encode(layout.weirKey6, wideKey(flow)), WIDE_STATE),
  });
  if (narrow.length > 0)
    return readRecord(
      decode(narrowRecord, narrow.subarray(0, RECORD_BYTES)),
      formatIpv4,
    );
  return wide.length === 0
    ? undefined
    : readRecord(
        decode(wideRecord, wide.subarray(0, WIDE_RECORD_BYTES)),
        ({ word }) => addressFromBytes(word),
      );
}

/** As the key of a real server's packets, and as that of a client's. */
function asBoth(key: Uint8Array, markAt: number): Uint8Array {
  const both = Buffer.concat([key, key]);
  both[key.length + markAt] = 1;
  return both;
}

function narrowKey({ source, destination, protocol }: Flow): layout.WeirKey4 {
  return {
    saddr: parseIpv4(source.address) ?? 0,
    daddr: parseIpv4(destination.address) ?? 0,
    sport: source.port,
    dport: destination.port,
    proto: PROTOCOL_NUMBERS[protocol],
  };
}

function wideKey({ source, destination, protocol }: Flow): layout.WeirKey6 {
  return {
    saddr: { word: addressBytes(source.address) },
    daddr: { word: addressBytes(destination.address) },
    sport: source.port,
    dport: destination.port,
    proto: PROTOCOL_NUMBERS[protocol],
  };
}

function readRecord<A>(
  record: {
    readonly key: {
      readonly saddr: A;
      readonly daddr: A;
      readonly sport: number;
      readonly dport: number;
      readonly proto: number;
    };
    readonly state: number;
    readonly vaddr: A;
    readonly caddr: A;
    readonly vport: number;
    readonly cport: number;
  },
  addressOf: (address: A) => string,
): FoundSession {
  const { key, state, vaddr, caddr, vport, cport } = record;
  const endpoint = (address: A, port: number): Endpoint => ({
    address: addressOf(address),
    port,
  });
  const protocol = protocolOf(key.proto);
  return {
    client: endpoint(caddr, cport),
    virtual: endpoint(vaddr, vport),
    local: endpoint(key.daddr, key.dport),
    real: endpoint(key.saddr, key.sport),
    protocol,
    state: stateOf(BigInt(state), protocol),
  };
}
