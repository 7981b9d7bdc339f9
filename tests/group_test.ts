import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import {
  all,
  asCompleted,
  Cancelled,
  type Coroutine,
  currentTask,
  Future,
  JoinError,
  kill,
  Queue,
  race,
  Scheduler,
  settle,
  shield,
  sleep,
  spawn,
  type TaskGroup,
  taskGroup,
  timeout,
  TimeoutError,
  type Work,
} from "../mod.ts";
import { sweep, VirtualClock } from "../testing.ts";

function virtual(told: unknown[] = []): Scheduler {
  return new Scheduler({
    clock: new VirtualClock(),
    onUnhandledError: (error) => told.push((error as Error).message),
  });
}

/** Sleeps; logs how it ended, after some cleanup. */
function sleeper(log: string[], name: string, ms: number, cleanup = 1): () => Coroutine<string> {
  return function* () {
    try {
      yield* sleep(ms);
      log.push(`${name} slept`);
      return name;
    } catch (error) {
      log.push(`${name} told`);
      throw error;
    } finally {
      yield* shield(sleep(cleanup));
      log.push(`${name} done`);
    }
  };
}

/** Fails after some time. */
function failing(message: string, ms = 0): () => Coroutine<never> {
  return function* () {
    yield* sleep(ms);
    throw new Error(message);
  };
}

Deno.test("a group gives the body's value when every child has ended", () => {
  const log: string[] = [];
  const scheduler = virtual();
  const value = scheduler.runSync(taskGroup(function* (group) {
    const child = group.spawn(sleeper(log, "child", 10), { name: "child" });
    assertEquals([child.name, child.parent], ["child", 1]);
    log.push("body");
    return 7;
  }));
  assertEquals([value, ...log], [7, "body", "child slept", "child done"]);
  assertEquals(scheduler.runSync(taskGroup(() => sleep(1))), undefined);
});

Deno.test("a child fails: the body and the siblings are cancelled, their cleanup awaited, the error comes bare", () => {
  const log: string[] = [];
  const scheduler = virtual();
  const error = assertThrows(() =>
    scheduler.runSync(taskGroup(function* (group) {
      group.spawn(sleeper(log, "older", 100, 5));
      group.spawn(failing("a child's", 10));
      group.spawn(sleeper(log, "newer", 100, 3));
      try {
        yield* sleep(1000);
      } finally {
        yield* shield(sleep(1));
        log.push("body done");
      }
    }))
  );
  assertEquals((error as Error).message, "a child's");
  assertEquals(log, ["newer told", "older told", "body done", "newer done", "older done"]);
  assertEquals(scheduler.now(), 15);
});

Deno.test("several failures are thrown as one AggregateError, first first; the same error counts once", () => {
  const error = assertThrows(() =>
    virtual().runSync(taskGroup(function* (group) {
      group.spawn(failing("first", 5));
      group.spawn(function* () {
        try {
          yield* sleep(100);
        } finally {
          yield* call2(failing("in cleanup", 1));
        }
      });
      try {
        yield* sleep(100);
      } finally {
        yield* call2(failing("in the body's cleanup", 2));
      }
    })), AggregateError);
  assertEquals(error.errors.map((e) => e.message), ["first", "in cleanup", "in the body's cleanup"]);
  function call2<T>(work: () => Coroutine<T>): Coroutine<T> {
    return work();
  }
});

Deno.test("a failed child that the body joins and catches is handled; joined and not caught, it is one error", () => {
  const log: unknown[] = [];
  const value = virtual().runSync(taskGroup(function* (group) {
    const child = group.spawn(failing("handled", 5));
    group.spawn(sleeper(log as string[], "sibling", 20));
    try {
      yield* child;
    } catch (error) {
      log.push((error as Error).message);
    }
    return "went on";
  }));
  assertEquals([...log, value], ["handled", "sibling slept", "sibling done", "went on"]);
  const error = assertThrows(() =>
    virtual().runSync(taskGroup(function* (group) {
      yield* group.spawn(failing("once", 5));
    }))
  );
  assertEquals((error as Error).message, "once");
});

