// deno-lint-ignore-file no-unsafe-finally -- cleanup that throws, or will not end, is what is tested
import { assertEquals, assertThrows } from "@std/assert";
import {
  abortable,
  call,
  type Coroutine,
  currentTask,
  defer,
  getTid,
  join,
  kill,
  shield,
  sleep,
  spawn,
  type Task,
  timeout,
  waitTask,
} from "../mod.ts";
import { ending, LateClock, Oops, Shop, SPELLINGS, stage, testSpelled, words } from "./_transcript.ts";

/** Works in a shield for `ms`, and says what it sees. */
function* shielded(name: string, ms: number, say: (text: string) => void): Coroutine<string> {
  return yield* shield(function* () {
    try {
      yield* sleep(ms);
      say(`${name} is done`);
      return name;
    } catch (error) {
      say(`${name} sees ${words(error)}`);
      throw error;
    }
  });
}

/** Says what an operation came to. */
function* attempt(what: string, operation: Coroutine<unknown>, say: (text: string) => void): Coroutine<void> {
  try {
    say(`${what} gave ${yield* operation}`);
  } catch (error) {
    say(`${what} threw ${words(error)}`);
    throw error;
  }
}

function* timed<T>(ms: number, coroutine: Coroutine<T>): Coroutine<T> {
  return yield* timeout(ms, coroutine);
}

// ---- What a shield holds back ----------------------------------------------------------------------------------------

testSpelled(
  "shield() holds a kill back until it has ended; then the task is cancelled at its next wait",
  (as) => {
    const { scheduler, log, say } = stage();
    function* work(): Coroutine<void> {
      try {
        say(`got ${yield* as(shielded("the shield", 10, say))}`);
        yield* sleep(60_000);
        say("never said");
      } catch (error) {
        say(`work sees ${words(error)}`);
        throw error;
      } finally {
        yield* sleep(1);
        say("work cleaned up");
      }
    }
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        yield* as(work());
        say("never said");
      });
      yield* sleep(5);
      say(`killed: ${yield* kill(task, { reason: "why" })}`);
      say(ending(task));
    });
    assertEquals(log, [
      "10 the shield is done",
      "10 got the shield",
      "10 work sees Cancelled(why)",
      "11 work cleaned up",
      "11 killed: true",
      "11 killed why",
    ]);
  },
);

Deno.test("a task whose shield was its last wait has returned", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(shielded("the shield", 10, say));
    yield* sleep(5);
    say(`killed: ${yield* kill(task)}`);
    say(ending(task));
  });
  assertEquals(log, ["10 the shield is done", "10 killed: true", "10 returned the shield"]);
});

Deno.test("an error that leaves a shield with a kill pending goes to its caller", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* shield(function* () {
          yield* sleep(10);
          throw new Oops("in the shield");
        });
      } catch (error) {
        say(`caught ${words(error)}`);
      }
      yield;
      say("never said");
    });
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 caught in the shield", "10 killed"]);
});

Deno.test("what a shielded wait takes is not lost, and a task that waits in shields only dies in the end", () => {
  const { scheduler, log, say } = stage({ killGrace: 100 });
  const items = Array.from({ length: 50 }, (_, i) => `${i}`);
  const shop = new Shop();
  const taken: string[] = [];
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) taken.push(yield* shield(shop.take()));
    });
    yield;
    yield* kill(task, { wait: false });
    for (const item of items) {
      shop.put(scheduler, item);
      yield* sleep(10);
    }
    say(ending(task));
    yield* kill(task, { force: true });
  });
  assertEquals([...taken, ...shop.items], items);
  assertEquals([...log, shop.items.length > 0, shop.waiting], ["500 killed", true, 0]);
});

Deno.test("two shields in a natural finally both run, though a kill waits for the end of the first", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        say("works");
      } finally {
        yield* shielded("the first", 10, say);
        yield* shielded("the second", 10, say);
        yield;
        say("never said");
      }
    });
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 works", "10 the first is done", "20 the second is done", "20 killed"]);
});

