// SPDX-License-Identifier: Apache-2.0
/** The real programs, set up as a model's settings say, and run on frames by BPF_PROG_TEST_RUN. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Limits, Protocol } from "../../src/model.ts";
import { loadAddon } from "../../src/node/addon.ts";
import { type Counters, Dataplane } from "../../src/node/dataplane.ts";
import { weirCounters } from "../../src/node/layout.ts";
import { decode, encode, u32, u64 } from "../../src/node/struct.ts";
import { egressOf, egressOfClients } from "../../src/node/words.ts";
import { objectsOf } from "../dataplane/addon-fixture.ts";
import { format, versionOf } from "../model/translate/address.ts";
import type { Outcome, Verdict } from "../model/translate/outcome.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import type { Counter } from "../model/translate/reason.ts";
import { versionOfReals } from "../model/translate/route.ts";
import type { Hop, Service, Settings } from "../model/translate/world.ts";
import { makeInterface, prefixOf, removeInterface } from "./network.ts";

const VERDICTS: readonly Verdict[] = [
  "aborted",
  "drop",
  "pass",
  "tx",
  "redirect",
];
/** A tick: the egress groups count as fresh until then. */
const FOREVER = 2n ** 63n;
/** Of one frame's result, beyond the frame itself: what it grows by, and what the counters say of it. */
const RESULT_MAX = 1024;

export class Director {
  readonly #dataplane: Dataplane;
  readonly #ifindex: number;
  /** What undoes what was done, the last first. */
  #undo: (() => void)[] = [];

  /** There can be one at a time. */
  constructor(
    settings: Settings,
    sessions: Pick<Limits, "sessions" | "wideSessions">,
  ) {
    try {
      const directory = this.#mount();
      this.#ifindex = makeInterface(settings);
      this.#undo.push(removeInterface);
      this.#dataplane = Dataplane.open({
        stateDir: join(directory, "state"),
        pinDir: join(directory, "bpf", "weir"),
        limits: {
          ...sessions,
          services: settings.services.length,
          realServers: settings.services.flatMap(({ reals }) => reals).length,
        },
        objectPaths: objectsOf("director"),
      });
      this.#undo.push(() => this.#dataplane.close());
      configure(this.#dataplane, settings, this.#ifindex);
      loadAddon().mapUpdate("weir_lease", encode(u32, 0), encode(u64, FOREVER));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @returns a directory with a bpf file system in it */
  #mount(): string {
    const directory = mkdtempSync(join(tmpdir(), "weir-properties-"));
    this.#undo.push(() => rmSync(directory, { recursive: true }));
    const bpf = join(directory, "bpf");
    mkdirSync(bpf);
    execFileSync("mount", ["-t", "bpf", "bpf", bpf]);
    this.#undo.push(() => execFileSync("umount", [bpf]));
    return directory;
  }

  /** What becomes of the frames, one after another. None has fewer than 14 bytes. */
  run(frames: readonly Buffer[]): readonly Outcome[] {
    const bytes = frames.reduce((sum, { length }) => sum + length, 0);
    const input = Buffer.concat(
      frames.flatMap((one) => [encode(u32, one.length), one]),
    );
    const output = loadAddon().testRunMany(
      "weir_counters",
      input,
      this.#ifindex,
      bytes + frames.length * RESULT_MAX,
    );
    return readOutcomes(output);
  }

  /** Since it was opened. */
  counters(): Counters {
    return this.#dataplane.readCounters();
  }

  /** Harmless if done twice. */
  close(): void {
    const steps = this.#undo.toReversed();
    this.#undo = [];
    for (const step of steps) step();
  }
}

function configure(
  dataplane: Dataplane,
  settings: Settings,
  ifindex: number,
): void {
  const { services, otherVips, aggregates, pools, ports } = settings;
  dataplane.nodes.set(0, {
    aggregates: aggregates.map(prefixOf),
    pools: pools.map(prefixOf),
    ports,
    origin: 7,
    lookups: false,
    unknownPort: settings.unknownPort,
    ipOptions: settings.options,
    mixed: services.some(isMixed),
  });
  for (const range of aggregates)
    dataplane.prefixes.set(prefixOf(range), "pool");
  for (const vip of new Set([...otherVips, ...services.map((one) => one.vip)]))
    dataplane.prefixes.set(prefixOf({ first: vip, last: vip }), "vip");
  dataplane.devices.set(ifindex, ifindex);
  const setHop = (group: number, hop: Hop): void =>
    dataplane.egressGroups.set(group, { hops: [{ ...hop, ifindex }] });
  for (const version of [4, 6] as const)
    setHop(egressOfClients(version), settings.clients[version]);
  let real = 0;
  for (const [number, service] of services.entries()) {
    const reals = service.reals.map((server) => {
      setHop(egressOf(real), server.hop);
      dataplane.realServers.set(real, {
        address: format(server.address),
        port: server.port,
        egress: egressOf(real),
        service: number,
      });
      return real++;
    });
    const key = {
      vip: format(service.vip),
      ports: service.ports,
      protocol: protocolName(service),
    };
    const wide = isWide(service);
    dataplane.setService(
      number,
      key,
      { scheduler: number % 2 === 0 ? "rr" : "maglev", sync: "off", wide },
      reals,
    );
  }
}

function protocolName({ protocol }: Service): Protocol {
  return protocol === PROTOCOL.tcp ? "tcp" : "udp";
}

function isWide(service: Service): boolean {
  return versionOf(service.vip) === 6 || versionOfReals(service) === 6;
}

function isMixed(service: Service): boolean {
  return versionOf(service.vip) !== versionOfReals(service);
}

/** The counters in the order of their words. */
const COUNTERS: readonly Counter[] = (() => {
  const words = Buffer.alloc(weirCounters.size);
  for (let word = 0; 8 * word < words.length; word++)
    words.writeBigUInt64LE(BigInt(word), 8 * word);
  const decoded = decode(weirCounters, words);
  // Object.entries forgets the names.
  return (Object.keys(decoded) as Counter[]).toSorted((a, b) =>
    Number(decoded[a] - decoded[b]),
  );
})();

/** As `testRunMany` gives them. */
function readOutcomes(output: Buffer): readonly Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < output.length;) {
    const verdict = VERDICTS[output.readUInt32LE(at)] ?? "aborted";
    const length = output.readUInt32LE(at + 4);
    const rises = output.readUInt32LE(at + 8);
    at += 12;
    const counted = new Map<Counter, number>();
    for (let i = 0; i < rises; i++, at += 8) {
      const counter = COUNTERS[output.readUInt32LE(at)];
      if (counter !== undefined)
        counted.set(counter, output.readUInt32LE(at + 4));
    }
    outcomes.push({
      verdict,
      frame: output.subarray(at, at + length),
      counted,
    });
    at += length;
  }
  return outcomes;
}
