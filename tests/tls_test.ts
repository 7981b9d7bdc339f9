import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  connect,
  type Coroutine,
  kill,
  listen,
  type Listener,
  type Operation,
  readWait,
  select,
  serve,
  sleep,
  type Socket,
  spawn,
  taskGroup,
  timeout,
  type TlsConnectOptions,
  type TlsListenOptions,
  until,
  writeWait,
} from "../mod.ts";
import { MemoryNetwork } from "./_memory_network.ts";
import { connected, drain, LOCAL, perform, said, text } from "./_sockets.ts";

function pem(name: string): string {
  return Deno.readTextFileSync(new URL(`tls/${name}`, import.meta.url));
}

const SERVER = { cert: pem("localhost.crt"), key: pem("localhost.key") };
const TRUSTING = { caCerts: [pem("ca.crt")] };
const ca = new URL("tls/ca.crt", import.meta.url).pathname;

function* echo(socket: Socket): Coroutine<void> {
  for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
}

/** A TLS listener and both ends of a connection to it. */
function* secured<T>(
  body: (near: Socket, far: Socket, listener: Listener<Deno.NetAddr>) => Operation<T>,
  client: TlsConnectOptions = TRUSTING,
  server: Partial<TlsListenOptions> = {},
): Coroutine<T> {
  using listener = listen({ hostname: LOCAL, port: 0, ...SERVER, ...server });
  const accepting = yield* spawn(function* () {
    const [socket] = yield* listener.accept();
    yield* said(socket.handshake());
    return socket;
  });
  using near = yield* connect({ port: listener.addr.port, tls: client });
  using far = yield* accepting;
  return yield* body(near, far, listener);
}

/** A TLS server that echoes, for as long as `body` takes; what its handlers failed with goes to `failures`. */
function* echoing<T>(
  body: (port: number, failures: string[]) => Operation<T>,
  options: Partial<TlsListenOptions> = {},
): Coroutine<T> {
  const failures: string[] = [];
  const listener = listen({ hostname: LOCAL, port: 0, ...SERVER, ...options });
  const server = yield* spawn(serve(listener, echo, {
    onError: (error) => void failures.push((error as Error).name),
  }));
  try {
    return yield* body(listener.addr.port, failures);
  } finally {
    yield* kill(server);
  }
}

/** Waits until something holds, at most for some seconds. */
function* eventually(holds: () => boolean): Coroutine<void> {
  for (let i = 0; i < 5000 && !holds(); i++) yield* sleep(1);
  assert(holds());
}

// ---- Both ends are ours ----------------------------------------------------------------------------------------------

Deno.test("TLS carries bytes both ways, a large transfer as well, and each direction ends by itself", async () => {
  const log: unknown[] = [];
  await perform(secured(function* (near, far) {
    yield* near.send("hello\n");
    log.push(yield* far.recvLine(), far.remoteAddr.transport);
    const data = new Uint8Array(3_000_000).map((_, i) => i >> 8);
    yield* spawn(far.send(data));
    assertEquals(yield* near.recvExactly(data.length), data);
    yield* near.closeWrite();
    log.push(yield* far.recv());
    yield* far.send("still here");
    log.push(text(yield* near.recv()));
    far.close();
    log.push(yield* near.recv());
  }));
  assertEquals(log, ["hello", "tcp", null, "still here", null]);
});

Deno.test("both ends learn from the handshake which application protocol was agreed on", async () => {
  const log: unknown[] = [];
  await perform(secured(
    function* (near, far) {
      log.push(yield* near.handshake(), yield* far.handshake(), yield* far.handshake());
    },
    { ...TRUSTING, alpnProtocols: ["smtp", "echo/1"] },
    { alpnProtocols: ["echo/2", "echo/1"] },
  ));
  await perform(secured(function* (near) {
    log.push(yield* near.handshake());
  }));
  assertEquals(log.map((info) => (info as { alpnProtocol: string | null }).alpnProtocol), [
    "echo/1",
    "echo/1",
    "echo/1",
    null,
  ]);
});

Deno.test("a handshake of what does not speak TLS is refused, and the socket stays usable", async () => {
  await perform(connected(function* (near, far) {
    assertEquals(yield* said(near.handshake()), "InvalidStateError");
    yield* near.send("x");
    assertEquals(text(yield* far.recv()), "x");
  }));
});

