/**
 * Taking from the host: a line of tasks in front of an operation that cannot be withdrawn.
 *
 * `Deno` gives no way to ask whether a socket is readable, and none to take back a read or an accept. An abandoned one would
 * steal the next bytes or the next connection. So the pending operation belongs to the object, never to a task: what it
 * brings is stored first, and those who stand in line take from the store, in order. A task that is cancelled steps out of
 * the line and has taken nothing; at most one operation is pending, and only if somebody has asked for more than there was.
 *
 * Bytes from a connection and connections from a listener are two stores behind the same line.
 *
 * @module
 */

import type { Source } from "./_network.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import { ClosedError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** What `take` answers when more has to come first. */
export const NOT_YET: unique symbol = Symbol("not yet");

/** A system call that takes from an intake. */
export abstract class Take<T> extends SystemCall<T> {
  /** What it is called, in reports: `recv`, `accept`. */
  abstract readonly verb: string;
  /** Where it takes from. */
  abstract readonly intake: Intake;

  override toString(): string {
    return `${this.verb} ${this.intake.name}`;
  }

  /** Takes what there is for it; throws what has become of the source instead. */
  abstract take(): T | typeof NOT_YET;

  handle(task: Task, scheduler: Scheduler): T | Parked {
    return this.intake.serve(this, task, scheduler);
  }
}

/** Waits until an intake is ready, and takes nothing. */
export class ReadyWait extends Take<void> {
  readonly intake: Intake;

  constructor(intake: Intake) {
    super();
    this.intake = intake;
  }

  get verb(): string {
    return "readWait";
  }

  take(): void | typeof NOT_YET {
    if (!this.intake.ready) return NOT_YET;
  }
}

class TakeWaiter extends Waiter {
  call: Take<unknown>;

  constructor(call: Take<unknown>) {
    super();
    this.call = call;
  }

  get reason(): string {
    return `${this.call.verb} ${this.call.intake.name}`;
  }

  get source(): Source {
    return this.call.intake.owner._source ?? "host";
  }

  /** Whether the wait is over, and its place in the line void. */
  get isOver(): boolean {
    return this._task === null;
  }

  give(value: unknown): void {
    this._task?._scheduler.resume(this, value);
  }

  refuse(error: unknown): void {
    this._task?._scheduler.fail(this, error);
  }

  override cancel(): void {
    super.cancel();
    this.call.intake._left();
  }
}

/** Code outside tasks that stands in the same line. */
class OutsideWaiter<T> extends TakeWaiter implements Asked<T> {
  readonly #settled: PromiseWithResolvers<T> = Promise.withResolvers();
  #over = false;

  get value(): Promise<T> {
    return this.#settled.promise;
  }

  override get isOver(): boolean {
    return this.#over;
  }

  override give(value: unknown): void {
    this.#over = true;
    this.#settled.resolve(value as T);
  }

  override refuse(error: unknown): void {
    this.#over = true;
    this.#settled.reject(error);
  }

  override cancel(): void {
    if (this.#over) return;
    this.#over = true;
    super.cancel();
  }
}

/** What code outside tasks has asked for. */
export interface Asked<T> {
  readonly value: Promise<T>;
  /** It is not wanted any more: nothing will be taken, and the promise stays pending. */
  cancel(): void;
}

/** A store that the host fills and tasks take from, first come first served. */
export abstract class Intake {
  readonly #line = new ParkingPlace<TakeWaiter>();
  /** One whose wait is over, for the next task that waits: where thousands do, what does not move is not copied about. */
  #spare: TakeWaiter | null = null;
  /** The host's operation is pending. */
  #pulling = false;
  #serving = false;
  #closed = false;
  /** The pending operation does not keep the process alive, because nobody waits for it. */
  #unrefed = false;

  /** The address, for what is waited for. */
  abstract readonly name: string;
  /** What it belongs to, for errors: `socket 127.0.0.1:50312`. */
  abstract readonly owner: Closable;
  /** Whether something can be taken, or an end or a failure be told, without waiting. */
  abstract readonly ready: boolean;

