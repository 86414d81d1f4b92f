// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { createLog, type Log, type LogLevel } from "../../src/log.ts";

/** The lines that `write` leaves in a log file. */
async function linesOf(
  t: ExecutionContext,
  level: LogLevel,
  write: (log: Log) => void,
): Promise<readonly unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), "weir-log-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "weir.log");
  const log = createLog({ level, file });
  write(log);
  await log.close();
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}

test("createLog() writes one JSON object a line, all of them by close()", async (t) => {
  const lines = await linesOf(t, "info", (log) => {
    for (let count = 0; count < 500; count++)
      log.info("A server is up", { event: "serverUp", count });
  });
  t.is(lines.length, 500);
  t.like(lines[499], {
    level: "info",
    msg: "A server is up",
    event: "serverUp",
    count: 499,
  });
});

test("createLog() leaves out what is below its level", async (t) => {
  const lines = await linesOf(t, "warn", (log) => {
    log.debug("debug");
    log.info("info");
    log.warn("warn");
    log.error("error");
  });
  t.like(lines, [{ msg: "warn" }, { msg: "error" }]);
});

test("child() adds its fields to every line", async (t) => {
  const lines = await linesOf(t, "info", (log) => {
    log
      .child({ node: "d1" })
      .child({ op: "reload" })
      .info("A file is refused", { reason: "badConfig" });
    log.info("Another line");
  });
  t.like(lines[0], { node: "d1", op: "reload", reason: "badConfig" });
  t.false(JSON.stringify(lines[1]).includes("d1"));
});

test("createLog() writes errors with their causes, and bigints as digits", async (t) => {
  const cause = new AggregateError([new Error("connect ECONNREFUSED")]);
  const [line] = await linesOf(t, "info", (log) => {
    log.error("An attempt failed", {
      error: new Error("Cannot connect", { cause }),
      generation: 2n ** 60n,
    });
  });
  t.like(line, {
    error: "Cannot connect (connect ECONNREFUSED)",
    generation: "1152921504606846976",
  });
});
