// SPDX-License-Identifier: Apache-2.0
/**
 * An interface with a way to the clients, of which nothing is ever sent out: the program holds its next hops towards clients
 * against what the kernel says.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { formatPrefix, type Prefix } from "../../src/model.ts";
import { decodeLinks } from "../../src/node/rtnetlink.ts";
import {
  type AddressRange,
  format,
  type Version,
  versionOf,
} from "../model/translate/address.ts";
import type { Settings } from "../model/translate/world.ts";

const DEVICE = `weirp${process.pid % 1_000_000}`;
const NETWORK = [
  `link add ${DEVICE} type veth peer name ${DEVICE}p`,
  `address add 203.0.113.2/24 dev ${DEVICE}`,
  `address add 2001:db8:99::2/64 dev ${DEVICE} nodad`,
  `link set ${DEVICE} up`,
  `link set ${DEVICE}p up`,
];
const ROUTERS: Readonly<Record<Version, string>> = {
  4: "203.0.113.1",
  6: "2001:db8:99::1",
};

/** @returns its ifindex */
export function makeInterface({ clients, clientPrefixes }: Settings): number {
  ip(NETWORK);
  for (const version of [4, 6])
    writeFileSync(`/proc/sys/net/ipv${version}/conf/${DEVICE}/forwarding`, "1");
  const neighbours = ([4, 6] as const).map(
    (version) =>
      `neighbour add ${ROUTERS[version]} lladdr ${clients[version].dmac} dev ${DEVICE} nud permanent`,
  );
  const routes = clientPrefixes.map((range) => {
    const router = ROUTERS[versionOf(range.first)];
    return `route add ${formatPrefix(prefixOf(range))} via ${router} dev ${DEVICE}`;
  });
  ip([...neighbours, ...routes]);
  const links: unknown = JSON.parse(
    execFileSync("ip", ["-json", "link", "show", "dev", DEVICE], {
      encoding: "utf8",
    }),
  );
  const [link] = decodeLinks(links);
  if (link === undefined) throw new Error(`there is no interface ${DEVICE}`);
  return link.ifindex;
}

export function removeInterface(): void {
  ip([`link delete ${DEVICE}`]);
}

export function prefixOf({ first, last }: AddressRange): Prefix {
  const size = BigInt(`0x${last}`) - BigInt(`0x${first}`);
  const hostBits = size === 0n ? 0 : size.toString(2).length;
  return { address: format(first), length: 4 * first.length - hostBits };
}

function ip(commands: readonly string[]): void {
  execFileSync("ip", ["-batch", "-"], { input: commands.join("\n") });
}
