/**
 * What a system call is: the contract between the kernel and those who write one.
 *
 * @module
 */

import { type Operation, type OperationIterator, TRAP, TrapIterator, type Yieldable } from "./_operation.ts";
import * as operations from "./_operation.ts";
import type { Parked } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";
import * as states from "./_processor.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { CALLED, ENTERED, LEFT } = operations;
const { processor, putOff, RUNNING } = states;

/**
 * A request to the kernel. Anyone may write one: see {@linkcode SystemCall.handle}.
 *
 * @example A call that parks its task until a host callback comes
 * ```ts
 * import { type Parked, run, type Scheduler, SystemCall, type Task } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * class Later extends SystemCall<string> {
 *   handle(task: Task, scheduler: Scheduler): Parked {
 *     const timer = setTimeout(() => scheduler.resume(parked, "now"), 1);
 *     const parked = scheduler.park(task, {
 *       reason: "a host timer",
 *       source: "host",
 *       cancel: () => clearTimeout(timer),
 *     });
 *     return parked;
 *   }
 * }
 * assertEquals(await run(new Later()), "now");
 * ```
 */
export abstract class SystemCall<T> implements Operation<T>, OperationIterator<T> {
  /** @internal Declared, and set by the constructor, for the reason that `Parked` gives: 12 of 30 ns a call. */
  declare _issued: boolean;

  /** A call that has not been made. */
  constructor() {
    this._issued = false;
  }

  /**
   * Handles the call. It does exactly one of three things: it returns the value, and the task goes on at once; it throws,
   * and the error is thrown into the task, at its `yield`; or it parks the task and returns the token, and sooner or later
   * somebody calls `resume` or `fail` with that.
   *
   * @param task The task that makes the call.
   * @param scheduler Its scheduler.
   * @returns The value, or what `scheduler.park(task, wait)` gave.
   */
  abstract handle(task: Task, scheduler: Scheduler): T | Parked;

  /** The call in words, for logs of calls: `sleep 5`. If it is not overridden, the name of its class. */
  toString(): string {
    const { name } = this.constructor;
    return name.charAt(0).toLowerCase() + name.slice(1);
  }

  /** The iterator of `yield*`: the call itself, unless it is in use. */
  [Symbol.iterator](): OperationIterator<T> {
    return this._issued ? new TrapIterator<T>(this) : this;
  }

  /** Runs the call; for `yield*`. */
  next(value?: unknown): IteratorResult<Yieldable, T> {
    if (this._issued) {
      this._issued = false;
      return { done: true, value: value as T };
    }
    const { task } = processor;
    if (task === null) throw outside();
    if (--processor.credit < 0 || processor.observed) {
      putOff(task, this, this.next);
      this._issued = true;
      return { done: false, value: this };
    }
    let result: T | Parked;
    try {
      result = this.handle(task, task._scheduler);
      if (task._state === RUNNING) {
        if (result as unknown !== ENTERED) return { done: true, value: result as T };
        this._issued = true;
        return CALLED;
      }
      task._leftBy(result);
    } catch (error) {
      if (task._state !== RUNNING) task._unpark();
      throw error;
    }
    this._issued = true;
    return LEFT;
  }

  /** Throws into the coroutine that waits for the call; for `yield*`. */
  throw(error: unknown): IteratorResult<Yieldable, T> {
    this._issued = false;
    throw error;
  }

  /** Gives the call up; for `yield*`. */
  return(value?: unknown): IteratorResult<Yieldable, T> {
    this._issued = false;
    return { done: true, value: value as T };
  }

  /** @internal Whether it is one wait, which `select` can take for a case, and no call of further coroutines. */
  get _isSingle(): boolean {
    return true;
  }

  /** @ignore */
  [TRAP](task: Task, scheduler: Scheduler): unknown {
    return this.handle(task, scheduler);
  }
}

/**
 * The `next` of a call that never waits and whose answer is never undefined: by that an answer is told from a first call, so
 * that the call keeps no state, and one object serves all.
 */
export function ask<T>(call: SystemCall<T>, answer: unknown): IteratorResult<Yieldable, T> {
  if (answer !== undefined) return { done: true, value: answer as T };
  const { task } = processor;
  if (task === null) throw outside();
  if (--processor.credit < 0 || processor.observed) {
    putOff(task, call, call.next);
    return { done: false, value: call };
  }
  return { done: true, value: call.handle(task, task._scheduler) as T };
}

function outside(): TypeError {
  return new TypeError("Cannot make a system call outside a task: a coroutine yields it");
}
