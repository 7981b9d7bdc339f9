/**
 * Datagrams: messages that arrive as a whole, in any order, or not at all.
 *
 * A socket for them is what a stream's is: an intake in front of a receive that cannot be withdrawn, and a line in which one
 * at a time has the floor. A task that is cancelled while it receives takes no datagram with it. While nobody receives, the
 * system keeps what arrives, as far as its buffer goes, and drops the rest: that is the nature of UDP, not a loss of ours.
 *
 * @module
 */

import { toBytes } from "./_bytes.ts";
import { denoNetwork } from "./_deno_network.ts";
import { checkPort, checkString, datagramEndpoint, type DatagramOptions, nameOf } from "./_endpoints.ts";
import { Intake, NOT_YET, ReadyWait, Take } from "./_intake.ts";
import type { DatagramPort, InetEndpoint } from "./_network.ts";
import { describe } from "./_operation.ts";
import type { Parked } from "./_parking.ts";
import { idleWait, Turn, Turns } from "./_turns.ts";
import { InvalidStateError } from "./errors.ts";
import { Scheduler } from "./scheduler.ts";
import { type Pollable, SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

export type { DatagramOptions } from "./_endpoints.ts";

/** A message, and who has sent it. */
type Datagram = [data: Uint8Array<ArrayBuffer>, addr: Deno.NetAddr];

/** More than any datagram has. */
const ROOM = 65_536;

/** What has arrived and has not been taken: one datagram at most, or what an attempt to receive has failed with. */
class Datagrams extends Intake {
  readonly owner: DatagramSocket;
  readonly #port: DatagramPort;
  #room: Uint8Array<ArrayBuffer> | undefined;
  #arrived: Datagram | undefined;
  #error: unknown;

  constructor(owner: DatagramSocket, port: DatagramPort) {
    super();
    this.owner = owner;
    this.#port = port;
  }

  get name(): string {
    return this.owner._name;
  }

  get ready(): boolean {
    return this.#arrived !== undefined || this.#error !== undefined;
  }

  shift(): Datagram | undefined {
    const arrived = this.#arrived;
    const error = this.#error;
    this.#arrived = this.#error = undefined;
    if (error !== undefined) throw error;
    return arrived;
  }

  protected override pull(): void {
    const room = this.#room ??= new Uint8Array(ROOM);
    this.#port.receive(room, (error, received) => {
      if (this.isClosed) return;
      if (error === null) this.#arrived = [room.slice(0, received![0]), received![1]];
      else this.#error = error;
      this.pulled();
    });
  }

  protected override keepAlive(on: boolean): void {
    if (on) this.#port.ref?.();
    else this.#port.unref?.();
  }
}

class Receive extends Take<Datagram> {
  readonly intake: Datagrams;

  constructor(datagrams: Datagrams) {
    super();
    this.intake = datagrams;
  }

  get verb(): string {
    return "receive";
  }

  take(): Datagram | typeof NOT_YET {
    return this.intake.shift() ?? NOT_YET;
  }
}

class SendTurn extends Turn {
  declare readonly turns: Postings;
  readonly data: Uint8Array;
  readonly to: InetEndpoint;
  /** How it has ended. */
  over: { error: unknown } | undefined;

  constructor(postings: Postings, data: Uint8Array, to: InetEndpoint) {
    super(postings);
    this.data = data;
    this.to = to;
  }

  get verb(): string {
    return "send";
  }

  override get reason(): string {
    return `send ${nameOf(this.to)}`;
  }

  proceed(): boolean {
    if (this.over === undefined) this.turns.send(this);
    if (this.over === undefined) return false;
    if (this.over.error !== null) throw this.over.error;
    return true;
  }
}

/** The datagrams that are to be sent, one at a time. */
class Postings extends Turns {
  readonly #port: DatagramPort;

  constructor(owner: DatagramSocket, port: DatagramPort) {
    super(owner);
    this.#port = port;
  }

  send(turn: SendTurn): void {
    this.inFlight = turn;
    this.#port.send(turn.data, turn.to, (error) => {
      this.inFlight = null;
      turn.over = { error };
      this.advance();
    });
  }
}

class Send extends SystemCall<void> {
  readonly #postings: Postings;
  readonly #data: Uint8Array;
  readonly #to: InetEndpoint;

  constructor(postings: Postings, data: Uint8Array, to: InetEndpoint) {
    super();
    this.#postings = postings;
    this.#data = data;
    this.#to = to;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    const turn = new SendTurn(this.#postings, this.#data, this.#to);
    return this.#postings.enter(turn, task, scheduler) as void | Parked;
  }
}

