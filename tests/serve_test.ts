import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  connect,
  type Coroutine,
  join,
  kill,
  listen,
  type Listener,
  type Operation,
  Scheduler,
  serve,
  type ServeOptions,
  shield,
  sleep,
  type Socket,
  spawn,
  type Task,
  taskGroup,
  timeout,
  TimeoutError,
  until,
  type Work,
} from "../mod.ts";
import { hostError, MemoryNetwork } from "./_memory_network.ts";
import { ending, Oops, type Stage, stage, turns, words } from "./_transcript.ts";

const LOCAL = "127.0.0.1";

type Handler = (socket: Socket<Deno.NetAddr>, addr: Deno.NetAddr) => Work<unknown>;

function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function* echo(socket: Socket): Coroutine<void> {
  for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
}

/** Runs a server, and a program with what it needs to talk to it; then kills it. What nobody has heard of goes to `log`. */
async function served(
  handler: Handler,
  options: ServeOptions<Deno.NetAddr>,
  program: (dial: () => Operation<Socket>, server: Task<void>, log: string[]) => Operation<unknown>,
): Promise<string[]> {
  const log: string[] = [];
  const scheduler = new Scheduler({
    onUnhandledError: (error, source) => void log.push(`${noPorts(String(source))}: ${words(error)}`),
  });
  await scheduler.run(function* () {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const server = yield* spawn(serve(listener, handler, options), { name: "server" });
    yield* program(() => connect({ port: listener.addr.port }), server, log);
    yield* kill(server);
    assertEquals(scheduler.tasks.size, 1);
  });
  return log;
}

function noPorts(words: string): string {
  return words.replaceAll(/task \d+/g, "task").replaceAll(/:\d+/g, "");
}

/** What the other end says until it closes, or how the connection failed. */
function* rest(socket: Socket): Coroutine<string> {
  try {
    return text(yield* socket.readAll())!;
  } catch (error) {
    return (error as Error).name;
  }
}

/**
 * Runs a program on a network in memory, and has the time go on. A virtual clock would stand: whoever accepts waits for
 * the host.
 */
async function play(program: (stage: Stage, network: MemoryNetwork) => Work<unknown>): Promise<string[]> {
  const network = new MemoryNetwork();
  const theStage = stage({ network });
  let over = false;
  const running = theStage.scheduler.run(program(theStage, network)).finally(() => over = true);
  while (!over) {
    await turns(1);
    theStage.clock.advance(1);
  }
  await running;
  return theStage.log;
}

function emfile(): Error {
  return Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" });
}

// ---- Serving ---------------------------------------------------------------------------------------------------------

Deno.test("serve() gives each connection a task of its own, named after its client, and a child of the one that serves", async () => {
  const log = await served(
    function* (socket, addr) {
      assertEquals(socket.remoteAddr, addr);
      yield* echo(socket);
    },
    {},
    function* (dial, server, log) {
      const sockets = [yield* dial(), yield* dial()];
      for (const [i, socket] of sockets.entries()) {
        yield* socket.send(`hello ${i}`);
        log.push(text(yield* socket.recv())!);
      }
      for (const { name, parent, waitingFor } of Scheduler.current().ps().slice(2)) {
        log.push(noPorts(`${name}, ${parent === server.tid}, ${waitingFor}`));
      }
      for (const socket of sockets) socket.close();
    },
  );
  const client = `client ${LOCAL}, true, recv ${LOCAL}`;
  assertEquals(log, ["hello 0", "hello 1", client, client]);
});

Deno.test("a handler that ends closes its socket, whether it returns, fails, is killed, or never starts", async () => {
  const { scheduler, log, say } = stage({ network: new MemoryNetwork() });
  await scheduler.run(function* () {
    const listener = listen({ port: 7 });
    const handlers: Handler[] = [
      function* () {},
      function* () {
        throw new Oops("failed");
      },
      function* () {
        yield* sleep(Infinity);
      },
      function* () {
        say("has started");
      },
    ];
    let next = 0;
    const server = yield* spawn(serve(listener, (socket, addr) => handlers[next++]!(socket, addr)));
    for (let i = 0; i < handlers.length; i++) {
      using socket = yield* connect({ port: 7 });
      const handler = scheduler.ps().at(-1)!.tid; // accepted, and not started yet
      if (i < 3) yield;
      if (i >= 2) yield* kill(handler);
      say(`${i}: ${yield* socket.recv()}`);
    }
    yield* kill(server);
  });
  assertEquals(log, [
    "0 0: null",
    "0 1: null",
    "0 2: null",
    "0 3: null",
    '0 unhandled in task 4 "client 127.0.0.1:50002": failed',
  ]);
});

