/**
 * Those who wait for the end of a task.
 *
 * A task is the line of them: they are linked in it itself, and told in the order in which they came. Most are tasks, which
 * are parked meanwhile, and then who stands in line is the token of that wait (`_parking.ts`); for `yield* task` it is also the
 * iterator, so that a join is one object. Code outside tasks, such as `await task`, is a callback in the same line.
 *
 * @module
 */

import type { Kill } from "./_kill.ts";
import type { OperationIterator, Yieldable } from "./_operation.ts";
import { type Line, type Parked, Waiter, type WaitingOperation } from "./_parking.ts";
import * as parking from "./_parking.ts";
import * as boundaries from "./_boundary.ts";
import * as states from "./_processor.ts";
import * as flags from "./_task_flags.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { NEXT } = boundaries;
const { leaveLine, proceed } = parking;
const { ENDED } = states;
const { OBSERVED } = flags;

/** One who waits for the end of a task. */
export abstract class Ending extends Waiter {
  /** The task for whose end it waits: it stands in its line. */
  get target(): Task {
    return this._place as Task;
  }

  /** The task has ended. */
  abstract ended(task: Task): void;
  /** The task has been told to end. */
  targetIsDying(): void {}
}

/** A task that waits until another has ended. */
export class Ender extends Ending {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  /** The kill of the waiting task, if its grace stands still meanwhile. */
  declare frozen: Kill | null;

  constructor(target: Task) {
    super(target);
    this.frozen = null;
  }

  get verb(): string {
    return "end";
  }

  get reason(): string {
    return `${this.verb} of ${this.target}`;
  }

  get source(): "tasks" | "outside" {
    return this.target._scheduler === this._task!._scheduler ? "tasks" : "outside";
  }

  *holders(): Generator<Task, void> {
    yield this.target;
  }

  ended(): void {
    this.thaw();
    this._task!._scheduler.resume(this, true);
  }

  /** While a task that is being killed waits for another such, its own grace stands still. */
  override targetIsDying(): void {
    const task = this._task!;
    if (this.frozen !== null || !task._dying) return;
    this.frozen = task._extra.kill!;
    this.frozen.freeze(this);
  }

  override cancel(): void {
    leaveLine(this);
    this.thaw();
  }

  protected thaw(): void {
    if (this.frozen !== null) this.frozen.thaw(this);
    this.frozen = null;
  }
}

/** A task that waits until the one it has killed has ended. */
export class Killer extends Ender {
  override get verb(): string {
    return "kill";
  }
}

/** A task that waits for the value of another: the operation, and the wait if there is one. */
export class Join<T> extends Ender implements OperationIterator<T>, WaitingOperation<T> {
  declare scheduler: Scheduler | null;

  constructor(target: Task) {
    super(target);
    this.scheduler = null;
  }

  override get verb(): string {
    return "join";
  }

  override ended(): void {
    if (this.frozen !== null) this.thaw();
    const { target } = this;
    const scheduler = this._task!._scheduler;
    if (target._mode === NEXT) {
      target._flags |= OBSERVED;
      scheduler.resume(this, target._inbox);
      return;
    }
    let value: unknown;
    try {
      value = target._result();
    } catch (error) {
      scheduler.fail(this, error);
      return;
    }
    scheduler.resume(this, value);
  }

  begin(task: Task): T | Parked {
    const { target } = this;
    return target._state === ENDED ? target._result() as T : target._awaitEnd(task, this);
  }

  next(value?: unknown): IteratorResult<Yieldable, T> {
    return proceed(this, value);
  }

  throw(error: unknown): IteratorResult<Yieldable, T> {
    throw error;
  }
}

/** Code outside tasks that waits for the end of one. */
export class EndCallback extends Ending {
  readonly ended: () => void;
  /** Where others may wait for what it passes on. */
  readonly relay: Line | null;

  constructor(ended: () => void, relay: Line | null = null) {
    super();
    this.ended = ended;
    this.relay = relay;
  }

  get reason(): string {
    return "a callback";
  }
}
