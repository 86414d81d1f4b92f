// SPDX-License-Identifier: Apache-2.0
// Loaded before a program of Node.js (--import): its clock of the day is off by WRONG_CLOCK_MS from then on. Network
// namespaces share the machine's clock, so this is how one director of a rack gets another one.

const offsetMs = Number(process.env["WRONG_CLOCK_MS"] ?? 0);
const RightDate = Date;

class WrongDate extends RightDate {
  constructor(...args: [] | [number | string | Date]) {
    const [value = WrongDate.now()] = args;
    super(value);
  }

  static override now(): number {
    return RightDate.now() + offsetMs;
  }
}

globalThis.Date = WrongDate as DateConstructor;