Deno.test("a handler's error closes its socket and nothing else; onError is told, else onUnhandledError", async () => {
  const told: unknown[] = [];
  for (
    const options of [{}, {
      onError: (error: unknown, socket: Socket, addr: Deno.Addr) => {
        told.push(words(error), socket.remoteAddr === addr);
      },
    }]
  ) {
    const log = await served(
      function* (socket) {
        const line = yield* socket.recvLine();
        if (line === "fail") throw new Oops("a bad line");
        yield* socket.send(`${line} to you\n`);
        yield* echo(socket);
      },
      options,
      function* (dial, _server, log) {
        using good = yield* dial();
        using bad = yield* dial();
        using late = yield* dial();
        yield* good.send("hello\n");
        log.push((yield* good.recvLine())!);
        yield* bad.send("fail\n");
        log.push(`bad: "${yield* rest(bad)}"`);
        yield* good.send("still here");
        log.push(text(yield* good.recv())!);
        yield* late.send("me too\n");
        log.push((yield* late.recvLine())!);
      },
    );
    const unhandled = options.onError === undefined ? [`task "client ${LOCAL}": a bad line`] : [];
    assertEquals(
      log.toSorted(),
      ["hello to you", 'bad: ""', "still here", "me too to you", ...unhandled].toSorted(),
    );
  }
  assertEquals(told, ["a bad line", true]);
});

Deno.test("a handler that is no generator function may fail before it gives a coroutine, or give none: it has failed all the same", async () => {
  let calls = 0;
  const log = await served(
    (socket) => {
      if (++calls === 1) throw new Oops("at once");
      // deno-lint-ignore no-explicit-any -- bad input is what it is about
      return calls === 2 ? Promise.resolve() as any : echo(socket);
    },
    {},
    function* (dial, _server, log) {
      for (let i = 0; i < 2; i++) {
        using socket = yield* dial();
        log.push(`"${yield* rest(socket)}"`);
      }
      using socket = yield* dial();
      yield* socket.send("x");
      log.push(text(yield* socket.recv())!);
    },
  );
  assertEquals(log.toSorted(), [
    '""',
    '""',
    `task "client ${LOCAL}": TypeError`,
    `task "client ${LOCAL}": at once`,
    "x",
  ]);
});

Deno.test("an onError that throws is reported, and with it what it was told; the server goes on", async () => {
  const log = await served(
    function* () {
      throw new Oops("first");
    },
    {
      onError() {
        throw new Oops("second");
      },
    },
    function* (dial) {
      for (let i = 0; i < 2; i++) {
        using socket = yield* dial();
        yield* rest(socket);
      }
    },
  );
  const told = ["first", "second"].map((error) => `task "client ${LOCAL}": ${error}`);
  assertEquals(log, [...told, ...told]);
});

Deno.test("the error of a handler that somebody joins is that one's", async () => {
  const log = await play(({ scheduler, say }) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, function* () {
        yield* sleep(10);
        throw new Oops("failed");
      }));
      using _socket = yield* connect({ port: 7 });
      const handler = scheduler.tasks.get(scheduler.ps().at(-1)!.tid)!;
      try {
        yield* join(handler);
      } catch (error) {
        say(`joined: ${words(error)}`);
      }
      yield* kill(server);
    }
  );
  assertEquals(log, ["10 joined: failed"]);
});

