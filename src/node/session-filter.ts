// SPDX-License-Identifier: Apache-2.0
/** Which sessions a reader of the admin API asks for. */
import type { ListSessionsRequest } from "../admin/api.ts";
import { UsageError } from "../errors.ts";
import {
  contains,
  type Endpoint,
  hostPrefix,
  isAddress,
  parseEndpoint,
  parsePrefix,
  type Prefix,
  type Session,
  SESSION_STATES,
} from "../model.ts";

export type SessionFilter = (session: Session) => boolean;

const SIDES = ["client", "virtual", "local", "real"] as const;

/**
 * The filter that a request spells out; its empty fields match everything.
 *
 * @throws UsageError for what is neither address, endpoint nor prefix, and for an unknown state.
 */
export function parseSessionFilter(
  request: ListSessionsRequest,
): SessionFilter {
  const sides = SIDES.filter((side) => request[side] !== "").map((side) => ({
    side,
    matches: parseSelector(side, request[side]),
  }));
  const state = request.state === "" ? undefined : parseState(request.state);
  return (session) =>
    (state === undefined || session.state === state) &&
    sides.every(({ side, matches }) => matches(session[side]));
}

function parseState(text: string): string {
  const state = SESSION_STATES.find(
    (one) => one.toLowerCase() === text.toLowerCase(),
  );
  if (state !== undefined) return state;
  throw new UsageError(
    `Cannot list sessions by state: it must be one of ${SESSION_STATES.join(", ")}: current value is ${text}`,
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
  const prefix: Prefix | undefined = isAddress(text)
    ? hostPrefix(text)
    : parsePrefix(text);
  if (prefix !== undefined) return ({ address }) => contains(prefix, address);
  throw new UsageError(
    `Cannot list sessions by ${side}: it must be an address, an address:port or a prefix: current value is ${text}`,
  );
}
