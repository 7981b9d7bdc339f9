import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  connect,
  type Coroutine,
  DeadlockError,
  EndOfStreamError,
  Event,
  InvalidStateError,
  kill,
  LimitError,
  listen,
  type Listener,
  NewTask,
  type Operation,
  readWait,
  run,
  Scheduler,
  select,
  sleep,
  type Socket,
  spawn,
  type SystemCall,
  timeout,
  TimeoutError,
  writeWait,
} from "../mod.ts";
import { hostError, MemoryNetwork } from "./_memory_network.ts";
import {
  connected,
  connectedToForeigner,
  drain,
  LOCAL,
  perform,
  said,
  saying,
  text,
  withForeigner,
} from "./_sockets.ts";

// ---- Receiving -------------------------------------------------------------------------------------------------------

Deno.test("recv gives what has come, at most what is asked for, and null at the end", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    yield* near.send("hello");
    log.push(text(yield* far.recv(2)), text(yield* far.recv(2)), text(yield* far.recv(100)));
    yield* near.closeWrite();
    log.push(yield* far.recv(), yield* far.recv(), far.bytesReceived, near.bytesSent);
  }));
  assertEquals(log, ["he", "ll", "o", null, null, 5, 5]);
});

Deno.test("a recv of bytes that have come does not switch", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    yield* near.send("abc");
    yield* readWait(far);
    yield* spawn(function* () {
      log.push("another task");
    });
    for (let i = 0; i < 3; i++) log.push(text(yield* far.recv(1)));
  }));
  assertEquals(log, ["a", "b", "c", "another task"]);
});

Deno.test("a recv that times out takes nothing: the next one gets the next byte", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    log.push(yield* said(timeout(1, far.recv())));
    yield* near.send("first");
    log.push(text(yield* far.recv()));
    // This one is cancelled when its bytes are there and before they are taken.
    log.push(yield* said(timeout(1, far.recvExactly(10))));
    yield* near.send("second");
    log.push(text(yield* far.recvExactly(6)), far.bytesReceived);
  }));
  assertEquals(log, ["TimeoutError", "first", "TimeoutError", "second", 11]);
});

Deno.test("accept, then recv, cancelled and retried: no connection and no byte is lost", async () => {
  const got = await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    const sent = yield* spawn(function* () {
      for (let i = 0; i < 20; i++) {
        using socket = yield* connect({ port: listener.addr.port });
        yield* socket.send(`${i},`);
      }
    });
    let got = "";
    for (let i = 0; i < 20;) {
      try {
        const [socket] = yield* timeout(0, listener.accept());
        i++;
        for (;;) {
          try {
            const data = yield* timeout(0, socket.recv(1));
            if (data === null) break;
            got += text(data);
          } catch (error) {
            if (!(error instanceof TimeoutError)) throw error;
            yield* sleep(1);
          }
        }
        socket.close();
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        yield* sleep(1);
      }
    }
    yield* sent;
    return got;
  });
  assertEquals(got, Array.from({ length: 20 }, (_, i) => `${i},`).join(""));
});

Deno.test("several who receive are served in order; one cancelled in the middle leaves the order of the others", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far) {
    const first = yield* saying(log, "a", () => far.recv(1));
    const killed = yield* spawn(far.recv(1));
    const rest = [yield* saying(log, "c", () => far.recv(1)), yield* saying(log, "d", () => far.recv(1))];
    yield;
    yield* kill(killed);
    yield* near.send("1");
    yield* first;
    yield* near.send("23");
    for (const task of rest) yield* task;
  }));
  assertEquals(log, ['a: "1"', 'c: "2"', 'd: "3"']);
});

Deno.test("when one who waits for much is killed, those behind get what was not enough", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far) {
    const greedy = yield* spawn(far.recvExactly(100));
    const modest = yield* saying(log, "modest", () => far.recv());
    yield* near.send("abc");
    const hearing = yield* saying(log, "line", () => far.recvLine());
    yield* sleep(1);
    log.push(`${greedy.waitingFor} | ${modest.waitingFor}`.replaceAll(/:\d+/g, ""));
    yield* kill(greedy);
    yield* modest;
    yield* near.send("x\n");
    yield* hearing;
  }));
  assertEquals(log, ["recvExactly 127.0.0.1 | recv 127.0.0.1", 'modest: "abc"', 'line: "x"']);
});

Deno.test("what recv gives is the caller's to keep, to change and to transfer", async () => {
  await perform(connected(function* (near, far) {
    for (const size of [1, 100, 1000, 5000, 50_000]) {
      const kept: Uint8Array<ArrayBuffer>[] = [];
      for (let i = 1; i <= 4; i++) {
        const message = new Uint8Array(size).fill(i);
        yield* near.send(message);
        const data = size < 1000 ? (yield* far.recv())! : yield* far.recvExactly(size);
        assertEquals(data, message);
        kept.push(data);
        data[0] = 99;
      }
      assertEquals(
        kept.map((data) => [data.at(0), data.at(-1)]),
        [1, 2, 3, 4].map((i) => [99, size === 1 ? 99 : i]),
      );
      // While the next read is pending already.
      const next = yield* spawn(far.recvExactly(3));
      yield;
      structuredClone(kept, { transfer: [...new Set(kept.map((data) => data.buffer))] });
      yield* near.send("abc");
      assertEquals(text(yield* next), "abc");
    }
  }));
});

