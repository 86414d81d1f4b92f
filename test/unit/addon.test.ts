// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { submitInTime } from "../../src/node/addon.ts";

/** A job that is refused with these codes first. */
function refused(...codes: readonly string[]) {
  const left = [...codes];
  return async () => {
    const code = left.shift();
    if (code !== undefined) throw Object.assign(new Error(code), { code });
  };
}

test("submitInTime() submits again what the queue had no room for", async (t) => {
  const submit = refused("EAGAIN", "EAGAIN");
  await t.notThrowsAsync(submitInTime(submit, () => true));
});

test("submitInTime() does not repeat what was refused for another reason", async (t) => {
  const submit = refused("ENOMEM");
  await t.throwsAsync(
    submitInTime(submit, () => true),
    { message: "ENOMEM" },
  );
});

test("submitInTime() gives up what is not wanted any more", async (t) => {
  let wanted = 3;
  let submitted = 0;
  await submitInTime(
    () => {
      submitted++;
      return refused("EAGAIN")();
    },
    () => wanted-- > 0,
  );
  t.is(submitted, 3);
});
