// deno-lint-ignore-file no-unsafe-finally -- cleanup that throws, or will not end, is what is tested
import { assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import {
  abortable,
  abortSignal,
  call,
  Cancelled,
  type Coroutine,
  currentTask,
  defer,
  getTid,
  join,
  kill,
  type Scheduler,
  sleep,
  spawn,
  type Task,
  timeout,
  TimeoutError,
  until,
  waitTask,
} from "../mod.ts";
import {
  type As,
  CountingClock,
  ending,
  Hold,
  KERNEL_SPELLINGS,
  LateClock,
  Oops,
  settled,
  Shop,
  stage,
  testSpelled,
  turns,
  words,
} from "./_transcript.ts";

/** Waits for `ms`, and says what it sees; its cleanup takes `cleanup` ms. */
function* worker(name: string, ms: number, cleanup: number, say: (text: string) => void): Coroutine<string> {
  try {
    yield* sleep(ms);
    return name;
  } catch (error) {
    say(`${name} sees ${words(error)}`);
    throw error;
  } finally {
    if (cleanup > 0) yield* sleep(cleanup);
    say(`${name} is done`);
  }
}

/** Says what an operation came to. */
function* attempt(what: string, operation: Coroutine<unknown>, say: (text: string) => void): Coroutine<void> {
  try {
    say(`${what} gave ${yield* operation}`);
  } catch (error) {
    say(`${what} threw ${words(error)}`);
    if (error instanceof Cancelled) throw error;
  }
}

function* timed<T>(ms: number, coroutine: Coroutine<T>): Coroutine<T> {
  return yield* timeout(ms, coroutine);
}

// ---- One timeout -----------------------------------------------------------------------------------------------------

testSpelled("timeout() gives the value of a coroutine that is done in time", (as) => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<string> {
    return yield* as(worker("work", 5, 1, say));
  }
  scheduler.runSync(function* () {
    say(`gave ${yield* timeout(10, work())}`);
    yield* sleep(100);
    say("nothing came after");
  });
  assertEquals(log, ["6 work is done", "6 gave work", "106 nothing came after"]);
});

testSpelled("timeout() unwinds to its own boundary, innermost first, and throws TimeoutError there", (as) => {
  const { scheduler, log, say } = stage();
  function* outer(): Coroutine<string> {
    try {
      return yield* as(worker("inner", 60_000, 2, say));
    } catch (error) {
      say(`outer sees ${words(error)}`);
      throw error;
    } finally {
      yield* sleep(3);
      say("outer is done");
    }
  }
  function* caller(): Coroutine<string> {
    try {
      return yield* timeout(10, outer());
    } catch (error) {
      say(`the caller sees ${words(error)}`);
    }
    yield* sleep(1);
    return "the caller goes on";
  }
  scheduler.runSync(function* () {
    say(yield* as(caller()));
  });
  assertEquals(log, [
    "10 inner sees Cancelled(TimeoutError)",
    "12 inner is done",
    "12 outer sees Cancelled(TimeoutError)",
    "15 outer is done",
    "15 the caller sees TimeoutError",
    "16 the caller goes on",
  ]);
});

Deno.test("the reason of the Cancelled is the TimeoutError that the caller gets", () => {
  const { scheduler } = stage();
  let reason: unknown;
  scheduler.runSync(function* () {
    try {
      yield* timeout(10, function* () {
        try {
          yield* sleep(60_000);
        } catch (error) {
          assertInstanceOf(error, Cancelled);
          reason = error.reason;
        }
      });
    } catch (error) {
      assertInstanceOf(error, TimeoutError);
      assertStrictEquals(error, reason);
    }
  });
  assertInstanceOf(reason, TimeoutError);
});

testSpelled("a coroutine that swallows its Cancelled is timed out all the same", (as) => {
  const { scheduler, log, say } = stage();
  function* swallows(): Coroutine<string> {
    try {
      yield* sleep(60_000);
    } catch {
      yield* sleep(5);
    }
    return "swallowed";
  }
  function* between(): Coroutine<string> {
    const value = yield* as(swallows());
    say("never said");
    return value;
  }
  scheduler.runSync(function* () {
    yield* attempt("the timeout", timed(10, between()), say);
    yield* attempt("the next", timed(10, swallowsAtOnce()), say);
  });
  function* swallowsAtOnce(): Coroutine<string> {
    try {
      yield* sleep(60_000);
    } catch {
      // it says nothing
    }
    return "swallowed";
  }
  assertEquals(log, ["15 the timeout threw TimeoutError", "25 the next threw TimeoutError"]);
}, KERNEL_SPELLINGS);

Deno.test("a coroutine that swallows its Cancelled directly under timeout() does not give its value", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt(
      "the timeout",
      timed(
        10,
        (function* () {
          try {
            yield* sleep(60_000);
          } catch {
            return "swallowed";
          }
        })(),
      ),
      say,
    );
  });
  assertEquals(log, ["10 the timeout threw TimeoutError"]);
});

Deno.test("an error of the coroutine's own comes out as it is", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt(
      "the timeout",
      timed(
        10,
        (function* () {
          yield* sleep(5);
          throw new Oops("my own");
        })(),
      ),
      say,
    );
    yield* sleep(100);
  });
  assertEquals(log, ["5 the timeout threw my own"]);
});

testSpelled("what cleanup throws is thrown in place of the TimeoutError, several in order", (as) => {
  const { scheduler, log, say } = stage();
  function* broken(name: string, below: () => Coroutine<unknown>): Coroutine<void> {
    try {
      yield* as(below());
    } finally {
      yield* sleep(1);
      throw new Oops(name);
    }
  }
  function* longSleep(): Coroutine<void> {
    yield* sleep(60_000);
  }
  scheduler.runSync(function* () {
    yield* attempt("one", timed(10, broken("first", longSleep)), say);
    yield* attempt("two", timed(10, broken("second", () => broken("first", longSleep))), say);
  });
  assertEquals(log, ["11 one threw first", "23 two threw [first, second]"]);
}, KERNEL_SPELLINGS);

