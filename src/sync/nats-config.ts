// SPDX-License-Identifier: Apache-2.0
import { isIPv6 } from "node:net";
import type { NodeBus, TlsFiles } from "../model.ts";

export type NatsConfig = {
  readonly node: string;
  readonly cluster: string;
  readonly self: NodeBus;
  /** All other nodes: the servers form a full mesh. */
  readonly peers: readonly NodeBus[];
  /** Both ways: clients and servers must show a certificate of this authority. */
  readonly tls?: TlsFiles | undefined;
  /** Where the server leaves its process id, and the file that says on which port its monitoring listens. */
  readonly directory: string;
};

/** Of the process, in `directory`. */
export const PID_FILE = "nats-server.pid";

export function natsUrl({ address, clientPort }: NodeBus): string {
  return `nats://${hostPort(address, clientPort)}`;
}

/**
 * The text of nats-server's config file, for 2.9 and later. A peer that is gone is noticed within 6 s by a server that has
 * nothing to say: two pings of 2 s that are not answered; and 2 s after its send buffer is full (the defaults are 4 min and
 * 10 s). In between, dead-routes.ts does.
 */
export function renderNatsConfig(config: NatsConfig): string {
  const { self, tls } = config;
  const routes = config.peers.map(
    ({ address, clusterPort }) =>
      `    ${quote(`nats-route://${hostPort(address, clusterPort)}`)}\n`,
  );
  return `# Written by weir. Changes are lost.
server_name: ${quote(config.node)}
listen: ${quote(hostPort(self.address, self.clientPort))}
max_payload: 1MB
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
pid_file: ${quote(`${config.directory}/${PID_FILE}`)}
# The agent looks there whether the server is alive. The port is any that is free; the ports file names it.
http: "127.0.0.1:-1"
ports_file_dir: ${quote(config.directory)}
${tls ? renderTls(tls, "") : ""}cluster {
  name: ${quote(config.cluster)}
  listen: ${quote(hostPort(self.address, self.clusterPort))}
  # Clients know all servers from their own config.
  no_advertise: true
  routes: [
${routes.join("")}  ]
${tls ? renderTls(tls, "  ") : ""}}
`;
}

function renderTls({ ca, cert, key }: TlsFiles, indent: string): string {
  return [
    "tls {",
    `  ca_file: ${quote(ca)}`,
    `  cert_file: ${quote(cert)}`,
    `  key_file: ${quote(key)}`,
    "  verify: true",
    "}",
  ]
    .map((line) => `${indent}${line}\n`)
    .join("");
}

function hostPort(address: string, port: number): string {
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** nats-server reads the escapes of JSON that paths and names may need. */
function quote(text: string): string {
  return JSON.stringify(text);
}
