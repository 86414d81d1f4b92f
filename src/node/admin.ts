// SPDX-License-Identifier: Apache-2.0
/**
 * The admin API's server: answers the CLI on a unix socket that only its owner may open. What it tells, it asks an
 * `AdminSource`; it keeps nothing itself.
 */
import { once } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import {
  type AdminCalls,
  adminService,
  type CounterMessage,
  type ListSessionsRequest,
  type ListSessionsResponse,
  type NodeMessage,
  type RoutesMessage,
  type ServerMessage,
  type ServiceMessage,
  type SessionMessage,
  type SyncMessage,
  type U64,
} from "../admin/api.ts";
import { AgentRunningError, UsageError, WeirError } from "../errors.ts";
import type { Log } from "../log.ts";
import { formatEndpoint, type Session } from "../model.ts";
import { parseSessionFilter } from "./session-filter.ts";

/** Sessions in one message: some 50 KB. */
const SESSIONS_PER_MESSAGE = 256;

/** How long `close` waits for calls in progress before it cuts them. */
const CLOSE_PATIENCE_MS = 500;

/** What the agent knows. Each method answers with the state of now. */
export interface AdminSource {
  /** All nodes of the config, in its order; `detail` for this node only. */
  nodes(): Promise<readonly NodeMessage[]>;
  services(): Promise<readonly ServiceMessage[]>;
  servers(): Promise<readonly ServerMessage[]>;
  /** Every session of the table, in batches of any size. Stops reading when the consumer stops. */
  sessions(): AsyncIterable<readonly Session[]>;
  counters(): Promise<readonly CounterMessage[]>;
  routes(): Promise<RoutesMessage>;
  /** `fingerprint` costs a pass over the table; it is of the sessions from the generation `since` on. */
  sync(wanted: {
    readonly fingerprint?: boolean;
    readonly since?: U64;
  }): Promise<SyncMessage>;
}

export interface AdminServer {
  /** Lets calls in progress end for a moment, then removes the socket. */
  close(): Promise<void>;
}

/**
 * Listens on `socket`, whose directory is made if need be. The socket of a dead agent is replaced.
 *
 * @throws AgentRunningError if somebody answers there already.
 * @throws WeirError if the path cannot be used.
 */
export async function serveAdmin(
  source: AdminSource,
  socket: string,
  log: Log,
): Promise<AdminServer> {
  await refuseIfTaken(socket);
  const server = new grpc.Server();
  server.addService(adminService(), {
    ListNodes: unary<"ListNodes">(log, async () => ({
      nodes: await source.nodes(),
    })),
    ListServices: unary<"ListServices">(log, async () => ({
      services: await source.services(),
    })),
    ListServers: unary<"ListServers">(log, async () => ({
      servers: await source.servers(),
    })),
    ListSessions: streaming<"ListSessions">(log, (request) =>
      listSessions(source, request),
    ),
    GetCounters: unary<"GetCounters">(log, async () => ({
      counters: await source.counters(),
    })),
    ListRoutes: unary<"ListRoutes">(log, () => source.routes()),
    GetSync: unary<"GetSync">(log, (request) => source.sync(request)),
  });
  const inode = await bindPrivately(server, socket);
  return { close: () => closeServer(server, socket, inode) };
}

/** The answer to one request: messages of at most SESSIONS_PER_MESSAGE sessions, then one with the totals. */
async function* listSessions(
  source: AdminSource,
  request: ListSessionsRequest,
): AsyncGenerator<ListSessionsResponse> {
  const matches = parseSessionFilter(request);
  const limit = request.countOnly ? 0 : request.limit || Infinity;
  let matched = 0;
  let sent = 0;
  let sessions: SessionMessage[] = [];
  for await (const batch of source.sessions()) {
    for (const session of batch) {
      if (!matches(session)) continue;
      matched += 1;
      if (sent >= limit) continue;
      sent += 1;
      sessions.push(toMessage(session));
      if (sessions.length < SESSIONS_PER_MESSAGE) continue;
      yield { sessions, totals: null };
      sessions = [];
    }
  }
  yield { sessions, totals: { matched, sent } };
}

