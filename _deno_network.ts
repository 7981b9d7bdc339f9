/**
 * Deno's network behind the seam: the only place where the promises of its connections live.
 *
 * Each promise gets both its reactions at once, so that no rejection can go unhandled, and is dropped. The reactions are
 * made once for each connection: a read or a write costs no promise but Deno's own and the one that `then` cannot help
 * making. (An `async` method in place of `then` costs 0.15 µs more, of 7 µs for an echo.)
 *
 * @module
 */

import { Admission, type Read } from "./_admission.ts";
import { later } from "./_clock.ts";
import type {
  Acceptor,
  Attempt,
  ConnectEndpoint,
  Connection,
  DatagramEndpoint,
  DatagramPort,
  Done,
  InetEndpoint,
  ListenEndpoint,
  Network,
  TlsClientOptions,
  TlsInfo,
} from "./_network.ts";

/** One for all connections of the process: they share what the host can do in one turn. */
const admission = new Admission({
  soon: queueMicrotask,
  later,
  setTimer: (callback) => setTimeout(callback, 1),
  clearTimer: (timer) => clearTimeout(timer as number),
});

class DenoConnection<Conn extends Deno.Conn<Deno.Addr>> implements Connection, Read {
  protected readonly conn: Conn;
  isPutOff = false;
  isAhead = false;
  nextPutOff: Read | null = null;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  #readDone: Done<number | null> | undefined;
  #writeDone: Done<number> | undefined;
  readonly #read = (n: number | null) => {
    admission.completed(this);
    if (n === null) admission.leave(this);
    this.#readDone!(null, n);
  };
  readonly #readFailed = (error: unknown) => {
    admission.completed(this);
    admission.leave(this);
    this.#readDone!(error, undefined);
  };
  readonly #written = (n: number) => this.#writeDone!(null, n);
  readonly #writeFailed = (error: unknown) => this.#writeDone!(error, undefined);

  constructor(conn: Conn) {
    this.conn = conn;
  }

  get localAddr(): Deno.Addr {
    return this.conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.conn.remoteAddr;
  }

  read(buffer: Uint8Array<ArrayBuffer>, done: Done<number | null>): void {
    this.#buffer = buffer;
    this.#readDone = done;
    admission.request(this);
  }

  /** The read is put before the host, perhaps some turns after it was asked for. */
  start(): void {
    this.conn.read(this.#buffer!).then(this.#read, this.#readFailed);
  }

  write(data: Uint8Array, done: Done<number>): void {
    this.#writeDone = done;
    this.conn.write(data as Uint8Array<ArrayBuffer>).then(this.#written, this.#writeFailed);
  }

  closeWrite(done: Done<void>): void {
    settle(this.conn.closeWrite(), done);
  }

  close(): void {
    this.conn.close();
    admission.leave(this);
  }

  ref(): void {
    this.conn.ref();
  }

  unref(): void {
    this.conn.unref();
  }
}

class TcpConnection extends DenoConnection<Deno.TcpConn> {
  constructor(conn: Deno.TcpConn) {
    super(conn);
    sendAtOnce(conn);
  }

  setNoDelay(noDelay: boolean): void {
    this.conn.setNoDelay(noDelay);
  }

  startTls(serverName: string, options: TlsClientOptions, done: Done<Connection>): Attempt {
    const attempt = new DenoAttempt();
    settle(attempt.secure(Deno.startTls(this.conn, { ...options, hostname: serverName })), done);
    admission.leave(this);
    return attempt;
  }
}

class TlsConnection extends DenoConnection<Deno.TlsConn> {
  #localAddr: Deno.Addr | undefined;
  #remoteAddr: Deno.Addr | undefined;

  // One that came out of `startTls` does not know its transport.
  override get localAddr(): Deno.Addr {
    return this.#localAddr ??= { ...this.conn.localAddr, transport: "tcp" };
  }

  override get remoteAddr(): Deno.Addr {
    return this.#remoteAddr ??= { ...this.conn.remoteAddr, transport: "tcp" };
  }

  handshake(done: Done<TlsInfo>): void {
    settle(this.conn.handshake(), done);
  }
}

function sendAtOnce(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay(true);
  } catch {
    // It has been reset already: whoever reads from it will hear of that.
  }
}

/** Something under way that ends in a connection, or is given up. */
class DenoAttempt implements Attempt {
  readonly #controller = new AbortController();

  constructor() {
    // When it is aborted, `Deno.connect` throws even if it has just got its connection, which nobody can close then. So this
    // signal does not say of itself that it is aborted: it only cancels what can still be cancelled.
    this.signal.throwIfAborted = () => {};
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  cancel(): void {
    this.#controller.abort();
  }

  /** Ends the handshake; to give it up then closes the connection. */
  async secure(connecting: Promise<Deno.TlsConn>): Promise<TlsConnection> {
    const conn = await connecting;
    let closed = false;
    const close = () => {
      if (!closed) conn.close();
      closed = true;
    };
    this.signal.addEventListener("abort", close);
    try {
      if (this.signal.aborted) throw this.signal.reason;
      await conn.handshake();
      return new TlsConnection(conn);
    } catch (error) {
      close();
      throw error;
    } finally {
      this.signal.removeEventListener("abort", close);
    }
  }
}

class DenoAcceptor<Conn extends Deno.Conn<Deno.Addr>> implements Acceptor {
  readonly #listener: Deno.Listener<Conn, Deno.Addr>;
  readonly #wrap: (conn: Conn) => Connection;

