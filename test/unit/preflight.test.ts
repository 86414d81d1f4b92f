// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { evaluate } from "../../ops/preflight/evaluate.ts";
import type {
  Facts,
  InterfaceFacts,
  PeerFacts,
} from "../../ops/preflight/facts.ts";

type Present = Extract<InterfaceFacts, { exists: true }>;

const NIC: Present = {
  name: "eth1",
  exists: true,
  up: true,
  driver: "mlx5_core",
  mtu: 1500,
  xdp: "none",
  offloads: new Set([
    "tx-checksumming",
    "generic-receive-offload",
    "rx-vlan-offload",
  ]),
  hasVlans: false,
  rpFilter: 0,
  acceptLocal: 0,
  peer: undefined,
};

const PEER: PeerFacts = {
  name: "r1eth1",
  namespace: "r1",
  xdp: "none",
  offloads: new Set(["generic-receive-offload"]),
};

const VETH: Present = { ...NIC, driver: "veth", mtu: 9000, peer: PEER };

const READY: Facts = {
  kernel: "6.1.0-44-amd64",
  btf: true,
  bpffs: true,
  memlockBytes: 8_388_608,
  packages: [{ name: "gobgpd", version: "3.10.0-1" }],
  managedNeighbours: true,
  gobgpd: { socket: "/run/gobgpd.sock", state: "accepting" },
  forwarding: true,
  ipv6Forwarding: undefined,
  rpFilterAll: 0,
  acceptLocalAll: 0,
  interfaces: [NIC],
};

test("evaluate() finds nothing to fix on a machine that is ready", (t) => {
  for (const facts of [
    READY,
    { ...READY, interfaces: [VETH] },
    { ...READY, ipv6Forwarding: true },
  ]) {
    const { ok, items } = evaluate(facts);
    t.true(ok);
    t.deepEqual(
      items.filter(({ fix }) => fix !== ""),
      [],
    );
  }
});

/** The item that has something to fix, and its fix, once some facts have changed. */
type Wrong = readonly [name: string, fix: string, facts: Partial<Facts>];

const eth1 = (change: Partial<Present>): Partial<Facts> => ({
  interfaces: [{ ...NIC, ...change }],
});
const veth = (change: Partial<PeerFacts>): Partial<Facts> => ({
  interfaces: [{ ...VETH, peer: { ...PEER, ...change } }],
});
const gobgpd = (state: Facts["gobgpd"]["state"]): Partial<Facts> => ({
  gobgpd: { socket: `/run/${state}.sock`, state },
});

const WRONG: readonly Wrong[] = [
  [
    "kernel",
    "apt-get install -t bookworm-backports linux-image-amd64 && reboot",
    { kernel: "6.0.19" },
  ],
  [
    "btf",
    "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; Debian's own have it",
    { btf: false },
  ],
  ["bpffs", "mount -t bpf bpf /sys/fs/bpf", { bpffs: false }],
  [
    "packages",
    "apt-get install --no-install-recommends gobgpd nftables",
    {
      packages: ["frr", "gobgpd", "nftables"].map((name) => ({
        name,
        version: name === "frr" ? "8.4" : undefined,
      })),
    },
  ],
  [
    "managed neighbours",
    "apt-get install --no-install-recommends iproute2",
    { managedNeighbours: false },
  ],
  [
    "gobgpd",
    "gobgpd --api-hosts unix:///run/absent.sock --pprof-disable --log-plain &",
    gobgpd("absent"),
  ],
  [
    "gobgpd",
    "gobgpd --api-hosts unix:///run/refusing.sock --pprof-disable --log-plain &",
    gobgpd("refusing"),
  ],
  ["ip_forward", "sysctl -w net.ipv4.ip_forward=1", { forwarding: false }],
  [
    "ipv6 forwarding",
    "sysctl -w net.ipv6.conf.all.forwarding=1",
    { ipv6Forwarding: false },
  ],
  ["interface", "./weir preflight --interface NAME", { interfaces: [] }],
  [
    "eth9",
    "choose one that `ip link` lists",
    { interfaces: [{ name: "eth9", exists: false }] },
  ],
  ["eth1", "ip link set dev eth1 up", eth1({ up: false })],
  [
    "eth1 driver mode",
    "use an interface whose driver runs XDP itself (mlx5_core, ice, i40e, ixgbe, bnxt_en, virtio_net, veth, ...)",
    eth1({ driver: "e1000" }),
  ],
  [
    "eth1 driver mode",
    "ip link set dev eth1 xdpgeneric off",
    eth1({ xdp: "generic" }),
  ],
  [
    "eth1 lro",
    "ethtool -K eth1 lro off",
    eth1({ offloads: new Set(["large-receive-offload"]) }),
  ],
  [
    "eth1 rp_filter",
    "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0",
    { rpFilterAll: 1 },
  ],
  [
    "eth1.5 rp_filter",
    "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1/5.rp_filter=0",
    eth1({ name: "eth1.5", rpFilter: 2 }),
  ],
  [
    "eth1 rx-vlan-offload",
    "ethtool -K eth1 rx-vlan-offload off",
    eth1({ hasVlans: true }),
  ],
  [
    "eth1 peer r1eth1 tx-checksumming",
    "nsenter --net=/run/netns/r1 ethtool -K r1eth1 tx off",
    veth({ offloads: new Set(["tx-checksumming", "generic-receive-offload"]) }),
  ],
  [
    "eth1 peer r1eth1 napi",
    "nsenter --net=/run/netns/r1 ethtool -K r1eth1 gro on",
    veth({ offloads: new Set() }),
  ],
  [
    "eth1 peer r1eth1 napi",
    "ethtool -K r1eth1 gro on",
    veth({ offloads: new Set(), xdp: "generic", namespace: undefined }),
  ],
];

for (const [name, fix, facts] of WRONG)
  test(`evaluate() mends "${name}" with: ${fix}`, (t) => {
    const { ok, items } = evaluate({ ...READY, ...facts });
    t.false(ok);
    const wrong = items.filter((item) => item.fix !== "");
    t.deepEqual(
      wrong.map((item) => [item.name, item.fix]),
      [[name, fix]],
    );
    t.not(wrong[0]?.needed, "", "a needed item does not say what is needed");
  });

test("evaluate() tells what to do if a driver refuses a large MTU, and is content", (t) => {
  const { ok, items } = evaluate({ ...READY, ...eth1({ mtu: 9000 }) });
  t.true(ok);
  t.is(
    items.find(({ name }) => name === "eth1 mtu")?.fix,
    "ip link set dev eth1 mtu 1500",
  );
});

test("evaluate() accepts an XDP program on a veth's peer in place of GRO", (t) => {
  const peer: PeerFacts = { ...PEER, offloads: new Set(), xdp: "driver" };
  t.true(evaluate({ ...READY, interfaces: [{ ...VETH, peer }] }).ok);
});

test("evaluate() tells what to do at a peer that cannot be seen, and is content", (t) => {
  const { ok, items } = evaluate({
    ...READY,
    interfaces: [{ ...VETH, peer: undefined }],
  });
  t.true(ok);
  t.regex(
    items.find(({ name }) => name === "eth1 peer")?.fix ?? "",
    /tx off gro on/,
  );
});
