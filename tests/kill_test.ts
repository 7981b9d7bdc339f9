// deno-lint-ignore-file no-unsafe-finally -- cleanup that throws, or will not end, is what is tested
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  abortSignal,
  call,
  Cancelled,
  type Coroutine,
  currentTask,
  DeadlockError,
  defer,
  getTid,
  join,
  JoinError,
  kill,
  KillTask,
  newTask,
  type Parked,
  Scheduler,
  shield,
  sleep,
  spawn,
  SystemCall,
  type Task,
  taskGroup,
  timeout,
  UnkillableError,
  until,
  waitTask,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";
import {
  type As,
  CountingClock,
  ending,
  Hold,
  KERNEL_SPELLINGS,
  Oops,
  settled,
  Shop,
  stage,
  testSpelled,
  turns,
  words,
} from "./_transcript.ts";

/** Calls itself three deep; each says what it sees, and takes 1 ms to clean up. */
function* threeDeep(as: As, say: (text: string) => void, wait: () => Coroutine<unknown>): Coroutine<string> {
  function* level(name: string, below: () => Coroutine<unknown>): Coroutine<string> {
    try {
      yield* as(below());
      say(`${name} goes on`);
      return name;
    } catch (error) {
      say(`${name} sees ${words(error)}`);
      throw error;
    } finally {
      yield* sleep(1);
      yield;
      say(`${name} cleaned up`);
    }
  }
  return yield* as(level("outer", () => level("middle", () => level("inner", wait))));
}

const longSleep = function* (): Coroutine<void> {
  yield* sleep(60_000);
};

// ---- Delivery --------------------------------------------------------------------------------------------------------

testSpelled("kill() unwinds every coroutine, innermost first, and waits for all their cleanup", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(threeDeep(as, say, longSleep));
    yield* sleep(10);
    say(`killed: ${yield* kill(task, { reason: "enough" })}`);
    say(ending(task));
  });
  assertEquals(log, [
    "10 inner sees Cancelled(enough)",
    "11 inner cleaned up",
    "11 middle sees Cancelled(enough)",
    "12 middle cleaned up",
    "12 outer sees Cancelled(enough)",
    "13 outer cleaned up",
    "13 killed: true",
    "13 killed enough",
  ]);
});

testSpelled("kill() cancels a coroutine that gave way three calls deep at that yield", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(threeDeep(as, say, function* () {
      for (;;) yield;
    }));
    yield;
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, [
    "0 inner sees Cancelled",
    "1 inner cleaned up",
    "1 middle sees Cancelled",
    "2 middle cleaned up",
    "2 outer sees Cancelled",
    "3 outer cleaned up",
    "3 killed",
  ]);
});

testSpelled("every frame of a killed task sees one and the same Cancelled", (as) => {
  const { scheduler } = stage();
  const seen: unknown[] = [];
  const reason = { why: "an object" };
  function* watch(below: () => Coroutine<unknown>): Coroutine<void> {
    try {
      yield* as(below());
    } catch (error) {
      seen.push(error);
      throw error;
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(watch(() => watch(longSleep)));
    yield;
    yield* kill(task, { reason });
    assertEquals(task.outcome, { kind: "killed", reason });
  });
  assertInstanceOf(seen[0], Cancelled);
  assertStrictEquals(seen[0].reason, reason);
  assertEquals(seen.length, 2);
  assertStrictEquals(seen[1], seen[0]);
});

Deno.test("kill() reaches a task at once, whatever it waits for", () => {
  const { scheduler, log, say } = stage();
  const never = new Promise<void>(() => {});
  const hold = new Hold();
  scheduler.runSync(function* () {
    const other = yield* spawn(longSleep, { daemon: true });
    const dying = yield* spawn(shield(longSleep), { daemon: true });
    yield;
    yield* kill(dying, { wait: false });
    const waits: Record<string, () => Coroutine<unknown>> = {
      *sleep() {
        yield* sleep(60_000);
      },
      *"sleep for ever"() {
        yield* sleep(Infinity);
      },
      *"a bare yield"() {
        for (;;) yield;
      },
      *join() {
        yield* other;
      },
      *"a yielded task"() {
        yield other;
      },
      *waitTask() {
        yield* waitTask(other.tid);
      },
      *kill() {
        yield* kill(dying);
      },
      *until() {
        yield* until(never);
      },
      *"a yielded promise"() {
        yield never;
      },
      *"a system call of one's own"() {
        yield* hold;
      },
      *timeout() {
        yield* timeout(30_000, longSleep);
      },
    };
    for (const [name, wait] of Object.entries(waits)) {
      const task = yield* spawn(wait);
      yield;
      yield;
      say(`${name}: ${yield* kill(task)}, ${ending(task)}`);
    }
    say(`the others: ${ending(other)}, ${ending(dying)}`);
    yield* kill(dying, { force: true });
  });
  assertEquals(log, [
    "0 sleep: true, killed",
    "0 sleep for ever: true, killed",
    "0 a bare yield: true, killed",
    "0 join: true, killed",
    "0 a yielded task: true, killed",
    "0 waitTask: true, killed",
    "0 kill: true, killed",
    "0 until: true, killed",
    "0 a yielded promise: true, killed",
    "0 a system call of one's own: true, killed",
    "0 timeout: true, killed",
    "0 the others: alive, alive",
  ]);
});

testSpelled("cleanup may do anything: call, spawn, join, sleep, time out, make system calls", (as) => {
  const { scheduler, log, say } = stage();
  function* helper(): Coroutine<string> {
    yield* sleep(5);
    return "help";
  }
  function* work(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } finally {
      say(`called: ${yield* as(helper())}`);
      const child = yield* spawn(helper());
      say(`joined: ${yield* child}`);
      try {
        yield* timeout(5, sleep(100));
      } catch (error) {
        say(`timed out: ${words(error)}`);
      }
      say(`in time: ${yield* timeout(50, helper())}`);
      say(`tid: ${yield* getTid()}`);
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(as(work()));
    yield;
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, [
    "5 called: help",
    "10 joined: help",
    "15 timed out: TimeoutError",
    "20 in time: help",
    "20 tid: 2",
    "20 killed",
  ]);
});

// ---- Unwinding is the kernel's ---------------------------------------------------------------------------------------

testSpelled("a coroutine that swallows Cancelled does not bring its caller back to life", (as) => {
  const { scheduler, log, say } = stage();
  function* swallows(): Coroutine<string> {
    try {
      yield* sleep(60_000);
    } catch (error) {
      say(`swallowed ${words(error)}`);
      yield* sleep(2);
    }
    say("and goes on to its end");
    return "a value nobody gets";
  }
  function* caller(): Coroutine<void> {
    try {
      say(`got ${yield* as(swallows())}`);
    } catch (error) {
      say(`the caller sees ${words(error)}`);
    }
  }
  function* main(): Coroutine<void> {
    say(`main got ${yield* as(caller())}`);
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(main());
    yield;
    yield* kill(task, { reason: "no" });
    say(ending(task));
  });
  assertEquals(log, [
    "0 swallowed Cancelled(no)",
    "2 and goes on to its end",
    "2 the caller sees Cancelled(no)",
    "2 killed no",
  ]);
}, KERNEL_SPELLINGS);

Deno.test("a catch that swallows Cancelled in a native chain is ended by grace", () => {
  const { scheduler, log, say } = stage();
  function* swallows(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } catch (error) {
      say(`swallowed ${words(error)}`);
    }
  }
  function* outer(): Coroutine<void> {
    try {
      yield* swallows();
      say("goes on, out of the kernel's sight");
      yield* sleep(60_000);
      say("never said");
    } finally {
      say("outer cleaned up");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, [
    "0 swallowed Cancelled",
    "0 goes on, out of the kernel's sight",
    "100 unhandled in task 2: Error",
    "100 outer cleaned up",
    "100 killed",
  ]);
});

testSpelled(
  "through a native chain, too, no statement after a call runs and no finally is cut short",
  (as) => {
    // FACTS: with return() as the first step, MIDDLE and OUTER would go on.
    const { scheduler, log, say } = stage();
    function* three(name: string, below: () => Coroutine<void>): Coroutine<void> {
      try {
        yield* as(below());
        say(`${name} GOES ON`);
      } finally {
        say(`${name}-1`);
        yield;
        say(`${name}-2`);
        yield* sleep(1);
        say(`${name}-3`);
      }
      say(`${name} GOES ON after finally`);
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(three("outer", () => three("middle", () => three("inner", longSleep))));
      yield;
      yield* kill(task);
      say(ending(task));
    });
    assertEquals(log, [
      "0 inner-1",
      "0 inner-2",
      "1 inner-3",
      "1 middle-1",
      "1 middle-2",
      "2 middle-3",
      "2 outer-1",
      "2 outer-2",
      "3 outer-3",
      "3 killed",
    ]);
  },
);

testSpelled("a return in a finally does not stop the unwinding", (as) => {
  const { scheduler, log, say } = stage();
  function* stubborn(): Coroutine<string> {
    for (;;) {
      try {
        yield* sleep(60_000);
      } finally {
        return "not cancelled";
      }
    }
  }
  function* caller(): Coroutine<void> {
    try {
      say(yield* as(stubborn()));
    } finally {
      say("caller cleaned up");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(caller());
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 caller cleaned up", "0 killed"]);
}, KERNEL_SPELLINGS);

testSpelled(
  "cleanup that throws hides neither the Cancelled from the callers nor itself from the outcome",
  (as) => {
    const { scheduler, log, say } = stage();
    function* inner(): Coroutine<void> {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(1);
        throw new Oops("inner broke");
      }
    }
    function* outer(): Coroutine<void> {
      try {
        yield* as(inner());
      } catch (error) {
        say(`outer sees ${words(error)}`);
        throw error;
      } finally {
        yield* sleep(1);
        say("outer cleaned up");
      }
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(outer());
      yield;
      say(`killed: ${yield* kill(task)}`);
      say(ending(task));
    });
    assertEquals(log, [
      "1 outer sees Cancelled",
      "2 outer cleaned up",
      "2 killed: true",
      "2 failed inner broke",
    ]);
  },
  KERNEL_SPELLINGS,
);

testSpelled("several cleanups that throw make an AggregateError, the first first", (as) => {
  const { scheduler } = stage();
  function* broken(name: string, below: () => Coroutine<void>): Coroutine<void> {
    try {
      yield* as(below());
    } finally {
      yield* sleep(1);
      throw new Oops(name);
    }
  }
  const task = scheduler.runSync(function* () {
    const task = yield* spawn(
      broken("three", () => broken("two", () => broken("one", longSleep))),
    );
    yield;
    yield* kill(task);
    return [task];
  })[0]!;
  assertEquals(ending(task), "failed [one, two, three]");
}, KERNEL_SPELLINGS);

Deno.test("in a native chain JavaScript lets the last error of cleanup stand", () => {
  const { scheduler } = stage();
  function* broken(name: string, below: () => Coroutine<void>): Coroutine<void> {
    try {
      yield* below();
    } finally {
      throw new Oops(name);
    }
  }
  const task = scheduler.runSync(function* () {
    const task = yield* spawn(broken("two", () => broken("one", longSleep)));
    yield;
    yield* kill(task);
    return [task];
  })[0]!;
  assertEquals(ending(task), "failed two");
});

Deno.test("an error that cleanup catches itself is none of the outcome's", () => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } finally {
      try {
        yield* call(function* () {
          yield* sleep(1);
          throw new Oops("handled");
        });
      } catch (error) {
        say(`caught ${words(error)}`);
      }
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(work());
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["1 caught handled", "1 killed"]);
});

Deno.test("a Cancelled that is thrown on, wrapped or replaced does not change that the task was killed", () => {
  const { scheduler } = stage();
  const work: Record<string, (error: unknown) => unknown> = {
    "thrown on": (error) => error,
    "another Cancelled": () => new Cancelled("mine"),
    "an error of its own": () => new Oops("mine"),
    "undefined": () => undefined,
  };
  const endings: string[] = [];
  scheduler.runSync(function* () {
    for (const [name, make] of Object.entries(work)) {
      const task = yield* spawn(function* () {
        try {
          yield* sleep(60_000);
        } catch (error) {
          throw make(error);
        }
      });
      yield;
      yield* kill(task, { reason: "ours" });
      endings.push(`${name}: ${ending(task)}`);
    }
  });
  assertEquals(endings, [
    "thrown on: killed ours",
    "another Cancelled: killed ours",
    "an error of its own: failed mine",
    "undefined: failed undefined",
  ]);
});

