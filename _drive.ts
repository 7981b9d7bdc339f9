/**
 * The drive: what makes the loop of a scheduler turn, and when it is to stop.
 *
 * The loop turns for somebody: a run, a main loop, code that waits for a kill. Without one it stands still, but for that of
 * the default scheduler. And it turns for a cause. While tasks are ready the host has its turn after each slice, in a way that
 * really reaches its sockets (`_clock.ts`). When none is ready the loop simply returns: whatever the tasks wait for will resume
 * one, and the first that is resumed asks for the next turn, in a microtask; or the alarm brings it. A loop that asked the host
 * again and again whether there is something to do would be a spinning one, and one that waited for it in each turn would add
 * a round of the host to each wait.
 *
 * A turn ends when the loop has given way to the host, or has nothing ready, and microtasks have drained. What must not be
 * judged too early is judged then: a failure that nobody looked at, a jump of a virtual clock, a deadlock, which is told
 * instead of hanging. Whatever is resumed before, be it in the last of the microtasks, shows that it was not the end.
 *
 * @module
 */

import { Alarm } from "./_alarm.ts";
import { type Clock, hostTurn, later } from "./_clock.ts";
import { deadlockOf, standingsOf } from "./_deadlock.ts";
import { EndCallback } from "./_endings.ts";
import type { Standing } from "./_frames.ts";
import { HostTurns } from "./_host_turns.ts";
import { awaitedOf, type Liveness } from "./_liveness.ts";
import { processor } from "./_processor.ts";
import type { ReadyTasks } from "./_ready_queue.ts";
import type { TimeSlice } from "./_time_slice.ts";
import type { Timers } from "./_timers.ts";
import type { UnhandledErrors } from "./_unhandled.ts";
import { UnkillableError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** Somebody for whom the loop turns. */
export interface Driver {
  /** The loop has found a deadlock. */
  fail(error: unknown): void;
}

/** What a drive is made of: most of it is its scheduler's too. */
export interface DriveOptions {
  readonly clock: Clock;
  readonly timers: Timers;
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
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #ready: ReadyTasks;
  readonly #slice: TimeSlice;
  readonly #liveness: Liveness;
  readonly #unhandled: UnhandledErrors;
  readonly #deadlock: "throw" | "wait";
  readonly #hostTurns: HostTurns;
  readonly #alarm: Alarm;
  readonly #drivers = new Set<Driver>();
  /** The next turn, or part of a slice, is on its way: in a microtask, after a host's turn. */
  #coming = false;
  #inHostTurn = false;
  /** When microtasks have drained, it is to be judged whether anything is left to do. */
  #judgementComing = false;
  /** Whether the loop turns without a driver. */
  always = false;

  constructor(scheduler: Scheduler, options: DriveOptions) {
    const { clock, timers, ready, slice, liveness, unhandled, timeSlice, deadlock } = options;
    this.#scheduler = scheduler;
    this.#clock = clock;
    this.#timers = timers;
    this.#ready = ready;
    this.#slice = slice;
    this.#liveness = liveness;
    this.#unhandled = unhandled;
    this.#deadlock = deadlock;
    this.#hostTurns = new HostTurns(clock, timeSlice);
    this.#alarm = new Alarm(clock, this);
  }

  /** Whether the loop turns at all. */
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
    if (this.#ready.size > 0) this.wake();
    else this.rest();
  }

  /** It turns no longer for this one; whoever waits for it is to find no alarm that nobody needs. */
  stop(driver: Driver): void {
    this.#drivers.delete(driver);
    if (this.#timers.size === 0 || !this.isOn) this.#setAlarm();
  }

  /** Settles when these have ended; the loop turns meanwhile. */
  untilEnded(tasks: Task[]): Promise<void> {
    let left = tasks.length;
    if (left === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const driver: Driver = { fail() {} };
      const ended = () => {
        if (--left > 0) return;
        this.stop(driver);
        resolve();
      };
      for (const task of tasks) task._whenEnded(new EndCallback(ended));
      this.start(driver);
    });
  }

  /** Sees to it that the loop comes by. */
  wake(): void {
    if (this.isBusy || this.#timers.areRinging || !this.isOn) return;
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

  /** Rings what is due, and then it is the turn of the tasks, or that of the host. */
  #takeTurn(): void {
    this.#ringDue();
    this.#slice.renew();
    if (this.#hostTurns.isDue(this.#ready.size, this.#slice.lastLook)) this.#giveHostItsTurn();
    else this.#runSlice();
  }

  /** Between its parts promises are told: what a task has begun in this slice may be done already. */
  #runSlice(): void {
    if (this.#scheduler._drain(this.#slice.part)) {
      this.rest();
    } else if (this.#slice.isLeft) {
      this.#coming = true;
      queueMicrotask(this.#goOn);
    } else {
      this.#giveHostItsTurn();
    }
  }

  #giveHostItsTurn(): void {
    this.#coming = this.#inHostTurn = true;
    const start = this.#slice.lastLook;
    hostTurn(() => {
      this.#inHostTurn = false;
      this.#hostTurns.had(start, this.#slice.look(), this.#ready.size);
      this.#unhandled.tell();
      this.#turn();
    });
  }

  // ---- Time ----

  #ringDue(): void {
    if (this.#timers.size > 0) this.#timers.ringDue(this.#slice.look());
  }

  #setAlarm(): void {
    this.#alarm.set(this.isOn ? this.#timers.next : Infinity);
  }

  /** The alarm has rung. */
  ring(): void {
    if (processor.task === null && !this.#scheduler._turning && !this.#inHostTurn) this.#takeTurn();
    else this.wake();
  }

  /** Whether the clock is one that jumps, and nothing can happen before the next timer. */
  #mayJump(): boolean {
    return this.#clock.jump !== undefined && this.#timers.size > 0 && !this.#liveness.isFed;
  }

  #jump(): void {
    this.#setAlarm();
    this.#clock.jump!();
  }

  // ---- Nothing is ready ----

  /** Nothing is ready: sets the alarm, and looks again when microtasks have drained if there is something to judge. */
  rest(): void {
    this.#setAlarm();
    if (this.#judgementComing) return;
    const isDue = this.#timers.size > 0 && this.#clock.jump === undefined &&
      this.#timers.next <= this.#clock.now();
    if (isDue || this.#unhandled.areWaiting || (this.isOn && (this.#isDeadlock() || this.#mayJump()))) {
      this.#judgementComing = true;
      later(() => this.#judge());
    }
  }

  /** The end of a turn in which nothing was ready any more. */
  #judge(): void {
    this.#judgementComing = false;
    if (this.isBusy) return; // it was not the end
    this.#unhandled.tell();
    if (this.#ready.size > 0 || this.#coming || !this.isOn) return;
    if (this.#isDeadlock()) this.#meetDeadlock();
    else if (this.#clock.jump === undefined) this.#takeTurn();
    else if (this.#mayJump()) this.#jump();
  }

  #isDeadlock(): boolean {
    return this.#deadlock === "throw" && this.#liveness.isClosed && this.#timers.size === 0 &&
      this.#ready.size === 0;
  }

  /** Nothing can go on. Where it can be found out at which lines, that is waited for. */
  #meetDeadlock(): void {
    const standings = standingsOf(awaitedOf(this.#scheduler.tasks));
    if (standings === undefined) {
      this.#breakDeadlock();
      this.rest(); // a shield may hold that back
      return;
    }
    this.#judgementComing = true; // nothing is to be judged meanwhile
    standings.then((standings) => {
      this.#judgementComing = false;
      if (this.isBusy) return; // code outside has brought something
      if (this.isOn && this.#isDeadlock()) this.#breakDeadlock(standings);
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
    this.#drivers.add(driver);
    try {
      for (;;) {
        this.#ringDue();
        this.#slice.renew();
        if (!this.#scheduler._drain(Infinity)) continue;
        this.#unhandled.tell();
        if (isOver()) return;
        if (this.#ready.size > 0) continue;
        if (this.#isDeadlock()) {
          this.#breakDeadlock();
        } else if (this.#mayJump()) {
          this.#jump();
        } else {
          const error = refusal();
          driver.fail(error);
          if (this.#ready.size === 0) throw error;
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
    this.#slice.endless();
    this.#scheduler._drain(Infinity);
    this.#unhandled.tell();
  }
}
