import { assert, assertEquals } from "@std/assert";
import { proxy } from "../examples/proxy.ts";
import { connect, type Coroutine, kill, listen, serve, sleep, type Socket, spawn } from "../mod.ts";
import type { SimulatedNetworkOptions } from "../testing.ts";
import { ExampleServer, ignore, outputOf } from "./_program.ts";
import { perform as performOn, type Scene } from "./_scene.ts";
import { words } from "./_transcript.ts";

const IDLE = 1000;

/** A client and a server with the proxy between them: what all three say, with the time. */
function perform(
  options: SimulatedNetworkOptions,
  server: (socket: Socket, scene: Scene) => Coroutine<void>,
  client: (socket: Socket, scene: Scene) => Coroutine<void>,
): Promise<string[]> {
  return performOn(options, function* (scene) {
    const { network, say } = scene;
    const tasks = [];
    for (
      const [host, handler] of [
        ["server", (socket: Socket) => server(socket, scene)],
        ["proxy", (socket: Socket) => proxy(socket, { hostname: "server", port: 1 }, IDLE)],
      ] as const
    ) {
      const listener = listen({ hostname: host, port: 1 });
      const onError = (error: unknown) => say(`(${host}: ${words(error)})`);
      tasks.push(yield* spawn(network.at(host, serve(listener, handler, { onError }))));
    }
    yield* network.at("client", function* () {
      using socket = yield* connect({ hostname: "proxy", port: 1 });
      yield* client(socket, scene);
    });
    yield* sleep(10 * IDLE);
    for (const task of tasks) yield* kill(task);
  });
}

/** Receives to the end, and says what. */
function* hear(name: string, socket: Socket, { say }: Scene): Coroutine<void> {
  try {
    const bytes = yield* socket.readAll();
    say(`${name} has heard "${new TextDecoder().decode(bytes)}"`);
  } catch (error) {
    say(`${name}: ${words(error)}`);
  }
}

Deno.test("examples/proxy.ts: each side may end first, and the other goes on", async () => {
  assertEquals(
    await perform({ latency: 10 }, function* (socket, scene) {
      yield* hear("server", socket, scene);
      yield* socket.send("an answer to all of it");
    }, function* (socket, scene) {
      yield* socket.send("a question");
      yield* socket.closeWrite();
      yield* hear("client", socket, scene);
    }),
    ['40 server has heard "a question"', '60 client has heard "an answer to all of it"'],
  );
  assertEquals(
    await perform({ latency: 10 }, function* (socket, scene) {
      yield* socket.send("welcome");
      yield* socket.closeWrite();
      yield* hear("server", socket, scene);
    }, function* (socket, scene) {
      yield* hear("client", socket, scene);
      yield* socket.send("thanks");
    }),
    ['40 client has heard "welcome"', '60 server has heard "thanks"'],
  );
});

Deno.test("examples/proxy.ts: when neither side says anything for a while both are closed, however busy one was", async () => {
  const log = await perform({}, function* (socket, scene) {
    yield* hear("server", socket, scene);
  }, function* (socket, scene) {
    for (let i = 0; i < 5; i++) {
      yield* socket.send(`${i} `);
      yield* sleep(IDLE - 1);
    }
    yield* hear("client", socket, scene);
  });
  // The last was said at 4 * 999.
  assertEquals(log, [
    "4996 (proxy: TimeoutError)",
    '4996 server has heard "0 1 2 3 4 "',
    '4996 client has heard ""',
  ]);
});

Deno.test("examples/proxy.ts: a reset of one side closes the other; a server that is not there closes the client", async () => {
  const reset = await perform({}, function* (socket, scene) {
    yield* hear("server", socket, scene);
  }, function* (socket, scene) {
    yield* socket.send("in the middle of");
    yield* sleep(10);
    scene.network.reset("client");
    yield* hear("client", socket, scene);
  });
  assertEquals(reset, [
    "10 client: ConnectionReset",
    "10 (proxy: ConnectionReset)",
    '10 server has heard "in the middle of"',
  ]);
  const absent = await perform({}, function* () {}, function* (socket, scene) {
    scene.network.partition("proxy", "server");
    using second = yield* connect({ hostname: "proxy", port: 1 });
    yield* hear("second", second, scene);
    yield* socket.closeWrite();
  });
  assertEquals(absent, [
    ...["10000 (proxy: TimeoutError)", "10000 (proxy: TimeoutError)"], // both connections have waited for the server
    '10000 second has heard ""',
  ]);
});

Deno.test("examples/proxy.ts: a slow reader holds up who sends to it, and nothing is lost", async () => {
  const size = 100_000;
  const log = await perform(
    { buffer: 10_000, segment: [1, Infinity], latency: [0, 5], seed: 4 },
    function* (socket) {
      yield* socket.send(new Uint8Array(size).map((_, i) => (i * 7919) >> 5));
    },
    function* (socket, { network, say }) {
      network.slow("client", 100_000);
      const bytes = yield* socket.readAll();
      assert(bytes.every((byte, i) => byte === (((i * 7919) >> 5) & 255)));
      say(`${bytes.length} bytes`);
    },
  );
  assertEquals(log.map((line) => line.replace(/^10\d\d(\.\d+)? /, "")), [`${size} bytes`]);
});

Deno.test({
  name: "examples/proxy.ts: nc talks through it to the echo server",
  ignore,
  async fn() {
    await using echo = await ExampleServer.start("echo.ts");
    await using server = await ExampleServer.start("proxy.ts", ["0", `127.0.0.1:${echo.port}`]);
    const text = Array.from({ length: 20_000 }, (_, i) => `line ${i}`).join("\n");
    assertEquals(await outputOf("nc", ["-N", "127.0.0.1", String(server.port)], text), text);
    const { code } = await server.endBy("SIGTERM");
    assertEquals([code, server.said.split("\n").slice(1)], [0, ["all closed", ""]]);
  },
});
