// SPDX-License-Identifier: Apache-2.0
// One connection with one HTTP/1.1 exchange on it, read without a library in between: a RST and an early FIN must look
// different, and each read is noted when it happens.

import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { formatHost } from "../../src/model.ts";
import type { Exchange, Outcome } from "./events.ts";
import { GapRecorder, type Stall } from "./gaps.ts";

export type ExchangeOptions = {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly path: string;
  /** What the body must be. */
  readonly expected: Buffer;
  /** Broken when nothing has come for so long; also before the first byte. */
  readonly silenceMs: number;
  /** The head of the answer is there, and good. */
  readonly onBegun: (begun: Pick<Exchange, "port" | "lip" | "server">) => void;
  readonly onEnded: (exchange: Exchange) => void;
};

const HEAD_END = "\r\n\r\n";
const HEAD_MAX_BYTES = 4096;

export class HttpExchange {
  readonly #options: ExchangeOptions;
  readonly #socket: Socket;
  readonly #beginMs = wallMs();
  readonly #gaps = new GapRecorder();
  /** Undefined once the head has been read. */
  #head: Buffer | undefined = Buffer.alloc(0);
  #port = 0;
  #lip = "";
  #server = "";
  #bytesVerified = 0;
  #ended = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#socket = connect({ host: options.address, port: options.port });
    this.#socket.setNoDelay(true).setTimeout(options.silenceMs);
    this.#socket.on("connect", () => this.#send());
    this.#socket.on("data", (bytes: Buffer) => this.#read(bytes));
    this.#socket.on("timeout", () => this.#end("timedOut"));
    this.#socket.on("end", () => this.#end("endedEarly"));
    this.#socket.on("error", (error: NodeJS.ErrnoException) =>
      // The kernel gave up: SYNs, or data of ours, were never answered.
      this.#end(error.code === "ETIMEDOUT" ? "timedOut" : "reset"),
    );
  }

  /** Ends it from this side. */
  stop(): void {
    this.#end("stopped");
  }

  get stallMs(): Stall {
    return this.#gaps.stall(performance.now());
  }

  #send(): void {
    this.#port = this.#socket.localPort ?? 0;
    this.#socket.write(
      `GET ${this.#options.path} HTTP/1.1\r\nHost: ${formatHost(this.#options.address)}\r\nConnection: close\r\n${HEAD_END.slice(2)}`,
    );
  }

  #read(bytes: Buffer): void {
    this.#gaps.read(performance.now());
    if (this.#head === undefined) this.#verify(bytes);
    else this.#readHead(Buffer.concat([this.#head, bytes]));
  }

  #readHead(bytes: Buffer): void {
    const end = bytes.indexOf(HEAD_END);
    this.#head = bytes;
    if (end < 0) {
      if (bytes.length > HEAD_MAX_BYTES) this.#end("corrupted");
      return;
    }
    const head = bytes.toString("latin1", 0, end);
    this.#head = undefined;
    this.#lip = headerOf(head, "X-Lip");
    this.#server = headerOf(head, "X-Real-Server");
    if (!head.startsWith("HTTP/1.1 200 ")) return this.#end("corrupted");
    this.#options.onBegun({
      port: this.#port,
      lip: this.#lip,
      server: this.#server,
    });
    this.#verify(bytes.subarray(end + HEAD_END.length));
  }

  #verify(bytes: Buffer): void {
    if (this.#ended) return;
    const { expected } = this.#options;
    const end = this.#bytesVerified + bytes.length;
    if (!bytes.equals(expected.subarray(this.#bytesVerified, end)))
      return this.#end("corrupted");
    this.#bytesVerified = end;
    if (end === expected.length) this.#end("complete");
  }

  #end(outcome: Outcome): void {
    if (this.#ended) return;
    this.#ended = true;
    const exchange = this.#exchange(outcome);
    // Let a complete one close as HTTP clients do; there is nothing to wait for with the others.
    if (outcome === "complete") this.#socket.end().resume();
    else this.#socket.destroy();
    this.#options.onEnded(exchange);
  }

  #exchange(outcome: Outcome): Exchange {
    return {
      id: this.#options.id,
      path: this.#options.path,
      outcome,
      beginMs: this.#beginMs,
      endMs: wallMs(),
      bytesVerified: this.#bytesVerified,
      port: this.#port,
      lip: this.#lip,
      server: this.#server,
      stallMs: this.stallMs,
    };
  }
}

function headerOf(head: string, name: string): string {
  return new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1]?.trim() ?? "";
}

/** With fractions: Date.now() has none. */
function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
