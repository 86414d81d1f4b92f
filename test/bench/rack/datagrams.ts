// SPDX-License-Identifier: Apache-2.0
/** The smallest datagrams of a thousand flows through a director, faster than it can: how many get through, and their price. */
import { setTimeout as delay } from "node:timers/promises";
import { LabError } from "../../../ops/lab/errors.ts";
import { address } from "../../model/translate/address.ts";
import {
  buildFrame,
  buildIp,
  buildTransport,
} from "../../model/translate/build.ts";
import { PROTOCOL } from "../../model/translate/protocols.ts";
import { readTraffic } from "../link.ts";
import { program } from "../load.ts";
import type { Sandbox } from "../sandbox.ts";
import type { WeirNode } from "./directors.ts";
import type { Contender } from "./place.ts";
import { CLIENT, CONTENDERS, DATAGRAM_PORT, WEIR } from "./place.ts";
import { GENERATOR_CPU, keepAwake, Processor } from "./processor.ts";
import type { Counts } from "./sinks.ts";
import { Sink } from "./sinks.ts";

const FLOWS = 1_024;
/** Source ports of the flows, from here on. */
const FLOW_PORT = 1_024;
/** With Ethernet's 14 bytes before and its check sequence behind, 64. */
const DATA_BYTES = 60 - 14 - 20 - 8;

const RUN_MS = 1_500;
/** What is under way when the generator ends has arrived by then. */
const SETTLE_MS = 100;
/** Of its time: a director's processor that did less has not done the work. */
const BUSY_MIN = 0.2;
/** Of the time, for which others may have had one of the two processors. */
const WAITED_MAX = 0.1;
/** Of what has arrived at a director: the server's ring may overflow. */
const LOSS_MAX = 0.001;
/** Something else may have had the processors meanwhile. */
const TRIES = 5;
const PAUSE_MS = 2_000;

type Lane = {
  readonly server: Sink;
  readonly client: Sink;
  readonly processor: Processor;
};

/** What the generator prints. */
type Sent = {
  readonly sent: number;
  readonly ns: number;
  readonly waitedNs: number;
};

export type Passed = {
  readonly packetsPerSecond: number;
  /** Of one packet. */
  readonly cpuNs: number;
};

export class Datagrams {
  readonly #sandbox: Sandbox;
  readonly #weir: WeirNode;
  readonly #lanes: ReadonlyMap<Contender, Lane>;

  private constructor(
    sandbox: Sandbox,
    weir: WeirNode,
    lanes: ReadonlyMap<Contender, Lane>,
  ) {
    this.#sandbox = sandbox;
    this.#weir = weir;
    this.#lanes = lanes;
  }

  /** From now on client and server take nothing but datagrams. */
  static async start(sandbox: Sandbox, weir: WeirNode): Promise<Datagrams> {
    const lanes = new Map<Contender, Lane>();
    for (const contender of CONTENDERS)
      lanes.set(contender, {
        server: await Sink.atServer(sandbox, contender),
        client: await Sink.atClient(sandbox, contender),
        processor: await Processor.of(sandbox, contender),
      });
    keepAwake(sandbox);
    return new Datagrams(sandbox, weir, lanes);
  }

  /** @throws LabError if packets went another way than they should, each time */
  async measure(contender: Contender): Promise<Passed> {
    for (let tries = 1; ; tries++)
      try {
        return await this.#measure(contender);
      } catch (error) {
        if (!(error instanceof LabError) || tries === TRIES) throw error;
        await delay(PAUSE_MS);
      }
  }

