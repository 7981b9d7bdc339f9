/**
 * The world of an explored run: everything that a program may use there that is not a function of its schedule.
 *
 * @module
 */

import { describe, type Work } from "./_operation.ts";
import { aTime, checkOptions, type Kinds } from "./_check.ts";
import { FAULT, FEW, SAMPLE, VALUE } from "./_tape.ts";
import type { TaskOptions } from "./_options.ts";
import type { Simulation } from "./_simulation.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedNetwork } from "./_simulated_network.ts";
import type { Task } from "./task.ts";
import type { VirtualClock } from "./_virtual_clock.ts";

/** When something has to have become true. */
export interface EventuallyOptions {
  /** Within how many ms of the world's clock; until the end of the run if not given. */
  within?: number;
}

const EVENTUALLY_OPTIONS: Kinds<EventuallyOptions> = { within: aTime };

interface Claim {
  readonly label: string;
  readonly holds: () => boolean | void;
}

interface Hope extends Claim {
  readonly within: number;
  readonly deadline: number;
  /** What it threw when it was last asked. */
  error: unknown;
}

/** A draw from so many that they can only be sampled: 30 bits, which is a small integer for V8 and fine for any fraction. */
const FINE = 2 ** 30;

/**
 * What an explored program has of the world: tasks, time, a network, chance, and what must hold. All of it is simulated, and
 * all of it draws from one tape, so that one string replays it.
 *
 * @example
 * ```ts
 * import { explore } from "@genos/kernel/testing";
 * import { sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const report = explore((world) => {
 *   let open = 0;
 *   world.always("at most two are open", () => open <= 2);
 *   for (let i = 0; i < 2; i++) {
 *     world.spawn(function* client() {
 *       open++;
 *       yield* sleep(world.choose([1, 10]));
 *       open--;
 *     });
 *   }
 *   world.eventually("all are closed", () => open === 0);
 * });
 * assertEquals(report.complete, true);
 * ```
 */
export class World {
  readonly #simulation: Simulation;
  #claims: Claim[] = [];
  #hopes: Hope[] = [];
  #wishes: Claim[] = [];

  /** @internal Worlds are made by `explore`. */
  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** The scheduler of this run, which is `Scheduler.current()` in its tasks. */
  get scheduler(): Scheduler {
    return this.#simulation.scheduler;
  }

  /** The time: it stands while any task is ready, then goes to the next deadline. */
  get clock(): VirtualClock {
    return this.#simulation.clock;
  }

  /**
   * The network of this run, on which `listen` and `connect` work in its tasks. It is calm until `change` says otherwise, or
   * the option `network`; what it then does to the program is chosen like the schedule.
   */
  get net(): SimulatedNetwork {
    return this.#simulation.network;
  }

  /**
   * Starts a task. A plain call, for the body and for tasks.
   *
   * @param work What the task runs.
   * @param options Its name, whether it is a daemon, a signal that kills it.
   * @returns Its handle. The run is over when all tasks that are no daemons have ended; daemons are killed then.
   * @throws {TypeError} If `work` is no coroutine, or one that is running, has ended or belongs to another task.
   */
  spawn<T>(work: Work<T>, options?: TaskOptions): Task<T> {
    return this.#simulation.scheduler.spawn(work, options);
  }

  /**
   * A number at random, in place of `Math.random`. It is sampled: no search goes through all of them.
   *
   * @returns A number from 0 up to, and without, 1.
   */
  random(): number {
    return this.#simulation.draw(FINE, SAMPLE, 0, "random()") / FINE;
  }

  /**
   * One of several things: the search tries each, if they are no more than 32; of more, it takes samples.
   *
   * @param of How many there are, or a list of them.
   * @returns A whole number from 0 up to, and without, `of`; or an element of the list.
   * @throws {TypeError} If `of` is neither a number nor a list.
   * @throws {RangeError} If there is nothing to choose from.
   */
  choose(of: number): number;
  /** One of the elements of a list. */
  choose<T>(of: readonly T[]): T;
  choose<T>(of: number | readonly T[]): number | T {
    if (typeof of === "number") return this.#draw(of, `choose(${of})`);
    if (Array.isArray(of)) return of[this.#draw(of.length, "choose")] as T;
    throw new TypeError(`Cannot choose from ${describe(of)}: a number or a list is wanted`);
  }

  #draw(ways: number, label: string): number {
    checkWays(ways);
    return ways === 1 ? 0 : this.#simulation.draw(ways, ways <= FEW ? VALUE : SAMPLE, 1 / ways, label);
  }

  /**
   * Yes or no: the search tries both.
   *
   * @param probability How likely yes is where the schedule is drawn at random; 0.5 if not given.
   * @returns `false` first.
   * @throws {RangeError} If `probability` is not from 0 to 1.
   */
  maybe(probability = 0.5): boolean {
    if (typeof probability !== "number") {
      throw new TypeError(`Cannot choose with a probability of ${describe(probability)}: a number is wanted`);
    }
    if (!(probability >= 0 && probability <= 1)) {
      throw new RangeError(`Cannot choose with a probability of ${probability}: it is from 0 to 1`);
    }
    if (probability === 0 || probability === 1) return probability === 1;
    return this.#simulation.draw(2, VALUE, probability, `maybe(${probability})`) === 1;
  }

