// SPDX-License-Identifier: Apache-2.0
/**
 * The admin API as both of its ends see it: the messages of proto/weir/v1/admin.proto as types, and the gRPC service made
 * of that file. What the fields mean is said there.
 */
import { fileURLToPath } from "node:url";
import type * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";

/** Where the agent listens unless told otherwise. */
export const ADMIN_SOCKET = "/run/weir/agent.sock";

/** Sent as either; received as a bigint always. */
export type U64 = number | bigint;

export type Empty = Readonly<Record<string, never>>;

export type NodeMessage = {
  readonly name: string;
  readonly self: boolean;
  readonly pool: string;
  readonly pools: readonly string[];
  readonly state: string;
  readonly detail: NodeDetail | null;
};

export type NodeDetail = {
  readonly incarnation: U64;
  readonly startedAtUnixMs: U64;
  readonly interfaces: readonly {
    readonly name: string;
    readonly ifindex: number;
    readonly mode: string;
  }[];
  readonly sessions: {
    readonly total: U64;
    readonly halfOpen: U64;
    readonly established: U64;
    readonly closing: U64;
  };
  readonly table: { readonly entries: U64; readonly capacity: U64 };
  readonly tables: readonly {
    readonly name: string;
    readonly sessions: U64;
    readonly load: number;
  }[];
};

export type ServiceMessage = {
  readonly name: string;
  readonly vip: string;
  readonly port: number;
  readonly ports: string;
  readonly protocol: string;
  readonly scheduler: string;
  readonly serversUp: number;
  readonly serversTotal: number;
  readonly announced: boolean;
  readonly sessions: U64;
};

export type ServerMessage = {
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly health: string;
  readonly lastCheck: {
    readonly atUnixMs: U64;
    readonly durationMs: number;
    readonly error: string;
  } | null;
  readonly sessions: U64;
  readonly sessionsCreated: U64;
  readonly inboundPackets: U64;
  readonly inboundBytes: U64;
  readonly outboundPackets: U64;
  readonly outboundBytes: U64;
};

export type ListSessionsRequest = {
  readonly client: string;
  readonly virtual: string;
  readonly local: string;
  readonly real: string;
  readonly state: string;
  readonly protocol: string;
  readonly limit: number;
  readonly countOnly: boolean;
};

export type SessionMessage = {
  readonly client: string;
  readonly virtual: string;
  readonly local: string;
  readonly real: string;
  readonly protocol: string;
  readonly state: string;
  readonly flags: readonly string[];
  readonly service: string;
  readonly origin: string;
  readonly generation: U64;
  readonly idleMs: U64;
  readonly expiresInMs: U64;
};

export type ListSessionsResponse = {
  readonly sessions: readonly SessionMessage[];
  readonly totals: { readonly matched: U64; readonly sent: U64 } | null;
};

export type CounterMessage = { readonly name: string; readonly value: U64 };

export type RoutesMessage = {
  readonly state: string;
  readonly error: string;
  readonly neighbors: readonly {
    readonly address: string;
    readonly asn: number;
    readonly state: string;
    readonly uptimeMs: U64;
    readonly families: readonly number[];
  }[];
  readonly routes: readonly {
    readonly prefix: string;
    readonly kind: string;
    readonly wanted: boolean;
    readonly announced: boolean;
  }[];
  readonly blackholes: readonly string[];
};

export type SyncNodeMessage = {
  readonly name: string;
  readonly self: boolean;
  readonly state: string;
  readonly incarnation: U64;
  readonly silentMs?: number | undefined;
  readonly roundTripMs?: number | undefined;
  readonly problems: readonly string[];
};

export type SyncPairMessage = {
  readonly from: string;
  readonly to: string;
  readonly lagMs?: number | undefined;
  readonly lagP99Ms?: number | undefined;
  readonly seq: U64;
  readonly applied: U64;
  readonly behindRecords?: U64 | undefined;
  readonly gaps?: U64 | undefined;
  readonly resends?: U64 | undefined;
  readonly digestEqual?: boolean | undefined;
  readonly queue: U64;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
};

export type FingerprintMessage = {
  readonly sessions: U64;
  readonly truth: string;
  readonly index: string;
};

export type SyncMessage = {
  readonly state: string;
  readonly bus: string;
  readonly nodes: readonly SyncNodeMessage[];
  readonly pairs: readonly SyncPairMessage[];
  readonly risk: {
    readonly ifDies: string;
    readonly sessions: U64;
    readonly notOnAll: U64;
    readonly onNone: U64;
  } | null;
  readonly counters: readonly CounterMessage[];
  readonly fingerprint: FingerprintMessage | null;
};

/** Each call of the service with what it takes and what it gives. */
export type AdminCalls = {
  readonly ListNodes: {
    request: Empty;
    response: { readonly nodes: readonly NodeMessage[] };
  };
  readonly ListServices: {
    request: Empty;
    response: { readonly services: readonly ServiceMessage[] };
  };
  readonly ListServers: {
    request: Empty;
    response: { readonly servers: readonly ServerMessage[] };
  };
  readonly ListSessions: {
    request: ListSessionsRequest;
    response: ListSessionsResponse;
  };
  readonly GetCounters: {
    request: Empty;
    response: { readonly counters: readonly CounterMessage[] };
  };
  readonly ListRoutes: { request: Empty; response: RoutesMessage };
  readonly GetSync: {
    request: { readonly fingerprint?: boolean; readonly since?: U64 };
    response: SyncMessage;
  };
};

export type AdminService = {
  readonly [C in keyof AdminCalls]: grpc.MethodDefinition<
    AdminCalls[C]["request"],
    AdminCalls[C]["response"]
  >;
};

/** Reads admin.proto. */
export function adminService(): AdminService {
  const file = fileURLToPath(
    new URL("../../proto/weir/v1/admin.proto", import.meta.url),
  );
  return grpcService(
    protobuf.loadSync(file).lookupService("weir.v1.Admin"),
  ) as AdminService;
}

/** A service read by protobufjs as the definition that grpc-js wants. Messages are plain objects on both sides. */
function grpcService(service: protobuf.Service): grpc.ServiceDefinition {
  service.resolveAll();
  const methods = service.methodsArray.map(
    (method): [string, grpc.MethodDefinition<object, object>] => {
      const request = codecOf(method.resolvedRequestType);
      const response = codecOf(method.resolvedResponseType);
      return [
        method.name,
        {
          path: `/${service.fullName.slice(1)}/${method.name}`,
          requestStream: method.requestStream ?? false,
          responseStream: method.responseStream ?? false,
          requestSerialize: request.encode,
          requestDeserialize: request.decode,
          responseSerialize: response.encode,
          responseDeserialize: response.decode,
        },
      ];
    },
  );
  return Object.fromEntries(methods);
}

type MessageCodec = {
  readonly encode: (message: object) => Buffer;
  readonly decode: (bytes: Uint8Array) => object;
};

function codecOf(type: protobuf.Type | null): MessageCodec {
  if (type === null) throw new TypeError("the service has not been resolved");
  return {
    encode: (message) =>
      Buffer.from(type.encode(type.fromObject(message)).finish()),
    decode: (bytes) =>
      type.toObject(type.decode(bytes), { longs: BigInt, defaults: true }),
  };
}
