import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  call,
  type Coroutine,
  DeadlockError,
  Event,
  getTid,
  kill,
  Scheduler,
  type SchedulerOptions,
  shield,
  sleep,
  spawn,
  type Task,
  until,
  type Work,
} from "../mod.ts";
import { formatPs, formatTree, formatWhere, type Monitor, monitor, type MonitorOptions } from "../monitor.ts";
import { systemClock } from "../_clock.ts";
import { VirtualClock } from "../testing.ts";

/** Runs a program beside a monitor, on a clock that stands while the program talks to it. */
async function monitored<T>(
  program: (port: number, shell: Monitor) => Work<T>,
  options: SchedulerOptions = {},
): Promise<T> {
  const unheard: unknown[] = [];
  const scheduler = new Scheduler({
    clock: new VirtualClock(),
    onUnhandledError: (error) => void unheard.push(error),
    ...options,
  });
  const value = await scheduler.run(function* main() {
    using shell = monitor({ port: 0 });
    return yield* call(program((shell.addr as Deno.NetAddr).port, shell));
  });
  assertEquals(unheard, []);
  assertEquals(scheduler.tasks.size, 0);
  return value;
}

const encoder = new TextEncoder();

/** What a client that sends these lines is told, up to the end of the connection and without the greeting. */
async function told(port: number, ...lines: (string | Uint8Array)[]): Promise<string[]> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  for (const line of lines) await conn.write(typeof line === "string" ? encoder.encode(`${line}\n`) : line);
  await conn.closeWrite();
  return (await textOf(conn)).split("\n").slice(1, -1);
}

/** All that comes on a connection. */
async function textOf(conn: Deno.Conn): Promise<string> {
  return await new Response(conn.readable).text();
}

/** The same as an operation. */
function ask(port: number, ...lines: (string | Uint8Array)[]) {
  return until(told(port, ...lines));
}

const never = new Event("never");

Deno.test("ps lists the tasks as an aligned table, and the monitor's own only when it is asked to", async () => {
  const [short, all] = await monitored(function* (port): Coroutine<string[][]> {
    yield* spawn(sleep(60_000), { name: "a sleeper" });
    yield* spawn(never.wait(), { daemon: true, name: "d\u001b[31m" });
    yield;
    const answers = [yield* ask(port, "ps"), yield* ask(port, "ps 2 all")];
    yield* kill(3);
    return answers;
  });
  assertEquals(short, [
    "tid  parent  state    for   steps  name           waits for",
    "  1          waiting  0 ms      2  main           a promise",
    "  3       1  waiting  0 ms      1  a sleeper      sleep until 60000",
    '  4       1  waiting  0 ms      1  d\\u001b[31m d  event "never"',
  ]);
  const rest = all!.map((line) => line.replaceAll(/\d+ms|127\.0\.0\.1:\d+/g, "-").replaceAll(/ +/g, " "));
  assertMatch(rest[1]!, /^ 2 1 waiting 0 ms \d+ monitor d accept -$/);
  assertMatch(rest.at(-1)!, /^ 6 2 running \d+ monitor of - d$/);
});

Deno.test("tree lists the tasks by who spawned them, however deep", async () => {
  const lines = await monitored(function* (port): Coroutine<string[]> {
    const parent = yield* spawn(function* parent() {
      yield* spawn(function* child() {
        yield* spawn(never.wait(), { name: "grandchild", daemon: true });
        yield* never.wait();
      }, { daemon: true });
      yield* spawn(never.wait(), { name: "second", daemon: true });
    });
    yield* parent;
    yield;
    return yield* ask(port, "tree");
  });
  assertEquals(lines, [
    "1 main: a promise",
    '4 child: event "never" (spawned by 3)',
    '└─ 6 grandchild: event "never"',
    '5 second: event "never" (spawned by 3)',
  ]);
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  scheduler.runSync(function* () {
    const chain = (n: number) =>
      function* link(): Coroutine<void> {
        if (n > 0) yield* yield* spawn(chain(n - 1));
        else {
          const tree = formatTree({ scheduler }).split("\n");
          assertEquals(tree.length, 20_001);
          assertEquals(tree[2], '   └─ 3 link: join of task 4 "link"');
          assert(Math.max(...tree.map((line) => line.length)) < 200);
          assertEquals(formatTree({ scheduler, limit: 1 }).split("\n").at(-1), "… 20000 more, from task 2");
        }
      };
    yield* call(chain(20_000));
  });
});