Deno.test("a hundred thousand calls deep, every frame is unwound", () => {
  const { scheduler } = stage();
  const DEPTH = 100_000;
  let cleaned = 0;
  function* down(depth: number): Coroutine<void> {
    try {
      if (depth === 0) yield* sleep(60_000);
      else yield down(depth - 1);
    } finally {
      if (depth % 1_000 === 0) yield;
      cleaned++;
    }
  }
  const endings = scheduler.runSync(function* () {
    const endings: string[] = [];
    for (const force of [false, true]) {
      const task = yield* spawn(down(DEPTH));
      yield* sleep(1);
      yield* kill(task, { force });
      endings.push(`${ending(task)}: ${cleaned} frames`);
      cleaned = 0;
    }
    return endings;
  });
  assertEquals(endings, [`killed: ${DEPTH + 1} frames`, `killed: ${DEPTH + 1} frames`]);
});

Deno.test("a system call that throws in cleanup throws there and nowhere else", () => {
  const { scheduler, log, say } = stage();
  class Broken extends SystemCall<void> {
    handle(): void {
      throw new Oops("handle broke");
    }
  }
  scheduler.runSync(function* () {
    for (const spelling of ["yield", "yield*"]) {
      const task = yield* spawn(function* (): Coroutine<void> {
        try {
          yield* sleep(60_000);
        } finally {
          try {
            if (spelling === "yield") yield new Broken();
            else yield* new Broken();
          } catch (error) {
            say(`caught ${words(error)}`);
          }
          try {
            yield 42 as unknown as undefined;
          } catch (error) {
            say(`caught ${words(error)}`);
          }
        }
      });
      yield;
      yield* kill(task);
      say(ending(task));
    }
  });
  assertEquals(log, [
    "0 caught handle broke",
    "0 caught TypeError",
    "0 killed",
    "0 caught handle broke",
    "0 caught TypeError",
    "0 killed",
  ]);
});

// ---- When ------------------------------------------------------------------------------------------------------------

testSpelled("a task whose sleep has ended sees the end of its sleep, and dies at its next wait", (as) => {
  const { scheduler, log, say } = stage();
  function* nap(): Coroutine<string> {
    yield* sleep(10);
    return "slept well";
  }
  function* victim(): Coroutine<void> {
    try {
      say(yield* as(nap()));
      yield* sleep(0);
      say("never said");
    } catch (error) {
      say(words(error));
    }
  }
  scheduler.runSync(function* () {
    const killer = yield* spawn(function* () {
      yield* sleep(10);
      say(`the victim is ${victimTask.state}`);
      say(`killed: ${yield* kill(victimTask)}`);
    });
    const victimTask = yield* spawn(victim());
    yield* killer;
    say(ending(victimTask));
  });
  assertEquals(log, [
    "10 the victim is ready",
    "10 slept well",
    "10 Cancelled",
    "10 killed: true",
    "10 killed",
  ]);
});

Deno.test("a task that was ready when it was killed and does not wait again has returned", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const killer = yield* spawn(function* () {
      yield* sleep(10);
      say(`killed: ${yield* kill(victim)}`);
    });
    const victim = yield* spawn(function* () {
      yield* sleep(10);
      say(`tid ${yield* getTid()}, a call that does not wait`);
      return "done";
    });
    yield* killer;
    say(ending(victim));
    say(yield* victim);
  });
  assertEquals(log, [
    "10 tid 3, a call that does not wait",
    "10 killed: true",
    "10 returned done",
    "10 done",
  ]);
});

Deno.test("a task that was ready when it was killed may fail before its next wait: it has failed", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const killer = yield* spawn(function* () {
      yield* sleep(10);
      say(`killed: ${yield* kill(victim)}`);
    });
    const victim: Task = yield* spawn(function* () {
      yield* sleep(10);
      throw new Oops("on its own");
    });
    yield* killer;
    say(ending(victim));
  });
  assertEquals(log, ["10 killed: true", "10 failed on its own"]);
});

testSpelled("what was handed over before the kill is not lost", (as) => {
  const { scheduler, log, say } = stage();
  const shop = new Shop();
  function* one(): Coroutine<string> {
    return yield* shop.take();
  }
  function* customer(): Coroutine<void> {
    for (;;) say(`took ${yield* as(one())}`);
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(customer());
    yield;
    shop.put(scheduler, "one");
    yield* kill(task);
    shop.put(scheduler, "two");
    say(`kept: ${shop.items}; withdrawn: ${shop.cancelled}; in line: ${shop.waiting}`);
  });
  assertEquals(log, ["0 took one", "0 kept: two; withdrawn: 1; in line: 0"]);
});

Deno.test("an error that was delivered before the kill is not lost", () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* hold;
      } catch (error) {
        say(`caught ${words(error)}`);
      }
      yield;
      say("never said");
    });
    yield;
    say(`failed: ${scheduler.fail(hold.parked!, new Oops("first"))}`);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 failed: true", "0 caught first", "0 killed"]);
});

Deno.test("kill() at any step of a customer: every item is with it or in the shop", () => {
  for (let steps = 0; steps < 12; steps++) {
    const { scheduler } = stage();
    const shop = new Shop();
    const taken: string[] = [];
    scheduler.runSync(function* () {
      const customer = yield* spawn(function* () {
        for (;;) {
          taken.push(yield* shop.take());
          yield;
        }
      });
      const producer = yield* spawn(function* () {
        for (let i = 0; i < 4; i++) {
          shop.put(scheduler, `${i}`);
          yield;
        }
      });
      for (let i = 0; i < steps; i++) yield;
      yield* kill(customer);
      yield* producer;
    });
    assertEquals([...taken, ...shop.items], ["0", "1", "2", "3"], `killed after ${steps} steps`);
    assertEquals(shop.waiting, 0);
  }
});

Deno.test("a task that never started never runs, and was killed", () => {
  const { scheduler, log, say } = stage();
  function* body(): Coroutine<void> {
    try {
      say("never said");
      yield;
    } finally {
      say("never cleaned up either");
    }
  }
  scheduler.runSync(function* () {
    const tid = yield* newTask(body());
    say(`by tid: ${yield* kill(tid)}`);
    const task = yield* spawn(body());
    say(`by handle: ${yield* kill(task, { reason: "too early" })}, ${ending(task)}`);
    const called = yield* spawn(call(body()));
    say(`a call: ${yield* kill(called)}, ${ending(called)}`);
    const timed = yield* spawn(timeout(5, body()));
    say(`a timeout: ${yield* kill(timed)}, ${ending(timed)}`);
    const shielded = yield* spawn(shield(body()));
    say(`a shield: ${yield* kill(shielded)}, ${ending(shielded)}`);
    const forced = yield* spawn(body());
    say(`by force: ${yield* kill(forced, { force: true })}, ${ending(forced)}`);
    const slept = yield* spawn(sleep(5));
    say(`a system call: ${yield* kill(slept)}, ${ending(slept)}`);
  });
  assertEquals(log, [
    "0 by tid: true",
    "0 by handle: true, killed too early",
    "0 a call: true, killed",
    "0 a timeout: true, killed",
    "0 a shield: true, killed",
    "0 by force: true, killed",
    "0 a system call: true, killed",
  ]);
});

testSpelled(
  "kill() of a task that calls without ever waiting ends it, at a place that counts as a wait",
  (as) => {
    const { scheduler, log, say } = stage();
    const items = Array.from({ length: 5_000 }, (_, i) => `${i}`);
    const shop = new Shop(...items);
    const taken: string[] = [];
    function* one(): Coroutine<string> {
      return yield* shop.take();
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        for (;;) taken.push(yield* as(one()));
      });
      yield;
      const before = taken.length;
      say(`it has been put off: ${before > 0 && before < items.length}`);
      say(`killed: ${yield* kill(task)}`);
      say(`it took no more: ${taken.length === before}`);
      say(ending(task));
    });
    assertEquals([...taken, ...shop.items], items);
    assertEquals(log, [
      "0 it has been put off: true",
      "0 killed: true",
      "0 it took no more: true",
      "0 killed",
    ]);
  },
);

Deno.test("a call that was put off goes on where it was, in either spelling", () => {
  const { scheduler } = stage();
  const shop = new Shop(...Array.from({ length: 3_000 }, (_, i) => `${i}`));
  const taken: string[] = [];
  scheduler.runSync(function* () {
    yield* spawn(function* (): Coroutine<void> {
      for (let i = 0; i < 1_500; i++) {
        taken.push(yield* shop.take());
        taken.push(yield shop.take());
      }
    });
  });
  assertEquals(taken, Array.from({ length: 3_000 }, (_, i) => `${i}`));
});

Deno.test("a call object that was put off and cancelled can be used again", () => {
  const { scheduler, log, say } = stage();
  const shop = new Shop(...Array.from({ length: 2_000 }, () => "item"));
  const take = shop.take();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) yield* take;
    });
    yield;
    yield* kill(task);
    say(`took ${yield* take}`);
    say(`took ${yield* take}`);
  });
  assertEquals(log, ["0 took item", "0 took item"]);
});

testSpelled("a kill that lands in a natural finally cuts it there, and the callers are cleaned up", (as) => {
  const { scheduler, log, say } = stage();
  function* inner(): Coroutine<void> {
    try {
      say("inner works");
    } finally {
      yield* sleep(10);
      say("never said: the finally is cut");
    }
  }
  function* outer(): Coroutine<void> {
    try {
      yield* as(inner());
      say("never said");
    } finally {
      yield* sleep(1);
      say("outer cleaned up");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 inner works", "6 outer cleaned up", "6 killed"]);
});

testSpelled(
  "a kill that lands in a shield of a natural finally lets it go on to the end of the shield",
  (as) => {
    const { scheduler, log, say } = stage();
    function* inner(): Coroutine<void> {
      try {
        say("inner works");
      } finally {
        yield* shield(function* () {
          yield* sleep(10);
          say("shielded cleanup done");
        });
        say("no wait, no kill");
        yield* sleep(1);
        say("never said");
      }
    }
    function* outer(): Coroutine<void> {
      try {
        yield* as(inner());
        say("never said");
      } finally {
        say("outer cleaned up");
      }
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(outer());
      yield* sleep(5);
      yield* kill(task);
      say(ending(task));
    });
    assertEquals(log, [
      "0 inner works",
      "10 shielded cleanup done",
      "10 no wait, no kill",
      "10 outer cleaned up",
      "10 killed",
    ]);
  },
);

testSpelled("a kill that lands in a deferred cleanup lets it go on to its end", (as) => {
  const { scheduler, log, say } = stage();
  function* inner(): Coroutine<string> {
    yield* defer(function* () {
      yield* sleep(10);
      say("deferred cleanup done");
    });
    return "value";
  }
  function* outer(): Coroutine<void> {
    try {
      say(`outer got ${yield* as(inner())}`);
      yield* sleep(1);
      say("never said");
    } finally {
      say("outer cleaned up");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, [
    "10 deferred cleanup done",
    "10 outer got value",
    "10 outer cleaned up",
    "10 killed",
  ]);
}, KERNEL_SPELLINGS);

testSpelled("a second kill waits for the same end, and cuts nothing short", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(threeDeep(as, say, longSleep));
    yield;
    for (const name of ["first", "second", "third"]) {
      yield* spawn(function* () {
        say(`${name} killer: ${yield* kill(task, { reason: name })}`);
      });
    }
    yield* waitTask(task.tid);
    say(ending(task));
    say(`and then: ${yield* kill(task)}`);
  });
  assertEquals(log, [
    "0 inner sees Cancelled(first)",
    "1 inner cleaned up",
    "1 middle sees Cancelled(first)",
    "2 middle cleaned up",
    "2 outer sees Cancelled(first)",
    "3 outer cleaned up",
    "3 killed first",
    "3 and then: false",
    "3 first killer: true",
    "3 second killer: true",
    "3 third killer: true",
  ]);
});

Deno.test("a second kill while the first is still pending changes nothing", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const killer = yield* spawn(function* () {
      yield* sleep(10);
      yield* kill(victim, { wait: false, reason: "first" });
      yield* kill(victim, { reason: "second" });
    });
    const victim = yield* spawn(function* () {
      yield* sleep(10);
      let times = 0;
      try {
        yield* sleep(10);
      } catch (error) {
        say(`${++times}: ${words(error)}`);
        yield* sleep(1);
        yield;
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield* killer;
    say(ending(victim));
  });
  assertEquals(log, ["10 1: Cancelled(first)", "12 cleaned up", "12 killed first"]);
});

Deno.test("a second kill with a shorter grace cuts nothing short either", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(10_000);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task, { grace: Infinity, wait: false });
    yield* kill(task, { grace: 0 });
    say(ending(task));
  });
  assertEquals(log, ["10000 cleaned up", "10000 killed"]);
});

// ---- Oneself ---------------------------------------------------------------------------------------------------------

