// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { NatsMesh } from "./nats-mesh.ts";
import { transportSuite } from "../unit/transport-suite.ts";

// One mesh for all: starting one takes longer than most tests.
let mesh: NatsMesh;
test.before(async () => {
  mesh = await NatsMesh.start(2);
});
test.after.always(() => mesh.end());

transportSuite(test, {
  pair: () => Promise.all([mesh.connected(0), mesh.connected(1)]),
  cutFirst: () => mesh.killServer(0),
  async restoreFirst() {
    await mesh.startServer(0);
    await mesh.whole();
  },
});
