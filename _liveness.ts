/**
 * Liveness: whether anything can still bring a task to go on.
 *
 * A program has stopped for good when somebody waits for its tasks, none of them is ready, no timer is set, and none of their
 * waits can be ended but by another of them. To look at all waits whenever the loop runs dry would make each turn as long as
 * there are tasks. So the waits are counted as they begin and end, by who can end them: and only those that others than tasks
 * can end, as most waits are for tasks, and then nothing is counted at all.
 *
 * The host, which holds a socket or a signal, is a reason to wait only for tasks whose end is waited for: a daemon that accepts
 * clients would else keep every deadlock from being seen. Code outside the kernel, which holds a promise or a future, is one
 * for any task: whom it resumes may in turn resume those.
 *
 * @module
 */

import * as flags from "./_task_flags.ts";
import type { Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { AWAITED, BY_EITHER, BY_HOST, BY_OUTSIDE, FED } = flags;

export class Liveness {
  /** Tasks alive whose end is waited for. */
  #awaited = 0;
  /** Waits that the host ends, of such tasks; that code outside ends; that it or a task may end. */
  #host = 0;
  #outside = 0;
  #either = 0;

  /** Whether there is a task whose end is waited for. */
  get hasAwaited(): boolean {
    return this.#awaited > 0;
  }

  /** Whether somebody outside tasks may still bring a task to go on: time is not to jump past that. */
  get isFed(): boolean {
    return this.#host > 0 || this.#outside > 0;
  }

  /** Whether a task waits for what only code outside the kernel can bring. */
  get isFedByOutside(): boolean {
    return this.#outside > 0;
  }

  /** Whether a task's end is waited for, and only other tasks or a timer could bring that about. */
  get isClosed(): boolean {
    return this.#awaited > 0 && !this.isFed && this.#either === 0;
  }

  /** The end of this task is waited for from now on, if it was not before. */
  await(task: Task): void {
    if ((task._flags & AWAITED) !== 0) return;
    task._flags |= AWAITED;
    this.#awaited++;
    if ((task._flags & FED) === BY_HOST) this.#host++;
  }

  ended(task: Task): void {
    if ((task._flags & AWAITED) !== 0) this.#awaited--;
  }

  /** A wait begins that not only tasks can end. */
  feed(task: Task, source: "host" | "outside" | "either"): void {
    task._flags |= source === "host" ? BY_HOST : source === "outside" ? BY_OUTSIDE : BY_EITHER;
    this.#count(task, 1);
  }

  /** It is over. */
  fed(task: Task): void {
    this.#count(task, -1);
    task._flags &= ~FED;
  }

  #count(task: Task, by: number): void {
    const fed = task._flags & FED;
    if (fed === BY_OUTSIDE) this.#outside += by;
    else if (fed === BY_EITHER) this.#either += by;
    else if ((task._flags & AWAITED) !== 0) this.#host += by;
  }
}

/** Those of some tasks whose end is waited for. */
export function awaitedOf(tasks: ReadonlyMap<number, Task>): Task[] {
  return [...tasks.values()].filter((task) => (task._flags & AWAITED) !== 0);
}