  async #measure(contender: Contender): Promise<Passed> {
    const lane = this.#lanes.get(contender);
    if (lane === undefined)
      throw new RangeError(`Cannot measure ${contender.name}: no lane`);
    await this.#open(contender, lane);
    const { result, forwarded, sessions } = await this.#weir.during(() =>
      this.#run(contender, lane),
    );
    const { sent, ns, arrived, expected, others, cpuNs, waitedNs } = result;
    refuse(contender, {
      [`${others} packets were not as they should be`]: others > 0,
      [`${sent} packets were sent to it, and ${expected} came`]:
        expected === 0 || expected > sent,
      [`${arrived} packets arrived at it, and ${expected} came`]:
        expected < arrived * (1 - LOSS_MAX),
      [`its processor was busy for ${cpuNs} of ${ns} ns`]:
        cpuNs < BUSY_MIN * ns,
      [`something else ran on its processor or the generator's for ${waitedNs} of ${ns} ns`]:
        waitedNs > WAITED_MAX * ns,
    });
    if (contender === WEIR)
      refuse(contender, {
        [`it forwarded ${forwarded} packets, and ${expected} came`]:
          expected > forwarded || expected < forwarded * (1 - LOSS_MAX),
        [`${sessions} sessions began`]: sessions > 0,
      });
    return {
      packetsPerSecond: expected / (ns / 1e9),
      cpuNs: cpuNs / expected,
    };
  }

  /** All flows in turn, as fast as they come. */
  async #run(contender: Contender, { server, processor }: Lane) {
    const { director, front } = contender;
    const traffic = () => readTraffic(this.#sandbox, director, front.device);
    const [before, { packets }] = [await server.read(), await traffic()];
    const begin = processor.read();
    const { sent, ns, ...generator } = await this.#send(contender, RUN_MS);
    await delay(SETTLE_MS);
    const end = processor.read();
    const cpuNs = end.cpuNs - begin.cpuNs;
    const waitedNs = generator.waitedNs + end.waitedNs - begin.waitedNs;
    const arrived = (await traffic()).packets - packets;
    const counted = since(before, await server.read());
    return { sent, ns, cpuNs, waitedNs, arrived, ...counted };
  }

  /** Each flow once, there and back: its session is there, and both ends have spoken. */
  async #open(contender: Contender, { server, client }: Lane): Promise<void> {
    const before = [await server.read(), await client.read()] as const;
    await server.answer(true);
    const { sent } = await this.#send(contender, 0);
    await delay(SETTLE_MS);
    await server.answer(false);
    const there = since(before[0], await server.read());
    const back = since(before[1], await client.read());
    refuse(contender, {
      [`of ${sent} first packets, ${textOf(there)}`]: !isAll(there, sent),
      [`of ${sent} answers, ${textOf(back)}`]: !isAll(back, sent),
    });
  }

  /** All flows in turn, for so long; 0: each once. */
  async #send(contender: Contender, ms: number): Promise<Sent> {
    const output = await this.#sandbox.run(
      `send datagrams through ${contender.name}`,
      [
        ...["taskset", "--cpu-list", `${GENERATOR_CPU}`],
        ...[program("rack-generator"), program("rack-generator.bpf.o")],
        ...[contender.client.device, frameOf(contender).toString("hex")],
        ...[FLOWS, ms].map(String),
      ],
      { namespace: CLIENT },
    );
    return JSON.parse(output);
  }
}

/** Of the first flow. */
function frameOf({ client, front, target }: Contender): Buffer {
  const [saddr, daddr] = [address(client.address), address(target)];
  const protocol = PROTOCOL.udp;
  const udp = buildTransport(saddr, daddr, {
    protocol,
    sport: FLOW_PORT,
    dport: DATAGRAM_PORT,
    data: Buffer.alloc(DATA_BYTES),
  });
  const macs = `${front.mac}${client.mac}`.replaceAll(":", "");
  return buildFrame(buildIp({ saddr, daddr, protocol }, udp), { macs });
}

function since(before: Counts, after: Counts): Counts {
  return {
    expected: after.expected - before.expected,
    others: after.others - before.others,
  };
}

function isAll({ expected, others }: Counts, sent: number): boolean {
  return expected === sent && others === 0;
}

function textOf({ expected, others }: Counts): string {
  return `${expected} came, and ${others} that were not as they should be`;
}

/** @throws LabError with those of the complaints that hold */
function refuse(
  { name }: Contender,
  complaints: Readonly<Record<string, boolean>>,
): void {
  const found = Object.keys(complaints).filter((text) => complaints[text]);
  if (found.length > 0)
    throw new LabError(`Cannot measure ${name}: ${found.join("; ")}`);
}
