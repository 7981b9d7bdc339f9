/**
 * How schedules are chosen, other than one after the other.
 *
 * FIFO is what production does. Random tells little apart from it in a long program: all tasks advance together, and what
 * needs one of them to be far behind is never seen. PCT (Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized
 * scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010) gives each task a priority at random, runs the highest
 * that is ready, and at d - 1 places in the run, chosen at random, drops the one that is running below all others. A bug that
 * needs d events in one certain order is then found, in a program of n tasks and k choices, with a probability of at
 * least 1/(n·k^(d-1)) a run: poor for long programs, but a promise, and random search has none.
 *
 * @module
 */

import { choiceOf, type ChosenQueue } from "./_chosen_queue.ts";
import type { Random } from "./_random.ts";
import { FAULT, SAMPLE } from "./_tape.ts";

/** Who says what is chosen where the tape says nothing. */
export interface Strategy {
  /** A run begins. */
  begin(): void;
  /** Who goes next of the ready tasks. `mine` is the place in the queue of the task that has just run, or -1. */
  next(queue: ChosenQueue, ways: number, mine: number): number;
  /** What is drawn from `ways` alternatives; `chance` is that of 1, of two. */
  draw(ways: number, kind: number, chance: number): number;
}

/** Chooses what is quietest: what a tape says that has come to its end. */
export class Quiet implements Strategy {
  begin(): void {}

  next(_queue: ChosenQueue, _ways: number, _mine: number): number {
    return 0;
  }

  draw(_ways: number, _kind: number, _chance: number): number {
    return 0;
  }
}

/** The same, but samples what can only be sampled: a search begins each of its schedules so. */
export class Sampling extends Quiet {
  readonly #random: Random;

  constructor(random: Random) {
    super();
    this.#random = random;
  }

  override draw(ways: number, kind: number, _chance: number): number {
    return kind === SAMPLE ? this.#random.below(ways) : 0;
  }
}

/** What production does: who has been ready for longest goes next. */
export class Fifo extends Sampling {
  override next(_queue: ChosenQueue, _ways: number, mine: number): number {
    return choiceOf(0, mine);
  }
}

/** Draws of the program and of the world as they come: those of the world from a run to the next with more faults or fewer. */
abstract class Drawing implements Strategy {
  protected readonly random: Random;
  #faultRate = 0;

  constructor(random: Random) {
    this.random = random;
  }

  begin(): void {
    this.#faultRate = FAULT_RATES[this.random.below(FAULT_RATES.length)]!;
  }

  abstract next(queue: ChosenQueue, ways: number, mine: number): number;

  draw(ways: number, kind: number, chance: number): number {
    const { random } = this;
    if (kind === FAULT) return random.chance(this.#faultRate) ? 1 + random.below(ways - 1) : 0;
    return ways === 2 ? Number(random.chance(chance)) : random.below(ways);
  }
}

const FAULT_RATES = [0, 0.02, 0.1, 0.3];

/** Anyone, with equal chances. */
export class Uniform extends Drawing {
  next(_queue: ChosenQueue, ways: number): number {
    return this.random.below(ways);
  }
}

/** By priorities: see above. */
export class Pct extends Drawing {
  readonly #depth: number;
  /** Of the tasks, by tid; 0 where none has been given yet. Those who were dropped have less than 1. */
  readonly #priorities: number[] = [];
  /** The choices at which the task that would go next is dropped. Where there is none, a drop could wait for the next. */
  readonly #drops: number[] = [];
  #choices = 0;
  /** The most that a run was seen to have. */
  #mostChoices = 1;
  #mostTasks = 1;

  constructor(random: Random, depth: number) {
    super(random);
    this.#depth = depth;
  }

  /** Runs have at most so many choices and tasks, as far as is known. */
  expect(choices: number, tasks: number): void {
    this.#mostChoices = choices;
    this.#mostTasks = tasks;
  }

  override begin(): void {
    super.begin();
    this.#priorities.length = 0;
    this.#drops.length = this.#choices = 0;
    for (let i = 1; i < this.#depth; i++) this.#drops.push(1 + this.random.below(this.#mostChoices));
  }

  next(queue: ChosenQueue, _ways: number, mine: number): number {
    let place = this.#highest(queue);
    const drop = this.#drops.indexOf(++this.#choices);
    if (drop !== -1) {
      this.#priorities[queue.tasks[place]!.tid] = (drop + 1) / (this.#depth + 1);
      place = this.#highest(queue);
    }
    return choiceOf(place, mine);
  }

  #highest({ tasks, size }: ChosenQueue): number {
    let highest = 0;
    let place = 0;
    for (let i = 0; i < size; i++) {
      const { tid } = tasks[i]!;
      while (this.#priorities.length <= tid) this.#priorities.push(1 + this.random.next());
      if (this.#priorities[tid]! > highest) {
        highest = this.#priorities[tid]!;
        place = i;
      }
    }
    return place;
  }

  /** What one run promises: the least chance of finding a bug of this depth in a program no larger than those seen. */
  get chance(): number {
    return 1 / (this.#mostTasks * this.#mostChoices ** (this.#depth - 1));
  }
}
