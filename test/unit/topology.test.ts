// SPDX-License-Identifier: Apache-2.0
// The reader of topology files: containerlab's rules for text, merging and names, and what is refused.

import { fileURLToPath } from "node:url";
import test from "ava";
import { TopologyError } from "../../ops/lab/errors.ts";
import { splitWords, substitute } from "../../ops/lab/text.ts";
import {
  loadTopology,
  parseTopology,
  type LabNode,
  type Topology,
} from "../../ops/lab/topology.ts";

const RACK = fileURLToPath(
  new URL("../../ops/lab/rack.clab.yml", import.meta.url),
);

/** A file with one node, into which the tests put what they are about. */
const MINIMAL = `
name: small
topology:
  defaults: { kind: linux, image: none, network-mode: none, restart-policy: "no" }
  nodes:
    a: {}
`;

function parse(text: string, env: Record<string, string> = {}): Topology {
  return parseTopology(text, { file: "/etc/labs/small.clab.yml", env });
}

function node(topology: Topology, name: string): LabNode {
  const found = topology.nodes.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no node ${name}`);
  return found;
}

/** `path: message` of each problem of a file that must be refused. */
function problemsOf(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof TopologyError)
      return error.problems.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return [];
}

test("substitute() replaces variables, and keeps what has no value", (t) => {
  const env = { SET: "value", EMPTY: "" };
  const cases = [
    ["$SET and ${SET}", "value and value"],
    ["$UNSET and ${UNSET}", "$UNSET and ${UNSET}"],
    ["${UNSET:=d} ${UNSET:-d} ${UNSET-d} ${UNSET=d}", "d d d d"],
    ["${EMPTY:=d} ${EMPTY=d}|", "d |"],
    ["${SET:=d} ${SET:+other} ${UNSET:+other}|", "value other |"],
    ["${UNSET:=}|", "|"],
    ["$$SET $$", "$SET $"],
    ["cost: 5$", "cost: 5$"],
  ] as const;
  for (const [text, expected] of cases)
    t.is(substitute(text, env), expected, `${text} is substituted wrongly`);
});

test("splitWords() splits as containerlab does, without a shell", (t) => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    [
      "ip route  add default\tvia 10.0.0.1",
      ["ip", "route", "add", "default", "via", "10.0.0.1"],
    ],
    [`bash -c 'echo "$HOME" | cat'`, ["bash", "-c", `echo "$HOME" | cat`]],
    [`say "two words" one\\ word ''`, ["say", "two words", "one word", ""]],
    [`a"b c"d 'it'\\''s'`, ["ab cd", "it's"]],
    ["echo one # two", ["echo", "one"]],
    ["echo one#two", ["echo", "one#two"]],
    ["  ", []],
  ];
  for (const [line, expected] of cases)
    t.deepEqual(splitWords(line), expected, `${line} is split wrongly`);
  t.throws(() => splitWords("echo 'open"), { message: "a ' is not closed" });
  t.throws(() => splitWords("echo \\"), {
    message: "a backslash ends the line",
  });
});

test("parseTopology() takes a single value from the most specific level", (t) => {
  const topology = parse(`
name: merge
topology:
  defaults: { kind: linux, image: of-defaults, cmd: of-defaults, network-mode: none, restart-policy: "no" }
  kinds:
    linux: { image: of-kind, cmd: of-kind }
  groups:
    g: { image: of-group }
  nodes:
    own: { group: g, image: of-node, cmd: of node }
    grouped: { group: g }
    plain:
`);
  t.like(node(topology, "own"), {
    image: "of-node",
    cmd: ["of", "node"],
    group: "g",
  });
  t.like(node(topology, "grouped"), { image: "of-group", cmd: ["of-kind"] });
  t.like(node(topology, "plain"), {
    image: "of-kind",
    group: undefined,
    hostname: "plain",
    longName: "clab-merge-plain",
  });
});

test("parseTopology() merges mappings by key and joins lists without repeating", (t) => {
  const topology = parse(`
name: merge
topology:
  defaults:
    kind: linux
    image: none
    network-mode: none
    restart-policy: "no"
    env: { A: defaults, B: defaults, C: 1 }
    exec: [first, twice]
    binds: ["conf/__clabNodeName__:/etc/x:ro", "/one:/target"]
  groups:
    g:
      env: { B: group }
      sysctls: { net.ipv4.ip_forward: 1 }
      exec: [second]
      binds: ["/two:/target"]
  nodes:
    a:
      group: g
      env: { A: __clabNodeName__ of __clabLabName__ }
      exec: [twice, third __clabNodeName__]
`);
  t.like(node(topology, "a"), {
    env: { A: "a of clab-merge", B: "group", C: "1" },
    sysctls: { "net.ipv4.ip_forward": "1" },
    exec: [["first"], ["twice"], ["second"], ["third", "a"]],
    binds: [
      { source: "/etc/labs/conf/a", target: "/etc/x", readOnly: true },
      { source: "/two", target: "/target", readOnly: false },
    ],
  });
});

