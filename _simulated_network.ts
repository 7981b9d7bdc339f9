/**
 * A network in memory, with all the troubles of a real one, from one seed.
 *
 * What goes wrong in a network goes wrong once a month and cannot be had again. Here it can: hosts are names, a connection
 * is two lines of segments, and whatever may happen to a segment, or to an attempt to connect, is drawn from one source in
 * the order in which it comes up. On a virtual clock a run is then a function of its seed, and a day of traffic takes
 * milliseconds. Rust's turmoil and madsim are the models.
 *
 * It fills the seam under `Socket` and `Listener` (`_network.ts`), so a server cannot tell it from Deno's network: it answers
 * at once, or from timers of the scheduler, and with Deno's errors. No promise is involved, so that a run can also be
 * synchronous. And as its waits are fed by tasks and timers only, one that nothing can ever end is a deadlock, and is told.
 *
 * @module
 */

import { Delay } from "./_delay.ts";
import { hostError } from "./_host_error.ts";
import { Medium, type NetworkConditions, type SimulatedNetworkOptions } from "./_medium.ts";
import type {
  Acceptor,
  Attempt,
  ConnectEndpoint,
  Connection,
  DatagramEndpoint,
  DatagramPort,
  Done,
  Endpoint,
  InetEndpoint,
  ListenEndpoint,
  Network,
  TlsInfo,
  TlsServerOptions,
} from "./_network.ts";
import { type Coroutine, describe, type Work } from "./_operation.ts";
import { SimulatedDatagramPort } from "./_simulated_datagrams.ts";
import { type SimulatedConnection, Wire } from "./_simulated_connection.ts";
import { TaskLocal } from "./_task_local.ts";
import { Scheduler } from "./scheduler.ts";
import { call } from "./syscalls.ts";

/** Where tasks are that nobody has put elsewhere. */
const HERE = "127.0.0.1";
/** What every host calls itself. */
const LOOPBACK: ReadonlySet<string> = new Set([HERE, "localhost", "0.0.0.0", "::1", "::"]);
/** How long Linux tries to connect, in ms (`tcp_syn_retries`). */
const PATIENCE = 127_000;
/** The first port that is nobody's (RFC 6335), and the last. */
const FIRST_PORT = 49_152;
const LAST_PORT = 65_535;

/** Listens on a host. */
class SimulatedAcceptor implements Acceptor {
  readonly source = "tasks";
  readonly addr: Deno.Addr;
  readonly #host: string;
  readonly #medium: Medium;
  readonly #limit: number | undefined;
  /** Called when there is room for more who connect, or never will be. */
  readonly #changed: () => void;
  readonly #closed: () => void;
  /** Who has connected and has not been accepted. */
  readonly #backlog: SimulatedConnection[] = [];
  #accepting: Done<Connection> | undefined;

  constructor(
    medium: Medium,
    host: string,
    addr: Deno.Addr,
    limit: number | undefined,
    changed: () => void,
    closed: () => void,
  ) {
    this.#medium = medium;
    this.#host = host;
    this.addr = addr;
    this.#limit = limit;
    this.#changed = changed;
    this.#closed = closed;
  }

  get isFull(): boolean {
    return this.#backlog.length >= (this.#limit ?? this.#medium.backlog);
  }

  arrived(connection: SimulatedConnection): void {
    this.#backlog.push(connection);
    this.#accept();
  }

  accept(done: Done<Connection>): void {
    this.#accepting = done;
    this.#accept();
  }

  #accept(): void {
    const done = this.#accepting;
    const connection = this.#backlog[0];
    if (done === undefined || connection === undefined) return;
    this.#accepting = undefined;
    const error = connection.failed ? hostError("NotConnected") : this.#medium.take(this.#host);
    if (error === undefined || connection.failed) {
      this.#backlog.shift();
      if (connection.failed) connection.abandon();
      this.#changed();
    }
    if (error === undefined) done(null, connection);
    else done(error, undefined);
  }

  close(): void {
    this.#closed();
    this.#medium.release(this.#host);
    for (const connection of this.#backlog.splice(0)) connection.abandon();
    const done = this.#accepting;
    this.#accepting = undefined;
    done?.(hostError("BadResource"), undefined);
    this.#changed();
  }
}