Deno.test("recvInto puts what there is into the caller's memory, and leaves what has no room there", async () => {
  const memory = new Uint8Array(4);
  const received = (n: number | null) => n === null ? null : text(memory.subarray(0, n));
  for (const network of [undefined, new MemoryNetwork()]) {
    const log: unknown[] = [];
    await perform(
      connected(function* (near, far) {
        const first = yield* spawn(far.recvInto(memory));
        yield* near.send("abcdef");
        log.push(received(yield* first));
        yield* readWait(far);
        log.push(received(yield* far.recvInto(memory)), far.bytesReceived);
        yield* near.send("ghi\n");
        yield* readWait(far);
        log.push(text(yield* far.recv(1)), received(yield* far.recvInto(memory.subarray(0, 1))));
        log.push(yield* far.recvLine());
        near.close();
        log.push(yield* far.recvInto(memory));
      }),
      network,
    );
    assertEquals(log, ["abcd", "ef", 6, "g", "h", "i", null]);
  }
});

Deno.test("a recvInto that is cancelled takes nothing: its bytes are the next one's, whatever that is", async () => {
  const log: unknown[] = [];
  const memory = new Uint8Array(10);
  await perform(connected(function* (near, far) {
    const others = [far.recv(), far.recvLine(), far.recvInto(memory), far.recvInto(new Uint8Array(10))];
    for (const next of others as SystemCall<unknown>[]) {
      log.push(yield* said(timeout(1, far.recvInto(memory))));
      const received = yield* spawn(next);
      yield* near.send("abc\n");
      const value = yield* received;
      log.push(value instanceof Uint8Array ? text(value) : value);
    }
    log.push(yield* said(timeout(1, far.recvInto(memory))));
    yield* near.send("later");
    yield* readWait(far);
    memory.fill(0);
    log.push(text(yield* far.recv()), far.bytesReceived);
  }));
  assertEquals(log, [
    ...["TimeoutError", "abc\n", "TimeoutError", "abc", "TimeoutError", 4, "TimeoutError", 4],
    ...["TimeoutError", "later", 21],
  ]);
});

Deno.test("memory that is no use to recvInto is refused, and what is lost with it is told", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    for (const memory of [5, new Uint16Array(1), new Uint8Array(0)]) {
      try {
        far.recvInto(memory as Uint8Array<ArrayBuffer>);
      } catch (error) {
        log.push(String(error));
      }
    }
    const gone = new Uint8Array(5);
    const receiving = far.recvInto(gone);
    structuredClone(gone, { transfer: [gone.buffer] });
    log.push(yield* said(receiving));
    const meanwhile = new Uint8Array(5);
    const task = yield* spawn(said(far.recvInto(meanwhile)));
    yield;
    structuredClone(meanwhile, { transfer: [meanwhile.buffer] });
    yield* near.send("lost");
    log.push(yield* task, yield* said(far.recv()));
  }));
  assertEquals(log, [
    "TypeError: Cannot recvInto 5: a Uint8Array is wanted",
    "TypeError: Cannot recvInto an object of class Uint16Array: a Uint8Array is wanted",
    "RangeError: Cannot recvInto: the memory has no room",
    ...["TypeError", "TypeError", "TypeError"],
  ]);
});

Deno.test("recvExactly, recvUntil and readAll give memory of its own, filled from its start", async () => {
  await perform(connected(function* (near, far) {
    yield* near.send(new Uint8Array([9, 0, 0, 1, 0, 9, 9, 2]));
    near.close();
    yield* far.recv(1);
    assertEquals(new DataView((yield* far.recvExactly(4)).buffer).getUint32(0), 256);
    assertEquals(new Uint8Array((yield* far.recvUntil(new Uint8Array([9]))).buffer), new Uint8Array([9]));
    assertEquals(new Uint8Array((yield* far.readAll()).buffer), new Uint8Array([9, 2]));
  }));
});

Deno.test("a large transfer arrives whole, through reads of growing size, in both directions at once", async () => {
  const data = new Uint8Array(8_000_000).map((_, i) => (i * 7919) >> 3);
  await perform(connected(function* (near, far) {
    const tasks = [];
    for (const socket of [near, far]) {
      tasks.push(
        yield* spawn(function* () {
          yield* socket.send(data);
          yield* socket.closeWrite();
        }),
      );
    }
    for (const socket of [near, far]) {
      tasks.push(
        yield* spawn(function* () {
          let at = 0;
          for (let part; (part = yield* socket.recv()) !== null; at += part.length) {
            for (let i = 0; i < part.length; i += 997) assert(part[i] === data[at + i]);
          }
          assertEquals(at, data.length);
        }),
      );
    }
    for (const task of tasks) yield* task;
  }));
});

Deno.test("a closed socket refuses setNoDelay like everything else, and options are objects", async () => {
  await perform(connected(function* (near, far) {
    // deno-lint-ignore no-explicit-any -- bad input is what it is about
    const any = far as any;
    assertThrows(() => any.recvLine(5), TypeError, "options are an object");
    assertThrows(() => any.send("x", true), TypeError, "options are an object");
    assertThrows(() => any.readAll(null), TypeError, "options are an object");
    near.close();
    assertThrows(() => near.setNoDelay(), ClosedError, "setNoDelay");
  }));
});

