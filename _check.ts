/**
 * Checks of what users give.
 *
 * What an option or a parameter may be is its `Kind`: some words, and the two tests that go with them. One function makes
 * the errors from that, so all of them read alike, say what would be right, and are a `TypeError` where the value is of the
 * wrong sort, a `RangeError` where it is one out of range. The kinds of a set of options stand in a record whose type follows
 * that of the options: one without a kind does not compile. An `if` at each place where an option is read had left a third of
 * them unchecked, and a `daemon: "no"` that is true, a `grace` of `NaN` that never ends, are found by nobody.
 *
 * They are asked before anything is done with what was given, so that nothing is lost by a mistake: a generator can be
 * spawned afterwards, a listener goes on listening. Options of other names are ignored, as everywhere in Deno.
 *
 * @module
 */

import { describe } from "./_operation.ts";

/** What something may be. */
export interface Kind {
  /** In words, for `… is …`. */
  readonly words: string;
  /** Whether a value is of that sort. */
  readonly is: (value: unknown) => boolean;
  /** Whether one that is lies in its range; any does if not given. */
  readonly fits?: (value: never) => boolean;
}

/** The kinds of a set of options. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Kind };

const isNumber = (value: unknown) => typeof value === "number";

export const anything: Kind = { words: "anything", is: () => true };
export const aString: Kind = { words: "a string", is: (value) => typeof value === "string" };
export const aBoolean: Kind = { words: "a boolean", is: (value) => typeof value === "boolean" };
export const aFunction: Kind = { words: "a function", is: (value) => typeof value === "function" };
export const aSignal: Kind = { words: "an AbortSignal", is: (value) => value instanceof AbortSignal };
export const aTime: Kind = { words: "a number of ms from 0", is: isNumber, fits: (ms: number) => ms >= 0 };
export const aFiniteTime: Kind = {
  words: "a finite number of ms from 0",
  is: isNumber,
  fits: (ms: number) => ms >= 0 && ms < Infinity,
};
export const aWholeNumber: Kind = { words: "a whole number", is: isNumber, fits: Number.isSafeInteger };

/** A number of things: a whole one, not less than `least`; `Infinity` as well, or not more than `most`. */
export function aCount(least: number, most = Infinity): Kind {
  const range = most < Infinity ? `from ${least} to ${most}` : `from ${least}, or Infinity`;
  return {
    words: `a whole number ${range}`,
    is: isNumber,
    fits: (count: number) =>
      count >= least && count <= most && (count === most || Number.isSafeInteger(count)),
  };
}

/** One of some strings. */
export function oneOf(...literals: string[]): Kind {
  const words = literals.map((literal) => JSON.stringify(literal));
  return { words: listOf(words), is: (value) => literals.includes(value as string) };
}

/** An instance of a class. */
// deno-lint-ignore no-explicit-any -- of a class with any constructor
export function anInstance(words: string, type: abstract new (...args: any[]) => unknown): Kind {
  return { words, is: (value) => value instanceof type };
}

/** An object with some methods, and perhaps others. */
export function anObjectWith(methods: readonly string[], others: readonly string[] = []): Kind {
  return {
    words: `an object with the methods ${listOf(methods, "and")}`,
    is(value) {
      if (typeof value !== "object" || value === null) return false;
      const record = value as Record<string, unknown>;
      return methods.every((name) => typeof record[name] === "function") &&
        others.every((name) => record[name] === undefined || typeof record[name] === "function");
    },
  };
}

function listOf(words: readonly string[], last = "or"): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** Checks one value that may be left out. */
export function check(verb: string, name: string, value: unknown, kind: Kind): void {
  if (value !== undefined) checkGiven(verb, name, value, kind);
}

/** Checks one value. `verb` says what was to be done, `name` what it is for. */
export function checkGiven(verb: string, name: string, value: unknown, kind: Kind): void {
  if (!kind.is(value)) {
    throw new TypeError(`Cannot ${verb}: ${name} is ${kind.words}, not ${describe(value)}`);
  }
  if (kind.fits !== undefined && !kind.fits(value as never)) {
    const given = Array.isArray(value) ? `[${value.join(", ")}]` : value;
    throw new RangeError(`Cannot ${verb}: ${name} is ${kind.words}, not ${given}`);
  }
}

/** Checks a set of options. */
export function checkOptions(verb: string, options: unknown, kinds: Readonly<Record<string, Kind>>): void {
  if (!isRecord(options)) {
    const names = Object.keys(kinds);
    throw new TypeError(
      `Cannot ${verb}: options are an object with ${listOf(names)}, not ${describe(options)}`,
    );
  }
  const given = options as Record<string, unknown>;
  for (const name in kinds) check(verb, name, given[name], kinds[name]!);
}

/**
 * Whether it can be a record or a set of options: an object, and no list, task or promise, no error, no signal. These
 * stand there by mistake: for the `reason` or the `signal` among the options, or as one more item for the list before them.
 */
export function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(Symbol.iterator in value) &&
    !(value instanceof Promise) && !(value instanceof Error) && !(value instanceof AbortSignal);
}

/** Checks that a tid is one, so that a mistake is not taken for a task that has ended. */
export function checkTid(tid: unknown, verb: string): void {
  if (typeof tid !== "number") throw new TypeError(`Cannot ${verb} ${describe(tid)}: a tid is a number`);
  if (!Number.isInteger(tid) || tid < 1) throw new RangeError(`Cannot ${verb} ${tid}: tids count from 1`);
}

/** Checks a time span in ms. */
export function checkTime(ms: unknown, verb: string): void {
  if (typeof ms !== "number") {
    throw new TypeError(`Cannot ${verb} ${describe(ms)}: a number of milliseconds is wanted`);
  }
  if (!(ms >= 0)) throw new RangeError(`Cannot ${verb} ${ms} ms: a time is 0 or more`);
}
