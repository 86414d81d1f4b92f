// SPDX-License-Identifier: Apache-2.0
/** What may become of ICMP and ICMPv6: echo requests, and errors about packets of sessions. */
import { isNobody } from "./address.ts";
import { type Icmp, isRight, readIcmp, readQuotes } from "./icmp.ts";
import type { Ip } from "./ip.ts";
import { isOtherVersion, judgeTranslation } from "./judge-versions.ts";
import { Finding } from "./reason.ts";
import { isUntranslatable } from "./rfc7915.ts";
import { translatedHeads } from "./rfc7915-icmp.ts";
import type { Flow } from "./sessions.ts";
import type { Plan } from "./task.ts";
import type { World } from "./world.ts";

export function planIcmp(ip: Ip, world: World): Plan {
  const finding = new Finding();
  const icmp = readIcmp(ip);
  if (icmp === undefined) {
    finding.fault("drop_malformed", "drop_icmp_type");
    return { finding, tasks: [] };
  }
  if (icmp.kind === "echoRequest") {
    if (!world.isVip(ip.daddr)) finding.fault("drop_icmp_type");
    if (isNobody(ip.saddr)) finding.fault("drop_malformed");
    finding.doubt("drop_icmp_rate");
    if (icmp.code !== 0) finding.doubt("drop_icmp_type");
    if (!isRight(ip)) finding.doubt("drop_malformed");
    return { finding, tasks: [{ kind: "echo" }] };
  }
  if (icmp.kind === "other") {
    finding.fault("drop_icmp_type");
    return { finding, tasks: [] };
  }
  if (icmp.kind === "doubtful") finding.doubt("drop_icmp_type");
  // RFC 1122 section 3.2.2 has it verified; its translation into the other version could not keep it wrong.
  if (!isRight(ip)) finding.fault("drop_malformed");
  return planError(ip, icmp, world, finding);
}

function planError(ip: Ip, icmp: Icmp, world: World, finding: Finding): Plan {
  const { quotes, finding: quoteFinding } = readQuotes(ip.version, icmp);
  finding.add(quoteFinding);
  const [quote] = quotes;
  if (quote === undefined) return { finding, tasks: [] };
  const { ip: about, transport } = quote;
  if (about.saddr !== ip.daddr)
    finding.doubt("drop_icmp_inner", "drop_icmp_no_session");
  const flow: Flow = {
    protocol: transport.protocol,
    from: { address: about.daddr, port: transport.dport },
    to: { address: about.saddr, port: transport.sport },
  };
  const direction = world.isLocal(about.saddr) ? "outbound" : "inbound";
  const session = world.sessions[direction](flow);
  if (session === undefined) {
    finding.fault("drop_icmp_no_session");
    return { finding, tasks: [] };
  }
  judgeTranslation(ip, session, direction, finding);
  if (isOtherVersion(ip, session, direction)) {
    const sizes = { mtu4: 0, mtu6: 0, quoted: 0, guess: 0 };
    if (translatedHeads(ip.version, icmp, sizes).length === 0)
      finding.fault("drop_untranslatable");
    if (isUntranslatable(about)) finding.doubt("drop_untranslatable");
  }
  return {
    finding,
    tasks: [{ kind: "error", session, direction, icmp, quotes }],
  };
}
