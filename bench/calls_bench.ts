/**
 * What a call costs that need not wait, beside `await` of an async function that need not wait either, but always does.
 *
 * Every iteration makes a million calls: a time of 30 ms an iteration reads as 30 ns a call. The sums keep the compiler
 * from dropping what nobody looks at.
 *
 * @module
 */

import { call, type Coroutine, getTid, Scheduler, shield, timeout } from "../mod.ts";

const CALLS = 1_000_000;

function* answer(): Coroutine<number> {
  return 1;
}

// deno-lint-ignore require-await -- what is measured is the await of its caller
async function answerLater(): Promise<number> {
  return 1;
}

function check(sum: number): void {
  if (sum !== CALLS) throw new Error(`${CALLS} calls gave ${sum}`);
}

/** A benchmark of what `program` does `CALLS` times, in one task that has tid 1. */
function bench(name: string, group: string, program: () => Coroutine<number>): void {
  Deno.bench(name, { group }, () => check(new Scheduler().runSync(program())));
}

function baseline(group: string): void {
  Deno.bench("await of an async function", { group, baseline: true }, async () => {
    let sum = 0;
    for (let i = 0; i < CALLS; i++) sum += await answerLater();
    check(sum);
  });
}

const system = "1 000 000 system calls";
baseline(system);
bench("yield* getTid()", system, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield* getTid();
  return sum;
});
bench("yield getTid()", system, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield getTid();
  return sum;
});

const coroutines = "1 000 000 calls of a coroutine";
baseline(coroutines);
bench("yield coroutine()", coroutines, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield answer();
  return sum;
});
bench("yield* call(coroutine())", coroutines, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield* call(answer());
  return sum;
});
bench("yield* coroutine(), which the kernel does not see", coroutines, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield* answer();
  return sum;
});

const boundaries = "1 000 000 boundaries";
baseline(boundaries);
bench("yield* timeout(ms, coroutine())", boundaries, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield* timeout(60_000, answer());
  return sum;
});
bench("yield* shield(coroutine())", boundaries, function* () {
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += yield* shield(answer());
  return sum;
});
