import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  BrokenLockError,
  type Coroutine,
  DeadlockError,
  InvalidStateError,
  join,
  kill,
  Lock,
  type Operation,
  sleep,
  spawn,
  type Task,
  timeout,
} from "../mod.ts";
import { sweep } from "../testing.ts";
import { ending, Oops, stage, words } from "./_transcript.ts";

/** Takes the lock, says so, holds it for `ms`. */
function* hold(lock: Lock, ms: number, say: (text: string) => void, name: string): Coroutine<void> {
  yield* lock.acquire();
  try {
    say(`${name} has it`);
    yield* sleep(ms);
  } finally {
    lock.release();
  }
}

/** What an operation throws. */
function* errorOf(operation: Operation<unknown>): Coroutine<Error> {
  try {
    yield* operation;
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

// ---- Taking turns ----------------------------------------------------------------------------------------------------

Deno.test("one task holds a lock, the others get it in the order in which they asked", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    for (const name of ["a", "b", "c"]) yield* spawn(hold(lock, 10, say, name));
  });
  assertEquals(log, ["0 a has it", "10 b has it", "20 c has it"]);
  assertEquals(lock.locked, false);
});

Deno.test("a released lock belongs to the one who has waited longest, even if the releaser asks again at once", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* lock.acquire();
    const waiter = yield* spawn(hold(lock, 0, say, "waiter"), { name: "waiter" });
    yield;
    lock.release();
    say(`held by ${lock.holder}, which is ${waiter.state}`);
    say(`main tries: ${lock.tryAcquire()}`);
    yield* lock.acquire();
    say("main has it again");
    lock.release();
  });
  assertEquals(log, [
    '0 held by task 2 "waiter", which is ready',
    "0 main tries: false",
    "0 waiter has it",
    "0 main has it again",
  ]);
});

Deno.test("after the first round, tasks get a contended lock in an order that repeats exactly", () => {
  const { scheduler } = stage();
  const lock = new Lock();
  let order = "";
  scheduler.runSync(function* () {
    for (const name of "abc") {
      yield* spawn(function* () {
        for (let i = 0; i < 20; i++) {
          yield* lock.with(function* () {
            order += name;
            yield;
          });
        }
      });
    }
  });
  assertEquals(order, "abc".repeat(20));
});

Deno.test("an acquire that need not wait does not switch", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      say("other");
    });
    yield* lock.acquire();
    say(`main holds it: ${lock.holder?.tid === 1}`);
    lock.release();
    yield* lock.with(function* () {
      say("main holds it again");
    });
  });
  assertEquals(log, ["0 main holds it: true", "0 main holds it again", "0 other"]);
});

Deno.test("tryAcquire takes a free lock, and leaves one that another task holds", () => {
  const { scheduler } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    assertEquals([lock.locked, lock.tryAcquire(), lock.locked], [false, true, true]);
    const other = yield* spawn(function* () {
      return lock.tryAcquire();
    });
    assertEquals(yield* other, false);
    lock.release();
    assertEquals([lock.locked, lock.holder], [false, undefined]);
  });
});

Deno.test("acquires of one lock do not mix, however they are run", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    const late = lock.acquire();
    const victim = yield* spawn(lock.acquire());
    yield* timeout(10, lock.acquire());
    yield* kill(victim); // it has not started
    lock.release();
    for (let i = 0; i < 2; i++) {
      yield* late;
      say("again");
      lock.release();
    }
    yield lock.acquire();
    say(`${lock}`);
    lock.release();
  });
  assertEquals(log, ["0 again", "0 again", "0 lock held by task 1"]);
});

// ---- with ------------------------------------------------------------------------------------------------------------

Deno.test("with gives the coroutine's value or its error, and releases", () => {
  const { scheduler } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    const value = yield* lock.with(function* () {
      yield* sleep(1);
      return lock.holder?.tid;
    });
    assertEquals([value, lock.locked], [1, false]);
    const error = yield* errorOf(lock.with(function* () {
      throw new Oops("inside");
    }));
    assertEquals([words(error), lock.locked], ["inside", false]);
    const usage = yield* errorOf(lock.with((() => 5) as unknown as () => Coroutine<void>));
    assertEquals([usage.name, lock.locked], ["TypeError", false]);
  });
});

