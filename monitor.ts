/**
 * Seeing inside a running kernel: a shell into it (`ps`, `tree`, `where`, `kill`, `trace`), traces for Perfetto, a log of
 * system calls, counters.
 *
 * The shell is Curio's monitor: a few lines at the start of a program, and when it hangs next month, `nc` shows what every
 * task waits for and at which line. It is a daemon task among the tasks that it watches, so it keeps no program alive, is no
 * part of a deadlock, and needs the loop to turn: a task that computes without a `yield` keeps it waiting as it does others.
 *
 * Who can connect can kill tasks and read variables. So it listens on loopback or a Unix socket only, and it hangs up on
 * anybody who speaks HTTP: a page in a browser can reach loopback, too.
 *
 * @example
 * ```ts
 * import { run, sleep } from "@genos/kernel";
 * import { formatPs, monitor } from "@genos/kernel/monitor";
 *
 * await run(function* main() {
 *   using shell = monitor({ port: 0 }); // { port: 7000 }, then: nc 127.0.0.1 7000
 *   console.log(shell.addr);
 *   console.log(formatPs());
 *   yield* sleep(1);
 * });
 * ```
 *
 * @module
 */

import { check, isRecord } from "./_check.ts";
import { denoNetwork } from "./_deno_network.ts";
import { nameOf } from "./_endpoints.ts";
import type { Endpoint } from "./_network.ts";
import { type Coroutine, describe, type Operation } from "./_operation.ts";
import { execute, hostTime, type Shell } from "./_shell.ts";
import { Cancelled, ClosedError, LimitError } from "./errors.ts";
import { type TaskGroup, taskGroup } from "./group.ts";
import { aScheduler, Scheduler } from "./scheduler.ts";
import { Listener, type Socket } from "./socket.ts";
import type { Task } from "./task.ts";

export { type Counters, counters, type Counts } from "./_counters.ts";
export { formatPs, formatTree, formatWhere, type ListingOptions } from "./_listing.ts";
export { logSystemCalls, type SystemCallLogOptions } from "./_system_call_log.ts";
export { type Trace, trace, type TraceEvent, type TraceOptions } from "./_trace.ts";

/** Where a monitor listens, and whom it watches. */
export interface MonitorOptions {
  /** The number of the port on loopback; 0 for any that is free. */
  port?: number;
  /** The address: `127.0.0.1` if not given, or another of loopback. */
  hostname?: string;
  /** In place of a port: the path of a Unix socket, which must not exist yet, and is removed at the end. */
  path?: string;
  /** Whose tasks; the current scheduler's if not given. */
  scheduler?: Scheduler;
}

/** A monitor that listens. */
export interface Monitor extends Disposable, AsyncDisposable {
  /** The address it listens on. */
  readonly addr: Deno.Addr;
  /** Its task, a daemon. */
  readonly task: Task<void>;
  /** Stops listening, and hangs up on everybody. */
  close(): void;
}

/** The most clients at once. One more, and the one that came first is hung up on. */
const MOST_CLIENTS = 16;

/** The longest line that a client may send, in bytes. */
const LONGEST_LINE = 1024;

/** How long, in ms, a client may leave unread what it has asked for. */
const PATIENCE = 10_000;

/** What a browser says first. */
const HTTP = /^[A-Z]+ \S+ HTTP\/\d|^[\w-]+: /;

/** Serves clients, as a task of the scheduler that it watches. */
class MonitorServer implements Shell {
  readonly scheduler: Scheduler;
  readonly own = new Set<Task>();
  readonly #listener: Listener;
  readonly #clients = new Set<Socket>();

  constructor(scheduler: Scheduler, listener: Listener) {
    this.scheduler = scheduler;
    this.#listener = listener;
  }

  serve(): Operation<void> {
    return taskGroup((group) => this.#accept(group));
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.#clients) socket.close();
  }

  // Not `serve`: its handlers are no daemons, and it waits by the kernel's clock when it is out of descriptors.
  *#accept(group: TaskGroup): Coroutine<void> {
    for (;;) {
      let socket: Socket;
      try {
        [socket] = yield* this.#listener.accept();
      } catch (error) {
        if (error instanceof ClosedError) return;
        if (error instanceof Cancelled) throw error;
        yield* hostTime(100); // out of descriptors, perhaps: it will be better soon
        continue;
      }
      socket._connection.unref?.(); // a client that says nothing keeps no process alive
      this.#clients.add(socket);
      const [first] = this.#clients;
      if (this.#clients.size > MOST_CLIENTS) first!.close();
      const name = `monitor of ${nameOf(socket.remoteAddr)}`;
      const task: Task = group.spawn(this.#client(socket), { name, daemon: true }) as Task;
      this.own.add(task);
      atEnd(task, () => {
        socket.close();
        this.#clients.delete(socket);
        this.own.delete(task);
      });
    }
  }

  *#client(socket: Socket): Coroutine<void> {
    try {
      yield* this.#converse(socket);
    } catch (error) {
      // Whatever a client does to its connection is nobody else's concern.
      if (error instanceof Cancelled) throw error;
    }
  }

  *#converse(socket: Socket): Coroutine<void> {
    const { size } = this.scheduler.tasks;
    yield* this.#say(socket, `genos monitor: ${size - this.own.size} tasks; help lists the commands`);
    for (;;) {
      let line: string | null;
      try {
        line = yield* socket.recvLine({ maxBytes: LONGEST_LINE });
      } catch (error) {
        if (error instanceof LimitError) yield* this.#say(socket, "a line is too long");
        throw error;
      }
      if (line === null || HTTP.test(line)) return;
      // What telnet negotiates, and what is no text, goes.
      const command = line.replace(/[^\x20-\x7e]/g, "").trim();
      if (command === "quit") return;
      if (command === "") continue;
      let answer: string;
      try {
        answer = yield* execute(this, command);
      } catch (error) {
        if (error instanceof Cancelled) throw error;
        answer = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      }
      yield* this.#say(socket, answer);
    }
  }