Deno.test({
  name: "where tells the line at which a task stands, and its variables",
  ignore: Deno.permissions.querySync({ name: "sys" }).state !== "granted",
  async fn() {
    const [plain, locals, unknown] = await monitored(function* (port): Coroutine<string[][]> {
      const task = yield* spawn(function* worker() {
        const url = "http://localhost";
        yield* never.wait();
        return url;
      }, { daemon: true });
      yield;
      const { tid } = task;
      return [
        yield* ask(port, `where ${tid}`),
        yield* ask(port, `where ${tid} locals`),
        yield* ask(port, "where", "where 99", "where x", `where ${tid} now`),
      ];
    });
    assertEquals(plain!.length, 2);
    assertEquals(plain![0], 'task 3 "worker": event "never"');
    assertMatch(plain![1]!, /^ {2}at worker \(file:\S+monitor_test\.ts:\d+:9\)$/);
    assertEquals(locals, [...plain!, '      url = "http://localhost"']);
    const usage = "usage: where TID [locals]";
    assertEquals(unknown, [
      `a task's number is wanted; ${usage}`,
      `there is no task 99; ${usage}`,
      `a task's number is wanted; ${usage}`,
      usage,
    ]);
  },
});

Deno.test("kill kills a task and answers when its cleanup is done; not those of the monitor", async () => {
  const log: string[] = [];
  const lines = await monitored(function* (port): Coroutine<string[]> {
    yield* spawn(function* victim() {
      try {
        yield* never.wait();
      } finally {
        yield;
        log.push("cleaned up");
      }
    });
    yield* spawn(never.wait(), { name: "quick" });
    const gate = new Event("gate");
    yield* spawn(shield(gate.wait()), { name: "stubborn" });
    yield;
    const answers = yield* ask(port, "kill 3", "kill 4 force", "kill 4", "kill 2", "kill 5");
    gate.set();
    return answers;
  });
  assertEquals(log, ["cleaned up"]);
  assertEquals(lines, [
    'task 3 "victim" has ended: killed',
    'task 4 "quick" has ended: killed',
    "there is no task 4; usage: kill TID [force]",
    'task 2 "monitor" is the monitor\'s own; usage: kill TID [force]',
    'task 5 "stubborn" has been told to end, and is still in WaitEvent, 3 frames deep, event "gate"',
  ]);
});

Deno.test("trace prints a trace, strace the calls, count how often, of what happens meanwhile", async () => {
  const [traced, calls, others, counts] = await monitored(function* (port): Coroutine<string[][]> {
    yield* spawn(function* busy() {
      for (;;) {
        yield* getTid();
        yield;
      }
    }, { daemon: true });
    return [
      yield* ask(port, "trace 5"),
      yield* ask(port, "strace 5 3"),
      yield* ask(port, "strace 5 1"),
      yield* ask(port, "count 5"),
    ];
  }, { clock: systemClock }); // who is always ready stops a virtual clock, and with it the host
  assertEquals(traced!.length, 1);
  const { traceEvents } = JSON.parse(traced![0]!);
  assert(traceEvents.some(({ ph, name }: { ph: string; name: string }) => ph === "X" && name === "busy"));
  const kinds = new Set(calls!.slice(0, 1000).map((line) => line.replace(/^[\d.]+ |<.*/g, "")));
  assertEquals(kinds, new Set(["[3 busy] getTid = 3 "]));
  assertEquals(others, [""]);
  assertMatch(counts![0]!, /^spawned +0$/);
  assertMatch(counts!.at(-1)!, /^call getTid +[1-9]\d*$/);
});

Deno.test("garbage, lines without an end, HTTP and telnet's negotiation disturb nobody", async () => {
  await monitored(function* (port): Coroutine<void> {
    const noise = crypto.getRandomValues(new Uint8Array(4000)).map((byte) => byte === 10 ? 11 : byte);
    assertEquals(yield* ask(port, noise), ["a line is too long"]);
    assertEquals(yield* ask(port, "GET / HTTP/1.1", "Host: localhost", "", "ps"), []);
    assertEquals(yield* ask(port, "Cookie: a=b", "kill 1"), []);
    const unknown = "unknown command; help lists those that are known";
    assertEquals(yield* ask(port, "constructor", "toString 1", "\u{1F600}", "", "   "), [unknown, unknown]);
    assertEquals(yield* ask(port, new Uint8Array([255, 253, 3]), "help\r", "quit", "ps"), HELP);
    assertEquals(yield* ask(port, "trace 9999999", "trace x", "ps 1e9"), [
      "600000 ms are the most; usage: trace [MS]",
      "a time in ms is wanted; usage: trace [MS]",
      "a task's number is wanted; usage: ps [TID] [all]",
    ]);
  });
});

