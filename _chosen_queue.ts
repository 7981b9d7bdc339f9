/**
 * The ready queue of an explored run: who goes next is a choice.
 *
 * The loop asks a queue for the next task between any two steps, and nowhere else. So this is the one place where a schedule
 * is made, and where what must always hold is looked at; the loop knows nothing of it, and in production it pays nothing.
 *
 * The alternatives are numbered from the quietest: the task that has just run, if it is ready; then the others, who has
 * been ready for longest first. That makes a preemption what it is in CHESS (Musuvathi and Qadeer, PLDI 2007): a task that
 * could go on is stopped. A bare `yield` is a place where a task may be stopped, like any wait that is over at once.
 *
 * A schedule has to be fair: a task that polls in a loop would otherwise never see what it polls for, and every such
 * program would be found to hang. Whoever has been ready while the others made some hundred steps goes next, without a choice
 * (the idea of "Fair stateless model checking", PLDI 2008, in its simplest form).
 *
 * @module
 */

import type { ReadyTasks } from "./_ready_queue.ts";
import type { Task } from "./task.ts";
import { ORDER, PREEMPTION } from "./_tape.ts";

/** What an explored run is asked between two steps. */
export interface Stepping {
  /** A step is over. */
  stepped(task: Task): void;
  /** The next one begins. Throws if there are to be no more. */
  stepping(task: Task, steps: number, stopped: Task | null): void;
  /** Which of the alternatives; `mine` is the place in the queue of the task that has just run, or -1. */
  chooseNext(ways: number, kind: typeof ORDER | typeof PREEMPTION, mine: number): number;
}

export class ChosenQueue implements ReadyTasks {
  readonly #run: Stepping;
  /** Who is ready, the one that has been so for longest first, up to `size`; and the step after which it became so. */
  readonly tasks: (Task | null)[] = [];
  readonly #since: number[] = [];
  size = 0;
  patience = Infinity;
  /** The steps that have begun. */
  steps = 0;
  /** The task whose step was the last to begin. */
  current: Task | null = null;

  constructor(run: Stepping) {
    this.#run = run;
  }

  // Arrays that only grow: one that is emptied by `pop` or `length` gives its memory back, and takes it again in the next run.
  push(task: Task): void {
    const size = this.size++;
    if (size === this.tasks.length) {
      this.tasks.push(task);
      this.#since.push(this.steps);
    } else {
      this.tasks[size] = task;
      this.#since[size] = this.steps;
    }
  }

  shift(): Task {
    const { current, size } = this;
    if (current !== null) this.#run.stepped(current);
    let at = 0;
    let stopped: Task | null = null;
    if (size > 1 && this.steps - this.#since[0]! <= this.patience * (size - 1)) {
      const mine = current === null ? -1 : this.#placeOf(current);
      if (mine === -1) {
        at = this.#run.chooseNext(size, ORDER, -1);
      } else {
        const choice = this.#run.chooseNext(size, PREEMPTION, mine);
        at = placeOf(choice, mine);
        if (choice !== 0) stopped = current;
      }
    }
    const task = this.#takeOut(at);
    this.current = task;
    this.#run.stepping(task, ++this.steps, stopped);
    return task;
  }

  #placeOf(task: Task): number {
    const { tasks } = this;
    let at = this.size - 1;
    while (at >= 0 && tasks[at] !== task) at--;
    return at;
  }

  #takeOut(at: number): Task {
    const { tasks } = this;
    const since = this.#since;
    const task = tasks[at]!;
    const last = --this.size;
    for (let i = at; i < last; i++) {
      tasks[i] = tasks[i + 1]!;
      since[i] = since[i + 1]!;
    }
    tasks[last] = null;
    return task;
  }

  remove(task: Task): void {
    const at = this.#placeOf(task);
    if (at !== -1) this.#takeOut(at);
  }

  trim(): void {}

  /** As if it were new. Everything must have ended. */
  restart(): void {
    this.size = this.steps = 0;
    this.current = null;
  }
}

/** The place in the queue of an alternative, where the task that has just run stands at `mine`. */
function placeOf(choice: number, mine: number): number {
  if (choice === 0) return mine;
  return choice <= mine ? choice - 1 : choice;
}

/** The alternative that stands at a place in the queue. */
export function choiceOf(place: number, mine: number): number {
  if (place === mine) return 0;
  return mine !== -1 && place < mine ? place + 1 : place;
}
