// SPDX-License-Identifier: Apache-2.0
/**
 * Writes src/node/layout.ts from the C headers: `generate-layout.ts` writes the file, `generate-layout.ts --check` says
 * whether it is up to date and exits 1 if it is not.
 *
 * clang lays the structs out and evaluates the constants; BTF carries both over. An object of the dataplane would not do:
 * its BTF lacks the structs that no map has, and all macros.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format } from "prettier";

const DATAPLANE = join(import.meta.dirname, "../../dataplane");
const LAYOUT = join(import.meta.dirname, "../../src/node/layout.ts");
const HEADERS = ["weir.h", "table_user.h", "table_jobs.h"];

/** The parts of `bpftool -j btf dump` that are used. */
type BtfType = {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size: number;
  readonly encoding: string;
  readonly type_id: number;
  readonly nr_elems: number;
  readonly members: readonly BtfMember[];
  readonly values: readonly { readonly name: string; readonly val: number }[];
};
type BtfMember = {
  readonly name: string;
  readonly type_id: number;
  readonly bits_offset: number;
};

async function main(): Promise<void> {
  const wanted = await generateLayout();
  if (!process.argv.includes("--check")) {
    writeFileSync(LAYOUT, wanted);
    return;
  }
  if (wanted !== readFileSync(LAYOUT, "utf8")) {
    process.stderr.write(
      `src/node/layout.ts differs from the dataplane's headers: run node ops/setup/generate-layout.ts, then look at git diff\n`,
    );
    process.exitCode = 1;
  }
}

/** The text that src/node/layout.ts should have. Throws if clang-19 or bpftool fails. */
export async function generateLayout(): Promise<string> {
  const source = HEADERS.map((header) =>
    readFileSync(join(DATAPLANE, header), "utf8"),
  ).join("\n");
  const structs = matches(source, /^struct (weir_\w+) \{$/gm);
  const constants = matches(source, /^#define (WEIR_\w+) +[(0-9]/gm);
  const types = compile(structs, constants);
  return format(render(structs, types), { parser: "typescript" });
}

function matches(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].map(([, name]) => name ?? "");
}

/** Has clang make BTF of each struct, and of an enum with the value of each constant. */
function compile(
  structs: readonly string[],
  constants: readonly string[],
): readonly BtfType[] {
  const source = [
    "#include <linux/types.h>",
    ...HEADERS.map((header) => `#include "${header}"`),
    ...structs.map((name, i) => `struct ${name} struct_${i};`),
    // An enum's members need names of their own: the macros would be replaced.
    `enum constants { ${constants.map((name) => `value_${name} = ${name},`).join(" ")} } constants;`,
  ].join("\n");
  const directory = mkdtempSync(join(tmpdir(), "weir-layout-"));
  try {
    const object = join(directory, "layout.o");
    const machine = execFileSync("uname", ["-m"], { encoding: "utf8" }).trim();
    const options = ["-target", "bpf", "-g", "-O2", "-x", "c"];
    const include = [
      "-I",
      DATAPLANE,
      "-I",
      `/usr/include/${machine}-linux-gnu`,
    ];
    execFileSync(
      "clang-19",
      [...options, ...include, "-c", "-", "-o", object],
      { input: source, stdio: ["pipe", "inherit", "inherit"] },
    );
    const dump = execFileSync(
      "bpftool",
      ["-j", "btf", "dump", "file", object],
      { encoding: "utf8" },
    );
    const { types }: { readonly types: readonly BtfType[] } = JSON.parse(dump);
    return types;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function render(structs: readonly string[], types: readonly BtfType[]): string {
  const byId = new Map(types.map((type) => [type.id, type]));
  const words = new Set<string>(["struct"]);

  const constants = types
    .filter(({ kind, name }) => kind.startsWith("ENUM") && name === "constants")
    .flatMap(({ values }) => values)
    .map(({ name, val }) => `export const ${name.slice(6)} = ${val};`);

  const declarations = structs.map((name) => {
    const type = types.find((t) => t.kind === "STRUCT" && t.name === name);
    if (type === undefined) throw new Error(`clang made no BTF of ${name}`);
    const fields = type.members
      // Nobody's bytes: written as zero, never read.
      .filter(({ name }) => !/^(pad|spare)(_too)?$/.test(name))
      .map(
        (member) =>
          `${member.name}: [${member.bits_offset / 8}, ${fieldOf(member.type_id)}],`,
      );
    return [
      `export const ${camelCase(name)} = struct(${type.size}, {`,
      ...fields,
      `});`,
      `export type ${pascalCase(name)} = ValueOf<typeof ${camelCase(name)}>;`,
    ].join("\n");
  });

  /** The word of struct.ts, or the struct, that describes a type. */
  function fieldOf(id: number): string {
    const type = byId.get(id);
    if (type === undefined) throw new Error(`BTF has no type ${id}`);
    switch (type.kind) {
      case "TYPEDEF":
        return type.name === "__be16" || type.name === "__be32"
          ? word(type.name.slice(2))
          : fieldOf(type.type_id);
      case "INT":
        return word(
          `${type.encoding === "SIGNED" ? "s" : "u"}${type.size * 8}`,
        );
      case "STRUCT":
        return camelCase(type.name);
      case "ARRAY":
        return arrayOf(fieldOf(type.type_id), type.nr_elems);
      default:
        throw new Error(`No word for a ${type.kind} (${type.name})`);
    }
  }

  /** Arrays of bytes and of wire-order words are addresses: bytes as they are. */
  function arrayOf(item: string, length: number): string {
    if (item === "u8") return `${word("bytes")}(${length})`;
    if (item === "be32") return `${word("bytes")}(${length * 4})`;
    return `${word("array")}(${length}, ${item})`;
  }

  function word(name: string): string {
    words.add(name);
    return name;
  }

  return `// SPDX-License-Identifier: Apache-2.0
/** The structs and constants of the dataplane's headers. Written by ops/setup/generate-layout.ts: do not edit. */
import { ${[...words].sort().join(", ")} } from "./struct.ts";
import type { ValueOf } from "./struct.ts";

${constants.join("\n")}

${declarations.join("\n\n")}
`;
}

function camelCase(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

function pascalCase(name: string): string {
  return camelCase(`_${name}`);
}

if (import.meta.main) await main();
