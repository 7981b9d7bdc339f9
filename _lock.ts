/**
 * Locks: one task at a time.
 *
 * A lock is handed over: who releases it gives it to the task that has waited longest, which holds it from that moment,
 * though it has not run yet. The usual lock is only marked free, and whoever runs next takes it: that saves a switch
 * where it is contended, and lets one busy task keep all others out for ever.
 *
 * The kernel knows who holds what. So it can refuse the acquire that would close a ring of waiting tasks, and when a task
 * ends without letting go, its lock is broken: what it guarded was left half done, and nobody takes it for whole.
 *
 * @module
 */

import type { Coroutine, Operation, OperationIterator, Work } from "./_operation.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import { awaitedBy, nameOf, refuse, stand, type SyncOptions, takeFirst, titled, wake } from "./_waiting.ts";
import { BrokenLockError, InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import { call, SystemCall } from "./syscalls.ts";
import type { Held, Task } from "./task.ts";
import * as states from "./_processor.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { processor } = states;

/** A task that waits for a lock. */
export class LockWaiter extends Waiter {
  readonly lock: Lock;

  constructor(lock: Lock) {
    super();
    this.lock = lock;
  }

  get reason(): string {
    return this.lock._heldBy;
  }

  *holders(): Generator<Task, void> {
    const { holder } = this.lock;
    if (holder !== undefined) yield holder;
  }
}

/**
 * A lock: one task holds it, the others wait in a line, and who has waited longest gets it next.
 *
 * When its holder ends without having released it, it is broken for good: those who wait, and those who come, get
 * `BrokenLockError`.
 *
 * @example
 * ```ts
 * import { Lock, run, sleep, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * let balance = 100;
 * const lock = new Lock("account");
 * await run(function* () {
 *   for (let i = 0; i < 10; i++) {
 *     yield* spawn(lock.with(function* () {
 *       const before = balance;
 *       yield* sleep(1); // without the lock, all ten would go on with 100
 *       balance = before - 10;
 *     }));
 *   }
 * });
 * assertEquals(balance, 0);
 * ```
 */
export class Lock {
  readonly #name: string;
  readonly #line = new ParkingPlace<LockWaiter>();
  #holder: Task | null = null;
  /** Who has ended holding it. */
  #brokenBy: string | undefined;
  /** Those whose waiters need it to go on. */
  #dependants: Set<Dependant> | undefined;
  /** @internal */
  _nextHeld: Held | null = null;
  /** @internal */
  _previousHeld: Held | null = null;

  /**
   * A lock that nobody holds.
   *
   * @param options Its name, or its name as an option.
   * @throws {TypeError} If the name is no string.
   */
  constructor(options?: string | SyncOptions) {
    this.#name = nameOf("a lock", options);
  }

  /** The task that holds it; undefined if none does. */
  get holder(): Task | undefined {
    return this.#holder ?? undefined;
  }

  /** Whether it cannot be had at once: a task holds it, or it is broken. */
  get locked(): boolean {
    return this.#holder !== null || this.#brokenBy !== undefined;
  }

  /**
   * Waits until the calling task holds it.
   *
   * @returns A system call. It throws `InvalidStateError` if the task holds the lock already, `BrokenLockError` if the
   * lock is broken or breaks meanwhile, and `DeadlockError` if its holder waits for the task.
   */
  acquire(): SystemCall<void> {
    return new Acquire(this);
  }

  /**
   * Takes it for the running task if that need not wait.
   *
   * @returns Whether the task holds it now.
   * @throws {InvalidStateError} Outside a task, or if the task holds it already.
   * @throws {BrokenLockError} If it is broken.
   */
  tryAcquire(): boolean {
    const { task } = processor;
    if (task === null) throw new InvalidStateError(`Cannot acquire ${this._title} outside a task`);
    return this._tryAcquire(task);
  }

  /**
   * Hands it to the task that has waited longest, if one waits.
   *
   * @throws {InvalidStateError} Outside a task, or if the task does not hold it.
   */
  release(): void {
    const { task } = processor;
    if (task === null) throw new InvalidStateError(`Cannot release ${this._title} outside a task`);
    if (this.#holder !== task) throw new InvalidStateError(`Cannot release for ${task}: ${this._status}`);
    this._release(task);
  }

  /**
   * Runs a coroutine while the calling task holds the lock, and releases it however that ends.
   *
   * @param coroutine What is run.
   * @returns An operation that gives the coroutine's value, or throws its error, or what `acquire` throws.
   */
  with<T>(coroutine: Work<T>): Operation<T> {
    return new With(this, coroutine);
  }

  /** `lock "db" held by task 7 "writer", awaited by task 8`. */
  toString(): string {
    return `${this._status}${awaitedBy(this.#line)}`;
  }

  // ---- The rest is the kernel's ----

  /** @internal */
  get _title(): string {
    return titled("lock", this.#name);
  }

  /** @internal What is waited for. */
  get _heldBy(): string {
    return this.#holder === null ? this._title : `${this._title} held by ${this.#holder.tid}`;
  }

  /** @internal */
  get _status(): string {
    if (this.#brokenBy !== undefined) return `${this._title} broken by ${this.#brokenBy}`;
    return `${this._title} ${this.#holder === null ? "held by nobody" : `held by ${this.#holder}`}`;
  }

  /** @internal */
  get _line(): ParkingPlace<LockWaiter> {
    return this.#line;
  }

  /** @internal */
  _tryAcquire(task: Task): boolean {
    if (this.#holder !== null) {
      if (this.#holder !== task) return false;
      throw new InvalidStateError(`Cannot acquire twice: ${this._status}`);
    }
    if (this.#brokenBy !== undefined) throw this.#breach();
    this.#holder = task;
    task._hold(this);
    return true;
  }

  /** @internal */
  _acquire(task: Task, scheduler: Scheduler): void | Parked {
    if (this._tryAcquire(task)) return;
    scheduler._refuseRing(task, this.#holder!);
    return stand(this.#line, new LockWaiter(this), task, scheduler);
  }

  /** @internal */
  _release(task: Task): void {
    task._letGo(this);
    this.#holder = null;
    const next = takeFirst(this.#line);
    if (next !== null) this._handOver(next);
  }

  /** @internal Nobody holds it: gives it to one who waits. */
  _handOver(waiter: LockWaiter): void {
    const task = waiter._task!;
    this.#holder = task;
    task._hold(this);
    wake(waiter);
  }

  /** @internal Those who wait there are told when it breaks. */
  _depend(dependant: Dependant): void {
    (this.#dependants ??= new Set()).add(dependant);
  }

  /** @internal */
  _independ(dependant: Dependant): void {
    this.#dependants?.delete(dependant);
  }

  /** @internal */
  _holderEnded(task: Task): void {
    this.#holder = null;
    this.#brokenBy = String(task);
    let told = failAll(this.#line, () => this.#breach());
    for (const { _line } of this.#dependants ?? []) told = failAll(_line, () => this.#breach()) || told;
    this.#dependants = undefined;
    if (!told) task._scheduler._report(this.#breach(), task);
  }

  #breach(): BrokenLockError {
    return new BrokenLockError(
      `Cannot acquire ${this._title}: it is broken, ${this.#brokenBy} ended without releasing it`,
    );
  }
}

/** Has waiters who, when they go on, are to hold the lock again. */
export interface Dependant {
  readonly _line: ParkingPlace<LockWaiter>;
}

/** Throws an error into all who stand in a line. False if nobody does. */
function failAll(line: ParkingPlace<LockWaiter>, error: () => unknown): boolean {
  const somebody = line.first !== null;
  for (let waiter = line.shift(); waiter !== null; waiter = line.shift()) {
    refuse(waiter, error());
  }
  return somebody;
}

// Not one for each lock, though it has no other state: a call is its own iterator, so one that a task was spawned with
// would be in use without knowing it.
class Acquire extends SystemCall<void> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare readonly lock: Lock;

  constructor(lock: Lock) {
    super();
    this.lock = lock;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.lock._acquire(task, scheduler);
  }
}

class With<T> implements Operation<T> {
  readonly #lock: Lock;
  readonly #work: Work<T>;

  constructor(lock: Lock, work: Work<T>) {
    this.#lock = lock;
    this.#work = work;
  }

  [Symbol.iterator](): OperationIterator<T> {
    return withLock(this.#lock, this.#work);
  }
}

function* withLock<T>(lock: Lock, work: Work<T>): Coroutine<T> {
  yield* lock.acquire();
  try {
    return yield* call(work);
  } finally {
    // A wait for a condition may have failed to get it back.
    if (lock.holder === processor.task) lock.release();
  }
}
