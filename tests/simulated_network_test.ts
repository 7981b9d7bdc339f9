import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import {
  connect,
  type Connection,
  type Coroutine,
  DeadlockError,
  type Done,
  InvalidStateError,
  kill,
  listen,
  listenDatagram,
  type Listener,
  type Operation,
  Scheduler,
  select,
  serve,
  sleep,
  type Socket,
  spawn,
  timeout,
  until,
} from "../mod.ts";
import { SimulatedNetwork, type SimulatedNetworkOptions, VirtualClock } from "../testing.ts";
import { Oops, stage, words } from "./_transcript.ts";

/** What an operation comes to, in words. */
function* said(operation: Operation<unknown>): Coroutine<string> {
  try {
    const value = yield* operation;
    return value instanceof Uint8Array
      ? `"${new TextDecoder().decode(value)}"`
      : JSON.stringify(value) ?? "done";
  } catch (error) {
    return words(error);
  }
}

interface Scene {
  network: SimulatedNetwork;
  scheduler: Scheduler;
  log: string[];
  say: (text: string) => void;
  /** Adds what an operation comes to. */
  tell: (name: string, operation: Operation<unknown>) => Coroutine<void>;
}

/** A connection from the host `client` to the host `server`. */
interface Ends {
  client: Socket;
  server: Socket;
  listener: Listener<Deno.NetAddr>;
}

/** Runs a program on a network of its own, on a virtual clock; what it says, with the time. Nothing may be left open. */
async function perform(
  options: SimulatedNetworkOptions,
  program: (scene: Scene) => Coroutine<void>,
): Promise<string[]> {
  const network = new SimulatedNetwork(options);
  const { scheduler, log, say } = stage({ network });
  function* tell(name: string, operation: Operation<unknown>): Coroutine<void> {
    const result = yield* said(operation);
    say(`${name}: ${result}`);
  }
  await scheduler.run(program({ network, scheduler, log, say, tell }));
  assertEquals(network.open, 0);
  return log;
}

/** The same with a connection; its ends are closed at the end. */
function converse(
  options: SimulatedNetworkOptions,
  program: (ends: Ends, scene: Scene) => Coroutine<void>,
): Promise<string[]> {
  return perform(options, function* (scene) {
    using listener = listen({ hostname: "server", port: 80 });
    using client = yield* scene.network.at("client", connect({ hostname: "server", port: 80 }));
    const [server] = yield* listener.accept();
    try {
      yield* program({ client, server, listener }, scene);
    } finally {
      server.close();
    }
  });
}

// ---- A calm network --------------------------------------------------------------------------------------------------

Deno.test("without options what is sent is there at once, and an end of stream is one", async () => {
  const log = await converse({}, function* ({ client, server }, { tell }) {
    yield* client.send("hello");
    yield* tell("server", server.recv());
    yield* server.send("and goodbye");
    server.close();
    yield* tell("client", client.recv());
    yield* tell("client", client.recv());
  });
  assertEquals(log, ['0 server: "hello"', '0 client: "and goodbye"', "0 client: null"]);
});

Deno.test("a stream can be closed in one direction, and the other goes on", async () => {
  const log = await converse({ latency: 10 }, function* ({ client, server }, { tell }) {
    yield* client.send("all of it");
    yield* client.closeWrite();
    yield* tell("server", server.readAll());
    yield* server.send("thanks");
    yield* tell("client", client.recv());
    yield* tell("send", client.send("more"));
  });
  assertEquals(log, ['30 server: "all of it"', '40 client: "thanks"', "40 send: ClosedError"]);
});

Deno.test("tasks on a host listen and connect from there; loopback is the host itself", async () => {
  const addresses = ({ localAddr, remoteAddr }: Socket) =>
    [localAddr, remoteAddr].map((addr) => addr as Deno.NetAddr)
      .map(({ hostname, port }) => `${hostname}:${port}`).join(" → ");
  const log = await perform({}, function* ({ network, say, tell }) {
    const serving = yield* spawn(network.at("web", function* () {
      using listener = listen({ port: 80 });
      say(`listening on ${listener.addr.hostname}`);
      for (let i = 0; i < 2; i++) {
        const [socket] = yield* listener.accept();
        say(`accepted ${addresses(socket)}`);
        socket.close();
      }
      using inner = yield* connect({ port: 80 });
      say(`inside ${addresses(inner)}`);
    }));
    yield;
    using outer = yield* connect({ hostname: "web", port: 80 });
    say(`from outside ${addresses(outer)}`);
    yield* tell("on another host", network.at("other", connect({ port: 80 })));
    using other = yield* network.at("other", function* () {
      const child = yield* spawn(connect({ hostname: "web", port: 80 })); // it is where its spawner is
      return yield* child;
    });
    say(`from another host ${addresses(other)}`);
    yield* serving;
    yield* tell("back on the first host", connect({ port: 80 }));
  });
  assertEquals(log, [
    "0 listening on 0.0.0.0",
    "0 accepted web:80 → 127.0.0.1:49152",
    "0 from outside 127.0.0.1:49152 → web:80",
    "0 on another host: ConnectionRefused",
    "0 accepted web:80 → other:49154",
    "0 inside 127.0.0.1:49155 → 127.0.0.1:80",
    "0 from another host other:49154 → web:80",
    "0 back on the first host: ConnectionRefused",
  ]);
});

