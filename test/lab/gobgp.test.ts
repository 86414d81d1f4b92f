// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { RoutingError } from "../../src/errors.ts";
import {
  RoutingConflictError,
  RoutingTimeoutError,
} from "../../src/routing/announcer.ts";
import { BlackholeRoutes } from "../../src/routing/blackhole.ts";
import {
  AGGREGATE,
  announcerSuite,
  PREFIXES,
  route,
  routerHas,
  ROUTES,
  VIP,
  VIP6,
} from "./announcer-suite.ts";
import { NODE_ASN, ROUTER_ASN } from "./bgp-router.ts";
import { eventually } from "./eventually.ts";
import { GobgpRig } from "./gobgp-rig.ts";

let rig: GobgpRig;

test.before(async () => {
  rig = await GobgpRig.create("own");
});

test.after.always(() => {
  rig.destroy();
});

announcerSuite(test, () => rig);

test.serial(
  "GobgpAnnouncer repairs a daemon that was started twice",
  async (t) => {
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    await routerHas(rig, PREFIXES);
    const before = await rig.routerSession();
    await rig.withClient((client) =>
      client.startBgp({
        asn: NODE_ASN,
        routerId: rig.node.routing.routerId,
        listenPort: -1,
        listenAddresses: [],
      }),
    );
    const ms = await eventually(
      "the router has a new session, for the table that counts now",
      async () => {
        const now = await rig.routerSession();
        return now.established && now.establishments > before.establishments;
      },
    );
    await routerHas(rig, PREFIXES);
    t.log(`new session after ${ms.toFixed()} ms`);
    await announcer.set([]);
    await routerHas(rig, []);
    t.deepEqual(
      (await announcer.status()).announced,
      [],
      "the daemon still announces something",
    );
  },
);

test.serial("GobgpAnnouncer refuses a daemon of another AS", async (t) => {
  const owner = rig.announcer(t);
  await owner.set(ROUTES);
  await routerHas(rig, PREFIXES);
  await owner.close();
  const before = await rig.routerSession();

  const stranger = rig.announcer(t, { asn: 65077 });
  const error = await t.throwsAsync(stranger.set([]), {
    instanceOf: RoutingConflictError,
  });
  t.regex(
    error.message,
    /runs as AS 65001 with router id 10\.0\.1\.2, the config says AS 65077/,
    "the error does not say what is wrong",
  );
  const status = await stranger.status();
  t.is(status.state, "down", "a daemon that cannot be used is not down");
  t.is(status.lastError, error.message, "status() does not say why");
  await stranger.close();
  t.deepEqual(
    await rig.routerSession(),
    before,
    "the router noticed the refused announcer",
  );
  t.deepEqual(
    await rig.routerTable(),
    PREFIXES.toSorted(),
    "the refused announcer changed the routes",
  );
});

test.serial("GobgpAnnouncer follows a change of its neighbors", async (t) => {
  const slower = rig.announcer(t, {
    neighbors: rig.node.routing.neighbors.map((neighbor) => ({
      ...neighbor,
      holdTimeMs: 12_000,
    })),
  });
  await slower.set(ROUTES);
  const peers = await rig.withClient((client) => client.listPeers());
  t.deepEqual(
    peers.map(({ timers }) => timers?.config?.holdTime),
    [12, 12],
    "the daemon kept the old hold time",
  );
  await routerHas(rig, PREFIXES);
  await slower.close();

  const alone = rig.announcer(t, { neighbors: [] });
  await alone.set(ROUTES);
  await routerHas(rig, []);
  t.deepEqual((await alone.status()).neighbors, [], "a neighbor is left");
  await alone.close();

  const again = rig.announcer(t);
  await again.set(ROUTES);
  await routerHas(rig, PREFIXES);
});

test.serial(
  "GobgpAnnouncer can start a daemon that could not listen before",
  async (t) => {
    await rig.killDaemon();
    await rig.startDaemon();
    const listen = [...rig.node.routing.listen, "10.0.99.99"];
    const early = rig.announcer(t, { listen }, 500);
    const error = await t.throwsAsync(early.set(ROUTES), {
      instanceOf: RoutingTimeoutError,
    });
    t.regex(
      error.message,
      /10\.0\.99\.99.*cannot assign requested address/,
      "the error does not say which address is missing",
    );
    await early.close();

    const late = rig.announcer(t);
    await late.set(ROUTES);
    await routerHas(rig, PREFIXES);
  },
);

