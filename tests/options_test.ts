import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  all,
  type Clock,
  connect,
  type Coroutine,
  each,
  kill,
  listen,
  listenDatagram,
  type Network,
  Queue,
  Scheduler,
  type SchedulerOptions,
  select,
  serve,
  settle,
  sleep,
  spawn,
  taskGroup,
  where,
} from "../mod.ts";
import { counters, formatPs, formatTree, formatWhere, logSystemCalls, monitor, trace } from "../monitor.ts";
import { explore, replay, SimulatedNetwork, sweep, VirtualClock } from "../testing.ts";

// deno-lint-ignore no-explicit-any -- wrong on purpose
type Wrong = any;

const network = new SimulatedNetwork();

function stage(options: SchedulerOptions = {}): Scheduler {
  return new Scheduler({ clock: new VirtualClock(), network, ...options });
}

/** What is thrown, or rejected with, in a line. */
async function refusal(use: () => unknown): Promise<string> {
  try {
    await use();
    return "nothing";
  } catch (error) {
    return String(error);
  }
}

function* idle(): Coroutine<void> {}

/** Everything that takes options, given these. */
function takers(): Record<string, (options: Wrong) => unknown> {
  const inside = (use: () => Generator<Wrong, unknown>) => stage().runSync(use);
  const task = stage().spawn(idle);
  return {
    "make a scheduler": (options) => new Scheduler(options),
    "run": (options) => stage().run(idle, options),
    "spawn": (options) => inside(() => spawn(idle, options) as Wrong),
    "spawn in a group": (options) =>
      inside(() =>
        taskGroup(function* (group) {
          group.spawn(idle, options);
        }) as Wrong
      ),
    "kill": (options) => kill(1, options),
    "kill from outside": (options) => stage().kill(1, options),
    "shut down": (options) => stage().shutdown(options),
    "wait for all": (options) => all([], options),
    "settle": (options) => settle([], options),
    "make a queue": (options) => new Queue(options),
    "tell where a task is": (options) => where(task, options),
    "serve": (options) => {
      stage().runSync(function* () {
        using listener = listen({ port: 80 });
        serve(listener, idle, options);
      });
    },
    "explore": (options) => explore(idle, options),
    "replay": (options) => replay(explored(), idle, options),
    "sweep": (options) => sweep(idle, options),
    "simulate a network": (options) => new SimulatedNetwork(options),
    "change a network": (options) => new SimulatedNetwork().change(options),
    "watch": (options) =>
      explore((world) => {
        world.eventually("it is so", () => true, options);
      }),
    "count": (options) => counters(options),
    "list tasks": (options) => formatPs(options),
    "list tasks as a tree": (options) => formatTree(options),
    "list frames": (options) => formatWhere(task, options),
    "log system calls": (options) => logSystemCalls(() => {}, options),
    "trace": (options) => trace(options),
    "monitor": (options) => monitor(options),
    "listen": (options) => listen(options),
    "listen for datagrams": (options) => listenDatagram(options),
    "connect": (options) => connect(options),
  };
}

/** A string that replays a run of a program that breaks. */
function explored(): string {
  const error: Wrong = assertThrows(() =>
    explore(() => {
      throw new Error("broken");
    })
  );
  return error.replay;
}

Deno.test("options that are no object of options are refused, whoever takes them", async () => {
  const promise = Promise.resolve({});
  const wrong = [5, "x", null, true, [], idle, idle(), promise, new Error("x"), AbortSignal.abort()];
  const missed: string[] = [];
  for (const [name, take] of Object.entries(takers())) {
    for (const options of wrong) {
      const said = await refusal(() => take(options));
      if (!/TypeError: Cannot [^:]+: .*options.*not |TypeError: Cannot monitor: options/.test(said)) {
        missed.push(`${name}, ${typeof options}: ${said}`);
      }
    }
  }
  assertEquals(missed, []);
});