Deno.test("a port is taken as long as somebody listens there, on whichever of the host's names; a Unix path is an address", async () => {
  const log = await perform({}, function* ({ network, say, tell }) {
    const attempt = (hostname: string) => {
      try {
        listen({ hostname, port: 80 }).close();
        say(`${hostname}: listening`);
      } catch (error) {
        assert(error instanceof Deno.errors.AddrInUse);
        say(`${hostname}: ${words(error)}`);
      }
    };
    const first = listen({ hostname: "0.0.0.0", port: 80 });
    attempt("127.0.0.1");
    attempt("elsewhere");
    first.close();
    attempt("127.0.0.1");
    const free = [listen({ port: 0 }), listen({ port: 0 })];
    say(free.map((listener) => listener.addr.port).join(" "));
    for (const listener of free) listener.close();
    yield* tell("connect", connect({ port: 80 }));
    using one = listen({ path: "/run/genos.sock" });
    assertThrows(() => listen({ path: "/run/genos.sock" }), Deno.errors.AddrInUse);
    using near = yield* connect({ path: "/run/genos.sock" });
    const [far, address] = yield* one.accept();
    yield* near.send("by path");
    yield* tell("path", far.recv());
    far.close();
    assertEquals([near.remoteAddr, address.transport], [
      { transport: "unix", path: "/run/genos.sock" },
      "unix",
    ]);
    yield* tell("on another host", network.at("other", connect({ path: "/run/genos.sock" })));
  });
  assertEquals(log, [
    "0 127.0.0.1: AddrInUse",
    "0 elsewhere: listening",
    "0 127.0.0.1: listening",
    "0 49152 49153",
    "0 connect: ConnectionRefused",
    '0 path: "by path"',
    "0 on another host: ConnectionRefused",
  ]);
});

Deno.test("several can listen on one port if all of them say so; they get the connections in turn", async () => {
  const log = await perform({}, function* ({ say }) {
    using _one = listen({ port: 80, reusePort: true });
    using two = listen({ port: 80, reusePort: true });
    assertThrows(() => listen({ port: 80 }), Deno.errors.AddrInUse);
    const serving = yield* spawn(function* () {
      for (;;) {
        const [socket, address] = yield* two.accept();
        say(`second: ${address.port}`);
        socket.close();
      }
    });
    for (let i = 0; i < 4; i++) (yield* connect({ port: 80 })).close();
    yield* sleep(1);
    yield* kill(serving);
  });
  assertEquals(log, ["0 second: 49153", "0 second: 49155"]);
});

Deno.test("TLS is taken at its word: the handshake agrees on a protocol, and startTls gives a socket that speaks it", async () => {
  const log = await perform({}, function* ({ tell }) {
    using listener = listen({ port: 443, cert: "", key: "", alpnProtocols: ["h2", "http/1.1"] });
    using client = yield* connect({ port: 443, tls: { alpnProtocols: ["http/1.1", "h2"] } });
    const [server] = yield* listener.accept();
    yield* client.send("secret");
    for (const [name, end] of Object.entries({ client, server })) yield* tell(name, end.handshake());
    yield* tell("server", server.recv());
    server.close();
    using plain = yield* connect({ port: 443 });
    yield* tell("not yet", plain.handshake());
    using secure = yield* plain.startTls();
    yield* tell("now", secure.handshake());
    yield* secure.send("more");
    const [other] = yield* listener.accept();
    yield* tell("server", other.recv());
    other.close();
  });
  assertEquals(log, [
    '0 client: {"alpnProtocol":"h2"}',
    '0 server: {"alpnProtocol":"h2"}',
    '0 server: "secret"',
    "0 not yet: InvalidStateError",
    '0 now: {"alpnProtocol":null}',
    '0 server: "more"',
  ]);
});

// ---- Time ------------------------------------------------------------------------------------------------------------

Deno.test("latency: a connection takes a way there and back, and what is sent one way", async () => {
  const log = await perform({ latency: 30 }, function* ({ tell, say }) {
    using listener = listen({ port: 80 });
    const serving = yield* spawn(function* () {
      const [socket] = yield* listener.accept();
      say("accepted");
      yield* tell("server", socket.recv());
      yield* socket.send("pong");
      socket.close();
    });
    using socket = yield* connect({ port: 80 });
    say("connected");
    yield* socket.send("ping");
    yield* tell("client", socket.recv());
    yield* serving;
    yield* tell("nobody there", connect({ port: 81 }));
  });
  assertEquals(log, [
    "30 accepted",
    "60 connected",
    '90 server: "ping"',
    '120 client: "pong"',
    "180 nobody there: ConnectionRefused",
  ]);
});

Deno.test("latency in a span is another each time, and nothing overtakes anything", async () => {
  const log = await converse({ latency: [1, 100], seed: 3 }, function* ({ client, server }, { tell }) {
    for (const letter of "abcdefgh") {
      yield* client.send(letter);
      yield* sleep(10);
    }
    client.close();
    yield* tell("all", server.readAll());
  });
  assertEquals(log.map((line) => line.replace(/^\d+ /, "")), ['all: "abcdefgh"']);
  const times = await converse(
    { latency: [1, 100], seed: 3 },
    function* ({ client, server }, { scheduler, log }) {
      for (let i = 0; i < 20; i++) {
        const before = scheduler.now();
        yield* client.send("x");
        yield* server.recv();
        log.push(String(scheduler.now() - before));
      }
    },
  );
  assert(
    new Set(times).size > 10 && times.every((ms) => Number(ms) >= 1 && Number(ms) <= 100),
    String(times),
  );
});

Deno.test("bandwidth: what is sent takes its time, and what is behind it waits for that", async () => {
  const options = { bandwidth: 1000, latency: 5, segment: 500 };
  const log = await converse(options, function* ({ client, server }, { say }) {
    yield* client.send(new Uint8Array(1200));
    yield* client.send("!");
    client.close();
    for (let data = yield* server.recv(); data !== null; data = yield* server.recv()) {
      say(`${data.length} bytes`);
    }
    say("the end");
  });
  // 10 ms for the connection; the last byte of 1 200 goes out at 1 210.
  assertEquals(log, ["515 500 bytes", "1015 500 bytes", "1215 200 bytes", "1216 1 bytes", "1216 the end"]);
});

