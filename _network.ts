/**
 * The seam between sockets and the host: callbacks, and nothing else.
 *
 * A promise cannot be withdrawn, may complain of a rejection that nobody heard, and answers one microtask later than it
 * knows. So none reaches a `Socket`: below this seam Deno's connections turn theirs into calls of `done`
 * (`_deno_network.ts`), and a simulated network calls `done` without any promise, perhaps before `read` has returned.
 *
 * The rules are few. Each operation calls its `done` exactly once, also after `close`; it never throws. At most one `read`,
 * one of `write` and `closeWrite`, and one `accept` is pending at a time. `close` ends what is pending at once.
 *
 * @module
 */

/** Where to listen, or what to connect to. */
export interface Endpoint {
  /** A name or an address. */
  readonly hostname: string;
  /** The number of the port; 0 to listen on any that is free. */
  readonly port: number;
}

/** What an operation calls when it is over: with `null` and a value, or with an error. */
export interface Done<T> {
  /** Success. */
  (error: null, value: T): void;
  /** Failure: the value means nothing. */
  (error: unknown, value: T | undefined): void;
}

/** A stream of bytes in both directions. */
export interface Connection {
  /** The address of this end. */
  readonly localAddr: Deno.Addr;
  /** The address of the other end. */
  readonly remoteAddr: Deno.Addr;
  /** Reads what has come, and at least one byte, to the start of `buffer`: how many bytes; `null` at the end of stream. */
  read(buffer: Uint8Array<ArrayBuffer>, done: Done<number | null>): void;
  /** Writes some of `data` from its start, and at least one byte: how many. */
  write(data: Uint8Array, done: Done<number>): void;
  /** Tells the other end that nothing more will be written. */
  closeWrite(done: Done<void>): void;
  /** Closes both directions. */
  close(): void;
  /** Whether small writes go out at once instead of being gathered (Nagle). */
  setNoDelay?(noDelay: boolean): void;
  /** A pending read keeps the process alive; it does from the start. */
  ref?(): void;
  /** A pending read keeps the process alive no longer. */
  unref?(): void;
}

/** What waits for connections. */
export interface Acceptor {
  /** The address it listens on. */
  readonly addr: Deno.Addr;
  /** Takes the next connection. An error concerns this attempt only. */
  accept(done: Done<Connection>): void;
  /** Listens no longer. */
  close(): void;
  /** A pending accept keeps the process alive; it does from the start. */
  ref?(): void;
  /** A pending accept keeps the process alive no longer. */
  unref?(): void;
}

/** What `listen` and `connect` work on: Deno's network, or a simulated one. */
export interface Network {
  /** Listens; throws if it cannot. */
  listen(endpoint: Endpoint): Acceptor;
  /** Connects. When it has been cancelled, a connection that comes all the same is the caller's to close. */
  connect(endpoint: Endpoint, done: Done<Connection>): { cancel(): void };
}
