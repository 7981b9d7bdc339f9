/**
 * System calls: how a coroutine asks the kernel for something.
 *
 * A system call is an object with a `handle` method. `yield call` hands it to the kernel, which has it handled and goes on
 * with the same task at once if it gave a value, or with the next if it parked the task. `yield* call` does the same, is
 * typed, and need not even leave the coroutine: the object is its own iterator, and what can be answered at once is
 * answered inside the first `next()`, as Linux answers the cheapest of its system calls in the vDSO without entering the
 * kernel.
 *
 * Each built-in call is a class, and a function of one line that makes it. They use nothing that others cannot.
 *
 * @module
 */

import { isPending } from "./_cancellation.ts";
import { checkOptions, checkTid, checkTime } from "./_check.ts";
import { Ender, Killer } from "./_endings.ts";
import { tell } from "./_kill.ts";
import { describe, type Operation, type OperationIterator, type Work, type Yieldable } from "./_operation.ts";
import { Parked, proceed, type Wait, type WaitingOperation } from "./_parking.ts";
import { awaitPromise } from "./_promises.ts";
import { ask, SystemCall } from "./_system_call.ts";
import type { Timer } from "./_timers.ts";
import { KILL_OPTIONS } from "./_options.ts";
import type { KillOptions, TaskOptions } from "./_options.ts";
import type { Scheduler } from "./scheduler.ts";
import { Task } from "./task.ts";

export { SystemCall } from "./_system_call.ts";
export { abortable, abortSignal, call, defer, shield, timeout } from "./_scopes.ts";

// ---- Tasks -----------------------------------------------------------------------------------------------------------

/** The number of the calling task. See {@linkcode getTid}. */
export class GetTid extends SystemCall<number> {
  /** Gives the tid. */
  handle(task: Task): number {
    return task.tid;
  }

  /** Runs the call; for `yield*`. */
  override next(value?: unknown): IteratorResult<Yieldable, number> {
    return ask(this, value);
  }
}

const GET_TID = new GetTid();

/**
 * The number of the calling task.
 *
 * @returns A system call that gives the tid.
 *
 * @example
 * ```ts
 * import { getTid, Scheduler } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await new Scheduler().run(getTid()), 1);
 * ```
 */
export function getTid(): GetTid {
  return GET_TID;
}

/** The calling task itself. See {@linkcode currentTask}. */
export class CurrentTask extends SystemCall<Task> {
  /** Gives the task. */
  handle(task: Task): Task {
    return task;
  }

  /** Runs the call; for `yield*`. */
  override next(value?: unknown): IteratorResult<Yieldable, Task> {
    return ask(this, value);
  }
}

const CURRENT_TASK = new CurrentTask();

/**
 * The calling task itself.
 *
 * @returns A system call that gives the handle of the task.
 *
 * @example
 * ```ts
 * import { currentTask, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const task = await run(function* () {
 *   return [yield* currentTask()];
 * });
 * assertEquals(task[0]?.state, "ended");
 * ```
 */
export function currentTask(): CurrentTask {
  return CURRENT_TASK;
}

/** Starts a task and gives its tid: the seed's form. See {@linkcode newTask}. */
export class NewTask extends SystemCall<number> {
  readonly #target: Work<unknown>;
  readonly #options: TaskOptions | undefined;

  /**
   * A call that starts a task.
   *
   * @param target What the task runs.
   * @param options Its name, whether it is a daemon, a signal that kills it.
   */
  constructor(target: Work<unknown>, options?: TaskOptions) {
    super();
    this.#target = target;
    this.#options = options;
  }

  /** Puts the new task at the end of the ready queue and gives its tid. */
  handle(_task: Task, scheduler: Scheduler): number {
    return scheduler.spawn(this.#target, this.#options).tid;
  }
}

/**
 * Starts a task and gives its tid, as the seed's `NewTask` does; {@linkcode spawn} gives the handle.
 *
 * @param target What the task runs.
 * @param options Its name, whether it is a daemon, a signal that kills it.
 * @returns A system call that gives the new task's tid.
 * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task; if an option
 * is of the wrong kind.
 *
 * @example
 * ```ts
 * import { newTask, Scheduler, waitTask } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await new Scheduler().run(function* () {
 *   const tid = yield* newTask(function* () {
 *     yield;
 *   });
 *   assertEquals(tid, 2);
 *   assertEquals(yield* waitTask(tid), true);
 * });
 * ```
 */
export function newTask(target: Work<unknown>, options?: TaskOptions): NewTask {
  return new NewTask(target, options);
}

class Spawn<T> extends SystemCall<Task<T>> {
  declare readonly target: Work<T>;
  declare readonly options: TaskOptions | undefined;

