/**
 * Answers that are not there yet: what a function gives that was to answer at once.
 *
 * A test is told by what its functions answer, and a promise is no `false`: a check that is async would find nothing wrong,
 * in every run. So is a coroutine that nobody runs. Both are refused at the first answer. The types say it as well, but
 * a function that gives more than is asked for passes for one that gives nothing.
 *
 * @module
 */

import { realThen } from "./_guards.ts";
import { describe, isGenerator, TRAP } from "./_operation.ts";

/**
 * What an answer is that is not there yet, in words; undefined if it is there. A promise is taken for heard: that it is
 * rejected later is no second error.
 */
export function latenessOf(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  if (answer instanceof Promise) realThen.call(answer, undefined, () => {});
  if (isGenerator(answer)) return "a generator";
  if (TRAP in answer) return describe(answer);
  if (typeof (answer as Partial<PromiseLike<unknown>>).then === "function") return "a promise";
  if (Symbol.asyncIterator in answer) return "an async generator";
  return isOperation(answer) ? describe(answer) : undefined;
}

/** Whether a coroutine could yield it: a list or a set, whose iterator has no `throw`, is none. */
function isOperation(value: object): boolean {
  const iterate = (value as Partial<Iterable<unknown>>)[Symbol.iterator];
  return typeof iterate === "function" && typeof iterate.call(value)?.throw === "function";
}
