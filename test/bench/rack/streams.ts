// SPDX-License-Identifier: Apache-2.0
/** One TCP stream through a director, as fast as it goes: iperf3 from the client to the server. */
import { contains, formatPrefix } from "../../../src/model.ts";
import { LabError } from "../../../ops/lab/errors.ts";
import type { Sandbox } from "../sandbox.ts";
import type { WeirNode } from "./directors.ts";
import type { Contender } from "./place.ts";
import { CLIENT, SERVER, STREAM_PORT, WEIR } from "./place.ts";

const SECONDS = 2;
/** Before them: the stream finds its pace. */
const OMITTED_SECONDS = 1;
/** Data of a frame, at most. */
const SEGMENT_BYTES = 1_500 - 20 - 20;

/** The part of iperf3's report that is used. */
type Report = {
  readonly end: {
    readonly sum_received: {
      readonly bytes: number;
      readonly bits_per_second: number;
    };
  };
  /** What the server has printed. */
  readonly server_output_text: string;
};

export class Streams {
  readonly #sandbox: Sandbox;
  readonly #weir: WeirNode;

  private constructor(sandbox: Sandbox, weir: WeirNode) {
    this.#sandbox = sandbox;
    this.#weir = weir;
  }

  static async start(sandbox: Sandbox, weir: WeirNode): Promise<Streams> {
    const server = sandbox.start(
      ["iperf3", "--server", "--port", `${STREAM_PORT}`, "--forceflush"],
      { namespace: SERVER },
    );
    await server.line(/^Server listening/);
    return new Streams(sandbox, weir);
  }

  /** In Gbit/s of data. @throws LabError if it went another way than through this director */
  async measure(contender: Contender): Promise<number> {
    const { name, seen } = contender;
    const { result, forwarded } = await this.#weir.during(() =>
      this.#send(contender),
    );
    const { bytes, bits_per_second } = result.end.sum_received;
    const [, from = "nobody"] =
      /^Accepted connection from ([\d.]+),/m.exec(result.server_output_text) ??
      [];
    if (from === "nobody" || !contains(seen, from))
      throw new LabError(
        `Cannot measure ${name}: the server saw ${from}, not ${formatPrefix(seen)}`,
      );
    const least = contender === WEIR ? bytes / SEGMENT_BYTES : 0;
    if (bytes === 0 || forwarded < least)
      throw new LabError(
        `Cannot measure ${name}: ${bytes} bytes came, and weir forwarded ${forwarded} packets`,
      );
    return bits_per_second / 1e9;
  }

  async #send({ name, target }: Contender): Promise<Report> {
    const output = await this.#sandbox.run(
      `send a stream through ${name}`,
      [
        ...["iperf3", "--client", target, "--port", `${STREAM_PORT}`, "--json"],
        ...["--time", `${SECONDS}`, "--omit", `${OMITTED_SECONDS}`],
        ...["--connect-timeout", "5000", "--get-server-output"],
      ],
      { namespace: CLIENT },
    );
    return JSON.parse(output);
  }
}
