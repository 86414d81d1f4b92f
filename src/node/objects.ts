// SPDX-License-Identifier: Apache-2.0
/** The compiled programs that make up the dataplane. */
import { join } from "node:path";

/** One for each family; the first one has the program that is attached. */
export const OBJECT_PATHS: readonly string[] = [
  "director4.bpf.o",
  "director6.bpf.o",
].map((name) => join(import.meta.dirname, "..", "..", "build", name));
