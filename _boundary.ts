/**
 * The call stack of a task: callers, and boundaries to which it can be unwound.
 *
 * Whatever ends above a boundary leaves through it. To cancel is to choose a boundary: `Cancelled` is thrown in at the
 * top, and what lies above the boundary is doomed, so that each frame, whether it ends with a value or an error, hands on
 * nothing but `Cancelled` to the frame below. Kill is the boundary below the last frame. Kill, timeout, abort and group
 * differ only in who asks, and in what the caller at the boundary sees.
 *
 * @module
 */

import { unshielded } from "./_cancellation.ts";
import { Cancelled } from "./errors.ts";
import type { FrameIterator } from "./_operation.ts";
import type { Task } from "./task.ts";

/** What a coroutine is to do with what it gets when it goes on. */
export const NEXT = 0;
export const THROW = 1;
export const RETURN = 2;

/** A caller on a task's stack: the coroutine that goes on when what is above it has ended. */
export class Frame {
  // Declared, and set by the constructors, for the reason that `Parked` gives.
  /** Null in a boundary. */
  declare readonly iterator: FrameIterator | null;
  declare below: Frame | null;
  /** Its distance from the bottom of the stack. */
  declare depth: number;

  constructor(iterator: FrameIterator | null, below: Frame | null) {
    this.iterator = iterator;
    this.below = below;
    this.depth = below === null ? 0 : below.depth + 1;
  }
}

/** A mark on the stack that everything above leaves through, and to which the stack can be unwound. */
export abstract class Boundary extends Frame {
  /** The next boundary below. */
  declare outer: Boundary | null;
  /** Its cancellation has been asked for; it is then pending until it is delivered or left. */
  declare fired: boolean;
  /** The next of those that wait to be delivered. */
  declare nextPending: Boundary | null;
  /** `Cancelled` has been thrown in above it. */
  declare delivered: boolean;
  /** Holds back what would unwind to a boundary below it. */
  declare shielding: boolean;
  /** Goes through shields, and closes frames instead of throwing into them. */
  declare forced: boolean;
  /** Behind the `AbortSignal` of the coroutines directly above it, if one was asked for. */
  declare controller: AbortController | null;

  constructor() {
    super(null, null);
    this.outer = this.nextPending = null;
    this.fired =
      this.delivered =
      this.shielding =
      this.forced =
        false;
    this.controller = null;
  }

  /** What it is, in words: `timeout of 100 ms`. */
  get words(): string {
    return "boundary";
  }

  /** Why it was fired: the reason of the `Cancelled`, and what the caller at the boundary sees. */
  get reason(): unknown {
    return undefined;
  }

  /** Whether it can be fired: a shield and deferred cleanup cannot. */
  get cancellable(): boolean {
    return false;
  }

  /** Whether it will fire by itself one day. */
  get armed(): boolean {
    return false;
  }

  /** Its timer, if it has one, is not wanted any more. */
  disarm(): void {}

  /** Its task is let go as it stands, and will never leave through it. */
  abandoned(_error: unknown): void {
    this.disarm();
  }

  /** Called when it is delivered. */
  cancelling(): void {}

  /**
   * What was above has ended: how, stands in the task's `_mode` and `_inbox`, and can be changed there. A boundary that
   * has more to do before it lets go enters again, with a frame of its own.
   *
   * @param task Whose stack it is.
   * @param unwound The unwinding that ends here; null if it ended by itself, or the unwinding goes on further down.
   */
  leave(task: Task, unwound: Unwinding | null): void {
    if (unwound === null) return;
    task._mode = THROW;
    task._inbox = unwound.errors.length === 0 ? this.reason : gather(unwound.errors);
  }
}

/** An unwinding under way: from the frame where `Cancelled` was thrown in down to its target. */
export class Unwinding {
  readonly target: Boundary;
  /** The frames above the target up to this depth are doomed. */
  doomed: number;
  readonly mode: typeof THROW | typeof RETURN;
  readonly cancelled: Cancelled;
  /** What cleanup threw. */
  readonly errors: unknown[];
  /** The unwinding, further down, of whose cleanup this one is a part. */
  readonly outer: Unwinding | null;

  constructor(target: Boundary, doomed: number, errors: unknown[], outer: Unwinding | null) {
    this.target = target;
    this.doomed = doomed;
    this.mode = target.forced ? RETURN : THROW;
    this.cancelled = new Cancelled(target.reason);
    this.errors = errors;
    this.outer = outer;
  }
}

/** The `AggregateError`s that `gather` has made: gathered again, they are taken apart. */
const gathered = new WeakSet<object>();

/** One error bare, several as an `AggregateError`, first first. */
export function gather(errors: unknown[]): unknown {
  if (errors.length === 1) return errors[0];
  const flat = errors.flatMap((error) => {
    return error instanceof AggregateError && gathered.has(error) ? error.errors : [error];
  });
  const all = new AggregateError(flat, `${flat.length} errors`);
  gathered.add(all);
  return all;
}

/** The cleanups that were deferred by the coroutine directly above: they run when it ends, shielded, the newest first. */
export class Defers extends Boundary {
  readonly #cleanups: FrameIterator[] = [];
  readonly #errors: unknown[] = [];
  #running = false;
  /** How the coroutine ended. */
  #mode: number = NEXT;
  #inbox: unknown = undefined;

  /** Adds a cleanup to the coroutine that is on top of the stack. */
  static add(task: Task, cleanup: FrameIterator): void {
    const below = task._stack;
    let defers: Defers;
    if (below instanceof Defers && !below.#running) {
      defers = below;
    } else {
      defers = new Defers();
      task._push(defers);
    }
    defers.#cleanups.push(cleanup);
  }

  override get words(): string {
    if (this.#running) return "deferred cleanup";
    const count = this.#cleanups.length;
    return `${count} deferred ${count === 1 ? "cleanup" : "cleanups"} to come`;
  }

  override leave(task: Task): void {
    if (!this.#running) {
      this.#running = this.shielding = true;
      this.#mode = task._mode;
      this.#inbox = task._inbox;
    } else if (task._mode === THROW && !(task._inbox instanceof Cancelled)) {
      this.#errors.push(task._inbox);
    }
    const cleanup = this.#cleanups.pop();
    if (cleanup !== undefined) {
      if (task._dying) task._extra.kill!.freeze(this); // again, if force has gone through the one before
      task._mode = NEXT;
      task._inbox = undefined;
      task._enter(this, cleanup);
      return;
    }
    task._extras?.kill?.thaw(this);
    unshielded(task);
    if (this.#mode === THROW && !(this.#inbox instanceof Cancelled)) {
      const unwinding = task._extras === null ? null : task._extras.unwinding;
      // What the coroutine itself threw came before what its cleanup threw when that was cut short.
      if (unwinding !== null && this.depth <= unwinding.doomed) unwinding.errors.unshift(this.#inbox);
      else this.#errors.unshift(this.#inbox);
    }
    task._mode = this.#errors.length > 0 ? THROW : this.#mode;
    task._inbox = this.#errors.length > 0 ? gather(this.#errors) : this.#inbox;
  }
}
