// SPDX-License-Identifier: Apache-2.0
/** What sync needs of a bus between nodes. It may lose messages, repeat them and change their order; it says nothing then. */

export type Message = {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Answers a request; absent otherwise. */
  readonly respond?: (data: Uint8Array) => void;
};

export type TransportState = "up" | "down";

export interface Transport {
  /** "down" may mean that messages were lost, also if it was for a moment only. */
  readonly state: TransportState;
  /** Bytes. */
  readonly maxPayload: number;
  /** Bytes handed to publish and not yet known to have left. */
  readonly pending: number;
  /** False: not sent (down, too large, or over the queue's bound), counted. The buffer must not change afterwards. */
  publish(subject: string, data: Uint8Array): boolean;
  /** Subject may end in `.*` or `.>`. Own messages are not delivered. Returns the end of the subscription. */
  subscribe(subject: string, onMessage: (message: Message) => void): () => void;
  /** @throws SyncError (reason: timeout | noResponder | down | refused) */
  request(
    subject: string,
    data: Uint8Array,
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array>;
  onState(listener: (state: TransportState) => void): () => void;
  close(): Promise<void>;
}

/** Messages and bytes of payload since the start; each transport has them. */
export type TransportCounters = {
  readonly sent: number;
  readonly sentBytes: number;
  readonly received: number;
  readonly receivedBytes: number;
  /** Not sent, because there was no connection. */
  readonly refusedDown: number;
  /** Not sent, because too much was waiting to leave. */
  readonly refusedFull: number;
  /** Not sent, because larger than maxPayload. */
  readonly refusedSize: number;
  /** Times that the connection was lost. */
  readonly losses: number;
  /** Bytes that were handed over and not known to have left when a connection was lost. */
  readonly unconfirmedBytes: number;
  /** What the bus did not allow: a subject to publish to or to subscribe. */
  readonly forbidden: number;
};

export function noCounters(): {
  -readonly [name in keyof TransportCounters]: number;
} {
  return {
    sent: 0,
    sentBytes: 0,
    received: 0,
    receivedBytes: 0,
    refusedDown: 0,
    refusedFull: 0,
    refusedSize: 0,
    losses: 0,
    unconfirmedBytes: 0,
    forbidden: 0,
  };
}
