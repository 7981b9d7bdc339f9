/**
 * The flags of a task: its mode, and what else is true of it, in one word.
 *
 * A field for each would be 8 bytes of every task, and a step would have to look at several where it now looks once: whether
 * a generator simply goes on with a value is one comparison.
 *
 * @module
 */

// The mode, in which it goes on or has ended, is NEXT, THROW or RETURN (`_boundary.ts`), or one of these two.
/** What was yielded is still to be handled. */
export const DISPATCH = 3;
/** It has ended: it was killed. */
export const KILLED = 4;

export const MODE = 7;

export const DAEMON = 8;
/** A boundary has fired that could not be delivered yet. */
export const PENDING = 16;
/** Somebody has seen, or will see, how it ends. */
export const OBSERVED = 32;
/** The coroutine on top is no generator: its methods have to be looked up. */
export const FOREIGN = 64;
/** Its end is waited for: it is no daemon, or one that has been told to end. */
export const AWAITED = 128;
/** Who else than tasks can end its wait. */
export const BY_HOST = 256;
export const BY_OUTSIDE = 512;
export const BY_EITHER = BY_HOST | BY_OUTSIDE;
export const FED = BY_EITHER;
