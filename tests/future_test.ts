import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  type Coroutine,
  coroutine,
  Future,
  InvalidStateError,
  JoinError,
  kill,
  Scheduler,
  sleep,
  spawn,
  timeout,
  TimeoutError,
} from "../mod.ts";
import { sweep, VirtualClock } from "../testing.ts";

function virtual(told: unknown[] = []): Scheduler {
  return new Scheduler({
    clock: new VirtualClock(),
    onUnhandledError: (error) => told.push((error as Error).message ?? error),
  });
}

Deno.test("a future gives its result or its error, to whoever asks and whoever waits", async () => {
  const good = new Future<number>();
  const bad = new Future<number>();
  assertEquals([good.done(), good.cancelled()], [false, false]);
  assertThrows(() => good.result(), InvalidStateError, "pending");
  assertThrows(() => good.exception(), InvalidStateError, "pending");
  const error = new RangeError("no");
  const log = await virtual().run(function* (): Coroutine<unknown[]> {
    const log: unknown[] = [];
    for (const future of [good, bad]) {
      yield* spawn(function* () {
        try {
          log.push(yield* future);
        } catch (error) {
          log.push(error);
        }
      });
    }
    yield;
    good.setResult(42);
    bad.setException(error);
    yield;
    log.push(yield good, good.exception());
    return log;
  });
  assertEquals(log, [42, error, 42, undefined]);
  assertStrictEquals(bad.exception(), error);
  assertEquals(await good, 42);
  await assertRejects(async () => await bad, RangeError, "no");
});

Deno.test("undefined, null and 0 are values like any other, and a promise is not followed", () => {
  for (const value of [undefined, null, 0, false, "", NaN]) {
    const future = Future.resolve(value);
    assertEquals([future.done(), future.result(), future.exception()], [true, value, undefined]);
  }
  const promise = Promise.resolve(1);
  assertStrictEquals(Future.resolve(promise).result(), promise);
});

Deno.test("a second settle throws InvalidStateError and changes nothing", () => {
  const good = Future.resolve(1);
  const bad = Future.reject(new Error("first"));
  for (const future of [good, bad]) {
    assertThrows(() => (future as Future<number>).setResult(2), InvalidStateError);
    assertThrows(() => future.setException(new Error("second")), InvalidStateError);
    assertEquals(future.cancel(), false);
  }
  assertEquals(good.result(), 1);
  assertThrows(() => bad.result(), Error, "first");
});

Deno.test("callbacks run once, in the order they were added, with waiting tasks in between; at once on one that is done", () => {
  const log: unknown[] = [];
  const future = new Future<string>();
  virtual().runSync(function* () {
    const again = (f: Future<string>) => log.push(`a ${f.result()}`);
    const removed = () => log.push("removed");
    future.addDoneCallback(again);
    future.addDoneCallback(removed);
    yield* spawn(function* () {
      log.push(`task ${yield* future}`);
    });
    yield;
    future.addDoneCallback(() => log.push("b"));
    log.push(future.removeDoneCallback(removed), future.removeDoneCallback(removed));
    future.setResult("x");
    log.push("settled");
    future.addDoneCallback(again);
    log.push("added");
  });
  assertEquals(log, [true, false, "a x", "b", "settled", "a x", "added", "task x"]);
});

Deno.test("a callback that throws is reported, and stops neither the others, nor who settles, nor who adds", () => {
  const told: unknown[] = [];
  const log: string[] = [];
  virtual(told).runSync(function* () {
    const future = new Future<void>();
    future.addDoneCallback(() => {
      throw new Error("from a callback");
    });
    future.addDoneCallback(() => log.push("next callback"));
    future.setResult();
    log.push("settled");
    future.addDoneCallback(() => {
      throw new Error("from a late callback");
    });
    log.push("added");
  });
  assertEquals(log, ["next callback", "settled", "added"]);
  assertEquals(told, ["from a callback", "from a late callback"]);
});

Deno.test("a chain of a hundred thousand futures settles without recursion", () => {
  const first = new Future<number>();
  let last = first;
  for (let i = 0; i < 100_000; i++) {
    const next = new Future<number>();
    last.addDoneCallback((future) => next.setResult(future.result() + 1));
    last = next;
  }
  first.setResult(0);
  assertEquals(last.result(), 100_000);
});

Deno.test("a cancelled future gives a JoinError with the reason as its cause", async () => {
  const future = new Future<void>();
  assertEquals([future.cancel("not wanted"), future.cancelled(), future.cancel()], [true, true, false]);
  const error = assertThrows(() => future.result(), JoinError);
  assertEquals(error.cause, "not wanted");
  assertStrictEquals(future.exception(), error);
  await assertRejects(async () => await future, JoinError);
  assertThrows(() => virtual().runSync(future), JoinError);
});

Deno.test("a failure that nobody looks at is told once, at the end of the turn; one that was looked at, never", async () => {
  const told: unknown[] = [];
  await virtual(told).run(function* (): Coroutine<void> {
    const fail = (message: string): Future<void> => Future.reject(new Error(message));
    const dropped = fail("dropped");
    fail("exception looked at").exception();
    fail("then").then(undefined, () => {});
    try {
      yield fail("yielded");
    } catch { /* looked at */ }
    const late = fail("late, within the turn");
    yield;
    late.exception();
    yield* sleep(1);
    assertInstanceOf(dropped.exception(), Error);
  });
  assertEquals(told, ["dropped"]);
});