Deno.test("shields nest: a kill waits for the outermost", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* shield(function* () {
        yield* shielded("inner", 10, say);
        yield* sleep(10);
        yield* shielded("another", 10, say);
        yield* call(function* () {
          yield* sleep(10);
          say("called");
        });
      });
      yield;
      say("never said");
    });
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 inner is done", "30 another is done", "40 called", "40 killed"]);
});

testSpelled("shield() holds back the timeouts outside it, not those inside it", (as) => {
  const { scheduler, log, say } = stage();
  function* inside(): Coroutine<void> {
    try {
      yield* attempt("inside", timed(20, sleeper()), say);
    } catch {
      yield* sleep(20);
      say("the shield goes on");
    }
  }
  function* sleeper(): Coroutine<void> {
    yield* sleep(60_000);
  }
  function* body(): Coroutine<void> {
    yield* shield(as(inside()));
    say("to the next wait");
    yield;
    say("never said");
  }
  scheduler.runSync(function* () {
    try {
      yield* attempt("outside", timed(10, body()), say);
    } catch {
      say("goes on");
    }
  });
  assertEquals(log, [
    "20 inside threw TimeoutError",
    "40 the shield goes on",
    "40 to the next wait",
    "40 outside threw TimeoutError",
    "40 goes on",
  ]);
});

Deno.test("a timeout that expired during a shield, and no wait after it: its value, however late", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt("outside", timed(10, shielded("the shield", 50, say)), say);
    yield* sleep(10);
    say("nothing came after");
  });
  assertEquals(log, ["50 the shield is done", "50 outside gave the shield", "60 nothing came after"]);
});

Deno.test("timeout(0) round a shield expires at the first wait outside it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* attempt(
      "no wait after",
      timed(0, shielded("the shield", 10, say)),
      say,
    );
    try {
      yield* timeout(0, function* () {
        yield* shielded("the shield", 10, say);
        yield;
        say("never said");
      });
    } catch (error) {
      say(words(error));
    }
    yield* shield(function* () {
      try {
        yield* timeout(0, sleep(10));
      } catch (error) {
        say(`inside: ${words(error)}`);
      }
    });
  });
  assertEquals(log, [
    "10 the shield is done",
    "10 no wait after gave the shield",
    "20 the shield is done",
    "20 TimeoutError",
    "20 inside: TimeoutError",
  ]);
});

for (const [first, killAt, timeoutAt] of [["kill", 5, 8], ["timeout", 8, 5]] as const) {
  Deno.test(`a kill in the middle of a shield inside a timeout, the ${first} first`, () => {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* timeout(timeoutAt, function* () {
            try {
              yield* shielded("the shield", 10, say);
              yield* sleep(60_000);
              say("never said");
            } catch (error) {
              say(`inside sees ${words(error)}`);
              throw error;
            }
          });
        } catch (error) {
          say(`outside sees ${words(error)}`);
          try {
            yield* sleep(1);
            say("cleaned up");
          } catch (error) {
            say(`and then ${words(error)}`);
          }
        }
      });
      yield* sleep(killAt);
      yield* kill(task, { reason: "why" });
      say(ending(task));
    });
    assertEquals(
      log,
      first === "kill"
        ? [
          "10 the shield is done",
          "10 inside sees Cancelled(why)",
          "10 outside sees Cancelled(why)",
          "11 cleaned up",
          "11 killed why",
        ]
        : [
          "10 the shield is done",
          "10 inside sees Cancelled(TimeoutError)",
          "10 outside sees TimeoutError",
          "10 and then Cancelled(why)",
          "10 killed why",
        ],
    );
  });
}

Deno.test("a kill that was held back is delivered into cleanup that a timeout began meanwhile", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* timeout(5, function* () {
        try {
          yield* sleep(60_000);
        } finally {
          yield* shielded("cleanup in the shield", 10, say);
          try {
            yield* sleep(60_000);
          } catch (error) {
            say(`cleanup outside it sees ${words(error)}`);
          }
        }
      });
    });
    yield* sleep(7);
    yield* kill(task, { reason: "why" });
    say(ending(task));
  });
  assertEquals(log, [
    "15 cleanup in the shield is done",
    "15 cleanup outside it sees Cancelled(why)",
    "15 killed why",
  ]);
});

