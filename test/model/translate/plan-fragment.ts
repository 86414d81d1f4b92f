// SPDX-License-Identifier: Apache-2.0
/** What may become of a fragment. */
import { type Fragment, type Ip, payloadOf } from "./ip.ts";
import { judgeTranslation } from "./judge-versions.ts";
import { Finding } from "./reason.ts";
import type { Plan } from "./task.ts";
import type { World } from "./world.ts";

/** Of all fragments of a datagram but the first. */
export function planFragment(ip: Ip, fragment: Fragment, world: World): Plan {
  const finding = new Finding();
  judgePart(ip, fragment, finding);
  const datagram = world.datagrams.of(ip, fragment);
  if (datagram === undefined) {
    finding.fault("drop_fragment_stranger", ...finding.doubts);
    return { finding, tasks: [] };
  }
  if (world.datagrams.overlaps(datagram, ip, fragment))
    finding.fault("drop_fragment_overlap");
  if (
    world.datagrams.hasGaps(datagram, ip, fragment) ||
    world.datagrams.contradicts(datagram, ip, fragment)
  )
    finding.doubt("drop_fragment_overlap");
  if (datagram.isBroken)
    finding.doubt("drop_fragment_overlap", "drop_fragment_stranger");
  // Only the first one's next header counts (RFC 8200 section 4.5); but nobody has to send others.
  if (ip.protocol !== datagram.session.protocol)
    finding.doubt("drop_protocol", "drop_extension", "drop_fragment_stranger");
  judgeTranslation(ip, datagram.session, datagram.direction, finding);
  return { finding, tasks: [{ kind: "fragment", datagram, fragment }] };
}

/** RFC 791 section 3.2, RFC 8200 section 4.5. */
export function judgePart(
  ip: Ip,
  { offset, more }: Fragment,
  finding: Finding,
): void {
  const { length } = payloadOf(ip);
  if (more && length % 8 !== 0) finding.fault("drop_fragment_tiny");
  if (length === 0) finding.doubt("drop_fragment_tiny", "drop_malformed");
  if (offset + length > DATAGRAM_MAX)
    finding.fault("drop_malformed", "drop_fragment_overlap");
  // The first one has to have all of the transport's header (RFC 1858).
  if (offset > 0 && offset < HEADER_MAX)
    finding.doubt("drop_fragment_overlap", "drop_fragment_tiny");
}

/** Of TCP, without options. */
const HEADER_MAX = 20;

const DATAGRAM_MAX = 65535;
