// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { deadOf } from "../../src/sync/dead-routes.ts";

const line = (state: string, info: string) =>
  `${state} 0 512 10.1.1.2:6222 10.1.2.2:46144 timer:(on,5.8ms,7) ts sack bbr wscale:10,10 rto:27648 ${info} minrtt:0.013`;
const CONNECTION = { local: "10.1.1.2:6222", peer: "10.1.2.2:46144" };

test("deadOf() takes established connections on which nothing has been acknowledged for 5 s, though something should be", (t) => {
  t.deepEqual(deadOf(line("ESTAB", "lastack:5000 unacked:15")), [CONNECTION]);
  t.deepEqual(deadOf(line("ESTAB", "lastack:4999 unacked:15")), []);
  t.deepEqual(deadOf(line("ESTAB", "lastack:50000")), [], "it is idle");
  t.deepEqual(deadOf(line("SYN-SENT", "lastack:50000 unacked:1")), []);
  t.deepEqual(deadOf(line("FIN-WAIT-1", "lastack:50000 unacked:1")), []);
});

test("deadOf() reads each line, and IPv6 addresses as ss takes them", (t) => {
  const wide = line("ESTAB", "lastack:6000 unacked:1")
    .replace("10.1.1.2:", "[2001:db8::1]:")
    .replace("10.1.2.2:", "[2001:db8::2]:");
  const listing = `${line("ESTAB", "lastack:1 unacked:1")}\n${wide}\n`;
  t.deepEqual(deadOf(listing), [
    { local: "[2001:db8::1]:6222", peer: "[2001:db8::2]:46144" },
  ]);
  t.deepEqual(deadOf(""), []);
});