Deno.test("what is said of wrong options tells which there are", async () => {
  const say = (use: () => unknown) => refusal(use);
  assertEquals([
    await say(() => kill(1, "tired" as Wrong)),
    await say(() => stage().runSync(() => spawn(idle, "clock" as Wrong))),
    await say(() => stage().run(idle, AbortSignal.abort() as Wrong)),
    await say(() => stage().kill(1, new Error("tired") as Wrong)),
    await say(() => new Scheduler(5 as Wrong)),
    await say(() => all([], 4 as Wrong)),
  ], [
    'TypeError: Cannot kill: options are an object with reason, grace, force or wait, not the string "tired"',
    'TypeError: Cannot spawn: options are an object with name, daemon or signal, not the string "clock"',
    "TypeError: Cannot run: options are an object with name, daemon or signal, not an object of class AbortSignal",
    "TypeError: Cannot kill: options are an object with reason, grace, force or wait, not an object of class Error",
    "TypeError: Cannot make a scheduler: options are an object with clock, network, timeSlice, killGrace, deadlock, " +
    "stacks or onUnhandledError, not 5",
    "TypeError: Cannot wait for all: options are an object with concurrency, not 4",
  ]);
});

Deno.test("an option of the wrong kind is a TypeError, one out of range a RangeError, which say what would be right", async () => {
  const time = "a number of ms from 0";
  const count = "a whole number from 1, or Infinity";
  const clock = "an object with the methods now, setAlarm and clearAlarm";
  const half: Clock = { now: () => 0, setAlarm: () => 0, clearAlarm() {}, jump: 5 as Wrong };
  const unreadable: Network = { listen: Date.now, connect: 5 } as Wrong;
  const rows: [taker: string, option: string, is: string, wrongKinds: unknown[], outOfRange: unknown[]][] = [
    ["make a scheduler", "clock", clock, [{}, 5, null, { now: Date.now }, half], []],
    ["make a scheduler", "network", "an object with the methods listen and connect", [{}, unreadable], []],
    ["make a scheduler", "timeSlice", time, ["1", null], [-1, NaN]],
    ["make a scheduler", "killGrace", time, ["1", null], [-1, NaN]],
    ["make a scheduler", "deadlock", '"throw" or "wait"', ["explode", null, true], []],
    ["make a scheduler", "stacks", "a boolean", ["yes", 1, null], []],
    ["make a scheduler", "onUnhandledError", "a function", [5, null, {}], []],
    ["kill", "grace", time, ["1", null], [-1, NaN]],
    ["kill", "force", "a boolean", ["no", 0, null], []],
    ["kill", "wait", "a boolean", ["no", 0, null], []],
    ["kill from outside", "grace", time, ["1", null], [-1, NaN]],
    ["kill from outside", "wait", "a boolean", ["no", 0, null], []],
    ["shut down", "grace", time, ["1", null], [-1, NaN]],
    ["shut down", "force", "a boolean", ["no", 0, null], []],
    ["wait for all", "concurrency", count, ["1", null, {}], [0, -1, 1.5, NaN]],
    ["settle", "concurrency", count, ["1", null, {}], [0, -1, 1.5, NaN]],
    ["tell where a task is", "locals", "a boolean", ["no", null], []],
    ["tell where a task is", "limit", count, ["1", null], [0, 1.5, NaN]],
    ["serve", "maxConnections", count, ["1", null], [0, 1.5, NaN]],
    ["serve", "grace", time, ["1", null], [-1, NaN]],
    ["serve", "onError", "a function", ["log", null], []],
    ["explore", "strategy", '"auto", "fifo", "bounded", "pct" or "random"', ["all", null], []],
    ["explore", "maxMs", time, ["1", null], [-1, NaN]],
    ["explore", "patience", count, ["1", null], [0, 1.5, NaN]],
    ["explore", "seed", "a whole number", ["1", null], [1.5, NaN, Infinity]],
    ["sweep", "by", '"kill", "timeout" or "both"', ["fire", null], []],
    ["sweep", "victims", '"main" or "any"', ["all", null], []],
    ["sweep", "check", "a function", [true, null], []],
    ["sweep", "maxSteps", count, ["1", null], [0, 1.5, NaN]],
    ["simulate a network", "latency", "a finite number of ms from 0, or two", ["1", null, [1], [1, "2"]], [
      -1,
      NaN,
      Infinity,
      [2, 1],
      [0, Infinity],
    ]],
    ["simulate a network", "segment", `${count}, or two`, ["1", null, [1, 2, 3]], [0, 1.5, [3, 1]]],
    ["simulate a network", "reset", "a probability from 0 to 1", ["1", null, [0, 1]], [-0.1, 1.1, NaN]],
    ["change a network", "bandwidth", "a number of bytes a second above 0", ["1", null], [0, NaN]],
    ["count", "scheduler", "a Scheduler", [5, null, {}], []],
    ["list tasks", "scheduler", "a Scheduler", [5, null, {}], []],
    ["list tasks", "filter", "a function", [5, null], []],
    ["list tasks as a tree", "from", count, ["1", null], [0, 1.5, NaN]],
    ["list tasks", "limit", "a whole number from 0, or Infinity", ["1", null], [-1, 1.5, NaN]],
    ["log system calls", "scheduler", "a Scheduler", [5, null, {}], []],
    ["log system calls", "filter", "a function", [5, null], []],
    ["trace", "scheduler", "a Scheduler", [5, null, {}], []],
    ["trace", "capacity", count, ["1", null], [0, 1.5, NaN]],
  ];
  for (const taker of ["run", "spawn", "spawn in a group"]) {
    rows.push([taker, "name", "a string", [5, null, {}], []]);
    rows.push([taker, "daemon", "a boolean", ["no", 0, null], []]);
    rows.push([taker, "signal", "an AbortSignal", [5, null, {}, new AbortController()], []]);
  }
  const take = takers();
  const missed: string[] = [];
  for (const [taker, option, is, wrongKinds, outOfRange] of rows) {
    for (const [type, values] of [["TypeError", wrongKinds], ["RangeError", outOfRange]] as const) {
      for (const value of values) {
        const said = await refusal(() => take[taker]!({ [option]: value }));
        const right = said.startsWith(`${type}: Cannot `) && said.includes(`: ${option} is ${is}, not `);
        if (!right) missed.push(`${taker} { ${option}: ${value} }: ${said}`);
      }
    }
  }
  assertEquals(missed, []);
});