Deno.test("two outer timeouts expire during one shield: the one that expired first unwinds, then the other", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (const [outer, inner] of [[5, 8], [8, 5]] as const) {
      try {
        yield* timeout(outer, function* () {
          try {
            yield* timeout(inner, function* () {
              yield* shielded("the shield", 10, say);
              yield;
            });
          } catch (error) {
            say(`inside: ${words(error)}`);
            yield;
            say("cleanup that waits");
          }
        });
      } catch (error) {
        say(`outside: ${words(error)}`);
      }
    }
  });
  assertEquals(log, [
    "10 the shield is done",
    "10 inside: Cancelled(TimeoutError)",
    "10 cleanup that waits",
    "10 outside: TimeoutError",
    "20 the shield is done",
    "20 inside: TimeoutError",
    "20 outside: TimeoutError",
  ]);
});

Deno.test("a kill and a timeout that both come late in one turn with the end of the shield lose nothing", () => {
  const { scheduler, log, say } = stage({}, new LateClock(100));
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      try {
        yield* timeout(20, function* () {
          say(`got ${yield* shielded("the shield", 10, say)}`);
          yield* sleep(60_000);
        });
      } catch (error) {
        say(`outside: ${words(error)}`);
        yield;
        say("never said");
      }
    });
    yield* sleep(15);
    yield* kill(task, { reason: "why" });
    say(ending(task));
  });
  // All three timers ring in one turn: the end of the shield's sleep, the killer's, the timeout's.
  assertEquals(log, [
    "110 the shield is done",
    "110 got the shield",
    "110 outside: TimeoutError",
    "110 killed why",
  ]);
});

Deno.test("shield() holds back an abort outside it", () => {
  const { scheduler, log, say } = stage();
  const controller = new AbortController();
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      yield* sleep(5);
      controller.abort(new Oops("aborted"));
    });
    try {
      yield* abortable(controller.signal, function* () {
        yield* shielded("the shield", 10, say);
        yield;
        say("never said");
      });
    } catch (error) {
      say(words(error));
    }
  });
  assertEquals(log, ["10 the shield is done", "10 aborted"]);
});

Deno.test("a shield in cleanup: a kill's own unwinding goes on after it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* call(function* () {
        try {
          yield* sleep(60_000);
        } finally {
          say(`got ${yield* shielded("the shield", 10, say)}`);
          yield* sleep(1);
          say("inner cleaned up");
        }
      });
      say("never said");
    });
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 the shield is done", "10 got the shield", "11 inner cleaned up", "11 killed"]);
});

testSpelled(
  "a shield in cleanup of a timeout holds the outer timeout back, and the rest of the cleanup is cut",
  (as) => {
    const { scheduler, log, say } = stage();
    function* body(): Coroutine<void> {
      try {
        yield* sleep(60_000);
      } finally {
        yield* as(shielded("the shield", 20, say));
        yield* sleep(1);
        say("never said");
      }
    }
    scheduler.runSync(function* () {
      try {
        yield* timeout(20, function* () {
          yield* attempt("inside", timed(10, body()), say);
        });
      } catch (error) {
        say(`outside: ${words(error)}`);
      }
    });
    assertEquals(log, [
      "30 the shield is done",
      "30 inside threw Cancelled(TimeoutError)",
      "30 outside: TimeoutError",
    ]);
  },
);

Deno.test("a task that was killed while it was ready to enter a shield enters it, and dies after it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      yield* sleep(10);
      yield* kill(victim, { wait: false });
    });
    const victim = yield* spawn(function* () {
      yield* sleep(10);
      yield* shielded("the shield", 10, say);
      yield* sleep(1);
      say("never said");
    });
    yield* waitTask(victim.tid);
    say(ending(victim));
  });
  assertEquals(log, ["20 the shield is done", "20 killed"]);
});

