// SPDX-License-Identifier: Apache-2.0
// Thousands of connections, or flows of datagrams, from both clients, as the drill sees them.

import {
  addressesOf,
  CHECKOUT,
  CLIENTS,
  RACK,
  type Client,
  type Rack,
} from "../lab/rack.ts";
import type { Transport } from "./drill.ts";
import { LineProgram } from "./line-program.ts";
import {
  parseStreamEvent,
  type Stream,
  type StreamEvent,
  type StreamStatus,
} from "./stream-events.ts";

const ANSWER_LIMIT_MS = 10_000;
/** A connection that does not end is broken after 5 s: see SILENCE_NS in streams/connection.c. */
const FINISH_LIMIT_MS = 20_000;

/** `intervalMs`; with many connections less often, so that the machine keeps up. */
const INTERVAL_MIN_MS = 100;
const FRAMES_PER_SECOND = 5_000;

/** The clients' kernels choose none of these: see rack.clab.yml. */
const OWN_PORTS = { min: 1_024, max: 16_383 };
/** The connections are opened in several parts, and each is rounded up. */
const OWN_PORTS_SPARE = 8;

export const STREAMS_PORTS = {
  tcp: RACK.ports.streams,
  udp: RACK.ports.datagrams,
} as const;

export type ClientStream = Stream & { readonly client: Client };

type End = {
  readonly client: Client;
  readonly program: LineProgram<StreamEvent>;
};

/**
 * A flow of datagrams has no end that a director could see, so those of the last runs still have their sessions, and a flow
 * with the ports of one would be where that one was: each run has ports of its own. 0: the kernel chooses.
 */
function firstPortOf(
  { protocol }: Transport,
  connections: number,
  runsBefore: number,
): number {
  if (protocol === "tcp") return 0;
  const each = share(connections) + OWN_PORTS_SPARE;
  const blocks = Math.floor((OWN_PORTS.max - OWN_PORTS.min + 1) / each);
  return blocks === 0 ? 0 : OWN_PORTS.min + (runsBefore % blocks) * each;
}

export class Streams {
  /** Both ends of a lasting connection send this often. */
  readonly intervalMs: number;
  readonly #ends: readonly End[];

  /**
   * @param connections how many there will be about: they set the pace of the bytes
   * @param runsBefore on this rack
   */
  static async start(
    rack: Rack,
    transport: Transport,
    connections: number,
    runsBefore: number,
  ): Promise<Streams> {
    const intervalMs = Math.max(
      INTERVAL_MIN_MS,
      Math.round((connections / FRAMES_PER_SECOND) * 1_000),
    );
    const firstPort = firstPortOf(transport, connections, runsBefore);
    const streams = new Streams(rack, transport, intervalMs, firstPort);
    await streams.#ask(undefined, ({ event }) => event === "ready");
    return streams;
  }

  private constructor(
    rack: Rack,
    { family, protocol }: Transport,
    intervalMs: number,
    firstPort: number,
  ) {
    this.intervalMs = intervalMs;
    const argv = [
      ...[`${CHECKOUT}/build/streams`, "connect", protocol],
      ...[addressesOf(family).vip, String(STREAMS_PORTS[protocol])],
      ...[intervalMs, firstPort].map(String),
    ];
    this.#ends = CLIENTS.map((client) => ({
      client,
      program: new LineProgram(
        rack,
        client,
        argv,
        `the streams program on ${client}`,
        parseStreamEvent,
      ),
    }));
  }

  /** Begins to open so many lasting connections, at so many a second; half of them from each client. */
  open(count: number, perSecond: number): void {
    const rate = share(perSecond);
    this.#tell(`open ${Math.ceil(count / CLIENTS.length)} ${rate}`);
  }

  /** From now on so many short connections a second; 0 ends it. */
  storm(perSecond: number): void {
    this.#tell(`storm ${perSecond === 0 ? 0 : share(perSecond)}`);
  }

  /** `recovered` and `gapMarkedMs` refer to now from now on. */
  async mark(): Promise<void> {
    await this.#ask("mark", ({ event }) => event === "marked");
  }

  async status(): Promise<StreamStatus> {
    const statuses: StreamStatus[] = [];
    await this.#ask("status", (event) => {
      if (event.event === "status") statuses.push(event);
      return event.event === "status";
    });
    const sum = (read: (status: StreamStatus) => number) =>
      statuses.reduce((total, status) => total + read(status), 0);
    return {
      pending: sum(({ pending }) => pending),
      connecting: sum(({ connecting }) => connecting),
      open: sum(({ open }) => open),
      recovered: sum(({ recovered }) => recovered),
      complete: sum(({ complete }) => complete),
      broken: sum(({ broken }) => broken),
    };
  }

  /** The lasting ones that are open. */
  async list(): Promise<readonly ClientStream[]> {
    const all = await this.#collect("list", "listed");
    return all.filter(({ brief }) => !brief);
  }

  /** Ends all; tells what became of each connection there was, and how late the programs were themselves. */
  async finish(): Promise<{
    readonly streams: readonly ClientStream[];
    readonly ownDelayMs: number;
  }> {
    let ownDelayMs = 0;
    const streams = await this.#collect("finish", "finished", (event) => {
      if (event.event === "finished")
        ownDelayMs = Math.max(ownDelayMs, event.ownDelayMs);
    });
    return { streams, ownDelayMs };
  }

  close(): void {
    for (const { program } of this.#ends) program.kill();
  }

  async #collect(
    line: string,
    last: StreamEvent["event"],
    hear: (event: StreamEvent) => void = () => {},
  ): Promise<readonly ClientStream[]> {
    const found: ClientStream[] = [];
    await this.#ask(line, (event, client) => {
      if (event.event === "connection") found.push({ ...event, client });
      hear(event);
      return event.event === last;
    });
    return found;
  }

  /** Tells each client's program the line, and waits until each has told something that is the end of its answer. */
  async #ask(
    line: string | undefined,
    isLast: (event: StreamEvent, client: Client) => boolean,
  ): Promise<void> {
    await Promise.all(
      this.#ends.map(async ({ client, program }) => {
        const answer = program.answer(
          (event) => isLast(event, client) || undefined,
          line === "finish" ? FINISH_LIMIT_MS : ANSWER_LIMIT_MS,
        );
        if (line !== undefined) program.tell(line);
        await answer;
      }),
    );
  }

  #tell(line: string): void {
    for (const { program } of this.#ends) program.tell(line);
  }
}

function share(perSecond: number): number {
  return Math.max(1, Math.round(perSecond / CLIENTS.length));
}
