import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  all,
  type Coroutine,
  currentTask,
  Future,
  getTid,
  InvalidStateError,
  join,
  JoinError,
  kill,
  newTask,
  type Parked,
  Queue,
  run,
  Scheduler,
  sleep,
  spawn,
  SystemCall,
  type Task,
  until,
  type Wait,
  waitTask,
  type Work,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";

function virtual(
  options: { onUnhandledError?: (error: unknown) => void; timeSlice?: number } = {},
): Scheduler {
  return new Scheduler({ clock: new VirtualClock(), ...options });
}

/** Parks its task; the test has the token. */
class Park extends SystemCall<unknown> {
  parked: Parked | undefined;
  handle(task: Task, scheduler: Scheduler): Parked {
    return this.parked = scheduler.park(task, { reason: "the test" });
  }
}

Deno.test("tasks run in the order in which they became ready", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    for (const name of ["a", "b", "c"]) {
      yield* spawn(function* () {
        for (let i = 1; i <= 3; i++) {
          log.push(name + i);
          yield;
        }
      });
    }
  });
  assertEquals(log, ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]);
});

Deno.test("a call that need not wait does not switch", () => {
  const log: unknown[] = [];
  virtual().runSync(function* () {
    const child = yield* newTask(function* child() {
      log.push("child");
    });
    log.push(yield* getTid(), child, (yield* currentTask()).tid, yield* waitTask(99), yield* kill(99));
    yield;
    log.push("main again");
  });
  assertEquals(log, [1, 2, 1, false, false, "child", "main again"]);
});

Deno.test("a thousand calls in a row by one task do not keep the others from running, in either spelling", () => {
  for (const native of [true, false]) {
    const log: string[] = [];
    virtual().runSync(function* (): Coroutine<void> {
      yield* spawn(function* () {
        log.push("other");
      });
      for (let i = 0; i < 1000; i++) {
        if (native) yield* getTid();
        else yield getTid();
      }
      log.push("caller");
    });
    assertEquals(log, ["other", "caller"]);
  }
});

Deno.test("a task that calls coroutines for ever does not keep the others from running", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const busy = yield* spawn(function* (): Coroutine<void> {
      for (;;) yield (function* () {})();
    });
    yield* spawn(function* () {
      log.push("other");
      yield* kill(busy);
      log.push("killed it");
    });
  });
  assertEquals(log, ["other", "killed it"]);
});

Deno.test("tids count from 1 in each scheduler", () => {
  for (let i = 0; i < 2; i++) assertEquals(virtual().runSync(getTid()), 1);
});

Deno.test("tasks maps the living ones by tid, the oldest first", () => {
  const scheduler = virtual();
  scheduler.runSync(function* () {
    for (let i = 0; i < 100; i++) yield* spawn(sleep(i));
    yield* sleep(49.5);
    assertEquals(scheduler.tasks.size, 51);
    assertEquals([...scheduler.tasks.keys()].slice(0, 3), [1, 52, 53]);
    assertEquals(scheduler.tasks.get(52)?.waitingFor, "sleep until 50");
    assertEquals([scheduler.tasks.has(51), scheduler.tasks.has(101)], [false, true]);
    assertEquals([...scheduler.tasks].length, 51);
  });
  assertEquals(scheduler.tasks.size, 0);
});

Deno.test("ps says of each task who it is, what it waits for and since when", () => {
  const scheduler = virtual();
  scheduler.runSync(function* main() {
    yield* spawn(function* () {
      yield* sleep(1250);
    }, { name: "sleeper", daemon: true });
    yield* sleep(100);
    const [main, sleeper] = scheduler.ps();
    assertEquals(main, {
      tid: 1,
      parent: undefined,
      name: "main",
      state: "running",
      waitingFor: undefined,
      since: undefined,
      steps: 2,
      daemon: false,
    });
    assertEquals(sleeper, {
      tid: 2,
      parent: 1,
      name: "sleeper",
      state: "waiting",
      waitingFor: "sleep until 1250",
      since: 0,
      steps: 1,
      daemon: true,
    });
  });
});

