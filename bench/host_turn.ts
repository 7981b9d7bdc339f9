/**
 * The host's turn: an echo beside tasks that are always ready, and what it costs them; and what a process costs that waits.
 *
 * `deno run -A bench/host_turn.ts`
 *
 * Each kind of tasks is measured in a process of its own, first under `runSync`, where the host never has its turn, then under
 * `run`, while a client plays ping-pong over one connection with a server in the same process. The client is another process,
 * on another core where there is one. An idle process has a listener, a connection on which nobody speaks, and a thousand
 * tasks that sleep for an hour; its processor time is that of two seconds.
 *
 * @module
 */

import process from "node:process";
import { type Coroutine, listen, Scheduler, sleep, type Socket, spawn } from "../mod.ts";

const SECONDS = 2;
const HOUR = 3_600_000;

let steps = 0;

// Of eight functions, so that both measurements are those of a kernel that knows many: see `switch_bench.ts`.
const kindsOfSpins = Array.from({ length: 8 }, () =>
  function* (): Coroutine<void> {
    for (;; steps++) yield;
  });

/** Works for some ms between two yields. */
function* works(ms: number): Coroutine<void> {
  for (;; steps++) {
    for (const end = performance.now() + ms; performance.now() < end;);
    yield;
  }
}

function* sleeps(): Coroutine<void> {
  yield* sleep(HOUR);
}

const kinds: Record<string, { name: string; tasks: () => Coroutine<void>[] }> = {
  none: { name: "no other tasks", tasks: () => [] },
  spinning: {
    name: "100 tasks that only yield",
    tasks: () => Array.from({ length: 100 }, (_, i) => kindsOfSpins[i % 8]!()),
  },
  working: { name: "one that works 0.2 ms between yields", tasks: () => [works(0.2)] },
  long: { name: "one that works 1 ms between yields", tasks: () => [works(1)] },
  idle: { name: "a process that waits", tasks: () => Array.from({ length: 1000 }, sleeps) },
};

function* echo(socket: Socket): Coroutine<void> {
  for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
}

function* server(): Coroutine<void> {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for (;;) {
    const [socket] = yield* listener.accept();
    yield* spawn(echo(socket));
  }
}

/** The processor time of this process, in ms. */
function spent(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Steps a ms without the host; then serves, until it is ended, and tells its steps a ms now and then. */
async function serve(kind: string): Promise<void> {
  let alone = 0;
  if (kind !== "idle" && kind !== "none") {
    new Scheduler().runSync(function* () {
      for (const task of kinds[kind]!.tasks()) yield* spawn(task, { daemon: true });
      for (let round = 0; round < 2; round++) { // the first is for the compiler
        const start = spent();
        steps = 0;
        for (const end = performance.now() + 500; performance.now() < end;) yield;
        alone = steps / (spent() - start);
      }
    });
  }
  console.log(alone);
  await new Scheduler().run(function* () {
    yield* spawn(server());
    for (const task of kinds[kind]!.tasks()) yield* spawn(task);
    if (kind === "idle") return;
    for (;;) {
      steps = 0;
      const start = spent();
      yield* sleep(250);
      console.log(steps / (spent() - start));
    }
  });
}

/** Plays ping-pong, and gives the round trips in ms. */
async function client(port: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  const buffer = new Uint8Array(64);
  const times: number[] = [];
  for (const end = performance.now() + 1000 * SECONDS; performance.now() < end;) {
    const start = performance.now();
    await conn.write(buffer);
    for (let n = 0; n < 64;) n += (await conn.read(buffer))!;
    times.push(performance.now() - start);
  }
  conn.close();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)]!;
  console.log(JSON.stringify({ count: times.length, p50: at(0.5), p99: at(0.99) }));
}

function start(
  ...args: string[]
): { child: Deno.ChildProcess; lines: ReadableStreamDefaultReader<string> } {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.filename!, ...args],
    stdout: "piped",
  }).spawn();
  let rest = "";
  const split = new TransformStream<string, string>({
    transform(chunk, controller) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) controller.enqueue(line);
    },
  });
  return {
    child,
    lines: child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(split).getReader(),
  };
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function measure(kind: string): Promise<void> {
  const { child, lines } = start("child", kind);
  const alone = Number((await lines.read()).value);
  const port = Number((await lines.read()).value);
  const { name } = kinds[kind]!;
  try {
    if (kind === "idle") {
      using _silent = await Deno.connect({ hostname: "127.0.0.1", port });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const spentBy = async () =>
        Number((await Deno.readTextFile(`/proc/${child.pid}/schedstat`)).split(" ")[0]) / 1e6;
      const before = await spentBy();
      await new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS));
      console.log(
        `${name}: ${((await spentBy() - before) / SECONDS).toFixed(2)} ms of processor time a second`,
      );
      return;
    }
    await lines.read();
    const pinging = start("client", String(port));
    const speeds: number[] = [];
    let result: string | undefined;
    const heard = pinging.lines.read().then(({ value }) => result = value);
    while (result === undefined) {
      const line = await Promise.race([lines.read(), heard]);
      if (typeof line === "object" && line.value !== undefined) speeds.push(Number(line.value));
    }
    await pinging.child.status;
    const { count, p50, p99 } = JSON.parse(result);
    const kept = alone === 0
      ? ""
      : `; they keep ${(100 * mean(speeds.slice(1, -1)) / alone).toFixed(0)} % of their speed`;
    console.log(`${name}: ${count} echoes, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms${kept}`);
  } finally {
    child.kill("SIGKILL");
    await lines.cancel();
    await child.status;
  }
}

const [role, argument] = Deno.args;
if (role === "child") await serve(argument!);
else if (role === "client") await client(Number(argument));
else for (const kind of Object.keys(kinds)) await measure(kind);
