/**
 * Tasks: a call stack of coroutines, run by a trampoline.
 *
 * A generator can only give way to whoever called `next`, so a coroutine that called another directly could be suspended
 * only through it: each resume would climb down through all of them, and a deep call would overflow. The answer is as old
 * as PEP 342: a coroutine yields the one that it calls; the task keeps the caller on a stack of its own, and runs the
 * callee until it ends. A resume then costs the same at any depth, and the kernel sees every frame, so that it can also
 * unwind them: see `_boundary.ts`.
 *
 * @module
 */

import { type Boundary, Frame, gather, type Unwinding } from "./_boundary.ts";
import * as boundaries from "./_boundary.ts";
import { deliver, withdraw } from "./_cancellation.ts";
import * as endings from "./_endings.ts";
import type { Ending } from "./_endings.ts";
import type { Kill } from "./_kill.ts";
import { describe, generatorPrototype, TRAP, TrapIterator } from "./_operation.ts";
import type { FrameIterator, Operation, OperationIterator, Trap } from "./_operation.ts";
import * as operations from "./_operation.ts";
import * as states from "./_processor.ts";
import { Parked, type Waiter } from "./_parking.ts";
import * as parking from "./_parking.ts";
import { Cancelled, JoinError } from "./errors.ts";
import { awaitPromise } from "./_promises.ts";
import { noteThrow, stitch } from "./_stitch.ts";
import { titleOf } from "./_frames.ts";
import * as flagsOfTasks from "./_task_flags.ts";
import type { Scheduler } from "./scheduler.ts";

/** How a task ended. */
export type Outcome<T> =
  | { kind: "returned"; value: T }
  | { kind: "failed"; error: unknown }
  | { kind: "killed"; reason: unknown };

/** How a task stands: it is in the ready queue, on the processor, parked, or over. */
export type TaskState = "ready" | "running" | "waiting" | "ended";

const STATES: readonly TaskState[] = ["ready", "ready", "running", "waiting", "ended"];

const { next: generatorNext, throw: generatorThrow } = generatorPrototype;

// What each switch and call needs is not imported by name: wherever an imported binding is used V8 loads and checks it, and
// it folds a constant of the module itself. That is 2 of 30 ns a switch, and 4 of 15 ns a call.
const { CREDIT, ENDED, processor, READY, RUNNING, WAITING, YIELDED } = states;
const { NEXT, THROW } = boundaries;
const { ENTERED, isGenerator, iteratorOf } = operations;
const { standIn } = parking;
const { EndCallback, Join } = endings;
const { DAEMON, DISPATCH, FOREIGN, KILLED, MODE, OBSERVED, PENDING } = flagsOfTasks;

/** Whom a task belongs to: a run or a group. */
export interface Owner {
  /** Whether somebody may wait for the end of its tasks: a ring of waits can then lead through it. */
  readonly joins: boolean;
  /** To whom the tasks belong that its tasks spawn. */
  readonly run: Owner | null;
  /** The task of a run that all others come from. */
  readonly main?: Task | undefined;
  /** @internal */
  _taskStarted(task: Task): void;
  /** @internal */
  _taskEnded(task: Task): void;
}

/** What only some tasks have. */
class Extras {
  /** The unwindings under way, innermost first. */
  unwinding: Unwinding | null = null;
  /** The first of the boundaries that wait to be delivered, in the order in which they fired. */
  pending: Boundary | null = null;
  kill: Kill | null = null;
  /** Since when, and how often, the task has left a shield while a cancellation waited for its next wait. */
  unshielded: { since: number; times: number } | null = null;
  controller: AbortController | null = null;
  /** What is to be undone at its end. */
  atEnd: (() => void)[] | null = null;
  /** What it holds and others may wait for, linked: locks. */
  held: Held | null = null;
  /** The values of task-local variables. Shared with its children, so never changed in place. */
  locals: ReadonlyMap<object, unknown> | null = null;
}

/** Something that a task holds, and that others may wait for: it is told when its holder ends without letting go. */
export interface Held {
  /** @internal the next that the same task holds */
  _nextHeld: Held | null;
  /** @internal */
  _previousHeld: Held | null;
  /** @internal */
  _holderEnded(task: Task): void;
}

/**
 * A task: a stack of coroutines with a number, a state and an outcome. `yield* task` waits for its value, and so does
 * `await task`. Tasks are made by `spawn`.
 *
 * @example
 * ```ts
 * import { run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   const task = yield* spawn(function* worker() {
 *     yield;
 *     return "done";
 *   });
 *   assertEquals([task.name, task.state], ["worker", "ready"]);
 *   assertEquals(yield* task, "done");
 *   assertEquals(task.outcome, { kind: "returned", value: "done" });
 * });
 * ```
 */
