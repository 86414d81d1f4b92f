// SPDX-License-Identifier: Apache-2.0
// Stock programs through the VIPs: TCP and UDP, fragments, errors on the way, and what has no service. With IPv4, with
// IPv6, and where clients and real servers speak different ones (NAT64, NAT46).

import test from "ava";
import { readRound, roundCommand } from "../../ops/demo/round.ts";
import { destroyLab } from "../../ops/lab/lab.ts";
import {
  addressesOf,
  deployRack,
  directorOf,
  DIRECTORS,
  FAMILIES,
  RACK,
  REAL_SERVERS,
  type Rack,
} from "../../ops/lab/rack.ts";
import { fileHash } from "../../ops/lab/rack/files.ts";
import { type Family, familyOf, formatHost } from "../../src/model.ts";
import { leftoversOf } from "./leftovers.ts";
import {
  CURL_REFUSED,
  CURL_TIMED_OUT,
  download,
  echo,
  iperf,
  reassembled,
  tracepath,
} from "./packet-probes.ts";
import { edit, reload } from "./rack-config.ts";

const NAME = `packetsTest${process.pid}`;
const LIMIT_MS = 60_000;

/** How a client reaches web servers: the family of the VIP, its port, and the family of the real servers. */
const WAYS = [
  { way: "IPv4", client: 4, port: RACK.ports.web, server: 4 },
  { way: "IPv6", client: 6, port: RACK.ports.web, server: 6 },
  { way: "NAT64", client: 6, port: RACK.translatedPorts.nat64, server: 4 },
  { way: "NAT46", client: 4, port: RACK.translatedPorts.nat46, server: 6 },
] as const;

/** So many that each director is chosen, but once in 10^8 rounds. */
const ROUND = { "files/1k": 40, "files/64k": 5, "files/1m": 3, "files/8m": 1 };

/** Those of variant packets. On none of the latter, from that one on, does anybody listen. */
const IPERF_PORT = 5201;
const TRACE_PORT = 44_000;
/** No variant's. */
const NO_SERVICE_PORT = 81;

const TCP_BYTES_MIN = 5e6;
const UDP = ["--udp", "--bandwidth", "4M", "--length"];
const WHOLE = "1400";
const FRAGMENTED = "8000";
/** Of 0.5 MB in a second: on a busy machine the receiver loses datagrams. That none is lost for another reason is shown below. */
const UDP_BYTES_MIN = 0.25e6;

/** About 1,500 bytes of packet, about multiples of a fragment, and others. */
const SIZES = [
  ...[1, 2, 7, 8, 9, 1400, 1452, 1453, 1472, 1473, 1480, 1481],
  ...[2952, 2953, 4432, 4433, 7392, 8192, 8999, 9000],
  ...Array.from({ length: 60 }, (_, index) => 30 + 149 * index),
];
/** Those that a packet of 1,500 bytes does not hold, of whichever family. */
const LARGE = SIZES.filter((size) => size > 1472).length;

/** Fields of the router's hash, as fib_multipath_hash_fields has them: of addresses, also protocol and ports (the rack's). */
const ADDRESSES = 3;
const FLOWS = 55;

/** What a link of IPv6 must carry at least. */
const SMALL_MTU = 1280;

/** Nothing here gives a reason for these. */
const NEVER_COUNTED = [
  ...["drop_inconsistent", "drop_headroom", "drop_malformed", "drop_options"],
  ...["drop_fragment_stranger", "drop_fragment_overlap", "drop_fragment_tiny"],
  ...["drop_table_full", "drop_no_lport", "drop_icmp_inner", "drop_no_route"],
  ...["drop_udp_checksum", "drop_extension", "drop_own_source", "drop_land"],
];

let rack: Rack;

test.before(async () => {
  rack = await deployRack({ name: NAME, variants: ["packets"] });
  await rack.ready();
  rack.lab.spawn("s1", ["iperf3", "--server", "--port", String(IPERF_PORT)]);
});

test.after.always(async (t) => {
  await destroyLab(NAME);
  t.deepEqual(await leftoversOf(NAME), []);
});

for (const { way, client, port, server } of WAYS)
  test.serial(
    `packets of downloads come unchanged, through each director, with ${way}`,
    async (t) => {
      const host = hostOf(client, port);
      const { stdout } = await rack.lab.exec("c1", roundCommand(host, ROUND), {
        timeoutMs: LIMIT_MS,
      });
      const fetches = readRound(stdout, ROUND);
      t.deepEqual(
        fetches.flatMap(({ failure }) => failure ?? []),
        [],
        "a download failed",
      );
      const through = new Set(fetches.map(({ director }) => director));
      t.is(through.size, DIRECTORS.length, "a director has carried nothing");
      const head = await rack.output("c1", [
        ...["curl", "--globoff", "--silent", "--head", `http://${host}/`],
      ]);
      const [, lip = ""] = /^X-Lip: (\S+)\s*$/im.exec(head) ?? [];
      t.is(familyOf(lip), server, `the real server has seen ${lip}`);
    },
  );