  constructor(target: Work<T>, options: TaskOptions | undefined) {
    super();
    this.target = target;
    this.options = options;
  }

  handle(_task: Task, scheduler: Scheduler): Task<T> {
    return scheduler.spawn(this.target, this.options);
  }
}

/**
 * Starts a task. It belongs to the run of the calling task, and outlives the calling task.
 *
 * @param target What the task runs.
 * @param options Its name, whether it is a daemon, a signal that kills it.
 * @returns A system call that gives the handle of the new task, which is at the end of the ready queue.
 * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task; if an option
 * is of the wrong kind.
 *
 * @example
 * ```ts
 * import { run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const value = await run(function* () {
 *   const task = yield* spawn(function* () {
 *     return 42;
 *   });
 *   return yield* task;
 * });
 * assertEquals(value, 42);
 * ```
 */
export function spawn<T>(target: Work<T>, options?: TaskOptions): SystemCall<Task<T>> {
  return new Spawn(target, options);
}

const NO_OPTIONS: KillOptions = {};

/** Kills a task. See {@linkcode kill}. */
export class KillTask extends SystemCall<boolean> {
  readonly #target: Task | number;
  readonly #options: KillOptions;

  /**
   * A call that kills a task.
   *
   * @param target The task or its tid.
   * @param options Why, and how patiently.
   * @throws {TypeError} If `target` is neither, or an option of the wrong kind.
   * @throws {RangeError} If the tid is no whole number from 1, or `grace` is negative or `NaN`.
   */
  constructor(target: Task | number, options: KillOptions = NO_OPTIONS) {
    super();
    if (!(target instanceof Task)) checkTid(target, "kill");
    if (options !== NO_OPTIONS) checkOptions("kill", options, KILL_OPTIONS);
    this.#target = target;
    this.#options = options;
  }

