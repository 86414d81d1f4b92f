// SPDX-License-Identifier: Apache-2.0
/** A small config file that is right, and what is wrong with it after a change. */
import type { ExecutionContext } from "ava";
import { isLeft } from "fp-ts/lib/Either.js";
import type { ConfigError } from "../../src/errors.ts";
import { loadConfig } from "../../src/node/config.ts";

export const MINIMAL = `
cluster: rack
aggregate: 10.200.0.0/24
nodes:
  d1:
    interfaces: [eth1]
    pool: 10.200.0.0/28
    routing: { asn: 65001, router_id: 10.1.1.2, listen: [], neighbors: [{ address: 10.1.1.1, asn: 65000 }] }
services:
  - name: web
    vip: 192.0.2.10
    port: 80
    servers:
      - { address: 10.3.1.2, port: 8080 }
`;

export function errorsOf(text: string): readonly ConfigError[] {
  const loaded = loadConfig(text);
  return isLeft(loaded) ? loaded.left : [];
}

/** The one error of MINIMAL with `found` replaced. */
export function errorOf(
  t: ExecutionContext,
  found: string,
  replacement: string,
): ConfigError {
  t.true(MINIMAL.includes(found), `the test's file has no ${found}`);
  const errors = errorsOf(MINIMAL.replace(found, replacement));
  const [error] = errors;
  if (error === undefined || errors.length > 1)
    return t.fail(
      `there are ${errors.length} errors: ${JSON.stringify(errors)}`,
    );
  return error;
}