for (const { what, options, least } of [
  { what: "a TCP upload", options: [], least: TCP_BYTES_MIN },
  { what: "a TCP download", options: ["--reverse"], least: TCP_BYTES_MIN },
  { what: "UDP up", options: [...UDP, WHOLE], least: UDP_BYTES_MIN },
  {
    what: "UDP down",
    options: [...UDP, WHOLE, "--reverse"],
    least: UDP_BYTES_MIN,
  },
  {
    what: "UDP up, in fragments",
    options: [...UDP, FRAGMENTED],
    least: UDP_BYTES_MIN,
  },
  {
    what: "UDP down, in fragments",
    options: [...UDP, FRAGMENTED, "--reverse"],
    least: UDP_BYTES_MIN,
  },
])
  for (const family of FAMILIES)
    test.serial(
      `packets of iperf3 come through: ${what}, with IPv${family}`,
      async (t) => {
        const { vip } = addressesOf(family);
        // iperf3's first datagram is a small one: fragments are to meet the same director.
        const hash = options.includes(FRAGMENTED) ? ADDRESSES : FLOWS;
        await withHash(hash, async () => {
          const { sent, received } = await iperf(
            rack,
            vip,
            IPERF_PORT,
            options,
          );
          t.log(`${(received / 125_000).toFixed(0)} Mbit/s`);
          t.true(received >= least, `${received} of ${sent} bytes have come`);
        });
      },
    );

for (const family of FAMILIES)
  test.serial(
    `packets of datagrams from 1 to 9000 bytes are answered, fragments both ways, with IPv${family}`,
    async (t) => {
      const { vip } = addressesOf(family);
      const [servers, client] = await allReassembled(family);
      const echoes = await echo(rack, vip, RACK.ports.echo, SIZES);
      t.log(`${echoes.repeated} had to be sent again`);
      t.deepEqual(echoes.problems, []);
      t.is(echoes.outcomes.right, 2 * SIZES.length);
      t.deepEqual(echoes.servers.toSorted(), REAL_SERVERS);
      const directors = new Set(echoes.lips.map(directorOf));
      t.is(directors.size, DIRECTORS.length, "a director has carried nothing");
      const [serversNow, clientNow] = await allReassembled(family);
      t.true(serversNow - servers >= 2 * LARGE, "no fragments at real servers");
      t.true(clientNow - client >= 2 * LARGE, "no fragments at the client");
    },
  );

for (const family of FAMILIES) {
  const { vip, clients } = addressesOf(family);

  test.serial(
    `packets that run out of hops are told of: tracepath sees the way to the real server, with IPv${family}`,
    async (t) => {
      const { pmtu, hops, reached } = await tracepath(rack, vip, TRACE_PORT);
      t.log(hops.join(" "));
      t.like({ pmtu, reached }, { pmtu: 1500, reached: true });
      // The director, the router behind it and the real server: what is behind the VIP speaks for it.
      t.deepEqual(hops, [routerOf(clients.c1), vip, vip, vip]);
    },
  );

  test.serial(
    `packets too big for a link behind the directors are told of: tracepath finds its MTU, with IPv${family}`,
    async (t) => {
      await withSmallLinks(["eth11", "eth12", "eth13"], async () => {
        const { pmtu, hops, reached } = await tracepath(rack, vip, TRACE_PORT);
        t.log(hops.join(" "));
        t.like({ pmtu, reached }, { pmtu: SMALL_MTU, reached: true });
      });
    },
  );

  test.serial(
    `packets of ping are answered by the VIP, with IPv${family}`,
    async (t) => {
      for (const size of ["0", "56", "1400"]) {
        const ping = ["ping", "-c", "5", "-i", "0.2", "-W", "1", "-s", size];
        const output = await rack.output("c1", [...ping, vip]);
        t.regex(output, /5 packets transmitted, 5 received, 0% packet loss/);
      }
    },
  );
}

test.serial(
  "packets that black-hole behind a small link: downloads end when the directors hear of it",
  async (t) => {
    // What fits is a segment that the real server would have to make smaller: it learns of that from ICMP errors alone.
    await withSmallLinks(["eth21"], async () => {
      await withoutErrors(async () => {
        for (const { way, code } of await downloads())
          t.is(code, CURL_TIMED_OUT, `${way} needs no ICMP errors`);
      });
      const before = await sumOf("icmp_translated");
      for (const { way, code, hash } of await downloads())
        t.deepEqual([way, code, hash], [way, 0, fileHash("files/1m")]);
      t.true((await sumOf("icmp_translated")) - before >= WAYS.length);
    });
  },
);

