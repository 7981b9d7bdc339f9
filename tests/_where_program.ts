/**
 * A program that asks where its tasks stand, to be run with and without permissions; it prints what it is told as JSON.
 *
 * `stacks`: with that option. `no-host`: as in a host that has neither `Deno` nor `process`.
 *
 * @module
 */

const asked: string[] = [];
const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): unknown } };
const { getBuiltinModule } = process;
process.getBuiltinModule = (name: string) => {
  asked.push(name);
  return getBuiltinModule(name);
};
const [variant] = Deno.args;
if (variant === "no-host") {
  for (const name of ["Deno", "process"]) Object.defineProperty(globalThis, name, { value: undefined });
}

// The kernel meets the host as it is now.
const { call, Event, Scheduler, spawn, until, where } = await import("../mod.ts");

const never = new Event();

function* inner() {
  yield* never.wait();
}

const scheduler = new Scheduler({ stacks: variant === "stacks" });
const frames = await scheduler.run(function* () {
  const task = yield* spawn(function* worker() {
    yield* call(inner());
  }, { daemon: true });
  yield;
  return yield* until(where(task, { locals: true }));
});
let deadlock = "";
await new Scheduler().run(never.wait()).catch((error) => deadlock = error.message);
console.log(JSON.stringify({ frames, asked, deadlock: deadlock.split("\n").slice(3) }));
