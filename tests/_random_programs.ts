/**
 * Programs made at random, out of everything that waits: three tasks, each of which does what the world chooses, on shared
 * primitives or on the two ends of connections, while others kill it. After each nothing may be left or lost.
 *
 * What is chosen is on the tape of the explorer like everything else, so a program that breaks something shrinks to the few
 * operations that do.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  all,
  call,
  Cancelled,
  Channel,
  Condition,
  connect,
  type Coroutine,
  coroutine,
  currentTask,
  defer,
  EndOfStreamError,
  Event,
  Future,
  kill,
  listen,
  Lock,
  type Operation,
  Queue,
  race,
  readWait,
  select,
  Semaphore,
  settle,
  shield,
  sleep,
  type Socket,
  type Task,
  taskGroup,
  timeout,
  writeWait,
} from "../mod.ts";
import type { World } from "../testing.ts";

/** What may come out of an operation that is cut short, or that is refused. */
const EXPECTED = new Set([
  "BrokenLockError",
  "BrokenPipe",
  "ClosedError",
  "ConnectionRefused",
  "ConnectionReset",
  "DeadlockError",
  "EndOfStreamError",
  "InvalidStateError",
  "JoinError",
  "LimitError",
  "TimedOut",
  "TimeoutError",
]);

function isExpected(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isExpected);
  return error instanceof Error && EXPECTED.has(error.name);
}

/** Some work whose expected errors are nobody's business. */
function* soft<T>(work: Operation<T>): Coroutine<T | undefined> {
  try {
    return yield* call(work);
  } catch (error) {
    if (error instanceof Cancelled || !isExpected(error)) throw error;
  }
}

/** Whose end nobody need hear of. */
function unheard<T>(world: World, work: () => Operation<T>, name: string): Task<T> {
  const task = world.spawn(work, { name });
  task._heard = true;
  return task;
}

// ---- The primitives --------------------------------------------------------------------------------------------------