  constructor(listener: Deno.Listener<Conn, Deno.Addr>, wrap: (conn: Conn) => Connection) {
    this.#listener = listener;
    this.#wrap = wrap;
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  accept(done: Done<Connection>): void {
    settle(this.#listener.accept().then(this.#wrap), done);
  }

  close(): void {
    this.#listener.close();
  }

  ref(): void {
    this.#listener.ref();
  }

  unref(): void {
    this.#listener.unref();
  }
}

function settle<T>(promise: Promise<T>, done: Done<T>): void {
  promise.then((value) => done(null, value), (error) => done(error, undefined));
}

function tcpConnection(conn: Deno.TcpConn): Connection {
  return new TcpConnection(conn);
}

function tlsConnection(conn: Deno.TlsConn): Connection {
  return new TlsConnection(conn);
}

function unixConnection(conn: Deno.UnixConn): Connection {
  return new DenoConnection(conn);
}

// ---- What needs a flag -----------------------------------------------------------------------------------------------

interface DenoDatagrams {
  readonly addr: Deno.NetAddr;
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.NetAddr]>;
  send(data: Uint8Array, addr: Deno.NetAddr): Promise<number>;
  close(): void;
  ref(): void;
  unref(): void;
}

type ListenDatagram = (options: DatagramEndpoint & { transport: "udp" }) => DenoDatagrams;

/**
 * What the flag `--unstable-net` brings. To ask for it without the flag would end the process, not throw; but this
 * function is there only with it, so it tells for all of it.
 */
function unstableNet(): { listenDatagram?: ListenDatagram } {
  return Deno as unknown as { listenDatagram?: ListenDatagram };
}

function refuse(what: string): never {
  throw new Deno.errors.NotSupported(`Cannot ${what}: Deno offers that with the flag --unstable-net only`);
}

class DenoDatagramPort implements DatagramPort {
  readonly #conn: DenoDatagrams;

  constructor(conn: DenoDatagrams) {
    this.#conn = conn;
  }

  get addr(): Deno.NetAddr {
    return this.#conn.addr;
  }

  receive(buffer: Uint8Array<ArrayBuffer>, done: Done<readonly [number, Deno.NetAddr]>): void {
    settle(this.#conn.receive(buffer).then(([data, addr]) => [data.length, addr] as const), done);
  }

  send(data: Uint8Array, { hostname, port }: InetEndpoint, done: Done<number>): void {
    settle(this.#conn.send(data, { transport: "udp", hostname, port }), done);
  }

  close(): void {
    this.#conn.close();
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }
}

// ---- The network -----------------------------------------------------------------------------------------------------

export const denoNetwork: Network = {
  listen(endpoint: ListenEndpoint): Acceptor {
    if ("path" in endpoint) {
      return new DenoAcceptor(Deno.listen({ transport: "unix", path: endpoint.path }), unixConnection);
    }
    const { tls, ...options } = endpoint;
    if (options.reusePort && unstableNet().listenDatagram === undefined) refuse("listen with reusePort");
    if (tls === undefined) return new DenoAcceptor(Deno.listen(options), tcpConnection);
    return new DenoAcceptor(Deno.listenTls({ ...options, ...tls }), tlsConnection);
  },

  connect(endpoint: ConnectEndpoint, done: Done<Connection>): Attempt {
    const attempt = new DenoAttempt();
    if ("path" in endpoint) {
      settle(Deno.connect({ transport: "unix", path: endpoint.path }).then(unixConnection), done);
      return attempt;
    }
    const { hostname, port, tls } = endpoint;
    if (tls === undefined) {
      settle(Deno.connect({ hostname, port, signal: attempt.signal }).then(tcpConnection), done);
      return attempt;
    }
    const { serverName, cert, key, ...options } = tls;
    if (cert !== undefined && key !== undefined) {
      // The only way to show a certificate, and one without a signal.
      const connecting = Deno.connectTls({ hostname, port, cert, key, ...options });
      settle(attempt.secure(connecting), done);
      return attempt;
    }
    const connecting = Deno.connect({ hostname, port, signal: attempt.signal }).then((conn) => {
      if (attempt.signal.aborted) {
        conn.close(); // now: one that is closed in its handshake stays open until the other end lets go
        throw attempt.signal.reason;
      }
      sendAtOnce(conn);
      return Deno.startTls(conn, { ...options, hostname: serverName });
    });
    settle(attempt.secure(connecting), done);
    return attempt;
  },

  listenDatagram(endpoint: DatagramEndpoint): DatagramPort {
    const { listenDatagram } = unstableNet();
    if (listenDatagram === undefined) refuse("listen for datagrams");
    return new DenoDatagramPort(listenDatagram({ ...endpoint, transport: "udp" }));
  },
};