Deno.test("timeout() takes any work: a call, a task, a promise, a function, another timeout", async () => {
  const { scheduler, log, say } = stage();
  await scheduler.run(function* () {
    const task = yield* spawn(sleep(1_000));
    const works = {
      sleep: sleep(60_000),
      join: join(task),
      task,
      waitTask: waitTask(task.tid),
      call: call(sleep(60_000)),
      timeout: timeout(60_000, sleep(60_000)),
      *generator() {
        yield* sleep(60_000);
      },
      getTid: getTid(),
      resolved: until(Promise.resolve("resolved")),
    };
    for (const [name, work] of Object.entries(works)) {
      try {
        say(`${name} gave ${yield* timeout<unknown>(10, work)}`);
      } catch (error) {
        say(`${name} threw ${words(error)}`);
      }
    }
    say(`the task is ${ending(task)}`);
  });
  assertEquals(log, [
    "10 sleep threw TimeoutError",
    "20 join threw TimeoutError",
    "30 task threw TimeoutError",
    "40 waitTask threw TimeoutError",
    "50 call threw TimeoutError",
    "60 timeout threw TimeoutError",
    "70 generator threw TimeoutError",
    "70 getTid gave 1",
    "70 resolved gave resolved",
    "70 the task is alive",
  ]);
});

Deno.test("timeout() of a promise that comes too late: the promise goes on without the task", async () => {
  const { scheduler, clock, log, say } = stage();
  const { promise, resolve } = Promise.withResolvers<string>();
  const running = scheduler.run(function* () {
    try {
      say(yield* timeout(10, until(promise)));
    } catch (error) {
      say(words(error));
    }
    yield* sleep(10);
    say("slept");
  });
  await turns();
  clock.advance(10);
  await turns();
  resolve("too late");
  await running;
  assertEquals(log, ["10 TimeoutError", "20 slept"]);
});

// ---- When it expires -------------------------------------------------------------------------------------------------

Deno.test("timeout(0) expires at the first wait, of whatever kind", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const works: Record<string, () => Coroutine<unknown>> = {
      *"no wait"() {
        return `value of ${yield* getTid()}`;
      },
      *"a deep call without a wait"() {
        return yield* call(call(call(getTid())));
      },
      *"a bare yield"() {
        yield;
        say("never said");
      },
      *"a sleep"() {
        yield* sleep(0);
        say("never said");
      },
      *"a spawn, then a join"() {
        const task = yield* spawn(sleep(0));
        say("spawned");
        yield* task;
        say("never said");
      },
      *"a failure before"() {
        throw new Oops("failed");
      },
    };
    for (const [name, work] of Object.entries(works)) yield* attempt(name, timed(0, work()), say);
  });
  assertEquals(log, [
    "0 no wait gave value of 1",
    "0 a deep call without a wait gave 1",
    "0 a bare yield threw TimeoutError",
    "0 a sleep threw TimeoutError",
    "0 spawned",
    "0 a spawn, then a join threw TimeoutError",
    "0 a failure before threw failed",
  ]);
});

Deno.test("timeout(0) runs the cleanup of what it cuts, which may wait", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt("the timeout", timed(0, worker("work", 10, 5, say)), say);
  });
  assertEquals(log, [
    "0 work sees Cancelled(TimeoutError)",
    "5 work is done",
    "5 the timeout threw TimeoutError",
  ]);
});

Deno.test("timeout(0) takes nothing from a line that it would have to wait in", () => {
  const { scheduler, log, say } = stage();
  const shop = new Shop("one");
  scheduler.runSync(function* () {
    for (let i = 0; i < 2; i++) {
      try {
        say(`took ${yield* timeout(0, shop.take())}`);
      } catch (error) {
        say(words(error));
      }
    }
    shop.put(scheduler, "two");
    say(`left ${shop.items}, in line ${shop.waiting}`);
  });
  assertEquals(log, ["0 took one", "0 TimeoutError", "0 left two, in line 0"]);
});

testSpelled("timeout() expires at a place that counts as a wait in a coroutine that never waits", (as) => {
  const { scheduler } = stage();
  const items = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  const shop = new Shop(...items);
  const taken: string[] = [];
  let error: unknown;
  function* one(): Coroutine<string> {
    return yield* shop.take();
  }
  scheduler.runSync(function* () {
    try {
      yield* timeout(0, function* () {
        for (;;) taken.push(yield* as(one()));
      });
    } catch (thrown) {
      error = thrown;
    }
  });
  assertInstanceOf(error, TimeoutError);
  assertEquals([...taken, ...shop.items], items);
  assertEquals([taken.length > 0, shop.items.length > 0], [true, true]);
});

Deno.test("timeout(Infinity) never expires, and sets no timer", () => {
  const clock = new CountingClock();
  const { scheduler, log, say } = stage({}, clock);
  scheduler.runSync(function* () {
    say(`gave ${yield* timeout(Infinity, worker("work", 1e9, 0, say))}`);
    yield* timeout(Infinity, function* () {
      yield;
      say(`alarms: ${clock.alarms}`);
    });
  });
  assertEquals(log, ["1000000000 work is done", "1000000000 gave work", "1000000000 alarms: 0"]);
});

Deno.test("timeout() beyond 2 to the 31st ms expires when it is due", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt("in time", timed(2 ** 31 + 10, worker("work", 2 ** 31, 0, say)), say);
    yield* attempt("too slow", timed(2 ** 32, worker("work", 2 ** 33, 0, say)), say);
  });
  assertEquals(log, [
    "2147483648 work is done",
    "2147483648 in time gave work",
    "6442450944 work sees Cancelled(TimeoutError)",
    "6442450944 work is done",
    "6442450944 too slow threw TimeoutError",
  ]);
});

Deno.test("timeout() of a fraction of a millisecond", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt("in time", timed(0.5, worker("work", 0.25, 0, say)), say);
    yield* attempt("too slow", timed(0.25, worker("work", 0.5, 0, say)), say);
  });
  assertEquals(log, [
    "0.25 work is done",
    "0.25 in time gave work",
    "0.5 work sees Cancelled(TimeoutError)",
    "0.5 work is done",
    "0.5 too slow threw TimeoutError",
  ]);
});

