/**
 * `select`: one wait for several things, of which exactly one happens.
 *
 * A race of tasks cannot promise that: two of them may both have taken their item before either is told that it has lost.
 * So the cases of a `select` are no tasks. Each parks a token of its own in its own line, and all tokens stand for the one
 * wait of the selecting task: whoever resumes the first of them thereby takes the others out of their lines, before
 * anything else can happen. CSP's alternative, Go's `select`.
 *
 * @module
 */

import { isRecord } from "./_check.ts";
import { describe, type Operation, TRAP, type Trap } from "./_operation.ts";
import { Parked, type Wait } from "./_parking.ts";
import { hear } from "./_promises.ts";
import { Future } from "./future.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall, until } from "./syscalls.ts";
import { Task } from "./task.ts";

/** What can be a case of {@linkcode select}: a single wait. */
export type SelectCase<T = unknown> = Operation<T> | PromiseLike<T>;

/** The cases by name. */
export type SelectCases = { readonly [name: string]: SelectCase };

/** What {@linkcode select} answers: the name of the case that went on, and its value. */
export type Selected<C extends SelectCases> = {
  [N in keyof C & string]: {
    name: N;
    value: C[N] extends Operation<infer T> ? T : C[N] extends PromiseLike<infer T> ? Awaited<T> : never;
  };
}[keyof C & string];

/** One wait for several things: its cases park with it, and the first that is resumed undoes the others. */
export interface Choosing {
  /** Parks a case. */
  parkCase(task: Task, token: Parked): Parked;
  /** Ends the wait with what a case has brought. */
  resumeCase(parked: Parked, value: unknown, failed: boolean): boolean;
}

/** The one wait for all cases. */
class Choice extends Parked implements Wait, Choosing {
  /** The names of the cases that are parked, by their tokens. */
  readonly #parked = new Map<Parked, string>();
  readonly #scheduler: Scheduler;
  readonly #select: Select<unknown>;
  /** The name of the case that is being tried. */
  trying = "";
  /** Known when all cases are parked, and not changed then: the scheduler counts by it. */
  source: "tasks" | "host" | "outside" | "either" = "tasks";
  /** A case that was resumed while the next ones were tried. */
  won: { name: string; value: unknown; failed: boolean } | undefined;

  constructor(scheduler: Scheduler, select: Select<unknown>) {
    super();
    this.#scheduler = scheduler;
    this.#select = select;
  }

