/**
 * What the tests of cancellation are written with: a scheduler on a clock that stands, and a list of what happened on it.
 *
 * @module
 */
import {
  call,
  Cancelled,
  type Coroutine,
  JoinError,
  type Operation,
  type Outcome,
  type Parked,
  Scheduler,
  type SchedulerOptions,
  SystemCall,
  type Task,
} from "../mod.ts";
import { VirtualClock } from "../testing.ts";

// ---- A transcript ----------------------------------------------------------------------------------------------------

/** A scheduler on a virtual clock, and what its programs say. */
export interface Stage {
  scheduler: Scheduler;
  clock: VirtualClock;
  /** What happened, each line with its time in ms. */
  log: string[];
  /** Adds a line. */
  say: (text: string) => void;
  /** The errors that `onUnhandledError` was told of; they are lines of the log as well. */
  unhandled: unknown[];
}

/** An observer makes the kernel take another way to handle a call. */
let observed = false;

/** Sets up a scheduler whose time stands. */
export function stage(options: SchedulerOptions = {}, clock: VirtualClock = new VirtualClock()): Stage {
  const log: string[] = [];
  const unhandled: unknown[] = [];
  const say = (text: string) => void log.push(`${scheduler.now()} ${text}`);
  const scheduler = new Scheduler({
    clock,
    onUnhandledError(error, source) {
      unhandled.push(error);
      say(`unhandled in ${source}: ${words(error)}`);
    },
    ...options,
  });
  if (observed) scheduler.observe({ stepStart() {}, systemCall() {} });
  return { scheduler, clock, log, say, unhandled };
}

/** A clock of a busy machine: every alarm rings late. */
export class LateClock extends VirtualClock {
  readonly #by: number;

  constructor(by: number) {
    super();
    this.#by = by;
  }

  override setAlarm(deadline: number, ring: () => void): unknown {
    return super.setAlarm(deadline + this.#by, ring);
  }
}

/** A clock that knows how many alarms are set. */
export class CountingClock extends VirtualClock {
  readonly #alarms = new Set<unknown>();

  get alarms(): number {
    return this.#alarms.size;
  }

  override setAlarm(deadline: number, ring: () => void): unknown {
    const alarm = super.setAlarm(deadline, () => {
      this.#alarms.delete(alarm);
      ring();
    });
    this.#alarms.add(alarm);
    return alarm;
  }

  override clearAlarm(alarm: unknown): void {
    this.#alarms.delete(alarm);
    super.clearAlarm(alarm);
  }
}

/** An error of a test's program; in a transcript it is its message. */
export class Oops extends Error {
  override readonly name = "Oops";
}

/** An error in words. */
export function words(error: unknown): string {
  if (error instanceof Oops) return error.message;
  if (error instanceof Cancelled) {
    return error.reason === undefined ? "Cancelled" : `Cancelled(${words(error.reason)})`;
  }
  if (error instanceof JoinError) return `JoinError(${words(error.cause)})`;
  if (error instanceof AggregateError) return `[${error.errors.map(words).join(", ")}]`;
  if (error instanceof Error) return error.name;
  return String(error);
}

/** How a task ended, in words. */
export function ending(task: Task | { outcome: Outcome<unknown> | undefined }): string {
  const { outcome } = task;
  if (outcome === undefined) return "alive";
  if (outcome.kind === "returned") return `returned ${outcome.value}`;
  return outcome.kind === "failed"
    ? `failed ${words(outcome.error)}`
    : `killed${outcome.reason === undefined ? "" : ` ${words(outcome.reason)}`}`;
}

/** What a promise came to, in words. */
export async function settled(promise: PromiseLike<unknown>): Promise<string> {
  try {
    return `gave ${await promise}`;
  } catch (error) {
    return `rejected ${words(error)}`;
  }
}

/** Some turns of the host. */
export async function turns(n = 3): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

// ---- The three spellings of a call -----------------------------------------------------------------------------------

/** How one coroutine calls another: `yield* as(coroutine)` is one of the three spellings. */
export type As = <T>(coroutine: Coroutine<T>) => Operation<T>;

/** `yield coroutine`: what the kernel sees is the coroutine itself. */
function bare<T>(coroutine: Coroutine<T>): Operation<T> {
  let yielded = false;
  return {
    [Symbol.iterator]: () => ({
      next(value?: unknown) {
        if (yielded) return { done: true as const, value: value as T };
        yielded = true;
        return { done: false as const, value: coroutine };
      },
      throw(error: unknown) {
        throw error;
      },
    }),
  };
}

/** The spellings in which the kernel sees every frame. */
export const KERNEL_SPELLINGS: Record<string, As> = {
  "yield f()": bare,
  "yield* call(f())": call,
};

/** All three. */
export const SPELLINGS: Record<string, As> = {
  ...KERNEL_SPELLINGS,
  "yield* f()": (coroutine) => coroutine,
};

/** One test for each spelling, once with and once without an observer. */
export function testSpelled(
  name: string,
  test: (as: As) => void | Promise<void>,
  spellings: Record<string, As> = SPELLINGS,
): void {
  for (const [spelling, as] of Object.entries(spellings)) {
    Deno.test(`${name} [${spelling}]`, async () => {
      await test(as);
      observed = true;
      try {
        await test(as);
      } finally {
        observed = false;
      }
    });
  }
}

// ---- System calls of one's own ---------------------------------------------------------------------------------------

/** Hands items to those who ask, who wait in a line if there are none: what a queue does, written from outside. */
export class Shop {
  readonly items: string[];
  readonly #line: Parked[] = [];
  /** How often `cancel` of a wait was called. */
  cancelled = 0;

  constructor(...items: string[]) {
    this.items = items;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Hands over, or keeps. */
  put(scheduler: Scheduler, item: string): void {
    for (let parked = this.#line.shift(); parked !== undefined; parked = this.#line.shift()) {
      if (scheduler.resume(parked, item)) return;
    }
    this.items.push(item);
  }

  take(): Take {
    return new Take(this, this.#line);
  }
}

/** Takes an item from a shop. */
export class Take extends SystemCall<string> {
  readonly #shop: Shop;
  readonly #line: Parked[];

  constructor(shop: Shop, line: Parked[]) {
    super();
    this.#shop = shop;
    this.#line = line;
  }

  handle(task: Task, scheduler: Scheduler): string | Parked {
    const item = this.#shop.items.shift();
    if (item !== undefined) return item;
    const parked = scheduler.park(task, {
      reason: "an item",
      cancel: () => {
        this.#shop.cancelled++;
        this.#line.splice(this.#line.indexOf(parked), 1);
      },
    });
    this.#line.push(parked);
    return parked;
  }
}

/** Waits until a test resumes it by its token. */
export class Hold extends SystemCall<unknown> {
  parked: Parked | undefined;
  readonly #cancel: (() => boolean | void) | undefined;

  constructor(cancel?: () => boolean | void) {
    super();
    this.#cancel = cancel;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    return this.parked = scheduler.park(task, {
      reason: "a test",
      ...(this.#cancel === undefined ? {} : { cancel: this.#cancel }),
    });
  }
}