Deno.test("timeout() refuses a negative time, NaN and what is no number, in the caller", () => {
  for (const ms of [-1, NaN, -Infinity]) assertThrows(() => timeout(ms, sleep(1)), RangeError);
  for (const ms of ["10", null, undefined, {}, 10n]) {
    assertThrows(() => timeout(ms as number, sleep(1)), TypeError);
  }
});

Deno.test("timeout() refuses what is no work, in the caller", () => {
  const { scheduler, log, say } = stage();
  const used = sleeper();
  function* sleeper(): Coroutine<void> {
    yield* sleep(1);
  }
  scheduler.runSync(function* () {
    yield* used;
    for (const work of [used, "text", 42, null, undefined, [], (x: number) => sleep(x), () => 42]) {
      try {
        yield* timeout(10, work as Coroutine<void>);
        say("taken");
      } catch (error) {
        say(words(error));
      }
    }
  });
  assertEquals(log.slice(1), Array(7).fill("1 TypeError"));
});

Deno.test("a coroutine that was done before its deadline and is looked at after it gives its value", () => {
  const { scheduler, log, say } = stage({}, new LateClock(50));
  scheduler.runSync(function* () {
    yield* attempt("the timeout", timed(10, worker("work", 9, 0, say)), say);
    yield* sleep(100);
    say("nothing leaked into the next sleep");
  });
  assertEquals(log, [
    "59 work is done",
    "59 the timeout gave work",
    "209 nothing leaked into the next sleep",
  ]);
});

Deno.test("a coroutine that was done in time and waits once more is cut at that wait", () => {
  const { scheduler, log, say } = stage({}, new LateClock(50));
  scheduler.runSync(function* () {
    yield* attempt("the timeout", timed(10, worker("work", 9, 1, say)), say);
  });
  assertEquals(log, ["59 the timeout threw TimeoutError"]);
});

Deno.test("what was handed over before the deadline is not lost, though the deadline is over by then", () => {
  const { scheduler, log, say } = stage({}, new LateClock(50));
  const shop = new Shop();
  scheduler.runSync(function* () {
    yield* spawn(attempt(
      "the producer",
      timed(
        9,
        (function* () {
          const signal = yield* abortSignal();
          signal.addEventListener("abort", () => shop.put(scheduler, "item"));
          yield* sleep(60_000);
        })(),
      ),
      say,
    ));
    yield;
    say(`took ${yield* timeout(10, shop.take())}`);
    say(`left ${shop.items.length}, withdrawn ${shop.cancelled}`);
  });
  assertEquals(log, ["59 the producer threw TimeoutError", "59 took item", "59 left 0, withdrawn 0"]);
});

Deno.test("a consumer that polls with timeouts gets every item, in order", () => {
  const { scheduler } = stage();
  const shop = new Shop();
  const got: string[] = [];
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 0; i < 10; i++) {
        yield* sleep(200);
        shop.put(scheduler, `${i}`);
      }
    });
    while (got.length < 10) {
      try {
        got.push(yield* timeout(100, shop.take()));
      } catch (error) {
        assertInstanceOf(error, TimeoutError);
      }
    }
  });
  assertEquals(got, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  assertEquals(shop.waiting, 0);
});

Deno.test("an item that no longer meets its timed-out customer goes to the next who asks", () => {
  const { scheduler, log, say } = stage();
  const shop = new Shop();
  scheduler.runSync(function* () {
    for (const [name, ms] of [["a", 1_000], ["b", 10], ["c", 1_000]] as const) {
      yield* spawn(function* () {
        try {
          say(`${name} took ${yield* timeout(ms, shop.take())}`);
        } catch (error) {
          say(`${name}: ${words(error)}`);
        }
      });
    }
    yield* sleep(20);
    for (const item of ["one", "two", "three"]) shop.put(scheduler, item);
    yield;
    say(`left: ${shop.items}`);
  });
  assertEquals(log, ["10 b: TimeoutError", "20 a took one", "20 c took two", "20 left: three"]);
});

Deno.test("timeout() expires beside tasks that are always ready", async () => {
  for (const sync of [false, true]) {
    const { scheduler, clock, log } = stage();
    let rounds = 0;
    const main = function* (): Coroutine<void> {
      const busy = yield* spawn(function* () {
        for (; rounds < 100_000; rounds++) {
          clock.advance(1); // as time goes by while tasks keep the processor
          yield;
        }
      });
      yield* attempt(
        "the timeout",
        timed(1_000, worker("work", 60_000, 0, () => {})),
        (text) => log.push(text),
      );
      yield* kill(busy);
    };
    if (sync) scheduler.runSync(main());
    else await scheduler.run(main());
    assertEquals([sync, ...log, rounds < 100_000], [sync, "the timeout threw TimeoutError", true]);
  }
});

Deno.test("450 virtual seconds of sleeps and timeouts; equal deadlines wake in the order of asking", () => {
  const { scheduler } = stage();
  const order: string[] = [];
  scheduler.runSync(function* () {
    for (const name of ["a", "b", "c", "d"]) {
      yield* spawn(function* () {
        for (let i = 0; i < 45; i++) {
          if (name === "b") {
            try {
              yield* timeout(10_000, sleep(Infinity));
            } catch (error) {
              assertInstanceOf(error, TimeoutError);
            }
          } else {
            yield* sleep(10_000);
          }
          order.push(`${scheduler.now()}${name}`);
        }
      });
    }
  });
  assertEquals(
    order,
    Array.from({ length: 45 }, (_, i) => ["a", "b", "c", "d"].map((name) => `${10_000 * (i + 1)}${name}`))
      .flat(),
  );
});

