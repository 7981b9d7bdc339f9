/**
 * A callback that is due at a time of a scheduler: a sleep without a task.
 *
 * What a simulation has under way is a timer of the scheduler, and nothing else. So the kernel needs to know nothing of
 * simulations: while something is on its way a timer is set, hence there is no deadlock and a virtual clock can jump; when
 * nothing is, and all tasks wait for each other, that is a deadlock and is told.
 *
 * @module
 */

import type { Timer } from "./_timers.ts";
import type { Scheduler } from "./scheduler.ts";

export class Delay implements Timer {
  /** @internal */
  _slot = -1;
  readonly #callback: () => void;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  /** Whether it has been started and is not over. */
  get isRunning(): boolean {
    return this._slot !== -1;
  }

  /** Calls back `ms` from now: before this returns if that is 0. */
  start(scheduler: Scheduler, ms: number): void {
    if (ms > 0) scheduler._setTimer(this, ms);
    else this.#callback();
  }

  /** It is not to call back. */
  stop(scheduler: Scheduler): void {
    scheduler._timers.clear(this);
  }

  ring(): void {
    this.#callback();
  }
}
