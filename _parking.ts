/**
 * Waiting: where a task stands while it is off the processor.
 *
 * Every wait of the system is one `Parked`, a token that stands for this one wait of this one task. Whoever resumes it
 * first ends the wait; the token is then spent, so a late or second answer can change nothing and is told so. What the
 * wait is for, and how to undo it, is its `Wait`. The two are separate for whoever writes a system call, and one object
 * where the kernel's own calls park: a waiting task then costs one allocation.
 *
 * Those who wait for the same thing stand in a `ParkingPlace`: a linked line, first come first served, from whose middle
 * one can step out at once. Trio's parking lot is the model; the links lie in the token itself.
 *
 * @module
 */

import type { Yieldable } from "./_operation.ts";
import * as operations from "./_operation.ts";
import * as states from "./_processor.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { LEFT } = operations;
const { processor, putOff, RUNNING } = states;

/** What a parked task waits for, in words, and how to undo it. */
export interface Wait {
  /** In words: `sleep until 1250`, `recv 127.0.0.1:50312`. It is shown by `ps` and in reports of deadlocks. */
  readonly reason: string;
  /**
   * Takes the task out of wherever it is queued. Called at most once, when the task is killed or times out; not when it
   * is resumed. `false` says that the operation cannot be undone: its result then belongs to the object, not to the task.
   */
  cancel?(): boolean | void;
  /**
   * Who can end this wait. `"tasks"`, the default: another task. `"host"`: a socket, a signal, a callback of the process.
   * `"outside"`: code outside the kernel, which holds a promise. `"either"`: a task or code outside, as with a future.
   * As long as a task waits for more than tasks, nothing is a deadlock; and for the host and for code outside, a virtual
   * clock stands. What a daemon waits for of the host does not count for either.
   */
  readonly source?: "tasks" | "host" | "outside" | "either";
  /** The tasks without which this wait cannot end. A ring of them is refused as a deadlock. */
  holders?(): Iterable<Task>;
}

/**
 * One wait of one task: what `park` gives and `resume` and `fail` take. It is spent by the first of them, or when the
 * wait is cancelled.
 */
export class Parked {
  // Declared, and set by the constructor: V8 defines the initialised fields of a base class one by one, by a look-up that
  // goes slow once five subclasses share it. That was a third of what a wait costs.
  /** @internal the task that waits; null once this wait is over */
  declare _task: Task | null;
  /** @internal when it began, in whole milliseconds of the scheduler's clock */
  declare _since: number;

  /** @internal Tokens come from `Scheduler.park`. */
  constructor() {
    this._task = null;
    this._since = 0;
  }

  /** @internal What it waits for: a token of the kernel's own describes itself. */
  get _wait(): Wait {
    return this as unknown as Wait;
  }
}

/** The token of a wait that is described by another object. */
export class TokenOf extends Parked {
  readonly #wait: Wait;

  constructor(wait: Wait) {
    super();
    this.#wait = wait;
  }

  override get _wait(): Wait {
    return this.#wait;
  }
}

/** Where waiters stand in a line: first in, first out, and out of the middle without a search. */
export interface Line {
  /** @internal the waiter at the head; its `_previous` is the last one */
  _first: Waiter | null;
}

/** A token that stands in a line, as its own link. */
export abstract class Waiter extends Parked implements Wait {
  declare _next: Waiter | null;
  /** The one before it, or the last of all if it is the first; null if it stands in no line. */
  declare _previous: Waiter | null;
  /** The line in which it stands, or will, or has stood. */
  declare _place: Line | null;

  constructor(place: Line | null = null) {
    super();
    this._next = null;
    this._previous = null;
    this._place = place;
  }

  /** Whether it stands in a line. */
  get _isInLine(): boolean {
    return this._previous !== null;
  }

  abstract get reason(): string;

  cancel(): boolean | void {
    leaveLine(this);
  }
}

/** A waiter that is also the operation: what `yield*` of a task or a future iterates. */
export interface WaitingOperation<T> {
  /** Whose task has issued it; null as long as none has. */
  scheduler: Scheduler | null;
  /** What is waited for, or a call that waits for it: what a coroutine may yield in its place. */
  readonly target: unknown;
  next(value?: unknown): IteratorResult<Yieldable, T>;
  /** Gives the value, throws, or parks the task with itself for a token. */
  begin(task: Task, scheduler: Scheduler): T | Parked;
}

/** The `next` of such an operation. */
export function proceed<T>(operation: WaitingOperation<T>, value: unknown): IteratorResult<Yieldable, T> {
  if (operation.scheduler !== null) return { done: true, value: value as T };
  const { task } = processor;
  if (task === null) throw new TypeError("Cannot wait outside a task: code that is none can await it");
  const scheduler = operation.scheduler = task._scheduler;
  if (--processor.credit < 0 || processor.observed) {
    const call = operation.target;
    putOff(task, call, operation.next);
    return { done: false, value: call as Yieldable };
  }
  const result = operation.begin(task, scheduler);
  return task._state === RUNNING ? { done: true, value: result as T } : LEFT;
}

/** Puts a waiter at the end of a line. */
export function standIn(line: Line, waiter: Waiter): void {
  const first = line._first;
  waiter._place = line;
  if (first === null) {
    line._first = waiter._previous = waiter;
  } else {
    const last = first._previous!;
    last._next = waiter;
    waiter._previous = last;
    first._previous = waiter;
  }
}

/** Takes a waiter out of the line that it stands in, if it does. */
export function leaveLine(waiter: Waiter): void {
  const previous = waiter._previous;
  if (previous === null) return;
  const line = waiter._place!;
  const first = line._first!;
  const next = waiter._next;
  if (waiter === first) line._first = next;
  else previous._next = next;
  if (next !== null) next._previous = previous;
  else if (waiter !== first) first._previous = previous;
  waiter._next = waiter._previous = null;
}

/** A line as an object of its own. */
export class ParkingPlace<W extends Waiter = Waiter> implements Line {
  _first: Waiter | null = null;

  get first(): W | null {
    return this._first as W | null;
  }

  push(waiter: W): void {
    standIn(this, waiter);
  }

  remove(waiter: W): void {
    if (waiter._place === this as Line) leaveLine(waiter);
  }

  shift(): W | null {
    const waiter = this._first as W | null;
    if (waiter !== null) leaveLine(waiter);
    return waiter;
  }

  *[Symbol.iterator](): Generator<W, void> {
    for (let waiter = this._first; waiter !== null; waiter = waiter._next) yield waiter as W;
  }
}
