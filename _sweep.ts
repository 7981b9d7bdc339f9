/**
 * The sweep: a program is interrupted at each of its steps, one run after the other.
 *
 * A cancellation can come at any wait, and the one that hurts is the one that nobody thought of. But a program on this
 * kernel switches only where it yields, so its steps can be counted, and there are not many: run it once for each. After
 * every run nothing may be left: no task, no timer, no place in a line, no socket, no error that nobody heard of; and what
 * the program's own check says must hold.
 *
 * @module
 */

import { aCount, aFunction, anything, checkOptions, type Kinds, oneOf } from "./_check.ts";
import { Delay } from "./_delay.ts";
import { latenessOf } from "./_lateness.ts";
import type { SimulatedNetworkOptions } from "./_medium.ts";
import { type Coroutine, describe, type Work } from "./_operation.ts";
import { Waiter } from "./_parking.ts";
import type { Parked, Wait } from "./_parking.ts";
import { JoinError, TimeoutError } from "./errors.ts";
import { Scheduler } from "./scheduler.ts";
import { SimulatedNetwork } from "./_simulated_network.ts";
import { abortable, call } from "./syscalls.ts";
import type { Task } from "./task.ts";
import type { Timer } from "./_timers.ts";
import { VirtualClock } from "./_virtual_clock.ts";

/** How a sweep is done. */
export interface SweepOptions {
  /** How the program is interrupted: a task is killed, a timeout round main expires, or both in turn, the default. */
  by?: "kill" | "timeout" | "both";
  /** Who is killed: `"main"`, the default, or `"any"`: at each step the task that has just made it. */
  victims?: "main" | "any";
  /** Called after each run: throws if something was lost or left. */
  check?: () => void;
  /** How the network behaves, and what its luck comes from, the same in each run; calm if not given. */
  network?: SimulatedNetworkOptions;
  /** The most steps that a run may have; 10 000 if not given. */
  maxSteps?: number;
}

const SWEEP_OPTIONS: Kinds<SweepOptions> = {
  by: oneOf("kill", "timeout", "both"),
  victims: oneOf("main", "any"),
  check: aFunction,
  network: anything, // it says itself what is wrong with it
  maxSteps: aCount(1),
};

/** What a sweep has done. */
export interface SweepReport {
  /** The steps of the program when nobody interrupts it. */
  steps: number;
  /** How often it was run. */
  runs: number;
}

/** Thrown by {@linkcode sweep}: which interruption broke the program. `cause` is what was thrown, if something was. */
export class SweepError extends Error {
  /** `"SweepError"`. */
  override readonly name = "SweepError";
  /** The step, counted from 1, after which the program was interrupted. 0: it failed without that. */
  readonly step: number;

  /**
   * A report of a run that failed.
   *
   * @param message What is wrong.
   * @param step After which step the program was interrupted.
   * @param options What was thrown.
   */
  constructor(message: string, step: number, options?: ErrorOptions) {
    super(message, options);
    this.step = step;
  }
}

/** A scheduler that remembers who has stood in a line, and what was on its way. */
class WatchedScheduler extends Scheduler {
  readonly waiters = new Set<Waiter>();
  readonly #delays = new Set<Delay>();

