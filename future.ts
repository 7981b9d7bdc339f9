/**
 * Futures: a result that is not there yet, and the decorator that makes one of a coroutine.
 *
 * Tornado's and asyncio's, with the faults of the former mended: a future is settled once, what has failed stays failed,
 * a callback that throws hurts nobody else, and a chain of a hundred thousand of them settles without recursion, as those
 * that a callback settles wait until the callback is done. Callbacks and waiting tasks stand in one line.
 *
 * @module
 */

import { describe, type Operation, type OperationIterator, TRAP } from "./_operation.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import { InvalidStateError, JoinError } from "./errors.ts";
import { SystemCall } from "./_system_call.ts";
import { Scheduler } from "./scheduler.ts";
import type { Coroutine } from "./_operation.ts";
import type { Task } from "./task.ts";

/** One who waits for a future. */
abstract class FutureWaiter extends Waiter {
  abstract settled(future: Future<unknown>): void;
}

class TaskWaiter extends FutureWaiter {
  readonly #future: Future<unknown>;
  readonly source: "tasks" | "outside" | "either";

  constructor(future: Future<unknown>, scheduler: Scheduler) {
    super();
    this.#future = future;
    const settler = future._task;
    this.source = settler === undefined
      ? future._source
      : settler._scheduler === scheduler
      ? "tasks"
      : "outside";
  }

  get reason(): string {
    return this.#future._task === undefined ? "a future" : `the future of ${this.#future._task}`;
  }

  *holders(): Generator<Task, void> {
    if (this.#future._task !== undefined) yield this.#future._task;
  }

  settled(future: Future<unknown>): void {
    const scheduler = this._task!._scheduler;
    const error = future.exception();
    if (error === undefined && !future._failed) scheduler.resume(this, future.result());
    else scheduler.fail(this, error);
  }
}

class Callback<T> extends FutureWaiter {
  readonly call: (future: Future<T>) => void;

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

/** The operation of waiting for a future. */
class FutureWait<T> extends SystemCall<T> {
  declare readonly future: Future<T>;

  constructor(future: Future<T>) {
    super();
    this.future = future;
  }

  handle(task: Task, scheduler: Scheduler): T | Parked {
    return this.future[TRAP](task, scheduler) as T | Parked;
  }
}

type State = "pending" | "succeeded" | "failed" | "cancelled";

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
  #state: State = "pending";
  #value: unknown = undefined;
  #line: ParkingPlace<FutureWaiter> | undefined;
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
    return this.#state === "failed";
  }

  /** @internal What it failed with. */
  get _error(): unknown {
    return this.#value;
  }

  /** Whether it has succeeded, failed or been cancelled. */
  done(): boolean {
    return this.#state !== "pending";
  }

  /** Whether it has been cancelled. */
  cancelled(): boolean {
    return this.#state === "cancelled";
  }

  /**
   * Its result.
   *
   * @returns What `setResult` was given.
   * @throws Its error if it failed; `JoinError` if it was cancelled; `InvalidStateError` while it is pending.
   */
  result(): T {
    this._heard = true;
    if (this.#state === "pending") throw new InvalidStateError("Cannot give a result: the future is pending");
    if (this.#state !== "succeeded") throw this.#value;
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
    if (this.#state === "pending") {
      throw new InvalidStateError("Cannot give an exception: the future is pending");
    }
    return this.#state === "succeeded" ? undefined : this.#value;
  }

  /**
   * Settles it with a value. `undefined` is a value like any other, and a promise is not followed.
   *
   * @param value Its result.
   * @throws {InvalidStateError} If it is done: nothing has changed.
   */
  setResult(value: T): void {
    this.#settle("succeeded", value);
  }

  /**
   * Settles it with an error. If nobody has looked at that by the end of the turn, `onUnhandledError` is told.
   *
   * @param error Its error.
   * @throws {InvalidStateError} If it is done: nothing has changed.
   */
  setException(error: unknown): void {
    this.#settle("failed", error);
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
    if (this._task !== undefined) return this._task._scheduler._tell(this._task, { reason });
    this._settleCancelled(reason);
    return true;
  }

  /** @internal */
  _settleCancelled(reason: unknown): void {
    this.#settle("cancelled", new JoinError("the future was cancelled", { cause: reason }));
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
    else this.#join(callback);
  }

  /**
   * Takes back a callback.
   *
   * @param fn A function that was added.
   * @returns Whether it was there.
   */
  removeDoneCallback(fn: (future: Future<T>) => void): boolean {
    let found = false;
    for (const waiter of [...this.#line ?? []]) {
      if (!(waiter instanceof Callback) || waiter.call !== fn) continue;
      this.#line!.remove(waiter);
      found = true;
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
        if (this.#state === "succeeded") resolve(this.#value as T);
        else reject(this.#value);
      });
    }).then(onFulfilled, onRejected);
  }

  /** Waits for its result. */
  [Symbol.iterator](): OperationIterator<T> {
    return new FutureWait<T>(this);
  }

  /** @ignore */
  [TRAP](task: Task, scheduler: Scheduler): unknown {
    if (this.done()) return this.result();
    if (this._task !== undefined) scheduler._refuseRing(task, this._task);
    const waiter = new TaskWaiter(this as Future<unknown>, scheduler);
    const parked = scheduler.park(task, waiter);
    this.#join(waiter);
    return parked satisfies Parked;
  }

  #join(waiter: FutureWaiter): void {
    (this.#line ??= new ParkingPlace<FutureWaiter>()).push(waiter);
  }

  #settle(state: State, value: unknown): void {
    if (this.#state !== "pending") {
      throw new InvalidStateError(
        `Cannot settle the future: it has ${this.#state === "cancelled" ? "been " : ""}${this.#state}`,
      );
    }
    this.#state = state;
    this.#value = value;
    if (this.#line === undefined) return;
    settled.push(this as Future<unknown>);
    if (telling) return; // whoever tells comes to it
    telling = true;
    try {
      for (let i = 0; i < settled.length; i++) settled[i]!.#tell();
    } finally {
      settled.length = 0;
      telling = false;
    }
  }

  #tell(): void {
    const line = this.#line!;
    this.#line = undefined;
    for (let waiter = line.shift(); waiter !== null; waiter = line.shift()) {
      waiter.settled(this as Future<unknown>);
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
      Scheduler.current()._start<T>(body, (task) => {
        future._task = task;
      }, (task) => {
        const outcome = task.outcome!;
        if (outcome.kind === "returned") future.setResult(outcome.value as T);
        else if (outcome.kind === "failed") future.setException(outcome.error);
        else future._settleCancelled(outcome.reason);
      });
    } catch (error) {
      future.setException(error);
    }
    return future;
  };
}
