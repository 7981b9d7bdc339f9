import { assertEquals, assertThrows } from "@std/assert";
import {
  call,
  type Coroutine,
  Event,
  Future,
  getTid,
  join,
  kill,
  Lock,
  type Observer,
  Queue,
  Scheduler,
  sleep,
  spawn,
  SystemCall,
  type Task,
  taskGroup,
  timeout,
  type Work,
} from "../mod.ts";
import { counters, type Counts, logSystemCalls, type Trace, trace, type TraceEvent } from "../monitor.ts";
import { VirtualClock } from "../testing.ts";

function virtual(): Scheduler {
  return new Scheduler({ clock: new VirtualClock(), onUnhandledError() {} });
}

// ---- Observers -----------------------------------------------------------------------------------------------------

Deno.test("an observer is told of each call and, once, of what came of it: a value, an error, a cancellation", () => {
  const log: string[] = [];
  const scheduler = virtual();
  scheduler.observe({
    systemCall: (task, call) => log.push(`${task.tid} ${call}`),
    systemCallEnd(task, call, outcome) {
      const { kind = "begins" } = outcome ?? {};
      const what = outcome?.kind === "returned"
        ? ` ${outcome.value}`
        : outcome?.kind === "failed"
        ? ` ${outcome.error}`
        : "";
      log.push(`${task.tid} ${call}: ${kind}${what}`);
    },
  });
  class Refuse extends SystemCall<void> {
    handle(): void {
      throw new RangeError("no");
    }
  }
  scheduler.runSync(function* (): Coroutine<void> {
    yield* getTid();
    const sleeper = yield* spawn(sleep(9));
    try {
      yield new Refuse();
    } catch {
      // told below
    }
    yield* sleep(1);
    yield* timeout(5, getTid());
    yield* kill(sleeper, { reason: "enough" });
  });
  assertEquals(log, [
    "1 getTid",
    "1 getTid: returned 1",
    "1 spawn",
    "1 spawn: returned task 2",
    "1 refuse",
    "1 refuse: failed RangeError: no",
    "1 sleep 1",
    "2 sleep 9",
    "1 sleep 1: returned undefined",
    "1 timeout 5",
    "1 timeout 5: begins",
    "1 getTid",
    "1 getTid: returned 1",
    "1 kill task 2",
    "2 sleep 9: killed",
    "1 kill task 2: returned true",
  ]);
});

Deno.test("an observer that only hears of ends leaves calls and steps alone, and none takes a failure for heard", async () => {
  const told: unknown[] = [];
  const scheduler = new Scheduler({ onUnhandledError: (error) => told.push(error) });
  const seen: string[] = [];
  using _ending = scheduler.observe({ taskEnded: (task) => seen.push(task.name) });
  using _counting = counters({ scheduler });
  using _log = logSystemCalls(() => {}, { scheduler });
  using _trace = trace({ scheduler });
  await scheduler.run(function* () {
    yield* spawn(function* loser() {
      throw "lost";
    });
  });
  assertEquals([told, seen], [["lost"], ["", "loser"]]);
});

Deno.test("each method of an observer that throws is reported, and the observer removed; the program goes on", () => {
  const methods = [
    "taskCreated",
    "taskReady",
    "stepStart",
    "stepEnd",
    "systemCall",
    "systemCallEnd",
    "taskEnded",
  ] as const;
  for (const method of methods) {
    const told: unknown[] = [];
    const scheduler = new Scheduler({
      clock: new VirtualClock(),
      onUnhandledError: (error) => told.push(error),
    });
    const observer: Observer = {
      [method]() {
        throw method;
      },
    };
    scheduler.observe(observer);
    const value = scheduler.runSync(function* () {
      yield* sleep(1);
      return yield* yield* spawn(getTid());
    });
    assertEquals([value, told], [2, [method]]);
  }
  assertThrows(
    () => virtual().observe(undefined as unknown as Observer),
    TypeError,
    "Cannot be observed by undefined: an object with methods is wanted",
  );
});

// ---- The Chrome trace format -----------------------------------------------------------------------------------------

