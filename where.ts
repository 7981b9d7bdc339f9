/**
 * Where is it? For each coroutine frame of a suspended task: function, file, line and column of the `yield` where it stands.
 *
 * A task that hangs is asked in the running program: no breakpoint, nothing noted in advance, no debugger attached. To
 * import this module registers the inspector with the kernel, whose reports of deadlocks then show the lines as well; it
 * loads nothing of the host until somebody asks.
 *
 * @module
 */

import { type Frame, registered } from "./_frames.ts";
import { inspector } from "./_inspector.ts";
import { aBoolean, aCount, checkOptions, type Kinds } from "./_check.ts";
import { describe } from "./_operation.ts";
import { Task } from "./task.ts";

export type { Frame } from "./_frames.ts";

/** What {@linkcode where} is to find out. */
export interface WhereOptions {
  /** The local variables as well: the values themselves, no copies. */
  locals?: boolean;
  /** The most frames to be listed, the innermost first; 1000 if not given. */
  limit?: number;
}

const WHERE_OPTIONS: Kinds<WhereOptions> = { locals: aBoolean, limit: aCount(1) };

registered.locator = inspector;

/**
 * Where a task stands: its frames, innermost first, as in a stack trace, each with the line of the `yield` where it waits,
 * in the TypeScript source. Between them stand, in words, the boundaries that the frames before them are under. Of
 * coroutines that call each other by a native `yield* generator()` the kernel, and so this list, has the outermost only.
 *
 * In Deno it takes `--allow-sys`, and never asks for it: without that permission, and in hosts without an inspector, the
 * frames have names only, and `note` says what to allow. With `stacks: true` the scheduler knows the lines of calls made
 * with `yield*` all the same. It takes about 0.1 ms a frame, and 0.1 s the first time.
 *
 * A task that runs on meanwhile is looked at again, some times; a frame that is moving all the time stands where it stood
 * when it was looked at.
 *
 * @param task The task. One that has ended has no frames.
 * @param options Whether local variables are wanted, and how many frames.
 * @returns The frames, innermost first.
 * @throws {TypeError} If `task` is no task, or an option of the wrong kind.
 * @throws {RangeError} If `limit` is no whole number from 1, or `Infinity`.
 *
 * @example
 * ```ts
 * import { call, type Coroutine, run, sleep, spawn, until, where } from "@genos/kernel";
 * import { assertEquals } from "@std/assert";
 *
 * function* fetchAll(): Coroutine<void> {
 *   yield* sleep(60_000);
 * }
 * await run(function* () {
 *   const task = yield* spawn(function* crawler() {
 *     yield* call(fetchAll());
 *   }, { daemon: true });
 *   yield;
 *   const frames = yield* until(where(task));
 *   // with --allow-sys each also has file, line and column
 *   assertEquals(frames.map((frame) => frame.name), ["fetchAll", "crawler"]);
 * });
 * ```
 */
export async function where(task: Task, options: WhereOptions = {}): Promise<Frame[]> {
  if (!(task instanceof Task)) {
    throw new TypeError(`Cannot tell where ${describe(task)} is: a task is wanted`);
  }
  checkOptions("tell where a task is", options, WHERE_OPTIONS);
  const { locals = false, limit = 1000 } = options;
  const [standing] = await inspector.locate([task], { locals, limit });
  return standing!.frames;
}