  /**
   * What must hold after every step from now on.
   *
   * @param label What it says, for the report.
   * @param predicate Gives `false`, or throws, where it does not hold. It must not change anything. If it gives a promise or
   * a coroutine, `explore` throws a `TypeError`.
   */
  always(label: string, predicate: () => boolean | void): void {
    checkClaim("always", label, predicate);
    this.#claims.push({ label, holds: predicate });
    this.#simulation.watching = true;
  }

  /**
   * What must become true after some step.
   *
   * @param label What it says, for the report.
   * @param predicate Gives `true` once it is; `false`, or an error, before. It must not change anything. If it gives a
   * promise or a coroutine, `explore` throws a `TypeError`.
   * @param options Within what time.
   * @throws {RangeError} If `within` is negative or `NaN`.
   */
  eventually(label: string, predicate: () => boolean, options: EventuallyOptions = {}): void {
    checkClaim("eventually", label, predicate);
    checkOptions("watch", options, EVENTUALLY_OPTIONS);
    const { within = Infinity } = options;
    const deadline = this.clock.now() + within;
    this.#hopes.push({ label, holds: predicate, within, deadline, error: undefined });
    this.#simulation.watching = true;
  }

  /**
   * A place that some run has to reach, or a state that it has to see: if no run does, the search fails, as it has not tested
   * what it was meant to. A label that stands in the text of the body, `world.sometimes("retried")`, is known before
   * any run has come there; from other functions it is when a run has called this with a condition.
   *
   * @param label What it says, for the report.
   * @param condition Whether it is reached; a function is asked after every step from now on. Reached, if not given.
   * If it gives a promise or a coroutine, `explore` throws a `TypeError`.
   */
  sometimes(label: string, condition: boolean | (() => boolean) = true): void {
    checkClaim("sometimes", label, typeof condition === "boolean" ? () => condition : condition);
    if (this.#simulation.sights.get(label) === true) return;
    if (typeof condition === "function") {
      this.#simulation.sights.set(label, false);
      this.#wishes.push({ label, holds: condition });
      this.#simulation.watching = true;
    } else {
      this.#simulation.sights.set(label, condition);
    }
  }

  // ---- For the explorer ----

  /** @internal A network's draw: 0 is what happens in a calm world. */
  _fault(ways: number, label = "the network"): number {
    checkWays(ways);
    return ways === 1 ? 0 : this.#simulation.draw(ways, FAULT, 0, label);
  }

  /** @internal */
  _restart(): void {
    this.#claims.length = this.#hopes.length = this.#wishes.length = 0;
  }

  /** @internal After a step. */
  _look(): void {
    const simulation = this.#simulation;
    for (const claim of this.#claims) {
      let holds = true;
      let error: unknown;
      try {
        holds = this.#ask(claim) !== false;
      } catch (thrown) {
        holds = false;
        error = thrown;
      }
      if (!holds) return simulation.fail({ kind: "always", label: claim.label, error });
    }
    if (this.#hopes.length > 0) {
      this.#hopes = this.#hopes.filter((hope) => !this.#hasComeTrue(hope));
      this._lookAhead(simulation.clock.now());
    }
    if (this.#wishes.length > 0) {
      this.#wishes = this.#wishes.filter((wish) => {
        try {
          if (this.#ask(wish)) simulation.sights.set(wish.label, true);
        } catch (error) {
          simulation.fail({ kind: "error", label: JSON.stringify(wish.label), error });
        }
        return simulation.sights.get(wish.label) !== true;
      });
    }
  }

  #hasComeTrue(hope: Hope): boolean {
    try {
      hope.error = undefined;
      return Boolean(this.#ask(hope));
    } catch (error) {
      hope.error = error;
      return false;
    }
  }

  #ask({ label, holds }: Claim): boolean | void {
    const answer: unknown = holds();
    if (typeof answer === "object") {
      this.#simulation.refuseLate(answer, `Cannot watch ${JSON.stringify(label)} by a function that`);
    }
    return answer as boolean | void;
  }

  /** @internal Nothing happens before that time; or the run is over, and nothing ever will. */
  _lookAhead(until: number): void {
    for (const hope of this.#hopes) {
      if (hope.deadline < until || until === Infinity) {
        return this.#simulation.fail({ kind: "eventually", ...hope });
      }
    }
  }
}

function checkClaim(method: string, label: unknown, predicate: unknown): void {
  if (typeof label !== "string") {
    throw new TypeError(`Cannot watch: ${method} takes a label first, not ${describe(label)}`);
  }
  if (typeof predicate !== "function") {
    throw new TypeError(
      `Cannot watch ${JSON.stringify(label)}: a function is wanted, not ${describe(predicate)}`,
    );
  }
}

function checkWays(ways: number): void {
  if (Number.isSafeInteger(ways) && ways >= 1 && ways < 2 ** 31) return;
  throw new RangeError(`Cannot choose from ${ways}: a whole number from 1 to 2147483647 is wanted`);
}
