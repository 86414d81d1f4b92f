// SPDX-License-Identifier: Apache-2.0
/**
 * A sentence for each counter of struct weir_counters in dataplane/weir.h: what happened, and whether it is expected in
 * production. The README has the same table; tests compare all three.
 */
export const COUNTER_NOTES: Readonly<Record<string, string>> = {
  received: "Frames that reached the program.",
  forwarded: "Translated and sent. Expected.",
  answered_echo: "ICMP echo requests to a VIP, answered by weir. Expected.",
  passed_foreign: "Not for weir, given to the kernel untouched. Expected.",
  passed_no_neighbour:
    "Translated, given to the kernel to resolve the next hop. Expected now and then.",
  passed_no_device:
    "Translated, given to the kernel: the way out is none of weir's interfaces, but perhaps a VLAN device. Slow.",
  passed_too_big:
    "Translated, given to the kernel, which fragments it: IPv4 without DF, larger than the next hop's MTU. Slow.",
  drop_malformed:
    "A header is cut short, its lengths contradict each other, or an ICMP checksum is wrong. Not expected.",
  drop_fragment_stranger:
    "A fragment whose datagram's first fragment was not seen here. Expected rarely; many: the routers spread fragments by ports.",
  drop_fragment_overlap:
    "A fragment that overlaps another one, or leaves more gaps than are remembered. Not expected.",
  drop_fragment_tiny:
    "A fragment too short for its transport header, or whose length is no multiple of 8. Not expected.",
  drop_options:
    "IPv4 options, or IPv6 headers of options or routes, and the config has ip_options: drop. Not expected.",
  drop_extension:
    "More IPv6 extension headers than are read, or one that is not. Not expected.",
  drop_protocol: "A protocol that no service has. Expected from scans.",
  drop_tcp_flags:
    "A combination of TCP flags that no TCP sends. Expected from scans.",
  drop_land: "Sent from its own destination. Not expected.",
  drop_own_source:
    "Sent from a VIP or a local address. Not expected: filter these at the edge.",
  drop_udp_checksum:
    "A UDP checksum of zero where there must be one: over IPv6, or where IPv4 becomes IPv6. Not expected.",
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
  drop_icmp_type:
    "ICMP that is neither an echo request nor an error. Expected rarely.",
  drop_icmp_inner:
    "An ICMP error about a packet that cannot be read. Expected rarely.",
  drop_icmp_no_session:
    "An ICMP error about no session that is known. Expected after a timeout.",
  drop_icmp_rate: "Echo requests beyond what is answered. Expected from scans.",
  drop_untranslatable:
    "Nothing corresponds to it in the other address family. Expected rarely.",
  drop_ttl:
    "The TTL or hop limit would have reached 0. Expected from traceroute; many: look for a routing loop.",
  drop_no_route: "The kernel has no route to the destination. Not expected.",
  drop_no_device:
    "The next hop of an egress group is not on an interface of the config. Not expected.",
  drop_too_big:
    "Larger than the next hop's MTU; the sender is told. Expected while a path's MTU is discovered.",
  drop_headroom:
    "No room in the frame for a longer header: a VLAN tag, or IPv6 in the place of IPv4. Not expected.",
  drop_inconsistent:
    "An index in the dataplane's maps points nowhere. Never expected: please report it.",
  session_created: "Sessions created by this node.",
  session_replaced:
    "Of those created: took the place of a closed session of the same client address and port.",
  session_established:
    "Sessions whose real server has answered: over TCP with its first segment after the handshake.",
  session_closed: "Sessions closed by FINs of both sides.",
  session_reset: "Sessions in which a RST was seen.",
  lport_probe:
    "A local address and port was tried and found in use. Many: widen the pool.",
  insert_race: "Two CPUs created the same session, and one won.",
  icmp_translated: "Of those forwarded: ICMP errors.",
  rst_sent:
    "RSTs sent by weir: see drop_not_indexed, and drop_no_service if the config has unknown_port: reject.",
  icmp_sent:
    "ICMP errors sent by weir: see drop_ttl, drop_too_big and drop_no_service.",
  reply_limited:
    "RSTs and ICMP errors that were not sent, because there were too many at once. Expected from scans.",
  event_sent:
    "Records of sessions that the agent was given for the other nodes. Expected.",
  event_lost:
    "Not given to it: it did not keep up. The sweep gives them again. Expected rarely.",
  miss_told:
    "Packets of unknown sessions that the agent was told of, to ask the other nodes. Expected after a change of membership.",
};
