import { assert, assertEquals } from "@std/assert";

const ignore = Deno.permissions.querySync({ name: "run" }).state !== "granted";

/** What a program of `examples/` prints when it is run as a user would run it. */
async function linesOf(example: string, ...permissions: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      ...permissions,
      new URL(`../examples/${example}`, import.meta.url).href,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  assertEquals([code, text.decode(stderr)], [0, ""]);
  return text.decode(stdout).trimEnd().split("\n");
}

Deno.test({
  name: "examples/producers.ts: who is too fast waits for a place on the belt",
  ignore,
  async fn() {
    assertEquals(await linesOf("producers.ts"), [
      "put a1, 0 on the belt",
      "put a2, 1 on the belt",
      "put a3, 2 on the belt",
      "put a4, 3 on the belt",
      "          a1 done",
      "put b1, 3 on the belt",
      "          a2 done",
      "put b2, 3 on the belt",
      "          a3 done",
      "put b3, 3 on the belt",
      "          a4 done",
      "put b4, 3 on the belt",
      "          b1 done",
      "          b2 done",
      "          b3 done",
      "          b4 done",
      "all done",
    ]);
  },
});

Deno.test({
  name: "examples/philosophers.ts: who closes the ring is told, and with an order among the forks nobody is",
  ignore,
  async fn() {
    const lines = await linesOf("philosophers.ts");
    const refusal = lines.splice(1, 1)[0]!;
    assert(
      refusal.startsWith('Marx goes hungry. Cannot wait for task 2 "Plato", it would close a ring: '),
      refusal,
    );
    assertEquals(lines, [
      "left fork first:",
      "Kant has eaten",
      "Hume has eaten",
      "Plato has eaten",
      "lower fork first:",
      "Kant has eaten",
      "Hume has eaten",
      "Plato has eaten",
      "Marx has eaten",
    ]);
  },
});

Deno.test({
  name: "examples/crawler.ts: a page that is too slow is given up, one that is busy is tried again",
  ignore,
  async fn() {
    const lines = await linesOf("crawler.ts", "--allow-net");
    assertEquals(lines.filter((line) => line.startsWith("/page/3")), [
      "/page/3: attempt 1 failed, status 503",
      "/page/3: attempt 2 failed, status 503",
    ]);
    assertEquals(lines.filter((line) => line.startsWith("/page/5")).map((line) => line.slice(9)), [
      "attempt 1 failed, too slow",
      "attempt 2 failed, too slow",
      "attempt 3 failed, too slow",
    ]);
    assertEquals(lines.at(-1), "11 of 12 pages");
  },
});
