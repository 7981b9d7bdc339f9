/**
 * What `stacks: true` costs, and what a failure costs without it.
 *
 * Without the option a call, a spawn and a switch cost what they did, as nothing is noted; an error that leaves its task is
 * noted, and its stack put in words when it is read. With it, the line of each call made by `yield*` and of each spawn is
 * captured. An iteration makes a thousand of each: 1 ms reads as 1 µs.
 *
 * @module
 */

import { call, type Coroutine, getTid, Scheduler, spawn } from "../mod.ts";

const TIMES = 1000;

function* child(): Coroutine<void> {}

function* failing(): Coroutine<void> {
  throw new Error("no luck");
}

function* calls(): Coroutine<void> {
  for (let i = 0; i < TIMES; i++) yield* call(child());
}

function* systemCalls(): Coroutine<void> {
  for (let i = 0; i < TIMES; i++) yield* getTid();
}

function* spawns(): Coroutine<void> {
  for (let i = 0; i < TIMES; i++) yield* yield* spawn(child());
}

function* caught(): Coroutine<void> {
  for (let i = 0; i < TIMES; i++) {
    try {
      yield* call(failing());
    } catch {
      // that is what is measured
    }
  }
}

function failures(read: boolean) {
  return function* (): Coroutine<void> {
    for (let i = 0; i < TIMES; i++) {
      try {
        yield* yield* spawn(failing());
      } catch (error) {
        if (read && (error as Error).stack === "") throw new Error("cannot be");
      }
    }
  };
}

const programs = {
  "1 000 calls": calls,
  "1 000 system calls": systemCalls,
  "1 000 spawns and joins": spawns,
  "1 000 errors caught by the caller": caught,
  "1 000 errors that leave their task": failures(false),
  "1 000 errors that leave their task, and are read": failures(true),
};

for (const [group, program] of Object.entries(programs)) {
  Deno.bench(`${group}`, { group, baseline: true }, () => new Scheduler().runSync(program()));
  Deno.bench(`${group}, stacks: true`, { group }, () => new Scheduler({ stacks: true }).runSync(program()));
}