Deno.test("a shield does not hold back the kill of a task that its coroutine waits for", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const other = yield* spawn(sleep(60_000));
    const task = yield* spawn(function* () {
      yield* shield(function* () {
        try {
          yield* join(other);
        } catch (error) {
          say(words(error));
        }
      });
    });
    yield* sleep(5);
    yield* kill(task, { wait: false });
    yield* kill(other);
    yield* waitTask(task.tid);
    say(`${ending(task)}, ${ending(other)}`);
  });
  assertEquals(log, ["5 JoinError(Cancelled)", "5 returned undefined, killed"]);
});

Deno.test("killers wait as long as the shield does, and get true", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(shielded("the shield", 10, say));
    yield;
    for (const name of ["a", "b"]) {
      yield* spawn(function* () {
        say(`${name}: ${yield* kill(task)}`);
      });
    }
    try {
      yield* timeout(5, kill(task));
    } catch (error) {
      say(`impatient: ${words(error)}`);
    }
  });
  assertEquals(log, ["5 impatient: TimeoutError", "10 the shield is done", "10 a: true", "10 b: true"]);
});

Deno.test("a loop of shields that never waits is cancelled, wherever its step budget ends", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    for (let before = 0; before < 4; before++) {
      const task = yield* spawn(function* () {
        for (let i = 0; i < before; i++) yield* getTid();
        for (let i = 0; i < 100_000; i++) yield* shield(getTid());
      });
      yield;
      yield* kill(task);
      say(`after ${before} calls: ${ending(task)}`);
    }
  });
  assertEquals(log, [0, 1, 2, 3].map((before) => `0 after ${before} calls: killed`));
});

Deno.test("shield() takes any work, gives its value, and refuses what is none, in the caller", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* sleep(1);
      return "joined";
    });
    say(yield* shield(task));
    say(`${yield* shield(getTid())}`);
    say(
      yield* shield(function* () {
        return "called";
      }),
    );
    for (const work of ["text", 42, null, (x: number) => sleep(x)]) {
      try {
        yield* shield(work as unknown as Coroutine<void>);
        say("taken");
      } catch (error) {
        say(words(error));
      }
    }
  });
  assertEquals(log, ["1 joined", "1 1", "1 called", ...Array(4).fill("1 TypeError")]);
});

Deno.test("a kill waits for the outermost of ten thousand shields", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    function* down(depth: number): Coroutine<number> {
      if (depth === 0) {
        yield* sleep(10);
        return 0;
      }
      return 1 + (yield* shield(down(depth - 1)));
    }
    const task = yield* spawn(function* () {
      say(`${yield* down(10_000)} deep`);
      yield;
      say("never said");
    });
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 10000 deep", "10 killed"]);
});

// ---- defer ---------------------------------------------------------------------------------------------------------

testSpelled("deferred cleanups run when the frame is killed, newest first, before its caller's", (as) => {
  const { scheduler, log, say } = stage();
  function* cleanup(name: string): Coroutine<void> {
    yield* sleep(1);
    say(`${name} closed`);
  }
  function* inner(): Coroutine<void> {
    yield* defer(cleanup("inner 1"));
    yield* defer(cleanup("inner 2"));
    try {
      yield* sleep(60_000);
    } finally {
      yield* sleep(1);
      say("inner finally");
    }
  }
  function* outer(): Coroutine<void> {
    yield* defer(cleanup("outer"));
    try {
      yield* as(inner());
    } finally {
      yield* sleep(1);
      say("outer finally");
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(as(outer()));
    yield* sleep(10);
    yield* kill(task);
    say(ending(task));
  });
  const native = as === SPELLINGS["yield* f()"];
  assertEquals(
    log,
    native
      // the frame is that of the outermost generator
      ? [
        "11 inner finally",
        "12 outer finally",
        "13 inner 2 closed",
        "14 inner 1 closed",
        "15 outer closed",
        "15 killed",
      ]
      : [
        "11 inner finally",
        "12 inner 2 closed",
        "13 inner 1 closed",
        "14 outer finally",
        "15 outer closed",
        "15 killed",
      ],
  );
});