Deno.test("with maxConnections the next connection is not accepted before one has ended", async () => {
  const log = await play(({ say }, network) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, function* (_socket, { port }) {
        say(`${port - 50_000} begins`);
        yield* sleep(10 * (port - 50_000));
        say(`${port - 50_000} ends`);
      }, { maxConnections: 2 }));
      for (let i = 0; i < 4; i++) yield* connect({ port: 7 });
      yield* sleep(5);
      say(`${server.waitingFor}; ${network.waiting(7)} not accepted`);
      yield* sleep(100);
      yield* kill(server);
    }
  );
  assertEquals(log, [
    "0 1 begins",
    "0 2 begins",
    '5 1 of semaphore "connections", 0 available; 2 not accepted',
    "10 1 ends",
    "10 3 begins",
    "20 2 ends",
    "20 4 begins",
    "40 3 ends",
    "60 4 ends",
  ]);
});

// ---- Ending ----------------------------------------------------------------------------------------------------------

/** A server whose handlers take 10, 100 and 1000 ms, told to end after 50 ms in some way. */
function ended(
  options: ServeOptions<Deno.NetAddr>,
  end: (server: Task<void>, listener: Listener<Deno.NetAddr>) => Operation<unknown>,
  around: (work: Coroutine<void>) => Operation<void> = (work) => work,
): Promise<string[]> {
  return play(({ scheduler, say }) =>
    function* () {
      const listener = listen({ port: 7 });
      const handler = function* (_socket: Socket, { port }: Deno.NetAddr): Coroutine<void> {
        const ms = 10 ** (port - 50_000);
        try {
          yield* sleep(ms);
          say(`${ms} done`);
        } finally {
          yield* sleep(3);
          say(`${ms} cleaned up`);
        }
      };
      const server = yield* spawn(around(serve(listener, handler, options)));
      for (let i = 0; i < 3; i++) yield* connect({ port: 7 });
      yield* sleep(50);
      yield* end(server, listener);
      try {
        yield* join(server);
      } catch { /* its ending is said below */ }
      say(`server ${ending(server)}`);
      say(`${scheduler.tasks.size} task`);
      try {
        yield* connect({ port: 7 });
      } catch (error) {
        say(words(error));
      }
    }
  );
}

Deno.test("a kill of the task that serves closes the listener, kills the handlers and awaits their cleanup", async () => {
  assertEquals(await ended({}, (server) => kill(server)), [
    "10 10 done",
    "13 10 cleaned up",
    "53 1000 cleaned up",
    "53 100 cleaned up",
    "53 server killed",
    "53 1 task",
    "53 ConnectionRefused",
  ]);
});

Deno.test("with a grace the handlers may go on that long, and the server ends with the last of them", async () => {
  assertEquals(await ended({ grace: 100 }, (server) => kill(server)), [
    "10 10 done",
    "13 10 cleaned up",
    "100 100 done",
    "103 100 cleaned up",
    "153 1000 cleaned up",
    "153 server killed",
    "153 1 task",
    "153 ConnectionRefused",
  ]);
  const patient = await ended({ grace: 60_000 }, (server) => kill(server));
  assertEquals(patient.slice(3), [
    "103 100 cleaned up",
    "1000 1000 done",
    "1003 1000 cleaned up",
    "1003 server killed",
    "1003 1 task",
    "1003 ConnectionRefused",
  ]);
});

Deno.test("a timeout round serve() drains as a kill does, and a kill meanwhile waits for the same end", async () => {
  const limited = (work: Coroutine<void>) => timeout(30, work);
  const log = ["10 10 done", "13 10 cleaned up", "100 100 done", "103 100 cleaned up"];
  assertEquals(await ended({ grace: 100 }, () => sleep(0), limited), [
    ...log,
    "133 1000 cleaned up",
    "133 server failed TimeoutError",
    "133 1 task",
    "133 ConnectionRefused",
  ]);
  assertEquals(await ended({ grace: 100 }, (server) => kill(server), limited), [
    ...log,
    "133 1000 cleaned up",
    "133 server killed",
    "133 1 task",
    "133 ConnectionRefused",
  ]);
});

Deno.test("the kernel's grace for the one who serves stands still while the handlers have theirs", async () => {
  const log = await ended({ grace: 500 }, (server) => kill(server, { grace: 1 }));
  assertEquals(log.slice(-4), [
    "553 1000 cleaned up",
    "553 server killed",
    "553 1 task",
    "553 ConnectionRefused",
  ]);
});

