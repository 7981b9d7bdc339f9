/**
 * The name of the function that a generator came from.
 *
 * JavaScript knows no way back from a generator to its function, and to note the name of each coroutine as it is called
 * would cost something at every call, for the few that are ever asked about. But V8 keeps the way: a generator's hidden
 * class names its constructor, and a stack trace, of all things, tells. A function that is called as a method of the
 * generator sees itself in the trace as `worker.probe`. So a name costs nothing until somebody wants it, then ten
 * microseconds, and that once for each function, as all its generators share a prototype.
 *
 * In another engine the names stay unknown.
 *
 * @module
 */

import { generatorPrototype } from "./_operation.ts";

interface CallSite {
  getTypeName(): string | null;
}

interface Traces {
  stackTraceLimit: number;
  prepareStackTrace: unknown;
  captureStackTrace?(target: object): void;
}

/** By the prototype that all generators of one function have. */
const names = new WeakMap<object, string>();

/** The name of the generator function; empty if it has none, or cannot be known. */
export function functionNameOf(generator: object): string {
  const prototype: object | null = Object.getPrototypeOf(generator);
  const isItsOwn = prototype !== null && prototype !== generatorPrototype;
  const known = isItsOwn ? names.get(prototype) : undefined;
  if (known !== undefined) return known;
  const name = ask.call(generator);
  if (isItsOwn) names.set(prototype, name);
  return name;
}

function ask(this: object): string {
  const traces = Error as unknown as Traces;
  if (traces.captureStackTrace === undefined) return "";
  const { prepareStackTrace, stackTraceLimit } = traces;
  try {
    traces.stackTraceLimit = 1;
    traces.prepareStackTrace = (_error: unknown, sites: CallSite[]) => sites[0]?.getTypeName() ?? "";
    const trace: { stack?: unknown } = {};
    traces.captureStackTrace(trace);
    // One without a name is called by its class, or by what V8 guesses from the text round it, which has a dot.
    const name = typeof trace.stack === "string" ? trace.stack : "";
    return name === "Generator" || name.includes(".") ? "" : name;
  } catch {
    return ""; // `Error` is frozen
  } finally {
    try {
      traces.prepareStackTrace = prepareStackTrace;
      traces.stackTraceLimit = stackTraceLimit;
    } catch {
      // It is frozen: nothing has changed.
    }
  }
}
