/**
 * Conditions: waiting, with a lock let go meanwhile, until what the lock guards has changed.
 *
 * A waiter that is notified moves from the condition's line to the end of the lock's, where it is handed the lock like any
 * other: it runs once, when it holds it. One that is cancelled must hold the lock all the same before its cleanup sees the
 * `Cancelled`, since the code round it was written to run with the lock; so it waits for it again, shielded.
 *
 * @module
 */

import { describe } from "./_operation.ts";
import type { Coroutine, Operation, OperationIterator } from "./_operation.ts";
import { type Parked, ParkingPlace } from "./_parking.ts";
import { Lock, LockWaiter } from "./_lock.ts";
import { awaitedBy, checkCount, nameOf, refuse, stand, type SyncOptions, titled } from "./_waiting.ts";
import { InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import { shield, SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";
import { processor } from "./_processor.ts";

/**
 * Lets tasks that hold a lock wait until another has changed what the lock guards.
 *
 * @example
 * ```ts
 * import { Condition, Lock, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const lock = new Lock();
 * const changed = new Condition(lock);
 * let temperature = 20;
 * await run(function* () {
 *   const alarm = yield* spawn(lock.with(function* () {
 *     yield* changed.waitFor(() => temperature > 90);
 *     return `too hot: ${temperature}`;
 *   }));
 *   for (; temperature < 100; temperature += 20) {
 *     yield* lock.with(function* () {
 *       changed.notifyAll();
 *     });
 *     yield;
 *   }
 *   changed.notifyAll();
 *   assertEquals(yield* alarm, "too hot: 100");
 * });
 * ```
 */
export class Condition {
  readonly #lock: Lock;
  readonly #name: string;
  /** @internal */
  readonly _line: ParkingPlace<ConditionWaiter> = new ParkingPlace();
  #arrivals = 0;

  /**
   * A condition of what a lock guards. A lock may have several.
   *
   * @param lock The lock.
   * @param options Its name, or its name as an option.
   * @throws {TypeError} If `lock` is no `Lock`, or the name no string.
   */
  constructor(lock: Lock, options?: string | SyncOptions) {
    if (!(lock instanceof Lock)) {
      throw new TypeError(`Cannot make a condition of ${describe(lock)}: a Lock is wanted`);
    }
    this.#lock = lock;
    this.#name = nameOf("a condition", options);
  }

  /**
   * Lets the lock go, waits to be notified, and takes the lock again. However it ends, by a kill or a timeout too, the
   * task holds the lock afterwards, unless that is broken.
   *
   * @returns An operation. It throws `InvalidStateError` if the task does not hold the lock, `BrokenLockError` if that
   * breaks meanwhile, and `DeadlockError` if its holder waits for the task.
   */
  wait(): Operation<void> {
    return new Wait(this);
  }

  /**
   * Waits until a predicate holds, which is asked at once and after each notification, with the lock held.
   *
   * @param predicate Says whether to go on.
   * @returns An operation that gives what the predicate gave. It throws what the predicate throws, and what `wait` throws.
   * @throws {TypeError} If `predicate` is no function, or an async or a generator function.
   */
  waitFor<T>(predicate: () => T): Operation<T> {
    if (typeof predicate !== "function") {
      throw new TypeError(`Cannot wait for ${describe(predicate)}: a predicate is wanted`);
    }
    // What an async function or one with a `*` gives is always truthy.
    if (Object.prototype.toString.call(predicate) !== "[object Function]") {
      throw new TypeError("Cannot wait for what is told later: a predicate that answers at once is wanted");
    }
    return new WaitFor(this, predicate);
  }

  /**
   * Lets those who have waited longest go on, each when it is handed the lock. Code outside tasks may call this too.
   *
   * @param n How many, at most; 1 if not given.
   * @throws {TypeError} If `n` is no number.
   * @throws {RangeError} If it is negative or no whole number.
   */
  notify(n = 1): void {
    checkCount("notify", n, 0, "infinite");
    for (; n > 0 && this._line.first !== null; n--) this.#move();
  }

  /** Lets all who wait go on, each when it is handed the lock. Code outside tasks may call this too. */
  notifyAll(): void {
    this.notify(Infinity);
  }

  /** `condition of lock "db", awaited by task 2`. */
  toString(): string {
    return `${this._title}${awaitedBy(this._line)}`;
  }

  /** @internal */
  get _title(): string {
    return `${titled("condition", this.#name)} of ${this.#lock._title}`;
  }

  /** @internal */
  get _lock(): Lock {
    return this.#lock;
  }

  /** @internal */
  _mustHold(task: Task | null): void {
    if (this.#lock.holder === task) return;
    throw new InvalidStateError(`Cannot wait for ${this._title} without the lock: ${this.#lock._status}`);
  }

  /** @internal */
  _suspend(task: Task, scheduler: Scheduler): Parked {
    this._mustHold(task);
    const parked = stand(this._line, new ConditionWaiter(this, this.#arrivals++), task, scheduler);
    this.#lock._depend(this);
    this.#lock._release(task);
    return parked;
  }

  /** @internal A waiter has left the line. */
  _left(): void {
    if (this._line.first === null) this.#lock._independ(this);
  }

  /**
   * @internal A waiter was cancelled after it had been notified: the notification goes to the next of those who waited
   * when it was given.
   */
  _passOn(waiter: ConditionWaiter): void {
    const next = this._line.first;
    if (next !== null && next.turn < waiter.turn) this.#move(waiter.turn);
  }

  /** The first in the line waits for the lock from now on, or has it. */
  #move(turn = this.#arrivals): void {
    const waiter = this._line.shift()!;
    const lock = this.#lock;
    this._left();
    waiter.turn = turn;
    if (!lock.locked) {
      lock._handOver(waiter);
      return;
    }
    const task = waiter._task!;
    try {
      task._scheduler._refuseRing(task, lock.holder!);
    } catch (error) {
      refuse(waiter, error);
      return;
    }
    lock._line.push(waiter);
  }
}

class ConditionWaiter extends LockWaiter {
  readonly #condition: Condition;
  /** Its place among all who ever came; once it is notified, how many had come by then. */
  turn: number;

  constructor(condition: Condition, turn: number) {
    super(condition._lock);
    this.#condition = condition;
    this.turn = turn;
  }

  get #isNotified(): boolean {
    return !this._isInLine || this._place !== this.#condition._line;
  }

  override get reason(): string {
    return this.#isNotified ? super.reason : this.#condition._title;
  }

  override *holders(): Generator<Task, void> {
    if (this.#isNotified) yield* super.holders();
  }

  override cancel(): void {
    const wasNotified = this.#isNotified;
    super.cancel();
    if (wasNotified) this.#condition._passOn(this);
    else this.#condition._left();
  }
}

/** Lets the lock go and waits to have it again. */
class Suspend extends SystemCall<void> {
  readonly #condition: Condition;
  /** The task, once it has let go. */
  task: Task | undefined;

  constructor(condition: Condition) {
    super();
    this.#condition = condition;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const parked = this.#condition._suspend(task, scheduler);
    this.task = task;
    return parked;
  }
}

class Wait implements Operation<void> {
  readonly #condition: Condition;

  constructor(condition: Condition) {
    this.#condition = condition;
  }

  [Symbol.iterator](): OperationIterator<void> {
    return wait(this.#condition);
  }
}

class WaitFor<T> implements Operation<T> {
  readonly #condition: Condition;
  readonly #predicate: () => T;

  constructor(condition: Condition, predicate: () => T) {
    this.#condition = condition;
    this.#predicate = predicate;
  }

  [Symbol.iterator](): OperationIterator<T> {
    return waitFor(this.#condition, this.#predicate);
  }
}

function* wait(condition: Condition): Coroutine<void> {
  const lock = condition._lock;
  const suspend = new Suspend(condition);
  try {
    yield* suspend;
  } finally {
    const { task } = suspend;
    if (task !== undefined && lock.holder !== task) yield* shield(lock.acquire());
  }
}

function* waitFor<T>(condition: Condition, predicate: () => T): Coroutine<T> {
  condition._mustHold(processor.task);
  for (;;) {
    const value = predicate();
    if (value) return value;
    yield* wait(condition);
  }
}
