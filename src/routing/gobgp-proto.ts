// SPDX-License-Identifier: Apache-2.0
/** gobgpd's messages, encoded and decoded as proto/gobgp/gobgp.proto describes them. */
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

/** Its first field keeps the underscore, because protobufjs brings this message along ready made. */
export type Any = { readonly type_url: string; readonly value: Uint8Array };

const root = protobuf.loadSync(
  fileURLToPath(new URL("../../proto/gobgp/gobgp.proto", import.meta.url)),
);
const service = root.lookupService("apipb.GobgpApi");
service.resolveAll();

export type Codec<Reply> = {
  readonly path: string;
  readonly encode: (request: object) => Buffer;
  readonly decode: (bytes: Buffer) => Reply;
};

/** How a method of the service is called. */
export function codecOf<Reply>(name: string): Codec<Reply> {
  const method = service.methods[name];
  const { resolvedRequestType, resolvedResponseType } = method ?? {};
  if (!resolvedRequestType || !resolvedResponseType)
    throw new Error(`gobgp.proto has no method ${name}`);
  return {
    path: `/apipb.GobgpApi/${name}`,
    encode: (request) => encode(resolvedRequestType, request),
    decode: (bytes) => decode<Reply>(resolvedResponseType, bytes),
  };
}

/** Wraps a message of the API, named without its package. */
export function pack(name: string, message: object): Any {
  const type = root.lookupType(`apipb.${name}`);
  return {
    type_url: `type.googleapis.com/apipb.${name}`,
    value: encode(type, message),
  };
}

/** The wrapped message if it is one of the named type, else undefined. */
export function unpack<Message>(name: string, any: Any): Message | undefined {
  return nameOf(any) === name
    ? decode<Message>(root.lookupType(`apipb.${name}`), any.value)
    : undefined;
}

/** The wrapped message's type, without its package. */
export function nameOf(any: Any): string {
  return any.type_url.slice(any.type_url.lastIndexOf(".") + 1);
}

function encode(type: protobuf.Type, message: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

/** `Message` must be the image of `type`: fields that were not sent have their default, messages null. */
function decode<Message>(type: protobuf.Type, bytes: Uint8Array): Message {
  return type.toObject(type.decode(bytes), {
    defaults: true,
    longs: Number,
    enums: String,
  }) as Message;
}