Deno.test("a hundred thousand timeouts in turn leave no timer behind", () => {
  const clock = new CountingClock();
  const { scheduler } = stage({}, clock);
  let expired = 0;
  scheduler.runSync(function* () {
    for (let i = 0; i < 100_000; i++) {
      if (i % 100 > 0) {
        yield* timeout(60_000, getTid());
        continue;
      }
      try {
        yield* timeout(1, timeout(60_000, sleep(60_000)));
      } catch {
        expired++;
      }
    }
    yield;
    assertEquals(clock.alarms, 0);
  });
  assertEquals([expired, scheduler.now(), clock.alarms], [1_000, 1_000, 0]);
});

// ---- Nested ----------------------------------------------------------------------------------------------------------

function* nested(
  as: As,
  outer: number,
  inner: number,
  ms: number,
  say: (text: string) => void,
): Coroutine<void> {
  function* body(): Coroutine<string> {
    try {
      return yield* timeout(inner, worker("work", ms, 0, say));
    } catch (error) {
      say(`inside: ${words(error)}`);
      throw error;
    }
  }
  function* caller(): Coroutine<string> {
    return yield* timeout(outer, as(body()));
  }
  yield* attempt("outside", caller(), say);
  yield* sleep(1_000);
  say("nothing came after");
}

testSpelled("nested timeouts: the outer one expires first", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, 10, 20, 60_000, say));
  assertEquals(log, [
    "10 work sees Cancelled(TimeoutError)",
    "10 work is done",
    "10 inside: Cancelled(TimeoutError)",
    "10 outside threw TimeoutError",
    "1010 nothing came after",
  ]);
});

testSpelled(
  "nested timeouts: the inner one expires first, and its error escapes into the outer one",
  (as) => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(nested(as, 20, 10, 60_000, say));
    assertEquals(log, [
      "10 work sees Cancelled(TimeoutError)",
      "10 work is done",
      "10 inside: TimeoutError",
      "10 outside threw TimeoutError",
      "1010 nothing came after",
    ]);
  },
);

testSpelled("nested timeouts: both expire at once; the outer one unwinds", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, 10, 10, 60_000, say));
  assertEquals(log, [
    "10 work sees Cancelled(TimeoutError)",
    "10 work is done",
    "10 inside: Cancelled(TimeoutError)",
    "10 outside threw TimeoutError",
    "1010 nothing came after",
  ]);
});

testSpelled("nested timeouts: neither expires", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, 20, 10, 5, say));
  assertEquals(log, ["5 work is done", "5 outside gave work", "1005 nothing came after"]);
});

testSpelled("nested timeouts: an inner Infinity under a finite outer one", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, 10, Infinity, Infinity, say));
  assertEquals(log, [
    "10 work sees Cancelled(TimeoutError)",
    "10 work is done",
    "10 inside: Cancelled(TimeoutError)",
    "10 outside threw TimeoutError",
    "1010 nothing came after",
  ]);
});

testSpelled("nested timeouts: a finite inner one under an outer Infinity", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, Infinity, 10, Infinity, say));
  assertEquals(log.slice(2), [
    "10 inside: TimeoutError",
    "10 outside threw TimeoutError",
    "1010 nothing came after",
  ]);
});

testSpelled("nested timeouts: an inner 0 under an outer 0: the outer one was first", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(nested(as, 0, 0, 5, say));
  assertEquals(log.slice(2), [
    "0 inside: Cancelled(TimeoutError)",
    "0 outside threw TimeoutError",
    "1000 nothing came after",
  ]);
});

Deno.test("both timeouts expire in one turn, the inner one first: each throws to its own caller", () => {
  const { scheduler, log, say } = stage({}, new LateClock(100));
  scheduler.runSync(function* () {
    yield* attempt(
      "outside",
      timed(
        15,
        (function* () {
          yield* attempt("inside", timed(10, worker("work", 60_000, 0, say)), say);
          yield;
          say("never said");
        })(),
      ),
      say,
    );
  });
  assertEquals(log, [
    "110 work sees Cancelled(TimeoutError)",
    "110 work is done",
    "110 inside threw TimeoutError",
    "110 outside threw TimeoutError",
  ]);
});

Deno.test("both timeouts expire in one turn, and the caller of the inner one ends without a wait: its value", () => {
  const { scheduler, log, say } = stage({}, new LateClock(100));
  scheduler.runSync(function* () {
    yield* attempt(
      "outside",
      timed(
        15,
        (function* () {
          yield* attempt("inside", timed(10, worker("work", 60_000, 0, say)), say);
          return "a value";
        })(),
      ),
      say,
    );
    yield* sleep(1_000);
    say("nothing came after");
  });
  assertEquals(log, [
    "110 work sees Cancelled(TimeoutError)",
    "110 work is done",
    "110 inside threw TimeoutError",
    "110 outside gave a value",
    "1210 nothing came after",
  ]);
});

Deno.test("both timeouts expire in one turn, the outer one first: the inner one has nothing left to deliver", () => {
  const { scheduler, log, say } = stage({}, new LateClock(100));
  scheduler.runSync(function* () {
    yield* attempt(
      "outside",
      timed(
        10,
        (function* () {
          try {
            yield* timeout(15, worker("work", 60_000, 20, say));
          } catch (error) {
            say(`inside: ${words(error)}`);
            yield* sleep(20);
            say("inside is done");
          }
        })(),
      ),
      say,
    );
  });
  assertEquals(log, [
    "110 work sees Cancelled(TimeoutError)",
    "230 work is done",
    "230 inside: Cancelled(TimeoutError)",
    "350 inside is done",
    "350 outside threw TimeoutError",
  ]);
});

testSpelled("an outer timeout stays armed while cleanup that an inner one began runs, and cuts it", (as) => {
  const { scheduler, log, say } = stage();
  function* body(): Coroutine<void> {
    try {
      yield* timeout(10, function* () {
        try {
          yield* sleep(60_000);
        } finally {
          try {
            say("cleaning up");
            yield* sleep(60_000);
            say("never said");
          } catch (error) {
            say(`cleanup sees ${words(error)}`);
            throw error;
          } finally {
            yield* sleep(1);
            say("cleanup of the cleanup");
          }
        }
      });
    } catch (error) {
      say(`inside: ${words(error)}`);
      throw error;
    }
  }
  function* caller(): Coroutine<void> {
    yield* timeout(20, as(body()));
  }
  scheduler.runSync(attempt("outside", caller(), say));
  assertEquals(log, [
    "10 cleaning up",
    "20 cleanup sees Cancelled(TimeoutError)",
    "21 cleanup of the cleanup",
    "21 inside: Cancelled(TimeoutError)",
    "21 outside threw TimeoutError",
  ]);
});