test.serial(
  "set() gives up on a daemon that hangs, and makes up for it",
  async (t) => {
    const announcer = rig.announcer(t, {}, 1000);
    await announcer.set(ROUTES);
    await routerHas(rig, PREFIXES);
    rig.node.signalGobgpd("SIGSTOP");
    const error = await t.throwsAsync(announcer.set([route(VIP)]), {
      instanceOf: RoutingTimeoutError,
    });
    rig.node.signalGobgpd("SIGCONT");
    t.regex(error.message, /within 1000 ms.*does not answer/);
    await routerHas(rig, [VIP]);
  },
);

test.serial(
  "GobgpAnnouncer lets a daemon without addresses not listen",
  async (t) => {
    await rig.killDaemon();
    await rig.startDaemon();
    await rig.announcer(t, { listen: [] }).set(ROUTES);
    const global = await rig.withClient((client) => client.getBgp());
    t.is(global?.listenPort, -1, "the daemon listens");
    const { stdout } = await rig.node.sockets();
    t.is(stdout.trim(), "", "something listens on BGP's port");
    await rig.killDaemon();
    await rig.startDaemon();
  },
);

test.serial("set() names a socket that does not exist", async (t) => {
  const announcer = rig.announcer(
    t,
    { socket: "/nonexistent/gobgpd.sock" },
    300,
  );
  const error = await t.throwsAsync(announcer.set(ROUTES), {
    instanceOf: RoutingTimeoutError,
  });
  t.regex(
    error.message,
    /gobgpd at \/nonexistent\/gobgpd\.sock: its socket does not exist/,
  );
  const status = await announcer.status();
  t.is(status.state, "down");
  t.deepEqual(
    status.neighbors,
    ["10.0.1.1", "2001:db8:0:1::1"].map((address) => ({
      address,
      asn: ROUTER_ASN,
      state: "unknown",
      uptimeMs: 0,
      families: [],
    })),
    "the configured neighbors are not listed",
  );
});

test.serial(
  "BlackholeRoutes.set() keeps the kernel's list, and only its own",
  async (t) => {
    const { node } = rig;
    const blackholes = new BlackholeRoutes(["ip", "-n", node.namespace]);
    const prefixes = (...texts: string[]) =>
      texts.map((text) => route(text).prefix);
    const kernel = async () =>
      (await node.routes("type blackhole")).map(
        ({ dst, protocol }) => `${dst} ${protocol}`,
      );
    await node.ip("route add blackhole 198.51.100.0/24 proto static");
    await node.ip("route add blackhole 192.0.2.99 proto static");
    await node.ip("route add blackhole 2001:db8:ffff::99 proto static");
    await node.ip(`route add ${VIP6} via 2001:db8:0:1::1 metric 20`);

    const wanted = [VIP, AGGREGATE, "192.0.2.99/32"];
    const wanted6 = [VIP6, "2001:db8:200::/64", "2001:db8:ffff::99/128"];
    await blackholes.set(prefixes(...wanted, ...wanted6));
    await blackholes.set(prefixes(...wanted6, ...wanted));
    t.deepEqual(
      await kernel(),
      [
        "10.200.0.0/24 87",
        "192.0.2.10 87",
        "192.0.2.99 static",
        "198.51.100.0/24 static",
        "2001:db8:200::/64 87",
        "2001:db8:ffff::10 87",
        "2001:db8:ffff::99 static",
      ],
      "the kernel's routes are not the wanted ones",
    );
    await t.throwsAsync(
      node.ip("route get 2001:db8:ffff::10"),
      { message: /Invalid argument/ },
      "another program's route to the VIP goes before the blackhole",
    );
    const taken = "10.99.0.0/16";
    await node.ip(`route add ${taken} via 10.0.1.1`);
    const error = await t.throwsAsync(
      blackholes.set(prefixes("192.0.2.11/32", taken)),
      { instanceOf: RoutingError },
    );
    t.regex(
      error.message,
      /route add blackhole 10\.99\.0\.0\/16 proto 87: .*File exists/s,
      "the error does not say which route is in the way",
    );
    t.deepEqual(
      await kernel(),
      [
        "192.0.2.11 87",
        "192.0.2.99 static",
        "198.51.100.0/24 static",
        "2001:db8:ffff::99 static",
      ],
      "one route that cannot be made kept others from being corrected",
    );
    await blackholes.set([]);
    t.deepEqual(
      await kernel(),
      [
        "192.0.2.99 static",
        "198.51.100.0/24 static",
        "2001:db8:ffff::99 static",
      ],
      "an empty list did not remove exactly weir's own routes",
    );
  },
);
