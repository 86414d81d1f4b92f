// SPDX-License-Identifier: Apache-2.0
import { createConnection } from "node:net";

/** Where nats-server listens for clients. */
export type ServerAddress = { readonly host: string; readonly port: number };

const DEFAULT_PORT = 4222;

/** Of `nats://10.1.1.2:4222`. */
export function addressOf(url: string): ServerAddress {
  const { hostname, port } = new URL(url);
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? DEFAULT_PORT : Number(port),
  };
}

/**
 * Does a nats-server answer there? It greets each client first, with TLS too. The kernel alone accepts connections, so a
 * frozen one is told from a live one by that greeting only.
 */
export function answers(
  { host, port }: ServerAddress,
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const end = (answered: boolean) => {
      clearTimeout(limit);
      socket.destroy();
      resolve(answered);
    };
    const limit = setTimeout(() => end(false), timeoutMs);
    socket.on("data", (greeting) =>
      end(greeting.toString().startsWith("INFO")),
    );
    socket.on("error", () => end(false));
    socket.on("close", () => end(false));
  });
}
