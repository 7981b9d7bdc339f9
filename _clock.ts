/**
 * Time and the host's turn: all that the kernel wants of the world round it.
 *
 * The kernel never reads the time itself. A `Clock` tells it and rings an alarm; the system's is `performance.now` and
 * `setTimeout`, that of the tests stands still until somebody moves it.
 *
 * @module
 */

/** A clock that a scheduler can run on: the system's, or a `VirtualClock`. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Calls `ring` once, as soon as `now()` has reached `deadline` (ms), unless it is cleared before. */
  setAlarm(deadline: number, ring: () => void): unknown;
  /** Withdraws an alarm that `setAlarm` gave. */
  clearAlarm(alarm: unknown): void;
  /**
   * Simulated clocks only: nothing can happen before the earliest alarm, so go there at once and ring it. `false` when
   * no alarm is set.
   */
  jump?(): boolean;
}

/** The longest that `setTimeout` can wait; what is longer fires at once, so a long wait is made of several. */
const LONGEST = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  setAlarm(deadline, ring) {
    const alarm = { id: 0 as unknown };
    const set = () => {
      const left = deadline - performance.now();
      if (left > LONGEST) alarm.id = setTimeout(set, LONGEST);
      else alarm.id = setTimeout(ring, Math.max(0, Math.ceil(left)));
    };
    set();
    return alarm;
  },
  clearAlarm(alarm) {
    clearTimeout((alarm as { id: number }).id);
  },
};

/** Calls back in a later turn of the host's event loop, when all microtasks have run. */
export const later: (callback: () => void) => void = chooseLater();

function chooseLater(): (callback: () => void) => void {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (setImmediate !== undefined) return (callback) => setImmediate(callback);
  const callbacks: (() => void)[] = [];
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => callbacks.shift()?.();
  return (callback) => {
    callbacks.push(callback);
    port2.postMessage(undefined);
  };
}

// Deno's event loop polls its sockets on every 61st of its rounds only, unless it has nothing else to do, and each
// setImmediate is one round: a single one between two slices would make a socket wait for sixty of them. So a turn of the
// host is a whole burst of rounds: what completes in one of them need not have come from a poll. It costs about a tenth of a
// slice of 1 ms.
// (tokio's `event_interval`; measured: an echo beside busy tasks takes 58 ms with one round a slice, 1.2 ms with a burst.)
const ROUNDS = 61;

/** Gives the host a whole turn, sockets and timers included, and then calls `resume`. */
export function hostTurn(resume: () => void): void {
  let rounds = 0;
  const round = () => {
    if (++rounds < ROUNDS) later(round);
    else resume();
  };
  later(round);
}
