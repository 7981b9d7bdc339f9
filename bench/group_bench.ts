// `all` of a thousand coroutines against `Promise.all` of a thousand async functions, and a future from its settling to
// the resume of the task that waits for it against a promise.

import { all, type Coroutine, Future, Scheduler, spawn } from "../mod.ts";

const TIMES = 100_000;

function* trivial(): Coroutine<number> {
  return 1;
}

async function trivialAsync(): Promise<number> {
  return await 1;
}

Deno.bench({
  name: "Promise.all of async functions",
  group: "1 000 coroutines that need not wait, at once",
  baseline: true,
}, async () => {
  await Promise.all(Array.from({ length: 1000 }, trivialAsync));
});

Deno.bench({ name: "all", group: "1 000 coroutines that need not wait, at once" }, () => {
  new Scheduler().runSync(all(Array.from({ length: 1000 }, trivial)));
});

Deno.bench({ name: "promise", group: "100 000 results handed over", baseline: true }, async () => {
  let settle: (value: number) => void = () => {};
  let promise = new Promise<number>((resolve) => settle = resolve);
  const waiter = (async () => {
    for (let i = 0; i < TIMES; i++) await promise;
  })();
  for (let i = 0; i < TIMES; i++) {
    const resolve = settle;
    promise = new Promise<number>((next) => settle = next);
    resolve(i);
    await undefined;
  }
  settle(0);
  await waiter;
});

Deno.bench({ name: "Future", group: "100 000 results handed over" }, () => {
  new Scheduler().runSync(function* () {
    let future = new Future<number>();
    const waiter = yield* spawn(function* () {
      for (let i = 0; i < TIMES; i++) yield* future;
    });
    for (let i = 0; i < TIMES; i++) {
      yield;
      const settled = future;
      future = new Future<number>();
      settled.setResult(i);
    }
    yield;
    if (!future.done()) future.setResult(0);
    yield* waiter;
  });
});
