import { assert, assertEquals } from "@std/assert";
import { ExampleServer, ignore, outputOf } from "./_program.ts";

Deno.test({
  name:
    "examples/cores.ts: the connections to one port are dealt out among the workers, and a signal ends all of them",
  ignore,
  async fn() {
    const permissions = ["--allow-net", "--allow-read", "--unstable-net"];
    await using server = await ExampleServer.start("cores.ts", ["0", "3"], permissions);
    const heard = new Set<string>();
    // Which one gets a connection is the system's choice; that it would choose one of three 100 times is not to be feared.
    for (let i = 0; i < 100 && heard.size < 2; i++) {
      const answer = await outputOf("nc", ["-N", "127.0.0.1", String(server.port)], "hello\n");
      assert(/^core [123] heard hello\n$/.test(answer), answer);
      heard.add(answer);
    }
    assertEquals(heard.size, 2);
    const { code } = await server.endBy("SIGINT");
    assertEquals([code, server.said.split("\n").slice(1)], [0, ["all closed", ""]]);
  },
});
