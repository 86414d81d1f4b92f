// SPDX-License-Identifier: Apache-2.0
/** One gobgpd, brought to the desired state on request. Nothing here waits, repeats or remembers. */
import { RoutingError } from "../errors.ts";
import type { Log } from "../log.ts";
import { familyOf, formatPrefix } from "../model.ts";
import type { Routing } from "../model.ts";
import { RoutingConflictError } from "./announcer.ts";
import type { NeighborStatus, Route } from "./announcer.ts";
import { FAMILIES, withNextHops } from "./families.ts";
import type { Announcement, Interfaces } from "./families.ts";
import { GobgpClient } from "./gobgp-client.ts";
import type { Global, Path, Peer, Watch } from "./gobgp-client.ts";
import {
  acceptedFamilies,
  addressOf,
  AFI_SAFIS,
  configuredFamilies,
  isEstablished,
  isLocal,
  neighborStatus,
  observedNeighbor,
  observedPath,
  pathOf,
  peerOf,
  settingOf,
  withdrawalOf,
} from "./gobgp-messages.ts";
import { plan } from "./plan.ts";
import type {
  Action,
  NeighborSetting,
  ObservedNeighbor,
  ObservedPath,
} from "./plan.ts";

const BGP_PORT = 179;
/** Without addresses gobgpd would listen on all, so not to listen has to be said by the port. */
const NO_PORT = -1;

/** Corrections before it counts as a refusal in silence. The last look must find nothing left to correct. */
const ROUNDS_MAX = 3;

export class GobgpDaemon {
  readonly name: string;
  readonly #routing: Routing;
  readonly #neighbors: readonly NeighborSetting[];
  readonly #interfaces: () => Interfaces;
  readonly #log: Log;
  readonly #client: GobgpClient;
  #listenersCompared = false;
  /** `address IPv4` or `address IPv6`, of each family that a router does not take. */
  #refused: ReadonlySet<string> = new Set();

