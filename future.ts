/**
 * Futures: a result that is not there yet, and the decorator that makes one of a coroutine.
 *
 * Tornado's and asyncio's, with the faults of the former mended: a future is settled once, what has failed stays failed,
 * a callback that throws hurts nobody else, and a chain of a hundred thousand of them settles without recursion, as those
 * that a callback settles wait until the callback is done. Callbacks and waiting tasks stand in one line.
 *
 * @module
 */

import { EndCallback } from "./_endings.ts";
import { tell } from "./_kill.ts";
import { describe, type Operation, type OperationIterator, TRAP, type Yieldable } from "./_operation.ts";
import { leaveLine, type Parked, proceed, standIn, Waiter, type WaitingOperation } from "./_parking.ts";
import { InvalidStateError, JoinError } from "./errors.ts";
import { Scheduler } from "./scheduler.ts";
import type { Coroutine } from "./_operation.ts";
import type { Outcome, Task } from "./task.ts";

/** One who waits for a future. */
abstract class FutureWaiter extends Waiter {
  abstract settled(future: Future<unknown>): void;
}

/** A task that waits for a future: the operation, and the wait if there is one. */
class FutureWait<T> extends FutureWaiter implements OperationIterator<T>, WaitingOperation<T> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare scheduler: Scheduler | null;

  constructor(target: Future<T>) {
    super(target);
    this.scheduler = null;
  }

  /** The future: it stands in its line. */
  get target(): Future<T> {
    return this._place as Future<T>;
  }

  get reason(): string {
    return String(this.target);
  }

  get source(): "tasks" | "outside" | "either" {
    const settler = this.target._task;
    if (settler === undefined) return this.target._source;
    return settler._scheduler === this._task!._scheduler ? "tasks" : "outside";
  }

  *holders(): Generator<Task, void> {
    if (this.target._task !== undefined) yield this.target._task;
  }

  begin(task: Task, scheduler: Scheduler): T | Parked {
    const { target } = this;
    if (target.done()) return target.result();
    if (target._task !== undefined) scheduler._refuseRing(task, target._task);
    const parked = scheduler._parkAs(task, this);
    standIn(target, this);
    return parked;
  }

  next(value?: unknown): IteratorResult<Yieldable, T> {
    return proceed(this, value);
  }

  throw(error: unknown): IteratorResult<Yieldable, T> {
    throw error;
  }

  settled(future: Future<unknown>): void {
    const scheduler = this._task!._scheduler;
    if (future._state === SUCCEEDED) scheduler.resume(this, future.result());
    else scheduler.fail(this, future.exception());
  }
}

class Callback<T> extends FutureWaiter {
  declare readonly call: (future: Future<T>) => void;

  constructor(call: (future: Future<T>) => void) {
    super();
    this.call = call;
  }

  get reason(): string {
    return "a callback";
  }

  settled(future: Future<unknown>): void {
    try {
      this.call(future as Future<T>);
    } catch (error) {
      Scheduler.current()._report(error, future);
    }
  }
}

const PENDING = 0;
const SUCCEEDED = 1;
const FAILED = 2;
const CANCELLED = 3;

/** Futures that have been settled and whose line has not been told yet. */
const settled: Future<unknown>[] = [];
let telling = false;

/**
 * A result that is not there yet. A task waits for it with `yield* future`, async code with `await future`, and code
 * outside tasks settles it.
 *
 * @example
 * ```ts
 * import { Future, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const future = new Future<number>();
 * setTimeout(() => future.setResult(42), 1);
 * assertEquals(await run(future), 42);
 * ```
 */
export class Future<T> implements Operation<T>, PromiseLike<T> {
  /** @internal */
  _state: number = PENDING;
  #value: unknown = undefined;
  /** @internal the first of those who wait for it: a future is their line */
  _first: Waiter | null = null;
  /** @internal The task whose outcome it will have. */
  _task: Task | undefined;
  /** @internal Who will settle it. */
  _source: "outside" | "either" = "either";
  /** @internal Somebody has looked at its failure. */
  _heard = false;

  /**
   * A future that is done and has succeeded.
   *
   * @param value Its result; a promise is not followed.
   * @returns The future.
   */
  static resolve<T>(value: T): Future<T> {
    const future = new Future<T>();
    future.setResult(value);
    return future;
  }