Deno.test("an inner timeout that would expire in cleanup that the outer one began delivers nothing", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(
    attempt(
      "outside",
      timed(
        10,
        timed(
          20,
          (function* () {
            let seen = 0;
            try {
              yield* sleep(60_000);
            } finally {
              for (let i = 0; i < 4; i++) {
                try {
                  yield* sleep(10);
                } catch {
                  seen++;
                }
              }
              say(`seen in cleanup: ${seen}`);
            }
          })(),
        ),
      ),
      say,
    ),
  );
  assertEquals(log, ["50 seen in cleanup: 0", "50 outside threw TimeoutError"]);
});

Deno.test("a timeout that cleanup itself starts works as ever, in cleanup of a timeout and of a kill", () => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } finally {
      yield* attempt("in cleanup, too slow", timed(5, worker("flush", 10, 1, say)), say);
      yield* attempt("in cleanup, in time", timed(5, worker("flush", 4, 0, say)), say);
      yield* attempt("in cleanup, nested", timed(8, timed(3, worker("flush", 9, 0, say))), say);
      yield* attempt("in cleanup, at once", timed(0, worker("flush", 9, 0, () => {})), say);
    }
  }
  const expected = (t: number) => [
    `${t + 5} flush sees Cancelled(TimeoutError)`,
    `${t + 6} flush is done`,
    `${t + 6} in cleanup, too slow threw TimeoutError`,
    `${t + 10} flush is done`,
    `${t + 10} in cleanup, in time gave flush`,
    `${t + 13} flush sees Cancelled(TimeoutError)`,
    `${t + 13} flush is done`,
    `${t + 13} in cleanup, nested threw TimeoutError`,
    `${t + 13} in cleanup, at once threw TimeoutError`,
  ];
  scheduler.runSync(function* () {
    yield* attempt("the timeout", timed(10, work()), say);
    const task = yield* spawn(work());
    yield* sleep(7);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, [...expected(10), "23 the timeout threw TimeoutError", ...expected(30), "43 killed"]);
});

Deno.test("three timeouts, each cutting the cleanup that the one inside it began", () => {
  const { scheduler, log, say } = stage();
  function* stubborn(name: string, ms: number, below: Coroutine<unknown>): Coroutine<void> {
    try {
      yield* below;
    } finally {
      say(`${name} cleans up`);
      yield* sleep(ms);
      say(`${name} is done`);
    }
  }
  function* longSleep(): Coroutine<void> {
    yield* sleep(60_000);
  }
  scheduler.runSync(
    attempt(
      "outside",
      timed(
        30,
        stubborn(
          "three",
          5,
          timed(20, stubborn("two", 60_000, timed(10, stubborn("one", 60_000, longSleep())))),
        ),
      ),
      say,
    ),
  );
  assertEquals(log, [
    "10 one cleans up",
    "20 two cleans up",
    "30 three cleans up",
    "35 three is done",
    "35 outside threw TimeoutError",
  ]);
});

Deno.test("errors of cleanup that an inner timeout began are not lost when an outer one takes over", () => {
  const { scheduler, log, say } = stage();
  function* broken(name: string, ms: number, below: Coroutine<unknown>): Coroutine<void> {
    try {
      yield* call(below);
    } finally {
      yield* sleep(ms);
      throw new Oops(name);
    }
  }
  function* longSleep(): Coroutine<void> {
    yield* sleep(60_000);
  }
  scheduler.runSync(
    attempt(
      "outside",
      timed(
        20,
        broken(
          "fourth",
          1,
          timed(
            10,
            broken(
              "third",
              1,
              (function* () {
                try {
                  yield* call(broken("first", 1, longSleep()));
                } finally {
                  try {
                    yield* sleep(60_000);
                  } finally {
                    throw new Oops("second");
                  }
                }
              })(),
            ),
          ),
        ),
      ),
      say,
    ),
  );
  assertEquals(log, ["22 outside threw [first, second, third, fourth]"]);
});

// ---- Timeouts and kills ----------------------------------------------------------------------------------------------

testSpelled("a kill is delivered into cleanup that a timeout began", (as) => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<void> {
    try {
      yield* as(worker("work", 60_000, 60_000, say));
    } finally {
      yield* sleep(1);
      say("the frame in the timeout");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* timeout(10, work());
      } catch (error) {
        say(`the caller sees ${words(error)}`);
        throw error;
      }
    });
    yield* sleep(15);
    yield* kill(task, { reason: "why" });
    say(ending(task));
  });
  assertEquals(log, [
    "10 work sees Cancelled(TimeoutError)",
    "16 the frame in the timeout",
    "16 the caller sees Cancelled(why)",
    "16 killed why",
  ]);
});

testSpelled("a timeout that expires in cleanup that a kill began has nothing left to deliver", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* timeout(10, as(worker("work", 60_000, 50, say)));
      } catch (error) {
        say(`the caller sees ${words(error)}`);
        throw error;
      }
    });
    yield* sleep(5);
    yield* kill(task, { reason: "why" });
    say(ending(task));
  });
  assertEquals(log, [
    "5 work sees Cancelled(why)",
    "55 work is done",
    "55 the caller sees Cancelled(why)",
    "55 killed why",
  ]);
});

