// SPDX-License-Identifier: Apache-2.0
// The command that needs no agent.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { run } from "./cli-run.ts";

const SAMPLE = fileURLToPath(
  new URL("../../ops/config/weir.yaml", import.meta.url),
);

function configFile(
  t: ExecutionContext,
  change: (text: string) => string,
): string {
  const directory = mkdtempSync(join(tmpdir(), "weir-check-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "weir.yaml");
  writeFileSync(file, change(readFileSync(SAMPLE, "utf8")));
  return file;
}

test("check accepts the sample", async (t) => {
  const { code, stdout } = await run("check", SAMPLE);
  t.is(code, 0);
  t.is(
    stdout,
    `${SAMPLE}: ok: cluster rack, nodes: 2, services: 3, real servers: 7\n`,
  );
  t.deepEqual(
    JSON.parse((await run("check", SAMPLE, "--json", "--node", "d1")).stdout),
    { ok: true, errors: [], warnings: [] },
  );
});

test("check prints a block for each error and exits 2", async (t) => {
  const file = configFile(t, (text) =>
    text
      .replace("scheduler: maglev", "schedular: maglev")
      .replace("10.200.0.16/28", "10.201.0.0/28"),
  );
  const { code, stdout } = await run("check", file);
  t.is(code, 2);
  t.is(
    stdout,
    `${file}:105:9: nodes.d2.pool[0] is outside the aggregate, 10.200.0.0/24
    value: "10.201.0.0/28"
    hint:  when a node goes, replies to its pool follow the aggregate: it must cover every pool

${file}:126:16: services[0].schedular is an unknown key
    value: "maglev"
    hint:  did you mean "scheduler"?

2 errors. Nothing has been changed.
`,
  );
});

test("check --json lists path, value, message and hint of each error", async (t) => {
  const file = configFile(t, () => "");
  const { code, stdout } = await run("check", file, "--json");
  t.is(code, 2);
  t.deepEqual(JSON.parse(stdout), {
    ok: false,
    errors: [
      {
        path: "",
        value: null,
        message: "the file is empty",
        hint: "see ops/config/weir.yaml for a sample with all keys",
      },
    ],
    warnings: [],
  });
});

test("check prints warnings before the summary and exits 0", async (t) => {
  const file = configFile(t, (text) =>
    text.replace(/^ {2}tls:\n.*\n.*\n.*\n/m, ""),
  );
  const { code, stdout } = await run("check", file);
  t.is(code, 0);
  t.is(
    stdout,
    `${file}: warning: bus.tls is missing: whoever reaches the bus can read and change the sessions
    hint:  name the files, or let nobody but the nodes reach these ports

${file}: ok: cluster rack, nodes: 2, services: 3, real servers: 7
`,
  );
  t.like(JSON.parse((await run("check", file, "--json")).stdout), {
    ok: true,
    warnings: [{ path: "bus.tls" }],
  });
});

test("check --node refuses a node that the file does not name", async (t) => {
  const { code, stdout } = await run("check", SAMPLE, "--node", "d9", "--json");
  t.is(code, 2);
  t.like(JSON.parse(stdout), {
    ok: false,
    errors: [{ path: "nodes", value: "d9" }],
  });
});

test("check finds an address of this machine in a pool", async (t) => {
  const file = configFile(t, (text) =>
    text.replaceAll("10.200.0.", "127.0.0."),
  );
  const { errors } = JSON.parse((await run("check", file, "--json")).stdout);
  t.true(
    errors.some(
      ({ path, message }: { path: string; message: string }) =>
        path === "nodes.d1.pool[0]" &&
        /contains 127\.0\.0\.1, an address of this machine's lo/.test(message),
    ),
  );
});
