import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  connect,
  type Coroutine,
  listen,
  run,
  Scheduler,
  serve,
  sleep,
  type Socket,
  spawn,
  timeout,
  until,
} from "../mod.ts";
import { MemoryNetwork } from "./_memory_network.ts";
import { connected, connectedToForeigner, drain, LOCAL, perform, said, text } from "./_sockets.ts";

const bytes = (data: string) => new TextEncoder().encode(data);

/** Both ends of a connection, for code outside tasks. */
async function pair(): Promise<{ near: Socket; far: Socket } & Disposable> {
  using listener = listen({ hostname: LOCAL, port: 0 });
  const [near, far] = await run(function* () {
    const near = yield* connect({ port: listener.addr.port });
    const [far] = yield* listener.accept();
    return [near, far] as const;
  });
  return {
    near,
    far,
    [Symbol.dispose]() {
      near.close();
      far.close();
    },
  };
}

// ---- Reading ---------------------------------------------------------------------------------------------------------

Deno.test("readable gives what comes, and ends with the other end; it needs no task", async () => {
  using ends = await pair();
  const { near, far } = ends;
  await run(function* () {
    yield* near.send("hello, ");
    yield* near.send("world");
    yield* near.closeWrite();
  });
  assertEquals(await new Response(far.readable).text(), "hello, world");
  assertEquals(far.bytesReceived, 12);
  await run(far.send("still here"));
  assertEquals(await run(near.recv()), bytes("still here"));
});

Deno.test("readable reads nothing before somebody asks, and leaves to recv what it has not taken", async () => {
  const log: unknown[] = [];
  const network = new MemoryNetwork();
  await perform(
    connected(function* (near, far) {
      const reader = far.readable.getReader();
      yield* near.send("first");
      log.push(far.bytesReceived);
      log.push(text((yield* until(reader.read())).value!), far.bytesReceived);
      yield* near.send("second");
      log.push(far.bytesReceived, text(yield* far.recv()));
      // One that waits stands in line with those who receive.
      const third = reader.read();
      yield* sleep(0); // a stream takes some microtasks
      const fourth = yield* spawn(far.recv());
      yield;
      yield* near.send("third");
      log.push(text((yield* until(third)).value!));
      yield* near.send("fourth");
      log.push(text(yield* fourth));
    }),
    network,
  );
  assertEquals(log, [0, "first", 5, 5, "second", "third", "fourth"]);
});

Deno.test("who reads into memory of his own gets it filled, and is told of the end", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const reader = far.readable.getReader({ mode: "byob" });
  await run(near.send("hello, world"));
  const first = await reader.read(new Uint8Array(5));
  assertEquals([text(first.value!), first.done], ["hello", false]);
  const second = await reader.read(new Uint8Array(100));
  assertEquals([text(second.value!), second.done], [", world", false]);
  const last = reader.read(new Uint8Array(100));
  near.close();
  assertEquals((await last).done, true);
});

Deno.test("small chunks may be transferred without harm to what recv has given", async () => {
  using ends = await pair();
  const { near, far } = ends;
  await run(near.send("abcdef"));
  const kept = await run(far.recv(3));
  const { value } = await far.readable.getReader().read();
  structuredClone(value!, { transfer: [value!.buffer] });
  assertEquals([text(kept), value!.length], ["abc", 0]);
});

Deno.test("to cancel readable closes the socket, unless writable is in use: then that goes on, and its end closes it", async () => {
  {
    using ends = await pair();
    const reading = ends.far.readable.getReader();
    const read = reading.read();
    await reading.cancel();
    assertEquals((await read).done, true);
    await assertRejects(() => run(ends.far.recv()), ClosedError);
    assertEquals(await run(ends.near.recv()), null);
  }
  using ends = await pair();
  const { near, far } = ends;
  const writer = far.writable.getWriter();
  const reader = far.readable.getReader();
  const read = reader.read(); // its read stays with the socket
  await reader.cancel();
  assertEquals((await read).done, true);
  await run(near.send("nobody's"));
  await writer.write(bytes("still here"));
  assertEquals(text(await run(near.recv())), "still here");
  assertEquals(text(await run(far.recv())), "nobody's");
  await writer.close();
  assertEquals(await run(near.recv()), null);
  await assertRejects(() => run(far.recv()), ClosedError);
});

Deno.test("readable fails with what the connection fails with, after what had come", async () => {
  const log: unknown[] = [];
  await perform(connectedToForeigner(function* (far, order) {
    const reader = far.readable.getReader();
    yield* order("send last words");
    log.push(text((yield* until(reader.read())).value!));
    yield* order("reset");
    log.push(yield* said(until(reader.read())), yield* said(until(reader.closed)), yield* said(far.recv()));
  }));
  assertEquals(log, ["last words", "ConnectionReset", "ConnectionReset", "ConnectionReset"]);
});

Deno.test("close() of the socket fails a read and a write that wait, and all that follow", async () => {
  using ends = await pair();
  const { near } = ends;
  const reader = near.readable.getReader();
  const writer = near.writable.getWriter();
  writer.closed.catch(() => {});
  const read = assertRejects(() => reader.read(), ClosedError, "Cannot read: socket");
  const written = assertRejects(() => writer.write(new Uint8Array(20_000_000)), ClosedError);
  near.close();
  await read;
  await written;
  await assertRejects(() => reader.read(), ClosedError);
  await assertRejects(() => writer.write(bytes("x")), ClosedError);
});

// ---- Writing ---------------------------------------------------------------------------------------------------------

