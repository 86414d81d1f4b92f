// SPDX-License-Identifier: Apache-2.0
// Strict decoding of the YAML of a topology file. Every problem is noted with its path and decoding goes on, so that one
// run shows all of them; what could not be decoded is left out of the result, which is only used when nothing was noted.

import type { TopologyProblem } from "./errors.ts";

/** What a node, a kind, a group or the defaults may say: the level at which it was said is decided later. */
export type RawSettings = {
  readonly kind?: string;
  readonly group?: string;
  readonly image?: string;
  readonly hostname?: string;
  readonly cmd?: string;
  readonly networkMode?: string;
  readonly restartPolicy?: string;
  readonly env: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly sysctls: ReadonlyMap<string, string>;
  readonly exec: readonly string[];
  readonly binds: readonly string[];
};

export type RawEndpoint = {
  readonly node: string;
  readonly interface: string;
  readonly mac?: string;
};
export type RawLink = {
  /** Where the file says it, for later problems: links that could not be decoded are left out. */
  readonly path: string;
  readonly endpoints: readonly [RawEndpoint, RawEndpoint];
  readonly mtu: number;
};

export type RawTopology = {
  readonly name: string;
  readonly defaults: RawSettings;
  readonly kinds: ReadonlyMap<string, RawSettings>;
  readonly groups: ReadonlyMap<string, RawSettings>;
  readonly nodes: ReadonlyMap<string, RawSettings>;
  readonly links: readonly RawLink[];
};

/** containerlab's own default. Native XDP on veth refuses peers above about 3500: our files say 1500 on each link. */
const LINK_MTU_DEFAULT = 9500;
const LINK_MTU_MIN = 68;
const LINK_MTU_MAX = 65535;

/** Keys that only say how containers are obtained or shielded; namespaces have no counterpart, so they change nothing. */
const IGNORED_KEYS = ["image-pull-policy"];
const NODE_KEYS = [
  "kind",
  "group",
  "image",
  "hostname",
  "cmd",
  "network-mode",
  "restart-policy",
  "privileged",
  "env",
  "labels",
  "sysctls",
  "exec",
  "binds",
  ...IGNORED_KEYS,
];

type Fields = ReadonlyMap<string, unknown>;

/** Decodes the plain values that the YAML parser returned (maps as `Map`). Problems are appended to `problems`. */
export function decodeTopology(
  document: unknown,
  problems: TopologyProblem[],
): RawTopology {
  return new Decoder(problems).topology(document);
}

class Decoder {
  readonly #problems: TopologyProblem[];

  constructor(problems: TopologyProblem[]) {
    this.#problems = problems;
  }

