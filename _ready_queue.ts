/**
 * The ready queue: a ring of tasks whose size is a power of two.
 *
 * An array with `push` and `shift` moves every entry on each `shift` once it is long, and a linked list needs a link on
 * every task. A ring is two counters and a mask.
 *
 * @module
 */

import type { Task } from "./task.ts";

const SMALLEST = 64;

/**
 * Who goes next: the one question of a scheduler to which there is more than one answer. In production it is always who has
 * been ready for longest, and this is the only class there ever is. The explorer puts another one in its place.
 */
export interface ReadyTasks {
  readonly size: number;
  /** A task has become ready. */
  push(task: Task): void;
  /** Takes out who goes next; undefined for nobody. There must be one. */
  shift(): Task | undefined;
  /** A task goes on without having been taken out. */
  remove(task: Task): void;
  /** There is none left. */
  trim(): void;
}

/** The option of a scheduler that gives it another queue. It is not for users. */
export const QUEUE: unique symbol = Symbol("genos.queue");

export class ReadyQueue implements ReadyTasks {
  #tasks: (Task | undefined)[] = new Array(SMALLEST).fill(undefined);
  #mask = SMALLEST - 1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(task: Task): void {
    if (this.#size > this.#mask) this.#grow();
    this.#tasks[(this.#head + this.#size++) & this.#mask] = task;
  }

  /** Takes out the first; undefined where one has been removed. The queue must not be empty. */
  shift(): Task | undefined {
    const head = this.#head;
    const task = this.#tasks[head];
    this.#tasks[head] = undefined; // an ended task must not be kept alive by its old place
    this.#head = (head + 1) & this.#mask;
    this.#size--;
    return task;
  }

  /** Leaves the place of a task empty. It is looked for from the end, where it has just been put. */
  remove(task: Task): void {
    for (let i = this.#size - 1; i >= 0; i--) {
      const at = (this.#head + i) & this.#mask;
      if (this.#tasks[at] !== task) continue;
      this.#tasks[at] = undefined;
      return;
    }
  }

  /** Once it is empty: gives back the memory that a rush has taken. */
  trim(): void {
    if (this.#mask >= 1 << 16) {
      this.#tasks = new Array(SMALLEST).fill(undefined);
      this.#mask = SMALLEST - 1;
      this.#head = 0;
    }
  }

  #grow(): void {
    const old = this.#tasks;
    const size = this.#size;
    const tasks: (Task | undefined)[] = new Array(2 * size).fill(undefined);
    for (let i = 0; i < size; i++) tasks[i] = old[(this.#head + i) & this.#mask];
    this.#tasks = tasks;
    this.#mask = 2 * size - 1;
    this.#head = 0;
  }
}
