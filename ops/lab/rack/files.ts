// SPDX-License-Identifier: Apache-2.0
// The files that every real server of the rack serves. Their content depends on their name alone, so a client can tell by
// hash whether it got them whole, whichever server answered. As a program: `node files.ts DIRECTORY` writes them.

import { createCipheriv, createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Path below the web root, and size in bytes. Those in `steady` are served at a steady 1 MB/s. */
export const FILES: Readonly<Record<string, number>> = {
  "files/1k": KIB,
  "files/64k": 64 * KIB,
  "files/1m": MIB,
  "files/8m": 8 * MIB,
  "steady/2m": 2 * MIB,
  "steady/64m": 64 * MIB,
};

/** The content: an AES-128-CTR key stream whose key is made from the name. No two parts of it are alike. */
export function fileBytes(name: string): Buffer {
  const size = FILES[name];
  if (size === undefined)
    throw new Error(
      `Cannot make ${name}: the files are ${Object.keys(FILES).join(", ")}`,
    );
  const key = createHash("sha256").update(name).digest().subarray(0, 16);
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(
    Buffer.alloc(size),
  );
}

/** The SHA-256 of the content in hexadecimal digits, as sha256sum prints it. */
export function fileHash(name: string): string {
  return createHash("sha256").update(fileBytes(name)).digest("hex");
}

function writeFiles(directory: string): void {
  for (const name of Object.keys(FILES)) {
    mkdirSync(path.join(directory, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(directory, name), fileBytes(name));
  }
}

if (import.meta.main) {
  const directory = process.argv[2];
  if (directory === undefined)
    throw new Error("usage: node files.ts DIRECTORY");
  writeFiles(directory);
}