for (const by of ["tid", "handle"]) {
  testSpelled(`a task that kills itself by its ${by}, three calls deep, is cancelled at that yield`, (as) => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const task = yield* spawn(threeDeep(as, say, function* () {
        const self = yield* currentTask();
        yield kill(by === "tid" ? self.tid : self, { reason: "myself" });
        say("never said");
      }));
      try {
        yield* task;
      } catch (error) {
        say(words(error));
      }
      say(ending(task));
    });
    assertEquals(log, [
      "0 inner sees Cancelled(myself)",
      "1 inner cleaned up",
      "1 middle sees Cancelled(myself)",
      "2 middle cleaned up",
      "2 outer sees Cancelled(myself)",
      "3 outer cleaned up",
      "3 JoinError(Cancelled(myself))",
      "3 killed myself",
    ]);
  });
}

Deno.test("a task that kills itself is cancelled at that yield, with wait: false as well", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const options of [{ wait: false }, { force: true }, { grace: 0 }]) {
      const task = yield* spawn(function* () {
        try {
          yield* kill(yield* getTid(), options);
          say("never said");
        } finally {
          say("cleaned up");
        }
      });
      yield* waitTask(task.tid);
      say(ending(task));
    }
  });
  assertEquals(log, [
    "0 cleaned up",
    "0 killed",
    "0 cleaned up",
    "0 killed",
    "0 cleaned up",
    "0 killed",
  ]);
});

Deno.test("a task that kills itself again in its cleanup would wait for itself: that is refused there", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const self = yield* currentTask();
      try {
        yield* kill(self);
      } finally {
        try {
          say(`again: ${yield* kill(self)}`);
        } catch (error) {
          say(`refused: ${words(error)}`);
        }
        say(`only told: ${yield* kill(self, { wait: false })}`);
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield* waitTask(task.tid);
    say(ending(task));
  });
  assertEquals(log, ["0 refused: DeadlockError", "0 only told: true", "1 cleaned up", "1 killed"]);
});

Deno.test("a task that kills itself in a shield would wait for itself: refused there, and delivered after it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const self = yield* currentTask();
      yield* shield(function* () {
        try {
          say(`in the shield: ${yield* kill(self, { reason: "why" })}`);
        } catch (error) {
          say(`refused: ${words(error)}`);
        }
        say(`only told: ${yield* kill(self, { wait: false })}`);
        yield* sleep(1);
        say("the shield ends");
      });
      yield;
      say("never said");
    });
    yield* sleep(100);
    if (task.state !== "ended") {
      say(`it hangs: ${task.waitingFor}`);
      yield* kill(task, { force: true });
    }
    say(ending(task));
  });
  assertEquals(log, [
    "0 refused: DeadlockError",
    "0 only told: true",
    "1 the shield ends",
    "100 killed why",
  ]);
});

Deno.test("a task that kills itself with a plain call goes on to its next wait, and is cancelled there", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const options of [{}, { force: true }]) {
      const task = yield* spawn(function* () {
        const self = yield* currentTask();
        scheduler.kill(self, options);
        say("goes on");
        try {
          yield* sleep(1);
          say("never said");
        } finally {
          yield* sleep(1);
          say("cleaned up");
        }
      });
      yield* waitTask(task.tid);
      say(ending(task));
    }
  });
  assertEquals(log, [
    "0 goes on",
    "1 cleaned up",
    "1 killed",
    "1 goes on",
    "2 cleaned up",
    "2 killed",
  ]);
});

Deno.test("runSync() whose main kills itself throws JoinError", () => {
  const { scheduler } = stage();
  const error = assertThrows(() =>
    scheduler.runSync(function* () {
      yield* kill(yield* getTid(), { reason: "why" });
    })
  );
  assertEquals(words(error), "JoinError(Cancelled(why))");
});

// ---- Who kills whom --------------------------------------------------------------------------------------------------

Deno.test("kill() gives false for a task that has ended, and its outcome stays", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const returned = yield* spawn(function* () {
      return 42;
    });
    const failed: Task = yield* spawn(function* () {
      throw new Oops("failed");
    });
    const killed = yield* spawn(longSleep);
    yield;
    yield* kill(killed, { reason: "once" });
    for (const task of [returned, failed, killed]) {
      say(`${yield* kill(task, { reason: "twice" })} ${yield* kill(task.tid)} ${ending(task)}`);
      say(`${yield* kill(task, { force: true })} ${ending(task)}`);
    }
    say(`no such tid: ${yield* kill(4711)}`);
  });
  assertEquals(log, [
    "0 false false returned 42",
    "0 false returned 42",
    "0 false false failed failed",
    "0 false failed failed",
    "0 false false killed once",
    "0 false killed once",
    "0 no such tid: false",
  ]);
});

Deno.test("kill() as a class and as a function, yielded or delegated to, is one thing", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* (): Coroutine<void> {
    const spellings: ((tid: number) => Coroutine<boolean>)[] = [
      function* (tid) {
        return yield new KillTask(tid);
      },
      function* (tid) {
        return yield* new KillTask(tid);
      },
      function* (tid) {
        return yield kill(tid);
      },
      function* (tid) {
        return yield* kill(tid);
      },
    ];
    for (const spelling of spellings) {
      const task = yield* spawn(longSleep);
      say(`${yield* spelling(task.tid)}, then ${yield* spelling(task.tid)}: ${ending(task)}`);
    }
  });
  assertEquals(log, Array(4).fill("0 true, then false: killed"));
});

Deno.test("kill() with wait: false answers at once, and the task ends on its own", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(5);
        say("cleaned up");
      }
    });
    yield;
    say(`told: ${yield* kill(task, { wait: false })}, ${ending(task)}`);
    say(`told again: ${yield* kill(task, { wait: false })}, ${ending(task)}`);
    say(`killed: ${yield* kill(task)}, ${ending(task)}`);
  });
  assertEquals(log, [
    "0 told: true, alive",
    "0 told again: true, alive",
    "5 cleaned up",
    "5 killed: true, killed",
  ]);
});

Deno.test("a kill that arrives while its victim waits inside kill() takes the victim off that wait", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const slow = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(20);
        say("slow cleaned up");
      }
    });
    const killer = yield* spawn(function* () {
      try {
        yield* kill(slow);
        say("never said");
      } catch (error) {
        say(`the killer sees ${words(error)}`);
      }
    });
    yield* sleep(5);
    say(`killed the killer: ${yield* kill(killer)}`);
    say(`${ending(killer)}, slow is ${ending(slow)}`);
    yield* waitTask(slow.tid);
    say(ending(slow));
  });
  assertEquals(log, [
    "5 the killer sees Cancelled",
    "5 killed the killer: true",
    "5 killed, slow is alive",
    "20 slow cleaned up",
    "20 killed",
  ]);
});

Deno.test("two tasks that kill each other both end", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const tasks: Task[] = [];
    function* assassin(name: string, other: number): Coroutine<void> {
      try {
        yield* sleep(10);
        say(`${name} strikes`);
        yield* kill(tasks[other]!, { reason: name });
        say("never said");
      } finally {
        yield* sleep(1);
        say(`${name} cleaned up`);
      }
    }
    tasks.push(yield* spawn(assassin("a", 1)), yield* spawn(assassin("b", 0)));
    for (const task of tasks) yield* waitTask(task.tid);
    say(tasks.map(ending).join(", "));
  });
  assertEquals(log, [
    "10 a strikes",
    "10 b strikes",
    "11 a cleaned up",
    "11 b cleaned up",
    "11 killed b, killed a",
  ]);
});

Deno.test("two tasks whose cleanups kill each other would wait for ever: the second is refused", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const tasks: Task[] = [];
    function* avenger(name: string, other: number): Coroutine<void> {
      try {
        yield* sleep(60_000);
      } finally {
        try {
          say(`${name}: ${yield* kill(tasks[other]!)}`);
        } catch (error) {
          say(`${name}: ${words(error)}`);
        }
      }
    }
    tasks.push(yield* spawn(avenger("a", 1)), yield* spawn(avenger("b", 0)));
    yield;
    yield* kill(tasks[0]!);
    say(tasks.map(ending).join(", "));
  });
  assertEquals(log, ["0 b: DeadlockError", "0 a: true", "0 killed, killed"]);
});

Deno.test("a killed task's children live on", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const parent = yield* spawn(function* () {
      yield* spawn(function* () {
        yield* sleep(10);
        say("the child is done");
      });
      yield* sleep(60_000);
    });
    yield;
    yield* kill(parent);
    say(ending(parent));
  });
  assertEquals(log, ["0 killed", "10 the child is done"]);
});

testSpelled("a task that is spawned in a finally runs", (as) => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } finally {
      yield* spawn(function* () {
        yield* sleep(5);
        say("the late child is done");
      });
      say("spawned");
    }
  }
  const value = scheduler.runSync(function* () {
    const task = yield* spawn(as(work()));
    yield;
    yield;
    yield* kill(task);
    say(ending(task));
    return "main";
  });
  assertEquals([...log, value], ["0 spawned", "0 killed", "5 the late child is done", "main"]);
});

Deno.test("kill() wakes nobody by mistake: the victim's old waits are withdrawn", () => {
  const { scheduler, log, say } = stage();
  const shop = new Shop();
  scheduler.runSync(function* () {
    const tasks: Task[] = [];
    for (const name of ["a", "b", "c"]) {
      tasks.push(
        yield* spawn(function* () {
          say(`${name} took ${yield* shop.take()}`);
        }),
      );
    }
    yield;
    yield* kill(tasks[1]!);
    for (const item of ["one", "two", "three"]) shop.put(scheduler, item);
    yield* sleep(1);
    say(`left: ${shop.items}`);
  });
  assertEquals(log, ["0 a took one", "0 c took two", "1 left: three"]);
});

// ---- What others see -------------------------------------------------------------------------------------------------

Deno.test("join of a killed task throws JoinError with the Cancelled as its cause, before and after its end", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(5);
      }
    }, { name: "victim" });
    function* joiner(name: string): Coroutine<void> {
      try {
        yield* join(task);
      } catch (error) {
        assertInstanceOf(error, JoinError);
        assertInstanceOf(error.cause, Cancelled);
        say(`${name}: ${words(error)}`);
      }
    }
    const early = [];
    for (let i = 0; i < 10; i++) early.push(yield* spawn(joiner(`joiner ${i}`)));
    yield;
    yield* kill(task, { reason: "why" });
    for (const joined of early) yield* joined;
    yield* joiner("after its end");
    yield* sleep(1_000);
    yield* joiner("long after its end");
    try {
      yield task;
    } catch (error) {
      say(`yielded: ${words(error)}`);
    }
  });
  assertEquals(log, [
    ...Array.from({ length: 10 }, (_, i) => `5 joiner ${i}: JoinError(Cancelled(why))`),
    "5 after its end: JoinError(Cancelled(why))",
    "1005 long after its end: JoinError(Cancelled(why))",
    "1005 yielded: JoinError(Cancelled(why))",
  ]);
});

Deno.test("join of a task whose cleanup threw throws that very error", () => {
  const { scheduler } = stage();
  const error = new Oops("cleanup");
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(1);
        throw error;
      }
    });
    yield;
    const caught: unknown[] = [];
    const early = yield* spawn(function* () {
      try {
        yield* task;
      } catch (error) {
        caught.push(error);
      }
    });
    yield;
    yield* kill(task);
    yield* early;
    try {
      yield* task;
    } catch (error) {
      caught.push(error);
    }
    assertStrictEquals(caught[0], error);
    assertStrictEquals(caught[1], error);
    assertEquals(task.outcome, { kind: "failed", error });
  });
});

Deno.test("waitTask answers true when the killed task has ended, not when it is told", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(5);
      }
    });
    yield* spawn(function* () {
      say(`waited: ${yield* waitTask(task.tid)}`);
    });
    yield;
    yield;
    yield* kill(task, { wait: false });
    say("told");
    yield* sleep(10);
    say(`later: ${yield* waitTask(task.tid)}`);
  });
  assertEquals(log, ["0 told", "5 waited: true", "10 later: false"]);
});

Deno.test("async code sees a killed task as others do", async () => {
  const { scheduler } = stage();
  const task = scheduler.spawn(longSleep);
  const before = settled(task);
  assertEquals(await scheduler.kill(task, { reason: "why" }), true);
  assertEquals([await before, await settled(task)], [
    "rejected JoinError(Cancelled(why))",
    "rejected JoinError(Cancelled(why))",
  ]);
  assertEquals(await scheduler.kill(task), false);
});

Deno.test("the outcome: returned, failed or killed, and nothing before the end", () => {
  const { scheduler } = stage();
  const outcomes = scheduler.runSync(function* () {
    const returned = yield* spawn(function* () {
      yield* sleep(1);
      return undefined;
    });
    const before = returned.outcome;
    const error = new Oops("x");
    const failed: Task = yield* spawn(function* () {
      yield* sleep(1);
      throw error;
    });
    const killed = yield* spawn(longSleep);
    const quietly = yield* spawn(longSleep);
    yield* sleep(1);
    yield* kill(killed, { reason: 0 });
    yield* kill(quietly);
    assertEquals(failed.outcome, { kind: "failed", error });
    return [before, returned.outcome, killed.outcome, quietly.outcome];
  });
  assertEquals(outcomes, [
    undefined,
    { kind: "returned", value: undefined },
    { kind: "killed", reason: 0 },
    { kind: "killed", reason: undefined },
  ]);
});

