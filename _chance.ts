/**
 * Chance: where a simulation gets its luck from.
 *
 * Whatever may happen this way or that is asked of one source, in the order in which it comes up; so the same source gives
 * the same run. There are two. A generator with a seed is for many runs of a long program: each fault comes as often as it
 * is said to. A tape of choices is for those who search (an explorer of schedules): there a fault that may happen at all is
 * one of two choices, however rare, and 0 is always the calm one; so a tape of zeros is the run without faults, and a tape
 * is made shorter or calmer by taking numbers away.
 *
 * @module
 */

import { describe } from "./_operation.ts";

/** Something that chooses: the tape of an explorer. */
export interface Choices {
  /**
   * Chooses one of `n`.
   *
   * @param n How many there are to choose from, at least 1.
   * @param label What it is about, in a word: `latency`, `reset`.
   * @returns A whole number from 0 to `n` - 1. 0 is the calm choice.
   */
  choose(n: number, label?: string): number;
}

/** What a simulation asks. */
export interface Chance {
  /** Whether something happens that is as likely as `probability`. */
  happens(probability: number, label: string): boolean;
  /** A whole number from 0 to `n` - 1, each as likely. */
  pick(n: number, label: string): number;
}

/** Luck from a tape. */
export class ChosenChance implements Chance {
  readonly #choices: Choices;

  constructor(choices: Choices) {
    if (typeof choices?.choose !== "function") {
      throw new TypeError(`Cannot take choices from ${describe(choices)}: an object with choose is wanted`);
    }
    this.#choices = choices;
  }

  happens(probability: number, label: string): boolean {
    if (probability === 0) return false;
    return probability === 1 || this.pick(2, label) === 1;
  }

  pick(n: number, label: string): number {
    if (n <= 1) return 0;
    const chosen = this.#choices.choose(n, label);
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < n) return chosen;
    throw new RangeError(`Cannot choose ${chosen} for ${label}: there are ${n} to choose from`);
  }
}

/**
 * Luck from a seed: xoshiro128** (D. Blackman, S. Vigna: Scrambled Linear Pseudorandom Number Generators, ACM TOMS 47,
 * 2021), its state filled from the seed by the finalizer of MurmurHash3, as the authors advise to do with another generator.
 */
export class SeededChance implements Chance {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    if (typeof seed !== "number") {
      throw new TypeError(`Cannot take ${describe(seed)} for a seed: a number is wanted`);
    }
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`Cannot take ${seed} for a seed: a whole number is wanted`);
    }
    let word = (seed | 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b);
    for (let i = 0; i < 4; i++) this.#state[i] = scramble(word = (word + 0x9e3779b9) | 0);
  }

  happens(probability: number): boolean {
    return probability > 0 && this.#next() < probability * 2 ** 32;
  }

  pick(n: number): number {
    return n <= 1 ? 0 : Math.floor(this.#next() / 2 ** 32 * n);
  }

  /** The next 32 bits. */
  #next(): number {
    const state = this.#state;
    const [a, b] = state as unknown as [number, number];
    const next = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    state[2]! ^= a;
    state[3]! ^= b;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= b << 9;
    state[3] = rotate(state[3]!, 11);
    return next;
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function scramble(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}
