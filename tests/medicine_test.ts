/**
 * Our own medicine: the primitives, in small programs of two and three tasks, under every schedule there is, with a kill that
 * lands anywhere.
 *
 * The killer is a task like any other that is ready from the start. As every order is tried, it comes between any two steps
 * of its victim, before the first and after the last, while the victim waits and after what it waits for has been handed to it.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  all,
  asCompleted,
  Cancelled,
  Channel,
  Condition,
  connect,
  type Coroutine,
  coroutine,
  defer,
  Event,
  Future,
  JoinError,
  kill,
  listen,
  Lock,
  type Operation,
  Queue,
  race,
  select,
  Semaphore,
  settle,
  shield,
  sleep,
  type Socket,
  type Task,
  taskGroup,
  timeout,
  TimeoutError,
} from "../mod.ts";
import { explore, type ExploreOptions, type ExploreReport, type World } from "../testing.ts";
import { primitives, sockets } from "./_random_programs.ts";

/** Explores a program: every schedule of it, or every one with so many preemptions. At the end nothing may be left. */
function exhaust(
  name: string,
  body: (world: World) => (() => void) | void,
  options: ExploreOptions = {},
): void {
  Deno.test(name, () => {
    const report: ExploreReport = explore((world) => {
      const check = body(world);
      return () => {
        assertEquals(world.scheduler._timers.size, 0, "timers are still set");
        assertEquals(world.net.open, 0, "sockets are still open");
        check?.();
      };
    }, { strategy: "bounded", runs: Infinity, maxMs: 60_000, ...options });
    assert(report.complete, report.summary);
  });
}

/** Kills one of these tasks, some time. */
function killer(world: World, victims: Task[]): Task {
  return world.spawn(function* killer() {
    yield* kill(world.choose(victims), { wait: world.maybe() });
  });
}

/** Whether two lists have the same elements. */
function assertSame(actual: unknown[], expected: unknown[]): void {
  assertEquals([...actual].sort(), [...expected].sort());
}

// ---- Locks, semaphores, conditions, events ---------------------------------------------------------------------------

exhaust("a lock: one at a time, and free at the end, wherever a kill lands", (world) => {
  const lock = new Lock();
  let inside = 0;
  world.always("one at a time", () => inside <= 1 && (inside === 0 || lock.locked));
  const users = Array.from({ length: 3 }, () =>
    world.spawn(lock.with(function* () {
      inside++;
      try {
        yield;
      } finally {
        inside--;
      }
    })));
  killer(world, users);
  return () => assertEquals([inside, lock.locked, String(lock)], [0, false, "lock held by nobody"]);
});

exhaust(
  "a lock whose holder is killed breaks, and whoever waits for it is told, or it was handed on",
  (world) => {
    const lock = new Lock();
    const go = new Event();
    const told: string[] = [];
    const holder = world.spawn(function* holder() {
      yield* lock.acquire();
      yield* go.wait();
      lock.release();
    });
    const waiters = [0, 1].map(() =>
      world.spawn(function* () {
        try {
          yield* lock.acquire();
          lock.release();
          told.push("got it");
        } catch (error) {
          told.push((error as Error).name);
        }
      })
    );
    world.spawn(function* killer() {
      yield* sleep(1); // until nobody is ready
      if (world.maybe()) go.set();
      // With nobody waiting it would break unheard of: see the next test.
      if (waiters.some((waiter) => waiter.state === "waiting")) yield* kill(holder);
      go.set();
    });
    return () => {
      assertEquals(told.length, 2);
      const broken = told.filter((name) => name === "BrokenLockError").length;
      assertEquals(lock.locked, broken > 0);
      assert(broken === 0 || holder.outcome!.kind === "killed");
    };
  },
);

Deno.test("a lock that breaks with nobody waiting is reported, and the explorer finds that it can", () => {
  let message = "";
  try {
    explore((world) => {
      const lock = new Lock();
      const holder = world.spawn(function* holder() {
        yield* lock.acquire();
        yield;
        lock.release();
      });
      killer(world, [holder]);
    });
  } catch (error) {
    message = (error as Error).message;
  }
  assertStringIncludes(message, "BrokenLockError");
  assertStringIncludes(message, "with 1 preemption");
});