/** A program of three tasks over one of each of the primitives. */
export function primitives(world: World): () => void {
  const lock = new Lock("lock");
  const semaphore = new Semaphore(2);
  const queue = new Queue<number>({ capacity: 1 });
  const channel = new Channel<number>(world.choose(2));
  const event = new Event("event");
  const guard = new Lock("guard");
  const condition = new Condition(guard);
  const futures = [new Future<void>(), new Future<void>()];
  const tasks: Task[] = [];
  let [inLock, inSemaphore, inGuard, open] = [0, 0, 0, 0];
  let [asked, put, got] = [0, 0, 0];
  world.always("one holds the lock", () => inLock <= 1);
  world.always("two are in the semaphore", () => inSemaphore <= 2);
  world.always("one holds the guard", () => inGuard <= 1);
  const pause = () => world.choose(3);

  function* holding(held: Lock, count: (by: number) => void, work: Operation<unknown>): Coroutine<void> {
    if (held.holder === (yield* currentTask())) return; // twice would be refused
    yield* held.with(function* () {
      count(1);
      try {
        yield* call(work);
      } finally {
        count(-1);
      }
    });
  }
  const inLockBy = (by: number) => void (inLock += by);
  const inGuardBy = (by: number) => void (inGuard += by);

  const short: (() => Operation<unknown>)[] = [
    function* () {
      yield;
    },
    () => sleep(pause()),
    function* () {
      const count = 1 + world.choose(2);
      yield* semaphore.acquire(count);
      inSemaphore += count;
      try {
        yield;
      } finally {
        inSemaphore -= count;
        semaphore.release(count);
      }
    },
    function* () {
      asked++;
      yield* queue.put(1);
      put++;
    },
    () =>
      timeout(pause(), function* () {
        yield* queue.get();
        got++;
      }),
    () => timeout(pause(), channel.send(1)),
    () => timeout(pause(), channel.receive()),
    function* () {
      const waits = {
        send: channel.send(1),
        receive: channel.receive(),
        get: queue.get(),
        late: sleep(pause()),
      };
      if ((yield* select(waits)).name === "get") got++;
    },
    function* () {
      event.set();
      yield;
      event.clear();
    },
    () => timeout(pause(), event.wait()),
    function* () {
      const future = world.choose(futures);
      if (future.done()) return;
      const deed = world.choose(["settle", "cancel", "wait"]);
      if (deed === "settle") future.setResult();
      else if (deed === "cancel") future.cancel();
      else yield* timeout(2, future);
    },
    () =>
      holding(
        guard,
        inGuardBy,
        call(function* () {
          inGuard--; // let go while it waits
          try {
            yield* timeout(pause(), condition.wait());
          } finally {
            inGuard++;
            assertEquals(guard.holder, yield* currentTask());
          }
        }),
      ),
    () =>
      holding(
        guard,
        inGuardBy,
        call(function* () {
          condition.notify(1 + world.choose(2));
        }),
      ),
    () => kill(world.choose(tasks), { wait: false }), // in a shield it could wait for a task that waits for the shield
    () => timeout(2, world.choose(tasks)),
  ];
  const long: ((depth: number) => Operation<unknown>)[] = [
    (depth) => holding(lock, inLockBy, any(depth)),
    (depth) => shield(any(depth)),
    (depth) => timeout(pause(), any(depth)),
    (depth) => race([soft(any(depth)), soft(any(depth)), sleep(1)]),
    (depth) => all([soft(any(depth)), soft(any(depth))]),
    (depth) =>
      taskGroup(function* (group) {
        for (let i = world.choose(3); i > 0; i--) group.spawn(soft(any(depth)));
        if (world.maybe()) group.cancel();
        yield* any(depth);
      }),
    function* (depth) {
      open++;
      yield* defer(function* () {
        yield;
        open--;
      });
      yield* any(depth);
    },
    function* (depth) {
      try {
        yield* any(depth);
      } finally {
        yield* sleep(1);
      }
    },
    function* (depth) {
      const future = coroutine(() => soft(any(depth)))();
      future._heard = true;
      if (world.maybe()) future.cancel();
      yield* timeout(3, future);
    },
  ];

  function* any(depth: number): Coroutine<void> {
    const choices: readonly ((depth: number) => Operation<unknown>)[] = depth > 0
      ? [...short, ...long]
      : short;
    yield* call(choices[world.choose(choices.length)]!(depth - 1));
  }

  for (const name of ["a", "b", "c"]) {
    tasks.push(unheard(world, function* () {
      for (let i = 0; i < 3; i++) yield* soft(any(2));
      yield* soft(kill(world.choose(tasks)));
    }, name));
  }
  world.spawn(function* janitor() {
    // Feeds who waits in a shield, which no kill reaches, and what outlives its maker, until all have ended.
    yield* sleep(1000);
    for (const task of tasks) yield* kill(task, { wait: false });
    while (world.scheduler.tasks.size > 1) {
      yield* sleep(10);
      if (queue.tryGet() !== undefined) got++;
      if (channel.tryReceive() === undefined) channel.trySend(1);
      event.set();
      condition.notifyAll();
      for (const future of futures) if (!future.done()) future.setResult();
    }
  });
  return () => {
    for (const { outcome } of tasks) {
      assert(outcome!.kind !== "failed" || isExpected(outcome!.error), String(outcome));
    }
    assertEquals([inLock, inSemaphore, inGuard, open], [0, 0, 0, 0]);
    assertEquals([semaphore.available, lock.locked, guard.locked], [2, false, false]);
    for (const thing of [lock, semaphore, queue, channel, event, condition]) {
      assert(!String(thing).includes("awaited"), `somebody still waits: ${thing}`);
    }
    got += queue.size;
    assert(put <= got && got <= asked, `put ${put} of ${asked}, got ${got}`);
    assertEquals(world.scheduler._timers.size, 0);
  };
}

// ---- Sockets ---------------------------------------------------------------------------------------------------------

/** One end of a connection, and what has come out of it. */
interface End {
  readonly socket: Socket;
  readonly name: string;
  got: number;
  sawTheEnd: boolean;
}

