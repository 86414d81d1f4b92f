// SPDX-License-Identifier: Apache-2.0
/** The structs and constants of the dataplane's headers. Written by ops/setup/generate-layout.ts: do not edit. */
import {
  array,
  be16,
  be32,
  bytes,
  s64,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "./struct.ts";
import type { ValueOf } from "./struct.ts";

export const WEIR_LAYOUT_VERSION = 4;
export const WEIR_SLOTS = 7;
export const WEIR_TICK_SHIFT = 20;
export const WEIR_TICKS_PER_SECOND = 954;
export const WEIR_SCHEDULE_SIZE = 16381;
export const WEIR_HOPS_MAX = 8;
export const WEIR_EGRESS_KERNEL = 0;
export const WEIR_EGRESS_CLIENTS4 = 1;
export const WEIR_EGRESS_CLIENTS6 = 2;
export const WEIR_EGRESS_REALS = 3;
export const WEIR_PORT_PROBES = 16;
export const WEIR_RESET_GRACE_TICKS = 1908;
export const WEIR_EMPTY = 0;
export const WEIR_BUSY = 1;
export const WEIR_DEAD = 2;
export const WEIR_LIVE = 3;
export const WEIR_SYN = 3;
export const WEIR_SYNACK = 4;
export const WEIR_ESTABLISHED = 5;
export const WEIR_FIN_ONE = 6;
export const WEIR_FIN_BOTH = 7;
export const WEIR_HELD = 8;
export const WEIR_FLAG_FIN_CLIENT = 1;
export const WEIR_FLAG_FIN_REAL = 2;
export const WEIR_FLAG_RST_REAL = 4;
export const WEIR_FLAG_SHARED = 8;
export const WEIR_MODE_SHIFT = 12;
export const WEIR_MODE_FULLNAT = 0;
export const WEIR_FACT_VALID = 1;
export const WEIR_UNKNOWN_DROP = 0;
export const WEIR_UNKNOWN_REJECT = 1;
export const WEIR_OPTIONS_PASS = 0;
export const WEIR_OPTIONS_DROP = 1;
export const WEIR_SCHEDULER_RR = 0;
export const WEIR_SCHEDULER_MAGLEV = 1;
export const WEIR_SYNC_IMMEDIATE = 0;
export const WEIR_SYNC_OFF = 1;
export const WEIR_SYNC_ESTABLISHED = 2;
export const WEIR_SYNC_AFTER = 3;
export const WEIR_OWN_VIP = 1;
export const WEIR_OWN_POOL = 2;
export const WEIR_MARGIN_TICKS = 4770;
export const WEIR_EVENT_SESSION4 = 1;
export const WEIR_EVENT_MISS4 = 2;
export const WEIR_EVENT_SESSION6 = 3;
export const WEIR_EVENT_MISS6 = 4;
export const WEIR_STAGE_DIRECTOR6 = 0;
export const WEIR_STAGE_ICMP4 = 1;
export const WEIR_STAGE_ICMP6 = 2;
export const WEIR_STAGE_FRAGMENT4 = 3;
export const WEIR_STAGE_FRAGMENT6 = 4;
export const WEIR_STAGE_REPLY4 = 5;
export const WEIR_STAGE_REPLY6 = 6;
export const WEIR_STAGES = 7;
export const WEIR_DEFAULT_HANDSHAKE_TICKS = 57240;
export const WEIR_DEFAULT_ESTABLISHED_TICKS = 858600;
export const WEIR_DEFAULT_CLOSED_TICKS = 57240;
export const WEIR_DEFAULT_RESET_TICKS = 9540;
export const WEIR_REAL_UNKNOWN = 65535;
export const WEIR_DIGEST_BUCKETS = 1024;
export const WEIR_JOB_SWEEP = 1;
export const WEIR_JOB_MERGE = 2;
export const WEIR_JOB_COLLECT = 3;
export const WEIR_JOB_DIGEST = 4;
export const WEIR_JOB_HASHES = 5;
export const WEIR_JOB_MISSING = 6;
export const WEIR_JOB_FIND = 7;
export const WEIR_JOB_SNAPSHOT = 8;
export const WEIR_JOB_SUMS = 9;
export const WEIR_JOB_BACKENDS = 10;

export const weirAddress = struct(16, {
  word: [0, bytes(16)],
});
export type WeirAddress = ValueOf<typeof weirAddress>;

export const weirKey4 = struct(16, {
  saddr: [0, be32],
  daddr: [4, be32],
  sport: [8, be16],
  dport: [10, be16],
  proto: [12, u8],
});
export type WeirKey4 = ValueOf<typeof weirKey4>;

export const weirKey6 = struct(40, {
  saddr: [0, weirAddress],
  daddr: [16, weirAddress],
  sport: [32, be16],
  dport: [34, be16],
  proto: [36, u8],
});
export type WeirKey6 = ValueOf<typeof weirKey6>;

export const weirEntry4 = struct(64, {
  key: [0, weirKey4],
  generation: [16, u64],
  new_saddr: [24, be32],
  new_daddr: [28, be32],
  new_sport: [32, be16],
  new_dport: [34, be16],
  l3_delta: [36, u16],
  l4_delta: [38, u16],
  sequence_fact: [40, u64],
  timestamp_fact: [48, u64],
  seen: [56, u32],
  egress: [60, u16],
  real: [62, u16],
});
export type WeirEntry4 = ValueOf<typeof weirEntry4>;

export const weirEntry6 = struct(128, {
  key: [0, weirKey6],
  generation: [40, u64],
  new_saddr: [48, weirAddress],
  new_daddr: [64, weirAddress],
  new_sport: [80, be16],
  new_dport: [82, be16],
  l3_delta: [84, u16],
  l4_delta: [86, u16],
  sequence_fact: [88, u64],
  timestamp_fact: [96, u64],
  seen: [104, u32],
  egress: [108, u16],
  real: [110, u16],
});
export type WeirEntry6 = ValueOf<typeof weirEntry6>;

export const weirTruth4 = struct(128, {
  entry: [0, weirEntry4],
  supersedes: [64, u64],
  origin: [72, u32],
  reset: [76, u32],
  client_isn_fact: [80, u64],
  real_isn_fact: [88, u64],
  client_fin_fact: [96, u64],
  real_fin_fact: [104, u64],
  options_fact: [112, u64],
  changed: [120, u32],
  synced: [124, u32],
});
export type WeirTruth4 = ValueOf<typeof weirTruth4>;

export const weirTruth6 = struct(192, {
  entry: [0, weirEntry6],
  supersedes: [128, u64],
  origin: [136, u32],
  reset: [140, u32],
  client_isn_fact: [144, u64],
  real_isn_fact: [152, u64],
  client_fin_fact: [160, u64],
  real_fin_fact: [168, u64],
  options_fact: [176, u64],
  changed: [184, u32],
  synced: [188, u32],
});
export type WeirTruth6 = ValueOf<typeof weirTruth6>;

export const weirInbound4Bucket = struct(512, {
  slot: [0, array(7, weirEntry4)],
  head: [448, array(7, u64)],
});
export type WeirInbound4Bucket = ValueOf<typeof weirInbound4Bucket>;

export const weirOutbound4Bucket = struct(960, {
  slot: [0, array(7, weirTruth4)],
  head: [896, array(7, u64)],
});
export type WeirOutbound4Bucket = ValueOf<typeof weirOutbound4Bucket>;

export const weirInbound6Bucket = struct(960, {
  slot: [0, array(7, weirEntry6)],
  head: [896, array(7, u64)],
});
export type WeirInbound6Bucket = ValueOf<typeof weirInbound6Bucket>;

export const weirOutbound6Bucket = struct(1408, {
  slot: [0, array(7, weirTruth6)],
  head: [1344, array(7, u64)],
});
export type WeirOutbound6Bucket = ValueOf<typeof weirOutbound6Bucket>;

export const weirRecord4 = struct(136, {
  head: [0, u64],
  truth: [8, weirTruth4],
});
export type WeirRecord4 = ValueOf<typeof weirRecord4>;

export const weirRecord6 = struct(200, {
  head: [0, u64],
  truth: [8, weirTruth6],
});
export type WeirRecord6 = ValueOf<typeof weirRecord6>;

export const weirLayout = struct(48, {
  version: [0, u32],
  inbound4_buckets: [4, u32],
  outbound4_buckets: [8, u32],
  inbound6_buckets: [12, u32],
  outbound6_buckets: [16, u32],
  services_max: [20, u32],
  hash_key: [24, array(2, u64)],
  incarnation: [40, u64],
});
export type WeirLayout = ValueOf<typeof weirLayout>;

export const weirNode = struct(96, {
  aggregate4: [0, be32],
  aggregate4_mask: [4, be32],
  pool4: [8, u32],
  pool4_size: [12, u32],
  port_min: [16, u16],
  port_max: [18, u16],
  origin: [20, u32],
  realtime_offset: [24, s64],
  lookups: [32, u32],
  unknown: [36, u8],
  options: [37, u8],
  mixed: [38, u8],
  aggregate6: [40, weirAddress],
  aggregate6_mask: [56, weirAddress],
  pool6: [72, weirAddress],
  pool6_size: [88, u32],
});
export type WeirNode = ValueOf<typeof weirNode>;

export const weirServiceKey = struct(20, {
  vaddr: [0, weirAddress],
  vport: [16, be16],
  proto: [18, u8],
});
export type WeirServiceKey = ValueOf<typeof weirServiceKey>;

export const weirServiceRange = struct(24, {
  length: [0, u32],
  vaddr: [4, weirAddress],
  proto: [20, u8],
  vport: [22, be16],
});
export type WeirServiceRange = ValueOf<typeof weirServiceRange>;

export const weirService = struct(40, {
  key: [0, weirServiceKey],
  scheduler: [20, u8],
  mode: [21, u8],
  sync: [22, u8],
  wide: [23, u8],
  schedule: [24, u64],
  vport_max: [32, u16],
});
export type WeirService = ValueOf<typeof weirService>;

export const weirSchedule = struct(32768, {
  real: [0, array(16384, u16)],
});
export type WeirSchedule = ValueOf<typeof weirSchedule>;

export const weirRealServer = struct(24, {
  raddr: [0, weirAddress],
  rport: [16, be16],
  egress: [18, u16],
  service: [20, u16],
  used: [22, u8],
});
export type WeirRealServer = ValueOf<typeof weirRealServer>;

export const weirHop = struct(24, {
  dmac: [0, bytes(6)],
  smac: [6, bytes(6)],
  ifindex: [12, u32],
  vlan: [16, u16],
  mtu: [18, u16],
});
export type WeirHop = ValueOf<typeof weirHop>;

export const weirEgressGroup = struct(200, {
  hops: [0, u32],
  hop: [8, array(8, weirHop)],
});
export type WeirEgressGroup = ValueOf<typeof weirEgressGroup>;

export const weirPrefix = struct(20, {
  length: [0, u32],
  address: [4, weirAddress],
});
export type WeirPrefix = ValueOf<typeof weirPrefix>;

export const weirTimeouts = struct(20, {
  handshake: [0, u32],
  established: [4, u32],
  closed: [8, u32],
  reset: [12, u32],
  share: [16, u32],
});
export type WeirTimeouts = ValueOf<typeof weirTimeouts>;

export const weirSessionEvent4 = struct(144, {
  kind: [0, u32],
  tick: [4, u32],
  head: [8, u64],
  truth: [16, weirTruth4],
});
export type WeirSessionEvent4 = ValueOf<typeof weirSessionEvent4>;

export const weirSessionEvent6 = struct(208, {
  kind: [0, u32],
  tick: [4, u32],
  head: [8, u64],
  truth: [16, weirTruth6],
});
export type WeirSessionEvent6 = ValueOf<typeof weirSessionEvent6>;

export const weirMissEvent4 = struct(24, {
  kind: [0, u32],
  inbound: [4, u32],
  key: [8, weirKey4],
});
export type WeirMissEvent4 = ValueOf<typeof weirMissEvent4>;

export const weirMissEvent6 = struct(48, {
  kind: [0, u32],
  inbound: [4, u32],
  key: [8, weirKey6],
});
export type WeirMissEvent6 = ValueOf<typeof weirMissEvent6>;

export const weirCounters = struct(400, {
  received: [0, u64],
  forwarded: [8, u64],
  answered_echo: [16, u64],
  passed_foreign: [24, u64],
  passed_no_neighbour: [32, u64],
  passed_no_device: [40, u64],
  passed_too_big: [48, u64],
  drop_malformed: [56, u64],
  drop_fragment_stranger: [64, u64],
  drop_fragment_overlap: [72, u64],
  drop_fragment_tiny: [80, u64],
  drop_options: [88, u64],
  drop_extension: [96, u64],
  drop_protocol: [104, u64],
  drop_tcp_flags: [112, u64],
  drop_land: [120, u64],
  drop_own_source: [128, u64],
  drop_udp_checksum: [136, u64],
  drop_no_service: [144, u64],
  drop_no_session: [152, u64],
  drop_no_real_server: [160, u64],
  drop_no_lport: [168, u64],
  drop_table_full: [176, u64],
  drop_busy: [184, u64],
  drop_not_indexed: [192, u64],
  drop_icmp_type: [200, u64],
  drop_icmp_inner: [208, u64],
  drop_icmp_no_session: [216, u64],
  drop_icmp_rate: [224, u64],
  drop_untranslatable: [232, u64],
  drop_ttl: [240, u64],
  drop_no_route: [248, u64],
  drop_no_device: [256, u64],
  drop_too_big: [264, u64],
  drop_headroom: [272, u64],
  drop_inconsistent: [280, u64],
  session_created: [288, u64],
  session_replaced: [296, u64],
  session_established: [304, u64],
  session_closed: [312, u64],
  session_reset: [320, u64],
  lport_probe: [328, u64],
  insert_race: [336, u64],
  icmp_translated: [344, u64],
  rst_sent: [352, u64],
  icmp_sent: [360, u64],
  reply_limited: [368, u64],
  event_sent: [376, u64],
  event_lost: [384, u64],
  miss_told: [392, u64],
});
export type WeirCounters = ValueOf<typeof weirCounters>;

export const weirTraffic = struct(40, {
  sessions: [0, u64],
  inbound_packets: [8, u64],
  inbound_bytes: [16, u64],
  outbound_packets: [24, u64],
  outbound_bytes: [32, u64],
});
export type WeirTraffic = ValueOf<typeof weirTraffic>;

export const weirSweepResult = struct(208, {
  sessions: [0, u64],
  half_open: [8, u64],
  established: [16, u64],
  closing: [24, u64],
  inbound_entries: [32, u64],
  inbound_slots: [40, u64],
  outbound_entries: [48, u64],
  outbound_slots: [56, u64],
  held: [64, u64],
  dead: [72, u64],
  busy: [80, u64],
  expired: [88, u64],
  orphans: [96, u64],
  emptied: [104, u64],
  moved: [112, u64],
  recovered: [120, u64],
  duplicates: [128, u64],
  without_timeouts: [136, u64],
  reindexed: [144, u64],
  records: [152, u64],
  wide_records: [160, u64],
  records_waiting: [168, u64],
  narrow_sessions: [176, u64],
  wide_sessions: [184, u64],
  narrow_load: [192, u64],
  wide_load: [200, u64],
});
export type WeirSweepResult = ValueOf<typeof weirSweepResult>;

export const weirSweepOrder = struct(16, {
  now: [0, u32],
  origin: [4, u32],
  weak: [8, u32],
  hold: [12, u32],
});
export type WeirSweepOrder = ValueOf<typeof weirSweepOrder>;

export const weirBackend = struct(44, {
  vaddr: [0, weirAddress],
  raddr: [16, weirAddress],
  vport_min: [32, u16],
  vport_max: [34, u16],
  rport: [36, be16],
  real: [38, u16],
  egress: [40, u16],
  proto: [42, u8],
});
export type WeirBackend = ValueOf<typeof weirBackend>;

export const weirMergeResult = struct(72, {
  inserted: [0, u64],
  replaced: [8, u64],
  advanced: [16, u64],
  unchanged: [24, u64],
  stale: [32, u64],
  refused: [40, u64],
  full: [48, u64],
  busy: [56, u64],
  conflicts: [64, u64],
});
export type WeirMergeResult = ValueOf<typeof weirMergeResult>;

export const weirDigest = struct(8200, {
  sessions: [0, u64],
  sum: [8, array(1024, u64)],
});
export type WeirDigest = ValueOf<typeof weirDigest>;

export const weirTableSums = struct(32, {
  sessions: [0, u64],
  truth: [8, u64],
  entries: [16, u64],
  index: [24, u64],
});
export type WeirTableSums = ValueOf<typeof weirTableSums>;

export const weirWriterCounters = struct(32, {
  moves: [0, u64],
  moves_undone: [8, u64],
  flags_added: [16, u64],
  flags_gone: [24, u64],
});
export type WeirWriterCounters = ValueOf<typeof weirWriterCounters>;

export const weirNarrowCount = struct(8, {
  narrow: [0, u64],
});
export type WeirNarrowCount = ValueOf<typeof weirNarrowCount>;

export const weirMergeJob = struct(16, {
  delay: [0, u32],
  narrow: [8, u64],
});
export type WeirMergeJob = ValueOf<typeof weirMergeJob>;

export const weirCollectJob = struct(24, {
  from: [0, u64],
  to: [8, u64],
  changed_within: [16, u32],
});
export type WeirCollectJob = ValueOf<typeof weirCollectJob>;

export const weirCollectResult = struct(16, {
  next: [0, u64],
  narrow: [8, u64],
});
export type WeirCollectResult = ValueOf<typeof weirCollectResult>;

export const weirSumsJob = struct(8, {
  since: [0, u64],
});
export type WeirSumsJob = ValueOf<typeof weirSumsJob>;

export const weirBucketSet = struct(128, {
  bits: [0, bytes(128)],
});
export type WeirBucketSet = ValueOf<typeof weirBucketSet>;
