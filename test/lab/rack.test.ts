// SPDX-License-Identifier: Apache-2.0
// The whole of weir on the rack: real requests through the VIP, and what directors do when agents, configs and real servers
// change under them. One rack for all tests; each leaves it as it found it.

import test, { type ExecutionContext } from "ava";
import { readRound, roundCommand, type Fetch } from "../../ops/demo/round.ts";
import { kill } from "../../ops/drill/kill.ts";
import { Load } from "../../ops/drill/load-process.ts";
import { destroyLab } from "../../ops/lab/lab.ts";
import {
  CHECKOUT,
  deployRack,
  directorOf,
  DIRECTORS,
  missingRoutes,
  RACK,
  REAL_SERVERS,
  until,
  type Director,
  type Rack,
} from "../../ops/lab/rack.ts";
import type { Counters } from "../../ops/lab/reports.ts";
import { AGENT_PID, edit, reload } from "./rack-config.ts";

const NAME = `rackTest${process.pid}`;
const LIMIT_MS = 15_000;
/** So many that each of three is chosen: the chance that one is not is below 10^-9. */
const ROUND = { "files/1k": 57, "files/64k": 3 };

const START_AGENT = ["bash", `${CHECKOUT}/ops/lab/rack/agent.sh`];

let rack: Rack;

test.before(async () => {
  rack = await deployRack({ name: NAME });
  await rack.ready();
});

test.after.always(async () => {
  await destroyLab(NAME);
});

test.serial(
  "weir carries requests through each director to each real server",
  async (t) => {
    const fetches = await fetchAll(t);
    for (const director of DIRECTORS)
      t.true(
        fetches.some((one) => one.director === director),
        `no request went through ${director}`,
      );
    t.deepEqual(
      serversOf(fetches),
      REAL_SERVERS,
      "not each real server has answered",
    );
  },
);

test.serial("weir counters tell what became of each packet", async (t) => {
  for (const director of DIRECTORS)
    // The counters of each CPU are not read in one moment, so a packet may fall between two of them.
    await until(
      `find the sum of the outcomes on ${director}`,
      async () => unaccounted(await rack.counters(director)),
      LIMIT_MS,
    );
  t.pass();
});

test.serial("weir sessions lists a running transfer", async (t) => {
  const load = await startLoad(t);
  const { client, lip, server } = await load.open();
  const director = mustDirector(lip);
  const [session, ...others] = await rack.sessions(
    ...[director, "--client", client],
  );
  t.like(
    session,
    {
      client,
      virtual: `${RACK.vip}:80`,
      real: `${Object(RACK.realServers)[server]}:80`,
      origin: director,
      state: "established",
    },
    "the session is not the transfer",
  );
  t.true(session?.local.startsWith(`${lip}:`), "the LIP is another one");
  t.deepEqual(others, [], "one transfer has several sessions");
});

test.serial(
  "a transfer and new requests outlive a killed agent and its successor",
  async (t) => {
    const load = await startLoad(t);
    const transfer = await load.open();
    const director = mustDirector(transfer.lip);
    const list = () => rack.sessions(director, "--client", transfer.client);
    const [before] = await list();
    await kill(rack, director, AGENT_PID);
    await fetchAll(t);
    await rack.output(director, START_AGENT);
    await untilForwarding(director);
    const [after] = await list();
    t.is(after?.generation, before?.generation, "it is not the same session");
    load.close(transfer);
    await load.finish();
    t.like(
      load.ended[0],
      { outcome: "stopped" },
      "the transfer had broken before it was ended",
    );
  },
);

test.serial("an agent refuses a bad config and goes on", async (t) => {
  const director = "d2";
  await edit(rack, director, "s/port: 80,/port: 70000,/");
  await reload(rack, director, "config refused");
  t.is(await rack.agentState(director), "forwarding");
  await fetchAll(t);
  await edit(rack, director, "s/port: 70000,/port: 80,/");
  await reload(rack, director, "config reloaded");
});

test.serial(
  "an agent that reloads a weight of 0 drains the server",
  async (t) => {
    const drained = "s1";
    const address = RACK.realServers[drained];
    const load = await startLoad(t);
    let transfer = await load.open();
    for (let opened = 0; transfer.server !== drained && opened < 60; opened++) {
      load.close(transfer);
      transfer = await load.open();
    }
    t.is(transfer.server, drained, `no transfer went to ${drained}`);
    await setWeight(address, 0);
    t.deepEqual(
      serversOf(await fetchAll(t)),
      REAL_SERVERS.filter((server) => server !== drained),
      "new sessions do not go to exactly the others",
    );
    load.close(transfer);
    await load.finish();
    t.is(
      load.ended.at(-1)?.outcome,
      "stopped",
      "the transfer from the drained server broke",
    );
    await setWeight(address, 1);
    t.deepEqual(serversOf(await fetchAll(t)), REAL_SERVERS);
  },
);