Deno.test("connect() with TLS fails where nobody vouches for the server, or for its name, and leaves no connection", async () => {
  const log: string[] = [];
  await perform(echoing(function* (port, failures) {
    const attempts: [string, TlsConnectOptions | true, string?][] = [
      ["nobody vouches", true],
      ["another name", TRUSTING, "127.0.0.2"],
      ["the right name", { ...TRUSTING, serverName: "localhost" }, "127.0.0.2"],
      ["any name", { ...TRUSTING, unsafelyDisableHostnameVerification: true }, "127.0.0.2"],
    ];
    for (const [name, tls, hostname = LOCAL] of attempts) {
      log.push(
        `${name}: ${yield* said(function* () {
          using socket = yield* connect({ hostname, port, tls });
          yield* socket.send("hi");
          return yield* socket.recv();
        }())}`,
      );
    }
    yield* eventually(() => failures.length === 2);
    log.push(...failures);
  }, { hostname: "0.0.0.0" }));
  assertEquals(log, [
    "nobody vouches: InvalidData",
    "another name: InvalidData",
    'the right name: "hi"',
    'any name: "hi"',
    "InvalidData",
    "InvalidData",
  ]);
});

// Deno itself keeps a TLS connection that is closed before its handshake is over until the other end lets go of it.

Deno.test("a connect() whose handshake is never answered can be timed out and killed", async () => {
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    const { port } = listener.addr;
    for (const tls of [TRUSTING, { ...TRUSTING, cert: pem("client.crt"), key: pem("client.key") }]) {
      const connecting = yield* spawn(connect({ port, tls }));
      const [far] = yield* listener.accept();
      const hello = yield* far.recv();
      assertEquals(hello![0], 22); // a handshake record
      assertEquals(connecting.waitingFor, `connect ${LOCAL}:${port}`);
      yield* kill(connecting);
      far.close();
      const late = yield* spawn(said(timeout(20, connect({ port, tls }))));
      const [other] = yield* listener.accept();
      assertEquals(yield* late, "TimeoutError");
      other.close();
    }
  });
});

Deno.test("a simulated network carries TLS endpoints without a wire that could be tapped", async () => {
  await perform(function* () {
    using listener = listen({ port: 7, ...SERVER });
    using near = yield* connect({ port: 7, tls: true });
    const [far] = yield* listener.accept();
    yield* near.send("hello");
    assertEquals(text(yield* far.recv()), "hello");
    assertEquals(yield* far.handshake(), { alpnProtocol: null });
    far.close();
    assertEquals(yield* said(far.handshake()), "ClosedError");
  }, new MemoryNetwork());
});

// ---- Clients that mean ill, or have bad luck -------------------------------------------------------------------------

Deno.test("a client that never ends its handshake holds up nobody but the one who serves it, whose timeouts hold", async () => {
  const log: string[] = [];
  await perform(function* () {
    const listener = listen({ hostname: LOCAL, port: 0, ...SERVER });
    const { port } = listener.addr;
    let begun = 0;
    const server = yield* spawn(serve(listener, function* (socket) {
      const first = ++begun === 1;
      try {
        yield* timeout(first ? 30 : 60_000, socket.handshake());
      } finally {
        if (first) log.push(`after ${socket.bytesSent} bytes`);
      }
      yield* echo(socket);
    }, { onError: (error) => void log.push((error as Error).name) }));
    using silent = yield* connect({ port });
    yield* silent.send(new Uint8Array([22, 3, 1, 0, 200, 1])); // the begin of a ClientHello
    yield* eventually(() => begun === 1);
    using good = yield* connect({ port, tls: TRUSTING });
    yield* good.send("hello");
    log.push(text(yield* good.recv())!);
    yield* eventually(() => log.length === 3);
    yield* kill(server);
  });
  assertEquals(log.toSorted(), ["TimeoutError", "after 0 bytes", "hello"]);
});

Deno.test("a server can be killed while its clients are in the middle of their handshakes", async () => {
  await perform(function* () {
    const listener = listen({ hostname: LOCAL, port: 0, ...SERVER });
    const { port } = listener.addr;
    let begun = 0;
    const server = yield* spawn(serve(listener, function* (socket) {
      begun++;
      if (begun % 2 === 0) yield* echo(socket);
      else yield* socket.send("who is first to speak waits for the handshake as well");
    }));
    const clients: Socket[] = [];
    for (let i = 0; i < 4; i++) {
      const socket = yield* connect({ port });
      yield* socket.send(new Uint8Array([22, 3, 1, 0, 200, 1]));
      clients.push(socket);
    }
    yield* eventually(() => begun === 4);
    yield* kill(server);
    for (const socket of clients) socket.close();
  });
});