exhaust("a semaphore: what is taken is given back, wherever a kill lands", (world) => {
  const semaphore = new Semaphore(2);
  let used = 0;
  world.always("two at most", () => used + semaphore.available <= 2);
  const users = [1, 2, 1].map((count) =>
    world.spawn(function* () {
      yield* semaphore.acquire(count);
      used += count;
      try {
        yield;
      } finally {
        used -= count;
        semaphore.release(count);
      }
    })
  );
  killer(world, users);
  return () => assertEquals([used, semaphore.available], [0, 2]);
});

exhaust("a condition: a waiter holds the lock whenever it goes on, also into its cleanup", (world) => {
  const lock = new Lock();
  const changed = new Condition(lock);
  let value = 0;
  const waiters = [1, 2].map((wanted) =>
    world.spawn(lock.with(function* () {
      try {
        yield* changed.waitFor(() => value >= wanted);
        assert(value >= wanted);
      } finally {
        assert(lock.locked && lock.holder === waiters[wanted - 1]);
      }
    }))
  );
  world.spawn(function* () {
    for (let i = 0; i < 2; i++) {
      yield* lock.with(function* () {
        value++;
        changed.notify(i + 1);
      });
    }
  });
  killer(world, waiters);
  return () => assertEquals(lock.locked, false);
}, { preemptions: 3 });

exhaust("an event: who waits goes on when it is set, and who is killed leaves no trace", (world) => {
  const event = new Event();
  const seen: string[] = [];
  const waiters = ["a", "b"].map((name) =>
    world.spawn(function* () {
      yield* event.wait();
      seen.push(name);
    })
  );
  const victim = killer(world, waiters);
  world.spawn(function* () {
    event.set();
    yield;
    event.clear();
    yield;
    event.set();
  });
  return () => {
    assertEquals(victim.outcome!.kind, "returned");
    const killed = waiters.filter((waiter) => waiter.outcome!.kind === "killed").length;
    assertEquals(seen.length + killed, 2);
    assert(killed <= 1 && !String(event).includes("awaited"));
  };
});

// ---- Queues and channels ---------------------------------------------------------------------------------------------

for (const capacity of [1, 2]) {
  exhaust(
    `a queue of ${capacity}: what was put is got once, or is still there, wherever a kill lands`,
    (world) => {
      const queue = new Queue<number>({ capacity });
      const put: number[] = [];
      const got: number[] = [];
      const producer = world.spawn(function* () {
        for (let i = 0; i < 3; i++) {
          yield* queue.put(i);
          put.push(i);
        }
      });
      const consumers = [0, 1].map(() =>
        world.spawn(function* () {
          for (;;) got.push(yield* queue.get());
        }, { daemon: true })
      );
      world.spawn(function* killer() {
        yield* kill(world.choose([producer, consumers[0]!]));
      });
      return () => {
        for (let item = queue.tryGet(); item !== undefined; item = queue.tryGet()) got.push(item.value);
        // One whose put was answered after the kill has been put, though the producer did not get to say so.
        const last = put.length;
        assertSame(got, got.length > put.length ? [...put, last] : put);
        assertEquals(got.length > put.length, false);
      };
    },
    { preemptions: 2 },
  );
}

exhaust("a queue's join waits for what has been got to be done", (world) => {
  const queue = new Queue<number>();
  let done = 0;
  const worker = world.spawn(function* () {
    for (;;) {
      yield* queue.get();
      try {
        yield;
      } finally {
        done++;
        queue.taskDone();
      }
    }
  }, { daemon: true });
  const second = world.spawn(function* () {
    for (;;) {
      yield* queue.get();
      done++;
      queue.taskDone();
    }
  }, { daemon: true });
  world.spawn(function* () {
    for (let i = 0; i < 3; i++) yield* queue.put(i);
    yield* queue.join();
    assertEquals(done, 3);
  });
  killer(world, [worker]);
  void second;
});