  /**
   * A future that is done and has failed.
   *
   * @param error Its error.
   * @returns The future.
   */
  static reject<T = never>(error: unknown): Future<T> {
    const future = new Future<T>();
    future.setException(error);
    return future;
  }

  /**
   * A future that is settled as a promise is.
   *
   * @param promise The promise.
   * @returns The future; to cancel it leaves the promise alone.
   * @throws {TypeError} If `promise` has no `then`.
   */
  static from<T>(promise: PromiseLike<T>): Future<T> {
    if (typeof promise?.then !== "function") {
      throw new TypeError(`Cannot make a future from ${describe(promise)}: a promise is wanted`);
    }
    const future = new Future<T>();
    future._source = "outside";
    promise.then(
      (value) => future.done() || future.setResult(value),
      (error) => future.done() || future.setException(error),
    );
    return future;
  }

  /** @internal */
  get _failed(): boolean {
    return this._state === FAILED;
  }

  /** @internal What it failed with. */
  get _error(): unknown {
    return this.#value;
  }

  /** Whether it has succeeded, failed or been cancelled. */
  done(): boolean {
    return this._state !== PENDING;
  }

  /** Whether it has been cancelled. */
  cancelled(): boolean {
    return this._state === CANCELLED;
  }

  /**
   * Its result.
   *
   * @returns What `setResult` was given.
   * @throws Its error if it failed; `JoinError` if it was cancelled; `InvalidStateError` while it is pending.
   */
  result(): T {
    this._heard = true;
    if (this._state === PENDING) throw new InvalidStateError("Cannot give a result: the future is pending");
    if (this._state !== SUCCEEDED) throw this.#value;
    return this.#value as T;
  }

  /**
   * Its error.
   *
   * @returns What `setException` was given, a `JoinError` if it was cancelled, undefined if it has succeeded.
   * @throws {InvalidStateError} While it is pending.
   */
  exception(): unknown {
    this._heard = true;
    if (this._state === PENDING) {
      throw new InvalidStateError("Cannot give an exception: the future is pending");
    }
    return this._state === SUCCEEDED ? undefined : this.#value;
  }

  /**
   * Settles it with a value. `undefined` is a value like any other, and a promise is not followed.
   *
   * @param value Its result.
   * @throws {InvalidStateError} If it is done: nothing has changed.
   */
  setResult(value: T): void {
    this.#settle(SUCCEEDED, value);
  }

  /**
   * Settles it with an error. If nobody has looked at that by the end of the turn, `onUnhandledError` is told.
   *
   * @param error Its error.
   * @throws {InvalidStateError} If it is done: nothing has changed.
   */
  setException(error: unknown): void {
    this.#settle(FAILED, error);
    if (!this._heard) Scheduler.current()._mayBeUnheard(this as Future<unknown>);
  }

  /**
   * Cancels it: whoever waits gets a `JoinError`. If it is that of a coroutine, its task is killed, and the future is done
   * when the task's cleanup is.
   *
   * @param reason The cause of the `JoinError`.
   * @returns `false` if it is done: nothing has changed.
   */
  cancel(reason?: unknown): boolean {
    if (this.done()) return false;
    if (this._task !== undefined) return tell(this._task, { reason });
    this._settleCancelled(reason);
    return true;
  }

  /** @internal */
  _settleCancelled(reason: unknown): void {
    this.#settle(CANCELLED, new JoinError("the future was cancelled", { cause: reason }));
  }

