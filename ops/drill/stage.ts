// SPDX-License-Identifier: Apache-2.0
// Where a scenario under load takes place: it opens connections, breaks things, waits, and all of it is noted.

import { setTimeout as delay } from "node:timers/promises";
import { formatEndpoint } from "../../src/model.ts";
import { LabError } from "../lab/errors.ts";
import {
  CLIENTS,
  directorOf,
  DIRECTORS,
  missingRoutes,
  until,
  type Director,
} from "../lab/rack.ts";
import { Dialogue } from "./dialogue.ts";
import { Downloads } from "./downloads.ts";
import type { Scene } from "./drill.ts";
import type { Outcome } from "./events.ts";
import { Faults, rehash, type Fault } from "./faults.ts";
import { halvesOf, type Halves } from "./halves.ts";
import {
  countCarried,
  countDatagrams,
  hitBy,
  keyOf,
  percentiles,
  sharesOf,
  tookOver,
  type Carried,
  type LoadRun,
  type View,
} from "./load-run.ts";
import { Streams, type ClientStream } from "./streams.ts";
import { lagNow, type Tables } from "./tables.ts";

const OPEN_PER_SECOND = 2_000;
const OPEN_LIMIT_MS = 30_000;
/** A fault comes at a random moment of this time: the sweep, the hellos and the health checks have periods. */
const JITTER_MS = 500;
/** A connection is broken after 5 s; then all is known. */
const SETTLE_LIMIT_MS = 6_000;
/** The traffic goes on for at least that long after a fault. */
const SETTLE_MIN_MS = 1_500;
const POLL_MS = 100;
/** So many of the connections are there before the router hashes anew; the rest come over that time. */
const EARLY = 0.9;
const TRICKLE_MS = 2_500;
/** A director without carrier is gone at once; otherwise BGP's hold time is 9 s. */
const GONE_LIMIT_MS = 12_000;
const SYNC_LIMIT_MS = 10_000;
/** Of each stock program, from each client; all of them speak TCP. */
const STOCK = 2;

type Measured = Omit<LoadRun, "director" | "restored" | "msToRestore">;

export class Stage {
  readonly faults = new Faults();
  readonly scene: Scene;
  readonly streams: Streams;
  readonly evidence: Record<string, number> = {};
  readonly #stock: readonly (Dialogue | Downloads)[];
  readonly #injected = new Set<Fault>();
  /** When the last of them was injected for the first time. */
  #faultMs: number | undefined;
  /** When faults have begun and ended. */
  readonly #changesMs: number[] = [];
  /** When a director was cut off, and the same connections some time later. */
  #before: View | undefined;
  #after: readonly Halves[] = [];
  #lagMs: Tables["lagMs"] = null;

  /** Starts the programs of the clients; the stock ones begin at once. @throws LabError */
  static async set(scene: Scene): Promise<Stage> {
    const { rack, connections, runsBefore } = scene;
    const streams = await Streams.start(rack, scene, connections, runsBefore);
    return new Stage(scene, streams);
  }

