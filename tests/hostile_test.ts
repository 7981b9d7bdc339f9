import { assert, assertEquals } from "@std/assert";
import {
  connect,
  type Coroutine,
  join,
  kill,
  LimitError,
  listen,
  type Operation,
  Scheduler,
  serve,
  sleep,
  type Socket,
  spawn,
  type Task,
  taskGroup,
  timeout,
  until,
} from "../mod.ts";
import { sweep } from "../testing.ts";
import { LOCAL, perform, said, text } from "./_sockets.ts";

function* echo(socket: Socket): Coroutine<void> {
  for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
}

/** A server for as long as `body` takes. What its handlers fail with goes to `failures`; it must be able to serve afterwards. */
function* serving<T>(
  handler: (socket: Socket) => Coroutine<unknown>,
  body: (port: number, failures: string[]) => Operation<T>,
): Coroutine<T> {
  const failures: string[] = [];
  let served = 0;
  const listener = listen({ hostname: LOCAL, port: 0 });
  const { port } = listener.addr;
  const server = yield* spawn(serve(listener, function* (socket) {
    served++;
    yield* handler(socket);
  }, { onError: (error) => void failures.push((error as Error).name) }));
  try {
    const value = yield* body(port, failures);
    const before = served;
    using after = yield* connect({ port });
    yield* after.send("still\nserving\n");
    yield* after.closeWrite();
    yield* said(after.readAll());
    assert(served > before);
    return value;
  } finally {
    yield* kill(server);
    assertEquals(Scheduler.current().tasks.size, 1);
  }
}

/** Runs a program in Python, whose socket module can do what Deno's cannot; it must end well. */
function* python(program: string, ...args: unknown[]): Coroutine<string> {
  const child = new Deno.Command("python3", {
    args: ["-c", `import socket, struct, sys\nport = int(sys.argv[1])\n${program}`, ...args.map(String)],
    stdout: "piped",
  });
  const { success, stdout } = yield* until(child.output());
  assert(success);
  return text(stdout)!.trim();
}

const RESET = `
def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
`;

// ---- Resets and ends -------------------------------------------------------------------------------------------------

Deno.test("a storm of resets, at every point of a connection's life, costs nothing but those connections", async () => {
  await perform(serving(echo, function* (port, failures) {
    yield* python(
      `${RESET}
for i in range(1000):
    client = socket.create_connection(("127.0.0.1", port))
    point = i % 5
    if point >= 1: client.sendall(b"hello" * (1 + i % 100))
    if point == 2: client.recv(1)
    if point == 3: client.recv(1000)
    if point == 4: client.shutdown(socket.SHUT_WR)
    reset(client)
`,
      port,
    );
    assertEquals([...new Set(failures)].filter((name) => name !== "BrokenPipe"), ["ConnectionReset"]);
  }));
});

Deno.test("a reset under those who send much fails them only", async () => {
  await perform(serving(
    function* (socket) {
      yield* socket.recv();
      yield* socket.send(new Uint8Array(20_000_000));
    },
    function* (port, failures) {
      yield* python(
        `${RESET}
clients = [socket.create_connection(("127.0.0.1", port)) for i in range(20)]
for client in clients:
    client.sendall(b"go")
    client.recv(1)
for client in clients: reset(client)
`,
        port,
      );
      while (failures.length < 20) yield* sleep(1);
      assertEquals(new Set(failures), new Set(["ConnectionReset"]));
    },
  ));
});

