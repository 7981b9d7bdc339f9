/**
 * An exploration: one program, a portfolio of strategies, and a budget of runs and time.
 *
 * @module
 */

import { Bounded } from "./_bounded.ts";
import type { ExploreOptions, ExploreReport } from "./_explore.ts";
import { guarded, realNow } from "./_guards.ts";
import { wordOfConditions } from "./_medium.ts";
import { Random } from "./_random.ts";
import { isSame, Shrinker } from "./_shrink.ts";
import { type Body, type Failure, Simulation } from "./_simulation.ts";
import { Fifo, Pct, Quiet, Sampling, type Strategy, Uniform } from "./_strategies.ts";
import { read } from "./_tape.ts";
import { type Finding, many, Teller } from "./_teller.ts";
import { InvalidStateError } from "./errors.ts";

/** The part of the budget that the bounded search leaves to the others, and the most runs that they need. */
const RESERVE = 0.2;
const MOST_RESERVED = 2000;

type Counted = keyof ExploreReport["strategies"];

export class Exploration {
  readonly #body: Body;
  readonly #options: ExploreOptions;
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #sampling: Sampling;
  readonly #start = realNow();
  readonly #teller: Teller;
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
    this.#teller = new Teller(this.#simulation, body);
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
    this.#checkSights();
    return this.#report();
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
        Error.stackTraceLimit = this.#teller.stackTraceLimit;
        const [network, recorded] = [simulation.conditions, recording.network].map(wordOfConditions);
        const other = network === recorded ? "" : ` (it was recorded with the network ${recorded || "calm"})`;
        throw new InvalidStateError(
          `Cannot replay: the program is not the one that was recorded, ${why}${other}`,
        );
      };
      if (failure?.kind === "undetermined") refuse(failure.label);
      if (failure !== null) throw this.#teller.broken(failure, tape.taken(), this.#finding("replay"));
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
    Error.stackTraceLimit = 0;
    try {
      guarded((error) => this.#simulation.fail({ kind: "outside", label: error.message, error }), run);
    } finally {
      Error.stackTraceLimit = this.#teller.stackTraceLimit;
    }
  }

  get #made(): number {
    const { fifo, bounded, pct, random } = this.#runs;
    return fifo + bounded + pct + random;
  }

  #attempt(strategy: Strategy): Failure | null {
    const simulation = this.#simulation;
    const failure = simulation.attempt(strategy);
    if (simulation.misuse !== "") {
      Error.stackTraceLimit = this.#teller.stackTraceLimit;
      throw new TypeError(simulation.misuse);
    }
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
    /** The runs for which PCT knew how long the longest is: its promise holds for no others. */
    let informed = 0;
    for (let made = 0; count < mostRuns && !((++made & 15) === 0 && realNow() >= end); count++) {
      if (strategy instanceof Pct) strategy.expect(this.#choices, this.#tasks);
      const [choices, tasks] = [this.#choices, this.#tasks];
      this.#runs[name]++;
      const failure = this.#attempt(strategy);
      if (failure !== null) this.#found(failure, name, 0);
      informed = this.#choices > choices || this.#tasks > tasks ? 0 : informed + 1;
    }
    if (strategy instanceof Pct) this.#chance = 1 - (1 - strategy.chance) ** informed;
  }

  // ---- What is found ----

  /** The tape shows a run that is broken: sees whether it always is, shrinks it, and tells it. */
  #found(failure: Failure, strategy: string, floor: number): never {
    const simulation = this.#simulation;
    const { tape } = simulation;
    const values = tape.taken();
    const { length } = tape;
    const marked = tape.mark();
    const finding = this.#finding(strategy);
    if (failure.kind === "undetermined") throw this.#teller.undetermined(values, finding);
    simulation.reading = "loosely";
    tape.prescribe(values);
    const again = simulation.attempt(new Quiet());
    const isDetermined = isSame(failure, again) && tape.length === length && tape.mark() === marked;
    if (!isDetermined) throw this.#teller.undetermined(values, finding);
    const shrunk = new Shrinker(simulation, this.#sampling, failure).shrink(floor);
    throw this.#teller.broken(failure, shrunk, finding);
  }

  #finding(strategy: string): Finding {
    return { strategy, runs: Math.max(1, this.#made), ms: realNow() - this.#start };
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
        `one order, in at most ${many(this.#tasks, "task")} and ${many(this.#choices, "choice")}, is found ${
          likelihood(this.#chance)
        }`;
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
  #checkSights(): void {
    const { sights } = this.#simulation;
    for (const [, , label] of String(this.#body).matchAll(/\.sometimes\(\s*(["'`])([^"'`\\$]+)\1\s*\)/g)) {
      if (!sights.has(label!)) sights.set(label!, false);
    }
    const missed = [...sights].filter(([, seen]) => !seen).map(([label]) => label);
    if (missed.length === 0) return;
    throw this.#teller.missed(missed, this.#complete, this.#finding(this.#options.strategy ?? "auto"));
  }
}

/** A chance in words, and no more than it is; what is left of 1 may be too little for a number. */
function likelihood(chance: number): string {
  if (chance === 1) return "for certain";
  const value = 100 * chance;
  return `with a probability of ${value >= 10 ? Math.floor(value) : value.toPrecision(2)} % or more`;
}
