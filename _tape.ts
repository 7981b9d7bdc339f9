/**
 * The tape: every choice of a run, in the order in which they were made.
 *
 * A program on this kernel switches only where it yields, its time and its network are simulated, and what it draws at
 * random it draws here. So a run is a function of its choices: who goes next, what a fault does, what `choose` gives. Each
 * is a whole number below the number of its alternatives, and 0 is always the quiet one: the task that ran goes on, or
 * else the one that has been ready for longest; nothing is lost on the way. A tape that ends early is a tape of zeros from
 * there, so an empty one is a run too, and a short one is a story with little to tell.
 *
 * To search is to change the tape, to shrink is to shorten it, to replay is to read it.
 *
 * @module
 */

import { conditionsOfWord, type NetworkConditions, wordOfConditions } from "./_medium.ts";

/** Who goes next, where the task that ran cannot go on: whichever it is, nobody is stopped. */
export const ORDER = 0;
/** Who goes next, where the task that ran could go on: whatever is not 0 stops it, and that is a preemption. */
export const PREEMPTION = 1;
/** What the program chooses among few: all of it is searched. */
export const VALUE = 2;
/** What the program draws from so many that they can only be sampled. */
export const SAMPLE = 3;
/** What the world does to the program: a calm world does nothing, so it counts as a preemption does. */
export const FAULT = 4;

export type Kind = typeof ORDER | typeof PREEMPTION | typeof VALUE | typeof SAMPLE | typeof FAULT;

/** More alternatives than these are not searched one by one. */
export const FEW = 32;

/** Whether a choice that is not 0 is counted against a bound. */
export function isCounted(kind: number): boolean {
  return kind === PREEMPTION || kind === FAULT;
}

/** What a tape does where the program asks for something else than is on it. */
export type Misfit = (at: number, ways: number, kind: number) => number;

export class Tape {
  values: Int32Array = new Int32Array(256);
  /** Among how many each was chosen; 0 if that is not known yet. */
  ways: Int32Array = new Int32Array(256);
  kinds: Uint8Array = new Uint8Array(256);
  /** How many choices this run has made. */
  length = 0;
  /** How many are prescribed. */
  given = 0;

  /** Prescribes choices of which nothing is known but their values. */
  prescribe(values: ArrayLike<number>): void {
    while (this.values.length < values.length) this.#grow();
    this.values.set(values);
    this.ways.fill(0, 0, values.length);
    this.given = values.length;
  }

  put(value: number, ways: number, kind: number): void {
    const at = this.length++;
    if (at === this.values.length) this.#grow();
    this.values[at] = value;
    this.ways[at] = ways;
    this.kinds[at] = kind;
  }

  #grow(): void {
    const { values, ways, kinds } = this;
    this.values = new Int32Array(2 * values.length);
    this.values.set(values);
    this.ways = new Int32Array(2 * ways.length);
    this.ways.set(ways);
    this.kinds = new Uint8Array(2 * kinds.length);
    this.kinds.set(kinds);
  }

  /** The choices of this run, without the zeros at the end. */
  taken(): number[] {
    let length = this.length;
    while (length > 0 && this.values[length - 1] === 0) length--;
    return Array.from(this.values.subarray(0, length));
  }

  /** How many of its choices are of this kind, and not 0. */
  count(kind: Kind): number {
    let count = 0;
    for (let i = 0; i < this.length; i++) if (this.kinds[i] === kind && this.values[i] !== 0) count++;
    return count;
  }

  /** How many of its choices count against a bound. */
  get cost(): number {
    return this.count(PREEMPTION) + this.count(FAULT);
  }

  /** A number that tells this run from others: what was chosen first, and among what. */
  mark(length = this.length): number {
    let hash = length;
    for (let i = 0; i < length; i++) {
      hash = mix(mix(hash, this.values[i]!), this.ways[i]! * 8 + this.kinds[i]!);
    }
    return hash >>> 0;
  }
}

function mix(hash: number, value: number): number {
  hash = Math.imul(hash ^ value, 0x5bd1e995);
  return hash ^ (hash >>> 15);
}

/** A number for a text. */
export function hashOf(text: string): number {
  let hash = text.length;
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash >>> 0;
}

// ---- As text ---------------------------------------------------------------------------------------------------------

/** What a replay string says. */
export interface Recording {
  readonly values: readonly number[];
  readonly maxSteps: number;
  readonly patience: number;
  /** How many choices had been made when it broke, and the mark of the tape then. */
  readonly length: number;
  readonly mark: number;
  /** A number for the text of the body. */
  readonly body: number;
  /** How the network behaves. */
  readonly network: NetworkConditions;
}

const VERSION = "g1";

/**
 * A recording as one word that a shell, a URL and a string take as it is: version, limits, choices, marks, the network if it
 * is not calm, and a check that it was copied whole. A choice below 36 is one digit, a larger one stands between `_` and `.`, and `R` says how often the one
 * before it comes again.
 */
export function write({ values, maxSteps, patience, length, mark, body, network }: Recording): string {
  let text = "";
  for (let i = 0; i < values.length;) {
    let end = i + 1;
    while (end < values.length && values[end] === values[i]) end++;
    const token = values[i]! < 36 ? values[i]!.toString(36) : `_${values[i]!.toString(36)}.`;
    const again = end - i - 1;
    text += again < 4 ? token.repeat(again + 1) : `${token}R${again.toString(36)}.`;
    i = end;
  }
  const numbers = [maxSteps, patience].map((n) => n === Infinity ? "" : n.toString(36)).join("-");
  const marks = [length, mark, body].map((n) => n.toString(36)).join("-");
  const conditions = wordOfConditions(network);
  const word = `${VERSION}-${numbers}-${text}-${marks}${conditions === "" ? "" : `-${conditions}`}`;
  return `${word}-${(hashOf(word) % 36 ** 3).toString(36)}`;
}

/**
 * Reads what `write` has written.
 *
 * @throws {TypeError} If it is something else.
 */
export function read(word: string): Recording {
  if (typeof word !== "string") throw new TypeError("Cannot replay: a replay string is wanted");
  const refuse = (why: string) => {
    const shown = word.length > 60 ? `${word.slice(0, 60)}…` : word;
    return new TypeError(`Cannot replay ${JSON.stringify(shown)}: ${why}`);
  };
  const version = /^g(\d+)-/.exec(word.trim());
  if (version === null) throw refuse("it is no replay string");
  if (version[0] !== `${VERSION}-`) throw refuse("another version of genos has written it");
  const fields = word.trim().split("-");
  const check = fields.pop()!;
  const isWhole = (hashOf(fields.join("-")) % 36 ** 3).toString(36) === check;
  if (!isWhole || fields.length < 7 || fields.length > 8) throw refuse("it was not copied whole");
  const [, maxSteps, patience, choices, length, mark, body, conditions = ""] = fields as [
    string,
    ...string[],
  ];
  const network = conditionsOfWord(conditions);
  if (network === undefined) throw refuse("another version of genos has written it");
  const number = (text: string) => text === "" ? Infinity : parseInt(text, 36);
  const values: number[] = [];
  for (const [token] of choices!.matchAll(/_[0-9a-z]+\.|R[0-9a-z]+\.|[0-9a-z]/g)) {
    if (token[0] !== "R") values.push(parseInt(token.replace("_", ""), 36));
    else for (let again = parseInt(token.slice(1), 36); again > 0; again--) values.push(values.at(-1)!);
  }
  return {
    values,
    maxSteps: number(maxSteps!),
    patience: number(patience!),
    length: number(length!),
    mark: number(mark!),
    body: number(body!),
    network,
  };
}
