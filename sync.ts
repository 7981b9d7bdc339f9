/**
 * Synchronisation: how tasks wait for each other.
 *
 * All of it keeps one rule, first come first served, and keeps it by one means: what is released is handed to the task that
 * has waited longest, at once, though that has not run yet. The usual way is to wake a waiter and let it try again. Then
 * somebody who comes in between takes what it was woken for, and a waiter that is cancelled after it was woken has
 * swallowed the wake-up of the next: asyncio, Tornado and Curio have met both, primitive by primitive. Where things are
 * handed over there is nothing in between. A cancelled waiter has either got it, and then sees it before it is cancelled,
 * or has stepped out of the line, and then never had it. The price is a switch for each hand-over where many tasks want
 * the same thing.
 *
 * Nothing runs in parallel here, so the state of a primitive needs no protection, and what need not wait is a few lines of
 * plain code. That is also why `try…`, `set`, `notify` and the like are plain calls, which a callback of the host may make
 * as well: they wake tasks on whatever scheduler those run.
 *
 * @module
 */

export type { SyncOptions } from "./_waiting.ts";
export { Event } from "./_event.ts";
export { Lock } from "./_lock.ts";
export { Semaphore } from "./_semaphore.ts";
export { Condition } from "./_condition.ts";
export { Queue, type QueueOptions } from "./_queue.ts";
export { Channel } from "./_channel.ts";
export { select, type SelectCase, type SelectCases, type Selected } from "./_select.ts";
export { TaskLocal } from "./_task_local.ts";
