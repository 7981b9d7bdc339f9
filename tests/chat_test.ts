import { assert, assertEquals } from "@std/assert";
import { Chat } from "../examples/chat.ts";
import {
  all,
  connect,
  type Coroutine,
  kill,
  listen,
  serve,
  sleep,
  type Socket,
  spawn,
  type Work,
} from "../mod.ts";
import type { SimulatedNetworkOptions } from "../testing.ts";
import { ExampleServer, ignore, Program } from "./_program.ts";
import { perform as performOn, type Scene } from "./_scene.ts";
import { words } from "./_transcript.ts";

/** Runs a program beside the chat; what it says, with the time. */
function perform(
  options: SimulatedNetworkOptions,
  program: (scene: Scene) => Coroutine<void>,
): Promise<string[]> {
  return performOn(options, function* (scene) {
    const chat = new Chat();
    const listener = listen({ hostname: "chat", port: 1 });
    const onError = (error: unknown, _socket: Socket, { hostname }: Deno.NetAddr) =>
      scene.say(`  (${hostname}: ${words(error)})`);
    const server = yield* spawn(serve(listener, (socket) => chat.client(socket), { onError }));
    yield* program(scene);
    yield* kill(server);
  });
}

/** One who takes part, from a host of the same name. */
function member<T>({ network }: Scene, name: string, program: (socket: Socket) => Work<T>): Coroutine<T> {
  return network.at(name, function* () {
    using socket = yield* connect({ hostname: "chat", port: 1 });
    yield* socket.send(`${name}\n`);
    const value = program(socket);
    return yield* value as Coroutine<T>;
  });
}

/** Says what it reads, until the end. */
function* listenTo(socket: Socket, name: string, say: (text: string) => void): Coroutine<void> {
  try {
    for (let line; (line = yield* socket.recvLine()) !== null;) say(`${name} reads: ${line}`);
    say(`${name} is at the end`);
  } catch (error) {
    say(`${name}: ${words(error)}`);
  }
}

function* talk(scene: Scene): Coroutine<void> {
  const tasks = [];
  for (
    const [name, ...lines] of [
      ["ann", "hello?", "hello bob", "/who", "/nonsense", "/quit"],
      ["bob", "", "hello ann \u20ac\u{1f642}\x1b[2J", "/join kitchen", "is anybody here?", "/join lobby"],
    ] as const
  ) {
    tasks.push(
      yield* spawn(member(scene, name, function* (socket) {
        const hearing = yield* spawn(listenTo(socket, name, scene.say));
        for (const line of lines) {
          yield* sleep(1000);
          yield* socket.send(`${line}\r\n`);
        }
        yield* sleep(1000);
        if (name === "bob") yield* socket.closeWrite();
        yield* hearing;
      })),
    );
    yield* sleep(500);
  }
  for (const task of tasks) yield* task;
}

Deno.test("examples/chat.ts: what is said in a room is read there and not elsewhere, without what plays tricks on a terminal", async () => {
  const heard = [
    "0 ann reads: * what is your name?",
    "0 ann reads: * ann has come to lobby",
    "0 ann reads: * /join ROOM, /who, /quit; anything else is said in the room",
    "500 bob reads: * what is your name?",
    "500 ann reads: * bob has come to lobby",
    "500 bob reads: * bob has come to lobby",
    "500 bob reads: * /join ROOM, /who, /quit; anything else is said in the room",
    "1000 ann reads: ann: hello?",
    "1000 bob reads: ann: hello?",
    "2000 ann reads: ann: hello bob",
    "2000 bob reads: ann: hello bob",
    "2500 ann reads: bob: hello ann \u20ac\u{1f642}[2J",
    "2500 bob reads: bob: hello ann \u20ac\u{1f642}[2J",
    "3000 ann reads: * here: ann, bob",
    "3500 ann reads: * bob has left lobby",
    "3500 bob reads: * bob has come to kitchen",
    "4000 ann reads: * /join ROOM, /who, /quit; anything else is said in the room",
    "4500 bob reads: bob: is anybody here?",
    "5000 ann is at the end",
    "5500 bob reads: * bob has come to lobby",
    "6500 bob is at the end",
  ];
  assertEquals(await perform({}, talk), heard);
  // However the bytes are split and merged: the same for each of them, somewhat later.
  for (let seed = 0; seed < 20; seed++) {
    const log = await perform({ seed, segment: [1, 5], latency: [0, 20], merge: 0.1 }, talk);
    for (const name of ["ann", "bob"]) {
      const of = (lines: string[]) =>
        lines.map((line) => line.replace(/^\d+ /, "")).filter((line) => line.startsWith(name));
      assertEquals(of(log), of(heard));
    }
  }
});

