// HTTP on Deno.serve: each request is a run of its own, so it can be killed. It is when its client goes away, when it takes
// too long, and when the server ends. Try: curl localhost:8000/primes?below=100, and cut short: curl localhost:8000/sleep?ms=9000
//   deno run --allow-net examples/http.ts [port [hostname [timeout in ms]]]

import {
  all,
  type Coroutine,
  hostSignal,
  type Operation,
  race,
  run,
  sleep,
  timeout,
  TimeoutError,
  until,
} from "../mod.ts";

/** How long, in ms, requests may go on when the server ends. */
const GRACE = 500;

type Handler = (parameters: URLSearchParams) => Operation<Response>;

const ROUTES: Record<string, Handler> = {
  *"/"() {
    return new Response(Object.keys(ROUTES).join("\n") + "\n");
  },
  /** Others have their turn while it computes. */
  *"/primes"(parameters) {
    const primes: number[] = [];
    for (let n = 2; n < Number(parameters.get("below")); n++) {
      if (primes.every((prime) => n % prime !== 0)) primes.push(n);
      if (n % 100 === 0) yield;
    }
    return Response.json(primes);
  },
  /** Two tasks at once; however it ends, both have cleaned up before. */
  *"/sleep"(parameters) {
    const ms = Number(parameters.get("ms"));
    yield* all([nap("one", ms), nap("two", ms)]);
    return new Response("slept well\n");
  },
};

function* nap(who: string, ms: number): Coroutine<void> {
  console.log(`  ${who} falls asleep`);
  try {
    yield* sleep(ms);
  } finally {
    console.log(`  ${who} is awake`);
  }
}

/** Answers a request; whatever becomes of it, it says so. */
async function respond(request: Request, ending: AbortSignal, ms: number): Promise<Response> {
  const { pathname, search, searchParams } = new URL(request.url);
  const name = `${request.method} ${pathname}${search}`;
  console.log(name);
  const reply = (why: string, status: number) => {
    console.log(`${name}: ${status} ${why}`);
    return new Response(why + "\n", { status });
  };
  if (!Object.hasOwn(ROUTES, pathname)) return reply("there is no such page", 404);
  try {
    const signal = AbortSignal.any([request.signal, ending]);
    const response = await run(timeout(ms, ROUTES[pathname]!(searchParams)), { name, signal });
    console.log(`${name}: ${response.status}`);
    return response;
  } catch (error) {
    if (request.signal.aborted) return reply("the client has gone away", 499);
    if (ending.aborted) return reply("the server is going away", 503);
    if (error instanceof TimeoutError) return reply("that takes too long", 504);
    return reply(String(error), 500);
  }
}

if (import.meta.main) {
  const [port = "8000", hostname = "127.0.0.1", ms = "5000"] = Deno.args;
  await run(function* () {
    const ending = new AbortController();
    const server = Deno.serve({
      port: Number(port),
      hostname,
      onListen: ({ hostname, port }) => console.log(`listening on ${hostname}:${port}`),
    }, (request) => respond(request, ending.signal, Number(ms)));
    // After the first signal nobody waits for a second one: it ends all.
    yield* race([until(server.finished), hostSignal("SIGINT"), hostSignal("SIGTERM")]);
    console.log("closing");
    const closed = server.shutdown();
    yield* race([until(closed), sleep(GRACE)]);
    ending.abort();
    yield* until(closed);
    console.log("all closed");
  });
}
