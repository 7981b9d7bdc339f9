import { assert, assertEquals } from "@std/assert";
import { ExampleServer, ignore, outputOf, Program } from "./_program.ts";

Deno.test({
  name: "examples/http.ts: curl is answered, with an error where it has to be",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("http.ts", ["0", "127.0.0.1", "500"]);
    const curl = (path: string) =>
      outputOf("curl", ["-s", "-w", " %{http_code}", `http://127.0.0.1:${server.port}${path}`]);
    assertEquals(await curl("/"), "/\n/primes\n/sleep\n 200");
    assertEquals(await curl("/primes?below=20"), "[2,3,5,7,11,13,17,19] 200");
    assertEquals(await curl("/sleep?ms=1"), "slept well\n 200");
    assertEquals(await curl("/nowhere"), "there is no such page\n 404");
    assertEquals(await curl("/sleep?ms=60000"), "that takes too long\n 504");
    assertEquals(await curl("/sleep?ms=-1"), "RangeError: Cannot sleep -1 ms: a time is 0 or more\n 500");
    await server.endBy("SIGTERM");
    assertEquals(server.said.split("\n").slice(1), [
      ...["GET /", "GET /: 200"],
      ...["GET /primes?below=20", "GET /primes?below=20: 200"],
      ...["GET /sleep?ms=1", "  one falls asleep", "  two falls asleep", "  one is awake", "  two is awake"],
      "GET /sleep?ms=1: 200",
      ...["GET /nowhere", "GET /nowhere: 404 there is no such page"],
      ...[
        "GET /sleep?ms=60000",
        "  one falls asleep",
        "  two falls asleep",
        "  two is awake",
        "  one is awake",
      ],
      "GET /sleep?ms=60000: 504 that takes too long",
      ...["GET /sleep?ms=-1", "  one falls asleep", "  one is awake"], // the other one has never begun
      "GET /sleep?ms=-1: 500 RangeError: Cannot sleep -1 ms: a time is 0 or more",
      ...["closing", "all closed", ""],
    ]);
  },
});

Deno.test({
  name: "examples/http.ts: a request is killed when its client goes away, while others are computed",
  ignore,
  async fn() {
    await using server = await ExampleServer.start("http.ts");
    const url = `http://127.0.0.1:${server.port}`;
    await using computing = new Program("curl", "-s", `${url}/primes?below=1000000000`);
    await using sleeping = new Program("curl", "-s", `${url}/sleep?ms=60000`);
    assertEquals(await outputOf("curl", ["-s", `${url}/primes?below=3`]), "[2]");
    await server.says("GET /primes?below=1000000000\n");
    await server.says("two falls asleep");
    for (const client of [sleeping, computing]) await client.endBy("SIGKILL");
    await server.says("GET /sleep?ms=60000: 499 the client has gone away");
    await server.says("GET /primes?below=1000000000: 499 the client has gone away");
    await server.endBy("SIGTERM");
    assertEquals(server.said.split("\n").filter((line) => line.endsWith("awake")), [
      "  two is awake",
      "  one is awake",
    ]);
  },
});

Deno.test({
  name:
    "examples/http.ts: at the first signal requests have their grace, and then are killed; a second one ends all at once",
  ignore,
  async fn() {
    for (const isSecond of [false, true]) {
      await using server = await ExampleServer.start("http.ts", ["0", "127.0.0.1", "60000"]);
      const url = `http://127.0.0.1:${server.port}`;
      await using quick = new Program("curl", "-s", `${url}/sleep?ms=10`);
      await using slow = new Program("curl", "-s", `${url}/sleep?ms=50000`);
      await server.says("falls asleep", 4);
      server.signal("SIGINT");
      await server.says("closing");
      if (isSecond) server.signal("SIGINT");
      const status = await server.end();
      for (const client of [quick, slow]) await client.end();
      if (isSecond) {
        assertEquals([status.signal, slow.said], ["SIGINT", ""]);
      } else {
        assertEquals([status.code, quick.said, slow.said], [0, "slept well\n", "the server is going away\n"]);
        assert(server.said.endsWith("503 the server is going away\nall closed\n"), server.said);
      }
    }
  },
});
