// SPDX-License-Identifier: Apache-2.0
/** From the text of the config file to the cluster that it describes, or to all that is wrong with it at once. */
import { readFile } from "node:fs/promises";
import { type Either, isLeft, left, right } from "fp-ts/lib/Either.js";
import {
  isNode,
  LineCounter,
  parseDocument,
  type Document,
  type YAMLError,
} from "yaml";
import type { ConfigError } from "../errors.ts";
import {
  type Bus,
  type Cluster,
  type ClusterNode,
  familyOf,
  type NodeBus,
  originOf,
  type Prefix,
  type VirtualService,
} from "../model.ts";
import { checkDraft, type Host } from "./check.ts";
import { type Place, type Problem, problemsOf } from "./config-codec.ts";
import { configFile, type ConfigFile } from "./config-schema.ts";
import { hasOnePort } from "./service-key.ts";

export type { Host } from "./check.ts";
export { readHost } from "./host.ts";

const SAMPLE = "see ops/config/weir.yaml for a sample with all keys";

/** Room for wide sessions where the config has no use for any. */
const WIDE_SESSIONS_UNUSED = 1_024;

export type LoadedConfig = Either<readonly ConfigError[], Cluster>;
export type DecodedConfig = Either<readonly ConfigError[], ConfigFile>;

/** As `loadConfig`, from a file. */
export async function readConfig(
  path: string,
  host?: Host,
): Promise<LoadedConfig> {
  const file = await readConfigFile(path, host);
  return isLeft(file) ? file : right(toCluster(file.right));
}

