/**
 * The explorer: one program under many schedules, until one breaks it.
 *
 * A program on this kernel is a function of its choices (`_tape.ts`), so what breaks it once breaks it always, and
 * whether a small program is free of such bugs is not a matter of belief: all its schedules can be tried. The ancestors
 * are VeriSoft (Godefroid, POPL 1997), which searches by running again rather than by storing states, and CHESS, which found
 * that few preemptions are enough; shuttle and loom do it for Rust, Coyote for C#.
 *
 * No single strategy is the best: the bounded search knows when it is done and tells the shortest stories, and drowns
 * in long programs; PCT goes deep where a bug needs one task to be far behind; random draws make sense where the choices are
 * data. So by default there is a portfolio: production's schedule, then the bounded search for most of the budget, and for the
 * rest the other two.
 *
 * @module
 */

import { aCount, anything, aTime, aWholeNumber, checkOptions, type Kinds, oneOf } from "./_check.ts";
import { Exploration } from "./_exploration.ts";
import { checkConditions, type NetworkConditions } from "./_medium.ts";
import { describe } from "./_operation.ts";
import { processor } from "./_processor.ts";
import { hashOf, read } from "./_tape.ts";
import type { World } from "./_world.ts";

/** How schedules are chosen: `"auto"` is a portfolio of the others. */
export type ExploreStrategy = "auto" | "fifo" | "bounded" | "pct" | "random";

/** How a program is explored. */
export interface ExploreOptions {
  /** How schedules are chosen; `"auto"` if not given. */
  strategy?: ExploreStrategy;
  /** The most runs; 10 000 if not given. */
  runs?: number;
  /** The most ms of real time, 5000 if not given: a run that is under way is finished. */
  maxMs?: number;
  /** The most steps that a run may have, 10 000 if not given: one that has more does not end. */
  maxSteps?: number;
  /** The most preemptions and faults a run that the bounded search looks at; `Infinity` if not given. */
  preemptions?: number;
  /** How many events in one certain order PCT looks for; 3 if not given. */
  depth?: number;
  /** What chance begins with, so that the same numbers come again; 1 if not given. */
  seed?: number;
  /** How the network behaves; calm if not given. What may happen there is searched, however unlikely it is said to be. */
  network?: NetworkConditions;
  /**
   * How many steps each other ready task makes before one that is ready must go next, whatever the strategy; 250 if not given. A
   * task that polls in a loop needs an end of it; and each round of the loop is a place to be stopped at, so a program that
   * waits for an `Event` instead has far fewer schedules.
   */
  patience?: number;
}

/** How a recorded run is made once more. */
export interface ReplayOptions {
  /** How the network behaves; as it was recorded if not given. */
  network?: NetworkConditions;
}

const REPLAY_OPTIONS: Kinds<ReplayOptions> = { network: anything };

/** What an exploration has done. */
export interface ExploreReport {
  /** How many schedules were tried. */
  readonly runs: number;
  /** Whether every schedule within the bound was tried: there is no other run of this program. */
  readonly complete: boolean;
  /** All schedules with so many preemptions and faults, or fewer, were tried; `Infinity`: all. -1: not even those without. */
  readonly preemptions: number;
  /** The most steps that a run had. */
  readonly steps: number;
  /** The most tasks that a run had, main counted. */
  readonly tasks: number;
  /** How long it took, in ms. */
  readonly ms: number;
  /** How many runs each strategy has made. */
  readonly strategies: Readonly<Record<Exclude<ExploreStrategy, "auto">, number>>;
  /**
   * The least chance that the runs of PCT had together of finding a bug of that `depth`, if there is one within the steps and
   * tasks that were seen. It says nothing of longer runs, and nothing of what the program draws.
   */
  readonly chance: number;
  /** All of that in words. */
  readonly summary: string;
}

const EXPLORE_OPTIONS: Kinds<ExploreOptions> = {
  strategy: oneOf("auto", "fifo", "bounded", "pct", "random"),
  runs: aCount(1),
  maxMs: aTime,
  maxSteps: aCount(1),
  preemptions: aCount(0),
  depth: aCount(1),
  seed: aWholeNumber,
  network: anything, // see `checkConditions`
  patience: aCount(1),
};

