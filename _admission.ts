/**
 * Admission: which reads are put before the host, and when, so that no connection is passed over.
 *
 * Deno's runtime (tokio) lets a task of its own do 128 operations that succeed, and then puts it off until it has looked for
 * new events. All pending reads of a process are one such task, and what was put off comes behind what the look has found.
 * So where more than 128 connections speak at once, the first 128 are served; by the time the runtime looks again they have
 * spoken again, and are served again, before the others. A plain loop over `Deno.listen` then serves 128 clients at full
 * speed and the rest after seconds, or never: the 99.9th percentile of a thousand is at 1.5 s where the median is at 1.4 ms.
 * Each look also asks all that were put off, in vain, so that the loop is dearer by half at 1 000 and by five at 10 000.
 *
 * The remedy is to have few reads there that can succeed. When a turn of the host has used up what it may do, the reads that
 * follow are put off here, first come first served, until a turn brings less: then nobody is left behind. From there on they
 * are admitted in portions that one turn can serve to the end. What has arrived meanwhile is then read at once, which is
 * cheaper than to wait for it. A portion of which little has arrived shows that the host must look for events, and the next
 * one waits until it has brought some, or until a moment has passed in which it brought none.
 *
 * Nor is more read than the program comes to. While it is behind, because a slice of the scheduler was over before all tasks
 * had their step, the next portion waits for it: else all that arrives would be read while tasks wait for the host to have
 * its turn, they would fill the next slice again, and every slice would cost a whole turn of the host, for good.
 *
 * Who is put off has a timer, and nobody else: a process whose connections are idle or closed is left alone, whatever state
 * the last burst has left behind. Such a state costs those who speak next a turn or two.
 *
 * Below that load, which is more than a hundred connections that speak in one turn of the host, every read is admitted when
 * it is asked for, and all that this costs is a count.
 *
 * @module
 */

/** A connection's reads, of which one at a time can be put off. The fields belong to {@linkcode Admission}. */
export interface Read {
  /** It is put off. */
  isPutOff: boolean;
  /** It has ended, and the next one has not been asked for: the program has not come to it yet, or works on it. */
  isAhead: boolean;
  /** Which one is admitted after it. */
  nextPutOff: Read | null;
  /** Puts it before the host. `completed` is to be called when it is over. */
  start(): void;
}

/** What is wanted of the host. */
export interface Turns {
  /** Calls back before the turn ends, when those have been told whose operations have ended with this one. */
  soon(callback: () => void): void;
  /** Calls back in the next turn. */
  later(callback: () => void): void;
  /** Calls back when a moment has passed in which it could look for events. */
  setTimer(callback: () => void): unknown;
  /** Withdraws that. */
  clearTimer(timer: unknown): void;
}

/** So many reads that end in one turn have used it up. It is 128, but some may have been other operations. */
const FULL = 120;
/** So many reads, each of which may be followed by a write, are done in one turn. */
const PORTION = 40;
/**
 * So many reads of a turn that was used up are not put off. Nothing can have arrived for them yet, so that the turn in which
 * they end is one for which the host has looked for events.
 */
const PILOTS = 8;

/** The program keeps up if it has come to all but so many of the reads that have ended. */
const FEW = PORTION / 4;

export class Admission {
  readonly #turns: Turns;
  /** Those that are put off: the first and the last, and how many of them are still wanted. */
  #first: Read | null = null;
  #last: Read | null = null;
  #size = 0;
  /** Only so many are still admitted, until the next portion. */
  #rationed = false;
  #credit = 0;
  /** How many reads have ended in this burst. */
  #burst = 0;
  /** How many are ahead of the program, but for those of which it is known that it takes its time over them. */
  #ahead = 0;
  /** It has asked for one since the last burst. */
  #hasAsked = false;
  /**
   * How many a portion is; how many this one is, which is less where reads of a burst have used some of the same turn; and
   * how many of those that were admitted have ended at once.
   */
  #portion = PORTION;
  #used = 0;
  #allowed = 0;
  #ended = 0;
  /** A portion has just been admitted; one is about to be; one is, as soon as the program asks for a read. */
  #trying = false;
  #coming = false;
  #due = false;
  #timer: unknown;
  /** In this moment bursts have come, or reads were asked for; and since its start a portion has been due. */
  #isLively = false;
  #wasDue = false;
  // Made once: they are what the host calls.
  readonly #burstIsOver = () => this.#endBurst();
  readonly #admitPortion = () => this.#admit();
  readonly #reviewPortion = () => this.#review();
  readonly #momentIsOver = () => this.#endMoment();
  readonly #momentWasQuiet = () => this.#judgeMoment();

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** A connection wants to read. */
  request(read: Read): void {
    this.#comeTo(read);
    this.#hasAsked = true;
    if (!this.#rationed) {
      read.start();
    } else if (this.#credit > 0 && this.#first === null) {
      this.#credit--;
      read.start();
    } else {
      this.#putOff(read);
    }
  }

