/**
 * Semaphores: so many at a time.
 *
 * @module
 */

import type { Coroutine, Operation, OperationIterator, Work } from "./_operation.ts";
import { type Parked, ParkingPlace } from "./_parking.ts";
import {
  awaitedBy,
  CallWaiter,
  checkCount,
  firstOf,
  LineCall,
  nameOf,
  stand,
  type SyncOptions,
  titled,
  wake,
} from "./_waiting.ts";
import type { Scheduler } from "./scheduler.ts";
import { call, type SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

/**
 * A number of permits that tasks take and give back. Who has waited longest is served next: a large request at the head of
 * the line is not overtaken by a small one behind it, even if there are permits enough for that.
 *
 * Permits belong to nobody: any task, and code outside tasks, may release, also more than there were at first.
 *
 * @example
 * ```ts
 * import { run, Semaphore, sleep, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * let active = 0, most = 0;
 * await run(function* () {
 *   const slots = new Semaphore(3);
 *   for (let i = 0; i < 10; i++) {
 *     yield* spawn(slots.with(function* () {
 *       most = Math.max(most, ++active);
 *       yield* sleep(1);
 *       active--;
 *     }));
 *   }
 * });
 * assertEquals(most, 3);
 * ```
 */
export class Semaphore {
  readonly #name: string;
  readonly #line = new ParkingPlace<SemaphoreWaiter>();
  #available: number;

  /**
   * A semaphore.
   *
   * @param permits How many permits there are at first, a whole number from 0 or `Infinity`.
   * @param options Its name, or its name as an option.
   * @throws {TypeError} If `permits` is no number, or the name no string.
   * @throws {RangeError} If `permits` is negative or no whole number.
   */
  constructor(permits: number, options?: string | SyncOptions) {
    checkCount("make a semaphore of", permits, 0, "infinite");
    this.#available = permits;
    this.#name = nameOf("a semaphore", options);
  }

  /** How many permits nobody has. */
  get available(): number {
    return this.#available;
  }

  /**
   * Waits until it is the task's turn and there are permits enough, and takes them.
   *
   * @param k How many; 1 if not given. More than there ever were is allowed: a later `release` may bring them.
   * @returns A system call.
   * @throws {TypeError} If `k` is no number.
   * @throws {RangeError} If it is less than 1 or no whole number.
   */
  acquire(k = 1): SystemCall<void> {
    checkCount("acquire", k, 1, "finite");
    return new AcquirePermits(this, k);
  }

  /**
   * Takes permits if that need not wait: there are enough, and nobody is waiting. Code outside tasks may call this too.
   *
   * @param k How many; 1 if not given.
   * @returns Whether they are taken.
   * @throws {TypeError} If `k` is no number.
   * @throws {RangeError} If it is less than 1 or no whole number.
   */
  tryAcquire(k = 1): boolean {
    checkCount("acquire", k, 1, "finite");
    return this._take(k);
  }

  /**
   * Gives permits back, or adds some, and serves those who wait. Code outside tasks may call this too.
   *
   * @param k How many; 1 if not given.
   * @throws {TypeError} If `k` is no number.
   * @throws {RangeError} If it is less than 1 or no whole number.
   */
  release(k = 1): void {
    checkCount("release", k, 1, "finite");
    this.#available += k;
    this._serve();
  }

  /**
   * Runs a coroutine with one permit, which is given back however that ends.
   *
   * @param coroutine What is run.
   * @returns An operation that gives the coroutine's value, or throws its error.
   */
  with<T>(coroutine: Work<T>): Operation<T> {
    return new With(this, coroutine);
  }

  /** `semaphore "slots", 0 available, awaited by task 2`. */
  toString(): string {
    return `${this._status}${awaitedBy(this.#line)}`;
  }

  /** @internal */
  get _status(): string {
    return `${titled("semaphore", this.#name)}, ${this.#available} available`;
  }

  /** @internal */
  _take(k: number): boolean {
    if (this.#line.first !== null || k > this.#available) return false;
    this.#available -= k;
    return true;
  }

  /** @internal */
  _acquire(request: AcquirePermits, task: Task, scheduler: Scheduler): void | Parked {
    if (this._take(request.k)) return;
    return stand(this.#line, new SemaphoreWaiter(request), task, scheduler);
  }

  /** @internal Hands out what there is, in the order of the line. */
  _serve(): void {
    for (;;) {
      const waiter = firstOf(this.#line);
      if (waiter === null || waiter.call.k > this.#available) return;
      this.#line.remove(waiter);
      this.#available -= waiter.call.k;
      wake(waiter);
    }
  }
}

class SemaphoreWaiter extends CallWaiter<AcquirePermits> {
  /** What was too much for who steps out may be enough for those behind. */
  override cancel(): void {
    super.cancel();
    this.call.semaphore._serve();
  }
}

class AcquirePermits extends LineCall<void> {
  readonly semaphore: Semaphore;
  readonly k: number;

  constructor(semaphore: Semaphore, k: number) {
    super();
    this.semaphore = semaphore;
    this.k = k;
  }

  get reason(): string {
    return `${this.k} of ${this.semaphore._status}`;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.semaphore._acquire(this, task, scheduler);
  }
}

class With<T> implements Operation<T> {
  readonly #semaphore: Semaphore;
  readonly #work: Work<T>;

  constructor(semaphore: Semaphore, work: Work<T>) {
    this.#semaphore = semaphore;
    this.#work = work;
  }

  [Symbol.iterator](): OperationIterator<T> {
    return withPermit(this.#semaphore, this.#work);
  }
}

function* withPermit<T>(semaphore: Semaphore, work: Work<T>): Coroutine<T> {
  yield* semaphore.acquire();
  try {
    return yield* call(work);
  } finally {
    semaphore.release();
  }
}
