/**
 * What one switch from task to task costs, beside `await` and beside a bare generator.
 *
 * Every iteration makes the same million switches, whatever their number of tasks: a time of 30 ms an iteration reads as
 * 30 ns a switch, and the ratios of a group are those of single switches. The tasks are made within the iteration; where
 * there are 10 000 of them, that is one spawn for a hundred switches.
 *
 * `runSync` is the switch alone, on the terms of await: microtasks let nobody else in either. `run` gives the host its turn
 * after each slice of 1 ms, sockets and timers included, and that is what a program pays.
 *
 * V8 keeps a hidden class for each generator function. A kernel that has only ever seen one of them is faster than any
 * program will meet it, so the last group has twenty.
 *
 * @module
 */

import { type Coroutine, Scheduler, spawn } from "../mod.ts";

const SWITCHES = 1_000_000;
const KINDS = 20;

const kindsOfYields = Array.from({ length: KINDS }, () =>
  function* (times: number): Coroutine<void> {
    for (let i = 0; i < times; i++) yield;
  });
const kindsOfAwaits = Array.from({ length: KINDS }, () =>
  async function (times: number): Promise<void> {
    for (let i = 0; i < times; i++) await undefined;
  });

function* tasks(count: number, kinds: number): Coroutine<void> {
  for (let i = 0; i < count; i++) yield* spawn(kindsOfYields[i % kinds]!(SWITCHES / count));
}

async function functions(count: number, kinds: number): Promise<void> {
  const promises: Promise<void>[] = [];
  for (let i = 0; i < count; i++) promises.push(kindsOfAwaits[i % kinds]!(SWITCHES / count));
  await Promise.all(promises);
}

function generators(count: number, kinds: number): void {
  const all: Coroutine<void>[] = [];
  for (let i = 0; i < count; i++) all.push(kindsOfYields[i % kinds]!(SWITCHES / count));
  const rounds = SWITCHES / count;
  for (let round = 0; round <= rounds; round++) {
    for (const generator of all) {
      if (generator.next().done !== (round === rounds)) throw new Error("A generator is out of step");
    }
  }
}

for (const [count, kinds] of [[1, 1], [100, 1], [1_000, 1], [10_000, 1], [1_000, KINDS]] as const) {
  const group = `1 000 000 switches: ${count} ${count === 1 ? "task" : "tasks"} of ${kinds} ${
    kinds === 1 ? "function" : "functions"
  }`;
  // Only a function that is declared async is awaited by Deno.bench.
  Deno.bench(`await in ${count}`, { group, baseline: true }, async () => {
    await functions(count, kinds);
  });
  Deno.bench(`yield in ${count}, runSync`, { group }, () => new Scheduler().runSync(tasks(count, kinds)));
  Deno.bench(`yield in ${count}, run`, { group }, async () => {
    await new Scheduler().run(tasks(count, kinds));
  });
  Deno.bench(`generator.next() of ${count}`, { group }, () => generators(count, kinds));
}
