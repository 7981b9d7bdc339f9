/**
 * What one switch from task to task costs, beside a bare generator and beside `await`.
 *
 * Every iteration makes the same million switches, whatever the number of tasks, so that a time of 30 ms an iteration
 * reads as 30 ns a switch, and the ratios of a group are those of single switches. The tasks are made within the iteration;
 * with 10 000 of them that is a hundredth of the switches.
 *
 * `runSync` is the switch alone, as await has it: microtasks let nobody else in either. `run` gives the host its turn after
 * each slice of 1 ms, sockets and timers included, which is what a program really pays.
 *
 * @module
 */

import { type Coroutine, Scheduler, spawn } from "../mod.ts";

const SWITCHES = 1_000_000;

function* yields(times: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield;
}

async function awaits(times: number): Promise<void> {
  for (let i = 0; i < times; i++) await undefined;
}

function* tasks(count: number, make = yields): Coroutine<void> {
  for (let i = 0; i < count; i++) yield* spawn(make(SWITCHES / count));
}

async function functions(count: number, make: (i: number) => typeof awaits = () => awaits): Promise<void> {
  const promises: Promise<void>[] = [];
  for (let i = 0; i < count; i++) promises.push(make(i)(SWITCHES / count));
  await Promise.all(promises);
}

function generators(count: number): void {
  const all: Coroutine<void>[] = [];
  for (let i = 0; i < count; i++) all.push(yields(SWITCHES / count));
  for (let round = 0; round <= SWITCHES / count; round++) {
    for (let i = 0; i < count; i++) {
      if (all[i]!.next().done !== (round === SWITCHES / count)) throw new Error("out of step");
    }
  }
}

for (const count of [1, 100, 1_000, 10_000]) {
  const group = `1 000 000 switches, ${count} ${count === 1 ? "task" : "tasks"}`;
  const repeat = { n: 20, warmup: 5 };
  Deno.bench(`await in ${count}`, { group, baseline: true, ...repeat }, () => functions(count));
  Deno.bench(`yield in ${count}, runSync`, { group, ...repeat }, () => new Scheduler().runSync(tasks(count)));
  Deno.bench(`yield in ${count}, run`, { group, ...repeat }, () => new Scheduler().run(tasks(count)));
  Deno.bench(`generator.next() of ${count}`, { group, ...repeat }, () => generators(count));
}
