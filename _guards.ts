/**
 * Real time and real chance, kept out of explored runs.
 *
 * What a run takes from the real world is not on its tape, so no replay would have it. It is not replaced in silence
 * either: a `Date.now` that gave the virtual time would hide that the program under test reads another clock than its
 * kernel. It throws, at the place, and says what to use instead; and the run fails even if the program catches that.
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
  [Promise.prototype, "then", "a promise", "a Future"],
  [globalThis, "queueMicrotask", "queueMicrotask()", "a bare yield"],
];

/** Runs something synchronous; `caught` is told of each use of the real world. */
export function guarded<T>(caught: (error: InvalidStateError) => void, run: () => T): T {
  const refuse = (name: string, instead: string): never => {
    const error = new InvalidStateError(
      `Cannot use ${name} in an explored run, it is not on the tape: use ${instead}`,
    );
    caught(error);
    throw error;
  };
  const RealDate = Date;
  const undos: (() => void)[] = [];
  const put = (owner: object, key: string, value: unknown) => {
    const before = Object.getOwnPropertyDescriptor(owner, key);
    if (before?.configurable === false) return;
    Object.defineProperty(owner, key, { value, configurable: true, enumerable: true, writable: true });
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
    return run();
  } finally {
    for (const undo of undos.reverse()) undo();
  }
}