/**
 * Runs a program under many schedules, and fails with the first that breaks it: shrunk, told in sentences, with a string
 * that replays it. Between any two steps the explorer decides which of the ready tasks goes next. Every run has a scheduler,
 * a clock, a network and a world of its own; nothing is awaited.
 *
 * A run is broken if main or the check at the end throws, if the error of another task is not heard of, if something does
 * not hold that the world was told to watch, if nothing can go on, if it does not end within `maxSteps`, if tasks are left when
 * it is over, if it takes something from the real world (`Date.now`, `Math.random`, `setTimeout`, a promise, an `await` of one), and if it does not do the
 * same twice.
 *
 * Errors that are made in a run have no stack, as stacks cost more than runs; in the one that is told they have.
 *
 * @param body Sets up a run: called anew for each, as main, with its world. A generator function is main itself; a function
 * that it, or main, returns is called when all tasks have ended, to check what came out.
 * @param options How long, and how.
 * @returns What was tried.
 * @throws {ScheduleError} The smallest schedule found that breaks the program; or no run has reached what was to be reached
 * `sometimes`.
 * @throws {TypeError} If `body` is no function; if it, the check at the end or what is to hold is async, or gives a coroutine that
 * nobody would run; if an option is of the wrong kind; inside a task.
 * @throws {RangeError} If a number is out of range.
 *
 * @example
 * ```ts
 * import { explore, ScheduleError } from "@genos/kernel/testing";
 * import { Lock, sleep } from "@genos/kernel";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * // Two tasks add one each: with a lock every schedule gives 2, without it one preemption is enough to lose an update.
 * function* add(counter: { value: number }) {
 *   const before = counter.value;
 *   yield* sleep(0);
 *   counter.value = before + 1;
 * }
 * const report = explore((world) => {
 *   const lock = new Lock();
 *   const counter = { value: 0 };
 *   for (let i = 0; i < 2; i++) world.spawn(lock.with(add(counter)));
 *   return () => assertEquals(counter.value, 2);
 * });
 * assertEquals(report.complete, true);
 *
 * assertThrows(() =>
 *   explore((world) => {
 *     const counter = { value: 0 };
 *     for (let i = 0; i < 2; i++) world.spawn(add(counter));
 *     return () => assertEquals(counter.value, 2);
 *   }), ScheduleError);
 * ```
 */
export function explore(body: (world: World) => unknown, options: ExploreOptions = {}): ExploreReport {
  check(body, options, EXPLORE_OPTIONS);
  const asked = askedReplay();
  if (asked !== undefined && read(asked).body === hashOf(String(body))) replay(asked, body, options);
  return new Exploration(body, options).explore();
}

/**
 * Makes the run once more that a `ScheduleError` tells of: it breaks in the same way, as often as it is tried.
 *
 * @param string The `replay` of that error.
 * @param body The same program.
 * @param options Whether it is to be another network than was recorded.
 * @returns What was tried, if the run does not break any more.
 * @throws {ScheduleError} As it was.
 * @throws {TypeError} If `string` is no replay string, or not a whole one; if an option is of the wrong kind.
 * @throws {InvalidStateError} If the program has changed so much that it does not come to the same choices.
 *
 * @example
 * ```ts
 * import { explore, replay, ScheduleError, type World } from "@genos/kernel/testing";
 * import { assertThrows } from "@std/assert";
 *
 * function checkThenAct(world: World) {
 *   let free = 1;
 *   world.always("nobody gets what is not there", () => free >= 0);
 *   for (let i = 0; i < 2; i++) {
 *     world.spawn(function* take() {
 *       if (free === 0) return;
 *       yield; // here the other one takes it
 *       free--;
 *     });
 *   }
 * }
 * const error = assertThrows(() => explore(checkThenAct), ScheduleError);
 * assertThrows(() => replay(error.replay, checkThenAct), ScheduleError, "nobody gets what is not there");
 * ```
 */
export function replay(
  string: string,
  body: (world: World) => unknown,
  options: ReplayOptions = {},
): ExploreReport {
  const { maxSteps, patience, network } = read(string);
  check(body, options, REPLAY_OPTIONS);
  return new Exploration(body, { ...options, network: options.network ?? network, maxSteps, patience })
    .replay(string);
}

function check<Options extends ReplayOptions>(body: unknown, options: Options, kinds: Kinds<Options>): void {
  if (processor.task !== null) {
    throw new TypeError(`Cannot explore from inside ${processor.task}: a run is under way`);
  }
  if (typeof body !== "function") {
    throw new TypeError(`Cannot explore ${describe(body)}: a function that sets up a run is wanted`);
  }
  checkOptions("explore", options, kinds);
  const { network } = options;
  if (network !== undefined) checkConditions(network);
}

/** The replay string on the command line, after `--`. */
function askedReplay(): string | undefined {
  const { Deno, process } = globalThis as { Deno?: { args?: string[] }; process?: { argv?: string[] } };
  return (Deno?.args ?? process?.argv)?.find((argument) => /^g\d+-/.test(argument));
}