/** A program of some tasks that read, write, close and kill at the ends of two connections over a bad line. */
export function sockets(world: World): () => void {
  world.net.change({
    segment: world.choose([Infinity, 1, [1, 4] as const]),
    buffer: world.choose([65_536, 1, 3]),
    latency: world.choose([0, [0, 2] as const]),
    merge: world.choose([0, 0.3]),
    reset: world.maybe(0.2) ? 0.1 : 0,
  });
  const pairs: [End, End][] = [];
  const tasks: Task[] = [];
  const pause = () => world.choose(4);

  function* taking(end: End, operation: Operation<Uint8Array | null>): Coroutine<void> {
    try {
      const bytes = yield* call(operation);
      end.got += bytes?.length ?? 0;
    } catch (error) {
      if (error instanceof EndOfStreamError) end.got += error.partial.length;
      throw error;
    }
  }
  function* receivingInto(end: End, size: number): Coroutine<Uint8Array | null> {
    const memory = new Uint8Array(size);
    const n = yield* end.socket.recvInto(memory);
    return n === null ? null : memory.subarray(0, n);
  }
  const deeds: ((end: End) => Operation<unknown>)[] = [
    ({ socket }) => socket.send("abcdefgh".slice(world.choose(8))),
    ({ socket }) => timeout(pause(), socket.send("xyz")),
    (end) => taking(end, end.socket.recv(1 + world.choose(5))),
    (end) => timeout(pause(), taking(end, end.socket.recv(8))),
    (end) => taking(end, end.socket.recvExactly(2)),
    (end) => taking(end, call(receivingInto(end, 1 + world.choose(5)))),
    (end) => timeout(pause(), taking(end, call(receivingInto(end, 3)))),
    (end) => timeout(3, taking(end, end.socket.recvUntil("c", { maxBytes: 4 }))),
    function* (end) {
      const { name, value } = yield* select({ recv: end.socket.recv(4), late: sleep(pause()) });
      if (name === "recv") end.got += value?.length ?? 0;
    },
    function* ({ socket }) {
      socket.close();
    },
    ({ socket }) => socket.closeWrite(),
    ({ socket }) => timeout(2, readWait(socket)),
    ({ socket }) => timeout(2, writeWait(socket)),
    () => sleep(pause()),
    () => kill(world.choose(tasks), { wait: world.maybe() }),
    function* () {
      if (world.maybe(0.2)) world.net.reset();
    },
  ];

  const main = unheard(world, function* () {
    using listener = listen({ port: 7 });
    for (const number of [1, 2]) {
      const accepting = unheard(world, () => listener.accept(), "accept");
      const client = yield* soft(connect({ port: 7 }));
      if (client === undefined) return;
      const ends: [End, End] = [
        { socket: client, name: `client ${number}`, got: 0, sawTheEnd: false },
        { socket: (yield* accepting)[0], name: `server ${number}`, got: 0, sawTheEnd: false },
      ];
      pairs.push(ends);
    }
    for (const end of pairs.flat()) {
      for (let i = world.choose(2); i >= 0; i--) {
        tasks.push(unheard(world, function* () {
          for (let i = 0; i < 3; i++) yield* soft(world.choose(deeds)(end));
        }, end.name));
      }
    }
  }, "connect");

  world.spawn(function* janitor() {
    yield* sleep(3000);
    for (const task of [main, ...tasks]) yield* kill(task);
    const ends = pairs.flat();
    yield* settle(ends.map(({ socket }) => timeout(2000, socket.closeWrite())));
    // Both ends at once: who has still to be read from holds up the one who writes.
    yield* settle(ends.map((end) =>
      call(function* () {
        for (;;) {
          const bytes = yield* timeout(5000, end.socket.recv());
          if (bytes === null) break;
          end.got += bytes.length;
        }
        end.sawTheEnd = true;
      })
    ));
    for (const { socket } of ends) socket.close();
    yield* sleep(3000);
  });
  return () => {
    for (const [one, other] of pairs) {
      for (const [end, { socket: peer }] of [[one, other], [other, one]] as const) {
        assertEquals(end.socket.bytesReceived, end.got, `${end.name} has taken what it counts`);
        assert(end.got <= peer.bytesSent, `${end.name} got more than was sent`);
        if (end.sawTheEnd) assertEquals(end.got, peer.bytesSent, `${end.name} got all that was sent`);
      }
    }
    assertEquals([world.net.open, world.scheduler._timers.size], [0, 0]);
  };
}