Deno.test("what expires joins the end of the ready queue, in order of deadline, then of request", async () => {
  const scheduler = virtual();
  const log: string[] = [];
  await scheduler.run(function* () {
    for (const [name, ms] of [["c", 20], ["a", 10], ["b", 10], ["d", 20]] as const) {
      yield* spawn(function* () {
        yield* sleep(ms);
        log.push(`${name} at ${scheduler.now()}`);
      });
    }
  });
  assertEquals(log, ["a at 10", "b at 10", "c at 20", "d at 20"]);
});

Deno.test("run settles when main and all that it spawned, at any depth, have ended; daemons are killed then", async () => {
  const log: string[] = [];
  const scheduler = virtual();
  const value = await scheduler.run(function* () {
    yield* spawn(function* () {
      yield* spawn(function* () {
        yield* sleep(20);
        log.push("grandchild");
      });
    });
    yield* spawn(function* () {
      try {
        yield* sleep(Infinity);
      } finally {
        yield* sleep(5);
        log.push(`daemon cleaned up at ${scheduler.now()}`);
      }
    }, { daemon: true });
    log.push("main");
    return 7;
  });
  assertEquals([value, ...log], [7, "main", "grandchild", "daemon cleaned up at 25"]);
  assertEquals(scheduler.tasks.size, 0);
});

Deno.test("when main fails, all that the run owns is killed and cleaned up before run rejects with its error", async () => {
  const log: string[] = [];
  const scheduler = virtual();
  const failure = new Error("main failed");
  const error = await assertRejects(() =>
    scheduler.run(function* () {
      for (const name of ["older", "newer"]) {
        yield* spawn(function* () {
          try {
            yield* sleep(1000);
          } finally {
            log.push(`${name} told`);
            yield* sleep(10);
            log.push(`${name} cleaned up`);
          }
        });
      }
      yield;
      throw failure;
    })
  );
  assertStrictEquals(error, failure);
  assertEquals(log, ["newer told", "older told", "newer cleaned up", "older cleaned up"]);
});

Deno.test("runs do not touch each other, nor tasks that outside code has spawned", async () => {
  const scheduler = virtual();
  const outside = scheduler.spawn(function* () {
    yield* sleep(30);
    return "outside";
  });
  const good = scheduler.run(function* () {
    yield* sleep(20);
    return "good";
  });
  await assertRejects(
    () =>
      scheduler.run(function* () {
        yield* sleep(10);
        throw new Error("bad");
      }),
    Error,
    "bad",
  );
  assertEquals(await good, "good");
  await scheduler.mainLoop();
  assertEquals(await outside, "outside");
});

Deno.test("a main that is killed makes run reject with JoinError, an aborted signal with its reason", async () => {
  const scheduler = virtual();
  await assertRejects(
    () =>
      scheduler.run(function* () {
        yield* kill(yield* getTid());
      }),
    JoinError,
  );
  const log: string[] = [];
  const controller = new AbortController();
  const reason = new Error("enough");
  const error = await assertRejects(() =>
    scheduler.run(function* () {
      yield* spawn(function* () {
        try {
          yield* sleep(1000);
        } finally {
          log.push("child cleaned up");
        }
      });
      yield* sleep(10);
      controller.abort(reason);
      yield* sleep(1000);
    }, { signal: controller.signal })
  );
  assertStrictEquals(error, reason);
  assertEquals(log, ["child cleaned up"]);
  await assertRejects(() => scheduler.run(sleep(5), { signal: AbortSignal.abort(reason) }), Error, "enough");
});

Deno.test("mainLoop ends when every task that is no daemon has ended", async () => {
  const scheduler = virtual();
  const log: string[] = [];
  await scheduler.mainLoop();
  scheduler.new(function* () {
    yield* sleep(10);
    log.push("worker");
  });
  scheduler.new(function* () {
    try {
      for (;;) yield* sleep(3);
    } finally {
      log.push("daemon killed");
    }
  }, { daemon: true });
  await scheduler.mainLoop();
  assertEquals(log, ["worker", "daemon killed"]);
  assertEquals(scheduler.tasks.size, 0);
});