/** The events of a trace as they come out of the file, in short. */
function eventsOf(taken: Trace): string[] {
  const { traceEvents } = JSON.parse(JSON.stringify(taken)) as { traceEvents: TraceEvent[] };
  return traceEvents.filter(({ ph }) => ph !== "M").map(({ ph, name, tid, ts, dur, args }) => {
    return `${ts} ${tid} ${ph} ${name}${dur === undefined ? "" : ` for ${dur}`}${
      args ? ` then ${args.then}` : ""
    }`;
  });
}

Deno.test("trace() writes each step as a slice, each wait as an asynchronous one, and who woke whom as an arrow", () => {
  const scheduler = virtual();
  const taken = trace({ scheduler });
  const gate = new Event("gate");
  scheduler.runSync(function* () {
    yield* spawn(gate.wait(), { name: "waiter" });
    yield* sleep(2);
    gate.set();
    yield* sleep(1);
  });
  taken.stop();
  scheduler.runSync(sleep(1));
  assertEquals(eventsOf(taken), [
    "0 1 X task 1 for 0 then sleep until 2",
    "0 1 s wakes",
    "0 2 f wakes",
    '0 2 X waiter for 0 then event "gate"',
    "0 1 b sleep until 2",
    '0 2 b event "gate"',
    "2000 1 e sleep until 2",
    '2000 2 e event "gate"',
    "2000 1 X task 1 for 0 then sleep until 3",
    "2000 1 s wakes",
    "2000 2 f wakes",
    "2000 2 X waiter for 0 then ended",
    "2000 1 b sleep until 3",
    "3000 1 e sleep until 3",
    "3000 1 X task 1 for 0 then ended",
  ]);
});

Deno.test("a trace names its tasks, shows the waits that go on, and pairs every begin with an end that is there", () => {
  const scheduler = virtual();
  using taken = trace({ scheduler, capacity: 50 });
  scheduler.runSync(function* main() {
    yield* spawn(new Event("never").wait(), { name: "stuck", daemon: true });
    for (let i = 0; i < 100; i++) yield* sleep(1);
    const { traceEvents, otherData } = taken.toJSON();
    const count = (ph: string) => traceEvents.filter((event) => event.ph === ph).length;
    assertEquals(
      traceEvents.filter(({ name }) => name === "thread_name").map(({ args }) => args?.name),
      ["main (task 1)", "stuck (task 2)"],
    );
    assertEquals(count("b"), count("e") + 1);
    assertEquals(count("s"), count("f"));
    assertEquals(count("X") + count("e") + count("s"), 50);
    assertEquals(otherData.dropped, taken.dropped);
    // A step and a wait for each sleep, a step and an arrow for the child.
    assertEquals(taken.dropped, 2 * 100 + 2 - 50);
  });
});

Deno.test("a trace holds no task that has ended", async () => {
  const scheduler = new Scheduler();
  using taken = trace({ scheduler, capacity: 10 });
  for (let i = 0; i < 1000; i++) await scheduler.run(getTid());
  const names = taken.toJSON().traceEvents.filter(({ name }) => name === "thread_name");
  assertEquals(names.length, 10);
});

Deno.test("trace() takes a whole number of events", () => {
  assertThrows(
    () => trace({ capacity: 0 }),
    RangeError,
    "Cannot trace: capacity is a whole number from 1, or Infinity, not 0",
  );
  assertThrows(() => trace({ capacity: "9" as unknown as number }), TypeError);
});

// ---- The log of calls ----------------------------------------------------------------------------------------------

/** What is logged of a program on a virtual clock. */
function logged(program: Work<unknown>, filter?: (task: Task) => boolean): string[] {
  const scheduler = virtual();
  const lines: string[] = [];
  using _log = logSystemCalls((line) => lines.push(line), { scheduler, ...(filter && { filter }) });
  scheduler.runSync(program);
  return lines;
}

