// SPDX-License-Identifier: Apache-2.0
/**
 * The bus as NATS carries it: at most once, without a word about what is lost. What the client library would do by itself when
 * a connection is lost is switched off: it would take messages for a server that is gone, keep them without limit and then
 * throw them away in silence. Here a lost connection is the end of its client, and the next one is a new client.
 */
import { connect, errors } from "@nats-io/transport-node";
import type {
  ConnectionOptions,
  Msg,
  NatsConnection,
  Subscription,
} from "@nats-io/transport-node";
import { setTimeout as delay } from "node:timers/promises";
import { SyncError } from "../errors.ts";
import type { SyncErrorReason } from "../errors.ts";
import type { Log } from "../log.ts";
import type { TlsFiles } from "../model.ts";
import { tlsOptions } from "./nats-tls.ts";
import { addressOf, answers } from "./probe.ts";
import { noCounters } from "./transport.ts";
import type {
  Message,
  Transport,
  TransportCounters,
  TransportState,
} from "./transport.ts";

/** A frozen server is noticed after two of these that were not answered, so 3 s; the library's default is 6 minutes. */
const PING_INTERVAL_MS = 1000;
const PINGS_UNANSWERED_MAX = 2;
/** To connect to one server, and for its greeting. */
const CONNECT_MS_MAX = 1000;
/** After all servers have been tried in vain. */
const RETRY_MS = 100;
/** At most so often a server is asked whether it has all that was published. */
const CONFIRM_MS = 10;
/** Publishing is refused while more than this waits to leave: a frozen server, or a link that is too slow. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** How often to look whether the first server is back, while another one serves. */
const HOME_MS = 5000;
/** What nats-server takes unless told otherwise; known better as soon as it has greeted. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;

export type NatsOptions = {
  /** How the server's monitoring names this client. */
  readonly name: string;
  /** URLs, this node's own server first: the others serve while it does not. */
  readonly servers: readonly string[];
  readonly tls?: TlsFiles | undefined;
  readonly log: Log;
  readonly pendingBytesMax?: number;
  readonly homeMs?: number;
};

const NO_CONNECTION = "cannot connect to the bus";
const REFUSED = "the bus refuses something";

type Subscriber = {
  readonly subject: string;
  readonly onMessage: (message: Message) => void;
  /** At the client of now. */
  subscription?: Subscription | undefined;
};

type Dialled = { readonly client: NatsConnection; readonly server: string };

/** Starts to connect at once, and never gives up until it is closed. */
export class NatsTransport implements Transport {
  readonly #options: NatsOptions;
  readonly #log: Log;
  readonly #counters = noCounters();
  readonly #subscribers = new Set<Subscriber>();
  readonly #listeners = new Set<(state: TransportState) => void>();
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  /** The client while its connection stands. */
  #client: NatsConnection | undefined;
  #server: string | undefined;
  #maxPayload = DEFAULT_MAX_PAYLOAD;
  /** Of this client, in bytes: handed to it, and known to have reached the server. */
  #handed = 0;
  #confirmed = 0;
  #confirming = false;
  /** Under way. */
  #requests = 0;
  readonly #complaints = new Set<string>();

  constructor(options: NatsOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#ended = this.#run();
  }

  get state(): TransportState {
    return this.#client === undefined ? "down" : "up";
  }

  /** The URL of the server that is used now. */
  get server(): string | undefined {
    return this.#server;
  }

  get maxPayload(): number {
    this.#maxPayload = this.#client?.info?.max_payload ?? this.#maxPayload;
    return this.#maxPayload;
  }

  get pending(): number {
    return this.#handed - this.#confirmed;
  }

  get counters(): TransportCounters {
    return this.#counters;
  }

  publish(subject: string, data: Uint8Array): boolean {
    const client = this.#admit(data);
    if (client === undefined) return false;
    client.publish(subject, data);
    this.#track(client, data.length);
    return true;
  }

