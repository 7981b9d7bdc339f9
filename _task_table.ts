/**
 * The table of the living tasks, by tid.
 *
 * tids count up by one, so the tid itself, cut to the size of the table, is a hash without collisions as long as the
 * living tasks are of about one age; those that share a bucket are linked through the tasks. A `Map` costs more to fill
 * and to empty than a task costs to run: measured, half of a spawn and join.
 *
 * @module
 */

import type { Task } from "./task.ts";

const SMALLEST = 16;

export class TaskTable implements ReadonlyMap<number, Task> {
  #buckets: (Task | null)[] = new Array(SMALLEST).fill(null);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(tid: number): Task | undefined {
    let task = this.#buckets[tid & (this.#buckets.length - 1)] ?? null;
    while (task !== null && task.tid !== tid) task = task._link;
    return task ?? undefined;
  }

  has(tid: number): boolean {
    return this.get(tid) !== undefined;
  }

  add(task: Task): void {
    if (this.#size >= this.#buckets.length) this.#resize(2 * this.#buckets.length);
    const bucket = task.tid & (this.#buckets.length - 1);
    task._link = this.#buckets[bucket]!;
    this.#buckets[bucket] = task;
    this.#size++;
  }

  remove(task: Task): void {
    const bucket = task.tid & (this.#buckets.length - 1);
    let before = this.#buckets[bucket]!;
    if (before === task) {
      this.#buckets[bucket] = task._link;
    } else {
      while (before._link !== task) before = before._link!;
      before._link = task._link;
    }
    task._link = null;
    if (--this.#size === 0 && this.#buckets.length > 1 << 16) this.#buckets = new Array(SMALLEST).fill(null);
  }

  /** Oldest first, as a `Map` filled in the order of spawning gives them. */
  *values(): Generator<Task, undefined> {
    yield* this.list();
  }

  *keys(): Generator<number, undefined> {
    for (const task of this.list()) yield task.tid;
  }

  *entries(): Generator<[number, Task], undefined> {
    for (const task of this.list()) yield [task.tid, task];
  }

  [Symbol.iterator](): Generator<[number, Task], undefined> {
    return this.entries();
  }

  forEach(visit: (task: Task, tid: number, table: ReadonlyMap<number, Task>) => void): void {
    for (const task of this.list()) visit(task, task.tid, this);
  }

  /** A snapshot, oldest first: what lives may change while one walks through it. */
  list(): Task[] {
    const tasks: Task[] = [];
    for (let task of this.#buckets) {
      for (; task !== null; task = task._link) tasks.push(task);
    }
    return tasks.sort((a, b) => a.tid - b.tid);
  }

  #resize(length: number): void {
    const old = this.#buckets;
    this.#buckets = new Array(length).fill(null);
    for (let task of old) {
      while (task !== null) {
        const next: Task | null = task._link;
        const bucket = task.tid & (length - 1);
        task._link = this.#buckets[bucket]!;
        this.#buckets[bucket] = task;
        task = next;
      }
    }
  }
}
