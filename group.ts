/**
 * Groups: tasks that end together.
 *
 * A group is a boundary on its owner's stack, like a timeout, with tasks hung on it. Whatever leaves through it waits for
 * them: so no child outlives the call that started it, and no error of a child is lost. A failure fires the boundary as an
 * expired timeout does; there is no second way to cancel. Trio's nursery, with handles, and with the owner's own cleanup
 * first: it may still want to talk to its children.
 *
 * `all`, `race`, `settle` and `asCompleted` are groups whose children are given as a list or a record.
 *
 * @module
 */

import { Children } from "./_children.ts";
import { type AsCompleted, Completions } from "./_completions.ts";
import { FirstOf, isSingleWait, type SelectCase } from "./_select.ts";
import { Boundary, gather, NEXT, RETURN, THROW, type Unwinding } from "./_boundary.ts";
import { fire } from "./_cancellation.ts";
import { aCount, checkOptions, type Kinds } from "./_check.ts";
import { EndCallback } from "./_endings.ts";
import { tell } from "./_kill.ts";
import { describe, ENTERED, type FrameIterator, frameOf, isGenerator } from "./_operation.ts";
import type { Operation, Work, Yieldable } from "./_operation.ts";
import type { TaskOptions } from "./_options.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import { hear } from "./_promises.ts";
import { Cancelled, JoinError } from "./errors.ts";
import { Future } from "./future.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall } from "./syscalls.ts";
import { type Outcome, type Owner, Task } from "./task.ts";

export type { AsCompleted } from "./_completions.ts";

/** What the body of {@linkcode taskGroup} gets. */
export interface TaskGroup {
  /**
   * Starts a child.
   *
   * @param work What it runs.
   * @param options Its name, whether it is a daemon, a signal that kills it.
   * @returns Its handle.
   * @throws {TypeError} If the group has ended, or `work` is no coroutine.
   */
  spawn<T>(work: Work<T>, options?: TaskOptions): Task<T>;
  /**
   * Cancels the children, and the body at its next wait.
   *
   * @param reason What their `Cancelled` says.
   */
  cancel(reason?: unknown): void;
}

/** The owner of a group, which waits at its end for the children. */
class GroupWaiter extends Waiter {
  readonly #group: Group;
  #frozen = false;

  constructor(group: Group) {
    super();
    this.#group = group;
    this.freeze();
  }

  get reason(): string {
    const { children } = this.#group;
    const [first] = children;
    return children.size === 1 ? `the end of ${first}` : `the end of ${children.size} tasks of its group`;
  }

  holders(): Iterable<Task> {
    return this.#group.children;
  }

