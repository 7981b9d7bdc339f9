import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Coroutine,
  InvalidStateError,
  kill,
  Queue,
  type QueueOptions,
  Scheduler,
  select,
  sleep,
  spawn,
  type Task,
  timeout,
  TimeoutError,
} from "../mod.ts";
import { sweep } from "../testing.ts";
import { Oops, stage, words } from "./_transcript.ts";

const byPriority = (a: string, b: string) => a.charCodeAt(0) - b.charCodeAt(0);

/** What a queue gives until it is empty. */
function drain<T>(queue: Queue<T>): T[] {
  const items: T[] = [];
  for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) items.push(item.value);
  return items;
}

Deno.test("a queue gives its oldest, its newest or its smallest item next, the oldest of those that are equal", () => {
  const items = ["b1", "a1", "c1", "a2", "b2", "c2", "a3"];
  const orders: [QueueOptions<string>, string][] = [
    [{}, "b1 a1 c1 a2 b2 c2 a3"],
    [{ order: "fifo" }, "b1 a1 c1 a2 b2 c2 a3"],
    [{ order: "lifo" }, "a3 c2 b2 a2 c1 a1 b1"],
    [{ order: byPriority }, "a1 a2 a3 b1 b2 c1 c2"],
  ];
  for (const [options, expected] of orders) {
    const queue = new Queue<string>(options);
    for (const item of items) assert(queue.tryPut(item));
    assertEquals(queue.size, 7);
    assertEquals(drain(queue).join(" "), expected);
    assertEquals([queue.size, queue.tryGet()], [0, undefined]);
  }
});

Deno.test("a queue in the order of a comparison agrees with a stable sort, whatever comes and goes", () => {
  let seed = 42;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
  const queue = new Queue<[number, number]>({ order: (a, b) => a[0] - b[0] });
  let model: [number, number][] = [];
  for (let i = 0; i < 5000; i++) {
    if (random(5) < (i < 3000 ? 3 : 2)) {
      const item: [number, number] = [random(20), i];
      queue.tryPut(item);
      model = [...model, item].sort((a, b) => a[0] - b[0]);
    } else {
      assertEquals(queue.tryGet()?.value, model.shift());
    }
    assertEquals(queue.size, model.length);
  }
  assertEquals(drain(queue), model);
});

Deno.test("a queue of any order keeps its items through growing, running empty and growing again", () => {
  for (const order of ["fifo", "lifo", (a: number, b: number) => a - b] as const) {
    const queue = new Queue<number>({ order });
    for (let round = 0; round < 3; round++) {
      const items = Array.from({ length: 10_000 }, (_, i) => i);
      for (const item of items) queue.tryPut(item);
      assertEquals(drain(queue), order === "lifo" ? items.reverse() : items);
    }
  }
});

Deno.test("undefined and null are items like any other", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<unknown>();
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 0; i < 3; i++) say(String(yield* queue.get()));
    });
    yield;
    for (const item of [undefined, null, 0, undefined]) yield* queue.put(item);
    yield;
    assertEquals([queue.tryGet(), queue.tryGet()], [{ value: undefined }, undefined]);
  });
  assertEquals(log, ["0 undefined", "0 null", "0 0"]);
});

Deno.test("put waits while the queue is full, get while it is empty; else neither switches", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<number>({ capacity: 2, name: "jobs" });
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 1; i <= 5; i++) {
        yield* queue.put(i);
        say(`put ${i}, ${queue}`);
      }
    }, { name: "producer" });
    for (let i = 0; i < 5; i++) {
      yield* sleep(10);
      say(`got ${yield* queue.get()}`);
    }
  });
  assertEquals(log, [
    '0 put 1, queue "jobs", 1 item',
    '0 put 2, queue "jobs", 2 items',
    "10 got 1",
    '10 put 3, queue "jobs", 2 items',
    "20 got 2",
    '20 put 4, queue "jobs", 2 items',
    "30 got 3",
    '30 put 5, queue "jobs", 2 items',
    "40 got 4",
    "50 got 5",
  ]);
});

Deno.test("waitingFor and toString say which queue, and what of it is waited for", () => {
  const { scheduler } = stage();
  const queue = new Queue<number>({ capacity: 1, name: "jobs" });
  scheduler.runSync(function* () {
    const getter = yield* spawn(queue.get());
    yield;
    assertEquals(getter.waitingFor, 'get from queue "jobs"');
    assertEquals(`${queue}`, 'queue "jobs", 0 items, awaited by task 2');
    queue.tryPut(1);
    queue.tryPut(2);
    const putter = yield* spawn(queue.put(3));
    const joiner = yield* spawn(queue.join());
    yield;
    assertEquals(putter.waitingFor, 'put to queue "jobs"');
    assertEquals(joiner.waitingFor, 'join of queue "jobs", 2 not done');
    assertEquals(`${queue}`, 'queue "jobs", 1 item, awaited by task 3, task 4');
    yield* kill(putter);
    yield* kill(joiner);
  });
});

