/**
 * The handlers of the examples, unchanged, under schedules and a network that nobody would think of.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Chat } from "../examples/chat.ts";
import { Redis } from "../examples/redis.ts";
import {
  all,
  connect,
  type Coroutine,
  JoinError,
  kill,
  listen,
  serve,
  settle,
  type Socket,
  type Task,
} from "../mod.ts";
import { explore, type World } from "../testing.ts";

/** Runs a program beside a server; nothing may be left open. */
function* beside(
  world: World,
  handler: (socket: Socket) => Coroutine<void>,
  program: () => Coroutine<void>,
): Coroutine<void> {
  const serving = world.spawn(serve(listen({ port: 1 }), handler, { onError() {} }), { name: "server" });
  yield* program();
  yield* kill(serving);
  assertEquals(world.net.open, 0);
}

Deno.test("examples/chat.ts: every line is whole and in order for whoever hears it, whoever is killed", () => {
  const heard = new Set<string>();
  const report = explore((world) => {
    world.net.change({ segment: [1, Infinity] });
    const chat = new Chat();
    function* member(name: string): Coroutine<void> {
      using socket = yield* connect({ port: 1 });
      yield* socket.send(`${name}\nfirst\nsecond\n/quit\n`);
      const others: string[] = [];
      for (let line; (line = yield* socket.recvLine()) !== null;) {
        assertMatch(line, /^(\* .*|(ann|bob): (first|second))$/);
        if (!line.startsWith("*")) others.push(line);
        heard.add(line);
      }
      for (const name of ["ann", "bob"]) {
        const lines = others.filter((line) => line.startsWith(name)).join();
        assert(
          [`${name}: first,${name}: second`, `${name}: second`, `${name}: first`, ""].includes(lines),
          lines,
        );
      }
    }
    return beside(world, (socket) => chat.client(socket), function* () {
      const members: Task[] = ["ann", "bob"].map((name) => world.spawn(member(name), { name }));
      const killer = world.spawn(function* killer() {
        if (world.maybe()) yield* kill(world.choose(members));
      });
      for (const outcome of yield* settle([...members, killer])) {
        if (outcome.kind === "failed" && !(outcome.error instanceof JoinError)) throw outcome.error;
      }
    });
  }, { runs: 2000 });
  assertEquals(report.runs, 2000);
  assert(heard.has("ann: second") && heard.has("* bob has left lobby"));
});

Deno.test("examples/redis.ts: what two clients count is what they have counted", () => {
  const report = explore((world) => {
    world.net.change({ segment: [1, Infinity] });
    const redis = new Redis();
    const answers: string[] = [];
    function* client(): Coroutine<void> {
      using socket = yield* connect({ port: 1 });
      for (let i = 0; i < 2; i++) {
        yield* socket.send("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
        answers.push((yield* socket.recvLine())!);
      }
    }
    return beside(world, (socket) => redis.client(socket), function* () {
      yield* all([client(), client()]);
      assertEquals(answers.toSorted(), [":1", ":2", ":3", ":4"]);
    });
  }, { runs: 2000 });
  assertEquals(report.runs, 2000);
});
