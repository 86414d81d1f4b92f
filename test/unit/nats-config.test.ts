// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { natsUrl, renderNatsConfig } from "../../src/sync/nats-config.ts";
import { addressOf } from "../../src/sync/probe.ts";
import { FULL, GOLDEN, SINGLE } from "./nats-config-golden.ts";

for (const [name, config] of Object.entries({ SINGLE, FULL }))
  test(`renderNatsConfig() writes the golden text: ${name}`, (t) => {
    t.is(renderNatsConfig(config), GOLDEN[name] ?? "");
  });

test("natsUrl() and addressOf() agree", (t) => {
  t.is(natsUrl(SINGLE.self), "nats://10.1.1.2:4222");
  t.is(natsUrl(FULL.self), "nats://[::1]:14222");
  t.deepEqual(addressOf(natsUrl(SINGLE.self)), {
    host: "10.1.1.2",
    port: 4222,
  });
  t.deepEqual(addressOf(natsUrl(FULL.self)), { host: "::1", port: 14222 });
  t.deepEqual(addressOf("nats://bus"), { host: "bus", port: 4222 });
});
