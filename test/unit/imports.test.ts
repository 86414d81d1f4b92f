// SPDX-License-Identifier: Apache-2.0
// Who may import whom. A new folder or a new package needs a line here: that is the place to decide about it.
import { globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, normalize } from "node:path";
import test from "ava";

const root = join(import.meta.dirname, "../..");

/** What each part may import besides itself. "src" is model.ts, errors.ts and log.ts. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  src: [],
  "src/admin": ["src"],
  "src/routing": ["src"],
  "src/sync": ["src"],
  "src/node": ["src", "src/admin", "src/routing", "src/sync"],
  // Fills the maps as an agent does, without one.
  "src/simulate": ["src", "src/sync", "src/node"],
  // A command asks the agent through the admin API.
  "src/cli": ["src", "src/admin"],
  "src/dashboard": ["src", "src/admin"],
  // What runs nodes sees them from outside: through the CLI's --json and their namespaces.
  ops: ["src"],
  test: [
    "src",
    "src/admin",
    "src/routing",
    "src/sync",
    "src/node",
    "src/simulate",
    "src/cli",
    "src/dashboard",
    "ops",
  ],
};

/** Commands that work without an agent, so they use the agent's own parts. */
const WITHOUT_AGENT = ["src/cli/check.ts", "src/cli/simulate.ts"];

/** Who may import a package, as beginnings of paths. Tests may import each of them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": [
    "src/admin/api.ts",
    "src/cli/client.ts",
    "src/node/admin.ts",
    "src/routing/gobgp-client.ts",
  ],
  "@nats-io/transport-node": ["src/sync/nats.ts"],
  ava: [],
  "fast-check": [],
  "fp-ts": ["src/", "ops/"], // Either is vocabulary
  "io-ts": [
    "src/node/config-codec.ts",
    "src/node/config-containers.ts",
    "src/node/config-schema.ts",
    "src/node/host.ts",
    "ops/", // what other programs print, and our own --json
  ],
  prettier: ["ops/setup/generate-layout.ts"],
  "prom-client": ["src/node/metrics.ts"],
  protobufjs: [
    "src/admin/api.ts",
    "src/routing/gobgp-proto.ts",
    "src/sync/codec.ts",
  ],
  winston: ["src/log.ts"],
  yaml: ["src/node/config.ts", "ops/lab/topology.ts"],
};

type SourceFile = { readonly path: string; readonly text: string };

test("violations() finds none in this repo", (t) => {
  const paths = globSync("{src,ops,test}/**/*.ts", { cwd: root });
  const files = paths.map((path) => ({
    path,
    text: readFileSync(join(root, path), "utf8"),
  }));
  t.true(files.length > 50, "too few files were found to say anything");
  t.deepEqual(violations(files), [], "an import crosses a border");
});

for (const { path, text, found } of [
  {
    path: "src/model.ts",
    text: 'import { x } from "./errors.ts";',
    found: "src/model.ts may not import src/errors.ts",
  },
  {
    path: "src/routing/gobgp.ts",
    text: 'import type {\n  Config,\n} from "../node/config.ts";',
    found: "src/routing/gobgp.ts may not import src/node/config.ts",
  },
  {
    path: "src/sync/nats.ts",
    text: 'export * from "../routing/plan.ts";',
    found: "src/sync/nats.ts may not import src/routing/plan.ts",
  },
  {
    path: "src/cli/sessions.ts",
    text: 'const x = await import("../node/dataplane.ts");',
    found: "src/cli/sessions.ts may not import src/node/dataplane.ts",
  },
  {
    path: "src/node/main.ts",
    text: 'import "../../ops/lab/lab.ts";',
    found: "src/node/main.ts may not import ops/lab/lab.ts",
  },
  {
    path: "ops/demo/main.ts",
    text: 'import { Dataplane } from "../../src/node/dataplane.ts";',
    found: "ops/demo/main.ts may not import src/node/dataplane.ts",
  },
  {
    path: "ops/demo/main.ts",
    text: 'import { packet } from "../../test/dataplane/packet.ts";',
    found: "ops/demo/main.ts may not import test/dataplane/packet.ts",
  },
  {
    path: "src/gui/main.ts",
    text: 'import { x } from "../model.ts";',
    found: "src/gui/main.ts may not import src/model.ts",
  },
  {
    path: "src/node/health.ts",
    text: 'import winston from "winston";',
    found: "src/node/health.ts may not import the package winston",
  },
  {
    path: "src/node/health.ts",
    text: 'import { left } from "left-pad/lib/left.js";',
    found: "src/node/health.ts may not import the package left-pad",
  },
  {
    path: "src/node/health.ts",
    text: 'import { readFileSync } from "fs";',
    found: "src/node/health.ts may not import fs without node: before it",
  },
])
  test(`violations() reports that ${found}`, (t) => {
    t.deepEqual(violations([{ path, text }]), [found]);
  });

test("violations() allows a folder its own files and what is below it", (t) => {
  const text = `
    import { join } from "node:path";
    import { isLeft } from "fp-ts/lib/Either.js";
    import { plan } from "./plan.ts";
    import { WeirError } from "../errors.ts";
    import type { Announcer } from "../routing/announcer.ts";
  `;
  t.deepEqual(violations([{ path: "src/node/reconcile.ts", text }]), []);
});

test("violations() lets commands without an agent use the agent's parts", (t) => {
  const text = 'import { loadConfig } from "../node/config.ts";';
  t.deepEqual(violations([{ path: "src/cli/check.ts", text }]), []);
});

/** One sentence for each import that is not allowed. Paths are relative to the repo's root. */
function violations(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) =>
    importsOf(text).flatMap((target) => {
      const problem = target.startsWith(".")
        ? ownViolation(path, normalize(join(dirname(path), target)))
        : packageViolation(path, target);
      return problem === undefined ? [] : [`${path} may not import ${problem}`];
    }),
  );
}

function ownViolation(path: string, target: string): string | undefined {
  const [from, to] = [partOf(path), partOf(target)];
  const allowed =
    (MAY_IMPORT[from]?.includes(to) ?? false) ||
    (from === to && from in MAY_IMPORT && from !== "src") ||
    (WITHOUT_AGENT.includes(path) && ["src/node", "src/simulate"].includes(to));
  return allowed ? undefined : target;
}

function packageViolation(path: string, target: string): string | undefined {
  if (target.startsWith("node:")) return undefined;
  if (isBuiltin(target)) return `${target} without node: before it`;
  const [scope = "", name = ""] = target.split("/");
  const packageName = scope.startsWith("@") ? `${scope}/${name}` : scope;
  const allowed = PACKAGES[packageName];
  return allowed &&
    ["test/", ...allowed].some((start) => path.startsWith(start))
    ? undefined
    : `the package ${packageName}`;
}

/** src/model.ts -> src, src/node/health.ts -> src/node, ops/lab/lab.ts -> ops */
function partOf(path: string): string {
  const [top = "", folder = "", ...rest] = path.split("/");
  return top === "src" && rest.length > 0 ? `src/${folder}` : top;
}

/** What `import`, `export ... from` and `import()` name. */
function importsOf(text: string): readonly string[] {
  const statement =
    /^\s*(?:import|export)\b[^;"']*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm;
  return [...text.matchAll(statement)].flatMap(
    ([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? [],
  );
}