Deno.test("a wait for a child that was given up does not swallow the child's later failure", () => {
  const error = assertThrows(() =>
    virtual().runSync(taskGroup(function* (group) {
      const child = group.spawn(failing("later", 50));
      try {
        yield* timeout(10, child);
      } catch (error) {
        assertInstanceOf(error, TimeoutError);
      }
      yield* sleep(1000);
    }))
  );
  assertEquals((error as Error).message, "later");
});

Deno.test("a child that was killed by hand is no failure", () => {
  const log: string[] = [];
  virtual().runSync(taskGroup(function* (group) {
    const child = group.spawn(sleeper(log, "killed", 100));
    group.spawn(sleeper(log, "sibling", 10));
    yield;
    yield* kill(child);
    log.push("body");
  }));
  assertEquals(log, ["killed told", "killed done", "body", "sibling slept", "sibling done"]);
});

Deno.test("the owner is killed inside: the body is unwound first and may talk to a child, then the children end", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const owner = yield* spawn(function* () {
      try {
        yield* taskGroup(function* (group) {
          const asked = new Future<void>();
          const answered = new Future<string>();
          group.spawn(function* () {
            try {
              yield* asked;
              answered.setResult("an answer");
              yield* sleep(1000);
            } finally {
              log.push("child cleaned up");
            }
          });
          try {
            yield* sleep(1000);
          } finally {
            asked.setResult();
            log.push(`body got ${yield* answered}`);
          }
        });
      } finally {
        log.push("owner's frames go on");
      }
    });
    yield* sleep(5);
    yield* kill(owner);
    log.push("killer goes on");
  });
  assertEquals(log, ["body got an answer", "child cleaned up", "owner's frames go on", "killer goes on"]);
});

Deno.test("the owner is killed while it waits at the group's end: every child has ended before its cleanup goes on", () => {
  const log: string[] = [];
  const scheduler = virtual();
  scheduler.runSync(function* () {
    const owner = yield* spawn(function* () {
      try {
        yield* taskGroup(function* (group) {
          group.spawn(sleeper(log, "older", 1000, 20));
          group.spawn(sleeper(log, "newer", 1000, 10));
        });
      } finally {
        log.push("owner");
      }
    });
    yield* sleep(5);
    assertEquals(owner.waitingFor, "the end of 2 tasks of its group");
    yield* kill(owner);
    log.push(`killer at ${scheduler.now()}`);
  });
  assertEquals(log, ["newer told", "older told", "newer done", "older done", "owner", "killer at 25"]);
});

Deno.test("three generations of nested groups are killed from the top: child, parent, grandparent, then the killer goes on", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const generation = (names: string[]): Work<void> =>
      function* () {
        const [name, ...rest] = names;
        try {
          yield* taskGroup(function* (group) {
            if (rest.length > 0) group.spawn(generation(rest));
            yield* sleep(1000);
          });
        } finally {
          yield* shield(sleep(1));
          log.push(name!);
        }
      };
    const top = yield* spawn(generation(["grandparent", "parent", "child"]));
    yield* sleep(5);
    yield* kill(top);
    log.push("killer");
  });
  assertEquals(log, ["child", "parent", "grandparent", "killer"]);
});

Deno.test("a timeout round a group, and one inside it: cleanup is done when TimeoutError comes", () => {
  const log: string[] = [];
  const scheduler = virtual();
  scheduler.runSync(function* () {
    try {
      yield* timeout(
        50,
        taskGroup(function* (group) {
          group.spawn(sleeper(log, "child", 1000, 5));
          yield* taskGroup(function* (inner) {
            inner.spawn(sleeper(log, "grandchild", 1000, 7));
            try {
              yield* timeout(10, sleep(100));
            } catch (error) {
              log.push(`inner ${(error as Error).name}`);
            }
          });
        }),
      );
    } catch (error) {
      log.push(`outer ${(error as Error).name} at ${scheduler.now()}`);
    }
  });
  assertEquals(log, [
    "inner TimeoutError",
    "grandchild told",
    "grandchild done",
    "child told",
    "child done",
    "outer TimeoutError at 62",
  ]);
});

