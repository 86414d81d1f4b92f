// SPDX-License-Identifier: Apache-2.0
/** Which sessions a reader of the admin API asks for. */
import type { ListSessionsRequest } from "../admin/api.ts";
import { UsageError } from "../errors.ts";
import {
  contains,
  type Endpoint,
  parseAddress,
  parseEndpoint,
  parsePrefix,
  type Prefix,
  PROTOCOLS,
  type Session,
  SESSION_STATES,
} from "../model.ts";

export type SessionFilter = (session: Session) => boolean;

const SIDES = ["client", "virtual", "local", "real"] as const;

/**
 * The filter that a request spells out; its empty fields match everything.
 *
 * @throws UsageError for what is neither address, endpoint nor prefix, and for an unknown state or protocol.
 */
export function parseSessionFilter(
  request: ListSessionsRequest,
): SessionFilter {
  const sides = SIDES.filter((side) => request[side] !== "").map((side) => ({
    side,
    matches: parseSelector(side, request[side]),
  }));
  const state = parseWord("state", request.state, SESSION_STATES);
  const protocol = parseWord("protocol", request.protocol, PROTOCOLS);
  return (session) =>
    (state === undefined || session.state === state) &&
    (protocol === undefined || session.protocol === protocol) &&
    sides.every(({ side, matches }) => matches(session[side]));
}

/** In any case; undefined for the empty one. */
function parseWord(
  what: string,
  text: string,
  words: readonly string[],
): string | undefined {
  if (text === "") return undefined;
  const word = words.find((one) => one.toLowerCase() === text.toLowerCase());
  if (word !== undefined) return word;
  throw new UsageError(
    `Cannot list sessions by ${what}: it must be one of ${words.join(", ")}: current value is ${text}`,
  );
}

function parseSelector(
  side: string,
  text: string,
): (endpoint: Endpoint) => boolean {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined)
    return ({ address, port }) =>
      port === endpoint.port && address === endpoint.address;
  const address = parseAddress(text);
  if (address !== undefined) return (one) => one.address === address;
  const prefix: Prefix | undefined = parsePrefix(text);
  if (prefix !== undefined) return (one) => contains(prefix, one.address);
  throw new UsageError(
    `Cannot list sessions by ${side}: it must be an address, an address:port (IPv6: [address]:port) or a prefix: current value is ${text}`,
  );
}