  topology(document: unknown): RawTopology {
    const top = this.#fields(document, "", ["name", "mgmt", "topology"]);
    const mgmt = this.#fields(top.get("mgmt"), "mgmt", ["skip-when-unused"]);
    if (mgmt.has("skip-when-unused") && mgmt.get("skip-when-unused") !== true) {
      this.#problem(
        "mgmt.skip-when-unused",
        "only true is supported: nodes have no management network here",
      );
    }
    if (!top.has("topology")) this.#problem("topology", "is missing");
    const topology = this.#fields(top.get("topology"), "topology", [
      "defaults",
      "kinds",
      "groups",
      "nodes",
      "links",
    ]);
    const nodes = this.#settingsByName(topology.get("nodes"), "topology.nodes");
    if (nodes.size === 0)
      this.#problem("topology.nodes", "there is not a single node");
    return {
      name: this.#string(top.get("name"), "name") ?? "",
      defaults: this.#settings(topology.get("defaults"), "topology.defaults"),
      kinds: this.#settingsByName(topology.get("kinds"), "topology.kinds"),
      groups: this.#settingsByName(topology.get("groups"), "topology.groups"),
      nodes,
      links: this.#list(topology.get("links"), "topology.links").flatMap(
        (link, index) => this.#link(link, `topology.links[${index}]`),
      ),
    };
  }

  #settingsByName(
    value: unknown,
    path: string,
  ): ReadonlyMap<string, RawSettings> {
    const entries = [...this.#fields(value, path)];
    return new Map(
      entries.map(([name, settings]) => [
        name,
        this.#settings(settings, `${path}.${name}`),
      ]),
    );
  }

  #settings(value: unknown, path: string): RawSettings {
    const fields = this.#fields(value, path, NODE_KEYS);
    const optional = (key: string) =>
      fields.has(key)
        ? this.#string(fields.get(key), `${path}.${key}`)
        : undefined;
    if (fields.has("privileged") && fields.get("privileged") !== true) {
      this.#problem(
        `${path}.privileged`,
        "only true is supported: a node here has all of root's capabilities",
      );
    }
    return withoutUndefined({
      kind: optional("kind"),
      group: optional("group"),
      image: optional("image"),
      hostname: optional("hostname"),
      cmd: optional("cmd"),
      networkMode: optional("network-mode"),
      restartPolicy: optional("restart-policy"),
      env: this.#scalars(fields.get("env"), `${path}.env`),
      labels: this.#scalars(fields.get("labels"), `${path}.labels`),
      sysctls: this.#scalars(fields.get("sysctls"), `${path}.sysctls`),
      exec: this.#strings(fields.get("exec"), `${path}.exec`),
      binds: this.#strings(fields.get("binds"), `${path}.binds`),
    });
  }

  #link(value: unknown, path: string): readonly RawLink[] {
    const fields = this.#fields(value, path, ["type", "endpoints", "mtu"]);
    const type = fields.get("type") ?? "veth";
    if (type !== "veth")
      this.#problem(
        `${path}.type`,
        `only veth is supported: it is ${show(type)}`,
      );
    const mtu = fields.get("mtu") ?? LINK_MTU_DEFAULT;
    const endpoints = this.#list(
      fields.get("endpoints"),
      `${path}.endpoints`,
    ).flatMap((endpoint, index) =>
      this.#endpoint(endpoint, `${path}.endpoints[${index}]`),
    );
    if (
      typeof mtu !== "number" ||
      !Number.isInteger(mtu) ||
      mtu < LINK_MTU_MIN ||
      mtu > LINK_MTU_MAX
    ) {
      this.#problem(
        `${path}.mtu`,
        `must be a whole number from ${LINK_MTU_MIN} to ${LINK_MTU_MAX}: it is ${show(mtu)}`,
      );
      return [];
    }
    const [a, b] = endpoints;
    if (a === undefined || b === undefined || endpoints.length !== 2) {
      this.#problem(
        `${path}.endpoints`,
        "must be a list of exactly two endpoints",
      );
      return [];
    }
    return [{ path, endpoints: [a, b], mtu }];
  }

  /** `r1:eth1`, or `{node: r1, interface: eth1, mac: ...}`. */
  #endpoint(value: unknown, path: string): readonly RawEndpoint[] {
    if (typeof value === "string") {
      const [node, name, ...rest] = value.split(":");
      if (node && name && rest.length === 0) return [{ node, interface: name }];
      this.#problem(path, `must be NODE:INTERFACE: it is ${show(value)}`);
      return [];
    }
    const fields = this.#fields(value, path, ["node", "interface", "mac"]);
    const node = this.#string(fields.get("node"), `${path}.node`);
    const name = this.#string(fields.get("interface"), `${path}.interface`);
    const mac = fields.has("mac")
      ? this.#string(fields.get("mac"), `${path}.mac`)
      : undefined;
    if (node === undefined || name === undefined) return [];
    return [withoutUndefined({ node, interface: name, mac })];
  }

  /** A mapping with string keys; an absent one is empty. With `known`, any other key is a problem. */
  #fields(value: unknown, path: string, known?: readonly string[]): Fields {
    const fields = new Map<string, unknown>();
    if (value === undefined || value === null) return fields;
    if (!(value instanceof Map)) {
      this.#problem(path, `must be a mapping: it is ${show(value)}`);
      return fields;
    }
    for (const [key, field] of value) {
      const name = String(key);
      if (known !== undefined && !known.includes(name)) {
        this.#problem(
          path === "" ? name : `${path}.${name}`,
          `is not supported here; supported: ${known.join(", ")}`,
        );
      } else {
        fields.set(name, field);
      }
    }
    return fields;
  }

  #list(value: unknown, path: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.#problem(path, `must be a list: it is ${show(value)}`);
    return [];
  }

  #strings(value: unknown, path: string): readonly string[] {
    return this.#list(value, path).flatMap(
      (item, index) => this.#string(item, `${path}[${index}]`) ?? [],
    );
  }

  #string(value: unknown, path: string): string | undefined {
    if (typeof value === "string" && value !== "") return value;
    this.#problem(
      path,
      value === undefined
        ? "is missing"
        : `must be a text: it is ${show(value)}`,
    );
    return undefined;
  }

  /** A mapping to texts in which YAML may have read numbers and booleans, such as `net.ipv4.ip_forward: 1`. */
  #scalars(value: unknown, path: string): ReadonlyMap<string, string> {
    const texts = new Map<string, string>();
    for (const [key, item] of this.#fields(value, path)) {
      if (["string", "number", "boolean"].includes(typeof item))
        texts.set(key, String(item));
      else
        this.#problem(
          `${path}.${key}`,
          `must be a text or a number: it is ${show(item)}`,
        );
    }
    return texts;
  }

  #problem(path: string, message: string): void {
    this.#problems.push({ path, message });
  }
}

function show(value: unknown): string {
  if (value instanceof Map) return "a mapping";
  return Array.isArray(value) ? "a list" : JSON.stringify(value);
}

/** The same object without the keys that are undefined: optional keys are absent, never present and undefined. */
function withoutUndefined<T extends object>(
  object: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(entries) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