Deno.test("run, runSync and mainLoop inside a task's own step are a TypeError", () => {
  const scheduler = virtual();
  const errors = scheduler.runSync(function* (): Coroutine<string[]> {
    const errors: string[] = [];
    for (
      const turn of [
        () => scheduler.run(sleep(1)),
        () => scheduler.runSync(sleep(1)),
        () => scheduler.mainLoop(),
      ]
    ) {
      try {
        turn();
      } catch (error) {
        errors.push((error as Error).name);
      }
    }
    return errors;
  });
  assertEquals(errors, ["TypeError", "TypeError", "TypeError"]);
});

Deno.test("a task spawned on a scheduler of one's own does not start before somebody runs that", async () => {
  const scheduler = virtual();
  let started = false;
  scheduler.new(function* () {
    started = true;
  });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(started, false);
  await scheduler.mainLoop();
  assertEquals(started, true);
});

Deno.test("runSync runs without the host, and says who would have to wait for it", () => {
  assertEquals(
    virtual().runSync(function* () {
      yield* sleep(1000);
      return "slept";
    }),
    "slept",
  );
  const log: string[] = [];
  assertThrows(
    () =>
      new Scheduler().runSync(function* main() {
        try {
          yield* until(new Promise(() => {}));
        } finally {
          log.push("cleaned up");
        }
      }),
    InvalidStateError,
    'task 1 "main" waits for a promise',
  );
  assertEquals(log, ["cleaned up"]);
});

Deno.test("an error goes to whoever joins; nobody's error is lost, nor told twice; no other task notices", async () => {
  const told: unknown[] = [];
  const log: unknown[] = [];
  const scheduler = virtual({ onUnhandledError: (error) => told.push((error as Error).message) });
  await scheduler.run(function* () {
    const fail = (message: string) =>
      function* (): Coroutine<void> {
        yield;
        throw new Error(message);
      };
    const joined = yield* spawn(fail("joined"));
    try {
      yield* joined;
    } catch (error) {
      log.push((error as Error).message);
    }
    const lateInTurn = yield* spawn(fail("joined late, within the turn"));
    yield* spawn(fail("nobody's"));
    yield;
    yield;
    yield;
    try {
      yield* lateInTurn;
    } catch (error) {
      log.push((error as Error).message);
    }
    const late = yield* spawn(fail("joined after the turn"));
    yield* sleep(10);
    try {
      yield* late;
    } catch (error) {
      log.push((error as Error).message);
    }
  });
  assertEquals(log, ["joined", "joined late, within the turn", "joined after the turn"]);
  assertEquals(told, ["nobody's", "joined after the turn"]);
});

Deno.test("a failure in the last turn of a run is told before run settles", async () => {
  const told: unknown[] = [];
  const scheduler = virtual({ onUnhandledError: (error) => told.push((error as Error).message) });
  await scheduler.run(function* () {
    yield* spawn(function* () {
      throw new Error("last");
    });
  });
  assertEquals(told, ["last"]);
});

Deno.test("an onUnhandledError that throws stops nothing, and both errors are printed", async () => {
  const printed: string[] = [];
  const { error } = console;
  console.error = (...parts: unknown[]) => printed.push(parts.map(String).join(" "));
  try {
    const scheduler = virtual({
      onUnhandledError() {
        throw new Error("from the handler");
      },
    });
    const value = await scheduler.run(function* () {
      yield* spawn(function* () {
        throw new Error("from the task");
      }, { name: "loser" });
      yield* sleep(1);
      return "went on";
    });
    assertEquals(value, "went on");
  } finally {
    console.error = error;
  }
  assertEquals(printed, [
    'genos: unhandled error in task 2 "loser": Error: from the task',
    "genos: onUnhandledError threw as well: Error: from the handler",
  ]);
});