Deno.test("a deferred cleanup that throws is in the outcome, in order, and the others run", () => {
  const { scheduler, log, say } = stage();
  function* broken(name: string): Coroutine<void> {
    yield* sleep(1);
    say(name);
    throw new Oops(name);
  }
  scheduler.runSync(function* () {
    const one = yield* spawn(function* () {
      yield* defer(broken("only"));
      yield* sleep(60_000);
    });
    const several = yield* spawn(function* () {
      yield* defer(broken("fourth"));
      yield* call(function* () {
        yield* defer(broken("third"));
        yield* defer(broken("second"));
        try {
          yield* sleep(60_000);
        } finally {
          yield* broken("first");
        }
      });
    });
    yield;
    yield* kill(one);
    say(ending(one));
    yield* kill(several);
    say(ending(several));
  });
  assertEquals(log, [
    "1 only",
    "1 failed only",
    "2 first",
    "3 second",
    "4 third",
    "5 fourth",
    "5 failed [first, second, third, fourth]",
  ]);
});

Deno.test("without a kill, too, the errors of a frame and of its deferred cleanups come out in order", () => {
  const { scheduler, log, say } = stage();
  function* broken(name: string): Coroutine<void> {
    yield* sleep(1);
    throw new Oops(name);
  }
  scheduler.runSync(function* () {
    for (const body of ["returns", "fails"]) {
      try {
        say(
          yield* call(function* () {
            yield* defer(broken("third"));
            yield* defer(broken("second"));
            if (body === "fails") yield* broken("first");
            return "value";
          }),
        );
      } catch (error) {
        say(`${body}: ${words(error)}`);
      }
    }
  });
  assertEquals(log, ["2 returns: [second, third]", "5 fails: [first, second, third]"]);
});

Deno.test("a deferred cleanup may defer, call, time out and shield, itself being killed or not", () => {
  for (const killed of [true, false]) {
    const { scheduler, log, say } = stage();
    scheduler.runSync(function* () {
      const task = yield* spawn(function* () {
        yield* defer(function* () {
          yield* defer(function* () {
            yield* sleep(1);
            say("deferred by the deferred");
          });
          try {
            yield* timeout(1, sleep(50));
          } catch (error) {
            say(words(error));
          }
          yield* call(function* () {
            yield* defer(function* () {
              yield* sleep(1);
              say("deferred by the called");
            });
            yield* shield(sleep(1));
            say("called");
          });
        });
        yield* defer(function* () {
          say("newest first");
        });
        yield* sleep(killed ? 60_000 : 10);
      });
      yield* sleep(10);
      if (killed) yield* kill(task);
      yield* waitTask(task.tid);
      say(ending(task));
    });
    assertEquals(log, [
      "10 newest first",
      "11 TimeoutError",
      "12 called",
      "13 deferred by the called",
      "14 deferred by the deferred",
      killed ? "14 killed" : "14 returned undefined",
    ]);
  }
});

Deno.test("what cleanup defers, runs: in a finally that a kill began", () => {
  const { scheduler, log, say } = stage();
  function* inner(): Coroutine<string> {
    try {
      yield* sleep(60_000);
    } finally {
      yield* defer(function* () {
        yield* sleep(1);
        say("deferred in the finally");
      });
      yield* sleep(1);
      say("inner finally");
    }
    return "never";
  }
  function* outer(): Coroutine<void> {
    try {
      say(yield* call(inner()));
    } catch (error) {
      say(`outer sees ${words(error)}`);
    }
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(outer());
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["1 inner finally", "2 deferred in the finally", "2 outer sees Cancelled", "2 killed"]);
});

Deno.test("a frame that swallows Cancelled after it has deferred does not bring its caller back to life", () => {
  const { scheduler, log, say } = stage();
  function* inner(): Coroutine<string> {
    try {
      yield* sleep(60_000);
    } catch {
      yield* defer(function* () {
        say("deferred in the catch");
      });
    }
    return "swallowed";
  }
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      say(yield* call(inner()));
    });
    yield;
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 deferred in the catch", "0 killed"]);
});

Deno.test("a kill that was told while a deferred cleanup runs is delivered at the next wait after it", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* call(function* () {
        yield* defer(function* () {
          yield* sleep(10);
          say("deferred done");
        });
      });
      say("the caller goes on to its next wait");
      yield;
      say("never said");
    });
    yield* sleep(5);
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["10 deferred done", "10 the caller goes on to its next wait", "10 killed"]);
});

