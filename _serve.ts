/**
 * `serve`: the accept loop.
 *
 * Each connection is a child of one group that lies on the stack of the task that serves, so that a kill or a timeout of
 * that task is all it takes to end a server, and nothing of it can be left. A child that fails is no failure of that group:
 * its error is reported, and the others go on. A socket is closed by the end of its task, which the kernel tells in every
 * case, and not by a `finally` of its coroutine: one that is killed before its first step would never come to it.
 *
 * When it is cancelled, the listener is closed first, and the handlers have their grace before they are told. That time is
 * shielded: the grace of the kernel's own kill stands still meanwhile, and a second cancellation does not cut it short.
 *
 * @module
 */

import { aCount, aFunction, aTime, checkOptions, type Kinds } from "./_check.ts";
import { THROW } from "./_boundary.ts";
import { nameOf } from "./_endpoints.ts";
import { Event } from "./_event.ts";
import { closed } from "./_intake.ts";
import { type Coroutine, describe, type Work } from "./_operation.ts";
import { select } from "./_select.ts";
import { Semaphore } from "./_semaphore.ts";
import { ClosedError, TimeoutError } from "./errors.ts";
import { type ChildEnded, GroupCall, GroupEnd, type TaskGroup } from "./group.ts";
import type { Listener, Socket } from "./socket.ts";
import { shield, sleep, timeout } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** How connections are served. */
export interface ServeOptions<Address extends Deno.Addr = Deno.Addr> {
  /** How many may be served at once; the others wait until one has ended. As many as come if not given. */
  maxConnections?: number;
  /** How long, in ms, handlers may go on when serving is cancelled, before they are killed; 0 if not given. */
  grace?: number;
  /**
   * Told what a handler has failed with; its socket is closed then. If not given, `onUnhandledError` of the scheduler is
   * told; if it throws, that is told of both errors.
   */
  onError?: (error: unknown, socket: Socket<Address>, addr: Address) => void;
}

const SERVE_OPTIONS: Kinds<ServeOptions> = { maxConnections: aCount(1), grace: aTime, onError: aFunction };

/** How many connections may be accepted from the host in one go. */
const AHEAD = 64;

/** How long to wait, in ms, when the process is out of descriptors: at first, and at most. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 100;

/** What an accept fails with when the process, or the system, has nothing left to accept with. */
const EXHAUSTED: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/**
 * Accepts connections and has each served by a task of its own, until it is cancelled or the listener is closed.
 *
 * - A handler that ends, however it ends, has its socket closed. One that fails is reported, and nobody else is touched.
 * - When the task that serves is killed, or a timeout round it expires, the listener is closed at once. The handlers may go
 *   on for `grace` ms, then they are killed, and their cleanup awaited. Afterwards there is no listener, no socket and no
 *   task left. `force: true` skips the grace.
 * - When the listener is closed by somebody else, the handlers may go on to their end, and then it returns.
 * - When the process is out of file descriptors it waits until one of its connections has ended, or up to 100 ms, and tries
 *   again. A connection that died before it could be accepted is skipped.
 *
 * @param listener What accepts. It is closed when this ends, however it ends.
 * @param handler Gives the coroutine that serves a connection.
 * @param options How many at once, how long they may go on, who is told of errors.
 * @returns A coroutine, to be called or spawned.
 * @throws {TypeError} If an argument or an option is of the wrong kind.
 * @throws {RangeError} If `maxConnections` is no whole number from 1, or `grace` is negative or `NaN`.
 * @throws {ClosedError} In the task, if the listener is closed already.
 *
 * @example
 * ```ts
 * import { connect, kill, listen, run, serve, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   const listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   const server = yield* spawn(serve(listener, function* (socket) {
 *     for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
 *   }, { maxConnections: 1000 }));
 *   using socket = yield* connect({ port: listener.addr.port });
 *   yield* socket.send("hello\n");
 *   assertEquals(yield* socket.recvLine(), "hello");
 *   yield* kill(server);
 *   assertEquals(yield* socket.recv(), null);
 * });
 * ```
 */
