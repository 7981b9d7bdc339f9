/**
 * A run told as a story: who ran, how far, and who was stopped.
 *
 * The run is made once more, with everything that happens noted down. Every system call leaves a stack while its coroutine is
 * still on it, which costs microseconds and needs no permission; a bare `yield` is no call, so of that only the function's
 * name is known, and the last call before it.
 *
 * @module
 */

import { THROW } from "./_boundary.ts";
import { functionNameOf } from "./_function_name.ts";
import { isGenerator } from "./_operation.ts";
import { inWords, mark, type Place, placeOf } from "./_places.ts";
import { ENDED, processor, READY, WAITING } from "./_processor.ts";
import type { Failure, Witness } from "./_simulation.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** What is told at most. */
const MOST_SENTENCES = 40;
const LAST_STEPS = 12;

/** One step of a task. */
interface Step {
  readonly task: Task;
  readonly stopped: Task | null;
  readonly time: number;
  /** The last call that was made: what it is called, and its stack if it has left one. */
  call: string | undefined;
  mark: Error | undefined;
  /** The last stack that was left, be it of an earlier call. */
  lastMark: Error | undefined;
  /** What was drawn, and where. */
  draws: { text: string; mark: Error }[];
  how: "returned" | "failed" | "killed" | "waits" | "gave way";
  /** It stopped at a call, which may have been answered already. */
  isAtCall: boolean;
  /** What it waits for, or how it ended. */
  reason: string;
  /** What it failed with. */
  error: unknown;
  /** The coroutine that was on top when it stopped. */
  frame: unknown;
}

/** Notes down a run. */
export class Story implements Witness {
  readonly #home: Place | undefined;
  #steps: Step[] = [];
  #origins: Map<Task, { mark: Error; spawner: Step | undefined; lastMark: Error | undefined }> = new Map();
  #scheduler: Scheduler | undefined;
  #witnessed: unknown;

  /** @param home The place of the test: its file need not be named in full. */
  constructor(home: Place | undefined) {
    this.#home = home;
  }

  // ---- Noting down ----