Deno.test("a connection may end in either order, at one end or at both, with bytes on the way", async () => {
  const log: string[] = [];
  const endings: [
    name: string,
    near: (socket: Socket) => Coroutine<void>,
    far: (socket: Socket) => Coroutine<void>,
  ][] = [
    ["near first", function* (near) {
      yield* near.send("question");
      yield* near.closeWrite();
      log.push(`near: ${yield* said(near.readAll())}`);
    }, function* (far) {
      log.push(`far: ${yield* said(far.readAll())}`);
      yield* far.send("answer");
    }],
    ["far first", function* (near) {
      log.push(`near: ${yield* said(near.readAll())}`);
      yield* near.send("thanks");
    }, function* (far) {
      yield* far.send("greeting");
      yield* far.closeWrite();
      log.push(`far: ${yield* said(far.readAll())}`);
    }],
    ["both at once", function* (near) {
      yield* near.send("from near");
      yield* near.closeWrite();
      log.push(`near: ${yield* said(near.readAll())}`);
    }, function* (far) {
      yield* far.send("from far");
      yield* far.closeWrite();
      log.push(`far: ${yield* said(far.readAll())}`);
    }],
  ];
  for (const [name, near, far] of endings) {
    log.push(name);
    const at = log.length;
    await perform(function* () {
      using listener = listen({ hostname: LOCAL, port: 0 });
      const tasks: Task<void>[] = [
        yield* spawn(function* () {
          using socket = yield* connect({ port: listener.addr.port });
          yield* near(socket);
        }),
        yield* spawn(function* () {
          using socket = (yield* listener.accept())[0];
          yield* far(socket);
        }),
      ];
      for (const task of tasks) yield* join(task);
    });
    log.push(...log.splice(at).toSorted());
  }
  assertEquals(log, [
    ...["near first", 'far: "question"', 'near: "answer"'],
    ...["far first", 'far: "thanks"', 'near: "greeting"'],
    ...["both at once", 'far: "from near"', 'near: "from far"'],
  ]);
});

// ---- Too slow, too much, nonsense ------------------------------------------------------------------------------------

Deno.test("lines that come byte by byte are lines", async () => {
  const log: unknown[] = [];
  await perform(serving(
    function* (socket) {
      for (let line; (line = yield* socket.recvLine({ maxBytes: 10 })) !== null;) {
        log.push(line);
        yield* socket.send("ok\n");
      }
    },
    function* (port) {
      log.push(
        yield* python(
          `
client = socket.create_connection(("127.0.0.1", port))
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for byte in b"one\\r\\ntwo\\nthree\\r\\n": client.send(bytes([byte]))
client.shutdown(socket.SHUT_WR)
answer = b""
while True:
    part = client.recv(100)
    if not part: break
    answer += part
print(answer.count(b"ok"))`,
          port,
        ),
      );
    },
  ));
  assertEquals(log, ["one", "two", "three", "3", "still", "serving"]);
});

Deno.test("clients that never read hold up nobody else, and a kill ends them all", async () => {
  await perform(function* () {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const { port } = listener.addr;
    let stuck = 0;
    const server = yield* spawn(serve(listener, function* (socket) {
      if ((yield* socket.recvLine()) === "all") {
        stuck++;
        yield* socket.send(new Uint8Array(20_000_000));
        stuck--;
      }
      yield* socket.send("hello");
    }));
    const slow: Socket[] = [];
    for (let i = 0; i < 50; i++) {
      const socket = yield* connect({ port });
      yield* socket.send("all\n");
      slow.push(socket);
    }
    while (stuck < 50) yield* sleep(1);
    using quick = yield* connect({ port });
    yield* quick.send("little\n");
    assertEquals(text(yield* quick.readAll()), "hello");
    assertEquals(stuck, 50);
    yield* kill(server);
    for (const socket of slow) socket.close();
  });
});

Deno.test("of a line without an end no more is kept than maxBytes and a read, and the client is turned away", async () => {
  let kept = 0;
  await perform(serving(
    function* (socket) {
      try {
        yield* socket.recvLine({ maxBytes: 65_536 });
        yield* socket.send("ok");
      } catch (error) {
        assert(error instanceof LimitError);
        kept = (yield* socket.recv())!.length;
      }
    },
    function* (port) {
      const sent = Number(
        yield* python(
          `
client = socket.create_connection(("127.0.0.1", port))
sent = 0
try:
    while sent < 1 << 30:
        sent += client.send(b"x" * 65536)
except OSError:
    pass
print(sent)`,
          port,
        ),
      );
      assert(sent < 100_000_000, `${sent} bytes`);
    },
  ));
  assert(kept > 65_536 && kept <= 4 * 65_536, `${kept} bytes`);
});

