/**
 * A log of system calls, in the manner of strace: what each task asks the kernel for, what it gets, how long that took.
 *
 * A call that is answered at once is one line. One that waits is two, as other tasks go on in between: the first, which ends
 * with dots, when the task has left the processor, so that a log of a program that hangs ends with what it hangs in.
 *
 * @module
 */

import { aFunction, checkOptions, type Kinds } from "./_check.ts";
import { describe } from "./_operation.ts";
import type { Observer } from "./_options.ts";
import { printable } from "./_table.ts";
import { wordsOfCall, wordsOfSpan, wordsOfValue } from "./_words.ts";
import { aScheduler, Scheduler } from "./scheduler.ts";
import type { Outcome, Task } from "./task.ts";

/** What is logged. */
export interface SystemCallLogOptions {
  /** Whose tasks; the current scheduler's if not given. */
  scheduler?: Scheduler;
  /** Which of them; all if not given. */
  filter?: (task: Task) => boolean;
}

const LOG_OPTIONS: Kinds<SystemCallLogOptions> = { scheduler: aScheduler, filter: aFunction };

class SystemCallLog implements Observer {
  readonly #scheduler: Scheduler;
  readonly #write: (line: string) => void;
  readonly #filter: (task: Task) => boolean;
  /** The calls that are not answered, and what has been written of them. */
  readonly #open = new Map<Task, { call: unknown; since: number; words: string | undefined }>();

  constructor(scheduler: Scheduler, write: (line: string) => void, filter: (task: Task) => boolean) {
    this.#scheduler = scheduler;
    this.#write = write;
    this.#filter = filter;
  }

  systemCall(task: Task, call: unknown): void {
    if (this.#filter(task)) this.#open.set(task, { call, since: this.#scheduler.now(), words: undefined });
  }

  stepEnd(task: Task): void {
    const open = this.#open.get(task);
    const reason = task.waitingFor;
    if (open === undefined || reason === undefined) return;
    open.words = reason;
    this.#line(task, open.since, `${reason} …`);
  }

  systemCallEnd(task: Task, call: unknown, outcome: Outcome<unknown> | undefined): void {
    const open = this.#open.get(task);
    if (open === undefined || open.call !== call) return;
    this.#open.delete(task);
    const now = this.#scheduler.now();
    const words = open.words === undefined ? wordsOfCall(call) : `… ${open.words}`;
    if (outcome === undefined) this.#line(task, now, `${words} begins`);
    else this.#line(task, now, `${words} = ${wordsOfOutcome(outcome)} <${wordsOfSpan(now - open.since)}>`);
  }

  taskEnded(task: Task): void {
    this.#open.delete(task);
  }

  #line(task: Task, at: number, text: string): void {
    const title = task.name === "" ? String(task.tid) : `${task.tid} ${task.name}`;
    this.#write(printable(`${at.toFixed(3)} [${title}] ${text}`));
  }
}

function wordsOfOutcome(outcome: Outcome<unknown>): string {
  if (outcome.kind === "returned") return wordsOfValue(outcome.value);
  if (outcome.kind === "failed") return wordsOfValue(outcome.error);
  return outcome.reason === undefined ? "cancelled" : `cancelled: ${wordsOfValue(outcome.reason)}`;
}

/**
 * Logs the system calls of tasks: `12.345 [7 client] recv 127.0.0.1:50312 = 64 bytes <0.12 ms>`, with the time in ms of the
 * scheduler's clock, and how long it took. A call that waits has a line when it begins to, and another when it is answered.
 * A call that runs some work of its own, such as `timeout`, `begins`.
 *
 * @param write Gets each line, without its end.
 * @param options Whose calls.
 * @returns What ends the log when it is disposed of.
 *
 * @example
 * ```ts
 * import { getTid, Scheduler, sleep } from "@genos/kernel";
 * import { logSystemCalls } from "@genos/kernel/monitor";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * const lines: string[] = [];
 * using _log = logSystemCalls((line) => lines.push(line), { scheduler });
 * await scheduler.run(function* main() {
 *   yield* getTid();
 *   yield* sleep(5);
 * });
 * assertEquals(lines, [
 *   "0.000 [1 main] getTid = 1 <0 ms>",
 *   "0.000 [1 main] sleep until 5 …",
 *   "5.000 [1 main] … sleep until 5 = undefined <5 ms>",
 * ]);
 * ```
 */
export function logSystemCalls(
  write: (line: string) => void,
  options: SystemCallLogOptions = {},
): Disposable {
  if (typeof write !== "function") {
    throw new TypeError(`Cannot log system calls to ${describe(write)}: a function is wanted`);
  }
  checkOptions("log system calls", options, LOG_OPTIONS);
  const { scheduler = Scheduler.current(), filter = () => true } = options;
  return scheduler.observe(new SystemCallLog(scheduler, write, filter));
}
