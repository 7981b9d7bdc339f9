/**
 * A network in memory for tests of what a socket asks of the seam under it: it answers at once wherever it can, from inside
 * the call, does as it is told where it does not, and notes what it was asked for. Its waits are the host's. What a program does
 * on a network is tested on a `SimulatedNetwork`.
 *
 * @module
 */
import type {
  Acceptor,
  ConnectEndpoint,
  Connection,
  Done,
  Endpoint,
  ListenEndpoint,
  Network,
  TlsInfo,
} from "../mod.ts";

/** An error of the host, known by its name as Deno's are. */
export function hostError(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** How a network behaves. */
export interface MemoryOptions {
  /** How many bytes one write takes at most. */
  most?: number;
  /** How many bytes a connection holds that nobody has read. */
  capacity?: number;
}

/** One direction of a connection. */
class Pipe {
  readonly options: Required<MemoryOptions>;
  bytes: number[] = [];
  ended = false;
  reset: Error | undefined;
  reader: { buffer: Uint8Array; done: Done<number | null> } | undefined;
  writer: { data: Uint8Array; done: Done<number> } | undefined;

  constructor({ most = Infinity, capacity = Infinity }: MemoryOptions) {
    this.options = { most, capacity };
  }

  /** Lets whoever is pending go on as far as possible. */
  flow(): void {
    const { reader, writer } = this;
    const room = this.options.capacity - this.bytes.length;
    if (writer !== undefined && (this.reset !== undefined || room > 0)) {
      this.writer = undefined;
      if (this.reset !== undefined) return writer.done(this.reset, undefined);
      const n = Math.min(writer.data.length, room, this.options.most);
      this.bytes.push(...writer.data.subarray(0, n));
      this.flow();
      return writer.done(null, n);
    }
    if (reader !== undefined && (this.bytes.length > 0 || this.ended || this.reset !== undefined)) {
      this.reader = undefined;
      if (this.bytes.length > 0) {
        const n = Math.min(this.bytes.length, reader.buffer.length);
        reader.buffer.set(this.bytes.splice(0, n));
        this.flow();
        return reader.done(null, n);
      }
      if (this.reset !== undefined) reader.done(this.reset, undefined);
      else reader.done(null, null);
    }
  }
}

function addrOf(endpoint: Endpoint): Deno.Addr {
  if ("path" in endpoint) return { transport: "unix", path: endpoint.path };
  return { transport: "tcp", hostname: endpoint.hostname, port: endpoint.port };
}

/** One end of a connection. */
export class MemoryConnection implements Connection {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #in: Pipe;
  readonly #out: Pipe;
  /** What was written, as it was handed over. */
  readonly written: Uint8Array[] = [];
  /** What was asked of it, besides reading and writing. */
  readonly log: string[] = [];

  constructor(local: Endpoint, remote: Endpoint, incoming: Pipe, outgoing: Pipe) {
    this.localAddr = addrOf(local);
    this.remoteAddr = addrOf(remote);
    this.#in = incoming;
    this.#out = outgoing;
  }

  read(buffer: Uint8Array, done: Done<number | null>): void {
    this.#in.reader = { buffer, done };
    this.#in.flow();
  }

  write(data: Uint8Array, done: Done<number>): void {
    this.written.push(data);
    this.#out.writer = { data, done };
    this.#out.flow();
  }

  /** Nobody can tap it: TLS changes nothing. */
  handshake(done: Done<TlsInfo>): void {
    done(null, { alpnProtocol: null });
  }

  closeWrite(done: Done<void>): void {
    this.log.push("closeWrite");
    this.#out.ended = true;
    this.#out.flow();
    done(null, undefined);
  }

  close(): void {
    this.log.push("close");
    this.#out.ended = true;
    this.#out.flow();
    const { reader } = this.#in;
    const { writer } = this.#out;
    this.#in.reader = this.#out.writer = undefined;
    reader?.done(hostError("Interrupted"), undefined);
    writer?.done(hostError("Interrupted"), undefined);
  }

  /** The other end gets a reset, after what has come. */
  reset(): void {
    this.#out.reset = this.#in.reset = hostError("ConnectionReset");
    this.#out.flow();
    this.#in.flow();
  }

  ref(): void {
    this.log.push("ref");
  }

  unref(): void {
    this.log.push("unref");
  }
}

class MemoryAcceptor implements Acceptor {
  readonly addr: Deno.Addr;
  readonly network: MemoryNetwork;
  readonly arrived: (Connection | Error)[] = [];
  readonly closed: () => void;
  #done: Done<Connection> | undefined;

  constructor(network: MemoryNetwork, endpoint: Endpoint, closed: () => void) {
    this.network = network;
    this.addr = addrOf(endpoint);
    this.closed = closed;
  }

  accept(done: Done<Connection>): void {
    this.network.attempts++;
    this.#done = done;
    this.flow();
  }

  flow(): void {
    const done = this.#done;
    if (done === undefined || this.arrived.length === 0) return;
    if (this.network.exhausted !== undefined) {
      this.#done = undefined;
      done(this.network.exhausted, undefined);
      return;
    }
    const next = this.arrived.shift()!;
    this.#done = undefined;
    if (next instanceof Error) done(next, undefined);
    else done(null, next);
  }

  close(): void {
    this.closed();
    for (const next of this.arrived.splice(0)) if (!(next instanceof Error)) next.close();
    const done = this.#done;
    this.#done = undefined;
    done?.(hostError("BadResource"), undefined);
  }
}

/** A network in memory: one process, in which no two hosts have the same port. */
export class MemoryNetwork implements Network {
  readonly #options: MemoryOptions;
  readonly #acceptors = new Map<number | string, MemoryAcceptor>();
  #lastPort = 50_000;
  /** The ends of all connections: that of the one who connected, that of the one who accepted. */
  readonly connections: [MemoryConnection, MemoryConnection][] = [];
  /** As long as it holds, who connects waits; to let them go on, call what it holds. */
  held: (() => void)[] | undefined;
  /** What every accept fails with while connections wait; they stay where they are. */
  exhausted: Error | undefined;
  /** How often an accept was begun. */
  attempts = 0;
  /** How many attempts to connect were cancelled. */
  cancelled = 0;

  constructor(options: MemoryOptions = {}) {
    this.#options = options;
  }

  listen(endpoint: ListenEndpoint): Acceptor {
    const bound = "path" in endpoint ? endpoint : { ...endpoint, port: endpoint.port || ++this.#lastPort };
    const key = "path" in bound ? bound.path : bound.port;
    const acceptor = new MemoryAcceptor(this, bound, () => this.#acceptors.delete(key));
    this.#acceptors.set(key, acceptor);
    return acceptor;
  }

  connect(endpoint: ConnectEndpoint, done: Done<Connection>): { cancel(): void } {
    const go = () => {
      const acceptor = this.#acceptors.get("path" in endpoint ? endpoint.path : endpoint.port);
      if (acceptor === undefined) return done(hostError("ConnectionRefused"), undefined);
      const there = new Pipe(this.#options);
      const back = new Pipe(this.#options);
      const local = { hostname: "127.0.0.1", port: ++this.#lastPort };
      const client = new MemoryConnection(local, endpoint, back, there);
      const server = new MemoryConnection(endpoint, local, there, back);
      this.connections.push([client, server]);
      acceptor.arrived.push(server);
      acceptor.flow();
      done(null, client);
    };
    if (this.held === undefined) go();
    else this.held.push(go);
    return { cancel: () => this.cancelled++ };
  }

  /** How many listen. */
  get listening(): number {
    return this.#acceptors.size;
  }

  /** How many connections nobody has accepted. */
  waiting(port: number): number {
    return this.#acceptors.get(port)!.arrived.length;
  }

  /** The next accept fails. */
  failAccept(port: number, error: Error): void {
    const acceptor = this.#acceptors.get(port)!;
    acceptor.arrived.push(error);
    acceptor.flow();
  }
}
