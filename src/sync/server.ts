// SPDX-License-Identifier: Apache-2.0
import { accepted, type Context } from "./context.ts";
import type { Publisher } from "./publisher.ts";
import { firstKeys, firstRecords, ROOM_BYTES_MIN } from "./records.ts";
import { RECORD_BYTES, RECORD_VERSION } from "./table.ts";
import type { Message } from "./transport.ts";
import {
  lookupReply,
  lookupRequest,
  repairReply,
  repairRequest,
  snapshotReply,
  snapshotRequest,
  type SubjectKind,
  subjectOf,
} from "./wire.ts";

/** Of a reply beside its records, and more than that. */
const OVERHEAD_BYTES = 1024;

type Answer = (data: Uint8Array) => Promise<Uint8Array | undefined>;

/** Answers what peers ask. It keeps nothing about who asks. */
export class Server {
  readonly #context: Context;
  readonly #publisher: Publisher;
  #serving = 0;

  constructor(context: Context, publisher: Publisher) {
    this.#context = context;
    this.#publisher = publisher;
  }

  /** @returns the end of it */
  start(): () => void {
    const ends = [
      this.#serve("resend", (data) =>
        Promise.resolve(this.#publisher.resend(data)),
      ),
      this.#serve("snapshot", (data) => this.#snapshot(data)),
      this.#serve("repair", (data) => this.#repair(data)),
      this.#serve("lookup", (data) => this.#lookup(data)),
    ];
    return () => ends.forEach((end) => end());
  }

  #serve(kind: SubjectKind, answer: Answer): () => void {
    const { cluster, node, transport } = this.#context;
    return transport.subscribe(subjectOf(cluster, kind, node), (message) => {
      void this.#answer(message, answer);
    });
  }

  async #answer(message: Message, answer: Answer): Promise<void> {
    const { counters, limits, log, signal } = this.#context;
    if (message.respond === undefined) {
      counters.malformed++;
      return;
    }
    if (this.#serving >= limits.servedMax) {
      counters.servedRefused++;
      return;
    }
    this.#serving++;
    try {
      const reply = await answer(message.data);
      if (reply === undefined || signal.aborted) return;
      counters.served++;
      message.respond(reply);
    } catch (error) {
      // The table has too much to do; the peer asks again.
      counters.servedRefused++;
      log.debug("request not served", {
        op: "serve",
        reason: "tableRefused",
        error,
      });
    } finally {
      this.#serving--;
    }
  }

  async #snapshot(data: Uint8Array): Promise<Uint8Array | undefined> {
    const { table, incarnation } = this.#context;
    const request = accepted(this.#context, snapshotRequest.decode(data));
    if (request === undefined) return undefined;
    const { from, to, room } = request;
    const { positions } = table;
    const { seq } = this.#publisher;
    const end = to < positions ? to : positions;
    const { records, next } = await table.collect(
      from < end ? from : end,
      end,
      Math.max(ROOM_BYTES_MIN, Math.min(room * RECORD_BYTES, this.#roomBytes)),
    );
    return snapshotReply.encode({
      incarnation,
      recordVersion: RECORD_VERSION,
      records,
      next,
      positions,
      seq,
    });
  }

  /** What does not fit into one answer differs again in the next round. */
  async #repair(data: Uint8Array): Promise<Uint8Array | undefined> {
    const request = accepted(this.#context, repairRequest.decode(data));
    if (request === undefined) return undefined;
    const { buckets, known } = request;
    const records = await this.#context.table.missing(buckets, known);
    return repairReply.encode({
      recordVersion: RECORD_VERSION,
      records: firstRecords(records, this.#roomBytes),
    });
  }

  async #lookup(data: Uint8Array): Promise<Uint8Array | undefined> {
    const request = accepted(this.#context, lookupRequest.decode(data));
    if (request === undefined) return undefined;
    const keys = firstKeys(request.keys, this.#roomBytes);
    const records = await this.#context.table.find(keys);
    return lookupReply.encode({ recordVersion: RECORD_VERSION, records });
  }

  /** Of records in one answer. */
  get #roomBytes(): number {
    const { limits, transport } = this.#context;
    return Math.max(
      ROOM_BYTES_MIN,
      Math.min(limits.replyBytes, transport.maxPayload - OVERHEAD_BYTES),
    );
  }
}
