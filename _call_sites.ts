/**
 * `stacks: true`: at which line each frame has made its call, and each task was spawned.
 *
 * By the time an error has come down a task's stack, nobody can say any more at which line the callers stood: they are
 * suspended, and the engine answers that only to a debugger, and only later. So it has to be noted beforehand, at every call,
 * which costs microseconds where the call itself costs nanoseconds; therefore it is an option. It is an observer like
 * others: what it needs of the kernel the kernel does for any observer, and a program without it pays nothing.
 *
 * A call that is made with `yield*` is asked for its line from within, while its coroutine is still on the native stack. A
 * bare `yield` leaves the coroutine first; then only the name of its function is known.
 *
 * @module
 */

import type { Observer } from "./_options.ts";
import { isKernel } from "./_places.ts";
import { processor, WAITING } from "./_processor.ts";
import type { Task } from "./task.ts";

/** A stack that was noted. It is put in words when somebody reads it, which is most of what it costs. */
export interface Trace {
  readonly stack?: unknown;
}

const { captureStackTrace } = Error as {
  captureStackTrace?(target: object, above: unknown): void;
};

function capture(above: unknown): Trace | undefined {
  if (captureStackTrace === undefined) return undefined;
  const trace: Trace = {};
  captureStackTrace(trace, above);
  return trace;
}

/** Where the kernel's trampoline begins: below it the native stack says nothing of the program. */
const TRAMPOLINE = /^\s*at (?:\w+\.)?_(?:step|interrupt)\b/;

/** A generator that is resumed: a line of its own in a native stack, which only repeats the one before. */
const RESUMED = /\.(?:next|throw|return) \(<anonymous>\)$/;

/** File, line and column at the end of a line of a stack. */
const PLACE = /\(?([^\s(]+):(\d+):(\d+)\)?$/;

/** The lines of a native stack that belong to the program, and whether the rest was the kernel's trampoline. */
export function programLines(lines: string[]): { lines: string[]; inTask: boolean } {
  const end = lines.findIndex((line) => TRAMPOLINE.test(line));
  const own = end === -1 ? lines : lines.slice(0, end);
  return { lines: own.filter((line) => !RESUMED.test(line)), inTask: end !== -1 };
}

/** The lines of a trace: of a call that is made in a native `yield*` chain, its generators, innermost first. */
export function linesOfTrace(trace: Trace | undefined): { lines: string[]; inTask: boolean } {
  const { stack } = trace ?? {};
  if (typeof stack !== "string") return { lines: [], inTask: false };
  return programLines(stack.split("\n").slice(1));
}

/** Notes where calls are made and tasks spawned, for one scheduler. */
export class CallSites implements Observer {
  /** The call that a task is making. */
  readonly #noted = new WeakMap<Task, Trace>();
  /** By coroutine: the call that it has made last. */
  readonly #calls = new WeakMap<object, Trace>();
  readonly #spawns = new WeakMap<Task, Trace>();
  /** The task whose call is being handled: the native stack has left its coroutine. */
  #calling: Task | null = null;

  /**
   * Called from within a call's `next`, before the coroutine leaves the native stack.
   *
   * @param task Who makes the call.
   * @param next That method: what is above it on the native stack is not the program's.
   */
  note(task: Task, next: unknown): void {
    const trace = capture(next);
    if (trace !== undefined) this.#noted.set(task, trace);
  }

  /** The call is handled: it is known now whose it is. One that comes by a bare `yield` has no line. */
  systemCall(task: Task): void {
    const trace = this.#noted.get(task);
    this.#noted.delete(task);
    this.#calling = task;
    if (trace === undefined) this.#calls.delete(task._top!);
    else this.#calls.set(task._top!, trace);
  }

  systemCallEnd(): void {
    this.#calling = null;
  }

  /** A bare `yield` is no call, so the last call is not where it stands. */
  stepEnd(task: Task): void {
    this.#calling = null;
    if (task._state !== WAITING && task._top !== null) this.#calls.delete(task._top);
  }

  /** By a call that is being handled, or by a plain function: `group.spawn`, `scheduler.spawn`, `run`. */
  taskCreated(task: Task): void {
    const { task: spawner } = processor;
    const isCall = spawner !== null && spawner === this.#calling;
    const trace = isCall ? this.#calls.get(spawner._top!) : capture(this.taskCreated);
    if (trace !== undefined) this.#spawns.set(task, trace);
  }

  /** The last call of a coroutine. */
  callOf(coroutine: object): Trace | undefined {
    return this.#calls.get(coroutine);
  }

  /** Where a coroutine stands: of a native chain, its outermost generator. */
  placeOf(coroutine: object): { file: string; line: number; column: number } | undefined {
    const { lines, inTask } = linesOfTrace(this.#calls.get(coroutine));
    const place = inTask ? PLACE.exec(lines.at(-1) ?? "") : null;
    return place === null ? undefined : { file: place[1]!, line: Number(place[2]), column: Number(place[3]) };
  }

  /** The line at which a task was spawned: `worker (file:///app.ts:5:9)`. */
  spawnOf(task: Task): string | undefined {
    const { lines } = linesOfTrace(this.#spawns.get(task));
    const line = lines.find((line) => {
      const place = PLACE.exec(line);
      return place !== null && !isKernel(place[1]!);
    });
    return line?.trim().replace(/^at /, "");
  }
}
