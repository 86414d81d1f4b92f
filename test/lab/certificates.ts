// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { TlsFiles } from "../../src/model.ts";

/** An authority, and a certificate of it for all these IP addresses, as a client's and as a server's. */
export function makeCertificates(
  directory: string,
  addresses: readonly string[],
): TlsFiles {
  const [ca, caKey, cert, key, request, extensions] = [
    "ca.pem",
    "ca.key",
    "node.pem",
    "node.key",
    "node.csr",
    "node.ext",
  ].map((name) => path.join(directory, name)) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const openssl = (...words: readonly string[]) =>
    execFileSync("openssl", words, { stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const plain = [...newKey, "-nodes", "-subj", "/CN=weir"];
  openssl("req", "-x509", ...plain, "-keyout", caKey, "-out", ca);
  openssl("req", ...plain, "-keyout", key, "-out", request);
  writeFileSync(
    extensions,
    [
      `subjectAltName = ${addresses.map((one) => `IP:${one}`).join(",")}`,
      "extendedKeyUsage = serverAuth, clientAuth",
    ].join("\n"),
  );
  const signing = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial"];
  openssl(
    "x509",
    "-req",
    "-in",
    request,
    ...signing,
    "-extfile",
    extensions,
    "-out",
    cert,
  );
  return { ca, cert, key };
}