Deno.test("examples/chat.ts: a name is asked for until it will do; a line without an end is not waited for", async () => {
  const log = await perform({}, function* (scene) {
    const { say, network } = scene;
    const ann = yield* spawn(member(scene, "ann", () => sleep(100)));
    yield;
    yield* network.at("eve", function* () {
      using socket = yield* connect({ hostname: "chat", port: 1 });
      const hearing = yield* spawn(listenTo(socket, "eve", say));
      for (const name of ["", "two words", "x".repeat(21), "ann", "eve"]) yield* socket.send(`${name}\n`);
      yield* sleep(10);
      yield* socket.send("x".repeat(1001));
      yield* hearing;
    });
    yield* ann;
    yield* network.at("mute", function* () {
      using socket = yield* connect({ hostname: "chat", port: 1 });
      yield* listenTo(socket, "mute", say);
    });
  });
  assertEquals(log, [
    "0 eve reads: * what is your name?",
    "0 eve reads: * a name has up to 20 letters and digits",
    "0 eve reads: * what is your name?",
    "0 eve reads: * a name has up to 20 letters and digits",
    "0 eve reads: * what is your name?",
    "0 eve reads: * a name has up to 20 letters and digits",
    "0 eve reads: * what is your name?",
    "0 eve reads: * there is a ann already",
    "0 eve reads: * what is your name?",
    "0 eve reads: * eve has come to lobby",
    "0 eve reads: * /join ROOM, /who, /quit; anything else is said in the room",
    "10   (eve: LimitError)",
    "10 eve is at the end",
    "100   (ann: ConnectionReset)",
    "100 mute reads: * what is your name?",
    "60100   (mute: TimeoutError)",
    "60100 mute is at the end",
  ]);
});

Deno.test("examples/chat.ts: who does not read misses lines and is told how many; the others wait for nothing", async () => {
  let late = 0;
  const log = await perform({ buffer: 2000 }, function* (scene) {
    const { scheduler, say } = scene;
    const lazy = yield* spawn(member(scene, "lazy", function* (socket) {
      yield* sleep(60_000);
      const hearing = yield* spawn(listenTo(socket, "lazy", say));
      yield* sleep(1000);
      yield* socket.send("what have I missed?\n");
      yield* sleep(1000);
      socket.close();
      yield* hearing;
    }));
    yield* sleep(1);
    yield* member(scene, "busy", function* (socket) {
      for (let i = 0; i < 3; i++) yield* socket.recvLine();
      for (let i = 0; i < 1000; i++) {
        yield* socket.send(`line ${i}\n`);
        const sent = scheduler.now();
        while ((yield* socket.recvLine()) !== `busy: line ${i}`);
        late = Math.max(late, scheduler.now() - sent);
        yield* sleep(10);
      }
      say(`the latest line came after ${late} ms`);
    });
    yield* lazy;
  });
  const lines = log.map((line) => line.replace(/^\d+ lazy reads: (busy: )?/, ""));
  const missed = Number(/missed (\d+) lines/.exec(lines.join())![1]);
  const first = lines.findIndex((line) => line === "line 0");
  const last = lines.findLastIndex((line) => line.startsWith("line "));
  assertEquals(lines.slice(first, last + 1), Array.from({ length: last + 1 - first }, (_, i) => `line ${i}`));
  assertEquals(missed, 1000 - (last + 1 - first) + 1); // and that busy has left
  assertEquals(log.filter((line) => !/line \d|lobby|name|join/.test(line)), [
    "10001 the latest line came after 0 ms",
    `61000 lazy reads: * you have missed ${missed} lines`,
    "61000 lazy reads: lazy: what have I missed?",
    "62000 lazy: ClosedError",
  ]);
});

