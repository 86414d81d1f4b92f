// SPDX-License-Identifier: Apache-2.0
/** The namespaces of place.ts and the links between them. Nobody has to ask for a MAC address while something is measured. */
import { formatPrefix } from "../../../src/model.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Contender, End } from "./place.ts";
import { CLIENT, CONTENDERS, REDIRECT, SERVER } from "./place.ts";

export async function makeNetwork(sandbox: Sandbox): Promise<void> {
  for (const namespace of [CLIENT, SERVER])
    await sandbox.addNamespace(namespace);
  for (const contender of CONTENDERS) {
    await sandbox.addNamespace(contender.director);
    await connect(sandbox, contender);
    // Where the kernel may not forward, the program did it.
    const forward = contender === REDIRECT ? 0 : 1;
    await sandbox.run(
      "forward packets, or not",
      ["sh", "-c", `echo ${forward} >/proc/sys/net/ipv4/ip_forward`],
      { namespace: contender.director },
    );
  }
}

async function connect(
  sandbox: Sandbox,
  { client, front, back, server, target, seen }: Contender,
): Promise<void> {
  await link(sandbox, client, front);
  await link(sandbox, server, back);
  await sandbox.ip([`route add ${target} via ${front.address}`], CLIENT);
  await sandbox.ip(
    [`route add ${formatPrefix(seen)} via ${back.address}`],
    SERVER,
  );
}

async function link(sandbox: Sandbox, outer: End, inner: End): Promise<void> {
  const namespace = sandbox.netns(inner.namespace);
  await sandbox.ip(
    [
      `link add ${outer.device} address ${outer.mac} type veth peer name ${inner.device} address ${inner.mac} netns ${namespace}`,
    ],
    outer.namespace,
  );
  await configure(sandbox, outer, inner);
  await configure(sandbox, inner, outer);
  // Frames as on a wire: 1,500 bytes at most, with their checksums, which XDP would not fill in.
  await offload(sandbox, outer, ["tx", "off", "gro", "on"]);
  await offload(sandbox, inner, ["gro", "on"]);
}

async function configure(
  sandbox: Sandbox,
  { namespace, device, address }: End,
  neighbour: End,
): Promise<void> {
  await sandbox.ip(
    [
      `link set ${device} up`,
      `address add ${address}/24 dev ${device}`,
      `neighbour add ${neighbour.address} lladdr ${neighbour.mac} dev ${device} nud permanent`,
    ],
    namespace,
  );
}

/** With GRO, a veth that is up receives by NAPI as network cards do, and its peer may be redirected to. */
async function offload(
  sandbox: Sandbox,
  { namespace, device }: End,
  features: readonly string[],
): Promise<void> {
  await sandbox.run("set offloads", ["ethtool", "-K", device, ...features], {
    namespace,
  });
}
