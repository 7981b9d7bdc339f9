/**
 * Waiting for promises.
 *
 * A reaction cannot be taken back from a promise. A server that waits a million times for the one promise of its end, in a
 * `select` beside what it serves, would leave it a million. So a promise gets one, and those who wait for it stand in a line
 * that they can leave. What only has a `then` may begin its work anew with each call of it, and is asked each time.
 *
 * @module
 */

import { leaveLine, type Line, type Parked, standIn, type Wait, Waiter } from "./_parking.ts";
import type { Task } from "./task.ts";

class PromiseWaiter extends Waiter {
  get reason(): string {
    return "a promise";
  }

  get source(): "outside" {
    return "outside";
  }
}

/** The tasks that wait for a promise. */
class PromiseLine implements Line {
  _first: Waiter | null = null;

  settled(value: unknown, failed: boolean): void {
    for (let waiter = this._first; waiter !== null; waiter = this._first) {
      leaveLine(waiter);
      const scheduler = waiter._task!._scheduler;
      if (failed) scheduler.fail(waiter, value);
      else scheduler.resume(waiter, value);
    }
  }
}

const lines = new WeakMap<Promise<unknown>, PromiseLine>();

const heard = new WeakSet<Promise<unknown>>();

/**
 * If it is a promise: it may lose before it is waited for at all, and its rejection is then nobody's, but not unhandled.
 * Once for each promise, as a reaction cannot be taken back.
 */
export function hear(promise: unknown): void {
  if (!(promise instanceof Promise) || heard.has(promise)) return;
  heard.add(promise);
  promise.catch(() => {});
}

const THENABLE: Wait = { reason: "a promise", source: "outside" };

/** Parks the task until the promise is settled. */
export function awaitPromise(task: Task, promise: PromiseLike<unknown>): Parked {
  const scheduler = task._scheduler;
  if (!(promise instanceof Promise)) {
    const parked = scheduler.park(task, THENABLE);
    promise.then(
      (value) => scheduler.resume(parked, value),
      (error) => scheduler.fail(parked, error),
    );
    return parked;
  }
  const waiter = new PromiseWaiter();
  scheduler._parkAs(task, waiter);
  let line = lines.get(promise);
  if (line === undefined) lines.set(promise, line = listen(promise));
  standIn(line, waiter);
  return waiter;
}

function listen(promise: Promise<unknown>): PromiseLine {
  const line = new PromiseLine();
  const settle = (value: unknown, failed: boolean) => {
    lines.delete(promise); // whoever comes now is told by a reaction of his own
    line.settled(value, failed);
  };
  promise.then((value) => settle(value, false), (error) => settle(error, true));
  return line;
}
