/**
 * What a scheduler takes, and what it tells: options, each with what it may be, and the data of listings and observers.
 *
 * @module
 */

import {
  aBoolean,
  aFunction,
  anObjectWith,
  anything,
  aSignal,
  aString,
  aTime,
  type Kinds,
  oneOf,
} from "./_check.ts";
import type { Clock } from "./_clock.ts";
import type { Network } from "./_network.ts";
import type { Wait } from "./_parking.ts";
import type { Future } from "./future.ts";
import type { Outcome, Task, TaskState } from "./task.ts";

/** How a scheduler is set up. */
export interface SchedulerOptions {
  /** What it takes for time; the system's monotonic clock if not given. */
  clock?: Clock;
  /** What `listen` and `connect` work on; Deno's network if not given. */
  network?: Network;
  /** How long, in ms, ready tasks may run before the host gets its turn; 1 if not given. */
  timeSlice?: number;
  /** How long, in ms, the cleanup of a killed task may take before its frames are closed; 5000 if not given. */
  killGrace?: number;
  /** `"wait"` for a program whose events come from callbacks outside: waits where `"throw"` reports a deadlock. */
  deadlock?: "throw" | "wait";
  /**
   * Errors that leave a task also tell the lines of the calls, and where the task was spawned. It makes each call and each
   * spawn some microseconds slower.
   */
  stacks?: boolean;
  /** Told of an error that nobody else has heard of by the end of the turn. It is printed if this is not given. */
  onUnhandledError?: (error: unknown, source: ErrorSource) => void;
}

export const SCHEDULER_OPTIONS: Kinds<SchedulerOptions> = {
  clock: anObjectWith(["now", "setAlarm", "clearAlarm"], ["jump"]),
  network: anObjectWith(["listen", "connect"], ["listenDatagram"]),
  timeSlice: aTime,
  killGrace: aTime,
  deadlock: oneOf("throw", "wait"),
  stacks: aBoolean,
  onUnhandledError: aFunction,
};

/** Whose error it is that nobody has heard of. */
export type ErrorSource = Task | Future<unknown>;

/** What has failed and may be looked at yet. */
export interface Failure {
  /** @internal Somebody has looked. */
  _heard: boolean;
  /** @internal */
  readonly _error: unknown;
}

/** How a task is set up. */
export interface TaskOptions {
  /** Its name in listings and reports; that of the function it is made from if not given. */
  name?: string;
  /**
   * It ends with its run instead of keeping it alive. While a daemon waits for the host, such as for a signal or a client,
   * that keeps no deadlock of the others from being reported: who feeds others from a socket is to be no daemon. While it
   * waits for a timer, a promise or a future, nothing is a deadlock: whoever it then resumes may be one of those that wait.
   */
  daemon?: boolean;
  /** When it aborts, the task is killed with its reason. */
  signal?: AbortSignal;
}

export const TASK_OPTIONS: Kinds<TaskOptions> = { name: aString, daemon: aBoolean, signal: aSignal };

/** At a glance: whether these are plain options with nothing wrong. To go by their kinds takes a third of a spawn. */
export function arePlain(options: TaskOptions): boolean {
  if (options === null || Object.getPrototypeOf(options) !== Object.prototype) return false;
  const { name, daemon, signal } = options;
  return (name === undefined || typeof name === "string") &&
    (daemon === undefined || typeof daemon === "boolean") &&
    signal === undefined;
}

/** How a task is killed. */
export interface KillOptions {
  /** What its `Cancelled` and its outcome say. */
  reason?: unknown;
  /** How long, in ms, its cleanup may take before its frames are closed; `killGrace` of the scheduler if not given. */
  grace?: number;
  /** Closes the frames at once, and goes through shields. */
  force?: boolean;
  /** `false`: the answer does not wait for the end. */
  wait?: boolean;
}

export const KILL_OPTIONS: Kinds<KillOptions> = {
  reason: anything,
  grace: aTime,
  force: aBoolean,
  wait: aBoolean,
};

/** What `ps` says of a task. */
export interface TaskInfo {
  /** Its number. */
  tid: number;
  /** That of the task that spawned it; undefined if code outside tasks did. */
  parent: number | undefined;
  /** Its name, or an empty string. */
  name: string;
  /** How it stands. */
  state: TaskState;
  /** What it waits for, in words. */
  waitingFor: string | undefined;
  /** Since when it waits, in ms of the scheduler's clock; undefined if it does not. */
  since: number | undefined;
  /** How often it has been on the processor. */
  steps: number;
  /** Whether it ends with its run. */
  daemon: boolean;
}

/** What can be observed; each is optional, and costs nothing where it is absent. */
export interface Observer {
  /** A task has been made. */
  taskCreated?(task: Task): void;
  /** A task has joined the ready queue. */
  taskReady?(task: Task): void;
  /** A task goes on the processor. */
  stepStart?(task: Task): void;
  /** It has left the processor. */
  stepEnd?(task: Task): void;
  /** A task has asked the kernel for something: a system call, a coroutine, a task, a future, a promise. */
  systemCall?(task: Task, call: unknown): void;
  /**
   * It has its answer, and goes on: with a value, with an error, or cancelled. `undefined` for a call that runs some work,
   * such as `timeout`: the work has begun.
   */
  systemCallEnd?(task: Task, call: unknown, outcome: Outcome<unknown> | undefined): void;
  /** A task has ended. To read its `outcome` is to have heard of its failure. */
  taskEnded?(task: Task): void;
}

export const OBSERVER: Kinds<Observer> = {
  taskCreated: aFunction,
  taskReady: aFunction,
  stepStart: aFunction,
  stepEnd: aFunction,
  systemCall: aFunction,
  systemCallEnd: aFunction,
  taskEnded: aFunction,
};

export const WAIT: Kinds<Wait> = {
  reason: anything,
  cancel: aFunction,
  source: oneOf("tasks", "host", "outside", "either"),
  holders: aFunction,
};

/** Whether what a wait has is of the right kind, at a glance. */
export function isPlain({ source, cancel, holders }: Wait): boolean {
  return (source === undefined || source === "host" || source === "tasks" || source === "outside" ||
    source === "either") &&
    (cancel === undefined || typeof cancel === "function") &&
    (holders === undefined || typeof holders === "function");
}