Deno.test("cancel ends the children, and the body at its next wait; a body that has its value keeps it", () => {
  const log: string[] = [];
  const value = virtual().runSync(taskGroup(function* (group) {
    group.spawn(sleeper(log, "child", 1000));
    yield;
    group.cancel("enough");
    return "had it";
  }));
  assertEquals([value, ...log], ["had it", "child told", "child done"]);
  const error = assertThrows(
    () =>
      virtual().runSync(taskGroup(function* (group) {
        group.cancel("enough");
        yield;
        log.push("never");
      })),
    JoinError,
  );
  assertInstanceOf(error.cause, Cancelled);
  assertEquals(error.cause.reason, "enough");
  assert(!log.includes("never"));
});

Deno.test("children may spawn into their group while one lives; into one that has ended it is a TypeError", () => {
  const log: string[] = [];
  let kept: TaskGroup | undefined;
  virtual().runSync(taskGroup(function* (group) {
    kept = group;
    const generation = (n: number): Work<void> =>
      function* () {
        yield* sleep(1);
        log.push(`generation ${n}`);
        if (n < 3) group.spawn(generation(n + 1));
      };
    group.spawn(generation(1));
  }));
  assertEquals(log, ["generation 1", "generation 2", "generation 3"]);
  assertThrows(() => kept!.spawn(sleep(1)), TypeError, "the group has ended");
});

Deno.test("a child that joins its owner would close a ring, and is told so", () => {
  const error = assertThrows(() =>
    virtual().runSync(function* () {
      const owner = yield* spawn(function* (): Coroutine<void> {
        yield* taskGroup(function* (group) {
          group.spawn(function* () {
            yield* sleep(1);
            yield owner;
          }, { name: "child" });
        });
      }, { name: "owner" });
      yield* owner;
    })
  );
  assertEquals((error as Error).name, "DeadlockError");
});

Deno.test("a queue between the children of a group that fails keeps what was not taken, and nobody stands at it", () => {
  const log: string[] = [];
  const queue = new Queue<number>({ capacity: 2, name: "jobs" });
  virtual().runSync(function* () {
    try {
      yield* taskGroup(function* (group) {
        for (const first of [0, 10]) {
          group.spawn(function* producer() {
            for (let i = first;; i++) {
              yield* queue.put(i);
              log.push(`put ${i}`);
            }
          });
        }
        group.spawn(function* consumer() {
          for (let i = 0; i < 3; i++) log.push(`got ${yield* queue.get()}`);
          throw new Error("no more");
        });
      });
    } catch (error) {
      log.push((error as Error).message);
    }
    log.push(String(queue));
    for (let item; (item = queue.tryGet()) !== undefined;) log.push(`left ${item.value}`);
    yield* queue.put(99);
    log.push(`still a queue: ${yield* queue.get()}`);
  });
  assertEquals(log, [
    "put 0",
    "put 1",
    "got 0",
    "got 1",
    "got 2",
    "put 2", // it was told after its item had been taken: it goes on to its next wait
    "put 3",
    "put 10",
    "no more",
    'queue "jobs", 2 items',
    "left 10",
    "left 3",
    "still a queue: 99",
  ]);
});

Deno.test("all with a limit starts nothing more once one has failed", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const items = [
      failing("boom", 1),
      ...[1, 2, 3].map((i) =>
        function* () {
          log.push(`start ${i}`);
          yield* sleep(10);
        }
      ),
    ];
    try {
      yield* all(items, { concurrency: 2 });
    } catch (error) {
      log.push((error as Error).message);
    }
  });
  assertEquals(log, ["start 1", "boom"]);
});

Deno.test("settle tells of a task that was killed, and of a future that was cancelled, what became of them", () => {
  const outcomes = virtual().runSync(function* () {
    const task = yield* spawn(sleep(1000));
    yield;
    yield* kill(task, { reason: "enough" });
    const future = new Future<void>();
    future.cancel("not wanted");
    return yield* settle([task, future]);
  });
  assertEquals(outcomes, [{ kind: "killed", reason: "enough" }, { kind: "killed", reason: "not wanted" }]);
});

Deno.test("what asCompleted has started lives as long as the task that made it, whoever asks for the next", () => {
  const values = virtual().runSync(function* () {
    const completed = asCompleted([1, 20].map((ms) =>
      function* () {
        yield* sleep(ms);
        return ms;
      }
    ));
    const values: unknown[] = [];
    for (let i = 0; i < 2; i++) values.push((yield* yield* spawn(completed.next())).value);
    return values;
  });
  assertEquals(values, [1, 20]);
});

