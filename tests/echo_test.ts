import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ExampleServer, Program } from "./_program.ts";

async function sayAndHear(connection: Deno.Conn, text: string): Promise<string> {
  await connection.write(new TextEncoder().encode(text));
  const buffer = new Uint8Array(64);
  let heard = "";
  while (heard.length < text.length) {
    const n = await connection.read(buffer);
    if (n === null) break;
    heard += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return heard;
}

Deno.test("the echo example answers nc, says who comes and goes, and ends on SIGTERM with all closed", async () => {
  await using server = await ExampleServer.start("echo.ts");
  await using nc = new Program("nc", "-N", "127.0.0.1", String(server.port));
  await nc.hears("hello\nworld\n");
  await nc.hearsNoMore();
  const { success } = await nc.end();
  assertEquals([nc.said, success], ["hello\nworld\n", true]);
  await server.says("client closed");
  const status = await server.endBy("SIGTERM");
  assertEquals([status.code, status.signal], [0, null]);
  assertStringIncludes(server.said, "new connection 127.0.0.1:");
  assert(server.said.endsWith("all closed\n"));
});

Deno.test("many clients at once are echoed; one that is cut off in the middle hurts no other; SIGINT closes all", async () => {
  await using server = await ExampleServer.start("echo.ts");
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const clients = await Promise.all(Array.from({ length: 50 }, connect));
  for (let round = 0; round < 3; round++) {
    const heard = await Promise.all(
      clients.map((client, i) => sayAndHear(client, `client ${i} round ${round}`)),
    );
    assertEquals(heard, clients.map((_, i) => `client ${i} round ${round}`));
    // Gone without having read its echo.
    const victim = clients.pop()!;
    await victim.write(new Uint8Array(100));
    victim.close();
  }
  await server.says("client closed");
  const status = await server.endBy("SIGINT");
  assertEquals(status.code, 0);
  for (const client of clients) {
    assertEquals(await client.read(new Uint8Array(1)), null);
    client.close();
  }
  assertEquals(server.said.match(/new connection/g)!.length, 50);
  assertEquals(server.said.match(/client closed/g)!.length, 50);
});

Deno.test("a port that is taken, or none at all, ends the echo example with an error", async () => {
  await using server = await ExampleServer.start("echo.ts");
  const attempts = [[String(server.port), "AddrInUse"], ["70000", "RangeError"], [
    "x",
    "RangeError",
  ]] as const;
  for (const [port, error] of attempts) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-net", "examples/echo.ts", port],
      stderr: "piped",
    }).output();
    assertEquals(code, 1);
    assertStringIncludes(new TextDecoder().decode(stderr), error);
  }
});
