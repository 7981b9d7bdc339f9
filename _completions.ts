/**
 * What `asCompleted` gives: the members of a list in the order in which they end, for as long as somebody asks.
 *
 * Unlike the other calls on a list it is no operation but an object, which may be left at any time. So it is no group on its
 * caller's stack; what it has started hangs on the task that made it, and on that object, whichever is over first: `close`,
 * best by `using`, or the end of the task. What it knows of those that wait, have ended or were given is forgotten in that
 * order, so that a server may make one for each request. A failure that has come and has not been given is in hand as long
 * as somebody may ask for it; when nobody will, it is told like any other that nobody has heard of.
 *
 * @module
 */

import { EndCallback } from "./_endings.ts";
import { tell } from "./_kill.ts";
import type { Operation, Work } from "./_operation.ts";
import { type Parked, ParkingPlace } from "./_parking.ts";
import { ENDED, processor } from "./_processor.ts";
import { Fifo } from "./_store.ts";
import { CallWaiter, LineCall, refuse, stand, takeFirst, wake } from "./_waiting.ts";
import { THROW } from "./_boundary.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** What {@linkcode asCompleted} gives: the values in the order in which they come. */
export interface AsCompleted<T> extends Disposable {
  /** Waits for the next to end: gives its value, or throws its error; the `next()` after that goes on. */
  next(): Operation<IteratorResult<T, undefined>>;
  /**
   * Gives up the rest: what was started is told to end, what was waited for is let go, and `next()` gives `{ done: true }`.
   * A failure that has come and was not asked for is told to `onUnhandledError`.
   */
  close(): void;
}

export class Completions<T> implements AsCompleted<T> {
  /** What is to be started; null once it is. */
  #works: Work<unknown>[] | null;
  /** Those that have not ended, and those that have and were not given. */
  readonly #running = new Set<Task>();
  readonly #ended = new Fifo<Task>();
  readonly #line = new ParkingPlace<CallWaiter<NextCompletion<T>>>();
  /** With whose end nobody is left to ask for the rest: who has made it, or else who asks first. */
  #owner: Task | null = processor.task;
  #givenUp = false;

  constructor(works: Work<unknown>[]) {
    this.#works = works;
  }

  next(): Operation<IteratorResult<T, undefined>> {
    return new NextCompletion(this);
  }

  close(): void {
    this.#works = null;
    this.#giveUp();
    this.#running.clear();
    while (this.#ended.size > 0) this.#ended.shift();
    this.#finish();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  _next(
    call: NextCompletion<T>,
    task: Task,
    scheduler: Scheduler,
  ): IteratorResult<T, undefined> | Parked {
    if (this.#works !== null) this.#start(this.#works, task, scheduler);
    if (this.#ended.size > 0) return this.#give(this.#ended.shift());
    if (this.#running.size === 0) return { done: true, value: undefined };
    return stand(this.#line, new CallWaiter(call), task, scheduler);
  }

  #start(works: Work<unknown>[], task: Task, scheduler: Scheduler): void {
    this.#works = null;
    if (this.#owner === null || this.#owner._state === ENDED) this.#owner = task;
    (this.#owner._extra.atEnd ??= []).push(this.#giveUp);
    try {
      for (const work of works) {
        const child: Task = scheduler.spawn(work);
        this.#running.add(child);
        child._whenEnded(new EndCallback(() => this.#arrived(child)));
      }
    } catch (error) {
      this.close(); // one could not be started: nobody gets the others
      throw error;
    }
  }

  #arrived(child: Task): void {
    if (!this.#running.delete(child)) return; // it was let go
    const waiter = takeFirst(this.#line);
    if (waiter === null) {
      this.#ended.push(child);
      child._heard ||= !this.#givenUp;
      return;
    }
    try {
      wake(waiter, this.#give(child));
    } catch (error) {
      refuse(waiter, error);
    }
  }

  #give(child: Task): IteratorResult<T, undefined> {
    if (this.#running.size === 0 && this.#ended.size === 0) this.#finish();
    return { done: false, value: child._result() as T };
  }

  /** There is nothing more to be given. */
  #finish(): void {
    const undos = this.#owner?._extras?.atEnd ?? [];
    const at = undos.indexOf(this.#giveUp);
    if (at !== -1) undos.splice(at, 1);
    this.#owner = null;
    for (let idle = takeFirst(this.#line); idle !== null; idle = takeFirst(this.#line)) {
      wake(idle, { done: true, value: undefined });
    }
  }

  /** Nobody will ask any more: the newest are told first. */
  readonly #giveUp = (): void => {
    if (this.#givenUp) return;
    this.#givenUp = true;
    const reason = new Error("nobody waits for it any more");
    for (const child of [...this.#running].reverse()) tell(child, { reason });
    for (let left = this.#ended.size; left > 0; left--) {
      const child = this.#ended.shift();
      if (child._mode === THROW) child._scheduler._report(child._error, child);
      this.#ended.push(child); // somebody else may ask after all
    }
  };
}

class NextCompletion<T> extends LineCall<IteratorResult<T, undefined>> {
  readonly #completions: Completions<T>;

  constructor(completions: Completions<T>) {
    super();
    this.#completions = completions;
  }

  get reason(): string {
    return "the next of several to end";
  }

  handle(task: Task, scheduler: Scheduler): IteratorResult<T, undefined> | Parked {
    return this.#completions._next(this, task, scheduler);
  }
}
