/**
 * What a lock, a queue and a channel cost, beside those that one writes by hand with promises and `await`.
 *
 * Every iteration passes a million messages, or takes a lock a million times: a time of 30 ms an iteration reads as 30 ns
 * for one. The queues and locks by hand are as short as they can be: they hand over, first come first served, but nobody
 * who waits for them can be cancelled, and nobody knows who holds them.
 *
 * @module
 */

import { Channel, type Coroutine, Lock, Queue, Scheduler, Semaphore, spawn } from "../mod.ts";

const TIMES = 1_000_000;
const TASKS = 100;

class PromiseLock {
  #locked = false;
  readonly #line: (() => void)[] = [];

  acquire(): Promise<void> | void {
    if (this.#locked) return new Promise((resolve) => this.#line.push(resolve));
    this.#locked = true;
  }

  release(): void {
    const next = this.#line.shift();
    if (next === undefined) this.#locked = false;
    else next();
  }
}

class PromiseQueue<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  readonly #getters: ((item: T) => void)[] = [];
  readonly #putters: { item: T; resolve: () => void }[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  put(item: T): Promise<void> | void {
    const getter = this.#getters.shift();
    if (getter !== undefined) return getter(item);
    if (this.#items.length >= this.#capacity) {
      return new Promise((resolve) => this.#putters.push({ item, resolve }));
    }
    this.#items.push(item);
  }

  get(): Promise<T> | T {
    if (this.#items.length === 0) return new Promise((resolve) => this.#getters.push(resolve));
    const item = this.#items.shift()!;
    const putter = this.#putters.shift();
    if (putter !== undefined) {
      this.#items.push(putter.item);
      putter.resolve();
    }
    return item;
  }
}

function check(sum: number): void {
  if (sum !== TIMES) throw new Error(`${TIMES} times gave ${sum}`);
}

const alone = "1 000 000 times a lock that nobody else wants";
Deno.bench("promise lock, await", { group: alone, baseline: true }, async () => {
  const lock = new PromiseLock();
  let sum = 0;
  for (let i = 0; i < TIMES; i++) {
    await lock.acquire();
    sum++;
    lock.release();
  }
  check(sum);
});
Deno.bench("Lock", { group: alone }, () => {
  new Scheduler().runSync(function* () {
    const lock = new Lock();
    let sum = 0;
    for (let i = 0; i < TIMES; i++) {
      yield* lock.acquire();
      sum++;
      lock.release();
    }
    check(sum);
  });
});
Deno.bench("Semaphore", { group: alone }, () => {
  new Scheduler().runSync(function* () {
    const semaphore = new Semaphore(1);
    let sum = 0;
    for (let i = 0; i < TIMES; i++) {
      yield* semaphore.acquire();
      sum++;
      semaphore.release();
    }
    check(sum);
  });
});

const contended = `1 000 000 times a lock that ${TASKS} tasks want, held for one switch`;
Deno.bench("promise lock, await", { group: contended, baseline: true }, async () => {
  const lock = new PromiseLock();
  let sum = 0;
  async function work(): Promise<void> {
    for (let i = 0; i < TIMES / TASKS; i++) {
      await lock.acquire();
      await undefined;
      sum++;
      lock.release();
    }
  }
  await Promise.all(Array.from({ length: TASKS }, work));
  check(sum);
});
Deno.bench("Lock", { group: contended }, () => {
  let sum = 0;
  const lock = new Lock();
  function* work(): Coroutine<void> {
    for (let i = 0; i < TIMES / TASKS; i++) {
      yield* lock.acquire();
      yield;
      sum++;
      lock.release();
    }
  }
  new Scheduler().runSync(function* () {
    for (let i = 0; i < TASKS; i++) yield* spawn(work());
  });
  check(sum);
});

for (const capacity of [1, 100]) {
  const group = `1 000 000 messages from one task to another, capacity ${capacity}`;
  Deno.bench("promise queue, await", { group, baseline: true }, async () => {
    const queue = new PromiseQueue<number>(capacity);
    let sum = 0;
    async function produce(): Promise<void> {
      for (let i = 0; i < TIMES; i++) await queue.put(1);
    }
    async function consume(): Promise<void> {
      for (let i = 0; i < TIMES; i++) sum += await queue.get();
    }
    await Promise.all([produce(), consume()]);
    check(sum);
  });
  const pass = function* (): Coroutine<void> {
    const queue = new Queue<number>({ capacity });
    yield* spawn(function* () {
      for (let i = 0; i < TIMES; i++) yield* queue.put(1);
    });
    let sum = 0;
    for (let i = 0; i < TIMES; i++) sum += yield* queue.get();
    check(sum);
  };
  Deno.bench("Queue", { group }, () => new Scheduler().runSync(pass()));
  Deno.bench("Queue, run", { group }, async () => {
    await new Scheduler().run(pass());
  });
  Deno.bench("Channel", { group }, () => {
    new Scheduler().runSync(function* () {
      const channel = new Channel<number>(capacity);
      yield* spawn(function* () {
        for (let i = 0; i < TIMES; i++) yield* channel.send(1);
        channel.close();
      });
      let sum = 0;
      for (let got = yield* channel.receive(); !got.done; got = yield* channel.receive()) sum += got.value;
      check(sum);
    });
  });
}
