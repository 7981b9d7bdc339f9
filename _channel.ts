/**
 * Channels: messages from task to task, which meet for each of them, and an end that both see.
 *
 * A queue is a store that happens to have waiters; a channel is a meeting that happens to have a store. With capacity 0, as
 * in Hoare's and Go's, a `send` that has come back says that the message was received.
 *
 * @module
 */

import { type Parked, ParkingPlace } from "./_parking.ts";
import { Fifo } from "./_store.ts";
import {
  awaitedBy,
  CallWaiter,
  checkCount,
  LineCall,
  nameOf,
  refuse,
  type SyncOptions,
  titled,
} from "./_waiting.ts";
import * as waiting from "./_waiting.ts";
import { ClosedError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

// Not imported by name, for the reason that `task.ts` gives.
const { stand, takeFirst, wake } = waiting;

/**
 * A channel of messages, which can be closed. `send` waits until the message is received, or has a place in the buffer;
 * `receive` waits until there is one. Who has waited longest is served first.
 *
 * @example
 * ```ts
 * import { Channel, run, spawn } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * const squares: number[] = [];
 * await run(function* () {
 *   const numbers = new Channel<number>();
 *   yield* spawn(function* () {
 *     for (let i = 1; i <= 3; i++) yield* numbers.send(i);
 *     numbers.close();
 *   });
 *   for (let got = yield* numbers.receive(); !got.done; got = yield* numbers.receive()) {
 *     squares.push(got.value ** 2);
 *   }
 * });
 * assertEquals(squares, [1, 4, 9]);
 * ```
 */
export class Channel<T> {
  readonly #name: string;
  readonly #capacity: number;
  readonly #buffer = new Fifo<T>();
  readonly #senders = new ParkingPlace<CallWaiter<Send<T>>>();
  readonly #receivers = new ParkingPlace<CallWaiter<Receive<T>>>();
  #closed = false;

  /**
   * An open channel.
   *
   * @param capacity How many messages are kept that nobody has received yet: 0, the default, or more, or `Infinity`.
   * @param options Its name, or its name as an option.
   * @throws {TypeError} If `capacity` is no number, or the name no string.
   * @throws {RangeError} If `capacity` is negative or no whole number.
   */
  constructor(capacity?: number, options?: string | SyncOptions) {
    if (capacity !== undefined) checkCount("make a channel of capacity", capacity, 0, "infinite");
    this.#capacity = capacity ?? 0;
    this.#name = nameOf("a channel", options);
  }

  /**
   * Sends a message; waits until a task receives it, or there is a place for it in the buffer.
   *
   * @param message The message.
   * @returns A system call. It throws `ClosedError` if the channel is closed, or is closed while it waits; the message is
   * then not delivered.
   */
  send(message: T): SystemCall<void> {
    return new Send(this, message);
  }

  /**
   * Receives the message that was sent first; waits until there is one.
   *
   * @returns A system call that gives `{ done: false, value }`, or `{ done: true }` once the channel is closed and all that
   * was in the buffer has been received.
   */
  receive(): SystemCall<IteratorResult<T, undefined>> {
    return new Receive(this);
  }

  /**
   * Sends a message if that need not wait. Code outside tasks may call this too: it wakes a task that waits.
   *
   * @param message The message.
   * @returns Whether it is sent.
   * @throws {ClosedError} If the channel is closed.
   */
  trySend(message: T): boolean {
    return this.#pass(message, null);
  }

  /**
   * Receives a message if that need not wait. Code outside tasks may call this too.
   *
   * @returns What `receive` would give; undefined if that would wait.
   */
  tryReceive(): IteratorResult<T, undefined> | undefined {
    return this.#take(null);
  }

  /**
   * Ends it: who waits to receive gets `{ done: true }`, who waits to send `ClosedError`. Code outside tasks may call this
   * too. A second time does nothing.
   */
  close(): void {
    this.#closed = true;
    for (let waiter = this.#receivers.shift(); waiter !== null; waiter = this.#receivers.shift()) {
      wake(waiter, { done: true, value: undefined });
    }
    for (let waiter = this.#senders.shift(); waiter !== null; waiter = this.#senders.shift()) {
      refuse(waiter, this.#closedError());
    }
  }

  /** `channel "numbers", open, 2 in its buffer, awaited by task 3`. */
  toString(): string {
    const buffered = this.#buffer.size === 0 ? "" : `, ${this.#buffer.size} in its buffer`;
    return `${this._title}, ${this.#closed ? "closed" : "open"}${buffered}${
      awaitedBy(this.#senders, this.#receivers)
    }`;
  }

  /** @internal */
  get _title(): string {
    return titled("channel", this.#name);
  }

  /** @internal */
  _send(call: Send<T>, task: Task, scheduler: Scheduler): void | Parked {
    if (!this.#pass(call.message, task)) return stand(this.#senders, new CallWaiter(call), task, scheduler);
  }

  /** @internal */
  _receive(call: Receive<T>, task: Task, scheduler: Scheduler): IteratorResult<T, undefined> | Parked {
    return this.#take(task) ?? stand(this.#receivers, new CallWaiter(call), task, scheduler);
  }

  /** Hands a message to who waits for one, or keeps it. False if there is no room. */
  #pass(message: T, sender: Task | null): boolean {
    if (this.#closed) throw this.#closedError();
    const receiver = takeFirst(this.#receivers, sender);
    if (receiver !== null) wake(receiver, { done: false, value: message });
    else if (this.#buffer.size < this.#capacity) this.#buffer.push(message);
    else return false;
    return true;
  }

  #take(receiver: Task | null): IteratorResult<T, undefined> | undefined {
    let message: { done: false; value: T } | undefined;
    if (this.#buffer.size > 0) message = { done: false, value: this.#buffer.shift() };
    const sender = takeFirst(this.#senders, receiver);
    if (sender !== null) {
      if (message === undefined) message = { done: false, value: sender.call.message };
      else this.#buffer.push(sender.call.message);
      wake(sender);
    }
    return message ?? (this.#closed ? { done: true, value: undefined } : undefined);
  }

  #closedError(): ClosedError {
    return new ClosedError(`Cannot send to ${this._title}: it is closed`);
  }
}

class Send<T> extends LineCall<void> {
  // Declared, and set by the constructor, for the reason that `Parked` gives.
  declare readonly channel: Channel<T>;
  declare readonly message: T;

  constructor(channel: Channel<T>, message: T) {
    super();
    this.channel = channel;
    this.message = message;
  }

  get reason(): string {
    return `send to ${this.channel._title}`;
  }

  handle(task: Task, scheduler: Scheduler): void | Parked {
    return this.channel._send(this, task, scheduler);
  }
}

class Receive<T> extends LineCall<IteratorResult<T, undefined>> {
  declare readonly channel: Channel<T>;

  constructor(channel: Channel<T>) {
    super();
    this.channel = channel;
  }

  get reason(): string {
    return `receive from ${this.channel._title}`;
  }

  handle(task: Task, scheduler: Scheduler): IteratorResult<T, undefined> | Parked {
    return this.channel._receive(this, task, scheduler);
  }
}