type InetOptions = Partial<Exclude<ListenEndpoint, { path: string }>>;

/** Where somebody listens. */
interface Port {
  readonly acceptor: SimulatedAcceptor;
  readonly tls: TlsServerOptions | undefined;
  /** Others may listen there as well. */
  readonly isShared: boolean;
}

/** Somebody who tries to connect: asks, and waits for the answer. */
class Dialling implements Attempt {
  readonly #medium: Medium;
  readonly #host: string;
  readonly #done: Done<Connection>;
  /** Knocks at the other side: gives the connection, an error, or undefined while nobody answers. */
  readonly #knock: () => Wire | Error | undefined;
  readonly #waiting: Set<Dialling>;
  readonly #travel = new Delay(() => this.#proceed());
  readonly #patience = new Delay(() => this.#end(hostError("TimedOut")));
  #answer: Wire | Error | undefined;
  #isOver = false;

  constructor(
    medium: Medium,
    host: string,
    waiting: Set<Dialling>,
    knock: () => Wire | Error | undefined,
    done: Done<Connection>,
  ) {
    this.#medium = medium;
    this.#host = host;
    this.#waiting = waiting;
    this.#knock = knock;
    this.#done = done;
    this.#travel.start(medium.scheduler, medium.latency());
  }

  /** The question has arrived, or the answer; or what kept either from that may be over. */
  #proceed(): void {
    if (this.#answer !== undefined) return this.#end(this.#answer);
    const { scheduler } = this.#medium;
    this.#waiting.delete(this); // who is accepted at once makes room for those who wait: not for this one once more
    this.#answer = this.#knock();
    if (this.#answer !== undefined) {
      this.#travel.start(scheduler, this.#medium.latency());
    } else {
      this.#waiting.add(this);
      if (!this.#patience.isRunning) this.#patience.start(scheduler, PATIENCE);
    }
  }

  retry(): void {
    if (!this.#isOver && this.#answer === undefined) this.#proceed();
  }

  cancel(): void {
    if (this.#isOver) return;
    if (this.#answer instanceof Wire) this.#answer.client.abandon();
    this.#end(hostError("Interrupted"));
  }

  #end(answer: Wire | Error): void {
    this.#isOver = true;
    this.#waiting.delete(this);
    this.#travel.stop(this.#medium.scheduler);
    this.#patience.stop(this.#medium.scheduler);
    if (answer instanceof Wire) return this.#done(null, answer.client);
    this.#medium.release(this.#host);
    this.#done(answer, undefined);
  }
}

/**
 * A network in memory, for the options of a scheduler: `listen`, `connect` and all that is built on them work on it as they
 * do on Deno's network.
 *
 * Without options it is calm: what is sent arrives at once. Troubles come by chance, as its conditions say, or when they are
 * called for: {@linkcode SimulatedNetwork.partition}, {@linkcode SimulatedNetwork.reset}. Its luck comes from a seed, so the
 * same program with the same seed runs the same way.
 *
 * Its time is that of the scheduler, on a `VirtualClock` virtual time. A wait for something that is on its way does not stop
 * such a clock, and a wait that nothing can end is a deadlock. It serves one scheduler at a time.
 *
 * @example A day of one message a minute over a bad line
 * ```ts
 * import { connect, listen, Scheduler, sleep, spawn } from "@genos/kernel";
 * import { SimulatedNetwork, VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new SimulatedNetwork({ seed: 1, latency: [20, 200], segment: [1, Infinity] });
 * const scheduler = new Scheduler({ clock: new VirtualClock(), network });
 * await scheduler.run(function* () {
 *   using listener = listen({ port: 7 });
 *   yield* spawn(function* () {
 *     using socket = yield* connect({ port: 7 });
 *     for (let minute = 0; minute < 1440; minute++) {
 *       yield* socket.send(`minute ${minute}\n`);
 *       yield* sleep(60_000);
 *     }
 *   });
 *   const [socket] = yield* listener.accept();
 *   for (let minute = 0; minute < 1440; minute++) {
 *     assertEquals(yield* socket.recvLine(), `minute ${minute}`);
 *   }
 *   socket.close();
 * });
 * assertEquals(network.open, 0);
 * ```
 */
export class SimulatedNetwork implements Network {
  /** Who ends waits for it: tasks, never the host. */
  readonly source = "tasks";
  readonly #medium: Medium;
  readonly #here: TaskLocal<string> = new TaskLocal(HERE);
  readonly #ports = new Map<string, Port[]>();
  readonly #datagramPorts = new Map<string, SimulatedDatagramPort>();
  readonly #waiting = new Set<Dialling>();
  #lastPort = FIRST_PORT - 1;

  /**
   * A network without hosts: who is named is there.
   *
   * @param options Where its luck comes from, and how it behaves to begin with.
   * @throws {TypeError} If an option is of the wrong kind, or there are both a seed and choices.
   * @throws {RangeError} If one is out of its range.
   */
  constructor(options: SimulatedNetworkOptions = {}) {
    this.#medium = new Medium(options);
  }

  /** How many sockets and listeners are open on all hosts: what is not 0 at the end has been forgotten. */
  get open(): number {
    return this.#medium.open;
  }

  /**
   * Changes how it behaves from now on; what is on its way is not touched.
   *
   * @param conditions What changes; what is not given stays.
   * @throws {TypeError} If one is of the wrong kind.
   * @throws {RangeError} If one is out of its range.
   */
  change(conditions: NetworkConditions): void {
    this.#medium.change(conditions);
  }

  /**
   * Runs some work on a host: that is where it, and every task that it spawns, listens and connects from.
   * Elsewhere tasks are on the host `127.0.0.1`; which is also what every host calls itself, as `localhost` and `0.0.0.0`.
   *
   * @param host The name of the host.
   * @param work What is run.
   * @returns An operation that gives the work's value, or throws its error.
   * @throws {TypeError} If `host` is no string.
   *
   * @example
   * ```ts
   * import { connect, listen, Scheduler, spawn } from "@genos/kernel";
   * import { SimulatedNetwork } from "@genos/kernel/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const network = new SimulatedNetwork();
   * await new Scheduler({ network }).run(function* () {
   *   const listening = yield* spawn(network.at("server", function* () {
   *     using listener = listen({ port: 80 });
   *     const [socket, from] = yield* listener.accept();
   *     socket.close();
   *     return from.hostname;
   *   }));
   *   yield;
   *   yield* network.at("client", function* () {
   *     using _socket = yield* connect({ hostname: "server", port: 80 });
   *   });
   *   assertEquals(yield* listening, "client");
   * });
   * ```
   */
  at<T>(host: string, work: Work<T>): Coroutine<T> {
    return this.#runAt(hostOf(host), work);
  }

  *#runAt<T>(host: string, work: Work<T>): Coroutine<T> {
    const before = this.#here.get();
    this.#here.set(host);
    try {
      return yield* call(work);
    } finally {
      this.#here.set(before);
    }
  }

  /**
   * Cuts two hosts off from each other: until {@linkcode SimulatedNetwork.heal} nothing gets through, and nobody is told.
   * What is sent meanwhile is held back; who waits for that for as long as Linux does (127 s to connect, 924.6 s to send)
   * gets `TimedOut`.
   *
   * @param one A host.
   * @param other Another one; all others if not given.
   * @throws {TypeError} If they are the same.
   */
  partition(one: string, other?: string): void {
    const [a, b] = pairOf(one, other);
    if (a === b) throw new TypeError(`Cannot part ${one} from itself: hosts are told apart by network.at`);
    this.#medium.part(a!, b);
  }

  /**
   * Ends a partition: what was held back arrives.
   *
   * @param one A host; if none is given, all partitions end.
   * @param other The other one, as it was given to {@linkcode SimulatedNetwork.partition}.
   */
  heal(one?: string, other?: string): void {
    const [a, b] = pairOf(one, other);
    if (a === undefined) this.#medium.joinAll();
    else this.#medium.join(a, b);
    for (const wire of [...this.#medium.wires]) wire.proceed();
    this.#retry();
  }

  /**
   * Resets connections, as a router does that has been restarted: both ends get what has arrived, then `ConnectionReset`.
   *
   * @param one A host; if none is given, all connections are reset.
   * @param other Another one: only the connections between the two.
   */
  reset(one?: string, other?: string): void {
    for (const wire of this.#between(one, other)) wire.reset();
  }

  /**
   * Loses connections, as a firewall does that forgets them: nothing gets through any more, and nobody is told. Who sends
   * gets `TimedOut` after 924.6 s, who only receives waits for ever.
   *
   * @param one A host; if none is given, all connections are lost.
   * @param other Another one: only the connections between the two.
   */
  lose(one?: string, other?: string): void {
    for (const wire of this.#between(one, other)) wire.lost = true;
  }

  /**
   * Makes a host slow to take what it is sent: who sends to it has to wait.
   *
   * @param host The host.
   * @param bytesPerSecond How many bytes it takes of each connection; from now on, in place of the `bandwidth`.
   * @throws {RangeError} If that is not above 0.
   */
  slow(host: string, bytesPerSecond: number): void {
    this.#medium.setRate(hostOf(host), bytesPerSecond);
  }

  /** Listens; for `listen`. */
  listen(endpoint: ListenEndpoint): Acceptor {
    this.#medium.enter(Scheduler.current());
    const host = this.#hostOf(endpoint);
    const addr = this.#addrOf(endpoint, host);
    const key = keyOf(host, addr);
    const { tls, tcpBacklog, reusePort = false } = endpoint as InetOptions;
    const ports = this.#ports.get(key) ?? [];
    if (ports.some((port) => !(reusePort && port.isShared))) throw hostError("AddrInUse");
    const error = this.#medium.take(host);
    if (error !== undefined) throw error;
    const acceptor = new SimulatedAcceptor(
      this.#medium,
      host,
      addr,
      tcpBacklog,
      () => this.#retry(),
      () => {
        ports.splice(ports.indexOf(port), 1);
        if (ports.length === 0) this.#ports.delete(key);
      },
    );
    const port: Port = { acceptor, tls, isShared: reusePort };
    ports.push(port);
    this.#ports.set(key, ports);
    return acceptor;
  }

  /** Connects; for `connect`. */
  connect(endpoint: ConnectEndpoint, done: Done<Connection>): Attempt {
    const medium = this.#medium;
    medium.enter(Scheduler.current());
    const here = this.#here.get();
    const host = this.#hostOf(endpoint);
    const error = medium.take(here);
    if (error !== undefined) {
      done(error, undefined);
      return { cancel() {} };
    }
    const isRefused = medium.happens("refuse");
    const isLost = medium.happens("lose");
    const knock = () => {
      if (isLost || medium.isParted(here, host)) return undefined;
      const [local, remote] = this.#addrsOf(endpoint, here, host);
      const ports = this.#ports.get(keyOf(host, remote));
      if (ports === undefined || isRefused) return hostError("ConnectionRefused");
      const port = ports.shift()!; // where several listen, one after the other
      ports.push(port);
      if (port.acceptor.isFull) return undefined;
      const wire = new Wire(medium, { host: here, addr: local }, { host, addr: remote });
      const tls = tlsOf(endpoint, port);
      if (tls !== undefined) { for (const end of [wire.client, wire.server]) end.secure(tls); }
      else if ("port" in endpoint) wire.client.allowTls();
      port.acceptor.arrived(wire.server);
      return wire;
    };
    return new Dialling(medium, here, this.#waiting, knock, done);
  }

  /** Opens a port for datagrams; for `listenDatagram`. */
  listenDatagram({ hostname, port: wanted }: DatagramEndpoint): DatagramPort {
    const medium = this.#medium;
    medium.enter(Scheduler.current());
    const host = LOOPBACK.has(hostname) ? this.#here.get() : hostname;
    const port = wanted === 0 ? this.#freePort(host) : wanted;
    const key = `${host}:${port}`;
    if (this.#datagramPorts.has(key)) throw hostError("AddrInUse");
    const error = medium.take(host);
    if (error !== undefined) throw error;
    const find = (to: InetEndpoint): [SimulatedDatagramPort | undefined, Deno.NetAddr] => {
      const isLoopback = LOOPBACK.has(to.hostname);
      const from: Deno.NetAddr = { transport: "udp", hostname: isLoopback ? HERE : host, port };
      return [this.#datagramPorts.get(`${isLoopback ? host : to.hostname}:${to.port}`), from];
    };
    const addr: Deno.NetAddr = { transport: "udp", hostname, port };
    const datagrams = new SimulatedDatagramPort(
      medium,
      host,
      addr,
      find,
      () => this.#datagramPorts.delete(key),
    );
    this.#datagramPorts.set(key, datagrams);
    return datagrams;
  }

  /** Those who wait for an answer may get one. */
  #retry(): void {
    for (const attempt of [...this.#waiting]) attempt.retry();
  }

  #between(one: string | undefined, other: string | undefined): Wire[] {
    const [a, b] = pairOf(one, other);
    return [...this.#medium.wires].filter((wire) => wire.isBetween(a, b));
  }

  /** The host that an endpoint is on. */
  #hostOf(endpoint: Endpoint): string {
    const isHere = "path" in endpoint || LOOPBACK.has(endpoint.hostname);
    return isHere ? this.#here.get() : endpoint.hostname;
  }

  /** The address to listen on. */
  #addrOf(endpoint: ListenEndpoint, host: string): Deno.Addr {
    if ("path" in endpoint) return { transport: "unix", path: endpoint.path };
    const { hostname, port } = endpoint;
    return { transport: "tcp", hostname, port: port === 0 ? this.#freePort(host) : port };
  }

  /** The addresses of both ends of a connection. */
  #addrsOf(endpoint: ConnectEndpoint, here: string, host: string): [local: Deno.Addr, remote: Deno.Addr] {
    if ("path" in endpoint) {
      return [{ transport: "unix", path: "" }, { transport: "unix", path: endpoint.path }];
    }
    const { hostname, port } = endpoint;
    const loopback = hostname.includes(":") ? "::1" : HERE;
    const isLoopback = LOOPBACK.has(hostname);
    return [
      { transport: "tcp", hostname: isLoopback ? loopback : here, port: this.#freePort(here) },
      { transport: "tcp", hostname: isLoopback ? loopback : host, port },
    ];
  }

  #freePort(host: string): number {
    do {
      this.#lastPort = this.#lastPort === LAST_PORT ? FIRST_PORT : this.#lastPort + 1;
    } while (this.#ports.has(keyOf(host, { transport: "tcp", hostname: host, port: this.#lastPort })));
    return this.#lastPort;
  }
}

/** The protocol that both sides speak above TLS, if they speak that: of those that the client knows, the server's first. */
function tlsOf(endpoint: ConnectEndpoint, { tls }: Port): TlsInfo | undefined {
  if ("path" in endpoint || endpoint.tls === undefined) return undefined;
  const known = endpoint.tls.alpnProtocols ?? [];
  return { alpnProtocol: tls?.alpnProtocols?.find((protocol) => known.includes(protocol)) ?? null };
}

/** The name of a host: what every host calls itself is, from outside, the host where tasks are to begin with. */
function hostOf(name: unknown): string {
  if (typeof name !== "string") {
    throw new TypeError(`Cannot find a host: its name is a string, not ${describe(name)}`);
  }
  return LOOPBACK.has(name) ? HERE : name;
}

function pairOf(
  one: string | undefined,
  other: string | undefined,
): [string | undefined, string | undefined] {
  return [one === undefined ? undefined : hostOf(one), other === undefined ? undefined : hostOf(other)];
}

/** What is taken when somebody listens there. */
function keyOf(host: string, addr: Deno.Addr): string {
  return "path" in addr ? `${host} ${addr.path}` : `${host}:${addr.port}`;
}