// Of the heap it takes 24 bytes and 8 for each of its 16 fields, 152 in all; its generator 136 in V8 15, and 32 more if it
// waits in `yield*`; its bucket in the task table 8 to 16; the wait, which is token, place in a line and iterator in one, 64
// for a sleep, 72 for an event or a future, 80 for a join, and elsewhere 64 beside the call. What only some tasks have is in
// `Extras`, 88 bytes.
export class Task<T = unknown> implements Operation<T>, PromiseLike<T> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  /** Its number, counted from 1 in each scheduler. */
  declare readonly tid: number;
  /** The name it was given, or that of the function it was made from; may be empty. */
  declare readonly name: string;
  /** The tid of the task that spawned it; undefined if code outside tasks did. */
  declare readonly parent: number | undefined;
  /** @internal */
  declare readonly _scheduler: Scheduler;
  /** @internal the run or group it belongs to */
  declare _owner: Owner | null;
  /** @internal */
  declare _state: number;
  /** @internal the mode, in which it goes on or has ended, and flags */
  declare _flags: number;
  /** @internal */
  declare _steps: number;
  /** @internal the coroutine that is on the processor, or parked */
  declare _top: FrameIterator | null;
  /** @internal its callers and boundaries */
  declare _stack: Frame | null;
  /** @internal the innermost boundary on the stack */
  declare _boundary: Boundary | null;
  /** @internal what it goes on with; at the end its value or error */
  declare _inbox: unknown;
  /** @internal the wait it is in */
  declare _parked: Parked | null;
  /** @internal the next in its bucket of the task table */
  declare _link: Task | null;
  /** @internal the first of those who wait for its end: a task is their line */
  declare _first: Waiter | null;
  /** @internal */
  declare _extras: Extras | null;

  /** @internal Tasks are made by `spawn`. */
  constructor(
    scheduler: Scheduler,
    tid: number,
    name: string,
    top: FrameIterator,
    parent: number | undefined,
    owner: Owner | null,
  ) {
    this.tid = tid;
    this.name = name;
    this.parent = parent;
    this._scheduler = scheduler;
    this._owner = owner;
    this._state = READY;
    this._flags = isGenerator(top) ? NEXT : NEXT | FOREIGN;
    this._steps = 0;
    this._top = top;
    this._stack = null;
    this._boundary = null;
    this._inbox = undefined;
    this._parked = null;
    this._link = null;
    this._first = null;
    this._extras = null;
  }

  /** @internal How it goes on, or has ended. */
  get _mode(): number {
    return this._flags & MODE;
  }
  set _mode(mode: number) {
    this._flags = (this._flags & ~MODE) | mode;
  }

  /** Whether it ends with its run instead of keeping it alive. */
  get daemon(): boolean {
    return (this._flags & DAEMON) !== 0;
  }

  /** Whether it is in the ready queue, on the processor, parked, or over. */
  get state(): TaskState {
    return STATES[this._state]!;
  }

  /** What it waits for, in words: `sleep until 1250`, `recv 127.0.0.1:50312`; undefined if it does not wait. */
  get waitingFor(): string | undefined {
    if (this._parked === null) return undefined;
    try {
      const { reason } = this._parked._wait;
      return typeof reason === "string" ? reason : describe(reason);
    } catch (error) {
      return `something that cannot be told: ${error}`; // somebody else's getter
    }
  }

  /** How it ended; undefined while it lives. */
  get outcome(): Outcome<T> | undefined {
    if (this._state !== ENDED) return undefined;
    this._flags |= OBSERVED;
    if (this._mode === NEXT) return { kind: "returned", value: this._inbox as T };
    if (this._mode === THROW) return { kind: "failed", error: this._inbox };
    return { kind: "killed", reason: (this._inbox as Cancelled).reason };
  }

  /** `task 7 "client"`. */
  toString(): string {
    return this.name === "" ? `task ${this.tid}` : `task ${this.tid} ${JSON.stringify(this.name)}`;
  }

  /**
   * An operation that waits for its end and gives its value.
   *
   * @returns Its value. A task that failed throws its error, one that was killed a `JoinError`.
   */
  join(): Operation<T> {
    return this;
  }

  /** Waits for its end: its value, its error, or `JoinError` if it was killed. */
  [Symbol.iterator](): OperationIterator<T> {
    return new Join<T>(this);
  }

  /** Waits for its end, for code that awaits: its value, its error, or `JoinError` if it was killed. */
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return new Promise<T>((resolve, reject) => {
      const settle = () => {
        try {
          const value = this._result();
          // To resolve with what resolves to itself is to ask it again and again, in microtasks, for ever.
          if (value === this as unknown) throw new TypeError(`Cannot await ${this}: its value is itself`);
          resolve(value);
        } catch (error) {
          reject(error);
        }
      };
      this._flags |= OBSERVED;
      if (this._state === ENDED) settle();
      else this._whenEnded(new EndCallback(settle));
    }).then(onFulfilled, onRejected);
  }

  /** Kills it and waits until its cleanup is done: `await using task = …`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this._scheduler.kill(this as Task);
  }

  /** @ignore A task that is yielded is joined. */
  [TRAP](task: Task): unknown {
    return new Join(this as Task).begin(task);
  }

  // ---- The trampoline ----

  /** @internal Runs until it waits, gives way or ends. It must be ready, and out of the ready queue. */
  _step(): void {
    processor.task = this as Task;
    processor.credit = CREDIT;
    this._state = RUNNING;
    this._steps++;
    if ((this._flags & MODE) === DISPATCH && !this._dispatch(this._inbox)) return;
    for (;;) {
      const flags = this._flags;
      const value = this._inbox;
      this._inbox = undefined;
      let result: IteratorResult<unknown, unknown>;
      try {
        if ((flags & (MODE | FOREIGN)) === NEXT) {
          result = generatorNext.call(this._top!, value);
        } else if ((flags & MODE) === NEXT) {
          result = plain(this._top!.next(value));
        } else if ((flags & MODE) === THROW && isOperation(this._top)) {
          // It is a frame by itself, as in `timeout(10, queue.get())`: a throw that would go through it and no further costs
          // V8 half a microsecond.
          this._inbox = value;
          if (this._leave()) continue;
          return;
        } else {
          this._mode = NEXT;
          result = this._interrupt(flags & MODE, value);
        }
      } catch (error) {
        if (this._state !== RUNNING) this._unpark();
        noteThrow(this as Task, error);
        this._mode = THROW;
        this._inbox = error;
        if (this._leave()) continue;
        return;
      }
      const yielded = result.value;
      if (result.done) {
        if (this._state !== RUNNING) this._unpark();
        this._inbox = yielded;
        if (this._leave()) continue;
        return;
      }
      if (this._state !== RUNNING) {
        // A call was handled inside the coroutine, which is now parked, or ready again.
        if ((this._flags & PENDING) !== 0 && this._state === WAITING) deliver(this as Task);
        return;
      }
      if (yielded === undefined) {
        this._giveWay();
        return;
      }
      if (yielded === ENTERED) continue; // a call has put its frame on the stack
      if (!this._dispatch(yielded)) return;
    }
  }

  /** @internal Throws into the coroutine on top, or closes it. */
  _interrupt(mode: number, error: unknown): IteratorResult<unknown, unknown> {
    const top = this._top!;
    if (mode !== THROW) {
      return top.return === undefined ? { done: true, value: undefined } : plain(top.return(undefined));
    }
    return (this._flags & FOREIGN) === 0 ? generatorThrow.call(top, error) : plain(top.throw(error));
  }

  /** @internal To the end of the ready queue, where it can be cancelled as if it waited. */
  _giveWay(): void {
    this._state = YIELDED;
    this._scheduler._enqueue(this as Task);
    if ((this._flags & PENDING) !== 0) deliver(this as Task);
  }

  /** @internal Handles what was yielded. False if the task has left the processor. */
  _dispatch(yielded: unknown): boolean {
    if (--processor.credit < 0) {
      // Put off before it is handled: it can then still be cancelled without a loss.
      this._mode = DISPATCH;
      this._inbox = yielded;
      this._giveWay();
      return false;
    }
    this._mode = NEXT;
    try {
      const result = processor.observed
        ? this._scheduler._observers.call(this as Task, yielded)
        : this._trap(yielded);
      if (this._state === RUNNING) {
        if (result !== ENTERED) this._inbox = result;
        return true;
      }
      this._leftBy(result);
    } catch (error) {
      if (this._state !== RUNNING) this._unpark();
      this._mode = THROW;
      this._inbox = error;
      return true;
    }
    if ((this._flags & PENDING) !== 0 && this._state === WAITING) deliver(this as Task);
    return false;
  }

  /** @internal A call has taken the task off the processor and gave `result`: checks that the two agree. */
  _leftBy(result: unknown): void {
    if (result === this._parked || result instanceof Parked) return;
    if (this._state === WAITING) {
      throw new TypeError(
        "Cannot wait: the system call has parked the task, but gave a value instead of the token",
      );
    }
    this._inbox = result; // it has given way with `schedule`
  }

  /** @internal */
  _trap(yielded: unknown): unknown {
    if ((typeof yielded === "object" && yielded !== null) || typeof yielded === "function") {
      const scheduler = this._scheduler;
      if ((yielded as Partial<Trap>)[TRAP] !== undefined) {
        return (yielded as Trap)[TRAP](this as Task, scheduler);
      }
      const iterator = iteratorOf(yielded, "call");
      if (iterator !== undefined) {
        this._enter(null, iterator);
        return ENTERED;
      }
      if (typeof (yielded as PromiseLike<unknown>).then === "function") {
        return awaitPromise(this as Task, yielded as PromiseLike<unknown>);
      }
    }
    const hint = typeof yielded === "function"
      ? "did you forget to call it"
      : "a result is returned, not yielded";
    throw new TypeError(
      `Cannot wait for ${
        describe(yielded)
      }: a coroutine yields nothing, a system call, another coroutine or ` +
        `operation, a task, a future or a promise (${hint}?)`,
    );
  }

  // ---- The stack ----

  /** @internal Puts a frame on the stack, with a boundary below it: what was on top is then its caller. */
  _enter(boundary: Boundary | null, iterator: FrameIterator): void {
    const top = this._top;
    if (top !== null) this._stack = new Frame(top, this._stack);
    if (boundary !== null) this._push(boundary);
    this._setTop(iterator);
  }

  /** @internal */
  _setTop(iterator: FrameIterator): void {
    this._top = iterator;
    if (isGenerator(iterator)) this._flags &= ~FOREIGN;
    else this._flags |= FOREIGN;
  }

  /** @internal */
  _push(boundary: Boundary): void {
    const below = this._stack;
    boundary.below = below;
    boundary.depth = below === null ? 0 : below.depth + 1;
    boundary.outer = this._boundary;
    this._stack = this._boundary = boundary;
  }

  /** @internal The frame on top has ended: goes on with its caller. False if there is none: the task has ended. */
  _leave(): boolean {
    this._top = null;
    for (;;) {
      const below = this._stack;
      const unwinding = this._extras === null ? null : this._extras.unwinding;
      if (unwinding !== null) {
        const depth = below === null ? 0 : below.depth + 1;
        if (depth <= unwinding.doomed) {
          // However it ended, a doomed frame hands on nothing but the cancellation.
          const failed = this._mode === THROW && !(this._inbox instanceof Cancelled);
          if (failed && !unwinding.errors.includes(this._inbox)) unwinding.errors.push(this._inbox);
          this._mode = unwinding.mode;
          this._inbox = unwinding.mode === THROW ? unwinding.cancelled : undefined;
          unwinding.doomed = depth - 1;
        }
      }
      if (below === null) {
        this._end();
        return false;
      }
      this._stack = below.below;
      if (below.iterator !== null) {
        this._setTop(below.iterator);
        return true;
      }
      const boundary = below as Boundary;
      this._boundary = boundary.outer;
      if (boundary.fired && !boundary.delivered) withdraw(this as Task, boundary);
      if (unwinding !== null && unwinding.target === boundary) {
        this._extras!.unwinding = unwinding.outer;
        boundary.leave(this as Task, unwinding);
      } else {
        boundary.leave(this as Task, null);
      }
      if (this._top !== null) return true;
    }
  }

  /** @internal The last frame has ended. */
  _end(): void {
    const extras = this._extras;
    if (extras !== null) {
      const { kill, unwinding } = extras;
      if (unwinding !== null) {
        // Only a kill lies below the last frame.
        this._mode = unwinding.errors.length > 0 ? THROW : KILLED;
        this._inbox = unwinding.errors.length > 0 ? gather(unwinding.errors) : unwinding.cancelled;
      }
      if (kill !== null) this._scheduler._timers.clear(kill);
      extras.unwinding = extras.controller = null;
      extras.pending = null;
      const undos = extras.atEnd ?? [];
      extras.atEnd = null;
      for (const undo of undos) undo();
    }
    if (this._mode === THROW) stitch(this as Task, this._inbox);
    this._state = ENDED;
    while (extras !== null && extras.held !== null) {
      const held = extras.held;
      this._letGo(held);
      held._holderEnded(this as Task);
    }
    this._scheduler._taskEnded(this as Task);
  }

  /** @internal It would not end: it is taken out of the kernel as it stands. */
  _abandon(error: unknown): void {
    if (this._state === WAITING) this._unpark();
    for (let b = this._boundary; b !== null; b = b.outer) b.abandoned(error);
    noteThrow(this as Task, error); // that is where it did not end
    stitch(this as Task, error);
    this._top = this._stack = this._boundary = null;
    this._extra.unwinding = null;
    this._mode = THROW;
    this._inbox = error;
    this._flags |= OBSERVED; // it is reported here
    this._scheduler._report(error, this as Task);
    this._end();
  }

  // ---- What else the kernel asks of it ----

  /** @internal Ends a wait from within. */
  _unpark(): void {
    const parked = this._parked;
    if (this._state === READY) this._scheduler._dequeue(this as Task);
    this._state = RUNNING;
    if (parked === null) return;
    this._parked = null;
    this._scheduler._waitOver(parked);
    const wait = parked._wait;
    try {
      wait.cancel?.();
    } catch (error) {
      this._scheduler._report(error, this as Task);
    }
  }

  /** @internal */
  _whenEnded(waiter: Ending): void {
    standIn(this as Task, waiter);
  }

  /** @internal Parks `task` until this one has ended. */
  _awaitEnd(task: Task, waiter: Ending): Parked {
    task._scheduler._refuseRing(task, this as Task);
    const parked = task._scheduler._parkAs(task, waiter);
    this._whenEnded(waiter);
    if (this._extras !== null && this._extras.kill !== null) waiter.targetIsDying();
    return parked;
  }

  /** @internal Its value, or its error thrown. It must have ended. */
  _result(): T {
    this._flags |= OBSERVED;
    if (this._mode === NEXT) return this._inbox as T;
    if (this._mode === THROW) throw this._inbox;
    const cancelled = this._inbox as Cancelled;
    throw new JoinError(`${this} was killed: ${cancelled.message}`, { cause: cancelled });
  }

  /** @internal How it ended, for who only watches: to look at `outcome` would be to have heard of a failure. */
  get _endedAs(): Outcome<T>["kind"] {
    return this._mode === NEXT ? "returned" : this._mode === THROW ? "failed" : "killed";
  }

  /** @internal Somebody has seen, or will see, how it ends. */
  get _heard(): boolean {
    return (this._flags & OBSERVED) !== 0;
  }
  set _heard(heard: boolean) {
    if (heard) this._flags |= OBSERVED;
  }

  /** @internal What it failed with. */
  get _error(): unknown {
    return this._inbox;
  }

  /** @internal */
  get _extra(): Extras {
    return this._extras ??= new Extras();
  }

  /** @internal */
  _hold(held: Held): void {
    const extra = this._extra;
    held._nextHeld = extra.held;
    if (extra.held !== null) extra.held._previousHeld = held;
    extra.held = held;
  }

  /** @internal */
  _letGo(held: Held): void {
    const next = held._nextHeld;
    const previous = held._previousHeld;
    if (previous === null) this._extra.held = next;
    else previous._nextHeld = next;
    if (next !== null) next._previousHeld = previous;
    held._nextHeld = held._previousHeld = null;
  }

  /** @internal Its kill has been delivered. */
  get _dying(): boolean {
    return this._extras?.kill?.delivered === true;
  }

  /** @internal Where it stands, for a report. */
  get _standing(): string {
    const depth = this._stack === null ? 1 : this._stack.depth + 2;
    const name = (this._top === null ? "" : titleOf(this._top)) || "its coroutine";
    return `in ${name}${depth === 1 ? "" : `, ${depth} frames deep`}, ${this.waitingFor ?? this.state}`;
  }
}

/** Whether it is an operation of the kernel. */
function isOperation(top: FrameIterator | null): boolean {
  return top instanceof Parked || top instanceof TrapIterator;
}

/** What a foreign iterator has given, looked at where its errors still are those of its coroutine. */
function plain(result: IteratorResult<unknown, unknown>): IteratorResult<unknown, unknown> {
  if ((typeof result !== "object" && typeof result !== "function") || result === null) {
    throw new TypeError(`Cannot go on: the iterator gave ${describe(result)}, where an object is wanted`);
  }
  const { done = false, value } = result;
  return { done, value } as IteratorResult<unknown, unknown>;
}
