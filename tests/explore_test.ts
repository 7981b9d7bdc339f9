import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  all,
  call,
  connect,
  type Coroutine,
  DeadlockError,
  Event,
  Future,
  InvalidStateError,
  join,
  kill,
  listen,
  listenDatagram,
  Lock,
  type Operation,
  Queue,
  Scheduler,
  Semaphore,
  settle,
  shield,
  sleep,
  spawn,
  taskGroup,
  timeout,
  until,
} from "../mod.ts";
import {
  explore,
  type ExploreOptions,
  type ExploreReport,
  type ExploreStrategy,
  replay,
  ScheduleError,
  sweep,
  VirtualClock,
  type World,
} from "../testing.ts";

/** A program of some tasks that do nothing but give way. */
function idle(tasks: number, yields: number): (world: World) => void {
  function* worker(): Coroutine<void> {
    for (let i = 0; i < yields; i++) yield;
  }
  return (world) => {
    for (let i = 0; i < tasks; i++) world.spawn(worker);
  };
}

/** What breaks a program. */
function broken(body: (world: World) => unknown, options?: ExploreOptions): ScheduleError {
  return assertThrows(() => explore(body, options), ScheduleError);
}

/** Two tasks add one each, and give way between reading and writing. */
function lostUpdate(world: World): () => void {
  let balance = 0;
  for (const name of ["alice", "bob"]) {
    world.spawn(function* () {
      const before = balance;
      yield;
      balance = before + 1;
    }, { name });
  }
  return () => assertEquals(balance, 2);
}

function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = value * (n - k + i) / i;
  return Math.round(value);
}

// ---- What is tried ---------------------------------------------------------------------------------------------------

Deno.test("explore tries every schedule of two tasks, each once", () => {
  for (const yields of [0, 1, 2, 3, 4, 5]) {
    const report = explore(idle(2, yields));
    assertEquals(report.runs, binomial(2 * yields + 2, yields + 1), `${yields} yields`);
    assertEquals([report.complete, report.preemptions], [true, Infinity]);
  }
});

Deno.test("all 184 756 schedules of two tasks of nine yields", () => {
  const report = explore(idle(2, 9), { strategy: "bounded", runs: 184_756, maxMs: Infinity });
  assertEquals([report.runs, report.complete, report.steps, report.tasks], [184_756, true, 21, 3]);
});

Deno.test("all 1 680 schedules of three tasks of two yields, and no two are the same", () => {
  const seen = new Set<string>();
  const report = explore((world) => {
    let order = "";
    for (const name of ["a", "b", "c"]) {
      world.spawn(function* () {
        for (let i = 0; i < 3; i++) {
          order += name;
          if (i < 2) yield;
        }
      });
    }
    return () => seen.add(order);
  });
  assertEquals([report.runs, report.complete, seen.size], [1680, true, 1680]);
});

Deno.test("a bound counts preemptions: tasks that are stopped though they could go on", () => {
  // Two tasks of six steps. None is stopped: 2 orders. One is: after any of its first five steps, 5 places for either.
  // Two: the first is cut into two, the second into two, and so on.
  const runs = [0, 1, 2].map((preemptions) => explore(idle(2, 5), { strategy: "bounded", preemptions }));
  assertEquals(runs.map((report) => report.runs), [2, 2 + 10, 2 + 10 + 2 * 5 * 5]);
  assertEquals(runs.map((report) => report.complete), [true, true, true]);
  assertEquals(runs.map((report) => report.preemptions), [0, 1, 2]);
});

Deno.test("a task that waits is not preempted: who goes on instead is a choice of its own", () => {
  const report = explore((world) => {
    for (let i = 0; i < 3; i++) world.spawn(sleep(i));
  }, { strategy: "bounded", preemptions: 0 });
  assertEquals([report.runs, report.preemptions], [6, Infinity]); // who sleeps first; they wake one by one
});

Deno.test("fifo is the schedule of production, and one run", () => {
  const program = (log: string[]) =>
    function* (): Coroutine<void> {
      const lock = new Lock();
      for (const name of ["a", "b", "c"]) {
        yield* spawn(function* () {
          for (let i = 0; i < 4; i++) {
            log.push(name + i);
            if (i === 1) yield* sleep(5 - log.length % 3);
            else if (i === 2) yield* lock.with(sleep(1));
            else yield;
          }
        });
      }
    };
  const production: string[] = [];
  new Scheduler({ clock: new VirtualClock() }).runSync(program(production));
  const explored: string[] = [];
  const report = explore(() => program(explored)(), { strategy: "fifo" });
  assertEquals(explored, production);
  assertEquals([report.runs, report.strategies.fifo, report.complete], [1, 1, false]);
});

Deno.test("what runs and maxMs allow is kept: a search that does not get to its end is not complete", () => {
  const runs = explore(idle(3, 30), { runs: 500 });
  assertEquals([runs.runs, runs.complete, runs.preemptions], [500, false, 0]);
  assertEquals(runs.strategies, { fifo: 1, bounded: 399, pct: 50, random: 50 });
  for (const strategy of ["bounded", "pct", "random"] as const) {
    const report = explore(idle(3, 30), { strategy, runs: 100 });
    assertEquals([report.runs, report.strategies[strategy], report.complete], [100, 100, false]);
  }
  assert(!explore(idle(3, 30), { runs: 1e9, maxMs: 5 }).complete);
});