  /**
   * Starts the host's operation, which ends with a call of `pulled`, perhaps before this returns.
   *
   * @param call For whom, if that is known.
   */
  protected abstract pull(call: Take<unknown> | null): void;

  /** A pending operation is to keep the process alive, or not. */
  protected abstract keepAlive(on: boolean): void;

  /** Whether the host's operation is pending. */
  get isPulling(): boolean {
    return this.#pulling;
  }

  /** Who is served next, if anybody waits. */
  protected get first(): Take<unknown> | null {
    const waiter = this.#line.first;
    return waiter === null || waiter.isOver ? null : waiter.call;
  }

  /** Whether `close` has been called. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Handles a call: gives what it takes, or parks its task. */
  serve<T>(call: Take<T>, task: Task, scheduler: Scheduler): T | Parked {
    if (this.#closed) throw closed(call.verb, this.owner);
    if (this.#line.first === null) {
      for (;;) {
        const value = call.take();
        if (value !== NOT_YET) return value;
        if (this.#pulling) break;
        this.#pull(call);
      }
    }
    const waiter = this.#spare ?? new TakeWaiter(call);
    waiter.call = call;
    this.#spare = null;
    scheduler._parkAs(task, waiter);
    this.#line.push(waiter);
    if (this.#unrefed) this.#keepAlive(true);
    return waiter;
  }

  /** The same for code outside tasks. */
  ask<T>(call: Take<T>): Asked<T> {
    const waiter = new OutsideWaiter<T>(call);
    if (this.#closed) {
      waiter.refuse(closed(call.verb, this.owner));
    } else {
      this.#line.push(waiter);
      if (this.#unrefed) this.#keepAlive(true);
      this.#serveLine();
    }
    return waiter;
  }

  /** The host's operation is over, and the store filled. */
  protected pulled(): void {
    this.#pulling = false;
    this.#serveLine();
  }

  /** Starts the host's operation although nobody waits, if it is not pending. */
  protected pullAhead(): void {
    if (!this.#pulling && !this.#closed) this.#pull(null);
  }

  /** What it belongs to is closed: all who wait are told. */
  close(): void {
    this.#closed = true;
    for (let waiter = this.#line.shift(); waiter !== null; waiter = this.#line.shift()) {
      waiter.refuse(closed(waiter.call.verb, this.owner));
    }
  }

  /** @internal A task has left the line: what was not enough for it may be enough for the next. */
  _left(): void {
    if (this.#line.first !== null) this.#serveLine();
    else if (this.#pulling) this.#keepAlive(false);
  }

  #keepAlive(on: boolean): void {
    this.#unrefed = !on;
    this.keepAlive(on);
  }

  #pull(call: Take<unknown> | null): void {
    this.#pulling = true;
    this.pull(call);
  }

  /** Where the host answers at once, this loop goes on in place of a call of itself. */
  #serveLine(): void {
    if (this.#serving) return;
    this.#serving = true;
    for (let waiter = this.#line.first; waiter !== null; waiter = this.#line.first) {
      try {
        const value = waiter.isOver ? undefined : waiter.call.take();
        if (value === NOT_YET) {
          if (this.#pulling) break;
          this.#pull(waiter.call);
          continue;
        }
        this.#line.remove(waiter);
        if (waiter._task?._parked === waiter) this.#spare = waiter; // else a select knows it
        waiter.give(value);
      } catch (error) {
        this.#line.remove(waiter);
        waiter.refuse(error);
      }
    }
    this.#serving = false;
  }
}

/** A socket or a listener, for errors: `socket 127.0.0.1:50312`. */
export interface Closable {
  toString(): string;
  /** What has become of it, if that is more than that it is closed. */
  readonly _fate?: string;
  /** Who ends the waits for it, if not the host. */
  readonly _source?: Source;
}

/** What is thrown where something is closed. */
export function closed(verb: string, what: Closable): ClosedError {
  return new ClosedError(`Cannot ${verb}: ${what} ${what._fate ?? "is closed"}`);
}