Deno.test("an error of a killed task's cleanup that nobody joins is reported, once", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        throw new Oops("in cleanup");
      }
    }, { name: "broken" });
    yield;
    say(`killed: ${yield* kill(task)}`);
    yield* sleep(5);
    yield* sleep(5);
  });
  assertEquals(log, ["0 killed: true", '0 unhandled in task 2 "broken": in cleanup']);
});

Deno.test("a kill that is not failed is nothing to report", () => {
  const { scheduler, log } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(longSleep);
    yield;
    yield* kill(task);
    yield* kill(yield* spawn(longSleep));
    yield* sleep(10);
  });
  assertEquals(log, []);
});

// ---- Arguments -------------------------------------------------------------------------------------------------------

Deno.test("kill() refuses what is no task and no tid, in the caller", () => {
  const { scheduler, log, say } = stage();
  const bad: [unknown, string][] = [
    ["abc", "TypeError"],
    [null, "TypeError"],
    [undefined, "TypeError"],
    [{}, "TypeError"],
    [1n, "TypeError"],
    [-1, "RangeError"],
    [0, "RangeError"],
    [1.5, "RangeError"],
    [NaN, "RangeError"],
    [Infinity, "RangeError"],
  ];
  scheduler.runSync(function* () {
    for (const [target, expected] of bad) {
      try {
        yield* kill(target as Task);
        say(`${String(target)} was taken`);
      } catch (error) {
        if (words(error) !== expected) say(`${String(target)}: ${words(error)}`);
      }
      try {
        yield* waitTask(target as number);
        say(`${String(target)} was taken`);
      } catch (error) {
        if (words(error) !== expected) say(`${String(target)}: ${words(error)}`);
      }
    }
    say("all refused, and the task goes on");
  });
  assertEquals(log, ["0 all refused, and the task goes on"]);
});

Deno.test("kill() from outside rejects what is no task and no tid", async () => {
  const { scheduler } = stage();
  for (const target of ["abc", null, undefined, {}]) {
    await assertRejects(() => scheduler.kill(target as unknown as Task), TypeError);
  }
  for (const target of [-1, 0, 1.5, NaN]) await assertRejects(() => scheduler.kill(target), RangeError);
  assertEquals(await scheduler.kill(4711), false);
});

Deno.test("kill() refuses a bad grace in the caller, and the target is not touched", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(longSleep);
    yield;
    for (const grace of [NaN, -1, -Infinity]) {
      try {
        yield* kill(task, { grace });
        say(`${grace} was taken`);
      } catch (error) {
        say(`${grace}: ${words(error)}, ${ending(task)}`);
      }
    }
    for (const grace of ["5", null, {}]) {
      try {
        yield* kill(task, { grace: grace as unknown as number });
        say(`${grace} was taken`);
      } catch (error) {
        say(`${grace}: ${words(error)}, ${ending(task)}`);
      }
    }
    say(`then: ${yield* kill(task, { grace: 0 })}`);
  });
  assertEquals(log, [
    "0 NaN: RangeError, alive",
    "0 -1: RangeError, alive",
    "0 -Infinity: RangeError, alive",
    "0 5: TypeError, alive",
    "0 null: TypeError, alive",
    "0 [object Object]: TypeError, alive",
    "0 then: true",
  ]);
});

Deno.test("kill() refuses a bad grace whether or not such a task lives", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const ended = yield* spawn(function* () {});
    yield* ended;
    for (const target of [ended, ended.tid, 4711]) {
      try {
        yield* kill(target, { grace: NaN });
        say("taken");
      } catch (error) {
        say(words(error));
      }
    }
  });
  assertEquals(log, ["0 RangeError", "0 RangeError", "0 RangeError"]);
});

Deno.test("Scheduler refuses a bad killGrace", () => {
  for (const killGrace of [NaN, -1]) assertThrows(() => stage({ killGrace }), RangeError);
  assertThrows(() => stage({ killGrace: "1" as unknown as number }), TypeError);
});

// ---- Grace -----------------------------------------------------------------------------------------------------------

Deno.test("a task that swallows Cancelled in a loop of sleeps is closed when the grace is over", () => {
  const { scheduler, log, say, unhandled } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* stubborn() {
      try {
        for (;;) {
          try {
            yield* sleep(300);
          } catch (error) {
            say(`swallowed ${words(error)}`);
          }
        }
      } finally {
        yield* sleep(10);
        say("cleaned up after return()");
      }
    }, { name: "stubborn" });
    yield* sleep(100);
    say(`killed: ${yield* kill(task, { grace: 1_000 })}`);
    say(ending(task));
  });
  assertEquals(log, [
    "100 swallowed Cancelled",
    '1100 unhandled in task 2 "stubborn": Error',
    "1110 cleaned up after return()",
    "1110 killed: true",
    "1110 killed",
  ]);
  assertEquals(unhandled.length, 1);
});

Deno.test("grace defaults to the scheduler's killGrace, and that to 5000 ms", () => {
  const times: number[] = [];
  for (const options of [{}, { killGrace: 70 }]) {
    const { scheduler } = stage(options);
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        for (;;) {
          try {
            yield* sleep(Infinity);
          } catch {
            // it would not die
          }
        }
      });
      yield;
      yield* kill(task);
      times.push(scheduler.now());
    });
  }
  assertEquals(times, [5_000, 70]);
});

Deno.test("the report says which task did not end, and where it stands", () => {
  const { scheduler, unhandled } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* call(function* () {
        for (;;) {
          try {
            yield* sleep(2_000);
          } catch {
            // it would not die
          }
        }
      });
    }, { name: "stubborn" });
    yield;
    yield* kill(task, { grace: 100 });
  });
  const { message } = unhandled[0] as Error;
  const says = ['task 2 "stubborn"', "100 ms", "sleep until 2000"].filter((part) => message.includes(part));
  assertEquals(says, ['task 2 "stubborn"', "100 ms", "sleep until 2000"]);
});

testSpelled(
  "a task that swallows Cancelled in a loop of bare yields is closed when the grace is over",
  async (as) => {
    const { scheduler, clock, log, unhandled } = stage();
    let rounds = 0;
    function* busy(): Coroutine<void> {
      for (;;) {
        try {
          clock.advance(1); // as time goes by while tasks keep the processor
          if (++rounds > 100_000) throw new Oops("it would not die");
          yield;
        } catch (error) {
          if (error instanceof Oops) throw error;
          log.push(`swallowed ${words(error)}`);
        }
      }
    }
    await scheduler.run(function* () {
      const task = yield* spawn(as(busy()));
      yield;
      yield;
      yield* kill(task, { grace: 1_000 });
      log.push(ending(task));
    });
    assertEquals(log.filter((line) => !line.includes("unhandled")), ["swallowed Cancelled", "killed"]);
    assertEquals(unhandled.map(words), ["Error"]);
  },
);

Deno.test("a task that swallows Cancelled in a loop of calls that need not wait is closed as well", async () => {
  const { scheduler, clock, log, unhandled } = stage();
  let rounds = 0;
  await scheduler.run(function* () {
    const task = yield* spawn(function* () {
      for (;;) {
        try {
          clock.advance(1);
          if (++rounds > 1_000_000) throw new Oops("it would not die");
          yield* getTid();
        } catch (error) {
          if (error instanceof Oops) throw error;
          log.push(`swallowed ${words(error)}`);
        }
      }
    });
    yield;
    yield* kill(task, { grace: 1_000 });
    log.push(ending(task));
  });
  assertEquals(log.filter((line) => !line.includes("unhandled")), ["swallowed Cancelled", "killed"]);
  assertEquals(unhandled.map(words), ["Error"]);
});

Deno.test("grace works under runSync as well, beside tasks that are always ready", () => {
  const { scheduler, clock, log, unhandled } = stage();
  let rounds = 0;
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) {
        try {
          clock.advance(1);
          if (++rounds > 100_000) throw new Oops("it would not die");
          yield;
        } catch (error) {
          if (error instanceof Oops) throw error;
          log.push(`swallowed ${words(error)}`);
        }
      }
    });
    yield;
    yield* kill(task, { grace: 1_000 });
    log.push(ending(task));
  });
  assertEquals(log.filter((line) => !line.includes("unhandled")), ["swallowed Cancelled", "killed"]);
  assertEquals(unhandled.map(words), ["Error"]);
});

/** Cannot be killed: its finally overrides even `return()`. */
function* immortal(): Coroutine<void> {
  for (;;) {
    try {
      yield* sleep(300);
    } finally {
      continue;
    }
  }
}

testSpelled("a task that cannot be killed is let go after a second grace, and the rest goes on", (as) => {
  const { scheduler, log, say, unhandled } = stage();
  scheduler.runSync(function* () {
    function* outer(): Coroutine<void> {
      yield* as(immortal());
    }
    const task = yield* spawn(outer(), { name: "immortal" });
    const joiner = yield* spawn(function* () {
      try {
        yield* task;
      } catch (error) {
        say(`the joiner sees ${words(error)}`);
      }
    });
    yield* sleep(100);
    say(`killed: ${yield* kill(task, { grace: 1_000 })}`);
    say(ending(task));
    say(`it lives: ${scheduler.tasks.has(task.tid)}`);
    yield* joiner;
    yield* sleep(10_000);
    say("the rest goes on");
  });
  assertEquals(log, [
    '1100 unhandled in task 2 "immortal": Error',
    '2100 unhandled in task 2 "immortal": UnkillableError',
    "2100 the joiner sees UnkillableError",
    "2100 killed: true",
    "2100 failed UnkillableError",
    "2100 it lives: false",
    "12100 the rest goes on",
  ]);
  assertInstanceOf(unhandled[1], UnkillableError);
});

Deno.test("a task that was let go is gone: late answers to its waits and late timers do nothing", () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) {
        try {
          yield* hold;
        } finally {
          continue;
        }
      }
    });
    yield;
    yield* kill(task, { grace: 10 });
    say(ending(task));
    say(`late answers: ${scheduler.resume(hold.parked!, 1)} ${scheduler.fail(hold.parked!, new Oops("x"))}`);
    yield* sleep(100);
    say(`${ending(task)}; ${scheduler.ps().length} left`);
  });
  assertEquals(log, [
    "10 unhandled in task 2: Error",
    "20 unhandled in task 2: UnkillableError",
    "20 failed UnkillableError",
    "20 late answers: false false",
    "120 failed UnkillableError; 1 left",
  ]);
});

Deno.test("run() rejects with UnkillableError if main cannot be killed", async () => {
  const { scheduler, log, say } = stage();
  const promise = settled(scheduler.run(immortal()));
  await turns();
  say(`killed: ${await scheduler.kill(1, { grace: 1_000 })}`);
  say(await promise);
  assertEquals(
    log.filter((line) => !line.includes("Error: Error")).map((line) => line.replace(/^\d+ /, "")),
    [
      "unhandled in task 1: Error",
      "unhandled in task 1: UnkillableError",
      "killed: true",
      "rejected UnkillableError",
    ],
  );
});

Deno.test("a task whose cleanup is done in time is not closed, and nothing is reported", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(999);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task, { grace: 1_000 });
    yield* sleep(10_000);
  });
  assertEquals(log, ["999 cleaned up"]);
});

Deno.test("cleanup that is too slow is closed with return(): what is left of it does not run", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        try {
          yield* sleep(60_000);
        } finally {
          yield* sleep(5_000);
          say("never said: too slow");
        }
      } finally {
        yield* sleep(1);
        say("the outer finally");
      }
    });
    yield;
    say(`killed: ${yield* kill(task, { grace: 1_000 })}, ${ending(task)}`);
  });
  assertEquals(log, [
    "1000 unhandled in task 2: Error",
    "1001 the outer finally",
    "1001 killed: true, killed",
  ]);
});

testSpelled(
  "frames are closed innermost first, each with its whole finally, and callers do not go on",
  (as) => {
    const { scheduler, log, say } = stage();
    function* level(name: string, below: () => Coroutine<unknown>): Coroutine<void> {
      try {
        yield* as(below());
        say(`${name} goes on`);
      } catch (error) {
        say(`${name} caught ${words(error)}`);
      } finally {
        yield* sleep(1);
        say(`${name} cleaned up`);
      }
    }
    function* stubborn(): Coroutine<void> {
      for (;;) {
        try {
          yield* sleep(300);
        } catch {
          // it would not die
        }
      }
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(level("outer", () => level("inner", stubborn)));
      yield;
      yield* kill(task, { grace: 1_000 });
      say(ending(task));
    });
    assertEquals(log, [
      "1000 unhandled in task 2: Error",
      "1001 inner cleaned up",
      "1002 outer cleaned up",
      "1002 killed",
    ]);
  },
  KERNEL_SPELLINGS,
);