Deno.test("PCT says what its runs promise: 1/(n·k^(d-1)) each, once it knows how long a run is", () => {
  const report = explore(idle(3, 30), { runs: 500, depth: 2 });
  const choices = Number(/(\d+) choices/.exec(report.summary)![1]);
  assertEquals([report.strategies.pct, report.tasks, choices], [50, 4, 92]); // main is a task; each of 3·31 steps is a choice but the last
  assertEquals(report.chance, 1 - (1 - 1 / (4 * choices)) ** 50);
  assertStringIncludes(
    report.summary,
    "PCT, 50 runs: a bug that needs 2 events in one order, in at most 4 tasks",
  );
  const found = [10, 200].map((runs) =>
    explore(idle(1, 1), { strategy: "pct", runs, depth: 1 }).summary.split("is found ")[1]
  );
  assertEquals(found, ["with a probability of 99 % or more", "for certain"]);
  const first = explore(idle(3, 30), { strategy: "pct", runs: 1, depth: 2 });
  assertEquals(first.chance, 0); // it knew nothing of the program
});

Deno.test("PCT finds what random draws do not: one task that is far behind the others", () => {
  const program = (world: World) => {
    let ready = false;
    world.spawn(function* slow() {
      for (let i = 0; i < 30; i++) yield;
      ready = true;
    });
    world.spawn(function* user() {
      for (let i = 0; i < 60; i++) yield;
      assert(ready, "used before it was ready");
    });
  };
  assertEquals(explore(program, { strategy: "random", runs: 500 }).runs, 500);
  assertEquals(broken(program, { strategy: "pct", runs: 500 }).strategy, "pct");
});

Deno.test("the same seed tries the same schedules, another one tries others", () => {
  const orders = (seed: number, strategy: ExploreStrategy) => {
    const log: string[] = [];
    explore((world) => {
      for (const name of ["a", "b"]) {
        world.spawn(function* () {
          for (let i = 0; i < 10; i++) {
            log.push(name);
            yield;
          }
        });
      }
    }, { strategy, runs: 10, seed });
    return log.join("");
  };
  for (const strategy of ["pct", "random"] as const) {
    assertEquals(orders(1, strategy), orders(1, strategy));
    assertNotEquals(orders(1, strategy), orders(2, strategy));
  }
});

Deno.test("a task that polls in a loop gets to see what it polls for, under every strategy", () => {
  const program = (world: World) => {
    let done = false;
    world.spawn(function* poll() {
      while (!done) yield;
    });
    world.spawn(function* () {
      yield;
      done = true;
    });
  };
  for (const strategy of ["fifo", "bounded", "pct", "random"] as const) {
    explore(program, { strategy, runs: 300, preemptions: 1 });
  }
  assertEquals(broken(program, { strategy: "bounded", patience: Infinity }).kind, "livelock");
});

// ---- The world -------------------------------------------------------------------------------------------------------

Deno.test("each run has a scheduler, a clock and tids of its own, and it is the current one", () => {
  const schedulers = new Set<Scheduler>();
  explore((world) => {
    assertEquals(Scheduler.current(), world.scheduler);
    assertEquals([world.clock.now(), world.scheduler.now()], [0, 0]);
    const task = world.spawn(function* () {
      assertEquals(Scheduler.current(), world.scheduler);
      yield* sleep(86_400_000);
      assertEquals(world.clock.now(), 86_400_000);
    }, { name: "sleeper" });
    assertEquals([task.tid, task.parent, task.name], [2, 1, "sleeper"]);
    schedulers.add(world.scheduler);
    world.spawn(sleep(1));
  });
  assert(!schedulers.has(Scheduler.current()));
});

Deno.test("a body may be main itself, or give any operation", () => {
  const bodies: ((world: World) => unknown)[] = [
    function* (world) {
      const task = world.spawn(function* () {
        yield;
        return 42;
      });
      assertEquals(yield* task, 42);
    },
    () => sleep(5),
    (world) => world.spawn(sleep(1)),
    () => call(sleep(1)),
    () => 42,
  ];
  for (const body of bodies) assert(explore(body).complete);
});

Deno.test("what a body returns is called when all tasks have ended, and so is what main returns", () => {
  let ended = 0;
  let calls = 0;
  const check = () => {
    calls++;
    assertEquals(ended, 1);
  };
  const worker = function* (): Coroutine<void> {
    yield* sleep(1);
    ended++;
  };
  explore((world) => {
    ended = 0;
    world.spawn(worker);
    return check;
  }, { strategy: "fifo" });
  explore(function* (world) {
    ended = 0;
    world.spawn(worker);
    yield;
    return check;
  }, { strategy: "fifo" });
  assertEquals(calls, 2);
});

Deno.test("choose goes through all that there is to choose from, and maybe through no and yes", () => {
  const seen: string[] = [];
  const report = explore((world) => {
    const number = world.choose(3);
    const letter = world.choose(["x", "y"]);
    seen.push(`${number}${letter}${world.maybe(0.01) ? "!" : ""}${world.choose(1)}${world.maybe(1)}`);
  });
  assertEquals(
    seen.filter((_, i) => i > 0).sort(), // fifo comes first, and is found again
    ["0x!", "0x", "0y!", "0y", "1x!", "1x", "1y!", "1y", "2x!", "2x", "2y!", "2y"].map((s) => `${s}0true`)
      .sort(),
  );
  assertEquals([report.runs, report.complete], [12, true]);
});

