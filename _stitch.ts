/**
 * Stitched stacks: who called, where the native stack ends.
 *
 * The native stack of an error that a coroutine throws shows that coroutine and then the kernel: its callers lie on the
 * task's own stack. So when an error leaves a task, its `stack` is continued: the coroutines that called, the task, and the
 * task that spawned it. It becomes one stack, as if the calls had been plain ones.
 *
 * Nothing is done for it until an error is thrown. Then, at the first frame that it leaves, the kernel notes where that was:
 * two pointers, as the stack of frames is a linked list that nobody changes. Names and text are left to the first who reads
 * `stack`: V8 takes 20 µs and more to put a stack in words, and most errors are caught and never read. Until then the error
 * keeps the coroutines that it has ended, as V8's own note of a stack does.
 *
 * @module
 */

import type { Frame } from "./_boundary.ts";
import { linesOfTrace, programLines, type Trace } from "./_call_sites.ts";
import { functionNameOf } from "./_function_name.ts";
import { type FrameIterator, isGenerator } from "./_operation.ts";
import { Cancelled } from "./errors.ts";
import type { Task } from "./task.ts";

/** The most callers that are named. */
const MOST = 32;

/** Where an error was thrown. */
interface Origin {
  readonly task: Task;
  readonly top: FrameIterator | null;
  readonly below: Frame | null;
  /** The lines where the callers stood, if they are noted: they may go on before the error leaves the task. */
  readonly calls: (Trace | undefined)[] | undefined;
}

const STITCHED = "stitched";

const origins = new WeakMap<object, Origin | typeof STITCHED>();

/** An error leaves the coroutine on top of a task's stack. The first one that it leaves is where it was thrown. */
export function noteThrow(task: Task, error: unknown): void {
  if (typeof error !== "object" || error === null || error instanceof Cancelled) return;
  const known = origins.get(error);
  if (known !== undefined && (known === STITCHED || known.task === task)) return;
  const { _top: top, _stack: below } = task;
  const sites = task._scheduler._callSites;
  const calls = sites === undefined ? undefined : callers(top, below).map((caller) => sites.callOf(caller));
  origins.set(error, { task, top, below, calls });
}

/** The coroutines on a stack, innermost first, so many. */
function callers(top: FrameIterator | null, below: Frame | null): Generator[] {
  const found: Generator[] = isGenerator(top) ? [top] : [];
  for (let frame = below; frame !== null && found.length < MOST; frame = frame.below) {
    if (isGenerator(frame.iterator)) found.push(frame.iterator);
  }
  return found;
}

// In V8 `stack` is an accessor on each error, with one getter for all. What has another, or none, is somebody's own.
const nativeGetter = Object.getOwnPropertyDescriptor(new Error(), "stack")?.get;

/** An error leaves its task: continues its stack, once. */
export function stitch(task: Task, error: unknown): void {
  if (typeof error !== "object" || error === null || error instanceof Cancelled) return;
  if (error instanceof AggregateError && Array.isArray(error.errors)) {
    // What the body of a group threw has not left a task before.
    for (const member of error.errors) {
      const origin = typeof member === "object" && member !== null ? origins.get(member) : undefined;
      if (origin !== undefined && origin !== STITCHED && origin.task === task) stitchOne(task, member);
    }
  }
  stitchOne(task, error);
}

function stitchOne(task: Task, error: object): void {
  const noted = origins.get(error);
  if (noted === STITCHED) return;
  origins.set(error, STITCHED);
  try {
    const property = Object.getOwnPropertyDescriptor(error, "stack");
    if (property?.configurable !== true) return;
    const isNative = nativeGetter !== undefined && property.get === nativeGetter;
    if (!isNative && typeof property.value !== "string") return;
    const origin = noted?.task === task ? noted : undefined;
    const spawner = spawnerOf(task);
    const read = isNative ? () => Reflect.apply(nativeGetter, error, []) : () => property.value;
    let text: unknown;
    Object.defineProperty(error, "stack", {
      configurable: true,
      enumerable: property.enumerable === true,
      get: () => text ??= compose(read(), task, spawner, origin),
      set(value: unknown) {
        Object.defineProperty(this, "stack", {
          value,
          configurable: true,
          enumerable: false,
          writable: true,
        });
      },
    });
  } catch {
    // An error that does not let itself be looked at or changed is left as it is.
  }
}

/** Who spawned a task. The kernel forgets a task that has ended, and with it the name; but a run keeps its main. */
function spawnerOf(task: Task): string | undefined {
  const { parent, _owner: owner } = task;
  if (parent === undefined) return undefined;
  const spawner = task._scheduler.tasks.get(parent) ?? owner?.run?.main;
  return spawner?.tid === parent ? String(spawner) : `task ${parent}`;
}

const INDENT = "    ";

function compose(
  stack: unknown,
  task: Task,
  spawner: string | undefined,
  origin: Origin | undefined,
): unknown {
  if (typeof stack !== "string") return stack;
  const text = stack.split("\n");
  const start = text.findIndex((line) => /^\s+at /.test(line));
  const head = start === -1 ? text : text.slice(0, start);
  const native = programLines(start === -1 ? [] : text.slice(start));
  const line = task._scheduler._callSites?.spawnOf(task);
  const spawned = spawner === undefined && line === undefined
    ? ""
    : `, spawned${spawner === undefined ? "" : ` by ${spawner}`}${line === undefined ? "" : ` at ${line}`}`;
  return [
    ...head,
    ...native.lines,
    ...(origin === undefined ? [] : callerLines(origin, native.inTask ? native.lines : [])),
    `${INDENT}in ${task}${spawned}`,
  ].join("\n");
}

/** Whether a line of a native stack is one of a function of this name. */
function isLineOf(line: string, name: string): boolean {
  return name === "" ? /^at [^()]+:\d+:\d+$/.test(line) : line.startsWith(`at ${name} (`);
}

/** The coroutines that called, innermost first. One that threw the error itself is there already. */
function callerLines({ top, below, calls }: Origin, there: string[]): string[] {
  const found = callers(top, below);
  const lines = found.flatMap((caller, i) => {
    const name = functionNameOf(caller);
    if (i === 0 && there.some((line) => isLineOf(line.trim(), name))) return [];
    const { lines } = linesOfTrace(calls?.[i]);
    if (lines.length > 0) return lines.map((line) => line.replace(/^\s*at /, `${INDENT}at coroutine `));
    return [`${INDENT}at coroutine ${name === "" ? "(anonymous)" : name}`];
  });
  if (found.length < MOST) return lines;
  let omitted = (isGenerator(top) ? 1 : 0) - found.length;
  for (let frame = below; frame !== null; frame = frame.below) if (isGenerator(frame.iterator)) omitted++;
  if (omitted > 0) lines.push(`${INDENT}… ${omitted} more ${omitted === 1 ? "coroutine" : "coroutines"}`);
  return lines;
}