Deno.test("grace: Infinity waits for cleanup however long it takes", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(1_000);
      } finally {
        yield* sleep(1e9);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task, { grace: Infinity });
    say(ending(task));
  });
  assertEquals(log, ["1000000000 cleaned up", "1000000000 killed"]);
});

Deno.test("grace: 0 closes cleanup that waits, and says nothing of cleanup that does not", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const quick = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        say("quick cleaned up");
      }
    });
    yield;
    yield* kill(quick, { grace: 0 });
    say(ending(quick));
    const slow = yield* spawn(function* () {
      try {
        try {
          yield* sleep(60_000);
        } finally {
          yield* sleep(1);
          say("never said");
        }
      } finally {
        say("slow cleaned up");
      }
    }, { name: "slow" });
    yield;
    yield* kill(slow, { grace: 0 });
    say(ending(slow));
  });
  assertEquals(log, [
    "0 quick cleaned up",
    "0 killed",
    '0 unhandled in task 3 "slow": Error',
    "0 slow cleaned up",
    "0 killed",
  ]);
});

Deno.test("grace: 0 from outside lets the task see its Cancelled, and reports nothing if that is enough", async () => {
  const { scheduler, log, say } = stage();
  const task = scheduler.spawn(function* () {
    try {
      yield* sleep(60_000);
    } catch (error) {
      say(`sees ${words(error)}`);
    } finally {
      say("cleaned up");
    }
  });
  const loop = scheduler.mainLoop();
  await Promise.resolve();
  await Promise.resolve();
  say(`killed: ${await scheduler.kill(task, { grace: 0 })}, ${ending(task)}`);
  await loop;
  assertEquals(log, ["0 sees Cancelled", "0 cleaned up", "0 killed: true, killed"]);
});

Deno.test("grace: 0 lets go of what cannot be killed, at once", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(immortal());
    yield;
    yield* kill(task, { grace: 0 });
    say(ending(task));
  });
  assertEquals(log, [
    "0 unhandled in task 2: Error",
    "0 unhandled in task 2: UnkillableError",
    "0 failed UnkillableError",
  ]);
});

Deno.test("grace stands still in a shield, exact to the millisecond", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(30); // of 100
        yield* shield(function* () {
          yield* sleep(10_000);
          say("the shield ends");
        });
        yield* sleep(40);
        yield* shield(function* () {
          yield* shield(sleep(10_000));
        });
        say("30 ms are left");
        yield* sleep(29);
        say("1 ms is left");
        yield* sleep(100);
        say("never said");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, [
    "10030 the shield ends",
    "20070 30 ms are left",
    "20099 1 ms is left",
    "20100 unhandled in task 2: Error",
    "20100 killed",
  ]);
});

Deno.test("grace stands still in a deferred cleanup, exact to the millisecond", () => {
  const { scheduler, log, say } = stage();
  function* work(): Coroutine<void> {
    yield* defer(function* () {
      yield* sleep(10_000);
      say("first deferred, last done");
    });
    yield* defer(function* () {
      yield* sleep(10_000);
      say("last deferred, first done");
    });
    try {
      yield* sleep(60_000);
    } finally {
      yield* sleep(60); // of 100
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* call(work());
      } finally {
        yield* sleep(39);
        say("1 ms is left");
        yield* sleep(2);
        say("never said");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, [
    "10060 last deferred, first done",
    "20060 first deferred, last done",
    "20099 1 ms is left",
    "20100 unhandled in task 2: Error",
    "20100 killed",
  ]);
});

for (const how of ["kill", "join", "waitTask"] as const) {
  Deno.test(`grace stands still while the task waits with ${how} for one that is being killed`, () => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const slow = yield* spawn(function* () {
        try {
          yield* sleep(60_000);
        } finally {
          yield* sleep(10_000);
        }
      });
      const task = yield* spawn(function* () {
        try {
          yield* sleep(60_000);
        } finally {
          yield* sleep(40); // of 100
          if (how !== "kill") yield* kill(slow, { wait: false, grace: Infinity });
          if (how === "kill") yield* kill(slow, { grace: Infinity });
          else if (how === "waitTask") yield* waitTask(slow.tid);
          else {
            try {
              yield* slow;
            } catch (error) {
              say(words(error));
            }
          }
          say("slow has ended");
          yield* sleep(59);
          say("1 ms is left");
          yield* sleep(2);
          say("never said");
        }
      });
      yield;
      yield* kill(task, { grace: 100 });
      say(`${ending(task)}, ${ending(slow)}`);
    });
    assertEquals(log, [
      ...(how === "join" ? ["10040 JoinError(Cancelled)"] : []),
      "10040 slow has ended",
      "10099 1 ms is left",
      "10100 unhandled in task 3: Error",
      "10100 killed, killed",
    ]);
  });
}

Deno.test("grace begins to stand still when the task that is waited for is killed by another", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const slow = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(10_000);
      }
    });
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* waitTask(slow.tid);
        say("slow has ended");
        yield* sleep(49);
        say("1 ms is left");
        yield* sleep(2);
        say("never said");
      }
    });
    yield;
    yield* kill(task, { grace: 100, wait: false });
    yield* sleep(50);
    yield* kill(slow, { grace: Infinity });
    yield* waitTask(task.tid);
    say(ending(task));
  });
  assertEquals(log, [
    "10050 slow has ended",
    "10099 1 ms is left",
    "10100 unhandled in task 3: Error",
    "10100 killed",
  ]);
});

Deno.test("grace runs while the task waits for one that nobody kills", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const other = yield* spawn(sleep(10_000));
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* other;
        say("never said");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(`${ending(task)}, other is ${ending(other)}`);
  });
  assertEquals(log, ["100 unhandled in task 3: Error", "100 killed, other is alive"]);
});

Deno.test("grace stands still while the task waits for one that was killed and is held back by a shield", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const shielded = yield* spawn(shield(sleep(10_000)));
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* kill(shielded);
        say("the shielded one has ended");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, ["10000 the shielded one has ended", "10000 killed"]);
});

Deno.test("grace goes on when a wait for a dying task is given up", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const dying = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(10_000);
      }
    });
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        try {
          yield* timeout(500, kill(dying, { grace: Infinity }));
        } catch (error) {
          say(words(error));
        }
        yield* sleep(99);
        say("1 ms is left");
        yield* sleep(2);
        say("never said");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, [
    "500 TimeoutError",
    "599 1 ms is left",
    "600 unhandled in task 3: Error",
    "600 killed",
  ]);
});

Deno.test("a chain of dying tasks, each waiting for the next, is given all the time that the last one needs", () => {
  const { scheduler, log, say } = stage({ killGrace: 100 });
  scheduler.runSync(function* () {
    let last = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* shield(sleep(10_000));
        say("the last has ended");
      }
    });
    for (const name of ["c", "b", "a"]) {
      const next: Task = last;
      last = yield* spawn(function* () {
        try {
          yield* sleep(60_000);
        } finally {
          yield* kill(next);
          say(`${name} has ended`);
        }
      });
    }
    yield;
    yield* kill(last);
  });
  assertEquals(log, [
    "10000 the last has ended",
    "10000 c has ended",
    "10000 b has ended",
    "10000 a has ended",
  ]);
});

Deno.test("grace starts when Cancelled is delivered, not when a held-back kill was asked for", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* shield(sleep(10_000));
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(99);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, ["10099 cleaned up", "10099 killed"]);
});

Deno.test("onUnhandledError that throws stops nothing", () => {
  const printed: unknown[][] = [];
  const { error: print } = console;
  console.error = (...args: unknown[]) => void printed.push(args);
  try {
    const { scheduler, log, say } = stage({
      onUnhandledError() {
        throw new Oops("the handler broke");
      },
    });
    scheduler.runSync(function* () {
      const task = yield* spawn(immortal());
      const broken: Task = yield* spawn(function* () {
        throw new Oops("the first error");
      });
      yield* sleep(1);
      yield* kill(task, { grace: 10 });
      say(`${ending(task)}, ${ending(broken)}`);
    });
    assertEquals(log, ["21 failed UnkillableError, failed the first error"]);
    const texts = printed.map((args) => args.map((arg) => arg instanceof Error ? words(arg) : "").join(""));
    assertEquals(texts.filter((text) => text === "the first error").length, 1);
    assertEquals(texts.filter((text) => text === "UnkillableError").length, 1);
    assertEquals(texts.filter((text) => text === "the handler broke").length, 3);
  } finally {
    console.error = print;
  }
});

// ---- Force -----------------------------------------------------------------------------------------------------------

testSpelled("force: true closes the frames at once: finally runs, catch does not", (as) => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(threeDeep(as, say, longSleep));
    yield;
    say(`killed: ${yield* kill(task, { force: true, reason: "now" })}`);
    say(ending(task));
  });
  assertEquals(log, [
    "1 inner cleaned up",
    "2 middle cleaned up",
    "3 outer cleaned up",
    "3 killed: true",
    "3 killed now",
  ]);
}, KERNEL_SPELLINGS);

Deno.test("force: true ends a loop that catches everything, with nothing to report", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) {
        try {
          yield* sleep(300);
        } catch {
          say("never said");
        }
      }
    });
    yield;
    yield* kill(task, { force: true });
    say(ending(task));
  });
  assertEquals(log, ["0 killed"]);
});

Deno.test("force: true lets go of what cannot be killed after one grace", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(immortal());
    yield;
    yield* kill(task, { force: true, grace: 1_000 });
    say(ending(task));
  });
  assertEquals(log, ["1000 unhandled in task 2: UnkillableError", "1000 failed UnkillableError"]);
});

testSpelled("force: true: what a finally throws is in the outcome, in order", (as) => {
  const { scheduler, log, say } = stage();
  function* broken(name: string, below: () => Coroutine<void>): Coroutine<void> {
    try {
      yield* as(below());
    } finally {
      yield* sleep(1);
      throw new Oops(name);
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(broken("second", () => broken("first", longSleep)));
    yield;
    yield* kill(task, { force: true });
    say(ending(task));
  });
  assertEquals(log, ["2 failed [first, second]"]);
}, KERNEL_SPELLINGS);

testSpelled("force: true goes through a shield, whose own finally runs", (as) => {
  const { scheduler, log, say } = stage();
  function* shielded(): Coroutine<void> {
    try {
      yield* sleep(60_000);
      say("never said");
    } finally {
      yield* sleep(1);
      say("in the shield");
    }
  }
  function* outer(): Coroutine<void> {
    try {
      yield* shield(as(shielded()));
    } finally {
      yield* sleep(1);
      say("outside the shield");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield;
    yield* kill(task, { force: true });
    say(ending(task));
  });
  assertEquals(log, ["1 in the shield", "2 outside the shield", "2 killed"]);
});

testSpelled("force: true as a second kill goes through the shield that holds the first, once", (as) => {
  const { scheduler, log, say } = stage();
  function* shielded(): Coroutine<void> {
    try {
      yield* sleep(60_000);
    } finally {
      yield* sleep(1);
      yield* sleep(1);
      say("in the shield, to its end");
    }
  }
  function* outer(): Coroutine<void> {
    try {
      yield* shield(as(shielded()));
    } finally {
      yield* sleep(1);
      yield* sleep(1);
      say("outside the shield, to its end");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield;
    yield* spawn(function* () {
      say(`first: ${yield* kill(task, { reason: "politely" })}`);
    });
    yield* sleep(10);
    say(`second: ${yield* kill(task, { force: true, reason: "by force" })}`);
    say(ending(task));
  });
  assertEquals(log, [
    "12 in the shield, to its end",
    "14 outside the shield, to its end",
    "14 first: true",
    "14 second: true",
    "14 killed politely",
  ]);
});

Deno.test("force: true as a second kill cuts the cleanup that the first began, where it waits", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        try {
          yield* sleep(60_000);
        } finally {
          say("cleaning up");
          yield* sleep(1_000);
          say("never said");
        }
      } finally {
        yield* sleep(1);
        say("the outer finally");
      }
    });
    yield;
    yield* kill(task, { wait: false });
    yield* sleep(10);
    say(`forced: ${yield* kill(task, { force: true })}, ${ending(task)}`);
  });
  assertEquals(log, ["0 cleaning up", "11 the outer finally", "11 forced: true, killed"]);
});

Deno.test("force: true as a second kill while the first is pending closes frames once, at the next wait", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const killer = yield* spawn(function* () {
      yield* sleep(10);
      yield* kill(victim, { wait: false });
      yield* kill(victim, { force: true });
    });
    const victim = yield* spawn(function* () {
      yield* sleep(10);
      say("slept");
      try {
        yield* sleep(10);
      } catch {
        say("never said");
      } finally {
        yield* sleep(1);
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield* killer;
    say(ending(victim));
  });
  assertEquals(log, ["10 slept", "12 cleaned up", "12 killed"]);
});