Deno.test("what is neither a list nor a record is refused", () => {
  const work = function* () {};
  for (const wrong of [work(), Promise.resolve(1), new Set([work]), new Map(), work, "text", null]) {
    // deno-lint-ignore no-explicit-any -- bad input is what it is about
    for (const call of [all, settle, race, asCompleted] as any[]) {
      assertThrows(() => call(wrong), TypeError, "a list or a record is wanted");
    }
  }
});

Deno.test("two thousand children at once are no trouble", () => {
  let ended = 0;
  const scheduler = virtual();
  scheduler.runSync(taskGroup(function* (group) {
    for (let i = 0; i < 2000; i++) {
      group.spawn(function* () {
        yield* sleep(i);
        ended++;
      });
    }
  }));
  assertEquals([ended, scheduler.tasks.size], [2000, 0]);
});

Deno.test("all gives the values in the shape and order of the list or record, whatever a coroutine may yield", async () => {
  const scheduler = virtual();
  const values = await scheduler.run(function* () {
    const task = yield* spawn(function* () {
      yield* sleep(3);
      return "task";
    });
    const future = Future.resolve("future");
    const list = yield* all(
      [sleep(2), task, future, Promise.resolve("promise"), future, function* () {
        return "coroutine";
      }] as const,
    );
    const record = yield* all({
      a: function* () {
        return 1;
      },
      b: Promise.resolve("two"),
    });
    const typed: number = record.a;
    return [list, record, typed, yield* all([]), yield* all({})];
  });
  assertEquals(values, [
    [undefined, "task", "future", "promise", "future", "coroutine"],
    { a: 1, b: "two" },
    1,
    [],
    {},
  ]);
});

Deno.test("all: the first failure cancels what was started here, and leaves tasks and futures alone", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const task = yield* spawn(sleeper(log, "task", 50));
    try {
      yield* all([sleeper(log, "started here", 50), task, failing("failed", 5)]);
    } catch (error) {
      log.push((error as Error).message);
    }
    assertEquals(task.state, "waiting");
  });
  assertEquals(log, ["started here told", "started here done", "failed", "task slept", "task done"]);
});