Deno.test("a slow host makes who sends to it wait, and nobody else", async () => {
  const log = await converse(
    { buffer: 1000, segment: 100 },
    function* ({ client, server }, { network, say }) {
      network.slow("client", 100);
      const drain = function* (socket: Socket): Coroutine<void> {
        while ((yield* socket.recv()) !== null);
      };
      const tasks = [yield* spawn(drain(client)), yield* spawn(drain(server))];
      yield* client.send(new Uint8Array(3000));
      say("the server has got it");
      yield* server.send(new Uint8Array(3000));
      say("the last 1000 for the client are on their way");
      for (const socket of [client, server]) yield* socket.closeWrite();
      for (const task of tasks) yield* task;
      say("the client has got it");
    },
  );
  assertEquals(log, [
    "0 the server has got it",
    "20000 the last 1000 for the client are on their way",
    "30000 the client has got it",
  ]);
});

Deno.test("a wait for what is on its way is no deadlock and stops no virtual clock; one that nothing can end is told", async () => {
  const waits: string[] = [];
  for (const wait of ["recv", "accept", "send"] as const) {
    const network = new SimulatedNetwork({ latency: 1000, buffer: 10 });
    const scheduler = new Scheduler({ network, clock: new VirtualClock() });
    const error = await assertRejects(() =>
      scheduler.run(function* main() {
        using listener = listen({ port: 80 });
        using client = yield* connect({ port: 80 });
        const [server] = yield* listener.accept();
        try {
          yield* client.send("hello");
          yield* server.recv(); // it comes
          yield* { recv: server.recv(), accept: listener.accept(), send: client.send("hello, hello") }[wait];
        } finally {
          server.close();
        }
      }), DeadlockError);
    waits.push(`${scheduler.now()} ${error.tasks.map((task) => task.waitingFor)}`);
    assertEquals(network.open, 0);
  }
  // The bytes that find room are still on their way when the third begins to wait.
  assertEquals(waits, ["3000 recv 127.0.0.1:49152", "3000 accept 0.0.0.0:80", "4000 send 127.0.0.1:80"]);
});

Deno.test("no promise is involved: a program with its network runs in one go", () => {
  const network = new SimulatedNetwork({ latency: [1, 50], segment: 1, seed: 7 });
  const scheduler = new Scheduler({ network, clock: new VirtualClock() });
  const got = scheduler.runSync(function* () {
    using listener = listen({ port: 80 });
    yield* spawn(function* () {
      using client = yield* connect({ port: 80 });
      yield* client.send("in one go");
    });
    const [server] = yield* listener.accept();
    const bytes = yield* server.readAll();
    server.close();
    return new TextDecoder().decode(bytes);
  });
  assertEquals([got, network.open], ["in one go", 0]);
});

Deno.test("on the system's clock latency is real time, and what is called for from outside is noticed", async () => {
  const network = new SimulatedNetwork({ latency: 1 });
  const scheduler = new Scheduler({ network });
  network.partition("client", "server");
  const before = performance.now();
  const heal = setTimeout(() => network.heal(), 5);
  const got = await scheduler.run(function* () {
    using listener = listen({ hostname: "server", port: 80 });
    using client = yield* network.at("client", connect({ hostname: "server", port: 80 }));
    const [server] = yield* listener.accept();
    yield* client.send("x");
    const data = yield* server.recv();
    server.close();
    return data?.length;
  });
  clearTimeout(heal);
  assertEquals(got, 1);
  assert(performance.now() - before >= 6);
});

Deno.test("what is on its way when the run is over keeps no alarm of the system's clock", async () => {
  const network = new SimulatedNetwork();
  // The sanitizer of this test would find it.
  const unheard: string[] = [];
  await new Scheduler({ network, onUnhandledError: (error) => void unheard.push(words(error)) }).run(
    function* () {
      using listener = listen({ port: 80 });
      const client = yield* connect({ port: 80 });
      yield* listener.accept();
      network.change({ latency: 60_000 });
      yield* client.send("never read");
      yield* until(new Promise((resolve) => setTimeout(resolve, 1)));
      yield* spawn(function* () {
        throw new Oops("told before the run is over");
      });
    },
  );
  assertEquals([network.open, unheard], [2, ["told before the run is over"]]);
});

Deno.test("a day of traffic between ten hosts", async () => {
  const HOUR = 3_600_000;
  let messages = 0;
  const log = await perform(
    { latency: [5, 300], segment: [1, Infinity], merge: 0.2, seed: 24 },
    function* (scene) {
      const { network, say } = scene;
      using listener = listen({ hostname: "server", port: 80 });
      const server = yield* spawn(function* server() {
        for (;;) {
          const [socket] = yield* listener.accept();
          yield* spawn(function* () {
            using _ = socket;
            for (let line = yield* socket.recvLine(); line !== null; line = yield* socket.recvLine()) {
              yield* socket.send(`${line}!\n`);
            }
          });
        }
      });
      const clients = [];
      for (let i = 0; i < 10; i++) {
        clients.push(
          yield* spawn(network.at(`client ${i}`, function* () {
            using socket = yield* connect({ hostname: "server", port: 80 });
            for (let minute = 0; minute < 24 * 60; minute++) {
              yield* socket.send(`${i} at ${minute}\n`);
              assertEquals(yield* socket.recvLine(), `${i} at ${minute}!`);
              messages++;
              yield* sleep(60_000 * (minute + 1) - scene.scheduler.now() % (24 * HOUR));
            }
          })),
        );
      }
      for (const client of clients) yield* client;
      yield* kill(server);
      say(`${messages} messages`);
    },
  );
  assertEquals(log, [`${24 * HOUR} 14400 messages`]);
});

// ---- Splitting, merging, back-pressure -------------------------------------------------------------------------------

/** The reads of a server that is late, or not, of what a client sends. */
function readsOf(options: SimulatedNetworkOptions, late: boolean, ...texts: string[]): Promise<string[]> {
  return converse(options, function* ({ client, server }, { log }) {
    const reading = yield* spawn(function* () {
      if (late) yield* sleep(1000);
      for (let data = yield* server.recv(); data !== null; data = yield* server.recv()) {
        log.push(new TextDecoder().decode(data));
      }
    });
    yield;
    for (const text of texts) yield* client.send(text);
    yield* client.closeWrite();
    yield* reading;
  });
}