Deno.test("what is drawn from many is sampled, and then nothing is said to be complete", () => {
  const seen = new Set<number>();
  const report = explore((world) => {
    const drawn = world.random();
    assert(drawn >= 0 && drawn < 1);
    seen.add(drawn);
  }, { strategy: "random", runs: 100 });
  assertEquals([report.complete, seen.size > 90], [false, true]);
  assert(!explore((world) => void world.choose(1000), { runs: 10 }).complete);
});

Deno.test("always is looked at after every step", () => {
  const error = broken((world) => {
    let open = 0;
    world.always("one at most", () => open <= 1);
    for (let i = 0; i < 2; i++) {
      world.spawn(function* () {
        open++;
        yield;
        open--;
      });
    }
  });
  assertEquals([error.kind, error.preemptions, error.cause], ["always", 1, undefined]);
  assertStringIncludes(error.message, '"one at most" does not hold');
  const thrown = broken((world) => {
    let value = 0;
    world.always("an assertion", () => assertEquals(value, 0, "not nought"));
    world.spawn(function* () {
      value = 1;
    });
  });
  assertStringIncludes((thrown.cause as Error).message, "not nought");
});

Deno.test("eventually has to come true in its time, or by the end of the run", () => {
  const program = (pause: number, within?: number) => (world: World) => {
    let done = false;
    world.eventually("done", () => done, within === undefined ? {} : { within });
    world.spawn(function* () {
      yield* sleep(pause);
      done = true;
      yield* sleep(1000);
      done = false;
    });
  };
  assert(explore(program(100, 100)).complete);
  assert(explore(program(100)).complete);
  const late = broken(program(100, 99));
  assertEquals([late.kind, late.lastSteps.length], ["eventually", 2]);
  assertStringIncludes(late.message, '"done" has not come true within 99 ms');
  const never = broken((world) => {
    world.eventually("asserted", () => {
      assertEquals(1, 2, "never");
      return true;
    });
  });
  assertStringIncludes(never.message, '"asserted" has not come true by the end of the run');
  assertStringIncludes((never.cause as Error).message, "never");
});

Deno.test("sometimes has to be reached in some run", () => {
  const program = (world: World) => {
    let order = "";
    for (const name of ["a", "b"]) {
      world.spawn(function* () {
        order += name;
      });
    }
    return () => {
      if (order === "ba") world.sometimes("b first");
      if (order === "c") world.sometimes("c at all");
      world.sometimes("a first", order === "ab");
    };
  };
  const error = broken(program);
  assertEquals([error.kind, error.runs, error.replay], ["sometimes", 2, ""]);
  assertEquals(error.message, 'never reached: "c at all" (2 runs, which are all there are)');
  let watched = 0;
  explore((world) => {
    watched = 0;
    world.sometimes("two steps", () => watched === 2);
    world.spawn(function* () {
      watched++;
      yield;
      watched++;
      yield;
      watched++;
    });
  });
});

Deno.test("listen, connect and listenDatagram work on the network of the run, a new one for each", () => {
  const received = new Set<string>();
  const networks = new Set<unknown>();
  const report = explore(function* (world) {
    networks.add(world.net);
    world.net.change({ segment: [1, Infinity] });
    using listener = listen({ port: 7 });
    using port = listenDatagram({ port: 7 });
    world.spawn(function* () {
      using socket = yield* connect({ port: 7 });
      yield* socket.send("abc");
      using other = listenDatagram({ port: 0 });
      yield* other.send("hi", port.addr as Deno.NetAddr);
    });
    const [socket] = yield* listener.accept();
    received.add(new TextDecoder().decode((yield* socket.recv())!));
    socket.close();
    const [datagram] = yield* port.receive();
    assertEquals(new TextDecoder().decode(datagram), "hi");
    return () => assertEquals(world.net.open, 0);
  });
  assert(report.complete && networks.size > 3);
  assertEquals([...received].sort(), ["a", "ab", "abc"]);
});

Deno.test("a simulated network and its explorer need no helpers of iterators, which Node.js 20 does not have", () => {
  const iterators: object = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
  const helpers = [
    "map",
    "filter",
    "take",
    "drop",
    "flatMap",
    "reduce",
    "toArray",
    "forEach",
    "some",
    "every",
    "find",
  ];
  const before = helpers.map((name) => Object.getOwnPropertyDescriptor(iterators, name)!);
  for (const name of helpers) Reflect.deleteProperty(iterators, name);
  try {
    const exchange = () =>
      taskGroup(function* (group) {
        using listener = listen({ port: 7 });
        group.spawn(function* () {
          using socket = yield* connect({ port: 7 });
          yield* socket.send("abc");
        });
        using socket = (yield* listener.accept())[0];
        yield* socket.readAll();
      });
    const network = { latency: [1, 3], segment: [1, Infinity] } as const;
    assert(explore(exchange, { network }).complete);
    sweep(exchange, { network });
  } finally {
    helpers.forEach((name, i) => Object.defineProperty(iterators, name, before[i]!));
  }
});

Deno.test("daemons are killed at the end of a run, and clean up", () => {
  let cleaned = 0;
  const report = explore((world) => {
    cleaned = 0;
    for (let i = 0; i < 2; i++) {
      world.spawn(function* () {
        try {
          yield* sleep(Infinity);
        } finally {
          yield;
          cleaned++;
        }
      }, { daemon: true });
    }
    world.spawn(sleep(1));
    return () => assertEquals(cleaned, 2);
  });
  assert(report.complete && report.runs > 6);
});

