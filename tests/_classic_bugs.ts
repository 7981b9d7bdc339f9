/**
 * The classics: seven bugs that everybody has written, each with what the explorer says of it, and mended.
 *
 * `deno run tests/_classic_bugs.ts` writes the page `tests/CLASSIC_BUGS.md`.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { call, Condition, connect, type Coroutine, Event, listen, Lock, sleep, type Socket } from "../mod.ts";
import { explore, type ExploreReport, ScheduleError, type World } from "../testing.ts";

export interface ClassicBug {
  readonly name: string;
  /** What is wrong. */
  readonly what: string;
  readonly wrong: (world: World) => unknown;
  readonly mended: (world: World) => unknown;
  /** How its failure is reported, and with how many preemptions. */
  readonly kind: string;
  readonly preemptions: number;
}

function* times(count: number): Coroutine<void> {
  for (let i = 0; i < count; i++) yield;
}

// ---- Lost update -----------------------------------------------------------------------------------------------------

function bank(world: World, deposit: (account: { balance: number }) => () => Coroutine<void>): () => void {
  const account = { balance: 0 };
  for (const name of ["alice", "bob"]) world.spawn(deposit(account), { name });
  return () => assertEquals(account.balance, 2);
}

const lostUpdate: ClassicBug = {
  name: "Lost update",
  what: "Two tasks read, give way, and write what they have read plus one.",
  kind: "error",
  preemptions: 1,
  wrong: (world) =>
    bank(world, (account) =>
      function* () {
        const before = account.balance;
        yield;
        account.balance = before + 1;
      }),
  mended(world) {
    const lock = new Lock("account");
    return bank(world, (account) =>
      function* () {
        yield* lock.with(function* () {
          const before = account.balance;
          yield;
          account.balance = before + 1;
        });
      });
  },
};

// ---- Check, then act -------------------------------------------------------------------------------------------------

function booking(world: World, book: (seats: { free: number }) => () => Coroutine<void>): void {
  const seats = { free: 1 };
  world.always("no seat is sold twice", () => seats.free >= 0);
  for (const name of ["alice", "bob", "carol"]) world.spawn(book(seats), { name });
}

const checkThenAct: ClassicBug = {
  name: "Check, then act",
  what: "Three customers look whether the last seat is free, pay, and take it.",
  kind: "always",
  preemptions: 0,
  wrong: (world) =>
    booking(world, (seats) =>
      function* () {
        if (seats.free === 0) return;
        yield* sleep(100); // they pay
        seats.free--;
      }),
  mended: (world) =>
    booking(world, (seats) =>
      function* () {
        if (seats.free === 0) return;
        seats.free--;
        yield* sleep(100);
      }),
};

// ---- ABBA ------------------------------------------------------------------------------------------------------------

function transfers(world: World, isOrdered: boolean): void {
  const locks = [new Lock("a"), new Lock("b")];
  const transfer = (from: number, to: number) =>
    function* (): Coroutine<void> {
      const [first, second] = isOrdered && from > to ? [to, from] : [from, to];
      yield* locks[first]!.acquire();
      yield; // looks the account up
      yield* locks[second]!.acquire();
      locks[second]!.release();
      locks[first]!.release();
    };
  world.spawn(transfer(0, 1), { name: "a to b" });
  world.spawn(transfer(1, 0), { name: "b to a" });
}

const abba: ClassicBug = {
  name: "ABBA deadlock",
  what: "Two transfers, in opposite directions, lock both accounts: the one that it comes from first.",
  kind: "deadlock",
  preemptions: 1,
  wrong: (world) => transfers(world, false),
  mended: (world) => transfers(world, true),
};

// ---- Lost wake-up ----------------------------------------------------------------------------------------------------

const lostWakeUp: ClassicBug = {
  name: "Lost wake-up",
  what:
    "A consumer sees that there is nothing, and goes to sleep a moment later: the call that was to wake it came between.",
  kind: "deadlock",
  preemptions: 1,
  wrong(world) {
    const items: string[] = [];
    const news = new Event("news");
    world.spawn(function* consumer() {
      while (items.length === 0) {
        yield; // says that it is idle
        yield* news.wait();
      }
      items.pop();
    });
    world.spawn(function* producer() {
      items.push("item");
      news.set();
      news.clear();
    });
  },
  mended(world) {
    const items: string[] = [];
    const lock = new Lock("items");
    const news = new Condition(lock);
    world.spawn(lock.with(function* () {
      while (items.length === 0) {
        yield;
        yield* news.wait(); // lets the lock go and goes to sleep in one
      }
      items.pop();
    }));
    world.spawn(lock.with(function* () {
      items.push("item");
      news.notify();
    }));
  },
};

