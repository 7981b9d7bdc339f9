/**
 * Waiting for a connection: one that is made, or one that comes out of another by a TLS handshake.
 *
 * Neither can be withdrawn for certain, only given up: what comes all the same is closed, and nobody has seen it.
 *
 * @module
 */

import type { Attempt, Connection, Done, Source } from "./_network.ts";
import { Parked, type Wait } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

class ConnectionWait<S> extends Parked implements Wait {
  readonly reason: string;
  readonly source: Source;
  readonly #made: (connection: Connection) => S;
  #attempt: Attempt | undefined;

  constructor(reason: string, source: Source, made: (connection: Connection) => S) {
    super();
    this.reason = reason;
    this.source = source;
    this.#made = made;
  }

  begin(attempt: (done: Done<Connection>) => Attempt): void {
    this.#attempt = attempt((error, connection) => {
      const scheduler = this._task?._scheduler;
      if (scheduler === undefined) connection?.close();
      else if (error === null) scheduler.resume(this, this.#made(connection!));
      else scheduler.fail(this, error);
    });
  }

  cancel(): void {
    this.#attempt?.cancel();
  }
}

/** What an attempt is for, how it begins, and what is made of the connection. */
export interface Connecting<S> {
  readonly reason: string;
  /** Who ends the wait. */
  source(scheduler: Scheduler): Source;
  /** Begins; it may throw instead. */
  begin(scheduler: Scheduler, done: Done<Connection>): Attempt;
  made(connection: Connection): S;
}

export class Connect<S> extends SystemCall<S> {
  readonly #connecting: Connecting<S>;

  constructor(connecting: Connecting<S>) {
    super();
    this.#connecting = connecting;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const { reason, made } = this.#connecting;
    const wait = new ConnectionWait(reason, this.#connecting.source(scheduler), made);
    scheduler._parkAs(task, wait);
    wait.begin((done) => this.#connecting.begin(scheduler, done));
    return wait;
  }
}

/** One whose attempt cannot be given up without a loss: no case of a `select`. */
export class ConnectAtAllCosts<S> extends Connect<S> {
  override get _isSingle(): boolean {
    return false;
  }
}
