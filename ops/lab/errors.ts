// SPDX-License-Identifier: Apache-2.0
// Everything that a lab command refuses or fails at, as classes that callers can tell apart.

/** One thing wrong in a topology file: where it is (`topology.nodes.r1.cmd`) and what is wrong with it. */
export type TopologyProblem = {
  readonly path: string;
  readonly message: string;
};

export class LabError extends Error {
  override readonly name: string = "LabError";
}

/** A topology file that this runner cannot realise. `problems` lists all of them, never only the first. */
export class TopologyError extends LabError {
  override readonly name = "TopologyError";
  readonly file: string;
  readonly problems: readonly TopologyProblem[];

  constructor(file: string, problems: readonly TopologyProblem[]) {
    const lines = problems.map(
      ({ path, message }) => `  ${path || "(file)"}: ${message}`,
    );
    super(
      `Cannot use ${file}: ${problems.length} problem(s)\n${lines.join("\n")}`,
    );
    this.file = file;
    this.problems = problems;
  }
}

/** The lab's name is taken, by a running lab or by what a killed deploy left behind. */
export class LabExistsError extends LabError {
  override readonly name = "LabExistsError";
}

/** There is no lab, or no running node, of that name. */
export class LabNotFoundError extends LabError {
  override readonly name = "LabNotFoundError";
}

/** A program that builds the lab (ip, ethtool, unshare, a line of `exec`) ended with an error. */
export class LabCommandError extends LabError {
  override readonly name = "LabCommandError";
  readonly argv: readonly string[];
  readonly code: number;
  readonly output: string;

  constructor(
    what: string,
    argv: readonly string[],
    code: number,
    output: string,
  ) {
    super(
      `Cannot ${what}: \`${argv.join(" ")}\` ended with ${code}${output === "" ? "" : `\n${output.trimEnd()}`}`,
    );
    this.argv = argv;
    this.code = code;
    this.output = output;
  }
}

/** A command in a node was still running when its time was up; it has been killed. */
export class LabTimeoutError extends LabError {
  override readonly name = "LabTimeoutError";
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    node: string,
    argv: readonly string[],
    timeoutMs: number,
    output: { stdout: string; stderr: string },
  ) {
    super(
      `Cannot finish \`${argv.join(" ")}\` on ${node}: it was killed after ${timeoutMs} ms`,
    );
    this.stdout = output.stdout;
    this.stderr = output.stderr;
  }
}
