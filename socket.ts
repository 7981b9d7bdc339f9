/**
 * Sockets: streams of bytes between processes, as operations of tasks.
 *
 * A socket is two lines of tasks with a connection between them: those who take what comes in (`_incoming.ts`), and those
 * who send (`_outgoing.ts`). A listener is one, for those who take connections (`_intake.ts`). The host's operations lie
 * under a seam of callbacks (`_network.ts`), which the kernel's own tests fill with memory instead of a network.
 *
 * Readiness, as the seed's `select` reports it, does not exist in Deno; it is simulated, by an operation that is pending on
 * behalf of the object. What that costs is the memory that it is pending into. What it gives is that a task can be killed
 * at any point without a byte being lost.
 *
 * @module
 */

import { denoNetwork } from "./_deno_network.ts";
import { Incoming, NextLine, ReadAll, Recv, RecvExactly, RecvLine, RecvUntil } from "./_incoming.ts";
import { Intake, NOT_YET, ReadyWait, Take } from "./_intake.ts";
import type { Acceptor, Connection, Endpoint, Network } from "./_network.ts";
import { describe } from "./_operation.ts";
import { CloseWrite, Outgoing, Send, writeWaitOf } from "./_outgoing.ts";
import { Parked, type Wait } from "./_parking.ts";
import { Scheduler } from "./scheduler.ts";
import { type Pollable, SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

export { serve, type ServeOptions } from "./_serve.ts";

/** Where to listen. */
export interface ListenOptions {
  /** The number of the port; 0 for any that is free. */
  port: number;
  /** The address to listen on, or its name; `0.0.0.0`, all of the machine's, if not given. */
  hostname?: string;
}

/** What to connect to. */
export interface ConnectOptions {
  /** The number of the port. */
  port: number;
  /** The address, or its name; `127.0.0.1` if not given. */
  hostname?: string;
}

/** How something is sent. */
export interface SendOptions {
  /** It goes on where an earlier send was cut in the middle, so that the stream makes sense again. */
  continues?: boolean;
}

/** How much may be received. */
export interface LimitOptions {
  /** The most bytes that are waited for; no limit if not given. */
  maxBytes?: number;
}

/** The lines of a socket, one after the other. */
export interface Lines {
  /** Waits for the next line: an operation that gives what the `next` of an iterator gives. */
  next(): SystemCall<IteratorResult<string>>;
}

const NO_OPTIONS = {};
const encoder = new TextEncoder();

/**
 * A connection: a stream of bytes in both directions. It comes from {@linkcode Listener.accept} or {@linkcode connect}.
 *
 * Several tasks may use one socket: those who receive are served in order, and what they receive is theirs to keep; those
 * who send have the floor one after the other, so that their bytes are never mixed. A task that is cancelled while it
 * receives takes nothing with it.
 *
 * When the connection fails, bytes that had arrived come first, and then the host's error, such as
 * `Deno.errors.ConnectionReset`, in every task that uses the socket.
 *
 * @example
 * ```ts
 * import { connect, listen, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   using listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   yield* spawn(function* echo() {
 *     const [socket] = yield* listener.accept();
 *     for (let data; (data = yield* socket.recv()) !== null;) yield* socket.send(data);
 *     socket.close();
 *   });
 *   using socket = yield* connect({ port: listener.addr.port });
 *   yield* socket.send("hello\n");
 *   assertEquals(yield* socket.recvLine(), "hello");
 * });
 * ```
 */
export class Socket<Address extends Deno.Addr = Deno.Addr> implements Pollable, Disposable {
  /** @internal */
  readonly _connection: Connection;
  /** @internal what the connection as a whole has failed with */
  _failure: unknown = undefined;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  #closed = false;

  /** @internal Sockets come from `Listener.accept` and `connect`. */
  constructor(connection: Connection) {
    this._connection = connection;
    this.#incoming = new Incoming(this);
    this.#outgoing = new Outgoing(this);
  }

  /** The address of this end. */
  get localAddr(): Address {
    return this._connection.localAddr as Address;
  }

  /** The address of the other end. */
  get remoteAddr(): Address {
    return this._connection.remoteAddr as Address;
  }

  /** How many bytes the program has taken. */
  get bytesReceived(): number {
    return this.#incoming.taken;
  }

  /** How many bytes the system has taken. It is final once `writeWait(socket)` has answered. */
  get bytesSent(): number {
    return this.#outgoing.sent;
  }

  /**
   * Receives what there is, as soon as there is something.
   *
   * @param maxBytes The most bytes to take, at least 1; all that have come if not given.
   * @returns A system call that gives at least one byte; `null` at the end of the stream. The bytes are the caller's to keep.
   * A few bytes may lie beside those of an earlier `recv` in one `ArrayBuffer`: `slice()` what you transfer.
   * @throws {TypeError} If `maxBytes` is no number.
   * @throws {RangeError} If it is no whole number from 1.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  recv(maxBytes = Infinity): SystemCall<Uint8Array<ArrayBuffer> | null> {
    checkSize(maxBytes, 1, "recv");
    return new Recv(this.#incoming, maxBytes);
  }

  /**
   * Receives a number of bytes. One that is cancelled takes none of them.
   *
   * @param n How many bytes.
   * @returns A system call that gives exactly that many.
   * @throws {TypeError} If `n` is no number.
   * @throws {RangeError} If it is no whole number from 0.
   * @throws {EndOfStreamError} In the task, with what came, if the stream ends before.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  recvExactly(n: number): SystemCall<Uint8Array<ArrayBuffer>> {
    checkSize(n, 0, "recvExactly");
    return new RecvExactly(this.#incoming, n);
  }

  /**
   * Receives up to a delimiter, which is the last of what it gives.
   *
   * @param delimiter The bytes, or a text in UTF-8; at least one byte.
   * @param options `maxBytes`: the most bytes to wait for, those of the delimiter included.
   * @returns A system call that gives the bytes.
   * @throws {TypeError} If `delimiter` is neither bytes nor a string, or is empty.
   * @throws {RangeError} If `maxBytes` is no whole number from 1.
   * @throws {LimitError} In the task, if there are more bytes than `maxBytes`; they stay readable.
   * @throws {EndOfStreamError} In the task, with what came, if the stream ends before.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  recvUntil(
    delimiter: Uint8Array | string,
    options: LimitOptions = NO_OPTIONS,
  ): SystemCall<Uint8Array<ArrayBuffer>> {
    const bytes = toBytes(delimiter, "recvUntil");
    if (bytes.length === 0) throw new TypeError("Cannot recvUntil: the delimiter is empty");
    return new RecvUntil(this.#incoming, bytes, limitOf(options, "recvUntil"));
  }

  /**
   * Receives a line: text in UTF-8 that ends with LF or CRLF, or with the stream.
   *
   * @param options `maxBytes`: the most bytes that it may have, its end not counted.
   * @returns A system call that gives the line without its end; `null` at the end of the stream.
   * @throws {RangeError} If `maxBytes` is no whole number from 1.
   * @throws {LimitError} In the task, if the line has more bytes than `maxBytes`; they stay readable.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  recvLine(options: LimitOptions = NO_OPTIONS): SystemCall<string | null> {
    return new RecvLine(this.#incoming, limitOf(options, "recvLine"));
  }

  /**
   * The lines that come, one after the other: see {@linkcode Socket.recvLine}.
   *
   * @param options `maxBytes`: the most bytes that a line may have, its end not counted.
   * @returns An object whose `next()` is a system call that gives `{ value }`, and `{ done: true }` at the end of the stream.
   * @throws {RangeError} If `maxBytes` is no whole number from 1.
   */
  lines(options: LimitOptions = NO_OPTIONS): Lines {
    const maxBytes = limitOf(options, "recvLine");
    return { next: () => new NextLine(this.#incoming, maxBytes) };
  }

  /**
   * Receives everything up to the end of the stream. One that is cancelled takes nothing.
   *
   * @param options `maxBytes`: the most bytes to wait for.
   * @returns A system call that gives the bytes.
   * @throws {RangeError} If `maxBytes` is no whole number from 1.
   * @throws {LimitError} In the task, if more bytes come than `maxBytes`; they stay readable.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  readAll(options: LimitOptions = NO_OPTIONS): SystemCall<Uint8Array<ArrayBuffer>> {
    return new ReadAll(this.#incoming, limitOf(options, "readAll"));
  }

  /**
   * Sends all of `data`; it answers when the system has taken the last byte.
   *
   * A send that is cancelled starts no further write. The one in flight stays with the socket: `data`, which is not copied,
   * is to be left alone until `writeWait(socket)` has answered, and `bytesSent` is then what the other end will receive. If
   * some but not all of the bytes went out, later sends are refused until one says that it continues.
   *
   * @param data The bytes, or a text to be sent in UTF-8. An empty one does nothing.
   * @param options `continues`: it goes on where an earlier send was cut in the middle.
   * @returns A system call.
   * @throws {TypeError} If `data` is neither bytes nor a string.
   * @throws {InvalidStateError} In the task, if an earlier send was cut in the middle.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile, or is closed for writing.
   */
  send(data: Uint8Array | string, options: SendOptions = NO_OPTIONS): SystemCall<void> {
    return new Send(this.#outgoing, toBytes(data, "send"), options.continues === true);
  }

  /**
   * Tells the other end, after the sends before it, that nothing more will be sent; receiving goes on.
   *
   * @returns A system call. To call it twice does no harm.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  closeWrite(): SystemCall<void> {
    return new CloseWrite(this.#outgoing);
  }

  /**
   * Closes the socket. Every task that waits on it gets `ClosedError`, and so does every later call. To call it twice does
   * no harm.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming.close();
    this.#outgoing.close();
    this._connection.close();
  }

  /**
   * Has small sends go out at once, or be gathered by the system (Nagle's algorithm). At once is how it starts.
   *
   * @param noDelay Whether at once.
   */
  setNoDelay(noDelay = true): void {
    this._connection.setNoDelay?.(noDelay);
  }

  /** Closes it: `using socket = …`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `socket 127.0.0.1:50312`, with the address of the other end. */
  toString(): string {
    return `socket ${this._name}`;
  }

  /** @ignore */
  _readWait(task: Task, scheduler: Scheduler): Parked | void {
    return new ReadyWait(this.#incoming).handle(task, scheduler);
  }

  /** @ignore */
  _writeWait(task: Task, scheduler: Scheduler): Parked | void {
    return writeWaitOf(this.#outgoing, task, scheduler);
  }

  /** @internal The address of the other end, for what is waited for. */
  get _name(): string {
    return nameOf(this.remoteAddr);
  }

  /** @internal Reading has failed, and with it the connection. Gives the error that stands: the first. */
  _readFailed(error: unknown): unknown {
    return this._failure ??= error;
  }

  /**
   * @internal Writing has failed. Who is told of a reset uses it up: the host's next read would speak of an end of stream,
   * and its next write of a broken pipe. So it is noted for both.
   */
  _writeFailed(error: unknown): unknown {
    if ((error as Error).name === "ConnectionReset") this._failure ??= error;
    return this._failure ?? error;
  }
}

// ---- Listening -------------------------------------------------------------------------------------------------------

/** The connections that have been accepted and not been taken, or what an attempt has failed with after them. */
class Backlog extends Intake {
  readonly owner: Listener;
  /**
   * How many may be accepted before anybody has asked for them. Between two turns of one task every other that is ready has
   * one, and behind a thousand of them a line of new clients would move by one connection at a time.
   */
  ahead = 0;
  readonly #acceptor: Acceptor;
  readonly #arrived: Connection[] = [];
  #error: unknown;

  constructor(owner: Listener, acceptor: Acceptor) {
    super();
    this.owner = owner;
    this.#acceptor = acceptor;
  }

  get name(): string {
    return nameOf(this.#acceptor.addr);
  }

  get ready(): boolean {
    return this.#arrived.length > 0 || this.#error !== undefined;
  }

  shift(): Connection | undefined {
    const arrived = this.#arrived.shift();
    const error = this.#error;
    if (arrived !== undefined || error === undefined) return arrived;
    this.#error = undefined;
    throw error;
  }

  override close(): void {
    if (this.isClosed) return;
    super.close();
    for (const connection of this.#arrived.splice(0)) connection.close();
    this.#acceptor.close();
  }

  protected override pull(): void {
    this.#acceptor.accept((error, connection) => {
      if (this.isClosed) {
        connection?.close();
        return;
      }
      if (error === null) this.#arrived.push(connection!);
      else if (!hasDiedBefore(error)) this.#error = error;
      this.pulled();
      if (this.#error === undefined && this.#arrived.length < this.ahead) this.pullAhead();
    });
  }

  protected override keepAlive(on: boolean): void {
    if (on) this.#acceptor.ref?.();
    else this.#acceptor.unref?.();
  }
}

/**
 * What an accept fails with when the connection has died before it: nobody's error, so the next one is taken. Linux hands
 * on there what the network had to say of the new connection, and accept(2) asks to treat that as if none had come.
 */
function hasDiedBefore(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  return DIED_BEFORE.has(name) || DIED_BEFORE.has(code);
}

const DIED_BEFORE: ReadonlySet<unknown> = new Set([
  ...["NotConnected", "ConnectionAborted", "ConnectionReset"],
  ...[
    "EPROTO",
    "ENOPROTOOPT",
    "ENETDOWN",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
  ],
]);

class Accept<Address extends Deno.Addr> extends Take<[Socket<Address>, Address]> {
  readonly intake: Backlog;

  constructor(backlog: Backlog) {
    super();
    this.intake = backlog;
  }

  get verb(): string {
    return "accept";
  }

  take(): [Socket<Address>, Address] | typeof NOT_YET {
    const connection = this.intake.shift();
    if (connection === undefined) return NOT_YET;
    return [new Socket<Address>(connection), connection.remoteAddr as Address];
  }
}

/**
 * What waits for connections. It comes from {@linkcode listen}.
 *
 * @example
 * ```ts
 * import { connect, listen, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   using listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   yield* spawn(function* () {
 *     using socket = yield* connect({ port: listener.addr.port });
 *     yield* socket.send("hello");
 *   });
 *   const [socket] = yield* listener.accept();
 *   assertEquals(yield* socket.recvLine(), "hello");
 *   socket.close();
 * });
 * ```
 */
export class Listener<Address extends Deno.Addr = Deno.Addr> implements Pollable, Disposable {
  readonly #acceptor: Acceptor;
  readonly #backlog: Backlog;

  /** @internal Listeners come from `listen`. */
  constructor(acceptor: Acceptor) {
    this.#acceptor = acceptor;
    this.#backlog = new Backlog(this, acceptor);
  }

  /** The address it listens on. */
  get addr(): Address {
    return this.#acceptor.addr as Address;
  }

  /**
   * Accepts a connection. Those who accept are served in order; one that is cancelled takes no connection with it. A
   * connection that died before it could be accepted is skipped.
   *
   * @returns A system call that gives the socket and the address of the other end.
   * @throws {ClosedError} In the task, if the listener is closed or gets closed meanwhile.
   */
  accept(): SystemCall<[Socket<Address>, Address]> {
    return new Accept<Address>(this.#backlog);
  }

  /** @internal The same; so many more may be accepted from the host before they are asked for. */
  _acceptAhead(ahead: number): SystemCall<[Socket<Address>, Address]> {
    this.#backlog.ahead = ahead;
    return this.accept();
  }

  /** @internal */
  get _isClosed(): boolean {
    return this.#backlog.isClosed;
  }

  /**
   * Stops listening. Every task that waits on it gets `ClosedError`, and so does every later call. To call it twice does no
   * harm. What has been accepted is not touched. The host may let go of the port in its next turn only.
   */
  close(): void {
    this.#backlog.close();
  }

  /** Closes it: `using listener = …`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `listener 127.0.0.1:5678`. */
  toString(): string {
    return `listener ${nameOf(this.addr)}`;
  }

  /** @ignore */
  _readWait(task: Task, scheduler: Scheduler): Parked | void {
    return new ReadyWait(this.#backlog).handle(task, scheduler);
  }
}

/**
 * Listens for connections, on the network of the current scheduler.
 *
 * @param options Where.
 * @returns What accepts them.
 * @throws {TypeError} If an option is of the wrong kind.
 * @throws {RangeError} If the port is no whole number from 0 to 65535.
 * @throws The host's error, such as `Deno.errors.AddrInUse`.
 *
 * @example
 * ```ts
 * import { listen } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * using listener = listen({ hostname: "127.0.0.1", port: 0 });
 * assertEquals(String(listener), `listener 127.0.0.1:${listener.addr.port}`);
 * ```
 */
export function listen(options: ListenOptions): Listener<Deno.NetAddr> {
  const endpoint = endpointOf(options, "listen", 0, "0.0.0.0");
  const network = Scheduler.current()._network ?? denoNetwork;
  return new Listener<Deno.NetAddr>(network.listen(endpoint));
}

// ---- Connecting ------------------------------------------------------------------------------------------------------

class ConnectWait extends Parked implements Wait {
  readonly #endpoint: Endpoint;
  #attempt: { cancel(): void } | undefined;

  constructor(endpoint: Endpoint) {
    super();
    this.#endpoint = endpoint;
  }

  get reason(): string {
    return `connect ${nameOf(this.#endpoint)}`;
  }

  get source(): "host" {
    return "host";
  }

  begin(network: Network): void {
    this.#attempt = network.connect(this.#endpoint, (error, connection) => {
      const scheduler = this._task?._scheduler;
      if (scheduler === undefined) connection?.close();
      else if (error === null) scheduler.resume(this, new Socket(connection!));
      else scheduler.fail(this, error);
    });
  }

  cancel(): void {
    this.#attempt?.cancel();
  }
}

class Connect extends SystemCall<Socket<Deno.NetAddr>> {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    super();
    this.#endpoint = endpoint;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const wait = new ConnectWait(this.#endpoint);
    scheduler.park(task, wait);
    wait.begin(scheduler._network ?? denoNetwork);
    return wait;
  }
}

/**
 * Connects to a listener, on the network of the task's scheduler. One that is cancelled leaves no connection behind.
 *
 * @param options Where it listens.
 * @returns A system call that gives the socket, or throws the host's error, such as `Deno.errors.ConnectionRefused`.
 * @throws {TypeError} If an option is of the wrong kind.
 * @throws {RangeError} If the port is no whole number from 1 to 65535.
 *
 * @example
 * ```ts
 * import { connect, listen, run } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * await run(function* () {
 *   using listener = listen({ hostname: "127.0.0.1", port: 0 });
 *   using socket = yield* connect({ port: listener.addr.port });
 *   assertEquals(socket.remoteAddr, listener.addr);
 * });
 * ```
 */
export function connect(options: ConnectOptions): SystemCall<Socket<Deno.NetAddr>> {
  return new Connect(endpointOf(options, "connect", 1, "127.0.0.1"));
}

// ---- Arguments -------------------------------------------------------------------------------------------------------

function endpointOf(
  options: { port: number; hostname?: string },
  verb: string,
  leastPort: number,
  defaultHostname: string,
): Endpoint {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot ${verb}: options with a port are wanted, not ${describe(options)}`);
  }
  const { port, hostname = defaultHostname } = options;
  if (typeof port !== "number") {
    throw new TypeError(`Cannot ${verb}: a port is a number, not ${describe(port)}`);
  }
  if (!Number.isInteger(port) || port < leastPort || port > 65_535) {
    throw new RangeError(`Cannot ${verb}: a port is a whole number from ${leastPort} to 65535, not ${port}`);
  }
  if (typeof hostname !== "string") {
    throw new TypeError(`Cannot ${verb}: a hostname is a string, not ${describe(hostname)}`);
  }
  return { hostname, port };
}

/** Checks a number of bytes. `Infinity` is one. */
function checkSize(n: unknown, least: number, verb: string): void {
  if (typeof n !== "number") {
    throw new TypeError(`Cannot ${verb} ${describe(n)}: a number of bytes is wanted`);
  }
  if (!(n >= least && (Number.isInteger(n) || n === Infinity))) {
    throw new RangeError(`Cannot ${verb} ${n} bytes: a whole number from ${least} is wanted`);
  }
}

function limitOf(options: LimitOptions, verb: string): number {
  const { maxBytes = Infinity } = options;
  checkSize(maxBytes, 1, verb);
  return maxBytes;
}

function toBytes(data: unknown, verb: string): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`Cannot ${verb} ${describe(data)}: a Uint8Array or a string is wanted`);
}

/** An address in words: `127.0.0.1:5678`, `[::1]:5678`, a path. */
export function nameOf(addr: Endpoint | Deno.Addr): string {
  if ("hostname" in addr) {
    return addr.hostname.includes(":") ? `[${addr.hostname}]:${addr.port}` : `${addr.hostname}:${addr.port}`;
  }
  return "path" in addr ? addr.path : `${addr.transport}:${addr.cid}:${addr.port}`;
}
