/**
 * The accepting side of a listener: an intake of connections.
 *
 * @module
 */

import { nameOf } from "./_endpoints.ts";
import { Intake, NOT_YET, Take } from "./_intake.ts";
import type { Acceptor, Connection } from "./_network.ts";
import type { Listener } from "./socket.ts";

/** The connections that have been accepted and not been taken, or what an attempt has failed with after them. */
export class Backlog extends Intake {
  readonly owner: Listener;
  /**
   * How many may be accepted before anybody has asked for them. Between two turns of one task every other that is ready has
   * one, and behind a thousand of them a line of new clients would move by one connection at a time.
   */
  ahead = 0;
  readonly #acceptor: Acceptor;
  readonly #arrived: Connection[] = [];
  #error: unknown;

  constructor(owner: Listener, acceptor: Acceptor) {
    super();
    this.owner = owner;
    this.#acceptor = acceptor;
  }

  get name(): string {
    return nameOf(this.#acceptor.addr);
  }

  get ready(): boolean {
    return this.#arrived.length > 0 || this.#error !== undefined;
  }

  shift(): Connection | undefined {
    const arrived = this.#arrived.shift();
    const error = this.#error;
    if (arrived !== undefined || error === undefined) return arrived;
    this.#error = undefined;
    throw error;
  }

  override close(): void {
    if (this.isClosed) return;
    super.close();
    for (const connection of this.#arrived.splice(0)) connection.close();
    this.#acceptor.close();
  }

  protected override pull(): void {
    this.#acceptor.accept((error, connection) => {
      if (this.isClosed) {
        connection?.close();
        return;
      }
      if (error === null) this.#arrived.push(connection!);
      else if (!hasDiedBefore(error)) this.#error = error;
      this.pulled();
      if (this.#error === undefined && this.#arrived.length < this.ahead) this.pullAhead();
    });
  }

  protected override keepAlive(on: boolean): void {
    if (on) this.#acceptor.ref?.();
    else this.#acceptor.unref?.();
  }
}

/**
 * What an accept fails with when the connection has died before it: nobody's error, so the next one is taken. Linux hands
 * on there what the network had to say of the new connection, and accept(2) asks to treat that as if none had come.
 */
function hasDiedBefore(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  return DIED_BEFORE.has(name) || DIED_BEFORE.has(code);
}

const DIED_BEFORE: ReadonlySet<unknown> = new Set([
  ...["NotConnected", "ConnectionAborted", "ConnectionReset"],
  ...[
    "EPROTO",
    "ENOPROTOOPT",
    "ENETDOWN",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
  ],
]);

/** Takes a connection. */
export class Accept<T> extends Take<T> {
  readonly intake: Backlog;
  readonly #accepted: (connection: Connection) => T;

  constructor(backlog: Backlog, accepted: (connection: Connection) => T) {
    super();
    this.intake = backlog;
    this.#accepted = accepted;
  }

  get verb(): string {
    return "accept";
  }

  take(): T | typeof NOT_YET {
    const connection = this.intake.shift();
    return connection === undefined ? NOT_YET : this.#accepted(connection);
  }
}
