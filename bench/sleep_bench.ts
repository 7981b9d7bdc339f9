/**
 * What it costs to sleep: 100 000 at once, beside as many promises with a `setTimeout` each.
 *
 * All are asleep before the first wakes, and they wake over 100 ms. So with a real clock the time of an iteration has a floor
 * that nobody's work is behind, and what counts is the processor's time; Deno.bench cannot show it, and it is printed at
 * the end: nanoseconds for one sleep, the start of its task included. With a virtual clock nobody waits, and the time
 * of an iteration is all work: 100 ms reads as 1000 ns a sleep.
 *
 * @module
 */

import process from "node:process";
import { type Coroutine, Scheduler, sleep, spawn } from "../mod.ts";
import { VirtualClock } from "../testing.ts";

const SLEEPERS = 100_000;

// Different times in an order that is no order: the heap gets no sorted input. The falling asleep takes some 100 ms.
const times = Array.from({ length: SLEEPERS }, (_, i) => 300 + (i * 7919 % SLEEPERS) / (SLEEPERS / 100));

let woken = 0;

async function asyncSleeper(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  woken++;
}

function* sleeper(ms: number): Coroutine<void> {
  yield* sleep(ms);
  woken++;
}

function* sleepers(): Coroutine<void> {
  for (const ms of times) yield* spawn(sleeper(ms));
}

const processorTime = new Map<string, number[]>();

function bench(name: string, group: string, program: () => Promise<unknown>, baseline = false): void {
  Deno.bench(name, { group, baseline }, async () => {
    woken = 0;
    const before = process.cpuUsage();
    await program();
    const { user, system } = process.cpuUsage(before);
    if (woken !== SLEEPERS) throw new Error(`${woken} of ${SLEEPERS} woke`);
    if (!processorTime.has(name)) processorTime.set(name, []);
    processorTime.get(name)!.push(1000 * (user + system) / SLEEPERS);
  });
}

const group = "100 000 sleeps of 300 to 400 ms";
bench("setTimeout and a promise each", group, () => Promise.all(times.map(asyncSleeper)), true);
bench("sleep()", group, () => new Scheduler().run(sleepers()));
bench("sleep(), virtual clock", group, () => new Scheduler({ clock: new VirtualClock() }).run(sleepers()));

addEventListener("unload", () => {
  console.log("\nprocessor time of one sleep, median of the iterations:");
  for (const [name, samples] of processorTime) {
    const median = samples.sort((a, b) => a - b)[samples.length >> 1]!;
    console.log(`  ${name.padEnd(30)} ${median.toFixed(0).padStart(7)} ns`);
  }
});
