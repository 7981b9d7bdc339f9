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

import { Boundary, Defers, type Unwinding } from "./_boundary.ts";
import {
  ENTERED,
  type FrameIterator,
  frameOf,
  type Operation,
  type OperationIterator,
  TRAP,
  type Trap,
  TrapIterator,
  type Work,
  type Yieldable,
} from "./_operation.ts";
import { describe } from "./_operation.ts";
import { Parked, type Wait } from "./_parking.ts";
import { TimeoutError } from "./errors.ts";
import { awaitPromise, Ender, processor, RUNNING, Task } from "./task.ts";
import type { Timer } from "./_timers.ts";
import type { KillOptions, Scheduler, TaskOptions } from "./scheduler.ts";

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
  #issued = false;

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

  /** The iterator of `yield*`: the call itself, unless it is in use. */
  [Symbol.iterator](): OperationIterator<T> {
    return this.#issued ? new TrapIterator<T>(this) : this;
  }

  /** Runs the call; for `yield*`. */
  next(value?: unknown): IteratorResult<Yieldable, T> {
    if (this.#issued) {
      this.#issued = false;
      return { done: true, value: value as T };
    }
    const { task } = processor;
    if (task === null) throw new TypeError("Cannot make a system call outside a task: a coroutine yields it");
    if (--processor.credit < 0 || processor.observed) {
      this.#issued = true;
      return { done: false, value: this };
    }
    let result: T | Parked;
    try {
      result = this.handle(task, task._scheduler);
      if (task._state === RUNNING) return { done: true, value: result as T };
      task._leftBy(result);
    } catch (error) {
      if (task._state !== RUNNING) task._unpark();
      throw error;
    }
    this.#issued = true;
    return { done: false, value: this };
  }

  /** Throws into the coroutine that waits for the call; for `yield*`. */
  throw(error: unknown): IteratorResult<Yieldable, T> {
    this.#issued = false;
    throw error;
  }

  /** Gives the call up; for `yield*`. */
  return(value?: unknown): IteratorResult<Yieldable, T> {
    this.#issued = false;
    return { done: true, value: value as T };
  }

  /** @ignore */
  [TRAP](task: Task, scheduler: Scheduler): unknown {
    return this.handle(task, scheduler);
  }
}

// ---- Tasks -----------------------------------------------------------------------------------------------------------

/** The number of the calling task. See {@linkcode getTid}. */
export class GetTid extends SystemCall<number> {
  /** Gives the tid. */
  handle(task: Task): number {
    return task.tid;
  }
}

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
  return new GetTid();
}

/** The calling task itself. See {@linkcode currentTask}. */
export class CurrentTask extends SystemCall<Task> {
  /** Gives the task. */
  handle(task: Task): Task {
    return task;
  }
}

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
  return new CurrentTask();
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
 * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task.
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
  readonly #target: Work<T>;
  readonly #options: TaskOptions | undefined;

  constructor(target: Work<T>, options: TaskOptions | undefined) {
    super();
    this.#target = target;
    this.#options = options;
  }

  handle(_task: Task, scheduler: Scheduler): Task<T> {
    return scheduler.spawn(this.#target, this.#options);
  }
}

/**
 * Starts a task. It belongs to the run of the calling task, and outlives the calling task.
 *
 * @param target What the task runs.
 * @param options Its name, whether it is a daemon, a signal that kills it.
 * @returns A system call that gives the handle of the new task, which is at the end of the ready queue.
 * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task.
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

/** Checks that a tid is one, so that a mistake is not taken for a task that has ended. */
export function checkTid(tid: unknown, verb: string): void {
  if (typeof tid !== "number") throw new TypeError(`Cannot ${verb} ${describe(tid)}: a tid is a number`);
  if (!Number.isInteger(tid) || tid < 1) throw new RangeError(`Cannot ${verb} ${tid}: tids count from 1`);
}

/** Kills a task. See {@linkcode kill}. */
export class KillTask extends SystemCall<boolean> {
  readonly #target: Task | number;
  readonly #options: KillOptions;

