// SPDX-License-Identifier: Apache-2.0

/** Does a subscription's subject, which may end in `.*` (one more word) or `.>` (one or more), take in this one? */
export function matches(pattern: string, subject: string): boolean {
  if (!/\.[*>]$/.test(pattern)) return pattern === subject;
  const start = pattern.slice(0, -1);
  const rest = subject.slice(start.length);
  return (
    subject.startsWith(start) &&
    rest !== "" &&
    (pattern.endsWith(">") || !rest.includes("."))
  );
}