// ---- What breaks a run -----------------------------------------------------------------------------------------------

Deno.test("a failure is reported whoever fails", () => {
  const failing = function* (): Coroutine<void> {
    yield;
    throw new Error("no luck");
  };
  const cases: [body: (world: World) => unknown, kind: string, message: string][] = [
    [() => failing(), "error", "main failed: Error: no luck"],
    [
      () => () => {
        throw new Error("no luck");
      },
      "error",
      "the check at the end failed: Error: no luck",
    ],
    [
      (world) => void world.spawn(failing, { name: "unlucky" }),
      "unhandled",
      'task 2 "unlucky" failed, and nobody heard of it: Error: no luck',
    ],
    [(world) => void world.spawn(new Event("start").wait()), "deadlock", "deadlock: Nothing can go on"],
    [(world) => void world.spawn(new Future<void>()), "deadlock", "2          a future"],
    [
      function* () {
        yield* spawn(function* () {
          for (;;) yield;
        });
      },
      "livelock",
      "the run is not over after 100 steps",
    ],
  ];
  for (const [body, kind, message] of cases) {
    const error = broken(body, { maxSteps: 100 });
    assertEquals(error.kind, kind);
    assertStringIncludes(error.message, message);
    if (error.cause instanceof Error && kind !== "deadlock") assertEquals(error.cause.message, "no luck");
  }
});

Deno.test("a failure that somebody hears of breaks nothing", () => {
  explore(function* (world) {
    const task = world.spawn(function* () {
      yield;
      throw new Error("heard");
    });
    try {
      yield* task;
    } catch (error) {
      assertEquals((error as Error).message, "heard");
    }
  });
});

Deno.test("a task that is none of the run's, and outlives it, is left over", () => {
  const error = broken((world) => {
    // What an alarm of the clock starts is outside every task.
    world.clock.setAlarm(1, () => world.spawn(sleep(10), { name: "stray" }));
    world.spawn(sleep(5));
  });
  assertEquals(error.kind, "leftover");
  assertStringIncludes(error.message, 'left over at the end of the run: task 3 "stray"');
});

Deno.test("a ring of waits and what it breaks are told as the deadlock that they are", () => {
  const error = broken((world) => {
    const [a, b] = [new Lock("a"), new Lock("b")];
    const both = (first: Lock, second: Lock) =>
      first.with(function* () {
        yield;
        yield* second.with(function* () {});
      });
    world.spawn(both(a, b), { name: "one" });
    world.spawn(both(b, a), { name: "two" });
  });
  assertEquals([error.kind, error.preemptions], ["deadlock", 1]);
  assertInstanceOf(error.cause, DeadlockError);
  assertStringIncludes(error.message, "it would close a ring");
});

Deno.test("time, chance and timers of the real world are caught in the act, and let go afterwards", () => {
  const uses: [use: () => unknown, message: string][] = [
    [
      () => Date.now(),
      "Cannot use Date.now() in an explored run, it is not on the tape: use world.clock.now()",
    ],
    [() => new Date(), "Cannot use new Date()"],
    [() => Date(), "Cannot use Date()"],
    [() => performance.now(), "Cannot use performance.now()"],
    [() => Math.random(), "use world.random()"],
    [() => crypto.randomUUID(), "Cannot use crypto.randomUUID()"],
    [() => crypto.getRandomValues(new Uint8Array(1)), "Cannot use crypto.getRandomValues()"],
    [() => setTimeout(() => {}, 1), "use sleep()"],
    [() => setInterval(() => {}, 1), "Cannot use setInterval()"],
    [() => queueMicrotask(() => {}), "Cannot use queueMicrotask()"],
    [() => AbortSignal.timeout(1000), "Cannot use AbortSignal.timeout()"],
    [() => Temporal.Now.instant(), "Cannot use Temporal.Now.instant()"],
    [() => Temporal.Now.plainDateISO(), "Cannot use Temporal.Now.plainDateISO()"],
    [() => format.format(), "Cannot use Intl.DateTimeFormat.format() without a date"],
    [() => format.formatToParts(), "Cannot use Intl.DateTimeFormat.formatToParts() without a date"],
  ];
  const format = new Intl.DateTimeFormat("en");
  const present = () => [
    ...[Date, Date.now, Math.random, performance.now, setTimeout, Promise.prototype.then],
    ...[Temporal.Now.instant, Promise.prototype.constructor, format.format, format.formatToParts],
  ];
  const before = present();
  for (const [use, message] of uses) {
    for (const isCaught of [false, true]) {
      const error = broken((world) => {
        world.spawn(function* () {
          yield;
          try {
            use();
          } catch (error) {
            if (!isCaught) throw error;
          }
        });
      });
      assertEquals(error.kind, "outside");
      assertStringIncludes(error.message, message);
      assertMatch(error.message.split("\n")[0]!, /\(explore_test\.ts:\d+:\d+\)$/);
    }
  }
  assertEquals(present(), before);
  assertEquals(Object.hasOwn(performance, "now"), false);
  assert(Date.now() > 0 && new Date().getTime() > 0 && performance.now() > 0);
  explore(() => {
    assertEquals(new Date(0).toISOString(), "1970-01-01T00:00:00.000Z");
    assertEquals([format.format(0).length > 0, format.formatToParts(0).length > 0], [true, true]);
    assertEquals(typeof Temporal.Now.timeZoneId(), "string");
  });
});

