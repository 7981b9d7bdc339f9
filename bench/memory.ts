/**
 * What one that waits takes of the heap, for a million tasks, beside a million async functions.
 *
 * `deno run -A --v8-flags=--expose-gc bench/memory.ts`
 *
 * Every kind is measured in a process of its own: what the heap holds after a collection with the million waiting, less what
 * it held before they were made. What the kernel keeps for them counts, in its table, queue and timers, with what of it
 * lies outside the heap; the generator does, with its two local variables; the task or promise that all wait for does not.
 *
 * @module
 */

import {
  call,
  type Coroutine,
  Event,
  type Parked,
  Scheduler,
  sleep,
  SystemCall,
  type Task,
  type Work,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";

const COUNT = 1_000_000;
const HOUR = 3_600_000;

const NEVER = { reason: "what never comes" };

/** A call as a user would write it, but that its waits need no undoing. */
class Never extends SystemCall<void> {
  handle(task: Task, scheduler: Scheduler): Parked {
    return scheduler.park(task, NEVER);
  }
}

function* joins(task: Task): Coroutine<void> {
  const before = task.tid;
  yield* task;
  if (before !== task.tid) throw new Error("cannot be");
}

function* sleeps(ms: number): Coroutine<void> {
  const before = ms;
  yield* sleep(ms);
  if (before !== ms) throw new Error("cannot be");
}

function* sleepsAnHour(): Coroutine<void> {
  const before = Date.now();
  yield* sleep(HOUR);
  if (before > Date.now()) throw new Error("cannot be");
}

function* parks(ms: number): Coroutine<void> {
  const before = ms;
  yield* new Never();
  if (before !== ms) throw new Error("cannot be");
}

function* waits(event: Event): Coroutine<void> {
  const before = event.isSet;
  yield* event.wait();
  if (before === event.isSet) throw new Error("cannot be");
}

function* calls(ms: number): Coroutine<void> {
  const before = ms;
  yield* call(parks(ms));
  if (before !== ms) throw new Error("cannot be");
}

function* givesWay(ms: number): Coroutine<void> {
  const before = ms;
  yield;
  if (before !== ms) throw new Error("cannot be");
}

const never = new Promise<void>(() => {});
const event = new Event();

async function awaits(ms: number): Promise<void> {
  const before = ms;
  await never;
  if (before !== ms) throw new Error("cannot be");
}

async function awaitsItsOwn(ms: number): Promise<void> {
  const before = ms;
  await new Promise<void>((resolve) => setTimeout(resolve, ms));
  if (before !== ms) throw new Error("cannot be");
}

function heap(): number {
  for (let i = 0; i < 4; i++) (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Bytes a task, once each of a million has gone where it waits. */
function tasks(make: (first: Task) => Work<void>): Promise<number> {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  return new Promise((resolve) =>
    scheduler.run(function* () {
      const first = scheduler.spawn(new Never());
      yield;
      const before = heap();
      for (let i = 0; i < COUNT; i++) scheduler.spawn(make(first));
      yield; // and all of them run to where they wait
      const bytes = heap() - before;
      if (scheduler.tasks.size !== COUNT + 2) throw new Error(`There are ${scheduler.tasks.size} tasks`);
      resolve(bytes / COUNT);
    })
  );
}

/** Bytes a function, once each of a million awaits. */
function functions(make: () => Promise<void>): number {
  const before = heap();
  for (let i = 0; i < COUNT; i++) make();
  return (heap() - before) / COUNT;
}

function generators(): number {
  const all: Coroutine<void>[] = new Array(COUNT).fill(undefined);
  const before = heap();
  for (let i = 0; i < COUNT; i++) {
    all[i] = givesWay(i);
    all[i]!.next();
  }
  const bytes = heap() - before;
  if (all.some((generator) => generator === undefined)) throw new Error("cannot be");
  return bytes / COUNT;
}

const kinds: Record<string, () => number | Promise<number>> = {
  "task, joins another": () => tasks((first) => joins(first)),
  "task, waits for an event": () => tasks(() => waits(event)),
  "task, asleep": () => tasks(() => sleeps(HOUR)),
  "task, asleep, made from the function, so named": () => tasks(() => sleepsAnHour),
  "task, parked by a call of the user's": () => tasks(() => parks(HOUR)),
  "task, the same one call deep": () => tasks(() => calls(HOUR)),
  "task, ready": () => tasks(() => givesWay(HOUR)),
  "async function, awaits a promise that all share": () => functions(() => awaits(HOUR)),
  "async function, awaits a setTimeout of its own": () => functions(() => awaitsItsOwn(HOUR)),
  "generator alone": generators,
};

const [kind] = Deno.args;
if (kind !== undefined) {
  console.log((await kinds[kind]!()).toFixed(0));
  Deno.exit();
}

console.log(`bytes of heap for each of ${COUNT} (Deno ${Deno.version.deno}, V8 ${Deno.version.v8})\n`);
for (const kind of Object.keys(kinds)) {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", import.meta.filename!, kind],
    stderr: "inherit",
  });
  const { stdout, success } = await command.output();
  if (!success) Deno.exit(1);
  console.log(`${kind.padEnd(48)} ${new TextDecoder().decode(stdout).trim().padStart(6)}`);
}