Deno.test("a segment is what comes out of one read, however late: byte by byte, or split anywhere", async () => {
  assertEquals(await readsOf({}, true, "abcdef", "gh"), ["abcdefgh"]);
  for (const late of [true, false]) {
    assertEquals(await readsOf({ segment: 4 }, late, "abcdef", "gh"), ["abcd", "efgh"]);
    assertEquals(await readsOf({ segment: 1 }, late, "abc", "d"), ["a", "b", "c", "d"]);
  }
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const reads = await readsOf({ segment: [1, Infinity], seed }, false, "abcd");
    assertEquals(reads.join(""), "abcd");
    seen.add(reads.join("|"));
  }
  assertEquals([...seen].toSorted(), [
    ...["abcd", "abc|d", "ab|cd", "ab|c|d", "a|bcd", "a|bc|d", "a|b|cd", "a|b|c|d"],
  ]);
});

Deno.test("merge: a segment waits for the one behind it, for the end, or for 200 ms", async () => {
  assertEquals(await readsOf({}, false, "abc", "def"), ["abc", "def"]);
  assertEquals(await readsOf({ merge: 1 }, false, "abc", "def", "g"), ["abcdefg"]);
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    seen.add((await readsOf({ merge: 0.5, segment: [1, Infinity], seed }, false, "ab", "cd")).join("|"));
  }
  // As b is not read at once, c finds it there.
  assertEquals([...seen].toSorted(), ["abcd", "abc|d", "ab|cd", "ab|c|d", "a|bcd", "a|bc|d"]);
  const log = await converse({ merge: 1, latency: 5 }, function* ({ client, server }, { tell }) {
    yield* client.send("alone");
    yield* tell("server", server.recv());
    yield* client.send("to");
    yield* sleep(150);
    yield* client.send("get");
    yield* sleep(49);
    yield* client.send("her");
    yield* sleep(2);
    yield* client.send("late");
    yield* tell("server", server.recv());
    yield* tell("server", server.recv());
  });
  assertEquals(log, ['215 server: "alone"', '420 server: "together"', '621 server: "late"']);
});

Deno.test("buffer: who sends to one who does not read waits, and bytesSent says how far it got", async () => {
  const log = await converse({ buffer: 10 }, function* ({ client, server }, { tell, say }) {
    yield* tell("send", timeout(1000, client.send("0123456789abcdef")));
    say(`sent ${client.bytesSent}`);
    yield* tell("server", server.recv(4));
    yield* tell("server", server.recv());
    yield* tell("server", server.recv());
    say(`sent ${client.bytesSent}`);
  });
  assertEquals(log, [
    "1000 send: TimeoutError",
    "1000 sent 10",
    '1000 server: "0123"',
    '1000 server: "456789"',
    '1000 server: "abcdef"',
    "1000 sent 16",
  ]);
});

// ---- Resets, losses, partitions --------------------------------------------------------------------------------------

Deno.test("reset() fails both ends: what has arrived comes first, and what is on its way does not come", async () => {
  const log = await converse({ latency: 10 }, function* ({ client, server }, { network, tell }) {
    yield* client.send("arrived");
    yield* sleep(10);
    yield* client.send("on its way");
    const waiting = yield* spawn(tell("client", client.recv()));
    yield;
    network.reset();
    yield* waiting;
    yield* tell("server", server.recv());
    yield* tell("server", server.recv());
    yield* tell("server sends", server.send("x"));
    yield* tell("client sends", client.send("x"));
  });
  assertEquals(log, [
    "30 client: ConnectionReset",
    '30 server: "arrived"',
    "30 server: ConnectionReset",
    "30 server sends: ConnectionReset",
    "30 client sends: ConnectionReset",
  ]);
});

Deno.test("a failure is told once, as Linux does: then a read gives the end of the stream, and a write a broken pipe", async () => {
  const log = await perform({}, function* ({ network, log }) {
    const acceptor = network.listen({ hostname: "server", port: 80 });
    const buffer = new Uint8Array(10);
    network.connect({ hostname: "server", port: 80 }, (_, connection) => {
      const done = (error: unknown, n: number | null | undefined) =>
        void log.push(
          error === null ? String(n) : `${(error as Error).name} ${(error as { code?: string }).code}`,
        );
      network.reset("server", "elsewhere");
      connection!.write(new Uint8Array(3), done);
      network.reset("server", "127.0.0.1");
      connection!.read(buffer, done);
      connection!.read(buffer, done);
      connection!.write(buffer, done);
      connection!.close();
      connection!.read(buffer, done);
    });
    acceptor.close();
    yield;
  });
  assertEquals(log, ["3", "ConnectionReset ECONNRESET", "null", "BrokenPipe EPIPE", "BadResource undefined"]);
});

Deno.test("who closes with bytes unread resets the other end; so does what arrives at an end that is closed", async () => {
  const log = await converse({ latency: 10 }, function* ({ client, server }, { tell }) {
    yield* client.send("unread");
    yield* server.send("last words");
    yield* sleep(10);
    server.close();
    yield* tell("client", client.recv());
    yield* tell("client", client.recv());
  });
  assertEquals(log, ['30 client: "last words"', "40 client: ConnectionReset"]);
  const later = await converse({ latency: 10 }, function* ({ client, server }, { tell }) {
    server.close();
    yield* tell("client", client.recv());
    yield* tell("send", client.send("is anybody there?"));
    yield* sleep(20);
    yield* tell("send", client.send("hello?"));
    yield* tell("client", client.recv());
  });
  assertEquals(later, ["30 client: null", "30 send: done", "50 send: BrokenPipe", "50 client: null"]);
});