// ---- Order violation -------------------------------------------------------------------------------------------------

function startUp(world: World, isCareful: boolean): void {
  let config: { port: number } | undefined;
  const started = new Event("started");
  world.spawn(function* loader() {
    if (!isCareful) started.set();
    yield* times(2);
    config = { port: 80 };
    if (isCareful) started.set();
    yield* times(28);
  });
  world.spawn(function* server() {
    yield* started.wait();
    yield* times(29);
    assert(config !== undefined, "served without a configuration");
    yield;
  });
  world.spawn(function* logger() {
    yield* times(30);
  });
}

const orderViolation: ClassicBug = {
  name: "Order violation",
  what:
    "Three tasks of 30 yields. The loader says that it has started before it has loaded; the server needs what it loads " +
    "29 steps later. Whoever makes them advance together, as FIFO and random draws do, never sees it.",
  kind: "unhandled",
  preemptions: 1,
  wrong: (world) => startUp(world, false),
  mended: (world) => startUp(world, true),
};

// ---- Double close ----------------------------------------------------------------------------------------------------

function connection(world: World, isCareful: boolean): void {
  const file = { open: true, closed: 0 };
  const close = function* (): Coroutine<void> {
    if (!file.open) return;
    if (isCareful) file.open = false;
    yield; // writes what is left
    file.open = false;
    file.closed++;
  };
  world.always("it is closed once", () => file.closed <= 1);
  world.spawn(function* reader() {
    yield* times(2);
    yield* close();
  });
  world.spawn(function* writer() {
    yield;
    yield* close();
  });
}

const doubleClose: ClassicBug = {
  name: "Double close",
  what: "Two users of a file each close it when they are done, unless it is closed; closing takes a moment.",
  kind: "always",
  preemptions: 1,
  wrong: (world) => connection(world, false),
  mended: (world) => connection(world, true),
};

// ---- Torn message ----------------------------------------------------------------------------------------------------

function* protocol(world: World, receive: (socket: Socket) => Coroutine<string>): Coroutine<void> {
  world.net.change({ segment: [1, Infinity] });
  using listener = listen({ port: 7 });
  const server = world.spawn(function* server() {
    const [socket] = yield* listener.accept();
    assertEquals(yield* call(receive(socket)), "PING\n");
    socket.close();
  });
  const client = world.spawn(function* client() {
    using socket = yield* connect({ port: 7 });
    yield* socket.send("PING\n");
    yield* socket.recv();
  });
  yield* server;
  yield* client;
}

const tornMessage: ClassicBug = {
  name: "Torn message",
  what: "A server takes what one read gives for one message. The network may split what is sent anywhere.",
  kind: "error",
  preemptions: 0,
  wrong: (world) =>
    protocol(world, function* (socket) {
      return new TextDecoder().decode((yield* socket.recv()) ?? undefined);
    }),
  mended: (world) =>
    protocol(world, function* (socket) {
      return new TextDecoder().decode(yield* socket.recvUntil("\n"));
    }),
};

export const CLASSIC_BUGS: readonly ClassicBug[] = [
  lostUpdate,
  checkThenAct,
  abba,
  lostWakeUp,
  orderViolation,
  doubleClose,
  tornMessage,
];

/** What the explorer says of the bug, and of the program when it is mended. */
export function examine({ wrong, mended }: ClassicBug): { error: ScheduleError; report: ExploreReport } {
  return { error: assertThrows(() => explore(wrong), ScheduleError), report: explore(mended) };
}

function page(): string {
  const sections = CLASSIC_BUGS.map((bug) => {
    examine(bug); // once to warm up
    const { error, report } = examine(bug);
    const found =
      `Found by \`${error.strategy}\` in run ${error.runs}, after ${error.ms.toFixed(1)} ms, with ` +
      `${error.preemptions} preemption${error.preemptions === 1 ? "" : "s"}:`;
    const story = error.message.split("\n\nAgain:")[0]!.split("\n\nThe last steps:")[0]!;
    return `## ${bug.name}\n\n${bug.what}\n\n${found}\n\n\`\`\`\n${story}\n\`\`\`\n\nMended: ${report.summary}.\n`;
  });
  return `# Classic bugs\n
What \`explore\` makes of the bugs that everybody has written, and of the same programs mended. The programs are in
\`_classic_bugs.ts\`, which writes this page: \`deno run -A tests/_classic_bugs.ts > tests/CLASSIC_BUGS.md\`.\n
${sections.join("\n")}`;
}

if (import.meta.main) console.log(page().trimEnd());
