// SPDX-License-Identifier: Apache-2.0
// What the documents say about the code that can be looked up in it.
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import { COUNTER_NOTES } from "../../src/admin/counter-notes.ts";
import { type Place, problemsOf } from "../../src/node/config-codec.ts";
import { configFile } from "../../src/node/config-schema.ts";
import { isRight } from "fp-ts/lib/Either.js";

const root = join(import.meta.dirname, "../..");

const readme = read("README.md");
const contributing = read("CONTRIBUTING.md");
const documents = [readme, contributing, read("CHANGELOG.md")].join("\n");

/** Every key that must be given, with some value; also in sections that may be left out. */
const MINIMAL = parse(`
cluster: rack
aggregate: 10.200.0.0/24
bus: { tls: { ca: /ca.pem, cert: /node.pem, key: /node.key } }
nodes:
  d1:
    interfaces: []
    pool: 10.200.0.0/28
    routing: { asn: 65001, router_id: 10.1.1.2, listen: [], neighbors: [{ address: 10.1.1.1, asn: 65000 }] }
    bus: { address: 10.1.1.2 }
    metrics: { listen: "127.0.0.1:9550" }
    simulate:
      addresses: [{ interface: eth1, address: 10.1.1.2/24 }]
      neighbors: [{ interface: eth1, address: 10.1.1.1, mac: 02:00:00:00:01:01 }]
      routes: [{ prefix: 0.0.0.0/0, interface: eth1 }]
services:
  - { name: web, vip: 192.0.2.10, port: 80, servers: [{ address: 10.3.1.2, port: 8080 }] }
`);

/** A name in MINIMAL that stands for any. */
const SOME_NODE = "d1";

/** In the place of a default: the key must be given. */
const REQUIRED = "required";

type Row = {
  /** As `services[].health.path`; NAME for a name that the user chooses. */
  readonly key: string;
  /** As the file would say it; REQUIRED, or other words if there is none. */
  readonly fallback: string;
  readonly hasFallback: boolean;
  readonly value: string;
  readonly meaning: string;
};

test("README.md has a row for each key of the config, with the values that it takes", (t) => {
  const documented = rowsOf(readme).map(({ key, value }) => ({ key, value }));
  const known = leavesOf([]).map(({ place, value }) => ({
    key: formatKey(place),
    value,
  }));
  t.true(known.length > 30, `only ${known.length} keys found in the schema`);
  t.deepEqual(documented, known);
});

test("README.md tells the default of each key that may be left out", (t) => {
  const rows = new Map(rowsOf(readme).map((row) => [row.key, row]));
  const minimal = decoded(MINIMAL);
  for (const { place } of leavesOf([])) {
    const key = formatKey(place);
    const { fallback = "", hasFallback = false } = rows.get(key) ?? {};
    t.is(fallback === REQUIRED, isRequired(place), `${key}: required or not`);
    if (fallback === REQUIRED) continue;
    const written = hasFallback ? parse(fallback) : undefined;
    const spelledOut = decoded(put(MINIMAL, keyOf(place), written));
    if (hasFallback)
      t.deepEqual(spelledOut, minimal, `the default of ${key} is another one`);
    else t.is(at(spelledOut, place), undefined, `${key} has a default`);
  }
});

test("README.md tells the defaults that are others for UDP, and what is not for it", (t) => {
  const udp = put(MINIMAL, ["services", 0, "protocol"], "udp");
  const told = new Map(
    rowsOf(readme).map(({ key, meaning }) => [key, meaning]),
  );
  for (const { place } of leavesOf(["services"])) {
    const key = formatKey(place);
    const meaning = told.get(key) ?? "";
    const isRefused = problemsOf(configFile, put(udp, place, "5s")).some(
      ({ message }) => message === "is not for udp",
    );
    t.is(isRefused, meaning.endsWith("not for udp"), key);
    if (isRefused || key === "services[].protocol") continue;
    const [, fallback] = /udp: `([^`]*)`/.exec(meaning) ?? [];
    const spelledOut =
      fallback === undefined ? MINIMAL : put(udp, place, fallback);
    t.deepEqual(
      at(decoded(udp), place),
      at(decoded(spelledOut), place),
      `the default of ${key} is another one for UDP`,
    );
  }
});

test("README.md and CONTRIBUTING.md mention each command, and no other", (t) => {
  const help = read("ops/setup/help.txt");
  const commands = captures(help, /^ {2}([a-z]+) {2,}\S/gm);
  t.true(commands.length >= 13, "the help's commands were not found");
  for (const command of commands)
    t.true(readme.includes(`\`./weir ${command}\``), `${command} is missing`);
  const mentioned = new Set(captures(documents, /\.\/weir ([a-z]+)/g));
  t.deepEqual(
    [...mentioned].filter((one) => !commands.includes(one)),
    [],
  );
});

