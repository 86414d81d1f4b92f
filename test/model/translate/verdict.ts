// SPDX-License-Identifier: Apache-2.0
/**
 * What may become of a frame. A packet with faults has to be dropped, for any of the reasons that it gives: in which order
 * the program looks for them is its own business. One without faults has to be translated as its task says.
 */
import { isToMany, readFrame } from "./ethernet.ts";
import { icmpProtocol } from "./icmp.ts";
import { hasOptions, type Ip, isLaterFragment, isWhole, readIp } from "./ip.ts";
import { planFlow } from "./plan-flow.ts";
import { planFragment } from "./plan-fragment.ts";
import { planIcmp } from "./plan-icmp.ts";
import { Finding, type Reason } from "./reason.ts";
import type { Expectation, Plan, Task } from "./task.ts";
import { isTransportProtocol } from "./transport.ts";
import type { World } from "./world.ts";

export function expectedVerdict(bytes: Buffer, world: World): Expectation {
  const frame = readFrame(bytes);
  const foreign = { frame, tasks: [] };
  if (frame === undefined)
    return { ...foreign, ip: undefined, reasons: new Set(["passed_foreign"]) };
  const { ip, daddr, ...found } = readIp(frame.body, frame.version);
  if (daddr === undefined) {
    const reasons = new Set<Reason>(["passed_foreign", ...found.faults]);
    return { ...foreign, ip, reasons };
  }
  if (!world.isOwn(daddr))
    return { ...foreign, ip, reasons: new Set(["passed_foreign"]) };
  if (ip === undefined)
    return { ...foreign, ip, reasons: new Set(found.faults) };
  const plan = planFor(ip, world);
  // Nobody has to answer what was sent to many (RFC 1122 section 3.2.2.6).
  if (plan.tasks[0]?.kind === "echo" && isToMany(frame))
    plan.finding.doubt("drop_malformed");
  plan.finding.add(found);
  judgeHeader(ip, world, plan.finding);
  const { faults, doubts } = plan.finding;
  return {
    frame,
    ip,
    tasks: faults.length > 0 ? [] : plan.tasks,
    reasons: new Set([...faults, ...doubts]),
  };
}

/** What is wrong with a packet to one of our addresses whatever it carries. */
function judgeHeader(ip: Ip, world: World, finding: Finding): void {
  if (world.isOwn(ip.saddr)) finding.fault("drop_own_source");
  if (ip.saddr === ip.daddr) finding.fault("drop_land");
  if (hasOptions(ip) && world.settings.options === "drop")
    finding.fault("drop_options");
}

function planFor(ip: Ip, world: World): Plan {
  const { protocol } = ip;
  const isIcmp = protocol === icmpProtocol(ip.version);
  const { fragment } = ip;
  const isKnown =
    fragment !== undefined &&
    isLaterFragment(ip) &&
    world.datagrams.of(ip, fragment) !== undefined;
  if (!isIcmp && !isTransportProtocol(protocol) && !isKnown) return strange(ip);
  if (!isWhole(ip) && isIcmp && !isKnown) return brokenIcmp();
  const plan =
    isLaterFragment(ip) && fragment !== undefined
      ? planFragment(ip, fragment, world)
      : isTransportProtocol(protocol)
        ? planFlow(ip, protocol, world)
        : planIcmp(ip, world);
  if (plan.tasks.some((task) => !isReachable(task, world)))
    plan.finding.fault("drop_no_route");
  const isForwarded = plan.tasks.some(({ kind }) => kind !== "echo");
  if (ip.ttl <= 1 && (isForwarded || plan.tasks.length === 0))
    plan.finding.fault("drop_ttl");
  return plan;
}

/** A session is made for any client, also for one that the kernel knows no way to. */
function isReachable(task: Task, world: World): boolean {
  if (task.kind === "echo" || task.kind === "open") return true;
  const { session, direction } =
    task.kind === "fragment" ? task.datagram : task;
  return direction === "inbound" || world.isReachable(session.client.address);
}

/** Of a protocol that no service has. In IPv6 it may be an extension header that is not read. */
function strange(ip: Ip): Plan {
  const finding = new Finding();
  finding.fault("drop_protocol");
  if (ip.version === 6) finding.fault("drop_extension");
  if (!isWhole(ip)) finding.fault(...FRAGMENT_REASONS, "drop_malformed");
  return { finding, tasks: [] };
}

const FRAGMENT_REASONS = [
  "drop_fragment_stranger",
  "drop_fragment_overlap",
  "drop_fragment_tiny",
] as const;

/** Nobody has to send ICMP in fragments, and its checksum cannot be told from one of them (RFC 7915 section 4.2). */
function brokenIcmp(): Plan {
  const finding = new Finding();
  finding.fault(...FRAGMENT_REASONS);
  finding.fault("drop_icmp_type", "drop_icmp_inner");
  finding.fault("drop_protocol", "drop_malformed");
  return { finding, tasks: [] };
}
