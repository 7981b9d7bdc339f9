/**
 * What it costs to start a task and wait for its end, beside an async function that waits once and is awaited; and what
 * it costs to kill one that sleeps, beside an async function that is woken from its sleep by an `AbortSignal`.
 *
 * An iteration starts a million: a time of 200 ms an iteration reads as 200 ns for one. A child that does not wait is run
 * from the ready queue all the same, which is one switch there and one back; an async function that does not wait is not,
 * so the baseline waits once, and so does the child in "that gives way".
 *
 * The kill is measured alone, a thousand of them an iteration: 0.5 ms reads as 500 ns a kill.
 *
 * @module
 */

import { type Coroutine, kill, Scheduler, sleep, spawn, type Task } from "../mod.ts";

const TASKS = 1_000_000;
const AT_ONCE = 1_000;

function* child(): Coroutine<number> {
  return 1;
}

function* politeChild(): Coroutine<number> {
  yield;
  return 1;
}

async function asyncChild(): Promise<number> {
  await undefined;
  return 1;
}

function check(sum: number): void {
  if (sum !== TASKS) throw new Error(`${TASKS} tasks gave ${sum}`);
}

function* oneAtATime(make: () => Coroutine<number>): Coroutine<number> {
  let sum = 0;
  for (let i = 0; i < TASKS; i++) {
    const task = yield* spawn(make());
    sum += yield* task;
  }
  return sum;
}

function* manyAtOnce(make: () => Coroutine<number>): Coroutine<number> {
  let sum = 0;
  for (let round = 0; round < TASKS / AT_ONCE; round++) {
    const tasks: Task<number>[] = [];
    for (let i = 0; i < AT_ONCE; i++) tasks.push(yield* spawn(make()));
    for (const task of tasks) sum += yield* task;
  }
  return sum;
}

const single = "1 000 000 tasks, one at a time";
Deno.bench("await of an async function", { group: single, baseline: true }, async () => {
  let sum = 0;
  for (let i = 0; i < TASKS; i++) sum += await asyncChild();
  check(sum);
});
Deno.bench("spawn and join", { group: single }, () => check(new Scheduler().runSync(oneAtATime(child))));
Deno.bench("spawn and join one that gives way", { group: single }, () => {
  check(new Scheduler().runSync(oneAtATime(politeChild)));
});
Deno.bench("spawn and join, run", { group: single }, async () => {
  check(await new Scheduler().run(oneAtATime(child)));
});

Deno.bench("spawn and join a generator function made on the spot", { group: single }, () => {
  const sum = new Scheduler().runSync(function* () {
    let sum = 0;
    for (let i = 0; i < TASKS; i++) {
      sum += yield* yield* spawn(function* () {
        return i < TASKS ? 1 : 0;
      });
    }
    return sum;
  });
  check(sum);
});

const many = `1 000 000 tasks, ${AT_ONCE} at once`;
Deno.bench("Promise.all of async functions", { group: many, baseline: true }, async () => {
  let sum = 0;
  for (let round = 0; round < TASKS / AT_ONCE; round++) {
    const promises: Promise<number>[] = [];
    for (let i = 0; i < AT_ONCE; i++) promises.push(asyncChild());
    for (const value of await Promise.all(promises)) sum += value;
  }
  check(sum);
});
Deno.bench("spawn and join", { group: many }, () => check(new Scheduler().runSync(manyAtOnce(child))));
Deno.bench("spawn and join those that give way", { group: many }, () => {
  check(new Scheduler().runSync(manyAtOnce(politeChild)));
});
Deno.bench("spawn and join, run", { group: many }, async () => {
  check(await new Scheduler().run(manyAtOnce(child)));
});

const HOUR = 3_600_000;
const KILLS = 1_000;
const kills = `${KILLS} kills of a sleeping task, one at a time`;

function sleepUnlessAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, HOUR);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

Deno.bench("abort of a sleeping async function", { group: kills, baseline: true }, async (b) => {
  async function sleeper(signal: AbortSignal): Promise<void> {
    await sleepUnlessAborted(signal);
  }
  const sleepers: { controller: AbortController; ended: Promise<unknown> }[] = [];
  for (let i = 0; i < KILLS; i++) {
    const controller = new AbortController();
    sleepers.push({ controller, ended: sleeper(controller.signal).catch((error) => error) });
  }
  b.start();
  for (const { controller, ended } of sleepers) {
    controller.abort();
    await ended;
  }
  b.end();
});
Deno.bench("kill of a call", { group: kills }, (b) => {
  new Scheduler().runSync(function* () {
    const tasks: Task<void>[] = [];
    for (let i = 0; i < KILLS; i++) tasks.push(yield* spawn(sleep(HOUR)));
    yield;
    b.start();
    for (const task of tasks) yield* kill(task);
    b.end();
  });
});
let cleanups = 0;
function* sleeper(depth: number): Coroutine<void> {
  try {
    if (depth > 1) yield sleeper(depth - 1);
    else yield sleep(HOUR);
  } finally {
    cleanups++;
  }
}
// What V8 takes for the throws alone.
Deno.bench("throw into three generators, with a finally in each", { group: kills }, (b) => {
  const generators = Array.from({ length: 3 * KILLS }, () => sleeper(1));
  for (const generator of generators) generator.next();
  const error = new Error("enough");
  b.start();
  for (const generator of generators) {
    try {
      generator.throw(error);
    } catch {
      // as it should be
    }
  }
  b.end();
});
Deno.bench("kill, three calls deep, with a finally in each", { group: kills }, (b) => {
  cleanups = 0;
  new Scheduler().runSync(function* () {
    const tasks: Task<void>[] = [];
    for (let i = 0; i < KILLS; i++) tasks.push(yield* spawn(sleeper(3)));
    yield;
    b.start();
    for (const task of tasks) yield* kill(task);
    b.end();
  });
  if (cleanups !== 3 * KILLS) throw new Error(`${KILLS} kills ran ${cleanups} cleanups`);
});
