import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  call,
  type Coroutine,
  defer,
  kill,
  type Parked,
  type Scheduler,
  shield,
  sleep,
  spawn,
  SystemCall,
} from "../mod.ts";
import { type Task, timeout, waitTask } from "../mod.ts";
import { sweep, SweepError } from "../testing.ts";

Deno.test("sweep interrupts a program at each of its steps, by kill and by timeout", () => {
  const at: string[] = [];
  const report = sweep(function* () {
    let reached = 0;
    try {
      for (; reached < 3; reached++) yield* sleep(1);
    } finally {
      at.push(String(reached));
    }
  });
  assertEquals(report, { steps: 4, runs: 9 });
  // Undisturbed; then killed after each of three waits, and after the end; then the same with a timeout.
  assertEquals(at.join(" "), "3 0 1 2 3 0 1 2 3");
});

Deno.test("sweep finds a resource that only one interruption leaks", () => {
  let open = 0;
  const error = assertThrows(
    () =>
      sweep(function* () {
        open = 1;
        yield* sleep(1);
        try {
          yield* sleep(1);
        } finally {
          open = 0;
        }
      }, { check: () => assert(open === 0, "still open") }),
    SweepError,
  );
  assertEquals(error.step, 1);
  assertStringIncludes(
    error.message,
    "kill of task 1 (sleep until 1) after step 1 of task 1: the check threw",
  );
});

Deno.test("sweep finds cleanup that fails, a program that hangs, and a waiter left in a line", () => {
  const cases: [() => Coroutine<unknown>, string][] = [
    [
      function* () {
        try {
          yield* sleep(1);
        } finally {
          yield* call(function* () {
            throw new Error("in cleanup");
          });
        }
      },
      "the program threw Error: in cleanup",
    ],
    [
      function* () {
        for (;;) yield;
      },
      "the program has not ended after 100 steps",
    ],
    [
      function* () {
        yield* new (class extends SystemCall<void> {
          handle(task: Task, scheduler: Scheduler): Parked {
            return scheduler.park(task, { reason: "godot" });
          }
        })();
      },
      "the program threw DeadlockError",
    ],
  ];
  for (const [program, message] of cases) {
    const error = assertThrows(() => sweep(program, { maxSteps: 100 }), SweepError);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("interrupting sleeps, calls, timeouts, shields, defers, joins and kills at any step leaks nothing", () => {
  let held = 0;
  const hold = function* (): Coroutine<void> {
    held++;
    yield* defer(function* () {
      yield* sleep(2);
      held--;
    });
    yield* sleep(3);
  };
  const report = sweep(function* (): Coroutine<void> {
    held = 0;
    yield hold();
    yield* call(hold());
    try {
      yield* timeout(4, function* () {
        yield* hold();
        yield* sleep(10);
      });
    } catch { /* it may be too slow */ }
    yield* shield(hold());
    const worker = yield* spawn(hold);
    yield* worker;
    const victim = yield* spawn(hold);
    yield;
    yield* kill(victim);
    const last = yield* spawn(hold, { daemon: true });
    yield* waitTask(last.tid);
  }, { check: () => assertEquals(held, 0) });
  assert(report.steps > 15 && report.runs === 1 + 2 * report.steps);
});

Deno.test("sweep can kill any task of a program, each at each of its steps", () => {
  let cleaned = 0;
  let started = 0;
  sweep(function* () {
    started = cleaned = 0;
    for (let i = 0; i < 3; i++) {
      yield* spawn(function* () {
        started++;
        try {
          yield* sleep(i);
          yield;
        } finally {
          yield* shield(sleep(1)); // a kill that comes into a natural `finally` would cut it short
          cleaned++;
        }
      });
    }
  }, { by: "kill", victims: "any", check: () => assertEquals(cleaned, started) });
});
