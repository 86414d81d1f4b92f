// SPDX-License-Identifier: Apache-2.0
/**
 * One health check of one real server: connect, or connect and GET. A probe never throws: what went wrong is its result.
 */
import http from "node:http";
import net from "node:net";
import type { Endpoint, HealthCheck } from "../model.ts";

/** How much of an HTTP body is read. A longer one is cut off, and the check still succeeds. */
const BODY_BYTES_MAX = 64 * 1024;

/** `reason` is a camelCase word to count and compare, `error` a text for people. */
export type ProbeResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly error: string };

const OK: ProbeResult = { ok: true };

/**
 * Asks `server` once and leaves no socket behind. The answer must be complete within `check.timeoutMs`. Aborting `signal`
 * ends the probe early, with the reason `cancelled`.
 */
export async function probe(
  server: Endpoint,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<ProbeResult> {
  if (check.type === "none") return OK;
  const ask = check.type === "http" ? get : connect;
  const attempt = new AbortController();
  const giveUp = (): void => attempt.abort();
  const timer = setTimeout(giveUp, check.timeoutMs);
  signal.addEventListener("abort", giveUp);
  if (signal.aborted) giveUp();
  try {
    return await ask(server, check.path, attempt.signal);
  } catch (error) {
    if (signal.aborted) return failure("cancelled", "the check was cancelled");
    if (attempt.signal.aborted)
      return failure("timeout", `no answer within ${check.timeoutMs} ms`);
    return failure(reasonOf(error), textOf(error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
  }
}

/** Succeeds when the handshake does. */
function connect(
  { address, port }: Endpoint,
  _path: string,
  signal: AbortSignal,
): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: address, port, signal });
    // The listener stays after the handshake: a RST that arrives while the socket closes is no news.
    socket.on("error", reject);
    socket.on("connect", () => {
      socket.destroy();
      resolve(OK);
    });
  });
}

/** Succeeds on a status of 2xx or 3xx, once the body has been read to its end or to the limit. */
function get(
  { address, port }: Endpoint,
  path: string,
  signal: AbortSignal,
): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const request = http.get({
      host: address,
      port,
      path,
      signal,
      agent: false, // a connection of its own, closed after the answer: the handshake is part of the check
      headers: { "user-agent": "weir", connection: "close" },
    });
    request.on("error", reject);
    // Not every end is an error or a response: an answer of "101 Switching Protocols" is neither.
    request.on("close", () => reject(new Error("closed without an answer")));
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const result =
        status >= 200 && status < 400
          ? OK
          : failure("status", `HTTP status ${status}`);
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= BODY_BYTES_MAX) return;
        resolve(result);
        request.destroy();
      });
      response.on("end", () => resolve(result));
      response.on("error", reject);
    });
  });
}

function failure(reason: string, error: string): ProbeResult {
  return { ok: false, reason, error };
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case "ECONNREFUSED":
      return "refused";
    case "ECONNRESET":
      return "reset";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "unreachable";
    case "ETIMEDOUT": // the kernel gave up before we did
      return "timeout";
    default:
      return "failed";
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
