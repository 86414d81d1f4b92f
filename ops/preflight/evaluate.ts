// SPDX-License-Identifier: Apache-2.0
import type { Facts, InterfaceFacts, PeerFacts } from "./facts.ts";

/** One line of the answer; the fields of `./weir preflight --json`. */
export type Item = {
  readonly name: string;
  readonly found: string;
  /** What a director needs; empty if nothing depends on it. */
  readonly needed: string;
  /** The command or sentence that mends it; empty if it is right. */
  readonly fix: string;
};

export type Verdict = { readonly ok: boolean; readonly items: readonly Item[] };

/** Linux 6.1 and later: drivers that run XDP programs themselves, as `ethtool -i` names them. */
const XDP_DRIVERS = new Set(
  [
    "atlantic bnxt_en ena fsl_dpaa2_eth fsl_enetc hv_netvsc i40e ice igb igc",
    "ixgbe ixgbevf mana mlx4_en mlx5_core mvneta mvpp2 nfp qede rvu-nicpf sfc",
    "st_gmac thunder-nicvf tun veth vif virtio_net",
  ].flatMap((line) => line.split(" ")),
);

/** A page less headroom and struct skb_shared_info: what most drivers can hand to XDP in one buffer. */
const MTU_MAX_ONE_BUFFER = 3498;

/** A director is ready if no item that it needs has something to fix. */
export function evaluate(facts: Facts): Verdict {
  const items = [
    ...machineItems(facts),
    ...facts.interfaces.flatMap((device) => interfaceItems(device, facts)),
  ];
  if (facts.interfaces.length === 0)
    items.push({
      name: "interface",
      found: "no default route, so no interface was looked at",
      needed: "the interfaces that carry traffic",
      fix: "./weir preflight --interface NAME",
    });
  return {
    ok: items.every(({ needed, fix }) => needed === "" || fix === ""),
    items,
  };
}

function machineItems(facts: Facts): readonly Item[] {
  const missing = facts.packages.filter(({ version }) => !version);
  return [
    need("kernel", facts.kernel, "6.1 or later", {
      wrong: !atLeast(facts.kernel, 6, 1),
      fix: "apt-get install -t bookworm-backports linux-image-amd64 && reboot",
    }),
    need("btf", facts.btf ? "present" : "missing", "/sys/kernel/btf/vmlinux", {
      wrong: !facts.btf,
      fix: "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; Debian's own have it",
    }),
    need("bpffs", facts.bpffs ? "mounted" : "not mounted", "/sys/fs/bpf", {
      wrong: !facts.bpffs,
      fix: "mount -t bpf bpf /sys/fs/bpf",
    }),
    need(
      "packages",
      missing.length === 0
        ? "all installed"
        : `missing: ${missing.map(({ name }) => name).join(", ")}`,
      facts.packages.map(({ name }) => name).join(", "),
      {
        wrong: missing.length > 0,
        fix: `apt-get install --no-install-recommends ${missing.map(({ name }) => name).join(" ")}`,
      },
    ),
    need(
      "managed neighbours",
      facts.managedNeighbours ? "supported" : "not supported",
      "ip neigh ... managed (iproute2 5.16 or later)",
      {
        wrong: !facts.managedNeighbours,
        fix: "apt-get install --no-install-recommends iproute2",
      },
    ),
    gobgpdItem(facts),
    need("ip_forward", facts.forwarding ? "1" : "0", "1", {
      wrong: !facts.forwarding,
      fix: "sysctl -w net.ipv4.ip_forward=1",
    }),
    ...(facts.ipv6Forwarding === undefined
      ? []
      : [
          need("ipv6 forwarding", facts.ipv6Forwarding ? "1" : "0", "1", {
            wrong: !facts.ipv6Forwarding,
            fix: "sysctl -w net.ipv6.conf.all.forwarding=1",
          }),
        ]),
    {
      name: "memlock",
      found: Number.isFinite(facts.memlockBytes)
        ? `${facts.memlockBytes} bytes; kernels from 5.11 on do not count BPF maps in it`
        : "unlimited",
      needed: "",
      fix: "",
    },
  ];
}

function gobgpdItem({ gobgpd: { socket, state } }: Facts): Item {
  const found = {
    absent: `no socket at ${socket}`,
    refusing: `nobody listens at ${socket}`,
    accepting: `listens at ${socket}`,
  }[state];
  return need("gobgpd", found, "its API on a unix socket", {
    wrong: state !== "accepting",
    fix: `gobgpd --api-hosts unix://${socket} --pprof-disable --log-plain &`,
  });
}