  /**
   * A call that kills a task.
   *
   * @param target The task or its tid.
   * @param options Why, and how patiently.
   * @throws {TypeError} If `target` is neither.
   * @throws {RangeError} If the tid is no whole number from 1, or `grace` is negative.
   */
  constructor(target: Task | number, options: KillOptions = {}) {
    super();
    if (!(target instanceof Task)) checkTid(target, "kill");
    if (options.grace !== undefined) checkTime(options.grace, "kill with a grace of");
    this.#target = target;
    this.#options = options;
  }

  /** Tells the task, and parks the caller until that has ended. */
  handle(task: Task, scheduler: Scheduler): boolean | Parked {
    const target = typeof this.#target === "number" ? scheduler.tasks.get(this.#target) : this.#target;
    if (target === undefined || !target._scheduler._tell(target, this.#options)) return false;
    if (target === task) {
      // It is cancelled right here; unless a shield holds that back, or it is already on its way out.
      if (task._isPending(task._extra.kill!)) return scheduler.park(task, { reason: "its own end" });
      if (this.#options.wait !== false) scheduler._refuseRing(task, task);
    }
    if (this.#options.wait === false) return true;
    return target._awaitEnd(task, new Ender(task, target, "kill"));
  }
}

/**
 * Kills a task: `Cancelled` is thrown in where it waits, its cleanup runs to the end, and then it is gone.
 *
 * @param target The task or its tid.
 * @param options `reason`: what its `Cancelled` says. `grace`: the ms that its cleanup may take before its frames are
 * closed, `killGrace` of the scheduler if not given. `force`: close them at once. `wait: false`: do not wait for the end.
 * @returns A system call that gives `true` when the task has ended, `false` if no such task lives.
 * @throws {TypeError} If `target` is no task and no number.
 * @throws {RangeError} If the tid is no whole number from 1, or `grace` is negative.
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

  /** Parks the caller until the task has ended. */
  handle(task: Task, scheduler: Scheduler): boolean | Parked {
    const target = scheduler.tasks.get(this.#tid);
    if (target === undefined) return false;
    return target._awaitEnd(task, new Ender(task, target, "end"));
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

/** Checks a time span in ms. */
function checkTime(ms: unknown, verb: string): void {
  if (typeof ms !== "number") {
    throw new TypeError(`Cannot ${verb} ${describe(ms)}: a number of milliseconds is wanted`);
  }
  if (!(ms >= 0)) throw new RangeError(`Cannot ${verb} ${ms} ms: a time is 0 or more`);
}

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

  /** Parks the caller until the time is over. */
  handle(task: Task, scheduler: Scheduler): Parked {
    return scheduler.park(task, new SleepWait(scheduler, this.#ms));
  }
}

class SleepWait extends Parked implements Timer, Wait {
  _slot = -1;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, ms: number) {
    super();
    this.#scheduler = scheduler;
    if (ms < Infinity) scheduler._setTimer(this, ms);
  }

  get reason(): string {
    const now = this.#scheduler.now();
    const left = this.#scheduler._timers.left(this, now);
    return left === Infinity ? "sleep for ever" : `sleep until ${Math.round(1000 * (now + left)) / 1000}`;
  }

  cancel(): void {
    this.#scheduler._timers.clear(this);
  }

  ring(): void {
    this.#scheduler.resume(this);
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

// ---- Calls and boundaries --------------------------------------------------------------------------------------------

/** Runs some work on the stack of the calling task, above a boundary or not. It is its own iterator. */
abstract class Call<T> implements Operation<T>, Trap {
  readonly #work: Work<T>;

  constructor(work: Work<T>) {
    this.#work = work;
  }

  /** What it is called, for errors. */
  abstract readonly verb: string;

  [Symbol.iterator](): OperationIterator<T> {
    return new TrapIterator<T>(this);
  }

  [TRAP](task: Task, scheduler: Scheduler): unknown {
    this.enter(task, scheduler, frameOf(this.#work, this.verb));
    return ENTERED;
  }

  abstract enter(task: Task, scheduler: Scheduler, frame: FrameIterator): void;
}

class PlainCall<T> extends Call<T> {
  override readonly verb = "call";

  enter(task: Task, _scheduler: Scheduler, frame: FrameIterator): void {
    task._enter(null, frame);
  }
}

/**
 * Calls a coroutine: it runs on the same task, on the kernel's stack, so that a resume costs the same at any depth. It is
 * the typed form of `yield coroutine`.
 *
 * @param coroutine What is called.
 * @returns An operation that gives the coroutine's value, or throws its error.
 * @throws {TypeError} If it is no coroutine, or one that is running, has ended or belongs to another task.
 *
 * @example
 * ```ts
 * import { call, type Coroutine, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * function* depth(n: number): Coroutine<number> {
 *   return n === 0 ? 0 : 1 + (yield* call(depth(n - 1)));
 * }
 * assertEquals(await run(depth(10_000)), 10_000);
 * ```
 */
export function call<T>(coroutine: Work<T>): Operation<T> {
  return new PlainCall(coroutine);
}

class TimeoutBoundary extends Boundary implements Timer {
  _slot = -1;
  readonly #task: Task;
  readonly #ms: number;
  #error: TimeoutError | undefined;

  constructor(task: Task, ms: number) {
    super();
    this.#task = task;
    this.#ms = ms;
  }

  override get reason(): unknown {
    return this.#error;
  }

  override get cancellable(): boolean {
    return true;
  }

  override get armed(): boolean {
    return this._slot !== -1;
  }

  override disarm(): void {
    this.#task._scheduler._timers.clear(this);
  }

  ring(): void {
    this.#error = new TimeoutError(`${this.#task} was not done within ${this.#ms} ms`);
    this.#task._fire(this);
  }

  override leave(task: Task, unwound: Unwinding | null): void {
    this.disarm();
    super.leave(task, unwound);
  }
}

class Timeout<T> extends Call<T> {
  override readonly verb = "time out";
  readonly #ms: number;

  constructor(ms: number, work: Work<T>) {
    super(work);
    checkTime(ms, "time out after");
    this.#ms = ms;
  }

  enter(task: Task, scheduler: Scheduler, frame: FrameIterator): void {
    const boundary = new TimeoutBoundary(task, this.#ms);
    task._enter(boundary, frame);
    if (this.#ms === 0) boundary.ring();
    else if (this.#ms < Infinity) scheduler._setTimer(boundary, this.#ms);
  }
}

/**
 * Runs a coroutine that must be done within some time. When the time is over it is unwound, and its cleanup awaited.
 *
 * @param ms Milliseconds; `0` expires at the first wait, `Infinity` never.
 * @param coroutine What is run.
 * @returns An operation that gives the coroutine's value, or throws its error.
 * @throws {TimeoutError} When the time was over first. What cleanup throws is thrown instead.
 * @throws {RangeError} If `ms` is negative or `NaN`.
 *
 * @example
 * ```ts
 * import { run, sleep, timeout, TimeoutError } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const said = await run(function* () {
 *   try {
 *     return yield* timeout(10, sleep(60_000));
 *   } catch (error) {
 *     if (error instanceof TimeoutError) return "too slow";
 *     throw error;
 *   }
 * });
 * assertEquals(said, "too slow");
 * ```
 */
export function timeout<T>(ms: number, coroutine: Work<T>): Operation<T> {
  return new Timeout(ms, coroutine);
}

class AbortBoundary extends Boundary {
  readonly #signal: AbortSignal;
  readonly #listener: () => void;

  constructor(task: Task, signal: AbortSignal) {
    super();
    this.#signal = signal;
    this.#listener = () => task._fire(this);
    signal.addEventListener("abort", this.#listener, { once: true });
  }

  override get cancellable(): boolean {
    return true;
  }

  override get reason(): unknown {
    return this.#signal.reason;
  }

  override disarm(): void {
    this.#signal.removeEventListener("abort", this.#listener);
  }

  override leave(task: Task, unwound: Unwinding | null): void {
    this.disarm();
    super.leave(task, unwound);
  }
}

class Abortable<T> extends Call<T> {
  override readonly verb = "run";
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal, work: Work<T>) {
    super(work);
    if (!(signal instanceof AbortSignal)) {
      throw new TypeError(`Cannot be aborted by ${describe(signal)}: an AbortSignal is wanted`);
    }
    this.#signal = signal;
  }

  enter(task: Task, _scheduler: Scheduler, frame: FrameIterator): void {
    this.#signal.throwIfAborted();
    task._enter(new AbortBoundary(task, this.#signal), frame);
  }
}

/**
 * Runs a coroutine that an `AbortSignal` can cut short. It is then unwound, and its cleanup awaited. If the signal has
 * been aborted already, the coroutine does not start.
 *
 * @param signal The signal.
 * @param coroutine What is run.
 * @returns An operation that gives the coroutine's value, or throws its error, or the signal's reason.
 * @throws {TypeError} If `signal` is no `AbortSignal`.
 *
 * @example
 * ```ts
 * import { abortable, run, sleep } from "@genos/kernel";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => run(abortable(AbortSignal.timeout(1), sleep(60_000))), DOMException);
 * ```
 */
export function abortable<T>(signal: AbortSignal, coroutine: Work<T>): Operation<T> {
  return new Abortable(signal, coroutine);
}

class ShieldBoundary extends Boundary {
  readonly #frozen: boolean;

  constructor(task: Task) {
    super();
    this.shielding = true;
    this.#frozen = task._dying;
    if (this.#frozen) task._extra.kill!.freeze(this);
  }

  override leave(task: Task): void {
    if (this.#frozen) task._extra.kill!.thaw(this);
    task._unshielded();
  }
}

class Shield<T> extends Call<T> {
  override readonly verb = "shield";

  enter(task: Task, _scheduler: Scheduler, frame: FrameIterator): void {
    task._enter(new ShieldBoundary(task), frame);
  }
}

/**
 * Runs a coroutine that kills and timeouts from outside do not reach: they wait until it is done.
 *
 * @param coroutine What is run.
 * @returns An operation that gives the coroutine's value, or throws its error.
 *
 * @example
 * ```ts
 * import { kill, run, shield, sleep, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(function* () {
 *   const task = yield* spawn(shield(function* () {
 *     yield* sleep(1);
 *     log.push("done all the same");
 *   }));
 *   yield;
 *   yield* kill(task);
 * });
 * assertEquals(log, ["done all the same"]);
 * ```
 */
export function shield<T>(coroutine: Work<T>): Operation<T> {
  return new Shield(coroutine);
}

class Defer extends SystemCall<void> {
  readonly #cleanup: Work<unknown>;

  constructor(cleanup: Work<unknown>) {
    super();
    this.#cleanup = cleanup;
  }

  handle(task: Task): void {
    Defers.add(task, frameOf(this.#cleanup, "defer"));
  }
}

/**
 * Has a coroutine run, shielded, when the calling coroutine ends, however it ends; the newest first. Go's `defer`.
 *
 * The calling coroutine is the one that the kernel sees: in a native `yield*` chain, the outermost generator. So a helper
 * that acquires something for its caller is called natively, one that cleans up after itself by {@linkcode call}.
 *
 * @param cleanup What is run.
 * @returns A system call.
 * @throws {TypeError} If `cleanup` is no coroutine.
 *
 * @example
 * ```ts
 * import { defer, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(function* () {
 *   yield* defer(function* () {
 *     log.push("closed");
 *   });
 *   log.push("used");
 * });
 * assertEquals(log, ["used", "closed"]);
 * ```
 */
export function defer(cleanup: Work<unknown>): SystemCall<void> {
  return new Defer(cleanup);
}

class GetAbortSignal extends SystemCall<AbortSignal> {
  handle(task: Task): AbortSignal {
    let place: { controller: AbortController | null } | null = task._boundary;
    while (place instanceof Boundary && !place.cancellable) place = place.outer;
    place ??= task._extra;
    return (place.controller ??= new AbortController()).signal;
  }
}

/**
 * A signal for `fetch` and the like: it aborts when the calling task is killed, or the innermost timeout or abortable
 * round the call is cut short.
 *
 * @returns A system call that gives the signal.
 *
 * @example
 * ```ts
 * import { abortSignal, run, sleep, timeout, TimeoutError } from "@genos/kernel";
 * import { assertInstanceOf } from "@std/assert";
 *
 * let signal: AbortSignal | undefined;
 * await run(function* () {
 *   try {
 *     yield* timeout(1, function* () {
 *       signal = yield* abortSignal();
 *       yield* sleep(60_000); // or `until(fetch(url, { signal }))`
 *     });
 *   } catch {
 *     // too slow
 *   }
 * });
 * assertInstanceOf(signal?.reason, TimeoutError);
 * ```
 */
export function abortSignal(): SystemCall<AbortSignal> {
  return new GetAbortSignal();
}
