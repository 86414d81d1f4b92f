// SPDX-License-Identifier: Apache-2.0
/**
 * gobgpd's API as typed calls over its unix socket. The types below are the image of proto/gobgp/gobgp.proto, which
 * says what the fields mean. Each call has a deadline.
 */
import * as grpc from "@grpc/grpc-js";
import { codecOf } from "./gobgp-proto.ts";
import type { Any } from "./gobgp-proto.ts";

/** gobgpd answers these calls from memory, in about a millisecond: after this time it hangs. */
const CALL_TIMEOUT_MS = 2000;

/** How often a lost connection is tried again. On a unix socket an attempt costs next to nothing. */
const RECONNECT_MS = 100;

export type AfiSafi = { readonly afi: string; readonly safi: string };

export type Global = {
  readonly asn: number;
  readonly routerId: string;
  readonly listenPort: number;
  readonly listenAddresses: readonly string[];
};

export type Path = {
  readonly nlri: Any | null;
  readonly pattrs: readonly Any[];
  readonly family: AfiSafi | null;
  readonly isFromExternal: boolean;
  readonly neighborIp: string;
  readonly identifier: number;
};

export type Peer = {
  readonly conf: {
    readonly neighborAddress: string;
    readonly peerAsn: number;
    readonly adminDown: boolean;
  } | null;
  readonly state: {
    readonly neighborAddress: string;
    readonly sessionState: string;
    readonly messages: {
      readonly received: { readonly update: number } | null;
      readonly sent: { readonly update: number } | null;
    } | null;
    /** What the neighbor says it can do. */
    readonly remoteCap: readonly Any[];
  } | null;
  readonly timers: {
    readonly config: {
      readonly connectRetry: number;
      readonly holdTime: number;
      readonly keepaliveInterval: number;
    } | null;
    readonly state: {
      readonly uptime: { readonly seconds: number } | null;
    } | null;
  } | null;
  readonly transport: { readonly passiveMode: boolean } | null;
  readonly gracefulRestart: { readonly enabled: boolean } | null;
  readonly afiSafis: readonly {
    readonly config: {
      readonly family: AfiSafi | null;
      readonly enabled: boolean;
    } | null;
  }[];
};

/** What a request may leave out: protobuf's default stands in for it. */
export type Draft<T> = {
  readonly [K in keyof T]?: T[K] extends object | null
    ? Draft<NonNullable<T[K]>>
    : T[K];
};

export type Watch = { cancel(): void };

export class GobgpClient {
  readonly #client: grpc.Client;

