import { assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import {
  call,
  type Coroutine,
  getTid,
  type Operation,
  run,
  Scheduler,
  sleep,
  spawn,
  SystemCall,
  timeout,
  type Work,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";

function runSync<T>(main: Work<T>): T {
  return new Scheduler({ clock: new VirtualClock() }).runSync(main);
}

/** What a `yield` of something throws. */
function thrownBy(yielded: unknown): unknown {
  return runSync(function* (): Coroutine<unknown> {
    try {
      yield yielded as undefined;
    } catch (error) {
      return error;
    }
  });
}

Deno.test("a bare yield goes to the end of the ready queue, at any depth of the stack", () => {
  const log: string[] = [];
  function* inner(name: string): Coroutine<void> {
    for (let i = 1; i <= 2; i++) {
      log.push(`${name}${i}`);
      yield;
    }
  }
  runSync(function* () {
    yield* spawn(function* () {
      yield inner("a");
    });
    yield* spawn(function* () {
      yield* call(inner("b"));
    });
    yield* spawn(function* () {
      yield* inner("c");
    });
  });
  assertEquals(log, ["a1", "b1", "c1", "a2", "b2", "c2"]);
});

Deno.test("a bare yield evaluates to undefined, also after a call that gave a value", () => {
  const seen = runSync(function* (): Coroutine<unknown[]> {
    const tid = yield getTid();
    return [tid, yield];
  });
  assertEquals(seen, [1, undefined]);
});

Deno.test("a coroutine that is yielded is called: its value and its error come back", () => {
  const log = runSync(function* (): Coroutine<unknown[]> {
    function* double(x: number): Coroutine<number> {
      yield;
      return 2 * x;
    }
    function* fail(): Coroutine<never> {
      yield;
      throw new Error("from below");
    }
    const log: unknown[] = [yield double(4), yield* call(double(5)), yield* double(6)];
    for (const failing of [() => fail(), () => call(fail())]) {
      try {
        yield failing();
      } catch (error) {
        log.push((error as Error).message);
      }
    }
    log.push(yield double(7));
    return log;
  });
  assertEquals(log, [8, 10, 12, "from below", "from below", 14]);
});

Deno.test("a million calls deep works", () => {
  function* depth(n: number): Coroutine<number> {
    return n === 0 ? 0 : 1 + (yield depth(n - 1));
  }
  assertEquals(runSync(depth(1_000_000)), 1_000_000);
});

Deno.test("an error comes up through ten thousand frames", () => {
  function* depth(n: number): Coroutine<unknown> {
    if (n === 0) throw new Error("bottom");
    return yield depth(n - 1);
  }
  assertThrows(() => runSync(depth(10_000)), Error, "bottom");
});

Deno.test("a task and a promise can be yielded", async () => {
  const value = await new Scheduler().run(function* (): Coroutine<unknown[]> {
    const task = yield* spawn(function* () {
      return "from a task";
    });
    const thenable = { then: (resolve: (value: string) => void) => resolve("from a thenable") };
    let caught: unknown;
    try {
      yield Promise.reject(new Error("rejected"));
    } catch (error) {
      caught = (error as Error).message;
    }
    return [
      yield task,
      yield Promise.resolve("from a promise"),
      yield thenable as PromiseLike<string>,
      caught,
    ];
  });
  assertEquals(value, ["from a task", "from a promise", "from a thenable", "rejected"]);
});

Deno.test("an operation of one's own can be yielded and yield*ed", () => {
  const twice: Operation<number> = {
    *[Symbol.iterator]() {
      return (yield* getTid()) * 2;
    },
  };
  const values = runSync(function* (): Coroutine<unknown[]> {
    return [yield twice, yield* twice, yield* call(twice), yield* timeout(5, twice)];
  });
  assertEquals(values, [2, 2, 2, 2]);
});

Deno.test("anything else that is yielded is a TypeError at that yield, which names what may be", () => {
  for (
    const wrong of [
      null,
      5,
      "text",
      [1, 2],
      new Map(),
      new Set(),
      {},
      true,
      1n,
      Symbol("s"),
      sleep,
      function* () {},
    ]
  ) {
    const error = thrownBy(wrong);
    assertInstanceOf(error, TypeError);
    assertStringIncludes(error.message, "a coroutine yields nothing, a system call, another coroutine");
  }
  assertStringIncludes((thrownBy(sleep) as Error).message, "did you forget to call it?");
  assertStringIncludes((thrownBy(5) as Error).message, "a result is returned, not yielded?");
});

Deno.test("a coroutine that runs, has ended or belongs to another task can be neither called nor spawned", () => {
  const log: string[] = [];
  const attempt = function* (what: string, work: Work<unknown>): Coroutine<void> {
    for (const [verb, operation] of [["called", call(work)], ["spawned", spawn(work)]] as const) {
      try {
        yield operation;
        log.push(`${what} could be ${verb}`);
      } catch (error) {
        log.push(`${what} ${verb}: ${(error as Error).name}`);
      }
    }
  };
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  scheduler.runSync(function* () {
    const box: Coroutine<void>[] = [];
    const self = function* (): Coroutine<void> {
      yield attempt("running", box[0]!);
    }();
    box.push(self);
    yield self;
    yield attempt("ended", self);
    const owned = function* () {
      yield* sleep(10);
    }();
    yield* spawn(owned);
    yield attempt("owned", owned);
    yield;
    yield attempt("owned and started", owned);
  });
  assertEquals(log, [
    "running called: TypeError",
    "running spawned: TypeError",
    "ended called: TypeError",
    "ended spawned: TypeError",
    "owned called: TypeError",
    "owned spawned: TypeError",
    "owned and started called: TypeError",
    "owned and started spawned: TypeError",
  ]);
  assertThrows(
    () => {
      const twice = function* () {}();
      scheduler.spawn(twice);
      scheduler.spawn(twice);
    },
    TypeError,
    "make a new one",
  );
});

Deno.test("a task that cannot start is an error in the caller only, and takes no tid", () => {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  const bad: unknown[] = [5, null, undefined, {}, [], "x", (x: number) => x, () => 5, Promise.resolve()];
  for (const work of bad) {
    assertThrows(() => scheduler.spawn(work as Work<unknown>), TypeError);
    assertThrows(() => scheduler.new(work as Work<unknown>), TypeError);
  }
  function* client(_id: number): Coroutine<void> {}
  assertThrows(
    () => scheduler.spawn(client as unknown as Work<void>),
    TypeError,
    "Cannot spawn client: it takes a parameter; did you forget to call it?",
  );
  assertEquals(scheduler.tasks.size, 0);
  assertEquals(scheduler.new(getTid()), 1);
  scheduler.runSync(function* () {
    yield;
  });
});

Deno.test("whatever is an operation, or a function that gives one, is work", async () => {
  class Answer extends SystemCall<number> {
    handle(): number {
      return 42;
    }
  }
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  const values = await scheduler.run(function* (): Coroutine<unknown[]> {
    const task = yield* spawn(new Answer());
    return [
      yield* task,
      yield* call(() => new Answer()),
      yield* timeout(10, new Answer()),
      yield* call(() => task),
      yield* (yield* spawn(task)),
    ];
  });
  assertEquals(values, [42, 42, 42, 42, 42]);
});

Deno.test("a system call object can be used again when it is done", () => {
  const tid = getTid();
  const rest = sleep(5);
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  const seen = scheduler.runSync(function* (): Coroutine<unknown[]> {
    const seen = [yield tid, yield* tid, yield tid, yield* tid];
    yield* rest;
    yield rest;
    yield* rest;
    return [...seen, scheduler.now()];
  });
  assertEquals(seen, [1, 1, 1, 1, 15]);
});

Deno.test("run gives the default scheduler, whose loop turns by itself", async () => {
  assertEquals(await run(getTid()) > 0, true);
  const task = Scheduler.current().spawn(function* () {
    yield;
    return "started by itself";
  });
  assertEquals(await task, "started by itself");
});

Deno.test("an iterator of one's own that gives no object is an error of the coroutine that yielded it, and of no other", async () => {
  const log: string[] = [];
  const wrong: (() => unknown)[] = [
    () => null,
    () => 5,
    () => "text",
    () => ({
      get done() {
        throw new Error("a getter");
      },
    }),
  ];
  await new Scheduler().run(function* () {
    for (const next of wrong) {
      const operation = {
        [Symbol.iterator]: () => ({
          next,
          throw(error: unknown): never {
            throw error;
          },
        }),
      };
      try {
        yield operation as unknown as Operation<void>;
      } catch (error) {
        log.push((error as Error).message);
      }
    }
  });
  assertEquals(log, [
    "Cannot go on: the iterator gave null, where an object is wanted",
    "Cannot go on: the iterator gave 5, where an object is wanted",
    'Cannot go on: the iterator gave the string "text", where an object is wanted',
    "a getter",
  ]);
});