test.serial("a dead real server is taken out, and comes back", async (t) => {
  const dead = "s2";
  await rack.lab.killNode(dead);
  await untilHealth(RACK.realServers[dead], "down");
  t.deepEqual(
    serversOf(await fetchAll(t)),
    REAL_SERVERS.filter((server) => server !== dead),
    "requests do not go to exactly the others",
  );
  await rack.lab.startNode(dead);
  await untilHealth(RACK.realServers[dead], "up");
  t.deepEqual(serversOf(await fetchAll(t)), REAL_SERVERS);
});

test.serial("an agent withdraws its routes before it ends", async (t) => {
  const leaving = "d3";
  const others = DIRECTORS.filter((director) => director !== leaving);
  await rack.output(leaving, ["bash", "-c", `kill -TERM $(<${AGENT_PID})`]);
  await until(
    `see the routes of ${leaving} go`,
    async () => missingRoutes(await rack.routes(), others),
    LIMIT_MS,
  );
  const fetches = await fetchAll(t);
  t.false(
    fetches.some(({ director }) => director === leaving),
    `a request went through ${leaving}`,
  );
  await until(
    `see the agent of ${leaving} end`,
    async () => {
      const alive = await rack.lab.exec(leaving, [
        ...["bash", "-c", `kill -0 $(<${AGENT_PID})`],
      ]);
      return alive.code === 0 ? "it is alive" : undefined;
    },
    LIMIT_MS,
  );
  await rack.output(leaving, START_AGENT);
  await rack.ready();
});

/** A round of requests from c1, all of which must succeed. */
async function fetchAll(t: ExecutionContext): Promise<readonly Fetch[]> {
  const { stdout } = await rack.lab.exec("c1", roundCommand(RACK.vip, ROUND), {
    timeoutMs: LIMIT_MS * 2,
  });
  const fetches = readRound(stdout, ROUND);
  t.deepEqual(
    fetches.flatMap(({ failure }) => failure ?? []),
    [],
    "a request failed",
  );
  return fetches;
}

function serversOf(fetches: readonly Fetch[]): readonly string[] {
  return [...new Set(fetches.flatMap(({ server }) => server ?? []))].toSorted();
}

async function startLoad(t: ExecutionContext): Promise<Load> {
  const load = await Load.start(rack, "c1");
  t.teardown(() => load.kill());
  return load;
}

function mustDirector(lip: string): Director {
  const director = directorOf(lip);
  if (director === undefined) throw new Error(`${lip} is in nobody's pool`);
  return director;
}

/** The difference between the packets that came and the sum of what became of them, as a sentence. */
function unaccounted(counters: Counters): string | undefined {
  const outcomes = Object.entries(counters).filter(
    ([name]) => name === "forwarded" || /^(passed|drop)_/.test(name),
  );
  const sum = outcomes.reduce((total, [, count]) => total + count, 0);
  const { received = 0 } = counters;
  return received === sum && received > 0
    ? undefined
    : `${received} packets came, but ${sum} were forwarded, passed or dropped`;
}

async function untilForwarding(director: Director): Promise<void> {
  await until(
    `have the agent of ${director} back`,
    async () => {
      const state = await rack.agentState(director);
      return state === "forwarding" ? undefined : `it is ${state}`;
    },
    LIMIT_MS,
  );
}

/** On all directors. */
async function untilHealth(address: string, health: string): Promise<void> {
  await untilServer(address, `be ${health}`, (server) =>
    server.health === health ? undefined : `it is ${server.health}`,
  );
}

async function untilServer(
  address: string,
  what: string,
  missing: (
    server: Awaited<ReturnType<Rack["servers"]>>[number],
  ) => string | undefined,
): Promise<void> {
  await Promise.all(
    DIRECTORS.map((director) =>
      until(
        `see ${address} ${what} on ${director}`,
        async () => {
          const servers = await rack.servers(director);
          const server = servers.find((one) => one.address === address);
          return server === undefined ? "it is not listed" : missing(server);
        },
        LIMIT_MS,
      ),
    ),
  );
}

/** On all directors, by a reload of each. */
async function setWeight(address: string, weight: number): Promise<void> {
  await Promise.all(
    DIRECTORS.map(async (director) => {
      await edit(
        rack,
        director,
        `/address: ${address},/s/weight: [0-9]+/weight: ${weight}/`,
      );
      await reload(rack, director, "config reloaded");
    }),
  );
  await untilServer(address, `have weight ${weight}`, (server) =>
    server.weight === weight ? undefined : `its weight is ${server.weight}`,
  );
}
