/**
 * Checks of arguments that several modules take.
 *
 * @module
 */

import { describe } from "./_operation.ts";

/** Checks that a tid is one, so that a mistake is not taken for a task that has ended. */
export function checkTid(tid: unknown, verb: string): void {
  if (typeof tid !== "number") throw new TypeError(`Cannot ${verb} ${describe(tid)}: a tid is a number`);
  if (!Number.isInteger(tid) || tid < 1) throw new RangeError(`Cannot ${verb} ${tid}: tids count from 1`);
}

/** Checks a time span in ms. */
export function checkTime(ms: unknown, verb: string): void {
  if (typeof ms !== "number") {
    throw new TypeError(`Cannot ${verb} ${describe(ms)}: a number of milliseconds is wanted`);
  }
  if (!(ms >= 0)) throw new RangeError(`Cannot ${verb} ${ms} ms: a time is 0 or more`);
}
