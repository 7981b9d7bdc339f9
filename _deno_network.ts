/**
 * Deno's network behind the seam: the only place where the promises of its connections live.
 *
 * Each operation is an `async` method that nobody awaits: it catches what Deno throws, so that no rejection can go
 * unhandled, and its one promise is dropped.
 *
 * @module
 */

import type { Acceptor, Connection, Done, Endpoint, Network } from "./_network.ts";

class DenoConnection implements Connection {
  readonly #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    conn.setNoDelay(true);
  }

  get localAddr(): Deno.Addr {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.#conn.remoteAddr;
  }

  async read(buffer: Uint8Array<ArrayBuffer>, done: Done<number | null>): Promise<void> {
    let n: number | null;
    try {
      n = await this.#conn.read(buffer);
    } catch (error) {
      return done(error, undefined);
    }
    done(null, n);
  }

  async write(data: Uint8Array, done: Done<number>): Promise<void> {
    let n: number;
    try {
      n = await this.#conn.write(data as Uint8Array<ArrayBuffer>);
    } catch (error) {
      return done(error, undefined);
    }
    done(null, n);
  }

  async closeWrite(done: Done<void>): Promise<void> {
    try {
      await this.#conn.closeWrite();
    } catch (error) {
      return done(error, undefined);
    }
    done(null, undefined);
  }

  close(): void {
    this.#conn.close();
  }

  setNoDelay(noDelay: boolean): void {
    this.#conn.setNoDelay(noDelay);
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }
}

class DenoAcceptor implements Acceptor {
  readonly #listener: Deno.TcpListener;

  constructor(listener: Deno.TcpListener) {
    this.#listener = listener;
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  async accept(done: Done<Connection>): Promise<void> {
    let connection: Connection;
    try {
      connection = new DenoConnection(await this.#listener.accept());
    } catch (error) {
      return done(error, undefined);
    }
    done(null, connection);
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

async function connect(endpoint: Endpoint, signal: AbortSignal, done: Done<Connection>): Promise<void> {
  let connection: Connection;
  try {
    connection = new DenoConnection(await Deno.connect({ ...endpoint, signal }));
  } catch (error) {
    return done(error, undefined);
  }
  done(null, connection);
}

export const denoNetwork: Network = {
  listen: (endpoint) => new DenoAcceptor(Deno.listen({ ...endpoint })),
  connect(endpoint, done) {
    const controller = new AbortController();
    connect(endpoint, controller.signal, done);
    return { cancel: () => controller.abort() };
  },
};