test("parseTopology() reads both forms of a link", (t) => {
  const { links } = parse(`${MINIMAL}
    b: {}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
    - { type: veth, mtu: 1500, endpoints: [{ node: a, interface: eth2, mac: "02:00:00:00:00:0A" }, "b:eth2"] }
`);
  t.is(
    links[0]?.mtu,
    9500,
    "the MTU without a word on it is not containerlab's",
  );
  t.regex(
    links[0]?.endpoints[0].mac ?? "",
    /^aa:c1:ab:/,
    "the made-up address is not like containerlab's",
  );
  t.not(
    links[0]?.endpoints[0].mac,
    links[0]?.endpoints[1].mac,
    "both ends have one address",
  );
  t.like(links[1], { mtu: 1500 });
  t.deepEqual(links[1]?.endpoints[0], {
    node: "a",
    interface: "eth2",
    mac: "02:00:00:00:00:0a",
  });
});

test("parseTopology() takes the lab's name from its caller", (t) => {
  const topology = parseTopology(MINIMAL, {
    file: "/x.clab.yml",
    name: "other",
  });
  t.is(topology.lab, "other");
  t.is(topology.nodes[0]?.longName, "clab-other-a");
});

test("parseTopology() refuses what it would not realise, and lists all of it", (t) => {
  const problems = problemsOf(`
name: two words
prefix: mine
mgmt: { network: n }
topology:
  defaults: { kind: linux, image: i, network-mode: none, restart-policy: "no" }
  nodes:
    a: { entrypoint: x, privileged: false, exec: [1], sysctls: { "../../etc": 1 } }
    b: { kind: bridge, group: nowhere, network-mode: host, restart-policy: always, cmd: "'" }
    c: { binds: ["/a", "/a:b", "/a:/b:zz", "__clabNodeDir__/x:/y"], env: { A: [] } }
    "../d":
  links:
    - { endpoints: ["a:eth1"] }
    - { endpoints: ["a:eth1", "z:eth1"], mtu: 70000 }
    - { endpoints: ["a:eth1", "z:eth1"], ipv4: [x] }
    - { type: host, endpoints: ["a:eth1", "b:averyveryverylongname"] }
`);
  const expected = [
    "name: ",
    "prefix: is not supported here",
    "mgmt.network: is not supported here",
    "topology.nodes.a.entrypoint: is not supported here",
    "topology.nodes.a.privileged: only true",
    "topology.nodes.a.exec[0]: must be a text: it is 1",
    "topology.nodes.a.sysctls: ",
    "topology.nodes.b.kind: only linux",
    "topology.nodes.b.group: there is no group nowhere",
    "topology.nodes.b.network-mode: must be none",
    "topology.nodes.b.restart-policy: must be",
    "topology.nodes.b.cmd: a ' is not closed",
    'topology.nodes.c.binds: must be SOURCE:/TARGET, SOURCE:/TARGET:ro or SOURCE:/TARGET:rw: it is "/a"',
    'topology.nodes.c.binds: must be SOURCE:/TARGET, SOURCE:/TARGET:ro or SOURCE:/TARGET:rw: it is "/a:b"',
    'topology.nodes.c.binds: must be SOURCE:/TARGET, SOURCE:/TARGET:ro or SOURCE:/TARGET:rw: it is "/a:/b:zz"',
    "topology.nodes.c.binds: __clabNodeDir__ is not supported",
    "topology.nodes.c.env.A: must be a text or a number: it is a list",
    "topology.nodes.../d: ",
    "topology.links[0].endpoints: must be a list of exactly two",
    "topology.links[1].mtu: must be a whole number",
    "topology.links[2].ipv4: is not supported here",
    "topology.links[2].endpoints[1]: there is no node z",
    "topology.links[3].type: only veth",
    "topology.links[3].endpoints[1]: ",
    "topology.links[3].endpoints[0]: a:eth1 is the end of two links",
  ];
  for (const start of expected) {
    t.true(
      problems.some((problem) => problem.startsWith(start)),
      `this problem is not told: ${start}`,
    );
  }
  t.is(
    problems.length,
    expected.length,
    `some problems are too many:\n${problems.join("\n")}`,
  );
});

test("parseTopology() refuses what is no topology at all", (t) => {
  t.regex(problemsOf("a: [").join(), /^: is not YAML/);
  t.regex(
    problemsOf("a: 1\na: 2").join(),
    /is not YAML: Map keys must be unique/,
  );
  t.true(problemsOf("").includes("name: is missing"));
  t.true(problemsOf("- list").includes(": must be a mapping: it is a list"));
  t.true(
    problemsOf("name: x\ntopology: { nodes: {} }").includes(
      "topology.nodes: there is not a single node",
    ),
  );
});

test("loadTopology() reads the rack", (t) => {
  const rack = loadTopology(RACK, undefined, {});
  t.is(rack.lab, "rack");
  t.deepEqual(
    rack.nodes.map(({ name }) => name),
    ["r1", "d1", "d2", "d3", "s1", "s2", "s3", "c1", "c2"],
  );
  t.is(node(rack, "d1").image, "weir-lab", "the image has no default");
  t.is(
    node(loadTopology(RACK, undefined, { WEIR_LAB_IMAGE: "mine" }), "d1").image,
    "mine",
  );
  const source = fileURLToPath(new URL("../..", import.meta.url)).replace(
    /\/$/,
    "",
  );
  t.deepEqual(node(rack, "c1").binds, [
    { source, target: "/opt/weir", readOnly: true },
  ]);
  t.true(
    rack.links.every(({ mtu }) => mtu === 1500),
    "a link has an MTU with which native XDP cannot be attached",
  );
});

test("loadTopology() names a file that it cannot read", (t) => {
  t.throws(() => loadTopology("/nowhere.clab.yml"), {
    message: /^Cannot read the topology file \/nowhere.clab.yml: ENOENT/,
  });
});
