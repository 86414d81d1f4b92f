// SPDX-License-Identifier: Apache-2.0
// dead-routes-node.ts ADDRESS PORT: talks to a server there all the time. For each line on standard input it ends what is dead,
// and prints how many. Prints "connected" and "ended CODE".
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { endDeadRoutes } from "../../src/sync/dead-routes.ts";

const TALK_MS = 50;

const [address = "", port = ""] = process.argv.slice(2);
const bus = { address, clientPort: 0, clusterPort: Number(port) };
const socket = connect(bus.clusterPort, address);
const talking = setInterval(() => socket.write("hello"), TALK_MS);
const tell = (line: string) => process.stdout.write(`${line}\n`);

socket.on("connect", () => tell("connected"));
socket.on("error", ({ message }) => {
  clearInterval(talking);
  tell(`ended ${message}`);
});
for await (const _line of createInterface(process.stdin))
  tell(`dead ${(await endDeadRoutes(bus)).length}`);
process.exit();
