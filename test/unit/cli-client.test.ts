// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import test from "ava";
import { AdminClient } from "../../src/cli/client.ts";
import { AgentUnreachableError } from "../../src/errors.ts";
import { inBatches, makeSessions, makeSource, serve } from "./admin-source.ts";

/** Long enough for a first answer on a busy machine. */
const TIMEOUT_MS = 1000;
const ALL = {
  client: "",
  virtual: "",
  local: "",
  real: "",
  state: "",
  protocol: "",
  limit: 0,
  countOnly: false,
};

test("listSessions() waits for a reader who takes longer than an agent may", async (t) => {
  const source = makeSource({
    sessions: () => inBatches(makeSessions(400), 200),
  });
  const client = new AdminClient(await serve(t, source), TIMEOUT_MS);
  t.teardown(() => client.close());
  let received = 0;
  for await (const { sessions } of client.listSessions(ALL)) {
    received += sessions.length;
    await delay(1.5 * TIMEOUT_MS); // somebody looks at the first page
  }
  t.is(received, 400);
});

test("listSessions() gives up an agent that falls silent", async (t) => {
  const source = makeSource({
    async *sessions() {
      yield makeSessions(300);
      await new Promise(() => {});
    },
  });
  const client = new AdminClient(await serve(t, source), TIMEOUT_MS);
  t.teardown(() => client.close());
  await t.throwsAsync(
    async () => {
      for await (const message of client.listSessions(ALL)) void message;
    },
    { instanceOf: AgentUnreachableError, message: /has not answered for/ },
  );
});