  subscribe(
    subject: string,
    onMessage: (message: Message) => void,
  ): () => void {
    const subscriber: Subscriber = { subject, onMessage };
    this.#subscribers.add(subscriber);
    if (this.#client) this.#attach(this.#client, subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
      subscriber.subscription?.unsubscribe();
    };
  }

  async request(
    subject: string,
    data: Uint8Array,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<Uint8Array> {
    const client = this.#admit(data);
    if (client === undefined)
      throw new SyncError(subject, this.state === "up" ? "refused" : "down");
    this.#requests++;
    try {
      const reply = client.request(subject, data, { timeout: timeoutMs });
      this.#track(client, data.length);
      return this.#count((await reply).data);
    } catch (cause) {
      throw new SyncError(subject, reasonOf(cause), { cause });
    } finally {
      this.#requests--;
    }
  }

  onState(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What has been published before still leaves, if the server takes it. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ended;
  }

  /** One client after the other, until closed. */
  async #run(): Promise<void> {
    let lost: string | undefined;
    while (!this.#closing.signal.aborted) {
      const dialled = await this.#dial(lost);
      if (dialled === undefined) await this.#pause(RETRY_MS);
      else await this.#use(dialled.client, dialled.server);
      lost = dialled?.server;
    }
  }

  /** The first of the servers that can be used, in their order; the one of which `lost` was a client comes last. */
  async #dial(lost: string | undefined): Promise<Dialled | undefined> {
    const others = this.#options.servers.filter((server) => server !== lost);
    for (const server of lost === undefined ? others : [...others, lost]) {
      if (this.#closing.signal.aborted) return undefined;
      // The library leaves a socket behind for each server that accepts and then says nothing.
      if (!(await answers(addressOf(server), CONNECT_MS_MAX))) {
        this.#complain(NO_CONNECTION, server, "no nats-server answers there");
        continue;
      }
      try {
        return { client: await connect(this.#optionsFor(server)), server };
      } catch (error) {
        this.#complain(NO_CONNECTION, server, String(error));
      }
    }
    return undefined;
  }

  #optionsFor(server: string): ConnectionOptions {
    const { name, tls } = this.#options;
    const options = {
      servers: [server],
      name,
      noEcho: true,
      reconnect: false,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      timeout: CONNECT_MS_MAX,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_UNANSWERED_MAX,
    };
    return tls === undefined
      ? options
      : { ...options, tls: tlsOptions(tls, addressOf(server).host) };
  }

  /** In the log once for each reason and connection. */
  #complain(msg: string, server: string | undefined, error: string): void {
    const complaint = `${msg} ${server} ${error}`;
    if (this.#complaints.has(complaint)) return;
    this.#complaints.add(complaint);
    this.#log.warn(msg, { op: "useBus", server, error });
  }

  /** Resolves when the client has come to its end. */
  async #use(client: NatsConnection, server: string): Promise<void> {
    const watching = this.#watch(client);
    this.#up(client, server);
    await Promise.race([client.closed(), this.#leaving(client, server)]);
    this.#down(client);
    // Something was published in this very moment, perhaps. The server may be frozen, so this has an end.
    if (!client.isClosed())
      await Promise.race([
        client.flush().catch(() => {}),
        client.closed(),
        delay(CONNECT_MS_MAX, undefined, { ref: false }),
      ]);
    await client.close();
    await watching;
  }

  /**
   * Resolves when the client is to be left, though its connection stands: at the end, or when the first server answers
   * again, another one is used, and no request is under way.
   */
  async #leaving(client: NatsConnection, server: string): Promise<void> {
    const [home] = this.#options.servers;
    while (this.#client === client && !this.#closing.signal.aborted) {
      await this.#pause(this.#options.homeMs ?? HOME_MS);
      if (home === undefined || home === server || this.#requests > 0) continue;
      if (await answers(addressOf(home), CONNECT_MS_MAX)) return;
    }
  }

  #up(client: NatsConnection, server: string): void {
    this.#client = client;
    this.#server = server;
    for (const subscriber of this.#subscribers)
      this.#attach(client, subscriber);
    this.#complaints.clear();
    this.#log.info("connected to the bus", { event: "busUp", server });
    this.#tell("up");
  }

  #down(client: NatsConnection): void {
    if (this.#client !== client) return;
    const [server, unconfirmedBytes] = [this.#server, this.pending];
    this.#client = this.#server = undefined;
    this.#handed = this.#confirmed = 0;
    this.#confirming = false;
    for (const subscriber of this.#subscribers)
      subscriber.subscription = undefined;
    if (this.#closing.signal.aborted) return;
    this.#counters.losses++;
    this.#counters.unconfirmedBytes += unconfirmedBytes;
    this.#log.warn("no connection to the bus", {
      event: "busDown",
      server,
      unconfirmedBytes,
    });
    this.#tell("down");
  }

  /** What the library says about the connection, until it has ended. */
  async #watch(client: NatsConnection): Promise<void> {
    for await (const status of client.status())
      switch (status.type) {
        case "disconnect":
          this.#down(client);
          break;
        case "staleConnection":
          this.#down(client);
          // The library would wait until the frozen server has taken what waits in the socket.
          await client.close();
          break;
        case "error":
          if (status.error instanceof errors.PermissionViolationError)
            this.#counters.forbidden++;
          this.#complain(REFUSED, this.#server, String(status.error));
      }
  }

  #attach(client: NatsConnection, subscriber: Subscriber): void {
    subscriber.subscription = client.subscribe(subscriber.subject, {
      callback: (error, message) => {
        // An error: the bus forbids the subscription, and #watch() tells.
        if (error || !this.#subscribers.has(subscriber)) return;
        this.#count(message.data);
        try {
          subscriber.onMessage(this.#received(message));
        } catch (thrown) {
          // The library would swallow it, and read no further.
          queueMicrotask(() => {
            throw thrown;
          });
        }
      },
    });
  }

  #received({ subject, data, reply }: Msg): Message {
    if (reply === undefined || reply === "") return { subject, data };
    const respond = (answer: Uint8Array) => void this.publish(reply, answer);
    return { subject, data, respond };
  }

  #count(data: Uint8Array): Uint8Array {
    this.#counters.received++;
    this.#counters.receivedBytes += data.length;
    return data;
  }

  /** The client that may take it; undefined, counted, if none may. */
  #admit({ length }: Uint8Array): NatsConnection | undefined {
    const client = this.#client;
    if (client === undefined || client.isClosed()) this.#counters.refusedDown++;
    else if (length > this.maxPayload) this.#counters.refusedSize++;
    else if (
      this.pending + length >
      (this.#options.pendingBytesMax ?? PENDING_BYTES_MAX)
    )
      this.#counters.refusedFull++;
    else return client;
    return undefined;
  }

  #track(client: NatsConnection, length: number): void {
    this.#counters.sent++;
    this.#counters.sentBytes += length;
    this.#handed += length;
    if (this.#confirming) return;
    this.#confirming = true;
    void this.#confirm(client);
  }

  /** Asks the server for a sign that it has all, again and again until it has. */
  async #confirm(client: NatsConnection): Promise<void> {
    while (this.#client === client && this.pending > 0) {
      await this.#pause(CONFIRM_MS);
      const handed = this.#handed;
      if (client.isClosed()) return;
      try {
        await client.flush();
      } catch {
        return; // The connection is lost, and #down() knows.
      }
      if (this.#client !== client) return;
      this.#confirmed = handed;
    }
    if (this.#client === client) this.#confirming = false;
  }

  #tell(state: TransportState): void {
    for (const listener of [...this.#listeners]) listener(state);
  }

  /** For that time, or until closed. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    return delay(ms, undefined, { signal }).catch(() => {});
  }
}

function reasonOf(error: unknown): SyncErrorReason {
  const causes = [error, error instanceof Error ? error.cause : undefined];
  const isA = (kind: new (...args: never[]) => Error) =>
    causes.some((cause) => cause instanceof kind);
  if (isA(errors.TimeoutError)) return "timeout";
  if (isA(errors.NoRespondersError)) return "noResponder";
  return isA(errors.PermissionViolationError) ? "refused" : "down";
}
