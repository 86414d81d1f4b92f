// SPDX-License-Identifier: Apache-2.0
/**
 * The agent's metrics for Prometheus, over HTTP. A scrape asks an `AdminSource` what the CLI asks, and writes down the
 * answer: nothing is kept between scrapes.
 */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Registry } from "prom-client";
import { WeirError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Endpoint } from "../model.ts";
import type { AdminSource } from "./admin.ts";
import { type Family, familiesOf } from "./metric-families.ts";

/** More scrapers at once are refused. */
const CONNECTIONS_MAX = 16;
/** Who connects and sends nothing has so long. */
const REQUEST_TIMEOUT_MS = 5_000;
/** The event loop is asked so often whether it is late. */
const DELAY_RESOLUTION_MS = 10;
const DELAY_QUANTILES = [0.5, 0.99, 1];

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`. Port 0 takes any that is free.
 *
 * @throws WeirError if the address cannot be listened on.
 */
export async function serveMetrics(
  source: AdminSource,
  listen: Endpoint,
  log: Log,
): Promise<MetricsServer> {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  const scrape = async (): Promise<string> => {
    const families = [
      ...(await familiesOf(source)),
      ...processFamilies(DELAY_QUANTILES.map((q) => [q, delayOf(delay, q)])),
    ];
    delay.reset();
    return expose(families);
  };
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0];
    if (path !== "/metrics") {
      send(response, 404, "The metrics are at /metrics\n");
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "Only GET and HEAD\n");
    } else {
      scrape().then(
        (text) => send(response, 200, text, Registry.PROMETHEUS_CONTENT_TYPE),
        (error: unknown) => {
          log.error("A scrape failed", {
            op: "answerScrape",
            reason: "sourceFailed",
            error,
          });
          send(response, 500, "The agent cannot tell: see its log\n");
        },
      );
    }
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  const port = await bind(server, listen);
  delay.enable();
  return {
    port,
    close: async () => {
      delay.disable();
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function bind(
  server: Server,
  { address, port }: Endpoint,
): Promise<number> {
  try {
    server.listen({ host: address, port });
    await once(server, "listening");
  } catch (cause) {
    throw new WeirError(
      `Cannot serve metrics: ${cause instanceof Error ? cause.message : String(cause)}: current value is ${address}, port ${port}`,
      { cause },
    );
  }
  const bound = server.address();
  return typeof bound === "object" ? (bound?.port ?? port) : port;
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, { "content-type": type }).end(text);
}

/** Seconds that the event loop was late, since the last scrape. */
function delayOf(
  delay: ReturnType<typeof monitorEventLoopDelay>,
  quantile: number,
): number {
  if (delay.count === 0) return 0;
  const interval =
    quantile === 1 ? delay.max : delay.percentile(quantile * 100);
  return Math.max(0, interval / 1e9 - DELAY_RESOLUTION_MS / 1e3);
}

function processFamilies(
  delays: readonly (readonly [quantile: number, seconds: number])[],
): readonly Family[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      type: "gauge",
      name: "weir_event_loop_delay_seconds",
      help: "How late the agent's event loop was, since the last scrape.",
      samples: delays.map(([quantile, value]) => ({
        labels: { quantile: String(quantile) },
        value,
      })),
    },
    {
      type: "counter",
      name: "process_cpu_seconds_total",
      help: "CPU time of the agent, in all its threads.",
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      type: "gauge",
      name: "process_resident_memory_bytes",
      help: "Memory of the agent that is in RAM.",
      samples: [{ value: process.memoryUsage.rss() }],
    },
  ];
}

/** The text that Prometheus reads. */
function expose(families: readonly Family[]): Promise<string> {
  const registry = new Registry();
  for (const { type, name, help, samples } of families) {
    // prom-client would make up a 0 for it.
    if (samples.length === 0) continue;
    const options = {
      name,
      help,
      labelNames: Object.keys(samples[0]?.labels ?? {}),
      registers: [registry],
    };
    if (type === "counter") {
      const counter = new Counter(options);
      for (const { labels = {}, value } of samples)
        counter.inc(labels, Number(value));
    } else {
      const gauge = new Gauge(options);
      for (const { labels = {}, value } of samples)
        gauge.set(labels, Number(value));
    }
  }
  return registry.metrics();
}
