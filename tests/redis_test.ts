import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { matches } from "../examples/_glob.ts";
import { Redis } from "../examples/redis.ts";
import {
  connect,
  type Coroutine,
  kill,
  listen,
  serve,
  sleep,
  type Socket,
  spawn,
  timeout,
  TimeoutError,
} from "../mod.ts";
import type { SimulatedNetworkOptions } from "../testing.ts";
import { ExampleServer, ignore, outputOf, Program } from "./_program.ts";
import { perform as performOn, type Scene } from "./_scene.ts";
import { words } from "./_transcript.ts";

interface RedisScene extends Scene {
  redis: Redis;
  /** A connection from a host. */
  dial: (host?: string) => Coroutine<Client>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One who talks to it in its protocol. */
class Client implements Disposable {
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** A command of some words: what is answered, in words. */
  *ask(command: string): Coroutine<unknown> {
    yield* this.socket.send(encoded(command));
    return yield* this.answer();
  }

  *answer(): Coroutine<unknown> {
    const line = (yield* this.socket.recvLine())!;
    const rest = line.slice(1);
    if (line.startsWith("+")) return rest;
    if (line.startsWith("-")) return `(${rest})`;
    if (line.startsWith(":")) return Number(rest);
    if (line === "$-1") return null;
    if (line.startsWith("*")) {
      const list: unknown[] = [];
      for (let left = Number(rest); left > 0; left--) list.push(yield* this.answer());
      return list;
    }
    assert(line.startsWith("$"), line);
    const bytes = yield* this.socket.recvExactly(Number(rest) + 2);
    return decoder.decode(bytes.subarray(0, -2));
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

/** A command as clients send it. */
function encoded(command: string): string {
  const args = command.split(" ").map((arg) => `$${encoder.encode(arg).length}\r\n${arg}\r\n`);
  return `*${args.length}\r\n${args.join("")}`;
}

/** Runs a program beside the server; what it says, with the time. */
function perform(
  options: SimulatedNetworkOptions,
  program: (scene: RedisScene) => Coroutine<void>,
): Promise<string[]> {
  return performOn(options, function* (scene) {
    function* dial(host = "client"): Coroutine<Client> {
      return new Client(yield* scene.network.at(host, connect({ hostname: "redis", port: 6379 })));
    }
    const redis = new Redis();
    const onError = (error: unknown) => scene.say(`(${words(error)})`);
    const server = yield* spawn(
      serve(listen({ hostname: "redis", port: 6379 }), (socket) => redis.client(socket), { onError }),
    );
    yield* program({ ...scene, redis, dial });
    yield* kill(server);
  });
}

/** What a list of commands is answered, however the bytes come. */
async function answersTo(...commands: string[]): Promise<unknown[]> {
  let answers: unknown[] = [];
  for (const options of [{}, { segment: 1, latency: 1 }, { segment: [1, 9] as const, merge: 0.3, seed: 1 }]) {
    const before = answers;
    answers = [];
    await perform(options, function* ({ dial }) {
      using client = yield* dial();
      for (const command of commands) answers.push(yield* client.ask(command));
    });
    if (before.length > 0) assertEquals(answers, before);
    // All at once.
    answers = [];
    await perform(options, function* ({ dial }) {
      using client = yield* dial();
      yield* client.socket.send(commands.map(encoded).join(""));
      for (const _ of commands) answers.push(yield* client.answer());
    });
    if (before.length > 0) assertEquals(answers, before);
  }
  return answers;
}

Deno.test("examples/redis.ts: strings, counters and their errors, one by one and in a pipeline, however they are split", async () => {
  assertEquals(
    await answersTo(
      "PING",
      "ping hello",
      "SET k v",
      "get k",
      "GET nothing",
      "EXISTS k nothing k",
      "DEL k nothing",
      "GET k",
    ),
    ["PONG", "hello", "OK", "v", null, 2, 1, null],
  );
  assertEquals(await answersTo("SET k 1 NX", "SET k 2 NX", "SET k 3 XX", "SET j 4 XX", "GET k"), [
    ...["OK", null, "OK", null, "3"],
  ]);
  assertEquals(
    await answersTo(
      "INCR n",
      "INCR n",
      "SET n 9223372036854775807",
      "INCR n",
      "SET n x",
      "INCR n",
      "SET n 01",
      "INCR n",
    ),
    [
      ...[1, 2, "OK", "(ERR increment or decrement would overflow)"],
      ...["OK", "(ERR value is not an integer or out of range)"],
      ...["OK", "(ERR value is not an integer or out of range)"],
    ],
  );
  assertEquals(
    await answersTo(
      "GET",
      "SET k",
      "FOO a b",
      "SET k v EX",
      "SET k v EX 0",
      "SET k v EX ten",
      "SET k v EXPIRES 5",
      "GET k",
    ),
    [
      "(ERR wrong number of arguments for 'get' command)",
      "(ERR wrong number of arguments for 'set' command)",
      "(ERR unknown command 'foo', with args beginning with: 'a' 'b' )",
      "(ERR syntax error)",
      "(ERR invalid expire time in 'set' command)",
      "(ERR value is not an integer or out of range)",
      "(ERR syntax error)",
      null,
    ],
  );
  assertEquals(
    await answersTo("constructor", "SELECT 0", "SELECT 1", "CONFIG GET save", "COMMAND DOCS", "QUIT"),
    [
      "(ERR unknown command 'constructor', with args beginning with: )",
      ...["OK", "(ERR DB index is out of range)", ["save", ""], [], "OK"],
    ],
  );
});

Deno.test("examples/redis.ts: keys expire at their time, by a task each", async () => {
  const log = await perform({}, function* ({ dial, say, scheduler }) {
    using client = yield* dial();
    const asks = function* (...commands: string[]): Coroutine<void> {
      for (const command of commands) say(`${command}: ${JSON.stringify(yield* client.ask(command))}`);
    };
    const waiting = () =>
      say(
        `${
          scheduler.ps().filter((task) => task.waitingFor?.startsWith("sleep")).map((task) => task.waitingFor)
        }`,
      );
    yield* asks(
      "SET a 1 EX 10",
      "SET b 2 PX 1500",
      "SET c 3",
      "EXPIRE c 5",
      "EXPIRE x 5",
      "TTL a",
      "TTL b",
      "TTL x",
    );
    waiting();
    yield* sleep(1499);
    yield* asks("GET b", "TTL a", "KEYS *");
    yield* sleep(1);
    yield* asks("GET b", "TTL b");
    yield* asks("SET c 4", "TTL c", "EXPIRE a 20", "SET d 5 EX 1", "DEL d", "SET d 6");
    waiting();
    yield* sleep(20_000);
    yield* asks("KEYS *", "EXPIRE c -1", "KEYS *");
    waiting();
  });
  assertEquals(log, [
    ...[
      '0 SET a 1 EX 10: "OK"',
      '0 SET b 2 PX 1500: "OK"',
      '0 SET c 3: "OK"',
      "0 EXPIRE c 5: 1",
      "0 EXPIRE x 5: 0",
    ],
    ...["0 TTL a: 10", "0 TTL b: 2", "0 TTL x: -2", "0 sleep until 10000,sleep until 1500,sleep until 5000"],
    ...['1499 GET b: "2"', "1499 TTL a: 9", '1499 KEYS *: ["a","b","c"]'],
    ...["1500 GET b: null", "1500 TTL b: -2"],
    ...['1500 SET c 4: "OK"', "1500 TTL c: -1", "1500 EXPIRE a 20: 1"],
    ...['1500 SET d 5 EX 1: "OK"', "1500 DEL d: 1", '1500 SET d 6: "OK"', "1500 sleep until 21500"],
    ...['21500 KEYS *: ["c","d"]', "21500 EXPIRE c -1: 1", '21500 KEYS *: ["d"]', "21500 "],
  ]);
});

Deno.test("examples/redis.ts: values are bytes", async () => {
  await perform({ segment: [1, 100], seed: 3 }, function* ({ dial }) {
    using client = yield* dial();
    const every = new Uint8Array(256).map((_, i) => i);
    for (const key of [every, every.toReversed()]) {
      yield* client.socket.send("*3\r\n$3\r\nSET\r\n$256\r\n");
      yield* client.socket.send(key);
      yield* client.socket.send("\r\n$256\r\n");
      yield* client.socket.send(key);
      yield* client.socket.send("\r\n*2\r\n$3\r\nGET\r\n$256\r\n");
      yield* client.socket.send(key);
      yield* client.socket.send("\r\n");
      assertEquals(yield* client.answer(), "OK");
      assertEquals(yield* client.socket.recvLine(), "$256");
      assertEquals((yield* client.socket.recvExactly(258)).subarray(0, 256), key);
    }
    assertEquals(yield* client.ask("DEL x"), 0);
  });
});

Deno.test("examples/redis.ts: what is no command is answered by an error and the end; what is announced is not allocated", async () => {
  const hostile = {
    "no number of arguments": "*x\r\n",
    "too many arguments": "*2000000000\r\n",
    "no argument": "*1\r\n!4\r\nPING\r\n",
    "too long an argument": "*1\r\n$2000000000\r\n",
    "too long a command": `*3\r\n${`$100000\r\n${"x".repeat(100_000)}\r\n`.repeat(3)}`,
    "less than no argument": "*1\r\n$-5\r\n",
    "too long a line": "x".repeat(100_000),
    "half a command": "*2\r\n$3\r\nGET\r\n$100\r\nabc",
  };
  const answers: string[] = [];
  for (const [name, bytes] of Object.entries(hostile)) {
    await perform({ buffer: 1 << 21 }, function* ({ dial, log }) {
      using client = yield* dial();
      yield* client.socket.send(`PING\r\n${bytes}`);
      yield* client.socket.closeWrite();
      const heard: string[] = [];
      try {
        for (let line; (line = yield* client.socket.recvLine()) !== null;) heard.push(line);
      } catch (error) {
        assertEquals(words(error), "ConnectionReset"); // what was unread is the reason
      }
      answers.push(`${name}: ${heard.join(" ")}`);
      assertEquals(log, []);
    });
  }
  const refusal = "+PONG -ERR Protocol error:";
  assertEquals(answers, [
    `no number of arguments: ${refusal} invalid multibulk length`,
    `too many arguments: ${refusal} invalid multibulk length`,
    `no argument: ${refusal} expected '$', got '!'`,
    `too long an argument: ${refusal} invalid bulk length`,
    `too long a command: ${refusal} invalid bulk length`,
    `less than no argument: ${refusal} invalid bulk length`,
    `too long a line: ${refusal} too big request`,
    "half a command: +PONG",
  ]);
});

Deno.test("examples/redis.ts: who does not read its answers is not asked for more commands, and others are served", async () => {
  await perform({ buffer: 10_000 }, function* ({ dial, redis }) {
    using greedy = yield* dial();
    using modest = yield* dial();
    yield* modest.ask(`SET big ${"x".repeat(5000)}`);
    const flooding = yield* spawn(greedy.socket.send(encoded("GET big").repeat(100_000)));
    yield* sleep(1);
    assertEquals(yield* modest.ask("PING"), "PONG");
    // What lies in the buffers of the network and of the replies, and no more.
    assert(redis.processed < 30, String(redis.processed));
    assertStringIncludes(flooding.waitingFor!, "send redis:6379");
    yield* kill(flooding);
  }).then((log) => assertEquals(log, ["1 (ConnectionReset)"]));
});

Deno.test("examples/redis.ts: memory is limited, and what expires or is deleted is given back", async () => {
  await perform({ buffer: 1 << 21 }, function* ({ dial, redis }) {
    using client = yield* dial();
    const value = "x".repeat(250_000);
    const answers = [];
    for (let i = 0; i < 280; i++) answers.push(yield* client.ask(`SET key${i} ${value} EX 100`));
    assertEquals(answers.filter((answer) => answer === "OK").length, 268);
    assertEquals(answers.at(-1), "(OOM command not allowed when used memory > 'maxmemory'.)");
    assertEquals(yield* client.ask("SET key0 small"), "OK");
    assertEquals(yield* client.ask("SET again key"), "OK");
    yield* sleep(100_000);
    assertEquals(yield* client.ask("KEYS *"), ["key0", "again"]);
    yield* client.ask("DEL key0 again");
    assertEquals(redis.data.memory, 0);
    for (let i = 0; i < 150; i++) yield* client.ask(`SET ${"k".repeat(2000)}${i} v`);
    assertEquals(yield* client.ask("KEYS k*"), "(ERR too many keys match that pattern)");
    assertEquals(yield* client.ask("KEYS k*149"), [`${"k".repeat(2000)}149`]);
  });
});

Deno.test("examples/redis.ts: in any storm each answer is that to its command, and nothing acknowledged is lost", async () => {
  let acknowledged = 0;
  for (let seed = 0; seed < 25; seed++) {
    const options = { seed, segment: [1, Infinity], latency: [0, 100], merge: 0.1, reset: 0.01 } as const;
    await perform(options, function* ({ dial, network }) {
      let sent = 0;
      const counts = new Set<number>();
      const clients = [];
      for (let i = 0; i < 5; i++) {
        clients.push(
          yield* spawn(function* () {
            for (let round = 0; round < 10; round++) {
              try {
                using client = yield* dial(`host ${i}`);
                for (let n = 0; n < 5; n++) {
                  sent++;
                  yield* client.socket.send(
                    encoded("INCR counter") + encoded(`SET mine${i} ${round}:${n}`) + encoded(`GET mine${i}`),
                  );
                  const count = (yield* client.answer()) as number;
                  assert(count <= sent && !counts.has(count), `${count} of ${sent}`);
                  counts.add(count);
                  assertEquals(yield* client.answer(), "OK");
                  assertEquals(yield* client.answer(), `${round}:${n}`);
                }
              } catch (error) {
                assertEquals(words(error), "ConnectionReset");
              }
            }
          }),
        );
      }
      for (const client of clients) yield* client;
      network.change({ reset: 0 });
      using client = yield* dial();
      const count = Number(yield* client.ask("GET counter"));
      assert(counts.size <= count && count <= sent, `${counts.size} <= ${count} <= ${sent}`);
      acknowledged += counts.size;
    });
  }
  assert(acknowledged > 1000, String(acknowledged));
});

Deno.test("examples/redis.ts: a client that is cut off waits, and goes on when it is healed; its timeout holds", async () => {
  const log = await perform({ latency: 5 }, function* ({ dial, network, say }) {
    using client = yield* dial();
    network.partition("client", "redis");
    const asking = yield* spawn(client.ask("INCR n"));
    try {
      yield* timeout(1000, client.socket.recvLine());
    } catch (error) {
      assert(error instanceof TimeoutError);
      say("too late");
    }
    yield* sleep(1000);
    network.heal();
    say(`${yield* asking}`);
    say(`${yield* client.ask("INCR n")}`);
  });
  assertEquals(log, ["1010 too late", "2015 1", "2025 2"]);
});

Deno.test("examples/_glob.ts: patterns are those of Redis, and none takes for ever", () => {
  const table: Record<string, [matching: string[], others: string[]]> = {
    "*": [["", "a", "abc"], []],
    "a*": [["a", "abc"], ["", "ba"]],
    "*c": [["c", "abc", "cc"], ["", "cb"]],
    "a*b*c": [["abc", "aXbYc", "abbcc"], ["ac", "acb"]],
    "h?llo": [["hello", "hallo"], ["hllo", "heello"]],
    "h[ae]llo": [["hello", "hallo"], ["hillo"]],
    "h[^e]llo": [["hallo"], ["hello", "hllo"]],
    "h[a-c]llo": [["hbllo"], ["hello"]],
    "h[c-a]llo": [["hbllo"], ["hello"]],
    "h[\\]]llo": [["h]llo"], ["h\\llo"]],
    "\\*": [["*"], ["a", "\\*"]],
    "a\\": [["a\\"], ["a"]],
    "[": [[], ["[", "a"]],
    "[a": [["a"], ["b", "["]],
    "": [[""], ["a"]],
    "*?": [["a", "ab"], [""]],
  };
  for (const [pattern, [matching, others]] of Object.entries(table)) {
    const of = (text: string) => matches(encoder.encode(pattern), encoder.encode(text));
    assertEquals([matching.filter((text) => !of(text)), others.filter(of)], [[], []], pattern);
  }
  assert(!matches(encoder.encode("a*".repeat(200) + "b"), encoder.encode("a".repeat(2000))));
});

Deno.test({
  name: "examples/redis.ts: redis-cli talks to it",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("redis.ts");
    const cli = (input: string, ...args: string[]) =>
      outputOf("redis-cli", ["-p", String(server.port), ...args], input);
    assertEquals(
      await cli(
        ["set greeting hello ex 100", "get greeting", "ttl greeting", "keys g*", "incr n", "nonsense"].join(
          "\n",
        ),
      ),
      "OK\nhello\n100\ngreeting\n1\nERR unknown command 'nonsense', with args beginning with: \n\n",
    );
    assertStringIncludes(await cli("", "info"), "\r\ndb0:keys=2,expires=1,avg_ttl=0\r\n");
    const pipe = Array.from({ length: 1000 }, (_, i) => encoded(`SET key${i} ${i}`)).join("");
    assertStringIncludes(await cli(pipe, "--pipe"), "errors: 0, replies: 1000");
    assertEquals(await cli("", "exists", "key0", "key999", "key1000"), "2\n");
    const { code } = await server.endBy("SIGTERM");
    assertEquals(code, 0);
    assert(server.said.endsWith("all closed\n"), server.said);
  },
});

Deno.test({
  name: "examples/redis.ts: redis-benchmark runs against it, with and without pipelining",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("redis.ts");
    for (const pipelined of [[], ["-P", "16"]]) {
      const args = [
        "-p",
        String(server.port),
        "-t",
        "ping,set,get",
        "-n",
        "2000",
        "-c",
        "20",
        "--csv",
        ...pipelined,
      ];
      const rows = (await outputOf("redis-benchmark", args)).trim().split("\n").map((row) =>
        row.split(",")[0]
      );
      assertEquals(rows, ['"test"', '"PING_INLINE"', '"PING_MBULK"', '"SET"', '"GET"']);
    }
    assertStringIncludes(await outputOf("redis-cli", ["-p", String(server.port), "info"]), "processed:1600");
  },
});

Deno.test({
  name: "examples/redis.ts: SIGINT ends it with all its clients",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("redis.ts");
    await using client = new Program("nc", "127.0.0.1", String(server.port));
    await client.hears("PING\r\n");
    await client.says("+PONG");
    const status = await server.endBy("SIGINT");
    assertEquals([status.code, status.signal], [0, null]);
    assert(server.said.endsWith("all closed\n"), server.said);
  },
});
