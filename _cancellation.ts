/**
 * Cancellations: how what a boundary asks for reaches its task.
 *
 * A boundary that fires, be it for a kill, a timeout or a group, wants the stack above it unwound. That cannot always begin at
 * once: while the task is on the processor nothing can be thrown into it, and a shield holds back whatever lies below. So
 * what has fired is pending, in the order in which it fired, until the task waits next and no shield is between; a task that
 * waits gets it there and then. A flag on the task says that something is pending: who is never cancelled pays for no more.
 *
 * Delivered, it undoes the wait of the task and throws `Cancelled` in at the top. An unwinding that is under way already, to
 * a boundary above this one, is part of this one from then on; one to a boundary below has doomed these frames anyway.
 *
 * @module
 */

import { type Boundary, THROW, Unwinding } from "./_boundary.ts";
import { CREDIT, processor, READY, WAITING, YIELDED } from "./_processor.ts";
import { PENDING } from "./_task_flags.ts";
import { Cancelled } from "./errors.ts";
import type { Task } from "./task.ts";

/** Asks for the unwinding of the stack to a boundary. */
export function fire(task: Task, boundary: Boundary): void {
  boundary.fired = true;
  const extra = task._extra;
  if (extra.pending === null) {
    extra.pending = boundary;
  } else {
    let last = extra.pending;
    while (last !== boundary && last.nextPending !== null) last = last.nextPending;
    if (last !== boundary) last.nextPending = boundary;
  }
  task._flags |= PENDING;
  if (task._state === WAITING || task._state === YIELDED) deliver(task);
}

/**
 * A shield has ended: what it held back is delivered at the next wait. But a task that waits in shields only never comes to
 * one. It gets some time, as what it does may be the cleanup of a coroutine that is ending by itself; then the next call
 * will do for a place.
 */
export function unshielded(task: Task): void {
  if ((task._flags & PENDING) === 0) return;
  const extra = task._extra;
  let boundary = extra.pending;
  while (boundary !== null && isHeldBack(task, boundary)) boundary = boundary.nextPending;
  if (boundary === null) return;
  const now = task._scheduler.now();
  const { since, times } = extra.unshielded ??= { since: now, times: 0 };
  extra.unshielded.times++;
  if (times > CREDIT || now - since >= task._scheduler._killGrace) processor.credit = 0;
}

/** Whether it will be delivered at the next wait. */
export function isPending(task: Task, boundary: Boundary): boolean {
  let pending = task._extra.pending;
  while (pending !== null && pending !== boundary) pending = pending.nextPending;
  return pending !== null && !isHeldBack(task, boundary);
}

/** It is no longer to be delivered. */
export function withdraw(task: Task, boundary: Boundary): void {
  const extras = task._extras!;
  if (extras.pending === boundary) {
    extras.pending = boundary.nextPending;
  } else {
    let before = extras.pending;
    while (before !== null && before.nextPending !== boundary) before = before.nextPending;
    if (before !== null) before.nextPending = boundary.nextPending;
  }
  boundary.nextPending = null;
  if (extras.pending === null) task._flags &= ~PENDING;
}

/** Delivers the first of the pending cancellations that is not held back. The task must be suspended. */
export function deliver(task: Task): void {
  const extras = task._extras!;
  for (let next = extras.pending; next !== null;) {
    const boundary: Boundary = next;
    next = boundary.nextPending;
    if (isHeldBack(task, boundary)) continue;
    withdraw(task, boundary);
    let unwinding = extras.unwinding;
    const errors: unknown[] = [];
    // What unwinds to a boundary above this one is part of this one from now on.
    while (unwinding !== null && unwinding.target.depth >= boundary.depth) {
      errors.unshift(...unwinding.errors);
      unwinding = unwinding.outer;
    }
    if (unwinding !== null && boundary.depth <= unwinding.doomed) continue; // it lies in frames that unwind anyway
    boundary.delivered = true;
    extras.unshielded = null;
    const depth = task._stack === null ? 0 : task._stack.depth + 1;
    extras.unwinding = new Unwinding(boundary, depth, errors, unwinding);
    cancelWait(task, extras.unwinding);
    boundary.cancelling();
    abortSignals(task, boundary);
    return;
  }
}

/** A shield between it and the top holds it back. */
function isHeldBack(task: Task, boundary: Boundary): boolean {
  if (boundary.forced) return false;
  for (let b = task._boundary; b !== null && b.depth > boundary.depth; b = b.outer) {
    if (b.shielding) return true;
  }
  return false;
}

/** Throws in the cancellation, or closes the frame, where it waits. */
function cancelWait(task: Task, unwinding: Unwinding): void {
  const wasWaiting = task._state === WAITING;
  if (wasWaiting) task._unpark();
  task._mode = unwinding.mode;
  task._inbox = unwinding.mode === THROW ? unwinding.cancelled : undefined;
  task._state = READY;
  if (wasWaiting) task._scheduler._enqueue(task);
}

/** Aborts what the cancelled coroutines have given to others. */
function abortSignals(task: Task, boundary: Boundary): void {
  for (let b = task._boundary; b !== null && b.depth >= boundary.depth; b = b.outer) abort(b, boundary);
  if (boundary === task._extras!.kill) abort(task._extras!, boundary);
}

function abort(place: { controller: AbortController | null }, boundary: Boundary): void {
  const { controller } = place;
  place.controller = null;
  if (controller !== null) controller.abort(boundary.reason ?? new Cancelled());
}
