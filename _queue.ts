/**
 * Queues: items from those who make them to those who use them, with room for so many in between.
 *
 * Items and tasks that wait for items are never there together: an item that comes while a task waits is handed to it,
 * past the store. So no task is woken in vain, and none that comes later can take what another was woken for.
 *
 * @module
 */

import { aCount, checkOptions, type Kinds } from "./_check.ts";
import { type Parked, ParkingPlace } from "./_parking.ts";
import { Fifo, Lifo, Sorted, type Store } from "./_store.ts";
import {
  awaitedBy,
  CallWaiter,
  LineCall,
  refuse,
  SYNC_OPTIONS,
  type SyncOptions,
  titled,
} from "./_waiting.ts";
import * as waiting from "./_waiting.ts";
import { InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { stand, takeFirst, wake } = waiting;

/** How a queue is set up. */
export interface QueueOptions<T> extends SyncOptions {
  /** How many items it holds before `put` waits: a whole number from 1, or `Infinity`, the default. */
  capacity?: number;
  /**
   * Which item is next: the oldest (`"fifo"`, the default), the newest (`"lifo"`), or the smallest by a comparison as in
   * `Array.prototype.sort`, the oldest of several that are equal.
   */
  order?: "fifo" | "lifo" | ((a: T, b: T) => number);
}

const QUEUE_OPTIONS: Kinds<QueueOptions<never>> = {
  ...SYNC_OPTIONS,
  capacity: aCount(1),
  order: {
    words: '"fifo", "lifo" or a comparison',
    is: (order) => order === "fifo" || order === "lifo" || typeof order === "function",
  },
};

/**
 * A queue of items. `put` waits while it is full, `get` while it is empty; who has waited longest is served first.
 *
 * @example
 * ```ts
 * import { Queue, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(function* () {
 *   const jobs = new Queue<string>({ capacity: 2, name: "jobs" });
 *   yield* spawn(function* () {
 *     for (;;) {
 *       log.push(`did ${yield* jobs.get()}`);
 *       jobs.taskDone();
 *     }
 *   }, { daemon: true });
 *   for (const job of ["a", "b", "c"]) yield* jobs.put(job);
 *   yield* jobs.join();
 *   log.push("all done");
 * });
 * assertEquals(log, ["did a", "did b", "did c", "all done"]);
 * ```
 */
export class Queue<T> {
  readonly #name: string;
  readonly #capacity: number;
  readonly #store: Store<T>;
  readonly #getters = new ParkingPlace<CallWaiter<Get<T>>>();
  readonly #putters = new ParkingPlace<CallWaiter<Put<T>>>();
  readonly #joiners = new ParkingPlace<CallWaiter<Join>>();
  #unfinished = 0;

  /**
   * An empty queue.
   *
   * @param options Its capacity, its order, its name.
   * @throws {TypeError} If an option is of the wrong kind.
   * @throws {RangeError} If the capacity is less than 1 or no whole number.
   */
  constructor(options: QueueOptions<T> = {}) {
    checkOptions("make a queue", options, QUEUE_OPTIONS);
    const { capacity = Infinity, order = "fifo" } = options;
    this.#name = options.name ?? "";
    this.#capacity = capacity;
    if (order === "fifo") this.#store = new Fifo();
    else if (order === "lifo") this.#store = new Lifo();
    else this.#store = new Sorted(order);
  }

  /** How many items are in it. */
  get size(): number {
    return this.#store.size;
  }

  /**
   * Puts an item in; waits while the queue is full.
   *
   * @param item The item.
   * @returns A system call.
   */
  put(item: T): SystemCall<void> {
    return new Put(this, item);
  }

  /**
   * Takes the next item out; waits while the queue is empty.
   *
   * @returns A system call that gives the item. If it is cancelled, the item stays for the next one.
   */
  get(): SystemCall<T> {
    return new Get(this);
  }

  /**
   * Puts an item in if that need not wait. Code outside tasks may call this too: it wakes a task that waits.
   *
   * @param item The item.
   * @returns Whether it is in.
   */
  tryPut(item: T): boolean {
    return this.#accept(item, null);
  }

  /**
   * Takes the next item out if that need not wait. Code outside tasks may call this too.
   *
   * @returns The item in an object; undefined if the queue is empty.
   */
  tryGet(): { value: T } | undefined {
    return this.#store.size === 0 ? undefined : { value: this.#take(null) };
  }

  /**
   * Waits until `taskDone` has been called for every item that was put in.
   *
   * @returns A system call.
   */
  join(): SystemCall<void> {
    return new Join(this);
  }

  /**
   * Says that an item which was taken out has been dealt with; for `join`. Code outside tasks may call this too.
   *
   * @throws {InvalidStateError} If it has been said of all items.
   */
  taskDone(): void {
    if (this.#unfinished === 0) {
      throw new InvalidStateError(`Cannot be done with an item of ${this._title}: all items are done`);
    }
    if (--this.#unfinished > 0) return;
    for (let waiter = this.#joiners.shift(); waiter !== null; waiter = this.#joiners.shift()) wake(waiter);
  }

  /** `queue "jobs", 2 items, awaited by task 3`. */
  toString(): string {
    const size = `${this.size} ${this.size === 1 ? "item" : "items"}`;
    return `${this._title}, ${size}${awaitedBy(this.#getters, this.#putters, this.#joiners)}`;
  }

  /** @internal */
  get _title(): string {
    return titled("queue", this.#name);
  }

  /** @internal */
  get _unfinished(): number {
    return this.#unfinished;
  }

  /** @internal */
  _put(call: Put<T>, task: Task, scheduler: Scheduler): void | Parked {
    if (!this.#accept(call.item, task)) return stand(this.#putters, new CallWaiter(call), task, scheduler);
  }

  /** @internal */
  _get(call: Get<T>, task: Task, scheduler: Scheduler): T | Parked {
    if (this.#store.size > 0) return this.#take(task);
    return stand(this.#getters, new CallWaiter(call), task, scheduler);
  }

  /** @internal */
  _join(call: Join, task: Task, scheduler: Scheduler): void | Parked {
    if (this.#unfinished > 0) return stand(this.#joiners, new CallWaiter(call), task, scheduler);
  }

  /** Hands an item to who waits for one, or keeps it. False if there is no room. */
  #accept(item: T, giver: Task | null): boolean {
    const getter = takeFirst(this.#getters, giver);
    if (getter !== null) wake(getter, item);
    else if (this.#store.size < this.#capacity) this.#store.push(item);
    else return false;
    this.#unfinished++;
    return true;
  }

  #take(taker: Task | null): T {
    const item = this.#store.shift();
    while (this.#store.size < this.#capacity) {
      const putter = takeFirst(this.#putters, taker);
      if (putter === null) break;
      try {
        this.#store.push(putter.call.item);
        this.#unfinished++;
        wake(putter);
      } catch (error) { // the comparison's
        refuse(putter, error);
      }
    }
    return item;
  }
}

class Put<T> extends LineCall<void> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare readonly queue: Queue<T>;
  declare readonly item: T;

  constructor(queue: Queue<T>, item: T) {
    super();
    this.queue = queue;
    this.item = item;
  }

  get reason(): string {
    return `put to ${this.queue._title}`;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.queue._put(this, task, scheduler);
  }
}

class Get<T> extends LineCall<T> {
  declare readonly queue: Queue<T>;

  constructor(queue: Queue<T>) {
    super();
    this.queue = queue;
  }

  get reason(): string {
    return `get from ${this.queue._title}`;
  }

  handle(task: Task, scheduler: Scheduler): T | Parked {
    return this.queue._get(this, task, scheduler);
  }
}

class Join extends LineCall<void> {
  // deno-lint-ignore no-explicit-any -- of items of any type
  readonly #queue: Queue<any>;

  // deno-lint-ignore no-explicit-any -- as above
  constructor(queue: Queue<any>) {
    super();
    this.#queue = queue;
  }

  get reason(): string {
    return `join of ${this.#queue._title}, ${this.#queue._unfinished} not done`;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#queue._join(this, task, scheduler);
  }
}