for (const capacity of [0, 1]) {
  exhaust(`a channel of ${capacity}: nothing is received twice, or lost, wherever a kill lands`, (world) => {
    const channel = new Channel<number>(capacity);
    const sent: number[] = [];
    const received: number[] = [];
    const sender = world.spawn(function* () {
      for (let i = 0; i < 2; i++) {
        yield* channel.send(i);
        sent.push(i);
      }
    });
    const receiver = world.spawn(function* () {
      const { done, value } = yield* channel.receive();
      if (!done) received.push(value);
    });
    const rest = world.spawn(function* () {
      for (;;) {
        const { done, value } = yield* channel.receive();
        if (done) return;
        received.push(value);
      }
    });
    const killing = killer(world, [sender, receiver]);
    world.spawn(function* closer() {
      for (const task of [sender, killing]) {
        try {
          yield* task;
        } catch { /* it was killed */ }
      }
      channel.close();
    });
    return () => {
      assertEquals(rest.outcome!.kind, "returned");
      assertSame(received, sent);
    };
  }, { preemptions: 2 });
}

exhaust("a select takes from one and leaves the others alone, wherever a kill lands", (world) => {
  const a = new Queue<string>();
  const b = new Queue<string>();
  const got: string[] = [];
  const chooser = world.spawn(function* () {
    for (let i = 0; i < 2; i++) got.push((yield* select({ a: a.get(), b: b.get() })).value);
  });
  world.spawn(a.put("a"));
  world.spawn(b.put("b"));
  killer(world, [chooser]);
  return () => {
    for (const queue of [a, b]) {
      const left = queue.tryGet();
      if (left !== undefined) got.push(left.value);
      assertEquals(String(queue).includes("awaited"), false);
    }
    assertSame(got, ["a", "b"]);
  };
});

exhaust("two selects on two channels meet, or neither has given or taken anything", (world) => {
  const [a, b] = [new Channel<string>(), new Channel<string>()];
  const log: string[] = [];
  const chooser = (name: string) =>
    world.spawn(function* () {
      const { name: which } = yield* select({
        send: a.send(name),
        receive: b.receive(),
        late: sleep(1),
      });
      log.push(`${name} ${which}`);
    });
  const other = (name: string) =>
    world.spawn(function* () {
      const { name: which } = yield* select({
        send: b.send(name),
        receive: a.receive(),
        late: sleep(1),
      });
      log.push(`${name} ${which}`);
    });
  const [one, two] = [chooser("one"), other("two")];
  killer(world, [one, two]);
  return () => {
    const gave = log.filter((line) => line.endsWith("send")).length;
    const took = log.filter((line) => line.endsWith("receive")).length;
    const killed = [one, two].filter((task) => task.outcome!.kind === "killed").length;
    // Who was killed with the answer in hand has met the other one, and did not get to say so.
    assert(Math.abs(gave - took) <= killed, log.join(", "));
  };
});

// ---- Groups ----------------------------------------------------------------------------------------------------------

/** Work that notes when it begins and has cleaned up. */
function* noting(alive: Set<string>, name: string, work: Operation<unknown>): Coroutine<string> {
  alive.add(name);
  try {
    yield* work;
    return name;
  } finally {
    yield* shield(sleep(0)); // cleanup may wait; shielded, since a second cancellation would cut it short
    alive.delete(name);
  }
}

exhaust("a group: every child has ended when its owner goes on, wherever a kill lands", (world) => {
  const alive = new Set<string>();
  const children: Task[] = [];
  const owner = world.spawn(function* owner() {
    try {
      yield* taskGroup(function* (group) {
        for (const name of ["a", "b"]) children.push(group.spawn(noting(alive, name, sleep(1))));
        yield;
      });
    } finally {
      assertEquals([...alive], []);
      for (const child of children) assertEquals(child.state, "ended");
    }
  });
  world.spawn(function* killer() {
    yield* kill(world.choose([owner, ...children]));
    assertEquals([...alive].length <= 2, true);
  });
  return () => assertEquals(alive.size, 0);
}, { preemptions: 2 });

exhaust("a group: the first failure ends the others, and is the one that is thrown", (world) => {
  const alive = new Set<string>();
  const owner = world.spawn(function* owner() {
    try {
      yield* taskGroup(function* (group) {
        group.spawn(noting(alive, "a", sleep(Infinity)));
        group.spawn(function* () {
          yield;
          throw new Error("no luck");
        });
        yield* noting(alive, "body", sleep(Infinity));
      });
    } catch (error) {
      assertEquals(alive.size, 0);
      if (error instanceof Cancelled) throw error;
      assertEquals((error as Error).message, "no luck");
    }
  });
  killer(world, [owner]);
  world.spawn(settle([owner])); // killed, it still fails with what a child has failed with before it could be told to end
  return () => assertEquals(alive.size, 0);
}, { preemptions: 0 });