Deno.test("with releases when its coroutine is killed, timed out, or closed by force, after its cleanup", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  const work = function* (): Coroutine<void> {
    try {
      yield* sleep(1000);
    } finally {
      yield* sleep(5);
      say(`cleaned up, ${lock}`);
    }
  };
  scheduler.runSync(function* () {
    for (const force of [false, true]) {
      const victim = yield* spawn(lock.with(work));
      yield;
      yield* kill(victim, { force });
      say(`killed, ${lock}`);
    }
    say(words(yield* errorOf(timeout(10, lock.with(work)))));
    say(`timed out, ${lock}`);
  });
  assertEquals(log, [
    "5 cleaned up, lock held by task 2",
    "5 killed, lock held by nobody",
    "10 cleaned up, lock held by task 3",
    "10 killed, lock held by nobody",
    "25 cleaned up, lock held by task 1",
    "25 TimeoutError",
    "25 timed out, lock held by nobody",
  ]);
});

// ---- Cancelled waiters -----------------------------------------------------------------------------------------------

Deno.test("a waiter killed in the middle of a line of three leaves the first and the third in order", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* lock.acquire();
    const line = [];
    for (const name of ["first", "second", "third"]) line.push(yield* spawn(hold(lock, 1, say, name)));
    yield;
    yield* kill(line[1]!);
    lock.release();
  });
  assertEquals(log, ["0 first has it", "1 third has it"]);
});

Deno.test("after a timeout round acquire, the lock goes to the next one who asks", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* spawn(hold(lock, 100, say, "slow"));
    yield;
    say(words(yield* errorOf(timeout(10, lock.acquire()))));
    yield* spawn(hold(lock, 1, say, "next"));
  });
  assertEquals(log, ["0 slow has it", "10 TimeoutError", "100 next has it"]);
  assertEquals(lock.locked, false);
});

Deno.test("a task that is killed after it was handed the lock sees that it has it, and can release it", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* lock.acquire();
    const heir = yield* spawn(hold(lock, 1, say, "heir"));
    const next = yield* spawn(hold(lock, 1, say, "next"));
    yield;
    lock.release();
    yield* kill(heir);
    say(`${ending(heir)}, ${lock}`);
    yield* next;
  });
  assertEquals(log, ["0 heir has it", "0 next has it", "0 killed, lock held by task 3"]);
});

Deno.test("interrupting tasks that share a lock, at any step, leaves it free and never lets two in", () => {
  let lock = new Lock();
  let inside = 0;
  let entered = 0;
  let left = 0;
  const program = function* (): Coroutine<void> {
    lock = new Lock();
    inside = entered = left = 0;
    const work = function* (): Coroutine<void> {
      assertEquals(++inside, 1);
      entered++;
      try {
        yield* sleep(3);
        yield;
      } finally {
        inside--;
        left++;
      }
    };
    const tasks: Task<void>[] = [];
    for (let i = 0; i < 3; i++) tasks.push(yield* spawn(lock.with(work)));
    tasks.push(
      yield* spawn(function* () {
        yield* sleep(1);
        try {
          yield* timeout(4, lock.acquire());
        } catch {
          return;
        }
        try {
          yield* work();
        } finally {
          lock.release();
        }
      }),
    );
    yield* lock.with(work);
    for (const task of tasks) yield* task;
  };
  const check = () => {
    assertEquals([lock.locked, inside, left], [false, 0, entered]);
  };
  for (const victims of ["main", "any"] as const) {
    const report = sweep(program, { victims, check });
    assert(report.steps > 15, `${report.steps} steps`);
  }
});

// ---- Misuse ----------------------------------------------------------------------------------------------------------

Deno.test("acquiring twice, and releasing what one does not hold, are refused with words that say who holds it", () => {
  const { scheduler } = stage();
  const lock = new Lock("db");
  scheduler.runSync(function* () {
    assertThrows(
      () => lock.release(),
      InvalidStateError,
      'Cannot release for task 1: lock "db" held by nobody',
    );
    yield* spawn(hold(lock, 10, () => {}, ""), { name: "writer" });
    yield;
    assertThrows(
      () => lock.release(),
      InvalidStateError,
      'Cannot release for task 1: lock "db" held by task 2 "writer"',
    );
    yield* lock.acquire();
    for (const again of [lock.acquire(), lock.with(sleep(1))]) {
      const error = yield* errorOf(again);
      assertEquals([error.name, error.message], [
        "InvalidStateError",
        'Cannot acquire twice: lock "db" held by task 1',
      ]);
    }
    assertThrows(() => lock.tryAcquire(), InvalidStateError, "twice");
    lock.release();
  });
});