Deno.test("a kill that was told while the last deferred cleanup of a task runs: it has returned", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* defer(sleep(10));
      return "value";
    });
    yield* sleep(5);
    say(`killed: ${yield* kill(task)}, ${ending(task)}`);
  });
  assertEquals(log, ["10 killed: true, returned value"]);
});

Deno.test("defer() of a task that never started never runs", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* defer(function* () {
        say("never said");
      });
    });
    yield* kill(task);
    say(ending(task));
  });
  assertEquals(log, ["0 killed"]);
});

Deno.test("defer() a thousand times runs a thousand cleanups, newest first", () => {
  const { scheduler } = stage();
  const order: number[] = [];
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (let i = 0; i < 1_000; i++) {
        yield* defer(function* () {
          yield;
          order.push(i);
        });
      }
      yield* sleep(60_000);
    });
    yield* sleep(1);
    yield* kill(task);
  });
  assertEquals(order, Array.from({ length: 1_000 }, (_, i) => 999 - i));
});

Deno.test("a task that waits in deferred cleanups only dies in the end", () => {
  const { scheduler, log, say } = stage({ killGrace: 100 });
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      for (;;) {
        yield* call(function* () {
          yield* defer(sleep(10));
        });
      }
    });
    yield* sleep(5);
    yield* kill(task, { wait: false });
    yield* sleep(500);
    say(ending(task));
    yield* kill(task, { force: true });
  });
  assertEquals(log, ["505 killed"]);
});

Deno.test("a deferred cleanup that kills its own task would wait for itself: that is refused there", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      const self = yield* currentTask();
      yield* defer(function* () {
        try {
          say(`in cleanup: ${yield* kill(self)}`);
        } catch (error) {
          say(words(error));
        }
      });
    });
    yield* sleep(100);
    if (task.state !== "ended") say(`it hangs: ${task.waitingFor}`);
    yield* kill(task, { force: true });
  });
  assertEquals(log, ["0 DeadlockError"]);
});

Deno.test("an error that a frame threw by itself is not lost when its deferred cleanup is closed by force", () => {
  const { scheduler, log, say } = stage();
  scheduler.runSync(function* () {
    const task: Task = yield* spawn(function* () {
      yield* defer(function* () {
        try {
          yield* sleep(Infinity);
        } finally {
          throw new Oops("second");
        }
      });
      throw new Oops("first");
    });
    yield* sleep(5);
    yield* kill(task, { wait: false });
    yield* sleep(5);
    say(ending(task));
    yield* kill(task, { force: true });
    const { error } = task.outcome as { error: AggregateError };
    say(error.errors.map(words).toSorted().join(", "));
  });
  assertEquals(log, ["10 alive", "10 first, second"]);
});

Deno.test("after force has closed a deferred cleanup, grace stands still in the next ones as well", () => {
  const { scheduler, log, say } = stage({ killGrace: 100 });
  scheduler.runSync(function* () {
    const task = yield* spawn(function* () {
      yield* defer(function* () {
        yield* sleep(10_000);
        say("first deferred");
      });
      yield* defer(sleep(Infinity));
      yield* sleep(60_000);
    });
    yield;
    yield* kill(task, { wait: false });
    yield* sleep(1_000);
    yield* kill(task, { force: true });
    say(ending(task));
  });
  assertEquals(log, ["11000 first deferred", "11000 killed"]);
});

Deno.test("defer() refuses what is no work, in the caller and at once", () => {
  const { scheduler, log, say } = stage();
  function* used(): Coroutine<void> {}
  scheduler.runSync(function* () {
    const spent = used();
    yield* spent;
    const twice = used();
    yield* defer(twice);
    for (const work of [twice, "text", 42, null, undefined, (x: number) => sleep(x)]) {
      try {
        yield* defer(work as unknown as Coroutine<void>);
        say("taken");
      } catch (error) {
        say(words(error));
      }
    }
    assertThrows(() => scheduler.spawn(twice), TypeError);
  });
  assertEquals(log, Array(6).fill("0 TypeError"));
});