for (const first of ["timeout", "kill"]) {
  Deno.test(`a timeout and a kill come in one turn, the ${first} first`, () => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const victim = function* (): Coroutine<void> {
        try {
          yield* timeout(10, worker("work", 60_000, 0, say));
        } catch (error) {
          say(`the caller sees ${words(error)}`);
          yield* sleep(1);
          say("the caller is done");
        }
      };
      let task: Task | undefined;
      const killer = function* (): Coroutine<void> {
        yield* sleep(10);
        yield* kill(task!, { reason: "why" });
      };
      if (first === "timeout") {
        task = yield* spawn(victim);
        yield* spawn(killer);
      } else {
        yield* spawn(killer);
        task = yield* spawn(victim);
      }
      yield* waitTask(task.tid);
      say(ending(task));
    });
    // Either way the timer of the timeout rings before the killer has had its step.
    assertEquals(log, [
      "10 work sees Cancelled(TimeoutError)",
      "10 work is done",
      "10 the caller sees TimeoutError",
      "10 killed why",
    ]);
  });
}

Deno.test("a kill that is delivered before the timeout expires in the same turn: the timeout has nothing left", () => {
  const { scheduler, clock, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* timeout(10, worker("work", 60_000, 0, say));
      } catch (error) {
        say(`the caller sees ${words(error)}`);
        throw error;
      }
    });
    yield;
    yield* kill(task, { reason: "why", wait: false });
    clock.advance(10);
    yield* waitTask(task.tid);
    say(ending(task));
  });
  assertEquals(log, [
    "10 work sees Cancelled(why)",
    "10 work is done",
    "10 the caller sees Cancelled(why)",
    "10 killed why",
  ]);
});

Deno.test("errors of cleanup that a timeout began are in the outcome of a task that is then killed", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* timeout(10, function* () {
        try {
          yield* call(function* () {
            try {
              yield* sleep(60_000);
            } finally {
              throw new Oops("in the timeout");
            }
          });
        } finally {
          try {
            yield* sleep(60_000);
          } finally {
            throw new Oops("in the kill");
          }
        }
      });
    });
    yield* sleep(20);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["20 failed [in the timeout, in the kill]"]);
});

Deno.test("a killed task's timeouts are disarmed", () => {
  const clock = new CountingClock();
  const { scheduler } = stage({}, clock);
  scheduler.runSync(function* () {
    const task = yield* spawn(timeout(10_000, timeout(20_000, timeout(5_000, sleep(60_000)))));
    yield;
    yield* kill(task);
    yield* sleep(1);
    yield;
    assertEquals(clock.alarms, 0);
  });
  assertEquals([scheduler.now(), clock.alarms], [1, 0]);
});

Deno.test("a task that was let go leaves no timer behind", () => {
  const clock = new CountingClock();
  const { scheduler, log, say } = stage({}, clock);
  scheduler.runSync(function* () {
    const task = yield* spawn(timeout(10_000, function* () {
      for (;;) {
        try {
          yield* sleep(300_000);
        } finally {
          continue;
        }
      }
    }));
    yield;
    yield* kill(task, { grace: 10 });
    say(ending(task));
    yield* sleep(1);
    yield;
    say(`alarms: ${clock.alarms}`);
  });
  assertEquals(log.filter((line) => !line.includes("unhandled")), [
    "20 failed UnkillableError",
    "21 alarms: 0",
  ]);
});

// ---- Timeouts and rings ----------------------------------------------------------------------------------------------

Deno.test("a ring of joins under an armed timeout is no deadlock: the timeout opens it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const self = yield* currentTask();
    yield* attempt("to join oneself", timed(10, callOf(self)), say);
    const tasks: Task[] = [];
    for (const [name, other] of [["a", 1], ["b", 0]] as const) {
      tasks.push(
        yield* spawn(function* () {
          yield* sleep(1);
          if (name === "a") yield* attempt(name, timed(10, callOf(tasks[other]!)), say);
          else yield* attempt(name, callOf(tasks[other]!), say);
        }),
      );
    }
    for (const task of tasks) yield* task;
  });
  function* callOf(task: Task): Coroutine<unknown> {
    return yield* task;
  }
  assertEquals(log, [
    "10 to join oneself threw TimeoutError",
    "21 a threw TimeoutError",
    "21 b gave undefined",
  ]);
});

Deno.test("timeout(Infinity) is not armed: a ring under it is refused", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const self = yield* currentTask();
    try {
      yield* timeout(Infinity, self);
    } catch (error) {
      say(words(error));
    }
  });
  assertEquals(log, ["0 DeadlockError"]);
});

// ---- abortable -------------------------------------------------------------------------------------------------------

/** Aborts a signal later. */
function* abortAt(ms: number, controller: AbortController, reason?: unknown): Coroutine<void> {
  yield* sleep(ms);
  controller.abort(reason);
}

function* aborted<T>(signal: AbortSignal, coroutine: Coroutine<T>): Coroutine<T> {
  return yield* abortable(signal, coroutine);
}

testSpelled("abortable() unwinds to its boundary, and throws the signal's reason there", (as) => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  function* outer(): Coroutine<string> {
    try {
      return yield* as(worker("work", 60_000, 2, say));
    } finally {
      yield* sleep(3);
      say("outer is done");
    }
  }
  scheduler.runSync(function* () {
    yield* spawn(abortAt(10, controller, new Oops("the reason")));
    yield* attempt("abortable", aborted(controller.signal, outer()), say);
    yield* sleep(1);
    say("the caller goes on");
  });
  assertEquals(log, [
    "10 work sees Cancelled(the reason)",
    "12 work is done",
    "15 outer is done",
    "15 abortable threw the reason",
    "16 the caller goes on",
  ]);
});

Deno.test("abortable() with a signal that is aborted already throws its reason, and nothing starts", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const reason of [new Oops("before"), undefined, null, 0]) {
      yield* attempt(
        "abortable",
        aborted(
          AbortSignal.abort(reason),
          (function* () {
            say("never said");
          })(),
        ),
        say,
      );
    }
  });
  assertEquals(log, [
    "0 abortable threw before",
    "0 abortable threw AbortError",
    "0 abortable threw null",
    "0 abortable threw 0",
  ]);
});

Deno.test("abortable() gives the value of what is done before, and the signal may abort after", () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  scheduler.runSync(function* () {
    yield* spawn(abortAt(10, controller));
    yield* attempt("abortable", aborted(controller.signal, worker("work", 5, 0, say)), say);
    yield* sleep(100);
    say("nothing came after");
  });
  assertEquals(log, ["5 work is done", "5 abortable gave work", "105 nothing came after"]);
});