  /** A connection will not be read from any more. If a read is put off, it is put before the host now, to be told so. */
  leave(read: Read): void {
    this.#comeTo(read);
    if (!read.isPutOff) return;
    this.#admitted(read); // in the line it is passed over when its turn comes
    read.start();
    if (this.#size === 0) this.#open();
  }

  /** A read has ended. Those that end together are told one after the other, before anything else is done. */
  completed(read: Read): void {
    read.isAhead = true;
    this.#ahead++;
    if (this.#burst++ === 0) this.#turns.soon(this.#burstIsOver);
  }

  #comeTo(read: Read): void {
    if (!read.isAhead) return;
    read.isAhead = false;
    if (this.#ahead > 0) this.#ahead--;
  }

  #putOff(read: Read): void {
    read.isPutOff = true;
    if (this.#first === null) this.#first = read;
    else this.#last!.nextPutOff = read;
    this.#last = read;
    this.#size++;
    this.#isLively = true;
    this.#timer ??= this.#turns.setTimer(this.#momentIsOver);
    if (this.#due && this.#ahead <= FEW) this.#plan();
  }

  #take(): Read | null {
    for (;;) {
      const read = this.#first;
      if (read === null) return null;
      this.#first = read.nextPutOff;
      read.nextPutOff = null;
      if (!read.isPutOff) continue;
      this.#admitted(read);
      return read;
    }
  }

  /** It is put off no longer. With the last one the timer goes. */
  #admitted(read: Read): void {
    read.isPutOff = false;
    if (--this.#size > 0) return;
    this.#first = this.#last = null;
    this.#turns.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #endBurst(): void {
    const burst = this.#burst;
    const before = this.#ahead - burst;
    const hasAsked = this.#hasAsked;
    this.#burst = 0;
    this.#hasAsked = false;
    if (this.#trying) {
      this.#ended += burst;
      return;
    }
    this.#isLively = true;
    if (burst >= FULL) {
      this.#rationed = true;
      this.#credit = PILOTS;
    } else if (!this.#rationed) {
      this.#due = this.#rationed = !hasAsked && this.#ahead >= FULL;
    } else {
      this.#credit = 0;
      this.#used = burst;
      if (before > FEW) this.#due = true;
      else this.#plan();
    }
  }

  #plan(): void {
    this.#due = this.#wasDue = false;
    if (this.#coming) return;
    this.#coming = true;
    this.#turns.later(this.#admitPortion);
  }

  #admit(): void {
    this.#trying = this.#coming = true;
    this.#ended = 0;
    this.#credit = this.#allowed = Math.max(this.#portion - (this.#used >> 1), 1);
    this.#used = 0;
    while (this.#credit > 0) {
      const read = this.#take();
      if (read === null) break;
      this.#credit--;
      read.start();
    }
    this.#turns.later(this.#reviewPortion);
  }

  #review(): void {
    this.#trying = this.#coming = false;
    const admitted = this.#allowed - this.#credit;
    this.#credit = 0;
    if (2 * this.#ended >= admitted && admitted > 0) {
      this.#portion = PORTION;
      if (this.#ahead > FEW || this.#size === 0) this.#due = true;
      else this.#admit();
    } else if (this.#size === 0) {
      this.#open();
    }
  }

  /** Nobody is put off any more. */
  #open(): void {
    this.#rationed = this.#due = false;
    this.#portion = PORTION;
  }

  /** A program that works on many reads at a time, and is not merely behind, gets a portion all the same. */
  #endMoment(): void {
    this.#timer = this.#turns.setTimer(this.#momentIsOver);
    if (!this.#isLively) {
      this.#turns.later(this.#momentWasQuiet);
    } else if (this.#wasDue) {
      this.#ahead = 0;
      this.#plan();
    }
    this.#isLively = false;
    this.#wasDue = this.#due;
  }

  /** Nothing has happened in a moment, nor in the turn in which it ended: more and more are admitted. */
  #judgeMoment(): void {
    if (this.#isLively || this.#coming || this.#size === 0) return;
    this.#portion *= 2;
    this.#ahead = 0;
    this.#due = false;
    this.#admit();
  }
}
