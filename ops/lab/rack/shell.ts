// SPDX-License-Identifier: Apache-2.0
// A shell for each connection, as a telnet server without a password: what a person at a remote machine's prompt has.
// `node shell.ts PORT`.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const [port] = process.argv.slice(2);

createServer((socket) => {
  socket.on("error", () => {}); // The client has gone without a word.
  // Not before: a health check says nothing.
  socket.once("data", (first) => {
    const shell = spawn("bash", ["--norc"], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    shell.stdin.on("error", () => {}); // `exit` was typed.
    shell.stdin.write(first);
    socket.pipe(shell.stdin);
    shell.stdout.pipe(socket, { end: false });
    shell.stderr.pipe(socket, { end: false });
    shell.on("close", () => socket.end());
    socket.on("close", () => shell.kill("SIGKILL"));
  });
}).listen(Number(port));
