// SPDX-License-Identifier: Apache-2.0
/** Where datagrams end: behind the director at the server, and their answers at the client. */
import type { Prefix } from "../../../src/model.ts";
import { hostPrefix } from "../../../src/model.ts";
import { program } from "../load.ts";
import type { Process, Sandbox } from "../sandbox.ts";
import type { Contender, End } from "./place.ts";
import { DATAGRAM_PORT } from "./place.ts";

/** Datagrams whose addresses and ports were as they should be, and those whose were not. */
export type Counts = { readonly expected: number; readonly others: number };

/** Ports: 0 is any. */
type Rule = {
  readonly source: Prefix;
  readonly sport: number;
  readonly target: string;
  readonly dport: number;
};

export class Sink {
  readonly #process: Process;

  private constructor(process: Process) {
    this.#process = process;
  }

  /** Expects what the director makes of the client's datagrams. */
  static atServer(sandbox: Sandbox, contender: Contender): Promise<Sink> {
    const { server, seen, datagramPort } = contender;
    return Sink.#start(sandbox, server, {
      source: seen,
      sport: 0,
      target: server.address,
      dport: datagramPort,
    });
  }

  /** Expects answers by whom the client has asked. */
  static atClient(sandbox: Sandbox, contender: Contender): Promise<Sink> {
    const { client, target } = contender;
    return Sink.#start(sandbox, client, {
      source: hostPrefix(target),
      sport: DATAGRAM_PORT,
      target: client.address,
      dport: 0,
    });
  }

  static async #start(
    sandbox: Sandbox,
    { namespace, device }: End,
    { source, sport, target, dport }: Rule,
  ): Promise<Sink> {
    const rule = [source.address, source.length, sport, target, dport];
    const process = sandbox.start(
      [
        program("rack-sink"),
        program("rack-sink.bpf.o"),
        ...[device, ...rule.map(String)],
      ],
      { namespace },
    );
    await process.line(/^ready$/);
    return new Sink(process);
  }

  /** So far. */
  read(): Promise<Counts> {
    return this.#ask("read");
  }

  /** From now on what is expected goes back to its sender, or no longer. */
  async answer(answers: boolean): Promise<void> {
    await this.#ask(answers ? "answer" : "drop");
  }

  async #ask(question: string): Promise<Counts> {
    const from = this.#process.lines.length;
    this.#process.tell(question);
    return JSON.parse(await this.#process.line(/^\{/, { from }));
  }
}
