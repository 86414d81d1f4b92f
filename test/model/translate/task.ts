// SPDX-License-Identifier: Apache-2.0
/** What may become of a frame. */
import type { Datagram } from "./datagrams.ts";
import type { Frame } from "./ethernet.ts";
import type { Icmp, Quote } from "./icmp.ts";
import type { Fragment, Ip } from "./ip.ts";
import type { Finding, Reason } from "./reason.ts";
import type { Direction, Flow, Session } from "./sessions.ts";
import type { Transport } from "./transport.ts";
import type { Service } from "./world.ts";

/** How a frame is to be translated. */
export type Task =
  | {
      readonly kind: "flow";
      readonly session: Session;
      readonly direction: Direction;
      readonly transport: Transport;
    }
  | {
      readonly kind: "open";
      readonly service: Service;
      readonly flow: Flow;
      readonly transport: Transport;
    }
  | {
      readonly kind: "fragment";
      readonly datagram: Datagram;
      readonly fragment: Fragment;
    }
  | {
      readonly kind: "error";
      readonly session: Session;
      readonly direction: Direction;
      readonly icmp: Icmp;
      /** Readings of one packet. */
      readonly quotes: readonly Quote[];
    }
  | { readonly kind: "echo" };

export type Expectation = {
  readonly frame: Frame | undefined;
  readonly ip: Ip | undefined;
  /** Any of them. None: it has to end for one of the reasons. */
  readonly tasks: readonly Task[];
  /** For which it may end. */
  readonly reasons: ReadonlySet<Reason>;
};

/** What to do, and what speaks against it. */
export type Plan = {
  readonly finding: Finding;
  readonly tasks: readonly Task[];
};
