// SPDX-License-Identifier: Apache-2.0
import { statSync } from "node:fs";
import test from "ava";
import {
  hasProgram,
  linkPath,
  pins,
  start,
  temporaryPins,
  temporaryVeth,
} from "./addon-fixture.ts";

test("attach() puts the program on an interface in native mode, and it stays", async (t) => {
  const options = temporaryPins(t);
  const namespace = temporaryVeth(t);
  const attach = [["veth0"], ["veth0"]];
  const first = await start(t, { options, attach, hold: false }, namespace)
    .outcome;
  if (!first.ok) return t.fail(first.message);
  t.like(first.attachments[0]?.[0], {
    interface: "veth0",
    mode: "native",
    adopted: false,
  });
  t.like(first.attachments[1]?.[0], { adopted: true });
  t.true(hasProgram(namespace, "veth0"), "the program went with its agent");

  // Another program of another process takes over on the same link.
  const link = statSync(linkPath(options)).ino;
  const second = await start(
    t,
    { options, attach: [["veth0"]], hold: false },
    namespace,
  ).outcome;
  if (!second.ok) return t.fail(second.message);
  t.like(second.attachments[0]?.[0], { mode: "native", adopted: true });
  t.is(statSync(linkPath(options)).ino, link, "the link is another one");

  const third = await start(
    t,
    { options, attach: [[]], hold: false },
    namespace,
  ).outcome;
  t.like(third, { ok: true });
  t.false(hasProgram(namespace, "veth0"), "detach() left the program on");
  t.false(pins(options).some((name) => name.startsWith("link-")));
});

test("attach() makes a new link if the interface was made anew", async (t) => {
  const options = temporaryPins(t);
  const task = { options, attach: [["veth0"]], hold: false };
  const old = temporaryVeth(t);
  await start(t, task, old).outcome;
  old.remove();
  const namespace = temporaryVeth(t);
  const outcome = await start(t, task, namespace).outcome;
  if (!outcome.ok) return t.fail(outcome.message);
  t.like(outcome.attachments[0]?.[0], { mode: "native", adopted: false });
  t.true(hasProgram(namespace, "veth0"));
});

test("attach() says why an interface cannot be had", async (t) => {
  const options = temporaryPins(t);
  const namespace = temporaryVeth(t);
  const none = start(
    t,
    { options, attach: [["eth9"]], hold: false },
    namespace,
  );
  t.like(await none.outcome, {
    ok: false,
    name: "DataplaneError",
    code: "ENODEV",
    message: "Cannot attach to eth9: there is no such interface",
  });
  const loopback = start(
    t,
    { options, attach: [["lo"]], hold: false },
    namespace,
  );
  t.like(await loopback.outcome, { ok: false, code: "EOPNOTSUPP" });
});