Deno.test("abortable() whose coroutine aborts the signal itself is cut at its next wait", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const waits of [true, false]) {
      const controller = new AbortController();
      yield* attempt(
        `waits: ${waits}: abortable`,
        aborted(
          controller.signal,
          (function* () {
            controller.abort(new Oops("by itself"));
            say("goes on to its next wait");
            if (waits) yield;
            return "done";
          })(),
        ),
        say,
      );
    }
  });
  assertEquals(log, [
    "0 goes on to its next wait",
    "0 waits: true: abortable threw by itself",
    "0 goes on to its next wait",
    "0 waits: false: abortable gave done",
  ]);
});

Deno.test("abortable() within a timeout, and a timeout within abortable(): whichever comes first", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const [name, abortMs, timeoutMs] of [["the abort", 5, 10], ["the timeout", 10, 5]] as const) {
      for (const outer of ["abortable", "timeout"]) {
        const controller = new AbortController();
        const start = scheduler.now();
        yield* spawn(abortAt(abortMs, controller, new Oops("aborted")));
        const longSleep = function* (): Coroutine<void> {
          yield* sleep(60_000);
        };
        yield* attempt(
          `${name} first, ${outer} outside: after`,
          outer === "timeout"
            ? timed(timeoutMs, aborted(controller.signal, longSleep()))
            : aborted(controller.signal, timed(timeoutMs, longSleep())),
          say,
        );
        yield* sleep(start + 20 - scheduler.now());
      }
    }
  });
  assertEquals(log, [
    "5 the abort first, abortable outside: after threw aborted",
    "25 the abort first, timeout outside: after threw aborted",
    "45 the timeout first, abortable outside: after threw TimeoutError",
    "65 the timeout first, timeout outside: after threw TimeoutError",
  ]);
});

Deno.test("abortable(), nested twice with one signal: the outer one listened first", () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  scheduler.runSync(function* () {
    yield* spawn(abortAt(5, controller, new Oops("aborted")));
    yield* attempt(
      "outside",
      aborted(
        controller.signal,
        (function* () {
          try {
            yield* abortable(controller.signal, worker("work", 60_000, 0, say));
          } catch (error) {
            say(`inside: ${words(error)}`);
            throw error;
          }
        })(),
      ),
      say,
    );
  });
  assertEquals(log, [
    "5 work sees Cancelled(aborted)",
    "5 work is done",
    "5 inside: Cancelled(aborted)",
    "5 outside threw aborted",
  ]);
});

Deno.test("abortable() of a task that is killed meanwhile: the kill goes through, and the signal is let go", () => {
  const { scheduler, log, say } = stage();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    (addEventListener as (...args: unknown[]) => void).apply(signal, args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    (removeEventListener as (...args: unknown[]) => void).apply(signal, args);
  };
  scheduler.runSync(function* () {
    const task = yield* spawn(abortable(signal, worker("work", 60_000, 5, say)));
    yield;
    say(`listeners: ${listeners}`);
    yield* kill(task);
    say(`${ending(task)}, listeners: ${listeners}`);
    yield* abortable(signal, sleep(1));
    say(`listeners: ${listeners}`);
  });
  assertEquals(log, [
    "0 listeners: 1",
    "0 work sees Cancelled",
    "5 work is done",
    "5 killed, listeners: 0",
    "6 listeners: 0",
  ]);
});

Deno.test("abortable() refuses what is no AbortSignal and what is no work", () => {
  const { scheduler, log, say } = stage();
  for (const signal of [null, undefined, {}, new AbortController()]) {
    assertThrows(() => abortable(signal as AbortSignal, sleep(1)), TypeError);
  }
  scheduler.runSync(function* () {
    try {
      yield* abortable(new AbortController().signal, "text" as unknown as Coroutine<void>);
    } catch (error) {
      say(words(error));
    }
  });
  assertEquals(log, ["0 TypeError"]);
});

Deno.test("abortable() takes what the host aborts", async () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  const running = settled(scheduler.run(function* () {
    yield* abortable(controller.signal, worker("work", Infinity, 5, say));
  }));
  controller.abort(new Oops("by the host"));
  say(await running);
  assertEquals(log.slice(-1), ["0 rejected by the host"]);
});

// ---- abortSignal -----------------------------------------------------------------------------------------------------

testSpelled(
  "abortSignal() aborts when its enclosing timeout expires, with the TimeoutError, before cleanup",
  (as) => {
    const { scheduler, log, say } = stage();
    function* fetching(): Coroutine<void> {
      const signal = yield* abortSignal();
      signal.addEventListener("abort", () => say(`aborted: ${words(signal.reason)}`));
      try {
        yield* sleep(60_000);
      } finally {
        say(`in cleanup: ${signal.aborted}`);
      }
    }
    scheduler.runSync(attempt(
      "the timeout",
      timed(
        10,
        (function* () {
          yield* as(fetching());
        })(),
      ),
      say,
    ));
    assertEquals(log, [
      "10 aborted: TimeoutError",
      "10 in cleanup: true",
      "10 the timeout threw TimeoutError",
    ]);
  },
);

Deno.test("abortSignal() of nested timeouts: the innermost place, and whatever unwinds through it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const [outer, inner] of [[10, 20], [20, 10]] as const) {
      const start = scheduler.now();
      const signals: Record<string, AbortSignal> = {};
      const state = () =>
        Object.entries(signals).map(([name, signal]) => `${name} ${signal.aborted ? "aborted" : "not"}`).join(
          ", ",
        );
      const task = yield* spawn(function* () {
        signals.task = yield* abortSignal();
        try {
          yield* timeout(outer, function* () {
            signals.outer = yield* abortSignal();
            try {
              yield* timeout(inner, function* () {
                signals.inner = yield* abortSignal();
                yield* sleep(60_000);
              });
            } catch (error) {
              say(`${words(error)}: ${state()}`);
            }
          });
        } catch (error) {
          say(`${words(error)}: ${state()}`);
        }
        yield* sleep(60_000);
      });
      yield* sleep(50);
      yield* kill(task);
      say(`killed: ${signals.task!.aborted}`);
      yield* sleep(start + 100 - scheduler.now());
    }
  });
  assertEquals(log, [
    "10 Cancelled(TimeoutError): task not, outer aborted, inner aborted",
    "10 TimeoutError: task not, outer aborted, inner aborted",
    "50 killed: true",
    "110 TimeoutError: task not, outer not, inner aborted",
    "150 killed: true",
  ]);
});