Deno.test("sockets say what is wrong with their options", () => {
  const cases: [() => unknown, string][] = [
    [() => listen({ port: 80, reusePort: "yes" as Wrong }), "listen: reusePort is a boolean, not the string"],
    [
      () => listen({ port: 80, tcpBacklog: "5" as Wrong }),
      "listen: tcpBacklog is a whole number from 1 to 2147483647, not the string",
    ],
    [() => connect({ port: 80, tls: [] as Wrong }), "connect: tls is true or options, not an array"],
    [
      () => connect({ port: 80, tls: { unsafelyDisableHostnameVerification: 1 as Wrong } }),
      "connect: unsafelyDisableHostnameVerification is a boolean, not 1",
    ],
    [
      () => listenDatagram({ reuseAddress: 1 as Wrong }),
      "listen for datagrams: reuseAddress is a boolean, not 1",
    ],
  ];
  for (const [use, message] of cases) assertThrows(use, TypeError, message);
  for (const tcpBacklog of [0, 1.5, 2 ** 31]) {
    assertThrows(() => listen({ port: 80, tcpBacklog }), RangeError, `not ${tcpBacklog}`);
  }
});

Deno.test("an observer whose methods are none is refused, not removed in the middle of a run", () => {
  const scheduler = stage();
  const observe = (observer: Wrong) => scheduler.observe(observer);
  assertThrows(() => observe({ taskEnded: true }), TypeError, "taskEnded is a function, not true");
  assertThrows(() => observe([]), TypeError, "Cannot be observed by an array: an object with methods");
  assertThrows(() => logSystemCalls(5 as Wrong), TypeError, "Cannot log system calls to 5");
});

