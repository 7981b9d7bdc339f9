/**
 * What one schedule costs: how many of them are tried in a second.
 *
 * Every iteration is a whole search of a given number of schedules, so its time divided by that is the time of one; the group
 * says the number. The bounded search goes through all schedules of two tasks; of ten tasks through the first thousands.
 *
 * A body that makes its generator functions anew in each run, as a test does that writes `world.spawn(function* () { … })`, has V8
 * make a hidden class for each of them: that costs more than everything else in a run of two tasks, so there are both.
 *
 * @module
 */

import { type Coroutine, sleep } from "../mod.ts";
import { explore, type ExploreOptions, type World } from "../testing.ts";

function* yields(times: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield;
}

function* sleeps(times: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield* sleep(i % 3);
}

function tasks(count: number, times: number, work = yields): (world: World) => void {
  return (world) => {
    for (let i = 0; i < count; i++) world.spawn(work(times));
  };
}

function freshTasks(count: number, times: number): (world: World) => void {
  return (world) => {
    for (let i = 0; i < count; i++) {
      world.spawn(function* () {
        for (let i = 0; i < times; i++) yield;
      });
    }
  };
}

function bench(name: string, schedules: number, body: (world: World) => void, options: ExploreOptions): void {
  Deno.bench(name, { group: `${schedules} schedules: ${name}` }, () => {
    const report = explore(body, { ...options, runs: schedules, maxMs: Infinity });
    if (report.runs !== schedules) throw new Error(`There were ${report.runs}`);
  });
}

bench("2 tasks of 5 yields, all", 924, tasks(2, 5), { strategy: "bounded" });
bench("2 tasks of 5 yields, functions made anew, all", 924, freshTasks(2, 5), { strategy: "bounded" });
bench("2 tasks of 5 yields, random", 10_000, tasks(2, 5), { strategy: "random" });
bench("2 tasks of 5 yields, PCT", 10_000, tasks(2, 5), { strategy: "pct" });
bench("2 tasks of 9 yields, all", 184_756, tasks(2, 9), { strategy: "bounded" });
bench("10 tasks of 20 yields, bounded", 10_000, tasks(10, 20), { strategy: "bounded" });
bench("10 tasks of 20 yields, random", 10_000, tasks(10, 20), { strategy: "random" });
bench("10 tasks of 20 yields, PCT", 10_000, tasks(10, 20), { strategy: "pct" });
bench("2 tasks of 5 sleeps, bounded", 32, tasks(2, 5, sleeps), { strategy: "random" });