  constructor(socket: string) {
    this.#client = new grpc.Client(
      `unix:${socket}`,
      grpc.credentials.createInsecure(),
      {
        // Else the socket's path becomes the authority, which gobgpd's HTTP/2 server refuses.
        "grpc.default_authority": "localhost",
        "grpc.initial_reconnect_backoff_ms": RECONNECT_MS,
        "grpc.max_reconnect_backoff_ms": RECONNECT_MS,
      },
    );
  }

  /** The daemon's identity; undefined if it has not been told to start. */
  async getBgp(): Promise<Global | undefined> {
    type Reply = { readonly global: Global | null };
    const { global } = await this.#call<Reply>("GetBgp");
    return global === null || global.asn === 0 ? undefined : global;
  }

  async startBgp(global: Global): Promise<void> {
    await this.#call("StartBgp", { global });
  }

  async stopBgp(): Promise<void> {
    await this.#call("StopBgp");
  }

  async listPeers(): Promise<readonly Peer[]> {
    const replies = await this.#list<{ peer: Peer | null }>("ListPeer");
    return replies.flatMap(({ peer }) => peer ?? []);
  }

  async addPeer(peer: Draft<Peer>): Promise<void> {
    await this.#call("AddPeer", { peer });
  }

  async deletePeer(address: string): Promise<void> {
    await this.#call("DeletePeer", { address });
  }

  /** All paths of the daemon's table, also those learned from neighbors. */
  async listPaths(family: AfiSafi): Promise<readonly Path[]> {
    return this.#listPaths({ tableType: "GLOBAL", family });
  }

  /** All paths that a neighbor is being sent. */
  async listSentPaths(
    neighbor: string,
    family: AfiSafi,
  ): Promise<readonly Path[]> {
    return this.#listPaths({ tableType: "ADJ_OUT", name: neighbor, family });
  }

  async addPath(path: Partial<Path>): Promise<void> {
    await this.#call("AddPath", { path });
  }

  async deletePath(path: Partial<Path>): Promise<void> {
    await this.#call("DeletePath", { family: path.family, path });
  }

  /**
   * Calls `onPeer` with each change of a session until `cancel()`, or until the daemon or the connection is gone: then
   * `onEnd` is called once, with a reason. Without a deadline, because a silent daemon may just have nothing to say.
   */
  watchPeers(
    onPeer: (peer: Peer) => void,
    onEnd: (reason: Error) => void,
  ): Watch {
    type Event = { readonly peer: { readonly peer: Peer | null } | null };
    const stream = this.#open<Event>("WatchEvent", { peer: {} }, {});
    let ended = false;
    const end = (reason: Error) => {
      if (!ended) onEnd(reason);
      ended = true;
    };
    stream.on("data", (event: Event) => {
      if (event.peer?.peer) onPeer(event.peer.peer);
    });
    stream.on("error", end);
    stream.on("end", () => end(new Error("the daemon ended the stream")));
    return {
      cancel: () => {
        ended = true;
        stream.cancel();
      },
    };
  }

  close(): void {
    this.#client.close();
  }

  async #listPaths(request: object): Promise<readonly Path[]> {
    type Reply = { destination: { paths: readonly Path[] } | null };
    const replies = await this.#list<Reply>("ListPath", request);
    return replies.flatMap(({ destination }) => destination?.paths ?? []);
  }

  #call<Reply>(name: string, request: object = {}): Promise<Reply> {
    const { path, encode, decode } = codecOf<Reply>(name);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        encode,
        decode,
        request,
        deadline(),
        (error, reply) => {
          if (error) reject(error);
          else if (reply === undefined)
            reject(new Error(`${name} has no reply`));
          else resolve(reply);
        },
      );
    });
  }

  async #list<Reply>(name: string, request: object = {}): Promise<Reply[]> {
    return this.#open<Reply>(name, request, deadline()).toArray();
  }

  #open<Reply>(
    name: string,
    request: object,
    options: grpc.CallOptions,
  ): grpc.ClientReadableStream<Reply> {
    const { path, encode, decode } = codecOf<Reply>(name);
    return this.#client.makeServerStreamRequest(
      path,
      encode,
      decode,
      request,
      options,
    );
  }
}

/** Why a call failed, as the end of a sentence about the daemon. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!isServiceError(error)) return error.message;
  const { code, details } = error;
  const errno = /connect (E[A-Z]+)/.exec(details)?.[1] ?? "";
  switch (code) {
    case grpc.status.UNAVAILABLE:
      return CONNECT_REASONS[errno] ?? `no connection: ${details}`;
    case grpc.status.DEADLINE_EXCEEDED:
      return `it has not answered within ${CALL_TIMEOUT_MS} ms`;
    case grpc.status.UNIMPLEMENTED:
      return `it does not speak the API of gobgp 3: ${details}`;
    default:
      return details;
  }
}

function isServiceError(error: Error): error is grpc.ServiceError {
  return "code" in error && "details" in error;
}

const CONNECT_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its socket does not exist",
  ECONNREFUSED: "nobody listens on its socket",
  EACCES: "no permission to open its socket",
};

function deadline(): grpc.CallOptions {
  return { deadline: Date.now() + CALL_TIMEOUT_MS };
}
