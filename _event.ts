/**
 * Events: something that happens once, and that any number of tasks wait for.
 *
 * @module
 */

import type { OperationIterator, Yieldable } from "./_operation.ts";
import {
  leaveLine,
  type Line,
  type Parked,
  proceed,
  standIn,
  Waiter,
  type WaitingOperation,
} from "./_parking.ts";
import { awaitedBy, LineCall, nameOf, type SyncOptions, titled, wake } from "./_waiting.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

/**
 * A flag that tasks wait for. Whoever waits when it is set goes on, in the order of coming; who comes while it is set
 * does not wait.
 *
 * @example
 * ```ts
 * import { Event, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const log: string[] = [];
 * await run(function* () {
 *   const ready = new Event("ready");
 *   const first = yield* spawn(function* () {
 *     yield* ready.wait();
 *     log.push("first");
 *   });
 *   yield;
 *   assertEquals(first.waitingFor, 'event "ready"');
 *   ready.set();
 *   yield* ready.wait();
 *   log.push("main does not wait");
 * });
 * assertEquals(log, ["main does not wait", "first"]);
 * ```
 */
export class Event {
  readonly #name: string;
  #isSet = false;
  /** @internal the first of those who wait for it: an event is their line */
  _first: Waiter | null = null;

  /**
   * An event that has not happened.
   *
   * @param options Its name, or its name as an option.
   * @throws {TypeError} If the name is no string.
   */
  constructor(options?: string | SyncOptions) {
    this.#name = nameOf("an event", options);
  }

  /** Whether it has happened. */
  get isSet(): boolean {
    return this.#isSet;
  }

  /** It has happened: all who wait go on. Code outside tasks may call this too. */
  set(): void {
    this.#isSet = true;
    for (let waiter = this._first; waiter !== null; waiter = this._first) {
      leaveLine(waiter);
      wake(waiter);
    }
  }

  /** It has not happened: whoever comes from now on waits. */
  clear(): void {
    this.#isSet = false;
  }

  /**
   * Waits until it has happened.
   *
   * @returns A system call.
   */
  wait(): SystemCall<void> {
    return new WaitEvent(this);
  }

  /** `event "ready", not set, awaited by task 2`. */
  toString(): string {
    return `${this._title}, ${this.#isSet ? "set" : "not set"}${awaitedBy(this)}`;
  }

  /** @internal */
  get _title(): string {
    return titled("event", this.#name);
  }
}

class WaitEvent extends LineCall<void> {
  readonly #event: Event;

  constructor(event: Event) {
    super();
    this.#event = event;
  }

  get reason(): string {
    return this.#event._title;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return new EventWait(this.#event).begin(task, scheduler);
  }

  /** The iterator of `yield*`: what a waiting task keeps is the wait alone. */
  override [Symbol.iterator](): OperationIterator<void> {
    return new EventWait(this.#event);
  }
}

/** A task that waits for an event: the operation, and the wait if there is one. */
class EventWait extends Waiter implements OperationIterator<void>, WaitingOperation<void> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare scheduler: Scheduler | null;

  constructor(event: Event) {
    super(event as Line);
    this.scheduler = null;
  }

  get target(): SystemCall<void> {
    return (this._place as Event).wait();
  }

  get reason(): string {
    return (this._place as Event)._title;
  }

  begin(task: Task, scheduler: Scheduler): void | Parked {
    const event = this._place as Event;
    if (event.isSet) return;
    const parked = scheduler._parkAs(task, this);
    standIn(event, this);
    return parked;
  }

  next(value?: unknown): IteratorResult<Yieldable, void> {
    return proceed(this, value);
  }

  throw(error: unknown): IteratorResult<Yieldable, void> {
    throw error;
  }
}