Deno.test("outside tasks a lock can be neither acquired nor released", () => {
  const lock = new Lock("db");
  assertThrows(() => lock.tryAcquire(), InvalidStateError, 'Cannot acquire lock "db" outside a task');
  assertThrows(() => lock.release(), InvalidStateError, 'Cannot release lock "db" outside a task');
  assertThrows(() => lock.acquire()[Symbol.iterator]().next(), TypeError);
  assertEquals(lock.locked, false);
});

Deno.test("waitingFor and toString say which lock, who holds it and who waits", () => {
  const { scheduler } = stage();
  const named = new Lock({ name: "db" });
  const nameless = new Lock();
  scheduler.runSync(function* () {
    assertEquals([`${named}`, `${nameless}`], ['lock "db" held by nobody', "lock held by nobody"]);
    yield* named.acquire();
    yield* nameless.acquire();
    const waiting = [];
    for (let i = 0; i < 7; i++) {
      waiting.push(yield* spawn(named.acquire(), { name: i === 0 ? "reader" : "" }));
    }
    const other = yield* spawn(nameless.acquire());
    yield;
    assertEquals(waiting[0]!.waitingFor, 'lock "db" held by 1');
    assertEquals(other.waitingFor, "lock held by 1");
    assertEquals(
      `${named}`,
      'lock "db" held by task 1, awaited by task 2 "reader", task 3, task 4, task 5, task 6 and 2 more',
    );
    for (const task of [...waiting, other]) yield* kill(task);
    named.release();
    nameless.release();
  });
});

// ---- Broken locks ----------------------------------------------------------------------------------------------------

Deno.test("when a task ends holding a lock, those who wait and those who come get BrokenLockError", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock("db");
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      yield* lock.acquire();
      yield* sleep(10);
      throw new Oops("while holding it");
    }, { name: "writer" });
    for (const name of ["a", "b"]) {
      yield* spawn(function* () {
        const error = yield* errorOf(hold(lock, 0, say, name));
        say(`${name}: ${error.name}`);
      });
    }
    yield* sleep(20);
    for (const late of [lock.acquire(), lock.with(sleep(1)), timeout(5, lock.acquire())]) {
      const error = yield* errorOf(late);
      assert(error instanceof BrokenLockError);
      assertEquals(
        error.message,
        'Cannot acquire lock "db": it is broken, task 2 "writer" ended without releasing it',
      );
    }
    assertThrows(() => lock.tryAcquire(), BrokenLockError, 'task 2 "writer"');
    assertThrows(() => lock.release(), InvalidStateError, 'lock "db" broken by task 2 "writer"');
    assertEquals([lock.locked, lock.holder, `${lock}`], [
      true,
      undefined,
      'lock "db" broken by task 2 "writer"',
    ]);
  });
  assertEquals(log, [
    "10 a: BrokenLockError",
    "10 b: BrokenLockError",
    '10 unhandled in task 2 "writer": while holding it',
  ]);
});

Deno.test("onUnhandledError hears of a lock that breaks while nobody waits for it", () => {
  const { scheduler, log, say, unhandled } = stage();
  scheduler.runSync(function* () {
    for (let i = 1; i <= 2; i++) {
      const locks = [new Lock(`first ${i}`), new Lock(`second ${i}`)];
      const careless = yield* spawn(function* () {
        for (const lock of locks) yield* lock.acquire();
        yield* sleep(i === 1 ? 1 : 1000);
      }, { name: "careless" });
      yield* sleep(5);
      if (i === 2) yield* kill(careless);
      say(`${locks.map(String)}`);
    }
  });
  assertEquals(log, [
    '1 unhandled in task 2 "careless": BrokenLockError',
    '1 unhandled in task 2 "careless": BrokenLockError',
    '5 lock "first 1" broken by task 2 "careless",lock "second 1" broken by task 2 "careless"',
    '10 unhandled in task 3 "careless": BrokenLockError',
    '10 unhandled in task 3 "careless": BrokenLockError',
    '10 lock "first 2" broken by task 3 "careless",lock "second 2" broken by task 3 "careless"',
  ]);
  assertStringIncludes((unhandled[0] as Error).message, 'lock "second 1"');
});

Deno.test("the lock of a task that could not be killed is broken when that is let go", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    const stubborn = yield* spawn(
      lock.with(function* () {
        for (;;) {
          try {
            yield* sleep(1000);
          } finally {
            // deno-lint-ignore no-unsafe-finally -- that is what makes it stubborn
            continue;
          }
        }
      }),
      { name: "stubborn" },
    );
    const waiter = yield* spawn(errorOf(lock.acquire()));
    yield;
    yield* kill(stubborn, { grace: 10 });
    say(words(yield* waiter));
  });
  assertEquals(log, [
    '10 unhandled in task 2 "stubborn": Error',
    '20 unhandled in task 2 "stubborn": UnkillableError',
    "20 BrokenLockError",
  ]);
});

