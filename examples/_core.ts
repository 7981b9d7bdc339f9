// One of the workers of cores.ts: an echo server of lines, on a port that it shares with the others.

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { type Coroutine, listen, run, serve, type Socket } from "../mod.ts";

const ending = new AbortController();

function* server(name: string, port: number): Coroutine<void> {
  const listener = listen({ port, hostname: "127.0.0.1", reusePort: true });
  self.postMessage(listener.addr.port);
  yield* serve(listener, function* (socket: Socket) {
    for (let line; (line = yield* socket.recvLine({ maxBytes: 1000 })) !== null;) {
      yield* socket.send(`${name} heard ${line}\n`);
    }
  }, { grace: 500 });
}

self.onmessage = async ({ data }) => {
  if (data === "end") return ending.abort();
  try {
    await run(server(data.name, data.port), { signal: ending.signal });
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  }
  self.postMessage("ended");
  self.close();
};
