// SPDX-License-Identifier: Apache-2.0
/** From what the dataplane's configuration maps hold to what they should: which writes, in which order. */
import { isDeepStrictEqual } from "node:util";
import type { Dataplane } from "./dataplane.ts";
import type { DataplaneState, ServiceState } from "./desired.ts";
import type { EgressGroup } from "./egress.ts";
import type { Prefix } from "../model.ts";
import { formatPrefix, parsePrefix } from "../model.ts";
import { serviceId } from "./service-key.ts";
import type { NodePlace, Owner, RealServerSlot } from "./words.ts";
import { egressOf, egressOfClients } from "./words.ts";

export type Action =
  | { readonly kind: "setNode"; readonly place: NodePlace }
  | {
      readonly kind: "setPrefix";
      readonly prefix: string;
      readonly owner: Owner;
    }
  | { readonly kind: "dropPrefix"; readonly prefix: string }
  | {
      readonly kind: "setEgress";
      readonly number: number;
      readonly group: EgressGroup;
    }
  | { readonly kind: "dropEgress"; readonly number: number }
  | {
      readonly kind: "setRealServer";
      readonly number: number;
      readonly slot: RealServerSlot;
    }
  | { readonly kind: "dropRealServer"; readonly number: number }
  | { readonly kind: "clearTraffic"; readonly number: number }
  | {
      readonly kind: "setService";
      readonly number: number;
      readonly service: ServiceState;
    }
  | { readonly kind: "dropService"; readonly number: number };

/**
 * Each thing is filled before something refers to it, and no longer referred to before it goes. A number that changes hands
 * is freed before it is given. Nothing to do = no actions.
 */
export function plan(
  desired: DataplaneState,
  observed: DataplaneState,
): readonly Action[] {
  const actions: Action[] = [];
  for (const [number, service] of observed.services)
    if (!isSameService(service, desired.services.get(number)))
      actions.push({ kind: "dropService", number });
  if (
    desired.node !== undefined &&
    !isDeepStrictEqual(desired.node, observed.node)
  )
    actions.push({ kind: "setNode", place: desired.node });
  for (const [prefix, owner] of changed(desired.prefixes, observed.prefixes))
    actions.push({ kind: "setPrefix", prefix, owner });
  for (const [number, group] of changed(desired.egress, observed.egress))
    actions.push({ kind: "setEgress", number, group });
  for (const [number, slot] of changed(
    desired.realServers,
    observed.realServers,
  )) {
    if (!isSameServer(slot, observed.realServers.get(number)))
      actions.push({ kind: "clearTraffic", number });
    actions.push({ kind: "setRealServer", number, slot });
  }
  for (const [number, service] of changed(desired.services, observed.services))
    actions.push({ kind: "setService", number, service });

  for (const number of gone(desired.realServers, observed.realServers))
    actions.push({ kind: "dropRealServer", number });
  for (const number of gone(desired.egress, observed.egress))
    actions.push({ kind: "dropEgress", number });
  for (const prefix of gone(desired.prefixes, observed.prefixes))
    actions.push({ kind: "dropPrefix", prefix });
  return actions;
}

/** Throws AddonError as the maps do; what was done before stays done. */
export function perform(dataplane: Dataplane, action: Action): void {
  switch (action.kind) {
    case "setNode":
      return dataplane.nodes.set(0, action.place);
    case "setPrefix":
      return dataplane.prefixes.set(prefixOf(action.prefix), action.owner);
    case "dropPrefix":
      return void dataplane.prefixes.delete(prefixOf(action.prefix));
    case "setEgress":
      return dataplane.egressGroups.set(action.number, action.group);
    case "dropEgress":
      return dataplane.egressGroups.clear(action.number);
    case "setRealServer":
      return dataplane.realServers.set(action.number, action.slot);
    case "dropRealServer":
      return dataplane.realServers.clear(action.number);
    case "clearTraffic":
      return dataplane.clearTraffic(action.number);
    case "setService": {
      const { key, schedule, scheduler, sync, wide } = action.service;
      const policy = { scheduler, sync, wide };
      return dataplane.setService(action.number, key, policy, schedule);
    }
    case "dropService":
      return dataplane.removeService(action.number);
  }
}

/** What an earlier agent left in the maps; all empty after a first load. */
export function observe(dataplane: Dataplane): DataplaneState {
  const services = new Map<number, ServiceState>();
  for (let number = 0; number < dataplane.services.length; number++) {
    const slot = dataplane.services.get(number);
    if (slot === undefined) continue;
    const { vip, ports, protocol, scheduler, sync, wide, row, entries } = slot;
    const key = { vip, ports, protocol };
    services.set(number, {
      key,
      scheduler,
      sync,
      wide,
      indexed: dataplane.isIndexed(number, key),
      // A row that is all zeros stands for real server 0, and not for nothing.
      schedule: Uint16Array.from(
        dataplane.schedules.get(row) ?? new Uint16Array(entries),
      ).slice(0, entries),
    });
  }
  const realServers = new Map<number, RealServerSlot>();
  const egress = new Map<number, EgressGroup>();
  const readEgress = (number: number): void => {
    const group = dataplane.egressGroups.get(number);
    if (group !== undefined) egress.set(number, group);
  };
  readEgress(egressOfClients(4));
  readEgress(egressOfClients(6));
  for (let number = 0; number < dataplane.realServers.length; number++) {
    const slot = dataplane.realServers.get(number);
    if (slot !== undefined) realServers.set(number, slot);
    readEgress(egressOf(number));
  }
  const prefixes = new Map<string, Owner>();
  for (const prefix of dataplane.prefixes.keys()) {
    const owner = dataplane.prefixes.get(prefix);
    if (owner !== undefined) prefixes.set(formatPrefix(prefix), owner);
  }
  return {
    node: dataplane.nodes.get(0),
    services,
    realServers,
    egress,
    prefixes,
  };
}

/** What `desired` has and `observed` has not, or has otherwise. */
function changed<K, V>(
  desired: ReadonlyMap<K, V>,
  observed: ReadonlyMap<K, V>,
): readonly (readonly [K, V])[] {
  return [...desired].filter(
    ([key, value]) => !isDeepStrictEqual(value, observed.get(key)),
  );
}

/** Not so if its sessions move to the other table: no packet may see half of that change. */
function isSameService(
  { key, wide }: ServiceState,
  other: ServiceState | undefined,
): boolean {
  return (
    other !== undefined &&
    serviceId(other.key) === serviceId(key) &&
    other.wide === wide
  );
}

function isSameServer(
  slot: RealServerSlot,
  other: RealServerSlot | undefined,
): boolean {
  const { address, port, service } = slot;
  return (
    address === other?.address &&
    port === other.port &&
    service === other.service
  );
}

function gone<K>(
  desired: ReadonlyMap<K, unknown>,
  observed: ReadonlyMap<K, unknown>,
): readonly K[] {
  return [...observed.keys()].filter((key) => !desired.has(key));
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined)
    throw new RangeError(`Cannot read a prefix: current value is ${text}`);
  return prefix;
}
