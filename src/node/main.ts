// SPDX-License-Identifier: Apache-2.0
/** `weir agent`: reads the config, runs this node's agent, reloads on SIGHUP, leaves on SIGTERM and SIGINT. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { constants, hostname, setPriority } from "node:os";
import { dirname } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { isLeft } from "fp-ts/lib/Either.js";
import { ADMIN_SOCKET } from "../admin/api.ts";
import { InvalidConfigError, UsageError, WeirError } from "../errors.ts";
import { sharesSessions } from "../model.ts";
import { createLog, isLogLevel, type Log, LOG_LEVELS } from "../log.ts";
import { BlackholeRoutes } from "../routing/blackhole.ts";
import { GobgpAnnouncer } from "../routing/gobgp.ts";
import { serveAdmin } from "./admin.ts";
import { AgentAdmin } from "./admin-source.ts";
import { Agent, type AgentConfig } from "./agent.ts";
import { readConfig, readHost } from "./config.ts";
import { Dataplane } from "./dataplane.ts";
import { serveMetrics } from "./metrics.ts";
import { OBJECT_PATHS } from "./objects.ts";
import { Reachability } from "./reachability.ts";
import { Sharing, type SharingOptions } from "./sharing.ts";
import { warningsOf } from "./warnings.ts";

const USAGE = `Usage: ./weir agent --config FILE [--node NAME] [options]

Runs this node's agent in the foreground: fills the dataplane, attaches it, announces the routes.

  --config FILE      the cluster's config (see ops/config/weir.yaml)
  --node NAME        this node's name in it (default: the host's name)
  --socket PATH      where the admin API listens (default ${ADMIN_SOCKET})
  --state-dir DIR    the agent's lock (default /run/weir)
  --data-dir DIR     what outlives a reboot (default /var/lib/weir)
  --pin-dir DIR      the dataplane's pins, in a bpf file system (default /sys/fs/bpf/weir)
  --log FILE         write the log there instead of to standard output
  --log-level LEVEL  error | warn | info | debug (default info)

Signals: SIGHUP reads the config again; a config with an error is refused whole. SIGTERM and SIGINT withdraw the
routes, wait until no packet comes, detach. After SIGKILL the dataplane goes on and the next agent adopts it.

Example: ./weir agent --config /etc/weir/weir.yaml --node d1
`;

const OPTIONS = {
  config: { type: "string" },
  node: { type: "string", default: hostname() },
  socket: { type: "string", default: ADMIN_SOCKET },
  "state-dir": { type: "string", default: "/run/weir" },
  "data-dir": { type: "string", default: "/var/lib/weir" },
  "pin-dir": { type: "string", default: "/sys/fs/bpf/weir" },
  log: { type: "string" },
  "log-level": { type: "string", default: "info" },
  help: { type: "boolean", short: "h", default: false },
} as const;

async function main(args: readonly string[]): Promise<void> {
  const { values } = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  if (values.config === undefined)
    throw new UsageError("Cannot run the agent: --config is missing");
  const level = values["log-level"];
  if (!isLogLevel(level))
    throw new UsageError(
      `Cannot run the agent: --log-level must be ${LOG_LEVELS.join(", ")}: current value is ${level}`,
    );
  const { config: file, node: name } = values;
  if (values.log !== undefined) expectWritable(values.log);
  const log = createLog({
    level,
    ...(values.log === undefined ? {} : { file: values.log }),
  });
  await run({
    file,
    name,
    log,
    socket: values.socket,
    stateDir: values["state-dir"],
    dataDir: values["data-dir"],
    pinDir: values["pin-dir"],
  });
}

/** The log itself is silent about a file that it cannot write. */
function expectWritable(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    closeSync(openSync(file, "a"));
  } catch (cause) {
    throw new WeirError(
      `Cannot write the log ${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

async function run({
  file,
  name,
  log,
  socket,
  stateDir,
  dataDir,
  pinDir,
}: {
  readonly file: string;
  readonly name: string;
  readonly log: Log;
  readonly socket: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly pinDir: string;
}): Promise<void> {
  const config = await readNodeConfig(file, name);
  raisePriority(log);
  const dataplane = Dataplane.open({
    stateDir,
    pinDir,
    limits: config.cluster.limits,
    objectPaths: OBJECT_PATHS,
  });
  const sharing = await share(config, dataplane, { stateDir, dataDir }, log);
  const agent = new Agent(config, {
    dataplane,
    sharing,
    reachability: new Reachability(
      new GobgpAnnouncer({ routing: config.node.routing, log }),
      new BlackholeRoutes(),
      log,
    ),
    log,
  });
  process.on("SIGHUP", () => void reload(agent, file, name, log));
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => resolve());
  });
  const admin = await startOrClose(agent, async () => {
    const source = new AgentAdmin(agent);
    const server = await serveAdmin(source, socket, log);
    const metrics =
      config.node.metrics &&
      (await serveMetrics(source, config.node.metrics, log));
    const started = agent.start().then(() => {
      log.info("agent started", { event: "agentStarted", node: name });
    });
    // Told to leave while it waits for first news of the real servers, it does not wait: stop() ends the start.
    await Promise.race([started, stopped]);
    started.catch(() => {});
    return {
      close: async () => {
        await metrics?.close();
        await server.close();
      },
    };
  });
  await stopped;
  log.info("agent leaves", { event: "agentLeaves", node: name });
  await agent.stop();
  await admin.close();
  await log.close();
}

/** The nats-server inherits it: what these two are late with would be lost with the node. */
function raisePriority(log: Log): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGH);
  } catch (error) {
    log.warn("priority not raised", { op: "setPriority", error });
  }
}

/** Undefined: there is nobody to share sessions with. */
async function share(
  { cluster, node }: AgentConfig,
  dataplane: Dataplane,
  directories: Pick<SharingOptions, "stateDir" | "dataDir">,
  log: Log,
): Promise<Sharing | undefined> {
  for (const { path, message } of warningsOf(cluster))
    log.warn("config warning", { event: "configWarning", path, message });
  if (cluster.nodes.length < 2 || !sharesSessions(cluster)) return undefined;
  try {
    const options = { cluster, node, dataplane, ...directories, log };
    return await Sharing.start(options);
  } catch (error) {
    dataplane.close();
    throw error;
  }
}

/** An agent that does not come up leaves no process of its own behind, such as `ip monitor`. */
async function startOrClose<T>(
  agent: Agent,
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    await agent.close();
    throw error;
  }
}

/** A bad config is refused whole: the running one stays. */
async function reload(
  agent: Agent,
  file: string,
  name: string,
  log: Log,
): Promise<void> {
  try {
    const config = await readNodeConfig(file, name);
    refuseFixedChanges(agent.config, config);
    await agent.reload(config);
    log.info("config reloaded", { event: "configReloaded", file });
  } catch (error) {
    const reason =
      error instanceof InvalidConfigError ? "invalid" : "notApplied";
    log.error("config refused", { op: "reload", reason, error });
  }
}

/** What the pins and the routing daemon were made with cannot change under a running agent. */
function refuseFixedChanges(old: AgentConfig, next: AgentConfig): void {
  const fixed: readonly (readonly [
    string,
    (config: AgentConfig) => unknown,
  ])[] = [
    ["cluster", ({ cluster }) => cluster.name],
    ["aggregate", ({ cluster }) => cluster.aggregates],
    ["limits", ({ cluster }) => cluster.limits],
    ["bus", ({ cluster }) => cluster.bus],
    [`nodes.${old.node.name}.bus`, ({ node }) => node.bus],
    [`nodes.${old.node.name}.metrics`, ({ node }) => node.metrics],
    [`nodes.${old.node.name}.pool`, ({ node }) => node.pools],
    [`nodes.${old.node.name}.routing`, ({ node }) => node.routing],
  ];
  for (const [path, of] of fixed)
    if (!isDeepStrictEqual(of(old), of(next)))
      throw new WeirError(
        `Cannot reload ${path}: it takes a restart of the agent: current value is ${JSON.stringify(of(next))}`,
      );
}

/** @throws InvalidConfigError, also if the file does not have this node. */
async function readNodeConfig(
  file: string,
  name: string,
): Promise<AgentConfig> {
  const read = await readConfig(file, await readHost(name));
  if (isLeft(read)) throw new InvalidConfigError(file, read.left);
  const cluster = read.right;
  const node = cluster.nodes.find((one) => one.name === name);
  if (node === undefined)
    throw new RangeError(`Cannot find node ${name} in a checked config`);
  return { cluster, node };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS });
  } catch (cause) {
    throw new UsageError(
      `Cannot run the agent: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof WeirError)) throw error;
  const wrongCall = error instanceof UsageError;
  process.stderr.write(
    `weir: ${error.message}\n${wrongCall ? "See: weir agent --help\n" : ""}`,
  );
  // An open handle of a half-started agent must not keep it alive.
  process.exit(wrongCall ? 2 : 1);
}
