/**
 * What a coroutine may yield, and what may be run as one.
 *
 * @module
 */

import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/**
 * A coroutine: a generator that yields what it waits for and returns its result.
 *
 * @example
 * ```ts
 * import { type Coroutine, run, sleep } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * function* double(x: number): Coroutine<number> {
 *   yield* sleep(1);
 *   return 2 * x;
 * }
 * assertEquals(await run(double(21)), 42);
 * ```
 */
// deno-lint-ignore no-explicit-any -- what a `yield` gives depends on what was yielded, which TypeScript cannot say
export type Coroutine<T = unknown> = Generator<Yieldable, T, any>;

/** What `yield*` takes, giving a `T`: a coroutine, a system call, a task, a future. */
export interface Operation<T> {
  /** An iterator that runs the operation once. */
  [Symbol.iterator](): OperationIterator<T>;
}

/**
 * What runs an operation. It must have `throw`: without it JavaScript turns a `Cancelled` that is thrown into a `yield*`
 * into a `TypeError` of its own.
 */
// deno-lint-ignore no-explicit-any -- as in Coroutine
export interface OperationIterator<T> extends Iterator<Yieldable, T, any> {
  /** Throws into the operation, at the point where it waits. */
  throw(error: unknown): IteratorResult<Yieldable, T>;
}

/** What can be run as a task or a call: an operation, or a function without parameters that gives one. */
export type Work<T> = Operation<T> | (() => Operation<T>);

/** What a coroutine may yield. */
export type Yieldable = Operation<unknown> | PromiseLike<unknown> | undefined | void;

// ---- Trapping into the kernel ----------------------------------------------------------------------------------------

/** The method that handles an object when a coroutine yields it: the mark of system calls, tasks and futures. */
export const TRAP: unique symbol = Symbol("genos.trap");

/** What `TRAP` answers when it has put a new frame on the task's stack: the task goes on with that. */
export const ENTERED: unique symbol = Symbol("genos.entered");

// What `next` answers where nothing is to be said to the kernel but what it knows. A generator in `yield*` keeps the last
// of these as long as it waits, so there is one for all: 40 bytes for each waiting task.

/** The task has left the processor. */
export const LEFT: IteratorYieldResult<Yieldable> = { done: false, value: undefined };
/** There is a new frame on the task's stack. */
export const CALLED: IteratorYieldResult<Yieldable> = { done: false, value: ENTERED as unknown as Yieldable };

/** What the kernel handles when a coroutine yields it. A value is answered at once, a `Parked` is waited for. */
export interface Trap {
  /** @ignore */
  [TRAP](task: Task, scheduler: Scheduler): unknown;
}

/** The iterator that yields one object to the kernel, and ends with what the kernel answers. */
export class TrapIterator<T> implements OperationIterator<T> {
  readonly target: Trap;
  #issued = false;

  constructor(target: Trap) {
    this.target = target;
  }

  next(value?: unknown): IteratorResult<Yieldable, T> {
    if (this.#issued) return { done: true, value: value as T };
    this.#issued = true;
    return { done: false, value: this.target as unknown as Yieldable };
  }

  throw(error: unknown): IteratorResult<Yieldable, T> {
    throw error;
  }
}

// deno-lint-ignore no-explicit-any -- the iterators of operations of any type
export type FrameIterator = Iterator<any, any, any> & { throw(error: unknown): IteratorResult<any, any> };

// ---- What can be run -------------------------------------------------------------------------------------------------

const generatorFunctionPrototype: object = Object.getPrototypeOf(function* () {});

/** What every generator inherits. */
export const generatorPrototype: Generator = (generatorFunctionPrototype as GeneratorFunction).prototype;

// For `instanceof`, which follows the prototypes and looks up no name. The generators of each closure have a hidden class
// of their own: to read a property of one whose class has not been seen before costs 0.9 µs, four times a spawn.
const AnyGenerator = Object.assign(function () {}, { prototype: generatorPrototype });
const AnyGeneratorFunction = Object.assign(function () {}, { prototype: generatorFunctionPrototype });

/** Whether it is a generator, whose methods the kernel then calls without a look-up. */
export function isGenerator(value: unknown): value is Generator {
  return value instanceof AnyGenerator;
}

/**
 * On a generator that was given to a task, so that no second one can take it. In a generator function all of whose instances
 * are taken it costs one word each; a `WeakSet` costs more than the spawn of a task. One that the kernel has made itself,
 * from a generator function, nobody else has, and it needs no mark.
 */
const TAKEN: unique symbol = Symbol("taken by a task");

function isIterator(value: unknown): value is FrameIterator {
  return typeof (value as FrameIterator | null)?.next === "function" &&
    typeof (value as FrameIterator).throw === "function";
}

/** The iterator of an operation; undefined if the value is none. */
export function iteratorOf(value: unknown, verb: string): FrameIterator | undefined {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined;
  if (isGenerator(value)) {
    if ((value as { [TAKEN]?: true })[TAKEN] === true) {
      throw new TypeError(
        `Cannot ${verb} a generator that is running, has ended or belongs to another task: make a new one`,
      );
    }
    (value as { [TAKEN]?: true })[TAKEN] = true;
    return value as FrameIterator;
  }
  const iterate = (value as Partial<Operation<unknown>>)[Symbol.iterator];
  if (typeof iterate !== "function") return undefined;
  const iterator: unknown = iterate.call(value);
  // A system call is its own iterator, but only from when it begins: two tasks could have been given the same.
  if (iterator === value && TRAP in value) return new TrapIterator(value as Trap);
  if (!isIterator(iterator)) return undefined;
  return isGenerator(iterator) ? iteratorOf(iterator, verb) : iterator;
}

/**
 * The iterator that runs some work.
 *
 * @param work What the user gave.
 * @param verb What was to be done with it, for the error.
 */
export function frameOf(work: unknown, verb: string): FrameIterator {
  let operation = work;
  if (typeof work === "function" && (work as { [TRAP]?: unknown })[TRAP] === undefined) {
    if (work.length > 0) {
      const parameters = work.length === 1 ? "a parameter" : `${work.length} parameters`;
      throw new TypeError(
        `Cannot ${verb} ${titleOf(work)}: it takes ${parameters}; did you forget to call it?`,
      );
    }
    operation = work();
    if (work instanceof AnyGeneratorFunction) return operation as FrameIterator;
    const iterator = iteratorOf(operation, verb);
    if (iterator === undefined) {
      throw new TypeError(
        `Cannot ${verb} ${titleOf(work)}: it gave ${describe(operation)}, which is no coroutine`,
      );
    }
    return iterator;
  }
  const iterator = iteratorOf(operation, verb);
  if (iterator === undefined) {
    throw new TypeError(
      `Cannot ${verb} ${
        describe(work)
      }: a coroutine is wanted, another operation, or a function that gives one`,
    );
  }
  return iterator;
}

function titleOf(work: { name: string }): string {
  return work.name === "" ? "the function" : work.name;
}

/** A value in a few words, for an error message. */
export function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === "boolean" || typeof value === "number") {
    return String(value);
  }
  if (typeof value === "string") return `the string ${JSON.stringify(value.slice(0, 40))}`;
  if (typeof value === "function") return `the function ${value.name || "without a name"}`;
  if (typeof value !== "object") return `a ${typeof value}`;
  if (Array.isArray(value)) return "an array";
  if (typeof (value as PromiseLike<unknown>).then === "function") return "a promise";
  const { constructor } = value;
  return typeof constructor === "function" && constructor !== Object && constructor.name !== ""
    ? `an object of class ${constructor.name}`
    : "an object";
}
