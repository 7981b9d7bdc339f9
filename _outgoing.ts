/**
 * The sending side of a socket: a line in which one at a time has the floor.
 *
 * The host may take a write in parts, and writes that overlap may then interleave. So a send has the floor until all its
 * bytes are out, and whatever else must come after what was sent before stands in the same line: the end of writing, and
 * those who want to know that nothing is in flight. A TLS handshake stands there too, as nothing goes out before its end.
 *
 * A write in flight cannot be withdrawn. When its task is cancelled it goes on as the socket's, the last of its send, and
 * the bytes that it brings out are counted. If the send is then cut in the middle, no later one can know what the other end
 * makes of the stream: they are refused, unless one says that it continues.
 *
 * @module
 */

import type { TlsInfo } from "./_network.ts";
import type { Parked } from "./_parking.ts";
import { Turn, Turns } from "./_turns.ts";
import { ClosedError, InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Socket } from "./socket.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

abstract class OutgoingTurn extends Turn {
  declare readonly turns: Outgoing;
}

const NOTHING = new Uint8Array(0);

class SendTurn extends OutgoingTurn {
  data: Uint8Array = NOTHING;
  continues = false;
  length = 0;
  /** How many bytes are out. */
  offset = 0;

  /** Gets what is to be sent. */
  load(data: Uint8Array, continues: boolean): this {
    this.data = data;
    this.continues = continues;
    this.length = data.length;
    this.offset = 0;
    return this;
  }

  get verb(): string {
    return "send";
  }

  proceed(): boolean {
    const { turns, data, offset, length } = this;
    if (offset === length) {
      if (this.continues && length > 0) turns.mend();
      return true;
    }
    turns.checkWritable();
    if (offset === 0 && !this.continues) turns.checkWhole("send");
    if (data.length !== length) {
      throw new TypeError("Cannot send: the data were detached or resized meanwhile");
    }
    turns.write(this, offset === 0 ? data : data.subarray(offset));
    return false;
  }
}

class CloseWriteTurn extends OutgoingTurn {
  get verb(): string {
    return "closeWrite";
  }

  proceed(): boolean {
    return this.turns.closeWrite(this);
  }
}

class HandshakeTurn extends OutgoingTurn {
  info: TlsInfo | undefined;

  get verb(): string {
    return "handshake";
  }

  override get answer(): TlsInfo | undefined {
    return this.info;
  }

  proceed(): boolean {
    if (this.info === undefined) this.turns.handshake(this);
    return this.info !== undefined;
  }
}

