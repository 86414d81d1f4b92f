// SPDX-License-Identifier: Apache-2.0
/** The kernel's tables of links, routes and neighbours: how they are read, and the one thing that weir changes in them. */
import type { Kernel } from "./egress.ts";
import { CLIENTS, NEIGHBOUR_PROTOCOL } from "./egress.ts";
import type { IpCommand } from "./ip.ts";
import { changeIp, queryIp } from "./ip.ts";
import type { Neighbour, NeighbourName, Route } from "./rtnetlink.ts";
import {
  decodeLinks,
  decodeNeighbours,
  decodeRoutes,
  neighbourKey,
} from "./rtnetlink.ts";

/** Everything; 1000 destinations take 30 ms. Rejects with WeirError. */
export async function readKernel(
  ip: IpCommand,
  destinations: readonly string[],
): Promise<Kernel> {
  const others = destinations.filter((one) => one !== CLIENTS[6]);
  const [[links, neighbours, ...routes], defaults6] = await Promise.all([
    queryIp(ip, [
      "link show",
      "neigh show",
      // "fibmatch" names the route with all its next hops; without it, the kernel would choose one.
      ...others.map((destination) =>
        destination === CLIENTS[4]
          ? "route show default"
          : `route get fibmatch ${destination}`,
      ),
    ]),
    // Without a word about the family, and there is none for a line of a batch, `ip` shows the routes of IPv4.
    others.length < destinations.length
      ? queryIp([...ip, "-6"], ["route show default"])
      : [],
  ]);
  const answers: readonly (readonly [destination: string, answer: unknown])[] =
    [
      ...others.map((one, index) => [one, routes[index]] as const),
      ...defaults6.map((answer) => [CLIENTS[6], answer] as const),
    ];
  return {
    links: new Map(decodeLinks(links).map((link) => [link.name, link])),
    neighbours: byKey(neighbours),
    routes: new Map(
      answers.flatMap(([destination, answer]) => {
        const route = bestOf(answer);
        return route === undefined ? [] : [[destination, route] as const];
      }),
    ),
  };
}

/** The same kernel with its neighbours read anew. Rejects with WeirError. */
export async function rereadNeighbours(
  ip: IpCommand,
  kernel: Kernel,
): Promise<Kernel> {
  const [neighbours] = await queryIp(ip, ["neigh show"]);
  return { ...kernel, neighbours: byKey(neighbours) };
}

/**
 * Has the kernel keep these neighbours resolved. Where it refuses (`managed` needs Linux and iproute2 5.16), they are
 * probed once: called again and again, that does the same for as long as an agent runs. Returns how many it refused.
 */
export async function manageNeighbours(
  ip: IpCommand,
  names: readonly NeighbourName[],
): Promise<{ readonly refused: number; readonly error: string }> {
  const { failed, error } = await changeIp(
    ip,
    names.map(
      ({ address, device }) =>
        `neigh replace ${address} dev ${device} managed protocol ${NEIGHBOUR_PROTOCOL}`,
    ),
  );
  await changeIp(
    ip,
    failed.map((line) => line.replace(/ managed .*/, " use")),
  );
  return { refused: failed.length, error };
}

/** Removes neighbours that nobody needs resolved any more. One that is gone already is no failure. */
export async function releaseNeighbours(
  ip: IpCommand,
  names: readonly NeighbourName[],
): Promise<void> {
  await changeIp(
    ip,
    names.map(({ address, device }) => `neigh del ${address} dev ${device}`),
  );
}

function byKey(answer: unknown): ReadonlyMap<string, Neighbour> {
  return new Map(
    decodeNeighbours(answer).map((neighbour) => [
      neighbourKey(neighbour),
      neighbour,
    ]),
  );
}

/** The route that the kernel prefers among those of one prefix; undefined if it refused to name any. */
function bestOf(answer: unknown): Route | undefined {
  if (answer === undefined) return undefined;
  return decodeRoutes(answer)
    .filter(({ special }) => !special)
    .toSorted((a, b) => a.metric - b.metric)[0];
}
