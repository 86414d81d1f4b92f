// SPDX-License-Identifier: Apache-2.0
/** What preflight knows about a machine: plain values, as the machine says them. read.ts collects them, evaluate.ts judges. */
export type Facts = {
  /** As `uname -r` prints it. */
  readonly kernel: string;
  readonly btf: boolean;
  readonly bpffs: boolean;
  /** RLIMIT_MEMLOCK of this process in bytes; Infinity if there is none. */
  readonly memlockBytes: number;
  readonly packages: readonly {
    readonly name: string;
    readonly version: string | undefined;
  }[];
  /** Whether `ip neigh` can ask the kernel to keep a neighbour resolved. */
  readonly managedNeighbours: boolean;
  readonly gobgpd: {
    readonly socket: string;
    readonly state: "absent" | "refusing" | "accepting";
  };
  readonly forwarding: boolean;
  /** Undefined if no interface below has an IPv6 address, other than a link-local one. */
  readonly ipv6Forwarding: boolean | undefined;
  /** net.ipv4.conf.all.*; the value of an interface is the larger of this and its own. */
  readonly rpFilterAll: number;
  readonly acceptLocalAll: number;
  /** Those asked for, or those of the default routes. */
  readonly interfaces: readonly InterfaceFacts[];
};

export type InterfaceFacts =
  | { readonly name: string; readonly exists: false }
  | {
      readonly name: string;
      readonly exists: true;
      readonly up: boolean;
      readonly driver: string;
      readonly mtu: number;
      readonly xdp: "none" | "driver" | "generic";
      readonly offloads: Offloads;
      readonly hasVlans: boolean;
      readonly rpFilter: number;
      readonly acceptLocal: number;
      /** Of a veth: its other end; undefined if that is in a network namespace without a name. */
      readonly peer: PeerFacts | undefined;
    };

export type PeerFacts = {
  readonly name: string;
  /** Under /run/netns; undefined if it is in ours. */
  readonly namespace: string | undefined;
  readonly xdp: "none" | "driver" | "generic";
  readonly offloads: Offloads;
};

/** Features of `ethtool -k` that are on. */
export type Offloads = ReadonlySet<string>;