const HELP = [
  "ps [TID] [all]      lists the tasks, from TID on; all: the monitor's own as well",
  "tree [TID] [all]    lists the tasks by who spawned them",
  "where TID [locals]  tells where a task stands, with its local variables",
  "kill TID [force]    kills a task, and waits a little for its end; force: closes its frames at once",
  "trace [MS]          watches so long, 1000 ms if not given, and prints a trace for Perfetto: one line of JSON",
  "strace [MS] [TID]   watches so long, and prints the system calls that were made",
  "count [MS]          watches so long, and prints how often everything happened",
  "help                lists the commands",
  "quit                ends the connection",
];

Deno.test("a client that asks and never reads keeps neither the others nor the program's end waiting", async () => {
  const asked = encoder.encode("help\n".repeat(20_000));
  let deaf: Deno.Conn | undefined;
  let writing: Promise<unknown> | undefined;
  await monitored(function* (port): Coroutine<void> {
    deaf = yield* until(Deno.connect({ hostname: "127.0.0.1", port }));
    writing = deaf.writable.getWriter().write(asked).catch(() => {});
    let stuck: string[] = [];
    // Until the answers have filled what the system takes, and its task waits for more room.
    while (!stuck.some((line) => line.includes(" send "))) stuck = yield* ask(port, "ps all");
    assertEquals(yield* ask(port, "help"), HELP);
  });
  await writing;
  deaf!.close();
});

Deno.test("several clients are served at once; one too many, and the first is hung up on", async () => {
  await monitored(function* (port): Coroutine<void> {
    const clients: Deno.Conn[] = [];
    for (let i = 0; i < 17; i++) {
      const client = yield* until(Deno.connect({ hostname: "127.0.0.1", port }));
      clients.push(client);
      yield* until(client.read(new Uint8Array(100))); // the greeting
    }
    assertEquals(yield* until(clients[0]!.read(new Uint8Array(100))), null);
    for (const client of clients.slice(2)) yield* until(client.write(encoder.encode("help\n")));
    for (const client of clients.slice(2).reverse()) {
      const buffer = new Uint8Array(4000);
      const n = yield* until(client.read(buffer));
      assertStringIncludes(new TextDecoder().decode(buffer.subarray(0, n!)), HELP[0]!);
    }
    for (const client of clients) client.close();
  });
});

Deno.test("a monitor is no part of a deadlock, and does not hold a virtual clock", async () => {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  let client: Deno.Conn | undefined;
  let tasks: number[] = [];
  try {
    await scheduler.run(function* main() {
      const { addr } = monitor({ port: 0 });
      client = yield* until(Deno.connect({ port: (addr as Deno.NetAddr).port }));
      yield* until(client.read(new Uint8Array(100)));
      yield* sleep(86_400_000);
      yield* never.wait();
    });
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error;
    tasks = error.tasks.map((task) => task.tid);
  }
  client!.close();
  assertEquals([tasks, scheduler.now(), scheduler.tasks.size], [[1], 86_400_000, 0]);
});

Deno.test("a monitor that is closed listens no longer; one that never had its turn leaves nothing behind", async () => {
  const scheduler = new Scheduler();
  await scheduler.run(function* main(): Coroutine<void> {
    const shell = monitor({ port: 0 });
    yield;
    assertEquals([shell.task.daemon, shell.task.state], [true, "waiting"]);
    shell.close();
    shell.close();
    yield* sleep(0);
    assertEquals(shell.task.state, "ended");
    monitor({ port: 0 }); // killed with the run before its first step
  });
  const outside = monitor({ port: 0, scheduler });
  await outside[Symbol.asyncDispose]();
  assertEquals(scheduler.tasks.size, 0);
});

