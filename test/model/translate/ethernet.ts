// SPDX-License-Identifier: Apache-2.0
/** Ethernet frames with up to two VLAN tags (802.1Q, 802.1ad). */
import type { Version } from "./address.ts";
import { ETHERTYPE, TPID } from "./protocols.ts";
import type { Hop } from "./world.ts";

export type Frame = {
  /** All before the packet: MACs, tags, ethertype. */
  readonly head: Buffer;
  readonly version: Version;
  /** The packet, and what is behind it in the frame. */
  readonly body: Buffer;
};

const ETHERNET = 14;
const VLAN_TAG = 4;
const VLAN_TAGS_MAX = 2;

/** Undefined: it has no IP packet. */
export function readFrame(bytes: Buffer): Frame | undefined {
  let end = ETHERNET;
  for (let tags = 0; bytes.length >= end; tags++, end += VLAN_TAG) {
    const ethertype = bytes.readUInt16BE(end - 2);
    const isTag = ethertype === TPID.customer || ethertype === TPID.service;
    if (isTag && tags < VLAN_TAGS_MAX) continue;
    if (ethertype !== ETHERTYPE.ipv4 && ethertype !== ETHERTYPE.ipv6)
      return undefined;
    return {
      head: bytes.subarray(0, end),
      version: ethertype === ETHERTYPE.ipv4 ? 4 : 6,
      body: bytes.subarray(end),
    };
  }
  return undefined;
}

/** It was broadcast or multicast. */
export function isToMany({ head }: Frame): boolean {
  return (head.readUInt8(0) & 1) !== 0;
}

/** What a frame to this hop begins with. */
export function headTo(hop: Hop, version: Version): Buffer {
  const macs = Buffer.from(`${hop.dmac}${hop.smac}`.replaceAll(":", ""), "hex");
  const tag = Buffer.alloc(hop.vlan === 0 ? 0 : VLAN_TAG);
  if (hop.vlan !== 0) {
    tag.writeUInt16BE(TPID.customer, 0);
    tag.writeUInt16BE(hop.vlan, 2);
  }
  return Buffer.concat([macs, tag, ethertypeOf(version)]);
}

/** The same MACs and tags before a packet of that version. */
export function headFor({ head }: Frame, version: Version): Buffer {
  return Buffer.concat([head.subarray(0, -2), ethertypeOf(version)]);
}

/** The same without its tags, and back to where it came from. */
export function headBack({ head, version }: Frame): Buffer {
  return Buffer.concat([
    head.subarray(6, 12),
    head.subarray(0, 6),
    head.subarray(12, -2),
    ethertypeOf(version),
  ]);
}

function ethertypeOf(version: Version): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6, 0);
  return bytes;
}