Deno.test("garbage, an early end and a handshake that is cut anywhere fail their own handler only", async () => {
  // What a client says first, as a server sees it.
  const hello = await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0 });
    const connecting = yield* spawn(connect({ port: listener.addr.port, tls: true }));
    const [far] = yield* listener.accept();
    const hello = yield* far.recv();
    yield* kill(connecting);
    far.close();
    return hello!;
  });
  assert(hello.length > 100);
  await perform(echoing(function* (port, failures) {
    const openings = [
      new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
      new Uint8Array(1000).fill(255),
      new Uint8Array(0),
      ...[1, 5, 6, 50, hello.length - 1, hello.length].map((length) => hello.subarray(0, length)),
    ];
    for (const opening of openings) {
      using socket = yield* connect({ port });
      yield* socket.send(opening);
      yield* socket.closeWrite();
      yield* said(socket.readAll());
    }
    yield* eventually(() => failures.length === openings.length);
    assertEquals([...new Set(failures)].toSorted(), ["InvalidData", "UnexpectedEof"]);
    using good = yield* connect({ port, tls: TRUSTING });
    yield* good.send("hello");
    assertEquals(text(yield* good.recv()), "hello");
  }));
});

/** A relay to a port that hands on what comes from a client byte by byte, for as long as `body` takes. */
function* slowly<T>(port: number, body: (port: number) => Operation<T>): Coroutine<T> {
  const listener = listen({ hostname: LOCAL, port: 0 });
  const relay = yield* spawn(serve(listener, function* (client) {
    using server = yield* connect({ port });
    yield* taskGroup(function* (group) {
      group.spawn(function* () {
        for (let data; (data = yield* client.recv(1)) !== null;) {
          yield* server.send(data);
          yield;
        }
        yield* server.closeWrite();
      });
      for (let data; (data = yield* server.recv()) !== null;) yield* client.send(data);
      group.cancel();
    });
  }));
  try {
    return yield* body(listener.addr.port);
  } finally {
    yield* kill(relay);
  }
}

Deno.test("a client whose bytes come one by one is served", async () => {
  await perform(echoing((port) =>
    slowly(port, function* (slow) {
      using socket = yield* connect({ port: slow, tls: TRUSTING });
      yield* socket.send("hello");
      assertEquals(text(yield* socket.recvExactly(5)), "hello");
    })
  ));
});