Deno.test("a line of any length is text in UTF-8, and what is none is marked", async () => {
  await perform(connected(function* (near, far) {
    const lines = ["", "a", "é", "€uro", "12345678", "1234567é", "123456789", "\u{1F980}\u{1F980}\u{1F980}"];
    yield* near.send(lines.map((line) => line + "\n").join(""));
    yield* near.send(new Uint8Array([0x61, 0xff, 0x62, 0x0a, 0xe2, 0x82, 0x0a]));
    for (const line of [...lines, "a\ufffdb", "\ufffd"]) assertEquals(yield* far.recvLine(), line);
  }));
});

Deno.test("recvExactly, recvUntil, recvLine and readAll give what they say, however it arrives", async () => {
  const log: unknown[] = [];
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 1 });
    using near = yield* connect({ port: 1 });
    const [far] = yield* listener.accept();
    yield* spawn(function* () {
      for (const byte of "abcdeHTTP\r\n\r\nline\nwindows\r\n\r\n\u20ac\nlast of all") {
        yield* near.send(byte);
        yield;
      }
      near.close();
    });
    log.push(
      text(yield* far.recvExactly(5)),
      text(yield* far.recvExactly(0)),
      text(yield* far.recvUntil("\r\n\r\n")),
    );
    log.push(yield* far.recvLine(), yield* far.recvLine(), yield* far.recvLine(), yield* far.recvLine());
    log.push(
      text(yield* far.recvUntil(new Uint8Array([32]))),
      text(yield* far.readAll()),
      text(yield* far.readAll()),
    );
    log.push(yield* far.recvLine(), text(yield* far.recvExactly(0)));
    far.close();
  }, new MemoryNetwork({ most: 1 }));
  assertEquals(log, [
    "abcde",
    "",
    "HTTP\r\n\r\n",
    "line",
    "windows",
    "",
    "\u20ac",
    "last ",
    "of all",
    "",
    null,
    "",
  ]);
});

Deno.test("lines() gives one line after the other, the last without its end", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    yield* near.send("a\r\n\nb\r");
    near.close();
    const lines = far.lines();
    for (let line = yield* lines.next(); !line.done; line = yield* lines.next()) log.push(line.value);
    log.push((yield* lines.next()).done);
  }));
  assertEquals(log, ["a", "", "b\r", true]);
});

Deno.test("one that is cut off by the end of the stream throws EndOfStreamError with what came", async () => {
  const log: unknown[] = [];
  for (const receive of [(far: Socket) => far.recvExactly(10), (far: Socket) => far.recvUntil("\n")]) {
    await perform(connected(function* (near, far) {
      yield* near.send("abc");
      near.close();
      try {
        yield* receive(far);
      } catch (error) {
        assert(error instanceof EndOfStreamError);
        log.push(text(error.partial), error.message.replace(String(far), "the socket"));
      }
      log.push(yield* far.recv(), far.bytesReceived);
    }));
  }
  assertEquals(log, [
    ...["abc", "Cannot recvExactly: the socket ended after 3 of 10 bytes", null, 3],
    ...["abc", "Cannot recvUntil: the socket ended after 3 bytes without the delimiter", null, 3],
  ]);
});

Deno.test("where more comes than maxBytes, LimitError says so, and the bytes stay readable", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    yield* near.send("1234567890\n");
    yield* readWait(far);
    const calls = [
      far.recvUntil("\n", { maxBytes: 10 }),
      far.recvUntil("\n", { maxBytes: 11 }),
      far.recvLine({ maxBytes: 9 }),
      far.lines({ maxBytes: 9 }).next(),
      far.readAll({ maxBytes: 10 }),
      far.recvLine({ maxBytes: 10 }),
    ];
    for (const call of calls) {
      try {
        const value = yield* call;
        log.push(value instanceof Uint8Array ? text(value) : value);
        if (value instanceof Uint8Array) yield* near.send(value);
      } catch (error) {
        assert(error instanceof LimitError);
        log.push(error.limit);
      }
    }
    // A CR may be half of an end of line, and does not count until that is known.
    yield* near.send("1234\r");
    log.push(yield* said(timeout(1, far.recvLine({ maxBytes: 4 }))));
    yield* near.send("\n");
    log.push(yield* far.recvLine({ maxBytes: 4 }), far.bytesReceived);
  }));
  assertEquals(log, [10, "1234567890\n", 9, 9, 10, "1234567890", "TimeoutError", "1234", 28]);
});

Deno.test("a receiver that is cancelled while it gathers takes nothing", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    yield* near.send("abc");
    const calls: Operation<unknown>[] = [
      far.recvExactly(4),
      far.recvUntil("x"),
      far.recvLine(),
      far.readAll(),
    ];
    for (const call of calls) {
      log.push(yield* said(timeout(1, call)));
    }
    log.push(text(yield* far.recv()), far.bytesReceived);
  }));
  assertEquals(log, ["TimeoutError", "TimeoutError", "TimeoutError", "TimeoutError", "abc", 3]);
});

Deno.test("readWait takes nothing, answers at once when there is something, and at the end of the stream", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far) {
    const waiting = yield* saying(log, "readWait", () => readWait(far));
    yield;
    log.push(waiting.waitingFor!.replace(/:\d+/, ""));
    yield* near.send("abc");
    yield* waiting;
    yield* readWait(far);
    log.push(`recv: ${yield* said(far.recv())}`);
    near.close();
    yield* readWait(far);
    yield* readWait(far);
    log.push(`recv: ${yield* said(far.recv())}`);
  }));
  assertEquals(log, ["readWait 127.0.0.1", "readWait: done", 'recv: "abc"', "recv: null"]);
});