  /** While it waits for children that are being killed, its own grace stands still. */
  freeze(): void {
    if (this.#frozen || !this.#group.closing || !this.#group.owner._dying) return;
    this.#frozen = true;
    this.#group.owner._extra.kill!.freeze(this);
  }

  thaw(): void {
    if (this.#frozen) this.#group.owner._extra.kill!.thaw(this);
    this.#frozen = false;
  }

  override cancel(): void {
    super.cancel();
    this.thaw();
  }
}

/** @internal Waits until a group has no children. */
export class GroupEnd extends SystemCall<void> {
  readonly #group: Group;

  constructor(group: TaskGroup) {
    super();
    this.#group = group as Group;
  }

  handle(task: Task, scheduler: Scheduler): Parked | void {
    if (this.#group.children.size === 0) return;
    const waiter = new GroupWaiter(this.#group);
    const parked = scheduler._parkAs(task, waiter);
    this.#group.line.push(waiter);
    return parked;
  }
}

/** @internal Called when a child of a group has ended: true if its failure is no failure of the group. */
export type ChildEnded = (group: Group, child: Task) => boolean;

/** @internal */
export class Group extends Boundary implements Owner, TaskGroup {
  readonly owner: Task;
  readonly children: Children = new Children();
  readonly line: ParkingPlace<GroupWaiter> = new ParkingPlace();
  /** What failed: children, the body, cleanup. */
  readonly #errors: unknown[] = [];
  /** The children have been told to end. */
  closing = false;
  #ended = false;
  /** How the body ended; undefined while it runs. */
  #body: { mode: number; inbox: unknown } | undefined;
  /** The body was unwound because the group was cancelled. */
  #cutShort = false;
  #reason: unknown;
  readonly joins = true;
  readonly #childEnded: ChildEnded | undefined;

  constructor(owner: Task, childEnded?: ChildEnded) {
    super();
    this.owner = owner;
    this.#childEnded = childEnded;
  }

  override get words(): string {
    const { size } = this.children;
    return `group of ${size} ${size === 1 ? "task" : "tasks"}`;
  }

  override get reason(): unknown {
    return this.#reason;
  }

  override get cancellable(): boolean {
    return true;
  }

  get run(): Owner | null {
    return this.owner._owner === null ? null : this.owner._owner.run;
  }

  spawn<T>(work: Work<T>, options?: TaskOptions): Task<T> {
    if (this.#ended) throw new TypeError("Cannot spawn: the group has ended");
    const child = this.owner._scheduler._spawn(work, options, this, this.owner.tid);
    return child;
  }

  cancel(reason?: unknown): void {
    if (this.#ended) return;
    this.#close(reason);
  }

  /** @internal */
  _taskStarted(child: Task): void {
    this.children.add(child);
  }

  /** @internal */
  _taskEnded(child: Task): void {
    this.children.ended();
    const inHand = this.#childEnded !== undefined && this.#childEnded(this, child);
    // If somebody was waiting for it, the error is with that one now, who may catch it.
    if (child._mode === THROW && !inHand && !child._heard) {
      child._heard = true;
      this.#failed(child._error);
    }
    if (this.children.size > 0) return;
    for (let waiter = this.line.shift(); waiter !== null; waiter = this.line.shift()) {
      waiter.thaw();
      this.owner._scheduler.resume(waiter);
    }
  }

  #failed(error: unknown): void {
    this.#addError(error);
    this.#close(error);
  }

  /** Cancels the children only. */
  cancelChildren(reason: unknown): void {
    this.closing = true;
    this.#reason = reason;
    this.#tellChildren(false);
  }

  /** Cancels the body, if it still runs, and the children. */
  #close(reason: unknown): void {
    if (this.closing) return;
    this.closing = true;
    this.#reason = reason;
    if (this.#body === undefined && !this.fired) fire(this.owner, this);
    this.#tellChildren(false);
  }

  /** Its owner is let go as it stands: the children end without it, and belong to its run. */
  override abandoned(error: unknown): void {
    this.closing = this.#ended = true;
    this.#reason = error;
    const { run } = this;
    for (const child of this.children.list()) {
      child._owner = run;
      run?._taskStarted(child);
    }
    this.#tellChildren(false);
  }

  #tellChildren(force: boolean): void {
    for (const child of this.children.list().reverse()) {
      tell(child, { reason: this.#reason, force });
    }
    for (const waiter of this.line) waiter.freeze();
  }

  override leave(task: Task, unwound: Unwinding | null): void {
    if (this.#body === undefined) this.#bodyEnded(task, unwound);
    else if (task._mode !== NEXT) this.#waitCut(task, unwound);
    if (this.children.size > 0) {
      task._mode = NEXT;
      task._inbox = undefined;
      task._enter(this, new GroupEnd(this) as unknown as FrameIterator);
      return;
    }
    this.#ended = true;
    const body = this.#body!;
    if (this.#errors.length > 0) {
      task._mode = THROW;
      task._inbox = gather(this.#errors);
    } else if (this.#cutShort) {
      task._mode = THROW;
      task._inbox = new JoinError("the group was cancelled", { cause: body.inbox });
    } else {
      task._mode = body.mode;
      task._inbox = body.inbox;
    }
  }

  #bodyEnded(task: Task, unwound: Unwinding | null): void {
    this.#body = { mode: task._mode, inbox: task._inbox };
    if (unwound !== null) {
      this.#cutShort = true;
      this.#body.inbox = unwound.cancelled;
      for (const error of unwound.errors) this.#addError(error);
    } else if (task._mode === THROW) {
      if (!(task._inbox instanceof Cancelled)) this.#failed(task._inbox);
      else this.#closeWithOwner(task, task._inbox.reason);
    } else if (task._mode === RETURN) {
      this.#closeWithOwner(task, undefined);
    }
  }

  /** The wait for the children was cut short, from below or above: what it brought goes on when they have ended. */
  #waitCut(task: Task, unwound: Unwinding | null): void {
    if (unwound !== null) {
      for (const error of unwound.errors) this.#addError(error);
      return; // the group itself has failed or been cancelled: the children know
    }
    this.#body = { mode: task._mode, inbox: task._inbox };
    this.#cutShort = false;
    this.#closeWithOwner(task, task._inbox instanceof Cancelled ? task._inbox.reason : undefined);
  }

  #closeWithOwner(task: Task, reason: unknown): void {
    const forced = task._mode === RETURN;
    if (!this.closing) {
      this.closing = true;
      this.#reason = reason;
      this.#tellChildren(forced);
    } else if (forced) {
      this.#tellChildren(true);
    }
  }

  #addError(error: unknown): void {
    if (!this.#errors.includes(error)) this.#errors.push(error);
  }
}

/** @internal A call whose work runs above a group. */
export class GroupCall<T> extends SystemCall<T> {
  readonly #body: (group: TaskGroup) => Work<T>;
  readonly #childEnded: ChildEnded | undefined;

  constructor(body: (group: TaskGroup) => Work<T>, childEnded?: ChildEnded) {
    super();
    this.#body = body;
    this.#childEnded = childEnded;
  }

  override get _isSingle(): boolean {
    return false;
  }

  override toString(): string {
    return "taskGroup";
  }

  handle(task: Task): T {
    const group = new Group(task, this.#childEnded);
    const frame = frameOf(this.#body(group), "run as the body of a group");
    task._enter(group, frame);
    return ENTERED as T;
  }
}

/**
 * Runs a coroutine with a group of tasks that end with it. It gives the body's value when every child has ended. The first
 * failure, of a child or of the body, cancels the body and the other children, waits for all cleanup, and is thrown; several
 * failures are thrown as one `AggregateError`. A failed child that somebody joins and catches is no failure of the group,
 * nor is one that was killed by hand.
 *
 * @param body What is run. It gets the group, to spawn into.
 * @returns An operation that gives the body's value.
 * @throws The failure of a child or of the body; `JoinError` if the group was cancelled before the body had its value.
 *
 * @example
 * ```ts
 * import { run, sleep, taskGroup } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(taskGroup(function* (group) {
 *   for (const name of ["a", "b"]) {
 *     group.spawn(function* () {
 *       yield* sleep(1);
 *       log.push(name);
 *     });
 *   }
 *   log.push("body");
 * }));
 * assertEquals(log, ["body", "a", "b"]);
 * ```
 */
export function taskGroup<T>(body: (group: TaskGroup) => Work<T>): Operation<T> {
  if (typeof body !== "function") {
    throw new TypeError(
      `Cannot make a group of ${describe(body)}: a function that takes the group is wanted`,
    );
  }
  return new GroupCall(body);
}

// ---- Lists and records -----------------------------------------------------------------------------------------------

/** What can be waited for together with others: what a coroutine may yield, or a function that gives an operation. */
export type Awaitable<T = unknown> = Work<T> | PromiseLike<T>;

/** The value that a {@linkcode Awaitable} brings. */
export type ValueOf<A> = A extends () => Operation<infer T> ? T
  : A extends Operation<infer T> ? T
  : A extends PromiseLike<infer T> ? T
  : never;

/** A list or a record of what is waited for. */
export type Awaitables = readonly Awaitable[] | { readonly [name: string]: Awaitable };

/** The values of a list or record, in its shape. */
export type ValuesOf<A> = { -readonly [K in keyof A]: ValueOf<A[K]> };

/** The outcomes of a list or record, in its shape. */
export type OutcomesOf<A> = { -readonly [K in keyof A]: Outcome<ValueOf<A[K]>> };

/** The value of any one of a list or record. */
export type AnyValueOf<A> = A extends readonly unknown[] ? ValueOf<A[number]> : ValueOf<A[keyof A]>;

/** How many may run at once. */
export interface ConcurrencyOptions {
  /** How many may run at once, a whole number from 1, or `Infinity`; all if not given. */
  concurrency?: number;
}

const CONCURRENCY_OPTIONS: Kinds<ConcurrencyOptions> = { concurrency: aCount(1) };
const NO_OPTIONS: ConcurrencyOptions = {};

// The generator functions here are declared once. Each closure that is one has a hidden class for its generators, which
// lives until the next full collection of garbage and keeps all that the closure sees alive so long: `all` of 1 000 took
// twice as long when its body was one.

function* waitFor(item: Yieldable): Generator<Yieldable, unknown> {
  return (yield item) as unknown;
}

/** @internal Whether a coroutine is such a wait, and none of the program's. */
export function isWaitOfGroup(coroutine: object): boolean {
  return coroutine instanceof waitFor;
}

/** What a child of a group runs for an item: the item itself, or a wait for it. */
function workOf(item: Awaitable, verb: string): Work<unknown> {
  if (typeof item === "function" || isGenerator(item)) return item as Work<unknown>;
  const waitable = typeof item === "object" && item !== null;
  // Its wait begins when a task comes to it: a rejection before that is not unhandled.
  hear(item);
  if (waitable && (item instanceof Task || typeof (item as PromiseLike<unknown>).then === "function")) {
    return () => waitFor(item as Yieldable);
  }
  if (
    waitable && typeof (item as Operation<unknown>)[Symbol.iterator] === "function" && !Array.isArray(item)
  ) {
    return item as Operation<unknown>;
  }
  throw new TypeError(`Cannot ${verb} ${describe(item)}: what a coroutine may yield is wanted`);
}

/** What is to be run, in order. */
function worksOf(awaitables: Awaitables, verb: string): Work<unknown>[] {
  if (typeof awaitables !== "object" || awaitables === null) {
    throw new TypeError(`Cannot ${verb} ${describe(awaitables)}: a list or a record is wanted`);
  }
  const prototype: unknown = Object.getPrototypeOf(awaitables);
  if (!Array.isArray(awaitables) && prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(
      `Cannot ${verb} ${describe(awaitables)}: a list or a record is wanted; did you forget the brackets?`,
    );
  }
  const items = Array.isArray(awaitables) ? awaitables as readonly Awaitable[] : Object.values(awaitables);
  return items.map((item: Awaitable) => workOf(item, verb));
}

/** Runs the items in a group, so many at once, and gives the tasks in the order of the items. */
function* runItems(
  group: TaskGroup,
  items: Work<unknown>[],
  concurrency = Infinity,
): Generator<Yieldable, Task[]> {
  const tasks: Task[] = [];
  if (items.length <= concurrency) {
    for (const item of items) tasks.push(group.spawn(item));
    yield* new GroupEnd(group);
    return tasks;
  }
  const line = new ParkingPlace<SlotWaiter>();
  let free = concurrency;
  for (const item of items) {
    if (free === 0) yield* new Slot(line);
    else free--;
    if ((group as Group).closing) break; // one has failed
    const task = group.spawn(item);
    task._whenEnded(
      new EndCallback(() => {
        const waiter = line.shift();
        if (waiter === null) free++;
        else waiter._task!._scheduler.resume(waiter);
      }),
    );
    tasks.push(task);
  }
  yield* new GroupEnd(group);
  return tasks;
}

class SlotWaiter extends Waiter {
  get reason(): string {
    return "one of those that run at once to end";
  }
}

class Slot extends SystemCall<void> {
  readonly #line: ParkingPlace<SlotWaiter>;

  constructor(line: ParkingPlace<SlotWaiter>) {
    super();
    this.#line = line;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const waiter = new SlotWaiter();
    const parked = scheduler._parkAs(task, waiter);
    this.#line.push(waiter);
    return parked;
  }
}

/** The names in a record; undefined for a list. */
function namesOf(awaitables: Awaitables): string[] | undefined {
  return Array.isArray(awaitables) ? undefined : Object.keys(awaitables);
}

/** The results of the tasks in the shape of the list or record. */
function inShape(names: string[] | undefined, results: unknown[]): unknown {
  return names === undefined ? results : Object.fromEntries(names.map((name, i) => [name, results[i]]));
}

/**
 * Waits for all: their values, in the same shape and order. The first failure cancels the others and is thrown. Coroutines
 * and calls run as tasks of their own; tasks, futures and promises are waited for.
 *
 * @param awaitables A list or a record.
 * @param options How many may run at once.
 * @returns An operation that gives the values.
 * @throws The failure of one; several as an `AggregateError`.
 *
 * @example
 * ```ts
 * import { all, run, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const values = await run(all({
 *   slow: function* () {
 *     yield* sleep(2);
 *     return 1;
 *   },
 *   promise: Promise.resolve("two"),
 * }));
 * assertEquals(values, { slow: 1, promise: "two" });
 * ```
 */
export function all<const A extends Awaitables>(
  awaitables: A,
  options: ConcurrencyOptions = NO_OPTIONS,
): Operation<ValuesOf<A>> {
  if (options !== NO_OPTIONS) checkOptions("wait for all", options, CONCURRENCY_OPTIONS);
  const works = worksOf(awaitables, "wait for all of");
  const names = namesOf(awaitables);
  return new GroupCall((group) => allOf<ValuesOf<A>>(group, works, names, options.concurrency));
}

function* allOf<R>(
  group: TaskGroup,
  works: Work<unknown>[],
  names: string[] | undefined,
  concurrency: number | undefined,
): Generator<Yieldable, R> {
  const tasks = yield* runItems(group, works, concurrency);
  return inShape(names, tasks.map((task) => task._result())) as R;
}

/**
 * Waits for all, however they end.
 *
 * @param awaitables A list or a record.
 * @param options How many may run at once.
 * @returns An operation that gives the outcomes, in the same shape and order.
 *
 * @example
 * ```ts
 * import { run, settle } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const outcomes = await run(settle([Promise.resolve(1), Promise.reject(2)]));
 * assertEquals(outcomes, [{ kind: "returned", value: 1 }, { kind: "failed", error: 2 }]);
 * ```
 */
export function settle<const A extends Awaitables>(
  awaitables: A,
  options: ConcurrencyOptions = NO_OPTIONS,
): Operation<OutcomesOf<A>> {
  if (options !== NO_OPTIONS) checkOptions("settle", options, CONCURRENCY_OPTIONS);
  const works = worksOf(awaitables, "settle");
  const names = namesOf(awaitables);
  const items = Object.values(awaitables) as Awaitable[];
  const body = (group: TaskGroup) =>
    outcomesOf<OutcomesOf<A>>(group, works, items, names, options.concurrency);
  return new GroupCall(body, (_group, child) => child._heard = true);
}

function* outcomesOf<R>(
  group: TaskGroup,
  works: Work<unknown>[],
  items: Awaitable[],
  names: string[] | undefined,
  concurrency: number | undefined,
): Generator<Yieldable, R> {
  const tasks = yield* runItems(group, works, concurrency);
  return inShape(names, tasks.map((task, i) => outcomeOf(items[i], task))) as R;
}

/** How an item ended, which was run by `task`, or waited for. */
function outcomeOf(item: unknown, task: Task): Outcome<unknown> {
  const outcome = task.outcome!;
  if (item instanceof Task) return item.outcome!;
  if (item instanceof Future && item.cancelled()) {
    return { kind: "killed", reason: (item.exception() as JoinError).cause };
  }
  return outcome;
}

/**
 * Waits for the first to end, whether it returned or failed. The others are cancelled, and their cleanup awaited, before
 * the result comes. A task, future or promise that loses is no longer waited for, but not touched.
 *
 * Of single waits, such as `socket.recv()`, `queue.get()` and `sleep(ms)`, the losers take nothing: see {@linkcode select}.
 * What a coroutine has taken before it loses, it has taken.
 *
 * @param awaitables A list or a record; not empty.
 * @returns An operation that gives the value of the first, or throws its error.
 * @throws {TypeError} If there is nothing to race.
 *
 * @example
 * ```ts
 * import { race, run, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const winner = await run(race([
 *   sleep(60_000),
 *   function* () {
 *     yield* sleep(1);
 *     return "fast";
 *   },
 * ]));
 * assertEquals(winner, "fast");
 * ```
 */
export function race<const A extends Awaitables>(awaitables: A): Operation<AnyValueOf<A>> {
  const works = worksOf(awaitables, "race");
  if (works.length === 0) throw new TypeError("Cannot race nothing: nobody would ever win");
  const items = Object.values(awaitables) as Awaitable[];
  const waits = items.filter(isSingleWait);
  if (waits.length === items.length) return new FirstOf<AnyValueOf<A>>(waits);
  // The single waits run as one, in the place of the first of them.
  const first = items.findIndex(isSingleWait);
  const others = works.filter((_, i) => i === first || !isSingleWait(items[i]));
  return new Race<AnyValueOf<A>>(others, first, waits);
}

/**
 * The call of a race of coroutines, and perhaps of single waits. Two of these could both have taken something before either
 * is told that it has lost: so they are the cases of one `select`, and that has won when it is decided, not when its task
 * comes to run.
 */
class Race<T> extends GroupCall<T> {
  winner: Task | undefined;

  constructor(works: Work<unknown>[], first: number, waits: SelectCase[]) {
    super(
      (group) => this.#run(group as Group, works, first, waits),
      (group, child) => this.#childEnded(group, child),
    );
  }

  *#run(group: Group, works: Work<unknown>[], first: number, waits: SelectCase[]): Generator<Yieldable, T> {
    this.winner = undefined;
    for (const [i, work] of works.entries()) {
      if (i !== first) {
        group.spawn(work);
      } else {
        const child: Task = group.spawn(new FirstOf(waits, () => this.#decide(group, child)));
      }
    }
    yield* new GroupEnd(group);
    return this.winner!._result() as T;
  }

  /** It has won, if it is the first. */
  #decide(group: Group, child: Task): void {
    if (this.winner !== undefined) return;
    this.winner = child;
    child._heard = true;
    group.cancelChildren(new Error("another was first"));
  }

  #childEnded(group: Group, child: Task): boolean {
    this.#decide(group, child);
    if (this.winner === child) return true;
    return !child._dying; // it ended by itself, too late: its error, if it has one, is nobody's
  }
}

/**
 * Goes through a list in the order in which its members end; those that are done already come first, in the order of the
 * list. What has to be run is started by the first `next()`, and told to end when the task that called this has ended, or
 * before, when the object is closed: who does not go through all of it declares it with `using`.
 *
 * @param awaitables A list or a record.
 * @returns An object whose `next()` waits for the next to end, and whose `close()` gives up the rest.
 *
 * @example
 * ```ts
 * import { asCompleted, run, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const order: string[] = [];
 * await run(function* () {
 *   const names = asCompleted([3, 1, 2].map((ms) => function* () {
 *     yield* sleep(20 * ms);
 *     return `after ${ms}`;
 *   }));
 *   for (let name = yield* names.next(); !name.done; name = yield* names.next()) order.push(name.value);
 * });
 * assertEquals(order, ["after 1", "after 2", "after 3"]);
 * ```
 */
export function asCompleted<const A extends Awaitables>(awaitables: A): AsCompleted<AnyValueOf<A>> {
  return new Completions(worksOf(awaitables, "go through"));
}
