// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import type { ListSessionsRequest } from "../../src/admin/api.ts";
import { UsageError } from "../../src/errors.ts";
import { parseSessionFilter } from "../../src/node/session-filter.ts";
import { makeSessions, makeWideSessions } from "./admin-source.ts";

const ALL: ListSessionsRequest = {
  client: "",
  virtual: "",
  local: "",
  real: "",
  state: "",
  protocol: "",
  limit: 0,
  countOnly: false,
};
const SESSIONS = [...makeSessions(30), ...makeWideSessions(9)];

const FILTERS: readonly (readonly [Partial<ListSessionsRequest>, number])[] = [
  [{}, 39],
  [{ client: "2001:db8:10::1" }, 1],
  [{ client: "2001:DB8:10:0::1" }, 1],
  [{ client: "2001:db8:10::/125" }, 7],
  [{ virtual: "[2001:db8::10]:53" }, 9],
  [{ virtual: "[2001:db8::10]:80" }, 0],
  [{ local: "10.200.0.1" }, 39],
  [{ client: "::/0" }, 9],
  [{ client: "0.0.0.0/0" }, 30],
  [{ protocol: "udp" }, 9],
  [{ protocol: "TCP" }, 30],
  [{ protocol: "tcp", state: "established" }, 20],
  [{ state: "unanswered" }, 1],
];

for (const [request, matched] of FILTERS) {
  test(`parseSessionFilter() takes ${matched} sessions for ${JSON.stringify(request)}`, (t) => {
    const matches = parseSessionFilter({ ...ALL, ...request });
    t.is(SESSIONS.filter(matches).length, matched);
  });
}

for (const request of [
  { client: "ten" },
  { real: "2001:db8::1:80:" },
  { real: "[2001:db8::1]" },
  { local: "2001:db8::/129" },
  { protocol: "sctp" },
]) {
  test(`parseSessionFilter() refuses ${JSON.stringify(request)}`, (t) => {
    t.throws(() => parseSessionFilter({ ...ALL, ...request }), {
      instanceOf: UsageError,
      message: /^Cannot list sessions by .*current value is/,
    });
  });
}