Deno.test("readWait of a listener answers when accept need not wait", async () => {
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    const waiting = yield* spawn(readWait(listener));
    yield;
    assertEquals(waiting.waitingFor, `readWait 127.0.0.1:${listener.addr.port}`);
    using near = yield* connect({ port: listener.addr.port });
    yield* waiting;
    yield* readWait(listener);
    const [far, addr] = yield* timeout(0, listener.accept());
    assertEquals(addr, near.localAddr);
    assertEquals(far.remoteAddr, near.localAddr);
    far.close();
  });
});

Deno.test("select between two sockets takes from one and loses nothing of the other", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far, listener) {
    using near2 = yield* connect({ port: listener.addr.port });
    const [far2] = yield* listener.accept();
    const choose = () => select({ one: far.recv(), two: far2.recv(), more: listener.accept() });
    const chosen = yield* spawn(choose());
    yield;
    yield* near2.send("second");
    const first = yield* chosen;
    yield* near.send("first");
    const second = yield* choose();
    for (const { name, value } of [first, second]) log.push(name, text(value as Uint8Array));
    yield* near.send("a");
    yield* near2.send("b");
    log.push(text(yield* far.recv()), text(yield* far2.recv()));
    far2.close();
  }));
  assertEquals(log, ["two", "second", "one", "first", "a", "b"]);
});

// ---- Sending ---------------------------------------------------------------------------------------------------------

Deno.test("send takes text as UTF-8, bytes as they are and not as a copy, and nothing as nothing", async () => {
  const network = new MemoryNetwork({ most: 4 });
  await perform(
    connected(function* (near, far) {
      yield* near.send("\u20ac1");
      yield* near.send("");
      yield* near.send(new Uint8Array());
      const data = new TextEncoder().encode("0123456789").subarray(1, 9);
      yield* near.send(data);
      assertEquals(text(yield* far.recvExactly(12)), "\u20ac112345678");
      const client = network.connections[0]![0];
      assertEquals(client.written.slice(1).map((part) => [part.buffer === data.buffer, part.byteOffset]), [
        [true, 1],
        [true, 5],
      ]);
    }),
    network,
  );
});

Deno.test("ten who send a thousand messages each on one socket: no message is torn, each one's are in order", async () => {
  await perform(connected(function* (near, far) {
    for (let writer = 0; writer < 10; writer++) {
      yield* spawn(function* () {
        for (let i = 0; i < 1000; i++) {
          const body = `${writer} ${i} `.padEnd(200 + (i * 37) % 900, String(writer));
          yield* near.send(`${body}\n`);
        }
      });
    }
    const next = new Array(10).fill(0);
    for (let n = 0; n < 10_000; n++) {
      const [, writer, i, rest] = /^(\d) (\d+) (\d*)$/.exec((yield* far.recvLine())!)!;
      assertEquals(Number(i), next[Number(writer)]++);
      assert(rest === writer!.repeat(rest!.length));
    }
  }));
});

Deno.test("a send of 20 MB to one who does not read makes only its own task wait", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far, listener) {
    const stuck = yield* spawn(near.send(new Uint8Array(20_000_000)));
    yield* sleep(1);
    log.push(stuck.waitingFor!.replace(/:\d+/, ""));
    using other = yield* connect({ port: listener.addr.port });
    const [served] = yield* listener.accept();
    yield* other.send("hello");
    log.push(text(yield* served.recv())!);
    served.close();
    log.push(stuck.state);
    yield* drain(far, 20_000_000);
    yield* stuck;
    log.push(String(near.bytesSent));
  }));
  assertEquals(log, ["send 127.0.0.1", "hello", "waiting", "20000000"]);
});

Deno.test("of a 20 MB send that is cut by a timeout the other end reads exactly bytesSent", async () => {
  await perform(connected(function* (near, far) {
    const data = new Uint8Array(20_000_000).map((_, i) => i >> 8);
    assertEquals(yield* said(timeout(5, near.send(data))), "TimeoutError");
    const reading = yield* spawn(far.readAll());
    yield* writeWait(near);
    const sent = near.bytesSent;
    assert(sent > 0 && sent < data.length);
    near.close();
    assertEquals(yield* reading, data.slice(0, sent));
    assertEquals(near.bytesSent, sent);
  }));
});

Deno.test("after a send that was cut in the middle, later ones are refused, unless they say that they continue", async () => {
  const log: unknown[] = [];
  await perform(
    connected(function* (near, far) {
      const data = new TextEncoder().encode("0123456789");
      log.push(yield* said(timeout(1, near.send(data))));
      const waiting = yield* saying(log, "one that waited", () => near.send("x"));
      yield;
      log.push(near.bytesSent, text(yield* far.recvExactly(4)));
      yield* writeWait(near);
      yield* waiting;
      const { bytesSent } = near;
      try {
        yield* near.send("x");
      } catch (error) {
        assert(error instanceof InvalidStateError);
        log.push(error.message.replace(String(near), "the socket"));
      }
      const rest = yield* spawn(near.send(data.subarray(bytesSent), { continues: true }));
      const after = yield* saying(log, "after", () => near.send("!"));
      log.push(text(yield* far.recvExactly(6)));
      yield* rest;
      yield* after;
      log.push(text(yield* far.recv()));
    }),
    new MemoryNetwork({ capacity: 4 }),
  );
  assertEquals(log, [
    "TimeoutError",
    4,
    "0123",
    "one that waited: InvalidStateError",
    "Cannot send: of an earlier send only 8 of 10 bytes went out on the socket; a send that knows how to go on says " +
    "{ continues: true }",
    "after: done",
    "456789",
    "!",
  ]);
});

