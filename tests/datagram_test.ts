import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ClosedError,
  connect,
  type Coroutine,
  type DatagramEndpoint,
  type DatagramPort,
  type DatagramSocket,
  InvalidStateError,
  kill,
  listen,
  listenDatagram,
  readWait,
  Scheduler,
  select,
  sleep,
  type Task,
  timeout,
  until,
  writeWait,
} from "../mod.ts";
import { SimulatedNetwork } from "../testing.ts";
import { MemoryNetwork } from "./_memory_network.ts";
import { LOCAL, perform, said, saying, text } from "./_sockets.ts";

/** The tests of Deno's own datagrams run with the flag that these need: another `deno test` of this file is given it. */
const flagged = "listenDatagram" in Deno;

const open = () => listenDatagram({ hostname: LOCAL });

function* received(socket: DatagramSocket): Coroutine<string> {
  const [data, addr] = yield* socket.receive();
  return `${text(data)} from ${addr.transport} ${addr.hostname}`;
}

/** A behaviour of datagrams: on Deno's network with the flag, on a simulated one without it. */
function datagramTest(name: string, body: () => () => Coroutine<void>): void {
  const network = flagged ? undefined : new SimulatedNetwork();
  Deno.test(`${name}${flagged ? " [Deno]" : ""}`, () => perform(body(), network));
}

/** A network from which datagrams go out when they are let go. */
class HoldingNetwork extends SimulatedNetwork {
  readonly held: (() => void)[] = [];

  override listenDatagram(endpoint: DatagramEndpoint): DatagramPort {
    const port = super.listenDatagram(endpoint);
    const send = port.send.bind(port);
    port.send = (...sending) => void this.held.push(() => send(...sending));
    return port;
  }
}

datagramTest(
  "a datagram arrives as a whole, with the address of its sender, to which an answer can be sent",
  () =>
    function* () {
      using here = open();
      using there = open();
      yield* here.send("hello", there.addr);
      yield* here.send(new Uint8Array([1, 2, 3]), { hostname: LOCAL, port: there.addr.port });
      const [hello, addr] = yield* there.receive();
      assertEquals([text(hello), addr.port, addr.transport], ["hello", here.addr.port, "udp"]);
      const [numbers] = yield* there.receive();
      assertEquals(numbers, new Uint8Array([1, 2, 3]));
      yield* there.send("answer", addr);
      assertEquals(yield* received(here), `answer from udp ${LOCAL}`);
    },
);

datagramTest(
  "empty and large datagrams arrive as they are; one that is too large fails its send only",
  () =>
    function* () {
      using here = open();
      using there = open();
      const large = new Uint8Array(60_000).map((_, i) => i);
      yield* here.send("", there.addr);
      yield* here.send(large, there.addr);
      assertEquals((yield* there.receive())[0], new Uint8Array(0));
      assertEquals((yield* there.receive())[0], large);
      assertEquals(yield* said(here.send(new Uint8Array(70_000), there.addr)), "Error");
      yield* here.send("next", there.addr);
      assertEquals(text((yield* there.receive())[0]), "next");
    },
);

datagramTest(
  "a receive that is cancelled takes nothing, and those who receive are served in order",
  () =>
    function* () {
      using here = open();
      using there = open();
      assertEquals(yield* said(timeout(1, there.receive())), "TimeoutError");
      const log: string[] = [];
      const tasks: Task[] = [];
      for (const name of ["a", "b", "c"]) tasks.push(yield* saying(log, name, () => received(there)));
      yield;
      assertEquals(tasks[0]!.waitingFor, `receive ${LOCAL}:${there.addr.port}`);
      yield* kill(tasks[1]!);
      for (const word of ["first", "second", "third"]) yield* here.send(word, there.addr);
      yield* tasks[0]!;
      yield* tasks[2]!;
      const chosen = yield* select({ datagram: there.receive(), never: sleep(Infinity) });
      log.push(chosen.name === "datagram" ? text(chosen.value[0])! : "nothing");
      assertEquals(log, [
        "b: Cancelled",
        `a: "first from udp ${LOCAL}"`,
        `c: "second from udp ${LOCAL}"`,
        "third",
      ]);
    },
);

datagramTest("what receive gives is the caller's to keep, to change and to transfer", () =>
  function* () {
    using here = open();
    using there = open();
    yield* here.send("abc", there.addr);
    const [first] = yield* there.receive();
    yield* here.send("xyz", there.addr);
    const [second] = yield* there.receive();
    assertEquals([text(first), text(second), first.buffer.byteLength], ["abc", "xyz", 3]);
    structuredClone(first, { transfer: [first.buffer] });
    yield* here.send("after", there.addr);
    assertEquals(text((yield* there.receive())[0]), "after");
  });

datagramTest(
  "readWait takes nothing and answers when there is a datagram; close() wakes who waits, and later calls fail",
  () =>
    function* () {
      using here = open();
      const there = open();
      const log: string[] = [];
      const waiting = yield* saying(log, "readWait", () => readWait(there));
      yield;
      yield* here.send("x", there.addr);
      yield* waiting;
      yield* readWait(there);
      log.push(yield* received(there));
      const tasks = [
        yield* saying(log, "receive", () => there.receive()),
        yield* saying(log, "readWait", () => readWait(there)),
      ];
      yield;
      there.close();
      there.close();
      for (const task of tasks) yield* task;
      log.push(
        yield* said(there.receive()),
        yield* said(there.send("x", here.addr)),
        yield* said(writeWait(there)),
      );
      const closed = "ClosedError";
      assertEquals(log, [
        "readWait: done",
        `x from udp ${LOCAL}`,
        `receive: ${closed}`,
        `readWait: ${closed}`,
        ...[closed, closed, closed],
      ]);
    },
);

