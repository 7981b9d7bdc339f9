/**
 * A stand-in for the functions of [`@std/assert`](https://jsr.io/@std/assert) that the tests use, so that they run
 * where JSR cannot be reached. `links` in `deno.json` puts it in place; `deno task test:jsr` runs without it.
 *
 * Types and verdicts are those of the original. So equality is written out here, and `node:assert` only tells what
 * differs: it takes two errors with one message for equal, where the original also compares their stacks, and it
 * does not look at what getters give.
 *
 * @module
 */
import node from "node:assert";

// deno-lint-ignore no-explicit-any
type Class<T> = abstract new (...args: any[]) => T;

/** What is left of a value that {@linkcode assertFalse} let pass. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

/** What a failed assertion throws. */
export class AssertionError extends Error {
  /**
   * Makes the error.
   *
   * @param message What was expected, and what was found.
   * @param options The cause, if there is one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** Asserts that `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts that `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Asserts that `actual` is neither `null` nor `undefined`. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    refuse(`Expected actual: "${actual}" to not be null or undefined`, msg);
  }
}

/** Asserts that both are deeply equal: same prototypes, same keys, same values. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  refuse("Values are not equal", msg, difference(() => node.deepStrictEqual(actual, expected)));
}

/** Asserts that both are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  refuse("Expected actual and expected not to be equal", msg);
}

/** Asserts that both are the same value, as `Object.is` has it. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  refuse("Values are not strictly equal", msg, difference(() => node.strictEqual(actual, expected)));
}

/** Asserts that two numbers differ by no more than `tolerance`, by default a ten-millionth of the expected one. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const most = tolerance ?? (isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= most) return;
  refuse(
    `Expected actual: "${actual}" to be close to "${expected}": delta "${delta}" is greater than "${most}"`,
    msg,
  );
}

/** Asserts that `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw new AssertionError(msg ?? `Expect ${show(actual)} > ${show(expected)}`);
}

/** Asserts that `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw new AssertionError(msg ?? `Expect ${show(actual)} >= ${show(expected)}`);
}

/** Asserts that `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw new AssertionError(msg ?? `Expect ${show(actual)} < ${show(expected)}`);
}

/** Asserts that `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) throw new AssertionError(msg ?? `Expect ${show(actual)} <= ${show(expected)}`);
}

/** Asserts that the text contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) refuse(`Expected actual: "${actual}" to contain: "${expected}"`, msg);
}

/** Asserts that the text matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) refuse(`Expected actual: "${actual}" to match: "${expected}"`, msg);
}

/** Asserts that `actual` is an instance of the class. */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(actual: unknown, expectedType: T, msg = ""): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  refuse(`Expected object to be an instance of "${expectedType.name}" but was ${show(actual)}`, msg);
}

/** Asserts that the function throws, and returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Asserts that the function throws an error of that class, whose message contains `msgIncludes`. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  expected?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const say = typeof expected === "string" ? expected : msg;
  try {
    fn();
  } catch (error) {
    if (typeof expected === "function") isError(error, expected, msgIncludes, say);
    return error;
  }
  refuse("Expected function to throw", say);
}

/** Asserts that the promise which the function returns rejects, and returns its error. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Asserts that it rejects with an error of that class, whose message contains `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  expected?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const say = typeof expected === "string" ? expected : msg;
  let promise: unknown;
  try {
    promise = fn();
  } catch {
    // The answer is the same as to a function that returns no promise.
  }
  // A promise is an object: the original does not take a callable thenable either.
  if (!isObject(promise) || typeof (promise as { then?: unknown }).then !== "function") {
    refuse("Function throws when expected to reject", say);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof expected === "function") isError(error, expected, msgIncludes, say);
    return error;
  }
  refuse("Expected function to reject", say);
}

/** Fails, always. */
export function fail(msg?: string): never {
  refuse("Failed assertion", msg);
}

/** Fails: this place was not to be reached. */
export function unreachable(msg?: string): never {
  refuse("Unreachable", msg);
}

function refuse(what: string, msg?: string, more = ""): never {
  throw new AssertionError(what + (msg ? `: ${msg}` : ".") + more);
}

function isError(
  error: unknown,
  type: Class<Error>,
  includes: string | undefined,
  msg: string | undefined,
): void {
  if (!(error instanceof Error)) refuse(`Expected an Error object, but was ${show(error)}`, msg);
  if (!(error instanceof type)) {
    refuse(
      `Expected error to be instance of "${type.name}", but was "${Object(error).constructor.name}"`,
      msg,
    );
  }
  if (includes && !error.message.includes(includes)) {
    const found = JSON.stringify(error.message);
    refuse(`Expected error message to include ${JSON.stringify(includes)}, but got ${found}`, msg);
  }
}

function show(value: unknown): string {
  return Deno.inspect(value);
}

/** What `node:assert` says about two values that differ; nothing where it sees no difference. */
function difference(compare: () => void): string {
  try {
    compare();
    return "";
  } catch (error) {
    return error instanceof Error ? `\n${error.message}` : "";
  }
}

/** Deep equality by the rules of `@std/assert`: `0` is `-0`, an object without a prototype is a plain one. */
function equal(a: unknown, b: unknown, seen: Map<unknown, unknown> = new Map()): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || prototype(a) !== prototype(b)) return false;
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
  if (a instanceof RegExp || a instanceof URL || a instanceof URLSearchParams) return String(a) === String(b);
  if (a instanceof ArrayBuffer) return sameNumbers(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) return sameNumbers(a as Uint8Array, b as Uint8Array);
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError(`Cannot compare ${a.constructor.name} instances`);
  }
  if (a instanceof WeakRef) return equal(a.deref(), (b as WeakRef<WeakKey>).deref(), seen);
  if (seen.get(a) === b) return true;
  if (Object.keys(a).length !== Object.keys(b).length) return false;
  seen.set(a, b);
  if (a instanceof Set || a instanceof Map) {
    const others = [...(b as Set<unknown> | Map<unknown, unknown>).entries()];
    return a.size === others.length &&
      [...a.entries()].every((one) =>
        others.some((other) => equal(one[0], other[0], seen) && equal(one[1], other[1], seen))
      );
  }
  for (const key of new Set([...keysOf(a), ...keysOf(b)])) {
    if (!(key in a) || !(key in b) || !equal(Reflect.get(a, key), Reflect.get(b, key), seen)) return false;
  }
  return true;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function prototype(value: object): unknown {
  return Object.getPrototypeOf(value) ?? Object.prototype;
}

/** Of a plain object or array its own keys; of an instance also the hidden and the inherited: its getters and methods. */
function keysOf(value: object): PropertyKey[] {
  const plain = prototype(value) === Object.prototype || Array.isArray(value);
  if (plain) return Reflect.ownKeys({ ...value });
  const keys: PropertyKey[] = [];
  for (let o = value; o && o !== Object.prototype && o !== Array.prototype; o = Object.getPrototypeOf(o)) {
    keys.push(...Reflect.ownKeys(o));
  }
  return keys;
}

function sameNumbers(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !Object.is(a[i], b[i])) return false;
  return true;
}
