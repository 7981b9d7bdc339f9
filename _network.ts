/**
 * The seam between sockets and the host: callbacks, and nothing else.
 *
 * A promise cannot be withdrawn, may complain of a rejection that nobody heard, and answers one microtask later than it
 * knows. So none reaches a `Socket`: below this seam Deno's connections turn theirs into calls of `done`
 * (`_deno_network.ts`), and a simulated network calls `done` without any promise, perhaps before `read` has returned.
 *
 * The rules are few. Each operation calls its `done` exactly once, also after `close`; it never throws. At most one `read`,
 * one of `write`, `closeWrite` and `handshake`, and one `accept` is pending at a time. `close` ends what is pending at once.
 *
 * @module
 */

/** Who ends the waits for an operation. */
export type Source = "host" | "tasks";

/** A port of the internet: to listen on, or to connect to. */
export interface InetEndpoint {
  /** A name or an address. */
  readonly hostname: string;
  /** The number of the port; 0 to listen on any that is free. */
  readonly port: number;
}

/** A Unix socket: to listen on, or to connect to. */
export interface UnixEndpoint {
  /** The path of its file. */
  readonly path: string;
}

/** Where somebody listens. */
export type Endpoint = InetEndpoint | UnixEndpoint;

/** How a TLS server shows who it is. A network without wires, which nobody can tap, may ignore it. */
export interface TlsServerOptions {
  /** Its certificate and those that vouch for it, in PEM format. */
  readonly cert: string;
  /** The private key of the certificate, in PEM format. */
  readonly key: string;
  /** The application protocols that it speaks, the preferred first (ALPN). */
  readonly alpnProtocols?: string[];
}

/** How a TLS client makes sure of its server. */
export interface TlsClientOptions {
  /** Certificates, in PEM format, of authorities that are trusted besides the usual ones. */
  readonly caCerts?: string[];
  /** The application protocols that it speaks, the preferred first (ALPN). */
  readonly alpnProtocols?: string[];
  /** Accepts a certificate of another name, as long as somebody who is trusted vouches for it. */
  readonly unsafelyDisableHostnameVerification?: boolean;
}

/** What a TLS handshake has come to. */
export interface TlsInfo {
  /** The application protocol that both sides speak; null if none was agreed on. */
  readonly alpnProtocol: string | null;
}

/** What `Network.listen` takes. */
export type ListenEndpoint =
  | InetEndpoint & {
    /** The connections that it accepts speak TLS. */
    readonly tls?: TlsServerOptions;
    /** Others may listen on the same port; the system deals the connections out among them. */
    readonly reusePort?: boolean;
    /** How many connections may wait to be accepted. */
    readonly tcpBacklog?: number;
  }
  | UnixEndpoint;

/** What `Network.connect` takes. */
export type ConnectEndpoint =
  | InetEndpoint & {
    /** The connection speaks TLS, with a server of this name; a certificate of the client may go with it. */
    readonly tls?: TlsClientOptions & {
      readonly serverName: string;
      readonly cert?: string;
      readonly key?: string;
    };
  }
  | UnixEndpoint;

/** What an operation calls when it is over: with `null` and a value, or with an error. */
export interface Done<T> {
  /** Success. */
  (error: null, value: T): void;
  /** Failure: the value means nothing. */
  (error: unknown, value: T | undefined): void;
}

/** A stream of bytes in both directions. */
export interface Connection {
  /** Who ends the waits for it: the host, or, where it is simulated, the tasks that take part. The host if not given. */
  readonly source?: "host" | "tasks";
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
  /** Ends the TLS handshake, which the first read or write would do as well. Only a connection that speaks TLS has it. */
  handshake?(done: Done<TlsInfo>): void;
  /**
   * Turns the connection, of which nothing is pending, into one that speaks TLS with a server of this name, and ends the
   * handshake. The connection itself is then of no use any more, whatever comes of it. Only a client's may have it.
   */
  startTls?(serverName: string, options: TlsClientOptions, done: Done<Connection>): Attempt;
  /** A pending read keeps the process alive; it does from the start. */
  ref?(): void;
  /** A pending read keeps the process alive no longer. */
  unref?(): void;
}

/** What takes its time and can be given up. Its `done` is called all the same; a connection that comes then is to be closed. */
export interface Attempt {
  /** Gives it up. */
  cancel(): void;
}

/** What waits for connections. */
export interface Acceptor {
  /** Who ends the waits for it: the host, or, where it is simulated, the tasks that take part. The host if not given. */
  readonly source?: "host" | "tasks";
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

/** What sends and receives datagrams. */
export interface DatagramPort {
  /** Who ends the waits for it: the host, or, where it is simulated, the tasks that take part. The host if not given. */
  readonly source?: "host" | "tasks";
  /** The address that it receives on. */
  readonly addr: Deno.NetAddr;
  /** Receives one to the start of `buffer`: how many bytes, and from where. What has no room there is lost. */
  receive(buffer: Uint8Array<ArrayBuffer>, done: Done<readonly [number, Deno.NetAddr]>): void;
  /** Sends one, as a whole: how many bytes. */
  send(data: Uint8Array, to: InetEndpoint, done: Done<number>): void;
  /** Receives and sends no longer. */
  close(): void;
  /** A pending receive keeps the process alive; it does from the start. */
  ref?(): void;
  /** A pending receive keeps the process alive no longer. */
  unref?(): void;
}

/** What `Network.listenDatagram` takes. */
export type DatagramEndpoint = InetEndpoint & {
  /** Takes the address even if another socket has it. */
  readonly reuseAddress?: boolean;
};

/** What `listen` and `connect` work on: Deno's network, or a simulated one. */
export interface Network {
  /** Who ends the waits for a connection: the host, or, where it is simulated, the tasks that take part. The host if not given. */
  readonly source?: "host" | "tasks";
  /** Listens; throws if it cannot. */
  listen(endpoint: ListenEndpoint): Acceptor;
  /** Connects; where TLS is wanted, its handshake is part of that. */
  connect(endpoint: ConnectEndpoint, done: Done<Connection>): Attempt;
  /** Opens a port for datagrams; throws if it cannot. */
  listenDatagram?(endpoint: DatagramEndpoint): DatagramPort;
}
