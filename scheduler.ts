/**
 * The scheduler: a ready queue, a table of tasks, and the loop.
 *
 * The loop is the seed's: take the task that has been ready for longest, run it until it yields, repeat. It begins this
 * class and fits on a screen, as the one thing that it knows besides tasks is when its time is over. What makes it turn, and
 * what is done when nothing is ready, is the drive's (`_drive.ts`). Below the loop are the ways to start, run and end tasks,
 * and below those `park`, `resume` and `fail`: all that a system call needs to make its task wait.
 *
 * What the rest of it is made of are nouns of their own: how long tasks run before it is the turn of others
 * (`_time_slice.ts`), deadlines (`_timers.ts`), whether anything can still go on (`_liveness.ts`), errors that nobody handles
 * (`_unhandled.ts`), observers (`_observers.ts`), and what a run owns (`_run.ts`). Only what each switch asks is kept here, at
 * one load.
 *
 * @module
 */

import * as boundaries from "./_boundary.ts";
import { CallSites } from "./_call_sites.ts";
import { anInstance, checkOptions, checkTid, isRecord, type Kind } from "./_check.ts";
import { type Clock, systemClock } from "./_clock.ts";
import { infoOf, refuseRing, refuseRingOf, waits } from "./_deadlock.ts";
import { Drive, type Driver } from "./_drive.ts";
import type { Ending } from "./_endings.ts";
import { tell, tellOnAbort } from "./_kill.ts";
import { Liveness } from "./_liveness.ts";
import type { Network } from "./_network.ts";
import { Observers } from "./_observers.ts";
import { describe, type Work } from "./_operation.ts";
import * as operations from "./_operation.ts";
import {
  arePlain,
  isPlain,
  KILL_OPTIONS,
  OBSERVER,
  SCHEDULER_OPTIONS,
  TASK_OPTIONS,
  WAIT,
} from "./_options.ts";
import type { ErrorSource, Failure, KillOptions, Observer, SchedulerOptions } from "./_options.ts";
import type { TaskInfo, TaskOptions } from "./_options.ts";
import { Parked, type Wait } from "./_parking.ts";
import * as parking from "./_parking.ts";
import * as states from "./_processor.ts";
import { QUEUE, ReadyQueue, type ReadyTasks } from "./_ready_queue.ts";
import { Run, type Settlement } from "./_run.ts";
import type { Choosing } from "./_select.ts";
import * as flags from "./_task_flags.ts";
import { TaskTable } from "./_task_table.ts";
import { TimeSlice } from "./_time_slice.ts";
import { type Timer, Timers } from "./_timers.ts";
import { UnhandledErrors } from "./_unhandled.ts";
import { InvalidStateError } from "./errors.ts";
import { type Owner, Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { processor, READY, RUNNING, WAITING, YIELDED } = states;
const { THROW } = boundaries;
const { frameOf } = operations;
const { leaveLine, TokenOf } = parking;
const { DAEMON, FED } = flags;

const NO_OPTIONS: TaskOptions = {};

/** Coroutines that start at once may do so one in the other, so far; then the native stack has to be thought of. */
const MOST_NESTED = 100;

let defaultScheduler: Scheduler | undefined;

/**
 * Runs tasks.
 *
 * @example The seed's way
 * ```ts
 * import { getTid, newTask, Scheduler, waitTask } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * const scheduler = new Scheduler();
 * scheduler.new(function* main() {
 *   const child = yield* newTask(function* () {
 *     log.push(`I am ${yield* getTid()}`);
 *   });
 *   yield* waitTask(child);
 *   log.push("child done");
 * });
 * await scheduler.mainLoop();
 * assertEquals(log, ["I am 2", "child done"]);
 * ```
 */
export class Scheduler {
  readonly #ready: ReadyTasks;
  /** @internal The loop is on the native stack. */
  _turning = false;
  /** Whether observers watch what happens at each switch: asked here, it costs one load. */
  #watchesReady = false;
  #watchesSteps = false;
  /** @internal The `select` that is trying its cases: what they park is parked for all of them. */
  _choosing: Choosing | null = null;
  #lastTid = 0;
  #nesting = 0;
  readonly #table = new TaskTable();
  /** @internal */
  readonly _liveness: Liveness = new Liveness();
  readonly #clock: Clock;
  /** @internal */
  readonly _timers: Timers = new Timers();
  readonly #slice: TimeSlice;
  readonly #unhandled: UnhandledErrors;
  /** @internal */
  readonly _observers: Observers;
  /** @internal With `stacks: true`, where calls were made. */
  readonly _callSites: CallSites | undefined;
  /** @internal undefined: Deno's */
  readonly _network: Network | undefined;
  /** @internal */
  readonly _killGrace: number;
  readonly #drive: Drive;
  /** What main loops do when a task has ended. */
  readonly #mainLoops = new Set<() => void>();

  /**
   * A scheduler of its own, with its own tasks, tids and time.
   *
   * @param options How it is set up.
   * @throws {TypeError} If an option is of the wrong kind.
   * @throws {RangeError} If a time is negative or `NaN`.
   */
  constructor(options: SchedulerOptions = {}) {
    checkOptions("make a scheduler", options, SCHEDULER_OPTIONS);
    const { clock = systemClock, timeSlice = 1, killGrace = 5000, deadlock = "throw", onUnhandledError } =
      options;
    const { stacks = false } = options;
    this.#ready = (options as { [QUEUE]?: ReadyTasks })[QUEUE] ?? new ReadyQueue();
    this.#clock = clock;
    this.#slice = new TimeSlice(clock, this._timers, timeSlice);
    this.#unhandled = new UnhandledErrors(onUnhandledError);
    this._network = options.network;
    this._killGrace = killGrace;
    this._observers = new Observers(() => {
      this.#watchesReady = this._observers.watchesReady;
      this.#watchesSteps = this._observers.watchesSteps;
    }, (error, source) => this._report(error, source));
    this._callSites = stacks ? new CallSites() : undefined;
    if (this._callSites !== undefined) this.observe(this._callSites);
    this.#drive = new Drive(this, {
      clock,
      timers: this._timers,
      ready: this.#ready,
      slice: this.#slice,
      liveness: this._liveness,
      unhandled: this.#unhandled,
      timeSlice,
      deadlock,
    });
  }

  // ---- The loop ----

  /** @internal Runs what is ready, in order. False if so much of the slice, in ms, was over before all was done. */
  _drain(part: number): boolean {
    const ready = this.#ready;
    const slice = this.#slice;
    const { task: outer, credit, observed } = processor;
    this._turning = true;
    try {
      const end = slice.begin(part);
      let steps = slice.steps;
      while (ready.size > 0) {
        const task = ready.shift();
        if (task === undefined || task._state > YIELDED) continue; // it was taken out
        this.#step(task);
        if (--steps === 0) {
          if (slice.isOver(end) && ready.size > 0) return false;
          steps = slice.steps;
        }
      }
    } finally {
      this._turning = false;
      giveBack(outer, credit, observed);
    }
    ready.trim();
    if (this._timers.size > 0) slice.look();
    return true;
  }

  #step(task: Task): void {
    if (this.#watchesSteps) this._observers.step(task);
    else task._step();
  }

  /** @internal To the end of the ready queue. */
  _enqueue(task: Task): void {
    this.#ready.push(task);
    if (!this._turning) this.#drive.wake();
    if (this.#watchesReady) this._observers.notify("taskReady", task);
  }

  /** @internal Out of the ready queue: it goes on after all, without having left the processor. */
  _dequeue(task: Task): void {
    this.#ready.remove(task);
  }

  // ---- For everybody ----

  /**
   * The scheduler of the running task, else the process-wide default one.
   *
   * @returns That scheduler.
   */
  static current(): Scheduler {
    return processor.task?._scheduler ?? Scheduler._default();
  }

  /** @internal The process-wide default one: its loop turns always. */
  static _default(): Scheduler {
    if (defaultScheduler === undefined) {
      defaultScheduler = new Scheduler();
      defaultScheduler.#drive.always = true;
    }
    return defaultScheduler;
  }

  /** The living tasks by tid, the oldest first. */
  get tasks(): ReadonlyMap<number, Task> {
    return this.#table;
  }

  /**
   * The time.
   *
   * @returns Milliseconds of the scheduler's clock, which never goes back.
   */
  now(): number {
    return this.#clock.now();
  }

  /**
   * Starts a task, in the seed's form.
   *
   * @param target What it runs.
   * @param options Its name, whether it is a daemon, a signal that kills it.
   * @returns Its tid.
   * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task; if an
   * option is of the wrong kind.
   */
  new(target: Work<unknown>, options?: TaskOptions): number {
    return this.spawn(target, options).tid;
  }

  /**
   * Starts a task: it goes to the end of the ready queue. Tasks run while a `run` or `mainLoop` is under way, on the
   * default scheduler always.
   *
   * @param target What it runs.
   * @param options Its name, whether it is a daemon, a signal that kills it.
   * @returns Its handle, to join, to kill, to await.
   * @throws {TypeError} If `target` is no coroutine, or one that is running, has ended or belongs to another task; if an
   * option is of the wrong kind.
   */
  spawn<T>(target: Work<T>, options?: TaskOptions): Task<T> {
    const task = this._makeChild(target, options);
    this.#begin(task as Task, options);
    return task;
  }

  /**
   * Runs a coroutine as a task, and the loop until it and every task that it has spawned, at any depth, has ended. Daemons
   * are then killed.
   *
   * @param main What is run.
   * @param options Its name; a signal that kills all that this run owns.
   * @returns Main's value.
   * @throws Main's error, after all that the run owns has been killed; `JoinError` if main was killed, the reason of
   * `signal` if that aborted, `DeadlockError` if nothing could ever go on. `TypeError` if `main` is no coroutine, or an option
   * of the wrong kind: nothing has been run.
   */
  run<T>(main: Work<T>, options: TaskOptions = {}): Promise<T> {
    refuseInside("run");
    return new Promise((resolve, reject) => {
      checkOptions("run", options, TASK_OPTIONS);
      const { signal, ...rest } = options;
      const abort = () => run.fail(signal!.reason);
      const run = new Run(this, (settlement) => {
        signal?.removeEventListener("abort", abort);
        // Others of this run may have failed in this very turn: that is told first.
        this.#unhandled.whenTold(() => {
          this.#drive.stop(run);
          if ("error" in settlement) reject(settlement.error);
          else resolve(settlement.value as T);
        });
      });
      run.main = this._spawn(main, rest, run, undefined);
      this.#drive.start(run);
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort);
    });
  }

  /**
   * Runs a coroutine to its end without giving way to the host.
   *
   * @param main What is run.
   * @returns Main's value.
   * @throws Main's error; `InvalidStateError` if it would have to wait for the host, after its tasks have been told.
   */
  runSync<T>(main: Work<T>): T {
    refuseInside("runSync");
    let settlement: Settlement | undefined;
    const run = new Run(this, (settled) => settlement = settled);
    run.main = this._spawn(main, {}, run, undefined);
    this.#drive.turnWithoutHost(run, () => settlement !== undefined, () => {
      const waiting = this.#table.list().filter((task) => task._owner === run).map(waits);
      return new InvalidStateError(`Cannot run without giving way to the host: ${waiting.join(", ")}`);
    });
    const settled = settlement as unknown as Settlement;
    if ("error" in settled) throw settled.error;
    return settled.value as T;
  }

  /**
   * The seed's main loop: runs until every task of this scheduler that is no daemon has ended. Daemons that belong to no `run`
   * are then killed, whoever has spawned them.
   *
   * @returns When they have.
   * @throws {DeadlockError} If nothing could ever go on.
   */
  mainLoop(): Promise<void> {
    refuseInside("mainLoop");
    return new Promise((resolve, reject) => {
      let failure: { error: unknown } | undefined;
      const check = () => {
        if (this._liveness.hasAwaited) return;
        if (this._killAll((task) => task._owner === null, { reason: new Error("the main loop is over") })) {
          return;
        }
        this.#mainLoops.delete(check);
        this.#drive.stop(drive);
        this.#unhandled.whenTold(() => failure === undefined ? resolve() : reject(failure.error));
      };
      const drive: Driver = {
        fail: (error) => {
          failure ??= { error };
        },
      };
      this.#mainLoops.add(check);
      this.#drive.start(drive);
      check();
    });
  }

  /**
   * Kills a task from outside tasks.
   *
   * @param target The task or its tid.
   * @param options Why, and how patiently.
   * @returns `true` when it has ended, `false` if no such task lives.
   * @throws {TypeError} If `target` is no task and no number, or an option of the wrong kind.
   * @throws {RangeError} If the tid is no whole number from 1, or `grace` is negative or `NaN`.
   */
  async kill(target: Task | number, options: KillOptions = {}): Promise<boolean> {
    if (!(target instanceof Task)) checkTid(target, "kill");
    checkOptions("kill", options, KILL_OPTIONS);
    const task = typeof target === "number" ? this.#table.get(target) : target;
    if (task === undefined || !tell(task, options)) return false;
    if (options.wait !== false) await task._scheduler.#drive.untilEnded([task]);
    return true;
  }

  /**
   * Kills every task, the newest first.
   *
   * @param options Why, and how patiently.
   * @returns When all cleanup is done.
   * @throws {TypeError} If an option is of the wrong kind.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async shutdown(options: KillOptions = {}): Promise<void> {
    checkOptions("shut down", options, KILL_OPTIONS);
    while (this.#table.size > 0) {
      this._killAll(() => true, options);
      await this.#drive.untilEnded(this.#table.list());
    }
  }

  /**
   * The living tasks, as data.
   *
   * @returns One entry a task, the oldest first.
   */
  ps(): TaskInfo[] {
    return this.#table.list().map(infoOf);
  }

  /**
   * Has an observer told of what happens. One that throws is reported and removed.
   *
   * @param observer What is to be told; each of its methods is optional.
   * @returns What ends the observation when it is disposed of.
   * @throws {TypeError} If `observer` is no object, or one of its methods no function.
   */
  observe(observer: Observer): Disposable {
    if (!isRecord(observer)) {
      throw new TypeError(`Cannot be observed by ${describe(observer)}: an object with methods is wanted`);
    }
    checkOptions("observe", observer, OBSERVER);
    this._observers.add(observer);
    return { [Symbol.dispose]: () => this._observers.remove(observer) };
  }

  // ---- For those who write system calls ----

  /**
   * Takes the calling task off the processor. To be called by the `handle` of a system call, which then returns the token.
   *
   * @param task The task that makes the call.
   * @param wait What it waits for, in words, and how to undo that.
   * @returns The token that `resume` and `fail` take; it stands for this one wait.
   * @throws {InvalidStateError} If that task is not on the processor.
   * @throws {TypeError} If `wait` is no object, or what it has is of the wrong kind.
   * @throws {DeadlockError} If one of its `holders` waits for the task.
   */
  park(task: Task, wait: Wait): Parked {
    if (typeof wait !== "object" || wait === null) {
      throw new TypeError(`Cannot park ${task} for ${describe(wait)}: an object with a reason is wanted`);
    }
    if (!isPlain(wait)) checkOptions(`park ${task}`, wait, WAIT);
    if (wait.holders !== undefined) refuseRingOf(task, wait);
    return this._parkAs(task, new TokenOf(wait), wait);
  }

  /**
   * Ends a wait: the task goes to the end of the ready queue.
   *
   * @param parked The token of the wait.
   * @param value What the task's `yield` gives.
   * @returns `false` if that wait was already over: nothing has changed, and the value is still the caller's.
   * @throws {TypeError} If it is no token.
   */
  resume(parked: Parked, value?: unknown): boolean {
    const task = parked?._task;
    if (task === null || task === undefined) return isSpent(parked, "resume");
    if (task._scheduler !== this) return task._scheduler.resume(parked, value);
    if (task._parked !== parked) {
      return (task._parked as unknown as Choosing).resumeCase(parked, value, false);
    }
    this._waitOver(parked);
    task._parked = null;
    task._inbox = value;
    task._state = READY;
    this._enqueue(task);
    return true;
  }

  /**
   * Ends a wait with an error: it is thrown into the task, which goes to the end of the ready queue.
   *
   * @param parked The token of the wait.
   * @param error What the task's `yield` throws.
   * @returns `false` if that wait was already over: nothing has changed, and the error is still the caller's.
   * @throws {TypeError} If it is no token.
   */
  fail(parked: Parked, error: unknown): boolean {
    const task = parked?._task;
    if (task === null || task === undefined) return isSpent(parked, "fail");
    if (task._scheduler !== this) return task._scheduler.fail(parked, error);
    if (task._parked !== parked) return (task._parked as unknown as Choosing).resumeCase(parked, error, true);
    this.resume(parked, error);
    task._mode = THROW;
    return true;
  }

  /**
   * A running task gives way: it goes to the end of the ready queue, and on from there with what its call gives.
   *
   * @param task The task that makes the call.
   * @throws {InvalidStateError} If it is not on the processor.
   */
  schedule(task: Task): void {
    if (task._state !== RUNNING || task._scheduler !== this) {
      throw new InvalidStateError(`Cannot schedule ${task}: it is not on the processor of this scheduler`);
    }
    task._state = READY;
    this._enqueue(task);
  }

  // ---- For the kernel's own modules ----

  /** @internal Parks a task with a token that the caller has made; without a wait it describes itself. */
  _parkAs(task: Task, token: Parked, wait: Wait = token as unknown as Wait): Parked {
    if (this._choosing !== null) return this._choosing.parkCase(task, token);
    if (task._state !== RUNNING || task._scheduler !== this) {
      throw new InvalidStateError(`Cannot park ${task}: it is not on the processor of this scheduler`);
    }
    token._task = task;
    token._since = this.#slice.coarse;
    const { source } = wait;
    if (source !== undefined && source !== "tasks") this._liveness.feed(task, source);
    task._parked = token;
    task._state = WAITING;
    return token;
  }

  /** @internal The token is spent. */
  _waitOver(parked: Parked): void {
    const task = parked._task!;
    if ((task._flags & FED) !== 0) this._liveness.fed(task);
    parked._task = null;
  }

  /** @internal Refuses a wait of `task` for `target` that would close a ring of waiting tasks. */
  _refuseRing(task: Task, target: Task): void {
    if (this._choosing === null) refuseRing(task, target); // else it waits for other things as well
  }

  #make<T>(
    target: Work<T>,
    options: TaskOptions | undefined,
    owner: Owner | null,
    parent: number | undefined,
  ): Task<T> {
    if (options !== undefined && !arePlain(options)) checkOptions("spawn", options, TASK_OPTIONS);
    const { name, daemon = false } = options ?? NO_OPTIONS;
    const frame = frameOf(target, "spawn");
    const title = name ?? (typeof target === "function" ? target.name : "");
    const task: Task = new Task(this, ++this.#lastTid, title, frame, parent, owner);
    const locals = processor.task === null ? null : processor.task._extras?.locals ?? null;
    if (locals !== null) task._extra.locals = locals;
    if (daemon) task._flags |= DAEMON;
    else this._liveness.await(task);
    this.#table.add(task);
    owner?._taskStarted(task);
    if (this._observers.size > 0) this._observers.notify("taskCreated", task);
    task._state = YIELDED; // nothing was delivered: if it is killed now, it never runs
    return task as Task<T>;
  }

  /** @internal Makes a child of the task on the processor, if that is one of this scheduler. It is not ready yet. */
  _makeChild<T>(target: Work<T>, options?: TaskOptions): Task<T> {
    const spawner = processor.task?._scheduler === this ? processor.task : undefined;
    const owner = spawner === undefined || spawner._owner === null ? null : spawner._owner.run;
    return this.#make(target, options, owner, spawner?.tid);
  }

  /** @internal Starts a task for an owner. */
  _spawn<T>(
    target: Work<T>,
    options: TaskOptions | undefined,
    owner: Owner | null,
    parent: number | undefined,
  ): Task<T> {
    const task = this.#make(target, options, owner, parent);
    this.#begin(task as Task, options);
    return task;
  }

  #begin(task: Task, options: TaskOptions | undefined): void {
    this._enqueue(task);
    if (options?.signal !== undefined) tellOnAbort(task, options.signal);
  }

  /** @internal Runs a task that has been made up to its first wait, without a turn in the ready queue. */
  _startNow(task: Task): void {
    if (this.#nesting >= MOST_NESTED) {
      this._enqueue(task);
      return;
    }
    const { task: outer, credit, observed } = processor;
    this.#nesting++;
    try {
      this.#step(task);
    } finally {
      this.#nesting--;
      giveBack(outer, credit, observed);
    }
    this.#drive.wake(); // it may have set a timer
  }

  /** @internal Tells those that match to end, the newest first. False if there are none. */
  _killAll(matches: (task: Task) => boolean, options: KillOptions): boolean {
    const tasks = this.#table.list().filter(matches).reverse();
    for (const task of tasks) tell(task, options);
    return tasks.length > 0;
  }

  /** @internal A task has ended: everybody forgets it, after those who waited have been told. */
  _taskEnded(task: Task): void {
    this.#table.remove(task);
    this._liveness.ended(task);
    if (this._observers.size > 0) this._observers.ended(task);
    for (let ending = task._first; ending !== null; ending = task._first) {
      leaveLine(ending);
      (ending as Ending).ended(task);
    }
    if (task._mode === THROW && !task._heard) this.#unhandled.add(task);
    const owner = task._owner;
    task._owner = null;
    owner?._taskEnded(task);
    if (this.#mainLoops.size > 0) { for (const check of this.#mainLoops) check(); }
  }

  /** @internal */
  _setTimer(timer: Timer, ms: number): void {
    this._timers.start(timer, ms);
    if (this._timers.areRinging) return; // what is set while others ring does not ring with them
    if (this._turning && this.#clock.jump === undefined) return; // it gets its deadline with the next look
    this.#slice.look();
    if (!this._turning) this.#drive.wake(); // the alarm is set by the loop
  }

  /** @internal Tells an error that nobody else hears of. */
  _report(error: unknown, source: ErrorSource): void {
    this.#unhandled.report(error, source);
  }

  /** @internal It has failed: if nobody has looked by the end of the turn, it is told. */
  _mayBeUnheard(failure: Failure & ErrorSource): void {
    this.#unhandled.add(failure);
    if (!this.#drive.isBusy) this.#drive.rest();
  }

  /** @internal A turn without the host, for the explorer: it drives the scheduler, and moves its clock, itself. */
  _turnAlone(): void {
    this.#drive.turnAlone();
  }

  /** @internal Everything has ended: counts tids, and looks at the time, as if it were new. */
  _restart(): void {
    this.#lastTid = 0;
    this.#slice.restart();
  }
}

/** The processor is again that of whoever was on it before. `Object.assign` took 50 of 640 ns a turn. */
function giveBack(task: Task | null, credit: number, observed: boolean): void {
  processor.task = task;
  processor.credit = credit;
  processor.observed = observed;
}

/** Nobody waits with that token any more, if it is one. */
function isSpent(token: unknown, verb: string): false {
  if (token instanceof Parked) return false;
  throw new TypeError(`Cannot ${verb} ${describe(token)}: a token is wanted, as park gives it`);
}

function refuseInside(method: string): void {
  if (processor.task !== null) {
    throw new TypeError(
      `Cannot ${method} from inside ${processor.task}: the loop is turning; spawn or call instead`,
    );
  }
}

export const aScheduler: Kind = anInstance("a Scheduler", Scheduler);

/**
 * Runs a coroutine on the default scheduler: see {@linkcode Scheduler.run}.
 *
 * @param main What is run.
 * @param options Its name; a signal that kills all that this run owns.
 * @returns Main's value.
 *
 * @example
 * ```ts
 * import { run, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const value = await run(function* () {
 *   yield* sleep(1);
 *   return 42;
 * });
 * assertEquals(value, 42);
 * ```
 */
export function run<T>(main: Work<T>, options?: TaskOptions): Promise<T> {
  return Scheduler._default().run(main, options);
}