Deno.test("a wait for a promise is told, with the place", () => {
  const promise = Promise.resolve(42);
  const thenable = { then: () => thenable };
  const waits: [work: () => Operation<unknown>, message: string][] = [
    [() => until(promise), "Cannot use a promise in an explored run, it is not on the tape: use a Future"],
    [() =>
      call(function* () {
        yield promise;
      }), "Cannot use a promise"],
    [() => Future.from(promise), "Cannot use a promise"],
    [() =>
      call(function* () {
        promise.then(() => {});
      }), "Cannot use a promise"],
    [() => until(thenable as never), 'task 2 "asker" waits for a promise'],
  ];
  for (const [work, message] of waits) {
    const error = broken((world) => {
      world.spawn(function* () {
        yield* timeout(100, work());
      }, { name: "asker" });
    });
    assertEquals(error.kind, "outside");
    assertStringIncludes(error.message, message);
    assertMatch(error.schedule.join("\n"), /explore_test\.ts:\d+:\d+/);
  }
});

Deno.test("an await in an explored run is told, as what follows it has no turn there", async () => {
  const awaits: [run: (event: Event) => Promise<void>, kind: string, message: string][] = [
    [
      async (event) => {
        await Promise.resolve(1);
        event.set();
      },
      "outside",
      "Cannot use a promise in an explored run, it is not on the tape: use a Future (explore_test.ts:",
    ],
    [
      async (event) => {
        for await (const _ of [Promise.resolve(1)]) event.set();
      },
      "outside",
      "Cannot use a promise",
    ],
    // The language calls nothing for a value that is no promise; but it is said where somebody waits for what follows.
    [
      async (event) => {
        await null;
        event.set();
      },
      "deadlock",
      "and what follows an `await` has no turn in a run",
    ],
  ];
  for (const [run, kind, message] of awaits) {
    const error = broken((world) => {
      const event = new Event("brought");
      world.spawn(function* () {
        void run(event);
        yield* event.wait();
      });
    });
    assertEquals(error.kind, kind);
    assertStringIncludes(error.message, message);
  }
  assertEquals(
    broken(() => until(Promise.reject(new Error("never heard of")))).kind,
    "outside",
  );
  await new Promise((resolve) => setTimeout(resolve));
});

Deno.test("a body that keeps state from run to run is told that it does not do the same twice", () => {
  let calls = 0;
  const error = broken((world) => {
    calls++;
    for (let i = 0; i < 1 + calls % 3; i++) {
      world.spawn(function* worker() {
        yield;
      });
    }
  });
  assertEquals([error.kind, error.replay], ["undetermined", ""]);
  assertStringIncludes(error.message, "the program does not do the same twice");
  assertStringIncludes(error.message, "Is there state outside of the body that it does not set up anew?");
  let failures = 0;
  const flaky = broken((world) => {
    world.spawn(function* flaky() {
      yield;
      if (failures++ % 2 === 0) throw new Error("every other time");
    });
  });
  assertEquals(flaky.kind, "undetermined");
  assertStringIncludes(flaky.message, "Under one schedule, in step 3:");
});

Deno.test("explore refuses what it cannot explore", () => {
  const cases: [() => ExploreReport, new () => Error, string][] = [
    [() => explore(sleep(1) as never), TypeError, "Cannot explore an object of class Sleep"],
    [() => explore(async () => {}), TypeError, "Cannot explore a body that gives a promise"],
    [() => explore(() => {}, { strategy: "fast" as never }), TypeError, 'strategy is "auto", "fifo"'],
    [() => explore(() => {}, { runs: 0 }), RangeError, "runs is a whole number from 1, or Infinity, not 0"],
    [
      () => explore(() => {}, { runs: "9" as never }),
      TypeError,
      "runs is a whole number from 1, or Infinity, not the string",
    ],
    [() => explore(() => {}, { maxMs: -1 }), RangeError, "maxMs is a number of ms from 0, not -1"],
    [() => explore(() => {}, { preemptions: 0.5 }), RangeError, "preemptions is a whole number from 0"],
    [() => explore(() => {}, { seed: NaN }), RangeError, "seed is a whole number, not NaN"],
    [() => explore(() => {}, { network: { latency: -1 } }), RangeError, "from 0, or two, not -1"],
    [() => explore(() => {}, { network: { merge: NaN } }), RangeError, "from 0 to 1, not NaN"],
  ];
  for (const [run, type, message] of cases) assertThrows(run, type, message);
  const nested = broken(() => {
    explore(() => {});
  });
  assertStringIncludes(nested.message, "Cannot explore from inside task 1");
  const wrong: [(world: World) => unknown, string][] = [
    [(world) => world.choose(0), "Cannot choose from 0"],
    [(world) => world.choose([]), "Cannot choose from 0"],
    [(world) => world.choose("x" as never), "Cannot choose from the string"],
    [(world) => world.maybe(2), "it is from 0 to 1"],
    [(world) => world.always(1 as never, () => true), "always takes a label first"],
    [(world) => world.always("x", true as never), "a function is wanted, not true"],
    [(world) => world.sometimes("x", 1 as never), "a function is wanted, not 1"],
    [(world) => world.eventually("x", () => true, { within: -1 }), "within is a number of ms from 0, not -1"],
  ];
  for (const [body, message] of wrong) assertStringIncludes(broken(body).message, message);
  let kept: World | undefined;
  explore((world) => kept = world);
  assertThrows(() => kept!.maybe(), InvalidStateError, "the run of this world is over");
});

