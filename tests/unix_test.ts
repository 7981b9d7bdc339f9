import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  connect,
  type Coroutine,
  kill,
  listen,
  type Operation,
  serve,
  sleep,
  type Socket,
  spawn,
  timeout,
  until,
} from "../mod.ts";
import { MemoryNetwork } from "./_memory_network.ts";
import { perform, said, text } from "./_sockets.ts";

const ignore = Deno.build.os === "windows";

/** A path for a Unix socket, in a directory of its own. */
async function withPath(body: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(`${directory}/socket`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

function* echo(socket: Socket): Coroutine<void> {
  for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
}

function unixTest(name: string, body: (path: string) => Operation<unknown>): void {
  Deno.test({ name, ignore, fn: () => withPath(async (path) => void await perform(body(path))) });
}

unixTest(
  "a Unix socket carries what a TCP connection carries, and each direction ends by itself",
  function* (path) {
    using listener = listen({ path });
    assertEquals([listener.addr.path, String(listener)], [path, `listener ${path}`]);
    using near = yield* connect({ path });
    const [far, addr] = yield* listener.accept();
    assertEquals([String(near), addr.transport, String(far)], [`socket ${path}`, "unix", "socket unix"]);
    const data = new Uint8Array(1_000_000).map((_, i) => i >> 8);
    yield* spawn(near.send(data));
    assertEquals(yield* far.recvExactly(data.length), data);
    yield* near.closeWrite();
    assertEquals(yield* far.recv(), null);
    yield* far.send("still here\n");
    assertEquals(yield* near.recvLine(), "still here");
    near.setNoDelay(); // of no use, and no error
    far.close();
    assertEquals(yield* near.recv(), null);
  },
);

unixTest("accept, recv and connect on a Unix socket lose nothing when they are cancelled", function* (path) {
  using listener = listen({ path });
  assertEquals(yield* said(timeout(1, listener.accept())), "TimeoutError");
  using near = yield* connect({ path });
  const [far] = yield* listener.accept();
  assertEquals(yield* said(timeout(1, far.recv())), "TimeoutError");
  yield* near.send("x");
  assertEquals(text(yield* far.recv()), "x");
  far.close();
  for (let i = 0; i < 10; i++) {
    const connecting = yield* spawn(connect({ path }));
    if (i % 2 === 0) yield;
    yield* kill(connecting);
  }
});

unixTest(
  "the file of a Unix socket is there while somebody listens, and a second one who listens is refused",
  function* (path) {
    assertEquals(yield* said(connect({ path })), "NotFound");
    const listener = listen({ path });
    assert(exists(path));
    assertThrows(() => listen({ path }), Deno.errors.AddrInUse);
    listener.close();
    assert(!exists(path));
    assertEquals(yield* said(connect({ path })), "NotFound");
    listen({ path }).close();
  },
);

unixTest("a file that a killed process has left is in the way until somebody removes it", function* (path) {
  const left = new Deno.Command("python3", {
    args: ["-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", path],
  });
  assert((yield* until(left.output())).success);
  assert(exists(path));
  assertEquals(yield* said(connect({ path })), "ConnectionRefused");
  assertThrows(() => listen({ path }), Deno.errors.AddrInUse);
  Deno.removeSync(path);
  listen({ path }).close();
});

unixTest("nc -U is served over a Unix socket, and a killed server leaves no file", function* (path) {
  const server = yield* spawn(serve(listen({ path }), echo));
  const nc = new Deno.Command("nc", { args: ["-N", "-U", path], stdin: "piped", stdout: "piped" }).spawn();
  const input = nc.stdin.getWriter();
  yield* until(input.write(new TextEncoder().encode("hello\nworld\n")));
  yield* until(input.close());
  const { stdout, success } = yield* until(nc.output());
  assertEquals([text(stdout), success], ["hello\nworld\n", true]);
  yield* kill(server);
  while (exists(path)) yield* sleep(1); // the host lets go of it in one of its next turns
});

unixTest("one that speaks no TCP has no startTls", function* (path) {
  using listener = listen({ path });
  using near = yield* connect({ path });
  const [far] = yield* listener.accept();
  assertEquals(yield* said(near.startTls()), "InvalidStateError");
  yield* near.send("usable");
  assertEquals(text(yield* far.recv()), "usable");
  far.close();
});

Deno.test("a simulated network carries Unix sockets", async () => {
  await perform(function* () {
    using listener = listen({ path: "/run/x" });
    const { addr } = listener;
    assertEquals(addr, { transport: "unix", path: "/run/x" });
    using near = yield* connect({ path: "/run/x" });
    const [far] = yield* listener.accept();
    yield* near.send("hello");
    assertEquals(text(yield* far.recv()), "hello");
    far.close();
  }, new MemoryNetwork());
});

Deno.test("a path is a string that is not empty, and excludes a port", () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  for (const options of [{ path: 5 }, { path: "" }, { path: "x", port: 5 }, { path: undefined }]) {
    assertThrows(() => listen(any(options)), TypeError, "Cannot listen");
    assertThrows(() => connect(any(options)), TypeError, "Cannot connect");
  }
});

Deno.test("options of different kinds of sockets do not go together, which the compiler says too", () => {
  // @ts-expect-error -- a port and a path
  assertThrows(() => listen({ port: 1, path: "x" }), TypeError, "a port or a path is wanted, not both");
  // @ts-expect-error -- a port and a path
  assertThrows(() => connect({ port: 1, path: "x" }), TypeError, "a port or a path is wanted, not both");
  // @ts-expect-error -- a certificate without its key
  assertThrows(() => listen({ port: 1, cert: "x" }), TypeError, "key undefined");
  assertThrows(() => listen({ port: 1, hostname: "" }), TypeError, "Cannot listen: the hostname is empty");
  assertThrows(() => connect({ port: 1, hostname: "" }), TypeError, "Cannot connect: the hostname is empty");
});
