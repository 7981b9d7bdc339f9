/**
 * Where the items of a queue or a channel lie until somebody takes them: a ring, a stack, a heap.
 *
 * @module
 */

/** Items in an order. */
export interface Store<T> {
  readonly size: number;
  push(item: T): void;
  /** Takes out the next. The store must not be empty. */
  shift(): T;
}

const SMALLEST = 8;
const LARGE = 1 << 12;

/** First in, first out: a ring whose size is a power of two. */
export class Fifo<T> implements Store<T> {
  #items: (T | undefined)[] = new Array(SMALLEST).fill(undefined);
  #mask = SMALLEST - 1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size > this.#mask) this.#resize(2 * this.#size);
    this.#items[(this.#head + this.#size++) & this.#mask] = item;
  }

  shift(): T {
    const head = this.#head;
    const item = this.#items[head] as T;
    this.#items[head] = undefined;
    this.#head = (head + 1) & this.#mask;
    if (--this.#size === 0 && this.#mask >= LARGE) this.#resize(SMALLEST); // gives back what a rush has taken
    return item;
  }

  #resize(length: number): void {
    const items: (T | undefined)[] = new Array(length).fill(undefined);
    for (let i = 0; i < this.#size; i++) items[i] = this.#items[(this.#head + i) & this.#mask];
    this.#items = items;
    this.#mask = length - 1;
    this.#head = 0;
  }
}

/** Last in, first out. */
export class Lifo<T> implements Store<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T {
    return this.#items.pop() as T;
  }
}

/**
 * The smallest first, the oldest first among equals: a binary heap of entries that know when they came. The comparison
 * is the user's and may throw, so it is asked for all that has to be known before anything is moved.
 */
export class Sorted<T> implements Store<T> {
  readonly #heap: { item: T; turn: number }[] = [];
  readonly #compare: (a: T, b: T) => number;
  #turns = 0;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#heap.length;
  }

  push(item: T): void {
    const heap = this.#heap;
    const entry = { item, turn: this.#turns++ };
    let at = heap.length;
    while (at > 0 && this.#precedes(entry, heap[(at - 1) >> 1]!)) at = (at - 1) >> 1;
    let i = heap.length;
    for (; i > at; i = (i - 1) >> 1) heap[i] = heap[(i - 1) >> 1]!;
    heap[at] = entry;
  }

  shift(): T {
    const heap = this.#heap;
    const size = heap.length - 1;
    const last = heap[size]!;
    // Down along the smaller children to a leaf, and up again to where the last entry belongs.
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      at = child + 1 < size && this.#precedes(heap[child + 1]!, heap[child]!) ? child + 1 : child;
    }
    while (at > 0 && this.#precedes(last, heap[at]!)) at = (at - 1) >> 1;
    heap.length = size;
    if (size === 0) return last.item;
    let moved = last;
    for (;;) {
      const next = heap[at]!;
      heap[at] = moved;
      moved = next;
      if (at === 0) return moved.item;
      at = (at - 1) >> 1;
    }
  }

  #precedes(a: { item: T; turn: number }, b: { item: T; turn: number }): boolean {
    const order = this.#compare(a.item, b.item);
    return order < 0 || (order === 0 && a.turn < b.turn);
  }
}
