/**
 * Whose turn it is: the tasks' or the host's.
 *
 * Whenever a slice is over and tasks are still ready, the host has its turn: that is seen by the loop itself. But the
 * host can be kept out also by tasks that never run for long. Those that wait for promises which are resolved already come
 * back in microtasks, before the host does anything; and a few connections on which more has always come are served from
 * what the last poll has brought, so that the host looks for nothing new, although nothing that it does takes long. Neither
 * leaves a trace in a single turn of the loop. So the turns are counted.
 *
 * The count only raises a suspicion, as a turn may well come once a second. What confirms it is time: in the one case, that
 * a whole slice has gone by in which a callback that the host was asked for has not come; in the other, the time since
 * the host's last whole turn. A whole turn is dear, a tenth of a slice (`hostTurn`), so it takes a tenth of the time at most;
 * and where it has brought nothing for several tasks, there was no such need, and the next may come later.
 *
 * @module
 */

import { type Clock, later } from "./_clock.ts";

/** So many turns without a sign of the host are suspicious; where time stands still, so many are too many. */
const TURNS = 64;
const MANY_TURNS = 4096;

/** A turn of so many tasks is one of a few. */
const FEW = 16;
/** After so many slices of many such turns the host has a whole one; where it needs none, after so many times as many. */
const SLICES = 4;
const MOST_TIMES = 16;
/** And it takes no more than one part in so many of the time. */
const SHARE = 10;

export class HostTurns {
  readonly #clock: Clock;
  readonly #timeSlice: number;
  /** How many turns there were since the host is known to have had its own, and since when that is suspicious. */
  #turns = 0;
  #suspectedAt = 0;
  /** How many turns of a few tasks there were since the host's last whole one, when that was, and how often it has one. */
  #busyTurns = 0;
  #last = 0;
  #every: number;

  /**
   * @param clock By which time is told.
   * @param timeSlice How long tasks may keep the host out, in ms.
   */
  constructor(clock: Clock, timeSlice: number) {
    this.#clock = clock;
    this.#timeSlice = timeSlice;
    this.#every = SLICES * timeSlice;
  }

  /**
   * A turn is to begin. Is it the host's?
   *
   * @param ready How many tasks are ready.
   * @param lastLook The time of the last look at the clock.
   */
  isDue(ready: number, lastLook: number): boolean {
    this.#busyTurns = ready > FEW ? 0 : this.#busyTurns + 1;
    if (this.#busyTurns > TURNS && lastLook - this.#last >= this.#every) return true;
    return ++this.#turns > TURNS && this.#isStarving();
  }

  /** Whether the host had its turn meanwhile, it is to tell itself. */
  #isStarving(): boolean {
    const now = this.#clock.now();
    if (this.#turns === TURNS + 1) {
      this.#suspectedAt = now;
      later(() => this.#turns = 0);
    }
    return now - this.#suspectedAt >= this.#timeSlice || this.#turns >= MANY_TURNS;
  }

  /**
   * The host has had a whole turn.
   *
   * @param start When it began.
   * @param end When it was over.
   * @param ready How many tasks are ready after it.
   */
  had(start: number, end: number, ready: number): void {
    this.#turns = this.#busyTurns = 0;
    this.#last = end;
    const soon = SLICES * this.#timeSlice;
    const next = ready > 1 ? soon : Math.min(2 * this.#every, MOST_TIMES * soon);
    this.#every = Math.max(next, SHARE * (end - start));
  }
}
