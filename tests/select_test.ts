import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  asCompleted,
  Channel,
  type Coroutine,
  DeadlockError,
  Event,
  Future,
  getTid,
  kill,
  Lock,
  Queue,
  race,
  Scheduler,
  select,
  Semaphore,
  sleep,
  spawn,
  timeout,
} from "../mod.ts";
import { sweep, VirtualClock } from "../testing.ts";
import { stage } from "./_transcript.ts";
Deno.test("a select that asks one semaphore twice takes nothing when it is killed, or another case goes on", () => {
  for (const end of ["killed", "another case"]) {
    const { scheduler, unhandled } = stage();
    const semaphore = new Semaphore(2);
    scheduler.runSync(function* () {
      const task = yield* spawn(
        select({ five: semaphore.acquire(5), one: semaphore.acquire(1), late: sleep(1) }),
      );
      yield;
      if (end === "killed") yield* kill(task);
      else yield* task;
    });
    assertEquals([semaphore.available, unhandled.length], [2, 0]);
  }
});

Deno.test("select goes on with the first case that can, in the record's order, and without a switch", () => {
  const log: unknown[] = [];
  const queue = new Queue<string>();
  new Scheduler({ clock: new VirtualClock() }).runSync(function* () {
    yield* spawn(function* () {
      log.push("other");
    });
    queue.tryPut("item");
    log.push(yield* select({ later: sleep(5), item: queue.get(), tid: getTid() }));
    log.push(yield* select({ tid: getTid(), item: queue.get() }));
    log.push("main");
  });
  assertEquals(log, [{ name: "item", value: "item" }, { name: "tid", value: 1 }, "main", "other"]);
});

Deno.test("select over everything that waits: exactly one proceeds, the others have taken nothing", async () => {
  const cases = [
    "first",
    "second",
    "channel",
    "sleep",
    "task",
    "future",
    "event",
    "lock",
    "promise",
  ] as const;
  for (const winner of cases) {
    const scheduler = new Scheduler();
    const first = new Queue<string>();
    const second = new Queue<string>();
    const channel = new Channel<string>(1);
    const future = new Future<string>();
    const event = new Event();
    const lock = new Lock("db");
    const { promise, resolve } = Promise.withResolvers<string>();
    await scheduler.run(function* (): Coroutine<void> {
      yield* lock.acquire();
      const go = new Event();
      const task = yield* spawn(function* () {
        yield* go.wait();
        return "task's value";
      });
      const selecting = yield* spawn(function* () {
        const selected = yield* select({
          first: first.get(),
          second: second.get(),
          channel: channel.receive(),
          sleep: sleep(winner === "sleep" ? 1 : 60_000),
          task,
          future,
          event: event.wait(),
          lock: lock.acquire(),
          promise,
        });
        if (selected.name === "lock") lock.release();
        return selected.name;
      });
      yield;
      assert(selecting.waitingFor!.startsWith("first: "));
      const begin = {
        first: () => first.tryPut("x"),
        second: () => second.tryPut("x"),
        channel: () => channel.trySend("x"),
      };
      if (winner in begin) begin[winner as keyof typeof begin]();
      if (winner === "task") go.set();
      if (winner === "future") future.setResult("x");
      if (winner === "event") event.set();
      if (winner === "promise") resolve("x");
      if (winner === "lock") lock.release();
      assertEquals(yield* selecting, winner);
      // The losers are as they were: what comes now is there for the next.
      for (const queue of [first, second]) {
        queue.tryPut("kept");
        assertEquals(queue.tryGet(), { value: "kept" });
      }
      channel.trySend("kept");
      assertEquals(channel.tryReceive(), { done: false, value: "kept" });
      if (winner === "lock") assertEquals(lock.tryAcquire(), true);
      lock.release();
      assertEquals(lock.locked, false);
      go.set();
    });
    assertEquals(scheduler.tasks.size, 0);
  }
});

Deno.test("two cases that come in the same turn: one is taken, the other stays", () => {
  const a = new Queue<number>();
  const b = new Queue<number>();
  const selected = new Scheduler({ clock: new VirtualClock() }).runSync(function* () {
    const task = yield* spawn(select({ a: a.get(), b: b.get() }));
    yield;
    b.tryPut(2);
    a.tryPut(1);
    return yield* task;
  });
  assertEquals([selected, a.size, b.size], [{ name: "b", value: 2 }, 1, 0]);
});

