// SPDX-License-Identifier: Apache-2.0
// A UDP echo: `node echo.ts PORT`. Each answer is a line that says which machine gives it and which peer it saw (with
// FULLNAT: the director's LIP and port), then the datagram as it came.

import { createSocket } from "node:dgram";
import { hostname } from "node:os";

const [port] = process.argv.slice(2);

// Hears IPv4, too, from addresses such as ::ffff:10.200.0.1.
const socket = createSocket("udp6");
socket.on("message", (message, peer) => {
  const address = peer.address.replace(/^::ffff:/, "");
  const witness = `${hostname()} ${address} ${peer.port}\n`;
  socket.send([witness, message], peer.port, peer.address, (error) => {
    if (error) process.stderr.write(`${error.message}\n`);
  });
});
socket.bind(Number(port));
