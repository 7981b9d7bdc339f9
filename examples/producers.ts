/**
 * Two fast producers, a slow consumer, and a belt with room for three: who is too fast waits.
 *
 * ```sh
 * deno run examples/producers.ts
 * ```
 *
 * @module
 */

import { type Coroutine, Queue, run, sleep, spawn } from "../mod.ts";

const belt = new Queue<string>({ capacity: 3, name: "belt" });

function* producer(name: string): Coroutine<void> {
  for (let i = 1; i <= 4; i++) {
    yield belt.put(name + i);
    console.log(`put ${name}${i}, ${belt.size} on the belt`);
  }
}

function* consumer(): Coroutine<void> {
  for (;;) {
    const item = yield belt.get();
    yield sleep(10);
    console.log(`          ${item} done`);
    belt.taskDone();
  }
}

await run(function* (): Coroutine<void> {
  yield* spawn(consumer(), { daemon: true });
  const producers = [yield* spawn(producer("a")), yield* spawn(producer("b"))];
  for (const task of producers) yield task;
  yield belt.join();
  console.log("all done");
});