Deno.test("a case that fails is thrown, and undoes the others; a select that is cancelled leaves every line", () => {
  const queue = new Queue<number>();
  const channel = new Channel<number>();
  const log: unknown[] = [];
  new Scheduler({ clock: new VirtualClock() }).runSync(function* () {
    const failed = Future.reject<number>(new Error("failed"));
    try {
      yield* select({ item: queue.get(), failed });
    } catch (error) {
      log.push((error as Error).message);
    }
    try {
      yield* timeout(5, select({ item: queue.get(), message: channel.receive() }));
    } catch (error) {
      log.push((error as Error).name);
    }
    queue.tryPut(1);
    log.push(queue.size, channel.trySend(2));
  });
  assertEquals(log, ["failed", "TimeoutError", 1, false]);
});

Deno.test("what is no single wait is refused, with the name of the case and a hint at race", () => {
  const bad: unknown[] = [
    function* () {},
    (function* () {})(),
    timeout(5, sleep(1)),
    select({ a: sleep(1) }),
    5,
    null,
    race([sleep(1)]),
  ];
  for (const wrong of bad) {
    assertThrows(
      () => select({ good: sleep(1), wrong: wrong as Future<void> }),
      TypeError,
      "Cannot select wrong: ",
    );
    assertThrows(() => select({ wrong: wrong as Future<void> }), TypeError, "use race");
  }
  assertThrows(() => select({}), TypeError);
  assertThrows(() => select(5 as unknown as Record<string, Future<void>>), TypeError);
});

Deno.test("a select of waits that only other tasks can end is part of a deadlock report", () => {
  const error = assertThrows(
    () => new Scheduler().runSync(select({ item: new Queue<void>().get(), set: new Event("go").wait() })),
    DeadlockError,
  );
  assert(error.message.includes("item: ") && error.message.includes(" | set: "));
});

Deno.test("a select can be interrupted at any step: no item is lost or doubled", () => {
  let left = 0;
  sweep(function* (): Coroutine<void> {
    const a = new Queue<number>();
    const b = new Channel<number>(2);
    let taken = 0;
    let given = 0;
    left = 0;
    yield* spawn(function* () {
      try {
        for (let i = 0; i < 4; i++) {
          yield* sleep(1);
          if (i % 2 === 0) a.tryPut(i);
          else b.trySend(i);
          given++;
        }
      } finally {
        left += given;
      }
    });
    try {
      for (let i = 0; i < 4; i++) {
        yield* select({ a: a.get(), b: b.receive(), never: new Event().wait() });
        taken++;
      }
    } finally {
      let rest = 0;
      while (a.tryGet() !== undefined) rest++;
      while (b.tryReceive() !== undefined) rest++;
      left -= taken + rest;
      // What is given after this is nobody's; the giver is killed before it gives again.
    }
  }, { check: () => assertEquals(left, 0) });
});

Deno.test("a select that was fed from outside leaves a virtual clock free to jump again", async () => {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  await scheduler.run(function* () {
    yield* select({ promise: new Promise((resolve) => setTimeout(resolve, 1)), late: sleep(1e9) });
    yield* sleep(1000);
  });
  assertEquals(scheduler.now(), 1000);
});

Deno.test("a promise that is waited for again and again, in vain, keeps two reactions, however it is waited for", () => {
  const never = new Promise<void>(() => {});
  let reactions = 0;
  const then = never.then.bind(never);
  never.then = ((...args: Parameters<typeof then>) => {
    reactions++;
    return then(...args);
  }) as typeof never.then;
  new Scheduler({ deadlock: "wait" }).runSync(function* () {
    const queue = new Queue<number>();
    for (let i = 0; i < 100; i++) {
      yield* spawn(function* () {
        queue.tryPut(i);
      });
      yield* select({ never, item: queue.get() });
      yield* race([never, function* () {}]);
      using completed = asCompleted([never, function* () {}]);
      yield* completed.next();
    }
  });
  assertEquals(reactions, 2); // one hears of its rejection, if that is nobody's
});
