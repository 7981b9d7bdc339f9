/**
 * One run of a program under a schedule that is chosen, from its first step to the end or to what breaks it.
 *
 * The run has a scheduler, a clock and a network of its own, and the host has no part in it: nothing is awaited, so ten
 * thousands of runs fit in a second, and a run that breaks is simply left where it stands. What it is made of is used again
 * by the next one if everything has ended; making it anew costs as much as a short run takes.
 *
 * @module
 */

import { infoOf, listWaits } from "./_deadlock.ts";
import { THROW } from "./_boundary.ts";
import { ChosenQueue, type Stepping } from "./_chosen_queue.ts";
import { latenessOf } from "./_lateness.ts";
import type { SchedulerOptions } from "./_options.ts";
import type { NetworkConditions } from "./_medium.ts";
import { QUEUE, type ReadyTasks } from "./_ready_queue.ts";
import { SimulatedNetwork } from "./_simulated_network.ts";
import type { Strategy } from "./_strategies.ts";
import { FAULT, isCounted, ORDER, type PREEMPTION, Tape } from "./_tape.ts";
import { BrokenLockError, DeadlockError, InvalidStateError } from "./errors.ts";
import { Future } from "./future.ts";
import { DAEMON, OBSERVED } from "./_task_flags.ts";
import { type Owner, Task } from "./task.ts";
import { Scheduler } from "./scheduler.ts";
import { VirtualClock } from "./_virtual_clock.ts";
import { World } from "./_world.ts";

/** What an explored program is: it sets up a run, and may give main's coroutine, or what is to be checked at the end. */
export type Body = (world: World) => unknown;

/** In what way a program is broken. */
export type FailureKind =
  | "error"
  | "unhandled"
  | "always"
  | "eventually"
  | "sometimes"
  | "deadlock"
  | "livelock"
  | "leftover"
  | "outside"
  | "undetermined";

/** What broke a run. */
export interface Failure {
  readonly kind: FailureKind;
  /** Of what was claimed, or in whom it happened. */
  readonly label: string;
  readonly error: unknown;
  readonly within?: number;
}

/** Who looks on when a run is told as a story. */
export interface Witness {
  begin(scheduler: Scheduler): void;
  stepping(task: Task, stopped: Task | null): void;
  stepped(task: Task): void;
  drawn(label: string, value: number, ways: number): void;
  end(): void;
}

/** What is the same for all runs. */
export interface SimulationOptions {
  readonly maxSteps: number;
  readonly patience: number;
  readonly network: NetworkConditions;
}

/** How prescribed choices are taken that do not fit what the program asks. */
export type Reading =
  /** They come from the run before: it is not the same program any more. */
  | "again"
  /** They are a guess: as well as it goes. */
  | "loosely"
  /** They were recorded: that is an error of whoever gave them. */
  | "strictly";

/** Thrown between two steps to leave a run where it stands. */
const STOP: unique symbol = Symbol("stop");

export class Simulation implements Owner, Stepping {
  readonly tape: Tape = new Tape();
  readonly world: World = new World(this);
  /** What `sometimes` has named, and whether a run has seen it. */
  readonly sights: Map<string, boolean> = new Map();
  scheduler!: Scheduler;
  clock!: VirtualClock;
  queue!: ChosenQueue;
  /** Something is to be looked at after each step. */
  watching = false;
  reading: Reading = "again";
  maxSteps: number;
  readonly patience: number;
  witness: Witness | null = null;
  failure: Failure | null = null;
  /** Why the body is none that could be explored. */
  misuse = "";
  readonly #frame: MainFrame;
  #strategy!: Strategy;
  /** How the network behaves at the beginning of a run. */
  readonly conditions: NetworkConditions;
  #network: SimulatedNetwork | null = null;
  #main: Task | null = null;
  #firstFailed: Task | null = null;
  #running = false;
  #clean = false;
  /** The tasks alive that are no daemons, and all. */
  #workers = 0;
  #alive = 0;
  /** How many tasks there were. */
  tasks = 0;

  constructor(body: Body, { maxSteps, patience, network }: SimulationOptions) {
    this.#frame = new MainFrame(this, body);
    this.maxSteps = maxSteps;
    this.patience = patience;
    this.conditions = network;
  }