  /** The timers that are set, but for those of the network: what was sent may arrive when nobody is there any more. */
  get timers(): number {
    return this._timers.size - [...this.#delays].filter((delay) => delay.isRunning).length;
  }

  override _setTimer(timer: Timer, ms: number): void {
    super._setTimer(timer, ms);
    if (timer instanceof Delay) this.#delays.add(timer);
  }

  override _parkAs(task: Task, token: Parked, wait?: Wait): Parked {
    if (token instanceof Waiter) this.waiters.add(token);
    return super._parkAs(task, token, wait);
  }
}

/**
 * Counts the steps of a program, then runs it once for each step with a kill, or a timeout, at that step. After every run
 * all its tasks must have ended, nothing may be left in the timers and in the lines of those who wait, all its sockets and
 * listeners must be closed, no error may be unheard of, and `check` must not throw. It runs on a virtual clock and a
 * simulated network, and gives the host no turn.
 *
 * Curio's tests of cancellation, made exhaustive.
 *
 * @param program Gives what is run, each time anew: it sets up its own state. It gets the network of its run, on which
 * `listen` and `connect` work.
 * @param options How it is interrupted, and what must hold afterwards.
 * @returns How many steps the program has, and how many runs were made.
 * @throws {TypeError} If `program` is no function, an option of the wrong kind, or `check` async or a generator function.
 * @throws {RangeError} If `maxSteps` is no whole number from 1, or `Infinity`.
 * @throws {SweepError} Which interruption broke the program, and what was wrong then.
 *
 * @example
 * ```ts
 * import { sleep } from "@genos/kernel";
 * import { sweep } from "@genos/kernel/testing";
 * import { assert } from "@std/assert";
 *
 * let open = 0;
 * const report = sweep(function* () {
 *   open++;
 *   try {
 *     yield* sleep(10);
 *     yield;
 *   } finally {
 *     open--;
 *   }
 * }, { check: () => assert(open === 0) });
 * assert(report.steps >= 3);
 * ```
 *
 * @example A server
 * ```ts
 * import { connect, listen, serve, taskGroup } from "@genos/kernel";
 * import { sweep } from "@genos/kernel/testing";
 *
 * sweep(() =>
 *   taskGroup(function* (group) {
 *     group.spawn(
 *       serve(listen({ port: 80 }), function* (socket) {
 *         yield* socket.send(yield* socket.readAll());
 *       }),
 *     );
 *     using socket = yield* connect({ port: 80 });
 *     yield* socket.send("hello");
 *     yield* socket.closeWrite();
 *     yield* socket.readAll();
 *     group.cancel();
 *   }), { network: { latency: [5, 20], segment: [1, Infinity], seed: 7 } });
 * ```
 */
export function sweep(
  program: (network: SimulatedNetwork) => Work<unknown>,
  options: SweepOptions = {},
): SweepReport {
  if (typeof program !== "function") {
    throw new TypeError(`Cannot sweep ${describe(program)}: a function that makes the program is wanted`);
  }
  checkOptions("sweep", options, SWEEP_OPTIONS);
  const { by = "both", victims = "main", check = () => {}, maxSteps = 10_000 } = options;
  // The program is asked for in the task, so that what it sets up is set up on that scheduler and its network.
  function* main(network: SimulatedNetwork): Coroutine<unknown> {
    return yield* call(program(network));
  }
  const attempt = (interruptAt: number, interrupt: "kill" | "timeout"): number => {
    const unheard: unknown[] = [];
    const network = new SimulatedNetwork(options.network);
    const scheduler = new WatchedScheduler({
      clock: new VirtualClock(),
      network,
      onUnhandledError: (error) => unheard.push(error),
    });
    const timer = new AbortController();
    let steps = 0;
    let first: Task | undefined;
    let interrupted = "";
    const observation = scheduler.observe({
      taskCreated: (task) => first ??= task,
      stepEnd(task) {
        if (++steps === maxSteps) void scheduler.kill(first!, { force: true, wait: false });
        if (steps !== interruptAt) return;
        const victim = interrupt === "kill" && victims === "any" ? task : first!;
        interrupted = `${interrupt} of ${victim} (${
          victim.waitingFor ?? victim.state
        }) after step ${steps} of ${task}`;
        if (interrupt === "timeout") timer.abort(new TimeoutError("interrupted by the sweep"));
        else void scheduler.kill(victim, { wait: false, reason: "interrupted by the sweep" });
      },
    });
    const fail = (what: string, cause?: unknown): never => {
      const at = interrupted === "" ? "without an interruption" : interrupted;
      throw new SweepError(`${at}: ${what}`, interruptAt, cause === undefined ? {} : { cause });
    };
    try {
      scheduler.runSync(
        interrupt === "timeout" ? abortable(timer.signal, main(network)) : main(network),
      );
    } catch (error) {
      const expected = interrupted !== "" && (error instanceof JoinError || error === timer.signal.reason);
      if (!expected && steps < maxSteps) fail(`the program threw ${error}`, error);
    }
    observation[Symbol.dispose]();
    if (steps >= maxSteps) fail(`the program has not ended after ${maxSteps} steps`);
    if (unheard.length > 0) fail(`nobody heard of ${unheard[0]}`, unheard[0]);
    if (scheduler.tasks.size > 0) fail(`${[...scheduler.tasks.values()].join(", ")} still there`);
    if (scheduler.timers > 0) fail(`${scheduler.timers} timers are still set`);
    if (network.open > 0) fail(`${network.open} sockets or listeners are still open`);
    for (const waiter of scheduler.waiters) {
      if (waiter._isInLine) fail(`somebody still stands in a line: ${waiter.reason}`);
    }
    let answer: unknown;
    try {
      answer = check();
    } catch (error) {
      fail(`the check threw ${error}`, error);
    }
    const lateness = latenessOf(answer);
    if (lateness !== undefined) {
      throw new TypeError(`Cannot sweep: check gives ${lateness}, and nobody would wait for it`);
    }
    return steps;
  };
  const report = { steps: attempt(0, "kill"), runs: 1 };
  for (const interrupt of by === "both" ? ["kill", "timeout"] as const : [by]) {
    for (let step = 1; step <= report.steps; step++, report.runs++) attempt(step, interrupt);
  }
  return report;
}
