// SPDX-License-Identifier: Apache-2.0
/** An AdminSource of fixed answers, served on a socket in a directory of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { silentLog } from "../../src/log.ts";
import type { Session } from "../../src/model.ts";
import { type AdminSource, serveAdmin } from "../../src/node/admin.ts";

export const STARTED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
/** Beyond what a JavaScript number can hold. */
export const GENERATION = 2n ** 60n + 1n;

/** `count` sessions of two clients; every third one is half open. */
export function makeSessions(count: number): readonly Session[] {
  return Array.from({ length: count }, (_, index) => ({
    client: { address: `10.10.${1 + (index % 2)}.2`, port: 20_000 + index },
    virtual: { address: "192.0.2.10", port: 80 },
    local: { address: "10.200.0.1", port: 1024 + index },
    real: { address: `10.3.${1 + (index % 3)}.2`, port: 80 },
    protocol: "tcp",
    state: index % 3 === 0 ? "syn" : "established",
    flags: index % 3 === 0 ? [] : ["clientFin"],
    service: "web",
    origin: "d1",
    generation: GENERATION + BigInt(index),
    idleMs: 1_500,
    expiresInMs: 898_500,
  }));
}

/** Batches of `size`. */
export async function* inBatches<T>(
  list: readonly T[],
  size: number,
): AsyncGenerator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) {
    yield await Promise.resolve(list.slice(start, start + size));
  }
}

export function makeSource(overrides: Partial<AdminSource> = {}): AdminSource {
  return {
    nodes: async () => [
      {
        name: "d1",
        self: true,
        pool: "10.200.0.0/28",
        state: "forwarding",
        detail: {
          incarnation: GENERATION,
          startedAtUnixMs: STARTED_AT_MS,
          interfaces: [{ name: "eth1", ifindex: 2, mode: "native" }],
          sessions: { total: 12, halfOpen: 2, established: 9, closing: 1 },
          table: { entries: 12, capacity: 1_200 },
        },
      },
      {
        name: "d2",
        self: false,
        pool: "10.200.0.16/28",
        state: "unknown",
        detail: null,
      },
    ],
    services: async () => [
      {
        name: "web",
        vip: "192.0.2.10",
        port: 80,
        protocol: "tcp",
        scheduler: "maglev",
        serversUp: 2,
        serversTotal: 3,
        announced: true,
        sessions: 1_234,
      },
    ],
    servers: async () => [
      {
        service: "web",
        address: "10.3.1.2",
        port: 80,
        weight: 1,
        health: "up",
        lastCheck: { atUnixMs: STARTED_AT_MS, durationMs: 1.5, error: "" },
        sessions: 7,
        sessionsCreated: 4_000,
        inboundPackets: 1_234_567,
        inboundBytes: 2n ** 63n,
        outboundPackets: 99,
        outboundBytes: 0,
      },
      {
        service: "web",
        address: "10.3.2.2",
        port: 80,
        weight: 1,
        health: "down",
        lastCheck: {
          atUnixMs: STARTED_AT_MS,
          durationMs: 0,
          error: "connection refused",
        },
        sessions: 0,
        sessionsCreated: 0,
        inboundPackets: 0,
        inboundBytes: 0,
        outboundPackets: 0,
        outboundBytes: 0,
      },
      {
        service: "web",
        address: "10.3.3.2",
        port: 80,
        weight: 0,
        health: "unknown",
        lastCheck: null,
        sessions: 0,
        sessionsCreated: 0,
        inboundPackets: 0,
        inboundBytes: 0,
        outboundPackets: 0,
        outboundBytes: 0,
      },
    ],
    sessions: () => inBatches(makeSessions(6), 4),
    counters: async () => [
      { name: "received", value: 10_000 },
      { name: "forwarded", value: 9_999n },
      { name: "drop_ttl", value: 1 },
      { name: "counter_of_a_newer_agent", value: 5 },
    ],
    routes: async () => ({
      state: "up",
      error: "",
      neighbors: [
        {
          address: "10.1.1.1",
          asn: 65_000,
          state: "established",
          uptimeMs: 3_700_000,
        },
      ],
      routes: [
        { prefix: "192.0.2.10/32", kind: "vip", wanted: true, announced: true },
        {
          prefix: "10.200.0.0/28",
          kind: "pool",
          wanted: true,
          announced: false,
        },
      ],
      blackholes: ["192.0.2.10/32", "10.200.0.0/24"],
    }),
    ...overrides,
  };
}

export function socketPath(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "weir-admin-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return join(directory, "agent.sock");
}

/** Returns the socket. */
export async function serve(
  t: ExecutionContext,
  source: AdminSource,
): Promise<string> {
  const socket = socketPath(t);
  const server = await serveAdmin(source, socket, silentLog);
  t.teardown(() => server.close());
  return socket;
}
