/**
 * Every error class of genos.
 *
 * A class of its own has only what a caller is meant to catch; the wrong kind of argument is a `TypeError` and the
 * wrong size a `RangeError`, as everywhere in JavaScript.
 *
 * @module
 */

import type { Frame } from "./_frames.ts";
import type { TaskInfo } from "./_options.ts";

/**
 * What is thrown into a coroutine, at the point where it waits, when its task is killed or a boundary round it (a
 * timeout, an abort signal, a group) is given up. It may be caught to clean up, and cannot be refused: the caller of
 * the coroutine that catches it gets it too, down to the boundary.
 *
 * Python's rule that cancellation is an exception (PEP 342's `GeneratorExit`, Curio's `CancelledError`).
 *
 * @example
 * ```ts
 * import { Cancelled, kill, run, sleep, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const reasons: unknown[] = [];
 * await run(function* () {
 *   const task = yield* spawn(function* () {
 *     try {
 *       yield* sleep(60_000);
 *     } catch (error) {
 *       if (error instanceof Cancelled) reasons.push(error.reason);
 *     }
 *   });
 *   yield;
 *   yield* kill(task, { reason: "not needed" });
 * });
 * assertEquals(reasons, ["not needed"]);
 * ```
 */
// An instance of Error in all but its making: the constructor of Error takes 3 µs to note a stack, which here would be
// the kernel's own; a kill as a whole takes a tenth of that.
export class Cancelled implements Error {
  /** Why: the `reason` that was given to `kill`, the `TimeoutError` of a timeout, the reason of an abort signal. */
  readonly reason: unknown;

  /**
   * What the kernel throws when it unwinds a coroutine.
   *
   * @param reason Why the coroutine is unwound.
   */
  constructor(reason?: unknown) {
    this.reason = reason;
  }

  /** `"Cancelled"`. */
  get name(): string {
    return "Cancelled";
  }

  /** The reason in words. */
  get message(): string {
    return this.reason === undefined ? "the task was cancelled" : inWords(this.reason);
  }

  /** Name and message: a `Cancelled` comes from outside the coroutine, so it has no line of its own. */
  get stack(): string {
    return `${this.name}: ${this.message}`;
  }

  /** The reason, where other errors keep what they came from. */
  get cause(): unknown {
    return this.reason;
  }

  /** Name and message. */
  toString(): string {
    return this.stack;
  }
}
Object.setPrototypeOf(Cancelled.prototype, Error.prototype);

function inWords(reason: unknown): string {
  if (reason instanceof Error) return reason.message || reason.name;
  try {
    return String(reason);
  } catch {
    return "a reason that cannot be put in words";
  }
}

/**
 * Thrown to the caller of `timeout` when the time is over before the coroutine has ended.
 *
 * @example
 * ```ts
 * import { run, sleep, timeout, TimeoutError } from "@genos/kernel";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => run(timeout(5, sleep(60_000))), TimeoutError);
 * ```
 */
export class TimeoutError extends Error {
  /** `"TimeoutError"`. */
  override readonly name = "TimeoutError";
}

/**
 * Thrown to whoever joins a task that was killed, or waits for a future that was cancelled; `cause` says why.
 *
 * @example
 * ```ts
 * import { JoinError, kill, run, sleep, spawn } from "@genos/kernel";
 * import { assertInstanceOf } from "@std/assert";
 *
 * await run(function* () {
 *   const task = yield* spawn(sleep(60_000));
 *   yield* kill(task);
 *   try {
 *     yield* task;
 *   } catch (error) {
 *     assertInstanceOf(error, JoinError);
 *   }
 * });
 * ```
 */
export class JoinError extends Error {
  /** `"JoinError"`. */
  override readonly name = "JoinError";
}

/**
 * Thrown where nothing could ever go on: by `run` and `mainLoop` when every task that is left waits for another, and
 * in the task whose join, kill or acquire would close a ring of waiting tasks. The message lists who waits for what.
 *
 * @example
 * ```ts
 * import { currentTask, DeadlockError, join, run } from "@genos/kernel";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(
 *   () =>
 *     run(function* () {
 *       yield* join(yield* currentTask());
 *     }),
 *   DeadlockError,
 * );
 * ```
 */