  private constructor(scene: Scene, streams: Streams) {
    this.scene = scene;
    this.streams = streams;
    const { rack, family, protocol } = scene;
    const each = CLIENTS.flatMap((client) =>
      Array.from({ length: protocol === "tcp" ? STOCK : 0 }, () => client),
    );
    this.#stock = each.flatMap((client) => [
      new Downloads(rack, client, family),
      new Dialogue(rack, client, family, "redis"),
      new Dialogue(rack, client, family, "shell"),
    ]);
  }

  /** The other directors. */
  get others(): readonly Director[] {
    return DIRECTORS.filter((one) => one !== this.scene.director);
  }

  /** Opens that share of the connections that were asked for, and waits until all of them are. @throws LabError */
  async open(share: number): Promise<void> {
    this.trickle(share, 0);
    const deadline = Date.now() + OPEN_LIMIT_MS;
    for (;;) {
      const { pending, connecting, open } = await this.streams.status();
      if (pending + connecting === 0 || Date.now() > deadline) break;
      this.#live(`${open} connections are open`);
      await delay(POLL_MS);
    }
  }

  /** Opens that share of the connections evenly over some time, without waiting. */
  trickle(share: number, overMs: number): void {
    const count = Math.round(share * this.scene.connections);
    const rate =
      overMs === 0 ? OPEN_PER_SECOND : Math.ceil((count / overMs) * 1_000);
    this.streams.open(count, rate);
  }

  /** Traffic as it is, for some time. */
  async steady(ms: number, what = "traffic"): Promise<void> {
    const end = Date.now() + ms;
    for (let left = ms; left > 0; left = end - Date.now()) {
      const { open, broken } = await this.streams.status();
      this.#live(
        `${what}: ${open} connections are open, ${broken} broken, ${Math.ceil(left / 1000)} s to go`,
      );
      await delay(Math.min(left, 1_000));
    }
  }

  /** Something happens to the rack. The stalls are measured from here on. */
  async inject(fault: Fault): Promise<void> {
    await delay(this.scene.random() * JITTER_MS);
    await this.streams.mark();
    this.say(fault.what);
    const atMs = await this.faults.inject(fault);
    if (!this.#injected.has(fault)) this.#faultMs = atMs;
    this.#injected.add(fault);
    this.#changesMs.push(atMs);
  }

  async undo(fault: Fault): Promise<void> {
    this.say(`undone: ${fault.what}`);
    const atMs = await this.faults.undo(fault);
    if (atMs !== undefined) this.#changesMs.push(atMs);
  }

  /**
   * Opens the connections in such a way that each director is the origin of a third of them, and carries the forward half
   * of another third: most of them before the router hashes anew, the rest from then on, until after the next fault.
   */
  async spread(): Promise<void> {
    await this.open(EARLY);
    await this.part();
    this.trickle(1 - EARLY, TRICKLE_MS);
  }

  /**
   * The router hashes anew, so that the forward half of a connection need not be with its origin any more. It does not where
   * the directors share no sessions: that alone would break what the next fault is to break.
   */
  async part(): Promise<void> {
    const { streams, halves } = await this.view();
    // Until now each packet has taken the way of the first one: what was seen must agree with the local addresses.
    const wrong = streams.filter(
      ({ lip }, index) => directorOf(lip) !== halves[index]?.forward,
    );
    if (wrong.length > 0)
      throw new LabError(
        `Cannot tell which director carries what: ${wrong.length} of ${streams.length} connections were not seen where their local addresses are from`,
      );
    if (this.scene.shared) await this.inject(rehash(this.scene.rack));
  }

  /** How many of the others a director does not hear on the bus. */
  async unheardBy(director: Director): Promise<number> {
    const { nodes } = await this.scene.rack.sync(director);
    return nodes.filter(({ state }) => state === "unheard").length;
  }

  /** The lasting connections that are open, and who carries them now. */
  async view(): Promise<View> {
    const streams = await this.streams.list();
    return { streams, halves: await this.#halvesOf(streams) };
  }

  /** Waits until the router has only the other directors. @throws LabError */
  async gone(): Promise<void> {
    await until(
      `see the routes of ${this.scene.director} go`,
      async () => missingRoutes(await this.scene.rack.routes(), this.others),
      GONE_LIMIT_MS,
    );
  }

  /** Waits until all directors announce and have all real servers. @throws LabError */
  async whole(): Promise<void> {
    await this.scene.rack.ready((missing) => this.#live(missing));
  }

  /** Waits until each director hears all others, and all say that they hold everything; without shared sessions it goes on. */
  async synced(): Promise<void> {
    const { rack } = this.scene;
    const probe = async () => {
      const reports = await Promise.all(DIRECTORS.map((one) => rack.sync(one)));
      const states = reports.flatMap(({ state, nodes }) => [
        state,
        ...nodes.map((node) => node.state),
      ]);
      const missing = states.filter((state) => state !== "synced");
      return missing.length === 0
        ? undefined
        : `some are ${missing.join(", ")}`;
    };
    try {
      const tookMs = await until("see all in sync", probe, SYNC_LIMIT_MS);
      this.say(`all are in sync after ${Math.round(tookMs)} ms`);
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      this.say(error.message);
    }
  }

  /** As `inject`, for a fault that takes a director away; what that one was to the connections is noted before. */
  async cut(fault: Fault): Promise<void> {
    this.#lagMs = await lagNow(this.scene.rack);
    this.#before = await this.view();
    await this.inject(fault);
  }

  /** Waits until each connection has gone on after the fault, or is broken. */
  async settle(): Promise<void> {
    const begin = Date.now();
    for (;;) {
      const { pending, connecting, open, recovered, broken } =
        await this.streams.status();
      const elapsed = Date.now() - begin;
      this.#live(
        `${recovered} of ${open} connections have gone on, ${broken} are broken`,
      );
      const settled = pending + connecting === 0 && recovered === open;
      if (elapsed >= SETTLE_MIN_MS && settled) break;
      if (elapsed >= SETTLE_LIMIT_MS) break;
      await delay(POLL_MS);
    }
    if (this.#before !== undefined && this.#after.length === 0)
      this.#after = await this.#halvesOf(this.#before.streams);
  }

  /** Ends the traffic, and tells what came of it. */
  async finish(): Promise<Measured> {
    this.#lagMs ??= await lagNow(this.scene.rack);
    const [{ streams, ownDelayMs }, ...stock] = await Promise.all([
      this.streams.finish(),
      ...this.#stock.map((one) => one.finish()),
    ]);
    const { director, protocol } = this.scene;
    const before = this.#before;
    const since = this.#faultMs ?? 0;
    const lasting = streams.filter((one) => !one.brief && one.endMs >= since);
    const hit = new Set(before && hitBy(director, before).map(keyOf));
    const stalls = (some: readonly ClientStream[]) =>
      percentiles(some.map(({ gapMarkedMs }) => gapMarkedMs));
    return {
      ...countCarried(
        [...streams.map(carriedOf), ...stock.flat()],
        this.#faultMs,
        // The next director drops what belongs to no TCP session that it knows; of a datagram it makes a session.
        protocol === "udp" ? this.#changesMs : undefined,
      ),
      stallMs: stalls(lasting),
      hit: hit.size,
      hitStallMs: stalls(lasting.filter((one) => hit.has(keyOf(one)))),
      lagMs: this.#lagMs,
      ownDelayMs: Math.round(ownDelayMs),
      shares: before === undefined ? null : sharesOf(director, before),
      tookOver: tookOver(director, before?.halves ?? [], this.#after),
      datagrams: countDatagrams(streams),
      evidence: this.evidence,
    };
  }

  close(): void {
    this.streams.close();
    for (const one of this.#stock) one.close();
  }

  say(text: string): void {
    this.scene.progress.step(`${this.scene.director}: ${text}`);
  }

  async #halvesOf(
    streams: readonly ClientStream[],
  ): Promise<readonly Halves[]> {
    const { scene } = this;
    const { intervalMs } = this.streams;
    return halvesOf(scene.rack, scene, streams, intervalMs);
  }

  #live(text: string): void {
    this.scene.progress.live(`${this.scene.director}: ${text}`);
  }
}

function carriedOf(stream: ClientStream): Carried {
  const { brief, outcome, beginMs, endMs, bytesVerified } = stream;
  const local = formatEndpoint({ address: stream.lip, port: stream.lport });
  return {
    kind: brief ? "storm" : "streams",
    who: `${stream.client}:${stream.port} ${local} ${stream.server}`,
    outcome: outcomeOf(outcome),
    beginMs,
    endMs,
    bytesVerified,
  };
}

/** At the end of a run nothing goes on any more. */
function outcomeOf(outcome: ClientStream["outcome"]): Outcome {
  return outcome === "open" || outcome === "connecting" ? "timedOut" : outcome;
}