function toMessage(session: Session): SessionMessage {
  return {
    ...session,
    client: formatEndpoint(session.client),
    virtual: formatEndpoint(session.virtual),
    local: formatEndpoint(session.local),
    real: formatEndpoint(session.real),
  };
}

function unary<C extends keyof AdminCalls>(
  log: Log,
  answer: (
    request: AdminCalls[C]["request"],
  ) => Promise<AdminCalls[C]["response"]>,
): grpc.handleUnaryCall<AdminCalls[C]["request"], AdminCalls[C]["response"]> {
  return ({ request }, callback) => {
    answer(request).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toStatus(error, log)),
    );
  };
}

function streaming<C extends keyof AdminCalls>(
  log: Log,
  answer: (
    request: AdminCalls[C]["request"],
  ) => AsyncIterable<AdminCalls[C]["response"]>,
): grpc.handleServerStreamingCall<
  AdminCalls[C]["request"],
  AdminCalls[C]["response"]
> {
  return (call) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    writeAll(call, answer(call.request), gone.signal).catch(
      (error: unknown) => {
        if (!gone.signal.aborted) call.emit("error", toStatus(error, log));
      },
    );
  };
}

/** Writes as fast as the reader reads. */
async function writeAll<T>(
  call: grpc.ServerWritableStream<unknown, T>,
  messages: AsyncIterable<T>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of messages) {
    signal.throwIfAborted();
    if (!call.write(message)) await once(call, "drain", { signal });
  }
  call.end();
}

function toStatus(error: unknown, log: Log): Partial<grpc.StatusObject> {
  if (error instanceof UsageError)
    return { code: grpc.status.INVALID_ARGUMENT, details: error.message };
  log.error("An admin call failed", {
    op: "answerAdminCall",
    reason: "sourceFailed",
    error,
  });
  return {
    code: grpc.status.INTERNAL,
    details: error instanceof Error ? error.message : String(error),
  };
}

async function refuseIfTaken(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket())
    throw new WeirError(
      `Cannot listen on ${socket}: it exists and is not a socket`,
    );
  if (await answers(socket)) throw new AgentRunningError(socket);
}

/** False for the socket of a process that is gone. */
async function answers(socket: string): Promise<boolean> {
  const connection = connect(socket);
  try {
    await once(connection, "connect");
    return true;
  } catch {
    return false;
  } finally {
    connection.destroy();
  }
}

/**
 * Binds in a directory that nobody else can enter, sets the mode, and moves the socket to its place: so it is never
 * reachable with another mode, and the stale one before it is replaced in one step.
 *
 * @returns the inode by which `closeServer` knows the socket again.
 */
async function bindPrivately(
  server: grpc.Server,
  socket: string,
): Promise<number> {
  let directory: string | undefined;
  try {
    await mkdir(dirname(socket), { recursive: true });
    directory = await mkdtemp(join(dirname(socket), ".admin-"));
    const fresh = join(directory, "s");
    await bind(server, fresh);
    await chmod(fresh, 0o600);
    const { ino } = await lstat(fresh);
    await rename(fresh, socket);
    return ino;
  } catch (error) {
    server.forceShutdown();
    throw new WeirError(
      `Cannot listen on ${socket}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  } finally {
    if (directory !== undefined)
      await rm(directory, { recursive: true, force: true });
  }
}

function bind(server: grpc.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(
      `unix:${path}`,
      grpc.ServerCredentials.createInsecure(),
      (error) => (error === null ? resolve() : reject(error)),
    );
  });
}

async function closeServer(
  server: grpc.Server,
  socket: string,
  inode: number,
): Promise<void> {
  const patience = setTimeout(() => server.forceShutdown(), CLOSE_PATIENCE_MS);
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(patience);
  const found = await lstat(socket).catch(() => undefined);
  if (found?.ino === inode) await rm(socket, { force: true });
}