export class DeadlockError extends Error {
  /** `"DeadlockError"`. */
  override readonly name = "DeadlockError";
  /** The tasks that wait, as `ps` lists them. */
  readonly tasks: readonly TaskInfo[];
  /** Where they stand, by tid: see `where`. Of very many tasks, the first ones. */
  readonly frames: ReadonlyMap<number, readonly Frame[]>;

  /**
   * A report of tasks that wait for each other.
   *
   * @param message The report as text.
   * @param tasks The same as data.
   * @param frames Where they stand, by tid.
   */
  constructor(
    message: string,
    tasks: readonly TaskInfo[],
    frames: ReadonlyMap<number, readonly Frame[]> = new Map(),
  ) {
    super(message);
    this.tasks = tasks;
    this.frames = frames;
  }
}

/**
 * The outcome of a task that would not end: it outlived its kill by two graces and was taken out of the kernel. Its
 * frames are abandoned where they stand.
 */
export class UnkillableError extends Error {
  /** `"UnkillableError"`. */
  override readonly name = "UnkillableError";
}

/**
 * Thrown when a thing is asked for what its state does not allow: the result of a future that is pending, a second
 * result for one that is done, the release of a lock that one does not hold.
 */
export class InvalidStateError extends Error {
  /** `"InvalidStateError"`. */
  override readonly name = "InvalidStateError";
}

/**
 * Thrown to whoever acquires, or waits for, a lock whose holder has ended without releasing it. What the lock guarded may
 * have been left half done, so it stays broken.
 *
 * @example
 * ```ts
 * import { BrokenLockError, Lock, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const said = await run(function* () {
 *   const lock = new Lock("db");
 *   yield* spawn(function* careless() {
 *     yield* lock.acquire();
 *     yield;
 *   });
 *   yield;
 *   try {
 *     yield* lock.acquire();
 *   } catch (error) {
 *     if (error instanceof BrokenLockError) return error.message;
 *   }
 * });
 * assertEquals(said?.startsWith('Cannot acquire lock "db": it is broken'), true);
 * ```
 */
export class BrokenLockError extends Error {
  /** `"BrokenLockError"`. */
  override readonly name = "BrokenLockError";
}

/** Thrown by what waits on, or is asked of, a socket, a listener or a channel that has been closed. */
export class ClosedError extends Error {
  /** `"ClosedError"`. */
  override readonly name = "ClosedError";
}

/**
 * Thrown by `recvExactly` and `recvUntil` when the other end has said all it had to say before that was enough.
 *
 * @example
 * ```ts
 * import { connect, EndOfStreamError, listen, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   using listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   yield* spawn(function* () {
 *     using socket = yield* connect({ port: listener.addr.port });
 *     yield* socket.send("abc");
 *   });
 *   const [socket] = yield* listener.accept();
 *   try {
 *     yield* socket.recvExactly(10);
 *   } catch (error) {
 *     if (error instanceof EndOfStreamError) assertEquals(error.partial, new TextEncoder().encode("abc"));
 *   } finally {
 *     socket.close();
 *   }
 * });
 * ```
 */
export class EndOfStreamError extends Error {
  /** `"EndOfStreamError"`. */
  override readonly name = "EndOfStreamError";
  /** The bytes that came, which are thereby taken. */
  readonly partial: Uint8Array<ArrayBuffer>;

  /**
   * A report of a stream that has ended too early.
   *
   * @param message What could not be done.
   * @param partial The bytes that came.
   */
  constructor(message: string, partial: Uint8Array<ArrayBuffer>) {
    super(message);
    this.partial = partial;
  }
}

/**
 * Thrown where more bytes have come than `maxBytes` allows. They stay where they are, and can be read.
 *
 * @example
 * ```ts
 * import { connect, LimitError, listen, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   using listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   yield* spawn(function* () {
 *     using socket = yield* connect({ port: listener.addr.port });
 *     yield* socket.send("a line without an end");
 *   });
 *   const [socket] = yield* listener.accept();
 *   try {
 *     yield* socket.recvLine({ maxBytes: 4 });
 *   } catch (error) {
 *     if (error instanceof LimitError) assertEquals(error.limit, 4);
 *   } finally {
 *     socket.close();
 *   }
 * });
 * ```
 */