Deno.test("an observer sees tasks and steps and calls; one that throws is reported and removed", () => {
  const told: string[] = [];
  const log: string[] = [];
  const scheduler = virtual({ onUnhandledError: (error) => told.push((error as Error).message) });
  let calls = 0;
  scheduler.observe({
    stepStart() {
      calls++;
      throw new Error("from the observer");
    },
  });
  const observation = scheduler.observe({
    taskCreated: (task) => log.push(`created ${task.tid}`),
    taskReady: (task) => log.push(`ready ${task.tid}`),
    stepStart: (task) => log.push(`start ${task.tid}`),
    stepEnd: (task) => log.push(`end ${task.tid}`),
    systemCall: (task, call) => log.push(`${task.tid} calls ${(call as object).constructor.name}`),
    taskEnded: (task) => log.push(`ended ${task.tid}`),
  });
  scheduler.runSync(function* (): Coroutine<void> {
    yield* getTid();
    yield sleep(1);
  });
  observation[Symbol.dispose]();
  scheduler.runSync(getTid());
  assertEquals(log, [
    "created 1",
    "ready 1",
    "start 1",
    "1 calls GetTid",
    "1 calls Sleep",
    "end 1",
    "ready 1",
    "start 1",
    "ended 1",
    "end 1",
  ]);
  assertEquals([told, calls], [["from the observer"], 1]);
});

Deno.test("a system call gives its value at once, or its error at the yield, or parks; even resumed before it returns", () => {
  class Divide extends SystemCall<number> {
    constructor(readonly a: number, readonly b: number) {
      super();
    }
    handle(): number {
      if (this.b === 0) throw new RangeError("division by zero");
      return this.a / this.b;
    }
  }
  class AtOnce extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler): Parked {
      const parked = scheduler.park(task, { reason: "nothing" });
      scheduler.resume(parked, "resumed");
      return parked;
    }
  }
  const seen = virtual().runSync(function* (): Coroutine<unknown[]> {
    const seen: unknown[] = [];
    for (const native of [true, false]) {
      seen.push(native ? yield* new Divide(6, 2) : yield new Divide(6, 2));
      try {
        if (native) yield* new Divide(1, 0);
        else yield new Divide(1, 0);
      } catch (error) {
        seen.push((error as Error).name);
      }
      seen.push(native ? yield* new AtOnce() : yield new AtOnce());
    }
    return seen;
  });
  assertEquals(seen, [3, "RangeError", "resumed", 3, "RangeError", "resumed"]);
});

Deno.test("one call that is given to several tasks is made by each of them", async () => {
  const queue = new Queue<number>();
  const get = queue.get();
  const once = until(Promise.resolve("once"));
  const values = await virtual().run(function* () {
    const tasks = [yield* spawn(get), yield* spawn(get), yield* spawn(() => get)];
    const both = yield* spawn(all([once, once]));
    yield;
    for (let i = 1; i <= 3; i++) queue.tryPut(i);
    const values: unknown[] = [];
    for (const task of tasks) values.push(yield* task);
    return [...values, ...yield* both, ...yield* all([getTid(), getTid()])];
  });
  assertEquals(values, [1, 2, 3, "once", "once", 8, 9]);
});

Deno.test("to await what is its own value is refused, and does not keep the host out for ever", async () => {
  await assertRejects(() => run(currentTask()), TypeError, "its value is itself");
  const future = new Future<unknown>();
  future.setResult(future);
  await assertRejects(async () => await future, TypeError, "Cannot await a future: its result is itself");
});

Deno.test("what a wait has is looked at when it is parked", async () => {
  const waits = [{ source: "hots" }, { cancel: 5 }, { holders: [] }] as unknown as Wait[];
  for (const wait of waits) {
    const call = new (class extends SystemCall<void> {
      handle(task: Task, scheduler: Scheduler): Parked {
        return scheduler.park(task, { ...wait, reason: "x" });
      }
    })();
    await assertRejects(() => run(call), TypeError, `: ${Object.keys(wait)[0]} is `);
  }
});

Deno.test("what is no token is refused where one is wanted", () => {
  const scheduler = new Scheduler();
  for (const token of [undefined, null, 5, {}, "a token"] as never[]) {
    const wanted = "a token is wanted, as park gives it";
    assertThrows(() => scheduler.resume(token), TypeError, wanted);
    assertThrows(() => scheduler.fail(token, new Error()), TypeError, wanted);
  }
});

