// SPDX-License-Identifier: Apache-2.0
/** The traffic of the link between two nodes. */
import { setTimeout as delay } from "node:timers/promises";
import type { Sandbox } from "./sandbox.ts";

/** Nothing has been sent for so long: both sides have said all. Keep-alives and hellos are fewer. */
const QUIET_MS = 150;
const QUIET_PACKETS = 12;

const MTU = 1_500;
/** Ethernet, IPv4 and TCP with timestamps. */
const HEADERS = 14 + 20 + 32;
const SEGMENT = MTU + 14 - HEADERS;

/** Both directions together. */
export type Traffic = { readonly bytes: number; readonly packets: number };

type LinkJson = {
  readonly stats64: Readonly<Record<"rx" | "tx", Traffic>>;
};

export async function readTraffic(
  sandbox: Sandbox,
  namespace: string,
  device: string,
): Promise<Traffic> {
  const show = ["-s", "-j", "-n", sandbox.netns(namespace), "link", "show"];
  const output = await sandbox.run("read a link's counters", [
    "ip",
    ...show,
    device,
  ]);
  const links: readonly LinkJson[] = JSON.parse(output);
  const [{ rx, tx } = { rx: nothing, tx: nothing }] = links.map(
    ({ stats64 }) => stats64,
  );
  return { bytes: rx.bytes + tx.bytes, packets: rx.packets + tx.packets };
}

const nothing: Traffic = { bytes: 0, packets: 0 };

/**
 * Bytes with all Ethernet headers, as a wire would carry them. A veth hands on TCP segments of up to 64 KB with one header,
 * which a network card would cut: their further headers are added.
 */
export function wireBytes(before: Traffic, after: Traffic): number {
  const bytes = after.bytes - before.bytes;
  const packets = after.packets - before.packets;
  const segments = Math.ceil((bytes - packets * HEADERS) / SEGMENT);
  return bytes + HEADERS * Math.max(0, segments - packets);
}

/** Waits until the link is silent. */
export async function quiet(
  sandbox: Sandbox,
  namespace: string,
  device: string,
): Promise<void> {
  let before = await readTraffic(sandbox, namespace, device);
  for (;;) {
    await delay(QUIET_MS);
    const after = await readTraffic(sandbox, namespace, device);
    if (after.packets - before.packets <= QUIET_PACKETS) return;
    before = after;
  }
}
