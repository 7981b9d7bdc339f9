/**
 * Counters: how often everything has happened.
 *
 * @module
 */

import { checkOptions } from "./_check.ts";
import type { Observer } from "./_options.ts";
import { kindOf } from "./_words.ts";
import { aScheduler, Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** What has been counted since the counting began. */
export interface Counts {
  /** Tasks that were started. */
  spawned: number;
  /** Tasks that returned. */
  returned: number;
  /** Tasks that failed. */
  failed: number;
  /** Tasks that were killed. */
  killed: number;
  /** How often a task went on the processor. */
  switches: number;
  /** How often a task joined the ready queue. */
  wakeups: number;
  /** System calls, by kind: `sleep`, `getTid`, `join`. */
  calls: Record<string, number>;
}

/** Counters that are running. */
export interface Counters extends Disposable {
  /** What has been counted so far: a copy. */
  read(): Counts;
}

class Counting implements Observer {
  readonly counts = { spawned: 0, returned: 0, failed: 0, killed: 0, switches: 0, wakeups: 0 };
  readonly calls = new Map<string, number>();

  taskCreated(): void {
    this.counts.spawned++;
  }

  taskReady(): void {
    this.counts.wakeups++;
  }

  stepStart(): void {
    this.counts.switches++;
  }

  systemCall(_task: Task, call: unknown): void {
    const kind = kindOf(call);
    this.calls.set(kind, (this.calls.get(kind) ?? 0) + 1);
  }

  taskEnded(task: Task): void {
    this.counts[task._endedAs]++;
  }
}

/**
 * Counts what happens on a scheduler: tasks, switches, calls by kind.
 *
 * @param options Whose; the current scheduler's if not given.
 * @returns The counters. They run until they are disposed of.
 *
 * @example
 * ```ts
 * import { getTid, Scheduler, sleep } from "@genos/kernel";
 * import { counters } from "@genos/kernel/monitor";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler();
 * using counting = counters({ scheduler });
 * await scheduler.run(function* () {
 *   yield* getTid();
 *   yield* sleep(1);
 * });
 * const { spawned, switches, calls } = counting.read();
 * assertEquals([spawned, switches, calls], [1, 2, { getTid: 1, sleep: 1 }]);
 * ```
 */
export function counters(options: { scheduler?: Scheduler } = {}): Counters {
  checkOptions("count", options, { scheduler: aScheduler });
  const { scheduler = Scheduler.current() } = options;
  const counting = new Counting();
  const observation = scheduler.observe(counting);
  return {
    read: () => ({ ...counting.counts, calls: Object.fromEntries(counting.calls) }),
    [Symbol.dispose]: () => observation[Symbol.dispose](),
  };
}
