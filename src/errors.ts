// SPDX-License-Identifier: Apache-2.0
/**
 * One class for each failure that a caller can act on. A message is one sentence: "Cannot <verb> <object>: <what is
 * wrong>: current value is <x>". What made it happen is in `cause`.
 */

export class WeirError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** One thing wrong with one place of a config file. */
export type ConfigError = {
  /** Where: `services[0].scheduler`; empty for the file as a whole. */
  readonly path: string;
  /** What stands there now, as plain JSON; null when there is nothing. */
  readonly value: unknown;
  readonly message: string;
  /** What to do about it; may be empty. */
  readonly hint: string;
  /** In the file, both from 1. Absent when unknown. */
  readonly line?: number;
  readonly column?: number;
};

/** The config file cannot be used. Nothing of it has been applied. */
export class InvalidConfigError extends WeirError {
  readonly file: string;
  readonly errors: readonly ConfigError[];

  constructor(
    file: string,
    errors: readonly ConfigError[],
    options?: ErrorOptions,
  ) {
    const places = errors.map(({ path, message, hint }) =>
      [path === "" ? "" : `${path} `, message, hint && ` (${hint})`].join(""),
    );
    super(`Cannot use config ${file}: ${places.join("; ")}`, options);
    this.file = file;
    this.errors = errors;
  }
}

/** The command line makes no sense. The message is for the person who typed it. */
export class UsageError extends WeirError {}

/** Another agent of this node is alive: it holds the lock, or answers on the socket. */
export class AgentRunningError extends WeirError {
  readonly path: string;

  constructor(path: string, options?: ErrorOptions) {
    super(`Cannot start a second agent: another one holds ${path}`, options);
    this.path = path;
  }
}

/** No agent answers on its admin socket, or it failed to answer. */
export class AgentUnreachableError extends WeirError {
  readonly socket: string;

  constructor(socket: string, reason: string, options?: ErrorOptions) {
    super(`Cannot ask the agent at ${socket}: ${reason}`, options);
    this.socket = socket;
  }
}

/** The kernel, or how it is set up, cannot carry the dataplane. */
export class UnsupportedSystemError extends WeirError {}

/** The pins belong to another layout version, or their maps have other sizes: they must be drained and removed first. */
export class LayoutMismatchError extends WeirError {
  readonly found: string;
  readonly needed: string;

  constructor(
    object: string,
    found: string,
    needed: string,
    options?: ErrorOptions,
  ) {
    super(
      `Cannot use the pinned ${object}: it has ${found}, this version of weir needs ${needed}`,
      options,
    );
    this.found = found;
    this.needed = needed;
  }
}

/** A call into the kernel failed. `code` is the errno's name. */
export class DataplaneError extends WeirError {
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The routing daemon does not answer, or refuses. What it announces meanwhile is unknown. */
export class RoutingError extends WeirError {}

export type SyncErrorReason =
  /** No answer in time. The request may have arrived. */
  | "timeout"
  /** Nobody listens there. */
  | "noResponder"
  /** The bus is not connected, or was lost before the answer came. */
  | "down"
  /** The bus would not carry it: too large, too much waiting to leave, or not allowed. */
  | "refused";

/** A request to another node was not answered. */
export class SyncError extends WeirError {
  readonly reason: SyncErrorReason;

  constructor(
    subject: string,
    reason: SyncErrorReason,
    options?: ErrorOptions,
  ) {
    super(`Cannot ask ${subject}: ${SYNC_REASONS[reason]}`, options);
    this.reason = reason;
  }
}

const SYNC_REASONS: Readonly<Record<SyncErrorReason, string>> = {
  timeout: "no answer in time",
  noResponder: "nobody listens there",
  down: "the bus is not connected",
  refused: "the bus would not carry the request",
};

/** The node's own nats-server cannot be run, or does not get ready. */
export class BusError extends WeirError {}
