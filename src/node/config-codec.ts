// SPDX-License-Identifier: Apache-2.0
/**
 * io-ts codecs that serve the person who writes the file: each says what it wants in words, unknown keys are refused with
 * the key that was probably meant, and what does decode of a broken file can still be looked at (`salvage`).
 */
import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import type { PortRange, Prefix } from "../model.ts";
import { suggestion } from "./suggestion.ts";

/** Where something stands in a file: keys and list indexes from the root. */
export type Place = readonly (string | number)[];

/** One thing wrong, before its place is turned into text. */
export type Problem = {
  readonly place: Place;
  readonly value: unknown;
  readonly message: string;
  readonly hint: string;
};

/** What could be decoded of a T, undefined where it could not. Lists keep their indexes. */
export type Draft<T> = T extends
  string | number | undefined | Prefix | PortRange
  ? T | undefined
  : T extends readonly (infer E)[]
    ? readonly Draft<E>[] | undefined
    : { readonly [K in keyof T]: Draft<T[K]> } | undefined;

/** A Codec of no matter what: io-ts's types are invariant. */
export type AnyCodec = t.Mixed &
  Pick<Codec<never>, "hint"> & { salvage(input: unknown): unknown };

/** Decodes `input` in full. Left: everything that is wrong with it, in the order of the schema. */
export function problemsOf(codec: t.Mixed, input: unknown): readonly Problem[] {
  const decoded = codec.decode(input);
  return isLeft(decoded) ? decoded.left.map(toProblem) : [];
}

/** The base of all codecs here. `decode` is io-ts's own: an Either of all errors or the value. */
export abstract class Codec<A> extends t.Type<A, A, unknown> {
  constructor(name: string, validate: t.Validate<unknown, A>) {
    super(name, (u): u is A => !isLeft(validate(u, [])), validate, t.identity);
  }

  /** What can be used of `input`, without saying what is wrong with the rest. */
  abstract salvage(input: unknown): Draft<A>;

  /** What to write instead of `input`. */
  abstract hint(input: unknown): string;
}

/**
 * One value. `name` completes "is not ...", `wanted` completes "write ...", and `read` returns undefined for what it
 * cannot read.
 */
export class Leaf<A> extends Codec<A> {
  readonly #wanted: (input: unknown) => string;

  constructor(
    name: string,
    wanted: string | ((input: unknown) => string),
    read: (input: unknown) => A | undefined,
  ) {
    super(name, (input, context) => {
      const value = read(input);
      return value === undefined
        ? t.failure(input, context, complaint(input, name))
        : t.success(value);
    });
    this.#wanted =
      typeof wanted === "string" ? () => `write ${wanted}` : wanted;
  }

  override salvage(input: unknown): Draft<A> {
    const decoded = this.decode(input);
    return (isLeft(decoded) ? undefined : decoded.right) as Draft<A>;
  }

  override hint(input: unknown): string {
    return this.#wanted(input);
  }
}

/** One of a few words. */
export function oneOf<const W extends string>(
  name: string,
  words: readonly W[],
): Leaf<W> {
  const all = `write one of: ${words.join(", ")}`;
  return new Leaf(
    name,
    (input) => suggestion(input, words) ?? all,
    (input) => words.find((word) => word === input),
  );
}

/** A key that may be left out. Written without a value (`key:` and nothing more) it is refused, as any other. */
export class Optional<A> extends Codec<A> {
  readonly #codec: Codec<A>;
  readonly #fallback: unknown;

  /** `fallback` is what the file could have said instead, in the file's own words. */
  constructor(codec: Codec<A>, fallback: unknown) {
    const orFallback = (input: unknown): unknown =>
      input === undefined ? fallback : input;
    super(codec.name, (input, context) =>
      codec.validate(orFallback(input), context),
    );
    this.#codec = codec;
    this.#fallback = fallback;
  }

  override salvage(input: unknown): Draft<A> {
    return this.#codec.salvage(input === undefined ? this.#fallback : input);
  }

  override hint(input: unknown): string {
    return this.#codec.hint(input);
  }
}

/** A key that may be left out, and has no default: then it is undefined. */
export class Maybe<A> extends Codec<A | undefined> {
  readonly #codec: Codec<A>;

  constructor(codec: Codec<A>) {
    super(codec.name, (input, context) =>
      input === undefined
        ? t.success(undefined)
        : codec.validate(input, context),
    );
    this.#codec = codec;
  }

  override salvage(input: unknown): Draft<A | undefined> {
    const salvaged =
      input === undefined ? undefined : this.#codec.salvage(input);
    return salvaged as Draft<A | undefined>;
  }

  override hint(input: unknown): string {
    return this.#codec.hint(input);
  }
}

/** A key that other sections of the kind have, but not this one. */
export class Refused extends Codec<undefined> {
  readonly #hint: string;

  constructor(message: string, hint: string) {
    super(message, (input, context) =>
      input === undefined
        ? t.success(undefined)
        : t.failure(input, context, message),
    );
    this.#hint = hint;
  }

  override salvage(): undefined {
    return undefined;
  }

  override hint(): string {
    return this.#hint;
  }
}

function toProblem({ context, value, message }: t.ValidationError): Problem {
  const place = context
    .slice(1)
    .map(({ key }, parent) =>
      Array.isArray(context[parent]?.actual) ? Number(key) : key,
    );
  const type = context.at(-1)?.type;
  return {
    place,
    value,
    message: message ?? "",
    hint: type instanceof Codec ? type.hint(value) : "",
  };
}

/** What is wrong with `input`, which is not `name`. */
export function complaint(input: unknown, name: string): string {
  if (input === undefined) return "is missing";
  return input === null ? "is empty" : `is not ${name}`;
}
