/**
 * Kills: how a task is told to end, and what becomes of one that will not.
 *
 * A kill is a boundary like any other, below the last frame, so that to unwind to it is the end of the task. What it has
 * beside the others is patience. Cleanup is a coroutine's own code, which may wait and may hang: so it has a grace, and when
 * that is over its frames are closed with `return()`, which no `catch` stops; and if after a second one the task is there
 * still, it is let go as it stands. A kill without the two further steps would be a request, which a loop that catches
 * everything refuses; one that began with them would leave locks held.
 *
 * The grace is that of the task's own cleanup. It stands still while the task is held by what is not its own: a shield, or
 * the end of another task that is being killed too.
 *
 * @module
 */

import { Boundary } from "./_boundary.ts";
import { fire } from "./_cancellation.ts";
import type { Ending } from "./_endings.ts";
import type { KillOptions } from "./_options.ts";
import { ENDED } from "./_processor.ts";
import type { Timer } from "./_timers.ts";
import { UnkillableError } from "./errors.ts";
import type { Task } from "./task.ts";

/** The boundary below the last frame: to unwind to it is the end of the task. */
export class Kill extends Boundary implements Timer {
  readonly task: Task;
  readonly #reason: unknown;
  readonly #grace: number;
  /** What is left of the grace, and the steps that the task had made when it was told. */
  #left: number;
  #stepsWhenTold = 0;
  #timesForced = 0;
  /** The shields and waits during which it stands still. */
  #frozenBy: Set<object> | undefined;
  /** @internal */
  _slot = -1;

  constructor(task: Task, reason: unknown, grace: number) {
    super();
    this.depth = -1;
    this.task = task;
    this.#reason = reason;
    this.#grace = grace;
    this.#left = grace;
  }

  override get reason(): unknown {
    return this.#reason;
  }

  /** Told to the frames: from now on the grace runs, whatever shields it has gone through. */
  override cancelling(): void {
    this.#frozenBy = undefined;
    this.#left = this.#grace;
    this.#stepsWhenTold = this.task._steps;
    this.#run();
  }

  /** The grace stands still until `thaw`. */
  freeze(during: object): void {
    (this.#frozenBy ??= new Set()).add(during);
    if (this._slot === -1) return;
    const timers = this.task._scheduler._timers;
    this.#left = timers.left(this, this.task._scheduler.now());
    timers.clear(this);
  }

  thaw(during: object): void {
    if (this.#frozenBy?.delete(during) && this.#frozenBy.size === 0 && this.delivered) this.#run();
  }

  #run(): void {
    const scheduler = this.task._scheduler;
    scheduler._timers.clear(this);
    if (this.#left < Infinity) scheduler._setTimer(this, this.#left);
  }

  /** The grace is over: frames are closed with `return()`, which no `catch` stops; after a second one it is let go. */
  ring(): void {
    const { task } = this;
    if (task._steps === this.#stepsWhenTold) {
      this.#left = 0; // it has not had its turn yet
      this.#run();
      return;
    }
    const late = `${task} has not ended ${this.#grace} ms after`;
    if (this.forced) {
      task._abandon(new UnkillableError(`${late} its frames were closed (${task._standing}): it is let go`));
    } else {
      task._scheduler._report(
        new Error(`${late} it was killed (${task._standing}): its frames are closed`),
        task,
      );
      this.force();
    }
  }

  /** Nothing that the kernel does will end the task, and no timer will let it go. */
  get stuck(): boolean {
    return this.#timesForced > 100 ||
      (this.forced && this.delivered && !this.#frozenBy?.size && this._slot === -1);
  }

  /** The second step, now. */
  force(): void {
    this.#timesForced++;
    this.forced = true;
    this.delivered = false;
    fire(this.task, this);
  }
}

/**
 * Tells a task to end: from now on its end is waited for, be it a daemon or not.
 *
 * @param task Which.
 * @param options Why, and how patiently.
 * @returns `false` if it has ended.
 */
export function tell(task: Task, options: KillOptions): boolean {
  const scheduler = task._scheduler;
  const { grace = scheduler._killGrace, force = false } = options;
  if (task._state === ENDED) return false;
  const extra = task._extra;
  if (extra.kill === null) {
    scheduler._liveness.await(task);
    extra.kill = new Kill(task, options.reason, grace);
    extra.kill.forced = force;
    for (let ending = task._first; ending !== null; ending = ending._next) {
      (ending as Ending).targetIsDying();
    }
    fire(task, extra.kill);
  } else if (force) {
    extra.kill.force();
  }
  return true;
}

/** Tells a task to end when a signal aborts, with its reason. */
export function tellOnAbort(task: Task, signal: AbortSignal): void {
  const abort = () => tell(task, { reason: signal.reason });
  if (signal.aborted) {
    abort();
  } else {
    signal.addEventListener("abort", abort);
    (task._extra.atEnd ??= []).push(() => signal.removeEventListener("abort", abort));
  }
}
