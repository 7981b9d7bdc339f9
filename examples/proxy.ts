// Hands connections on to another server, both ways, until both ends have said all they have to say, or nothing any more.
//   deno run --allow-net examples/proxy.ts PORT HOSTNAME:PORT [idle time in ms]

import {
  all,
  connect,
  type ConnectOptions,
  type Coroutine,
  hostSignal,
  listen,
  race,
  run,
  Scheduler,
  serve,
  sleep,
  type Socket,
  timeout,
  TimeoutError,
} from "../mod.ts";

/** How long, in ms, connecting may take. */
const CONNECT = 10_000;

/** Serves one connection by another one, to `target`; when neither side says anything for `idle` ms both are closed. */
export function* proxy(near: Socket, target: ConnectOptions, idle: number): Coroutine<void> {
  using far = yield* timeout(CONNECT, connect(target));
  const watch = new Watch(idle);
  yield* race([all([relay(near, far, watch), relay(far, near, watch)]), watch.run()]);
}

/** One direction. The end of what comes in is told to the other side; the other direction goes on. */
function* relay(from: Socket, to: Socket, watch: Watch): Coroutine<void> {
  for (let data; (data = yield* from.recv()) !== null;) {
    watch.rewind();
    yield* to.send(data);
    watch.rewind();
  }
  yield* to.closeWrite();
}

/** Fails when nobody has rewound it for some time. One task sleeps for both directions, however much they have to say. */
class Watch {
  readonly #ms: number;
  #rewound = now();

  constructor(ms: number) {
    this.#ms = ms;
  }

  rewind(): void {
    this.#rewound = now();
  }

  *run(): Coroutine<never> {
    for (;;) {
      const left = this.#rewound + this.#ms - now();
      if (left <= 0) throw new TimeoutError(`Nothing was said for ${this.#ms} ms`);
      yield* sleep(left);
    }
  }
}

function now(): number {
  return Scheduler.current().now();
}

if (import.meta.main) {
  const [port = "", target = "", idle = "60000"] = Deno.args;
  const url = URL.parse(`tcp://${target}`);
  if (port === "" || !url?.port) {
    console.error("Usage: proxy.ts PORT HOSTNAME:PORT [idle time in ms]");
    Deno.exit(2);
  }
  const options = { hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(url.port) };
  await run(function* () {
    const listener = listen({ port: Number(port), hostname: "127.0.0.1" });
    console.log(`listening on ${listener.addr.hostname}:${listener.addr.port}`);
    const server = serve(listener, (socket) => proxy(socket, options, Number(idle)), {
      onError: (error, _socket, { hostname, port }) => console.log(`${hostname}:${port}: ${error}`),
    });
    // The first signal ends the server, and its clients, the newest first. Then nobody waits for a second one: it ends all.
    yield* race([server, hostSignal("SIGINT"), hostSignal("SIGTERM")]);
    console.log("all closed");
  });
}
