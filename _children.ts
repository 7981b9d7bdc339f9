/**
 * The living children of a group, in the order in which they were started.
 *
 * A `Set` is filled and emptied for 50 ns a child, a fourth of what a child costs as a whole. So they stand in a list, an
 * ended one stays there until they are the greater part of it, and then the list is made anew: a child is moved once on
 * the average, and what has ended is kept from the collector for a while, but never more of it than of the living.
 *
 * @module
 */

import { ENDED } from "./_processor.ts";
import type { Task } from "./task.ts";

const FEW = 16;

export class Children implements Iterable<Task> {
  #tasks: Task[] = [];
  #alive = 0;

  get size(): number {
    return this.#alive;
  }

  add(child: Task): void {
    this.#tasks.push(child);
    this.#alive++;
  }

  /** One of them has ended. */
  ended(): void {
    this.#alive--;
    const { length } = this.#tasks;
    if (this.#alive === 0) this.#tasks.length = 0;
    else if (length > FEW && length > 2 * this.#alive) this.#tasks = this.list();
  }

  /** A snapshot: what is told to end may end at once. */
  list(): Task[] {
    return this.#tasks.filter((task) => task._state !== ENDED);
  }

  [Symbol.iterator](): Iterator<Task> {
    return this.list().values();
  }
}
