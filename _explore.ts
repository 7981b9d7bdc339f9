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

import { Bounded } from "./_bounded.ts";
import { checkTime } from "./_check.ts";
import { guarded, realNow } from "./_guards.ts";
import { describe } from "./_operation.ts";
import type { NetworkConditions } from "./_medium.ts";
import { inWords, mark, pathOf, type Place, placeOf, placesOf } from "./_places.ts";
import { processor } from "./_processor.ts";
import { Random } from "./_random.ts";
import { isSame, Shrinker } from "./_shrink.ts";
import { type Body, type Failure, Simulation } from "./_simulation.ts";
import { Fifo, Pct, Quiet, Sampling, type Strategy, Uniform } from "./_strategies.ts";
import { said, Story } from "./_story.ts";
import { hashOf, PREEMPTION, read, write } from "./_tape.ts";
import { InvalidStateError, ScheduleError } from "./errors.ts";
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
   * task that polls in a loop needs an end of it.
   */
  patience?: number;
}

/** How a recorded run is made once more. */
export interface ReplayOptions {
  /** How the network behaves, if `explore` was told. */
  network?: NetworkConditions;
}

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

const STRATEGIES: readonly ExploreStrategy[] = ["auto", "fifo", "bounded", "pct", "random"];

/** The part of the budget that the bounded search leaves to the others, and the most runs that they need. */
const RESERVE = 0.2;
const MOST_RESERVED = 2000;

/**
 * Runs a program under many schedules, and fails with the first that breaks it: shrunk, told in sentences, with a string
 * that replays it. Between any two steps the explorer decides which of the ready tasks goes next. Every run has a scheduler,
 * a clock, a network and a world of its own; nothing is awaited.
 *
 * A run is broken if main or the check at the end throws, if the error of another task is not heard of, if something does
 * not hold that the world was told to watch, if nothing can go on, if it does not end within `maxSteps`, if tasks are left when
 * it is over, if it takes something from the real world (`Date.now`, `Math.random`, `setTimeout`, a promise), and if it does not do the
 * same twice.
 *
 * @param body Sets up a run: called anew for each, as main, with its world. A generator function is main itself; a function
 * that it returns is called when all tasks have ended, to check what came out.
 * @param options How long, and how.
 * @returns What was tried.
 * @throws {ScheduleError} The smallest schedule found that breaks the program; or no run has reached what was to be reached
 * `sometimes`.
 * @throws {TypeError} If `body` is no function or an async one, or an option is of the wrong kind; inside a task.
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
  check(body, options);
  const asked = askedReplay();
  if (asked !== undefined && read(asked).body === hashOf(String(body))) replay(asked, body, options);
  return new Exploration(body, options).explore();
}

/**
 * Makes the run once more that a `ScheduleError` tells of: it breaks in the same way, as often as it is tried.
 *
 * @param string The `replay` of that error.
 * @param body The same program.
 * @param options What else `explore` was told.
 * @returns What was tried, if the run does not break any more.
 * @throws {ScheduleError} As it was.
 * @throws {TypeError} If `string` is no replay string, or not a whole one.
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
  const { maxSteps, patience } = read(string);
  check(body, {});
  return new Exploration(body, { ...options, maxSteps, patience }).replay(string);
}

function check(body: unknown, options: ExploreOptions): void {
  if (processor.task !== null) {
    throw new TypeError(`Cannot explore from inside ${processor.task}: a run is under way`);
  }
  if (typeof body !== "function") {
    throw new TypeError(`Cannot explore ${describe(body)}: a function that sets up a run is wanted`);
  }
  const { strategy = "auto", maxMs = 0, preemptions, seed } = options;
  if (!STRATEGIES.includes(strategy)) {
    const names = STRATEGIES.map((name) => JSON.stringify(name)).join(", ");
    throw new TypeError(`Cannot explore: strategy is one of ${names}, not ${describe(strategy)}`);
  }
  checkTime(maxMs, "explore for");
  for (const name of ["runs", "maxSteps", "depth", "patience"] as const) checkNumber(name, options[name], 1);
  checkNumber("preemptions", preemptions, 0);
  checkNumber("seed", seed, -Infinity);
}

function checkNumber(name: string, value: unknown, least: number): void {
  if (value === undefined) return;
  if (typeof value !== "number") {
    throw new TypeError(`Cannot explore: ${name} is a number, not ${describe(value)}`);
  }
  if (value >= least && (Number.isInteger(value) || value === Infinity)) return;
  const range = least === -Infinity ? "" : ` from ${least}`;
  throw new RangeError(`Cannot explore: ${name} is a whole number${range}, not ${value}`);
}

/** The replay string on the command line, after `--`. */
function askedReplay(): string | undefined {
  const { Deno, process } = globalThis as { Deno?: { args?: string[] }; process?: { argv?: string[] } };
  return (Deno?.args ?? process?.argv)?.find((argument) => /^g\d+-/.test(argument));
}

