/**
 * The sending side of a socket: a line in which one at a time has the floor.
 *
 * The host may take a write in parts, and writes that overlap may then interleave. So a send has the floor until all its
 * bytes are out, and whatever else must come after what was sent before stands in the same line: the end of writing, and
 * those who want to know that nothing is in flight.
 *
 * A write in flight cannot be withdrawn. When its task is cancelled it goes on as the socket's, the last of its send, and
 * the bytes that it brings out are counted. If the send is then cut in the middle, no later one can know what the other end
 * makes of the stream: they are refused, unless one says that it continues.
 *
 * @module
 */

import { closed } from "./_intake.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import { ClosedError, InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Socket } from "./socket.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** One that stands in the line. */
abstract class Turn extends Waiter {
  readonly outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    super();
    this.outgoing = outgoing;
  }

  abstract readonly verb: string;

  /** Called when it has the floor and nothing is in flight: true if it is done, false if it has started an operation. */
  abstract proceed(): boolean;

  get reason(): string {
    return `${this.verb} ${this.outgoing.owner._name}`;
  }

  get source(): "host" {
    return "host";
  }

  override cancel(): boolean {
    super.cancel();
    return !this.outgoing.isInFlight(this);
  }
}

class SendTurn extends Turn {
  readonly data: Uint8Array;
  readonly continues: boolean;
  readonly length: number;
  /** How many bytes are out. */
  offset = 0;

  constructor(outgoing: Outgoing, data: Uint8Array, continues: boolean) {
    super(outgoing);
    this.data = data;
    this.continues = continues;
    this.length = data.length;
  }

  get verb(): string {
    return "send";
  }

  proceed(): boolean {
    const { outgoing, data, offset, length } = this;
    if (offset === length) {
      if (this.continues) outgoing.mend();
      return true;
    }
    outgoing.checkWritable();
    if (offset === 0 && !this.continues) outgoing.checkWhole();
    if (data.length !== length) {
      throw new TypeError("Cannot send: the data were detached or resized meanwhile");
    }
    outgoing.write(this, offset === 0 ? data : data.subarray(offset));
    return false;
  }
}

class CloseWriteTurn extends Turn {
  get verb(): string {
    return "closeWrite";
  }

  proceed(): boolean {
    return this.outgoing.closeWrite(this);
  }
}

class WriteWaitTurn extends Turn {
  get verb(): string {
    return "writeWait";
  }

  proceed(): boolean {
    return true;
  }
}

export class Outgoing {
  readonly owner: Socket;
  /** How many bytes the host has taken. */
  sent = 0;
  readonly #line = new ParkingPlace<Turn>();
  /** Whose operation is in flight. It may have left the line. */
  #inFlight: Turn | null = null;
  #advancing = false;
  #closed = false;
  #writeClosed = false;
  /** What writing has failed with. */
  #error: unknown;
  /** How much of a send went out that was cut in the middle. */
  #torn: string | undefined;
  /** What the last turn has failed with that was over before its task was parked. */
  #unparked: unknown;
  readonly #written: (error: unknown, n: number | undefined) => void = (error, n) => {
    const send = this.#inFlight as SendTurn;
    this.#inFlight = null;
    if (error === null) {
      this.sent += n!;
      send.offset += n!;
    } else {
      this.#error = this.owner._writeFailed(error);
    }
    if (send._place === null) this.#noteCut(send);
    this.#advance();
  };

  constructor(socket: Socket) {
    this.owner = socket;
  }

  /** Handles a call: to have its turn at once, or to park its task until it has had it. */
  enter(turn: Turn, task: Task, scheduler: Scheduler): void | Parked {
    if (this.#closed) throw closed(turn.verb, this.owner);
    this.#unparked = undefined;
    this.#line.push(turn);
    this.#advance();
    if (turn._place !== null) return scheduler.park(task, turn);
    if (this.#unparked !== undefined) throw this.#unparked;
  }

  /** Throws what keeps the host from taking more. */
  checkWritable(): void {
    if (this.#writeClosed) throw new ClosedError(`Cannot send: ${this.owner} is closed for writing`);
    const error = this.owner._failure ?? this.#error;
    if (error !== undefined) throw error;
  }

  /** Throws if the other end could make no sense of more. */
  checkWhole(): void {
    if (this.#torn === undefined) return;
    throw new InvalidStateError(
      `Cannot send: of an earlier send only ${this.#torn} went out on ${this.owner}; ` +
        "a send that knows how to go on says { continues: true }",
    );
  }

  /** The stream makes sense again. */
  mend(): void {
    this.#torn = undefined;
  }

  write(send: SendTurn, data: Uint8Array): void {
    this.#inFlight = send;
    this.owner._connection.write(data, this.#written);
  }

  /** Whether it has been done; if not, it is begun. */
  closeWrite(turn: Turn): boolean {
    if (this.#writeClosed) return true;
    this.checkWritable();
    this.#inFlight = turn;
    this.owner._connection.closeWrite((error) => {
      this.#inFlight = null;
      if (error === null) this.#writeClosed = true;
      else this.#error = this.owner._writeFailed(error);
      this.#advance();
    });
    return false;
  }

  isInFlight(turn: Turn): boolean {
    return this.#inFlight === turn;
  }

  /** The socket is closed: all who wait are told. */
  close(): void {
    this.#closed = true;
    for (let turn = this.#line.first; turn !== null; turn = this.#line.first) {
      this.#leave(turn, closed(turn.verb, this.owner));
    }
  }

  #noteCut({ offset, length }: SendTurn): void {
    if (offset > 0 && offset < length) this.#torn = `${offset} of ${length} bytes`;
  }

  /** Gives the floor to one after the other. Where the host answers at once, this loop goes on in place of a call of itself. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#inFlight === null) {
      const turn = this.#line.first;
      if (turn === null) break;
      try {
        if (turn.proceed()) this.#leave(turn, undefined);
      } catch (error) {
        if (turn instanceof SendTurn) this.#noteCut(turn);
        this.#leave(turn, error);
      }
    }
    this.#advancing = false;
  }

  #leave(turn: Turn, error: unknown): void {
    this.#line.remove(turn);
    const scheduler = turn._task?._scheduler;
    if (scheduler === undefined) this.#unparked = error;
    else if (error === undefined) scheduler.resume(turn);
    else scheduler.fail(turn, error);
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

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#outgoing.enter(new SendTurn(this.#outgoing, this.#data, this.#continues), task, scheduler);
  }
}

export class CloseWrite extends SystemCall<void> {
  readonly #outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    super();
    this.#outgoing = outgoing;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.#outgoing.enter(new CloseWriteTurn(this.#outgoing), task, scheduler);
  }
}

/** Parks the task until no write is in flight. */
export function writeWaitOf(outgoing: Outgoing, task: Task, scheduler: Scheduler): void | Parked {
  return outgoing.enter(new WriteWaitTurn(outgoing), task, scheduler);
}