Deno.test("what is to answer at once may be neither a promise nor a coroutine: it would pass whatever is wrong", async () => {
  const fail = () => {
    throw new Error("never heard of");
  };
  const late: [answer: () => unknown, lateness: string][] = [
    [async () => await fail(), "a promise"],
    [() => ({ then: fail }), "a promise"],
    [function* () {
      fail();
    }, "a generator"],
    [async function* () {
      await fail();
    }, "an async generator"],
    [() => sleep(1), "an object of class Sleep"],
    [() => new Lock().with(fail), "an object of class With"],
    [() => ({ [Symbol.iterator]: function* () {} }), "an object"],
  ];
  const uses: [use: (answer: never) => (world: World) => unknown, refusal: string][] = [
    [(answer: () => unknown) => () => answer, "Cannot explore a body whose check at the end"],
    [
      (answer: () => unknown) =>
        function* () {
          yield;
          return answer;
        },
      "Cannot explore a body whose check at the end",
    ],
    [
      (answer: () => unknown) =>
        function* () {
          yield;
          return answer();
        },
      "Cannot explore a body whose main",
    ],
    [(answer) => (world) => world.always("x", answer), 'Cannot watch "x" by a function that'],
    [(answer) => (world) => world.eventually("x", answer), 'Cannot watch "x" by a function that'],
    [(answer) => (world) => world.sometimes("x", answer), 'Cannot watch "x" by a function that'],
  ];
  for (const [answer, lateness] of late) {
    for (const [use, refusal] of uses) {
      const message = `${refusal} gives ${lateness}: a run is synchronous, nobody would wait for it`;
      assertThrows(() => explore(use(answer as never)), TypeError, message);
    }
  }
  for (const answer of [late[0]!, late[1]!, late[3]!]) {
    assertThrows(() => explore(answer[0]), TypeError, `Cannot explore a body that gives ${answer[1]}`);
  }
  await new Promise((resolve) => setTimeout(resolve)); // nothing is heard of what they would have thrown
});

// ---- The story -------------------------------------------------------------------------------------------------------

Deno.test("a failure is told as a schedule in sentences, with the places where tasks stood", () => {
  const error = broken(function* main(world) {
    let ready = false;
    const event = new Event("start");
    const user = world.spawn(function* user() {
      yield* event.wait();
      assert(ready, "used before it was ready");
    });
    yield* spawn(function* maker() {
      event.set();
      yield;
      ready = true;
    });
    yield* user;
  });
  assertEquals(error.kind, "error");
  assertEquals((error.cause as Error).message, "used before it was ready");
  assertEquals(
    error.schedule.map((sentence) => sentence.replace(/explore_test\.ts:\d+:\d+/g, "HERE")),
    [
      'main ran to HERE (main), where it waits: join of task 2 "user"',
      'task 2 "user" (spawned at HERE) ran to HERE (user), where it waits: event "start"',
      'task 3 "maker" (spawned at HERE) ran to a bare yield in maker, and was stopped there',
      'task 2 "user" went on instead until it failed: AssertionError: used before it was ready',
    ],
  );
  assertEquals(error.preemptions, 1);
  const lines = error.message.split("\n");
  assertEquals(lines[0], "main failed: AssertionError: used before it was ready");
  assertEquals(lines[2], "The schedule, with 1 preemption:");
  assertMatch(lines.at(-1)!, /^ {2}deno test -A \/.*\/tests\/explore_test\.ts -- g1-/);
  assertStringIncludes(lines.at(-2)!, error.replay);
});

Deno.test("the places are those of the source: the line of a system call, also in a coroutine that was called", () => {
  const here = Number(/explore_test\.ts:(\d+):/.exec(new Error().stack!)![1]);
  const error = broken((world) => {
    const queue = new Queue<number>();
    function* inner(): Coroutine<void> {
      yield* queue.get(); // 4 lines below `here`
    }
    world.spawn(function* outer() {
      yield* call(inner());
    });
  });
  assertEquals(error.kind, "deadlock");
  assertMatch(error.schedule[1]!, new RegExp(`^task 2 "outer" \\(spawned at explore_test.ts:${here + 6}:`));
  assertStringIncludes(error.schedule[1]!, `ran to explore_test.ts:${here + 4}:`);
  assertStringIncludes(error.schedule[1]!, "(inner), where it waits: ");
});

/** The sentences of a story, with the places of this file by how many lines they are below `here`. */
function told(here: number, body: (world: World) => unknown): string[] {
  return broken(body).schedule.map((sentence) =>
    sentence.replace(/explore_test\.ts:(\d+):\d+/g, (_, line) => `line ${Number(line) - here}`)
  );
}

function lineHere(): number {
  return Number(/explore_test\.ts:(\d+):/.exec(new Error().stack!.split("\n")[2]!)![1]);
}

Deno.test("a wait that is a frame by itself is told by the line of the call that has made it one", () => {
  const here = lineHere();
  const calls: ((event: Event) => Operation<unknown>)[] = [
    (event) => timeout(Infinity, event.wait()),
    (event) => shield(event.wait()),
    (event) => new Lock().with(event.wait()),
    (event) => call(new Lock().with(event.wait())),
    (event) => timeout(Infinity, call(shield(event.wait()))),
    (event) => new Semaphore(1).with(event.wait()),
  ];
  for (const made of calls) {
    const story = told(here, (world) => {
      const event = new Event("reply");
      world.spawn(function* client() {
        yield* made(event); // 13
      });
    });
    assertEquals(story, [
      "main ran to its end",
      'task 2 "client" (spawned at line 12) ran to line 13 (client), where it waits: event "reply"',
    ]);
  }
});