Deno.test("an end of the stream that TLS did not announce is an error, after what has come: it may be a truncation", async () => {
  const program = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=${JSON.stringify(ca)})
client = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost")
client.sendall(b"almost every")
sys.stdin.readline()
raw = socket.socket(fileno=client.detach())
raw.shutdown(socket.SHUT_WR)
sys.stdin.read()`;
  const log: string[] = [];
  await perform(function* () {
    using listener = listen({ hostname: LOCAL, port: 0, ...SERVER });
    const child = new Deno.Command("python3", {
      args: ["-c", program, String(listener.addr.port)],
      stdin: "piped",
    }).spawn();
    const [far] = yield* listener.accept();
    const orders = child.stdin.getWriter();
    yield* readWait(far);
    yield* until(orders.write(new TextEncoder().encode("end\n")));
    log.push(yield* said(far.recv()), yield* said(far.recv()), yield* said(far.recv()));
    yield* until(orders.close());
    assert((yield* until(child.status)).success);
    far.close();
  });
  assertEquals(log, ['"almost every"', "UnexpectedEof", "UnexpectedEof"]);
});

Deno.test("openssl s_client is echoed", async () => {
  await perform(echoing(function* (port, failures) {
    const child = new Deno.Command("openssl", {
      args: [
        ...["s_client", "-connect", `${LOCAL}:${port}`, "-CAfile", ca, "-verify_return_error", "-quiet"],
        ...["-no_ign_eof", "-servername", "localhost", "-verify_hostname", "localhost"],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const input = child.stdin.getWriter();
    const output = child.stdout.getReader();
    yield* until(input.write(new TextEncoder().encode("hello\n")));
    assertEquals(text((yield* until(output.read())).value!), "hello\n");
    yield* until(input.close());
    yield* until(output.cancel());
    yield* until(child.status);
    assertEquals(failures, []);
  }));
});

Deno.test("a client shows its certificate to an openssl s_server that asks for one", async () => {
  const file = (name: string) => new URL(`tls/${name}`, import.meta.url).pathname;
  await perform(function* () {
    const child = new Deno.Command("openssl", {
      args: [
        ...[
          "s_server",
          "-accept",
          `${LOCAL}:0`,
          "-cert",
          file("localhost.crt"),
          "-key",
          file("localhost.key"),
        ],
        ...["-CAfile", ca, "-Verify", "1", "-verify_return_error", "-rev", "-naccept", "2"],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const output = child.stdout.getReader();
    let said1 = "";
    while (!/ACCEPT .*:\d+\n/.test(said1)) said1 += text((yield* until(output.read())).value!);
    const port = Number(/ACCEPT .*:(\d+)\n/.exec(said1)![1]);
    const talk = function* (tls: TlsConnectOptions): Coroutine<string | null> {
      using socket = yield* connect({ hostname: "localhost", port, tls });
      yield* socket.send("hello\n");
      return yield* socket.recvLine();
    };
    assertEquals(yield* said(talk(TRUSTING)), "InvalidData");
    const shown = { ...TRUSTING, cert: pem("client.crt"), key: pem("client.key") };
    assertEquals(yield* said(talk(shown)), '"olleh"');
    yield* until(output.cancel());
    yield* until(child.status);
  });
});

// ---- startTls --------------------------------------------------------------------------------------------------------

/** A server that has its clients say STARTTLS and hands them on to one that speaks TLS. */
function* upgrading<T>(body: (plain: Socket) => Operation<T>): Coroutine<T> {
  return yield* echoing(function* (port) {
    const listener = listen({ hostname: LOCAL, port: 0 });
    const server = yield* spawn(serve(listener, function* (client) {
      yield* client.send("220 ready\n");
      if ((yield* client.recvLine()) !== "STARTTLS") return;
      yield* client.send("220 go ahead\n");
      using secure = yield* connect({ port });
      yield* taskGroup(function* (group) {
        group.spawn(function* () {
          for (let data; (data = yield* client.recv()) !== null;) yield* secure.send(data);
          yield* secure.closeWrite();
        });
        for (let data; (data = yield* secure.recv()) !== null;) yield* client.send(data);
        group.cancel();
      });
    }, { onError() {} }));
    try {
      using plain = yield* connect({ port: listener.addr.port });
      assertEquals(yield* plain.recvLine(), "220 ready");
      return yield* body(plain);
    } finally {
      yield* kill(server);
    }
  });
}

/** What an operation fails with, in full. */
function* failure(operation: Operation<unknown>): Coroutine<string> {
  try {
    yield* operation;
    return "nothing";
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message.replaceAll(/:\d+/g, ":n")}`;
  }
}

Deno.test("startTls() gives a socket that speaks TLS on the same connection; the old one says what has become of it", async () => {
  const log: unknown[] = [];
  await perform(upgrading(function* (plain) {
    yield* plain.send("STARTTLS\n");
    yield* plain.recvLine();
    const { port } = plain.localAddr as Deno.NetAddr;
    const upgrading = yield* spawn(plain.startTls(TRUSTING));
    yield;
    log.push(upgrading.waitingFor!.replace(/:\d+/, ":n"));
    using socket = yield* upgrading;
    yield* socket.send("hello\n");
    log.push(yield* socket.recvLine(), socket.bytesSent, plain.bytesSent);
    assertEquals(socket.localAddr, { transport: "tcp", hostname: LOCAL, port });
    plain.close();
    const calls: Operation<unknown>[] = [plain.recv(), plain.send("x"), plain.startTls()];
    for (const call of calls) log.push(yield* failure(call));
    yield* socket.send("still here");
    log.push(text(yield* socket.recv()), yield* said(socket.startTls()));
  }));
  const end = "socket 127.0.0.1:n speaks TLS now, through the socket that startTls gave";
  assertEquals(log, [
    "startTls 127.0.0.1:n",
    "hello",
    6,
    9,
    `ClosedError: Cannot recv: ${end}`,
    `ClosedError: Cannot send: ${end}`,
    `ClosedError: Cannot startTls: ${end}`,
    "still here",
    "InvalidStateError",
  ]);
});

