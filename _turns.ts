/**
 * Giving to the host: a line in which one at a time has the floor.
 *
 * The host's operations that send something may neither overlap nor be withdrawn. So whoever wants one stands in a line, has
 * the floor until all that it wanted is done, and an operation in flight belongs to the line: when its task is cancelled it
 * goes on as nobody's, and the next one waits for its end.
 *
 * What a socket sends, its handshake and the end of its writing are turns of one line, and so are datagrams.
 *
 * @module
 */

import { type Closable, closed } from "./_intake.ts";
import type { Source } from "./_network.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** One that stands in the line. */
export abstract class Turn extends Waiter {
  readonly turns: Turns;
  /** Called at its end, if it is code outside tasks that waits for it. */
  settle: ((error: unknown) => void) | null = null;

  constructor(turns: Turns) {
    super();
    this.turns = turns;
  }

  abstract readonly verb: string;

  /** Called when it has the floor and nothing is in flight: true if it is done, false if it has started an operation. */
  abstract proceed(): boolean;

  /** What its task gets at its end. */
  get answer(): unknown {
    return undefined;
  }

  get reason(): string {
    return `${this.verb} ${this.turns.owner._name}`;
  }

  get source(): Source {
    return this.turns.owner._source ?? "host";
  }

  override cancel(): boolean {
    super.cancel();
    return this.turns.inFlight !== this;
  }
}

export class Turns {
  readonly owner: Closable & { readonly _name: string };
  /** Whose operation is in flight. It may have left the line. */
  inFlight: Turn | null = null;
  readonly #line = new ParkingPlace<Turn>();
  #advancing = false;
  #closed = false;
  /** What the last turn has failed with that was over before its task was parked. */
  #unparked: unknown;

  constructor(owner: Closable & { readonly _name: string }) {
    this.owner = owner;
  }

  /** Whether nobody stands in the line, and nothing is in flight. */
  get isIdle(): boolean {
    return this.inFlight === null && this.#line.first === null;
  }

  /** Handles a call: to have its turn at once, or to park its task until it has had it. */
  enter(turn: Turn, task: Task, scheduler: Scheduler): unknown {
    if (this.#closed) throw closed(turn.verb, this.owner);
    this.#unparked = undefined;
    this.#line.push(turn);
    this.advance();
    if (turn._isInLine) return scheduler._parkAs(task, turn);
    if (this.#unparked !== undefined) throw this.#unparked;
    return turn.answer;
  }

  /** The same for code outside tasks. */
  perform(turn: Turn): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw closed(turn.verb, this.owner);
      turn.settle = (error) => error === undefined ? resolve() : reject(error);
      this.#line.push(turn);
      this.advance();
    });
  }

  /** It is closed: all who wait are told. */
  close(): void {
    this.#closed = true;
    for (let turn = this.#line.first; turn !== null; turn = this.#line.first) {
      this.#leave(turn, closed(turn.verb, this.owner));
    }
  }

  /**
   * Gives the floor to one after the other, until an operation is in flight. Where the host answers at once, this loop goes
   * on in place of a call of itself.
   */
  protected advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.inFlight === null) {
      const turn = this.#line.first;
      if (turn === null) break;
      try {
        if (turn.proceed()) this.#leave(turn, undefined);
      } catch (error) {
        this.failed(turn);
        this.#leave(turn, error);
      }
    }
    this.#advancing = false;
  }

  /** A turn ends before all that it wanted was done. */
  protected failed(_turn: Turn): void {}

  /** A turn is over; who waits for it is about to be told. */
  protected left(_turn: Turn): void {}

  #leave(turn: Turn, error: unknown): void {
    this.#line.remove(turn);
    this.left(turn);
    const scheduler = turn._task?._scheduler;
    if (scheduler !== undefined) {
      if (error === undefined) scheduler.resume(turn, turn.answer);
      else scheduler.fail(turn, error);
    } else if (turn.settle !== null) {
      turn.settle(error);
    } else {
      this.#unparked = error;
    }
  }
}

/** The wait until nothing is in flight. */
class IdleTurn extends Turn {
  get verb(): string {
    return "writeWait";
  }

  proceed(): boolean {
    return true;
  }
}

/** Parks the task until nothing is in flight. */
export function idleWait(turns: Turns, task: Task, scheduler: Scheduler): void | Parked {
  return turns.enter(new IdleTurn(turns), task, scheduler) as void | Parked;
}