Deno.test("a partition holds back what is sent and who connects; what heals it lets both go on", async () => {
  const log = await converse({ latency: 10 }, function* ({ client, server }, { network, tell, say }) {
    yield* client.send("on its way ");
    network.partition("client", "server");
    yield* client.send("held back");
    const waits = [
      yield* spawn(tell("server", server.recv())),
      yield* spawn(network.at("client", function* () {
        using _ = yield* connect({ hostname: "server", port: 80 });
        say("connected");
      })),
      yield* spawn(network.at("bystander", function* () {
        using _ = yield* connect({ hostname: "server", port: 80 });
        say("another host is not concerned");
      })),
    ];
    yield* sleep(5000);
    say("healed");
    network.heal("server", "client");
    for (const wait of waits) yield* wait;
  });
  assertEquals(log, [
    "40 another host is not concerned",
    "5020 healed",
    '5020 server: "on its way "',
    "5030 connected",
  ]);
});

Deno.test("who is cut off gets TimedOut, when sending after 924.6 s, when connecting after 127 s; who only receives waits", async () => {
  const log = await converse({}, function* ({ client, server }, { network, tell }) {
    network.partition("client");
    const tasks = [
      yield* spawn(tell("connect from outside", connect({ hostname: "client", port: 1 }))),
      yield* spawn(network.at("client", function* () {
        yield* tell("connect from inside", connect({ hostname: "server", port: 80 }));
        yield* tell("loopback", connect({ port: 1 }));
      })),
      yield* spawn(tell("client", client.recv())),
      yield* spawn(tell("server", timeout(1_000_000, server.recv()))),
    ];
    yield* client.send("into the void");
    for (const task of tasks) yield* task;
    network.heal();
    yield* tell("server sends", server.send("still there?"));
    yield* tell("server sends", server.send("?"));
  });
  assertEquals(log, [
    "127000 connect from outside: TimedOut",
    "127000 connect from inside: TimedOut",
    "127000 loopback: ConnectionRefused",
    "924600 client: TimedOut",
    "1000000 server: TimeoutError",
    "1000000 server sends: done",
    "1000000 server sends: done",
  ]);
});

Deno.test("a lost connection is lost for good and nobody is told; others go on", async () => {
  const log = await converse({}, function* ({ client, server, listener }, { network, tell }) {
    network.lose("client", "server");
    using second = yield* network.at("client", connect({ hostname: "server", port: 80 }));
    const [accepted] = yield* listener.accept();
    yield* second.send("a new one works");
    yield* tell("new", accepted.recv());
    accepted.close();
    yield* client.send("old");
    network.heal();
    yield* tell("old", timeout(10, server.recv()));
    yield* tell("old", client.recv());
  });
  assertEquals(log, ['0 new: "a new one works"', "10 old: TimeoutError", "924600 old: TimedOut"]);
});

Deno.test("resets, losses and refusals come by chance, as often as they are said to", async () => {
  const counts = { refuse: 0, reset: 0, lose: 0, none: 0 };
  for (const name of ["refuse", "reset", "lose"] as const) {
    await perform({ [name]: 0.3, seed: 5 }, function* () {
      using listener = listen({ port: 80 });
      for (let i = 0; i < 300; i++) {
        try {
          using client = yield* timeout(1000, connect({ port: 80 }));
          const [server] = yield* listener.accept();
          using _ = server;
          yield* client.send("x");
          yield* timeout(1000, server.recv());
          counts.none++;
        } catch (error) {
          const expected =
            { refuse: "ConnectionRefused", reset: "ConnectionReset", lose: "TimeoutError" }[name];
          assertEquals(words(error), expected);
          counts[name]++;
        }
      }
    });
  }
  // Of 300 each: 30 %; a loss may be of the attempt to connect or of what is sent, 51 %.
  assertEquals(counts, { refuse: 82, reset: 82, lose: 143, none: 593 });
});

Deno.test("datagrams arrive on their own: late ones are overtaken, lost ones are lost, and nobody is told", async () => {
  const log = await perform({ latency: [0, 20], seed: 2, buffer: 8 }, function* ({ network, say }) {
    using far = yield* network.at("far", function* () {
      yield;
      return listenDatagram({ port: 7 });
    });
    using near = listenDatagram({ port: 0 });
    const hear = function* (count: number): Coroutine<void> {
      const heard = [];
      for (let i = 0; i < count; i++) {
        const [data, { hostname, port }] = yield* far.receive();
        heard.push(`${new TextDecoder().decode(data)} from ${hostname}:${port}`);
      }
      say(heard.join(", "));
    };
    const sends = function* (...texts: string[]): Coroutine<void> {
      for (const text of texts) yield* near.send(text, { hostname: "far", port: 7 });
    };
    yield* sends("a", "b", "c");
    yield* hear(3);
    network.partition("far");
    yield* sends("lost");
    yield* sleep(20);
    network.heal();
    network.change({ latency: 5 });
    yield* sends("1234", "5678", "no room");
    yield* sleep(100);
    yield* hear(2);
    network.change({ lose: 1 });
    yield* sends("lost as well");
    network.change({ lose: 0 });
    yield* near.send("to nobody", { hostname: "far", port: 8 });
    yield* sends("end");
    yield* hear(1);
    try {
      yield* near.send(new Uint8Array(65_508), { hostname: "far", port: 7 });
    } catch (error) {
      say((error as { code?: string }).code!);
    }
    assertThrows(() => listenDatagram({ port: near.addr.port }), Deno.errors.AddrInUse);
  });
  assertEquals(log, [
    "20 a from 127.0.0.1:49152, c from 127.0.0.1:49152, b from 127.0.0.1:49152",
    "140 1234 from 127.0.0.1:49152, 5678 from 127.0.0.1:49152",
    "145 end from 127.0.0.1:49152",
    "145 EMSGSIZE",
  ]);
});

// ---- A full house ----------------------------------------------------------------------------------------------------

