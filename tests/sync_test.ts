import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Channel,
  Condition,
  type Coroutine,
  Event,
  InvalidStateError,
  kill,
  Lock,
  type Operation,
  Queue,
  run,
  Scheduler,
  Semaphore,
  sleep,
  spawn,
  type SystemCall,
  type Task,
  timeout,
} from "../mod.ts";
import { sweep } from "../testing.ts";
import { Oops, stage, words } from "./_transcript.ts";

/** What an operation throws. */
function* errorOf(operation: Operation<unknown>): Coroutine<unknown> {
  try {
    yield* operation;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

// ---- All of them -----------------------------------------------------------------------------------------------------

/** Every primitive that waits, and how one waits for it; `serve` lets the first in the line go on. */
const lines: { name: string; wait: () => SystemCall<unknown>; serve: () => void }[] = [];
{
  const semaphore = new Semaphore(0);
  lines.push({ name: "a semaphore", wait: () => semaphore.acquire(), serve: () => semaphore.release() });
  const source = new Queue<string>();
  lines.push({ name: "an empty queue", wait: () => source.get(), serve: () => source.tryPut("item") });
  const sink = new Queue<string>({ capacity: 1 });
  sink.tryPut("item");
  lines.push({ name: "a full queue", wait: () => sink.put("item"), serve: () => sink.tryGet() });
  const inlet = new Channel<string>();
  lines.push({ name: "a channel's receivers", wait: () => inlet.receive(), serve: () => inlet.trySend("x") });
  const outlet = new Channel<string>();
  lines.push({ name: "a channel's senders", wait: () => outlet.send("x"), serve: () => outlet.tryReceive() });
}

for (const { name, wait, serve } of lines) {
  Deno.test(`${name}: who has waited longest goes on first, and who steps out leaves the others in order`, () => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const line: Task[] = [];
      for (const name of ["first", "second", "third", "fourth"]) {
        line.push(
          yield* spawn(function* () {
            yield* name === "fourth" ? timeout(2, wait()) : wait();
            say(name);
          }),
        );
      }
      yield* sleep(1);
      yield* kill(line[1]!);
      assertEquals(words(yield* errorOf(line[3]!)), "TimeoutError");
      serve();
      say("served one");
      yield* sleep(1);
      serve();
    });
    assertEquals(log, ["2 served one", "2 first", "3 third"]);
  });

  Deno.test(`${name}: who comes after a waiter was served does not get in between`, () => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      yield* spawn(function* () {
        yield* wait();
        say("waiter");
      });
      yield;
      serve();
      const late = yield* spawn(function* () {
        yield* wait();
        say("late");
      });
      yield* sleep(1);
      say(`late is ${late.state}`);
      serve();
    });
    assertEquals(log, ["0 waiter", "1 late is waiting", "1 late"]);
  });

  Deno.test(`${name}: code outside tasks wakes a task that waits`, async () => {
    const scheduler = new Scheduler({ deadlock: "wait" });
    setTimeout(serve, 1);
    await scheduler.run(wait());
  });

  Deno.test(`${name}: after the first round, tasks are served in an order that repeats exactly`, () => {
    const { scheduler } = stage();
    let order = "";
    scheduler.runSync(function* () {
      for (const name of "abc") {
        yield* spawn(function* () {
          for (let i = 0; i < 10; i++) {
            yield* wait();
            order += name;
          }
        });
      }
      for (let i = 0; i < 30; i++) {
        yield;
        serve();
      }
    });
    assertEquals(order, "abc".repeat(10));
  });
}

