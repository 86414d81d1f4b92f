// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import type { ExecutionContext } from "ava";
import { RoutingError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import type { Routing } from "../../src/model.ts";
import {
  RoutingConflictError,
  RoutingTimeoutError,
} from "../../src/routing/announcer.ts";
import { BlackholeRoutes } from "../../src/routing/blackhole.ts";
import { GobgpClient } from "../../src/routing/gobgp-client.ts";
import { withdrawalOf } from "../../src/routing/gobgp-messages.ts";
import { GobgpAnnouncer } from "../../src/routing/gobgp.ts";
import {
  AGGREGATE,
  announcerSuite,
  POOL,
  route,
  routerHas,
  ROUTES,
  VIP,
} from "./announcer-suite.ts";
import type { AnnouncerRig } from "./announcer-suite.ts";
import { BgpPair, eventually, NODE_ASN, ROUTER_ASN } from "./bgp-pair.ts";

/** Short, so that the tests of the periodic look do not take long. */
const READ_BACK_MS = 500;

class GobgpRig implements AnnouncerRig {
  readonly pair: BgpPair;

  constructor(pair: BgpPair) {
    this.pair = pair;
  }

  announcer(
    t: ExecutionContext,
    changes: Partial<Routing> = {},
    setTimeoutMs = 10_000,
  ) {
    const announcer = new GobgpAnnouncer({
      routing: { ...this.pair.routing, ...changes },
      log: silentLog,
      setTimeoutMs,
      readBackMs: READ_BACK_MS,
    });
    t.teardown(() => announcer.close());
    return announcer;
  }

  async emptyDaemon() {
    await this.withClient(async (client) => {
      for (const { prefix } of ROUTES)
        await client.deletePath(withdrawalOf(prefix, 0));
    });
  }

  async withClient<T>(use: (client: GobgpClient) => Promise<T>): Promise<T> {
    const client = new GobgpClient(this.pair.socket);
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  killDaemon = () => this.pair.killGobgpd();
  startDaemon = () => this.pair.startGobgpd();
  routerTable = () => this.pair.routerTable();
  routerSession = () => this.pair.routerSession();
  routerAttributes = (prefix: string) => this.pair.routerAttributes(prefix);
}

let rig: GobgpRig;

test.before(async () => {
  rig = new GobgpRig(await BgpPair.create());
});

test.after.always(() => {
  rig.pair.destroy();
});

announcerSuite(test, () => rig);

test.serial(
  "GobgpAnnouncer repairs a daemon that was started twice",
  async (t) => {
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    await routerHas(rig, [VIP, POOL, AGGREGATE]);
    const before = await rig.routerSession();
    await rig.withClient((client) =>
      client.startBgp({
        asn: NODE_ASN,
        routerId: rig.pair.routing.routerId,
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
    await routerHas(rig, [VIP, POOL, AGGREGATE]);
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
  await routerHas(rig, [VIP, POOL, AGGREGATE]);
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
    [VIP, POOL, AGGREGATE].toSorted(),
    "the refused announcer changed the routes",
  );
});

test.serial("GobgpAnnouncer follows a change of its neighbors", async (t) => {
  const [neighbor] = rig.pair.routing.neighbors;
  if (neighbor === undefined) return t.fail("the pair has no neighbor");
  const slower = rig.announcer(t, {
    neighbors: [{ ...neighbor, holdTimeMs: 12_000 }],
  });
  await slower.set(ROUTES);
  const { timers } = await rig.withClient(async (client) => {
    const [peer] = await client.listPeers();
    return peer ?? { timers: null };
  });
  t.is(timers?.config?.holdTime, 12, "the daemon kept the old hold time");
  await routerHas(rig, [VIP, POOL, AGGREGATE]);
  await slower.close();

  const alone = rig.announcer(t, { neighbors: [] });
  await alone.set(ROUTES);
  await routerHas(rig, []);
  t.deepEqual((await alone.status()).neighbors, [], "a neighbor is left");
  await alone.close();

  const again = rig.announcer(t);
  await again.set(ROUTES);
  await routerHas(rig, [VIP, POOL, AGGREGATE]);
});

test.serial(
  "GobgpAnnouncer can start a daemon that could not listen before",
  async (t) => {
    await rig.killDaemon();
    await rig.startDaemon();
    const listen = [...rig.pair.routing.listen, "10.0.99.99"];
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
    await routerHas(rig, [VIP, POOL, AGGREGATE]);
  },
);

test.serial(
  "set() gives up on a daemon that hangs, and makes up for it",
  async (t) => {
    const announcer = rig.announcer(t, {}, 1000);
    await announcer.set(ROUTES);
    await routerHas(rig, [VIP, POOL, AGGREGATE]);
    rig.pair.signalGobgpd("SIGSTOP");
    const error = await t.throwsAsync(announcer.set([route(VIP)]), {
      instanceOf: RoutingTimeoutError,
    });
    rig.pair.signalGobgpd("SIGCONT");
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
    const { stdout } = await rig.pair.nodeSockets();
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
    [{ address: "10.0.1.1", asn: ROUTER_ASN, state: "unknown", uptimeMs: 0 }],
    "the configured neighbors are not listed",
  );
});

test.serial(
  "BlackholeRoutes.set() keeps the kernel's list, and only its own",
  async (t) => {
    const { nodeNamespace, nodeRoutes } = rig.pair;
    const blackholes = new BlackholeRoutes(["ip", "-n", nodeNamespace]);
    const prefixes = (...texts: string[]) =>
      texts.map((text) => route(text).prefix);
    const kernel = async () =>
      (await nodeRoutes("type blackhole")).map(
        ({ dst, protocol }) => `${dst} ${protocol}`,
      );
    await rig.pair.nodeIp("route add blackhole 198.51.100.0/24 proto static");
    await rig.pair.nodeIp("route add blackhole 192.0.2.99 proto static");

    await blackholes.set(prefixes(VIP, AGGREGATE, "192.0.2.99/32"));
    await blackholes.set(prefixes(VIP, AGGREGATE, "192.0.2.99/32"));
    t.deepEqual(
      await kernel(),
      [
        "10.200.0.0/24 87",
        "192.0.2.10 87",
        "192.0.2.99 static",
        "198.51.100.0/24 static",
      ],
      "the kernel's routes are not the wanted ones",
    );
    const taken = "10.99.0.0/16";
    await rig.pair.nodeIp(`route add ${taken} via 10.0.1.1`);
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
      ["192.0.2.11 87", "192.0.2.99 static", "198.51.100.0/24 static"],
      "one route that cannot be made kept others from being corrected",
    );
    await blackholes.set([]);
    t.deepEqual(
      await kernel(),
      ["192.0.2.99 static", "198.51.100.0/24 static"],
      "an empty list did not remove exactly weir's own routes",
    );
  },
);
