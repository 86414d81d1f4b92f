// SPDX-License-Identifier: Apache-2.0
import { SyncError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Clock } from "./clock.ts";
import type { Codec, Decoded } from "./codec.ts";
import type { Counters } from "./counters.ts";
import type { Limits } from "./limits.ts";
import type { SessionTable } from "./table.ts";
import type { Message, Transport } from "./transport.ts";
import { nodeOf, type SubjectKind, subjectOf } from "./wire.ts";

/** What all parts of one replicator share. */
export type Context = {
  readonly cluster: string;
  readonly node: string;
  /** One run of this node's agent. */
  readonly incarnation: bigint;
  readonly table: SessionTable;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
  readonly counters: Counters;
  /** Aborted when the replicator is closed. */
  readonly signal: AbortSignal;
};

/** What a message says; undefined, and counted, if it cannot be used. */
export function accepted<M>(
  context: Context,
  decoded: Decoded<M>,
): M | undefined {
  if (decoded.refusal === undefined) return decoded.message;
  context.counters[decoded.refusal]++;
  context.log.debug("sync message refused", {
    event: "syncRefused",
    reason: decoded.refusal,
    detail: decoded.detail,
  });
  return undefined;
}

/** As accepted(), of a message that names its sender: that has to be the node of its subject. */
export function acceptedFrom<M extends { readonly node: string }>(
  context: Context,
  { subject }: Message,
  decoded: Decoded<M>,
): M | undefined {
  const message = accepted(context, decoded);
  if (message === undefined || message.node === nodeOf(subject)) return message;
  context.counters.foreignSender++;
  return undefined;
}

/** Asks a peer. Undefined, and counted: no answer, or none that can be used. */
export async function ask<Request, Reply>(
  context: Context,
  kind: SubjectKind,
  node: string,
  codecs: { readonly request: Codec<Request>; readonly reply: Codec<Reply> },
  request: Request,
): Promise<Reply | undefined> {
  const { cluster, transport, limits, counters, signal } = context;
  try {
    const data = await transport.request(
      subjectOf(cluster, kind, node),
      codecs.request.encode(request),
      { timeoutMs: limits.requestMs },
    );
    if (signal.aborted) return undefined;
    return accepted(context, codecs.reply.decode(data));
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    counters.requestsFailed++;
    return undefined;
  }
}

/** Waits. @returns false if the replicator is closed meanwhile */
export function pause(
  { clock, signal }: Context,
  milliseconds: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (elapsed: boolean): void => {
      cancel();
      signal.removeEventListener("abort", aborted);
      resolve(elapsed);
    };
    const aborted = (): void => end(false);
    const cancel = clock.after(milliseconds, () => end(true));
    if (signal.aborted) end(false);
    else signal.addEventListener("abort", aborted);
  });
}