Deno.test("names are strings, given alone or as an option", () => {
  const lock = new Lock();
  assertEquals(
    [
      new Event("x"),
      new Event({ name: "x" }),
      new Lock({}),
      new Semaphore(2, "x"),
      new Semaphore(2, { name: 'a "b"' }),
      new Condition(lock, { name: "x" }),
      new Condition(new Lock("l")),
      new Queue({ name: "x" }),
      new Channel(0, "x"),
      new Channel(undefined, { name: "x" }),
    ].map(String),
    [
      'event "x", not set',
      'event "x", not set',
      "lock held by nobody",
      'semaphore "x", 2 available',
      'semaphore "a \\"b\\"", 2 available',
      'condition "x" of lock',
      'condition of lock "l"',
      'queue "x", 0 items',
      'channel "x", open',
      'channel "x", open',
    ],
  );
  for (const wrong of [5, null, { name: 5 }, ["x"], new Error("x")] as never[]) {
    for (
      const make of [
        () => new Event(wrong),
        () => new Lock(wrong),
        () => new Semaphore(1, wrong),
        () => new Condition(lock, wrong),
        () => new Queue(typeof wrong === "object" ? wrong : { name: wrong }),
        () => new Channel(1, wrong),
      ]
    ) {
      assertThrows(make, TypeError);
    }
  }
});

Deno.test("capacities, permits and counts are checked where they are given", () => {
  const semaphore = new Semaphore(1);
  const condition = new Condition(new Lock());
  const uses: [string, (n: number) => unknown, number[]][] = [
    ["make a semaphore of", (n) => new Semaphore(n), [-1, 0.5, NaN]],
    ["acquire", (n) => semaphore.acquire(n), [0, -1, 0.5, NaN, Infinity]],
    ["acquire", (n) => semaphore.tryAcquire(n), [0, -1, 0.5, NaN, Infinity]],
    ["release", (n) => semaphore.release(n), [0, -1, 0.5, NaN, Infinity]],
    ["notify", (n) => condition.notify(n), [-1, 0.5, NaN]],
    ["make a channel of capacity", (n) => new Channel(n), [-1, 0.5, NaN]],
  ];
  for (const [verb, use, wrongSizes] of uses) {
    for (const n of wrongSizes) assertThrows(() => use(n), RangeError, `Cannot ${verb} ${n}: a whole number`);
    for (const wrongKind of ["1", null, {}, 1n] as never[]) {
      assertThrows(() => use(wrongKind), TypeError, `Cannot ${verb} `);
    }
  }
  for (
    const sensible of [() => new Semaphore(0), () => new Semaphore(Infinity), () => new Channel(Infinity)]
  ) {
    sensible();
  }
  condition.notify(0);
  assertEquals(semaphore.available, 1);
});

// ---- Event -----------------------------------------------------------------------------------------------------------

Deno.test("an event lets all who wait go on, in the order of coming; while it is set nobody waits", () => {
  const { scheduler, log, say } = stage();
  const event = new Event("start");
  scheduler.runSync(function* () {
    const waiters: Task[] = [];
    for (const name of ["a", "b", "c"]) {
      waiters.push(
        yield* spawn(function* () {
          yield* event.wait();
          say(name);
        }),
      );
    }
    yield* sleep(5);
    assertEquals([event.isSet, waiters[0]!.waitingFor], [false, 'event "start"']);
    assertEquals(`${event}`, 'event "start", not set, awaited by task 2, task 3, task 4');
    yield* kill(waiters[1]!);
    event.set();
    event.set();
    yield* event.wait();
    say(`main, ${event}`);
    event.clear(); // too late for those who have been told
    yield* sleep(1);
    say(words(yield* errorOf(timeout(10, event.wait()))));
  });
  assertEquals(log, ['5 main, event "start", set', "5 a", "5 c", "16 TimeoutError"]);
});

Deno.test("an event is set from outside tasks, for those who wait for it on any scheduler", async () => {
  const event = new Event();
  setTimeout(() => event.set(), 1);
  const schedulers = [1, 2].map(() => new Scheduler({ deadlock: "wait" }));
  await Promise.all(schedulers.map((scheduler) => scheduler.run(event.wait())));
  await run(event.wait());
});

