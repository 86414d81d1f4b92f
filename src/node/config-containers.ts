// SPDX-License-Identifier: Apache-2.0
/** The codecs of what holds other values in the config file: mappings and lists. */
import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import {
  type AnyCodec,
  Codec,
  complaint,
  type Draft,
  Refused,
} from "./config-codec.ts";
import { suggestion } from "./suggestion.ts";

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

/** A value, or a list of such: what was written stays to be seen. */
export class OneOrList<A> extends Codec<A | readonly A[]> {
  readonly #one: Codec<A>;
  readonly #list: List<A>;

  constructor(name: string, one: Codec<A>) {
    const list = new List(name, one);
    super(name, (input, context) =>
      (Array.isArray(input) ? list : one).validate(input, context),
    );
    this.#one = one;
    this.#list = list;
  }

  override salvage(input: unknown): Draft<A | readonly A[]> {
    const salvaged = (Array.isArray(input) ? this.#list : this.#one).salvage(
      input,
    );
    return salvaged as Draft<A | readonly A[]>;
  }

  override hint(input: unknown): string {
    return this.#one.hint(input);
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

/** A mapping with these keys and no others. Of `alternatives` there must be exactly one. */
export class Fields<P extends Props> extends Codec<FieldsOf<P>> {
  readonly #props: P;

  constructor(
    name: string,
    props: P,
    alternatives: readonly (string & keyof P)[] = [],
  ) {
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
        ...wrongNumberOf(alternatives, input, context),
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

/** One mapping or the other, by whether `key` is `word`. */
export class Choice<P extends Props, Q extends Props> extends Codec<
  FieldsOf<P> | FieldsOf<Q>
> {
  readonly #pick: (input: unknown) => Fields<P> | Fields<Q>;

  constructor(
    key: string,
    word: string,
    chosen: Fields<P>,
    otherwise: Fields<Q>,
  ) {
    const pick = (input: unknown): Fields<P> | Fields<Q> =>
      isMapping(input) && ownValue(input, key) === word ? chosen : otherwise;
    super(otherwise.name, (input, context) =>
      pick(input).validate(input, context),
    );
    this.#pick = pick;
  }

  override salvage(input: unknown): Draft<FieldsOf<P> | FieldsOf<Q>> {
    return this.#pick(input).salvage(input) as Draft<FieldsOf<P> | FieldsOf<Q>>;
  }

  override hint(input: unknown): string {
    return this.#pick(input).hint();
  }
}

function wrongNumberOf(
  alternatives: readonly string[],
  input: object,
  context: t.Context,
): t.ValidationError[] {
  const [first, ...surplus] = alternatives.filter(
    (key) => ownValue(input, key) !== undefined,
  );
  const [missing] = first === undefined ? alternatives : [];
  const all = alternatives.join(", ");
  return [
    ...(missing === undefined
      ? []
      : [refusal(missing, undefined, "is missing", `write one of: ${all}`)]),
    ...surplus.map((key) =>
      refusal(
        key,
        ownValue(input, key),
        `stands beside ${first}`,
        `write only one of: ${all}`,
      ),
    ),
  ].map((toError) => toError(context));
}

function unknownKeys(
  input: object,
  props: Props,
  context: t.Context,
): t.ValidationError[] {
  const known = Object.keys(props);
  return Object.entries(input)
    .filter(([key]) => !known.includes(key))
    .map(([key, value]) =>
      refusal(
        key,
        value,
        "is an unknown key",
        suggestion(key, known) ?? `the keys known here: ${known.join(", ")}`,
      )(context),
    );
}

/** An error about a key of the mapping that the context is of. */
function refusal(
  key: string,
  value: unknown,
  message: string,
  hint: string,
): (context: t.Context) => t.ValidationError {
  const refused = new Refused(message, hint);
  return (context) => ({
    value,
    context: t.appendContext(context, key, refused, value),
    message,
  });
}

function isMapping(input: unknown): input is object {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

function ownValue(input: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(input, key)?.value;
}
