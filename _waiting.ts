/**
 * What the primitives of `sync.ts` have in common: a name, lines of waiters, and the handing over.
 *
 * @module
 */

import { aString, check, isRecord, type Kinds } from "./_check.ts";
import { describe } from "./_operation.ts";
import { type Line, type Parked, type ParkingPlace, Waiter } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** How an event, a lock, a semaphore, a condition or a channel is set up. */
export interface SyncOptions {
  /** What it is called in reports. */
  name?: string;
}

export const SYNC_OPTIONS: Kinds<SyncOptions> = { name: aString };

/** A call that may have to wait, in words. */
export abstract class LineCall<T> extends SystemCall<T> {
  abstract readonly reason: string;

  override toString(): string {
    return this.reason;
  }
}

/** A task that stands in a line for a call. */
export class CallWaiter<C extends LineCall<unknown>> extends Waiter {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare readonly call: C;

  constructor(call: C) {
    super();
    this.call = call;
  }

  get reason(): string {
    return this.call.reason;
  }
}

/** Parks a task at the end of a line. */
export function stand<W extends Waiter>(
  line: ParkingPlace<W>,
  waiter: W,
  task: Task,
  scheduler: Scheduler,
): Parked {
  const parked = scheduler._parkAs(task, waiter);
  line.push(waiter);
  return parked;
}

/** Ends the wait of one who has left the line. */
export function wake(waiter: Waiter, value?: unknown): void {
  waiter._task?._scheduler.resume(waiter, value);
}

/** Throws an error into one who has left the line. */
export function refuse(waiter: Waiter, error: unknown): void {
  waiter._task?._scheduler.fail(waiter, error);
}

/**
 * The first in a line who can be served. Two cannot: `self`, who in a `select` may stand at both ends of a queue; and who
 * is on the way out, since a `select` takes its cases out of their lines one after the other, and a case that leaves one
 * line may be what others there have waited for.
 */
export function firstOf<W extends Waiter>(line: ParkingPlace<W>, self: Task | null = null): W | null {
  let waiter = line.first;
  while (waiter !== null && (waiter._task === self || waiter._task === null)) {
    waiter = waiter._next as W | null;
  }
  return waiter;
}

/** Takes the first who can be served out of a line. */
export function takeFirst<W extends Waiter>(line: ParkingPlace<W>, self: Task | null = null): W | null {
  const waiter = firstOf(line, self);
  if (waiter !== null) line.remove(waiter);
  return waiter;
}

/** The name that was given, or an empty string. */
export function nameOf(kind: string, options: string | SyncOptions | undefined): string {
  const name = isRecord(options) ? (options as SyncOptions).name : options;
  check(`make ${kind}`, "a name", name, SYNC_OPTIONS.name);
  return name as string | undefined ?? "";
}

/** `lock "db"`, or `lock`. */
export function titled(kind: string, name: string): string {
  return name === "" ? kind : `${kind} ${JSON.stringify(name)}`;
}

/** Who stands in a line, to be added to what it is: `, awaited by task 3 and 2 more`. */
export function awaitedBy(...lines: Line[]): string {
  const tasks: string[] = [];
  for (const line of lines) {
    for (let waiter = line._first; waiter !== null; waiter = waiter._next) tasks.push(String(waiter._task));
  }
  const rest = tasks.length > 5 ? tasks.splice(5).length : 0;
  if (tasks.length === 0) return "";
  return `, awaited by ${tasks.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** Checks a number of things: whole, `least` or more, and finite unless `Infinity` is a sensible number of them. */
export function checkCount(verb: string, count: unknown, least: 0 | 1, most: "finite" | "infinite"): void {
  if (typeof count !== "number") throw new TypeError(`Cannot ${verb} ${describe(count)}: a number is wanted`);
  if ((Number.isSafeInteger(count) && count >= least) || (count === Infinity && most === "infinite")) return;
  const range = `a whole number from ${least}${most === "infinite" ? ", or Infinity," : ""} is wanted`;
  throw new RangeError(`Cannot ${verb} ${count}: ${range}`);
}