export function serve<Address extends Deno.Addr>(
  listener: Listener<Address>,
  handler: (socket: Socket<Address>, addr: Address) => Work<unknown>,
  options: ServeOptions<Address> = {},
): Coroutine<void> {
  if (typeof listener?._acceptAhead !== "function") {
    throw new TypeError(`Cannot serve ${describe(listener)}: a listener is wanted`);
  }
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot serve with ${describe(handler)}: a function that takes a socket is wanted`);
  }
  checkOptions("serve", options, SERVE_OPTIONS);
  const server = new Server(listener, handler, options);
  const coroutine = server.serve();
  // The bare `yield` at its start: from now on it has a `finally` to run, even if it is killed before its first step.
  coroutine.next();
  return coroutine;
}

class Server<Address extends Deno.Addr> {
  readonly #listener: Listener<Address>;
  readonly #handler: (socket: Socket<Address>, addr: Address) => Work<unknown>;
  readonly #grace: number;
  readonly #onError: ServeOptions<Address>["onError"];
  readonly #slots: Semaphore;
  readonly #sockets = new Map<Task, Socket<Address>>();
  /** Set when a connection has ended, which may have brought what an accept was short of. */
  readonly #ended = new Event("the end of a connection");

  constructor(
    listener: Listener<Address>,
    handler: (socket: Socket<Address>, addr: Address) => Work<unknown>,
    { maxConnections = Infinity, grace = 0, onError }: ServeOptions<Address>,
  ) {
    this.#listener = listener;
    this.#handler = handler;
    this.#grace = grace;
    this.#onError = onError;
    this.#slots = new Semaphore(maxConnections, "connections");
  }

  *serve(): Coroutine<void> {
    try {
      yield;
      if (this.#listener._isClosed) throw closed("serve", this.#listener);
      yield* new GroupCall((group) => this.#serveIn(group), this.#childEnded);
    } finally {
      this.#listener.close();
    }
  }

  *#serveIn(group: TaskGroup): Coroutine<void> {
    try {
      yield* this.#accept(group);
      yield* new GroupEnd(group);
    } catch (error) {
      this.#listener.close();
      yield* shield(this.#drain(group));
      throw error;
    } finally {
      this.#listener.close(); // where frames are closed by force, nothing is caught
    }
  }

  /** Accepts until the listener is closed. */
  *#accept(group: TaskGroup): Coroutine<void> {
    for (let pause = FIRST_PAUSE;;) {
      yield* this.#slots.acquire();
      const ahead = Math.min(AHEAD, this.#slots.available);
      try {
        const [socket, addr] = yield* this.#listener._acceptAhead(ahead);
        this.#start(group, socket, addr);
        pause = FIRST_PAUSE;
      } catch (error) {
        if (error instanceof ClosedError) return;
        if (!EXHAUSTED.has((error as { code?: unknown }).code)) throw error;
        this.#slots.release();
        this.#ended.clear();
        const { name } = yield* select({ freed: this.#ended.wait(), retry: sleep(pause) });
        pause = name === "freed" ? FIRST_PAUSE : Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  /** Gives the handlers their grace. */
  *#drain(group: TaskGroup): Coroutine<void> {
    try {
      yield* timeout(this.#grace, new GroupEnd(group));
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }

  #start(group: TaskGroup, socket: Socket<Address>, addr: Address): void {
    const name = `client ${nameOf(addr)}`;
    const start = (work: Work<unknown>) => this.#sockets.set(group.spawn(work, { name }), socket);
    try {
      start(this.#handler(socket, addr));
    } catch (error) {
      // It gave no coroutine: it has failed like one that has thrown.
      start(function* () {
        throw error;
      });
    }
  }

  readonly #childEnded: ChildEnded = (_group, child) => {
    const socket = this.#sockets.get(child);
    if (socket === undefined) return false;
    this.#sockets.delete(child);
    socket.close();
    this.#slots.release();
    this.#ended.set();
    // Else the scheduler reports it, at the end of the turn.
    if (child._mode === THROW && !child._heard && this.#onError !== undefined) {
      child._heard = true;
      try {
        this.#onError(child._error, socket, socket.remoteAddr);
      } catch (error) {
        child._scheduler._report(child._error, child); // whoever was to hear of it may have told nobody
        child._scheduler._report(error, child);
      }
    }
    return true;
  };
}
