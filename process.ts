/**
 * What the process gives to coroutines: its signals.
 *
 * A listener for a signal changes what the process does when the signal comes, so one is there only while a task waits.
 *
 * @module
 */

import { describe } from "./_operation.ts";
import { type Parked, ParkingPlace, Waiter } from "./_parking.ts";
import type { Scheduler } from "./scheduler.ts";
import { SystemCall } from "./syscalls.ts";
import type { Task } from "./task.ts";

class SignalWaiter extends Waiter {
  readonly source = "host";
  readonly #line: SignalLine;

  constructor(line: SignalLine) {
    super();
    this.#line = line;
  }

  get reason(): string {
    return `signal ${this.#line.signal}`;
  }

  override cancel(): void {
    super.cancel();
    this.#line.listenIfWanted();
  }
}

/** The tasks that wait for one signal. All of them get it. */
class SignalLine {
  readonly signal: Deno.Signal;
  readonly waiters: ParkingPlace<SignalWaiter> = new ParkingPlace();
  #listening = false;
  /** A listener keeps no process alive, and a program that waits for nothing but a signal is to wait. */
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  constructor(signal: Deno.Signal) {
    this.signal = signal;
  }

  listenIfWanted(): void {
    const wanted = this.waiters.first !== null;
    if (wanted === this.#listening) return;
    if (wanted) {
      Deno.addSignalListener(this.signal, this.#arrive);
      this.#heartbeat = setInterval(() => {}, 2 ** 31 - 1);
    } else {
      Deno.removeSignalListener(this.signal, this.#arrive);
      clearInterval(this.#heartbeat);
    }
    this.#listening = wanted;
  }

  readonly #arrive = (): void => {
    for (let waiter = this.waiters.shift(); waiter !== null; waiter = this.waiters.shift()) {
      waiter._task!._scheduler.resume(waiter, this.signal);
    }
    this.listenIfWanted();
  };
}

const lines = new Map<string, SignalLine>();

class HostSignal extends SystemCall<Deno.Signal> {
  readonly #signal: Deno.Signal;

  constructor(signal: Deno.Signal) {
    super();
    if (typeof signal !== "string") {
      throw new TypeError(`Cannot wait for the signal ${describe(signal)}: a name is wanted`);
    }
    this.#signal = signal;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const line = lines.get(this.#signal) ?? new SignalLine(this.#signal);
    const waiter = new SignalWaiter(line);
    line.waiters.push(waiter);
    try {
      line.listenIfWanted();
    } catch (error) {
      line.waiters.remove(waiter);
      throw error;
    }
    lines.set(this.#signal, line);
    return scheduler._parkAs(task, waiter);
  }
}

/**
 * Waits until the process gets a signal. While a task waits for it, the signal does nothing else.
 *
 * @param signal Its name, such as `"SIGINT"`.
 * @returns A system call that gives the name when the signal has come. Every task that waits gets it.
 * @throws {TypeError} If the host knows no such signal, or does not let it be caught.
 *
 * @example
 * ```ts ignore
 * import { hostSignal, run } from "@genos/kernel";
 *
 * await run(function* () {
 *   yield* hostSignal("SIGINT");
 *   console.log("interrupted");
 * });
 * ```
 */
export function hostSignal(signal: Deno.Signal): SystemCall<Deno.Signal> {
  return new HostSignal(signal);
}
