import { assert, assertEquals, assertRejects } from "@std/assert";
import { each, hostSignal, kill, Scheduler, sleep, spawn, timeout, TimeoutError, until } from "../mod.ts";
import { VirtualClock } from "../testing.ts";

Deno.test("beside tasks that are always ready, a socket is answered and a host timer fires", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port });
  const server = await listener.accept();
  const echoing = (async () => {
    const buffer = new Uint8Array(64);
    for (let n = await server.read(buffer); n !== null; n = await server.read(buffer)) {
      await server.write(buffer.subarray(0, n));
    }
  })();
  let steps = 0;
  const trips = await new Scheduler().run(function* () {
    const busy = [];
    for (let i = 0; i < 100; i++) {
      busy.push(
        yield* spawn(function* () {
          for (;; steps++) yield;
        }),
      );
    }
    const buffer = new Uint8Array(1);
    let trips = 0;
    for (; trips < 20; trips++) {
      yield* until(client.write(new Uint8Array([trips])));
      yield* until(client.read(buffer));
      assert(buffer[0] === trips);
    }
    yield* until(new Promise((resolve) => setTimeout(resolve, 1)));
    yield* sleep(1);
    for (const task of busy) yield* kill(task);
    return trips;
  });
  assertEquals(trips, 20);
  assert(steps > 1000);
  client.close();
  await echoing;
  server.close();
  listener.close();
});

Deno.test("beside a task that is always ready, a promise is heard of before the slice is over", async () => {
  let looks = 0;
  const clock = { now: () => looks++, setAlarm: () => undefined, clearAlarm() {} };
  const log: string[] = [];
  await new Scheduler({ clock, timeSlice: 1000 }).run(function* () {
    const busy = yield* spawn(function* () {
      for (;;) yield;
    });
    setImmediate(() => log.push("the host's turn"));
    for (let i = 1; i <= 3; i++) log.push(`promise ${yield* until(Promise.resolve(i))}`);
    yield* kill(busy);
    yield* until(new Promise<void>((resolve) => setImmediate(resolve)));
  });
  assertEquals(log, ["promise 1", "promise 2", "promise 3", "the host's turn"]);
});

Deno.test("two tasks that bounce a token for ever starve neither a third nor the loop's end", async () => {
  const scheduler = new Scheduler();
  const log: string[] = [];
  await scheduler.run(function* () {
    for (let i = 0; i < 2; i++) {
      yield* spawn(function* () {
        for (;;) yield;
      }, { daemon: true });
    }
    yield* spawn(function* () {
      yield* sleep(2);
      log.push("third");
    });
  });
  assertEquals(log, ["third"]);
});

Deno.test("hostSignal parks until the process gets the signal, for all who wait, and can be cancelled", async () => {
  const log: string[] = [];
  await new Scheduler().run(function* () {
    const waiters = [];
    for (const name of ["a", "b"]) {
      waiters.push(
        yield* spawn(function* () {
          log.push(`${name} ${yield* hostSignal("SIGUSR2")}`);
        }),
      );
    }
    const killed = yield* spawn(hostSignal("SIGUSR2"));
    yield;
    log.push(killed.waitingFor!);
    yield* kill(killed);
    Deno.kill(Deno.pid, "SIGUSR2");
    for (const waiter of waiters) yield* waiter;
    try {
      yield* hostSignal("SIGNONE" as Deno.Signal);
    } catch (error) {
      log.push((error as Error).name);
    }
  });
  assertEquals(log, ["signal SIGUSR2", "a SIGUSR2", "b SIGUSR2", "TypeError"]);
});

Deno.test("each gives the items of an async iterable; a cancelled next loses none", async () => {
  const scheduler = new Scheduler();
  const log: unknown[] = [];
  let closed = false;
  async function* source() {
    try {
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setTimeout(resolve, 4));
        yield i;
      }
    } finally {
      closed = true;
    }
  }
  await scheduler.run(function* () {
    const items = each(source());
    while (log.length < 5) {
      try {
        const item = yield* timeout(1, items.next());
        log.push(item.value);
      } catch (error) {
        assert(error instanceof TimeoutError);
      }
    }
    yield* items.close();
    log.push(closed, (yield* items.next()).done);
  });
  assertEquals(log, [0, 1, 2, 3, 4, true, true]);
});

Deno.test("each gives the source's error, and serves several readers in order", async () => {
  const log: unknown[] = [];
  async function* source() {
    yield 1;
    yield 2;
    throw new Error("spring ran dry");
  }
  await new Scheduler().run(function* () {
    const items = each(source());
    for (const name of ["a", "b", "c", "d"]) {
      yield* spawn(function* () {
        try {
          const item = yield* items.next();
          log.push(`${name} ${item.done ? "done" : item.value}`);
        } catch (error) {
          log.push(`${name} ${(error as Error).message}`);
        }
      });
    }
  });
  assertEquals(log, ["a 1", "b 2", "c spring ran dry", "d done"]);
  await assertRejects(async () => await each(5 as unknown as AsyncIterable<never>).next(), TypeError);
});

Deno.test("an advanced clock wakes each task at exactly its time, though nobody awaits in between", async () => {
  const clock = new VirtualClock(100);
  const scheduler = new Scheduler({ clock, deadlock: "wait" });
  const log: number[] = [];
  const hold = Promise.withResolvers<void>();
  const running = scheduler.run(function* () {
    yield* spawn(until(hold.promise));
    for (let i = 0; i < 4; i++) {
      yield* sleep(7);
      log.push(scheduler.now());
    }
    hold.resolve();
  });
  await new Promise((resolve) => setTimeout(resolve));
  clock.advance(15);
  clock.advance(100);
  await running;
  assertEquals([log, clock.now()], [[107, 114, 121, 128], 215]);
});

Deno.test("a task that only ever waits for no time at all does not keep the host from its turn", async () => {
  let hostTurns = 0;
  const loops = await new Scheduler().run(function* () {
    const timer = setTimeout(() => hostTurns++, 1);
    let loops = 0;
    for (; hostTurns === 0 && loops < 100_000; loops++) {
      try {
        yield* timeout(0, sleep(1000));
      } catch (error) {
        assert(error instanceof TimeoutError);
      }
      yield* sleep(0);
    }
    clearTimeout(timer);
    return loops;
  });
  assertEquals([hostTurns, loops < 100_000], [1, true]);
});

Deno.test("on a clock that stands, tasks that are always ready do not starve the host either", async () => {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  await scheduler.run(function* () {
    const busy = yield* spawn(function* () {
      for (;;) yield;
    });
    yield* until(new Promise((resolve) => setTimeout(resolve, 1)));
    yield* kill(busy);
  });
  assertEquals(scheduler.now(), 0);
});

Deno.test("a task that waits only for promises that are resolved already does not keep the host from its turn", async () => {
  for (const clock of [undefined, new VirtualClock()]) {
    let over = false;
    setTimeout(() => over = true, 1);
    await new Scheduler(clock === undefined ? {} : { clock }).run(function* () {
      while (!over) yield* until(Promise.resolve());
    });
    assert(over);
  }
});