type Counted = keyof ExploreReport["strategies"];

class Exploration {
  readonly #body: Body;
  readonly #options: ExploreOptions;
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #sampling: Sampling;
  readonly #start = realNow();
  #stackTraceLimit = 10;
  readonly #runs: Record<Counted, number> = { fifo: 0, bounded: 0, pct: 0, random: 0 };
  /** The choices of production's schedule, until another search comes by it. */
  #fifo: number[] | null = null;
  #steps = 0;
  #tasks = 0;
  #choices = 1;
  #chance = 0;
  #complete = false;
  #preemptions = -1;

  constructor(body: Body, options: ExploreOptions) {
    const { maxSteps = 10_000, patience = 250, seed = 1, network = {} } = options;
    this.#body = body;
    this.#options = options;
    this.#simulation = new Simulation(body, { maxSteps, patience, network });
    this.#random = new Random(seed);
    this.#sampling = new Sampling(this.#random);
  }

  explore(): ExploreReport {
    const { strategy = "auto", runs = 10_000, maxMs = 5000 } = this.#options;
    this.#guarded(() => {
      const end = this.#start + maxMs;
      switch (strategy) {
        case "auto": {
          const reserve = Math.min(runs * RESERVE, MOST_RESERVED);
          this.#tryFifo();
          this.#tryBounded(runs - Math.floor(reserve), end - RESERVE * maxMs);
          if (this.#complete) break;
          this.#tryRandomly("pct", runs - Math.floor(reserve / 2), end - RESERVE / 2 * maxMs);
          this.#tryRandomly("random", runs, end);
          break;
        }
        case "fifo":
          this.#tryFifo();
          this.#complete = this.#simulation.tape.length === 0;
          break;
        case "bounded":
          this.#tryBounded(runs, end);
          break;
        default:
          this.#tryRandomly(strategy, runs, end);
      }
    });
    const report = this.#report();
    this.#checkSights(report);
    return report;
  }

  replay(string: string): ExploreReport {
    const recording = read(string);
    this.#guarded(() => {
      const simulation = this.#simulation;
      simulation.reading = "strictly";
      simulation.tape.prescribe(recording.values);
      const failure = this.#attempt(new Quiet());
      const { tape } = simulation;
      const refuse = (why: string): never => {
        Error.stackTraceLimit = this.#stackTraceLimit;
        throw new InvalidStateError(`Cannot replay: the program is not the one that was recorded, ${why}`);
      };
      if (failure?.kind === "undetermined") refuse(failure.label);
      if (failure !== null) this.#throw(failure, tape.taken(), "replay", 1);
      if (tape.length < recording.length) {
        refuse(`it makes ${tape.length} choices, and not ${recording.length}`);
      }
      if (tape.mark(recording.length) !== recording.mark) refuse("it makes other choices");
    });
    return this.#report();
  }

  /**
   * Runs with the real world kept out: what the program takes of it breaks the run that is under way. And without stacks, which
   * cost as much as some twenty steps each: only the run that is told has them.
   */
  #guarded(run: () => void): void {
    const { stackTraceLimit } = Error;
    this.#stackTraceLimit = stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      guarded((error) => this.#simulation.fail({ kind: "outside", label: error.message, error }), run);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  get #made(): number {
    const { fifo, bounded, pct, random } = this.#runs;
    return fifo + bounded + pct + random;
  }

  #attempt(strategy: Strategy): Failure | null {
    const simulation = this.#simulation;
    const failure = simulation.attempt(strategy);
    if (simulation.misuse !== undefined) throw simulation.misuse;
    const { steps } = simulation.queue;
    if (steps > this.#steps) this.#steps = steps;
    if (simulation.tasks > this.#tasks) this.#tasks = simulation.tasks;
    if (simulation.tape.length > this.#choices) this.#choices = simulation.tape.length;
    return failure;
  }

  // ---- The strategies ----

  #tryFifo(): void {
    const { tape } = this.#simulation;
    tape.given = 0;
    this.#runs.fifo++;
    const failure = this.#attempt(new Fifo(this.#random));
    if (failure !== null) this.#found(failure, "fifo", 0);
    this.#fifo = Array.from(tape.values.subarray(0, tape.length));
  }

  #tryBounded(mostRuns: number, end: number): void {
    const simulation = this.#simulation;
    const { tape } = simulation;
    const search = new Bounded(tape, this.#options.preemptions ?? Infinity);
    const other = this.#made;
    let count = other;
    simulation.reading = "again";
    for (let made = 0; count < mostRuns && !((++made & 15) === 0 && realNow() >= end);) {
      const failure = this.#attempt(this.#sampling);
      if (!search.isOld() && !this.#isFifo()) count++;
      this.#runs.bounded = count - other;
      if (failure !== null) this.#found(failure, "bounded", search.done + 1);
      if (tape.length < tape.given) {
        this.#found({ kind: "undetermined", label: "it made fewer choices", error: undefined }, "bounded", 0);
      }
      if (!search.advance()) {
        this.#complete = !search.sampled;
        break;
      }
    }
    tape.given = 0;
    this.#preemptions = search.sampled ? -1 : search.done;
  }

  /** Whether this is production's schedule, which has been counted. */
  #isFifo(): boolean {
    const fifo = this.#fifo;
    if (fifo === null || fifo.length !== this.#simulation.tape.length) return false;
    const { values } = this.#simulation.tape;
    for (let i = 0; i < fifo.length; i++) if (fifo[i] !== values[i]) return false;
    this.#fifo = null;
    return true;
  }

  #tryRandomly(name: "pct" | "random", mostRuns: number, end: number): void {
    const { tape } = this.#simulation;
    tape.given = 0;
    const { depth = 3 } = this.#options;
    const strategy = name === "pct" ? new Pct(this.#random, depth) : new Uniform(this.#random);
    let count = this.#made;
    for (let made = 0; count < mostRuns && !((++made & 15) === 0 && realNow() >= end); count++) {
      if (strategy instanceof Pct) {
        strategy.choices = this.#choices;
        strategy.tasks = this.#tasks;
      }
      this.#runs[name]++;
      const failure = this.#attempt(strategy);
      if (failure !== null) this.#found(failure, name, 0);
    }
    if (strategy instanceof Pct && this.#runs.pct > 0) {
      strategy.choices = this.#choices;
      strategy.tasks = this.#tasks;
      this.#chance = 1 - (1 - strategy.chance) ** this.#runs.pct;
    }
  }

  // ---- What is found ----

  /** The tape shows a run that is broken: sees whether it always is, shrinks it, and tells it. */
  #found(failure: Failure, strategy: string, floor: number): never {
    const simulation = this.#simulation;
    const { tape } = simulation;
    const values = tape.taken();
    const length = tape.length;
    const marked = tape.mark();
    const runs = this.#made;
    const ms = realNow() - this.#start;
    if (failure.kind !== "undetermined") {
      simulation.reading = "loosely";
      tape.prescribe(values);
      const again = simulation.attempt(new Quiet());
      const isDetermined = isSame(failure, again) && tape.length === length && tape.mark() === marked;
      if (!isDetermined) this.#throwUndetermined(values, strategy, runs, ms);
      const shrunk = new Shrinker(simulation, this.#sampling, failure).shrink(floor);
      this.#throw(failure, shrunk, strategy, runs, ms);
    }
    this.#throwUndetermined(values, strategy, runs, ms);
  }

  /** Makes a run with its story noted down. */
  #tell(values: readonly number[]): { story: Story; failure: Failure | null } {
    const simulation = this.#simulation;
    const story = new Story(this.#home);
    simulation.reading = "loosely";
    simulation.tape.prescribe(values);
    simulation.witness = story;
    Error.stackTraceLimit = this.#stackTraceLimit;
    const failure = simulation.attempt(new Quiet());
    Error.stackTraceLimit = 0;
    simulation.witness = null;
    return { story, failure };
  }

  #throw(
    found: Failure,
    values: readonly number[],
    strategy: string,
    runs: number,
    ms = realNow() - this.#start,
  ): never {
    const { story, failure: told } = this.#tell(values);
    if (!isSame(found, told)) this.#throwUndetermined(values, strategy, runs, ms);
    const failure = told!;
    const { tape, maxSteps, patience } = this.#simulation;
    const replay = write({
      values: tape.taken(),
      maxSteps,
      patience,
      length: tape.length,
      mark: tape.mark(),
      body: hashOf(String(this.#body)),
    });
    const preemptions = tape.count(PREEMPTION);
    const schedule = story.sentences(failure);
    const lastSteps = story.lastSteps(failure);
    const command = this.#command(replay);
    const message = [
      this.#headline(failure),
      "",
      `The schedule, with ${many(preemptions, "preemption")}:`,
      ...schedule.map((sentence, i) => `  ${i + 1}. ${sentence}`),
      "",
      "The last steps:",
      ...lastSteps.map((step) => `  ${step}`),
      "",
      `Again: replay(${JSON.stringify(replay)}, body), or`,
      `  ${command}`,
    ].join("\n");
    const details = {
      kind: failure.kind,
      schedule,
      preemptions,
      lastSteps,
      replay,
      command,
      runs,
      ms,
      strategy,
    };
    Error.stackTraceLimit = this.#stackTraceLimit;
    throw new ScheduleError(message, details, failure.error === undefined ? {} : { cause: failure.error });
  }

  #throwUndetermined(values: readonly number[], strategy: string, runs: number, ms: number): never {
    const one = this.#tell(values).story;
    const other = this.#tell(values).story;
    const at = one.trace.findIndex((line, i) => line !== other.trace[i]);
    const difference = at === -1
      ? "It did something else the first time."
      : `Under one schedule, in step ${at + 1}:\n  once:  ${one.trace[at]}\n  again: ${
        other.trace[at] ?? "nothing"
      }`;
    const message = "the program does not do the same twice, so nothing can be said of its schedules\n\n" +
      `${difference}\n\nIs there state outside of the body that it does not set up anew?`;
    const command = this.#command("");
    const details = {
      kind: "undetermined",
      schedule: [],
      preemptions: 0,
      lastSteps: [],
      replay: "",
      command,
      runs,
      ms,
      strategy,
    };
    Error.stackTraceLimit = this.#stackTraceLimit;
    throw new ScheduleError(message, details);
  }

  #headline({ kind, label, error, within }: Failure): string {
    const what = error === undefined ? "" : `: ${said(error)}`;
    const name = JSON.stringify(label);
    switch (kind) {
      case "error":
        return `${label} failed${what}`;
      case "unhandled":
        return `${label} failed, and nobody heard of it${what}`;
      case "always":
        return `${name} does not hold${what}`;
      case "eventually":
        return `${name} has not come true ${
          within === Infinity ? "by the end of the run" : `within ${within} ms`
        }${what}`;
      case "deadlock":
        return `deadlock: ${(error as Error).message}`;
      case "livelock":
        return `the run is ${label}: it never ends, or maxSteps is too small`;
      case "leftover":
        return `left over at the end of the run: ${label}`;
      default: {
        const place = error instanceof Error ? placeOf(error) : undefined;
        return label + (place === undefined ? "" : ` (${inWords(place, this.#home)})`);
      }
    }
  }

  // ---- Where it was called ----

  #callers: Place[] | undefined;

  /** The place where `explore` was called, and those from which that was. */
  get #home(): Place | undefined {
    return (this.#callers ??= placesOf(mark()))[0];
  }

  /** The file to run is the test's, even if a helper beside it has called. */
  #command(replay: string): string {
    const { url = "" } = this.#home ?? {};
    const test = this.#callers!.find((place) => /[._]test\.\w+$|\/test\.\w+$/.test(place.url));
    const path = pathOf(test?.url ?? url).replace(/\$\d+-\d+\.ts$/, ""); // an example in the documentation
    const quoted = /^[\w/.:@+-]+$/.test(path) ? path : JSON.stringify(path);
    const word = replay === "" ? "" : test === undefined ? ` ${replay}` : ` -- ${replay}`;
    return `deno ${test === undefined ? "run" : "test"} -A ${quoted}${word}`;
  }

  // ---- The report ----

  #report(): ExploreReport {
    const runs = Math.max(1, this.#made);
    const ms = realNow() - this.#start;
    const strategies = { ...this.#runs };
    const complete = this.#complete;
    const preemptions = this.#preemptions;
    const made = Object.entries(strategies).filter(([, count]) => count > 0).map((pair) => pair.join(" "));
    const bound = preemptions === Infinity
      ? "every schedule"
      : preemptions < 0
      ? ""
      : `every schedule with at most ${many(preemptions, "preemption")}`;
    const summary = [
      `${many(runs, "run")} of at most ${many(this.#steps, "step")} and ${many(this.#tasks, "task")}`,
      made.join(", "),
      bound,
    ].filter((part) => part !== "").join("; ");
    const { depth = 3 } = this.#options;
    const promise = strategies.pct === 0
      ? ""
      : `; PCT, ${many(strategies.pct, "run")}: a bug that needs ${depth} events in ` +
        `one order, in at most ${many(this.#tasks, "task")} and ${
          many(this.#choices, "choice")
        }, is found with a ` +
        `probability of ${percent(this.#chance)} or more`;
    return {
      runs,
      complete,
      preemptions,
      steps: this.#steps,
      tasks: this.#tasks,
      ms,
      strategies,
      chance: this.#chance,
      summary: summary + promise,
    };
  }

  /** Fails if something was to be reached that no run has reached. */
  #checkSights(report: ExploreReport): void {
    const { sights } = this.#simulation;
    for (const [, , label] of String(this.#body).matchAll(/\.sometimes\(\s*(["'`])([^"'`\\$]+)\1\s*\)/g)) {
      if (!sights.has(label!)) sights.set(label!, false);
    }
    const missed = [...sights].filter(([, seen]) => !seen).map(([label]) => JSON.stringify(label));
    if (missed.length === 0) return;
    const details = {
      kind: "sometimes",
      schedule: [],
      preemptions: 0,
      lastSteps: [],
      replay: "",
      command: this.#command(""),
      runs: report.runs,
      ms: report.ms,
      strategy: this.#options.strategy ?? "auto",
    };
    const all = report.complete ? ", which are all there are" : "";
    throw new ScheduleError(
      `never reached: ${missed.join(", ")} (${many(report.runs, "run")}${all})`,
      details,
    );
  }
}

function many(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function percent(part: number): string {
  const value = 100 * part;
  return `${value >= 10 ? value.toFixed(0) : value.toPrecision(2)} %`;
}
