/**
 * The medium: what all hosts of a simulated network share. Its time and luck, how it carries what is sent, who can reach
 * whom, and how many descriptors each host has open.
 *
 * @module
 */

import { aCount, aFiniteTime, checkGiven, checkOptions, isRecord, type Kind, type Kinds } from "./_check.ts";
import { type Chance, type Choices, ChosenChance, SeededChance } from "./_chance.ts";
import { hostError } from "./_host_error.ts";
import type { Wire } from "./_simulated_connection.ts";
import { InvalidStateError } from "./errors.ts";
import type { Scheduler } from "./scheduler.ts";

/** A number, or the least and the most of what is drawn each time, both included. */
export type Span = number | readonly [least: number, most: number];

/** How a simulated network behaves. What is not given is calm: at once, whole, for ever. */
export interface NetworkConditions {
  /** How long, in ms, what is sent is on its way; 0 if not given. A span is drawn in steps of 1 ms. */
  latency?: Span;
  /** How many bytes a second go one way on one connection; `Infinity` if not given. */
  bandwidth?: number;
  /**
   * The most bytes that travel together, and come out of one read: what is written is split accordingly. `1` is byte by
   * byte, `[1, Infinity]` splits anywhere; `Infinity`, whatever there is, if not given.
   */
  segment?: Span;
  /**
   * The probability that a segment waits for the one behind it, for 200 ms at most (Linux's `TCP_CORK`), and both come out
   * of one read; 0 if not given.
   */
  merge?: number;
  /** The probability that a connection is refused though somebody listens; 0 if not given. */
  refuse?: number;
  /** The probability, of each segment, that it resets its connection; 0 if not given. */
  reset?: number;
  /**
   * The probability, of each segment and each attempt to connect, that its connection is lost: nothing gets through any
   * more, and nobody is told; and of each datagram, that it is lost itself; 0 if not given.
   */
  lose?: number;
  /**
   * The most bytes that are on their way or unread, for each direction of a connection, or unread on a datagram socket;
   * 65 536 if not given.
   */
  buffer?: number;
  /** The most connections of a listener that wait to be accepted; 128 if not given. Who comes later waits. */
  backlog?: number;
  /** The most sockets and listeners that a host has open; `Infinity` if not given. Beyond it there is an `EMFILE`. */
  maxOpen?: number;
}

/** How a simulated network is set up. */
export interface SimulatedNetworkOptions extends NetworkConditions {
  /** What its luck comes from: a whole number, 0 if not given. The same seed gives the same run. */
  seed?: number;
  /** Where its luck comes from in place of a seed: a tape of choices, of which 0 is the calm one. */
  choices?: Choices;
}

type Range = readonly [least: number, most: number];
type Resolved = { [Name in keyof NetworkConditions]-?: Range };

const CALM: Resolved = {
  latency: [0, 0],
  bandwidth: [Infinity, Infinity],
  segment: [Infinity, Infinity],
  merge: [0, 0],
  refuse: [0, 0],
  reset: [0, 0],
  lose: [0, 0],
  buffer: [65_536, 65_536],
  backlog: [128, 128],
  maxOpen: [Infinity, Infinity],
};

const aProbability: Kind = {
  words: "a probability from 0 to 1",
  is: (value) => typeof value === "number",
  fits: (value: number) => value >= 0 && value <= 1,
};
const aRate: Kind = {
  words: "a number of bytes a second above 0",
  is: (value) => typeof value === "number",
  fits: (rate: number) => rate > 0,
};

function aSpanOf({ words, is, fits = () => true }: Kind): Kind {
  return {
    words: `${words}, or two`,
    is: (value) => Array.isArray(value) ? value.length === 2 && value.every(is) : is(value),
    fits(value: Span) {
      const [least, most] = rangeOf(value);
      return fits(least as never) && fits(most as never) && least <= most;
    },
  };
}

const CONDITIONS: Kinds<NetworkConditions> = {
  latency: aSpanOf(aFiniteTime),
  bandwidth: aRate,
  segment: aSpanOf(aCount(1)),
  merge: aProbability,
  refuse: aProbability,
  reset: aProbability,
  lose: aProbability,
  buffer: aCount(1),
  backlog: aCount(1),
  maxOpen: aCount(1),
};

/** Checks conditions. A misspelt one would be a calm one, and a test that tests nothing: so there are no others. */
export function checkConditions(conditions: NetworkConditions): void {
  checkOptions(VERB, conditions, CONDITIONS);
  for (const name of Object.keys(conditions)) {
    if (!Object.hasOwn(CONDITIONS, name)) throw new TypeError(`Cannot ${VERB}: it has no ${name}`);
  }
}

const VERB = "simulate a network";

/** Conditions as a word for a replay string: `latency5_20~reset0.1`; an empty one if there are none. */
export function wordOfConditions(conditions: NetworkConditions): string {
  // A number may be as small as 1e-7, and hyphens part the fields of such a string.
  const wordOf = (value: number) =>
    value === Infinity ? "i" : String(value).replace("+", "").replace("-", "m");
  return Object.entries(conditions)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]: [string, Span]) =>
      name + (typeof value === "number" ? [value] : value).map(wordOf).join("_")
    )
    .sort()
    .join("~");
}