  /**
   * @param interfaces those of the daemon's network namespace, as they are now
   * @throws RoutingError for a neighbor that gobgpd cannot have.
   */
  constructor(routing: Routing, interfaces: () => Interfaces, log: Log) {
    this.name = `gobgpd at ${routing.socket}`;
    this.#routing = routing;
    this.#neighbors = routing.neighbors.map((neighbor) =>
      settingOf(neighbor, routing.neighbors),
    );
    this.#interfaces = interfaces;
    this.#log = log;
    this.#client = new GobgpClient(routing.socket);
  }

  /**
   * Starts BGP in a daemon that has not been started. One that has been is adopted: to start it again would replace its
   * table, while its neighbors keep the old one.
   *
   * @throws RoutingConflictError if it has been started with another identity.
   */
  async start(): Promise<void> {
    const { asn, routerId, listen } = this.#routing;
    const running = await this.#client.getBgp();
    if (running === undefined) {
      await this.#startBgp({
        asn,
        routerId,
        listenPort: listen.length === 0 ? NO_PORT : BGP_PORT,
        listenAddresses: listen,
      });
      return;
    }
    if (running.asn !== asn || running.routerId !== routerId)
      throw new RoutingConflictError(
        this.name,
        `AS ${running.asn} with router id ${running.routerId}`,
        `AS ${asn} with router id ${routerId}`,
      );
    this.#compareListeners(running);
  }

  /**
   * Looks and corrects until the daemon has our neighbors, and the routes if there is a list of them. `routes` is asked
   * before each look, so that a list which is replaced in the meantime is not restored.
   *
   * @throws RoutingError also for routes without a next hop, when all others are in place.
   */
  async converge(routes: () => readonly Route[] | undefined): Promise<void> {
    for (let round = 0; round <= ROUNDS_MAX; round++) {
      const { announcements, problem } = this.#announcementsOf(routes());
      const desired = { neighbors: this.#neighbors, routes: announcements };
      const peers = await this.#client.listPeers();
      const actions = plan(desired, {
        neighbors: await this.#observeNeighbors(peers),
        paths: await this.#observePaths(),
      });
      if (actions.length === 0) {
        this.#compareFamilies(peers, announcements ?? []);
        if (problem !== undefined) throw problem;
        return;
      }
      for (const action of actions) await this.#perform(action);
      this.#log.info("routing daemon corrected", {
        event: "routesCorrected",
        actions: actions.map(describe),
      });
    }
    throw new RoutingError(
      `Cannot bring ${this.name} to the desired state: it accepts each change, but does not hold it`,
    );
  }

  /** The neighbors by address, as text: the daemon lists them in another order each time. */
  async status(): Promise<{
    readonly neighbors: readonly NeighborStatus[];
    readonly announced: readonly Route[];
  }> {
    const peers = await this.#client.listPeers();
    const paths = await this.#observePaths();
    return {
      neighbors: peers
        .map((peer) => neighborStatus(peer, Date.now()))
        .toSorted((a, b) => (a.address < b.address ? -1 : 1)),
      announced: paths.map(({ route }) => route),
    };
  }

  /** Calls `onSession` for each session as it is now and when it changes; `onEnd` once, when the daemon goes away. */
  watch(
    onSession: (neighbor: string, established: boolean) => void,
    onEnd: () => void,
  ): Watch {
    return this.#client.watchPeers((peer) => {
      const neighbor = addressOf(peer);
      if (neighbor !== "") onSession(neighbor, isEstablished(peer));
    }, onEnd);
  }

  close(): void {
    this.#client.close();
  }

  async #startBgp(global: Global): Promise<void> {
    try {
      await this.#client.startBgp(global);
    } catch (error) {
      // With several addresses it may listen on some of them by now, and would find those in use the next time.
      if ((await this.#client.getBgp()) === undefined)
        await this.#client.stopBgp();
      throw error;
    }
    this.#log.info("BGP started", { event: "bgpStarted", ...global });
  }

  /** Where a daemon listens cannot be changed without ending its sessions: say so, once, and leave it to the operator. */
  #compareListeners({ listenPort, listenAddresses }: Global): void {
    const { listen } = this.#routing;
    const found = listenPort > 0 ? listenAddresses : [];
    const same =
      (found.length === 0 || listenPort === BGP_PORT) &&
      found.length === listen.length &&
      found.every((address) => listen.includes(address));
    if (same || this.#listenersCompared) return;
    this.#listenersCompared = true;
    this.#log.warn("gobgpd does not listen where it should", {
      event: "listenDiffers",
      listenPort,
      listenAddresses,
      needed: listen,
    });
  }

  /** A router that does not take a family gets none of its routes, and nobody else would notice: say so, once. */
  #compareFamilies(
    peers: readonly Peer[],
    announcements: readonly Announcement[],
  ): void {
    const announced = new Set(
      announcements.map(({ route }) => familyOf(route.prefix.address)),
    );
    const refused = new Set<string>();
    for (const peer of peers.filter(isEstablished)) {
      const neighbor = addressOf(peer);
      const accepted = acceptedFamilies(peer);
      for (const family of configuredFamilies(peer)) {
        if (!announced.has(family) || accepted.includes(family)) continue;
        const what = `${neighbor} IPv${family}`;
        refused.add(what);
        if (!this.#refused.has(what))
          this.#log.warn("router does not take the routes of a family", {
            event: "familyRefused",
            neighbor,
            family: `IPv${family}`,
          });
      }
    }
    this.#refused = refused;
  }

  #announcementsOf(routes: readonly Route[] | undefined) {
    if (routes === undefined)
      return { announcements: undefined, problem: undefined };
    const neighbors = this.#neighbors.map(({ address }) => address);
    return withNextHops(routes, neighbors, this.#interfaces());
  }

  async #observeNeighbors(
    peers: readonly Peer[],
  ): Promise<readonly ObservedNeighbor[]> {
    const neighbors = [];
    for (const peer of peers)
      neighbors.push(observedNeighbor(peer, await this.#listSentPaths(peer)));
    return neighbors;
  }

  async #listSentPaths(peer: Peer): Promise<readonly Path[]> {
    const sent: Path[] = [];
    if (isEstablished(peer))
      for (const family of configuredFamilies(peer))
        sent.push(
          ...(await this.#client.listSentPaths(
            addressOf(peer),
            AFI_SAFIS[family],
          )),
        );
    return sent;
  }

  async #observePaths(): Promise<readonly ObservedPath[]> {
    const paths: Path[] = [];
    for (const family of FAMILIES)
      paths.push(...(await this.#client.listPaths(AFI_SAFIS[family])));
    return paths.filter(isLocal).flatMap((path) => observedPath(path) ?? []);
  }

  async #perform(action: Action): Promise<void> {
    switch (action.op) {
      case "announce":
        return this.#client.addPath(pathOf(action.announcement));
      case "withdraw":
        return this.#client.deletePath(
          withdrawalOf(action.prefix, action.identifier),
        );
      case "addNeighbor":
        return this.#client.addPeer(peerOf(action.setting));
      case "removeNeighbor":
        return this.#client.deletePeer(action.address);
    }
  }
}

function describe(action: Action): string {
  switch (action.op) {
    case "announce":
      return `announce ${formatPrefix(action.announcement.route.prefix)}`;
    case "withdraw":
      return `withdraw ${formatPrefix(action.prefix)}`;
    case "addNeighbor":
      return `add neighbor ${action.setting.address}`;
    case "removeNeighbor":
      return `remove neighbor ${action.address}`;
  }
}