Deno.test("maxOpen: a host that is out of descriptors gets EMFILE, from listen, connect and accept; who is closed makes room", async () => {
  const log = await perform({ maxOpen: 2 }, function* ({ network, say, tell }) {
    const code = (error: unknown) => `${words(error)} ${(error as { code?: string }).code}`;
    using listener = listen({ hostname: "server", port: 80 });
    const clients = [];
    for (const name of ["a", "b", "c"]) {
      clients.push(yield* network.at(name, connect({ hostname: "server", port: 80 })));
    }
    const [first] = yield* listener.accept();
    for (let i = 0; i < 2; i++) {
      try {
        yield* listener.accept();
      } catch (error) {
        say(`accept: ${code(error)}`);
      }
    }
    assertThrows(() => listen({ hostname: "server", port: 81 }), Error, "Too many open files");
    first.close();
    const [second, address] = yield* listener.accept();
    say(`accepted ${address.hostname}`);
    second.close();
    clients.push(yield* network.at("a", connect({ hostname: "server", port: 80 })));
    try {
      yield* network.at("a", connect({ hostname: "server", port: 80 }));
    } catch (error) {
      say(`connect: ${code(error)}`);
    }
    yield* tell("another host", network.at("d", connect({ hostname: "server", port: 81 })));
    for (const client of clients) client.close();
  });
  assertEquals(log, [
    "0 accept: Error EMFILE",
    "0 accept: Error EMFILE",
    "0 accepted b",
    "0 connect: Error EMFILE",
    "0 another host: ConnectionRefused",
  ]);
});

Deno.test("serve() on a host that is out of descriptors serves those it has, and the next one soon after one has gone", async () => {
  const log = await perform({ maxOpen: 3 }, function* ({ network, say }) {
    const server = yield* spawn(
      serve(listen({ hostname: "server", port: 80 }), function* (socket) {
        for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
      }),
    );
    const client = function* (name: string, ms: number): Coroutine<void> {
      using socket = yield* network.at(name, connect({ hostname: "server", port: 80 }));
      yield* socket.send("x");
      yield* socket.recv();
      say(`${name} is served`);
      yield* sleep(ms);
      yield* socket.send("x");
      yield* socket.recv();
      say(`${name} goes`);
    };
    const clients = [];
    for (const [i, name] of ["a", "b", "c", "d"].entries()) {
      clients.push(yield* spawn(client(name, 1000 + i)));
    }
    for (const task of clients) yield* task;
    yield* kill(server);
  });
  assertEquals(log, [
    ...["0 a is served", "0 b is served", "1000 a goes", "1000 c is served"],
    ...["1001 b goes", "1001 d is served", "2002 c goes", "2004 d goes"],
  ]);
});

Deno.test("backlog: who comes when it is full waits until one is accepted, or is refused when nobody listens any more", async () => {
  const log = await perform({ backlog: 1 }, function* ({ tell, say }) {
    const listener = listen({ port: 80 });
    const coming = function* (name: string): Coroutine<void> {
      using _ = yield* connect({ port: 80 });
      say(`${name} connected`);
      yield* sleep(100);
    };
    const tasks = [];
    for (const name of ["a", "b", "c"]) {
      tasks.push(yield* spawn(tell(name, coming(name))));
      yield;
    }
    tasks.push(yield* spawn(tell("d", timeout(30, coming("d")))));
    yield* sleep(50);
    const [socket] = yield* listener.accept();
    socket.close();
    yield;
    say("listener closed");
    listener.close();
    for (const task of tasks) yield* task;
  });
  assertEquals(log, [
    "0 a connected",
    "30 d: TimeoutError",
    "50 b connected",
    "50 listener closed",
    "50 c: ConnectionRefused",
    "100 a: done",
    "150 b: done",
  ]);
});

Deno.test("a connection that dies before it is accepted is skipped; those that nobody accepts are reset with their listener", async () => {
  const log = await perform({}, function* ({ network, tell }) {
    const listener = listen({ hostname: "server", port: 80 });
    using dead = yield* network.at("a", connect({ hostname: "server", port: 80 }));
    network.reset("a");
    using _alive = yield* network.at("b", connect({ hostname: "server", port: 80 }));
    const [socket, address] = yield* listener.accept();
    socket.close();
    assertEquals(address.hostname, "b");
    using waiting = yield* network.at("c", connect({ hostname: "server", port: 80 }));
    listener.close();
    yield* tell("dead", dead.recv());
    yield* tell("never accepted", waiting.recv());
  });
  assertEquals(log, ["0 dead: ConnectionReset", "0 never accepted: ConnectionReset"]);
});

Deno.test("a connect that is cancelled leaves nothing, wherever it was", async () => {
  const log = await perform({ latency: 10 }, function* ({ network, tell, scheduler }) {
    using listener = listen({ port: 80 });
    for (const ms of [0, 5, 10, 15]) {
      yield* tell(`after ${ms} ms`, timeout(ms, connect({ port: 80 })));
      assertEquals(network.open, 1);
      yield* sleep(20 - ms);
    }
    using _client = yield* connect({ port: 80 });
    network.change({ backlog: 1 });
    const attempt = yield* spawn(connect({ port: 80 }));
    yield* sleep(1000);
    yield* kill(attempt);
    assertEquals([network.open, scheduler.ps().length], [2, 1]);
    const [socket] = yield* listener.accept(); // those that were given up are skipped
    socket.close();
    yield* tell("accept", timeout(1000, listener.accept()));
  });
  assertEquals(log, [
    ...["0 after 0 ms: TimeoutError", "25 after 5 ms: TimeoutError", "50 after 10 ms: TimeoutError"],
    ...["75 after 15 ms: TimeoutError", "2100 accept: TimeoutError"],
  ]);
});

// ---- Chance ----------------------------------------------------------------------------------------------------------

