/**
 * Telling: what becomes a `ScheduleError`, and what it says.
 *
 * @module
 */

import { inWords, mark, pathOf, type Place, placeOf, placesOf } from "./_places.ts";
import { isSame } from "./_shrink.ts";
import type { Body, Failure, Simulation } from "./_simulation.ts";
import { said, Story } from "./_story.ts";
import { Quiet } from "./_strategies.ts";
import { hashOf, PREEMPTION, write } from "./_tape.ts";
import { ScheduleError } from "./errors.ts";

/** What found something, and what that took. */
export interface Finding {
  readonly strategy: string;
  readonly runs: number;
  readonly ms: number;
}

/** Where there is no schedule to tell. */
const NOTHING = { schedule: [], preemptions: 0, lastSteps: [], replay: "" };

export class Teller {
  readonly #simulation: Simulation;
  readonly #body: Body;
  /** That of the world outside: other runs have no stacks. */
  readonly stackTraceLimit: number = Error.stackTraceLimit;
  #callers: Place[] | undefined;

  constructor(simulation: Simulation, body: Body) {
    this.#simulation = simulation;
    this.#body = body;
  }

  /** Makes a run with its story noted down. */
  #tell(values: readonly number[]): { story: Story; failure: Failure | null } {
    const simulation = this.#simulation;
    const story = new Story(this.#home);
    simulation.reading = "loosely";
    simulation.tape.prescribe(values);
    simulation.witness = story;
    Error.stackTraceLimit = this.stackTraceLimit;
    const failure = simulation.attempt(new Quiet());
    Error.stackTraceLimit = 0;
    simulation.witness = null;
    return { story, failure };
  }

  #error(
    message: string,
    details: ConstructorParameters<typeof ScheduleError>[1],
    error?: unknown,
  ): ScheduleError {
    Error.stackTraceLimit = this.stackTraceLimit;
    return new ScheduleError(message, details, error === undefined ? {} : { cause: error });
  }

  /** These choices break the program in this way. */
  broken(found: Failure, values: readonly number[], finding: Finding): ScheduleError {
    const { story, failure } = this.#tell(values);
    if (failure === null || !isSame(found, failure)) return this.undetermined(values, finding);
    const { tape, maxSteps, patience, conditions } = this.#simulation;
    const { kind, error } = failure;
    const replay = write({
      values: tape.taken(),
      maxSteps,
      patience,
      length: tape.length,
      mark: tape.mark(),
      body: hashOf(String(this.#body)),
      network: conditions,
    });
    const preemptions = tape.count(PREEMPTION);
    const schedule = story.sentences(failure);
    const lastSteps = story.lastSteps(failure);
    const command = this.#command(replay);
    const message = [
      this.#headline(failure),
      "",
      `The schedule, with ${many(preemptions, "preemption")}:`,
      ...schedule.map((sentence, i) => `  ${i + 1}. ${sentence}`),
      "",
      "The last steps:",
      ...lastSteps.map((step) => `  ${step}`),
      "",
      `Again: replay(${JSON.stringify(replay)}, body), or`,
      `  ${command}`,
    ].join("\n");
    return this.#error(
      message,
      { kind, schedule, preemptions, lastSteps, replay, command, ...finding },
      error,
    );
  }

  /** These choices do not always give the same run. */
  undetermined(values: readonly number[], finding: Finding): ScheduleError {
    const once = this.#tell(values).story.trace;
    const again = this.#tell(values).story.trace;
    const at = once.findIndex((line, i) => line !== again[i]);
    const difference = at === -1
      ? "It did something else the first time."
      : `Under one schedule, in step ${at + 1}:\n  once:  ${once[at]}\n  again: ${again[at] ?? "nothing"}`;
    const message = "the program does not do the same twice, so nothing can be said of its schedules\n\n" +
      `${difference}\n\nIs there state outside of the body that it does not set up anew?`;
    return this.#error(message, { kind: "undetermined", ...NOTHING, command: this.#command(""), ...finding });
  }

  /** No run has reached these. */
  missed(labels: string[], isComplete: boolean, finding: Finding): ScheduleError {
    const list = labels.map((label) => JSON.stringify(label)).join(", ");
    const runs = `${many(finding.runs, "run")}${isComplete ? ", which are all there are" : ""}`;
    const details = { kind: "sometimes", ...NOTHING, command: this.#command(""), ...finding };
    return this.#error(`never reached: ${list} (${runs})`, details);
  }

  #headline({ kind, label, error, within }: Failure): string {
    const what = error === undefined ? "" : `: ${said(error)}`;
    const name = JSON.stringify(label);
    switch (kind) {
      case "error":
        return `${label} failed${what}`;
      case "unhandled":
        return `${label} failed, and nobody heard of it${what}`;
      case "always":
        return `${name} does not hold${what}`;
      case "eventually": {
        const when = within === Infinity ? "by the end of the run" : `within ${within} ms`;
        return `${name} has not come true ${when}${what}`;
      }
      case "deadlock":
        return `deadlock: ${(error as Error).message}`;
      case "livelock":
        return `the run is ${label}: it never ends, or maxSteps is too small`;
      case "leftover":
        return `left over at the end of the run: ${label}`;
      default: {
        const place = error instanceof Error ? placeOf(error) : undefined;
        return label + (place === undefined ? "" : ` (${inWords(place, this.#home)})`);
      }
    }
  }

  /** The place where the exploration was asked for. Those from which that was follow it. */
  get #home(): Place | undefined {
    return (this.#callers ??= placesOf(mark()))[0];
  }

  /** What to type to make that run. The file is the test's, even if a helper beside it has called. */
  #command(replay: string): string {
    const { url = "" } = this.#home ?? {};
    const test = this.#callers!.find((place) => /[._]test\.\w+$|\/test\.\w+$/.test(place.url));
    const path = pathOf(test?.url ?? url).replace(/[#$]\d+-\d+\.ts$/, ""); // an example in the documentation
    const quoted = /^[\w/.:@+-]+$/.test(path) ? path : JSON.stringify(path);
    const word = replay === "" ? "" : test === undefined ? ` ${replay}` : ` -- ${replay}`;
    return `deno ${test === undefined ? "run" : "test"} -A ${quoted}${word}`;
  }
}

/** A number of things. */
export function many(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