Deno.test("a send that is cancelled before its turn, or whose last write is in flight, tears nothing", async () => {
  const log: unknown[] = [];
  await perform(
    connected(function* (near, far) {
      const first = yield* spawn(near.send("aaaaaa"));
      const second = yield* spawn(near.send("bb"));
      const third = yield* spawn(near.send("ccc"));
      yield;
      yield* kill(second);
      log.push(text(yield* far.recvExactly(4)));
      yield* first;
      // The third has brought out two bytes beside the last two of the first; the last one is in flight.
      yield* kill(third);
      log.push(text(yield* far.recvExactly(5)));
      yield* writeWait(near);
      yield* near.send("d");
      log.push(text(yield* far.recv()), near.bytesSent);
    }),
    new MemoryNetwork({ capacity: 4 }),
  );
  assertEquals(log, ["aaaa", "aaccc", "d", 10]);
});

Deno.test("writeWait answers when nothing is in flight, at once if that is so", async () => {
  const log: string[] = [];
  await perform(
    connected(function* (near, far) {
      yield* writeWait(near);
      const sending = yield* saying(log, "send", () => near.send("123456"));
      const waiting = yield* saying(log, "writeWait", () => writeWait(near));
      yield;
      log.push(waiting.waitingFor!.replace(/:\d+/, ""));
      yield* far.recvExactly(6);
      yield* sending;
      yield* waiting;
    }),
    new MemoryNetwork({ capacity: 4 }),
  );
  assertEquals(log, ["writeWait 127.0.0.1", "send: done", "writeWait: done"]);
});

Deno.test("closeWrite waits for the sends before it; the other direction goes on; twice does no harm", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    const data = new Uint8Array(10_000_000);
    yield* spawn(near.send(data));
    const closing = yield* saying(log, "closeWrite", () => near.closeWrite());
    yield;
    log.push(closing.waitingFor!.replace(/:\d+/, ""));
    const { length } = yield* far.readAll();
    yield* closing;
    log.push(length);
    yield* near.closeWrite();
    log.push(yield* said(near.send("x")));
    yield* far.send("still here");
    log.push(text(yield* near.recv()));
    yield* far.closeWrite();
    log.push(yield* near.recv());
  }));
  assertEquals(log, [
    "closeWrite 127.0.0.1",
    "closeWrite: done",
    10_000_000,
    "ClosedError",
    "still here",
    null,
  ]);
});

Deno.test("a closeWrite that is cancelled before its turn leaves the socket open for writing", async () => {
  await perform(
    connected(function* (near, far) {
      const sending = yield* spawn(near.send("123456"));
      const closing = yield* spawn(near.closeWrite());
      yield;
      yield* kill(closing);
      assertEquals(text(yield* far.recvExactly(6)), "123456");
      yield* sending;
      yield* near.send("more");
      assertEquals(text(yield* far.recv()), "more");
    }),
    new MemoryNetwork({ capacity: 4 }),
  );
});

// ---- Closing ---------------------------------------------------------------------------------------------------------

Deno.test("close() wakes one who reads, one who writes and one who accepts with ClosedError, and so do later calls", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, _far, listener) {
    const calls: [string, () => Operation<unknown>][] = [
      ["recv", () => near.recv()],
      ["readWait", () => readWait(near)],
      ["recvLine", () => near.recvLine()],
      ["send", () => near.send(new Uint8Array(20_000_000))],
      ["closeWrite", () => near.closeWrite()],
      ["writeWait", () => writeWait(near)],
      ["accept", () => listener.accept()],
      ["readWait of the listener", () => readWait(listener)],
    ];
    const tasks = [];
    for (const [name, call] of calls) tasks.push(yield* saying(log, name, call));
    yield* sleep(1);
    for (const source of [near, near, listener, listener]) source.close();
    for (const task of tasks) yield* task;
    log.push("later");
    for (const [name, call] of calls) log.push(`${name}: ${yield* said(call())}`);
  }));
  const closed = [
    "recv: ClosedError",
    "readWait: ClosedError",
    "recvLine: ClosedError",
    "send: ClosedError",
    "closeWrite: ClosedError",
    "writeWait: ClosedError",
    "accept: ClosedError",
    "readWait of the listener: ClosedError",
  ];
  assertEquals(log, [...closed, "later", ...closed]);
});

Deno.test("ClosedError says what could not be done with what", async () => {
  const messages: string[] = [];
  await perform(connected(function* (near, _far, listener) {
    near.close();
    listener.close();
    for (const call of [near.recv(), near.send("x"), listener.accept()]) {
      try {
        yield* call as Operation<unknown>;
      } catch (error) {
        assert(error instanceof ClosedError);
        messages.push(error.message.replaceAll(/:\d+/g, ":n"));
      }
    }
  }));
  assertEquals(messages, [
    "Cannot recv: socket 127.0.0.1:n is closed",
    "Cannot send: socket 127.0.0.1:n is closed",
    "Cannot accept: listener 127.0.0.1:n is closed",
  ]);
});

