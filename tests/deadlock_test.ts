import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  type Coroutine,
  currentTask,
  DeadlockError,
  Event,
  Future,
  join,
  kill,
  Queue,
  run,
  Scheduler,
  shield,
  sleep,
  spawn,
  SystemCall,
  type Task,
  timeout,
  until,
  type Wait,
  waitTask,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";

function virtual(options: { deadlock?: "throw" | "wait" } = {}): Scheduler {
  return new Scheduler({ clock: new VirtualClock(), ...options });
}

/** A system call that forgets to resume. */
class Forget extends SystemCall<void> {
  handle(task: Task, scheduler: Scheduler) {
    return scheduler.park(task, { reason: "godot" });
  }
}

Deno.test("when nothing can ever go on, run rejects with a table of who waits for what", async () => {
  const log: string[] = [];
  const error = await assertRejects(
    () =>
      virtual().run(function* main() {
        const forgetful = yield* spawn(function* () {
          try {
            yield* new Forget();
          } finally {
            yield;
            log.push("cleaned up");
          }
        }, { name: "forgetful" });
        yield* spawn(sleep(Infinity), { name: "background", daemon: true });
        yield* join(forgetful);
      }),
    DeadlockError,
  );
  log.push("rejected");
  assertEquals(
    // The lines are there where they can be had: with --allow-sys.
    error.message.replaceAll(/ \(file:\S+\/deadlock_test\.ts:\d+:\d+\)|Allow --allow-sys .*\n/g, ""),
    `Nothing can go on: no task is ready, no timer is set, and nothing outside is waited for
  tid  name       waits for                   held by
  1    main       join of task 2 "forgetful"  task 2 "forgetful"
  2    forgetful  godot
where they stand:
  task 1 "main"
    at main
  task 2 "forgetful"
    at (anonymous)
If callbacks outside the kernel feed this program, say so: { deadlock: "wait" }`,
  );
  assertEquals(error.tasks.map(({ tid, waitingFor }) => [tid, waitingFor]), [[
    1,
    'join of task 2 "forgetful"',
  ], [2, "godot"]]);
  assertEquals(log, ["cleaned up", "rejected"]);
});

Deno.test("mainLoop rejects with DeadlockError, runSync throws it", async () => {
  const scheduler = virtual();
  scheduler.new(new Forget());
  await assertRejects(() => scheduler.mainLoop(), DeadlockError, "godot");
  assertThrows(() => virtual().runSync(new Forget()), DeadlockError, "godot");
});

Deno.test("a deadlock of a scheduler that nobody runs is told to onUnhandledError's default", async () => {
  const printed: unknown[] = [];
  const { error } = console;
  console.error = (...parts: unknown[]) => printed.push(...parts);
  try {
    const task = Scheduler.current().spawn(new Forget());
    await assertRejects(async () => await task);
  } finally {
    console.error = error;
  }
  assertInstanceOf(printed[1], DeadlockError);
});

Deno.test('with deadlock: "wait" the loop waits for what callbacks outside bring', async () => {
  const scheduler = virtual({ deadlock: "wait" });
  const call = new (class extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler) {
      const parked = scheduler.park(task, { reason: "a callback" });
      setTimeout(() => scheduler.resume(parked, "called back"), 1);
      return parked;
    }
  })();
  assertEquals(await scheduler.run(call), "called back");
});

Deno.test("as long as a timer, the host or a promise may bring something, nothing is a deadlock", async () => {
  const scheduler = virtual();
  await scheduler.run(function* () {
    const waiting = yield* spawn(new Forget());
    yield* sleep(1000);
    yield* until(new Promise((resolve) => setTimeout(resolve, 2)));
    yield* kill(waiting);
  });
});

