// A server on every core: one worker each, all on one port. The system deals the connections out among them.
//   deno run --allow-net --allow-read --unstable-net examples/cores.ts [port [how many]]

import { type Coroutine, hostSignal, race, run, settle, sleep, until } from "../mod.ts";

/** How long, in ms, a worker may take to end. */
const GRACE = 2000;

/** A worker, and what it says: its port, and later that it has ended. */
class Core {
  readonly #worker = new Worker(new URL("./_core.ts", import.meta.url), { type: "module" });
  readonly #failed = Promise.withResolvers<never>();
  #heard = Promise.withResolvers<unknown>();

  constructor(name: string, port: number) {
    this.#worker.onmessage = ({ data }) => this.#heard.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#failed.reject(new Error(`${name} has failed: ${event.message}`));
    };
    this.#failed.promise.catch(() => {}); // whoever hears is told
    this.#worker.postMessage({ name, port });
  }

  /** What it says next, or why it has failed. */
  *hear(): Coroutine<unknown> {
    const heard = yield* until(Promise.race([this.#heard.promise, this.#failed.promise]));
    this.#heard = Promise.withResolvers();
    return heard;
  }

  *end(): Coroutine<void> {
    try {
      this.#worker.postMessage("end");
      yield* race([this.hear(), sleep(GRACE)]);
    } finally {
      this.#worker.terminate();
    }
  }
}

function* serveOn(count: number, port: number): Coroutine<void> {
  const cores: Core[] = [];
  try {
    for (let i = 1; i <= count; i++) {
      cores.push(new Core(`core ${i}`, port));
      port = (yield* cores.at(-1)!.hear()) as number; // if none was given, that which the first has found
    }
    console.log(`listening on 127.0.0.1:${port}, ${count} times`);
    // After the first signal nobody waits for a second one: it ends all.
    yield* race([hostSignal("SIGINT"), hostSignal("SIGTERM"), ...cores.map((core) => core.hear())]);
  } finally {
    yield* settle(cores.toReversed().map((core) => core.end()));
    console.log("all closed");
  }
}

if (import.meta.main) {
  const [port = "5680", count = String(navigator.hardwareConcurrency)] = Deno.args;
  await run(serveOn(Number(count), Number(port)));
}