  begin(scheduler: Scheduler): void {
    this.#scheduler = scheduler;
    scheduler.observe({
      taskCreated: (task) => {
        const spawner = this.#steps.at(-1);
        this.#origins.set(task, { mark: mark(), spawner, lastMark: spawner?.lastMark });
      },
      systemCall: (_task, call) => {
        const step = this.#steps.at(-1)!;
        step.call = callName(call);
        if (call !== this.#witnessed) step.mark = undefined; // it was yielded, not called
        this.#witnessed = undefined;
      },
    });
    processor.witness = (_task, call) => {
      const step = this.#steps.at(-1);
      if (step === undefined) return;
      this.#witnessed = call;
      step.mark = step.lastMark = mark();
    };
  }

  stepping(task: Task, stopped: Task | null): void {
    this.#steps.push({
      task,
      stopped,
      time: this.#scheduler!.now(),
      call: undefined,
      mark: undefined,
      lastMark: undefined,
      draws: [],
      how: "gave way",
      isAtCall: false,
      reason: "",
      error: undefined,
      frame: undefined,
    });
  }

  stepped(task: Task): void {
    const step = this.#steps.at(-1)!;
    if (task !== step.task) return;
    step.frame = task._top;
    step.isAtCall = step.call !== undefined && (task._state === WAITING || task._state === READY);
    if (task._state === ENDED) {
      const outcome = task._mode;
      step.how = outcome === THROW ? "failed" : outcome === 0 ? "returned" : "killed";
      step.reason = outcome === 0 ? "" : said(task._inbox);
      if (outcome === THROW) step.error = task._inbox;
    } else if (task._state === WAITING) {
      step.how = "waits";
      step.reason = task.waitingFor ?? "";
    }
  }

  drawn(label: string, value: number, ways: number): void {
    const step = this.#steps.at(-1);
    step?.draws.push({ text: `${label} gave ${value} of ${ways}`, mark: mark() });
  }

  end(): void {
    processor.witness = null;
  }

  // ---- Telling ----

  /** The steps up to the one in which it broke: what others did when its error had been thrown does not matter. */
  #told({ error }: Failure): Step[] {
    const broke = this.#steps.findIndex((step) => step.how === "failed" && step.error === error);
    return broke === -1 ? this.#steps : this.#steps.slice(0, broke + 1);
  }

  /** The run in sentences. */
  sentences(failure: Failure): string[] {
    const steps = this.#told(failure);
    const begun = new Set<Task>();
    const sentences: string[] = [];
    let time = steps[0]?.time ?? 0;
    for (let i = 0; i < steps.length;) {
      const { task, stopped } = steps[i]!;
      let end = i + 1;
      while (end < steps.length && steps[end]!.task === task) end++;
      const last = steps[end - 1]!;
      const draws = steps.slice(i, end).flatMap((step) => step.draws);
      const verb = begun.has(task) ? "went on" : "ran";
      const at = steps[i]!.time === time ? "" : `at ${round(steps[i]!.time)} ms, `;
      const span = last.time === steps[i]!.time ? "" : ` for ${round(last.time - steps[i]!.time)} ms`;
      const instead = stopped === null ? "" : " instead";
      const isStopped = steps[end]?.stopped === task;
      const origin = begun.has(task) ? "" : this.#origin(task);
      sentences.push(
        `${at}${titleOf(task)}${origin} ${verb}${instead}${span}${this.#extent(last, isStopped)}` +
          (draws.length === 0 ? "" : `; ${draws.map((draw) => this.#draw(draw)).join(", ")}`),
      );
      begun.add(task);
      time = last.time;
      i = end;
    }
    if (sentences.length > MOST_SENTENCES) {
      const left = sentences.length - MOST_SENTENCES;
      sentences.splice(MOST_SENTENCES / 2, left, `(${left} more)`);
    }
    return sentences;
  }

  /** How far a task came. */
  #extent(step: Step, isStopped: boolean): string {
    switch (step.how) {
      case "returned":
        return " to its end";
      case "failed":
        return ` until it failed: ${step.reason}`;
      case "killed":
        return ` until it was killed: ${step.reason}`;
      case "waits":
        return ` to ${this.#where(step)}, where it waits: ${step.reason}`;
      case "gave way":
        return ` to ${this.#where(step)}, ` + (isStopped ? "and was stopped there" : "where it gave way");
    }
  }

  /** Where a task stands after a step. */
  #where(step: Step): string {
    const inside = isGenerator(step.frame) ? functionNameOf(step.frame) : "";
    const exact = placeOf(step.isAtCall ? step.mark : undefined);
    if (exact !== undefined) {
      // A name with a dot is that of a method, or V8's guess for a function that has none.
      const name = exact.inside.slice(exact.inside.lastIndexOf(".") + 1);
      const isKnown = name !== "" && (name === exact.inside || name === inside);
      return inWords(exact, this.#home) + (isKnown ? ` (${name})` : "");
    }
    const what = step.isAtCall ? step.call : "a bare yield";
    const before = placeOf(step.lastMark);
    const after = before === undefined ? "" : ` after ${inWords(before, this.#home)}`;
    return `${what}${inside === "" ? "" : ` in ${inside}`}${after}`;
  }

  #draw({ text, mark }: { text: string; mark: Error }): string {
    const place = placeOf(mark);
    return place === undefined ? text : `${text} at ${inWords(place, this.#home)}`;
  }

  #origin(task: Task): string {
    const origin = this.#origins.get(task);
    if (origin?.spawner === undefined) return "";
    const place = placeOf(origin.mark) ?? placeOf(origin.lastMark);
    return place === undefined ? "" : ` (spawned at ${inWords(place, this.#home)})`;
  }

  /** The last steps before it broke, one a line. */
  lastSteps(failure: Failure): string[] {
    const steps = this.#told(failure);
    return steps.slice(-LAST_STEPS).map((step, i) => {
      const number = Math.max(0, steps.length - LAST_STEPS) + i + 1;
      return `step ${number}, ${round(step.time)} ms: ${titleOf(step.task)}${this.#extent(step, false)}`;
    });
  }

  /** One line a step, to find where two runs of the same tape part. */
  get trace(): string[] {
    return this.#steps.map((step) => `${titleOf(step.task)}${this.#extent(step, false)}`);
  }
}

/** `main`, or the task. */
function titleOf(task: Task): string {
  return task.tid === 1 && task.name === "" ? "main" : String(task);
}

function callName(call: unknown): string {
  const name = (call as object).constructor?.name ?? "";
  return name === "" ? "a call" : name;
}

/** An error or another value in one line. */
export function said(error: unknown): string {
  let text: string;
  try {
    text = String(error);
  } catch {
    text = "a value that cannot be put in words";
  }
  // deno-lint-ignore no-control-regex -- assertions colour their differences
  const line = text.replace(/\x1b\[[0-9;]*m/g, "").trim().split("\n")[0]!;
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function round(ms: number): number {
  return Math.round(1000 * ms) / 1000;
}