Deno.test("a socket closed under one who waits does not wake the one who got its descriptor", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far, listener) {
    const old = yield* saying(log, "old", () => near.recv());
    yield;
    near.close();
    using next = yield* connect({ port: listener.addr.port });
    const [other] = yield* listener.accept();
    const waiting = yield* saying(log, "next", () => next.recv());
    yield* other.send("for the next one");
    yield* old;
    yield* waiting;
    assertEquals(yield* far.recv(), null);
    other.close();
  }));
  assertEquals(log, ["old: ClosedError", 'next: "for the next one"']);
});

Deno.test("a killed server closes its listener, and its port can be listened on again", async () => {
  await perform(function* () {
    let port = 0;
    const server = yield* spawn(function* () {
      using listener = listen({ hostname: LOCAL, port: 0 });
      port = listener.addr.port;
      for (;;) (yield* listener.accept())[0].close();
    });
    yield;
    yield* kill(server);
    // The host lets go of the port in its next turn only.
    let answer;
    do answer = yield* said(connect({ port })); while (answer === "ConnectionReset");
    assertEquals(answer, "ConnectionRefused");
    listen({ hostname: LOCAL, port }).close();
  });
});

Deno.test("the cleanup of one who is killed in a recv may still send, and close", async () => {
  const log: unknown[] = [];
  await perform(connected(function* (near, far) {
    const client = yield* spawn(function* () {
      try {
        yield* near.recv();
      } finally {
        yield* near.send("bye");
        near.close();
      }
    });
    yield;
    yield* kill(client);
    log.push(text(yield* far.readAll()));
  }));
  assertEquals(log, ["bye"]);
});

Deno.test("using disposes of sockets and listeners", async () => {
  await perform(function* () {
    let one: Socket, two: Listener;
    {
      using listener = listen({ hostname: LOCAL, port: 0 });
      using near = yield* connect({ port: listener.addr.port });
      [one, two] = [near, listener];
    }
    assertEquals([yield* said(one.recv()), yield* said(two.accept())], ["ClosedError", "ClosedError"]);
  });
});

// ---- Failing ---------------------------------------------------------------------------------------------------------

Deno.test("a client's reset fails its handler only: the other clients and the server go on", async () => {
  const log: string[] = [];
  const unheard: unknown[] = [];
  const scheduler = new Scheduler({ onUnhandledError: (error) => void unheard.push((error as Error).name) });
  await scheduler.run(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    yield* spawn(function* server() {
      for (let i = 1; i <= 3; i++) {
        const [client] = yield* listener.accept();
        yield new NewTask(function* () {
          try {
            for (let data; (data = yield* client.recv()) !== null;) yield* client.send(data);
            log.push(`${i} ended`);
          } finally {
            log.push(`${i} closed`);
            client.close();
          }
        });
      }
    });
    yield* withForeigner(listener.addr.port, function* (order) {
      yield* order("send hello");
      using two = yield* connect({ port: listener.addr.port });
      using three = yield* connect({ port: listener.addr.port });
      for (const word of ["hello", "again"]) {
        for (const client of [two, three]) {
          yield* client.send(word);
          log.push(text(yield* client.recvExactly(5))!);
        }
        if (word === "hello") yield* order("reset");
      }
    });
  });
  assertEquals(log.slice(0, 2), ["hello", "hello"]);
  assertEquals(log.slice(2).toSorted(), [
    "1 closed",
    "2 closed",
    "2 ended",
    "3 closed",
    "3 ended",
    "again",
    "again",
  ]);
  assertEquals(unheard, ["ConnectionReset"]);
});

Deno.test("bytes that came before a reset come first; then it is the error of all who receive and send, for good", async () => {
  const log: string[] = [];
  await perform(connectedToForeigner(function* (far, order) {
    yield* order("send last words");
    yield* readWait(far);
    yield* order("reset");
    log.push(yield* said(far.recv()));
    const tasks = [];
    for (const name of ["a", "b"]) tasks.push(yield* saying(log, name, () => far.recv()));
    for (const task of tasks) yield* task;
    log.push(...log.splice(1).sort()); // the second may come when the reset is known already, and need not wait
    const calls: Operation<unknown>[] = [far.recv(), far.send("x"), far.recvExactly(1), far.closeWrite()];
    for (const call of calls) log.push(yield* said(call));
    yield* readWait(far);
    yield* writeWait(far);
  }));
  assertEquals(log, [
    '"last words"',
    "a: ConnectionReset",
    "b: ConnectionReset",
    "ConnectionReset",
    "ConnectionReset",
    "ConnectionReset",
    "ConnectionReset",
  ]);
});

Deno.test("a reset that a send meets first is the error of those who receive as well, after what has come", async () => {
  const log: string[] = [];
  await perform(connectedToForeigner(function* (far, order) {
    yield* order("send last words");
    yield* order("reset");
    // Nobody receives: it is a send that finds out.
    for (let i = 0; i < 2; i++) log.push(yield* said(far.send("x")));
    for (let i = 0; i < 3; i++) log.push(yield* said(far.recv()));
  }));
  assertEquals(log, [
    "ConnectionReset",
    "ConnectionReset",
    '"last words"',
    "ConnectionReset",
    "ConnectionReset",
  ]);
});

