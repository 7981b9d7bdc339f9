/**
 * Runs: what `run` owns, and when it is over.
 *
 * A run owns its main task and whatever tasks that it owns spawn. It is over when main and all of them that are no
 * daemons have ended; its daemons are killed then, and everything it owns if it fails.
 *
 * @module
 */

import { UnkillableError } from "./errors.ts";
import { THROW } from "./_boundary.ts";
import { DAEMON, OBSERVED } from "./_task_flags.ts";
import type { Owner, Task } from "./task.ts";
import type { Driver } from "./_drive.ts";
import type { Scheduler } from "./scheduler.ts";

/** How a run ended: with main's value, or with an error. */
export type Settlement = { error: unknown } | { value: unknown };

export class Run implements Owner, Driver {
  readonly #scheduler: Scheduler;
  readonly #settled: (settlement: Settlement) => void;
  #main: Task | undefined;
  #settlement: Settlement | undefined;
  /** Tasks alive that are no daemons, and all that are alive. */
  #workers = 0;
  #alive = 0;
  #over = false;
  /** Those that were told to end, and have not ended yet. */
  readonly #told: Set<Task> = new Set();

  constructor(scheduler: Scheduler, settled: (settlement: Settlement) => void) {
    this.#scheduler = scheduler;
    this.#settled = settled;
  }

  readonly joins = false;

  get run(): Owner {
    return this;
  }

  get main(): Task | undefined {
    return this.#main;
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
    if (this.#told.size > 0) this.#told.delete(task);
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
    if (this.#settlement === undefined) this.fail(error);
    else if (main._mode === THROW && !(error instanceof UnkillableError) && !this.#isSettledWith(error)) {
      this.#scheduler._report(error, main); // one that was let go has been reported
    }
  }

  #isSettledWith(error: unknown): boolean {
    return this.#settlement !== undefined && "error" in this.#settlement && this.#settlement.error === error;
  }

  /** Kills what it owns, and is over with this error when all of that has ended. The first error stands. */
  fail(error: unknown): void {
    if (this.#over || (this.#settlement !== undefined && "error" in this.#settlement)) return;
    this.#settlement = { error };
    this.#tell(error);
    this.#check();
  }

  #tell(reason: unknown): void {
    this.#told.clear();
    for (const task of this.#scheduler.tasks.values()) if (task._owner === this) this.#told.add(task);
    this.#scheduler._killAll((task) => this.#told.has(task), { reason });
  }

  /** Is it over? If not, what is left is told to end; once those have ended who may still need it. */
  #check(): void {
    const settlement = this.#settlement!;
    if (this.#over || (this.#workers > 0 && !("error" in settlement))) return;
    if (this.#alive === 0) {
      this.#over = true;
      this.#settled(settlement);
    } else if (this.#told.size === 0) {
      this.#tell("error" in settlement ? settlement.error : new Error("the run is over"));
    }
  }
}