Deno.test("interrupting tasks that wait for an event, at any step, leaves nobody in its line", () => {
  for (const victims of ["main", "any"] as const) {
    sweep(function* () {
      const event = new Event();
      for (let i = 0; i < 3; i++) yield* spawn(event.wait());
      yield* spawn(function* () {
        try {
          yield* sleep(2);
        } finally {
          event.set();
        }
      });
      yield* timeout(5, event.wait());
    }, { victims });
  }
});

// ---- Semaphore -------------------------------------------------------------------------------------------------------

Deno.test("a semaphore lets as many in at a time as it has permits", () => {
  const { scheduler, log, say } = stage();
  const semaphore = new Semaphore(2);
  scheduler.runSync(function* () {
    for (const name of ["a", "b", "c", "d", "e"]) {
      yield* spawn(semaphore.with(function* () {
        say(`${name}, ${semaphore.available} left`);
        yield* sleep(10);
      }));
    }
  });
  assertEquals(log, ["0 a, 1 left", "0 b, 0 left", "10 c, 0 left", "10 d, 0 left", "20 e, 1 left"]);
  assertEquals(semaphore.available, 2);
});

Deno.test("a large request at the head of a semaphore's line is not overtaken by a small one behind it", () => {
  const { scheduler, log, say } = stage();
  const semaphore = new Semaphore(2);
  scheduler.runSync(function* () {
    const large = yield* spawn(function* () {
      yield* semaphore.acquire(3);
      say("large");
      semaphore.release(3);
    });
    yield* spawn(function* () {
      yield* semaphore.acquire();
      say("small");
      semaphore.release();
    });
    yield* sleep(1);
    say(`${large.waitingFor}, and for one that does not wait: ${semaphore.tryAcquire()}`);
    semaphore.release();
  });
  assertEquals(log, [
    "1 3 of semaphore, 2 available, and for one that does not wait: false",
    "1 large",
    "1 small",
  ]);
  assertEquals(semaphore.available, 3);
});

Deno.test("when a large request at the head is cancelled, those behind it go on", () => {
  const { scheduler, log, say } = stage();
  const semaphore = new Semaphore(2);
  scheduler.runSync(function* () {
    for (const [k, ms] of [[3, 5], [1, 100], [1, 100], [1, 100]] as const) {
      yield* spawn(function* () {
        try {
          yield* timeout(ms, semaphore.acquire(k));
          say(`has ${k}`);
        } catch (error) {
          say(`${k}: ${words(error)}`);
        }
      });
    }
    yield* sleep(50);
    semaphore.release();
  });
  assertEquals(log, ["5 has 1", "5 has 1", "5 3: TimeoutError", "50 has 1"]);
});

Deno.test("permits belong to nobody: they may be released by anyone, beyond what there were, and waited for before", () => {
  const { scheduler, log, say } = stage();
  const semaphore = new Semaphore(0);
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      yield* semaphore.acquire(5);
      say("five");
    });
    for (let i = 0; i < 5; i++) {
      yield* sleep(1);
      semaphore.release();
    }
    yield;
    semaphore.release(2);
    assertEquals([semaphore.available, semaphore.tryAcquire(3), semaphore.tryAcquire(2)], [2, false, true]);
  });
  assertEquals(log, ["5 five"]);
});

Deno.test("with gives its permit back however its coroutine ends", () => {
  const { scheduler, log, say } = stage();
  const semaphore = new Semaphore(1, "pool");
  scheduler.runSync(function* () {
    say(`gave ${yield* semaphore.with(function* () {
      return semaphore.available;
    })}`);
    say(words(
      yield* errorOf(semaphore.with(function* () {
        throw new Oops("inside");
      })),
    ));
    say(words(yield* errorOf(timeout(5, semaphore.with(sleep(10))))));
    const victim = yield* spawn(semaphore.with(sleep(100)));
    const waiter = yield* spawn(semaphore.acquire());
    yield;
    say(`${waiter.waitingFor}`);
    yield* kill(victim);
    yield* waiter;
    semaphore.release();
    say(`${semaphore}`);
  });
  assertEquals(log, [
    "0 gave 0",
    "0 inside",
    "5 TimeoutError",
    '5 1 of semaphore "pool", 0 available',
    '5 semaphore "pool", 1 available',
  ]);
});

