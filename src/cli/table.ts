// SPDX-License-Identifier: Apache-2.0
/** Tables and values as people read them. Pure: everything returns a string. */

export type Column<R> = {
  readonly title: string;
  readonly value: (row: R) => string;
  /** Numbers go right. */
  readonly align?: "left" | "right";
  /** At least so wide: for tables that are printed a part at a time. */
  readonly widthMin?: number;
};

const GAP = "  ";

/** A line of titles, then one for each row; every line is ended. */
export function renderTable<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
): string {
  return renderLines(columns, rows).join("");
}

/** The same without titles: the next part of a table whose first part has been printed. */
export function renderRows<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
): string {
  return renderLines(columns, rows).slice(1).join("");
}

function renderLines<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
): readonly string[] {
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ value }) => value(row))),
  ];
  const widths = columns.map(({ widthMin = 0 }, column) =>
    lines.reduce(
      (width, line) => Math.max(width, line[column]?.length ?? 0),
      widthMin,
    ),
  );
  const pad = (cell: string, column: number): string => {
    const width = widths[column] ?? 0;
    return columns[column]?.align === "right"
      ? cell.padStart(width)
      : cell.padEnd(width);
  };
  return lines.map((line) => `${line.map(pad).join(GAP).trimEnd()}\n`);
}

/** `1,234,567` */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString("en-US");
}

/** `412`, `1.2 k`, `3.4 M`: with three digits, in steps of 1,000. `unit` follows, as in `3.4 MB`. */
export function formatAmount(amount: number | bigint, unit = ""): string {
  let scaled = Number(amount);
  let step = 0;
  while (scaled >= 999.5 && step < SI_PREFIXES.length - 1) {
    scaled /= 1_000;
    step += 1;
  }
  const digits =
    step === 0 || scaled >= 99.95 ? scaled.toFixed(0) : scaled.toFixed(1);
  return `${digits} ${SI_PREFIXES[step] ?? ""}${unit}`.trimEnd();
}

const SI_PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** The largest unit and the one below: `2 d 3 h`, `15 min 0 s`; below a minute `4.2 s`, below a second `12 ms`. */
export function formatDuration(durationMs: number | bigint): string {
  const ms = Number(durationMs);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3_600),
    Math.floor(seconds / 86_400),
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  return hours > 0
    ? `${hours} h ${minutes % 60} min`
    : `${minutes} min ${seconds % 60} s`;
}

export function formatYesNo(value: boolean): string {
  return value ? "yes" : "no";
}
