// The same with memory of its own, as the raw loop has it: what has come is not kept.

import { type Coroutine, listen, run, type Socket, spawn } from "../../mod.ts";

function* echo(socket: Socket): Coroutine<void> {
  try {
    const memory = new Uint8Array(65_536);
    for (let n; (n = yield* socket.recvInto(memory)) !== null;) yield* socket.send(memory.subarray(0, n));
  } catch {
    /* the client has gone */
  } finally {
    socket.close();
  }
}

await run(function* server() {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for (;;) {
    const [socket] = yield* listener.accept();
    yield* spawn(echo(socket));
  }
});
