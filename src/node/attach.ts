// SPDX-License-Identifier: Apache-2.0
/** Puts the program on interfaces, by pinned links: it stays there when the agent goes. */
import { readdirSync } from "node:fs";
import { DataplaneError } from "../errors.ts";
import { isAddonError } from "./addon.ts";
import { queryIp } from "./ip.ts";
import type { KeyedMap, OpenMaps } from "./maps.ts";
import type { Link } from "./rtnetlink.ts";
import { decodeLinks } from "./rtnetlink.ts";

/** XDP_ATTACHED_* of linux/if_link.h. */
const XDP_MODES = ["none", "native", "generic", "offloaded"] as const;

export type Attachment = {
  readonly interface: string;
  readonly ifindex: number;
  readonly mode: (typeof XDP_MODES)[number];
  /** The program took over from that of an earlier agent without a gap. */
  readonly adopted: boolean;
};

/**
 * Attaches to the interfaces of these names and detaches from all others. `devices` becomes the set of their ifindexes.
 * Throws DataplaneError if one cannot be had; those before it are attached then.
 */
export async function attachAll(
  maps: OpenMaps,
  devices: KeyedMap<number, number>,
  names: readonly string[],
): Promise<readonly Attachment[]> {
  const wanted = await findInterfaces(names);
  const ifindexes = new Set(wanted.map(({ ifindex }) => ifindex));
  // All ways out are there before the first packet comes in.
  for (const ifindex of ifindexes) devices.set(ifindex, ifindex);
  const attachments = wanted.map((link) => attach(maps, link));
  for (const ifindex of pinnedLinks(maps.pinDir))
    if (!ifindexes.has(ifindex)) maps.addon.detach(ifindex);
  for (const ifindex of devices.keys())
    if (!ifindexes.has(ifindex)) devices.delete(ifindex);
  return attachments;
}

function attach(maps: OpenMaps, { name, ifindex }: Link): Attachment {
  try {
    const { adopted, mode } = maps.addon.attach(ifindex);
    return {
      interface: name,
      ifindex,
      mode: XDP_MODES[mode] ?? "none",
      adopted,
    };
  } catch (error) {
    if (!isAddonError(error)) throw error;
    throw new DataplaneError(
      `Cannot attach to ${name}: ${reasonOf(error.code)}: ${error.message}`,
      error.code,
      { cause: error },
    );
  }
}

/** The ifindexes of the links that are pinned. */
function pinnedLinks(pinDir: string): readonly number[] {
  return readdirSync(pinDir).flatMap((name) => {
    const match = /^link-(\d+)$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

/** By netlink: /sys shows the interfaces of the network namespace that mounted it, which may be another one. */
export async function findInterfaces(
  names: readonly string[],
): Promise<readonly Link[]> {
  if (names.length === 0) return [];
  const [answer] = await queryIp(["ip"], ["link show"]);
  const links = decodeLinks(answer);
  return names.map((name) => {
    const link = links.find((one) => one.name === name);
    if (link === undefined)
      throw new DataplaneError(
        `Cannot attach to ${name}: there is no such interface`,
        "ENODEV",
      );
    return link;
  });
}

function reasonOf(code: string): string {
  switch (code) {
    case "EOPNOTSUPP":
      return "its driver has no native XDP";
    case "EBUSY":
      return "another XDP program is on it";
    case "EINVAL":
    case "ERANGE":
      return "its driver refuses native XDP as the interface is set up (MTU, LRO, queues)";
    default:
      return "the kernel refuses";
  }
}
