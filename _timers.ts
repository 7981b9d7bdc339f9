/**
 * Deadlines: one heap for everything that is due at a time, be it a sleep, a timeout or a grace.
 *
 * A timer is any object with a place to note its slot and a `ring` method, so a sleeping task, a timeout's boundary and
 * a kill are their own timers. Deadlines lie in flat arrays of doubles beside the timers: comparing them touches no
 * object, and a timer needs no boxed number. The heap is four wide, which halves its height, and equal deadlines ring in
 * the order in which they were set.
 *
 * To read the clock costs more than to set a timer. So `start` only notes the timer, and all that were started since the
 * last look at the clock get their deadlines from the next: never too early, and late by some steps at most. A timeout
 * whose coroutine need not wait is gone before that.
 *
 * @module
 */

/** What V8 still keeps on its heap, 64 bytes. */
const FEW = 8;

export interface Timer {
  /** Its place in the heap; -1 when it is not set, -2 and less when it has been started and has no deadline yet. */
  _slot: number;
  /** Called when it is due; it is then no longer set. */
  ring(): void;
}

export class Timers {
  #timers: Timer[] = [];
  #deadlines: Float64Array = new Float64Array(FEW);
  #turns: Float64Array = new Float64Array(FEW);
  #size = 0;
  #turn = 0;
  /** Those that have been started, with their spans in ms; null where one has been cleared. */
  #fresh: (Timer | null)[] = [];
  #spans: number[] = [];
  #cleared = 0;
  #ringing = false;

  /** How many are set or started. */
  get size(): number {
    return this.#size + this.#fresh.length - this.#cleared;
  }

  /** The deadline of the one that is due first; Infinity when none is set. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#deadlines[0]!;
  }

  /** How long it has to wait yet, in ms. */
  left(timer: Timer, now: number): number {
    const slot = timer._slot;
    if (slot >= 0) return Math.max(0, this.#deadlines[slot]! - now);
    return slot === -1 ? Infinity : this.#spans[-2 - slot]!;
  }

  /** It is to ring `ms` from now. */
  start(timer: Timer, ms: number): void {
    timer._slot = -2 - this.#fresh.length;
    this.#fresh.push(timer);
    this.#spans.push(ms);
  }

  /** Gives a deadline to all that have been started. */
  stamp(now: number): void {
    const fresh = this.#fresh;
    if (fresh.length === 0) return;
    for (let i = 0; i < fresh.length; i++) {
      const timer = fresh[i]!;
      if (timer !== null) this.#set(timer, now + this.#spans[i]!);
    }
    this.#fresh.length = this.#spans.length = this.#cleared = 0;
  }

  #set(timer: Timer, deadline: number): void {
    const slot = this.#size++;
    if (slot === this.#deadlines.length) this.#grow();
    this.#rise(slot, timer, deadline, this.#turn++);
  }

  clear(timer: Timer): void {
    const slot = timer._slot;
    if (slot === -1) return;
    timer._slot = -1;
    if (slot < -1) {
      const fresh = this.#fresh;
      fresh[-2 - slot] = null;
      this.#cleared++;
      for (let last = fresh.length - 1; last >= 0 && fresh[last] === null; last--) {
        fresh.pop();
        this.#spans.pop();
        this.#cleared--;
      }
      return;
    }
    const last = --this.#size;
    const moved = this.#timers.pop()!;
    if (slot === last) return;
    const deadline = this.#deadlines[last]!;
    const turn = this.#turns[last]!;
    if (slot > 0 && this.#before(deadline, turn, (slot - 1) >> 2)) this.#rise(slot, moved, deadline, turn);
    else this.#sink(slot, moved, deadline, turn);
  }

  /** Whether some are being rung. */
  get areRinging(): boolean {
    return this.#ringing;
  }

  /** Takes out all whose deadline is not after `now`, the earliest first, and rings them. */
  ringDue(now: number): void {
    this.#ringing = true;
    try {
      while (this.#size > 0 && this.#deadlines[0]! <= now) {
        const timer = this.#timers[0]!;
        this.clear(timer);
        timer.ring();
      }
    } finally {
      this.#ringing = false;
    }
  }

  #before(deadline: number, turn: number, slot: number): boolean {
    const other = this.#deadlines[slot]!;
    return deadline < other || (deadline === other && turn < this.#turns[slot]!);
  }

  #put(slot: number, timer: Timer, deadline: number, turn: number): void {
    this.#timers[slot] = timer;
    this.#deadlines[slot] = deadline;
    this.#turns[slot] = turn;
    timer._slot = slot;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#timers[from]!, this.#deadlines[from]!, this.#turns[from]!);
  }

  #rise(slot: number, timer: Timer, deadline: number, turn: number): void {
    while (slot > 0) {
      const parent = (slot - 1) >> 2;
      if (!this.#before(deadline, turn, parent)) break;
      this.#move(parent, slot);
      slot = parent;
    }
    this.#put(slot, timer, deadline, turn);
  }

  #sink(slot: number, timer: Timer, deadline: number, turn: number): void {
    const size = this.#size;
    for (;;) {
      const first = 4 * slot + 1;
      if (first >= size) break;
      let least = first;
      const end = Math.min(first + 4, size);
      for (let child = first + 1; child < end; child++) {
        if (this.#before(this.#deadlines[child]!, this.#turns[child]!, least)) least = child;
      }
      if (this.#before(deadline, turn, least)) break;
      this.#move(least, slot);
      slot = least;
    }
    this.#put(slot, timer, deadline, turn);
  }

  #grow(): void {
    const deadlines = new Float64Array(2 * this.#deadlines.length);
    deadlines.set(this.#deadlines);
    const turns = new Float64Array(deadlines.length);
    turns.set(this.#turns);
    this.#deadlines = deadlines;
    this.#turns = turns;
  }
}
