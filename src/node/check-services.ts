// SPDX-License-Identifier: Apache-2.0
/** The services and their real servers: what `check` says about each, and about how they fit each other. */
import { familyOf } from "../model.ts";
import type { Problem } from "./config-codec.ts";
import {
  type Fact,
  problem,
  repeats,
  type ServiceFacts,
  when,
} from "./config-facts.ts";
import type { ConfigDraft } from "./config-schema.ts";
import { hasOnePort, serviceId, type ServiceKey } from "./service-key.ts";

type DraftService = NonNullable<NonNullable<ConfigDraft>["services"]>[number];

/** A longer list would leave a server fewer than 16 of a schedule's 16,381 entries. */
export const SERVERS_PER_SERVICE_MAX = 1_000;

export function checkServices(
  draft: ConfigDraft,
  services: readonly ServiceFacts[],
): readonly Problem[] {
  const names = services.flatMap(({ service: { value, ...rest } }) =>
    value === undefined ? [] : [{ value, ...rest }],
  );
  return [
    ...repeats(names).map(([name]) =>
      problem(
        name,
        "is the name of an earlier service too",
        "rename one of the two",
      ),
    ),
    ...checkKeys(services.flatMap(({ key }) => key)),
    ...services
      .flatMap(({ servers }) => repeats(servers))
      .map(([server]) =>
        problem(
          server,
          "is a duplicate server of this service",
          "remove one of the two, and use weight for more",
        ),
      ),
    ...services.flatMap(checkServerFamilies),
    ...checkHealth(draft),
    ...checkSizes(draft),
  ];
}

/** A single port within another service's range is no mistake: it is taken out of the range. */
function checkKeys(keys: readonly Fact<ServiceKey>[]): readonly Problem[] {
  const texts = keys.map((key) => ({ ...key, value: serviceId(key.value) }));
  const ranges = keys.filter(({ value }) => !hasOnePort(value));
  return [
    ...repeats(texts).map(([text, first]) =>
      problem(
        text,
        `is a duplicate service: ${first.name} has this VIP, port and protocol too`,
        "merge the two, or change one",
      ),
    ),
    ...ranges.flatMap((range, index) => {
      const other = ranges
        .slice(0, index)
        .find((earlier) => overlap(earlier.value, range.value));
      return other === undefined
        ? []
        : [
            problem(
              { ...range, value: serviceId(range.value) },
              `overlaps ${other.name}, ${serviceId(other.value)}`,
              "only single ports may be taken out of a range: divide the ports",
            ),
          ];
    }),
  ];
}

/** Of different ranges of one VIP and protocol; equal ones are duplicates. */
function overlap(a: ServiceKey, b: ServiceKey): boolean {
  return (
    serviceId(a) !== serviceId(b) &&
    a.vip === b.vip &&
    a.protocol === b.protocol &&
    a.ports.min <= b.ports.max &&
    b.ports.min <= a.ports.max
  );
}

function checkServerFamilies({
  service,
  serverAddresses,
}: ServiceFacts): readonly Problem[] {
  const [first, ...others] = serverAddresses;
  if (first === undefined) return [];
  const family = familyOf(first.value);
  return others
    .filter(({ value }) => familyOf(value) !== family)
    .map((other) =>
      problem(
        other,
        `is IPv${familyOf(other.value)}, and ${first.value} of ${service.name} is IPv${family}`,
        "the real servers of a service speak one family: make two services of it",
      ),
    );
}

function checkHealth(draft: ConfigDraft): readonly Problem[] {
  return (draft?.services ?? []).flatMap((service, index) => {
    const { type, port } = service?.health ?? {};
    if (type === undefined || type === "none" || port !== undefined) return [];
    const reason = whyNothingToAsk(service);
    return when(reason !== undefined, {
      place: ["services", index, "health", "port"],
      value: undefined,
      message: `is missing: type ${type} needs one, because ${reason}`,
      hint: "name the port on which the real servers answer, or write type: none",
    });
  });
}

/** Undefined: each real server has a port that answers a connection. */
function whyNothingToAsk(service: DraftService): string | undefined {
  if (service?.protocol === "udp") return "nobody connects to a UDP port";
  const { port, ports, servers = [] } = service ?? {};
  if (port !== undefined || ports === undefined || hasOnePort({ ports }))
    return undefined;
  const without = servers.findIndex(
    (server) => server !== undefined && server.port === undefined,
  );
  return without < 0 ? undefined : `servers[${without}] has none of its own`;
}

function checkSizes(draft: ConfigDraft): readonly Problem[] {
  const { services, limits } = draft ?? {};
  const servers = (services ?? []).map(
    (service) => service?.servers?.length ?? 0,
  );
  const serversTotal = servers.reduce((sum, count) => sum + count, 0);
  const over = (count: number, max: number | undefined): boolean =>
    max !== undefined && count > max;
  return [
    ...servers.flatMap((count, index) =>
      when(count > SERVERS_PER_SERVICE_MAX, {
        place: ["services", index, "servers"],
        value: count,
        message: `has more than ${SERVERS_PER_SERVICE_MAX} servers`,
        hint: "split the service",
      }),
    ),
    ...when(over(services?.length ?? 0, limits?.services), {
      place: ["services"],
      value: services?.length,
      message: `has more services than limits.services allows, ${limits?.services}`,
      hint: "raise limits.services",
    }),
    ...when(over(serversTotal, limits?.real_servers), {
      place: ["services"],
      value: serversTotal,
      message: `has more real servers in all than limits.real_servers allows, ${limits?.real_servers}`,
      hint: "raise limits.real_servers; an address that serves two services counts twice",
    }),
  ];
}
