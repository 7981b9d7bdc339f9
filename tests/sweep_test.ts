import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  all,
  call,
  connect,
  type Coroutine,
  defer,
  kill,
  listen,
  type Parked,
  Scheduler,
  shield,
  sleep,
  spawn,
  SystemCall,
} from "../mod.ts";
import { type Task, timeout, waitTask } from "../mod.ts";
import { type SimulatedNetwork, sweep, SweepError } from "../testing.ts";

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

Deno.test("sweep refuses a check that would answer later", async () => {
  const fail = () => {
    throw new Error("never heard of");
  };
  const checks: [check: () => void, lateness: string][] = [
    [async () => await fail(), "a promise"],
    [function* () {
      fail();
    }, "a generator"],
    [() => sleep(1), "an object of class Sleep"],
  ];
  for (const [check, lateness] of checks) {
    assertThrows(
      () => sweep(() => sleep(1), { check }),
      TypeError,
      `Cannot sweep: check gives ${lateness}, and nobody would wait for it`,
    );
  }
  await new Promise((resolve) => setTimeout(resolve)); // nothing is heard of what it would have thrown
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

Deno.test("sweep runs programs on a simulated network, and finds a socket that only one interruption leaves open", () => {
  const server = function* (): Coroutine<void> {
    using listener = listen({ port: 80 });
    const [socket] = yield* listener.accept();
    using _socket = socket;
    yield* socket.send(yield* socket.readAll());
  };
  const client = function* (careful: boolean): Coroutine<void> {
    const socket = yield* connect({ port: 80 });
    try {
      if (!careful) yield* sleep(1);
      yield* socket.send("hello");
      yield* socket.closeWrite();
      yield* socket.readAll();
    } finally {
      if (careful) socket.close();
    }
    socket.close();
  };
  const both = (careful: boolean) => () => all([server, () => client(careful)]);
  const network = { latency: [1, 20], segment: [1, 3], seed: 5 } as const;
  const report = sweep(both(true), { network });
  assert(report.runs === 1 + 2 * report.steps);
  const error = assertThrows(() => sweep(both(false), { network }), SweepError);
  assertStringIncludes(error.message, "1 sockets or listeners are still open");
  assert(error.step > 0);
});

Deno.test("each run of a sweep has a network of its own, the same again, on which its program is set up", () => {
  const seen = new Set<SimulatedNetwork>();
  const times: number[] = [];
  const report = sweep((network) => {
    seen.add(network);
    const listener = listen({ port: 80, hostname: "server" }); // outside its coroutine, but in its run
    return function* () {
      using _listener = listener;
      const meeting = {
        accepted: function* () {
          const [socket] = yield* listener.accept();
          socket.close();
        },
        connected: function* () {
          using _socket = yield* connect({ port: 80, hostname: "server" });
        },
      };
      yield* all(meeting);
      times.push(Scheduler.current().now());
    };
  }, { by: "timeout", victims: "main", network: { latency: [5, 300], seed: 3 } });
  assertEquals(seen.size, report.runs);
  assertEquals(new Set(times).size, 1);
  assert(times[0]! >= 10);
});

Deno.test("a sweep says what is wrong with its network before the first run", () => {
  const wrong = { latency: -1 };
  let runs = 0;
  const error = assertThrows(() =>
    sweep(function* () {
      runs++;
    }, { network: wrong }), RangeError);
  assertStringIncludes(error.message, "latency is a finite number of ms from 0");
  assertEquals(runs, 0);
});