export class Outgoing extends Turns {
  declare readonly owner: Socket;
  /** How many bytes the host has taken. */
  sent = 0;
  /** A send that is over, for the next one: where thousands wait, what does not move is not copied about. */
  #spare: SendTurn | null = null;
  #writeClosed = false;
  /** What writing has failed with. */
  #error: unknown;
  /** How much of a send went out that was cut in the middle. */
  #torn: string | undefined;
  readonly #written: (error: unknown, n: number | undefined) => void = (error, n) => {
    const send = this.inFlight as SendTurn;
    this.inFlight = null;
    if (error === null) {
      this.sent += n!;
      send.offset += n!;
    } else {
      this.#error = this.owner._writeFailed(error);
    }
    if (!send._isInLine) this.failed(send);
    this.advance();
  };

  constructor(socket: Socket) {
    super(socket);
  }

  /** The turn of a send. */
  sendTurn(data: Uint8Array, continues: boolean): SendTurn {
    const turn = this.#spare ?? new SendTurn(this);
    this.#spare = null;
    return turn.load(data, continues);
  }

  protected override left(turn: Turn): void {
    const task = turn._task;
    if (!(turn instanceof SendTurn) || turn.settle !== null || this.inFlight === turn) return;
    if (task !== null && task._parked !== turn) return; // a select knows it
    turn.data = NOTHING;
    this.#spare = turn;
  }

  /** What keeps the connection from being used in another way; undefined if nothing does. */
  get inUse(): string | undefined {
    if (!this.isIdle) return "a write is in flight";
    return this.#writeClosed ? "it is closed for writing" : undefined;
  }

  /** Throws what keeps the host from taking more. */
  checkWritable(): void {
    if (this.#writeClosed) throw new ClosedError(`Cannot send: ${this.owner} is closed for writing`);
    const error = this.owner._failure ?? this.#error;
    if (error !== undefined) throw error;
  }

  /** Throws if the other end could make no sense of more. */
  checkWhole(verb: string): void {
    if (this.#torn === undefined) return;
    throw new InvalidStateError(
      `Cannot ${verb}: of an earlier send only ${this.#torn} went out on ${this.owner}; ` +
        "a send that knows how to go on says { continues: true }",
    );
  }

  /** The stream makes sense again. */
  mend(): void {
    this.#torn = undefined;
  }

  write(send: Turn, data: Uint8Array): void {
    this.inFlight = send;
    this.owner._connection.write(data, this.#written);
  }

  /** Whether it has been done; if not, it is begun. */
  closeWrite(turn: Turn): boolean {
    if (this.#writeClosed) return true;
    this.checkWritable();
    this.inFlight = turn;
    this.owner._connection.closeWrite((error) => {
      if (error === null) this.#writeClosed = true;
      this.#over(error);
    });
    return false;
  }

  handshake(turn: HandshakeTurn): void {
    const { _connection: connection } = this.owner;
    if (connection.handshake === undefined) {
      throw new InvalidStateError(`Cannot handshake: ${this.owner} does not speak TLS`);
    }
    const failure = this.owner._failure ?? this.#error;
    if (failure !== undefined) throw failure;
    this.inFlight = turn;
    connection.handshake((error, info) => {
      if (error === null) turn.info = info;
      this.#over(error);
    });
  }

  #over(error: unknown): void {
    this.inFlight = null;
    if (error !== null) this.#error = this.owner._writeFailed(error);
    this.advance();
  }

  /** A send that was cut in the middle leaves the stream torn. */
  protected override failed(turn: Turn): void {
    if (!(turn instanceof SendTurn)) return;
    const { offset, length } = turn;
    if (offset > 0 && offset < length) this.#torn = `${offset} of ${length} bytes`;
  }

  /** For code outside tasks: sends all of `data`. */
  send(data: Uint8Array): Promise<void> {
    return this.perform(new SendTurn(this).load(data, false));
  }

  /** For code outside tasks: ends writing. */
  end(): Promise<void> {
    return this.perform(new CloseWriteTurn(this));
  }
}

export class Send extends SystemCall<void> {
  readonly #outgoing: Outgoing;
  readonly #data: Uint8Array;
  readonly #continues: boolean;

  constructor(outgoing: Outgoing, data: Uint8Array, continues: boolean) {
    super();
    this.#outgoing = outgoing;
    this.#data = data;
    this.#continues = continues;
  }

  override toString(): string {
    return `send ${this.#outgoing.owner._name}, ${this.#data.length} bytes`;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    const turn = this.#outgoing.sendTurn(this.#data, this.#continues);
    return this.#outgoing.enter(turn, task, scheduler) as void | Parked;
  }
}

export class CloseWrite extends SystemCall<void> {
  readonly #outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    super();
    this.#outgoing = outgoing;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#outgoing.enter(new CloseWriteTurn(this.#outgoing), task, scheduler) as void | Parked;
  }
}

export class Handshake extends SystemCall<TlsInfo> {
  readonly #outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    super();
    this.#outgoing = outgoing;
  }

  handle(task: Task, scheduler: Scheduler): TlsInfo | Parked {
    return this.#outgoing.enter(new HandshakeTurn(this.#outgoing), task, scheduler) as TlsInfo | Parked;
  }
}