test("the documents name only files that exist", (t) => {
  const paths = captures(
    documents,
    /[`(]((?:src|ops|dataplane|test|proto|LICENSES|\.ci)\/[^`)\s]*)[`)]/g,
  );
  t.true(paths.length > 50, `only ${paths.length} paths found`);
  // Words in capitals stand for a name of the reader's choice.
  const missing = paths.filter((path) => {
    const pattern = path.replaceAll(/\b[A-Z]{2,}\b/g, "*");
    return pattern.includes("*")
      ? globSync(pattern, { cwd: root }).length === 0
      : !existsSync(join(root, path));
  });
  t.deepEqual([...new Set(missing)], []);
});

test("the documents name only functions that the dataplane has", (t) => {
  const code = globSync("dataplane/*.{h,c}", { cwd: root }).map(read).join("");
  const functions = captures(documents, /`(weir_\w+)\(\)`/g);
  t.true(functions.length > 10, `only ${functions.length} functions found`);
  const missing = functions.filter((name) => !code.includes(`${name}(`));
  t.deepEqual([...new Set(missing)], []);
});

test("README.md has the counters of dataplane/weir.h in a table, with what the CLI says of each", (t) => {
  const [, struct = ""] =
    /^struct weir_counters \{\n([^}]*)\};/m.exec(read("dataplane/weir.h")) ??
    [];
  const names = captures(struct, /^\t__u64 (\w+);/gm);
  t.true(names.length > 40, `only ${names.length} counters found`);
  const rows = tableOf(readme, "Counter").map(([name, note]) => [name, note]);
  t.deepEqual(
    rows,
    names.map((name) => [`\`${name}\``, COUNTER_NOTES[name]]),
  );
});

test("the documents name only counters that exist", (t) => {
  const names = Object.keys(COUNTER_NOTES);
  const mentioned = captures(documents, /`((?:drop|passed|session)_\w+)`/g);
  t.true(mentioned.length > 40, `only ${mentioned.length} counters found`);
  t.deepEqual(
    mentioned.filter((one) => !names.includes(one)),
    [],
  );
});

test("README.md shows the lab's own router configuration", (t) => {
  const [, block = ""] =
    /```\n(router bgp 65000\n bgp router-id[^`]*)```/.exec(readme) ?? [];
  t.not(block, "");
  t.true(read("ops/lab/rack/bgpd.conf").includes(block));
});

test("CONTRIBUTING.md says why each dependency is here", (t) => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    read("package.json"),
  );
  const packages = [
    ...Object.keys({
      ...dependencies,
      ...devDependencies,
      ...optionalDependencies,
    }),
    ...read("ops/setup/packages.txt").trim().split("\n"),
  ];
  t.true(packages.length > 20, `only ${packages.length} packages found`);
  const silent = packages.filter((one) => !contributing.includes(`\`${one}\``));
  t.deepEqual(silent, []);
});

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function captures(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].flatMap(([, found]) => found ?? []);
}

/** The table of the config's keys. */
function rowsOf(text: string): readonly Row[] {
  return tableOf(text, "Key").map(
    ([key = "", fallback = "", value = "", meaning = ""]) => ({
      key: withoutTicks(key),
      fallback: withoutTicks(fallback),
      hasFallback: fallback !== withoutTicks(fallback),
      value,
      meaning,
    }),
  );
}

/** The cells of the table whose first column has this title. */
function tableOf(text: string, title: string): readonly (readonly string[])[] {
  const pattern = new RegExp(
    `^\\| ${title} .*\\n\\|[-| ]*\\n((?:\\|.*\\n)*)`,
    "m",
  );
  const [, table = ""] = pattern.exec(text) ?? [];
  return table
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function withoutTicks(cell: string): string {
  return cell.replace(/^`(.*)`$/, "$1");
}

/** All values that a config file may hold, from the hints that the schema gives to somebody who writes nonsense there. */
function leavesOf(
  place: Place,
): readonly { readonly place: Place; readonly value: string }[] {
  // No key takes `false`.
  const problems = problemsOf(configFile, put({}, place, false));
  const hint = problems.find((one) => samePlace(one.place, place))?.hint ?? "";
  const [, keys] = /^write a mapping with the keys (.*)$/.exec(hint) ?? [];
  if (keys !== undefined)
    return keys.split(", ").flatMap((key) => leavesOf([...place, key]));
  if (hint.startsWith("write a mapping: one `name:`"))
    return leavesOf([...place, SOME_NODE]);
  if (hint.startsWith("write a list:")) return leavesOf([...place, 0]);
  const value = hint.replace(/^write /, "").replace(/, such as .*$/, "");
  return [{ place, value }];
}

function isRequired(place: Place): boolean {
  const key = keyOf(place);
  return problemsOf(configFile, put({}, key, undefined)).some(
    (one) => samePlace(one.place, key) && one.message === "is missing",
  );
}

/** Of a value, or of the list that it is in. */
function keyOf(place: Place): Place {
  return place.slice(0, place.findLastIndex(isText) + 1);
}

function isText(step: string | number): boolean {
  return typeof step === "string";
}

function samePlace(a: Place, b: Place): boolean {
  return a.length === b.length && a.every((step, i) => step === b[i]);
}

function formatKey(place: Place): string {
  return place
    .map((step) => {
      if (typeof step === "number") return "[]";
      return step === SOME_NODE ? ".NAME" : `.${step}`;
    })
    .join("")
    .replace(/^\./, "");
}

/** A copy of `into` with `value` there; what is on the way is made. */
function put(into: unknown, [step, ...rest]: Place, value: unknown): unknown {
  if (step === undefined) return value;
  if (typeof step === "number") {
    const list: unknown[] = Array.isArray(into) ? [...into] : [];
    list[step] = put(list[step], rest, value);
    return list;
  }
  const fields = typeof into === "object" && into !== null ? into : {};
  const inner: unknown = Object.getOwnPropertyDescriptor(fields, step)?.value;
  return { ...fields, [step]: put(inner, rest, value) };
}

function at(from: unknown, place: Place): unknown {
  return place.reduce<unknown>(
    (value, step) =>
      typeof value === "object" && value !== null
        ? Object.getOwnPropertyDescriptor(value, step)?.value
        : undefined,
    from,
  );
}

function decoded(file: unknown): unknown {
  const result = configFile.decode(file);
  if (isRight(result)) return result.right;
  throw new Error(`The config is not valid: ${JSON.stringify(file)}`);
}
