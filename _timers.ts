/**
 * Deadlines: one heap for everything that is due at a time, be it a sleep, a timeout or a grace.
 *
 * A timer is any object with a place to note its slot and a `ring` method, so a sleeping task, a timeout's boundary and
 * a kill are their own timers. Deadlines lie in flat arrays of doubles beside the timers: comparing them touches no
 * object, and a timer needs no boxed number. The heap is four wide, which halves its height, and equal deadlines ring in
 * the order in which they were set.
 *
 * @module
 */

export interface Timer {
  /** Its place in the heap; -1 when it is not set. */
  _slot: number;
  /** Called when it is due; it is then no longer set. */
  ring(): void;
}

export class Timers {
  #timers: Timer[] = [];
  #deadlines: Float64Array = new Float64Array(16);
  #turns: Float64Array = new Float64Array(16);
  #size = 0;
  #turn = 0;

  get size(): number {
    return this.#size;
  }

  /** The deadline of the one that is due first; Infinity when none is set. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#deadlines[0]!;
  }

  deadlineOf(timer: Timer): number {
    return timer._slot < 0 ? Infinity : this.#deadlines[timer._slot]!;
  }

  set(timer: Timer, deadline: number): void {
    const slot = this.#size++;
    if (slot === this.#deadlines.length) this.#grow();
    this.#rise(slot, timer, deadline, this.#turn++);
  }

  clear(timer: Timer): void {
    const slot = timer._slot;
    if (slot < 0) return;
    timer._slot = -1;
    const last = --this.#size;
    const moved = this.#timers.pop()!;
    if (slot === last) return;
    const deadline = this.#deadlines[last]!;
    const turn = this.#turns[last]!;
    if (slot > 0 && this.#before(deadline, turn, (slot - 1) >> 2)) this.#rise(slot, moved, deadline, turn);
    else this.#sink(slot, moved, deadline, turn);
  }

  /** Takes out the first if its deadline is not after `now`. */
  takeDue(now: number): Timer | undefined {
    if (this.#size === 0 || this.#deadlines[0]! > now) return undefined;
    const timer = this.#timers[0]!;
    this.clear(timer);
    return timer;
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