Deno.test("from takes a promise's result; to cancel it leaves the promise alone", async () => {
  assertEquals(await Future.from(Promise.resolve(7)), 7);
  await assertRejects(async () => await Future.from(Promise.reject(new TypeError("no"))), TypeError);
  const { promise, resolve } = Promise.withResolvers<number>();
  const future = Future.from(promise);
  future.cancel();
  resolve(5);
  assertEquals(await promise, 5);
  assert(future.cancelled());
  assertThrows(() => Future.from(5 as unknown as Promise<void>), TypeError);
});

Deno.test("a wait for a future that is cancelled takes nothing, and leaves its place in the line", () => {
  const log: string[] = [];
  virtual().runSync(function* () {
    const future = new Future<string>();
    const waiters = [];
    for (const name of ["a", "b", "c"]) {
      waiters.push(
        yield* spawn(function* () {
          log.push(`${name} ${yield* future}`);
        }),
      );
    }
    yield;
    assertEquals(waiters[1]!.waitingFor, "a future");
    yield* kill(waiters[1]!);
    try {
      yield* timeout(5, future);
    } catch (error) {
      assertInstanceOf(error, TimeoutError);
    }
    future.setResult("value");
  });
  assertEquals(log, ["a value", "c value"]);
});

Deno.test("a coroutine function starts at once, up to its first wait, and gives the future of its outcome", async () => {
  const log: unknown[] = [];
  await virtual().run(function* (): Coroutine<void> {
    const add = coroutine(function* add(a: number, b: number) {
      log.push("started");
      yield* sleep(5);
      return a + b;
    });
    const future = add(1, 2);
    log.push("called", future.done());
    log.push(yield* future);
    const atOnce = coroutine(function* () {
      return "no wait";
    })();
    log.push(atOnce.done(), atOnce.result());
  });
  assertEquals(log, ["started", "called", false, 3, true, "no wait"]);
});

Deno.test("a coroutine function throws nothing at the call; its error is in the future, and told once if nobody looks", async () => {
  const told: unknown[] = [];
  await virtual(told).run(function* (): Coroutine<void> {
    const fail = coroutine(function* (message: string) {
      throw new Error(message);
    });
    const early = fail("looked at");
    assertThrows(() => early.result(), Error, "looked at");
    fail("dropped");
    const broken = coroutine(
      (() => {
        throw new Error("not even a coroutine");
      }) as () => Coroutine<void>,
    )();
    assertThrows(() => broken.result(), Error, "not even");
    const wrong = coroutine((() => 5) as unknown as () => Coroutine<void>)();
    assertThrows(() => wrong.result(), TypeError);
  });
  assertEquals(told, ["dropped"]);
});

Deno.test("future.cancel() kills the coroutine's task, and the future is done when its cleanup is", () => {
  const log: unknown[] = [];
  virtual().runSync(function* (): Coroutine<void> {
    const future = coroutine(function* () {
      try {
        yield* sleep(1000);
      } finally {
        yield* sleep(5);
        log.push("cleaned up");
      }
    })();
    log.push(future.cancel("enough"), future.done());
    try {
      yield* future;
    } catch (error) {
      log.push((error as Error).name, (error as Error).cause);
    }
    log.push(future.cancelled());
  });
  assertEquals(log, [true, false, "cleaned up", "JoinError", "enough", true]);
});

Deno.test("the decorator keeps this", async () => {
  class Account {
    balance = 1;
    @coroutine
    *deposit(amount: number): Coroutine<number> {
      yield* sleep(1);
      return this.balance += amount;
    }
  }
  const account = new Account();
  const balance = await virtual().run(function* (): Coroutine<unknown> {
    const future: unknown = account.deposit(4);
    assertInstanceOf(future, Future);
    return yield* future;
  });
  assertEquals(balance, 5);
});

Deno.test("coroutines may start one in the other, three thousand deep", async () => {
  const depth = coroutine(function* (n: number): Coroutine<number> {
    return n === 0 ? 0 : 1 + ((yield depth(n - 1)) as number);
  });
  assertEquals(await virtual().run(() => depth(3000)), 3000);
});

Deno.test("an error that was caught and replaced, or caught and swallowed, stays so; a yield after it works", () => {
  const seen = virtual().runSync(function* (): Coroutine<unknown[]> {
    const seen: unknown[] = [];
    try {
      try {
        yield Future.reject(new Error("first"));
      } catch (error) {
        throw new Error("second", { cause: error });
      }
    } catch (error) {
      seen.push((error as Error).message);
    }
    try {
      yield Future.reject(new Error("swallowed"));
    } catch { /* swallowed */ }
    seen.push(yield Future.resolve("after"));
    return seen;
  });
  assertEquals(seen, ["second", "after"]);
});

Deno.test("waiting for futures can be interrupted at any step", () => {
  sweep(function* (): Coroutine<void> {
    const future = new Future<number>();
    yield* spawn(function* () {
      yield* sleep(2);
      future.setResult(1);
    });
    const delayed = coroutine(function* () {
      yield* sleep(3);
      return 2;
    });
    yield* future;
    yield* delayed();
    yield* delayed();
  });
});

Deno.test("a chain of ten thousand coroutines, each waiting for the one before, is made in time", () => {
  const value = new Scheduler().runSync(function* () {
    const first = new Future<number>();
    const next = coroutine(function* (before: Future<number>) {
      return (yield* before) + 1;
    });
    let last = first;
    for (let i = 0; i < 10_000; i++) last = next(last);
    first.setResult(0);
    return yield* last;
  });
  assertEquals(value, 10_000);
});

Deno.test("a future says in words what it is", () => {
  new Scheduler().runSync(function* () {
    const work = coroutine(function* worker() {
      yield;
    });
    assertEquals([String(new Future()), String(work())], ["a future", 'the future of task 2 "worker"']);
  });
});
