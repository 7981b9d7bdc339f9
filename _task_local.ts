/**
 * Task-local variables.
 *
 * A child starts with its spawner's values, and what it sets is its own. So the values of a task are a map that is shared
 * until somebody sets one: a spawn then copies a reference, and a set the map.
 *
 * @module
 */

import { InvalidStateError } from "./errors.ts";
import { processor } from "./_processor.ts";

/**
 * A variable that each task has for itself; a child starts with its spawner's value.
 *
 * @example
 * ```ts
 * import { run, spawn, TaskLocal } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const user = new TaskLocal("nobody");
 * await run(function* () {
 *   user.set("ann");
 *   const child = yield* spawn(function* () {
 *     const inherited = user.get();
 *     user.set("bob");
 *     return inherited;
 *   });
 *   assertEquals([yield* child, user.get()], ["ann", "ann"]);
 * });
 * ```
 */
export class TaskLocal<T> {
  readonly #default: T;

  /**
   * A variable.
   *
   * @param initial Its value where nobody has set another, and outside tasks.
   */
  constructor(initial: T) {
    this.#default = initial;
  }

  /**
   * The value in the running task.
   *
   * @returns What that task has set, or its spawner had when it was spawned.
   */
  get(): T {
    const locals = processor.task?._extras?.locals;
    return locals?.has(this) ? locals.get(this) as T : this.#default;
  }

  /**
   * Sets the value in the running task, for it and those that it spawns from now on.
   *
   * @param value The value.
   * @throws {InvalidStateError} Outside tasks.
   */
  set(value: T): void {
    const { task } = processor;
    if (task === null) throw new InvalidStateError("Cannot set a task-local variable outside a task");
    task._extra.locals = new Map(task._extra.locals).set(this, value);
  }
}
