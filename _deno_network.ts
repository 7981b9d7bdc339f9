/**
 * Deno's network behind the seam: the only place where the promises of its connections live.
 *
 * Each promise gets both its reactions at once, so that no rejection can go unhandled, and is dropped. The reactions are
 * made once for each `done`, and a socket always passes the same: a read or a write costs no promise but Deno's own and the
 * one that `then` cannot help making. (An `async` method in place of `then` costs 0.15 µs more, of 7 µs for an echo.)
 *
 * @module
 */

import type { Acceptor, Connection, Done, Endpoint, Network } from "./_network.ts";

/** What a promise is to do when it is settled. */
class Reactions<T> {
  readonly done: Done<T>;
  readonly fulfilled: (value: T) => void;
  readonly rejected: (error: unknown) => void;

  constructor(done: Done<T>) {
    this.done = done;
    this.fulfilled = (value) => done(null, value);
    this.rejected = (error) => done(error, undefined);
  }
}

class DenoConnection implements Connection {
  readonly #conn: Deno.TcpConn;
  #reading: Reactions<number | null> | undefined;
  #writing: Reactions<number> | undefined;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    try {
      conn.setNoDelay(true);
    } catch {
      // It has been reset already: whoever reads from it will hear of that.
    }
  }

  get localAddr(): Deno.Addr {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.#conn.remoteAddr;
  }

  read(buffer: Uint8Array<ArrayBuffer>, done: Done<number | null>): void {
    if (this.#reading?.done !== done) this.#reading = new Reactions(done);
    this.#conn.read(buffer).then(this.#reading.fulfilled, this.#reading.rejected);
  }

  write(data: Uint8Array, done: Done<number>): void {
    if (this.#writing?.done !== done) this.#writing = new Reactions(done);
    this.#conn.write(data as Uint8Array<ArrayBuffer>).then(this.#writing.fulfilled, this.#writing.rejected);
  }

  closeWrite(done: Done<void>): void {
    settle(this.#conn.closeWrite(), done);
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

  accept(done: Done<Connection>): void {
    settle(this.#listener.accept().then((conn) => new DenoConnection(conn)), done);
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

export const denoNetwork: Network = {
  listen: (endpoint: Endpoint) => new DenoAcceptor(Deno.listen({ ...endpoint })),
  connect(endpoint, done) {
    const controller = new AbortController();
    const connecting = Deno.connect({ ...endpoint, signal: controller.signal });
    settle(connecting.then((conn) => new DenoConnection(conn)), done);
    return { cancel: () => controller.abort() };
  },
};
