/**
 * Those who watch a scheduler, and what they are told.
 *
 * Nobody watches, as a rule, and then it is to cost nothing: so the scheduler asks one field of its own on each switch, and
 * nothing here is touched. When somebody watches, only what is watched is looked at: an observer that counts the tasks that
 * end leaves steps and calls alone. Calls are the dearest. Those that a coroutine would have answered in the middle of its
 * `yield*` have to be yielded instead, so that the kernel sees them; a task that waits has its call answered when it goes on,
 * so what is unanswered is kept here.
 *
 * An observer that throws is reported and removed. It must not end what it watches.
 *
 * @module
 */

import * as boundaries from "./_boundary.ts";
import * as operations from "./_operation.ts";
import type { ErrorSource, Observer } from "./_options.ts";
import * as states from "./_processor.ts";
import { Cancelled } from "./errors.ts";
import type { Outcome, Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { NEXT, THROW } = boundaries;
const { ENTERED } = operations;
const { processor, RUNNING } = states;

export class Observers {
  #list: Observer[] = [];
  /** Whether one of them wants to be told of this. */
  #watchesReady = false;
  #watchesSteps = false;
  #watchesCalls = false;
  #watchesAnswers = false;
  /** The calls that have not been answered yet, of those that are watched. */
  readonly #unanswered = new Map<Task, unknown>();
  readonly #changed: () => void;
  readonly #report: (error: unknown, source: ErrorSource) => void;

  /**
   * @param changed Called when other things are watched than before.
   * @param report Told what an observer has thrown, and at which task.
   */
  constructor(changed: () => void, report: (error: unknown, source: ErrorSource) => void) {
    this.#changed = changed;
    this.#report = report;
  }

  get size(): number {
    return this.#list.length;
  }

  /** Whether tasks that get ready are watched. */
  get watchesReady(): boolean {
    return this.#watchesReady;
  }

  /** Whether steps are watched, or the calls in them. */
  get watchesSteps(): boolean {
    return this.#watchesSteps;
  }

  add(observer: Observer): void {
    this.#set([...this.#list, observer]);
  }

  remove(observer: Observer): void {
    this.#set(this.#list.filter((other) => other !== observer));
  }

  #set(observers: Observer[]): void {
    const wants = (event: keyof Observer) => observers.some((observer) => observer[event] !== undefined);
    this.#list = observers;
    this.#watchesReady = wants("taskReady");
    this.#watchesAnswers = wants("systemCallEnd");
    this.#watchesCalls = this.#watchesAnswers || wants("systemCall");
    this.#watchesSteps = this.#watchesCalls || wants("stepStart") || wants("stepEnd");
    if (!this.#watchesAnswers) this.#unanswered.clear();
    this.#changed();
  }

  notify(event: keyof Observer, task: Task, call?: unknown, outcome?: Outcome<unknown>): void {
    for (const observer of this.#list) {
      try {
        observer[event]?.(task, call, outcome);
      } catch (error) {
        this.remove(observer);
        this.#report(error, task);
      }
    }
  }

  /** A step of a task, under their eyes. */
  step(task: Task): void {
    this.notify("stepStart", task);
    if (this.#watchesAnswers) this.#answer(task);
    processor.observed = this.#watchesCalls;
    task._step();
    processor.observed = false;
    this.notify("stepEnd", task);
  }

  /** What a task has yielded is handled. */
  call(task: Task, call: unknown): unknown {
    this.notify("systemCall", task, call);
    if (!this.#watchesAnswers) return task._trap(call);
    let result: unknown;
    try {
      result = task._trap(call);
    } catch (error) {
      this.notify("systemCallEnd", task, call, { kind: "failed", error });
      throw error;
    }
    if (task._state !== RUNNING) this.#unanswered.set(task, call);
    else if (result === ENTERED) this.notify("systemCallEnd", task, call, undefined);
    else this.notify("systemCallEnd", task, call, { kind: "returned", value: result });
    return result;
  }

  /** A task that has waited goes on: its call is answered. */
  #answer(task: Task): void {
    if (!this.#unanswered.has(task)) return;
    const call = this.#unanswered.get(task);
    this.#unanswered.delete(task);
    const { _mode: mode, _inbox: inbox } = task;
    let outcome: Outcome<unknown>;
    if (mode === NEXT) outcome = { kind: "returned", value: inbox };
    else if (mode === THROW && !(inbox instanceof Cancelled)) outcome = { kind: "failed", error: inbox };
    else outcome = { kind: "killed", reason: inbox instanceof Cancelled ? inbox.reason : undefined };
    this.notify("systemCallEnd", task, call, outcome);
  }

  ended(task: Task): void {
    this.#unanswered.delete(task);
    this.notify("taskEnded", task);
  }
}
