import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Channel,
  ClosedError,
  type Coroutine,
  kill,
  Scheduler,
  select,
  sleep,
  spawn,
  type Task,
  timeout,
  TimeoutError,
} from "../mod.ts";
import { sweep } from "../testing.ts";
import { stage, words } from "./_transcript.ts";

/** What a `receive` gave, in words. */
function said(result: IteratorResult<unknown, undefined> | undefined): string {
  return result === undefined ? "nothing" : result.done ? "the end" : String(result.value);
}

Deno.test("with capacity 0, send waits until its message is received", () => {
  const { scheduler, log, say } = stage();
  const channel = new Channel<number>();
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 1; i <= 2; i++) {
        yield* channel.send(i);
        say(`sent ${i}`);
      }
    });
    for (let i = 1; i <= 2; i++) {
      yield* sleep(10);
      say(`received ${said(yield* channel.receive())}`);
    }
  });
  assertEquals(log, ["10 received 1", "10 sent 1", "20 received 2", "20 sent 2"]);
});

Deno.test("with a capacity, send waits only when the buffer is full, and messages keep their order", () => {
  const { scheduler, log, say } = stage();
  const channel = new Channel<number>(2);
  scheduler.runSync(function* () {
    yield* spawn(function* () {
      for (let i = 1; i <= 4; i++) {
        yield* channel.send(i);
        say(`sent ${i}`);
      }
    });
    yield* sleep(10);
    for (let i = 1; i <= 4; i++) {
      say(`received ${said(yield* channel.receive())}`);
      yield;
    }
  });
  assertEquals(log, [
    "0 sent 1",
    "0 sent 2",
    "10 received 1",
    "10 sent 3",
    "10 received 2",
    "10 sent 4",
    "10 received 3",
    "10 received 4",
  ]);
});

Deno.test("undefined is a message, and no end", () => {
  const { scheduler } = stage();
  const channel = new Channel<undefined>(1);
  scheduler.runSync(function* () {
    yield* channel.send(undefined);
    assertEquals(yield* channel.receive(), { done: false, value: undefined });
    channel.close();
    assertEquals(yield* channel.receive(), { done: true, value: undefined });
    assertEquals(channel.tryReceive(), { done: true, value: undefined });
  });
});

Deno.test("close wakes receivers with the end and senders with ClosedError, whose messages are not delivered", () => {
  const { scheduler, log, say } = stage();
  const idle = new Channel<string>(0, "idle");
  const full = new Channel<string>(1, "full");
  scheduler.runSync(function* () {
    for (const name of ["r1", "r2"]) {
      yield* spawn(function* () {
        say(`${name}: ${said(yield* idle.receive())}`);
      });
    }
    yield* full.send("buffered");
    for (const name of ["s1", "s2"]) {
      yield* spawn(function* () {
        try {
          yield* full.send(name);
        } catch (error) {
          assert(error instanceof ClosedError);
          say(`${name}: ${error.message}`);
        }
      });
    }
    yield* sleep(1);
    for (let i = 0; i < 2; i++) {
      idle.close();
      full.close();
    }
    say(`${full}`);
    yield;
    for (let i = 0; i < 3; i++) say(`full: ${said(yield* full.receive())}`);
  });
  assertEquals(log, [
    '1 channel "full", closed, 1 in its buffer',
    "1 r1: the end",
    "1 r2: the end",
    '1 s1: Cannot send to channel "full": it is closed',
    '1 s2: Cannot send to channel "full": it is closed',
    "1 full: buffered",
    "1 full: the end",
    "1 full: the end",
  ]);
});

Deno.test("after close, every send and trySend throws ClosedError", () => {
  const { scheduler } = stage();
  for (const capacity of [0, 1, Infinity]) {
    const channel = new Channel<number>(capacity);
    channel.close();
    assertThrows(() => channel.trySend(1), ClosedError, "Cannot send to channel: it is closed");
    const outcome = scheduler.runSync(function* () {
      try {
        yield* channel.send(1);
      } catch (error) {
        return words(error);
      }
    });
    assertEquals(outcome, "ClosedError");
    assertEquals(said(channel.tryReceive()), "the end");
  }
});

Deno.test("trySend and tryReceive never wait, and meet those who do", () => {
  const { scheduler, log, say } = stage();
  const channel = new Channel<string>();
  scheduler.runSync(function* () {
    say(`${channel.trySend("a")}, ${said(channel.tryReceive())}`);
    yield* spawn(function* () {
      say(`received ${said(yield* channel.receive())}`);
      yield* channel.send("c");
      say("sent c");
    });
    yield;
    say(`${channel.trySend("b")}, ${channel.trySend("b")}`);
    yield;
    say(`${said(channel.tryReceive())}, ${said(channel.tryReceive())}`);
  });
  assertEquals(log, ["0 false, nothing", "0 true, false", "0 received b", "0 c, nothing", "0 sent c"]);
});

