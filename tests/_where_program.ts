/**
 * A program that asks where its tasks stand, to be run with and without permissions; it prints what it is told as JSON.
 *
 * `stacks`: with that option. `no-host`: as in a host that has neither `Deno` nor `process`. `operations`: the first that is
 * looked at has no coroutine. `fails`: the inspector of the host fails after some requests, as long as `failing` is set.
 *
 * @module
 */

import type { Frame } from "../mod.ts";

const asked: string[] = [];
const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): unknown } };
const { getBuiltinModule } = process;
process.getBuiltinModule = (name: string) => {
  asked.push(name);
  return getBuiltinModule(name);
};
const [variant] = Deno.args;
let failing = variant === "fails";
if (failing) {
  interface Session {
    post(method: string, params: object, answer: (error: Error | null, result: unknown) => void): void;
    disconnect(): void;
  }
  const { Session } = getBuiltinModule("node:inspector") as { Session: new () => Session };
  let requests = 0;
  class Failing extends Session {
    override post(...[method, params, answer]: Parameters<Session["post"]>): void {
      requests++;
      if (failing && requests === 4) throw new Error("too many requests");
      if (failing && requests > 4) return answer(new Error("too many requests"), undefined);
      super.post(method, params, answer);
    }
    override disconnect(): void {
      super.disconnect();
      if (failing) throw new Error("not now");
    }
  }
  const { getBuiltinModule: real } = process;
  process.getBuiltinModule = (name: string) => name === "node:inspector" ? { Session: Failing } : real(name);
}
if (variant === "no-host") {
  for (const name of ["Deno", "process"]) Object.defineProperty(globalThis, name, { value: undefined });
}

// The kernel meets the host as it is now.
const { call, Event, Scheduler, sleep, spawn, until, where } = await import("../mod.ts");

const never = new Event();

function* inner() {
  yield* never.wait();
}

let deadlock = "";
async function deadlocked(): Promise<void> {
  await new Scheduler().run(never.wait()).catch((error) => deadlock = error.message);
}

if (variant === "operations") {
  await deadlocked();
  await new Scheduler().run(function* () {
    const task = yield* spawn(sleep(0));
    yield* task;
    yield* until(where(task));
  });
}

const scheduler = new Scheduler({ stacks: variant === "stacks" });
const frames: Frame[] = [];
await scheduler.run(function* () {
  const task = yield* spawn(function* worker() {
    yield* call(inner());
  }, { daemon: true });
  yield;
  if (failing) {
    frames.push(...yield* until(where(task)));
    failing = false;
  }
  frames.push(...yield* until(where(task, { locals: true })));
});
await deadlocked();
console.log(JSON.stringify({ frames, asked, deadlock: deadlock.split("\n").slice(3) }));
