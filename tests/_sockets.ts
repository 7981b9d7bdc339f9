/**
 * What the tests of sockets are written with.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  connect,
  type Coroutine,
  listen,
  type Listener,
  type Network,
  type Operation,
  Scheduler,
  type Socket,
  spawn,
  type Task,
  until,
  type Work,
} from "../mod.ts";

/** The loopback address. */
export const LOCAL = "127.0.0.1";

/** Runs a program on a scheduler of its own, where nothing may go unheard. */
export async function perform<T>(program: Work<T>, network?: Network): Promise<T> {
  const unheard: unknown[] = [];
  const scheduler = new Scheduler({
    ...(network === undefined ? {} : { network }),
    onUnhandledError: (error) => void unheard.push(error),
  });
  const value = await scheduler.run(program);
  assertEquals(unheard, []);
  return value;
}

/** A listener and both ends of a connection to it, for as long as `body` takes. */
export function* connected<T>(
  body: (near: Socket, far: Socket, listener: Listener<Deno.NetAddr>) => Operation<T>,
): Coroutine<T> {
  using listener = listen({ hostname: LOCAL, port: 0 });
  using near = yield* connect({ port: listener.addr.port });
  const [far] = yield* listener.accept();
  try {
    return yield* body(near, far, listener);
  } finally {
    far.close();
  }
}

/** Bytes as text. */
export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** What an operation comes to, in words. */
export function* said(operation: Operation<unknown>): Coroutine<string> {
  try {
    const value = yield* operation;
    return value instanceof Uint8Array ? `"${text(value)}"` : JSON.stringify(value) ?? "done";
  } catch (error) {
    return (error as Error).name;
  }
}

/** A task that adds to a log what an operation comes to. */
export function saying(
  log: unknown[],
  name: string,
  operation: () => Operation<unknown>,
): Operation<Task<void>> {
  return spawn(function* () {
    log.push(`${name}: ${yield* said(operation())}`);
  });
}

/** Receives until there are `n` bytes. */
export function* drain(socket: Socket, n: number): Coroutine<void> {
  while (n > 0) n -= (yield* socket.recv())!.length;
}

/** A client in another process, which can do what Deno cannot: reset its connection. */
export function* withForeigner<T>(
  port: number,
  body: (order: (command: string) => Operation<void>) => Operation<T>,
): Coroutine<T> {
  const program = `
import os, socket, struct, sys
client = socket.create_connection(("127.0.0.1", ${port}))
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "send":
        client.sendall(rest.encode())
    if word == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    os.write(1, b"!")`;
  const child = new Deno.Command("python3", { args: ["-c", program], stdin: "piped", stdout: "piped" })
    .spawn();
  const orders = child.stdin.getWriter();
  const answers = child.stdout.getReader();
  try {
    return yield* body(function* (command) {
      yield* until(orders.write(new TextEncoder().encode(`${command}\n`)));
      assertEquals(text((yield* until(answers.read())).value!), "!");
    });
  } finally {
    yield* until(orders.close());
    yield* until(answers.cancel());
    assert((yield* until(child.status)).success);
  }
}

/** A connection to such a client. */
export function* connectedToForeigner<T>(
  body: (
    far: Socket,
    order: (command: string) => Operation<void>,
    listener: Listener<Deno.NetAddr>,
  ) => Operation<T>,
): Coroutine<T> {
  using listener = listen({ hostname: LOCAL, port: 0 });
  return yield* withForeigner(listener.addr.port, function* (order) {
    const [far] = yield* listener.accept();
    try {
      return yield* body(far, order, listener);
    } finally {
      far.close();
    }
  });
}
