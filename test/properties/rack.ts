// SPDX-License-Identifier: Apache-2.0
/** A director's settings with every kind of service: for the properties of its translation, and for the fuzzer. */
import { address, rangeOf } from "../model/translate/address.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import type { TransportProtocol } from "../model/translate/transport.ts";
import type {
  Hop,
  RealServer,
  Service,
  Settings,
} from "../model/translate/world.ts";

const SMAC = "02:00:00:00:04:00";
const MTU = 1500;

const hop = (last: string, vlan = 0): Hop => ({
  dmac: `02:00:00:00:04:${last}`,
  smac: SMAC,
  vlan,
  mtu: MTU,
});

const { tcp, udp } = PROTOCOL;

function reals(...texts: readonly string[]): readonly RealServer[] {
  return texts.map((text, i) => {
    const [host = "", port = "0"] = text.split(" ");
    return {
      address: address(host),
      port: Number(port),
      hop: hop(`1${i}`, 10 * i),
    };
  });
}

function service(
  vip: string,
  protocol: TransportProtocol,
  [min, max]: readonly [number, number],
  servers: readonly RealServer[],
): Service {
  return { vip: address(vip), protocol, ports: { min, max }, reals: servers };
}

const one = (port: number) => [port, port] as const;
const ALL = [0, 65_535] as const;

/** One real server serves IPv4 and IPv6 clients on the same port: their sessions are in different tables. */
export const SERVICES: readonly Service[] = [
  service("192.0.2.10", tcp, one(80), reals("10.3.1.2 8080", "10.3.2.2 80")),
  service("192.0.2.10", udp, one(53), reals("10.3.1.2 5353")),
  service("192.0.2.10", tcp, [8000, 8999], reals("10.3.1.3", "10.3.1.4")),
  service("192.0.2.10", tcp, one(8080), reals("10.3.1.5 80")),
  service("192.0.2.11", udp, ALL, reals("10.3.1.6", "10.3.1.7")),
  service("192.0.2.12", tcp, one(80), reals("2001:db8:3::2 8080")),
  service("192.0.2.12", udp, one(53), reals("2001:db8:3::2 53")),
  service("192.0.2.12", udp, [5000, 5999], reals("2001:db8:3::3")),
  service("192.0.2.13", tcp, one(80), []),
  service("2001:db8:5::10", tcp, one(80), reals("2001:db8:3::2 8080")),
  service("2001:db8:5::10", udp, one(53), reals("2001:db8:3::2 5353")),
  service("2001:db8:5::11", udp, ALL, reals("2001:db8:3::4")),
  service("2001:db8:5::12", tcp, one(80), reals("10.3.1.2 8080")),
  service("2001:db8:5::12", udp, one(53), reals("10.3.1.2 5353")),
  service("2001:db8:5::12", tcp, [443, 450], reals("10.3.1.9")),
];

export const RACK: Settings = {
  services: SERVICES,
  otherVips: [],
  aggregates: [rangeOf("10.200.0.0/24"), rangeOf("2001:db8:200::/112")],
  pools: [rangeOf("10.200.0.16/28"), rangeOf("2001:db8:200::10/124")],
  ports: { min: 1024, max: 65_535 },
  unknownPort: "reject",
  options: "pass",
  clients: { 4: hop("01"), 6: hop("02", 30) },
  clientPrefixes: [rangeOf("198.18.0.0/15"), rangeOf("2001:db8:c::/64")],
};