exhaust("all, race, settle and asCompleted clean up after themselves, wherever a kill lands", (world) => {
  const alive = new Set<string>();
  const works = () => [noting(alive, "a", sleep(1)), noting(alive, "b", sleep(2))];
  const kind = world.choose(5);
  const owner = world.spawn(function* () {
    try {
      if (kind === 0) assertEquals(yield* all(works()), ["a", "b"]);
      if (kind === 1) assertEquals(yield* race(works()), "a");
      if (kind === 2) {
        assertEquals((yield* settle(works())).map((outcome) => outcome.kind), ["returned", "returned"]);
      }
      if (kind === 3) {
        const ended = asCompleted(works());
        assertEquals((yield* ended.next()).value, "a");
        assertEquals((yield* ended.next()).value, "b");
      }
      if (kind === 4) {
        using left = asCompleted(works());
        assertEquals((yield* left.next()).value, "a");
      }
    } finally {
      if (kind < 3) assertEquals(alive.size, 0);
    }
  });
  killer(world, [owner]);
  return () => assertEquals(alive.size, 0);
}, { preemptions: 2 });

// ---- Futures ---------------------------------------------------------------------------------------------------------

exhaust("a future is settled once, and all who wait for it see the same", (world) => {
  const future = new Future<number>();
  const seen: unknown[] = [];
  const waiters = [0, 1].map(() =>
    world.spawn(function* () {
      try {
        seen.push(yield* future);
      } catch (error) {
        if (error instanceof Cancelled) throw error;
        seen.push(error instanceof JoinError ? "cancelled" : error);
      }
    })
  );
  let settled = 0;
  world.spawn(function* () {
    if (!future.done()) {
      future.setResult(42);
      settled++;
    }
  });
  world.spawn(function* () {
    if (future.cancel()) settled++;
  });
  killer(world, waiters);
  return () => {
    assertEquals(settled, 1);
    const killed = waiters.filter((waiter) => waiter.outcome!.kind === "killed").length;
    assertEquals(seen.length + killed, 2);
    for (const value of seen) assertEquals(value, future.cancelled() ? "cancelled" : 42);
  };
});

exhaust(
  "a coroutine's future: cancelled, its task cleans up; who waits for it sees how it ended",
  (world) => {
    let open = 0;
    const work = coroutine(function* (): Coroutine<string> {
      open++;
      try {
        yield;
        return "done";
      } finally {
        yield* shield(sleep(1));
        open--;
      }
    });
    let seen = "";
    const future = work();
    const waiter = world.spawn(function* () {
      try {
        seen = yield* future;
      } catch (error) {
        if (error instanceof Cancelled) throw error;
        seen = (error as Error).name;
      }
    });
    world.spawn(function* () {
      yield;
      future.cancel();
    });
    killer(world, [waiter]);
    return () => {
      assertEquals(open, 0);
      assert(["done", "JoinError", ""].includes(seen), seen);
    };
  },
);

// ---- Kill, timeout, shield -------------------------------------------------------------------------------------------

exhaust("kills, a timeout, a shield and deferred cleanup in one task: all of it runs, once", (world) => {
  const log: string[] = [];
  const victim = world.spawn(function* victim() {
    yield* defer(function* () {
      yield;
      log.push("deferred");
    });
    try {
      yield* timeout(5, function* () {
        yield* shield(function* () {
          log.push("in");
          yield;
          log.push("out");
        });
        yield* sleep(10);
      });
    } catch (error) {
      log.push(error instanceof TimeoutError ? "late" : "killed");
      throw error;
    }
  });
  void victim.join()[Symbol.iterator]; // nobody joins it; its failure is heard by the killers
  const killers = [0, 1].map(() =>
    world.spawn(function* () {
      yield* kill(victim, { wait: world.maybe() });
    })
  );
  return () => {
    assertEquals(killers.map((task) => task.outcome!.kind), ["returned", "returned"]);
    assertEquals(victim.outcome!.kind, "killed");
    const count = (word: string) => log.filter((line) => line === word).length;
    assertEquals(count("in"), count("out"));
    assert(count("deferred") <= 1 && (count("in") === 0 || count("deferred") === 1), log.join(" "));
  };
}, { preemptions: 3 });

