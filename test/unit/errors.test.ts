// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { InvalidConfigError } from "../../src/errors.ts";

test("InvalidConfigError names all places in one sentence, each with what to do", (t) => {
  const nowhere = { path: "", value: null, message: "is empty", hint: "" };
  const somewhere = {
    path: "services[0].port",
    value: 70_000,
    message: "is not a port",
    hint: "write a whole number from 1 to 65535",
  };
  t.is(
    new InvalidConfigError("weir.yaml", [nowhere, somewhere]).message,
    "Cannot use config weir.yaml: is empty; services[0].port is not a port (write a whole number from 1 to 65535)",
  );
});