Deno.test("tryPut and tryGet never wait, and hand over to those who do", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<string>({ capacity: 1 });
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      say(`got ${yield* queue.get()}`);
    });
    yield;
    say(`${queue.tryPut("a")} ${queue.size} ${queue.tryPut("b")} ${queue.size} ${queue.tryPut("c")}`);
    yield* spawn(function* () {
      yield* queue.put("d");
      say("put d");
    });
    yield;
    say(`${queue.tryGet()?.value} ${queue.size} ${queue.tryGet()?.value} ${queue.tryGet()?.value}`);
  });
  assertEquals(log, ["0 true 0 true 1 false", "0 got a", "0 b 1 d undefined", "0 put d"]);
});

Deno.test("a host callback feeds tasks through a queue", async () => {
  const queue = new Queue<number>();
  let sent = 0;
  const timer = setInterval(() => queue.tryPut(++sent), 1);
  const scheduler = new Scheduler({ deadlock: "wait" });
  const got = await scheduler.run(function* () {
    const got: number[] = [];
    while (got.length < 3) got.push(yield* queue.get());
    return got;
  });
  clearInterval(timer);
  assertEquals(got, [1, 2, 3]);
});

Deno.test("join waits until every item is done; taskDone once too often is refused", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<number>({ name: "jobs" });
  scheduler.runSync(function* () {
    yield* queue.join();
    say("nothing to wait for");
    yield* spawn(function* () {
      for (;;) {
        const ms = yield* queue.get();
        yield* sleep(ms);
        say(`done ${ms}`);
        queue.taskDone();
      }
    }, { daemon: true });
    yield;
    for (const ms of [5, 3]) yield* queue.put(ms); // the first is handed over, the second stays
    for (const name of ["first", "second"]) {
      yield* spawn(function* () {
        yield* queue.join();
        say(`${name} has joined`);
      });
    }
    yield* queue.join();
    say("joined");
    assertThrows(
      () => queue.taskDone(),
      InvalidStateError,
      'Cannot be done with an item of queue "jobs": all items are done',
    );
  });
  assertEquals(log, [
    "0 nothing to wait for",
    "5 done 5",
    "8 done 3",
    "8 joined",
    "8 first has joined",
    "8 second has joined",
  ]);
});

Deno.test("join waits for items, too, that had to wait for a place", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<number>({ capacity: 1 });
  scheduler.runSync(function* () {
    for (let i = 1; i <= 3; i++) yield* spawn(queue.put(i));
    yield* spawn(function* () {
      yield* queue.join();
      say("joined");
    });
    for (let i = 1; i <= 3; i++) {
      yield* sleep(1);
      say(`got ${yield* queue.get()}`);
      queue.taskDone();
    }
    assertThrows(() => queue.taskDone(), InvalidStateError);
  });
  assertEquals(log, ["1 got 1", "2 got 2", "3 got 3", "3 joined"]);
});

Deno.test("after a timeout round get, the next item goes to the next one who asks", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<string>();
  scheduler.runSync(function* () {
    try {
      yield* timeout(10, queue.get());
    } catch (error) {
      say(words(error));
    }
    queue.tryPut("item");
    say(yield* queue.get());
  });
  assertEquals(log, ["10 TimeoutError", "10 item"]);
});

Deno.test("a consumer that polls with timeouts of 100 ms gets every item of a producer that takes 200 ms for each", () => {
  const { scheduler } = stage();
  const queue = new Queue<number>();
  const got: number[] = [];
  let timeouts = 0;
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 0; i < 10; i++) {
        yield* sleep(200);
        yield* queue.put(i);
      }
    });
    while (got.length < 10) {
      try {
        got.push(yield* timeout(100, queue.get()));
      } catch {
        timeouts++;
      }
    }
  });
  assertEquals(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert(timeouts >= 10);
});

Deno.test("a getter that is killed after an item was handed to it has the item, one killed before leaves it", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<string>();
  const get = function* (): Coroutine<void> {
    say(`got ${yield* queue.get()}`);
    yield;
    say("not reached");
  };
  scheduler.runSync(function* () {
    const before = yield* spawn(get);
    const after = yield* spawn(get);
    yield;
    yield* kill(before);
    queue.tryPut("item");
    yield* kill(after);
    say(`${queue.size} left`);
  });
  assertEquals(log, ["0 got item", "0 0 left"]);
});