exhaust("two tasks that kill each other both end, and a third that waits for both goes on", (world) => {
  const ended: string[] = [];
  const tasks: Task[] = [];
  for (const name of ["a", "b"]) {
    tasks.push(world.spawn(function* () {
      try {
        yield;
        yield* kill(tasks[name === "a" ? 1 : 0]!, { wait: false });
        yield;
      } finally {
        yield;
        ended.push(name);
      }
    }));
  }
  world.spawn(function* () {
    yield* settle(tasks);
  });
  return () => assert(ended.length <= 2 && new Set(ended).size === ended.length);
}, { preemptions: 2 });

// ---- Sockets ---------------------------------------------------------------------------------------------------------

/** Two ends of a connection. */
function* connected(world: World): Coroutine<[client: Socket, server: Socket]> {
  using listener = listen({ port: 7 });
  const accepting = world.spawn(listener.accept());
  const client = yield* connect({ port: 7 });
  const [server] = yield* accepting;
  return [client, server];
}

exhaust("a socket's readers: each byte goes to one of them, wherever a kill lands", (world) => {
  const got: string[] = [];
  world.spawn(function* main() {
    const [client, server] = yield* connected(world);
    const readers = [0, 1].map(() =>
      world.spawn(function* () {
        for (;;) {
          const bytes = yield* server.recv(1);
          if (bytes === null) return;
          got.push(String.fromCharCode(bytes[0]!));
        }
      })
    );
    const killing = killer(world, [readers[0]!]);
    yield* client.send("ab");
    yield* client.send("c");
    client.close();
    yield* settle([...readers, killing]);
    const rest = yield* server.readAll();
    got.push(...new TextDecoder().decode(rest));
    server.close();
  });
  return () => assertSame(got, ["a", "b", "c"]);
}, { preemptions: 0 });

exhaust(
  "a send that is killed: the peer gets exactly bytesSent bytes, whatever the network splits",
  (world) => {
    world.net.change({ segment: [1, Infinity], buffer: 2 });
    world.spawn(function* main() {
      const [client, server] = yield* connected(world);
      const sender = world.spawn(client.send("abcde"));
      const killing = killer(world, [sender]);
      const reader = world.spawn(function* () {
        let received = "";
        for (;;) {
          const bytes = yield* server.recv();
          if (bytes === null) return received;
          received += new TextDecoder().decode(bytes);
        }
      });
      yield* settle([sender, killing]);
      yield* client.closeWrite();
      const received = yield* reader;
      assertEquals(received.length, client.bytesSent);
      assert("abcde".startsWith(received));
      client.close();
      server.close();
    });
  },
  { preemptions: 0 },
);

exhaust("an accept that is killed loses no connection", (world) => {
  let accepted = 0;
  world.spawn(function* main() {
    using listener = listen({ port: 7 });
    const acceptor = world.spawn(function* () {
      const [socket] = yield* listener.accept();
      accepted++;
      socket.close();
    });
    const killing = killer(world, [acceptor]);
    const client = world.spawn(function* () {
      using socket = yield* connect({ port: 7 });
      yield* socket.recv();
    });
    yield* settle([acceptor, killing]);
    if (accepted === 0) {
      const [socket] = yield* listener.accept();
      accepted++;
      socket.close();
    }
    yield* client;
  });
  return () => assertEquals(accepted, 1);
});

exhaust("closing a socket while others read and write it ends them all", (world) => {
  world.net.change({ buffer: 1 });
  world.spawn(function* main() {
    const [client, server] = yield* connected(world);
    const users = [world.spawn(client.send("abc")), world.spawn(client.recv())];
    world.spawn(function* () {
      yield;
      client.close();
    });
    const outcomes = yield* settle(users);
    for (const outcome of outcomes) {
      assert(outcome.kind === "failed");
      assertEquals((outcome.error as Error).name, "ClosedError");
    }
    server.close();
  });
}, { preemptions: 1 });

// ---- Programs made at random -----------------------------------------------------------------------------------------

for (
  const [program, body, runs] of [["primitives", primitives, 1_500], ["sockets", sockets, 700]] as const
) {
  for (const strategy of ["random", "pct"] as const) {
    Deno.test(`${runs} programs of ${program}, made at random, under ${strategy} schedules leave nothing and lose nothing`, () => {
      const report = explore(body, { strategy, runs, maxMs: Infinity });
      assertEquals(report.runs, runs);
    });
  }
}
