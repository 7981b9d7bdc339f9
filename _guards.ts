/**
 * Real time and real chance, kept out of explored runs.
 *
 * What a run takes from the real world is not on its tape, so no replay would have it. It is not replaced in silence
 * either: a `Date.now` that gave the virtual time would hide that the program under test reads another clock than its
 * kernel. It throws, at the place, and says what to use instead; and the run fails even if the program catches that.
 *
 * An `await` calls no `then` of a promise of the language's own, but it looks at its `constructor` (PromiseResolve, in the
 * standard): so that can be seen, while the stack is there. It does not throw, as that would be a rejection that nobody hears
 * of. An `await` of something else looks at nothing; a task that waits for what comes after one is told of in a deadlock.
 *
 * @module
 */

import { InvalidStateError } from "./errors.ts";

/** The real time, in ms, for those who ration it. */
export const realNow: () => number = performance.now.bind(performance);

const TIME = "world.clock.now()";
const CHANCE = "world.random()";
const WAITING = "sleep()";

/** The real `then`, for those who want no part in a promise. */
export const realThen: typeof Promise.prototype.then = Promise.prototype.then;

const GUARDED: [owner: object, key: string, name: string, instead: string][] = [
  [Date, "now", "Date.now()", TIME],
  [performance, "now", "performance.now()", TIME],
  [Math, "random", "Math.random()", CHANCE],
  [crypto, "getRandomValues", "crypto.getRandomValues()", CHANCE],
  [crypto, "randomUUID", "crypto.randomUUID()", CHANCE],
  [globalThis, "setTimeout", "setTimeout()", WAITING],
  [globalThis, "setInterval", "setInterval()", WAITING],
  [globalThis, "setImmediate", "setImmediate()", "a bare yield"],
  [AbortSignal, "timeout", "AbortSignal.timeout()", "timeout()"],
  [globalThis, "queueMicrotask", "queueMicrotask()", "a bare yield"],
  ...clocksOf((globalThis as { Temporal?: { Now?: object } }).Temporal?.Now ?? {}),
];
const PROMISE = ["a promise", "a Future"] as const;

/** The methods of `Temporal.Now` that tell a time. */
function clocksOf(now: object): typeof GUARDED {
  const names = Object.getOwnPropertyNames(now).filter((name) => name !== "timeZoneId");
  return names.map((name) => [now, name, `Temporal.Now.${name}()`, TIME]);
}

const { prototype: dateFormat } = Intl.DateTimeFormat;
const { formatToParts } = dateFormat;
const getFormat = Object.getOwnPropertyDescriptor(dateFormat, "format")!.get!;

/** Runs something synchronous; `caught` is told of each use of the real world. */
export function guarded<T>(caught: (error: InvalidStateError) => void, run: () => T): T {
  const tell = (name: string, instead: string): InvalidStateError => {
    const error = new InvalidStateError(
      `Cannot use ${name} in an explored run, it is not on the tape: use ${instead}`,
    );
    caught(error);
    return error;
  };
  const refuse = (name: string, instead: string): never => {
    throw tell(name, instead);
  };
  const [RealDate, RealPromise] = [Date, Promise];
  const undos: (() => void)[] = [];
  const put = (owner: object, key: string, value: unknown) =>
    define(owner, key, { value, enumerable: true, writable: true });
  const define = (owner: object, key: string, property: PropertyDescriptor) => {
    const before = Object.getOwnPropertyDescriptor(owner, key);
    if (before?.configurable === false) return;
    Object.defineProperty(owner, key, { ...property, configurable: true });
    undos.push(() => {
      if (before === undefined) delete (owner as Record<string, unknown>)[key];
      else Object.defineProperty(owner, key, before);
    });
  };
  try {
    for (const [owner, key, name, instead] of GUARDED) {
      if (key in owner) put(owner, key, () => refuse(name, instead));
    }
    put(
      globalThis,
      "Date",
      new Proxy(RealDate, {
        construct(target, args, newTarget) {
          if (args.length === 0) refuse("new Date()", TIME);
          return Reflect.construct(target, args, newTarget);
        },
        apply: () => refuse("Date()", TIME),
      }),
    );
    put(Promise.prototype, "then", function (this: unknown) {
      const error = tell(...PROMISE);
      if (this instanceof RealPromise) realThen.call(this, undefined, () => {}); // that it is rejected is no second error
      throw error;
    });
    define(Promise.prototype, "constructor", {
      get() {
        tell(...PROMISE);
        return RealPromise;
      },
    });
    define(dateFormat, "format", {
      get(this: Intl.DateTimeFormat) {
        const real: Intl.DateTimeFormat["format"] = getFormat.call(this);
        return (date?: Date) =>
          date === undefined ? refuse("Intl.DateTimeFormat.format() without a date", TIME) : real(date);
      },
    });
    put(dateFormat, "formatToParts", function (this: Intl.DateTimeFormat, date?: Date) {
      return date === undefined
        ? refuse("Intl.DateTimeFormat.formatToParts() without a date", TIME)
        : formatToParts.call(this, date);
    });
    return run();
  } finally {
    for (const undo of undos.reverse()) undo();
  }
}
