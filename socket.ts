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

import { Accept, Backlog } from "./_backlog.ts";
import { checkMemory, checkSize, toBytes } from "./_bytes.ts";
import { Connect, ConnectAtAllCosts } from "./_connecting.ts";
import { denoNetwork } from "./_deno_network.ts";
import { describe } from "./_operation.ts";
import {
  checkString,
  connectEndpoint,
  type ConnectOptions,
  listenEndpoint,
  type ListenOptions,
  nameOf,
  type StartTlsOptions,
  type TcpConnectOptions,
  type TcpListenOptions,
  tlsClientOptions,
  type TlsListenOptions,
  type UnixConnectOptions,
  type UnixListenOptions,
} from "./_endpoints.ts";
import {
  Incoming,
  NextLine,
  ReadAll,
  Recv,
  RecvExactly,
  RecvInto,
  RecvLine,
  RecvUntil,
} from "./_incoming.ts";
import { closed, ReadyWait } from "./_intake.ts";
import type { Acceptor, Attempt, Connection, Done, TlsClientOptions, TlsInfo } from "./_network.ts";
import { CloseWrite, Handshake, Outgoing, Send } from "./_outgoing.ts";
import type { Parked } from "./_parking.ts";
import { SocketStreams } from "./_streams.ts";
import { idleWait } from "./_turns.ts";
import { InvalidStateError } from "./errors.ts";
import { Scheduler } from "./scheduler.ts";
import type { Pollable, SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

export { DatagramSocket, listenDatagram } from "./_datagram.ts";
export type {
  ConnectOptions,
  DatagramOptions,
  ListenOptions,
  StartTlsOptions,
  TcpConnectOptions,
  TcpListenOptions,
  TlsConnectOptions,
  TlsListenOptions,
  UnixConnectOptions,
  UnixListenOptions,
} from "./_endpoints.ts";
export { serve, type ServeOptions } from "./_serve.ts";

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
  /** @internal what has become of it, for errors */
  _fate = "is open";
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  /** The name that was connected to. */
  readonly #hostname: string | undefined;
  #streams: SocketStreams | undefined;

  /** @internal Sockets come from `Listener.accept` and `connect`. */
  constructor(connection: Connection, hostname?: string) {
    this._connection = connection;
    this.#hostname = hostname;
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
   * Receives what there is, as soon as there is something, into memory of the caller's: for much data, of which nothing is
   * to be kept. What `recv` gives is new memory each time, which costs more than all else where messages are large.
   *
   * One that is cancelled takes no bytes. But the host's read stays with the socket, and so does `memory`, which is to be
   * left alone until `readWait(socket)` has answered, or be given to this socket's next `recvInto`.
   *
   * @param memory Where the bytes go: to its start, and as many as it has room for, at least 1.
   * @returns A system call that gives the number of bytes, at least 1; `null` at the end of the stream.
   * @throws {TypeError} If `memory` is no `Uint8Array`; in the task, if it was detached or resized meanwhile: what came is
   * lost then, and nothing can be received any more.
   * @throws {RangeError} If `memory` has no room.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   *
   * @example
   * ```ts
   * import { type Coroutine, type Socket } from "@genos/kernel";
   *
   * function* echo(socket: Socket): Coroutine<void> {
   *   const memory = new Uint8Array(65_536);
   *   for (let n; (n = yield* socket.recvInto(memory)) !== null;) yield* socket.send(memory.subarray(0, n));
   * }
   * ```
   */
  recvInto(memory: Uint8Array<ArrayBuffer>): SystemCall<number | null> {
    checkMemory(memory, "recvInto");
    return new RecvInto(this.#incoming, memory);
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
    checkOptions(options, "send");
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
    if (this.#incoming.isClosed) return;
    this.#end("is closed");
    this._connection.close();
  }

  /** All who use it are told. */
  #end(fate: string): void {
    this._fate = fate;
    this.#incoming.close();
    this.#outgoing.close();
    this.#streams?.closed((verb) => closed(verb, this));
  }

  /**
   * Has the connection speak TLS from now on, as its client: what a protocol calls STARTTLS. It answers when the handshake
   * is over. This socket is then of no use any more, whatever comes of it; one that is cancelled closes the connection.
   *
   * @param options Whose certificate is wanted, and who is trusted.
   * @returns An operation that gives the socket to go on with, or throws the host's error, such as
   * `Deno.errors.InvalidData` for a certificate that nobody vouches for.
   * @throws {TypeError} If an option is of the wrong kind.
   * @throws {InvalidStateError} In the task, if it cannot be done now: a read or a write is in flight, or bytes have come
   * that nobody has taken. A `recv` that was cancelled leaves its read in flight. Or the connection is no TCP connection, or
   * speaks TLS already. The socket stays usable.
   * @throws {ClosedError} In the task, if the socket is closed.
   *
   * @example
   * ```ts ignore
   * import { connect, type Coroutine } from "@genos/kernel";
   *
   * function* mail(): Coroutine<void> {
   *   const plain = yield* connect({ hostname: "mail.example.com", port: 25 });
   *   yield* plain.recvLine();
   *   yield* plain.send("STARTTLS\r\n");
   *   yield* plain.recvLine();
   *   using socket = yield* plain.startTls();
   *   yield* socket.send("EHLO example.com\r\n");
   * }
   * ```
   */
  startTls(options: StartTlsOptions = NO_OPTIONS): SystemCall<Socket<Address>> {
    checkOptions(options, "startTls");
    const { hostname = this.#hostname ?? hostOf(this.remoteAddr) } = options;
    checkString(hostname, "hostname", "startTls");
    const client = tlsClientOptions(options, "startTls");
    return new ConnectAtAllCosts({
      reason: `startTls ${this._name}`,
      source: () => this._source,
      begin: (_scheduler, done) => this.#startTls(hostname, client, done),
      made: (connection) => new Socket<Address>(connection, hostname),
    });
  }

  #startTls(hostname: string, options: TlsClientOptions, done: Done<Connection>): Attempt {
    if (this.#incoming.isClosed) throw closed("startTls", this);
    if (this._failure !== undefined) throw this._failure;
    const { _connection: connection } = this;
    const inUse = this.#incoming.inUse ?? this.#outgoing.inUse ??
      (connection.startTls === undefined ? "it is no TCP connection that could" : undefined);
    if (inUse !== undefined) throw new InvalidStateError(`Cannot startTls on ${this}: ${inUse}`);
    this.#outgoing.checkWhole("startTls");
    this.#end("speaks TLS now, through the socket that startTls gave");
    return connection.startTls!(hostname, options, done);
  }

  /**
   * Waits until the TLS handshake is over. The first `recv` or `send` would do that as well; a server that wants to know
   * sooner who is there, or which protocol was agreed on, asks here. A client's is over when `connect` or `startTls` answers.
   *
   * @returns A system call that gives the application protocol that was agreed on.
   * @throws {InvalidStateError} In the task, if the connection does not speak TLS.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   * @throws The host's error, in the task and for all who use the socket, such as `Deno.errors.InvalidData`.
   */
  handshake(): SystemCall<TlsInfo> {
    return new Handshake(this.#outgoing);
  }

  /**
   * What comes in, as a stream of the web platform, for code that is written for those; also outside tasks. Nothing is read
   * before somebody asks. To cancel it ends reading, and closes the socket unless `writable` is in use.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#webStreams.readable;
  }

  /**
   * What goes out, as a stream of the web platform, for code that is written for those; also outside tasks. To close it is
   * `closeWrite`, and closes the socket if `readable` has been used and is over. To abort it closes the socket.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#webStreams.writable;
  }

  get #webStreams(): SocketStreams {
    return this.#streams ??= new SocketStreams(this.#incoming, this.#outgoing, () => this.close());
  }

  /**
   * Has small sends go out at once, or be gathered by the system (Nagle's algorithm). At once is how it starts. It does
   * nothing where Deno has no say: on a Unix socket, and on a connection that speaks TLS.
   *
   * @param noDelay Whether at once.
   * @throws {ClosedError} If the socket is closed.
   */
  setNoDelay(noDelay = true): void {
    if (this.#incoming.isClosed) throw closed("setNoDelay", this);
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
    return idleWait(this.#outgoing, task, scheduler);
  }

  /** @internal */
  get _source(): "host" | "tasks" {
    return this._connection.source ?? "host";
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

/** What one who accepts gets. */
function accepted<Address extends Deno.Addr>(connection: Connection): [Socket<Address>, Address] {
  return [new Socket<Address>(connection), connection.remoteAddr as Address];
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
    return new Accept(this.#backlog, accepted<Address>);
  }

  /** @internal The same; so many more may be accepted from the host before they are asked for. */
  _acceptAhead(ahead: number): SystemCall<[Socket<Address>, Address]> {
    this.#backlog.ahead = ahead;
    return this.accept();
  }

  /** @internal */
  get _source(): "host" | "tasks" {
    return this.#acceptor.source ?? "host";
  }

  /** @internal */
  get _isClosed(): boolean {
    return this.#backlog.isClosed;
  }

  /**
   * Stops listening. Every task that waits on it gets `ClosedError`, and so does every later call. To call it twice does no
   * harm. What has been accepted is not touched. The host may let go of the port, or the file, some turns later.
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
 * - `{ port, hostname }` listens on a port of the internet. With `reusePort` others may listen on it as well.
 * - `{ port, cert, key }` has its connections speak TLS. They are accepted before the handshake, which takes place in the
 *   first `recv`, `send` or `handshake`: a client that never ends it holds up nobody but the one who serves it, whose
 *   timeouts hold. (Deno 2.9 keeps the descriptor of a connection that is closed before its handshake is over until the
 *   other end lets go of it.)
 * - `{ path }` listens on a Unix socket. Its file is made here and removed by `close`; if there is one already, perhaps left
 *   by a process that was killed, that is `Deno.errors.AddrInUse`. Deno wants to be allowed to read and write it.
 *
 * @param options Where.
 * @returns What accepts them.
 * @throws {TypeError} If an option is of the wrong kind.
 * @throws {RangeError} If the port is no whole number from 0 to 65535.
 * @throws The host's error, such as `Deno.errors.AddrInUse`; `Deno.errors.InvalidData` for a bad certificate;
 * `Deno.errors.NotSupported` for `reusePort` without the flag `--unstable-net`.
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
export function listen(options: TcpListenOptions | TlsListenOptions): Listener<Deno.NetAddr>;
/** Listens on a Unix socket. */
export function listen(options: UnixListenOptions): Listener<Deno.UnixAddr>;
/** Listens on any of them. */
export function listen(options: ListenOptions): Listener;
export function listen(options: ListenOptions): Listener {
  const endpoint = listenEndpoint(options);
  const network = Scheduler.current()._network ?? denoNetwork;
  return new Listener(network.listen(endpoint));
}

// ---- Connecting ------------------------------------------------------------------------------------------------------

/**
 * Connects to a listener, on the network of the task's scheduler. One that is cancelled leaves no connection behind.
 *
 * - `{ port, hostname }` connects to a port of the internet. With `tls` it answers when the handshake is over, and the
 *   server has shown a certificate of that name that somebody trusted vouches for.
 * - `{ path }` connects to a Unix socket.
 *
 * @param options Where it listens.
 * @returns A system call that gives the socket, or throws the host's error, such as `Deno.errors.ConnectionRefused`, or
 * `Deno.errors.InvalidData` for a certificate that will not do.
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
export function connect(options: TcpConnectOptions): SystemCall<Socket<Deno.NetAddr>>;
/** Connects to a Unix socket. */
export function connect(options: UnixConnectOptions): SystemCall<Socket<Deno.UnixAddr>>;
/** Connects to any of them. */
export function connect(options: ConnectOptions): SystemCall<Socket>;
export function connect(options: ConnectOptions): SystemCall<Socket> {
  const endpoint = connectEndpoint(options);
  return new Connect({
    reason: `connect ${nameOf(endpoint)}`,
    source: (scheduler) => scheduler._network?.source ?? "host",
    begin: (scheduler, done) => (scheduler._network ?? denoNetwork).connect(endpoint, done),
    made: (connection) => new Socket(connection, "path" in endpoint ? undefined : endpoint.hostname),
  });
}

function limitOf(options: LimitOptions, verb: string): number {
  checkOptions(options, verb);
  const { maxBytes = Infinity } = options;
  checkSize(maxBytes, 1, verb);
  return maxBytes;
}

function checkOptions(options: unknown, verb: string): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(`Cannot ${verb} with ${describe(options)}: options are an object`);
}

function hostOf(addr: Deno.Addr): string {
  return "hostname" in addr ? addr.hostname : "localhost";
}