Deno.test("a ring of joins is refused at once, in the task that would close it", async () => {
  const log: string[] = [];
  const scheduler = virtual();
  await scheduler.run(function* () {
    const tasks: Task[] = [];
    for (const name of ["a", "b", "c"]) {
      tasks.push(
        yield* spawn(function* () {
          yield;
          const next = tasks[(tasks.findIndex((task) => task.name === name) + 1) % 3]!;
          try {
            yield* join(next);
          } catch (error) {
            log.push(`${name}: ${(error as Error).message}`);
          }
          log.push(`${name} ends`);
        }, { name }),
      );
    }
    yield* sleep(1);
  });
  assertEquals(log, [
    'c: Cannot wait for task 2 "a", it would close a ring: ' +
    'task 4 "c" waits for task 2 "a", task 2 "a" waits for task 3 "b", task 3 "b" waits for task 4 "c"',
    "c ends",
    "b ends",
    "a ends",
  ]);
});

Deno.test("a refused ring says by name where each of its tasks stands", () => {
  const frames = virtual().runSync(function* main(): Coroutine<[number, string[]][]> {
    const self = yield* currentTask();
    const other = yield* spawn(function* other() {
      yield* join(self);
    });
    yield;
    try {
      yield* join(other);
    } catch (error) {
      yield* kill(other);
      return [...(error as DeadlockError).frames].map((
        [tid, frames],
      ) => [tid, frames.map(({ name }) => name)]);
    }
    return [];
  });
  assertEquals(frames, [[1, ["main"]], [2, ["other"]]]);
});

Deno.test("waiting for oneself is the smallest ring, in every form", () => {
  const names = virtual().runSync(function* (): Coroutine<string[]> {
    const self = yield* currentTask();
    const names: string[] = [];
    for (const wait of [() => self, () => join(self), () => waitTask(self.tid), () => self.join()]) {
      try {
        yield wait();
        names.push("waited");
      } catch (error) {
        names.push((error as Error).name);
      }
    }
    return names;
  });
  assertEquals(names, ["DeadlockError", "DeadlockError", "DeadlockError", "DeadlockError"]);
});

Deno.test("two tasks that wait for each other are a ring whatever else goes on", async () => {
  const log: string[] = [];
  await run(function* () {
    yield* spawn(sleep(5)); // a timer is set: the loop alone would see no deadlock
    const first: Task = yield* spawn(function* () {
      yield;
      yield* waitTask(first.tid + 1);
      log.push("first");
    });
    yield* spawn(function* () {
      yield;
      try {
        yield* waitTask(first.tid);
      } catch (error) {
        log.push((error as Error).name);
      }
    });
  });
  assertEquals(log, ["DeadlockError", "first"]);
});

Deno.test("a timeout outside a shield opens no ring that is closed in it: the shield holds it back", async () => {
  const error = await assertRejects(
    () =>
      virtual().run(function* () {
        const task = yield* currentTask();
        yield* timeout(100, shield(kill(task)));
      }),
    DeadlockError,
  );
  assertEquals(error.message.split(":")[0], "Cannot wait for task 1, it would close a ring");
});

Deno.test("a ring with a task under an armed timeout is none: it opens by itself", async () => {
  const log: string[] = [];
  const scheduler = virtual();
  await scheduler.run(function* () {
    const first: Task = yield* spawn(function* () {
      yield;
      try {
        yield* timeout(100, second);
      } catch (error) {
        log.push(`${(error as Error).name} at ${scheduler.now()}`);
      }
    });
    const second: Task = yield* spawn(function* () {
      yield* sleep(1);
      yield* join(first);
      log.push("second");
    });
    yield* second;
  });
  assertEquals(log, ["TimeoutError at 100", "second"]);
});

Deno.test("a long chain of joins is no ring, and costs no time to see that", () => {
  virtual().runSync(function* () {
    let last: Task = yield* spawn(function* () {
      for (let i = 0; i < 100; i++) yield;
    });
    for (let i = 0; i < 20_000; i++) {
      const target = last;
      last = yield* spawn(function* () {
        yield* join(target);
      });
    }
    yield* last;
  });
});

Deno.test("a daemon that has been told to end, and cannot, is a deadlock like any other task", async () => {
  const log: string[] = [];
  const error = await assertRejects(
    () =>
      virtual().run(function* () {
        yield* spawn(function* () {
          try {
            yield* shield(new Forget());
          } finally {
            log.push("cleaned up");
          }
        }, { name: "stubborn", daemon: true });
        yield;
        log.push("main is done");
      }),
    DeadlockError,
    "godot",
  );
  assertEquals(error.tasks.map(({ name }) => name), ["stubborn"]);
  assertEquals(log, ["main is done", "cleaned up"]);
});

