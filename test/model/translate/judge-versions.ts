// SPDX-License-Identifier: Apache-2.0
/** What speaks against the translation of a packet into the other version of IP. */
import { type Version, versionOf } from "./address.ts";
import type { Ip } from "./ip.ts";
import type { Finding } from "./reason.ts";
import { isUntranslatable } from "./rfc7915.ts";
import { versionOfReals } from "./route.ts";
import type { Direction, Session } from "./sessions.ts";
import { isWithoutChecksum, type Transport } from "./transport.ts";

export function judgeTranslation(
  ip: Ip,
  session: Session,
  direction: Direction,
  finding: Finding,
  transport?: Transport,
): void {
  if (isOtherVersion(ip, session, direction))
    judgeVersions(ip, ip.version === 4 ? 6 : 4, finding, transport);
}

export function judgeVersions(
  ip: Ip,
  version: Version,
  finding: Finding,
  transport?: Transport,
): void {
  if (ip.version === version) return;
  if (isUntranslatable(ip)) finding.fault("drop_untranslatable");
  if (transport !== undefined && isWithoutChecksum(transport))
    finding.fault("drop_udp_checksum");
}

export function isOtherVersion(
  ip: Ip,
  session: Session,
  direction: Direction,
): boolean {
  const version =
    direction === "inbound"
      ? versionOfReals(session.service)
      : versionOf(session.client.address);
  return ip.version !== version;
}