/** As `decodeConfig`, from a file. One that cannot be read is one more error of the same kind. */
export async function readConfigFile(
  path: string,
  host?: Host,
): Promise<DecodedConfig> {
  try {
    return decodeConfig(await readFile(path, "utf8"), host);
  } catch (error) {
    const message = `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return left([
      {
        path: "",
        value: path,
        message,
        hint: "give the path of a file that this user may read",
      },
    ]);
  }
}

/** The cluster that `decodeConfig` finds. */
export function loadConfig(text: string, host?: Host): LoadedConfig {
  const file = decodeConfig(text, host);
  return isLeft(file) ? file : right(toCluster(file.right));
}

/**
 * Decodes and checks. With `host`, also against the addresses of the machine that it is.
 * Left: every error of the file, in the order of its lines.
 */
export function decodeConfig(text: string, host?: Host): DecodedConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
  });
  const syntax = [...document.errors, ...document.warnings].map((error) =>
    syntaxError(error, lines),
  );
  // After a duplicate key the rest can still be trusted; after any other error the tree is guesswork.
  if (document.errors.some(({ code }) => code !== "DUPLICATE_KEY"))
    return left(syntax);

  const content = contentOf(document);
  if (isLeft(content)) return left([...syntax, content.left]);
  const malformed = problemsOf(configFile, content.right);
  const told = new Set(malformed.map(({ place }) => formatPlace(place)));
  const problems = [
    ...malformed,
    ...checkDraft(configFile.salvage(content.right), host).filter(
      ({ place }) => !told.has(formatPlace(place)),
    ),
  ];
  const errors = [
    ...syntax,
    ...problems.map((problem) => toConfigError(problem, document, lines)),
  ];
  const decoded = configFile.decode(content.right);
  return errors.length > 0 || isLeft(decoded)
    ? left(inFileOrder(errors))
    : decoded;
}

function syntaxError(error: YAMLError, lines: LineCounter): ConfigError {
  const { line, col } = lines.linePos(error.pos[0]);
  return {
    path: "",
    value: null,
    message: `the file is not YAML: line ${line}, column ${col}: ${error.message}`,
    hint: SAMPLE,
    line,
    column: col,
  };
}

function contentOf(document: Document): Either<ConfigError, unknown> {
  try {
    const content: unknown = document.toJS();
    if (content !== null) return right(content);
    return left({
      path: "",
      value: null,
      message: "the file is empty",
      hint: SAMPLE,
    });
  } catch (error) {
    // An alias without its anchor, or so many that the file would not fit into memory.
    const message = `the file is not YAML: ${error instanceof Error ? error.message : String(error)}`;
    return left({
      path: "",
      value: null,
      message,
      hint: "write the value out",
    });
  }
}

function toConfigError(
  { place, value, message, hint }: Problem,
  document: Document,
  lines: LineCounter,
): ConfigError {
  return {
    path: formatPlace(place),
    value: plain(value),
    message: place.length === 0 ? `the file ${message}` : message,
    hint,
    ...positionOf(place, document, lines),
  };
}

/** Of the value, or, where there is none, of what it should have been in. */
function positionOf(
  place: Place,
  document: Document,
  lines: LineCounter,
): { line?: number; column?: number } {
  for (let depth = place.length; depth > 0; depth--) {
    const node = document.getIn(place.slice(0, depth), true);
    if (isNode(node) && node.range) {
      const { line, col } = lines.linePos(node.range[0]);
      return { line, column: col };
    }
  }
  return {};
}

/** `services[0].servers[1].port` */
export function formatPlace(place: Place): string {
  return place
    .map((step) => {
      if (typeof step === "number") return `[${step}]`;
      return /^[\w-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    })
    .join("")
    .replace(/^\./, "");
}

/** What JSON can carry: YAML also knows numbers that are none, and values that contain themselves. */
function plain(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === "number" && !Number.isFinite(value))
    return String(value);
  try {
    JSON.stringify(value);
    return value;
  } catch {
    return "a value that contains itself";
  }
}

function inFileOrder(errors: readonly ConfigError[]): readonly ConfigError[] {
  return errors.toSorted(
    (a, b) =>
      (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

export function toCluster(file: ConfigFile): Cluster {
  const services = file.services.map(toService);
  const aggregates = toPrefixes(file.aggregate);
  const { limits } = file;
  const wide =
    aggregates.some(({ address }) => familyOf(address) === 6) ||
    services.some(({ vip, servers }) =>
      [vip, ...servers.map(({ address }) => address)].some(
        (address) => familyOf(address) === 6,
      ),
    );
  return {
    name: file.cluster,
    aggregates,
    unknownPort: file.unknown_port,
    ipOptions: file.ip_options,
    limits: {
      sessions: limits.sessions,
      wideSessions:
        limits.wide_sessions ?? (wide ? limits.sessions : WIDE_SESSIONS_UNUSED),
      services: limits.services,
      realServers: limits.real_servers,
    },
    bus: toBus(file.bus),
    nodes: Object.entries(file.nodes).map(([name, node]) => toNode(name, node)),
    services,
  };
}

/** IPv4 first. */
function toPrefixes(given: Prefix | readonly Prefix[]): readonly Prefix[] {
  return [given]
    .flat()
    .toSorted((a, b) => familyOf(a.address) - familyOf(b.address));
}

function toBus({ servers, tls }: ConfigFile["bus"]): Bus {
  return { servers, ...(tls === undefined ? {} : { tls }) };
}

function toNode(
  name: string,
  { interfaces, pool, ports, routing, ...rest }: ConfigFile["nodes"][string],
): ClusterNode {
  const { backend, socket, asn, router_id, listen, neighbors } = routing;
  return {
    name,
    origin: originOf(name),
    interfaces,
    pools: toPrefixes(pool),
    ports,
    routing: {
      backend,
      socket,
      asn,
      routerId: router_id,
      listen,
      neighbors: neighbors.map(({ address, asn, hold_time }) => ({
        address,
        asn,
        holdTimeMs: hold_time,
      })),
    },
    ...(rest.bus === undefined ? {} : { bus: toNodeBus(rest.bus) }),
    ...(rest.metrics === undefined ? {} : { metrics: rest.metrics.listen }),
  };
}

function toNodeBus({
  address,
  client_port,
  cluster_port,
}: NonNullable<ConfigFile["nodes"][string]["bus"]>): NodeBus {
  return { address, clientPort: client_port, clusterPort: cluster_port };
}

function toService({
  port,
  ports = { min: port ?? 0, max: port ?? 0 },
  timeouts,
  health,
  servers,
  ...service
}: ConfigFile["services"][number]): VirtualService {
  const asked = hasOnePort({ ports }) ? ports.min : 0;
  return {
    ...service,
    ports,
    timeouts: {
      handshakeMs: timeouts.handshake,
      establishedMs: timeouts.established,
      // UDP has no such sessions.
      closedMs: timeouts.closed ?? timeouts.handshake,
      resetMs: timeouts.reset ?? timeouts.handshake,
    },
    health: {
      type: health.type,
      path: health.path,
      ...(health.port === undefined ? {} : { port: health.port }),
      intervalMs: health.interval,
      timeoutMs: health.timeout,
      rise: health.rise,
      fall: health.fall,
    },
    servers: servers.map((server) => ({
      ...server,
      port: server.port ?? asked,
    })),
  };
}
