/**
 * The time slice: how long tasks run before it is the turn of others, and the looks at the clock that tell.
 *
 * To read the clock costs as much as some steps, so it is read seldom, and one look serves all who want the time: the
 * slice, the timers that were started since the last one, and the waits that begin until the next, which note in whole ms
 * since when they last. A look every 64 steps is enough where steps are short; where they turn out to be long, the next
 * comes sooner, so that a slice is not overrun by sixty long ones.
 *
 * A slice has parts. Between them microtasks run, and the host does not have its turn: what a task has begun in this slice, such
 * as a promise that is soon resolved, may be done already, and is heard of within an eighth of the slice.
 *
 * @module
 */

import type { Clock } from "./_clock.ts";
import type { Timers } from "./_timers.ts";

/** The steps between two looks at the clock, when they are short: a look costs as much as some steps. */
const STEPS_PER_LOOK = 64;

/** The looks after which a slice is over where time stands still: thousands of steps, a few ms. */
const LOOKS_PER_SLICE = 512;

/** The parts of a slice. */
const PARTS = 8;

export class TimeSlice {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #length: number;
  /** When the slice is over; -1: it has not begun. */
  #end = -1;
  #steps = 1;
  /** How many looks there were in this slice. */
  #looks = 0;
  /** The time, in ms, as of the last look. */
  lastLook = 0;
  /** The same in whole ms. */
  coarse = 0;

  /**
   * @param clock What is looked at.
   * @param timers Those that get their deadlines by the looks.
   * @param length How long it is, in ms.
   */
  constructor(clock: Clock, timers: Timers, length: number) {
    this.#clock = clock;
    this.#timers = timers;
    this.#length = length;
    this.look();
  }

  /** The length of a part, in ms. */
  get part(): number {
    return this.#length / PARTS;
  }

  /** The steps until the next look. */
  get steps(): number {
    return this.#steps;
  }

  /** Whether there are parts left. */
  get isLeft(): boolean {
    return this.lastLook < this.#end && this.#looks < LOOKS_PER_SLICE;
  }

  look(): number {
    const now = this.#clock.now();
    this.lastLook = now;
    this.coarse = Math.floor(now);
    this.#timers.stamp(now);
    return now;
  }

  /** What runs next has a whole one. */
  renew(): void {
    this.#end = -1;
  }

  /** What runs next has all the time there is. */
  endless(): void {
    this.#end = Infinity;
  }

  /** A part of it begins. Gives the time when that is over. */
  begin(part: number): number {
    const now = this.look();
    if (this.#end < 0) {
      this.#end = now + this.#length;
      this.#looks = 0;
    }
    return Math.min(now + part, this.#end);
  }

  /** Looks at the clock: is the part over that ends then? */
  isOver(end: number): boolean {
    const before = this.lastLook;
    const now = this.look();
    const spent = now - before;
    if (spent > this.part) this.#steps = Math.max(1, this.#steps >> 1);
    else if (this.#steps < STEPS_PER_LOOK) this.#steps *= 2;
    if (now >= end) return true;
    // A clock that stands while tasks are ready tells no slice: then so many looks are one.
    return this.#clock.jump !== undefined && end < Infinity && ++this.#looks >= LOOKS_PER_SLICE;
  }

  /** Nothing is known of how long steps are, as if it were new. */
  restart(): void {
    this.#steps = 1;
    this.look();
  }
}
