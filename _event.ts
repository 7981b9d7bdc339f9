/**
 * Events: something that happens once, and that any number of tasks wait for.
 *
 * @module
 */

import { type Parked, ParkingPlace } from "./_parking.ts";
import {
  awaitedBy,
  CallWaiter,
  LineCall,
  nameOf,
  stand,
  type SyncOptions,
  titled,
  wake,
} from "./_waiting.ts";
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
  readonly #line = new ParkingPlace<CallWaiter<WaitEvent>>();
  #isSet = false;

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
    for (let waiter = this.#line.shift(); waiter !== null; waiter = this.#line.shift()) wake(waiter);
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
    return `${this._title}, ${this.#isSet ? "set" : "not set"}${awaitedBy(this.#line)}`;
  }

  /** @internal */
  get _title(): string {
    return titled("event", this.#name);
  }

  /** @internal */
  _wait(call: WaitEvent, task: Task, scheduler: Scheduler): void | Parked {
    if (!this.#isSet) return stand(this.#line, new CallWaiter(call), task, scheduler);
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
    return this.#event._wait(this, task, scheduler);
  }
}