const STORM = {
  latency: [1, 50],
  segment: [1, Infinity],
  merge: 0.2,
  reset: 0.02,
  lose: 0.01,
  refuse: 0.1,
} as const;

/** Clients that say something, over and over, to a server that says it back; all that either sees. */
function storm(options: SimulatedNetworkOptions): Promise<string[]> {
  return perform({ ...STORM, ...options }, function* ({ say, scheduler }) {
    using listener = listen({ port: 80 });
    const server = yield* spawn(function* () {
      for (;;) {
        const [socket] = yield* listener.accept();
        yield* spawn(function* () {
          using _ = socket;
          try {
            for (;;) {
              const { name, value } = yield* select({ data: socket.recv(), late: sleep(500) });
              if (name === "late" || value === null) return;
              say(`server got ${value.length}`);
              yield* socket.send(value);
            }
          } catch (error) {
            say(`server: ${words(error)}`);
          }
        });
      }
    });
    for (let i = 0; i < 10; i++) {
      try {
        using socket = yield* timeout(200, connect({ port: 80 }));
        yield* socket.send(`I am number ${i}`);
        for (let n = 0; n < 13;) n += (yield* timeout(200, socket.recv()))?.length ?? 13;
        say(`${i}: all back`);
      } catch (error) {
        say(`${i}: ${words(error)}`);
      }
    }
    yield* sleep(1000);
    yield* kill(server);
    assertEquals(scheduler.ps().length, 1);
  });
}

Deno.test("the same seed gives the same run, another one another", async () => {
  const first = await storm({ seed: 1 });
  assertEquals(await storm({ seed: 1 }), first);
  assertNotEquals(await storm({ seed: 2 }), first);
  assert(
    first.some((line) => line.includes("all back")) &&
      first.some((line) => /Reset|Timeout|Refused/.test(line)),
  );
});

Deno.test("choices: zeros are the calm run, and what a tape has recorded it plays again", async () => {
  const calm = await storm({ choices: { choose: () => 0 } });
  const { reset: _reset, lose: _lose, refuse: _refuse, ...rest } = STORM;
  assertEquals(
    calm,
    await storm({ ...rest, reset: 0, lose: 0, refuse: 0, merge: 0, latency: 1, segment: Infinity }),
  );
  let state = 12345;
  const tape: number[] = [];
  const labels = new Set<string>();
  const recorded = await storm({
    choices: {
      choose(n, label) {
        labels.add(label!);
        state = (state * 1103515245 + 12345) % 2 ** 31;
        tape.push(state % 10 === 0 ? state % n : 0);
        return tape.at(-1)!;
      },
    },
  });
  assertNotEquals(recorded, calm);
  assertEquals(await storm({ choices: { choose: () => tape.shift()! } }), recorded);
  assertEquals([...labels].toSorted(), ["latency", "lose", "merge", "refuse", "reset", "segment"]);
});

Deno.test("conditions can change on the way", async () => {
  const log = await converse({}, function* ({ client, server }, { network, tell }) {
    for (const conditions of [{ latency: 100 }, { segment: 2 }, { latency: 0 }]) {
      network.change(conditions);
      yield* client.send("abcd");
      yield* tell("server", server.recv());
    }
    for (let i = 0; i < 2; i++) yield* tell("server", server.recv());
    network.change({ segment: Infinity });
    yield* client.send("efgh");
    yield* tell("server", server.recv());
  });
  assertEquals(log, [
    '100 server: "abcd"',
    '200 server: "ab"',
    '200 server: "cd"',
    '200 server: "ab"',
    '200 server: "cd"',
    '200 server: "efgh"',
  ]);
});