Deno.test("a write is over when the system has taken it: writable makes a fast writer wait", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const writer = near.writable.getWriter();
  const data = new Uint8Array(1_000_000);
  let written = 0;
  const writing = (async () => {
    for (; written < 20; written++) {
      await writer.ready;
      await writer.write(data);
    }
    await writer.close();
  })();
  await run(sleep(30));
  const before = written;
  assert(before < 20, `${before} MB`);
  assertEquals(writer.desiredSize, 0);
  assertEquals((await run(far.readAll())).length, 20_000_000);
  await writing;
  assertEquals(near.bytesSent, 20_000_000);
});

Deno.test("to close writable ends writing only; when both streams are over the socket is closed", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const writer = near.writable.getWriter();
  await writer.write(bytes("request"));
  await writer.close();
  assertEquals(text(await run(far.readAll())), "request");
  await run(far.send("answer"));
  far.close();
  assertEquals(await new Response(near.readable).text(), "answer");
  await assertRejects(() => run(near.recv()), ClosedError);
});

Deno.test("to abort writable closes the socket at once, even with a write in flight", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const writer = near.writable.getWriter();
  const closed = assertRejects(() => writer.closed);
  const writing = assertRejects(() => writer.write(new Uint8Array(20_000_000)));
  const reading = assertRejects(() => new Response(near.readable).text(), ClosedError);
  await writer.abort(new Error("enough"));
  await Promise.all([writing, reading, closed]);
  await assertRejects(() => run(near.recv()), ClosedError);
  const received = await run(said(far.readAll()));
  assert(received.length < 20_000_000);
});

Deno.test("writable takes bytes and text, in turn with those who send, and nothing else", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const writer = near.writable.getWriter();
  await Promise.all([
    writer.write(bytes("a")),
    run(near.send("b")),
    writer.write("c" as unknown as Uint8Array),
  ]);
  const received = text(await run(far.recvExactly(3)))!;
  assertEquals([...received].toSorted().join(""), "abc");
  writer.closed.catch(() => {});
  await assertRejects(() => writer.write(5 as unknown as Uint8Array), TypeError, "Cannot write");
});

// ---- Together --------------------------------------------------------------------------------------------------------

Deno.test("pipeTo of a socket to itself is an echo server, and leaves nothing behind", async () => {
  const data = new Uint8Array(5_000_000).map((_, i) => i >> 8);
  await perform(function* () {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const server = yield* spawn(serve(listener, function* (socket) {
      yield* until(socket.readable.pipeTo(socket.writable));
    }));
    using near = yield* connect({ port: listener.addr.port });
    yield* spawn(function* () {
      yield* near.send(data);
      yield* near.closeWrite();
    });
    assertEquals(yield* near.readAll(), data);
    listener.close();
    yield* server;
  });
});

Deno.test("a compressed answer goes through pipeThrough", async () => {
  using ends = await pair();
  const { near, far } = ends;
  const page = "genos ".repeat(10_000);
  const sent = new Blob([page]).stream().pipeThrough(new CompressionStream("gzip")).pipeTo(far.writable);
  const received = new Response(near.readable.pipeThrough(new DecompressionStream("gzip"))).text();
  assertEquals(await received, page);
  await sent;
});

Deno.test("a task that waits for a stream can be killed; the stream goes with its socket", async () => {
  await perform(connected(function* (near, far) {
    const reader = near.readable.getReader();
    assertEquals(yield* said(timeout(1, until(reader.read()))), "TimeoutError");
    yield* far.send("x");
    near.close();
    yield* said(until(reader.closed));
  }));
});

Deno.test("a stream that nobody reads or writes just then fails as well when its socket is closed", async () => {
  await perform(connected(function* (near, far) {
    const reader = near.readable.getReader();
    const writer = near.writable.getWriter();
    yield* far.send("x");
    assertEquals((yield* until(reader.read())).value, bytes("x"));
    const fates = Promise.allSettled([reader.closed, writer.closed]);
    near.close();
    const names = (yield* until(fates)).map((fate) =>
      fate.status === "rejected" ? fate.reason.name : "closed"
    );
    assertEquals(names, ["ClosedError", "ClosedError"]);
    assertEquals(yield* said(until(reader.read())), "ClosedError");
    assertEquals(yield* said(until(writer.write(bytes("y")))), "ClosedError");
  }));
});

Deno.test("streams work on the network of a scheduler whose run is over", async () => {
  const network = new MemoryNetwork();
  const scheduler = new Scheduler({ network });
  const [near, far] = await scheduler.run(function* (): Coroutine<[Socket, Socket]> {
    const listener = listen({ port: 7 });
    const near = yield* connect({ port: 7 });
    const [far] = yield* listener.accept();
    listener.close();
    return [near, far];
  });
  const writer = near.writable.getWriter();
  await writer.write(bytes("hello"));
  await writer.close();
  assertEquals(await new Response(far.readable).text(), "hello");
});

Deno.test("while a stream is read the process is kept alive, and no longer", async () => {
  const network = new MemoryNetwork();
  await perform(
    connected(function* (_near, far) {
      const server = network.connections[0]![1];
      assert(far.writable !== undefined); // or to cancel the other would close the socket
      const reader = far.readable.getReader();
      const read = reader.read();
      yield* sleep(0);
      assertEquals(server.log, []);
      yield* until(reader.cancel());
      yield* until(read);
      assertEquals(server.log, ["unref"]);
    }),
    network,
  );
});

Deno.test("the same streams are given each time", async () => {
  using ends = await pair();
  const { near, far } = ends;
  assert(near.readable === near.readable && near.writable === near.writable);
  await run(function* () {
    yield* spawn(near.send(new Uint8Array(100_000)));
    yield* drain(far, 100_000);
  });
});
