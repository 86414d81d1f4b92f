// SPDX-License-Identifier: Apache-2.0
import type { Transport } from "../../src/sync/transport.ts";

/** What gets through. */
export type Filter = {
  /** False: it is lost on its way, and the sender does not notice. */
  readonly publish?: (subject: string, data: Uint8Array) => boolean;
  /** False: nobody answers. */
  readonly request?: (subject: string) => boolean;
};

/** The same transport, but for what the filter keeps back. */
export function filtered(transport: Transport, filter: Filter): Transport {
  return {
    get state() {
      return transport.state;
    },
    get maxPayload() {
      return transport.maxPayload;
    },
    get pending() {
      return transport.pending;
    },
    publish: (subject, data) =>
      filter.publish?.(subject, data) === false ||
      transport.publish(subject, data),
    subscribe: (subject, onMessage) => transport.subscribe(subject, onMessage),
    request: (subject, data, options) =>
      transport.request(
        filter.request?.(subject) === false ? `nowhere.${subject}` : subject,
        data,
        options,
      ),
    onState: (listener) => transport.onState(listener),
    close: () => transport.close(),
  };
}