Deno.test("a forced kill closes the listener and the handlers' frames at once", async () => {
  const log = await ended({ grace: 500 }, (server) => kill(server, { force: true }));
  assertEquals(log.slice(2), [
    "53 1000 cleaned up",
    "53 100 cleaned up",
    "53 server killed",
    "53 1 task",
    "53 ConnectionRefused",
  ]);
});

Deno.test("a handler in a shield is waited for, whatever the grace", async () => {
  const log = await play(({ scheduler, say }) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, function* () {
        yield* shield(sleep(20));
        say("done");
      }));
      using socket = yield* connect({ port: 7 });
      yield* sleep(1);
      yield* kill(server);
      say(`${scheduler.tasks.size} task, ${yield* socket.recv()}`);
    }
  );
  assertEquals(log, ["20 done", "20 1 task, null"]);
});

Deno.test("the listener is closed at once: while handlers drain nobody gets in, and who has only been queued is turned away", async () => {
  const log = await play(({ say }) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, () => sleep(20), { maxConnections: 1, grace: 50 }));
      using _served = yield* connect({ port: 7 });
      using queued = yield* connect({ port: 7 });
      yield* sleep(1);
      yield* kill(server, { wait: false });
      yield;
      say(`queued: ${yield* rest(queued)}.`);
      try {
        yield* connect({ port: 7 });
      } catch (error) {
        say(words(error));
      }
      yield* kill(server);
      say("over");
    }
  );
  assertEquals(log, ["1 queued: .", "1 ConnectionRefused", "20 over"]);
});

Deno.test("a server that is killed before its first step leaves no listener", async () => {
  const log = await play(({ say }) =>
    function* () {
      const server = yield* spawn(serve(listen({ port: 7 }), echo));
      yield* kill(server);
      try {
        yield* connect({ port: 7 });
      } catch (error) {
        say(words(error));
      }
    }
  );
  assertEquals(log, ["0 ConnectionRefused"]);
});

Deno.test("when somebody else closes the listener, serve() returns after its handlers; while it waits for them it can be cancelled", async () => {
  const close = function* (_server: Task<void>, listener: Listener<Deno.NetAddr>): Coroutine<void> {
    yield listener.close();
  };
  assertEquals((await ended({}, close)).slice(2), [
    "100 100 done",
    "103 100 cleaned up",
    "1000 1000 done",
    "1003 1000 cleaned up",
    "1003 server returned undefined",
    "1003 1 task",
    "1003 ConnectionRefused",
  ]);
  const both = await ended({ grace: 100 }, function* (server, listener) {
    listener.close();
    yield* sleep(10);
    yield* kill(server);
  });
  assertEquals(both.slice(2), [
    "100 100 done",
    "103 100 cleaned up",
    "163 1000 cleaned up",
    "163 server killed",
    "163 1 task",
    "163 ConnectionRefused",
  ]);
});

Deno.test("a listener that is closed before it is served is an error, not an end", async () => {
  const log = await play(({ say }) =>
    function* () {
      using listener = listen({ port: 7 });
      listener.close();
      try {
        yield* serve(listener, echo);
      } catch (error) {
        say(`${words(error)}: ${(error as Error).message}`);
      }
    }
  );
  assertEquals(log, ["0 ClosedError: Cannot serve: listener 0.0.0.0:7 is closed"]);
});

Deno.test("what an accept fails with that nothing can be done about ends the server, after its handlers' grace", async () => {
  const log = await play(({ scheduler, say }, network) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, () => sleep(20), { grace: 10 }));
      using socket = yield* connect({ port: 7 });
      yield* sleep(1);
      network.failAccept(7, new Oops("the network is gone"));
      try {
        yield* join(server);
      } catch (error) {
        say(`${words(error)}; ${scheduler.tasks.size} task; ${yield* socket.recv()}`);
      }
    }
  );
  assertEquals(log, ["11 the network is gone; 1 task; null"]);
});

// ---- Accepting -------------------------------------------------------------------------------------------------------

