// The program of examples/echo.ts, without its log.

import { type Coroutine, listen, run, type Socket, spawn } from "../../mod.ts";

function* echo(socket: Socket): Coroutine<void> {
  try {
    for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
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