Deno.test("datagrams go out one at a time, in the order of their sends; one that is cancelled before its turn does not", async () => {
  const network = new HoldingNetwork();
  await perform(function* () {
    using here = open();
    using there = open();
    const log: string[] = [];
    const tasks: Task[] = [];
    for (const word of ["a", "b", "c"]) {
      tasks.push(yield* saying(log, word, () => here.send(word, there.addr)));
    }
    const waiting = yield* saying(log, "writeWait", () => writeWait(here));
    yield;
    assertEquals(tasks[1]!.waitingFor, `send ${LOCAL}:${there.addr.port}`);
    assertEquals(network.held.length, 1);
    yield* kill(tasks[0]!); // it is in flight, and goes out all the same
    yield* kill(tasks[1]!);
    network.held.shift()!();
    network.held.shift()!();
    yield* waiting;
    log.push(yield* received(there), yield* received(there));
    assertEquals(log, [
      "a: Cancelled",
      "b: Cancelled",
      "c: done",
      "writeWait: done",
      `a from udp ${LOCAL}`,
      `c from udp ${LOCAL}`,
    ]);
  }, network);
});

Deno.test("a datagram socket says who it is, and what cannot be done with it when it is closed", async () => {
  await perform(function* () {
    const socket = listenDatagram({ hostname: "::1", port: 53 });
    assertEquals(String(socket), "datagram socket [::1]:53");
    socket.close();
    try {
      yield* socket.receive();
    } catch (error) {
      assert(error instanceof ClosedError);
      assertEquals(error.message, "Cannot receive: datagram socket [::1]:53 is closed");
    }
  }, new SimulatedNetwork());
});

Deno.test("bad input for datagrams is refused where it is given", async () => {
  // deno-lint-ignore no-explicit-any -- bad input is what it is about
  const any = (value: unknown) => value as any;
  await perform(function* () {
    yield;
    for (const port of [-1, 65_536, 1.5]) assertThrows(() => listenDatagram({ port }), RangeError, "port");
    for (const options of [null, 5, { port: "5" }, { hostname: 5 }]) {
      assertThrows(() => listenDatagram(any(options)), TypeError, "Cannot listen for datagrams");
    }
    using socket = open();
    assertThrows(() => socket.send(any(5), socket.addr), TypeError, "a Uint8Array or a string");
    for (const addr of [undefined, null, 5, {}, { hostname: LOCAL }, { port: 5 }]) {
      assertThrows(() => socket.send("x", any(addr)), TypeError);
    }
    assertThrows(() => socket.send("x", { hostname: LOCAL, port: 0 }), RangeError, "port");
  }, new SimulatedNetwork());
});

Deno.test("a network without datagrams says so", async () => {
  await new Scheduler({ network: new MemoryNetwork() }).run(function* () {
    yield;
    assertThrows(() => open(), InvalidStateError, "has none");
  });
});

// ---- With and without the flag ---------------------------------------------------------------------------------------

if (flagged) {
  Deno.test("listeners with reusePort share a port, and each connection comes to one of them", async () => {
    await perform(function* () {
      using one = listen({ hostname: LOCAL, port: 0, reusePort: true });
      using two = listen({ hostname: LOCAL, port: one.addr.port, reusePort: true });
      assertThrows(() => listen({ hostname: LOCAL, port: one.addr.port }), Deno.errors.AddrInUse);
      const came = new Set<string>();
      for (let i = 0; i < 1000 && came.size < 2; i++) {
        using near = yield* connect({ port: one.addr.port });
        const { name, value: [far] } = yield* select({ one: one.accept(), two: two.accept() });
        assertEquals(far.remoteAddr, near.localAddr);
        came.add(name);
        far.close();
      }
      assertEquals(came.size, 2);
    });
  });

  Deno.test("python3 is answered over UDP", async () => {
    const program = `
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
client.sendto(b"hello", ("127.0.0.1", int(sys.argv[1])))
print(client.recv(100).decode())`;
    await perform(function* () {
      using socket = open();
      const child = new Deno.Command("python3", {
        args: ["-c", program, String(socket.addr.port)],
        stdout: "piped",
      }).spawn();
      const output = child.output();
      const [data, addr] = yield* socket.receive();
      yield* socket.send(`${text(data)} to you`, addr);
      assertEquals(text((yield* until(output)).stdout), "hello to you\n");
    });
  });

  Deno.test("a pending receive keeps no process alive when nobody waits for it", async () => {
    const program = `
import { listenDatagram, run, timeout } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
await run(function* () {
  const socket = listenDatagram({ hostname: "127.0.0.1" });
  try { yield* timeout(1, socket.receive()); } catch { console.log("nothing came"); }
});`;
    const args = ["eval", "--unstable-net", program];
    const { code, stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    assertEquals([code, text(stdout)], [0, "nothing came\n"]);
  });
} else {
  Deno.test("without the flag that Deno wants, datagrams and reusePort are an error and not the end of the process", () => {
    assertThrows(() => open(), Deno.errors.NotSupported, "--unstable-net");
    assertThrows(() => listen({ port: 0, reusePort: true }), Deno.errors.NotSupported, "--unstable-net");
    listen({ hostname: LOCAL, port: 0, reusePort: false }).close();
  });

  Deno.test({
    name: "with the flag, Deno's datagrams and reusePort hold what they promise",
    ignore: Deno.permissions.querySync({ name: "run" }).state !== "granted",
    async fn() {
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["test", "-A", "--unstable-net", "--no-check", "--quiet", new URL(import.meta.url).pathname],
        env: { NO_COLOR: "1" },
      }).output();
      assert(success, `${text(stdout)}${text(stderr)}`);
    },
  });
}
