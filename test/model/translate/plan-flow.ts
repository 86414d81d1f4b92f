// SPDX-License-Identifier: Apache-2.0
/** What may become of a packet of TCP or UDP. */
import { type Ip, isWhole } from "./ip.ts";
import { judgeTranslation, judgeVersions } from "./judge-versions.ts";
import { judgePart } from "./plan-fragment.ts";
import { PROTOCOL, TCP_FLAG } from "./protocols.ts";
import type { Finding } from "./reason.ts";
import { versionOfReals } from "./route.ts";
import type { Flow } from "./sessions.ts";
import type { Plan, Task } from "./task.ts";
import {
  isWithoutChecksum,
  readTransport,
  type Transport,
  type TransportProtocol,
} from "./transport.ts";
import type { World } from "./world.ts";

export function planFlow(
  ip: Ip,
  protocol: TransportProtocol,
  world: World,
): Plan {
  const { finding, transport } = readTransport(ip, protocol);
  if (transport === undefined) return { finding, tasks: [] };
  if (ip.fragment !== undefined && !isWhole(ip)) {
    judgePart(ip, ip.fragment, finding);
    if (world.datagrams.of(ip, ip.fragment) !== undefined)
      finding.fault("drop_fragment_overlap");
  }
  if (isWithoutChecksum(transport) && ip.version === 6)
    finding.fault("drop_udp_checksum");
  const flow: Flow = {
    protocol,
    from: { address: ip.saddr, port: transport.sport },
    to: { address: ip.daddr, port: transport.dport },
  };
  const tasks = world.isLocal(ip.daddr)
    ? planOutbound(flow, transport, world, finding)
    : planInbound(flow, transport, world, finding);
  for (const task of tasks)
    if (task.kind === "flow")
      judgeTranslation(ip, task.session, task.direction, finding, transport);
    else judgeVersions(ip, versionOfReals(task.service), finding, transport);
  return { finding, tasks };
}

type FlowTask = Extract<Task, { readonly kind: "flow" | "open" }>;

function planOutbound(
  flow: Flow,
  transport: Transport,
  world: World,
  finding: Finding,
): readonly FlowTask[] {
  const session = world.sessions.outbound(flow);
  if (session === undefined) {
    finding.fault("drop_no_session");
    return [];
  }
  const { syn, ack } = TCP_FLAG;
  const isSynAck = (transport.flags & (syn | ack)) === (syn | ack);
  if (isSynAck && !world.sessions.isIndexed(session))
    finding.fault("drop_not_indexed");
  return [{ kind: "flow", session, direction: "outbound", transport }];
}

function planInbound(
  flow: Flow,
  transport: Transport,
  world: World,
  finding: Finding,
): readonly FlowTask[] {
  const session = world.sessions.inbound(flow);
  const old =
    session === undefined
      ? []
      : ([{ kind: "flow", session, direction: "inbound", transport }] as const);
  const replaceable =
    session === undefined || !isOpening(transport)
      ? "no"
      : world.sessions.replaceable(session);
  if (session !== undefined && replaceable === "no") return old;
  const fresh = planOpen(flow, transport, world, finding);
  return replaceable === "maybe" ? [...old, ...fresh] : fresh;
}

function planOpen(
  flow: Flow,
  transport: Transport,
  world: World,
  finding: Finding,
): readonly FlowTask[] {
  const { address, port } = flow.to;
  const service = world.service(address, port, flow.protocol);
  if (service === undefined) {
    finding.fault("drop_no_service");
    return [];
  }
  if (!isOpening(transport)) finding.fault("drop_no_session");
  if (service.reals.length === 0) finding.fault("drop_no_real_server");
  finding.doubt("drop_no_lport", "drop_table_full");
  return [{ kind: "open", service, flow, transport }];
}

/** It may begin a session: a SYN, or any datagram. */
function isOpening({ protocol, flags }: Transport): boolean {
  const { syn, ack, rst, fin } = TCP_FLAG;
  return protocol === PROTOCOL.udp || (flags & (syn | ack | rst | fin)) === syn;
}