Deno.test("garbage is bytes like others, up to the limit that one sets", async () => {
  const garbage = new Uint8Array(100_000).map((_, i) => (i * 7919 >> 3) % 251);
  await perform(serving(
    function* (socket) {
      yield* socket.recvUntil(new Uint8Array([255, 254]), { maxBytes: 50_000 });
    },
    function* (port, failures) {
      using socket = yield* connect({ port });
      yield* said(socket.send(garbage));
      yield* said(socket.readAll());
      assertEquals(failures, ["LimitError"]);
      using other = yield* connect({ port });
      yield* other.send(garbage.subarray(0, 1000));
      yield* other.closeWrite();
      yield* said(other.readAll());
      assertEquals(failures, ["LimitError", "EndOfStreamError"]);
      using last = yield* connect({ port });
      yield* last.send(new Uint8Array([1, 255, 254]));
      assertEquals(yield* last.recv(), null);
    },
  ));
});

// ---- Nothing is left -------------------------------------------------------------------------------------------------

Deno.test({
  name: "connections that are opened, used, closed and opened again leave no descriptor behind",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
    await perform(serving(echo, function* (port) {
      const round = function* (): Coroutine<number> {
        const sockets: Socket[] = [];
        for (let i = 0; i < 300; i++) sockets.push(yield* connect({ port }));
        for (const socket of sockets) yield* socket.send("hello");
        for (const socket of sockets) assertEquals(text(yield* socket.recv()), "hello");
        const open = descriptors();
        for (const socket of sockets) socket.close();
        while (Scheduler.current().tasks.size > 2) yield* sleep(1);
        return open;
      };
      yield* round();
      yield* sleep(20); // the host closes some turns later
      const before = descriptors();
      for (let i = 0; i < 3; i++) assert((yield* round()) >= before + 600);
      for (let i = 0; i < 1000 && descriptors() > before; i++) yield* sleep(1);
      assert(descriptors() <= before);
    }));
  },
});

Deno.test("whoever is killed, at whichever step, no connection is left open and no listener", () => {
  const client = function* (): Coroutine<void> {
    using socket = yield* connect({ port: 7 });
    yield* socket.send("hello");
    yield* socket.recv();
  };
  for (const network of [{}, { latency: [1, 30], segment: [1, Infinity], seed: 1 }] as const) {
    for (const victims of ["main", "any"] as const) {
      const { steps } = sweep(() =>
        taskGroup(function* (group) {
          const server = group.spawn(
            serve(listen({ port: 7 }), echo, { maxConnections: 2, grace: 1, onError() {} }),
          );
          const clients = Array.from({ length: 4 }, () => group.spawn(said(client())));
          for (const task of clients) yield* said(task);
          yield* kill(server);
        }), { victims, network });
      assert(steps > 15);
    }
  }
});

Deno.test("a handler's timeouts hold whatever its client does", async () => {
  await perform(serving(
    function* (socket) {
      yield* timeout(20, function* () {
        while ((yield* socket.recvLine()) !== "serving");
      });
      yield* socket.send("ok");
    },
    function* (port, failures) {
      using silent = yield* connect({ port });
      using chatty = yield* connect({ port });
      const chatting = yield* spawn(function* () {
        try {
          for (;;) {
            yield* chatty.send("and another thing\n");
            yield* sleep(1);
          }
        } catch {
          // The handler is gone: a send may find that out before this is killed.
        }
      });
      assertEquals(yield* said(silent.recv()), "null");
      yield* said(chatty.readAll());
      yield* kill(chatting);
      assertEquals(failures, ["TimeoutError", "TimeoutError"]);
    },
  ));
});
