/**
 * The call stack of a suspended task as data: what `where`, the reports of deadlocks and the monitor show of it.
 *
 * The kernel owns the stack, so it knows each frame's coroutine at once, and by V8's leave the name of its function
 * (`_function_name.ts`). At which line the coroutine stands only the engine knows, and it tells through an inspector that
 * the core cannot name, as it names no host. So whoever has one registers here as the locator; without a locator, or where
 * it has no permission, the names are all there is, and each frame says what would have to be allowed.
 *
 * @module
 */

import type { Boundary } from "./_boundary.ts";
import { functionNameOf } from "./_function_name.ts";
import { type FrameIterator, isGenerator } from "./_operation.ts";
import type { WaitingOperation } from "./_parking.ts";
import { SystemCall } from "./_system_call.ts";
import type { Task } from "./task.ts";

/** A frame of a suspended task: where one of its coroutines stands, or what its coroutines are under. */
export interface Frame {
  /**
   * `"coroutine"`: a generator. `"call"`: an operation that runs by itself, such as `sleep(5)` given to `spawn`.
   * `"boundary"`: a timeout, shield, group or deferred cleanup that the frames before it in the list are under.
   * `"omitted"`: frames that were too many to be listed.
   */
  readonly kind: "coroutine" | "call" | "boundary" | "omitted";
  /** The name of the generator function, empty if it has none; the class of the call; the boundary in words. */
  readonly name: string;
  /** The source file, as a URL. */
  readonly file?: string;
  /** The line of the `yield` where it stands, from 1. */
  readonly line?: number;
  /** The column, from 1. */
  readonly column?: number;
  /** Its local variables by name, if they were asked for. */
  readonly locals?: Readonly<Record<string, unknown>>;
  /** Why there is no line, and what would have to be allowed. */
  readonly note?: string;
}

/** What a task's stack was when it was looked at. */
export interface Standing {
  readonly task: Task;
  /** How many steps the task had made. */
  readonly steps: number;
  readonly frames: Frame[];
}

/** Who can say at which line a generator stands. */
export interface Locator {
  /** Why it cannot, and what to allow; undefined if it can. */
  readonly refusal: string | undefined;
  /** The stacks of tasks. Never rejects: what cannot be found out is left out. */
  locate(tasks: Task[], options: LocateOptions): Promise<Standing[]>;
}

export interface LocateOptions {
  readonly locals: boolean;
  /** The most frames that are listed of a task. */
  readonly limit: number;
}

/** The locator of this process, if one has registered. */
export const registered: { locator: Locator | undefined } = { locator: undefined };

/** A frame and the generator behind it, if it is one. */
export interface Sight {
  frame: Frame;
  readonly generator: Generator | undefined;
}

/** The stack of a task, innermost first, without lines. */
export function sightsOf(task: Task, limit: number): Sight[] {
  const sights: Sight[] = [];
  const { _top: top } = task;
  if (top !== null) sights.push(sightOf(top));
  let frame = task._stack;
  for (; frame !== null && sights.length < limit; frame = frame.below) {
    sights.push(
      frame.iterator === null ? boundarySight(frame as Boundary) : sightOf(frame.iterator),
    );
  }
  if (frame !== null) {
    const count = frame.depth + 1;
    const name = `${count} more ${count === 1 ? "frame" : "frames"}`;
    sights.push({ frame: { kind: "omitted", name }, generator: undefined });
  }
  return sights;
}

/** The stack of a task by names, and by what lines are known without an inspector. */
export function framesOf(task: Task, limit: number, note: string | undefined): Frame[] {
  const sites = task._scheduler._callSites;
  return sightsOf(task, limit).map(({ frame, generator }) => {
    if (generator === undefined) return frame;
    const place = sites?.placeOf(generator);
    if (place !== undefined) return { ...frame, ...place };
    return note === undefined ? frame : { ...frame, note };
  });
}

/** What a generator, or another iterator that is a frame by itself, is called. */
export function titleOf(iterator: FrameIterator): string {
  if (isGenerator(iterator)) return functionNameOf(iterator);
  const { target } = iterator as Partial<WaitingOperation<unknown>>;
  const operation = target instanceof SystemCall ? target : iterator;
  return operation.constructor?.name ?? "";
}

function sightOf(iterator: FrameIterator): Sight {
  const name = titleOf(iterator);
  return isGenerator(iterator)
    ? { frame: { kind: "coroutine", name }, generator: iterator }
    : { frame: { kind: "call", name }, generator: undefined };
}

function boundarySight(boundary: Boundary): Sight {
  return { frame: { kind: "boundary", name: boundary.words }, generator: undefined };
}

/** A frame as a line of a stack: `at worker (file:///app.ts:5:9)`. */
export function lineOf(frame: Frame): string {
  const { kind, name, file, line, column } = frame;
  if (kind === "omitted") return `… ${name}`;
  if (kind === "boundary") return `in ${name}`;
  const title = name === "" ? kind === "call" ? "an operation" : "(anonymous)" : name;
  return file === undefined ? `at ${title}` : `at ${title} (${file}:${line}:${column})`;
}

/** A stack as lines, and what would have to be allowed to see more. */
export function linesOf(frames: readonly Frame[]): string[] {
  const note = frames.find((frame) => frame.note !== undefined)?.note;
  const lines = frames.map(lineOf);
  return note === undefined ? lines : [...lines, note];
}
