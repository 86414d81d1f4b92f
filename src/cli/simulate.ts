// SPDX-License-Identifier: Apache-2.0
/** `weir simulate`: what a node would do with the packets of a capture. It needs no agent and uses no interface. */
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { isLeft } from "fp-ts/lib/Either.js";
import { COUNTER_NOTES } from "../admin/counter-notes.ts";
import { UsageError, WeirError } from "../errors.ts";
import { type Cluster, type ClusterNode, formatEndpoint } from "../model.ts";
import { readConfigFile, toCluster } from "../node/config.ts";
import {
  CaptureError,
  type CapturedFrame,
  readCapture,
  writeCapture,
} from "../simulate/capture.ts";
import { simulate as simulateIn } from "../simulate/namespaces.ts";
import { defaultNetwork } from "../simulate/network.ts";
import type { PacketResult } from "../simulate/simulation.ts";
import { renderErrors } from "./check.ts";
import { type Command, readArgs, toJson } from "./command.ts";
import { type Column, renderTable } from "./table.ts";

const EXIT_FAILED = 1;
const EXIT_INVALID = 2;
/** Bytes of a frame: from an Ethernet header to what the kernel lets a program be tried with. */
const FRAME_MIN = 14;
const FRAME_MAX = 65_535;

const OPTIONS = {
  config: { type: "string" },
  node: { type: "string" },
  pcap: { type: "string" },
  out: { type: "string" },
  iface: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

export const simulate: Command = {
  help: `Usage: ./weir simulate --config FILE [--node NAME] --pcap IN --out OUT [--iface NAME] [--json]

Runs the packets of a capture, in their order, through the XDP programs of a node as its agent would set them up, all
real servers up, and says what became of each. The programs run in a network namespace that is made for it and has
interfaces of the node's names: no interface of this machine sees a packet, and nothing of it changes. OUT gets all
that would leave, with the time of the packet that caused it.

Sessions last from packet to packet, but no time passes: nothing expires. Local addresses and ports are chosen anew
in each run.

Options
  --config FILE  the cluster's config; nodes.NAME.simulate in it describes the network, by default all is behind one
                 router on the first interface
  --node NAME    whose part is played (default: the host's name if the file has it, else the file's first node)
  --pcap IN      pcap or pcapng, of Ethernet, with whole packets
  --out OUT      pcapng
  --iface NAME   where all packets come in (default: where the capture says, else the node's first interface)
  --json         print a list of {"n", "iface", "verdict": "forward" | "pass" | "drop" | "answer", "counter",
                 "session": {"client", "virtual", "local", "real", "protocol", "state", "service"} | null,
                 "server" | null, "out": [{"iface", "hex"}]}

Examples
  ./weir simulate --config /etc/weir/weir.yaml --node d1 --pcap in.pcapng --out out.pcapng
  tcpdump -i eth1 -c 1000 -w in.pcap && ./weir simulate --config weir.yaml --pcap in.pcap --out out.pcapng
  ./weir simulate --config weir.yaml --pcap in.pcap --out /dev/null --json | jq '.[] | select(.verdict == "drop")'
`,
  run: async (args, output) => {
    const { values } = readArgs(args, OPTIONS);
    const config = required("config", values.config);
    const pcap = required("pcap", values.pcap);
    const out = required("out", values.out);
    if (out === pcap)
      throw new UsageError("Cannot simulate: --pcap and --out name one file");
    const read = await readConfigFile(config, {
      addresses: [],
      ...(values.node === undefined ? {} : { node: values.node }),
    });
    if (isLeft(read)) {
      output.note(renderErrors(config, read.left).trimEnd());
      return EXIT_INVALID;
    }
    const cluster = toCluster(read.right);
    const node = nodeOf(cluster, values.node);
    const network =
      read.right.nodes[node.name]?.simulate ??
      defaultNetwork(firstInterface(node));
    const iface = interfaceOf(node, values.iface);
    try {
      const packets = readPackets(pcap, node, iface);
      requireRoot();
      const rows: Row[] = [];
      const order = { cluster, node: node.name, network };
      for await (const result of simulateIn(order, packets))
        rows.push(toRow(rows.length + 1, packets[rows.length], result));
      writeOut(out, rows);
      const text = values.json
        ? `${toJson(rows.map(toPlain))}\n`
        : renderTable(COLUMNS, rows);
      await output.write(text);
      return 0;
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      output.note(error.message);
      return EXIT_FAILED;
    }
  },
};

type InputPacket = Omit<CapturedFrame, "iface"> & { readonly iface: string };
/** One packet of the capture, counted from 1, and what became of it. */
type Row = PacketResult & Omit<InputPacket, "bytes"> & { readonly n: number };

const COLUMNS: readonly Column<Row>[] = [
  { title: "N", value: ({ n }) => String(n), align: "right" },
  { title: "IN", value: ({ iface }) => iface },
  { title: "VERDICT", value: ({ verdict }) => verdict },
  { title: "OUT", value: ({ out }) => out.map(({ iface }) => iface).join(" ") },
  {
    title: "CLIENT",
    value: ({ session }) => (session ? formatEndpoint(session.client) : ""),
  },
  {
    title: "SERVER",
    value: ({ session }) => (session ? formatEndpoint(session.real) : ""),
  },
  { title: "COUNTER", value: ({ counter }) => counter },
  { title: "REASON", value: ({ counter }) => COUNTER_NOTES[counter] ?? "" },
];

function required(name: string, value: string | undefined): string {
  if (value === undefined)
    throw new UsageError(`Cannot simulate: --${name} is missing`);
  return value;
}

/** A checked file has one that is asked for. */
function nodeOf({ nodes }: Cluster, name = hostname()): ClusterNode {
  const node = nodes.find((one) => one.name === name) ?? nodes[0];
  if (node === undefined)
    throw new RangeError("Cannot find a node in a checked config");
  return node;
}

function firstInterface({ name, interfaces: [first] }: ClusterNode): string {
  if (first === undefined)
    throw new RangeError(
      `Cannot find an interface of ${name} in a checked config`,
    );
  return first;
}

function interfaceOf(
  { name, interfaces }: ClusterNode,
  iface: string | undefined,
): string | undefined {
  if (iface !== undefined && !interfaces.includes(iface))
    throw new UsageError(
      `Cannot simulate: ${name} has no such interface, only ${interfaces.join(", ")}: current value of --iface is ${iface}`,
    );
  return iface;
}

/** Each with the interface that it comes in by. @throws WeirError if one cannot be run. */
function readPackets(
  file: string,
  node: ClusterNode,
  iface: string | undefined,
): readonly InputPacket[] {
  return readFrames(file).map((frame, index) => {
    const where = iface ?? frame.iface ?? firstInterface(node);
    const packet = `packet ${index + 1} of ${file}`;
    if (!node.interfaces.includes(where))
      throw new WeirError(
        `Cannot simulate ${packet}: it was captured on an interface that ${node.name} does not have, name one of ${node.interfaces.join(", ")} by --iface: current value is ${where}`,
      );
    const { length } = frame.bytes;
    if (length < FRAME_MIN || length > FRAME_MAX)
      throw new WeirError(
        `Cannot simulate ${packet}: a frame has ${FRAME_MIN} to ${FRAME_MAX} bytes: current value is ${length}`,
      );
    return { ...frame, iface: where };
  });
}

function readFrames(file: string): readonly CapturedFrame[] {
  try {
    return readCapture(readFileSync(file));
  } catch (cause) {
    if (!(cause instanceof CaptureError) && !isSystemError(cause)) throw cause;
    throw new WeirError(`Cannot read the capture ${file}: ${cause.message}`, {
      cause,
    });
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

function requireRoot(): void {
  const user = process.getuid?.();
  if (user !== 0)
    throw new WeirError(
      `Cannot simulate: it needs root, for namespaces and to load programs: the current user has id ${user}`,
    );
}

function toRow(
  n: number,
  packet: InputPacket | undefined,
  result: PacketResult,
): Row {
  if (packet === undefined)
    throw new RangeError(`Cannot have a result: there is no packet ${n}`);
  return { ...result, n, iface: packet.iface, timeNs: packet.timeNs };
}

/** What a failure has left of a file goes. */
function writeOut(file: string, rows: readonly Row[]): void {
  const frames = rows.flatMap(({ out, timeNs }) =>
    out.map(({ iface, bytes }) => ({ iface, bytes, timeNs })),
  );
  try {
    writeFileSync(file, writeCapture(frames));
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    if (statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)
      rmSync(file);
    throw new WeirError(`Cannot write ${file}: ${cause.message}`, { cause });
  }
}

function toPlain({ n, iface, verdict, counter, session, out }: Row): unknown {
  const real = session && formatEndpoint(session.real);
  return {
    n,
    iface,
    verdict,
    counter,
    session:
      session === undefined
        ? null
        : {
            client: formatEndpoint(session.client),
            virtual: formatEndpoint(session.virtual),
            local: formatEndpoint(session.local),
            real,
            protocol: session.protocol,
            state: session.state,
            service: session.service,
          },
    server: real ?? null,
    out: out.map((frame) => ({
      iface: frame.iface,
      hex: Buffer.from(frame.bytes).toString("hex"),
    })),
  };
}