Deno.test("a reset while nobody waits is nobody's error until somebody uses the socket", async () => {
  const log: string[] = [];
  await perform(connectedToForeigner(function* (far, order) {
    log.push(yield* said(timeout(1, far.recv()))); // its read stays pending
    yield* order("reset");
    yield* sleep(1);
    log.push("quiet", yield* said(far.recv()));
  }));
  assertEquals(log, ["TimeoutError", "quiet", "ConnectionReset"]);
});

Deno.test("a reset in the middle of a send fails that send, those that wait behind it, and the reader", async () => {
  const log: string[] = [];
  await perform(connectedToForeigner(function* (far, order) {
    const tasks = [
      yield* saying(log, "send", () => far.send(new Uint8Array(20_000_000))),
      yield* saying(log, "behind", () => far.send("x")),
      yield* saying(log, "recv", () => far.recv()),
    ];
    yield;
    yield* order("reset");
    for (const task of tasks) yield* task;
  }));
  assertEquals(log.toSorted(), ["behind: ConnectionReset", "recv: ConnectionReset", "send: ConnectionReset"]);
});

Deno.test("who sends to one that has gone fails, and nobody else", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far) {
    near.close();
    assertEquals(yield* far.recv(), null);
    let answer;
    do answer = yield* said(far.send(new Uint8Array(1000))); while (answer === "done");
    log.push(answer, yield* said(far.send("x")), yield* said(far.recv()));
  }));
  assertEquals(log, ["BrokenPipe", "BrokenPipe", "null"]);
});

Deno.test("a connection that was reset before it could be accepted is skipped", async () => {
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    yield* withForeigner(listener.addr.port, (order) => order("reset"));
    using near = yield* connect({ port: listener.addr.port });
    const [far, addr] = yield* listener.accept();
    assertEquals(addr, near.localAddr);
    far.close();
  });
});

Deno.test("what an accept fails with is told to the one who accepts, or to the next one, and the next accept goes on", async () => {
  const log: string[] = [];
  const network = new MemoryNetwork();
  await perform(function* () {
    using listener = listen({ port: 7 });
    const address = function* (): Coroutine<string> {
      const [socket, addr] = yield* listener.accept();
      socket.close();
      return addr.hostname;
    };
    const tasks = [];
    for (const name of ["a", "b"]) tasks.push(yield* saying(log, name, address));
    yield;
    network.failAccept(7, Object.assign(new Error("Too many open files"), { code: "EMFILE" }));
    network.failAccept(7, hostError("NotConnected"));
    (yield* connect({ port: 7 })).close();
    for (const task of tasks) yield* task;
    log.push(yield* said(timeout(0, listener.accept())));
    network.failAccept(7, Object.assign(new Error("Too many open files"), { code: "EMFILE" }));
    yield* readWait(listener);
    log.push(yield* said(listener.accept()));
    (yield* connect({ port: 7 })).close();
    log.push(yield* address());
  }, network);
  assertEquals(log, ["a: Error", 'b: "127.0.0.1"', "TimeoutError", "Error", "127.0.0.1"]);
});

Deno.test("several who accept are served in order", async () => {
  const log: string[] = [];
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    const tasks = [];
    for (const name of ["a", "b", "c"]) {
      tasks.push(
        yield* spawn(function* () {
          const [socket] = yield* listener.accept();
          log.push(`${name}: ${text(yield* socket.recv())}`);
          socket.close();
        }),
      );
    }
    yield;
    assertEquals(tasks[0]!.waitingFor, `accept 127.0.0.1:${listener.addr.port}`);
    yield* kill(tasks[0]!);
    for (const word of ["first", "second"]) {
      using near = yield* connect({ port: listener.addr.port });
      yield* near.send(word);
    }
    for (const task of tasks.slice(1)) yield* task;
  });
  assertEquals(log, ["b: first", "c: second"]);
});

Deno.test("a connection that was accepted for nobody is closed with its listener", async () => {
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    assertEquals(yield* said(timeout(1, listener.accept())), "TimeoutError");
    using near = yield* connect({ port: listener.addr.port });
    yield* readWait(listener);
    listener.close();
    assertEquals(yield* near.recv(), null);
  });
});

// ---- Connecting ------------------------------------------------------------------------------------------------------

Deno.test("connect fails with the host's error, and names what it waits for", async () => {
  await perform(function* () {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const { port } = listener.addr;
    const connecting = yield* spawn(connect({ hostname: LOCAL, port }));
    yield;
    assertEquals(connecting.waitingFor, `connect 127.0.0.1:${port}`);
    (yield* connecting).close();
    listener.close();
    assertEquals(yield* said(connect({ port })), "ConnectionRefused");
  });
});

Deno.test("a connect that is cancelled leaves no connection behind, even if it succeeds all the same", async () => {
  const network = new MemoryNetwork();
  await perform(function* () {
    using _listener = listen({ port: 7 });
    network.held = [];
    assertEquals(yield* said(timeout(1, connect({ port: 7 }))), "TimeoutError");
    assertEquals(network.cancelled, 1);
    network.held[0]!();
    assertEquals(network.connections[0]![0].log, ["close"]);
  }, network);
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    for (let i = 0; i < 50; i++) {
      const connecting = yield* spawn(connect({ port: listener.addr.port }));
      if (i % 2 === 0) yield;
      yield* kill(connecting);
      // It may have had its connection already, as its value.
      if (connecting.outcome?.kind === "returned") connecting.outcome.value.close();
    }
  });
});