for (const family of FAMILIES) {
  const url = `http://${hostOf(family, NO_SERVICE_PORT)}/`;
  const { vip } = addressesOf(family);

  test.serial(
    `packets to a port without a service get no answer, with IPv${family}`,
    async (t) => {
      const before = await sumOf("drop_no_service");
      t.is((await download(rack, url)).code, CURL_TIMED_OUT);
      const { outcomes } = await echo(rack, vip, NO_SERVICE_PORT, [100]);
      t.is(outcomes.lost, 2);
      t.true((await sumOf("drop_no_service")) > before);
    },
  );

  test.serial(
    `packets to a port without a service are refused where the config says so, with IPv${family}`,
    async (t) => {
      await configure("$a unknown_port: reject");
      try {
        t.is((await download(rack, url)).code, CURL_REFUSED);
        const { outcomes } = await echo(rack, vip, NO_SERVICE_PORT, [100]);
        t.is(outcomes.refused, 2);
      } finally {
        await configure("/^unknown_port/d");
      }
    },
  );
}

test.serial(
  "packets of all this have met no error of the dataplane's own",
  async (t) => {
    for (const director of DIRECTORS) {
      const counters = await rack.counters(director);
      for (const name of NEVER_COUNTED) t.is(counters[name], 0, name);
    }
  },
);

function hostOf(family: Family, port: number): string {
  return `${formatHost(addressesOf(family).vip)}:${port}`;
}

/** The router's address beside that of a machine. */
function routerOf(address: string): string {
  return address.replace(/2$/, "1");
}

/** One of each way, all at once. */
async function downloads() {
  const all = WAYS.map(async ({ way, client, port }) => {
    const url = `http://${hostOf(client, port)}/files/1m`;
    return { way, ...(await download(rack, url)) };
  });
  return Promise.all(all);
}

/** Links of the router carry less in its direction than both ends believe, until `use` is done. */
async function withSmallLinks(
  interfaces: readonly string[],
  use: () => Promise<void>,
): Promise<void> {
  const set = async (mtu: number) => {
    for (const name of interfaces)
      await rack.output(RACK.router, [
        ...["ip", "link", "set", name, "mtu", String(mtu)],
      ]);
  };
  await set(SMALL_MTU);
  try {
    await use();
  } finally {
    await set(1500);
    // What machines have learnt meanwhile.
    for (const node of [...REAL_SERVERS, "c1"])
      await rack.output(node, [
        ...["bash", "-c", "ip route flush cache; ip -6 route flush cache"],
      ]);
  }
}

/** The router's hash has other fields, until `use` is done. */
async function withHash(
  fields: number,
  use: () => Promise<void>,
): Promise<void> {
  const set = async (to: number) =>
    rack.output(RACK.router, [
      ...["bash", "-c"],
      `for file in /proc/sys/net/ipv[46]/fib_multipath_hash_fields; do echo ${to} >$file; done`,
    ]);
  await set(fields);
  try {
    await use();
  } finally {
    await set(FLOWS);
  }
}

/** ICMP errors of the router do not get to the directors, until `use` is done. */
async function withoutErrors(use: () => Promise<void>): Promise<void> {
  const change = async (verb: string) => {
    for (const [family, protocol] of [
      [4, "icmp"],
      [6, "ipv6-icmp"],
    ] as const)
      await rack.output(RACK.router, [
        ...["ip", `-${family}`, "rule", verb, "to", addressesOf(family).vip],
        ...["ipproto", protocol, "blackhole"],
      ]);
  };
  await change("add");
  try {
    await use();
  } finally {
    await change("del");
  }
}

async function configure(script: string): Promise<void> {
  const all = DIRECTORS.map(async (director) => {
    await edit(rack, director, script);
    await reload(rack, director, "config reloaded");
  });
  await Promise.all(all);
}

/** Of all real servers together, and of the client. */
async function allReassembled(
  family: Family,
): Promise<readonly [servers: number, client: number]> {
  let servers = 0;
  for (const server of REAL_SERVERS)
    servers += await reassembled(rack, server, family);
  return [servers, await reassembled(rack, "c1", family)];
}

/** Of all directors. */
async function sumOf(counter: string): Promise<number> {
  const all = DIRECTORS.map((director) => rack.counters(director));
  const counted = await Promise.all(all);
  return counted.reduce((sum, one) => sum + (one[counter] ?? Number.NaN), 0);
}