function interfaceItems(device: InterfaceFacts, facts: Facts): readonly Item[] {
  const { name } = device;
  if (!device.exists)
    return [
      need(name, "absent", "an interface of this name", {
        wrong: true,
        fix: "choose one that `ip link` lists",
      }),
    ];
  const rpFilter = Math.max(facts.rpFilterAll, device.rpFilter);
  const acceptLocal = Math.max(facts.acceptLocalAll, device.acceptLocal);
  const lro = device.offloads.has("large-receive-offload");
  const items = [
    need(name, device.up ? "up" : "down", "up", {
      wrong: !device.up,
      fix: `ip link set dev ${name} up`,
    }),
    xdpItem(name, device.driver, device.xdp),
    need(`${name} lro`, lro ? "on" : "off", "off", {
      wrong: lro,
      fix: `ethtool -K ${name} lro off`,
    }),
    mtuItem(name, device.mtu, device.driver),
    need(
      `${name} rp_filter`,
      `${rpFilter} (all ${facts.rpFilterAll}, ${name} ${device.rpFilter})`,
      "0: requests and replies may come in on different interfaces",
      {
        wrong: rpFilter !== 0,
        fix: `sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.${name.replaceAll(".", "/")}.rp_filter=0`,
      },
    ),
    {
      name: `${name} accept_local`,
      found: `${acceptLocal}; 1 is needed only where an address of the pool is also an address of this machine`,
      needed: "",
      fix: "",
    },
  ];
  if (device.hasVlans)
    items.push(
      need(
        `${name} rx-vlan-offload`,
        device.offloads.has("rx-vlan-offload") ? "on" : "off",
        "off: XDP must see the tags of the VLANs on this interface",
        {
          wrong: device.offloads.has("rx-vlan-offload"),
          fix: `ethtool -K ${name} rx-vlan-offload off`,
        },
      ),
    );
  if (device.driver === "veth") items.push(...peerItems(name, device.peer));
  return items;
}

function xdpItem(
  name: string,
  driver: string,
  attached: "none" | "driver" | "generic",
): Item {
  const title = `${name} driver mode`;
  const needed = "XDP in the driver";
  if (attached === "generic")
    return need(title, `${driver}, with a generic-mode program`, needed, {
      wrong: true,
      fix: `ip link set dev ${name} xdpgeneric off`,
    });
  const known = XDP_DRIVERS.has(driver);
  return need(
    title,
    attached === "driver"
      ? `${driver}, with a program attached`
      : `${driver}${known ? "" : ", not known to have it"}`,
    needed,
    {
      wrong: !known && attached === "none",
      fix: "use an interface whose driver runs XDP itself (mlx5_core, ice, i40e, ixgbe, bnxt_en, virtio_net, veth, ...)",
    },
  );
}

/** Only attaching tells whether a driver has multi-buffer XDP, so a large MTU is no reason to refuse. */
function mtuItem(name: string, mtu: number, driver: string): Item {
  const multiBuffer = driver !== "veth" && mtu > MTU_MAX_ONE_BUFFER;
  return {
    name: `${name} mtu`,
    found: multiBuffer
      ? `${mtu}: more than one page, for which ${driver} must have multi-buffer XDP`
      : String(mtu),
    needed: multiBuffer ? "" : "any",
    fix: multiBuffer ? `ip link set dev ${name} mtu 1500` : "",
  };
}

/** A veth's other end has to send whole checksums, and to receive what XDP redirects to it. */
function peerItems(name: string, peer: PeerFacts | undefined): readonly Item[] {
  const checksums = "transmit checksums off: XDP cannot complete them";
  const napi = "GRO or an XDP program: else redirected frames are lost";
  if (!peer)
    return [
      {
        name: `${name} peer`,
        found: "in a network namespace without a name, so it was not looked at",
        needed: "",
        fix: `there, for the other end of ${name}: ethtool -K PEER tx off gro on`,
      },
    ];
  const inside = peer.namespace
    ? `nsenter --net=/run/netns/${peer.namespace} `
    : "";
  const sendsWhole = !peer.offloads.has("tx-checksumming");
  const gro = peer.offloads.has("generic-receive-offload");
  return [
    need(
      `${name} peer ${peer.name} tx-checksumming`,
      sendsWhole ? "off" : "on",
      checksums,
      {
        wrong: !sendsWhole,
        fix: `${inside}ethtool -K ${peer.name} tx off`,
      },
    ),
    need(
      `${name} peer ${peer.name} napi`,
      peer.xdp === "driver" ? "an XDP program" : gro ? "GRO" : "neither",
      napi,
      {
        wrong: peer.xdp !== "driver" && !gro,
        fix: `${inside}ethtool -K ${peer.name} gro on`,
      },
    ),
  ];
}

function need(
  name: string,
  found: string,
  needed: string,
  problem: { readonly wrong: boolean; readonly fix: string },
): Item {
  return { name, found, needed, fix: problem.wrong ? problem.fix : "" };
}

/** Whether a release such as 6.1.0-44-amd64 or 6.12-rc1 is at least major.minor. */
function atLeast(release: string, major: number, minor: number): boolean {
  const found = /^(\d+)\.(\d+)/.exec(release);
  if (!found) return false;
  const [foundMajor, foundMinor] = [Number(found[1]), Number(found[2])];
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}
