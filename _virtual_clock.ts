/**
 * A clock for tests: time stands still until somebody moves it.
 *
 * @module
 */

import { aFiniteTime, checkGiven } from "./_check.ts";
import type { Clock } from "./_clock.ts";

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
   * @param start The time it shows, in ms, from 0; 0 if not given.
   * @throws {TypeError} If `start` is no number.
   * @throws {RangeError} If it is negative, `NaN` or infinite.
   */
  constructor(start = 0) {
    checkGiven("make a clock", "its start", start, aFiniteTime);
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
   * @throws {TypeError} If `ms` is no number.
   * @throws {RangeError} If it is negative, `NaN` or infinite.
   */
  advance(ms: number): void {
    checkGiven("advance a clock", "the time", ms, aFiniteTime);
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
    const at = this.#alarms.indexOf(alarm as Alarm);
    if (at !== -1) this.#alarms.splice(at, 1);
  }

  /** Goes to the earliest alarm and rings it. */
  jump(): boolean {
    const alarm = this.#earliest();
    if (alarm === undefined) return false;
    this.#ring(alarm);
    return true;
  }

  /** @internal The deadline of the earliest alarm; Infinity if none is set. */
  get _next(): number {
    return this.#earliest()?.deadline ?? Infinity;
  }

  /** @internal Goes to a time that is not before now, nor after the earliest alarm: what is due then rings. */
  _goTo(time: number): void {
    this.#now = Math.max(this.#now, time);
    for (
      let alarm = this.#earliest();
      alarm !== undefined && alarm.deadline <= time;
      alarm = this.#earliest()
    ) {
      this.#ring(alarm);
    }
  }

  /** @internal As if it were new. */
  _restart(): void {
    this.#now = 0;
    this.#alarms.length = 0;
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
