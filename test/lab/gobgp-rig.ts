// SPDX-License-Identifier: Apache-2.0
/** A router, and one node whose gobgpd an announcer looks after. */
import type { ExecutionContext } from "ava";
import { silentLog } from "../../src/log.ts";
import type { Routing } from "../../src/model.ts";
import { GobgpClient } from "../../src/routing/gobgp-client.ts";
import { withdrawalOf } from "../../src/routing/gobgp-messages.ts";
import { GobgpAnnouncer } from "../../src/routing/gobgp.ts";
import { ROUTES } from "./announcer-suite.ts";
import type { AnnouncerRig } from "./announcer-suite.ts";
import { BgpNode } from "./bgp-node.ts";
import { BgpRouter } from "./bgp-router.ts";
import type { Sessions } from "./bgp-router.ts";
import { BgpSandbox } from "./bgp-sandbox.ts";

/** Short, so that the tests of the periodic look do not take long. */
const READ_BACK_MS = 500;

const NUMBER = 1;

export class GobgpRig implements AnnouncerRig {
  readonly node: BgpNode;
  readonly #router: BgpRouter;
  readonly #sandbox: BgpSandbox;

  private constructor(node: BgpNode, router: BgpRouter, sandbox: BgpSandbox) {
    this.node = node;
    this.#router = router;
    this.#sandbox = sandbox;
  }

  static async create(sessions: Sessions): Promise<GobgpRig> {
    const sandbox = await BgpSandbox.create();
    const router = await BgpRouter.create(sandbox, sessions);
    const node = await BgpNode.create(sandbox, router, NUMBER);
    await router.start(NUMBER);
    return new GobgpRig(node, router, sandbox);
  }

  announcer(
    t: ExecutionContext,
    changes: Partial<Routing> = {},
    setTimeoutMs = 10_000,
  ): GobgpAnnouncer {
    const announcer = new GobgpAnnouncer({
      routing: { ...this.node.routing, ...changes },
      interfaces: this.node.interfaces,
      log: silentLog,
      setTimeoutMs,
      readBackMs: READ_BACK_MS,
    });
    t.teardown(() => announcer.close());
    return announcer;
  }

  async emptyDaemon(): Promise<void> {
    await this.withClient(async (client) => {
      for (const { prefix } of ROUTES)
        await client.deletePath(withdrawalOf(prefix, 0));
    });
  }

  async withClient<T>(use: (client: GobgpClient) => Promise<T>): Promise<T> {
    const client = new GobgpClient(this.node.socket);
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  destroy(): void {
    this.#sandbox.destroy();
  }

  killDaemon = () => this.node.killGobgpd();
  startDaemon = () => this.node.startGobgpd();
  routerTable = () => this.#router.tableTowards(NUMBER);
  routerSession = () => this.#router.sessionWith(NUMBER);
  routerAttributes = (prefix: string) => this.#router.attributes(prefix);
}
