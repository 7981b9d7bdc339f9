/**
 * A model of the host's event loop, as far as sockets are concerned: Deno's op driver on tokio's `current_thread` runtime,
 * with clients that play ping-pong.
 *
 * What it knows of them: an operation that can succeed at once does, when it is begun, at the expense of the turn's budget of
 * 128; else it joins the pending ones, which are a task of their own with a budget of its own. Who is denied for want of
 * budget is woken again after the next look for events, behind those whom that look has woken, and the last first. A look
 * brings 1 024 events at most, and takes place when nothing is left to do, or after 61 turns. Each thing takes some of the
 * model's time, in µs.
 *
 * It does what the real thing does: of 10 000 connections that speak at once a plain loop serves 1 280, ten for each of 128.
 *
 * @module
 */

import type { Read, Turns } from "../_admission.ts";

const BUDGET = 128;
const EVENTS = 1024;
const TURNS_PER_LOOK = 61;
const BEGIN = 1;
const TRY = 0.3;
const SYSTEM_CALL = 2;
const TURN = 1;
const ROUND_TRIP = 5;
const MOMENT = 1500;

/** A pending read or write. */
interface Pending {
  readonly client: Client;
  readonly isRead: boolean;
  readonly end: () => void;
  isAwake: boolean;
}

/** One connection: the server's end, with a client that sends as soon as it has a reply. */
export class Client implements Read {
  isPutOff = false;
  isAhead = false;
  nextPutOff: Read | null = null;
  /** How many replies it has got. */
  replies = 0;
  /** It sends no more. */
  silent = false;
  /** The server has closed it: a read that is before the host ends, without a look for events. */
  isClosed = false;
  /** A read of it is before the host. */
  isReading = false;
  _hasArrived = false;
  _reading: Pending | null = null;
  readonly #host: RuntimeModel;

  constructor(host: RuntimeModel) {
    this.#host = host;
  }

  start(): void {
    this.isReading = true;
    this.#host._begin(this, true, () => {
      this._hasArrived = this.isReading = false;
      this._reading = null;
      this.#host.readEnded(this);
    });
  }

  close(): void {
    this.silent = this.isClosed = true;
    if (this._reading !== null) this.#host._wake(this._reading);
  }

  /** The server has read: it replies, and wants to read again. */
  reply(then: () => void): void {
    this.#host._begin(this, false, () => {
      this.replies++;
      this.#host._send(this);
      then();
    });
  }
}

export class RuntimeModel implements Turns {
  /** µs. */
  now = 0;
  readonly clients: Client[];
  /** What the server does when a read has ended. */
  readEnded: (client: Client) => void = () => {};
  #timer: { readonly at: number; readonly callback: () => void } | undefined;
  #budget = 0;
  #soon: (() => void)[] = [];
  #later: (() => void)[] = [];
  #ended: Pending[] = [];
  #awake: Pending[] = [];
  #denied: Pending[] = [];
  readonly #sent: { readonly at: number; readonly client: Client }[] = [];
  #clientsFree = 0;

  constructor(clients: number) {
    this.clients = Array.from({ length: clients }, () => new Client(this));
  }

  get hasTimer(): boolean {
    return this.#timer !== undefined;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  later(callback: () => void): void {
    this.#later.push(callback);
  }

  setTimer(callback: () => void): unknown {
    return this.#timer = { at: this.now + MOMENT, callback };
  }

  clearTimer(timer: unknown): void {
    if (this.#timer === timer) this.#timer = undefined;
  }

  /** Everybody sends at once. */
  allSend(): void {
    for (const client of this.clients) this.#sent.push({ at: this.now, client });
  }

  /** Turns until a moment, or until nothing can happen any more. */
  run(until: number): void {
    for (let turns = 1; this.now < until; turns++) {
      const isIdle = this.#awake.length === 0 && this.#ended.length === 0 && this.#later.length === 0;
      if (isIdle && this.#denied.length === 0) {
        const next = Math.min(this.#sent[0]?.at ?? Infinity, this.#timer?.at ?? Infinity);
        if (next === Infinity) return;
        this.now = Math.max(this.now, next);
      }
      if (isIdle || turns % TURNS_PER_LOOK === 0) this.#look();
      this.#tryPending();
      this.#turn();
    }
  }

  _send(client: Client): void {
    if (client.silent) return;
    this.#clientsFree = Math.max(this.#clientsFree, this.now) + SYSTEM_CALL;
    this.#sent.push({ at: this.#clientsFree + ROUND_TRIP, client });
  }

  _begin(client: Client, isRead: boolean, end: () => void): void {
    this.now += BEGIN;
    if (this.#budget > 0 && (!isRead || client._hasArrived || client.isClosed)) {
      this.#budget--;
      this.now += SYSTEM_CALL;
      this.#soon.push(end);
      return;
    }
    const pending = { client, isRead, end, isAwake: false };
    if (isRead) client._reading = pending;
    this._wake(pending);
  }

  _wake(pending: Pending): void {
    if (pending.isAwake) return;
    pending.isAwake = true;
    this.#awake.push(pending);
  }

  #look(): void {
    for (let events = 0; events < EVENTS; events++) {
      if (this.#sent.length === 0 || this.#sent[0]!.at > this.now) break;
      const { client } = this.#sent.shift()!;
      client._hasArrived = true;
      if (client._reading !== null) this._wake(client._reading);
    }
    for (const pending of this.#denied.splice(0).reverse()) this._wake(pending);
  }

  /** The task of the pending operations. */
  #tryPending(): void {
    let budget = BUDGET;
    for (const pending of this.#awake.splice(0)) {
      this.now += TRY;
      pending.isAwake = false;
      if (pending.isRead && !pending.client._hasArrived && !pending.client.isClosed) continue;
      if (budget-- > 0) {
        this.now += SYSTEM_CALL;
        this.#ended.push(pending);
      } else {
        this.#denied.push(pending);
      }
    }
  }

  /** The task that runs JavaScript. */
  #turn(): void {
    this.now += TURN;
    this.#budget = BUDGET;
    if (this.#timer !== undefined && this.#timer.at <= this.now) {
      const { callback } = this.#timer;
      this.#timer = undefined;
      callback();
      this.#microtasks();
    }
    for (const { end } of this.#ended.splice(0)) this.#soon.push(end);
    this.#microtasks();
    for (const callback of this.#later.splice(0)) {
      callback();
      this.#microtasks();
    }
  }

  #microtasks(): void {
    for (let i = 0; i < this.#soon.length; i++) this.#soon[i]!();
    this.#soon = [];
  }
}
