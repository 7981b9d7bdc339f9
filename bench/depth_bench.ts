/**
 * What a resume costs a coroutine that stands deep below its task: it should not matter how deep.
 *
 * Calls that the kernel makes (`yield coroutine()`) leave the callers on the kernel's stack, which a resume does not touch.
 * Calls that JavaScript makes (`yield* coroutine()`) are gone through one by one, down and up, on every resume. An async
 * function is resumed by itself, as a trampolined coroutine is.
 *
 * Every iteration makes the same million resumes, after the calls: a time of 30 ms an iteration reads as 30 ns a resume.
 *
 * @module
 */

import { type Coroutine, Scheduler } from "../mod.ts";

const RESUMES = 1_000_000;

function* trampolined(depth: number): Coroutine<void> {
  if (depth > 1) yield trampolined(depth - 1);
  else for (let i = 0; i < RESUMES; i++) yield;
}

function* native(depth: number): Coroutine<void> {
  if (depth > 1) yield* native(depth - 1);
  else for (let i = 0; i < RESUMES; i++) yield;
}

async function awaiting(depth: number): Promise<void> {
  if (depth > 1) await awaiting(depth - 1);
  else for (let i = 0; i < RESUMES; i++) await undefined;
}

const group = "1 000 000 resumes";
for (const depth of [1, 10, 50]) {
  Deno.bench(`${depth} deep, await`, { group, baseline: depth === 1 }, async () => {
    await awaiting(depth);
  });
  Deno.bench(`${depth} deep, trampolined`, { group }, () => new Scheduler().runSync(trampolined(depth)));
  Deno.bench(`${depth} deep, native yield*`, { group }, () => new Scheduler().runSync(native(depth)));
}