Deno.test("interrupting tasks that share a semaphore, at any step, loses no permit", () => {
  let semaphore = new Semaphore(3);
  const use = function* (k: number): Coroutine<void> {
    yield* semaphore.acquire(k);
    try {
      yield* sleep(k);
    } finally {
      semaphore.release(k);
    }
  };
  for (const victims of ["main", "any"] as const) {
    sweep(function* () {
      semaphore = new Semaphore(3);
      const tasks: Task[] = [yield* spawn(semaphore.with(sleep(2)))];
      for (const k of [1, 3, 2, 1]) tasks.push(yield* spawn(use(k)));
      for (const k of [3, 1]) {
        tasks.push(
          yield* spawn(function* () {
            try {
              yield* timeout(2, use(k));
            } catch { /* too slow */ }
          }),
        );
      }
      yield* use(2);
      for (const task of tasks) yield* task;
    }, { victims, check: () => assertEquals(semaphore.available, 3) });
  }
});

// ---- Condition -------------------------------------------------------------------------------------------------------

/** Waits once for a condition, and says when it goes on. */
function* await_(
  lock: Lock,
  condition: Condition,
  say: (text: string) => void,
  name: string,
): Coroutine<void> {
  yield* lock.with(function* () {
    try {
      yield* condition.wait();
      say(`${name} goes on`);
    } catch (error) {
      say(`${name} sees ${words(error)}, ${lock}`);
      throw error;
    }
  });
}

Deno.test("wait lets the lock go, and holds it again when it was notified and the lock was handed over", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock("l");
  const condition = new Condition(lock, "c");
  scheduler.runSync(function* () {
    const waiter = yield* spawn(lock.with(function* () {
      yield* condition.wait();
      say(`goes on, ${lock}`);
    }));
    yield;
    assertEquals([lock.locked, waiter.waitingFor], [false, 'condition "c" of lock "l"']);
    assertEquals(`${condition}`, 'condition "c" of lock "l", awaited by task 2');
    yield* lock.acquire();
    condition.notify();
    say(`notified, it waits for ${waiter.waitingFor}`);
    yield* sleep(5);
    lock.release();
    say(`released, ${lock}`);
  });
  assertEquals(log, [
    '0 notified, it waits for lock "l" held by 1',
    '5 released, lock "l" held by task 2',
    '5 goes on, lock "l" held by task 2',
  ]);
  assertEquals(lock.locked, false);
});

Deno.test("notify wakes those who have waited longest, in order; notify(2) with one waiter wakes one", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    for (const name of ["a", "b", "c", "d", "e"]) yield* spawn(await_(lock, condition, say, name));
    yield* sleep(1);
    condition.notify();
    yield* sleep(1);
    condition.notify(2);
    yield* sleep(1);
    condition.notifyAll();
    yield* spawn(await_(lock, condition, say, "f"));
    yield* sleep(1);
    condition.notify(2);
    yield* spawn(await_(lock, condition, say, "g"));
    yield* sleep(1);
    say("what was too much is not kept for those who come later");
    condition.notify();
  });
  assertEquals(log, [
    "1 a goes on",
    "2 b goes on",
    "2 c goes on",
    "3 d goes on",
    "3 e goes on",
    "4 f goes on",
    "5 what was too much is not kept for those who come later",
    "5 g goes on",
  ]);
});

Deno.test("notified waiters stand at the end of the lock's line", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    yield* spawn(await_(lock, condition, say, "waiter"));
    yield;
    yield* lock.acquire();
    yield* spawn(lock.with(function* () {
      say("has asked before");
    }));
    yield;
    condition.notify();
    yield* spawn(lock.with(function* () {
      say("has asked after");
    }));
    yield;
    lock.release();
  });
  assertEquals(log, ["0 has asked before", "0 waiter goes on", "0 has asked after"]);
});