Deno.test("a virtual clock has a finite time, and goes forward; what must be given is missed", () => {
  const clock = new VirtualClock(5);
  for (const ms of [-1, NaN, Infinity]) {
    const message = `the time is a finite number of ms from 0, not ${ms}`;
    assertThrows(() => clock.advance(ms), RangeError, message);
    assertThrows(() => new VirtualClock(ms), RangeError, `its start is a finite number`);
  }
  for (const ms of ["5", null] as Wrong[]) {
    assertThrows(() => clock.advance(ms), TypeError);
    assertThrows(() => new VirtualClock(ms), TypeError);
  }
  assertThrows(() => clock.advance(undefined as Wrong), TypeError, "from 0, not undefined");
  assertThrows(() => network.slow("server", undefined as Wrong), TypeError, "above 0, not undefined");
  assertEquals(clock.now(), 5);
});

Deno.test("what is explored or replayed on a network that cannot be is refused before the first run", () => {
  let runs = 0;
  const body = () => void runs++;
  const cases: [Wrong, string][] = [
    [5, "options are an object with latency, bandwidth, "],
    [null, "options are an object with latency, bandwidth, "],
    [{ latenzy: 5 }, "Cannot simulate a network: it has no latenzy"],
    [{ latency: "5" }, "latency is a finite number of ms from 0, or two, not the string"],
  ];
  const string = explored();
  for (const [network, message] of cases) {
    assertThrows(() => explore(body, { network }), TypeError, message);
    assertThrows(() => replay(string, body, { network }), TypeError, message);
  }
  assertThrows(() => new SimulatedNetwork({ seed: null as Wrong }), TypeError, "for a seed");
  assertEquals(runs, 0);
});

Deno.test("a list is no record of cases, and an async iterable gives an iterator", () => {
  assertThrows(
    () => select([sleep(1)] as Wrong),
    TypeError,
    "Cannot select from an array: a record of cases",
  );
  const broken = { [Symbol.asyncIterator]: () => 5 };
  assertThrows(() => each(broken as Wrong), TypeError, "Cannot go through an object: its iterator is 5");
});

Deno.test("nothing is lost by a mistake: what was given can be used afterwards", () => {
  const log: string[] = [];
  const scheduler = stage();
  scheduler.runSync(function* () {
    const work = function* (): Coroutine<void> {
      log.push("worked");
    }();
    assertThrows(() => scheduler.spawn(work, "worker" as Wrong), TypeError);
    assertThrows(() => scheduler.spawn(work, { daemon: "no" as Wrong }), TypeError);
    assertEquals(scheduler.tasks.size, 1);
    yield* spawn(work, { name: "worker", daemon: undefined as Wrong });

    using listener = listen({ port: 80 });
    assertThrows(() => serve(listener, idle, { grace: NaN }), RangeError);
    assertThrows(() => serve(listener, idle, null as Wrong), TypeError);
    const client = yield* spawn(connect({ port: 80 }));
    const [socket] = yield* listener.accept();
    socket.close();
    (yield* client).close();
    log.push("accepted");

    const victim = yield* spawn(sleep(1));
    assertThrows(() => kill(victim, { grace: -1 }), RangeError);
    yield* victim;
    log.push("slept");
  });
  assertEquals(log, ["worked", "accepted", "slept"]);
});

Deno.test("options of other names are ignored, and undefined is not given", async () => {
  const scheduler = stage({ clok: 5, deadlock: undefined } as Wrong);
  const options = { name: undefined, nmae: "main", signal: undefined } as Wrong;
  assertEquals(
    await scheduler.run(function* () {
      return "ran";
    }, options),
    "ran",
  );
  class Settings {
    name = "of a class";
  }
  assert(scheduler.spawn(idle, new Settings()).name === "of a class");
});