Deno.test("connections that died before they were accepted are skipped", async () => {
  const log = await play(({ say }, network) =>
    function* () {
      const server = yield* spawn(serve(listen({ port: 7 }), echo));
      for (const name of ["NotConnected", "ConnectionAborted", "ConnectionReset"]) {
        network.failAccept(7, hostError(name));
      }
      network.failAccept(7, Object.assign(new Error("Protocol error"), { code: "EPROTO" }));
      using socket = yield* connect({ port: 7 });
      yield* socket.send("hello");
      say(text(yield* socket.recv())!);
      yield* kill(server);
    }
  );
  assertEquals(log, ["0 hello"]);
});

Deno.test("out of descriptors, serve() tries again after 5, 10, 20 … 100 ms, and meanwhile serves those it has", async () => {
  const log = await play(({ scheduler, say }, network) =>
    function* () {
      const server = yield* spawn(serve(listen({ port: 7 }), echo));
      using first = yield* connect({ port: 7 });
      yield* sleep(0);
      network.exhausted = emfile();
      const attempts = network.attempts;
      using second = yield* connect({ port: 7 });
      yield* sleep(1);
      say(`${server.waitingFor}`);
      yield* first.send("hello");
      say(text(yield* first.recv())!);
      yield* sleep(1000);
      say(`${network.attempts - attempts} attempts`);
      network.exhausted = undefined;
      const since = scheduler.now();
      yield* second.send("me too");
      say(text(yield* second.recv())!);
      assert(scheduler.now() - since <= 100);
      yield* kill(server);
    }
  );
  const late = log.pop()!;
  assertEquals(log, [
    '1 freed: event "the end of a connection" | retry: sleep until 5',
    "1 hello",
    "1001 13 attempts",
  ]);
  assert(late.endsWith(" me too"));
});

Deno.test("out of descriptors, serve() tries again at once when a connection of its own ends", async () => {
  const log = await play(({ say }, network) =>
    function* () {
      const server = yield* spawn(serve(listen({ port: 7 }), echo));
      const first = yield* connect({ port: 7 });
      yield* sleep(0);
      network.exhausted = emfile();
      using second = yield* connect({ port: 7 });
      yield* sleep(80); // the next attempt would be at 155
      network.exhausted = undefined;
      first.close();
      yield* second.send("hello");
      say(text(yield* second.recv())!);
      yield* kill(server);
    }
  );
  assertEquals(log, ["80 hello"]);
});

Deno.test("a line of connections is accepted in one go, and no more than may be served", async () => {
  const counts = async (options: ServeOptions<Deno.NetAddr>) => {
    const waiting: number[] = [];
    await play((_stage, network) =>
      function* () {
        const listener = listen({ port: 7 });
        for (let i = 0; i < 100; i++) yield* connect({ port: 7 });
        const server = yield* spawn(serve(listener, function* () {
          waiting.push(network.waiting(7));
          yield* sleep(1);
        }, options));
        yield* sleep(200);
        yield* kill(server);
      }
    );
    return waiting;
  };
  const all = await counts({});
  assertEquals([all.length, all[0]], [100, 0]);
  const few = await counts({ maxConnections: 5 });
  assertEquals([few.length, few[0], few[4], few[5]], [100, 95, 95, 90]);
});

Deno.test("connections that were accepted ahead are closed when the server is killed before it has come to them", async () => {
  const log = await play(({ say }) =>
    function* () {
      const listener = listen({ port: 7 });
      const server = yield* spawn(serve(listener, function* () {
        say("served");
        yield* sleep(1000);
      }));
      yield* sleep(1);
      const sockets: Socket[] = [];
      for (let i = 0; i < 3; i++) sockets.push(yield* connect({ port: 7 }));
      yield* kill(server);
      for (const socket of sockets) say(`${yield* socket.recv()}`);
    }
  );
  assertEquals(log.filter((line) => line === "1 null").length, 3);
});

// ---- On the host -----------------------------------------------------------------------------------------------------