Deno.test("startTls() with a read or write in flight, or with bytes that nobody has taken, is refused and leaves the socket usable", async () => {
  const log: string[] = [];
  await perform(connected(function* (near, far) {
    const refused = function* (): Coroutine<void> {
      log.push(yield* failure(near.startTls(TRUSTING)));
    };
    yield* said(timeout(1, near.recv())); // its read stays with the socket
    yield* refused();
    yield* far.send("abc");
    yield* readWait(near);
    yield* refused();
    log.push(text(yield* near.recv())!);

    const sending = yield* spawn(near.send(new Uint8Array(20_000_000)));
    yield;
    yield* refused();
    const drained = yield* spawn(drain(far, 20_000_000));
    yield* sending;
    yield* drained;

    const cut = yield* spawn(near.send(new Uint8Array(20_000_000)));
    yield* sleep(1);
    yield* kill(cut);
    const draining = yield* spawn(drain(far, 20_000_000));
    yield* writeWait(near);
    log.push((yield* failure(near.startTls(TRUSTING))).replace(/only .* bytes/, "only some bytes"));
    yield* kill(draining);

    yield* far.closeWrite();
    yield* near.recv();
    yield* refused();
  }));
  const refusal = "InvalidStateError: Cannot startTls on socket 127.0.0.1:n: ";
  assertEquals(log, [
    `${refusal}a read is in flight (one that was cancelled stays with the socket)`,
    `${refusal}3 bytes have come that nobody has taken`,
    "abc",
    `${refusal}a write is in flight`,
    "InvalidStateError: Cannot startTls: of an earlier send only some bytes went out on socket 127.0.0.1:n; a send that " +
    "knows how to go on says { continues: true }",
    `${refusal}the other end has said that nothing more will come`,
  ]);
});

Deno.test("after a startTls() that failed, or was cancelled, the socket is closed", async () => {
  const log: string[] = [];
  await perform(upgrading(function* (plain) {
    yield* plain.send("STARTTLS\n");
    yield* plain.recvLine();
    log.push(yield* said(plain.startTls()), yield* said(plain.recv()));
  }));
  await perform(connected(function* (near, far) {
    log.push(yield* said(timeout(5, near.startTls(TRUSTING))), yield* said(near.recv()));
    assertEquals((yield* far.recv())![0], 22);
  }));
  assertEquals(log, ["InvalidData", "ClosedError", "TimeoutError", "ClosedError"]);
});

Deno.test("startTls() expects the name that was connected to, unless it is told another", async () => {
  const log: string[] = [];
  for (
    const options of [TRUSTING, { ...TRUSTING, hostname: "example.com" }, {
      ...TRUSTING,
      hostname: "localhost",
    }]
  ) {
    await perform(upgrading(function* (plain) {
      yield* plain.send("STARTTLS\n");
      yield* plain.recvLine();
      log.push(
        yield* said(function* () {
          using socket = yield* plain.startTls(options);
          yield* socket.send("hi");
          return yield* socket.recv();
        }()),
      );
    }));
  }
  assertEquals(log, ['"hi"', "InvalidData", '"hi"']);
});

Deno.test("startTls() is no case of a select: to lose would be to lose the connection", async () => {
  await perform(connected(function* (near) {
    yield;
    assertThrows(() => select({ tls: near.startTls(), other: sleep(1) }), TypeError, "race");
  }));
});

// ---- Arguments -------------------------------------------------------------------------------------------------------

Deno.test("bad TLS options are refused where they are given", async () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  const { cert, key } = SERVER;
  for (
    const bad of [{ cert }, { key }, { cert, key: 5 }, { cert, key, alpnProtocols: "h2" }, {
      alpnProtocols: ["h2"],
    }]
  ) {
    assertThrows(() => listen(any({ port: 0, ...bad })), TypeError, "Cannot listen");
  }
  assertThrows(() => listen({ port: 0, cert: "no certificate", key }), Deno.errors.InvalidData);
  const bad = [5, "yes", { caCerts: "pem" }, { caCerts: [5] }, { serverName: 5 }, { alpnProtocols: [5] }, {
    cert,
  }];
  for (const tls of [...bad, { cert, key, serverName: "other" }]) {
    assertThrows(() => connect(any({ port: 1, tls })), TypeError, "Cannot connect");
  }
  await perform(connected(function* (near) {
    yield;
    for (const options of [{ caCerts: [5] }, { hostname: 5 }, { alpnProtocols: "h2" }]) {
      assertThrows(() => near.startTls(any(options)), TypeError, "Cannot startTls");
    }
  }));
});