Deno.test("code outside tasks sends, receives and closes", async () => {
  const channel = new Channel<number>(1);
  let sent = 0;
  const timer = setInterval(() => {
    while (sent < 5 && channel.trySend(sent + 1)) sent++;
    if (sent < 5) return;
    channel.close();
    clearInterval(timer);
  }, 1);
  const got: number[] = [];
  await new Scheduler({ deadlock: "wait" }).run(function* () {
    for (let next = yield* channel.receive(); !next.done; next = yield* channel.receive()) {
      got.push(next.value);
    }
  });
  assertEquals(got, [1, 2, 3, 4, 5]);
});

Deno.test("a receiver that times out takes no message, a sender that is killed leaves none", () => {
  const { scheduler, log, say } = stage();
  const channel = new Channel<string>();
  const send = function* (message: string): Coroutine<void> {
    yield* channel.send(message);
    say(`sent ${message}`);
  };
  scheduler.runSync(function* () {
    try {
      yield* timeout(5, channel.receive());
    } catch (error) {
      say(words(error));
    }
    const line: Task[] = [];
    for (const name of ["first", "second", "third"]) line.push(yield* spawn(send(name)));
    yield;
    yield* kill(line[1]!);
    for (let i = 0; i < 2; i++) say(`received ${said(yield* channel.receive())}`);
    say(said(channel.tryReceive()));
  });
  assertEquals(log, [
    "5 TimeoutError",
    "5 received first",
    "5 received third",
    "5 nothing",
    "5 sent first",
    "5 sent third",
  ]);
});

Deno.test("waitingFor and toString say which channel, and which end of it", () => {
  const { scheduler } = stage();
  const channel = new Channel<number>(0, { name: "c" });
  scheduler.runSync(function* () {
    const receiver = yield* spawn(channel.receive());
    yield;
    assertEquals(receiver.waitingFor, 'receive from channel "c"');
    channel.trySend(1);
    const sender = yield* spawn(channel.send(2), { name: "sender" });
    yield;
    assertEquals(sender.waitingFor, 'send to channel "c"');
    assertEquals(`${channel}`, 'channel "c", open, awaited by task 3 "sender"');
    channel.tryReceive();
  });
});

Deno.test("a select that both sends and receives meets another such, and not itself", () => {
  const { scheduler, log, say } = stage();
  const channel = new Channel<string>();
  scheduler.runSync(function* () {
    for (const name of ["a", "b"]) {
      yield* spawn(function* () {
        const { name: what, value } = yield* select({
          sent: channel.send(name),
          received: channel.receive(),
        });
        say(`${name} ${what} ${what === "received" ? said(value) : ""}`.trimEnd());
      });
    }
    yield* sleep(1);
    say(`${channel}`);
    for (
      const both of [
        select({ sent: channel.send("c"), received: channel.receive() }),
        select({ received: channel.receive(), sent: channel.send("c") }),
      ]
    ) {
      const alone = yield* spawn(both);
      yield;
      say(`${alone.waitingFor}`);
      yield* kill(alone);
    }
    say(`${channel}`);
  });
  assertEquals(log, [
    "0 b sent",
    "0 a received b",
    "1 channel, open",
    "1 sent: send to channel | received: receive from channel",
    "1 received: receive from channel | sent: send to channel",
    "1 channel, open",
  ]);
});

Deno.test("interrupting senders and receivers, at any step, loses and doubles no message", () => {
  for (const capacity of [0, 2]) {
    for (const victims of ["main", "any"] as const) {
      let channel = new Channel<string>();
      let sent: string[] = [];
      let received: string[] = [];
      const send = function* (name: string): Coroutine<void> {
        try {
          for (let i = 1; i <= 4; i++) {
            yield* channel.send(name + i);
            sent.push(name + i);
            if (i % 2 === 0) yield* sleep(1);
          }
        } catch (error) {
          if (!(error instanceof ClosedError)) throw error;
        }
      };
      const receive = function* (patience: number): Coroutine<void> {
        for (;;) {
          try {
            const next = yield* timeout(patience, channel.receive());
            if (next.done) return;
            received.push(next.value);
            yield* sleep(1);
          } catch (error) {
            if (!(error instanceof TimeoutError)) throw error;
          }
        }
      };
      const report = sweep(function* () {
        channel = new Channel<string>(capacity);
        sent = [];
        received = [];
        const tasks: Task[] = [];
        for (const name of "ab") tasks.push(yield* spawn(send(name)));
        for (const patience of [1, 10]) tasks.push(yield* spawn(receive(patience)));
        try {
          yield* sleep(4); // too short for all messages
        } finally {
          channel.close();
        }
        for (const task of tasks) yield* task;
      }, {
        victims,
        check() {
          const left = channel.tryReceive();
          if (left !== undefined && !left.done) received.push(left.value);
          const last = channel.tryReceive();
          if (last !== undefined && !last.done) received.push(last.value);
          assertEquals(received.toSorted(), sent.toSorted());
        },
      });
      assert(report.steps > 20);
    }
  }
});
