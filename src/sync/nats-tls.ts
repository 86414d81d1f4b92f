// SPDX-License-Identifier: Apache-2.0
import { checkServerIdentity } from "node:tls";
import type { PeerCertificate } from "node:tls";
import type { TlsFiles } from "../model.ts";

/** As the client library takes it, for a server that is dialled by this name or address. */
export function tlsOptions({ ca, cert, key }: TlsFiles, host: string) {
  return {
    caFile: ca,
    certFile: cert,
    keyFile: key,
    // The library names no host to Node.js when it dials an address, and Node.js would look for "localhost".
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      checkServerIdentity(host, certificate),
  };
}
