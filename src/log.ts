// SPDX-License-Identifier: Apache-2.0
/**
 * The log: one JSON object a line, with a constant `msg` and the values in fields. `event` names a fact, `op` an attempt,
 * `reason` is a camelCase word. Info is for changes of state that an operator would ask about; nothing is logged for each
 * packet or session.
 */
import winston from "winston";

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(text: string): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

export type LogFields = {
  readonly event?: string;
  readonly op?: string;
  readonly reason?: string;
  readonly [field: string]: unknown;
};

export interface Log {
  error(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  debug(msg: string, fields?: LogFields): void;
  /** The same log with these fields in every line. */
  child(fields: LogFields): Log;
  /** Resolves when all lines are written. */
  close(): Promise<void>;
}

/** Writes to `file` (appending) or, without one, to standard output. */
export function createLog(
  options: { readonly level?: LogLevel; readonly file?: string } = {},
): Log {
  const transport =
    options.file === undefined
      ? new winston.transports.Console()
      : new winston.transports.File({ filename: options.file });
  const logger = winston.createLogger({
    level: options.level ?? "info",
    format: winston.format.printf(({ level, message, fields }) =>
      formatLine(level, message, fields),
    ),
    transports: [transport],
  });
  // A line that cannot be written is lost, but not in silence.
  transport.on("error", (error: Error) =>
    process.stderr.write(`weir: Cannot write the log: ${error.message}\n`),
  );
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      transport.once("finish", resolve);
      logger.end();
    });
  return wrap(logger, {}, close);
}

/** A log that says nothing, for tests. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  child: () => silentLog,
  close: () => Promise.resolve(),
};

function wrap(
  logger: winston.Logger,
  common: LogFields,
  close: () => Promise<void>,
): Log {
  const write = (level: LogLevel) => (msg: string, fields?: LogFields) => {
    logger.log({ level, message: msg, fields: { ...common, ...fields } });
  };
  return {
    error: write("error"),
    warn: write("warn"),
    info: write("info"),
    debug: write("debug"),
    child: (fields) => wrap(logger, { ...common, ...fields }, close),
    close,
  };
}

function formatLine(level: string, msg: unknown, fields: unknown): string {
  const line = {
    time: new Date().toISOString(),
    level,
    msg,
    ...(typeof fields === "object" ? fields : {}),
  };
  return JSON.stringify(line, toJson);
}

/** What JSON cannot say: an error becomes its message and those of its causes, a bigint its digits. */
function toJson(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Error ? withCauses(value) : value;
}

function withCauses(error: Error): string {
  const causes: Error[] =
    error instanceof AggregateError
      ? error.errors.filter((one) => one instanceof Error)
      : [];
  if (error.cause instanceof Error) causes.push(error.cause);
  const reasons = causes.map(withCauses).join("; ");
  if (reasons === "" || error.message === "") return error.message + reasons;
  return `${error.message} (${reasons})`;
}