  /** The network: each run has its own, whose luck is on the tape. */
  get network(): SimulatedNetwork {
    if (!this.#running) throw new InvalidStateError("Cannot use the network of a world whose run is over");
    return this.#network ??= new SimulatedNetwork({
      ...this.conditions,
      choices: { choose: (ways, label) => this.world._fault(ways, label) },
    });
  }

  /**
   * Makes a run: what the tape prescribes first, then what the strategy says.
   *
   * @returns What broke it, or null.
   */
  attempt(strategy: Strategy): Failure | null {
    this.#setUp();
    this.#strategy = strategy;
    strategy.begin();
    const { scheduler, witness } = this;
    this.#running = true;
    try {
      witness?.begin(scheduler);
      const main = scheduler._spawn(this.#frame, undefined, this, undefined) as Task;
      main._flags |= OBSERVED; // its outcome is the run's
      this.#toTheEnd();
    } catch (thrown) {
      if (thrown !== STOP) {
        this.#clean = false;
        throw thrown;
      }
    } finally {
      this.#running = false;
      witness?.end();
    }
    this.#clean = this.failure === null;
    return this.failure;
  }

  #setUp(): void {
    this.failure = null;
    this.watching = false;
    this.#network = null;
    this.#workers = this.#alive = this.tasks = 0;
    this.#main = this.#firstFailed = null;
    this.tape.length = 0;
    this.#frame.restart();
    this.world._restart();
    if (this.#clean) {
      this.clock._restart();
      this.queue.restart();
      this.scheduler._restart();
    } else {
      this.clock = new VirtualClock();
      this.queue = new ChosenQueue(this);
      this.queue.patience = this.patience;
      const options: SchedulerOptions & { [QUEUE]: ReadyTasks } = {
        clock: this.clock,
        network: {
          source: "tasks",
          listen: (endpoint) => this.network.listen(endpoint),
          connect: (endpoint, done) => this.network.connect(endpoint, done),
          listenDatagram: (endpoint) => this.network.listenDatagram(endpoint),
        },
        onUnhandledError: (error, source) => {
          const label = source instanceof Task ? String(source) : "a future";
          this.fail({ kind: "unhandled", label, error });
        },
        [QUEUE]: this.queue,
      };
      this.scheduler = new Scheduler(options);
    }
    this.#clean = false;
  }

  #toTheEnd(): void {
    const { scheduler, queue, clock } = this;
    for (;;) {
      scheduler._turnAlone();
      const { current } = queue;
      queue.current = null;
      if (current !== null) this.stepped(current);
      else if (this.failure !== null) throw STOP;
      if (this.#alive === 0) break;
      if (queue.size > 0) continue;
      if (scheduler._liveness.isFedByOutside) this.#failOutside();
      const next = Math.min(clock._next, scheduler._timers.next);
      if (next === Infinity) this.#failStuck();
      if (this.watching) {
        this.world._lookAhead(next);
        if (this.failure !== null) throw STOP;
      }
      clock._goTo(next);
    }
    this.#end();
  }

  #end(): void {
    if (this.scheduler.tasks.size > 0) {
      const left = [...this.scheduler.tasks.values()];
      this.stop({ kind: "leftover", label: left.join(", "), error: undefined });
    }
    if (this.watching) this.world._lookAhead(Infinity);
    const { check } = this.#frame;
    if (this.failure === null && check !== undefined) {
      try {
        this.refuseLate(check(), "Cannot explore a body whose check at the end");
      } catch (error) {
        this.fail({ kind: "error", label: "the check at the end", error });
      }
    }
  }

  /**
   * Refuses a promise, or a coroutine, from a function that was to answer at once: it would break nothing, whatever it does.
   *
   * @param refusal How the refusal begins: what cannot be done with the function that gave it.
   * @throws {TypeError} If it is one; `explore` throws the same.
   */
  refuseLate(answer: unknown, refusal: string): void {
    const lateness = latenessOf(answer);
    if (lateness === undefined) return;
    this.misuse = `${refusal} gives ${lateness}: a run is synchronous, nobody would wait for it`;
    const error = new TypeError(this.misuse);
    this.fail({ kind: "error", label: "the body", error });
    throw error;
  }

  /** What broke the run: the first thing that did. */
  fail(failure: Failure): void {
    this.failure ??= this.#causeOf(failure);
  }

  /**
   * A lock that is broken, and a ring of waits that was refused, are often first seen by others than those in whom it began:
   * what counts is the first task that failed, and a refused wait is a deadlock.
   */
  #causeOf(failure: Failure): Failure {
    const first = this.#firstFailed;
    if (
      failure.error instanceof BrokenLockError && first !== null && !(first._inbox instanceof BrokenLockError)
    ) {
      return this.#causeOf({ kind: "unhandled", label: String(first), error: first._inbox });
    }
    if (failure.error instanceof DeadlockError) return { ...failure, kind: "deadlock" };
    return failure;
  }

  /** The same, and the run is left where it stands. Between two steps only. */
  stop(failure: Failure): never {
    this.fail(failure);
    throw STOP;
  }

  #failOutside(): never {
    const waiting = [...this.scheduler.tasks.values()].filter((task) =>
      task._parked?._wait.source === "outside"
    );
    const [task] = waiting;
    const label = `${task} waits for ${task?.waitingFor}`;
    const error = new InvalidStateError(
      `Cannot wait for ${task?.waitingFor} here: only the world outside can bring it, and an explored run has none`,
    );
    this.stop({ kind: "outside", label, error });
  }

  #failStuck(): never {
    const tasks = [...this.scheduler.tasks.values()].filter((task) => !task.daemon);
    const text = [
      "Nothing can go on: no task is ready, no timer is set, and what follows an `await` has no turn in a run",
      ...listWaits(tasks),
    ].join("\n");
    this.stop({ kind: "deadlock", label: "", error: new DeadlockError(text, tasks.map(infoOf)) });
  }

  // ---- Choices ----

  /** @internal */
  chooseNext(ways: number, kind: typeof ORDER | typeof PREEMPTION, mine: number): number {
    const { tape } = this;
    const at = tape.length;
    let choice: number;
    if (at >= tape.given) {
      choice = this.#strategy.next(this.queue, ways, mine);
    } else {
      choice = tape.values[at]!;
      if (tape.ways[at] !== ways || tape.kinds[at] !== kind) choice = this.#misfit(at, ways, kind);
    }
    tape.put(choice, ways, kind);
    return choice;
  }

  /** A choice that is not who goes next. */
  draw(ways: number, kind: number, chance: number, label: string): number {
    if (!this.#running) throw new InvalidStateError(`Cannot draw ${label}: the run of this world is over`);
    const { tape } = this;
    const at = tape.length;
    let choice: number;
    if (at >= tape.given) {
      choice = this.#strategy.draw(ways, kind, chance);
    } else {
      choice = tape.values[at]!;
      if (tape.ways[at] !== ways || tape.kinds[at] !== kind) choice = this.#misfit(at, ways, kind);
    }
    tape.put(choice, ways, kind);
    if (choice !== 0 || kind !== FAULT) this.witness?.drawn(label, choice, ways); // that nothing happened is no news
    return choice;
  }

  #misfit(at: number, ways: number, kind: number): number {
    const value = this.tape.values[at]!;
    if (this.reading === "again") {
      this.fail({ kind: "undetermined", label: `at choice ${at + 1} of the run`, error: undefined });
      return 0;
    }
    if (value < ways) return value;
    if (this.reading === "strictly") {
      this.fail({ kind: "undetermined", label: `choice ${at + 1} is ${value} of ${ways}`, error: undefined });
      return 0;
    }
    return isCounted(kind) || kind === ORDER ? 0 : ways - 1;
  }

  // ---- Steps ----

  /** @internal */
  stepping(task: Task, steps: number, stopped: Task | null): void {
    if (steps > this.maxSteps) {
      this.stop({ kind: "livelock", label: `not over after ${this.maxSteps} steps`, error: undefined });
    }
    if (this.witness !== null) this.witness.stepping(task, stopped);
  }

  /** @internal */
  stepped(task: Task): void {
    if (this.witness !== null) this.witness.stepped(task);
    if (this.watching && this.failure === null) this.world._look();
    if (this.failure !== null) throw STOP;
  }

  // ---- Whose tasks they are ----

  readonly joins = false;

  get run(): Owner {
    return this;
  }

  /** @internal */
  _taskStarted(task: Task): void {
    this.#alive++;
    this.tasks++;
    if (this.#main === null) this.#main = task;
    if ((task._flags & DAEMON) === 0) this.#workers++;
  }

  /** @internal */
  _taskEnded(task: Task): void {
    this.#alive--;
    if (task._mode === THROW && this.#firstFailed === null) this.#firstFailed = task;
    if ((task._flags & DAEMON) === 0 && --this.#workers === 0 && this.#alive > 0) {
      this.scheduler._killAll((other) => other._owner === this, { reason: new Error("the run is over") });
    }
    if (task === this.#main) this.#mainEnded(task);
  }

  #mainEnded(main: Task): void {
    if (main._mode === THROW) {
      this.fail({ kind: "error", label: "main", error: main._inbox });
      return;
    }
    try {
      main._result();
    } catch (error) {
      this.fail({ kind: "error", label: "main", error });
    }
  }
}

/** The coroutine of main: calls the body, as a task, and then runs what that gives. */
class MainFrame {
  readonly #body: Body;
  readonly #simulation: Simulation;
  #called = false;
  /** What is to be checked at the end. */
  check: (() => unknown) | undefined;

  constructor(simulation: Simulation, body: Body) {
    this.#simulation = simulation;
    this.#body = body;
  }

  restart(): void {
    this.#called = false;
    this.check = undefined;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(value?: unknown): IteratorResult<never, undefined> {
    if (this.#called) {
      if (typeof value === "function") this.check = value as () => unknown;
      else if (!(value instanceof Task || value instanceof Future)) {
        this.#simulation.refuseLate(value, "Cannot explore a body whose main");
      }
      return OVER;
    }
    this.#called = true;
    const body = this.#body; // called as a method it would be one in the stacks
    const made = body(this.#simulation.world);
    if (made === undefined || made instanceof Task) return OVER;
    if (typeof made === "function") {
      this.check = made as () => unknown;
      return OVER;
    }
    if (typeof made !== "object" || made === null || Array.isArray(made)) return OVER;
    if (Symbol.iterator in made) return { done: false, value: made as never };
    this.#simulation.refuseLate(made, "Cannot explore a body that");
    return OVER;
  }

  throw(error: unknown): never {
    throw error;
  }
}

const OVER: IteratorReturnResult<undefined> = { done: true, value: undefined };
