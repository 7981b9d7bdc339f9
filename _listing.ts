/**
 * Listings of tasks for people: the table of `ps`, the tree of who spawned whom, the stack of one of them.
 *
 * @module
 */

import { aCount, aFunction, checkOptions, type Kinds } from "./_check.ts";
import { infoOf } from "./_deadlock.ts";
import { type Frame, linesOf } from "./_frames.ts";
import { printable, tableOf } from "./_table.ts";
import { wordsOfSpan, wordsOfValue } from "./_words.ts";
import { aScheduler, Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";
import { where, type WhereOptions } from "./where.ts";

/** What is listed. */
export interface ListingOptions {
  /** Whose tasks; the current scheduler's if not given. */
  scheduler?: Scheduler;
  /** Which of them; all if not given. */
  filter?: (task: Task) => boolean;
  /** The tid to begin with; 1 if not given. */
  from?: number;
  /** The most tasks that are listed; all if not given. */
  limit?: number;
}

const LISTING_OPTIONS: Kinds<ListingOptions> = {
  scheduler: aScheduler,
  filter: aFunction,
  from: aCount(1),
  limit: aCount(0),
};

/** The tasks that are listed, the oldest first, and what is to be said of the rest. */
function tasksOf(options: ListingOptions): { tasks: Task[]; rest: string[]; now: number } {
  checkOptions("list tasks", options, LISTING_OPTIONS);
  const { scheduler = Scheduler.current(), filter = () => true, from = 1, limit = Infinity } = options;
  const all = [...scheduler.tasks.values()].filter((task) => task.tid >= from && filter(task));
  const tasks = limit < all.length ? all.slice(0, limit) : all;
  const left = all.length - tasks.length;
  const rest = left === 0 ? [] : [`… ${left} more, from task ${all[tasks.length]!.tid}`];
  return { tasks, rest, now: scheduler.now() };
}

/**
 * The living tasks as a table, the oldest first: number, parent, state, since when it waits, steps, name, and what it waits
 * for. `d` marks daemons.
 *
 * @param options Which tasks.
 * @returns The table, a line each, without an end of line after the last.
 *
 * @example
 * ```ts
 * import { Event, Scheduler, spawn } from "@genos/kernel";
 * import { formatPs } from "@genos/kernel/monitor";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * await scheduler.run(function* main() {
 *   yield* spawn(new Event("dawn").wait(), { name: "sleeper", daemon: true });
 *   yield;
 *   assertEquals(
 *     formatPs({ scheduler }),
 *     [
 *       "tid  parent  state    for   steps  name       waits for",
 *       "  1          running            2  main",
 *       '  2       1  waiting  0 ms      1  sleeper d  event "dawn"',
 *     ].join("\n"),
 *   );
 * });
 * ```
 */
export function formatPs(options: ListingOptions = {}): string {
  const { tasks, rest, now } = tasksOf(options);
  const rows = tasks.map((task) => {
    const { tid, parent, state, since, steps, name, daemon, waitingFor } = infoOf(task);
    return [
      String(tid),
      String(parent ?? ""),
      state,
      since === undefined ? "" : wordsOfSpan(Math.max(0, Math.floor(now) - since)),
      String(steps),
      daemon ? `${name} d`.trimStart() : name,
      waitingFor ?? "",
    ];
  });
  const head = ["tid", "parent", "state", "for", "steps", "name", "waits for"];
  return [...tableOf([head, ...rows], [0, 1, 4]), ...rest].join("\n");
}

/** How deep a branch is drawn; what lies deeper is drawn there. */
const DEEPEST = 32;

/**
 * The living tasks as a tree: below each the tasks that it has spawned. One whose parent has ended is a root.
 *
 * @param options Which tasks.
 * @returns The tree, a line each, without an end of line after the last.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep, spawn } from "@genos/kernel";
 * import { formatTree } from "@genos/kernel/monitor";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * await scheduler.run(function* main() {
 *   yield* spawn(sleep(5), { name: "first" });
 *   yield* spawn(sleep(7), { name: "second" });
 *   yield;
 *   assertEquals(
 *     formatTree({ scheduler }),
 *     [
 *       "1 main: running",
 *       "├─ 2 first: sleep until 5",
 *       "└─ 3 second: sleep until 7",
 *     ].join("\n"),
 *   );
 * });
 * ```
 */
export function formatTree(options: ListingOptions = {}): string {
  const { tasks, rest } = tasksOf(options);
  const children = new Map<number, Task[]>();
  const roots: Task[] = [];
  const listed = new Set(tasks.map((task) => task.tid));
  for (const task of tasks) {
    const { parent } = task;
    if (parent === undefined || !listed.has(parent)) roots.push(task);
    else if (children.has(parent)) children.get(parent)!.push(task);
    else children.set(parent, [task]);
  }
  const lines: string[] = [];
  // A chain of tasks may be longer than the native stack is deep.
  const open = roots.reverse().map((task) => ({ task, before: "", own: "", below: "" }));
  for (let branch = open.pop(); branch !== undefined; branch = open.pop()) {
    const { task, before, own, below } = branch;
    const orphaned = own === "" && task.parent !== undefined ? ` (spawned by ${task.parent})` : "";
    const title = `${task.tid} ${task.name}`.trimEnd();
    lines.push(before + own + printable(`${title}: ${task.waitingFor ?? task.state}${orphaned}`));
    const grown = children.get(task.tid) ?? [];
    const inner = before.length + below.length > 3 * DEEPEST ? before : before + below;
    grown.reverse().forEach((child, i) => {
      open.push({
        task: child,
        before: inner,
        own: i === 0 ? "└─ " : "├─ ",
        below: i === 0 ? "   " : "│  ",
      });
    });
  }
  return [...lines, ...rest].join("\n");
}

/**
 * Where a task stands, as a stack trace: see `where`.
 *
 * @param task The task.
 * @param options Whether local variables are wanted, and how many frames.
 * @returns A line for the task and one for each frame, without an end of line after the last.
 * @throws {TypeError} If `task` is no task.
 *
 * @example
 * ```ts
 * import { run, sleep, spawn, until } from "@genos/kernel";
 * import { formatWhere } from "@genos/kernel/monitor";
 * import { assertMatch } from "@std/assert";
 *
 * await run(function* () {
 *   const task = yield* spawn(function* worker() {
 *     yield* sleep(60_000);
 *   }, { daemon: true });
 *   yield;
 *   // with --allow-sys the line of the `yield` is there as well
 *   assertMatch(yield* until(formatWhere(task)), /^task \d+ "worker": sleep until .*\n  at worker/);
 * });
 * ```
 */
export async function formatWhere(task: Task, options: WhereOptions = {}): Promise<string> {
  const frames = await where(task, options);
  const head = printable(`${task}: ${task.waitingFor ?? task.state}`);
  if (options.locals !== true) {
    return [head, ...linesOf(frames).map((line) => `  ${printable(line)}`)].join("\n");
  }
  const lines = frames.flatMap((frame) => {
    return [`  ${printable(linesOf([frame])[0]!)}`, ...localsOf(frame)];
  });
  const note = frames.find((frame) => frame.note !== undefined)?.note;
  return [head, ...lines, ...(note === undefined ? [] : [`  ${note}`])].join("\n");
}

function localsOf({ locals = {} }: Frame): string[] {
  return Object.entries(locals).map(([name, value]) => `      ${printable(name)} = ${wordsOfValue(value)}`);
}