Deno.test("a token stands for one wait: a second or late answer changes nothing and says false", () => {
  const scheduler = virtual();
  const log: unknown[] = [];
  scheduler.runSync(function* () {
    const first = new Park();
    const second = new Park();
    const waiter = yield* spawn(function* () {
      log.push(yield* first);
      log.push(yield* second);
      try {
        yield* first;
      } catch (error) {
        log.push((error as Error).message);
      }
    });
    yield;
    const old = first.parked!;
    log.push(
      scheduler.resume(old, "one"),
      scheduler.resume(old, "again"),
      scheduler.fail(old, new Error("late")),
    );
    yield;
    log.push(scheduler.resume(old, "during the second wait"));
    log.push(scheduler.resume(second.parked!, "two"));
    yield;
    log.push(scheduler.fail(first.parked!, new Error("failed")));
    yield* waiter;
    log.push(scheduler.resume(first.parked!, "after the end"));
  });
  assertEquals(log, [true, false, false, "one", false, true, "two", true, "failed", false]);
});

Deno.test("a call that schedules its task gives way, and goes on with its value", () => {
  class Polite extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler): string {
      scheduler.schedule(task);
      return "thanks";
    }
  }
  const log: unknown[] = [];
  virtual().runSync(function* (): Coroutine<void> {
    yield* spawn(function* () {
      log.push("other");
    });
    log.push(yield* new Polite());
    yield* spawn(function* () {
      log.push("another");
    });
    log.push(yield new Polite());
  });
  assertEquals(log, ["other", "thanks", "another", "thanks"]);
});

Deno.test("a handler that breaks its contract hurts only the task that called it", () => {
  const scheduler = virtual();
  class ParksAndThrows extends SystemCall<void> {
    undone = 0;
    handle(task: Task, scheduler: Scheduler): void {
      scheduler.park(task, { reason: "nothing", cancel: () => void this.undone++ });
      throw new Error("after parking");
    }
  }
  class ParksAndGives extends SystemCall<number> {
    handle(task: Task, scheduler: Scheduler): number {
      scheduler.park(task, { reason: "nothing" });
      return 5;
    }
  }
  const log = scheduler.runSync(function* (): Coroutine<unknown[]> {
    const log: unknown[] = [];
    const throws = new ParksAndThrows();
    for (const yielded of [throws, new ParksAndGives()]) {
      for (const native of [true, false]) {
        try {
          if (native) yield* yielded as SystemCall<unknown>;
          else yield yielded;
        } catch (error) {
          log.push((error as Error).message);
        }
      }
    }
    yield;
    log.push(throws.undone, (yield* currentTask()).state);
    return log;
  });
  const gave = "Cannot wait: the system call has parked the task, but gave a value instead of the token";
  assertEquals(log, ["after parking", "after parking", gave, gave, 2, "running"]);
});

Deno.test("park and schedule are for the task on the processor only", () => {
  const scheduler = virtual();
  scheduler.runSync(function* () {
    const other = yield* spawn(sleep(10));
    yield;
    assertThrows(() => scheduler.park(other as Task, { reason: "x" }), InvalidStateError);
    assertThrows(() => scheduler.schedule(other as Task), InvalidStateError);
  });
  assertThrows(() => getTid().next(), TypeError, "outside a task");
});

Deno.test("a bad tid or time is an error in the caller, and disturbs nothing else", () => {
  const bad: [() => unknown, new () => Error][] = [
    [() => waitTask("abc" as unknown as number), TypeError],
    [() => waitTask(null as unknown as number), TypeError],
    [() => waitTask(-1), RangeError],
    [() => waitTask(1.5), RangeError],
    [() => waitTask(NaN), RangeError],
    [() => kill("abc" as unknown as number), TypeError],
    [() => kill(0), RangeError],
    [() => join(3 as unknown as Task), TypeError],
    [() => sleep(NaN), RangeError],
    [() => sleep(-1), RangeError],
    [() => sleep("5" as unknown as number), TypeError],
    [() => until(5 as unknown as Promise<void>), TypeError],
    [() => new Scheduler({ timeSlice: -1 }), RangeError],
    [() => new Scheduler({ killGrace: NaN }), RangeError],
    [() => new Scheduler({ deadlock: "maybe" as "wait" }), TypeError],
    [() => virtual().spawn(sleep(1), { name: 5 as unknown as string }), TypeError],
    [() => virtual().spawn(sleep(1), { signal: 5 as unknown as AbortSignal }), TypeError],
  ];
  const names = virtual().runSync(function* (): Coroutine<string[]> {
    const names: string[] = [];
    for (const [call] of bad) {
      try {
        call();
        names.push(`nothing thrown by ${call}`);
      } catch (error) {
        names.push((error as Error).name);
      }
    }
    return names;
  });
  assertEquals(names, bad.map(([, error]) => error.name));
});