Deno.test("examples/chat.ts: a member whose connection is reset or lost leaves, and the others talk on", async () => {
  const log = await perform({}, function* (scene) {
    const { network, say } = scene;
    const bob = yield* spawn(member(scene, "bob", (socket) => listenTo(socket, "bob", () => {})));
    const cut = yield* spawn(member(scene, "cut", function* (socket) {
      const hearing = yield* spawn(listenTo(socket, "cut", say));
      yield* sleep(1_001_500);
      yield* socket.send("are you there?\n"); // who does not ask waits for ever
      yield* hearing;
    }));
    yield* sleep(1);
    yield* member(scene, "ann", function* (socket) {
      const hearing = yield* spawn(listenTo(socket, "ann", say));
      yield* sleep(1000);
      network.reset("bob");
      yield* sleep(1000);
      network.partition("cut", "chat");
      yield* socket.send("can you hear me?\n"); // from now on the server waits for an acknowledgement
      yield* sleep(1_000_000);
      network.heal();
      yield* socket.send("/who\n");
      yield* sleep(1);
      yield* socket.send("/quit\n");
      yield* hearing;
    });
    for (const task of [bob, cut]) yield* task;
  });
  assertEquals(log.filter((line) => !line.includes("name") && !line.includes("/join")), [
    "0 cut reads: * cut has come to lobby",
    "1 cut reads: * ann has come to lobby",
    "1 ann reads: * ann has come to lobby",
    "1001   (bob: ConnectionReset)",
    "1001 cut reads: * bob has left lobby",
    "1001 ann reads: * bob has left lobby",
    "2001 ann reads: ann: can you hear me?",
    "926601   (cut: TimedOut)",
    "926601 ann reads: * cut has left lobby",
    "1002001 cut: ConnectionReset",
    "1002001 ann reads: * here: ann",
    "1002002 ann is at the end",
  ]);
});

Deno.test("examples/chat.ts: in any storm nobody reads a torn line, and nothing is left", async () => {
  let heard = 0;
  function* talkOn(socket: Socket): Coroutine<void> {
    for (let n = 0; n < 20; n++) {
      yield* sleep(50);
      yield* socket.send(`number ${n}\n`);
    }
    yield* socket.closeWrite();
  }
  function* listenOn(socket: Socket): Coroutine<void> {
    const last = new Map<string, number>();
    for (let line; (line = yield* socket.recvLine()) !== null;) {
      const said = /^(m\d): number (\d+)$/.exec(line);
      assert(said !== null || line.startsWith("* "), line);
      if (said === null) continue;
      // What one says comes in order, from the time that one is there.
      assert(Number(said[2]) > (last.get(said[1]!) ?? -1), line);
      last.set(said[1]!, Number(said[2]));
      heard++;
    }
  }
  for (let seed = 0; seed < 25; seed++) {
    await perform(
      { seed, segment: [1, Infinity], latency: [0, 300], merge: 0.1, reset: 0.005 },
      function* (scene) {
        const tasks = [];
        for (let i = 0; i < 6; i++) {
          const name = `m${i}`;
          tasks.push(
            yield* spawn(member(scene, name, function* (socket) {
              yield* all([talkOn(socket), listenOn(socket)]);
            })),
          );
          yield* sleep(20);
        }
        for (const task of tasks) {
          try {
            yield* task;
          } catch (error) {
            assertEquals(words(error), "ConnectionReset");
          }
        }
      },
    );
  }
  assert(heard > 1000, String(heard));
});

Deno.test({
  name: "examples/chat.ts: two who use nc talk to each other, until a signal ends it for both",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("chat.ts");
    const [ann, bob] = [1, 2].map(() => new Program("nc", "127.0.0.1", String(server.port))) as [
      Program,
      Program,
    ];
    await using _ann = ann;
    await using _bob = bob;
    await ann.hears("ann\n");
    await ann.says("ann has come to lobby");
    await bob.hears("bob\n");
    await ann.says("bob has come to lobby");
    await bob.hears("hello ann\n");
    await ann.says("bob: hello ann");
    await ann.hears("hello bob\n");
    await bob.says("ann: hello bob");
    const { code } = await server.endBy("SIGINT");
    for (const client of [ann, bob]) {
      await client.hearsNoMore();
      assertEquals((await client.end()).signal, null);
    }
    assertEquals(code, 0);
    assert(server.said.endsWith("all closed\n"), server.said);
  },
});
