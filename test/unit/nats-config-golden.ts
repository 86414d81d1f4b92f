// SPDX-License-Identifier: Apache-2.0
// Configs, and what nats-server reads of them. That it accepts these texts is tested in the lab suite.
import type { NatsConfig } from "../../src/sync/nats-config.ts";

export const SINGLE: NatsConfig = {
  node: "d1",
  cluster: "rack1",
  self: { address: "10.1.1.2", clientPort: 4222, clusterPort: 6222 },
  peers: [],
  directory: "/run/weir/nats",
};

export const FULL: NatsConfig = {
  ...SINGLE,
  self: { address: "::1", clientPort: 14222, clusterPort: 16222 },
  peers: [
    { address: "10.1.2.2", clientPort: 4222, clusterPort: 6222 },
    { address: "2001:db8::3", clientPort: 4222, clusterPort: 7222 },
  ],
  tls: {
    ca: "/etc/weir/ca.pem",
    cert: '/etc/weir/d1 "first".pem',
    key: "/etc/weir/d1.key",
  },
};

export const GOLDEN: Readonly<Record<string, string>> = {
  SINGLE: String.raw`# Written by weir. Changes are lost.
server_name: "d1"
listen: "10.1.1.2:4222"
max_payload: 1MB
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
pid_file: "/run/weir/nats/nats-server.pid"
# The agent looks there whether the server is alive. The port is any that is free; the ports file names it.
http: "127.0.0.1:-1"
ports_file_dir: "/run/weir/nats"
cluster {
  name: "rack1"
  listen: "10.1.1.2:6222"
  # Clients know all servers from their own config.
  no_advertise: true
  routes: [
  ]
}
`,
  FULL: String.raw`# Written by weir. Changes are lost.
server_name: "d1"
listen: "[::1]:14222"
max_payload: 1MB
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
pid_file: "/run/weir/nats/nats-server.pid"
# The agent looks there whether the server is alive. The port is any that is free; the ports file names it.
http: "127.0.0.1:-1"
ports_file_dir: "/run/weir/nats"
tls {
  ca_file: "/etc/weir/ca.pem"
  cert_file: "/etc/weir/d1 \"first\".pem"
  key_file: "/etc/weir/d1.key"
  verify: true
}
cluster {
  name: "rack1"
  listen: "[::1]:16222"
  # Clients know all servers from their own config.
  no_advertise: true
  routes: [
    "nats-route://10.1.2.2:6222"
    "nats-route://[2001:db8::3]:7222"
  ]
  tls {
    ca_file: "/etc/weir/ca.pem"
    cert_file: "/etc/weir/d1 \"first\".pem"
    key_file: "/etc/weir/d1.key"
    verify: true
  }
}
`,
};