export class LimitError extends Error {
  /** `"LimitError"`. */
  override readonly name = "LimitError";
  /** The limit, in bytes. */
  readonly limit: number;

  /**
   * A report of a limit that was exceeded.
   *
   * @param message What could not be done.
   * @param limit The limit, in bytes.
   */
  constructor(message: string, limit: number) {
    super(message);
    this.limit = limit;
  }
}

/** What a {@linkcode ScheduleError} says, as data. */
export interface ScheduleErrorDetails {
  /** In what way the program is broken. */
  readonly kind: string;
  /** The smallest schedule found that breaks it, in sentences. */
  readonly schedule: readonly string[];
  /** How often a task is stopped in it that could go on. */
  readonly preemptions: number;
  /** The last steps before it broke. */
  readonly lastSteps: readonly string[];
  /** What `replay` takes; empty if no single schedule is at fault. */
  readonly replay: string;
  /** What to type to run it again. */
  readonly command: string;
  /** How many runs it took to find it, those of the shrinker not counted. */
  readonly runs: number;
  /** How many ms that took. */
  readonly ms: number;
  /** What found it: `"fifo"`, `"bounded"`, `"pct"`, `"random"`, `"replay"`. */
  readonly strategy: string;
}

/**
 * Thrown by `explore` and `replay` for a program that a schedule breaks. The message tells that schedule in sentences; `cause` is
 * the error that came out of it, if one did.
 *
 * @example
 * ```ts
 * import { explore, replay, ScheduleError, type World } from "@genos/kernel/testing";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * function lostUpdate(world: World) {
 *   let balance = 0;
 *   for (let i = 0; i < 2; i++) {
 *     world.spawn(function* deposit() {
 *       const before = balance;
 *       yield;
 *       balance = before + 1;
 *     });
 *   }
 *   return () => assertEquals(balance, 2);
 * }
 * const error = assertThrows(() => explore(lostUpdate), ScheduleError);
 * assertEquals(error.preemptions, 1);
 * assertThrows(() => replay(error.replay, lostUpdate), ScheduleError, error.message);
 * ```
 */
export class ScheduleError extends Error implements ScheduleErrorDetails {
  /** `"ScheduleError"`. */
  override readonly name = "ScheduleError";
  /**
   * In what way the program is broken: an `"error"` of main or of the check at the end, an `"unhandled"` one of another task;
   * what was claimed does not hold `"always"`, not `"eventually"`, not `"sometimes"`; a `"deadlock"`; a `"livelock"`, which
   * is a run that is not over after `maxSteps`; tasks `"leftover"`; something taken from `"outside"`; a program that is
   * `"undetermined"`, as it does not do the same twice.
   */
  readonly kind: string;
  /** The smallest schedule found that breaks it, in sentences. */
  readonly schedule: readonly string[];
  /** How often a task is stopped in it that could go on. */
  readonly preemptions: number;
  /** The last steps before it broke. */
  readonly lastSteps: readonly string[];
  /** What `replay` takes; empty if no single schedule is at fault. */
  readonly replay: string;
  /** What to type to run it again. */
  readonly command: string;
  /** How many runs it took to find it, those of the shrinker not counted. */
  readonly runs: number;
  /** How many ms that took. */
  readonly ms: number;
  /** What found it: `"fifo"`, `"bounded"`, `"pct"`, `"random"`, `"replay"`. */
  readonly strategy: string;

  /**
   * A report of a program that a schedule breaks.
   *
   * @param message The report as text.
   * @param details The same as data.
   * @param options What was thrown.
   */
  constructor(message: string, details: ScheduleErrorDetails, options?: ErrorOptions) {
    super(message, options);
    this.kind = details.kind;
    this.schedule = details.schedule;
    this.preemptions = details.preemptions;
    this.lastSteps = details.lastSteps;
    this.replay = details.replay;
    this.command = details.command;
    this.runs = details.runs;
    this.ms = details.ms;
    this.strategy = details.strategy;
  }
}
