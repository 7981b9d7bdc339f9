/**
 * Runs: what `run` owns, and when it is over.
 *
 * A run owns its main task and whatever tasks that it owns spawn. It is over when main and all of them that are no
 * daemons have ended; its daemons are killed then, and everything it owns if it fails.
 *
 * @module
 */

import { DAEMON, OBSERVED, type Owner, type Task } from "./task.ts";
import type { Scheduler } from "./scheduler.ts";

/** How a run ended: with main's value, or with an error. */
export type Settlement = { error: unknown } | { value: unknown };

export class Run implements Owner {
  readonly #scheduler: Scheduler;
  readonly #settled: (settlement: Settlement) => void;
  #main: Task | undefined;
  #settlement: Settlement | undefined;
  /** Tasks alive that are no daemons, and all that are alive. */
  #workers = 0;
  #alive = 0;
  #over = false;

  constructor(scheduler: Scheduler, settled: (settlement: Settlement) => void) {
    this.#scheduler = scheduler;
    this.#settled = settled;
  }

  readonly joins = false;

  get run(): Owner {
    return this;
  }

  set main(task: Task) {
    this.#main = task;
    task._flags |= OBSERVED; // its outcome is the run's
  }

  /** @internal */
  _taskStarted(task: Task): void {
    this.#alive++;
    if ((task._flags & DAEMON) === 0) this.#workers++;
  }

  /** @internal */
  _taskEnded(task: Task): void {
    this.#alive--;
    if ((task._flags & DAEMON) === 0) this.#workers--;
    if (task === this.#main) this.#mainEnded(task);
    if (this.#settlement !== undefined) this.#check();
  }

  #mainEnded(main: Task): void {
    let error: unknown;
    try {
      const value = main._result();
      this.#settlement ??= { value };
      return;
    } catch (thrown) {
      error = thrown;
    }
    this.fail(error);
  }

  /** Kills what it owns, and is over with this error when all of that has ended. The first error stands. */
  fail(error: unknown): void {
    if (this.#over || (this.#settlement !== undefined && "error" in this.#settlement)) return;
    this.#settlement = { error };
    this.#scheduler._killAll((task) => task._owner === this, { reason: error });
    this.#check();
  }

  #check(): void {
    if (this.#over) return;
    if (this.#workers > 0) return;
    if (this.#alive > 0) {
      this.#scheduler._killAll((task) => task._owner === this, { reason: new Error("the run is over") });
      return;
    }
    this.#over = true;
    this.#settled(this.#settlement!);
  }
}
