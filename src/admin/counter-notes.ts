// SPDX-License-Identifier: Apache-2.0
/**
 * A sentence for each counter of struct weir_counters in dataplane/weir.h: what happened, and whether it is expected in
 * production. A test compares the names.
 */
export const COUNTER_NOTES: Readonly<Record<string, string>> = {
  received: "Frames that reached the program.",
  forwarded: "Translated and sent. Expected.",
  passed_foreign: "Not for weir, given to the kernel untouched. Expected.",
  passed_no_neighbour:
    "Translated, given to the kernel to resolve the next hop. Expected now and then.",
  passed_no_device:
    "Translated, given to the kernel: the way out is none of weir's interfaces, but perhaps a VLAN device. Slow.",
  drop_malformed:
    "A header is cut short, or its lengths contradict each other. Not expected.",
  drop_fragment:
    "An IPv4 fragment for a VIP or a local address. Not expected: look at the routers' MTU.",
  drop_ip_options: "The IPv4 header has options. Not expected.",
  drop_protocol: "A protocol that no service has. Expected from scans.",
  drop_no_service: "No service on that port of the VIP. Expected from scans.",
  drop_no_session:
    "Not the start of a session, and no session is known. Expected after a timeout.",
  drop_no_real_server:
    "No real server takes new sessions. Not expected: see `weir servers`.",
  drop_no_lport:
    "Every local address and port tried is in use towards that real server. Not expected: widen the pool.",
  drop_table_full:
    "Both buckets of the session table are full. Not expected below 65 % load: see `weir nodes`.",
  drop_busy:
    "The session was being written at that moment. Expected rarely: TCP repeats the packet.",
  drop_not_indexed:
    "A real server answered a session that has lost its client; it got a RST. Expected rarely.",
  drop_ttl:
    "The TTL would have reached 0. Not expected: look for a routing loop.",
  drop_no_route: "The kernel has no route to the destination. Not expected.",
  drop_no_device:
    "The next hop of an egress group is not on an interface of the config. Not expected.",
  drop_too_big: "Larger than the next hop's MTU. Not expected.",
  drop_headroom: "No room in the frame for a VLAN tag. Not expected.",
  drop_inconsistent:
    "An index in the dataplane's maps points nowhere. Never expected: please report it.",
  session_created: "Sessions created by this node.",
  session_replaced:
    "Of those created: took the place of a closed session of the same client address and port.",
  session_established:
    "Sessions whose real server has sent its first segment after the handshake.",
  session_closed: "Sessions closed by FINs of both sides.",
  session_reset: "Sessions in which a RST was seen.",
  lport_probe:
    "A local address and port was tried and found in use. Many: widen the pool.",
  insert_race: "Two CPUs created the same session, and one won.",
  rst_sent: "RSTs sent by weir: see drop_not_indexed.",
  event_sent:
    "Records of sessions that the agent was given for the other nodes. Expected.",
  event_lost:
    "Not given to it: it did not keep up. The sweep gives them again. Expected rarely.",
  miss_told:
    "Packets of unknown sessions that the agent was told of, to ask the other nodes. Expected after a change of membership.",
};
