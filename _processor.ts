/**
 * The processor, and how a task stands towards it. One task at a time is on it, whatever the number of schedulers.
 *
 * @module
 */

import type { Task } from "./task.ts";

/** The processor: who is on it, and how many more calls it may make before the others get their turn. */
export const processor: {
  task: Task | null;
  credit: number;
  observed: boolean;
  /** Told of each call while its coroutine is still on the native stack, so that it can look where that stands. */
  witness: ((task: Task, call: unknown) => void) | null;
} = {
  task: null,
  credit: 0,
  observed: false,
  witness: null,
};

/** The calls that a task may make in one step. They cost nanoseconds, so this is some microseconds. */
export const CREDIT = 256;

/**
 * A call that its coroutine yields instead of making it: the credit is gone, or somebody observes calls.
 *
 * @param task Who makes the call.
 * @param call The call.
 * @param next The method that the coroutine, which is still on the native stack, has called for it.
 */
export function putOff(task: Task, call: unknown, next: unknown): void {
  if (!processor.observed) return;
  processor.credit++; // it is taken when the call is dispatched
  if (processor.witness !== null) processor.witness(task, call);
  task._scheduler._callSites?.note(task, next);
}

/** In the ready queue with something to go on with. */
export const READY = 0;
/** In the ready queue because it gave way: nothing was delivered, so it may be cancelled where it stands. */
export const YIELDED = 1;
export const RUNNING = 2;
export const WAITING = 3;
export const ENDED = 4;
