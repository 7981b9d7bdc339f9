/**
 * Calls that run some work above a boundary of the caller's stack, and what a frame can ask for itself.
 *
 * Each is one boundary: what fires it, and what it does when the work leaves through it. How a stack is unwound to it is
 * said once, in `_boundary.ts` and `task.ts`.
 *
 * @module
 */

import { Boundary, Defers, type Unwinding } from "./_boundary.ts";
import { fire, unshielded } from "./_cancellation.ts";
import { describe, ENTERED, type FrameIterator, frameOf, type Operation } from "./_operation.ts";
import type { Work } from "./_operation.ts";
import { SystemCall } from "./_system_call.ts";
import { checkTime } from "./_check.ts";
import type { Timer } from "./_timers.ts";
import { TimeoutError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** Runs some work on the stack of the calling task, above a boundary or not. */
abstract class Call<T> extends SystemCall<T> {
  declare readonly work: Work<T>;

  constructor(work: Work<T>) {
    super();
    this.work = work;
  }

  /** What is done with the work, for errors. */
  abstract get verb(): string;

  override get _isSingle(): boolean {
    return false;
  }

  handle(task: Task, scheduler: Scheduler): T {
    this.enter(task, scheduler, frameOf(this.work, this.verb));
    return ENTERED as T; // the kernel's own answer: go on with the new frame
  }

  abstract enter(task: Task, scheduler: Scheduler, frame: FrameIterator): void;
}

class PlainCall<T> extends Call<T> {
  get verb(): string {
    return "call";
  }

  override toString(): string {
    return "call";
  }

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
  declare _slot: number;
  declare readonly task: Task;
  declare readonly ms: number;
  declare error: TimeoutError | undefined;

  constructor(task: Task, ms: number) {
    super();
    this._slot = -1;
    this.task = task;
    this.ms = ms;
    this.error = undefined;
  }

  override get words(): string {
    return `timeout of ${this.ms} ms`;
  }

  override get reason(): unknown {
    return this.error;
  }

  override get cancellable(): boolean {
    return true;
  }

  override get armed(): boolean {
    return this._slot !== -1;
  }

  override disarm(): void {
    this.task._scheduler._timers.clear(this);
  }

  ring(): void {
    this.error = new TimeoutError(`${this.task} was not done within ${this.ms} ms`);
    fire(this.task, this);
  }

  override leave(task: Task, unwound: Unwinding | null): void {
    this.disarm();
    super.leave(task, unwound);
  }
}

class Timeout<T> extends Call<T> {
  get verb(): string {
    return "time out";
  }

  readonly #ms: number;

  constructor(ms: number, work: Work<T>) {
    super(work);
    checkTime(ms, "time out after");
    this.#ms = ms;
  }

  override toString(): string {
    return `timeout ${this.#ms}`;
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
    this.#listener = () => fire(task, this);
    signal.addEventListener("abort", this.#listener, { once: true });
  }

  override get words(): string {
    return "abortable";
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
  get verb(): string {
    return "run";
  }

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

  override get words(): string {
    return "shield";
  }

  override leave(task: Task): void {
    if (this.#frozen) task._extra.kill!.thaw(this);
    unshielded(task);
  }
}

class Shield<T> extends Call<T> {
  get verb(): string {
    return "shield";
  }

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
