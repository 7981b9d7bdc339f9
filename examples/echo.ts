// The seed's echo server. Try: nc 127.0.0.1 5678
//   deno run --allow-net examples/echo.ts [port [hostname]]

import {
  type Coroutine,
  hostSignal,
  JoinError,
  listen,
  NewTask,
  race,
  Scheduler,
  serve,
  type Socket,
} from "../mod.ts";

function* handleClient(client: Socket, address: Deno.NetAddr): Coroutine<void> {
  const name = addressOf(address);
  console.log("new connection", name);
  try {
    for (;;) {
      const data = yield* client.recv(65_536);
      if (data === null) break;
      yield* client.send(data);
    }
  } finally {
    client.close();
    console.log("client closed", name);
  }
}

function* server(port: number, hostname: string): Coroutine<void> {
  const listener = listen({ port, hostname });
  console.log("listening on", addressOf(listener.addr));
  yield new NewTask(stopper(), { daemon: true });
  // The seed's loop of accept and NewTask, which goes on when the process is out of descriptors.
  yield serve(listener, handleClient);
}

function addressOf({ hostname, port }: Deno.NetAddr): string {
  return `${hostname}:${port}`;
}

/**
 * The first signal kills every task, the newest first, and waits for their cleanup. After that nobody waits for a signal any
 * more, so a second one ends the process at once.
 */
function* stopper(): Coroutine<void> {
  yield* race([hostSignal("SIGINT"), hostSignal("SIGTERM")]);
  scheduler.shutdown();
}

const [port = "5678", hostname = "127.0.0.1"] = Deno.args;
const scheduler = new Scheduler();
try {
  await scheduler.run(server(Number(port), hostname), { name: "server" });
} catch (error) {
  if (!(error instanceof JoinError)) throw error; // else it was killed
  console.log("all closed");
}
