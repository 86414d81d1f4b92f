// SPDX-License-Identifier: Apache-2.0
// What the lab runner reads of the machine it runs on.

import { spawnSync } from "node:child_process";
import test from "ava";
import { inspect, inspectionRows, renderTable } from "../../ops/lab/inspect.ts";
import {
  isAlive,
  layers,
  parseMounts,
  processOf,
  startedAtMs,
} from "../../ops/lab/host.ts";
import { FILES, fileBytes, fileHash } from "../../ops/lab/rack/files.ts";
import { newRecord, stateDir } from "../../ops/lab/state.ts";
import { parseTopology } from "../../ops/lab/topology.ts";

const MOUNTINFO = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
28 27 254:1 / /usr rw,relatime shared:2 master:3 - ext4 /dev/vdb rw
29 27 254:1 / /var\\040log rw - ext4 /dev/vdb rw
30 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;

for (const name of ["", ".", "..", "../weir", "a/b", "/etc"])
  test(`stateDir() refuses the lab name "${name}"`, (t) => {
    t.throws(() => stateDir(name), {
      message: /^Cannot use this lab: its name must match/,
    });
  });

test("parseMounts() finds target and type, whatever optional fields there are", (t) => {
  t.deepEqual(parseMounts(MOUNTINFO), [
    { target: "/proc", type: "proc" },
    { target: "/", type: "ext4" },
    { target: "/usr", type: "ext4" },
    { target: "/var log", type: "ext4" },
    { target: "/sys/fs/cgroup", type: "tmpfs" },
    { target: "/sys/fs/cgroup/unified", type: "cgroup2" },
  ]);
});

test("layers() are the installed system's mounts, parents first", (t) => {
  const mount = (target: string) => ({ target, type: "ext4" });
  const targets = [
    "/",
    "/usr/share",
    "/usr",
    "/proc",
    "/run/user/0",
    "/dev/shm",
    "/boot/efi",
    "/usr",
  ];
  t.deepEqual(layers(targets.map(mount)), ["/usr", "/usr/share"]);
  t.deepEqual(
    layers([mount("/etc/hostname"), mount("/no/such/folder")]),
    [],
    "a file or nothing is taken for a folder",
  );
});

test("processOf() tells a process from a later one with the same number", (t) => {
  const self = processOf(process.pid);
  t.truthy(self, "this process is not found");
  if (self === undefined) return;
  t.true(isAlive(self), "this process is not alive");
  t.false(
    isAlive({ ...self, started: "1" }),
    "another start time is taken for the same process",
  );
  const ageMs = Date.now() - startedAtMs(self);
  t.true(
    ageMs >= 0 && ageMs < 600_000,
    `the start of this process is ${ageMs} ms ago`,
  );
  const { pid } = spawnSync("true");
  t.is(processOf(pid), undefined, "an ended process is found");
});

test("inspect() has containerlab's shape", (t) => {
  const topology = parseTopology(
    `{name: x, topology: {nodes: {a: {kind: linux, image: i, network-mode: none, restart-policy: "no"}}}}`,
    { file: "/labs/x.clab.yml" },
  );
  const self = processOf(process.pid);
  if (self === undefined) throw new Error("/proc is not mounted");
  const record = {
    ...newRecord(topology, "/cgroup", self),
    inits: { a: self },
  };
  const [node] = inspect(record, startedAtMs(self) + 125_000)["x"] ?? [];
  t.like(node, {
    lab_name: "x",
    absLabPath: "/labs/x.clab.yml",
    name: "clab-x-a",
    container_id: String(process.pid),
    image: "i",
    kind: "linux",
    state: "running",
    status: "Up 2 minutes",
    ipv4_address: "N/A",
  });
  const [stopped] = inspect(newRecord(topology, "/cgroup", self))["x"] ?? [];
  t.like(stopped, { state: "exited", status: "Exited" });
  t.regex(
    renderTable(inspectionRows(inspect(record))),
    /^LAB {2}NAME .*\nx {4}clab-x-a /,
  );
});

test("fileBytes() is the same for one name and differs between names", (t) => {
  t.is(fileBytes("files/64k").length, 65_536);
  t.is(
    fileHash("files/1m"),
    "203ee86f50a159f44749623bb35fae1e7d1f48a8ec644ff78efe50f0740bb168",
  );
  t.not(
    fileBytes("files/1k").compare(fileBytes("files/64k").subarray(0, 1024)),
    0,
    "two files begin alike",
  );
  t.throws(() => fileBytes("files/2k"), { message: /the files are files\/1k/ });
  t.true(Object.keys(FILES).includes("steady/64m"));
});
