/**
 * Numbers that look random and are the same again for the same seed: Tommy Ettinger's mulberry32, which needs one word of
 * state and passes what a test generator has to pass.
 *
 * @module
 */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  #word(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    return this.#word() / 2 ** 32;
  }

  /** A whole number from 0 up to, and without, `ways`. */
  below(ways: number): number {
    return Math.floor(this.next() * ways);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}