Deno.test("all and settle run only as many at once as they are told", () => {
  for (const many of [all, settle]) {
    let running = 0;
    let most = 0;
    const values = virtual().runSync<unknown>(many(
      Array.from({ length: 10 }, (_, i) =>
        function* () {
          most = Math.max(most, ++running);
          yield* sleep(10 - i);
          running--;
          return i;
        }),
      { concurrency: 3 },
    ));
    assertEquals(most, 3);
    assertEquals(
      (values as unknown[]).map((value) =>
        typeof value === "number" ? value : (value as { value: number }).value
      ),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
  }
  assertThrows(() => all([], { concurrency: 0 }), RangeError);
  assertThrows(() => settle([], { concurrency: "2" as unknown as number }), TypeError);
});

Deno.test("settle gives every outcome", () => {
  const failure = new Error("failed");
  const outcomes = virtual().runSync(function* () {
    const killed = yield* spawn(sleep(100));
    return yield* settle({
      good: function* () {
        yield* kill(killed);
        return 1;
      },
      bad: function* () {
        throw failure;
      },
      future: Future.reject(failure),
    });
  });
  assertEquals(outcomes.good, { kind: "returned", value: 1 });
  assertStrictEquals(outcomes.bad.kind === "failed" && outcomes.bad.error, failure);
  assertStrictEquals(outcomes.future.kind === "failed" && outcomes.future.error, failure);
});

Deno.test("race gives the first to end, returned or failed, after the losers' cleanup", () => {
  const log: string[] = [];
  const scheduler = virtual();
  const winner = scheduler.runSync(race([sleeper(log, "slow", 100, 7), sleeper(log, "fast", 10, 1)]));
  assertEquals([winner, scheduler.now(), ...log], [
    "fast",
    18,
    "fast slept",
    "fast done",
    "slow told",
    "slow done",
  ]);
  assertThrows(
    () => scheduler.runSync(race([sleeper(log, "slow", 100), failing("failed first", 1)])),
    Error,
    "failed first",
  );
  assertThrows(() => race([]), TypeError);
  assertThrows(() => race(5 as unknown as []), TypeError);
});

Deno.test("race: a cleanup that fails is not lost; a loser that fails by itself, too late, is told", () => {
  const told: unknown[] = [];
  const bad = function* (): Coroutine<void> {
    try {
      yield* sleep(100);
    } finally {
      yield;
      // deno-lint-ignore no-unsafe-finally
      throw new Error("in cleanup");
    }
  };
  assertThrows(() => virtual().runSync(race([bad, sleep(1)])), Error, "in cleanup");
  virtual(told).runSync(race([
    function* () {
      yield* sleep(5);
    },
    failing("too late", 5),
  ]));
  assertEquals(told, ["too late"]);
});

Deno.test("race of single waits: the losers have taken nothing, though all could go on in the same turn", () => {
  const log: unknown[] = [];
  const [a, b] = [new Queue<string>(), new Queue<string>()];
  virtual().runSync(function* () {
    yield* spawn(function* () {
      yield;
      a.tryPut("a");
      b.tryPut("b");
    });
    log.push(yield* race([a.get(), b.get()]), a.size, b.size);
    b.tryPut("c");
    log.push(yield* race({ a: a.get(), b: b.get(), time: sleep(10) }), b.size);
    yield* spawn(function* () {
      yield* sleep(5);
      a.tryPut("late");
    });
    log.push(yield* race([sleep(5), a.get()]));
    yield;
    log.push(a.size);
  });
  assertEquals(log, ["a", 0, 1, "b", 1, undefined, 1]);
});

Deno.test("race of a single wait and a coroutine: who is handed something first has won", () => {
  const log: unknown[] = [];
  const queue = new Queue<string>();
  virtual().runSync(function* () {
    yield* spawn(function* () {
      yield* sleep(5);
      queue.tryPut("item");
    });
    const slow = function* () {
      try {
        yield* sleep(5);
        return "slow";
      } finally {
        log.push("cleaned up");
      }
    };
    log.push(yield* race([slow, queue.get(), sleep(60)]), queue.size);
    log.push(yield* race([slow, queue.get()]));
  });
  assertEquals(log, ["cleaned up", "item", 0, "cleaned up", "slow"]);
});

Deno.test("asCompleted gives them as they end, those that are done already in the order of the list", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const values = asCompleted([
      sleeper(log, "second", 20, 0),
      Future.resolve("done 1"),
      failing("first to fail", 10),
      Future.resolve("done 2"),
    ]);
    for (;;) {
      try {
        const value = yield* values.next();
        if (value.done) break;
        log.push(`got ${value.value}`);
      } catch (error) {
        log.push(`threw ${(error as Error).message}`);
      }
    }
  });
  assertEquals(log, [
    "got done 1",
    "got done 2",
    "threw first to fail",
    "second slept",
    "second done",
    "got second",
  ]);
});

Deno.test("asCompleted: a next that is cancelled loses nothing, and what nobody waits for any more is ended", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const values = asCompleted([sleeper(log, "a", 10, 0), sleeper(log, "b", 1000, 0)]);
    for (let i = 0; i < 3; i++) {
      try {
        log.push(`got ${(yield* timeout(4, values.next())).value}`);
        break;
      } catch (error) {
        log.push((error as Error).name);
      }
    }
  });
  assertEquals(log, ["TimeoutError", "TimeoutError", "a slept", "a done", "got a", "b told", "b done"]);
});

Deno.test("asCompleted ends what it has started if something in its list cannot be started", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const taken = sleeper(log, "taken", 1)();
    yield* yield* spawn(taken);
    const completed = asCompleted([sleeper(log, "first", 100), taken]);
    try {
      yield* completed.next();
    } catch (error) {
      log.push((error as Error).name);
    }
    log.push(`over: ${(yield* completed.next()).done}`);
    yield* sleep(2);
    log.push("later");
  });
  assertEquals(log, ["taken slept", "taken done", "TypeError", "over: true", "later"]);
});

