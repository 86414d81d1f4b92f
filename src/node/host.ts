// SPDX-License-Identifier: Apache-2.0
/** What a config is checked against on the machine that shall use it. */
import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import { WeirError } from "../errors.ts";
import { parseAddress } from "../model.ts";
import type { Host } from "./check.ts";
import { type IpCommand, queryIp } from "./ip.ts";

/** The part of `ip -json address show` that is used. */
const interfaces = t.array(
  t.type({
    ifname: t.string,
    addr_info: t.array(t.partial({ local: t.string })),
  }),
);

/**
 * This machine's addresses, also those of interfaces that are down.
 *
 * @throws WeirError if they cannot be read.
 */
export async function readHost(
  node?: string,
  ip: IpCommand = ["ip"],
): Promise<Host> {
  const [answer] = await queryIp(ip, ["address show"]);
  return {
    addresses: parseAddresses(answer),
    ...(node === undefined ? {} : { node }),
  };
}

/** @throws WeirError if `answer` is not what `ip -json address show` prints. */
export function parseAddresses(answer: unknown): Host["addresses"] {
  const decoded = interfaces.decode(answer);
  if (isLeft(decoded)) {
    throw new WeirError(
      `Cannot read this machine's addresses: current value is ${JSON.stringify(answer)}`,
    );
  }
  return decoded.right.flatMap(({ ifname, addr_info }) =>
    addr_info.flatMap(({ local }) => {
      const address = parseAddress(local ?? "");
      return address === undefined ? [] : [{ interface: ifname, address }];
    }),
  );
}
