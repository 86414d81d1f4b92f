// SPDX-License-Identifier: Apache-2.0
// A containerlab topology file (.clab.yml, kind linux), resolved: each node with all that defaults, kinds and groups add
// to it. What this runner would realise otherwise than containerlab is refused, so a file that works here has one meaning.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseDocument } from "yaml";
import {
  decodeTopology,
  type RawEndpoint,
  type RawSettings,
  type RawTopology,
} from "./decode.ts";
import { LabError, TopologyError, type TopologyProblem } from "./errors.ts";
import { splitWords, substitute } from "./text.ts";

export type Bind = {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
};

export type LabNode = {
  readonly name: string;
  /** `clab-<lab>-<node>`: the container's name in containerlab; here the name of the network namespace. */
  readonly longName: string;
  readonly kind: string;
  readonly group: string | undefined;
  readonly image: string;
  readonly hostname: string;
  /** The node's main process; the node ends when it ends. Empty: the node runs until it is destroyed. */
  readonly cmd: readonly string[];
  /** Command lines, already split into words, that run one after the other once the links are there. */
  readonly exec: readonly (readonly string[])[];
  readonly binds: readonly Bind[];
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly sysctls: Readonly<Record<string, string>>;
};

export type Endpoint = {
  readonly node: string;
  readonly interface: string;
  readonly mac: string;
};
export type Link = {
  readonly endpoints: readonly [Endpoint, Endpoint];
  readonly mtu: number;
};

export type Topology = {
  readonly lab: string;
  /** Absolute path of the file. */
  readonly file: string;
  readonly nodes: readonly LabNode[];
  readonly links: readonly Link[];
};

/** Of labs and nodes: they become parts of paths. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
const INTERFACE = /^[A-Za-z0-9_.-]{1,15}$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const SYSCTL = /^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/;

/**
 * Reads and resolves a file. `name` replaces the lab's name in the file, so that one file can be deployed several times.
 * @throws LabError when the file cannot be read.
 * @throws TopologyError with all that is wrong in it.
 */
export function loadTopology(
  file: string,
  name?: string,
  env = process.env,
): Topology {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LabError(`Cannot read the topology file ${file}: ${reason}`, {
      cause,
    });
  }
  return parseTopology(text, { file: path.resolve(file), name, env });
}

export type ParseOptions = {
  readonly file: string;
  readonly name?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
};

/** The same from a text. `file` gives relative binds their folder. */
export function parseTopology(
  text: string,
  { file, name, env = {} }: ParseOptions,
): Topology {
  const document = parseDocument(substitute(text, env));
  if (document.errors.length > 0) {
    throw new TopologyError(
      file,
      document.errors.map(({ message }) => ({
        path: "",
        message: `is not YAML: ${message}`,
      })),
    );
  }
  const problems: TopologyProblem[] = [];
  const raw = decodeTopology(document.toJS({ mapAsMap: true }), problems);
  const topology = new Resolver(
    { ...raw, name: name ?? raw.name },
    file,
    problems,
  ).topology();
  if (problems.length > 0) throw new TopologyError(file, problems);
  return topology;
}

class Resolver {
  readonly #raw: RawTopology;
  readonly #file: string;
  readonly #problems: TopologyProblem[];

  constructor(raw: RawTopology, file: string, problems: TopologyProblem[]) {
    this.#raw = raw;
    this.#file = file;
    this.#problems = problems;
  }

