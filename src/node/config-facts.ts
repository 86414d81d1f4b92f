// SPDX-License-Identifier: Apache-2.0
/**
 * A config draft taken apart into what its checks compare: values of one kind side by side, each with the place where it
 * stands and what to call it in a sentence. What the draft lacks is left out.
 */
import type { Prefix } from "../model.ts";
import type { Place, Problem } from "./config-codec.ts";
import type { ConfigDraft } from "./config-schema.ts";

export type Fact<T> = {
  readonly value: T;
  readonly place: Place;
  readonly name: string;
};

export type NodeFacts = {
  readonly node: Fact<string>;
  readonly pool: readonly Fact<Prefix>[];
  readonly routerId: readonly Fact<string>[];
  readonly listen: readonly Fact<string>[];
  readonly neighbors: readonly Fact<string>[];
  readonly interfaces: readonly Fact<string>[];
  /** Of its own nats-server, IPv4 or IPv6. */
  readonly busAddress: readonly Fact<string>[];
};

export type ServiceFacts = {
  readonly service: Fact<string | undefined>;
  readonly vip: readonly Fact<string>[];
  /** `vip:port/protocol`: what the dataplane finds the service by. */
  readonly endpoint: readonly Fact<string>[];
  readonly serverAddresses: readonly Fact<string>[];
  /** `address:port` of each server. */
  readonly serverEndpoints: readonly Fact<string>[];
};

/** The aggregate; none or one. */
export function aggregateFact(draft: ConfigDraft): readonly Fact<Prefix>[] {
  return fact(draft?.aggregate, ["aggregate"], "the aggregate");
}

export function nodeFacts(draft: ConfigDraft): readonly NodeFacts[] {
  return Object.entries(draft?.nodes ?? {}).map(([name, node]) => {
    const at = (...rest: Place): Place => ["nodes", name, ...rest];
    const { router_id, listen = [], neighbors = [] } = node?.routing ?? {};
    return {
      node: { value: name, place: at(), name: `node ${name}` },
      pool: fact(node?.pool, at("pool"), `the pool of ${name}`),
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
    return {
      service: { value: name, place: at("name"), name: title },
      vip: fact(vip, at("vip"), `the VIP of ${title}`),
      endpoint: fact(endpointText(vip, port, `/${protocol}`), at(), title),
      serverAddresses: servers.flatMap((server, position) =>
        fact(
          server?.address,
          at("servers", position, "address"),
          `a server of ${title}`,
        ),
      ),
      serverEndpoints: servers.flatMap((server, position) =>
        fact(
          endpointText(server?.address, server?.port),
          at("servers", position),
          `a server of ${title}`,
        ),
      ),
    };
  });
}

function endpointText(
  address: string | undefined,
  port: number | undefined,
  rest = "",
): string | undefined {
  return address === undefined || port === undefined
    ? undefined
    : `${address}:${port}${rest}`;
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