  get reason(): string {
    return [...this.#parked].map(([token, name]) => `${name}: ${token._wait.reason}`).join(" | ");
  }

  parkCase(task: Task, token: Parked): Parked {
    token._task = task;
    token._since = this._since;
    this.#parked.set(token, this.trying);
    return token;
  }

  /** All cases are parked. */
  close(): void {
    const sources = new Set([...this.#parked.keys()].map((token) => token._wait.source));
    this.source = (["host", "outside", "either"] as const).find((source) => sources.has(source)) ?? "tasks";
  }

  resumeCase(token: Parked, value: unknown, failed: boolean): boolean {
    const name = this.#parked.get(token);
    if (name === undefined) return false;
    this.#parked.delete(token);
    token._task = null;
    this.cancel();
    if (this._task === null) {
      this.won = { name, value, failed };
      return true;
    }
    if (failed) this.#scheduler.fail(this, value);
    else this.#scheduler.resume(this, this.#select.answer(name, value));
    this.#select.decided();
    return true;
  }

  /** Takes the cases out of their lines. */
  cancel(): void {
    const tokens = [...this.#parked.keys()];
    this.#parked.clear();
    // All are spent before any is undone: one that leaves its line may let the next one there through.
    for (const token of tokens) token._task = null;
    for (const token of tokens) {
      try {
        token._wait.cancel?.();
      } catch (error) {
        this.#scheduler._report(error, this._task!);
      }
    }
  }
}

class Select<R> extends SystemCall<R> {
  readonly #cases: [string, Trap][];

  constructor(cases: SelectCases) {
    super();
    if (!isRecord(cases)) {
      throw new TypeError(`Cannot select from ${describe(cases)}: a record of cases is wanted`);
    }
    this.#cases = Object.entries(cases).map(([name, operation]) => [name, trapOf(name, operation)]);
    if (this.#cases.length === 0) throw new TypeError("Cannot select from nothing: it would wait for ever");
  }

  override get _isSingle(): boolean {
    return false;
  }

  /** What it gives for a case that went on. */
  answer(name: string, value: unknown): R {
    return { name, value } as R;
  }

  /** Called when it has waited, and one of the cases has gone on. */
  decided(): void {}

  handle(task: Task, scheduler: Scheduler): R | Parked {
    const choice = new Choice(scheduler, this);
    task._parked = choice; // for a case that is resumed while the next is tried
    try {
      const went = this.#try(choice, task, scheduler);
      return went === undefined ? scheduler._parkAs(task, choice) : went.answer;
    } finally {
      if (task._parked === choice && choice._task === null) task._parked = null;
    }
  }

  /** Tries the cases in turn; undefined if all of them wait. */
  #try(choice: Choice, task: Task, scheduler: Scheduler): { answer: R } | undefined {
    for (const [name, trap] of this.#cases) {
      let result: unknown;
      choice.trying = name;
      scheduler._choosing = choice;
      try {
        result = trap[TRAP](task, scheduler);
      } catch (error) {
        choice.cancel();
        throw error;
      } finally {
        scheduler._choosing = null;
      }
      if (choice.won?.failed) throw choice.won.value;
      if (choice.won !== undefined) return { answer: this.answer(choice.won.name, choice.won.value) };
      if (result instanceof Parked) continue;
      choice.cancel();
      return { answer: this.answer(name, result) };
    }
    choice.close();
    return undefined;
  }
}

/** A select that gives the bare value, and says when it is decided. */
export class FirstOf<T> extends Select<T> {
  readonly #decided: () => void;

  constructor(waits: readonly SelectCase[], decided: () => void = () => {}) {
    super(Object.fromEntries(waits.entries()));
    this.#decided = decided;
  }

  override answer(_name: string, value: unknown): T {
    return value as T;
  }

  override decided(): void {
    this.#decided();
  }
}

/** Whether it can be a case of a select. */
export function isSingleWait(value: unknown): value is SelectCase {
  if (value instanceof SystemCall) return value._isSingle;
  return value instanceof Task || value instanceof Future || isPromise(value);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  if (typeof (value as Partial<Operation<unknown>> | null)?.[Symbol.iterator] === "function") return false;
  return typeof (value as PromiseLike<unknown> | null)?.then === "function";
}

/** The request of a case, if it is a single wait. */
function trapOf(name: string, operation: SelectCase): Trap {
  if (isPromise(operation)) {
    hear(operation);
    return until(operation) as unknown as Trap;
  }
  if (isSingleWait(operation)) return operation as unknown as Trap;
  throw new TypeError(
    `Cannot select ${name}: ${
      describe(operation)
    } is no single wait, as a system call, a task, a future or a promise is; ` +
      `use race`,
  );
}

/**
 * Waits for the first of several things that can go on, in the order of the record, and only that one: the others take
 * nothing. The cases are single waits: system calls, tasks, futures, promises, and what waits in queues, channels, locks,
 * events and sockets. A `send` to a socket that loses may have begun: what it has sent, it has sent.
 *
 * @param cases The cases by name.
 * @returns A system call that gives the name and the value of the case that went on.
 * @throws {TypeError} If a case is no single wait: `race` takes any coroutine.
 *
 * @example
 * ```ts
 * import { Future, run, select, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const future = new Future<string>();
 * const first = await run(select({ answer: future, tooLate: sleep(1) }));
 * assertEquals(first, { name: "tooLate", value: undefined });
 * ```
 */
export function select<const C extends SelectCases>(cases: C): SystemCall<Selected<C>> {
  return new Select<Selected<C>>(cases);
}