Deno.test("waitFor asks its predicate at once and after each notification, with the lock held, and gives its answer", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  const items: string[] = ["at once"];
  scheduler.runSync(function* () {
    const take = () =>
      lock.with(condition.waitFor(() => {
        say(`asked, ${lock}`);
        return items.shift();
      }));
    say(`${yield* take()}`);
    const taker = yield* spawn(take());
    yield* sleep(1);
    condition.notify();
    yield* sleep(1);
    items.push("later");
    condition.notify();
    say(`${yield* taker}`);
    say(words(
      yield* errorOf(lock.with(condition.waitFor(() => {
        throw new Oops("the predicate's");
      }))),
    ));
  });
  assertEquals(log, [
    "0 asked, lock held by task 1",
    "0 at once",
    "0 asked, lock held by task 2",
    "1 asked, lock held by task 2",
    "2 asked, lock held by task 2",
    "2 later",
    "2 the predicate's",
  ]);
  assertThrows(() => condition.waitFor(true as unknown as () => boolean), TypeError, "a predicate is wanted");
  const late = [() => condition.waitFor(async () => await false), () => condition.waitFor(function* () {})];
  for (const wait of late) assertThrows(wait, TypeError, "a predicate that answers at once is wanted");
});

Deno.test("waiting for a condition without its lock is refused", () => {
  const { scheduler } = stage();
  const lock = new Lock("l");
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    for (const wait of [condition.wait(), condition.waitFor(() => true)]) {
      const error = yield* errorOf(wait);
      assert(error instanceof InvalidStateError);
      assertEquals(
        error.message,
        'Cannot wait for condition of lock "l" without the lock: lock "l" held by nobody',
      );
    }
    const other = yield* spawn(lock.with(sleep(1)));
    yield;
    assert((yield* errorOf(condition.wait())) instanceof InvalidStateError);
    yield* other;
  });
  assertEquals(lock.locked, false);
  assertThrows(() => new Condition({} as Lock), TypeError, "a Lock is wanted");
});

Deno.test("a waiter that is killed or timed out holds the lock when it sees that, however long that takes", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const victim = yield* spawn(await_(lock, condition, say, "victim"));
    yield* spawn(function* () {
      say(words(yield* errorOf(timeout(5, await_(lock, condition, say, "impatient")))));
    });
    yield;
    yield* spawn(lock.with(sleep(20)));
    yield* sleep(1);
    yield* kill(victim, { grace: 1 }); // the grace stands still while it waits for the lock
    say(`killed, ${lock}`);
  });
  assertEquals(log, [
    "20 victim sees Cancelled, lock held by task 2, awaited by task 3",
    "20 impatient sees Cancelled(TimeoutError), lock held by task 3",
    "20 TimeoutError",
    "20 killed, lock held by nobody",
  ]);
  assertEquals(lock.locked, false);
});

Deno.test("a waiter that is closed by force holds the lock in its cleanup", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const victim = yield* spawn(lock.with(function* () {
      try {
        yield* condition.wait();
      } finally {
        say(`${lock}`);
      }
    }));
    yield;
    yield* spawn(lock.with(sleep(3)));
    yield;
    yield* kill(victim, { force: true });
  });
  assertEquals(log, ["3 lock held by task 2"]);
  assertEquals(lock.locked, false);
});

Deno.test("the notification of a waiter that is cancelled before it has the lock goes to the next who waited then", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const a = yield* spawn(await_(lock, condition, say, "a"));
    yield* spawn(await_(lock, condition, say, "b"));
    yield;
    yield* lock.acquire();
    condition.notify();
    yield* kill(a, { wait: false });
    lock.release();
  });
  assertEquals(log, ["0 b goes on", "0 a sees Cancelled, lock held by task 2"]);
});

