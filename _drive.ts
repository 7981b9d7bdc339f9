/**
 * The drive: what makes the loop of a scheduler turn.
 *
 * The loop turns for somebody: a run, a main loop, code that waits for a kill; without one it stands still, but for that of
 * the default scheduler. And it turns when there is cause: a turn runs what is ready and is over. The first task that is
 * resumed after that asks for the next, which comes in a microtask; so does the rest of a slice, so that promises are heard of
 * in between; a timer brings one by the alarm; and when a slice is over, or the host may be starving, the next comes after a
 * turn of the host. A loop that waited for its tasks in a callback of the host's each time would cost a timer a turn.
 *
 * When nothing is ready and microtasks have drained, all is quiet, and what must not be judged sooner is judged: a failure
 * that nobody has looked at, a jump of a virtual clock, a deadlock. Whatever is resumed meanwhile, be it in the last of the
 * microtasks, makes it a turn that was not over.
 *
 * @module
 */

import { Alarm } from "./_alarm.ts";
import { type Clock, hostTurn, later } from "./_clock.ts";
import { deadlockOf, standingsOf } from "./_deadlock.ts";
import type { Standing } from "./_frames.ts";
import { HostTurns } from "./_host_turns.ts";
import { awaitedOf, type Liveness } from "./_liveness.ts";
import { processor } from "./_processor.ts";
import type { ReadyTasks } from "./_ready_queue.ts";
import type { TimeSlice } from "./_time_slice.ts";
import type { UnhandledErrors } from "./_unhandled.ts";
import { UnkillableError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";

/** Somebody for whom the loop turns. */
export interface Driver {
  /** The loop has found a deadlock. */
  fail(error: unknown): void;
}

/** What a drive is made of: most of it is its scheduler's too. */
export interface DriveOptions {
  readonly clock: Clock;
  readonly ready: ReadyTasks;
  readonly slice: TimeSlice;
  readonly liveness: Liveness;
  readonly unhandled: UnhandledErrors;
  readonly timeSlice: number;
  /** Whether a deadlock is told, or waited out. */
  readonly deadlock: "throw" | "wait";
}

export class Drive {
  readonly #scheduler: Scheduler;
  readonly #shared: DriveOptions;
  readonly #hostTurns: HostTurns;
  readonly #alarm: Alarm;
  readonly #drivers = new Set<Driver>();
  /** The next turn, or part of a slice, is on its way: in a microtask, after a host's turn. */
  #coming = false;
  #inHostTurn = false;
  /** It is to be looked whether all is quiet. */
  #quietComing = false;
  /** Turns without a driver. */
  always = false;

  constructor(scheduler: Scheduler, shared: DriveOptions) {
    this.#scheduler = scheduler;
    this.#shared = shared;
    this.#hostTurns = new HostTurns(shared.clock, shared.timeSlice);
    this.#alarm = new Alarm(shared.clock, () => this.#ring());
  }

  get isOn(): boolean {
    return this.#drivers.size > 0 || this.always;
  }

  /** Whether the loop is on the native stack, or on its way there. */
  get isBusy(): boolean {
    return this.#scheduler._turning || this.#coming;
  }

  /** The loop turns for this one from now on. */
  start(driver: Driver): void {
    this.#drivers.add(driver);
    if (this.#shared.ready.size > 0) this.wake();
    else this.rest();
  }

  /** It turns no longer for this one; whoever waits for it is to find no alarm that nobody needs. */
  stop(driver: Driver): void {
    this.#drivers.delete(driver);
    if (this.#scheduler._timers.size === 0 || !this.isOn) this.#setAlarm();
  }

  /** Sees to it that the loop comes by. */
  wake(): void {
    if (this.isBusy || this.#scheduler._timers.areRinging || !this.isOn) return;
    this.#coming = true;
    queueMicrotask(this.#turn);
  }

  readonly #turn = (): void => {
    this.#coming = false;
    if (this.isOn) this.#takeTurn();
  };

  readonly #goOn = (): void => {
    this.#coming = false;
    if (this.isOn) this.#runSlice();
  };

  #takeTurn(): void {
    const { ready, slice } = this.#shared;
    this.#ringDue();
    slice.renew();
    if (this.#hostTurns.isDue(ready.size, slice.lastLook)) this.#giveHostItsTurn();
    else this.#runSlice();
  }

  /** Between its parts promises are told: what a task has begun in this slice may be done already. */
  #runSlice(): void {
    const { slice } = this.#shared;
    if (this.#scheduler._drain(slice.part)) {
      this.rest();
    } else if (slice.isLeft) {
      this.#coming = true;
      queueMicrotask(this.#goOn);
    } else {
      this.#giveHostItsTurn();
    }
  }

  #giveHostItsTurn(): void {
    const { ready, slice, unhandled } = this.#shared;
    this.#coming = this.#inHostTurn = true;
    const start = slice.lastLook;
    hostTurn(() => {
      this.#inHostTurn = false;
      this.#hostTurns.had(start, slice.look(), ready.size);
      unhandled.tell();
      this.#turn();
    });
  }

  // ---- Time ----

  #ringDue(): void {
    const { _timers: timers } = this.#scheduler;
    if (timers.size > 0) timers.ringDue(this.#shared.slice.look());
  }

  #setAlarm(): void {
    this.#alarm.set(this.isOn ? this.#scheduler._timers.next : Infinity);
  }

  #ring(): void {
    if (processor.task === null && !this.#scheduler._turning && !this.#inHostTurn) this.#takeTurn();
    else this.wake();
  }

  /** Whether the clock is one that jumps, and nothing can happen before the next timer. */
  get #mayJump(): boolean {
    const { clock, liveness } = this.#shared;
    return clock.jump !== undefined && this.#scheduler._timers.size > 0 && !liveness.isFed;
  }

  #jump(): void {
    this.#setAlarm();
    this.#shared.clock.jump!();
  }

  // ---- Nothing is ready ----

  /** Nothing is ready: sets the alarm, and looks again when microtasks have drained if there is something to judge. */
  rest(): void {
    this.#setAlarm();
    if (this.#quietComing) return;
    const { clock, unhandled } = this.#shared;
    const { _timers: timers } = this.#scheduler;
    const isDue = timers.size > 0 && clock.jump === undefined && timers.next <= clock.now();
    if (isDue || unhandled.areWaiting || (this.isOn && (this.#isDeadlock || this.#mayJump))) {
      this.#quietComing = true;
      later(() => this.#judge());
    }
  }

  /** The end of a turn in which nothing was ready any more. */
  #judge(): void {
    this.#quietComing = false;
    if (this.isBusy) return; // it was not the end
    const { clock, ready, unhandled } = this.#shared;
    unhandled.tell();
    if (ready.size > 0 || this.#coming || !this.isOn) return;
    if (this.#isDeadlock) this.#meetDeadlock();
    else if (clock.jump === undefined) this.#takeTurn();
    else if (this.#mayJump) this.#jump();
  }

  get #isDeadlock(): boolean {
    const { deadlock, liveness, ready } = this.#shared;
    return deadlock === "throw" && liveness.isClosed && this.#scheduler._timers.size === 0 &&
      ready.size === 0;
  }

  /** Nothing can go on. Where it can be found out at which lines, that is waited for. */
  #meetDeadlock(): void {
    const standings = standingsOf(awaitedOf(this.#scheduler.tasks));
    if (standings === undefined) {
      this.#breakDeadlock();
      this.rest(); // a shield may hold that back
      return;
    }
    this.#quietComing = true; // nothing is to be judged meanwhile
    standings.then((standings) => {
      this.#quietComing = false;
      if (this.isBusy) return; // code outside has brought something
      if (this.isOn && this.#isDeadlock) this.#breakDeadlock(standings);
      this.rest();
    });
  }

  #breakDeadlock(standings?: Standing[]): void {
    const tasks = awaitedOf(this.#scheduler.tasks);
    const error = deadlockOf(tasks, standings);
    if (this.#drivers.size === 0) this.#scheduler._report(error, tasks[0]!);
    for (const task of tasks) {
      if (task._extras?.kill?.stuck) {
        task._abandon(new UnkillableError(`${task} cannot be killed: it is let go`));
      }
    }
    // Who has been told already is held back by a shield that will never end.
    const told = tasks.every((task) => task._extras?.kill);
    for (const driver of [...this.#drivers]) driver.fail(error);
    this.#scheduler._killAll(() => true, { reason: error, force: told });
  }

  // ---- Without the host ----

  /**
   * Turns the loop at once and on and on, without giving way to the host.
   *
   * @param driver For whom.
   * @param isOver Whether that is enough.
   * @param refusal What is to be said if only the host could bring a task to go on.
   */
  turnWithoutHost(driver: Driver, isOver: () => boolean, refusal: () => Error): void {
    const { ready, slice, unhandled } = this.#shared;
    this.#drivers.add(driver);
    try {
      for (;;) {
        this.#ringDue();
        slice.renew();
        if (!this.#scheduler._drain(Infinity)) continue;
        unhandled.tell();
        if (isOver()) return;
        if (ready.size > 0) continue;
        if (this.#isDeadlock) {
          this.#breakDeadlock();
        } else if (this.#mayJump) {
          this.#jump();
        } else {
          const error = refusal();
          driver.fail(error);
          if (ready.size === 0) throw error;
        }
      }
    } finally {
      this.stop(driver);
      this.rest();
    }
  }

  /** One turn, for the explorer: it drives the scheduler, and moves its clock, itself. */
  turnAlone(): void {
    this.#ringDue();
    this.#shared.slice.endless();
    this.#scheduler._drain(Infinity);
    this.#shared.unhandled.tell();
  }
}
