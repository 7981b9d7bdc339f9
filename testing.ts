/**
 * What tests of genos programs are made with: a clock that stands still until it is moved, a network in memory with all the
 * troubles of a real one, and a sweep that interrupts a program at each of its steps.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep } from "@genos/kernel";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * await scheduler.run(sleep(3_600_000)); // at once
 * assertEquals(scheduler.now(), 3_600_000);
 * ```
 *
 * @module
 */

import type { Clock } from "./_clock.ts";
export type { Clock } from "./_clock.ts";
export type { Choices } from "./_chance.ts";
export type { NetworkConditions, SimulatedNetworkOptions, Span } from "./_medium.ts";
export { SimulatedNetwork } from "./_simulated_network.ts";
export { sweep, SweepError, type SweepOptions, type SweepReport } from "./_sweep.ts";

interface Alarm {
  deadline: number;
  ring: () => void;
}

/**
 * A clock whose time stands still while any task is ready, and then jumps to the next deadline; unless a task waits for
 * the host or for a promise, then it stands until that has come, or `advance` is called.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep, spawn } from "@genos/kernel";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * const log: string[] = [];
 * await scheduler.run(function* () {
 *   yield* spawn(function* () {
 *     yield* sleep(1000);
 *     log.push(`late at ${scheduler.now()}`);
 *   });
 *   yield* sleep(500);
 *   log.push(`early at ${scheduler.now()}`);
 * });
 * assertEquals(log, ["early at 500", "late at 1000"]);
 * ```
 */
export class VirtualClock implements Clock {
  #now: number;
  #alarms: Alarm[] = [];

  /**
   * A clock that stands.
   *
   * @param start The time it shows, in ms; 0 if not given.
   */
  constructor(start = 0) {
    this.#now = start;
  }

  /** The time it shows, in ms. */
  now(): number {
    return this.#now;
  }

  /**
   * Moves the time forward, deadline by deadline: what is due on the way wakes at exactly its time.
   *
   * @param ms Milliseconds.
   * @throws {RangeError} If `ms` is negative or `NaN`.
   */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`Cannot advance by ${ms} ms: time goes forward only`);
    const end = this.#now + ms;
    for (
      let alarm = this.#earliest();
      alarm !== undefined && alarm.deadline <= end;
      alarm = this.#earliest()
    ) {
      this.#ring(alarm);
    }
    this.#now = end;
  }

  /** Calls `ring` when the time has come to `deadline`. */
  setAlarm(deadline: number, ring: () => void): unknown {
    const alarm = { deadline, ring };
    this.#alarms.push(alarm);
    return alarm;
  }

  /** Withdraws an alarm. */
  clearAlarm(alarm: unknown): void {
    this.#alarms = this.#alarms.filter((other) => other !== alarm);
  }

  /** Goes to the earliest alarm and rings it. */
  jump(): boolean {
    const alarm = this.#earliest();
    if (alarm === undefined) return false;
    this.#ring(alarm);
    return true;
  }

  #ring(alarm: Alarm): void {
    this.clearAlarm(alarm);
    this.#now = Math.max(this.#now, alarm.deadline);
    alarm.ring();
  }

  #earliest(): Alarm | undefined {
    let earliest: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (earliest === undefined || alarm.deadline < earliest.deadline) earliest = alarm;
    }
    return earliest;
  }
}
