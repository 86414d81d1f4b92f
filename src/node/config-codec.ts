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
type AnyCodec = t.Mixed &
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

/** A section that may be left out: then it is undefined. */
export class OptionalSection<P extends Props> extends Codec<
  FieldsOf<P> | undefined
> {
  readonly #fields: Fields<P>;

  constructor(fields: Fields<P>) {
    super(fields.name, (input, context) =>
      input === undefined
        ? t.success(undefined)
        : fields.validate(input, context),
    );
    this.#fields = fields;
  }

  /** Undefined only for a section that is not there. */
  override salvage(input: unknown): Draft<FieldsOf<P> | undefined> {
    return input === undefined
      ? (undefined as Draft<FieldsOf<P> | undefined>)
      : this.#fields.salvage(isMapping(input) ? input : {});
  }

  override hint(): string {
    return this.#fields.hint();
  }
}

export class List<A> extends Codec<readonly A[]> {
  readonly #element: Codec<A>;

  constructor(name: string, element: Codec<A>) {
    super(name, (input, context) => {
      if (!Array.isArray(input))
        return t.failure(input, context, complaint(input, name));
      const decoded = input.map((one: unknown, index) =>
        element.validate(
          one,
          t.appendContext(context, String(index), element, one),
        ),
      );
      const errors = decoded.flatMap((one) => (isLeft(one) ? one.left : []));
      return errors.length > 0
        ? t.failures(errors)
        : t.success(decoded.flatMap((one) => (isLeft(one) ? [] : [one.right])));
    });
    this.#element = element;
  }

  override salvage(input: unknown): Draft<readonly A[]> {
    const salvaged = Array.isArray(input)
      ? input.map((one: unknown) => this.#element.salvage(one))
      : undefined;
    return salvaged as Draft<readonly A[]>;
  }

  override hint(): string {
    return "write a list: one line beginning with - for each, or [] for none";
  }
}

/** Names chosen by the user, each with a value of the same kind. */
export class Names<A> extends Codec<Readonly<Record<string, A>>> {
  readonly #element: Codec<A>;

  constructor(name: string, key: Codec<string>, element: Codec<A>) {
    super(name, (input, context) => {
      if (!isMapping(input))
        return t.failure(input, context, complaint(input, name));
      const errors: t.ValidationError[] = [];
      const decoded: [string, A][] = [];
      for (const [label, value] of Object.entries(input)) {
        const validKey = key.validate(
          label,
          t.appendContext(context, label, key, label),
        );
        const valid = element.validate(
          value,
          t.appendContext(context, label, element, value),
        );
        errors.push(
          ...(isLeft(validKey) ? validKey.left : []),
          ...(isLeft(valid) ? valid.left : []),
        );
        if (!isLeft(valid)) decoded.push([label, valid.right]);
      }
      return errors.length > 0
        ? t.failures(errors)
        : t.success(Object.fromEntries(decoded));
    });
    this.#element = element;
  }

  override salvage(input: unknown): Draft<Readonly<Record<string, A>>> {
    if (!isMapping(input))
      return undefined as Draft<Readonly<Record<string, A>>>;
    const entries = Object.entries(input).map(([name, value]) => [
      name,
      this.#element.salvage(value),
    ]);
    return Object.fromEntries(entries) as Draft<Readonly<Record<string, A>>>;
  }

  override hint(): string {
    return "write a mapping: one `name:` for each";
  }
}

type Props = Readonly<Record<string, AnyCodec>>;
type FieldsOf<P extends Props> = { readonly [K in keyof P]: t.TypeOf<P[K]> };

/** A mapping with these keys and no others. */
export class Fields<P extends Props> extends Codec<FieldsOf<P>> {
  readonly #props: P;

  constructor(name: string, props: P) {
    super(name, (input, context) => {
      if (!isMapping(input))
        return t.failure(input, context, complaint(input, name));
      const decoded = Object.entries(props).map(([key, codec]) => {
        const value = ownValue(input, key);
        return [
          key,
          codec.validate(value, t.appendContext(context, key, codec, value)),
        ] as const;
      });
      const errors = [
        ...unknownKeys(input, props, context),
        ...decoded.flatMap(([, one]) => (isLeft(one) ? one.left : [])),
      ];
      if (errors.length > 0) return t.failures(errors);
      const values = decoded.flatMap(([key, one]) =>
        isLeft(one) ? [] : [[key, one.right] as const],
      );
      return t.success(Object.fromEntries(values) as FieldsOf<P>);
    });
    this.#props = props;
  }

  override salvage(input: unknown): Draft<FieldsOf<P>> {
    if (!isMapping(input)) return undefined as Draft<FieldsOf<P>>;
    const entries = Object.entries(this.#props).map(([key, codec]) => [
      key,
      codec.salvage(ownValue(input, key)),
    ]);
    return Object.fromEntries(entries) as Draft<FieldsOf<P>>;
  }

  override hint(): string {
    return `write a mapping with the keys ${Object.keys(this.#props).join(", ")}`;
  }
}

function unknownKeys(
  input: object,
  props: Props,
  context: t.Context,
): t.ValidationError[] {
  const known = Object.keys(props);
  return Object.entries(input)
    .filter(([key]) => !known.includes(key))
    .map(([key, value]) => {
      const hint =
        suggestion(key, known) ?? `the keys known here: ${known.join(", ")}`;
      const refused = new Leaf(
        "a known key",
        () => hint,
        () => undefined,
      );
      return {
        value,
        context: t.appendContext(context, key, refused, value),
        message: "is an unknown key",
      };
    });
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

function complaint(input: unknown, name: string): string {
  if (input === undefined) return "is missing";
  return input === null ? "is empty" : `is not ${name}`;
}

function isMapping(input: unknown): input is object {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

function ownValue(input: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(input, key)?.value;
}
