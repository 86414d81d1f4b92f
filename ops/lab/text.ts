// SPDX-License-Identifier: Apache-2.0
// The two text rules that containerlab applies to a topology: variables in the whole file, and words in command lines.
// Both follow what containerlab does, also where a shell would do otherwise.

const VARIABLE =
  /\$\$|\$\{([A-Za-z_]\w*)(?:(:?[-=+])([^{}]*))?\}|\$([A-Za-z_]\w*)/g;

/**
 * Replaces `$V`, `${V}`, `${V:-default}`, `${V:=default}` and `${V:+other}` (each also without the colon: then an empty
 * value counts as set). `$$` is a literal `$`, so `$$V` reaches the node's own shell. A variable that is not set and has
 * no default stays as it is written.
 */
export function substitute(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(
    VARIABLE,
    (
      whole: string,
      braced?: string,
      operator?: string,
      word = "",
      plain?: string,
    ) => {
      if (whole === "$$") return "$";
      const value = env[braced ?? plain ?? ""];
      if (operator === undefined) return value ?? whole;
      const isSet = operator.startsWith(":")
        ? Boolean(value)
        : value !== undefined;
      if (operator.endsWith("+")) return isSet ? word : "";
      return isSet ? (value ?? "") : word;
    },
  );
}

/**
 * Splits a command line into words as google/shlex does: single quotes keep everything, double quotes and bare words let
 * a backslash protect the next character, `#` at the start of a word begins a comment. There is no shell: `|`, `>` and
 * `*` are ordinary characters.
 * @throws Error when a quote is not closed or a backslash ends the line.
 */
export function splitWords(line: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    if (character === "\\" && quote !== "'") {
      at++;
      if (at === line.length) throw new Error("a backslash ends the line");
      word = (word ?? "") + line.charAt(at);
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "#" && word === undefined) {
      break;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== "") throw new Error(`a ${quote} is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}
