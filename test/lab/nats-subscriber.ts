// SPDX-License-Identifier: Apache-2.0
// node nats-subscriber.ts URL SUBJECT: a node's transport in a process of its own, which can be frozen. It prints a line for
// each change of state, and how many messages it has got at each.
import { silentLog } from "../../src/log.ts";
import { NatsTransport } from "../../src/sync/nats.ts";

const [url = "", subject = ""] = process.argv.slice(2);
let received = 0;
const transport = new NatsTransport({
  name: "subscriber",
  servers: [url],
  log: silentLog,
});
transport.onState((state) => process.stdout.write(`${state} ${received}\n`));
transport.subscribe(subject, () => received++);
transport.subscribe(`${subject}.count`, ({ respond }) =>
  respond?.(Buffer.from(String(received))),
);
