// SPDX-License-Identifier: Apache-2.0
/**
 * Who is where in `./weir bench rack`. Each contender has a director of its own between the client and the server, so that an
 * address decides who carries a packet:
 *
 *   client cN --- front, director N, back --- sN server
 */
import type { Prefix } from "../../../src/model.ts";
import { hostPrefix } from "../../../src/model.ts";

/** An end of a link. */
export type End = {
  readonly namespace: string;
  readonly device: string;
  readonly address: string;
  readonly mac: string;
};

export type Contender = {
  /** In the names of rows. */
  readonly name: string;
  /** The director's namespace. */
  readonly director: string;
  readonly client: End;
  readonly front: End;
  readonly back: End;
  readonly server: End;
  /** What the client speaks to. */
  readonly target: string;
  /** Whom the server sees. */
  readonly seen: Prefix;
  /** The server's, for datagrams to DATAGRAM_PORT. */
  readonly datagramPort: number;
};

/** Of TCP: the same at the server. */
export const STREAM_PORT = 5_201;
/** Of UDP: another one at the server, where there is a translation. */
export const DATAGRAM_PORT = 9_000;
const TRANSLATED_PORT = 9_001;

export const CLIENT = "client";
export const SERVER = "server";

export const POOLS = {
  weir: { address: "10.200.0.0", length: 24 },
  nftables: { address: "10.200.3.0", length: 24 },
} as const;

export const WEIR = contender(0, "weir", "weir", {
  target: "192.0.2.10",
  seen: POOLS.weir,
});
export const REDIRECT = contender(1, "bare XDP_REDIRECT", "redirect");
const KERNEL = contender(2, "kernel forwarding", "kernel");
export const NFTABLES = contender(3, "nftables FULLNAT", "nftables", {
  target: "192.0.2.13",
  seen: POOLS.nftables,
});

/** In the order in which they are measured. */
export const CONTENDERS = [WEIR, REDIRECT, KERNEL, NFTABLES] as const;

/** Without a translation, the client speaks to the server's own address. */
function contender(
  number: number,
  name: string,
  director: string,
  translated?: { readonly target: string; readonly seen: Prefix },
): Contender {
  const mac = (end: number): string => `02:00:00:00:0${number}:0${end}`;
  const client = `10.64.${number}.2`;
  const server = `10.3.${number}.2`;
  return {
    name,
    director,
    client: {
      namespace: CLIENT,
      device: `c${number}`,
      address: client,
      mac: mac(1),
    },
    front: {
      namespace: director,
      device: "front",
      address: `10.64.${number}.1`,
      mac: mac(2),
    },
    back: {
      namespace: director,
      device: "back",
      address: `10.3.${number}.1`,
      mac: mac(3),
    },
    server: {
      namespace: SERVER,
      device: `s${number}`,
      address: server,
      mac: mac(4),
    },
    target: translated?.target ?? server,
    seen: translated?.seen ?? hostPrefix(client),
    datagramPort: translated ? TRANSLATED_PORT : DATAGRAM_PORT,
  };
}
