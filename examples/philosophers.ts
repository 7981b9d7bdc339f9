/**
 * Dining philosophers. Each takes the fork on the left, then the one on the right. So all of them may hold one and wait for
 * the other for ever; here the one who would close the ring is told, puts the fork down, and the others eat. Then the same
 * with an order among the forks, which leaves no ring to close.
 *
 * ```sh
 * deno run examples/philosophers.ts
 * ```
 *
 * @module
 */

import { type Coroutine, DeadlockError, Lock, run, sleep, spawn, type Task } from "../mod.ts";

const names = ["Plato", "Hume", "Kant", "Marx"];

function* philosopher(name: string, first: Lock, second: Lock): Coroutine<void> {
  try {
    yield first.with(function* (): Coroutine<void> {
      yield sleep(1); // thinks, with a fork in one hand
      yield second.with(sleep(1));
    });
    console.log(`${name} has eaten`);
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error;
    console.log(`${name} goes hungry. ${error.message}`);
  }
}

function* dinner(inOrder: (left: number, right: number) => [number, number]): Coroutine<void> {
  const forks = names.map((name) => new Lock(`fork of ${name}`));
  const guests: Task[] = [];
  for (const [i, name] of names.entries()) {
    const [first, second] = inOrder(i, (i + 1) % names.length);
    guests.push(yield* spawn(philosopher(name, forks[first]!, forks[second]!), { name }));
  }
  for (const guest of guests) yield guest;
}

console.log("left fork first:");
await run(dinner((left, right) => [left, right]));
console.log("lower fork first:");
await run(dinner((left, right) => [Math.min(left, right), Math.max(left, right)]));