Deno.test("whatever happens, each operation is answered once, and what is read is what was written, up to there", () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const network = new SimulatedNetwork({ ...STORM, seed, buffer: 50, maxOpen: 9, backlog: 3 });
    const scheduler = new Scheduler({ network, clock: new VirtualClock() });
    let state = seed + 1;
    const pick = (n: number) => (state = (state * 48271) % 2147483647) % n;
    let pending = 0;
    /** A callback that may be called once. */
    const once = <T>(name: string, then: (value: T) => void): Done<T> => {
      let called = false;
      pending++;
      return (error: unknown, value?: T) => {
        assert(!called, `${name} of seed ${seed} was answered twice`);
        called = true;
        pending--;
        seen.add(`${name}: ${error === null ? "done" : (error as Error).name}`);
        if (error === null) then(value as T);
      };
    };

    /** One end: what it has read and written, and what is under way. */
    class End {
      readonly connection: Connection;
      readonly written: number[] = [];
      readonly read: number[] = [];
      reading = false;
      writing = false;
      ended = false;

      constructor(connection: Connection) {
        this.connection = connection;
        ends.push(this);
      }

      step(): void {
        const { connection } = this;
        const choice = pick(40);
        if (choice < 15 && !this.reading && !this.ended) {
          this.reading = true;
          const buffer = new Uint8Array(1 + pick(20));
          const done = once<number | null>("read", (n) => {
            if (n === null) this.ended = true;
            else this.read.push(...buffer.subarray(0, n));
          });
          connection.read(buffer, (error: unknown, n?: number | null) => {
            this.reading = false;
            if (error === null) done(null, n!);
            else done(error, undefined);
          });
        } else if (choice < 35 && !this.writing) {
          this.writing = true;
          const data = new Uint8Array(1 + pick(30)).map(() => pick(256));
          const done = once<number>("write", (n) => this.written.push(...data.subarray(0, n)));
          connection.write(data, (error: unknown, n?: number) => {
            this.writing = false;
            if (error === null) done(null, n!);
            else done(error, undefined);
          });
        } else if (choice === 35 && !this.writing) connection.closeWrite(once("closeWrite", () => {}));
        else if (choice === 36 && pick(3) === 0) this.close();
      }

      close(): void {
        this.connection.close();
        ends.splice(ends.indexOf(this), 1);
        gone.push(this);
      }
    }

    const ends: End[] = [];
    const gone: End[] = [];
    scheduler.runSync(function* () {
      const acceptor = network.listen({ hostname: "server", port: 1 });
      let accepting = false;
      const accept = () => {
        if (accepting) return;
        accepting = true;
        const done = once<Connection>("accept", (connection) => void new End(connection));
        acceptor.accept((error: unknown, connection?: Connection) => {
          accepting = false;
          if (error === null) done(null, connection!);
          else done(error, undefined);
        });
      };
      for (let i = 0; i < 300; i++) {
        const choice = pick(30);
        if (choice === 0) {
          network.connect(
            { hostname: "server", port: 1 },
            once("connect", (c) => void new End(c)),
          );
        } else if (choice === 1) {
          network.connect(
            { hostname: "server", port: 1 },
            once("cancelled", (c) => c.close()),
          ).cancel();
        } else if (choice === 2) accept();
        else if (choice === 3) network.partition("server");
        else if (choice === 4) network.heal();
        else if (choice === 5 && pick(5) === 0) network.reset();
        else if (choice === 6 && pick(20) === 0) network.lose();
        else if (choice < 10) yield* sleep(pick(100));
        else ends[pick(ends.length + 1)]?.step();
      }
      network.heal();
      yield* sleep(2_000_000); // whoever is going to be told has been told
      acceptor.close();
      for (const end of [...ends]) end.close();
      yield* sleep(1000);
    });
    assertEquals([pending, network.open], [0, 0], `seed ${seed}`);
    const byPort = Map.groupBy(
      gone,
      ({ connection: { localAddr, remoteAddr } }) =>
        [localAddr, remoteAddr].map((addr) => (addr as Deno.NetAddr).port).sort().join(),
    );
    for (const [one, other] of byPort.values()) {
      if (other === undefined) continue; // it was never accepted
      assertEquals(one!.read, other.written.slice(0, one!.read.length), `seed ${seed}`);
      assertEquals(other.read, one!.written.slice(0, other.read.length), `seed ${seed}`);
    }
  }
  assertEquals([...seen].toSorted(), [
    ...["accept: BadResource", "accept: Error", "accept: NotConnected", "accept: done"],
    ...["cancelled: Error", "cancelled: Interrupted"],
    "closeWrite: done",
    ...["connect: ConnectionRefused", "connect: Error", "connect: TimedOut", "connect: done"],
    ...["read: ConnectionReset", "read: Interrupted", "read: TimedOut", "read: done"],
    ...[
      "write: BrokenPipe",
      "write: ConnectionReset",
      "write: Interrupted",
      "write: TimedOut",
      "write: done",
    ],
  ]);
});

// ---- Bad input and other surroundings --------------------------------------------------------------------------------

Deno.test("bad input is refused where it is given", async () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  for (
    const options of [
      ...[-1, NaN, Infinity, [5, 1], [-1, 5]].map((latency) => ({ latency })),
      ...[0, -5, NaN].map((bandwidth) => ({ bandwidth })),
      ...[0, 1.5, [0, 5], [5, 2]].map((segment) => ({ segment })),
      ...[-0.1, 1.1, NaN].flatMap((p) => [{ merge: p }, { reset: p }, { lose: p }, { refuse: p }]),
      ...[0, -1, 1.5].flatMap((n) => [{ buffer: n }, { backlog: n }, { maxOpen: n }]),
      { seed: 1.5 },
    ]
  ) {
    assertThrows(() => new SimulatedNetwork(any(options)), RangeError, "Cannot");
  }
  assertThrows(() => new SimulatedNetwork({ latency: [5, 1] }), RangeError, "or two, not [5, 1]");
  for (
    const options of [
      { latency: "5" },
      { latency: [1, 2, 3] },
      { reset: [0, 1] },
      { segment: ["a", 5] },
      { delay: 5 },
      { seed: "x" },
      { choices: {} },
      { seed: 1, choices: { choose: () => 0 } },
    ]
  ) {
    assertThrows(() => new SimulatedNetwork(any(options)), TypeError, "Cannot");
  }
  const network = new SimulatedNetwork();
  assertThrows(() => network.change(any({ latency: null })), TypeError);
  assertThrows(() => network.slow("a", 0), RangeError);
  assertThrows(() => network.at(any(5), function* () {}), TypeError);
  assertThrows(() => network.partition("127.0.0.1", "localhost"), TypeError, "from itself");
  const chosen = new SimulatedNetwork({ latency: [0, 5], choices: { choose: () => 6 } });
  const connecting = new Scheduler({ network: chosen }).run(connect({ port: 1 }));
  await assertRejects(
    () => connecting,
    RangeError,
    "Cannot choose 6 for latency: there are 6 to choose from",
  );
});

Deno.test("a network serves one scheduler at a time", async () => {
  const network = new SimulatedNetwork();
  const [first, second] = [0, 1].map(() => new Scheduler({ network }));
  const listener = await first!.run(function* () {
    return listen({ port: 80 });
  });
  await assertRejects(() => second!.run(connect({ port: 80 })), InvalidStateError, "another scheduler");
  listener.close();
  await assertRejects(() => second!.run(connect({ port: 80 })), Deno.errors.ConnectionRefused);
});

Deno.test("where there is no Deno its errors are plain ones of the same names", () => {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, "Deno")!;
  const heard: Error[] = [];
  Object.defineProperty(globalThis, "Deno", { ...descriptor, value: undefined });
  try {
    new Scheduler({ network: new SimulatedNetwork(), clock: new VirtualClock() }).runSync(function* () {
      try {
        yield* connect({ port: 1 });
      } catch (error) {
        heard.push(error as Error);
      }
    });
  } finally {
    Object.defineProperty(globalThis, "Deno", descriptor);
  }
  assertEquals(heard.map((error) => [error.constructor, error.name, error.message]), [
    [Error, "ConnectionRefused", "Connection refused (os error 111)"],
  ]);
});