Deno.test("force: true once more cuts nothing short", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        yield* sleep(10);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task, { force: true, wait: false });
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 cleaned up", "10 killed"]);
});

Deno.test("force: true runs deferred cleanups to their end, each once", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* defer(function* () {
        yield* sleep(5);
        say("first deferred");
      });
      yield* defer(function* () {
        yield* sleep(5);
        say("last deferred");
      });
      yield* call(function* () {
        yield* defer(function* () {
          yield* sleep(5);
          say("inner deferred");
        });
        yield* sleep(60_000);
      });
      say("never said");
    });
    yield;
    yield* kill(task, { force: true, grace: 1 });
    say(ending(task));
  });
  assertEquals(log, ["5 inner deferred", "10 last deferred", "15 first deferred", "15 killed"]);
});

Deno.test("force: true closes a deferred cleanup that hangs, and the others still run", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* defer(function* () {
        yield* sleep(5);
        say("first deferred");
      });
      yield* defer(function* () {
        try {
          yield* sleep(Infinity);
        } finally {
          say("closed");
        }
      });
      yield* sleep(60_000);
    });
    yield;
    yield* kill(task, { wait: false });
    yield* sleep(60_000);
    say(`after 12 graces: ${ending(task)}`);
    yield* kill(task, { force: true });
    say(ending(task));
  });
  assertEquals(log, ["60000 after 12 graces: alive", "60000 closed", "60005 first deferred", "60005 killed"]);
});

for (const when of ["before", "after"]) {
  Deno.test(`force: true lets go of what hangs in a shield that it went through, entered ${when} the first kill`, () => {
    const { scheduler, log, say } = stage();
    let rescue = false;
    function* hangs(): Coroutine<void> {
      while (!rescue) {
        try {
          yield* sleep(1_000);
        } finally {
          continue;
        }
      }
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        if (when === "before") yield* shield(hangs());
        try {
          yield* sleep(60_000);
        } finally {
          yield* shield(hangs());
        }
      });
      yield;
      yield* kill(task, { wait: false, grace: 100 });
      yield* sleep(50);
      yield* kill(task, { force: true, wait: false });
      yield* sleep(10_000);
      say(ending(task));
      rescue = true;
    });
    assertEquals(log, ["150 unhandled in task 2: UnkillableError", "10050 failed UnkillableError"]);
  });
}

// ---- Waits and their undoing -----------------------------------------------------------------------------------------

Deno.test("cancel() of a wait is called once when its task is killed, and not when it is resumed", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const killed = new Hold(() => say("killed: cancel"));
    const task = yield* spawn(function* () {
      try {
        yield* killed;
      } finally {
        yield* sleep(1);
      }
    });
    yield;
    yield* kill(task, { wait: false });
    yield* kill(task, { force: true });
    say(`late: ${scheduler.resume(killed.parked!)}`);
    const resumed = new Hold(() => say("resumed: cancel"));
    const other = yield* spawn(function* () {
      say(`got ${yield* resumed}`);
      yield* sleep(5);
    });
    yield;
    say(`resumed: ${scheduler.resume(resumed.parked!, "a value")}`);
    yield* kill(other);
    say(ending(other));
  });
  assertEquals(log, [
    "0 killed: cancel",
    "0 late: false",
    "0 resumed: true",
    "0 got a value",
    "0 killed",
  ]);
});

Deno.test("cancel() that answers false: the result is not the task's, and whoever brings it is told so", () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold(() => false);
  const kept: string[] = [];
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* hold;
      } catch (error) {
        say(`sees ${words(error)} at once`);
      }
    });
    yield;
    yield* kill(task);
    say(ending(task));
    if (!scheduler.resume(hold.parked!, "bytes")) kept.push("bytes");
    say(`kept: ${kept}`);
  });
  assertEquals(log, ["0 sees Cancelled at once", "0 killed", "0 kept: bytes"]);
});

Deno.test("cancel() that throws is reported, and the task is unwound all the same", () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold(() => {
    throw new Oops("cancel broke");
  });
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* hold;
      } finally {
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield;
    say(`killed: ${yield* kill(task)}, ${ending(task)}`);
  });
  assertEquals(log, ["0 unhandled in task 2: cancel broke", "1 cleaned up", "1 killed: true, killed"]);
});

Deno.test("cancel() that resumes its own wait gets false, and the task sees Cancelled", () => {
  const { scheduler, log, say } = stage();
  const hold: Hold = new Hold(() => say(`resume in cancel: ${scheduler.resume(hold.parked!, "value")}`));
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        say(`got ${yield* hold}`);
      } catch (error) {
        say(words(error));
      }
    });
    yield;
    yield* kill(task);
  });
  assertEquals(log, ["0 resume in cancel: false", "0 Cancelled"]);
});

Deno.test("cancel() that kills others, and the same task again, does no harm", () => {
  const { scheduler, log, say } = stage();
  const tasks: Task[] = [];
  const hold = new Hold(() => {
    for (const task of tasks) scheduler.kill(task, { wait: false });
  });
  scheduler.runSync(function* () {
    for (const wait of [hold, sleep(60_000)]) {
      tasks.push(
        yield* spawn(function* () {
          try {
            yield* call(wait);
          } finally {
            yield* sleep(1);
            say(`task ${yield* getTid()} cleaned up`);
          }
        }),
      );
    }
    yield;
    yield* kill(tasks[0]!);
    say(tasks.map(ending).join(", "));
  });
  assertEquals(log, ["1 task 3 cleaned up", "1 task 2 cleaned up", "1 killed, killed"]);
});

Deno.test("resume() and fail() answer false once the wait is over, whatever the task does by then", () => {
  const { scheduler, log, say } = stage();
  const first = new Hold();
  const second = new Hold();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* first;
      } catch {
        say(`got ${yield* second}`);
      }
    });
    yield;
    yield* kill(task, { wait: false });
    yield;
    say(`it waits again: ${task.waitingFor}`);
    say(`late for the first: ${scheduler.resume(first.parked!, 1)} ${scheduler.fail(first.parked!, 1)}`);
    say(`for the second: ${scheduler.resume(second.parked!, "the second")}`);
    say(`again: ${scheduler.resume(second.parked!, "x")} ${scheduler.fail(second.parked!, "x")}`);
    yield* waitTask(task.tid);
    say(`after its end: ${scheduler.resume(first.parked!)} ${scheduler.resume(second.parked!)}`);
    say(ending(task));
  });
  assertEquals(log, [
    "0 it waits again: a test",
    "0 late for the first: false false",
    "0 for the second: true",
    "0 again: false false",
    "0 got the second",
    "0 after its end: false false",
    "0 killed",
  ]);
});

Deno.test("a kill that comes inside handle(), before the value, cancels that wait", () => {
  const { scheduler, log, say } = stage();
  class AtOnce extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler): Parked {
      const parked = scheduler.park(task, {
        reason: "nothing",
        cancel: () => say("cancel"),
      });
      scheduler.kill(task, { wait: false });
      scheduler.resume(parked, "at once");
      return parked;
    }
  }
  scheduler.runSync(function* () {
    for (const spelling of ["yield", "yield*"]) {
      const task = yield* spawn(function* (): Coroutine<void> {
        say(spelling === "yield" ? yield new AtOnce() : yield* new AtOnce());
        yield;
        say("never said");
      });
      yield* waitTask(task.tid);
      say(ending(task));
    }
  });
  // The kill comes before the value is there: the task waits, and is cancelled at once.
  assertEquals(log, ["0 cancel", "0 killed", "0 cancel", "0 killed"]);
});

Deno.test("a value that is there before the kill, inside handle(), is not lost", () => {
  const { scheduler, log, say } = stage();
  class AtOnce extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler): Parked {
      const parked = scheduler.park(task, { reason: "nothing", cancel: () => say("never said: cancel") });
      scheduler.resume(parked, "at once");
      scheduler.kill(task, { wait: false });
      return parked;
    }
  }
  scheduler.runSync(function* () {
    for (const spelling of ["yield", "yield*"]) {
      const task = yield* spawn(function* (): Coroutine<void> {
        say(spelling === "yield" ? yield new AtOnce() : yield* new AtOnce());
        yield;
        say("never said");
      });
      yield* waitTask(task.tid);
      say(ending(task));
    }
  });
  assertEquals(log, ["0 at once", "0 killed", "0 at once", "0 killed"]);
});

Deno.test("handle() that parks, is resumed and throws: the error is the answer, and the task runs once", () => {
  const { scheduler, log, say } = stage();
  class Confused extends SystemCall<string> {
    handle(task: Task, scheduler: Scheduler): Parked {
      const parked = scheduler.park(task, { reason: "nothing" });
      scheduler.resume(parked, "value");
      throw new Oops("handle broke");
    }
  }
  scheduler.runSync(function* () {
    for (const name of ["a", "b"]) {
      yield* spawn(function* (): Coroutine<void> {
        for (let i = 0; i < 3; i++) {
          if (name === "a" && i === 0) {
            try {
              yield new Confused();
            } catch (error) {
              say(words(error));
            }
          }
          say(`${name}${i}`);
          yield;
        }
      });
    }
  });
  assertEquals(log, ["0 handle broke", "0 a0", "0 b0", "0 a1", "0 b1", "0 a2", "0 b2"]);
});

Deno.test("an iterator made by hand is unwound like a coroutine", () => {
  const { scheduler, log, say } = stage();
  const operation = {
    [Symbol.iterator]: () => ({
      next: () => ({ done: false as const, value: sleep(60_000) }),
      throw(error: unknown): never {
        say(`thrown in: ${words(error)}`);
        throw error;
      },
    }),
  };
  scheduler.runSync(function* () {
    for (const force of [false, true]) {
      const task = yield* spawn(function* () {
        try {
          yield operation;
        } finally {
          say("cleaned up");
        }
      });
      yield;
      yield* kill(task, { force });
      say(ending(task));
    }
  });
  assertEquals(log, ["0 thrown in: Cancelled", "0 cleaned up", "0 killed", "0 cleaned up", "0 killed"]);
});

// ---- Runs ------------------------------------------------------------------------------------------------------------

function* cleansUp(name: string, ms: number, say: (text: string) => void): Coroutine<void> {
  try {
    yield* sleep(60_000);
    say(`${name} was never killed`);
  } catch (error) {
    say(`${name} sees ${words(error)}`);
    throw error;
  } finally {
    yield* sleep(ms);
    say(`${name} cleaned up`);
  }
}

Deno.test("run() whose main fails kills all that it owns, waits for their cleanup, and rejects with main's error", async () => {
  const { scheduler, log, say } = stage();
  const error = new Oops("main failed");
  const outsider = scheduler.spawn(cleansUp("outsider", 1, say));
  const rejected = await assertRejects(() =>
    scheduler.run(function* () {
      yield* spawn(function* () {
        yield* spawn(cleansUp("grandchild", 3, say));
        yield* cleansUp("child", 2, say);
      });
      yield* spawn(cleansUp("daemon", 4, say), { daemon: true });
      yield* sleep(10);
      throw error;
    })
  );
  say(`rejected ${words(rejected)}`);
  assertStrictEquals(rejected, error);
  assertEquals(log, [
    "10 grandchild sees Cancelled(main failed)",
    "10 daemon sees Cancelled(main failed)",
    "10 child sees Cancelled(main failed)",
    "12 child cleaned up",
    "13 grandchild cleaned up",
    "14 daemon cleaned up",
    "14 rejected main failed",
  ]);
  assertEquals(ending(outsider), "alive");
  await scheduler.shutdown({ force: true });
});

Deno.test("run() whose main is killed rejects with JoinError, and what it owns is killed", async () => {
  const { scheduler, log, say } = stage();
  const promise = settled(scheduler.run(function* () {
    yield* spawn(cleansUp("child", 2, say));
    yield* cleansUp("main", 1, say);
  }));
  await Promise.resolve();
  const killed = scheduler.kill(1, { reason: "why" });
  say(await promise);
  assertEquals([...log, await killed], [
    "0 main sees Cancelled(why)",
    "1 main cleaned up",
    "1 child sees Cancelled(JoinError(Cancelled(why)))",
    "3 child cleaned up",
    "3 rejected JoinError(Cancelled(why))",
    true,
  ]);
});

Deno.test("runSync() whose main is killed throws JoinError, and what it owns is killed first", () => {
  const { scheduler, log, say } = stage();
  try {
    scheduler.runSync(function* () {
      const main = yield* currentTask();
      yield* spawn(cleansUp("child", 2, say));
      yield* spawn(function* () {
        yield* sleep(5);
        say(`killed: ${yield* kill(main, { reason: "why" })}`);
      });
      yield* cleansUp("main", 1, say);
    });
  } catch (error) {
    say(`threw ${words(error)}`);
  }
  assertEquals(log, [
    "5 main sees Cancelled(why)",
    "6 main cleaned up",
    "6 killed: true",
    "6 child sees Cancelled(JoinError(Cancelled(why)))",
    "8 child cleaned up",
    "8 threw JoinError(Cancelled(why))",
  ]);
});

