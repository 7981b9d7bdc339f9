/**
 * Errors that nobody handles, and when they are told.
 *
 * A task may fail before the one that will join it has had its turn, and a future before somebody waits for it. So a failure is
 * no news at once: it is noted, and told at the end of the turn if nobody has looked at it until then. Whoever learns by
 * other ways that the turn has brought an end, such as the code that awaits a run, is called after that: a failure beside the
 * run is told before the run is over.
 *
 * What is certain to be heard by nobody else, an error in a callback or in a cleanup, is told at once.
 *
 * @module
 */

import type { ErrorSource, Failure } from "./_options.ts";

export class UnhandledErrors {
  readonly #handle: ((error: unknown, source: ErrorSource) => void) | undefined;
  /** Failures that nobody has looked at in this turn, and what waits for their being told. */
  #failures: (Failure & ErrorSource)[] = [];
  #afterwards: (() => void)[] = [];

  /** @param handle Who is told; they are printed if it is not given. */
  constructor(handle: ((error: unknown, source: ErrorSource) => void) | undefined) {
    this.#handle = handle;
  }

  /** Whether there is something to do at the end of the turn. */
  get areWaiting(): boolean {
    return this.#failures.length > 0 || this.#afterwards.length > 0;
  }

  /** It has failed, and may be looked at yet. */
  add(failure: Failure & ErrorSource): void {
    this.#failures.push(failure);
  }

  /** Calls back when all that have been added are told: at once if there are none. */
  whenTold(callback: () => void): void {
    if (this.#failures.length > 0) this.#afterwards.push(callback);
    else callback();
  }

  /** The turn is over. */
  tell(): void {
    while (this.#failures.length > 0) {
      for (const failure of this.#failures.splice(0)) {
        if (failure._heard) continue;
        failure._heard = true;
        this.report(failure._error, failure);
      }
    }
    for (const callback of this.#afterwards.splice(0)) callback();
  }

  /** Tells an error that nobody else hears of. */
  report(error: unknown, source: ErrorSource): void {
    try {
      if (this.#handle === undefined) print(error, source);
      else this.#handle(error, source);
    } catch (second) {
      print(error, source);
      console.error(`genos: onUnhandledError threw as well:`, second);
    }
  }
}

function print(error: unknown, source: ErrorSource): void {
  console.error(`genos: unhandled error in ${source}:`, error);
}
