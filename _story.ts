/**
 * A run told as a story: who ran, how far, and who was stopped.
 *
 * The run is made once more, with everything that happens noted down. Every system call leaves a stack while its coroutine is
 * still on it, which costs microseconds and needs no permission. What is yielded, or a `yield` of nothing, has left its
 * coroutine before the kernel sees it: of that only the function's name is known, and the last call before it.
 *
 * Where a task waits is told by the program's lines, and by no names of the kernel's: of the frames of the task, the innermost one
 * that is the program's says where it stands.
 *
 * @module
 */

import { THROW } from "./_boundary.ts";
import { functionNameOf } from "./_function_name.ts";
import { type FrameIterator, isGenerator } from "./_operation.ts";
import { inWords, mark, type Place, placeOf } from "./_places.ts";
import { ENDED, processor, WAITING, YIELDED } from "./_processor.ts";
import type { Failure, Witness } from "./_simulation.ts";
import { isWaitOfGroup } from "./group.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** What is told at most. */
const MOST_SENTENCES = 40;
const LAST_STEPS = 12;
/** How many frames of a task are looked through for a line of the program. */
const MOST_FRAMES = 32;

/** The last call that a coroutine has made. */
interface Call {
  /** The stack that it has left; undefined if it was yielded. */
  readonly mark: Error | undefined;
  /** If it was yielded: the stack of the last one before it that has left one. */
  readonly before: Error | undefined;
}

/** A frame of a task, and the call at which it stands. */
interface Stand {
  readonly frame: FrameIterator;
  readonly call: Call | undefined;
}

/** One step of a task. */
interface Step {
  readonly task: Task;
  readonly stopped: Task | null;
  readonly time: number;
  /** What was drawn, and where. */
  draws: { text: string; mark: Error }[];
  how: "returned" | "failed" | "killed" | "waits" | "gave way";
  /** It stopped at a call, which may have been answered already. */
  isAtCall: boolean;
  /** What it waits for, or how it ended. */
  reason: string;
  /** What it failed with. */
  error: unknown;
  /** Its frames when it stopped, innermost first; or, if a call has failed and the task with it, those that made the call. */
  stands: readonly Stand[];
}

/** Notes down a run. */
export class Story implements Witness {
  readonly #home: Place | undefined;
  #steps: Step[] = [];
  /** What each frame has called last. */
  readonly #calls = new WeakMap<FrameIterator, Call>();
  /** The calls that have left a stack, and are still to be handled. */
  readonly #witnessed = new WeakMap<Task, { call: unknown; mark: Error }>();
  /** The task whose call is being handled: the native stack has left its coroutine. */
  #calling: Task | null = null;
  /** Where each task has made its last call, and the last one that has failed. */
  readonly #last = new WeakMap<Task, readonly Stand[]>();
  readonly #failures = new WeakMap<Task, { error: unknown; stands: readonly Stand[] }>();
  #origins: Map<Task, { mark: Error; spawner: readonly Stand[] | undefined }> = new Map();
  #scheduler: Scheduler | undefined;

  /** @param home The place of the test: its file need not be named in full. */
  constructor(home: Place | undefined) {
    this.#home = home;
  }

  // ---- Noting down ----

  begin(scheduler: Scheduler): void {
    this.#scheduler = scheduler;
    scheduler.observe({
      taskCreated: (task) => {
        const { task: spawner } = processor;
        // If it is no call that spawns, but a function, and that was called by nobody but a coroutine of the kernel's, it is
        // the caller of that who has spawned.
        const stands = spawner === null
          ? undefined
          : this.#standsOf(spawner).slice(spawner === this.#calling ? 0 : 1);
        this.#origins.set(task, { mark: mark(), spawner: stands });
      },
      systemCall: (task, call) => {
        this.#calling = task;
        this.#called(task, call);
      },
      systemCallEnd: (task, _call, outcome) => {
        this.#calling = null;
        if (outcome?.kind !== "failed") return;
        this.#failures.set(task, { error: outcome.error, stands: this.#standsOf(task) });
      },
    });
    processor.witness = (task, call) => this.#witnessed.set(task, { call, mark: mark() });
  }