Deno.test("the tasks of a group are told by the line that has spawned them, and its end by the line of the group", () => {
  const here = lineHere();
  const calls: [make: (event: Event) => Operation<unknown>, spawned: number][] = [
    [(event) => all([event.wait()]), 15],
    [(event) => all([event.wait()], { concurrency: 1 }), 15],
    [(event) => settle({ it: event.wait() }), 15],
    [(event) => shield(all([event.wait()])), 15],
    [(event) =>
      taskGroup(function* (group) {
        group.spawn(event.wait()); // 8
      }), 8],
  ];
  for (const [make, spawned] of calls) {
    const story = told(here, (world) => {
      const event = new Event("reply");
      world.spawn(function* client() {
        yield* make(event); // 15
      });
    });
    assertEquals(story, [
      "main ran to its end",
      'task 2 "client" (spawned at line 14) ran to line 15 (client), where it waits: the end of task 3',
      `task 3 (spawned at line ${spawned}) ran to line ${spawned}, where it waits: event "reply"`,
    ]);
  }
});

Deno.test("a task made of an operation stands where it was spawned, and main where nothing is to be told", () => {
  const here = lineHere();
  assertEquals(
    told(here, function* main(world) {
      const event = new Event("reply");
      yield* spawn(event.wait()); // 4
      world.spawn(timeout(Infinity, event.wait())); // 5
      yield* all([world.spawn(event.wait())]); // 6
    }),
    [
      "main ran to line 6 (main), where it waits: the end of task 5",
      'task 2 (spawned at line 4) ran to line 4, where it waits: event "reply"',
      'task 3 (spawned at line 5) ran to line 5, where it waits: event "reply"',
      'task 4 (spawned at line 6) ran to line 6, where it waits: event "reply"',
      "task 5 (spawned at line 6) ran to line 6, where it waits: join of task 4",
    ],
  );
  assertEquals(told(here, () => new Event("reply").wait()), [
    'main ran until it waits: event "reply"',
  ]);
});

Deno.test("a call that is yielded is told by the name of its function, and the last line before it", () => {
  const here = lineHere();
  assertEquals(
    told(here, (world) => {
      const event = new Event("reply");
      world.spawn(function* server(): Coroutine<void> { // 4
        yield* sleep(1); // 5
        yield event.wait();
      });
      world.spawn(function* client(): Coroutine<void> { // 8
        yield all([event.wait()]);
      });
    }),
    [
      "main ran to its end",
      'task 2 "server" (spawned at line 4) ran to line 5 (server), where it waits: sleep until 1',
      'task 3 "client" (spawned at line 8) ran to a yield in client, where it waits: the end of task 4',
      'task 4 (spawned at a yield in client) ran to a yield in client, where it waits: event "reply"',
      'at 1 ms, task 2 "server" went on to a yield in server after line 5, where it waits: event "reply"',
    ],
  );
});

Deno.test("a failure of a call is told with its line: a wait that is refused, a timeout, a task that is joined", () => {
  const here = lineHere();
  const endings = [
    function* main(world: World): Coroutine<void> {
      const lock = new Lock("own");
      const task = world.spawn(function* () {
        yield* lock.acquire();
        yield* join(yield* spawn(lock.with(sleep(1)))); // 6
      });
      yield* task;
    },
    function* main(): Coroutine<void> {
      yield* timeout(5, sleep(10)); // 11
    },
    function* main(): Coroutine<void> {
      yield; // the line of a plain `throw` is that of its error
      throw new Error("plain");
    },
  ];
  assertEquals(endings.map((body) => told(here, body).at(-1)!.split(": ", 1)[0]), [
    "task 3 (spawned at line 6) ran until it failed at line 6",
    "main ran for 5 ms until it failed at line 11 (main)",
    "main ran until it failed",
  ]);
});

Deno.test("draws are told with their places, and time where it passes", () => {
  const error = broken((world) => {
    world.spawn(function* () {
      yield* sleep(world.choose([0, 1000]));
      if (world.clock.now() > 0 && world.maybe()) throw new Error("late and unlucky");
    }, { name: "sleeper" });
    world.spawn(sleep(500));
  });
  assertEquals(
    error.schedule.map((sentence) => sentence.replace(/explore_test\.ts:\d+:\d+/g, "HERE")),
    [
      "main ran to its end",
      'task 2 "sleeper" (spawned at HERE) ran to HERE, where it waits: sleep until 1000; choose gave 1 of 2 at HERE',
      "task 3 (spawned at HERE) ran for 500 ms to its end",
      'at 1000 ms, task 2 "sleeper" went on until it failed: Error: late and unlucky; maybe(0.5) gave 1 of 2 at HERE',
    ],
  );
});