/**
 * A socket for datagrams (UDP). It comes from {@linkcode listenDatagram}.
 *
 * Several tasks may use it: those who receive are served in order, and so are those who send.
 */
export class DatagramSocket implements Pollable, Disposable {
  readonly #port: DatagramPort;
  readonly #datagrams: Datagrams;
  readonly #postings: Postings;

  /** @internal It comes from `listenDatagram`. */
  constructor(port: DatagramPort) {
    this.#port = port;
    this.#datagrams = new Datagrams(this, port);
    this.#postings = new Postings(this, port);
  }

  /** The address that it receives on, and sends from. */
  get addr(): Deno.NetAddr {
    return this.#port.addr;
  }

  /**
   * Receives a datagram. One that is cancelled takes none with it.
   *
   * @returns A system call that gives the bytes, which are the caller's to keep, and the address of the sender.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  receive(): SystemCall<[data: Uint8Array<ArrayBuffer>, addr: Deno.NetAddr]> {
    return new Receive(this.#datagrams);
  }

  /**
   * Sends a datagram; it answers when the system has taken it. Nobody promises that it arrives.
   *
   * @param data The bytes, at most some 65 500, or a text to be sent in UTF-8. They are not copied: leave them alone until
   * `writeWait(socket)` has answered, if the send is cancelled.
   * @param addr To whom: a port of a host.
   * @returns A system call.
   * @throws {TypeError} If an argument is of the wrong kind.
   * @throws {RangeError} If the port is no whole number from 1 to 65535.
   * @throws The host's error, in the task, such as one with the code `EMSGSIZE` if there are too many bytes.
   * @throws {ClosedError} In the task, if the socket is closed or gets closed meanwhile.
   */
  send(data: Uint8Array | string, addr: { hostname: string; port: number }): SystemCall<void> {
    const bytes = toBytes(data, "send");
    if (typeof addr !== "object" || addr === null) {
      throw new TypeError(`Cannot send to ${describe(addr)}: an address is wanted`);
    }
    const { hostname, port } = addr;
    checkString(hostname, "hostname", "send");
    checkPort(port, 1, "send");
    return new Send(this.#postings, bytes, { hostname, port });
  }

  /**
   * Closes the socket. Every task that waits on it gets `ClosedError`, and so does every later call. To call it twice does
   * no harm.
   */
  close(): void {
    if (this.#datagrams.isClosed) return;
    this.#datagrams.close();
    this.#postings.close();
    this.#port.close();
  }

  /** Closes it: `using socket = …`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `datagram socket 127.0.0.1:53`. */
  toString(): string {
    return `datagram socket ${this._name}`;
  }

  /** @ignore */
  _readWait(task: Task, scheduler: Scheduler): Parked | void {
    return new ReadyWait(this.#datagrams).handle(task, scheduler);
  }

  /** @ignore */
  _writeWait(task: Task, scheduler: Scheduler): Parked | void {
    return idleWait(this.#postings, task, scheduler);
  }

  /** @internal */
  get _source(): "host" | "tasks" {
    return this.#port.source ?? "host";
  }

  /** @internal */
  get _name(): string {
    return nameOf(this.addr);
  }
}

/**
 * Opens a socket for datagrams (UDP), on the network of the current scheduler. Deno needs the flag `--unstable-net` for it.
 *
 * @param options Where it receives.
 * @returns The socket.
 * @throws {TypeError} If an option is of the wrong kind.
 * @throws {RangeError} If the port is no whole number from 0 to 65535.
 * @throws {InvalidStateError} If the network has no datagrams.
 * @throws `Deno.errors.NotSupported` without the flag, or another error of the host, such as `Deno.errors.AddrInUse`.
 *
 * @example
 * ```ts ignore
 * import { listenDatagram, run } from "@genos/kernel";
 *
 * await run(function* () {
 *   using socket = listenDatagram({ hostname: "127.0.0.1", port: 5679 });
 *   for (;;) {
 *     const [data, addr] = yield* socket.receive();
 *     yield* socket.send(data, addr);
 *   }
 * });
 * ```
 */
export function listenDatagram(options: DatagramOptions = {}): DatagramSocket {
  const endpoint = datagramEndpoint(options);
  const network = Scheduler.current()._network ?? denoNetwork;
  if (network.listenDatagram === undefined) {
    throw new InvalidStateError("Cannot listen for datagrams: the network of the scheduler has none");
  }
  return new DatagramSocket(network.listenDatagram(endpoint));
}