Deno.test("run() with a signal that aborts kills all that it owns, and rejects with the signal's reason", async () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  const promise = settled(
    scheduler.run(function* () {
      yield* spawn(cleansUp("child", 2, say));
      yield* spawn(function* () {
        yield* sleep(5);
        controller.abort(new Oops("aborted"));
      });
      yield* cleansUp("main", 1, say);
    }, { signal: controller.signal }),
  );
  say(await promise);
  assertEquals(log, [
    "5 child sees Cancelled(aborted)",
    "5 main sees Cancelled(aborted)",
    "6 main cleaned up",
    "7 child cleaned up",
    "7 rejected aborted",
  ]);
});

Deno.test("run() with a signal that is aborted already never starts main", async () => {
  const { scheduler, log, say } = stage();
  const promise = settled(
    scheduler.run(function* () {
      say("never said");
      yield;
    }, { signal: AbortSignal.abort(new Oops("before")) }),
  );
  say(await promise);
  assertEquals([...log, scheduler.tasks.size], ["0 rejected before", 0]);
});

Deno.test("run() whose signal aborts after main's end still kills what is left, and rejects with the reason", async () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  const promise = settled(
    scheduler.run(function* () {
      yield* spawn(cleansUp("child", 2, say));
      yield* spawn(function* () {
        yield* sleep(5);
        controller.abort(new Oops("aborted"));
      });
      return "main's value";
    }, { signal: controller.signal }),
  );
  say(await promise);
  assertEquals(log, ["5 child sees Cancelled(aborted)", "7 child cleaned up", "7 rejected aborted"]);
});

Deno.test("run() takes no notice of a signal that aborts after it has settled", async () => {
  const { scheduler } = stage();
  const controller = new AbortController();
  const value = await scheduler.run(function* () {
    yield* sleep(1);
    return "value";
  }, { signal: controller.signal });
  const other = settled(scheduler.run(sleep(5)));
  controller.abort(new Oops("late"));
  assertEquals([value, await other], ["value", "gave undefined"]);
});

Deno.test("run() refuses a signal that is none, and main never runs", async () => {
  const { scheduler, log, say } = stage();
  const signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
  const run = async () =>
    await scheduler.run(function* () {
      say("never said");
    }, { signal: signal as unknown as AbortSignal });
  say(await settled(run()));
  assertEquals(log, ["0 rejected TypeError"]);
});

Deno.test("what main's cleanup throws after its run's signal has aborted is reported: nothing is silent", async () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  const promise = settled(
    scheduler.run(function* () {
      yield* spawn(function* () {
        controller.abort(new Oops("aborted"));
      });
      try {
        yield* sleep(60_000);
      } finally {
        throw new Oops("in cleanup");
      }
    }, { signal: controller.signal }),
  );
  say(await promise);
  assertEquals(log.toSorted(), ["0 rejected aborted", "0 unhandled in task 1: in cleanup"]);
});

Deno.test("a main that cannot be killed, in a run whose signal has aborted, is reported once", async () => {
  const { scheduler, log, say } = stage({ killGrace: 10 });
  const controller = new AbortController();
  const promise = settled(
    scheduler.run(function* () {
      yield* spawn(function* () {
        yield* sleep(5);
        controller.abort(new Oops("aborted"));
      });
      yield* immortal();
    }, { signal: controller.signal }),
  );
  say(await promise);
  assertEquals(log, [
    "15 unhandled in task 1: Error",
    "25 unhandled in task 1: UnkillableError",
    "25 rejected aborted",
  ]);
});

Deno.test("run() that fails ends also what cleanup spawns and leaves behind", async () => {
  const { scheduler, log, say } = stage();
  const promise = settled(scheduler.run(function* () {
    yield* spawn(function* () {
      try {
        yield* sleep(60_000);
      } finally {
        const helper = yield* spawn(function* () {
          yield* sleep(5);
          return "help";
        });
        yield* spawn(cleansUp("left behind", 1, say));
        say(`cleanup got ${yield* helper}`);
      }
    });
    yield* sleep(10);
    throw new Oops("main failed");
  }));
  say(await promise);
  assertEquals(log, [
    "15 cleanup got help",
    "15 left behind sees Cancelled(main failed)",
    "16 left behind cleaned up",
    "16 rejected main failed",
  ]);
});

Deno.test("run() kills its daemons when the rest has ended, waits for their cleanup, and gives main's value", async () => {
  const { scheduler, log, say } = stage();
  const value = await scheduler.run(function* () {
    yield* spawn(function* () {
      try {
        for (;;) yield* sleep(4);
      } finally {
        yield* sleep(3);
        say("daemon cleaned up");
      }
    }, { daemon: true });
    yield* spawn(function* () {
      yield* sleep(10);
      say("child done");
    });
    return "value";
  });
  assertEquals([...log, value], ["10 child done", "13 daemon cleaned up", "value"]);
});

Deno.test("a run's failure does not touch other runs", async () => {
  const { scheduler, log, say } = stage();
  const [one, two] = await Promise.all([
    settled(scheduler.run(function* () {
      yield* sleep(5);
      throw new Oops("one failed");
    })),
    settled(scheduler.run(function* () {
      yield* sleep(10);
      say("two done");
      return "two";
    })),
  ]);
  assertEquals([...log, one, two], ["10 two done", "rejected one failed", "gave two"]);
});

Deno.test("mainLoop() kills what daemons are left, and waits for their cleanup", async () => {
  const { scheduler, log, say } = stage();
  scheduler.new(cleansUp("daemon", 2, say), { daemon: true });
  scheduler.new(sleep(10));
  await scheduler.mainLoop();
  say("over");
  assertEquals(log.map((line) => line.replace(/Cancelled\(.*\)/, "Cancelled")), [
    "10 daemon sees Cancelled",
    "12 daemon cleaned up",
    "12 over",
  ]);
});

Deno.test("the signal of a task kills it with its reason; after its end it does nothing", async () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  await scheduler.run(function* () {
    const quick = yield* spawn(function* () {
      yield* sleep(1);
      return "quick";
    }, { signal: controller.signal });
    const slow = yield* spawn(cleansUp("slow", 1, say), { signal: controller.signal });
    const late = AbortSignal.abort(new Oops("before"));
    const never = yield* spawn(cleansUp("never", 1, say), { signal: late });
    yield* sleep(5);
    controller.abort(new Oops("aborted"));
    yield* waitTask(slow.tid);
    say([quick, slow, never].map(ending).join(", "));
  });
  assertEquals(log, [
    "5 slow sees Cancelled(aborted)",
    "6 slow cleaned up",
    "6 returned quick, killed aborted, killed before",
  ]);
});

Deno.test("a task that has ended is not held by its signal", () => {
  const { scheduler } = stage();
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
    for (let i = 0; i < 10; i++) {
      const task = yield* spawn(i % 2 === 0 ? sleep(1) : longSleep, { signal });
      yield* sleep(2);
      yield* kill(task);
    }
    yield* kill(yield* spawn(longSleep, { signal }));
  });
  assertEquals(listeners, 0);
});

Deno.test("shutdown() kills all, newest first, and settles when all cleanup is done", async () => {
  const { scheduler, log, say } = stage();
  for (const name of ["a", "b", "c"]) scheduler.new(cleansUp(name, 2, say), { daemon: name === "b" });
  scheduler.new(function* () {
    try {
      yield* sleep(60_000);
    } finally {
      yield* spawn(cleansUp("late", 1, say));
      yield* sleep(1);
    }
  });
  const loop = scheduler.mainLoop();
  await Promise.resolve();
  await Promise.resolve();
  await scheduler.shutdown({ reason: "power off" });
  say(`${scheduler.tasks.size} left`);
  await loop;
  assertEquals(log, [
    "0 c sees Cancelled(power off)",
    "0 b sees Cancelled(power off)",
    "0 a sees Cancelled(power off)",
    "2 c cleaned up",
    "2 b cleaned up",
    "2 a cleaned up",
    "2 late sees Cancelled(power off)",
    "3 late cleaned up",
    "3 0 left",
  ]);
});

Deno.test("shutdown() that a task waits for takes that task with it", async () => {
  const { scheduler, log, say } = stage();
  scheduler.new(cleansUp("a", 2, say));
  const promise = settled(scheduler.run(function* () {
    try {
      yield* sleep(1);
      yield* until(scheduler.shutdown({ reason: "power off" }));
      say("never said");
    } finally {
      yield* sleep(5);
      say("main cleaned up");
    }
  }));
  say(await promise);
  say(`${scheduler.tasks.size} left`);
  assertEquals(log, [
    "1 a sees Cancelled(power off)",
    "3 a cleaned up",
    "6 main cleaned up",
    "6 rejected JoinError(Cancelled(power off))",
    "6 0 left",
  ]);
});

Deno.test("await using kills the task and waits for its cleanup", async () => {
  const { scheduler, log, say } = stage();
  {
    await using task = scheduler.spawn(cleansUp("task", 2, say));
    const loop = scheduler.mainLoop();
    await Promise.resolve();
    say(task.state);
    void loop;
  }
  say("disposed of");
  assertEquals(log.map((line) => line.replace(/Cancelled\(.*\)/, "Cancelled")), [
    "0 waiting",
    "0 task sees Cancelled",
    "2 task cleaned up",
    "2 disposed of",
  ]);
});

Deno.test("kill() from outside works on a scheduler that nobody runs", async () => {
  const { scheduler, log, say } = stage();
  const task = scheduler.spawn(cleansUp("task", 2, say));
  say(`${await scheduler.kill(task)}, ${ending(task)}`);
  assertEquals(log, ["0 true, killed"]);
});

Deno.test("kill() from outside, of several tasks at once, and twice of one", async () => {
  const { scheduler, log, say } = stage();
  const a = scheduler.spawn(cleansUp("a", 3, say));
  const b = scheduler.spawn(cleansUp("b", 1, say));
  const loop = scheduler.mainLoop();
  await Promise.resolve();
  await Promise.resolve();
  const answers = await Promise.all([
    scheduler.kill(a),
    scheduler.kill(b.tid),
    scheduler.kill(a.tid),
    scheduler.kill(a, { wait: false }),
  ]);
  say(answers.join(" "));
  await loop;
  assertEquals(log, [
    "0 a sees Cancelled",
    "0 b sees Cancelled",
    "1 b cleaned up",
    "3 a cleaned up",
    "3 true true true true",
  ]);
});

Deno.test("a deadlock kills the tasks, so that their cleanup runs, before run() rejects", async () => {
  const { scheduler, log, say } = stage();
  say(
    await settled(scheduler.run(function* () {
      try {
        yield* sleep(Infinity);
      } finally {
        yield* sleep(5);
        say("cleaned up");
      }
    })),
  );
  assertEquals(log, ["5 cleaned up", "5 rejected DeadlockError"]);
});

Deno.test("a deadlock inside a shield does not hang: the shield is gone through", async () => {
  const { scheduler, log, say } = stage();
  const hold = new Hold();
  let over = false;
  const promise = settled(scheduler.run(function* () {
    try {
      yield* shield(function* () {
        yield* hold;
        say("never said: only the test's rescue got it out");
      });
    } finally {
      say("cleaned up");
    }
  })).then((text) => {
    over = true;
    say(text);
  });
  await turns(50);
  if (!over) scheduler.resume(hold.parked!);
  await promise;
  assertEquals(log.filter((line) => !line.includes("unhandled")), [
    "0 cleaned up",
    "0 rejected DeadlockError",
  ]);
});

Deno.test("a deadlock of a task that cannot be killed and has all the time in the world does not hang", async () => {
  const { scheduler, log, say } = stage({ killGrace: Infinity });
  const hold = new Hold();
  let over = false;
  const promise = settled(scheduler.run(function* () {
    while (!over) {
      try {
        yield* hold;
      } finally {
        continue;
      }
    }
    say("never said: only the test's rescue got it out");
  })).then((text) => {
    over = true;
    say(text);
  });
  await turns(50);
  if (!over) {
    over = true;
    scheduler.resume(hold.parked!);
  }
  await promise;
  assertEquals(log.filter((line) => !line.includes("unhandled")), ["0 rejected DeadlockError"]);
});

// ---- Observers -------------------------------------------------------------------------------------------------------

