// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { normalizeRoutes } from "../../src/routing/announcer.ts";
import type { Route } from "../../src/routing/announcer.ts";
import type { Path, Peer } from "../../src/routing/gobgp-client.ts";
import {
  isLocal,
  neighborStatus,
  observedNeighbor,
  observedPath,
  pathOf,
  settingOf,
} from "../../src/routing/gobgp-messages.ts";
import { pack } from "../../src/routing/gobgp-proto.ts";

/** A path as gobgpd lists it after it was given this route. */
function listed(route: Route): Path {
  return {
    ...pathOf(route),
    family: { afi: "AFI_IP", safi: "SAFI_UNICAST" },
    isFromExternal: false,
    neighborIp: "<nil>",
    identifier: 0,
  };
}

const VIP: Route = { prefix: { address: "192.0.2.10", length: 32 } };

const ESTABLISHED: Peer = {
  conf: { neighborAddress: "10.1.1.1", peerAsn: 65000, adminDown: false },
  state: {
    neighborAddress: "10.1.1.1",
    sessionState: "ESTABLISHED",
    messages: null,
  },
  timers: {
    config: { connectRetry: 5, holdTime: 9, keepaliveInterval: 3 },
    state: { uptime: { seconds: 1_700_000_000 } },
  },
  transport: { passiveMode: false },
  gracefulRestart: { enabled: false },
};

test("observedPath() reads back what pathOf() writes", (t) => {
  const uint16 = fc.nat(0xffff);
  const anyRoute = fc
    .record({
      length: fc.integer({ min: 8, max: 32 }),
      med: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
      communities: fc.array(fc.tuple(uint16, uint16), { maxLength: 4 }),
    })
    .map(({ length, med, communities }) => ({
      prefix: { address: "10.0.0.0", length },
      ...(med === undefined ? {} : { med }),
      communities: communities.map(([high, low]) => `${high}:${low}`),
    }));
  fc.assert(
    fc.property(anyRoute, (wanted) => {
      const [route] = normalizeRoutes([wanted]);
      if (route === undefined) return t.fail();
      t.deepEqual(
        observedPath(listed(route)),
        { route, identifier: 0, foreign: false },
        "a route changes on its way through gobgpd's messages",
      );
      return undefined;
    }),
  );
});

test("observedPath() knows a path that others have made", (t) => {
  const ours = listed(VIP);
  const asPath = {
    type_url: "type.googleapis.com/apipb.AsPathAttribute",
    value: new Uint8Array(),
  };
  const elsewhere = pack("NextHopAttribute", { nextHop: "10.9.9.9" });
  const incomplete = pack("OriginAttribute", { origin: 2 });
  for (const pattrs of [
    [...ours.pattrs, asPath],
    [pack("OriginAttribute", { origin: 0 }), elsewhere],
    [incomplete, ...ours.pattrs.slice(1)],
    [],
  ])
    t.true(
      observedPath({ ...ours, pattrs })?.foreign,
      "a path with other attributes passes for ours",
    );
});

test("isLocal() tells what was originated here", (t) => {
  const ours = listed(VIP);
  t.true(isLocal(ours), "our own path is taken for a foreign one");
  t.false(
    isLocal({ ...ours, neighborIp: "10.1.1.1" }),
    "a neighbor's path is taken for ours",
  );
  t.false(
    isLocal({ ...ours, isFromExternal: true }),
    "a redistributed path is taken for ours",
  );
});

test("observedNeighbor() knows settings that others have made", (t) => {
  t.deepEqual(
    observedNeighbor(ESTABLISHED, [
      listed(VIP),
      { ...listed(VIP), neighborIp: "10.1.2.1" },
    ]),
    {
      setting: { address: "10.1.1.1", asn: 65000, holdTimeSeconds: 9 },
      foreign: false,
      sent: [VIP.prefix],
    },
  );
  const conf = { neighborAddress: "10.1.1.1", peerAsn: 65000, adminDown: true };
  for (const changes of [
    { conf },
    { transport: { passiveMode: true } },
    { gracefulRestart: { enabled: true } },
  ])
    t.true(
      observedNeighbor({ ...ESTABLISHED, ...changes }, []).foreign,
      "a neighbor that somebody else has changed passes for ours",
    );
});

test("settingOf() refuses a hold time that BGP cannot express", (t) => {
  const neighbor = { address: "10.1.1.1", asn: 65000 };
  t.is(settingOf({ ...neighbor, holdTimeMs: 9000 }).holdTimeSeconds, 9);
  for (const holdTimeMs of [0, 2000, 3500])
    t.throws(() => settingOf({ ...neighbor, holdTimeMs }), {
      message: new RegExp(`10\\.1\\.1\\.1.* current value is ${holdTimeMs} ms`),
    });
});

test("neighborStatus() counts time only while the session stands", (t) => {
  const nowMs = 1_700_000_042_000;
  t.deepEqual(neighborStatus(ESTABLISHED, nowMs), {
    address: "10.1.1.1",
    asn: 65000,
    state: "established",
    uptimeMs: 42_000,
  });
  const idle = {
    ...ESTABLISHED,
    state: {
      neighborAddress: "10.1.1.1",
      sessionState: "IDLE",
      messages: null,
    },
  };
  t.is(neighborStatus(idle, nowMs).uptimeMs, 0, "a dead session has an uptime");
});
