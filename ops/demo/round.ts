// SPDX-License-Identifier: Apache-2.0
// One round of the demo's traffic: one curl that fetches many files at once, a new connection for each, and sha256sum over
// what it got, both inside the client. Pure: the command line, and what its output says.

import { fileHash, FILES } from "../lab/rack/files.ts";
import { directorOf, REAL_SERVERS, type Director } from "../lab/rack.ts";

/** How many of which file one round fetches. */
export type Round = Readonly<Record<string, number>>;

/** One request and what became of it. */
export type Fetch = {
  /** By the local address that the real server saw. */
  readonly director: Director | undefined;
  readonly server: string | undefined;
  /** Bytes with the right hash; 0 for a failure. */
  readonly bytesVerified: number;
  readonly failure: string | undefined;
};

const CONNECT_LIMIT_S = 5;
const FETCH_LIMIT_S = 15;
const PARALLEL_MAX = 12;

/** In the client's own /tmp. */
const DIRECTORY = "/tmp/demo";

/** Fetches into an empty directory, whatever fails, and hashes all that is there. */
const SCRIPT = `rm -rf ${DIRECTORY} && mkdir ${DIRECTORY} && cd ${DIRECTORY} || exit 1
curl "$@"
sha256sum -- *`;

const REPORT_FIELDS = [
  "filename_effective",
  "exitcode",
  "http_code",
  "num_connects",
  "header{x-lip}",
  "header{x-real-server}",
  "errormsg",
];
const REPORT_MARK = "curl";

/** The command line that does a round against a VIP, which is given as in a URL: with a port, if it is not 80. */
export function roundCommand(vip: string, round: Round): readonly string[] {
  const report = REPORT_FIELDS.map((field) => `%${braced(field)}`).join("\\t");
  return [
    ...["bash", "-c", SCRIPT, "round", "--disable", "--silent"],
    ...["--parallel", "--parallel-max", String(PARALLEL_MAX)],
    ...["--connect-timeout", String(CONNECT_LIMIT_S)],
    ...["--max-time", String(FETCH_LIMIT_S)],
    ...["--header", "Connection: close"],
    ...["--write-out", `${REPORT_MARK}\\t${report}\\n`],
    ...Object.entries(round).flatMap(([file, count]) => [
      "--output",
      `${outputName(file)}-#1`,
      `http://${vip}/${file}?[1-${count}]`,
    ]),
  ];
}

function braced(field: string): string {
  return field.includes("{") ? field : `{${field}}`;
}

function outputName(file: string): string {
  return file.replaceAll("/", "-");
}

/** What became of each fetch of a round, by the output of its command. A fetch that is not in the output has failed. */
export function readRound(output: string, round: Round): readonly Fetch[] {
  const lines = output.split("\n");
  const reports = new Map(
    lines
      .map((line) => line.split("\t"))
      .filter(([mark]) => mark === REPORT_MARK)
      .map(([, name = "", ...fields]) => [name, fields]),
  );
  const hashes = new Map(
    lines
      .map((line) => /^([0-9a-f]{64}) {2}(.+)$/.exec(line))
      .map((match) => [match?.[2], match?.[1]]),
  );
  return Object.entries(round).flatMap(([file, count]) =>
    Array.from({ length: count }, (_, index) => {
      const name = `${outputName(file)}-${index + 1}`;
      return judgeFetch(file, reports.get(name), hashes.get(name));
    }),
  );
}

function judgeFetch(
  file: string,
  report: readonly string[] | undefined,
  hash: string | undefined,
): Fetch {
  const [exitCode, httpCode, connects, lip = "", server = "", message = ""] =
    report ?? [];
  const director = directorOf(lip);
  const failure = () => {
    if (exitCode === undefined) return "no answer from curl";
    if (exitCode !== "0") return `curl: ${message} (${exitCode})`;
    if (httpCode !== "200") return `HTTP status ${httpCode}`;
    if (connects !== "1") return "the connection was not a new one";
    if (hash !== hashOf(file)) return "the content is not what was sent";
    if (director === undefined)
      return `no director's pool has the local address "${lip}"`;
    if (!REAL_SERVERS.includes(server))
      return `there is no real server "${server}"`;
    return undefined;
  };
  const reason = failure();
  return {
    director,
    server: REAL_SERVERS.includes(server) ? server : undefined,
    bytesVerified: reason === undefined ? (FILES[file] ?? 0) : 0,
    failure: reason,
  };
}

const knownHashes = new Map<string, string>();

/** Computed once: the largest file takes a moment. */
function hashOf(file: string): string {
  const hash = knownHashes.get(file) ?? fileHash(file);
  knownHashes.set(file, hash);
  return hash;
}