Deno.test("an observer that throws is reported and removed; the kill goes on", () => {
  const { scheduler, log, say } = stage();
  for (
    const event of ["taskCreated", "taskReady", "stepStart", "stepEnd", "systemCall", "taskEnded"] as const
  ) {
    scheduler.observe({
      [event]() {
        throw new Oops(`${event} broke`);
      },
    });
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(cleansUp("task", 1, say));
    yield;
    say(`killed: ${yield* kill(task)}, ${ending(task)}`);
  });
  assertEquals(log.filter((line) => line.includes("broke")).map((line) => line.replace(/^.*: /, "")), [
    "taskCreated broke",
    "taskReady broke",
    "stepStart broke",
    "systemCall broke",
    "stepEnd broke",
    "taskEnded broke",
  ]);
  assertEquals(log.filter((line) => !line.includes("broke")), [
    "0 task sees Cancelled",
    "1 task cleaned up",
    "1 killed: true, killed",
  ]);
});

Deno.test("observers see a killed task end once", () => {
  const { scheduler, log, say } = stage();
  scheduler.observe({ taskEnded: (task) => say(`${task} ended: ${ending(task)}`) });
  scheduler.runSync(function* () {
    yield* kill(yield* spawn(longSleep, { name: "unborn" }));
    const task = yield* spawn(immortal(), { name: "immortal" });
    yield;
    yield* kill(task, { grace: 5 });
  });
  assertEquals(log, [
    '0 task 2 "unborn" ended: killed',
    '5 unhandled in task 3 "immortal": Error',
    '10 unhandled in task 3 "immortal": UnkillableError',
    '10 task 3 "immortal" ended: failed UnkillableError',
    "10 task 1 ended: returned undefined",
  ]);
});

Deno.test("an observer that kills the task it is told of does no harm", () => {
  const { scheduler, log, say } = stage();
  let armed = true;
  scheduler.observe({
    taskReady(task) {
      if (task.name === "victim" && task.waitingFor === undefined && armed && scheduler.now() === 10) {
        armed = false;
        scheduler.kill(task, { wait: false });
      }
    },
  });
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* sleep(10);
      say("sees the end of its sleep");
      yield* cleansUp("victim", 1, say);
    }, { name: "victim" });
    yield* waitTask(task.tid);
    say(ending(task));
  });
  assertEquals(log, [
    "10 sees the end of its sleep",
    "10 victim sees Cancelled",
    "11 victim cleaned up",
    "11 killed",
  ]);
});

// ---- abortSignal -----------------------------------------------------------------------------------------------------

testSpelled(
  "abortSignal() aborts when the task is killed, before its cleanup runs, with the kill's reason",
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
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        yield* as(fetching());
      });
      yield;
      yield* kill(task, { reason: new Oops("why") });
    });
    assertEquals(log, ["0 aborted: why", "0 in cleanup: true"]);
  },
);

Deno.test("abortSignal() gives one signal to those who ask in one place, and it does not abort at the end", () => {
  const { scheduler } = stage();
  const signals: AbortSignal[] = [];
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      signals.push(yield* abortSignal(), yield* abortSignal());
      signals.push(
        yield* call(function* () {
          return yield* abortSignal();
        }),
      );
    });
  });
  assertEquals(signals.map((signal) => signal === signals[0] && !signal.aborted), [true, true, true]);
});

Deno.test("abortSignal() of a task that was told waits, as the kill does, for the end of a shield", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const outside = yield* abortSignal();
      yield* shield(function* () {
        const inside = yield* abortSignal();
        yield* sleep(10);
        say(`in the shield: ${outside.aborted} ${inside.aborted}`);
      });
      try {
        yield;
      } finally {
        say(`after the shield: ${outside.aborted}`);
      }
    });
    yield;
    yield* kill(task);
  });
  assertEquals(log, ["10 in the shield: false false", "10 after the shield: true"]);
});

Deno.test("abortSignal() asked inside a shield aborts when the kill that was held back is delivered", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const signal = yield* shield(function* () {
        const signal = yield* abortSignal();
        yield* sleep(10);
        return signal;
      });
      try {
        say(`before the next wait: ${signal.aborted}`);
        yield;
      } finally {
        say(`killed: ${signal.aborted}`);
      }
    });
    yield;
    yield* kill(task);
  });
  assertEquals(log, ["10 before the next wait: false", "10 killed: true"]);
});

Deno.test("abortSignal() asked by a coroutine that has deferred aborts on kill, during it and after it", () => {
  const { scheduler, log, say } = stage();
  function* helper(): Coroutine<AbortSignal> {
    yield* defer(sleep(1));
    return yield* abortSignal();
  }
  scheduler.runSync(function* () {
    for (const after of [false, true]) {
      let signal: AbortSignal | undefined;
      const task = yield* spawn(function* () {
        if (after) signal = yield* call(helper());
        else signal = yield* helper();
        yield* sleep(60_000);
      });
      yield* sleep(10);
      yield* kill(task);
      say(`${after ? "after" : "during"} it: ${signal!.aborted}`);
    }
  });
  assertEquals(log, ["11 during it: true", "21 after it: true"]);
});

Deno.test("abortSignal() asked in cleanup is a new one: it aborts only if the cleanup is cut short", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const first = yield* abortSignal();
      try {
        yield* sleep(60_000);
      } finally {
        const second = yield* abortSignal();
        second.addEventListener("abort", () => say("the second is aborted"));
        say(`in cleanup: ${first.aborted} ${second.aborted}`);
        yield* sleep(60_000);
      }
    });
    yield;
    yield* kill(task, { grace: 100 });
    say(ending(task));
  });
  assertEquals(log, [
    "0 in cleanup: true false",
    "100 unhandled in task 2: Error",
    "100 the second is aborted",
    "100 killed",
  ]);
});

Deno.test("abortSignal() whose listener kills and resumes does no harm", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const hold = new Hold();
    const task = yield* spawn(function* () {
      const signal = yield* abortSignal();
      signal.addEventListener("abort", () => {
        scheduler.kill(task, { wait: false });
        say(`resumed: ${scheduler.resume(hold.parked!, "too late")}`);
      });
      try {
        say(`got ${yield* hold}`);
      } catch (error) {
        say(words(error));
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 resumed: false", "0 Cancelled", "1 cleaned up", "1 killed"]);
});

// ---- Rings -----------------------------------------------------------------------------------------------------------

Deno.test("a ring of joins and kills is refused in the task that would close it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const tasks: Task[] = [];
    function* member(wait: () => Coroutine<unknown>): Coroutine<void> {
      try {
        yield* sleep(1);
        yield* wait();
      } catch (error) {
        say(`task ${yield* getTid()}: ${words(error)}`);
        if (!(error instanceof DeadlockError)) throw error;
      }
    }
    tasks.push(
      yield* spawn(member(function* () {
        yield* tasks[1]!;
      })),
      yield* spawn(member(function* () {
        yield* waitTask(tasks[2]!.tid);
      })),
      yield* spawn(member(function* () {
        yield* join(tasks[0]!);
      })),
    );
    yield* sleep(5);
    say(tasks.map(ending).join(", "));
    const self = yield* currentTask();
    for (const wait of [self, waitTask(self.tid), join(self)]) {
      try {
        yield* wait;
      } catch (error) {
        say(`oneself: ${words(error)}`);
      }
    }
  });
  assertEquals(log, [
    "1 task 4: DeadlockError",
    "5 returned undefined, returned undefined, returned undefined",
    "5 oneself: DeadlockError",
    "5 oneself: DeadlockError",
    "5 oneself: DeadlockError",
  ]);
});

Deno.test("a kill of one that waits for the killer is no ring: it is taken off its wait", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const self = yield* currentTask();
    const joiner = yield* spawn(function* () {
      try {
        yield* self;
      } finally {
        yield* sleep(1);
        say("cleaned up");
      }
    });
    yield;
    say(`killed: ${yield* kill(joiner)}`);
  });
  assertEquals(log, ["1 cleaned up", "1 killed: true"]);
});

// ---- Memory ----------------------------------------------------------------------------------------------------------

Deno.test("a million tasks spawned, killed and joined in turn leave nothing behind", () => {
  const clock = new CountingClock();
  const { scheduler, log } = stage({}, clock);
  const N = 1_000_000;
  let joined = 0;
  let most = 0;
  const heap: number[] = [];
  scheduler.runSync(function* () {
    for (let i = 1; i <= N; i++) {
      const task = yield* spawn(longSleep());
      yield;
      yield* kill(task, { force: i % 5 > 0 }); // what is thrown costs microseconds under `deno test`
      if (i % 20 === 0) {
        try {
          yield* task;
        } catch {
          joined++;
        }
      }
      most = Math.max(most, scheduler.tasks.size);
      if (i % 10_000 === 0) heap.push(Deno.memoryUsage().heapUsed);
    }
  });
  // The least is what is left when garbage has just been collected. A task takes more than 200 bytes.
  const half = heap.length / 2;
  const growth = (Math.min(...heap.slice(half)) - Math.min(...heap.slice(0, half))) / (N / 2);
  assertEquals(
    { joined, most, left: scheduler.tasks.size, alarms: clock.alarms, grows: growth > 16, log },
    { joined: N / 20, most: 1, left: 0, alarms: 0, grows: false, log: [] },
  );
});

Deno.test("waits that are given up leave no trace in those who were waited for", () => {
  const { scheduler } = stage();
  const server = scheduler.runSync(function* () {
    const shop = new Shop();
    const server = yield* spawn(function* () {
      for (;;) yield* shop.take();
    }, { daemon: true });
    for (let i = 0; i < 1_000; i++) {
      const waiter = yield* spawn(function* () {
        yield* server;
      });
      const killer = yield* spawn(function* () {
        yield* waitTask(server.tid);
      });
      yield;
      yield* kill(waiter);
      yield* kill(killer);
    }
    return [scheduler.tasks.size, shop.waiting];
  });
  assertEquals(server, [2, 1]);
  assertEquals(scheduler.tasks.size, 0);
});

Deno.test("when a task that cannot be killed is let go, the children of its groups end, and the run waits for them", async () => {
  const log: string[] = [];
  const scheduler = new Scheduler({
    clock: new VirtualClock(),
    onUnhandledError: (error) => log.push((error as Error).name),
  });
  await scheduler.run(function* () {
    const task = yield* spawn(function* owner() {
      yield* taskGroup(function* (group) {
        group.spawn(function* child() {
          try {
            yield* sleep(1e5);
          } finally {
            yield* sleep(5);
            log.push("child cleaned up");
          }
        });
        for (;;) {
          try {
            yield* sleep(1e6);
          } finally {
            continue;
          }
        }
      });
    });
    yield* sleep(1);
    yield* kill(task, { grace: 10 });
  });
  assertEquals([...log, scheduler.ps()], ["Error", "UnkillableError", "child cleaned up", []]);
});

Deno.test("a token is resumed by whichever scheduler is asked", async () => {
  const scheduler = new Scheduler({ deadlock: "wait" });
  let token: Parked | undefined;
  class Wait extends SystemCall<number> {
    handle(task: Task, scheduler: Scheduler): Parked {
      return token = scheduler.park(task, { reason: "a number" });
    }
  }
  const value = scheduler.run(new Wait());
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(new Scheduler().resume(token!, 5), true);
  assertEquals(await value, 5);
});

Deno.test("a task of a scheduler that nobody runs can be killed from a task of another", async () => {
  const log: string[] = [];
  const stopped = new Scheduler();
  const task = stopped.spawn(function* () {
    try {
      yield* sleep(1e6);
    } finally {
      yield;
      log.push("cleaned up");
    }
  });
  await stopped.run(function* () {
    yield;
  });
  assertEquals(task.state, "waiting");
  assertEquals(await new Scheduler().run(kill(task)), true);
  assertEquals(log, ["cleaned up"]);
});

Deno.test("a task of another scheduler that is killed by force is forced once: its cleanup runs to the end", async () => {
  const log: string[] = [];
  const [near, far] = [
    new Scheduler({ clock: new VirtualClock() }),
    new Scheduler({ clock: new VirtualClock() }),
  ];
  const task = far.spawn(function* () {
    try {
      yield* sleep(1000);
    } finally {
      yield* sleep(20);
      log.push("cleaned up");
    }
  });
  await far.run(sleep(5));
  log.push(`${await near.run(kill(task, { force: true }))}`, `at ${far.now()}`);
  assertEquals(log, ["cleaned up", "true", "at 25"]);
});

Deno.test("a daemon that is killed through another scheduler belongs to its own: both main loops end", async () => {
  const log: string[] = [];
  const [own, other] = [new Scheduler(), new Scheduler()];
  const daemon = own.spawn(function* () {
    try {
      yield* sleep(1e6);
    } finally {
      for (let i = 0; i < 3; i++) yield;
      log.push("cleaned up");
    }
  }, { daemon: true });
  own.spawn(function* () {
    yield;
    const killed = other.kill(daemon).then(() => log.push("killed"));
    yield killed;
  });
  await own.mainLoop();
  log.push("its own is over");
  other.spawn(function* () {
    yield;
    log.push("the other works");
  });
  await other.mainLoop();
  log.push("the other is over");
  assertEquals(log, ["cleaned up", "killed", "its own is over", "the other works", "the other is over"]);
});