Deno.test("the log of calls says who called what, with what result, and how long it took", () => {
  const lines = logged(function* main(): Coroutine<void> {
    const queue = new Queue<Uint8Array | string>();
    const taker = yield* spawn(function* taker() {
      yield* queue.get();
      return { bytes: yield* queue.get(), more: [1, 2, 3, 4, 5, 6] };
    });
    yield* sleep(2);
    yield* queue.put(new Uint8Array(64));
    yield* queue.put("a line\n\u001b[31m");
    yield* taker;
    const lock = new Lock("db");
    yield* lock.acquire();
    lock.release();
    const future = Future.reject(new Error("no luck"));
    yield* call(function* () {
      try {
        yield* future;
      } catch {
        // logged
      }
    });
    yield (function* native(): Coroutine<void> {})();
  });
  assertEquals(lines, [
    '0.000 [1 main] spawn = task 2 "taker" <0 ms>',
    "0.000 [1 main] sleep until 2 …",
    "0.000 [2 taker] get from queue …",
    "2.000 [1 main] … sleep until 2 = undefined <2 ms>",
    "2.000 [1 main] put to queue = undefined <0 ms>",
    "2.000 [1 main] put to queue = undefined <0 ms>",
    '2.000 [1 main] join of task 2 "taker" …',
    "2.000 [2 taker] … get from queue = 64 bytes <2 ms>",
    '2.000 [2 taker] get from queue = "a line\\n\\u001b[31m" <0 ms>',
    '2.000 [1 main] … join of task 2 "taker" = { bytes: "a line\\n\\u001b[31m", more: [1, 2, 3, 4, 2 more] } <0 ms>',
    "2.000 [1 main] acquire = undefined <0 ms>",
    "2.000 [1 main] call begins",
    "2.000 [1 main] a future = Error: no luck <0 ms>",
    "2.000 [1 main] call native begins",
  ]);
});

Deno.test("the log of calls ends with what is waited for, says what was cancelled, and shows whom it is asked for", () => {
  const lines = logged(function* main() {
    yield* spawn(sleep(1), { name: "not asked for" });
    try {
      yield* timeout(
        5,
        taskGroup(function* () {
          yield* sleep(60);
        }),
      );
    } catch {
      // logged
    }
    yield* spawn(function* stuck() {
      yield* new Event("never").wait();
    }, { daemon: true });
    yield;
  }, (task) => task.name === "main" || task.name === "stuck");
  assertEquals(lines, [
    '0.000 [1 main] spawn = task 2 "not asked for" <0 ms>',
    "0.000 [1 main] timeout 5 begins",
    "0.000 [1 main] taskGroup begins",
    "0.000 [1 main] sleep until 60 …",
    '5.000 [1 main] … sleep until 60 = cancelled: TimeoutError: task 1 "main" was not done within 5 ms <5 ms>',
    '5.000 [1 main] spawn = task 3 "stuck" <0 ms>',
    '5.000 [3 stuck] event "never" …',
    '5.000 [3 stuck] … event "never" = cancelled: Error: the run is over <0 ms>',
  ]);
});

Deno.test("what cannot be put in words harms nobody", () => {
  const hostile = {
    toString() {
      throw new Error("do not ask");
    },
    get trap() {
      throw new Error("nor look");
    },
  };
  class Give extends SystemCall<unknown> {
    override toString(): string {
      throw new Error("no name");
    }
    handle(): unknown {
      return hostile;
    }
  }
  assertEquals(
    logged(function* main() {
      yield* new Give();
    }),
    ["0.000 [1 main] give = something that cannot be shown <0 ms>"],
  );
});

// ---- Counters --------------------------------------------------------------------------------------------------------

Deno.test("counters count tasks by their end, switches, wake-ups, and calls by kind", () => {
  const scheduler = virtual();
  const counting = counters({ scheduler });
  scheduler.runSync(function* () {
    const sleeper = yield* spawn(sleep(60));
    const loser = yield* spawn(function* () {
      throw new Error("lost");
    });
    yield;
    yield* kill(sleeper);
    try {
      yield* join(loser);
    } catch {
      // counted
    }
    for (let i = 0; i < 3; i++) yield* getTid();
  });
  const counts: Counts = counting.read();
  counting[Symbol.dispose]();
  scheduler.runSync(getTid());
  assertEquals(counts, {
    spawned: 3,
    returned: 1,
    failed: 1,
    killed: 1,
    switches: 6,
    wakeups: 6,
    calls: { spawn: 2, sleep: 1, killTask: 1, join: 1, getTid: 3 },
  });
  assertEquals(counting.read(), counts);
});
