// SPDX-License-Identifier: Apache-2.0
// What `lab inspect` shows, in the shape of `containerlab inspect -f json`, so that scripts work with both.

import path from "node:path";
import { isAlive, startedAtMs, type ProcessId } from "./host.ts";
import type { LabRecord } from "./state.ts";

/** One node, with containerlab's names. Nodes have no management network, so their addresses are "N/A" there too. */
export type NodeInspection = {
  readonly lab_name: string;
  readonly labPath: string;
  readonly absLabPath: string;
  readonly name: string;
  /** The host's number of the node's process 1: the nearest thing to a container's id. */
  readonly container_id: string;
  readonly image: string;
  readonly kind: string;
  readonly group?: string;
  readonly state: "running" | "exited";
  readonly status: string;
  readonly ipv4_address: string;
  readonly ipv6_address: string;
  readonly owner: string;
};

export type Inspection = Readonly<Record<string, readonly NodeInspection[]>>;

export function inspect(record: LabRecord, now = Date.now()): Inspection {
  const { lab, file, nodes } = record.topology;
  const inspected = nodes.map((node): NodeInspection => {
    const init = record.inits[node.name];
    const running = init !== undefined && isAlive(init);
    return {
      lab_name: lab,
      labPath: path.relative(process.cwd(), file),
      absLabPath: file,
      name: node.longName,
      container_id: String(init?.pid ?? ""),
      image: node.image,
      kind: node.kind,
      ...(node.group === undefined ? {} : { group: node.group }),
      state: running ? "running" : "exited",
      status: running ? `Up ${age(init, now)}` : "Exited",
      ipv4_address: "N/A",
      ipv6_address: "N/A",
      owner: "root",
    };
  });
  return { [lab]: inspected };
}

/** The same as columns for people; the first line is the heading. */
export function inspectionRows(
  inspection: Inspection,
): readonly (readonly string[])[] {
  const nodes = Object.values(inspection).flat();
  return [
    ["LAB", "NAME", "GROUP", "STATE", "STATUS", "PID"],
    ...nodes.map((node) => [
      node.lab_name,
      node.name,
      node.group ?? "-",
      node.state,
      node.status,
      node.container_id,
    ]),
  ];
}

/** Columns as wide as their widest cell, two spaces apart. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** `4 hours`, `1 minute`, `12 seconds`: the largest unit that fits, rounded down, as container engines show it. */
function age(init: ProcessId, now: number): string {
  const seconds = Math.max(0, Math.floor((now - startedAtMs(init)) / 1000));
  const [unit, size] =
    UNITS.find(([, length]) => seconds >= length) ?? (["second", 1] as const);
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