  /** Sends an answer. Who does not read it is hung up on: a write that is pending keeps the process alive. */
  *#say(socket: Socket, text: string): Coroutine<void> {
    const timer = setTimeout(() => socket.close(), PATIENCE);
    Deno.unrefTimer(timer);
    try {
      yield* socket.send(`${text}\n`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Has something undone when a task ends, even if it never began. */
function atEnd(task: Task, undo: () => void): void {
  (task._extra.atEnd ??= []).push(undo);
}

/** The loopback addresses: whatever else a name stands for, others could reach it. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

/** Where to listen, if nobody but this machine can come from there. */
function endpointOf({ port, hostname = "127.0.0.1", path }: MonitorOptions): Endpoint {
  if ((port === undefined) === (path === undefined)) {
    throw new TypeError("Cannot monitor: either a port or the path of a Unix socket is wanted");
  }
  if (path !== undefined) {
    if (typeof path !== "string") {
      throw new TypeError(`Cannot monitor: a path is a string, not ${describe(path)}`);
    }
    if (path === "") throw new TypeError("Cannot monitor: the path is empty");
    return { path };
  }
  if (typeof port !== "number") {
    throw new TypeError(`Cannot monitor: a port is a number, not ${describe(port)}`);
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`Cannot monitor: a port is a whole number from 0 to 65535, not ${port}`);
  }
  if (typeof hostname !== "string" || !LOOPBACK.test(hostname)) {
    throw new TypeError(
      `Cannot monitor on ${
        describe(hostname)
      }: who connects can kill tasks, so it listens on loopback only, ` +
        "such as 127.0.0.1, or on a Unix socket",
    );
  }
  return { hostname: hostname === "localhost" ? "127.0.0.1" : hostname, port };
}

/**
 * Starts a monitor: a daemon task that serves a shell into the scheduler, to be talked to with `nc` or `telnet`. It belongs
 * to the run of the calling task and ends with that; started outside tasks, it lives until it is closed, or a `mainLoop` of
 * that scheduler is over. It answers while the loop turns.
 *
 * | command | |
 * | --- | --- |
 * | `ps`, `tree` | the tasks, as a table, by who spawned them |
 * | `where TID [locals]` | the line where each frame of a task stands: with `--allow-sys`, see `where` |
 * | `kill TID [force]` | kills a task |
 * | `trace [MS]` | a trace for Perfetto, as a line of JSON: `echo trace 1000 \| nc -N 127.0.0.1 7000 \| tail -1` |
 * | `strace [MS] [TID]`, `count [MS]` | the system calls made meanwhile; how often everything happened |
 *
 * @param options Where it listens: `port`, on loopback, or `path`, a Unix socket; and whom it watches.
 * @returns The monitor.
 * @throws {TypeError} If neither or both are given, or the address is not one of loopback.
 * @throws {RangeError} If the port is no whole number from 0 to 65535.
 * @throws The host's error, such as `Deno.errors.AddrInUse`.
 *
 * @example
 * ```ts
 * import { connect, run } from "@genos/kernel";
 * import { monitor } from "@genos/kernel/monitor";
 * import { assertMatch } from "@std/assert";
 *
 * await run(function* main() {
 *   using shell = monitor({ port: 0 });
 *   using socket = yield* connect({ port: (shell.addr as Deno.NetAddr).port });
 *   yield* socket.send("tree\n");
 *   assertMatch((yield* socket.recvLine())!, /^genos monitor: 1 tasks/);
 *   assertMatch((yield* socket.recvLine())!, /^1 main: recvLine 127\.0\.0\.1:\d+$/);
 * });
 * ```
 */
export function monitor(options: MonitorOptions): Monitor {
  if (!isRecord(options)) {
    throw new TypeError(`Cannot monitor: options with a port or a path are wanted, not ${describe(options)}`);
  }
  check("monitor", "scheduler", options.scheduler, aScheduler);
  const { scheduler = Scheduler.current() } = options;
  const acceptor = denoNetwork.listen(endpointOf(options)); // the real one, whatever network the program has
  acceptor.unref?.();
  const server = new MonitorServer(scheduler, new Listener(acceptor));
  const task = scheduler.spawn(server.serve(), { name: "monitor", daemon: true });
  server.own.add(task as Task);
  atEnd(task as Task, () => server.close());
  const close = () => {
    server.close();
    void scheduler.kill(task as Task, { wait: false });
  };
  return {
    addr: acceptor.addr,
    task,
    close,
    [Symbol.dispose]: close,
    async [Symbol.asyncDispose]() {
      server.close();
      await scheduler.kill(task as Task);
    },
  };
}