  /**
   * Has a function called when it is done: in the order in which they were added, and at once if it is done already. One
   * that throws is reported, and stops nobody.
   *
   * @param fn The function; it gets the future.
   */
  addDoneCallback(fn: (future: Future<T>) => void): void {
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot call ${describe(fn)} back: a function is wanted`);
    }
    const callback = new Callback(fn);
    if (this.done()) callback.settled(this as Future<unknown>);
    else standIn(this, callback);
  }

  /**
   * Takes back a callback.
   *
   * @param fn A function that was added.
   * @returns Whether it was there.
   */
  removeDoneCallback(fn: (future: Future<T>) => void): boolean {
    let found = false;
    for (let waiter = this._first; waiter !== null;) {
      const next: Waiter | null = waiter._next;
      if (waiter instanceof Callback && waiter.call === fn) {
        leaveLine(waiter);
        found = true;
      }
      waiter = next;
    }
    return found;
  }

  /** Waits for its result, for code that awaits. */
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this._heard = true;
    return new Promise<T>((resolve, reject) => {
      this.addDoneCallback(() => {
        if (this.#value === this) reject(new TypeError(`Cannot await ${this}: its result is itself`));
        else if (this._state === SUCCEEDED) resolve(this.#value as T);
        else reject(this.#value);
      });
    }).then(onFulfilled, onRejected);
  }

  /** `a future`, or `the future of task 7 "client"`. */
  toString(): string {
    return this._task === undefined ? "a future" : `the future of ${this._task}`;
  }

  /** Waits for its result. */
  [Symbol.iterator](): OperationIterator<T> {
    return new FutureWait<T>(this);
  }

  /** @ignore */
  [TRAP](task: Task, scheduler: Scheduler): unknown {
    return new FutureWait<T>(this).begin(task, scheduler);
  }

  #settle(state: number, value: unknown): void {
    if (this._state !== PENDING) {
      const how = ["", "succeeded", "failed", "been cancelled"][this._state];
      throw new InvalidStateError(`Cannot settle the future: it has ${how}`);
    }
    this._state = state;
    this.#value = value;
    if (this._first === null) return;
    if (telling) {
      settled.push(this as Future<unknown>); // whoever tells comes to it
      return;
    }
    telling = true;
    try {
      this.#tell();
      for (let i = 0; i < settled.length; i++) settled[i]!.#tell();
    } finally {
      if (settled.length > 0) settled.length = 0;
      telling = false;
    }
  }

  #tell(): void {
    for (let waiter = this._first; waiter !== null; waiter = this._first) {
      leaveLine(waiter);
      (waiter as FutureWaiter).settled(this as Future<unknown>);
    }
  }
}

/**
 * A decorator for methods that makes a future of each call, as the function does: `this` is kept.
 *
 * @param fn The method.
 * @param context What JavaScript tells a decorator.
 * @returns The method that takes its place.
 */
// deno-lint-ignore no-explicit-any -- TypeScript lets no decorator change the type of a method
export function coroutine(fn: any, context: ClassMethodDecoratorContext<any, any>): any;
/**
 * Ties a coroutine to the loop: the function that it gives runs the body at once, up to its first wait, as a task of the
 * current scheduler, and returns the future of its outcome. To cancel that kills the task. It also is a decorator for
 * methods. Tornado's `gen.coroutine`.
 *
 * @param fn A function that gives a coroutine.
 * @returns A function with the same parameters that gives a future.
 *
 * @example
 * ```ts
 * import { coroutine, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const add = coroutine(function* (a: number, b: number) {
 *   yield* sleep(1);
 *   return a + b;
 * });
 * assertEquals(await add(40, 2), 42);
 * ```
 */
export function coroutine<This, A extends unknown[], T>(
  fn: (this: This, ...args: A) => Coroutine<T>,
): (this: This, ...args: A) => Future<T>;
export function coroutine<This, A extends unknown[], T>(
  fn: (this: This, ...args: A) => Coroutine<T>,
): (this: This, ...args: A) => Future<T> {
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot make a coroutine of ${describe(fn)}: a function is wanted`);
  }
  return function (this: This, ...args: A): Future<T> {
    const future = new Future<T>();
    try {
      const body = () => fn.apply(this, args);
      Object.defineProperty(body, "name", { value: fn.name });
      const scheduler = Scheduler.current();
      const task = scheduler._makeChild(body) as Task;
      future._task = task;
      task._heard = true; // its outcome is that of the future
      task._whenEnded(new EndCallback(() => settleAs(future, task.outcome as Outcome<T>), future));
      scheduler._startNow(task);
    } catch (error) {
      future.setException(error);
    }
    return future;
  };
}

/** A future of a task that has ended. */
function settleAs<T>(future: Future<T>, outcome: Outcome<T>): void {
  if (outcome.kind === "returned") future.setResult(outcome.value);
  else if (outcome.kind === "failed") future.setException(outcome.error);
  else future._settleCancelled(outcome.reason);
}