Deno.test("join gives the value of one that ended long ago, to any number of joiners, in order", async () => {
  const log: string[] = [];
  await virtual().run(function* () {
    const task = yield* spawn(function* () {
      yield* sleep(10);
      return "value";
    });
    for (let i = 1; i <= 3; i++) {
      yield* spawn(function* () {
        log.push(`${i} ${yield* join(task)}`);
      });
    }
    yield* sleep(100);
    log.push(`late ${yield* task.join()}`);
  });
  assertEquals(log, ["1 value", "2 value", "3 value", "late value"]);
});

Deno.test("async code can await a task, and dispose of it", async () => {
  const log: string[] = [];
  const scheduler = Scheduler.current();
  {
    await using task = scheduler.spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        log.push("killed");
      }
    });
    await Promise.resolve();
    assertEquals(task.state, "waiting");
  }
  log.push("disposed of");
  await assertRejects(
    async () =>
      await scheduler.spawn(function* () {
        throw new RangeError("to the awaiter");
      }),
    RangeError,
  );
  assertEquals(log, ["killed", "disposed of"]);
});

Deno.test("kill and shutdown work from outside tasks", async () => {
  const scheduler = virtual();
  const log: string[] = [];
  const sleeper = (name: string): Work<void> =>
    function* () {
      try {
        yield* until(new Promise(() => {}));
      } finally {
        yield;
        log.push(name);
      }
    };
  const loop = scheduler.mainLoop.bind(scheduler);
  const a = scheduler.new(sleeper("a"));
  scheduler.new(sleeper("b"));
  scheduler.new(sleeper("c"));
  const turning = loop();
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(await scheduler.kill(a), true);
  assertEquals(await scheduler.kill(a), false);
  await scheduler.shutdown();
  await turning;
  assertEquals(log, ["a", "c", "b"]);
  await assertRejects(() => scheduler.kill("x" as unknown as number), TypeError);
  await scheduler.shutdown();
});

Deno.test("a virtual clock stands while a task waits for a promise, until it is advanced", async () => {
  const clock = new VirtualClock();
  const scheduler = new Scheduler({ clock });
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const running = scheduler.run(function* () {
    yield* spawn(function* () {
      for (let i = 0; i < 3; i++) {
        yield* sleep(10);
        log.push(`tick at ${scheduler.now()}`);
      }
    });
    yield* until(promise);
    log.push(`promise at ${scheduler.now()}`);
  });
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(log, []);
  clock.advance(25);
  assertEquals([log, clock.now()], [["tick at 10", "tick at 20"], 25]);
  resolve();
  await running;
  assertEquals(log, ["tick at 10", "tick at 20", "promise at 25", "tick at 30"]);
});

Deno.test("a day of sleeps, half a million of them, ends within the test, each at exactly its time", async () => {
  const scheduler = virtual();
  let ticks = 0;
  await scheduler.run(function* () {
    for (let i = 0; i < 1000; i++) {
      yield* spawn(function* () {
        for (let t = 1; t <= 86; t++) {
          yield* sleep(1_000_000);
          assert(scheduler.now() === t * 1_000_000);
          ticks++;
        }
      });
    }
  });
  assertEquals([ticks, scheduler.now()], [86_000, 86_000_000]);
});

Deno.test("a sleep longer than a host timer can wait does not end at once", async () => {
  const controller = new AbortController();
  const running = run(sleep(2 ** 32), { signal: controller.signal });
  await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  assertInstanceOf(await assertRejects(() => running), DOMException);
});

Deno.test("an observer does not change when a task that makes many calls has to give way", () => {
  const order = (isObserved: boolean) => {
    const log: number[] = [];
    const scheduler = new Scheduler();
    if (isObserved) scheduler.observe({ systemCall() {} });
    scheduler.runSync(function* () {
      let calls = 0;
      yield* spawn(function* () {
        log.push(calls);
      });
      while (log.length === 0) {
        yield* getTid();
        calls++;
      }
    });
    return log;
  };
  assertEquals(order(true), order(false));
});