Deno.test("abortSignal() aborts in every place that a kill goes through", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const signals: AbortSignal[] = [];
    const task = yield* spawn(function* () {
      signals.push(yield* abortSignal());
      yield* timeout(60_000, function* () {
        signals.push(yield* abortSignal());
        yield* defer(sleep(1));
        signals.push(yield* abortSignal());
        yield* abortable(new AbortController().signal, function* () {
          signals.push(yield* abortSignal());
          yield* sleep(60_000);
        });
      });
    });
    yield;
    say(signals.map((signal) => signal.aborted).join(" "));
    yield* kill(task, { reason: new Oops("why") });
    say(signals.map((signal) => words(signal.reason)).join(" "));
  });
  assertEquals(log, ["0 false false false false", "1 why why why why"]);
});

Deno.test("abortSignal() of a timeout that was done in time does not abort when the time is over", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const signal = yield* timeout(10, function* () {
      yield* sleep(5);
      return yield* abortSignal();
    });
    yield* sleep(100);
    say(`${signal.aborted}`);
  });
  assertEquals(log, ["105 false"]);
});

Deno.test("abortSignal() asked in cleanup of a timeout is a new one, which an outer timeout aborts", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(
    attempt(
      "outside",
      timed(
        20,
        timed(
          10,
          (function* () {
            const first = yield* abortSignal();
            try {
              yield* sleep(60_000);
            } finally {
              const second = yield* abortSignal();
              say(`in cleanup: ${first.aborted} ${second.aborted}`);
              try {
                yield* sleep(60_000);
              } finally {
                say(`cut short: ${second.aborted}`);
              }
            }
          })(),
        ),
      ),
      say,
    ),
  );
  assertEquals(log, ["10 in cleanup: true false", "20 cut short: true", "20 outside threw TimeoutError"]);
});

Deno.test("abortSignal() withdraws a host operation, and its rejection reaches nobody else", async () => {
  const { scheduler, clock, log, say } = stage();
  function hostOperation(signal: AbortSignal): Promise<string> {
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  }
  const running = scheduler.run(function* () {
    yield* attempt(
      "the timeout",
      timed(
        10,
        (function* () {
          const signal = yield* abortSignal();
          return yield* until(hostOperation(signal));
        })(),
      ),
      say,
    );
  });
  await turns();
  clock.advance(10);
  await running;
  await turns();
  assertEquals(log, ["10 the timeout threw TimeoutError"]);
});

// ---- What others see -------------------------------------------------------------------------------------------------

Deno.test("Cancelled never leaves its boundary: neither callers nor joiners see it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* timeout(10, sleep(60_000));
    });
    const joiners = [];
    for (let i = 0; i < 2; i++) joiners.push(yield* spawn(attempt(`joiner ${i}`, joining(task), say)));
    for (const joiner of joiners) yield* joiner;
    say(ending(task));
    const deferring = yield* spawn(function* () {
      yield* timeout(10, function* () {
        yield* defer(function* () {
          yield* sleep(1);
        });
        yield* sleep(60_000);
      });
    });
    yield* attempt("another", joining(deferring), say);
  });
  function* joining(task: Task): Coroutine<unknown> {
    return yield* task;
  }
  assertEquals(log, [
    "10 joiner 0 threw TimeoutError",
    "10 joiner 1 threw TimeoutError",
    "10 failed TimeoutError",
    "21 another threw TimeoutError",
  ]);
});

Deno.test("cancel() of a wait is called once when a timeout expires; a late resume() answers false", () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold(() => say("cancel"));
  const again = new Hold(() => say("cancel again"));
  scheduler.runSync(function* () {
    yield* attempt(
      "outside",
      timed(
        20,
        timed(
          10,
          (function* (): Coroutine<void> {
            try {
              yield* hold;
            } finally {
              say(`late: ${late(scheduler, hold)}`);
              yield* again;
            }
          })(),
        ),
      ),
      say,
    );
    say(`late: ${late(scheduler, hold)} ${late(scheduler, again)}`);
  });
  function late(scheduler: Scheduler, hold: Hold): boolean {
    return scheduler.resume(hold.parked!, "late");
  }
  assertEquals(log, [
    "10 cancel",
    "10 late: false",
    "20 cancel again",
    "20 outside threw TimeoutError",
    "20 late: false false",
  ]);
});

Deno.test("a timeout of one task does not touch another", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt(
      "the timeout",
      timed(
        10,
        (function* () {
          yield* spawn(function* () {
            yield* sleep(20);
            say("the child is done");
          });
          yield* sleep(60_000);
        })(),
      ),
      say,
    );
  });
  assertEquals(log, ["10 the timeout threw TimeoutError", "20 the child is done"]);
});

Deno.test("deferred cleanups run inside the timeout, and are not cut by it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt(
      "in time, but its deferred cleanup is not",
      timed(
        10,
        (function* () {
          yield* defer(function* () {
            yield* sleep(20);
            say("deferred");
          });
          yield* sleep(5);
          return "value";
        })(),
      ),
      say,
    );
    yield* attempt(
      "too slow",
      timed(
        10,
        (function* () {
          yield* defer(function* () {
            yield* sleep(20);
            say("deferred");
          });
          yield* sleep(60_000);
        })(),
      ),
      say,
    );
  });
  assertEquals(log, [
    "25 deferred",
    "25 in time, but its deferred cleanup is not gave value",
    "55 deferred",
    "55 too slow threw TimeoutError",
  ]);
});
