// SPDX-License-Identifier: Apache-2.0
/** The admin API's client. */
import * as grpc from "@grpc/grpc-js";
import { type AdminCalls, adminService } from "../admin/api.ts";
import { AgentUnreachableError, UsageError } from "../errors.ts";

/** An agent answers in milliseconds; one that takes longer hangs. Of a stream: the wait for each next message. */
const ANSWER_TIMEOUT_MS = 5_000;

type UnaryCall = Exclude<keyof AdminCalls, "ListSessions">;

export class AdminClient {
  readonly #socket: string;
  readonly #timeoutMs: number;
  readonly #service = adminService();
  readonly #client: grpc.Client;

  constructor(socket: string, timeoutMs = ANSWER_TIMEOUT_MS) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#client = new grpc.Client(
      `unix:${socket}`,
      grpc.credentials.createInsecure(),
    );
  }

  /**
   * @throws AgentUnreachableError if there is no answer in time, or none that can be used.
   * @throws UsageError if the agent says that the request makes no sense.
   */
  async call<C extends UnaryCall>(
    name: C,
    request: AdminCalls[C]["request"] = {},
  ): Promise<AdminCalls[C]["response"]> {
    const { path, requestSerialize, responseDeserialize } = this.#service[name];
    const deadline = Date.now() + this.#timeoutMs;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        { deadline },
        (error, response) =>
          error === null && response !== undefined
            ? resolve(response)
            : reject(this.#explain(error)),
      );
    });
  }

  /** Throws as `call` does. */
  async *listSessions(
    request: AdminCalls["ListSessions"]["request"],
  ): AsyncGenerator<AdminCalls["ListSessions"]["response"]> {
    const { path, requestSerialize, responseDeserialize } =
      this.#service.ListSessions;
    const stream = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
    );
    const watch = () => setTimeout(() => stream.cancel(), this.#timeoutMs);
    let watchdog = watch();
    try {
      for await (const message of stream) {
        // Not while the consumer has it: somebody may be reading in a pager.
        clearTimeout(watchdog);
        yield message;
        watchdog = watch();
      }
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(watchdog);
      stream.cancel();
    }
  }

  close(): void {
    this.#client.close();
  }

  #explain(error: unknown): Error {
    const { code, details } = toStatus(error);
    switch (code) {
      case grpc.status.INVALID_ARGUMENT:
        return new UsageError(details, { cause: error });
      case grpc.status.UNAVAILABLE:
        return this.#unreachable(
          `${reasonOf(details)}. Does the agent run, and is this its socket?`,
          error,
        );
      case grpc.status.DEADLINE_EXCEEDED:
      case grpc.status.CANCELLED:
        return this.#unreachable(
          `it has not answered for ${this.#timeoutMs / 1_000} s`,
          error,
        );
      default:
        return this.#unreachable(
          `it answered with an error: ${details}`,
          error,
        );
    }
  }

  #unreachable(reason: string, cause: unknown): AgentUnreachableError {
    return new AgentUnreachableError(this.#socket, reason, { cause });
  }
}

/** gRPC wraps the errno of a failed connect in a sentence of its own. */
function reasonOf(details: string): string {
  if (details.includes("ENOENT")) return "there is no such socket";
  if (details.includes("ECONNREFUSED")) return "nobody listens on it";
  if (details.includes("EACCES") || details.includes("EPERM"))
    return "this user may not open it";
  return details;
}

function toStatus(error: unknown): {
  readonly code: number;
  readonly details: string;
} {
  const code =
    error instanceof Error && "code" in error
      ? Number(error.code)
      : grpc.status.UNKNOWN;
  const details =
    error instanceof Error && "details" in error
      ? String(error.details)
      : String(error);
  return { code, details };
}
