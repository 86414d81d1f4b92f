// SPDX-License-Identifier: Apache-2.0
/**
 * A config draft taken apart into what its checks compare: values of one kind side by side, each with the place where it
 * stands and what to call it in a sentence. What the draft lacks is left out.
 */
import { formatServer, type Prefix } from "../model.ts";
import type { Place, Problem } from "./config-codec.ts";
import type { ConfigDraft } from "./config-schema.ts";
import { hasOnePort, type ServiceKey } from "./service-key.ts";

export type Fact<T> = {
  readonly value: T;
  readonly place: Place;
  readonly name: string;
};

/** One prefix, or a list of them. */
export type PrefixFacts = {
  readonly place: Place;
  readonly prefixes: readonly Fact<Prefix>[];
  /** Nothing of it was malformed or is missing: what is not among `prefixes` is not there. */
  readonly whole: boolean;
};

export type NodeFacts = {
  readonly node: Fact<string>;
  readonly pool: PrefixFacts;
  readonly routerId: readonly Fact<string>[];
  readonly listen: readonly Fact<string>[];
  readonly neighbors: readonly Fact<string>[];
  readonly interfaces: readonly Fact<string>[];
  /** Of its own nats-server. */
  readonly busAddress: readonly Fact<string>[];
};

export type ServiceFacts = {
  readonly service: Fact<string | undefined>;
  readonly vip: readonly Fact<string>[];
  /** What the dataplane finds the service by; none or one. */
  readonly key: readonly Fact<ServiceKey>[];
  readonly serverAddresses: readonly Fact<string>[];
  /** Each server as `formatServer` writes it. */
  readonly servers: readonly Fact<string>[];
};

export function aggregateFacts(draft: ConfigDraft): PrefixFacts {
  return prefixFacts(draft?.aggregate, ["aggregate"], "the aggregate");
}

export function nodeFacts(draft: ConfigDraft): readonly NodeFacts[] {
  return Object.entries(draft?.nodes ?? {}).map(([name, node]) => {
    const at = (...rest: Place): Place => ["nodes", name, ...rest];
    const { router_id, listen = [], neighbors = [] } = node?.routing ?? {};
    return {
      node: { value: name, place: at(), name: `node ${name}` },
      pool: prefixFacts(node?.pool, at("pool"), `the pool of ${name}`),
      routerId: fact(
        router_id,
        at("routing", "router_id"),
        `the router_id of ${name}`,
      ),
      listen: listen.flatMap((address, index) =>
        fact(
          address,
          at("routing", "listen", index),
          `an address that ${name} listens on`,
        ),
      ),
      neighbors: neighbors.flatMap((neighbor, index) =>
        fact(
          neighbor?.address,
          at("routing", "neighbors", index, "address"),
          `a neighbor of ${name}`,
        ),
      ),
      interfaces: (node?.interfaces ?? []).flatMap((one, index) =>
        fact(one, at("interfaces", index), `an interface of ${name}`),
      ),
      busAddress: fact(
        node?.bus?.address,
        at("bus", "address"),
        `the bus address of ${name}`,
      ),
    };
  });
}

export function serviceFacts(draft: ConfigDraft): readonly ServiceFacts[] {
  return (draft?.services ?? []).map((service, index): ServiceFacts => {
    const at = (...rest: Place): Place => ["services", index, ...rest];
    const { name, vip, port, protocol = "tcp", servers = [] } = service ?? {};
    const title = name === undefined ? `services[${index}]` : `service ${name}`;
    const ports =
      port === undefined ? service?.ports : { min: port, max: port };
    const asked = ports !== undefined && hasOnePort({ ports }) ? ports.min : 0;
    return {
      service: { value: name, place: at("name"), name: title },
      vip: fact(vip, at("vip"), `the VIP of ${title}`),
      key: fact(
        vip === undefined || ports === undefined
          ? undefined
          : { vip, ports, protocol },
        at(),
        title,
      ),
      serverAddresses: servers.flatMap((server, position) =>
        fact(
          server?.address,
          at("servers", position, "address"),
          `a server of ${title}`,
        ),
      ),
      servers: servers.flatMap((server, position) =>
        fact(
          server?.address === undefined
            ? undefined
            : formatServer({
                address: server.address,
                port: server.port ?? asked,
              }),
          at("servers", position),
          `a server of ${title}`,
        ),
      ),
    };
  });
}

function prefixFacts(
  value: Prefix | readonly (Prefix | undefined)[] | undefined,
  place: Place,
  name: string,
): PrefixFacts {
  if (!isList(value))
    return {
      place,
      prefixes: fact(value, place, name),
      whole: value !== undefined,
    };
  return {
    place,
    prefixes: value.flatMap((one, index) => fact(one, [...place, index], name)),
    whole: !value.includes(undefined),
  };
}

/** Array.isArray() does not know of readonly lists. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function fact<T>(
  value: T | undefined,
  place: Place,
  name: string,
): readonly Fact<T>[] {
  return value === undefined ? [] : [{ value, place, name }];
}

/** Each fact whose value an earlier one has, with that first one. */
export function repeats<T>(
  facts: readonly Fact<T>[],
): readonly (readonly [repeat: Fact<T>, first: Fact<T>])[] {
  const firstOf = new Map<T, Fact<T>>();
  return facts.flatMap((fact) => {
    const first = firstOf.get(fact.value);
    if (first !== undefined) return [[fact, first] as const];
    firstOf.set(fact.value, fact);
    return [];
  });
}

export function problem<T>(
  { place, value }: Fact<T>,
  message: string,
  hint: string,
): Problem {
  return { place, value, message, hint };
}

export function when(condition: boolean, one: Problem): readonly Problem[] {
  return condition ? [one] : [];
}
