// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { familyOf } from "../../src/model.ts";
import type { Family } from "../../src/model.ts";
import { normalizeRoutes } from "../../src/routing/announcer.ts";
import { UNSPECIFIED } from "../../src/routing/families.ts";
import type { Announcement } from "../../src/routing/families.ts";
import type { Path, Peer } from "../../src/routing/gobgp-client.ts";
import {
  AFI_SAFIS,
  isLocal,
  neighborStatus,
  observedNeighbor,
  observedPath,
  pathOf,
  peerOf,
  settingOf,
} from "../../src/routing/gobgp-messages.ts";
import { nameOf, pack } from "../../src/routing/gobgp-proto.ts";
import type { Any } from "../../src/routing/gobgp-proto.ts";

/** A path as gobgpd lists it after it was given this route. */
function listed(announcement: Announcement): Path {
  const path = pathOf(announcement);
  const { nlri, family } = path;
  const reach = pack("MpReachNLRIAttribute", {
    family,
    nextHops: [announcement.nextHop],
    nlris: [nlri],
  });
  const isReplaced = (attribute: Any) =>
    family?.afi === "AFI_IP6" && nameOf(attribute) === "NextHopAttribute";
  return {
    ...path,
    pattrs: path.pattrs.map((one) => (isReplaced(one) ? reach : one)),
    isFromExternal: false,
    neighborIp: "<nil>",
    identifier: 0,
  };
}

const VIP: Announcement = {
  route: { prefix: { address: "192.0.2.10", length: 32 } },
  nextHop: UNSPECIFIED[4],
};
const VIP6: Announcement = {
  route: { prefix: { address: "2001:db8:ffff::10", length: 128 } },
  nextHop: UNSPECIFIED[6],
};

/** What a neighbor says that takes routes of these families. */
function capabilities(...families: readonly Family[]): readonly Any[] {
  return families.map((family) =>
    pack("MultiProtocolCapability", { family: AFI_SAFIS[family] }),
  );
}

function configured(...families: readonly Family[]): Peer["afiSafis"] {
  return families.map((family) => ({
    config: { family: AFI_SAFIS[family], enabled: true },
  }));
}

const ESTABLISHED: Peer = {
  conf: { neighborAddress: "10.1.1.1", peerAsn: 65000, adminDown: false },
  state: {
    neighborAddress: "10.1.1.1",
    sessionState: "ESTABLISHED",
    messages: null,
    remoteCap: capabilities(4, 6),
  },
  timers: {
    config: { connectRetry: 5, holdTime: 9, keepaliveInterval: 3 },
    state: { uptime: { seconds: 1_700_000_000 } },
  },
  transport: { passiveMode: false },
  gracefulRestart: { enabled: false },
  afiSafis: configured(4, 6),
};

test("observedPath() reads back what pathOf() writes", (t) => {
  const uint16 = fc.nat(0xffff);
  const anyRoute = fc
    .record({
      prefix: fc.oneof(
        fc.record({
          address: fc.constant("10.0.0.0"),
          length: fc.integer({ min: 8, max: 32 }),
        }),
        fc.record({
          address: fc.constant("2001:db8::"),
          length: fc.integer({ min: 32, max: 128 }),
        }),
      ),
      med: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
      communities: fc.array(fc.tuple(uint16, uint16), { maxLength: 4 }),
    })
    .map(({ prefix, med, communities }) => ({
      prefix,
      ...(med === undefined ? {} : { med }),
      communities: communities.map(([high, low]) => `${high}:${low}`),
    }));
  fc.assert(
    fc.property(anyRoute, (wanted) => {
      const [route] = normalizeRoutes([wanted]);
      if (route === undefined) return t.fail();
      const nextHop =
        familyOf(route.prefix.address) === 6 ? "2001:db8:1:1::2" : "10.1.1.2";
      t.deepEqual(
        observedPath(listed({ route, nextHop })),
        { route, nextHop, identifier: 0, foreign: false },
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
  const incomplete = pack("OriginAttribute", { origin: 2 });
  for (const pattrs of [
    [...ours.pattrs, asPath],
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
  for (const neighborIp of ["10.1.1.1", "2001:db8:1:1::1", "fe80::1%eth1"])
    t.false(
      isLocal({ ...ours, neighborIp }),
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
      listed(VIP6),
      { ...listed(VIP), neighborIp: "10.1.2.1" },
    ]),
    {
      setting: {
        address: "10.1.1.1",
        asn: 65000,
        holdTimeSeconds: 9,
        families: [4, 6],
      },
      foreign: false,
      sent: [VIP.route.prefix, VIP6.route.prefix],
    },
  );
  const conf = { neighborAddress: "10.1.1.1", peerAsn: 65000, adminDown: true };
  const labelled = {
    config: {
      family: { afi: "AFI_IP", safi: "SAFI_MPLS_LABEL" },
      enabled: true,
    },
  };
  const disabled = { config: { family: AFI_SAFIS[6], enabled: false } };
  for (const changes of [
    { conf },
    { transport: { passiveMode: true } },
    { gracefulRestart: { enabled: true } },
    { afiSafis: [...configured(4, 6), labelled] },
    { afiSafis: [...configured(4), disabled] },
  ])
    t.true(
      observedNeighbor({ ...ESTABLISHED, ...changes }, []).foreign,
      "a neighbor that somebody else has changed passes for ours",
    );
});

test("peerOf() asks for what observedNeighbor() finds", (t) => {
  const one = { address: "10.1.1.1", asn: 65000, holdTimeMs: 9000 };
  const other = { ...one, address: "2001:db8:1:1::1" };
  for (const neighbors of [[one], [other], [one, other]])
    for (const neighbor of neighbors) {
      const setting = settingOf(neighbor, neighbors);
      const { conf, timers, afiSafis } = peerOf(setting);
      const peer = Object.assign({}, ESTABLISHED, { conf, timers, afiSafis });
      t.deepEqual(observedNeighbor(peer, []), {
        setting,
        foreign: false,
        sent: [],
      });
    }
});

test("settingOf() refuses a hold time that BGP cannot express", (t) => {
  const neighbor = { address: "10.1.1.1", asn: 65000 };
  const setting = (holdTimeMs: number) =>
    settingOf({ ...neighbor, holdTimeMs }, [{ ...neighbor, holdTimeMs }]);
  t.is(setting(9000).holdTimeSeconds, 9);
  for (const holdTimeMs of [0, 2000, 3500])
    t.throws(() => setting(holdTimeMs), {
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
    families: [4, 6],
  });
  const idle = inState("IDLE", capabilities());
  t.is(neighborStatus(idle, nowMs).uptimeMs, 0, "a dead session has an uptime");
});

test("neighborStatus() tells the families on which both ends have agreed", (t) => {
  const families = (peer: Peer) => neighborStatus(peer, 0).families;
  t.deepEqual(
    families(inState("ESTABLISHED", capabilities(4))),
    [4],
    "the router does not take IPv6 routes",
  );
  t.deepEqual(
    families({ ...ESTABLISHED, afiSafis: configured(6) }),
    [6],
    "the session is configured for IPv6 alone",
  );
  t.deepEqual(
    families(inState("ACTIVE", capabilities(4, 6))),
    [],
    "a dead session carries nothing",
  );
});

function inState(sessionState: string, remoteCap: readonly Any[]): Peer {
  return {
    ...ESTABLISHED,
    state: {
      neighborAddress: "10.1.1.1",
      sessionState,
      messages: null,
      remoteCap,
    },
  };
}