Deno.test("killed in the middle of everything, a server leaves no socket, no listener and no task", async () => {
  for (let steps = 0; steps < 30; steps++) {
    const scheduler = new Scheduler();
    await scheduler.run(function* () {
      const listener = listen({ hostname: LOCAL, port: 0 });
      const { port } = listener.addr;
      const server = yield* spawn(serve(listener, echo));
      const clients = yield* spawn(taskGroup(function* (group) {
        for (let i = 0; i < 20; i++) {
          group.spawn(function* () {
            try {
              using socket = yield* connect({ port });
              yield* socket.send("hello");
              yield* rest(socket);
            } catch (error) {
              assert(["ConnectionReset", "ConnectionRefused", "BrokenPipe"].includes((error as Error).name));
            }
          });
        }
      }));
      for (let i = 0; i < steps; i++) yield* sleep(0);
      yield* kill(server);
      yield* clients;
      assertEquals(scheduler.tasks.size, 1);
    });
  }
});

Deno.test("a line of clients is accepted in a few goes, however busy the tasks are between which the server has its turns", async () => {
  const goes = new Set<number>();
  const clients = 100;
  await new Scheduler().run(function* () {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const sockets: Socket[] = [];
    for (let i = 0; i < clients; i++) sockets.push(yield* connect({ port: listener.addr.port }));
    let rounds = 0;
    const busy = yield* spawn(function* () {
      for (;; rounds++) yield;
    });
    let begun = 0;
    const server = yield* spawn(serve(listener, function* (socket) {
      goes.add(rounds);
      begun++;
      yield* echo(socket);
    }));
    while (begun < clients) yield;
    yield* kill(busy);
    for (const socket of sockets) socket.close();
    yield* kill(server);
  });
  assert(goes.size < 10, `${goes.size} goes`);
});

Deno.test("serve() refuses bad input where it is given", () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  using listener = listen({ hostname: LOCAL, port: 0 });
  for (const bad of [undefined, null, 5, {}]) {
    assertThrows(() => serve(any(bad), echo), TypeError, "listener");
  }
  for (const bad of [undefined, null, {}]) {
    assertThrows(() => serve(listener, any(bad)), TypeError, "function");
  }
  for (const maxConnections of [0, -1, 1.5, NaN]) {
    assertThrows(() => serve(listener, echo, { maxConnections }), RangeError, "maxConnections");
  }
  assertThrows(() => serve(listener, echo, { maxConnections: any("5") }), TypeError, "maxConnections");
  for (const grace of [-1, NaN]) assertThrows(() => serve(listener, echo, { grace }), RangeError);
  assertThrows(() => serve(listener, echo, { grace: any("5") }), TypeError);
  assertThrows(() => serve(listener, echo, { onError: any(5) }), TypeError, "onError");
});

Deno.test({
  name: "out of real descriptors, those who are connected are served, and the next gets in when one goes",
  ignore: Deno.build.os === "windows",
  async fn() {
    const program = `
import { listen, run, serve } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
const noop = () => {};
Deno.addSignalListener("SIGINT", noop); // a program that runs out of descriptors before it has one would panic
Deno.removeSignalListener("SIGINT", noop);
await run(function* () {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  yield* serve(listener, function* (socket) {
    for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
  });
});`;
    const server = new Deno.Command("sh", {
      args: ["-c", 'ulimit -n 64; exec "$0" eval "$1"', Deno.execPath(), program],
      stdout: "piped",
    }).spawn();
    const output = server.stdout.getReader();
    const sockets: Socket[] = [];
    try {
      await new Scheduler().run(function* () {
        const port = Number(text((yield* until(output.read())).value!));
        const say = function* (socket: Socket): Coroutine<string> {
          yield* socket.send("hello");
          return text(yield* socket.recv())!;
        };
        // The system accepts them all, the server only as many as it has descriptors for.
        for (let i = 0; i < 80; i++) sockets.push(yield* connect({ port }));
        let served = 0;
        try {
          while (yield* timeout(500, say(sockets[served]!))) served++;
        } catch (error) {
          assert(error instanceof TimeoutError);
        }
        assert(served > 20 && served < 64, `${served} served`);
        assertEquals(yield* say(sockets[0]!), "hello");
        const waiting = sockets[served]!;
        sockets[1]!.close();
        assertEquals(text(yield* timeout(2000, waiting.recv())), "hello");
        for (const socket of sockets) socket.close();
      });
    } finally {
      for (const socket of sockets) socket.close();
      server.kill();
      await output.cancel();
      await server.status;
    }
  },
});