Deno.test("asCompleted that is closed ends what it has started, and lets go of what it waits for", () => {
  const log: string[] = [];
  const scheduler = virtual();
  const later = new Future<string>();
  scheduler.runSync(function* () {
    const other = yield* spawn(sleep(1000), { daemon: true });
    {
      using values = asCompleted([sleeper(log, "first", 1, 0), sleeper(log, "slow", 1000, 0), later, other]);
      log.push((yield* values.next()).value as string);
    }
    yield* sleep(1);
    // Main and the daemon are left: nobody waits for either of the two any more.
    log.push(scheduler.ps().map(({ tid }) => tid).join());
    assertEquals(other.state, "waiting");

    const values = asCompleted([later]);
    const asking = yield* spawn(values.next());
    yield;
    values.close();
    values.close();
    log.push(`${(yield* asking).done}, ${(yield* values.next()).done}`);

    const untouched = sleeper(log, "never begun", 1, 0);
    asCompleted([untouched]).close();
    const one = asCompleted([untouched]);
    log.push((yield* one.next()).value!);
  });
  assertEquals(log, [
    "first slept",
    "first done",
    "first",
    "slow told",
    "slow done",
    "1,2",
    "true, true",
    "never begun slept",
    "never begun done",
    "never begun",
  ]);
});

Deno.test("a task that goes through many lists by asCompleted keeps nothing of those that are over", () => {
  virtual().runSync(function* () {
    const self = yield* currentTask();
    for (let i = 0; i < 100; i++) {
      const whole = asCompleted([sleep(1), Future.resolve(i)]);
      while (!(yield* whole.next()).done);
      using left = asCompleted([sleep(1), sleep(1000)]);
      yield* left.next();
    }
    assertEquals(self._extras?.atEnd, []);
  });
});

Deno.test("a failure that comes before asCompleted is asked for it is told to nobody else, unless nobody asks", () => {
  const log: string[] = [];
  const scheduler = new Scheduler({
    clock: new VirtualClock(),
    onUnhandledError: (error) => log.push(`unhandled ${(error as Error).message}`),
  });
  scheduler.runSync(function* () {
    const values = asCompleted([failing("first", 1), failing("second", 2), failing("third", 3)]);
    for (let i = 0; i < 2; i++) {
      try {
        yield* values.next();
      } catch (error) {
        log.push(`threw ${(error as Error).message}`);
      }
      yield* sleep(10);
    }
    log.push("closes");
    values.close();
    yield* sleep(10);

    yield* yield* spawn(function* () {
      const values = asCompleted([sleep(1), failing("fourth", 2)]);
      yield* values.next();
      yield* sleep(10);
      log.push("ends");
    });
  });
  assertEquals(log, ["threw first", "threw second", "closes", "unhandled third", "ends", "unhandled fourth"]);
});

Deno.test("groups, all, race, settle and asCompleted can be interrupted at any step without a leak", () => {
  let alive = 0;
  const work = (ms: number): () => Coroutine<number> =>
    function* () {
      alive++;
      try {
        yield* sleep(ms);
        return ms;
      } finally {
        yield* shield(sleep(2));
        alive--;
      }
    };
  const report = sweep(function* (): Coroutine<void> {
    alive = 0;
    yield* taskGroup(function* (group) {
      group.spawn(work(3));
      yield* taskGroup(function* (inner) {
        inner.spawn(work(5));
        inner.spawn(work(1));
      });
      assert(alive <= 1);
    });
    assertEquals(alive, 0);
    yield* all([work(1), work(2), work(3)], { concurrency: 2 });
    assertEquals(alive, 0);
    yield* race([work(1), work(50)]);
    assertEquals(alive, 0);
    yield* settle([work(1), work(2)]);
    const values = asCompleted([work(1), work(50)]);
    yield* values.next();
  }, { check: () => assertEquals(alive, 0) });
  assert(report.steps > 20);
});

Deno.test("ten thousand at once through all", async () => {
  const values = await virtual().run(all(Array.from({ length: 10_000 }, (_, i) =>
    function* () {
      yield* sleep(i % 7);
      return i;
    })));
  assertEquals(values.length, 10_000);
  assertEquals(values[9999], 9999);
  assertThrows(() => all([5 as unknown as Promise<void>]), TypeError, "what a coroutine may yield");
});