Deno.test("the cleanup of a daemon may wait for the host when nothing else is left", async () => {
  const log: string[] = [];
  await new Scheduler().run(function* () {
    yield* spawn(function* () {
      try {
        yield* sleep(Infinity);
      } finally {
        yield* new FromHost();
        log.push("cleaned up");
      }
    }, { daemon: true });
    yield;
  });
  assertEquals(log, ["cleaned up"]);
});

Deno.test("a daemon that waits for the host keeps no deadlock from being seen", async () => {
  const forSignal = new (class extends SystemCall<void> {
    handle(task: Task, scheduler: Scheduler) {
      return scheduler.park(task, { reason: "a signal", source: "host" });
    }
  })();
  const error = await assertRejects(
    () =>
      virtual().run(function* () {
        yield* spawn(forSignal, { name: "signals", daemon: true });
        yield* new Event("nobody sets it").wait();
      }),
    DeadlockError,
  );
  assertEquals(error.tasks.map(({ waitingFor }) => waitingFor), ['event "nobody sets it"']);
});

Deno.test("a daemon that waits for a promise or a future may yet resume others: that is no deadlock", async () => {
  const later = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
  const settledLater = () => {
    const future = new Future<void>();
    setTimeout(() => future.setResult(), 1);
    return future;
  };
  const log: string[] = [];
  for (const wait of [() => until(later()), settledLater]) {
    await virtual().run(function* () {
      const items = new Queue<string>();
      yield* spawn(function* () {
        yield* wait();
        yield* items.put("fed by a daemon");
      }, { daemon: true });
      log.push(yield* items.get());
    });
  }
  assertEquals(log, ["fed by a daemon", "fed by a daemon"]);
});

/** A call that a callback of the host ends. */
class FromHost extends SystemCall<void> {
  handle(task: Task, scheduler: Scheduler) {
    const parked = scheduler.park(task, { reason: "the host", source: "host" });
    setTimeout(() => scheduler.resume(parked), 1);
    return parked;
  }
}

Deno.test("a ring that leads through a wait of the user's is refused at once, whoever closes it", async () => {
  class For extends SystemCall<void> {
    readonly holders: () => Task[];
    constructor(...holders: Task[]) {
      super();
      this.holders = () => holders;
    }
    handle(task: Task, scheduler: Scheduler) {
      return scheduler.park(task, { reason: "a lock of the user's", holders: this.holders });
    }
  }
  const log: string[] = [];
  await virtual().run(function* main() {
    yield* spawn(sleep(1000)); // which keeps the rest from being a deadlock
    const me = yield* currentTask();
    const closings = [(task: Task) => join(task), (task: Task) => new For(task), () => new For(me)];
    for (const close of closings) {
      const holder: Task = yield* spawn(new For(me));
      yield;
      try {
        yield* close(holder);
      } catch (error) {
        log.push(`${(error as Error).name}: ${(error as Error).message.split(":")[0]}`);
      }
      yield* kill(holder);
    }
  });
  const [join3, wait4, self] = log;
  assertEquals(join3, "DeadlockError: Cannot wait for task 3, it would close a ring");
  assertEquals(wait4, "DeadlockError: Cannot wait for task 4, it would close a ring");
  assertEquals(self, 'DeadlockError: Cannot wait for task 1 "main", it would close a ring');
});

Deno.test("a wait that cannot say what for is reported all the same", async () => {
  const waits = [
    { reason: Symbol("godot") },
    {
      get reason(): string {
        throw new Error("no words");
      },
    },
    {
      reason: "godot",
      holders() {
        throw new Error("nobody knows");
      },
    },
  ];
  for (const wait of waits) {
    class Wordless extends SystemCall<void> {
      handle(task: Task, scheduler: Scheduler) {
        return scheduler.park(task, wait as unknown as Wait);
      }
    }
    await assertRejects(() => virtual().run(new Wordless()), DeadlockError);
  }
});