Deno.test("a notification is not passed on to one who came after it", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const early = yield* spawn(await_(lock, condition, say, "early"));
    yield;
    yield* lock.acquire();
    const late = yield* spawn(await_(lock, condition, say, "late"));
    yield* spawn(lock.with(sleep(10)));
    yield;
    condition.notify();
    lock.release(); // for late, who lets it go again, then for 10 ms, then for early
    yield* sleep(5);
    say(`early waits for ${early.waitingFor}, late for ${late.waitingFor}`);
    yield* kill(early);
    say(`late waits for ${late.waitingFor}`);
    condition.notify();
  });
  assertEquals(log, [
    "5 early waits for lock held by 4, late for condition of lock",
    "10 early sees Cancelled, lock held by task 2",
    "10 late waits for condition of lock",
    "10 late goes on",
  ]);
});

Deno.test("when the lock breaks, those who wait for its conditions get BrokenLockError", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock("l");
  const conditions = [new Condition(lock), new Condition(lock)];
  scheduler.runSync(function* () {
    for (const [i, condition] of conditions.entries()) {
      yield* spawn(function* () {
        say(`${i}: ${words(yield* errorOf(lock.with(condition.wait())))}`);
      });
    }
    yield;
    yield* spawn(function* () {
      yield* lock.acquire();
      yield* sleep(1);
      conditions[0]!.notify();
    });
  });
  assertEquals(log, ["1 0: BrokenLockError", "1 1: BrokenLockError"]);
});

Deno.test("a kill by the holder of the lock, of a task that must have it to end, is refused instead of hanging", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const victim = yield* spawn(await_(lock, condition, say, "victim"));
    yield;
    yield* lock.with(function* () {
      yield* kill(victim);
    });
    say(words((victim.outcome as { error?: unknown }).error));
  });
  assertEquals(log, ["0 victim sees DeadlockError, lock held by task 1", "0 DeadlockError"]);
});

Deno.test("a notification that would close a ring of waiting tasks is refused in the waiter", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const condition = new Condition(lock);
  scheduler.runSync(function* () {
    const waiter = yield* spawn(function* () {
      say(words(yield* errorOf(await_(lock, condition, say, "waiter"))));
    });
    yield* spawn(function* () {
      yield* sleep(1);
      condition.notify();
    });
    yield;
    yield* lock.with(waiter);
    say("main goes on");
  });
  assertEquals(log, [
    "1 waiter sees DeadlockError, lock held by task 1",
    "1 DeadlockError",
    "1 main goes on",
  ]);
});

Deno.test("interrupting tasks that wait for a condition, at any step, loses no item and leaves the lock free", () => {
  let lock = new Lock();
  let made = 0;
  let items: number[] = [];
  let taken: number[] = [];
  for (const victims of ["main", "any"] as const) {
    const report = sweep(function* () {
      lock = new Lock();
      made = 0;
      items = [];
      taken = [];
      const filled = new Condition(lock);
      const take = function* (ms: number): Coroutine<void> {
        try {
          yield* timeout(
            ms,
            lock.with(function* () {
              const item = yield* filled.waitFor(() => items.shift());
              if (item !== undefined) taken.push(item);
            }),
          );
        } catch { /* too slow */ }
      };
      const takers: Task[] = [];
      for (const ms of [100, 3, 100, 6]) takers.push(yield* spawn(take(ms)));
      for (let i = 0; i < 4; i++) {
        yield* sleep(2);
        yield* lock.with(function* () {
          items.push(++made);
          filled.notify();
          yield;
        });
      }
      for (const taker of takers) yield* taker;
    }, {
      victims,
      check() {
        assertEquals(lock.locked, false);
        assertEquals([...taken, ...items].toSorted(), Array.from({ length: made }, (_, i) => i + 1));
      },
    });
    assert(report.steps > 15);
  }
});