Deno.test("the shrinker finds a story with few preemptions in a schedule that has many", () => {
  // In production's order, and at random, the tasks stop each other all the time; one preemption is enough.
  const program = (world: World) => {
    let balance = 0;
    for (let i = 0; i < 4; i++) {
      world.spawn(function* () {
        for (let i = 0; i < 5; i++) yield;
        const before = balance;
        yield;
        balance = before + 1;
        for (let i = 0; i < 5; i++) yield;
      });
    }
    return () => assertEquals(balance, 4);
  };
  for (const strategy of ["auto", "fifo", "bounded", "pct", "random"] as const) {
    const error = broken(program, { strategy });
    assertEquals(error.preemptions, 1, strategy);
    assert(error.schedule.length <= 7 && error.replay.length < 60, `${strategy}: ${error.message}`);
  }
});

Deno.test("a task that is alone for a while is one sentence, with the time it takes", () => {
  const error = broken(function* main() {
    for (let i = 0; i < 10; i++) yield* sleep(100);
    throw new Error("at last");
  });
  assertEquals(error.schedule, ["main ran for 1000 ms until it failed: Error: at last"]);
});

// ---- Replay ----------------------------------------------------------------------------------------------------------

Deno.test("replay breaks the program in the same way, as often as it is tried", () => {
  const programs: ((world: World) => unknown)[] = [
    lostUpdate,
    (world) => {
      world.always("small", () => world.clock.now() < 50);
      world.spawn(sleep(world.choose([1, 10, 100])));
    },
    (world) => {
      if (world.random() > 0.5) throw new Error("too large");
    },
    (world) => void world.spawn(new Future<void>()),
    function* () {
      for (;;) yield;
    },
  ];
  for (const program of programs) {
    const error = broken(program, { maxSteps: 50 });
    for (let i = 0; i < 3; i++) {
      const again = assertThrows(() => replay(error.replay, program), ScheduleError);
      assertEquals(again.message, error.message);
      assertEquals([again.kind, again.schedule, again.replay], [error.kind, error.schedule, error.replay]);
    }
  }
});

Deno.test("replay needs to be told nothing but the string, also where explore was told how the network behaves", () => {
  const body = function* (world: World): Coroutine<void> {
    using listener = listen({ port: 7 });
    world.spawn(function* () {
      using socket = yield* connect({ port: 7 });
      yield* socket.send("abc");
    });
    using socket = (yield* listener.accept())[0];
    assertEquals((yield* socket.recv())!.length, 3);
  };
  const network = { latency: [0.5, 3], segment: [1, Infinity], reset: 1e-7 } as const;
  const error = broken(body, { network });
  assertEquals(assertThrows(() => replay(error.replay, body), ScheduleError).message, error.message);
  assertEquals(
    assertThrows(() => replay(error.replay, body, { network }), ScheduleError).message,
    error.message,
  );
  assertThrows(
    () => replay(error.replay, body, { network: {} }),
    InvalidStateError,
    "(it was recorded with the network latency0.5_3~reset1em7~segment1_i)",
  );
});

Deno.test("replay gives a report when the program has been mended and still makes the same choices", () => {
  const error = broken(lostUpdate);
  const report = replay(error.replay, (world) => {
    let balance = 0;
    for (const name of ["alice", "bob"]) {
      world.spawn(function* () {
        yield;
        balance++;
      }, { name });
    }
    return () => assertEquals(balance, 2);
  });
  assertEquals([report.runs, report.complete], [1, false]);
});

Deno.test("replay refuses a string that is none, or was not copied whole, and a program that no longer fits", () => {
  const { replay: string } = broken(lostUpdate);
  const cases: [string, string][] = [
    ["", "it is no replay string"],
    ["hello", "it is no replay string"],
    [string.slice(0, -1), "it was not copied whole"],
    [string.replace("-", "-x"), "it was not copied whole"],
    [string.replace("g1", "g2"), "another version of genos has written it"],
    [undefined as never, "a replay string is wanted"],
  ];
  for (const [bad, message] of cases) assertThrows(() => replay(bad, lostUpdate), TypeError, message);
  assertEquals(assertThrows(() => replay(` ${string}\n`, lostUpdate), ScheduleError).replay, string);
  const others: ((world: World) => unknown)[] = [
    () => {},
    idle(5, 2),
    (world) => void world.choose(7),
  ];
  for (const other of others) {
    assertThrows(
      () => replay(string, other),
      InvalidStateError,
      "Cannot replay: the program is not the one that was recorded",
    );
  }
});

Deno.test("kill lands wherever a choice puts it, and every place is tried", () => {
  const seen = new Set<string>();
  const report = explore(function* (world) {
    const log: string[] = [];
    const victim = world.spawn(function* () {
      try {
        for (let i = 0; i < 4; i++) {
          log.push(String(i));
          yield* sleep(10);
        }
      } catch (error) {
        log.push("x");
        throw error;
      }
    });
    yield* sleep(world.choose([5, 15, 25, 35, 45]));
    yield* kill(victim);
    seen.add(log.join(""));
  });
  assertEquals([...seen].sort(), ["0123", "0123x", "012x", "01x", "0x"]);
  assertEquals([report.runs, report.complete], [5, true]);
});

Deno.test("the command of a report runs what it tells once more", async () => {
  const say = async (args: string[]) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
    return new TextDecoder().decode(stdout).trim().split("\n");
  };
  const [strategy, command] = await say([
    "run",
    "-A",
    new URL("./_lost_update.ts", import.meta.url).pathname,
  ]);
  assertEquals(strategy, "fifo");
  assertMatch(command!, /^deno run -A \S+\/_lost_update\.ts g1-\S+$/);
  assertEquals(await say(command!.split(" ").slice(1)), ["replay", command]);
});