// ---- Rings -----------------------------------------------------------------------------------------------------------

Deno.test("two locks taken in opposite orders are refused in the task that closes the ring, and the other goes on", () => {
  const { scheduler, log, say } = stage();
  const a = new Lock("a");
  const b = new Lock("b");
  scheduler.runSync(function* () {
    yield* spawn(sleep(1000)); // a timer is set: the loop alone would see no deadlock
    for (const [name, first, second] of [["ab", a, b], ["ba", b, a]] as const) {
      yield* spawn(function* () {
        try {
          yield* first.with(function* () {
            yield* sleep(1);
            yield* second.with(sleep(1));
          });
          say(`${name} has had both`);
        } catch (error) {
          assert(error instanceof DeadlockError);
          say(`${name}: ${error.message}`);
          assertEquals(error.tasks.map(({ name, waitingFor }) => [name, waitingFor]), [
            ["ba", undefined],
            ["ab", 'lock "b" held by 4'],
          ]);
        }
      }, { name });
    }
  });
  assertEquals(log, [
    '1 ba: Cannot wait for task 3 "ab", it would close a ring: ' +
    'task 4 "ba" waits for task 3 "ab", task 3 "ab" waits for task 4 "ba"',
    "2 ab has had both",
  ]);
  assertEquals([a.locked, b.locked], [false, false]);
});

Deno.test("joining or killing a task that waits for one's lock is a ring, and so is waiting for the lock of one's joiner", () => {
  const { scheduler, log, say } = stage();
  const lock = new Lock();
  scheduler.runSync(function* () {
    yield* lock.acquire();
    const waiter = yield* spawn(hold(lock, 0, say, "waiter"));
    yield;
    say(words(yield* errorOf(join(waiter))));
    lock.release();
    yield* waiter;

    const joined = yield* spawn(function* () {
      yield* sleep(1);
      say(words(yield* errorOf(lock.acquire())));
    });
    yield* lock.with(joined);
    say("main goes on");
  });
  assertEquals(log, ["0 DeadlockError", "0 waiter has it", "1 DeadlockError", "1 main goes on"]);
});

Deno.test("a ring of locks with a task under an armed timeout is none: it opens by itself", () => {
  const { scheduler, log, say } = stage();
  const a = new Lock("a");
  const b = new Lock("b");
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      yield* a.acquire();
      yield* sleep(1);
      say(words(yield* errorOf(timeout(10, b.acquire()))));
      a.release();
    });
    yield* spawn(b.with(function* () {
      yield* sleep(2);
      yield* hold(a, 0, say, "the other");
    }));
  });
  assertEquals(log, ["11 TimeoutError", "11 the other has it"]);
});

Deno.test("a hand-over moves the ring: what counts is who holds the lock when one asks", () => {
  const { scheduler, log, say } = stage();
  const a = new Lock("a");
  const b = new Lock("b");
  scheduler.runSync(function* () {
    yield* a.acquire();
    yield* spawn(a.with(function* () {
      yield* sleep(1);
      say(`first: ${words(yield* errorOf(b.acquire()))}`);
    }));
    yield* spawn(b.with(function* () {
      yield* a.acquire(); // behind the first, which will hold it by the time that one asks for b
      say("second has both");
      a.release();
    }));
    yield;
    a.release();
  });
  assertEquals(log, ["1 first: DeadlockError", "1 second has both"]);
});

Deno.test("when nothing can go on, the report says which lock each task waits for and who holds it", async () => {
  const { scheduler } = stage();
  const godot = new Lock("godot");
  const db = new Lock("db");
  const error = await assertRejects(
    () =>
      scheduler.run(function* main() {
        yield* spawn(godot.with(sleep(Infinity)), { name: "holder", daemon: true });
        yield* db.with(function* () {
          yield* spawn(db.with(sleep(1)), { name: "waiter" });
          yield;
          yield* godot.acquire();
        });
      }),
    DeadlockError,
  );
  assertStringIncludes(
    error.message,
    `
  tid  name    waits for               held by
  1    main    lock "godot" held by 2  task 2 "holder"
  3    waiter  lock "db" held by 1     task 1 "main"
`,
  );
  assertEquals([godot.locked, db.locked], [false, false]);
});
