/**
 * Traces: who was on the processor when, who waited for what, and who woke whom.
 *
 * It is written in the Chrome trace event format, which Perfetto (https://ui.perfetto.dev) and chrome://tracing show: each
 * task is a thread and each of its steps a slice on it, a wait is an asynchronous slice, and a wake-up an arrow from the
 * step of the one who woke to the first step of the other.
 *
 * A program that runs for days makes more events than memory can hold, and what matters is usually the last minute. So the
 * newest events lie in a ring, as data: what they will be in the file, pairs of begin and end among it, is made when it is
 * written. A pair can thus not be torn apart when the ring goes round.
 *
 * @module
 */

import { aCount, checkOptions, type Kinds } from "./_check.ts";
import type { Observer } from "./_options.ts";
import { processor } from "./_processor.ts";
import { aScheduler, Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** How a trace is taken. */
export interface TraceOptions {
  /** Whose tasks; the current scheduler's if not given. */
  scheduler?: Scheduler;
  /** The most events that are kept, the newest; 100 000 if not given. A step, a wait and a wake-up are one event each. */
  capacity?: number;
}

const TRACE_OPTIONS: Kinds<TraceOptions> = { scheduler: aScheduler, capacity: aCount(1) };

/** One event of the Chrome trace event format. */
export interface TraceEvent {
  /** Its kind: `X` a slice, `b` and `e` begin and end of a wait, `s` and `f` those of an arrow, `M` a name. */
  ph: "X" | "b" | "e" | "s" | "f" | "M";
  /** What it is called. */
  name: string;
  /** The process: always 1. */
  pid: number;
  /** The task. */
  tid: number;
  /** When, in microseconds of the scheduler's clock. */
  ts: number;
  /** How long, in microseconds; of slices. */
  dur?: number;
  /** Its category. */
  cat?: string;
  /** What pairs begin and end. */
  id?: string;
  /** That an arrow ends at the slice round it. */
  bp?: "e";
  /** More about it. */
  args?: Record<string, string | number>;
}

/** A trace under way, or one that was taken. `JSON.stringify` of it is the file. */
export interface Trace extends Disposable {
  /** The events that had no room any more. */
  readonly dropped: number;
  /** Takes no further events; what was taken stays. */
  stop(): void;
  /** What the file has to say. */
  toJSON(): { traceEvents: TraceEvent[]; displayTimeUnit: "ms"; otherData: Record<string, number> };
}

/** A step of a task, a wait, or a wake-up, which leads from one task to another. */
interface Entry {
  readonly kind: "step" | "wait" | "wake";
  readonly tid: number;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** What was waited for; how a step ended. */
  readonly text: string;
  /** Who woke. */
  readonly waker: number;
}

/** What is known of a task between two events. */
interface Open {
  stepSince: number;
  waitSince: number;
  reason: string | undefined;
  wokenBy: number;
  wokenAt: number;
}

class Tracer implements Trace, Observer {
  readonly #scheduler: Scheduler;
  readonly #capacity: number;
  readonly #observation: Disposable;
  readonly #ring: Entry[] = [];
  #next = 0;
  #dropped = 0;
  readonly #open = new Map<Task, Open>();

  constructor(scheduler: Scheduler, capacity: number) {
    this.#scheduler = scheduler;
    this.#capacity = capacity;
    for (const task of scheduler.tasks.values()) this.#meet(task);
    this.#observation = scheduler.observe(this);
  }

  get dropped(): number {
    return this.#dropped;
  }

  stop(): void {
    this.#observation[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  // ---- What is observed ----

  taskReady(task: Task): void {
    const open = this.#meet(task);
    const now = this.#scheduler.now();
    if (open.reason !== undefined) this.#add("wait", task, open.waitSince, now, open.reason);
    open.reason = undefined;
    const waker = processor.task;
    if (waker === null || waker === task || waker._scheduler !== this.#scheduler) return;
    open.wokenBy = waker.tid;
    open.wokenAt = now;
  }

  stepStart(task: Task): void {
    const open = this.#meet(task);
    open.stepSince = this.#scheduler.now();
    if (open.wokenBy !== 0) this.#add("wake", task, open.wokenAt, open.stepSince, "", open.wokenBy);
    open.wokenBy = 0;
  }

  stepEnd(task: Task): void {
    const open = this.#open.get(task);
    const now = this.#scheduler.now();
    const reason = task.waitingFor;
    if (open === undefined) return;
    this.#add("step", task, open.stepSince, now, reason ?? task.state);
    if (task.state === "ended") this.#open.delete(task);
    open.waitSince = now;
    open.reason = reason;
  }

  taskEnded(task: Task): void {
    // One that ends in a step is forgotten after it; one that was let go is in none.
    if (processor.task !== task) this.#open.delete(task);
  }

  #meet(task: Task): Open {
    let open = this.#open.get(task);
    if (open === undefined) {
      const now = this.#scheduler.now();
      open = { stepSince: now, waitSince: now, reason: task.waitingFor, wokenBy: 0, wokenAt: 0 };
      this.#open.set(task, open);
    }
    return open;
  }

  #add(kind: Entry["kind"], task: Task, from: number, to: number, text: string, waker = 0): void {
    const entry: Entry = { kind, tid: task.tid, name: task.name, from, to, text, waker };
    if (this.#ring.length < this.#capacity) {
      this.#ring.push(entry);
    } else {
      this.#ring[this.#next] = entry;
      this.#next = (this.#next + 1) % this.#capacity;
      this.#dropped++;
    }
  }

  // ---- What is written ----

  toJSON(): { traceEvents: TraceEvent[]; displayTimeUnit: "ms"; otherData: Record<string, number> } {
    const entries = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    const names = new Map<number, string>();
    for (const { tid, name } of entries) names.set(tid, name);
    for (const task of this.#open.keys()) names.set(task.tid, task.name);
    const traceEvents: TraceEvent[] = [
      { ph: "M", name: "process_name", pid: 1, tid: 0, ts: 0, args: { name: "genos" } },
    ];
    for (const [tid, name] of [...names].sort(([a], [b]) => a - b)) {
      const title = name === "" ? `task ${tid}` : `${name} (task ${tid})`;
      const base = { ph: "M", pid: 1, tid, ts: 0 } as const;
      traceEvents.push({ ...base, name: "thread_name", args: { name: title } });
      traceEvents.push({ ...base, name: "thread_sort_index", args: { sort_index: tid } });
    }
    entries.forEach((entry, i) => traceEvents.push(...eventsOf(entry, i)));
    for (const [{ tid }, { reason, waitSince }] of this.#open) {
      if (reason !== undefined) traceEvents.push(beginOfWait(tid, waitSince, reason)); // it still waits
    }
    traceEvents.sort((a, b) => a.ts - b.ts);
    return { traceEvents, displayTimeUnit: "ms", otherData: { dropped: this.#dropped } };
  }
}

function eventsOf({ kind, tid, name, from, to, text, waker }: Entry, i: number): TraceEvent[] {
  const ts = micros(from);
  const end = micros(to);
  if (kind === "step") {
    const title = name === "" ? `task ${tid}` : name;
    return [{ ph: "X", name: title, cat: "step", pid: 1, tid, ts, dur: end - ts, args: { then: text } }];
  }
  if (kind === "wait") {
    return [
      beginOfWait(tid, from, text),
      { ph: "e", name: text, cat: "wait", id: `wait ${tid}`, pid: 1, tid, ts: end },
    ];
  }
  const arrow = { name: "wakes", cat: "wake", id: `wake ${i}`, pid: 1 };
  return [{ ...arrow, ph: "s", tid: waker, ts }, { ...arrow, ph: "f", bp: "e", tid, ts: end }];
}

function beginOfWait(tid: number, from: number, reason: string): TraceEvent {
  return { ph: "b", name: reason, cat: "wait", id: `wait ${tid}`, pid: 1, tid, ts: micros(from) };
}

function micros(ms: number): number {
  return Math.round(1000 * ms);
}

/**
 * Takes a trace of a running scheduler, to be looked at in Perfetto (https://ui.perfetto.dev): the steps of each task, what
 * it waited for in between, and which task woke which.
 *
 * @param options Whose tasks, and how many events are kept.
 * @returns The trace. Its `JSON.stringify` is the file; it goes on until it is stopped, or disposed of.
 * @throws {TypeError} If an option is of the wrong kind.
 * @throws {RangeError} If `capacity` is no whole number from 1, or `Infinity`.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep, spawn } from "@genos/kernel";
 * import { trace } from "@genos/kernel/monitor";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler();
 * const taken = trace({ scheduler });
 * await scheduler.run(function* main() {
 *   yield* yield* spawn(sleep(1), { name: "sleeper" });
 * });
 * taken.stop();
 * const file = JSON.stringify(taken); // Deno.writeTextFile("trace.json", file)
 * const { traceEvents } = JSON.parse(file);
 * const waits = traceEvents.filter((event: { ph: string }) => event.ph === "b");
 * assertEquals(waits[0].name, 'join of task 2 "sleeper"');
 * ```
 */
export function trace(options: TraceOptions = {}): Trace {
  checkOptions("trace", options, TRACE_OPTIONS);
  const { scheduler = Scheduler.current(), capacity = 100_000 } = options;
  return new Tracer(scheduler, capacity);
}