  /** A call is handled: it is known now whose it is. */
  #called(task: Task, call: unknown): void {
    const frame = task._top!;
    const witnessed = this.#witnessed.get(task);
    this.#witnessed.delete(task);
    const last = this.#calls.get(frame);
    this.#calls.set(
      frame,
      witnessed?.call === call
        ? { mark: witnessed!.mark, before: undefined }
        : { mark: undefined, before: last?.mark ?? last?.before },
    );
    this.#last.set(task, this.#standsOf(task));
  }

  /** The frames of a task, innermost first. */
  #standsOf(task: Task): readonly Stand[] {
    const stands: Stand[] = [];
    if (task._top !== null) stands.push({ frame: task._top, call: this.#calls.get(task._top) });
    for (let below = task._stack; below !== null && stands.length < MOST_FRAMES; below = below.below) {
      const { iterator } = below;
      if (iterator !== null) stands.push({ frame: iterator, call: this.#calls.get(iterator) });
    }
    return stands;
  }

  stepping(task: Task, stopped: Task | null): void {
    this.#steps.push({
      task,
      stopped,
      time: this.#scheduler!.now(),
      draws: [],
      how: "gave way",
      isAtCall: false,
      reason: "",
      error: undefined,
      stands: [],
    });
  }

  stepped(task: Task): void {
    const step = this.#steps.at(-1)!;
    this.#calling = null;
    if (task !== step.task) return;
    if (task._state === ENDED) {
      const outcome = task._mode;
      step.how = outcome === THROW ? "failed" : outcome === 0 ? "returned" : "killed";
      step.reason = outcome === 0 ? "" : said(task._inbox);
      if (outcome !== THROW) return;
      step.error = task._inbox;
      const failure = this.#failures.get(task);
      if (failure?.error === step.error) step.stands = failure!.stands;
      // One that the kernel has made, such as a `TimeoutError`, is thrown in where the last call was made.
      else if (step.error instanceof Error && placeOf(step.error) === undefined) {
        step.stands = this.#last.get(task) ?? [];
      }
      return;
    }
    const putOff = this.#witnessed.get(task); // before it was handled
    const [top, ...others] = this.#standsOf(task);
    const call = putOff === undefined ? top!.call : { mark: putOff.mark, before: undefined };
    step.stands = [{ frame: top!.frame, call }, ...others];
    step.isAtCall = putOff !== undefined || task._state !== YIELDED;
    if (task._state === WAITING) {
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
    const where = this.#where(step);
    const [at, to] = where === undefined ? ["", ""] : [` at ${where}`, ` to ${where}, where`];
    switch (step.how) {
      case "returned":
        return " to its end";
      case "failed":
        return ` until it failed${at}: ${step.reason}`;
      case "killed":
        return ` until it was killed: ${step.reason}`;
      case "waits":
        return `${to || " until"} it waits: ${step.reason}`;
      case "gave way":
        if (isStopped) return `${where === undefined ? "" : ` to ${where}`}, and was stopped there`;
        return `${to || " until"} it gave way`;
    }
  }

  /**
   * Where a task stands after a step. What is a frame by itself, like the wait in `timeout(10, queue.get())`, and what is a
   * coroutine of the kernel's, stands where the program has called it; the frame of a task, where the task was spawned.
   */
  #where({ task, stands, isAtCall, how }: Step): string | undefined {
    if (stands.length === 0) return undefined;
    const where = this.#whereOf(stands, isAtCall || how === "failed");
    if (where === undefined) return this.#placeOfSpawn(task);
    return where.inside === "" ? where.place : `${where.place} (${where.inside})`;
  }

  #whereOf(stands: readonly Stand[], isAtCall: boolean): { place: string; inside: string } | undefined {
    for (const [i, { frame, call }] of stands.entries()) {
      const exact = placeOf(call?.mark);
      const isKernels = !isGenerator(frame) || call?.mark !== undefined || isWaitOfGroup(frame);
      if (exact === undefined && isKernels) continue;
      const name = isGenerator(frame) ? functionNameOf(frame) : "";
      const isCall = isAtCall || i > 0;
      if (isCall && exact !== undefined) {
        // A name with a dot is that of a method, or V8's guess for a function that has none.
        const inside = exact.inside.slice(exact.inside.lastIndexOf(".") + 1);
        const isKnown = inside === exact.inside || inside === name;
        return { place: inWords(exact, this.#home), inside: isKnown ? inside : "" };
      }
      const last = this.#lastPlace(stands.slice(i));
      const place = `a ${isCall ? "" : "bare "}yield${name === "" ? "" : ` in ${name}`}` +
        (last === undefined ? "" : ` after ${inWords(last, this.#home)}`);
      return { place, inside: "" };
    }
    return undefined;
  }

  /** Where a call was last made that has left a stack. */
  #lastPlace(stands: readonly Stand[]): Place | undefined {
    for (const { call } of stands) {
      const place = placeOf(call?.mark ?? call?.before);
      if (place !== undefined) return place;
    }
    return undefined;
  }

  #draw({ text, mark }: { text: string; mark: Error }): string {
    const place = placeOf(mark);
    return place === undefined ? text : `${text} at ${inWords(place, this.#home)}`;
  }

  #origin(task: Task): string {
    const where = this.#placeOfSpawn(task);
    return where === undefined ? "" : ` (spawned at ${where})`;
  }

  #placeOfSpawn(task: Task): string | undefined {
    const { mark, spawner } = this.#origins.get(task) ?? {};
    if (spawner === undefined) return undefined;
    const place = placeOf(mark);
    return place === undefined ? this.#whereOf(spawner, true)?.place : inWords(place, this.#home);
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