  /** The call in words. */
  override toString(): string {
    return `kill ${typeof this.#target === "number" ? `task ${this.#target}` : this.#target}`;
  }

  /** Tells the task, and parks the caller until that has ended. */
  handle(task: Task, scheduler: Scheduler): boolean | Parked {
    const target = typeof this.#target === "number" ? scheduler.tasks.get(this.#target) : this.#target;
    if (target === undefined || !tell(target, this.#options)) return false;
    if (target === task) {
      // It is cancelled right here; unless a shield holds that back, or it is already on its way out.
      if (isPending(task, task._extra.kill!)) return scheduler.park(task, { reason: "its own end" });
      if (this.#options.wait !== false) scheduler._refuseRing(task, task);
    }
    if (this.#options.wait === false) return true;
    const parked = target._awaitEnd(task, new Killer(target));
    // Its own scheduler may have nobody who runs it: somebody who waits there for its end makes it turn. It has been told.
    if (target._scheduler !== scheduler) target._scheduler.kill(target);
    return parked;
  }
}

/**
 * Kills a task: `Cancelled` is thrown in where it waits, its cleanup runs to the end, and then it is gone.
 *
 * @param target The task or its tid.
 * @param options `reason`: what its `Cancelled` says. `grace`: the ms that its cleanup may take before its frames are
 * closed, `killGrace` of the scheduler if not given. `force`: close them at once. `wait: false`: do not wait for the end.
 * @returns A system call that gives `true` when the task has ended, `false` if no such task lives.
 * @throws {TypeError} If `target` is no task and no number, or an option of the wrong kind.
 * @throws {RangeError} If the tid is no whole number from 1, or `grace` is negative or `NaN`.
 *
 * @example
 * ```ts
 * import { kill, run, sleep, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(function* () {
 *   const task = yield* spawn(function* () {
 *     try {
 *       yield* sleep(60_000);
 *     } finally {
 *       yield* sleep(1);
 *       log.push("cleaned up");
 *     }
 *   });
 *   yield;
 *   log.push(`killed: ${yield* kill(task)}`);
 *   log.push(`again: ${yield* kill(task)}`);
 * });
 * assertEquals(log, ["cleaned up", "killed: true", "again: false"]);
 * ```
 */
export function kill(target: Task | number, options?: KillOptions): KillTask {
  return new KillTask(target, options);
}

/** Waits until a task has ended. See {@linkcode waitTask}. */
export class WaitTask extends SystemCall<boolean> {
  readonly #tid: number;

  /**
   * A call that waits for the end of a task.
   *
   * @param tid The number of the task.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If it is no whole number from 1.
   */
  constructor(tid: number) {
    super();
    checkTid(tid, "wait for");
    this.#tid = tid;
  }

  /** The call in words. */
  override toString(): string {
    return `waitTask ${this.#tid}`;
  }

  /** Parks the caller until the task has ended. */
  handle(task: Task, scheduler: Scheduler): boolean | Parked {
    const target = scheduler.tasks.get(this.#tid);
    if (target === undefined) return false;
    return target._awaitEnd(task, new Ender(target));
  }
}

/**
 * Waits until a task has ended, however it ends; {@linkcode join} gives its value.
 *
 * @param tid The number of the task.
 * @returns A system call that gives `true` once that task has ended, `false` if no such task lives.
 * @throws {TypeError} If `tid` is no number.
 * @throws {RangeError} If it is no whole number from 1.
 * @throws {DeadlockError} If that task waits for the caller.
 *
 * @example
 * ```ts
 * import { run, waitTask } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await run(waitTask(4711)), false);
 * ```
 */
export function waitTask(tid: number): WaitTask {
  return new WaitTask(tid);
}

/**
 * Waits for the end of a task and gives its value; so does `yield* task`.
 *
 * @param task The task.
 * @returns An operation that gives its value, throws its error if it failed, and `JoinError` if it was killed.
 * @throws {TypeError} If `task` is no task.
 * @throws {DeadlockError} If that task waits for the caller.
 *
 * @example
 * ```ts
 * import { join, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   const task = yield* spawn(function* () {
 *     throw new Error("no luck");
 *   });
 *   try {
 *     yield* join(task);
 *   } catch (error) {
 *     assertEquals((error as Error).message, "no luck");
 *   }
 * });
 * ```
 */
export function join<T>(task: Task<T>): Operation<T> {
  if (!(task instanceof Task)) throw new TypeError(`Cannot join ${describe(task)}: a task is wanted`);
  return task.join();
}

// ---- Waiting ---------------------------------------------------------------------------------------------------------

/** Waits for some time. See {@linkcode sleep}. */
export class Sleep extends SystemCall<void> {
  readonly #ms: number;

  /**
   * A call that waits for some time.
   *
   * @param ms Milliseconds.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If it is negative or `NaN`.
   */
  constructor(ms: number) {
    super();
    checkTime(ms, "sleep");
    this.#ms = ms;
  }

  /** The call in words. */
  override toString(): string {
    return `sleep ${this.#ms}`;
  }

  /** Parks the caller until the time is over. */
  handle(task: Task, scheduler: Scheduler): Parked {
    return new SleepWait(this.#ms).begin(task, scheduler);
  }

  /** The iterator of `yield*`: what a sleeping task keeps is the wait alone. */
  override [Symbol.iterator](): OperationIterator<void> {
    return this.handle === Sleep.prototype.handle ? new SleepWait(this.#ms) : super[Symbol.iterator]();
  }
}

/** A task that sleeps: the operation, the wait and the timer. */
class SleepWait extends Parked implements Timer, Wait, OperationIterator<void>, WaitingOperation<void> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare readonly ms: number;
  declare scheduler: Scheduler | null;
  declare _slot: number;

  constructor(ms: number) {
    super();
    this.ms = ms;
    this.scheduler = null;
    this._slot = -1;
  }

  get target(): Sleep {
    return new Sleep(this.ms);
  }

  get reason(): string {
    const now = this.scheduler!.now();
    const left = this.scheduler!._timers.left(this, now);
    return left === Infinity ? "sleep for ever" : `sleep until ${Math.round(1000 * (now + left)) / 1000}`;
  }

  begin(task: Task, scheduler: Scheduler): Parked {
    this.scheduler = scheduler;
    const parked = scheduler._parkAs(task, this);
    if (this.ms < Infinity) scheduler._setTimer(this, this.ms);
    return parked;
  }

  next(value?: unknown): IteratorResult<Yieldable, void> {
    return proceed(this, value);
  }

  throw(error: unknown): IteratorResult<Yieldable, void> {
    throw error;
  }

  cancel(): void {
    this.scheduler!._timers.clear(this);
  }

  ring(): void {
    this.scheduler!.resume(this);
  }
}

/**
 * Waits for some time.
 *
 * @param ms Milliseconds, fractions and more than 2³¹ allowed; `Infinity` waits for ever, `0` until the host has had its
 * turn.
 * @returns A system call.
 * @throws {TypeError} If `ms` is no number.
 * @throws {RangeError} If it is negative or `NaN`.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep } from "@genos/kernel";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * await scheduler.run(sleep(86_400_000));
 * assertEquals(scheduler.now(), 86_400_000);
 * ```
 */
export function sleep(ms: number): Sleep {
  return new Sleep(ms);
}

/** What `ReadWait` and `WriteWait` can wait for: a socket, a listener. */
export interface Pollable {
  /** @ignore Parks the task until a read need not wait, or gives undefined if that is so now. */
  _readWait?(task: Task, scheduler: Scheduler): Parked | void;
  /** @ignore Parks the task until no write is in flight, or gives undefined if that is so now. */
  _writeWait?(task: Task, scheduler: Scheduler): Parked | void;
}

/** Waits until something can be read. See {@linkcode readWait}. */
export class ReadWait extends SystemCall<void> {
  readonly #source: Pollable;

  /**
   * A call that waits until something can be read.
   *
   * @param source A socket or a listener.
   * @throws {TypeError} If it is neither.
   */
  constructor(source: Pollable) {
    super();
    if (typeof source?._readWait !== "function") {
      throw new TypeError(`Cannot wait to read from ${describe(source)}: a socket or a listener is wanted`);
    }
    this.#source = source;
  }

  /** Parks the caller until the source is readable. */
  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#source._readWait!(task, scheduler);
  }
}

/**
 * Waits until `source` can be read, or accepted from, without waiting. It takes nothing: the next `recv` or `accept` does.
 *
 * @param source A socket or a listener.
 * @returns A system call.
 * @throws {TypeError} If `source` is neither.
 * @throws {ClosedError} If it is closed, or gets closed meanwhile.
 */
export function readWait(source: Pollable): ReadWait {
  return new ReadWait(source);
}

/** Waits until no write is in flight. See {@linkcode writeWait}. */
export class WriteWait extends SystemCall<void> {
  readonly #socket: Pollable;

  /**
   * A call that waits until no write is in flight.
   *
   * @param socket A socket.
   * @throws {TypeError} If it is none.
   */
  constructor(socket: Pollable) {
    super();
    if (typeof socket?._writeWait !== "function") {
      throw new TypeError(`Cannot wait to write to ${describe(socket)}: a socket is wanted`);
    }
    this.#socket = socket;
  }

  /** Parks the caller until the socket has nothing in flight. */
  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#socket._writeWait!(task, scheduler);
  }
}

/**
 * Waits until no write to `socket` is in flight: its `bytesSent` is then final.
 *
 * @param socket A socket.
 * @returns A system call.
 * @throws {TypeError} If `socket` is none.
 * @throws {ClosedError} If it gets closed meanwhile.
 */
export function writeWait(socket: Pollable): WriteWait {
  return new WriteWait(socket);
}

class Until<T> extends SystemCall<T> {
  readonly #promise: PromiseLike<T>;

  constructor(promise: PromiseLike<T>) {
    super();
    if (typeof promise?.then !== "function") {
      throw new TypeError(`Cannot wait for ${describe(promise)}: a promise is wanted`);
    }
    this.#promise = promise;
  }

  handle(task: Task): Parked {
    return awaitPromise(task, this.#promise);
  }
}

/**
 * Waits for a promise. The task can be killed meanwhile; the promise then goes on without it.
 *
 * @param promise What is waited for.
 * @returns A system call that gives what the promise is fulfilled with, or throws what it is rejected with.
 * @throws {TypeError} If `promise` has no `then`.
 *
 * @example
 * ```ts
 * import { run, until } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await run(until(Promise.resolve(42))), 42);
 * ```
 */
export function until<T>(promise: PromiseLike<T>): SystemCall<Awaited<T>> {
  return new Until(promise as PromiseLike<Awaited<T>>);
}
