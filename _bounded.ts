/**
 * The bounded search: every schedule with no preemption, then with one, then with two …
 *
 * Most concurrent bugs need few preemptions, and there are few such schedules: with the bound fixed their number grows with a
 * power of the length of the program, not exponentially (Musuvathi and Qadeer, "Iterative context bounding for systematic
 * testing of multithreaded programs", PLDI 2007). So what is found first is also what is easiest to tell.
 *
 * The search keeps no tree. A tape is its own place in it: the next schedule is the one that differs in the last choice that
 * has an alternative left, and is quiet from there on. Each level goes through those below it once more, and does not
 * count them; from the fourth on that would cost more than it tells, and the rest is one level.
 *
 * @module
 */

import { FAULT, FEW, isCounted, SAMPLE, type Tape } from "./_tape.ts";

/** Levels that are searched one by one. */
const SINGLY = 3;

export class Bounded {
  readonly #tape: Tape;
  readonly #most: number;
  /** How many preemptions and faults a schedule of this level has at most. */
  bound = 0;
  /** Those of the level before. */
  #below = -1;
  /** Some schedule was left out of this level because it would have had more. */
  #pruned = false;
  /** Something could only be sampled. */
  sampled = false;
  /** Every schedule there is has been tried. */
  exhausted = false;

  constructor(tape: Tape, most: number) {
    this.#tape = tape;
    this.#most = most;
    tape.given = 0;
  }

  /** The levels that have been searched to their end; -1 before the first. */
  get done(): number {
    return this.exhausted ? Infinity : this.#below;
  }

  /** Whether the run that the tape shows was tried before, at a lower level. */
  isOld(): boolean {
    return this.#below >= 0 && this.#tape.cost <= this.#below;
  }

  /** Puts the tape to the next schedule. False if there is none. */
  advance(): boolean {
    if (this.#step()) return true;
    this.#tape.given = 0;
    this.#below = this.bound;
    if (!this.#pruned || this.bound >= this.#most) {
      this.exhausted = !this.#pruned;
      return false;
    }
    this.#pruned = false;
    this.bound = this.bound < SINGLY ? this.bound + 1 : this.#most;
    return true;
  }

  #step(): boolean {
    const { values, ways, kinds, length } = this.#tape;
    let spent = this.#tape.cost;
    for (let at = length - 1; at >= 0; at--) {
      const value = values[at]!;
      const kind = kinds[at]!;
      const counted = isCounted(kind);
      if (counted && value !== 0) spent--;
      const next = this.#after(value, ways[at]!, kind);
      if (next === -1) continue;
      if (counted && spent + 1 > this.bound) {
        this.#pruned = true;
        continue;
      }
      values[at] = next;
      this.#tape.given = at + 1;
      return true;
    }
    return false;
  }

  /** The next alternative of a choice; -1 if there is none. */
  #after(value: number, ways: number, kind: number): number {
    if (kind === SAMPLE) {
      this.sampled = true;
      return -1;
    }
    if (kind === FAULT && ways > FEW) {
      // The least, the middle and the largest stand for all.
      this.sampled = true;
      if (value === 0) return 1;
      return value < ways >> 1 ? ways >> 1 : value < ways - 1 ? ways - 1 : -1;
    }
    return value + 1 < ways ? value + 1 : -1;
  }
}