/** The conditions that such a word says; undefined if it says something else. */
export function conditionsOfWord(word: string): NetworkConditions | undefined {
  const numberOf = (text: string) => text === "i" ? Infinity : Number(text.replace("m", "-"));
  const conditions: Record<string, Span> = {};
  for (const part of word === "" ? [] : word.split("~")) {
    const [, name, first, second] = /^([a-zA-Z]+?)(i|\d[^_]*)(?:_(.+))?$/.exec(part) ?? [];
    if (first === undefined || !Object.hasOwn(CONDITIONS, name!)) return undefined;
    conditions[name!] = second === undefined ? numberOf(first) : [numberOf(first), numberOf(second)];
  }
  return conditions as NetworkConditions;
}

function rangeOf(span: Span): Range {
  return typeof span === "number" ? [span, span] : span;
}

export class Medium {
  readonly chance: Chance;
  /** The connections of which not both ends are closed. */
  readonly wires: Set<Wire> = new Set();
  #conditions: Resolved = CALM;
  #scheduler: Scheduler | undefined;
  readonly #open = new Map<string, number>();
  /** Hosts that cannot reach each other, and hosts that reach nobody. */
  readonly #parted = new Set<string>();
  readonly #rates = new Map<string, number>();

  constructor(options: SimulatedNetworkOptions) {
    if (!isRecord(options)) checkConditions(options);
    const { seed, choices, ...conditions } = options;
    if (seed !== undefined && choices !== undefined) {
      throw new TypeError("Cannot simulate a network: a seed or choices are wanted, not both");
    }
    this.chance = choices === undefined
      ? new SeededChance(seed === undefined ? 0 : seed)
      : new ChosenChance(choices);
    this.change(conditions);
  }

  change(conditions: NetworkConditions): void {
    checkConditions(conditions);
    const changed: Record<string, Range> = {};
    for (const [name, value] of Object.entries(conditions)) {
      if (value !== undefined) changed[name] = rangeOf(value);
    }
    this.#conditions = { ...this.#conditions, ...changed };
  }

  // ---- Time ----

  /** The scheduler whose tasks use it. */
  get scheduler(): Scheduler {
    return this.#scheduler!;
  }

  /** A task or the code of a scheduler is about to use it. */
  enter(scheduler: Scheduler): void {
    if (this.#scheduler !== scheduler && this.open > 0) {
      throw new InvalidStateError(
        "Cannot use a simulated network: sockets of another scheduler are open on it",
      );
    }
    this.#scheduler = scheduler;
  }

  now(): number {
    return this.scheduler.now();
  }

  // ---- Conditions ----

  /** How long the next thing will be on its way, in ms. */
  latency(): number {
    const [least, most] = this.#conditions.latency;
    return least + this.chance.pick(Math.floor(most - least) + 1, "latency");
  }

  /** How many of `rest` bytes make the next segment, and whether that is all that may come out of one read. */
  segment(rest: number): { size: number; cut: boolean } {
    const [least, most] = this.#conditions.segment;
    const largest = Math.min(most, rest);
    const size = largest - this.chance.pick(Math.max(0, largest - least) + 1, "segment");
    return { size, cut: size < rest || size === most };
  }

  happens(name: "merge" | "refuse" | "reset" | "lose"): boolean {
    return this.chance.happens(this.#conditions[name][0], name);
  }

  get buffer(): number {
    return this.#conditions.buffer[0];
  }

  get backlog(): number {
    return this.#conditions.backlog[0];
  }

  /** How many bytes a second a host takes of one connection. */
  rateOf(host: string): number {
    return this.#rates.get(host) ?? this.#conditions.bandwidth[0];
  }

  setRate(host: string, rate: number): void {
    checkGiven(VERB, "bandwidth", rate, aRate);
    this.#rates.set(host, rate);
  }

  // ---- Descriptors ----

  /** How many descriptors are open on all hosts. */
  get open(): number {
    return [...this.#open.values()].reduce((sum, count) => sum + count, 0); // iterators have no `reduce` before Node.js 22
  }

  /** Takes a descriptor, or tells why there is none. */
  take(host: string): Error | undefined {
    const open = this.#open.get(host) ?? 0;
    if (open >= this.#conditions.maxOpen[0]) return hostError("TooManyOpenFiles");
    this.#open.set(host, open + 1);
  }

  /** Gives a descriptor back. */
  release(host: string): void {
    this.#open.set(host, this.#open.get(host)! - 1);
  }

  // ---- Partitions ----

  part(one: string, other: string | undefined): void {
    this.#parted.add(pairOf(one, other));
  }

  join(one: string, other: string | undefined): void {
    this.#parted.delete(pairOf(one, other));
  }

  joinAll(): void {
    this.#parted.clear();
  }

  isParted(one: string, other: string): boolean {
    const parted = this.#parted;
    if (parted.size === 0) return false;
    if (parted.has(pairOf(one, other))) return true;
    return one !== other && (parted.has(pairOf(one, undefined)) || parted.has(pairOf(other, undefined)));
  }
}

function pairOf(one: string, other: string | undefined): string {
  return JSON.stringify(other === undefined ? [one] : [one, other].sort());
}
