/**
 * Async iterables, item by item, for coroutines that can be cancelled between any two of them.
 *
 * The promise of the next item cannot be withdrawn, so it belongs to the reader and not to the task: a `next` that is
 * cancelled leaves it where it is, and the next `next` gets what it brings.
 *
 * @module
 */

import type { Operation } from "./_operation.ts";
import { describe } from "./_operation.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall, until } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** What {@linkcode each} gives: the items of an async iterable, one operation at a time. */
export interface Each<T> {
  /** Waits for the next item. When it is cancelled, the item stays for the next call. */
  next(): Operation<IteratorResult<T, undefined>>;
  /** Ends the iteration at its source, at once; to wait until that is done, `yield*` what it gives. */
  close(): Operation<void>;
}

type Arrival<T> = { result: IteratorResult<T, undefined> } | { error: unknown };

class ItemWaiter extends Waiter {
  readonly source = "outside";

  get reason(): string {
    return "the next item of an async iterable";
  }
}

class Items<T> implements Each<T> {
  readonly #iterator: AsyncIterator<T>;
  readonly #line = new ParkingPlace<ItemWaiter>();
  #arrived: Arrival<T> | undefined;
  #pending = false;
  #over = false;

  constructor(iterator: AsyncIterator<T>) {
    this.#iterator = iterator;
  }

  next(): Operation<IteratorResult<T, undefined>> {
    return new NextItem<T>((task, scheduler) => this.#take(task, scheduler));
  }

  close(): Operation<void> {
    this.#over = true;
    this.#arrived = undefined;
    this.#serve();
    const closed = Promise.resolve(this.#iterator.return?.()).then(() => undefined);
    closed.catch(() => {}); // heard by who waits for it
    return until(closed);
  }

  #take(task: Task, scheduler: Scheduler): IteratorResult<T, undefined> | Parked {
    const arrived = this.#arrived;
    if (this.#over) return { done: true, value: undefined };
    if (arrived !== undefined && this.#line.first === null) {
      this.#arrived = undefined;
      return open(arrived);
    }
    const waiter = new ItemWaiter();
    const parked = scheduler._parkAs(task, waiter);
    this.#line.push(waiter);
    this.#ask();
    return parked;
  }

  #ask(): void {
    if (this.#pending) return;
    this.#pending = true;
    const arrive = (arrived: Arrival<T>) => {
      this.#pending = false;
      this.#arrived = arrived;
      this.#serve();
    };
    // An iterator whose `next` throws at once has failed like one whose promise is rejected.
    new Promise<IteratorResult<T>>((resolve) => resolve(this.#iterator.next())).then(
      (result) => arrive({ result: result.done ? { done: true, value: undefined } : result }),
      (error) => arrive({ error }),
    );
  }

  #serve(): void {
    for (let waiter = this.#line.shift(); waiter !== null; waiter = this.#line.shift()) {
      const scheduler = waiter._task!._scheduler;
      if (this.#over) {
        scheduler.resume(waiter, { done: true, value: undefined });
        continue;
      }
      const arrived = this.#arrived!;
      this.#arrived = undefined;
      if ("error" in arrived) {
        this.#over = true;
        scheduler.fail(waiter, arrived.error);
        continue;
      }
      if (arrived.result.done) this.#over = true;
      scheduler.resume(waiter, arrived.result);
      if (this.#over) continue;
      if (this.#line.first !== null) this.#ask();
      return;
    }
  }
}

function open<T>(arrived: Arrival<T>): IteratorResult<T, undefined> {
  if ("error" in arrived) throw arrived.error;
  return arrived.result;
}

class NextItem<T> extends SystemCall<IteratorResult<T, undefined>> {
  readonly #take: (task: Task, scheduler: Scheduler) => IteratorResult<T, undefined> | Parked;

  constructor(take: (task: Task, scheduler: Scheduler) => IteratorResult<T, undefined> | Parked) {
    super();
    this.#take = take;
  }

  handle(task: Task, scheduler: Scheduler): IteratorResult<T, undefined> | Parked {
    return this.#take(task, scheduler);
  }
}

/**
 * Goes through an async iterable from a coroutine. Nothing is read ahead, and a `next` that is cancelled loses no item.
 *
 * @param iterable A stream, an async generator, any async iterable.
 * @returns An object whose `next()` is an operation that gives the next `IteratorResult`, and whose `close()` ends the
 * iteration at its source.
 * @throws {TypeError} If it is no async iterable.
 *
 * @example
 * ```ts
 * import { each, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: string[] = [];
 * await run(function* () {
 *   const items = each(ReadableStream.from(["a", "b"]));
 *   for (let item = yield* items.next(); !item.done; item = yield* items.next()) seen.push(item.value);
 *   yield* items.close();
 * });
 * assertEquals(seen, ["a", "b"]);
 * ```
 */
export function each<T>(iterable: AsyncIterable<T>): Each<T> {
  const iterate = iterable?.[Symbol.asyncIterator];
  if (typeof iterate !== "function") {
    throw new TypeError(`Cannot go through ${describe(iterable)}: an async iterable is wanted`);
  }
  const iterator: unknown = iterate.call(iterable);
  if (typeof (iterator as AsyncIterator<T> | undefined)?.next !== "function") {
    throw new TypeError(`Cannot go through ${describe(iterable)}: its iterator is ${describe(iterator)}`);
  }
  return new Items(iterator as AsyncIterator<T>);
}
