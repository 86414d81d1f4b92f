// SPDX-License-Identifier: Apache-2.0
/** An AdminSource of fixed answers, served on a socket in a directory of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { SyncMessage } from "../../src/admin/api.ts";
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

/** IPv6 clients of an IPv4 real server, by UDP, beside `makeSessions`. */
export function makeWideSessions(count: number): readonly Session[] {
  return makeSessions(count).map((session, index) => ({
    ...session,
    client: { address: `2001:db8:10::${index + 1}`, port: 20_000 },
    virtual: { address: "2001:db8::10", port: 53 },
    protocol: "udp",
    state: index === 0 ? "unanswered" : "established",
    flags: [],
    service: "dns",
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

const FINGERPRINT = {
  sessions: 12,
  truth: "00c0ffee00c0ffee",
  index: "0123456789abcdef",
};

/** d1 answers; d2 is well, d3 has never been heard. */
const SYNC: SyncMessage = {
  state: "synced",
  bus: "up",
  nodes: [
    {
      name: "d1",
      self: true,
      state: "synced",
      incarnation: GENERATION,
      problems: [],
    },
    {
      name: "d2",
      self: false,
      state: "synced",
      incarnation: GENERATION + 1n,
      silentMs: 120,
      roundTripMs: 0.4,
      problems: ["poolsDiffer"],
    },
    {
      name: "d3",
      self: false,
      state: "unheard",
      incarnation: 0n,
      problems: [],
    },
  ],
  pairs: [
    {
      from: "d2",
      to: "d1",
      lagMs: 0.8,
      lagP99Ms: 12.5,
      seq: 5_000,
      applied: 4_998,
      gaps: 3,
      resends: 2,
      digestEqual: true,
      queue: 9_600,
      recordsPerSecond: 1_234.5,
      bytesPerSecond: 120_000,
    },
    {
      from: "d1",
      to: "d2",
      seq: 7_000,
      applied: 6_999,
      behindRecords: 40,
      digestEqual: true,
      queue: 0,
      recordsPerSecond: 10,
      bytesPerSecond: 1_000,
    },
  ],
  risk: { ifDies: "d1", sessions: 12, notOnAll: 40, onNone: 0 },
  counters: [
    { name: "publishedRecords", value: 70_000 },
    { name: "conflicts", value: 0 },
    { name: "counterOfANewerAgent", value: 5 },
  ],
  fingerprint: null,
};

export function makeSource(overrides: Partial<AdminSource> = {}): AdminSource {
  return {
    nodes: async () => [
      {
        name: "d1",
        self: true,
        pool: "10.200.0.0/28",
        pools: ["10.200.0.0/28", "2001:db8:200::1:0/112"],
        state: "forwarding",
        detail: {
          incarnation: GENERATION,
          startedAtUnixMs: STARTED_AT_MS,
          interfaces: [{ name: "eth1", ifindex: 2, mode: "native" }],
          sessions: { total: 12, halfOpen: 2, established: 9, closing: 1 },
          table: { entries: 12, capacity: 1_200 },
          tables: [
            { name: "narrow", sessions: 9, load: 0.015 },
            { name: "wide", sessions: 3, load: 0.625 },
          ],
        },
      },
      {
        name: "d2",
        self: false,
        pool: "10.200.0.16/28",
        pools: ["10.200.0.16/28"],
        state: "synced",
        detail: null,
      },
    ],
    services: async () => [
      {
        name: "web",
        vip: "192.0.2.10",
        port: 80,
        ports: "80",
        protocol: "tcp",
        scheduler: "maglev",
        serversUp: 2,
        serversTotal: 3,
        announced: true,
        sessions: 1_234,
      },
      {
        name: "dns",
        vip: "2001:db8::10",
        port: 8000,
        ports: "8000-8999",
        protocol: "udp",
        scheduler: "rr",
        serversUp: 1,
        serversTotal: 1,
        announced: true,
        sessions: 5,
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
      {
        service: "dns",
        address: "2001:db8:3::2",
        port: 0,
        weight: 1,
        health: "up",
        lastCheck: null,
        sessions: 5,
        sessionsCreated: 6,
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
          families: [4, 6],
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
    sync: async ({ fingerprint = false }) => ({
      ...SYNC,
      fingerprint: fingerprint ? FINGERPRINT : null,
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