Deno.test("a monitor listens on loopback or a Unix socket, and nowhere else", async () => {
  const refused: [MonitorOptions, ErrorConstructor, string][] = [
    [
      { port: 0, hostname: "0.0.0.0" },
      TypeError,
      'Cannot monitor on the string "0.0.0.0": who connects can kill tasks',
    ],
    [{ port: 0, hostname: "example.com" }, TypeError, "it listens on loopback only"],
    [{ port: 0, hostname: "127.0.0.1.example.com" }, TypeError, "it listens on loopback only"],
    [{ port: 0, hostname: "::" }, TypeError, "it listens on loopback only"],
    [{ port: 70_000 }, RangeError, "Cannot monitor: a port is a whole number from 0 to 65535, not 70000"],
    [
      { port: "80" as unknown as number },
      TypeError,
      'Cannot monitor: a port is a number, not the string "80"',
    ],
    [{}, TypeError, "Cannot monitor: either a port or the path of a Unix socket is wanted"],
    [{ port: 0, path: "/tmp/x" }, TypeError, "Cannot monitor: either a port or the path"],
    [{ path: 7 as unknown as string }, TypeError, "Cannot monitor: a path is a string, not 7"],
    [
      undefined as unknown as MonitorOptions,
      TypeError,
      "Cannot monitor: options with a port or a path are wanted",
    ],
    [
      { port: 0, scheduler: {} as Scheduler },
      TypeError,
      "Cannot monitor: scheduler is a Scheduler, not an object",
    ],
  ];
  for (const [options, kind, message] of refused) assertThrows(() => monitor(options), kind, message);
  for (const hostname of ["localhost", "127.0.0.2", "::1"]) {
    await using shell = monitor({ port: 0, hostname, scheduler: new Scheduler() });
    assertMatch((shell.addr as Deno.NetAddr).hostname, /^(127\.0\.0\.[12]|::1)$/);
  }
});

Deno.test({
  name: "a monitor on a Unix socket removes its file at the end",
  ignore: Deno.build.os === "windows" || Deno.permissions.querySync({ name: "write" }).state !== "granted",
  async fn() {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/monitor`;
    const text = await new Scheduler().run(function* main() {
      using _shell = monitor({ path });
      const conn = yield* until(Deno.connect({ transport: "unix", path }));
      yield* until(conn.write(encoder.encode("tree\nquit\n")));
      return yield* until(textOf(conn));
    });
    assertEquals(text, "genos monitor: 1 tasks; help lists the commands\n1 main: a promise\n");
    // The host removes it when it has let go of the accept that was pending.
    while ([...Deno.readDirSync(dir)].length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await Deno.remove(dir);
  },
});

const ignore = Deno.permissions.querySync({ name: "run" }).state !== "granted";

Deno.test({
  name: "nc is a client as good as any",
  ignore,
  async fn() {
    const answer = await monitored(function* (port): Coroutine<string> {
      const nc = new Deno.Command("nc", {
        args: ["-N", "127.0.0.1", String(port)],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const writer = nc.stdin.getWriter();
      yield* until(writer.write(encoder.encode("tree\n")));
      yield* until(writer.close());
      return new TextDecoder().decode((yield* until(nc.output())).stdout);
    });
    assertEquals(answer, "genos monitor: 1 tasks; help lists the commands\n1 main: a promise\n");
  },
});

Deno.test({
  name: "a monitor, and a client that is connected and says nothing, keep no program alive",
  ignore,
  async fn() {
    const program = `
      import { run, until } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
      import { monitor } from ${JSON.stringify(import.meta.resolve("../monitor.ts"))};
      const { addr } = monitor({ port: 0 });
      await run(function* () {
        console.log(addr.port);
        yield* until(Deno.stdin.read(new Uint8Array(1)));
      });
      console.log("over");
    `;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", program],
      stdin: "piped",
      stdout: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const port = Number((await output.read()).value);
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.read(new Uint8Array(100));
    await child.stdin.close();
    assertEquals((await output.read()).value, "over\n");
    assertEquals((await child.status).code, 0);
    assertEquals((await output.read()).done, true);
    client.close();
  },
});

Deno.test("the listings are there without a socket, too", async () => {
  const scheduler = new Scheduler({ clock: new VirtualClock() });
  await scheduler.run(function* main() {
    const task: Task = yield* spawn(function* worker() {
      yield* sleep(250);
      yield* never.wait();
    }, { daemon: true });
    yield* sleep(1250);
    assertEquals(
      formatPs({ from: 2 }).split("\n")[1],
      '  2       1  waiting  1 s      2  worker d  event "never"',
    );
    assertEquals(formatPs({ filter: () => false }), "tid  parent  state  for  steps  name  waits for");
    assertMatch(yield* until(formatWhere(task)), /^task 2 "worker": event "never"\n {2}at worker/);
  });
});
