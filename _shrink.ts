/**
 * The shrinker: from a run that breaks to the smallest that breaks in the same way.
 *
 * Small is what is quick to tell: few preemptions and faults; then few choices that are not 0, a short tape, small numbers. First
 * the bounded search is asked whether fewer preemptions will do, as it is the one that knows. Then the tape is cut,
 * quietened and made shorter, in pieces that get smaller (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input", 2002; that it is the choices which are shrunk and not what they made is Hypothesis's idea). A
 * guess that does not fit the program any more is not wrong: it is read as far as it fits, and is then another run.
 *
 * @module
 */

import { Bounded } from "./_bounded.ts";
import { realNow } from "./_guards.ts";
import type { Failure, Simulation } from "./_simulation.ts";
import { Quiet, type Strategy } from "./_strategies.ts";
import { isCounted } from "./_tape.ts";

/** What the shrinker may spend: runs, and ms. */
const MOST_RUNS = 4000;
const MOST_MS = 1000;

/** How large a run is: what counts most comes first. */
type Size = [counted: number, loud: number, length: number, sum: number];

/** Whether two runs are broken in the same way. */
export function isSame(one: Failure, other: Failure | null): boolean {
  if (other === null || one.kind !== other.kind || classOf(one.error) !== classOf(other.error)) return false;
  return one.label === other.label || (one.kind !== "always" && one.kind !== "eventually");
}

function classOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

export class Shrinker {
  readonly #simulation: Simulation;
  readonly #sampling: Strategy;
  readonly #quiet = new Quiet();
  readonly #failure: Failure;
  readonly #end: number;
  #best: number[];
  #size: Size;
  /** How many runs it has made. */
  runs = 0;

  /** @param simulation Its tape shows the run that is to be shrunk. */
  constructor(simulation: Simulation, sampling: Strategy, failure: Failure) {
    this.#simulation = simulation;
    this.#sampling = sampling;
    this.#failure = failure;
    this.#end = realNow() + MOST_MS;
    this.#best = simulation.tape.taken();
    this.#size = this.#measure();
  }

  /**
   * Shrinks it.
   *
   * @param floor As many preemptions as are known to be needed.
   * @returns The choices of the smallest run that was found.
   */
  shrink(floor: number): number[] {
    this.#quieten();
    this.#searchBelow(floor);
    for (let better = true; better && !this.#isOver();) {
      better = this.#quieten();
      better = this.#lower() || better;
    }
    return this.#best;
  }

  #isOver(): boolean {
    return this.runs >= MOST_RUNS || ((this.runs & 15) === 0 && realNow() >= this.#end);
  }

  /** Has the bounded search look for a run with fewer preemptions. */
  #searchBelow(floor: number): void {
    if (this.#size[0] <= floor) return;
    const { tape } = this.#simulation;
    this.#simulation.reading = "again";
    const search = new Bounded(tape, this.#size[0] - 1);
    do {
      if (this.#isOver() || this.runs > MOST_RUNS / 2) return;
      this.runs++;
      if (isSame(this.#failure, this.#simulation.attempt(this.#sampling))) {
        this.#take();
        return;
      }
    } while (this.#simulation.failure === null && search.advance());
  }

  /** Cuts, silences and takes out pieces of the tape. */
  #quieten(): boolean {
    let better = false;
    for (let piece = this.#best.length; piece >= 1; piece = piece >> 1) {
      for (let at = this.#best.length - piece; at > -piece && !this.#isOver();) {
        const start = Math.max(0, at);
        const end = Math.min(at + piece, this.#best.length);
        const before = this.#best.slice(0, start);
        const after = this.#best.slice(end);
        const silent = this.#best.slice(start, end).every((value) => value === 0);
        const smaller = (!silent && this.#try([...before, ...new Array(end - start).fill(0), ...after])) ||
          (after.length > 0 && this.#try([...before, ...after]));
        better ||= smaller;
        at -= piece;
      }
    }
    return better;
  }

  /** Tries smaller numbers. */
  #lower(): boolean {
    let better = false;
    for (let at = 0; at < this.#best.length && !this.#isOver(); at++) {
      for (const smaller of [1, this.#best[at]! >> 1, this.#best[at]! - 1]) {
        if (smaller < 1 || smaller >= (this.#best[at] ?? 0)) continue;
        const guess = [...this.#best];
        guess[at] = smaller;
        if (this.#try(guess)) better = true;
      }
    }
    return better;
  }

  #try(guess: number[]): boolean {
    const simulation = this.#simulation;
    this.runs++;
    simulation.reading = "loosely";
    simulation.tape.prescribe(guess);
    if (!isSame(this.#failure, simulation.attempt(this.#quiet))) return false;
    return this.#take();
  }

  /** Keeps the run that the tape shows, if it is smaller. */
  #take(): boolean {
    const size = this.#measure();
    const at = size.findIndex((part, i) => part !== this.#size[i]);
    if (at === -1 || size[at]! > this.#size[at]!) return false;
    this.#best = this.#simulation.tape.taken();
    this.#size = size;
    return true;
  }

  #measure(): Size {
    const { tape } = this.#simulation;
    const size: Size = [0, 0, 0, 0];
    for (let i = 0; i < tape.length; i++) {
      const value = tape.values[i]!;
      if (value === 0) continue;
      if (isCounted(tape.kinds[i]!)) size[0]++;
      size[1]++;
      size[2] = i + 1;
      size[3] += value;
    }
    return size;
  }
}