  topology(): Topology {
    const { name, nodes } = this.#raw;
    this.#expect(NAME, name, "name");
    return {
      lab: name,
      file: this.#file,
      nodes: [...nodes].map(([node, settings]) => this.#node(node, settings)),
      links: this.#links(),
    };
  }

  /** For a single value the most specific level wins: node, group, kind, defaults. Mappings merge, lists are joined. */
  #node(name: string, own: RawSettings): LabNode {
    const at = `topology.nodes.${name}`;
    const { defaults, groups, kinds } = this.#raw;
    this.#expect(NAME, name, at);
    const groupName = own.group ?? defaults.group;
    const group = groupName === undefined ? undefined : groups.get(groupName);
    if (groupName !== undefined && group === undefined) {
      this.#problem(
        `${at}.group`,
        `there is no group ${groupName} in topology.groups`,
      );
    }
    const kind = own.kind ?? group?.kind ?? defaults.kind ?? "";
    if (kind !== "linux")
      this.#problem(`${at}.kind`, `only linux is supported: it is "${kind}"`);
    const levels = [defaults, kinds.get(kind), group, own].filter(
      (level) => level !== undefined,
    );
    const last = (
      key: "image" | "hostname" | "cmd" | "networkMode" | "restartPolicy",
    ) =>
      levels
        .map((level) => level[key])
        .findLast((value) => value !== undefined);
    if (last("networkMode") !== "none") {
      this.#problem(
        `${at}.network-mode`,
        "must be none: this runner makes no management network",
      );
    }
    if (last("restartPolicy") !== "no") {
      this.#problem(
        `${at}.restart-policy`,
        'must be "no": a container that is restarted comes back without its links',
      );
    }
    const image = last("image") ?? "";
    if (image === "")
      this.#problem(
        `${at}.image`,
        "is missing; it is not used here, but containerlab needs it",
      );
    const merged = (key: "env" | "labels" | "sysctls") =>
      new Map(levels.flatMap((level) => [...level[key]]));
    const sysctls = merged("sysctls");
    for (const key of sysctls.keys())
      this.#expect(SYSCTL, key, `${at}.sysctls`);
    const joined = (key: "exec" | "binds") => [
      ...new Set(levels.flatMap((level) => level[key])),
    ];
    const magic = (text: string, where: string) =>
      this.#magic(text, name, `${at}.${where}`);
    return {
      name,
      longName: `clab-${this.#raw.name}-${name}`,
      kind,
      group: groupName,
      image,
      hostname: last("hostname") ?? name,
      cmd: this.#words(magic(last("cmd") ?? "", "cmd"), `${at}.cmd`),
      exec: joined("exec").map((line) =>
        this.#words(magic(line, "exec"), `${at}.exec`),
      ),
      binds: this.#binds(
        joined("binds").map((bind) => magic(bind, "binds")),
        `${at}.binds`,
      ),
      env: Object.fromEntries(
        [...merged("env")].map(([key, value]) => [
          key,
          magic(value, `env.${key}`),
        ]),
      ),
      labels: Object.fromEntries(merged("labels")),
      sysctls: Object.fromEntries(sysctls),
    };
  }

  /** Of two binds to one target the later, more specific one counts. */
  #binds(texts: readonly string[], at: string): readonly Bind[] {
    const binds = new Map<string, Bind>();
    for (const text of texts) {
      const [source, target, mode = "rw", ...rest] = text.split(":");
      if (
        !source ||
        !target?.startsWith("/") ||
        rest.length > 0 ||
        !["ro", "rw"].includes(mode)
      ) {
        this.#problem(
          at,
          `must be SOURCE:/TARGET, SOURCE:/TARGET:ro or SOURCE:/TARGET:rw: it is "${text}"`,
        );
      } else {
        const bind = {
          source: path.resolve(path.dirname(this.#file), source),
          target: path.resolve(target),
        };
        binds.set(bind.target, { ...bind, readOnly: mode === "ro" });
      }
    }
    return [...binds.values()];
  }

  #words(line: string, at: string): readonly string[] {
    try {
      return splitWords(line);
    } catch (error) {
      this.#problem(
        at,
        `${error instanceof Error ? error.message : String(error)}: "${line}"`,
      );
      return [];
    }
  }

  #magic(text: string, node: string, at: string): string {
    for (const variable of ["__clabDir__", "__clabNodeDir__"]) {
      if (text.includes(variable))
        this.#problem(
          at,
          `${variable} is not supported: nodes have no folder beside the file`,
        );
    }
    return text
      .replaceAll("__clabNodeName__", node)
      .replaceAll("__clabLabName__", `clab-${this.#raw.name}`);
  }

  #links(): readonly Link[] {
    const seen = new Set<string>();
    return this.#raw.links.map(({ path: at, endpoints: [a, b], mtu }) => {
      const first = this.#endpoint(a, seen, `${at}.endpoints[0]`);
      return {
        endpoints: [first, this.#endpoint(b, seen, `${at}.endpoints[1]`)],
        mtu,
      };
    });
  }

  #endpoint(endpoint: RawEndpoint, seen: Set<string>, at: string): Endpoint {
    const label = `${endpoint.node}:${endpoint.interface}`;
    if (!this.#raw.nodes.has(endpoint.node))
      this.#problem(at, `there is no node ${endpoint.node} in topology.nodes`);
    this.#expect(INTERFACE, endpoint.interface, at);
    if (endpoint.interface === "lo")
      this.#problem(at, "lo exists in each node already");
    if (seen.has(label)) this.#problem(at, `${label} is the end of two links`);
    seen.add(label);
    const mac =
      endpoint.mac?.toLowerCase() ?? stableMac(`${this.#raw.name}/${label}`);
    this.#expect(MAC, mac, at);
    return { node: endpoint.node, interface: endpoint.interface, mac };
  }

  #expect(pattern: RegExp, value: string, at: string): void {
    if (!pattern.test(value))
      this.#problem(at, `"${value}" does not match ${pattern.source}`);
  }

  #problem(at: string, message: string): void {
    this.#problems.push({ path: at, message });
  }
}

/** containerlab's prefix and three bytes of a hash: the same in each deploy, so captures of two runs can be compared. */
function stableMac(label: string): string {
  const bytes = createHash("sha256").update(label).digest().subarray(0, 3);
  return `aa:c1:ab:${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}
