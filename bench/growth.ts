/**
 * What one operation costs, by how many there are: a switch and a wake-up by tasks, a sleep by timers.
 *
 * `deno run -A bench/growth.ts`; every figure is the best of some rounds, in ns of processor time. What a cache no longer
 * holds costs more, whoever wrote the program: so each row has a plain loop over as many generators beside it.
 *
 * @module
 */

import { type Coroutine, Event, Scheduler, sleep, spawn } from "../mod.ts";
import { VirtualClock } from "../testing.ts";

const OPERATIONS = 2_000_000;
const ROUNDS = 3;

function* yields(times: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield;
}

/** A bare `generator.next()`. */
function next(count: number): number {
  const times = Math.max(1, OPERATIONS / count);
  const generators = Array.from({ length: count }, () => yields(times));
  return measure(count * times, () => {
    for (let i = 0; i < times; i++) {
      for (const generator of generators) generator.next();
    }
  });
}

// Who makes many calls in a row has to give way: so all wait at a gate until the last one has been spawned.

function* switching(gate: Event, times: number): Coroutine<void> {
  yield* gate.wait();
  for (let i = 0; i < times; i++) yield;
}

function switches(count: number): number {
  const times = Math.max(1, OPERATIONS / count);
  return new Scheduler().runSync(function* () {
    const gate = new Event();
    for (let i = 0; i < count; i++) yield* spawn(switching(gate, times + 1));
    yield;
    gate.set();
    yield; // each has taken its first step
    return yield* timed(count * times, function* () {
      for (let i = 0; i < times; i++) yield;
    });
  });
}

function* waiting(event: Event, times: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield* event.wait();
}

function wakeUps(count: number): number {
  const times = Math.max(1, OPERATIONS / count);
  return new Scheduler().runSync(function* () {
    const event = new Event();
    for (let i = 0; i < count; i++) yield* spawn(waiting(event, times));
    yield;
    return yield* timed(count * times, function* () {
      for (let i = 0; i < times; i++) {
        event.set();
        event.clear();
        yield;
      }
    });
  });
}

function* timed(operations: number, work: () => Coroutine<void>): Coroutine<number> {
  const start = performance.now();
  yield* work();
  return (performance.now() - start) * 1e6 / operations;
}

function* sleeps(times: number, ms: number): Coroutine<void> {
  for (let i = 0; i < times; i++) yield* sleep(ms);
}

function timers(count: number): number {
  const times = Math.max(1, OPERATIONS / 4 / count);
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  return measure(count * times, () => {
    scheduler.runSync(function* () {
      for (let i = 0; i < count; i++) yield* spawn(sleeps(times, 1 + i * 7919 % 10_000));
    });
  });
}

function measure(operations: number, run: () => void): number {
  const start = performance.now();
  run();
  return (performance.now() - start) * 1e6 / operations;
}

const subjects = { "generator.next()": next, "switch": switches, "wake-up": wakeUps, "sleep": timers };
const counts = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

console.log(`ns for each      ${counts.map((count) => String(count).padStart(9)).join("")}`);
for (const [name, subject] of Object.entries(subjects)) {
  const figures = counts.map((count) => {
    return Math.min(...Array.from({ length: ROUNDS }, () => subject(count))).toFixed(0).padStart(9);
  });
  console.log(`${name.padEnd(17)}${figures.join("")}`);
}
