/**
 * The alarm: of all timers of a scheduler, the host's clock knows the first only.
 *
 * A timer of the host costs some µs to set and as much to clear, and most of ours are cleared before they are due: so they
 * lie in a heap (`_timers.ts`), and a single alarm stands for whichever is first. Where that one is cleared, the alarm is left
 * as it is: one that rings too early does no harm, and is cheaper than another.
 *
 * @module
 */

import type { Clock } from "./_clock.ts";

/** Whom it rings for. */
export interface Sleeper {
  ring(): void;
}

export class Alarm {
  readonly #clock: Clock;
  readonly #sleeper: Sleeper;
  #deadline = Infinity;
  #handle: unknown;

  // No callback is made before it is needed: with one for each alarm V8 kept whole schedulers until a full collection.
  constructor(clock: Clock, sleeper: Sleeper) {
    this.#clock = clock;
    this.#sleeper = sleeper;
  }

  /** It is to ring at `deadline` (ms), or sooner. At Infinity: never. */
  set(deadline: number): void {
    if (deadline === this.#deadline || (this.#deadline < deadline && deadline < Infinity)) return;
    if (this.#deadline < Infinity) this.#clock.clearAlarm(this.#handle);
    this.#handle = deadline < Infinity ? this.#clock.setAlarm(deadline, () => this.#ring()) : undefined;
    this.#deadline = deadline;
  }

  #ring(): void {
    this.#deadline = Infinity;
    this.#sleeper.ring();
  }
}
