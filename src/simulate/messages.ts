// SPDX-License-Identifier: Apache-2.0
/** What the command and the process in the namespaces say to each other. */
import type { Cluster } from "../model.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { PacketResult } from "./simulation.ts";

export type ToProcess =
  | {
      readonly kind: "begin";
      readonly cluster: Cluster;
      readonly node: string;
      readonly network: SimulatedNetwork;
      readonly packets: number;
    }
  | { readonly kind: "run"; readonly packets: readonly Packet[] };

/** One answer to each question. */
export type FromProcess =
  | { readonly kind: "ready" }
  | { readonly kind: "results"; readonly results: readonly PacketResult[] }
  | { readonly kind: "failed"; readonly message: string };

/** A frame, and the interface that it comes in by. */
export type Packet = { readonly iface: string; readonly bytes: Uint8Array };