Deno.test("a comparison that throws does so in the task whose item it is, and the queue is as before", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<number>({
    capacity: 3,
    order(a, b) {
      if (a === 13 || b === 13) throw new Oops("bad luck");
      return a - b;
    },
  });
  scheduler.runSync(function* () {
    for (const n of [3, 1]) yield* queue.put(n);
    try {
      yield* queue.put(13);
    } catch (error) {
      say(words(error));
    }
    yield* queue.put(2);
    for (const n of [13, 4]) {
      yield* spawn(function* () {
        try {
          yield* queue.put(n);
          say(`put ${n}`);
        } catch (error) {
          say(`${n}: ${words(error)}`);
        }
      });
    }
    yield;
    say(`got ${yield* queue.get()}`);
    yield;
    say(drain(queue).join(" "));
  });
  assertEquals(log, ["0 bad luck", "0 got 1", "0 13: bad luck", "0 put 4", "0 2 3 4"]);
});

Deno.test("a select that both puts to and gets from a queue does one of the two, and not with itself", () => {
  const { scheduler, log, say } = stage();
  const queue = new Queue<string>({ capacity: 1 });
  scheduler.runSync(function* () {
    queue.tryPut("old");
    const both = () => select({ put: queue.put("new"), got: queue.get() });
    say(JSON.stringify(yield* both()));
    say(`${queue}`);
    say(JSON.stringify(yield* select({ got: queue.get(), put: queue.put("new") })));
    say(`${queue}`);
    queue.tryGet();
    const other = yield* spawn(function* () {
      say(JSON.stringify(yield* select({ got: queue.get(), late: sleep(10) })));
    });
    yield;
    say(JSON.stringify(yield* both()));
    yield* other;
    say(`${queue}`);
  });
  assertEquals(log, [
    '0 {"name":"got","value":"old"}',
    "0 queue, 0 items",
    '0 {"name":"put"}',
    "0 queue, 1 item",
    '0 {"name":"put"}',
    '0 {"name":"got","value":"new"}',
    "0 queue, 0 items",
  ]);
});

Deno.test("an order or a capacity that is none is refused", () => {
  assertThrows(() => new Queue({ order: "best" as "fifo" }), TypeError, '"fifo", "lifo" or a comparison');
  assertThrows(
    () => new Queue(5 as QueueOptions<number>),
    TypeError,
    "options are an object with name, capacity or order, not 5",
  );
  for (const capacity of [0, -1, 0.5, NaN]) {
    const message = `capacity is a whole number from 1, or Infinity, not ${capacity}`;
    assertThrows(() => new Queue({ capacity }), RangeError, message);
  }
  for (const capacity of ["1", null, {}, 1n] as never[]) {
    assertThrows(() => new Queue({ capacity }), TypeError, "capacity is a whole number");
  }
});

Deno.test("interrupting producers and consumers, at any step, loses and doubles no item", () => {
  for (const order of ["fifo", "lifo", byPriority] as const) {
    for (const victims of ["main", "any"] as const) {
      let queue = new Queue<string>();
      let put: string[] = [];
      let got: string[] = [];
      const produce = function* (name: string): Coroutine<void> {
        for (let i = 1; i <= 4; i++) {
          yield* queue.put(name + i);
          put.push(name + i);
          if (i % 2 === 0) yield* sleep(1);
        }
      };
      const consume = function* (patience: number, pause: number): Coroutine<void> {
        for (let quiet = 0; quiet < 20;) {
          try {
            got.push(yield* timeout(patience, queue.get()));
            quiet = 0;
            yield* sleep(pause);
          } catch (error) {
            if (!(error instanceof TimeoutError)) throw error;
            quiet += patience;
          }
        }
      };
      const report = sweep(function* () {
        queue = new Queue({ order, capacity: 2 });
        put = [];
        got = [];
        const tasks: Task[] = [];
        for (const name of "ab") tasks.push(yield* spawn(produce(name)));
        for (const patience of [2, 20]) tasks.push(yield* spawn(consume(patience, 4)));
        for (const task of tasks) yield* task;
      }, {
        victims,
        check: () => assertEquals([...got, ...drain(queue)].toSorted(), put.toSorted()),
      });
      assert(report.steps > 20);
      assertEquals(new Set(put).size, put.length);
    }
  }
});

Deno.test("interrupting tasks that join a queue, at any step, wakes every joiner that is left", () => {
  for (const victims of ["main", "any"] as const) {
    sweep(function* () {
      const queue = new Queue<number>();
      for (let i = 1; i <= 3; i++) {
        queue.tryPut(i);
        yield* spawn(queue.join());
        yield* spawn(function* () {
          const ms = yield* queue.get();
          try {
            yield* sleep(ms);
          } finally {
            queue.taskDone();
          }
        });
      }
      yield* queue.join();
    }, { victims });
  }
});
