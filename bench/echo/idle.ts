/**
 * What an idle connection costs an echo server in memory: bytes for each, when it has just been accepted, and when each has
 * had an echo of 64 B and waits for the next.
 *
 * `deno run -A bench/echo/idle.ts [connections]`; 10 000 of them want `ulimit -n` to be above that.
 *
 * The clients live in this process, the server in one of its own, which collects its garbage before it is asked. `rss` is
 * what the system sees; `external` are the buffers, of which it sees only what has been touched; the kernel's own memory
 * for a connection is in none of them.
 *
 * @module
 */

const SERVERS = ["raw", "genos", "genos_into"];
const AT_ONCE = 100;

declare const gc: () => void;

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** The server, which tells its memory when it is asked to. */
async function serve(name: string): Promise<void> {
  (async () => {
    for await (const _ of linesOf(Deno.stdin.readable)) {
      for (let i = 0; i < 3; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      console.log(JSON.stringify(Deno.memoryUsage()));
    }
    Deno.exit();
  })();
  await import(`./${name}.ts`);
}

async function echo(conn: Deno.Conn): Promise<void> {
  const message = new Uint8Array(64);
  for (let n = 0; n < 64;) n += await conn.write(message.subarray(n));
  for (let n = 0; n < 64;) n += (await conn.read(message))!;
}

async function inBatches<T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    const size = Math.min(AT_ONCE, count - all.length);
    all.push(...await Promise.all(Array.from({ length: size }, (_, i) => work(all.length + i))));
  }
  return all;
}

async function measure(name: string, count: number): Promise<void> {
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", import.meta.filename!, "serve", name],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const answers = linesOf(server.stdout);
    const questions = server.stdin.getWriter();
    const answer = async () => (await answers.next()).value!;
    const memory = async (): Promise<Deno.MemoryUsage> => {
      await questions.write(new TextEncoder().encode("\n"));
      return JSON.parse(await answer());
    };
    const port = Number(await answer());
    const open = () => Deno.connect({ hostname: "127.0.0.1", port });
    for (const conn of await inBatches(500, open)) {
      await echo(conn);
      conn.close();
    }
    const before = await memory();
    const conns = await inBatches(count, open);
    const accepted = await memory();
    await inBatches(count, (i) => echo(conns[i]!));
    const waiting = await memory();
    const each = (kind: keyof Deno.MemoryUsage, at: Deno.MemoryUsage) =>
      String(Math.round((at[kind] - before[kind]) / count)).padStart(9);
    for (const [state, at] of [["accepted", accepted], ["after an echo", waiting]] as const) {
      const figures = (["heapUsed", "external", "rss"] as const).map((kind) => each(kind, at)).join("");
      console.log(`${name.padEnd(12)}${state.padEnd(15)}${figures}`);
    }
    for (const conn of conns) conn.close();
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

if (Deno.args[0] === "serve") {
  await serve(Deno.args[1]!);
} else {
  console.log(`${"bytes".padEnd(27)}${["heap", "external", "rss"].map((word) => word.padStart(9)).join("")}`);
  for (const name of SERVERS) await measure(name, Number(Deno.args[0] ?? 5000));
}