Deno.test("listen throws the host's error", async () => {
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    assertThrows(() => listen({ hostname: LOCAL, port: listener.addr.port }), Deno.errors.AddrInUse);
  });
});

Deno.test("listen and connect work outside tasks, and on the default scheduler", async () => {
  using listener = listen({ hostname: LOCAL, port: 0 });
  const [heard] = await run(function* () {
    const serving = yield* spawn(function* () {
      const [socket] = yield* listener.accept();
      const data = yield* socket.recv();
      socket.close();
      return text(data);
    });
    using socket = yield* connect({ port: listener.addr.port });
    yield* socket.send("hi");
    return [yield* serving];
  });
  assertEquals(heard, "hi");
});

// ---- Arguments and words ---------------------------------------------------------------------------------------------

Deno.test("bad input is refused where it is given, before anything waits", async () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  for (const port of [-1, 65_536, 1.5, NaN, Infinity]) {
    assertThrows(() => listen({ port }), RangeError, "port");
    assertThrows(() => connect({ port }), RangeError, "port");
  }
  assertThrows(() => connect({ port: 0 }), RangeError, "port");
  for (
    const options of [undefined, null, 5678, {}, { port: "5678" }, { port: null }, { port: 1, hostname: 1 }]
  ) {
    assertThrows(() => listen(any(options)), TypeError);
    assertThrows(() => connect(any(options)), TypeError);
  }
  await perform(connected(function* (near) {
    for (const n of [0, -1, NaN, 1.5]) assertThrows(() => near.recv(n), RangeError, "bytes");
    for (const n of ["x", null, {}, 1n]) assertThrows(() => near.recv(any(n)), TypeError, "bytes");
    for (const n of [-1, NaN, 1.5]) assertThrows(() => near.recvExactly(n), RangeError, "bytes");
    assertThrows(() => near.recvExactly(any(undefined)), TypeError);
    for (const data of [undefined, null, 5, {}, [1, 2], new ArrayBuffer(1)]) {
      assertThrows(() => near.send(any(data)), TypeError, "a Uint8Array or a string is wanted");
      assertThrows(() => near.recvUntil(any(data)), TypeError);
    }
    assertThrows(() => near.recvUntil(""), TypeError, "empty");
    for (const maxBytes of [0, -1, NaN]) {
      assertThrows(() => near.recvLine({ maxBytes }), RangeError);
      assertThrows(() => near.recvUntil("x", { maxBytes }), RangeError);
      assertThrows(() => near.readAll({ maxBytes }), RangeError);
      assertThrows(() => near.lines({ maxBytes }), RangeError);
    }
    yield;
  }));
});

Deno.test("sockets and listeners say who they are", async () => {
  await perform(connected(function* (near, far, listener) {
    assertEquals(String(listener), `listener 127.0.0.1:${listener.addr.port}`);
    assertEquals(String(near), `socket 127.0.0.1:${listener.addr.port}`);
    assertEquals(near.localAddr, far.remoteAddr);
    assertEquals(near.remoteAddr, far.localAddr);
    yield;
  }));
  const network = new MemoryNetwork();
  const words = await perform(function* () {
    yield;
    return String(listen({ hostname: "::1", port: 5 }));
  }, network);
  assertEquals(words, "listener [::1]:5");
});

// ---- The host --------------------------------------------------------------------------------------------------------

Deno.test("a pending read that nobody waits for hides no deadlock", async () => {
  const scheduler = new Scheduler();
  await assertRejects(
    () =>
      scheduler.run(connected(function* (_near, far) {
        yield* said(timeout(1, far.recv()));
        yield* new Event().wait();
      })),
    DeadlockError,
  );
});

Deno.test("a pending read keeps the process alive only while somebody waits for it", async () => {
  const network = new MemoryNetwork();
  await perform(
    connected(function* (_near, far) {
      const server = network.connections[0]![1];
      yield* said(timeout(0, far.recv()));
      const waiting = yield* spawn(far.recv());
      yield;
      yield* kill(waiting);
      assertEquals(server.log, ["unref", "ref", "unref"]);
    }),
    network,
  );
  const program = `
import { listen, run, timeout } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
await run(function* () {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  try { yield* timeout(1, listener.accept()); } catch { console.log("nobody came"); }
});`;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  assertEquals([code, text(stdout)], [0, "nobody came\n"]);
});

Deno.test("where the host answers at once nothing recurses, and a task that never waits keeps no other from running", async () => {
  let others = 0;
  const network = new MemoryNetwork({ most: 1, capacity: 2 });
  await perform(
    connected(function* (near, far) {
      const other = yield* spawn(function* () {
        for (;; others++) yield;
      });
      const data = new Uint8Array(100_000);
      const receiving = yield* spawn(far.recvExactly(data.length));
      yield* near.send(data);
      assertEquals((yield* receiving).length, data.length);
      for (let i = 0; i < 10_000; i++) {
        yield* near.send("x");
        yield* far.recv();
      }
      yield* kill(other);
    }),
    network,
  );
  assert(others > 10);
});
