/**
 * What is given for bytes, and for numbers of them.
 *
 * @module
 */

import { describe } from "./_operation.ts";

const encoder = new TextEncoder();

/** Bytes as they are, text in UTF-8. */
export function toBytes(data: unknown, verb: string): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`Cannot ${verb} ${describe(data)}: a Uint8Array or a string is wanted`);
}

/** Checks memory that bytes are to be put into. */
export function checkMemory(memory: unknown, verb: string): void {
  if (!(memory instanceof Uint8Array)) {
    throw new TypeError(`Cannot ${verb} ${describe(memory)}: a Uint8Array is wanted`);
  }
  if (memory.length === 0) throw new RangeError(`Cannot ${verb}: the memory has no room`);
}

/** Checks a number of bytes. `Infinity` is one. */
export function checkSize(n: unknown, least: number, verb: string): void {
  if (typeof n !== "number") {
    throw new TypeError(`Cannot ${verb} ${describe(n)}: a number of bytes is wanted`);
  }
  if (!(n >= least && (Number.isInteger(n) || n === Infinity))) {
    throw new RangeError(`Cannot ${verb} ${n} bytes: a whole number from ${least} is wanted`);
  }
}
