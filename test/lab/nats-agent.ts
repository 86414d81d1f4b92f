// SPDX-License-Identifier: Apache-2.0
// node nats-agent.ts OPTIONS: runs a nats-server as an agent does, and prints its process id. OPTIONS are JSON.
import { silentLog } from "../../src/log.ts";
import { NatsServer } from "../../src/sync/nats-server.ts";

const options = JSON.parse(process.argv[2] ?? "");
const server = await NatsServer.start({ ...options, log: silentLog });
process.stdout.write(`${server.status().pid}\n`);
