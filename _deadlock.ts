/**
 * Deadlocks: what is said of tasks that wait for each other.
 *
 * The waits of tasks are a graph: each wait knows the tasks without which it cannot end. A wait that would close a ring in
 * it is refused when it is asked for, while the one who asks can still do something else.
 *
 * @module
 */

import { EndCallback } from "./_endings.ts";
import { framesOf, lineOf, registered, type Standing } from "./_frames.ts";
import { printable, tableOf } from "./_table.ts";
import { DeadlockError } from "./errors.ts";
import type { TaskInfo } from "./_options.ts";
import type { Wait } from "./_parking.ts";
import type { Task } from "./task.ts";

/** Of how many tasks, and how far down, the report says where they stand. */
const LOOK = { tasks: 32, frames: 16 };

/**
 * Looks where tasks stand, for a report; undefined where nobody can tell more than the names, or they have had their report.
 *
 * @param tasks Those that wait.
 */
export function standingsOf(tasks: Task[]): Promise<Standing[]> | undefined {
  const { locator } = registered;
  const told = tasks.every((task) => task._extras?.kill);
  if (locator === undefined || locator.refusal !== undefined || told) return undefined;
  return locator.locate(tasks.slice(0, LOOK.tasks), { locals: false, limit: LOOK.frames });
}

/**
 * The report that nothing can ever go on.
 *
 * @param tasks Those that wait.
 * @param standings Where some of them stand, if somebody has looked; by name otherwise.
 */
export function deadlockOf(tasks: Task[], standings: Standing[] = []): DeadlockError {
  const frames = new Map(
    tasks.slice(0, LOOK.tasks).map((task) => {
      const seen = standings.find((standing) => standing.task === task && standing.steps === task._steps);
      return [task.tid, seen?.frames ?? framesOf(task, LOOK.frames, registered.locator?.refusal)];
    }),
  );
  const note = [...frames.values()].flat().find((frame) => frame.note !== undefined)?.note;
  const lines = [
    "Nothing can go on: no task is ready, no timer is set, and nothing outside is waited for",
    ...listWaits(tasks),
    "where they stand:",
    ...tasks.slice(0, LOOK.tasks).flatMap((task) => [
      printable(`  ${task}`),
      ...frames.get(task.tid)!.map((frame) => printable(`    ${lineOf(frame)}`)),
    ]),
    ...(tasks.length > LOOK.tasks ? [`  and ${tasks.length - LOOK.tasks} more`] : []),
    ...(note === undefined ? [] : [note]),
    'If callbacks outside the kernel feed this program, say so: { deadlock: "wait" }',
  ];
  return new DeadlockError(lines.join("\n"), tasks.map(infoOf), frames);
}

/** A wait that somebody has written names tasks, which know nothing of it. */
let waitsNameHolders = false;

/**
 * Refuses a wait that somebody has written if it would close a ring.
 *
 * @param task Who would wait.
 * @param wait What it would wait for.
 * @throws {DeadlockError} If one of those without whom it cannot end waits for `task`, be it through others.
 */
export function refuseRingOf(task: Task, wait: Wait): void {
  waitsNameHolders = true;
  for (const holder of holdersOf(wait)) task._scheduler._refuseRing(task, holder);
}

/** The tasks without which a wait cannot end. */
function holdersOf(wait: Wait | undefined): Task[] {
  try {
    return [...wait?.holders?.() ?? []];
  } catch {
    return []; // somebody else's method
  }
}

/**
 * Refuses a wait that would close a ring.
 *
 * @param task Who would wait.
 * @param target For whom.
 * @throws {DeadlockError} If `target` waits for `task`, be it through others.
 */
export function refuseRing(task: Task, target: Task): void {
  if (task !== target && target._parked === null) return; // it waits for nobody
  const isWaitedFor = task === target || hasJoiners(task) || task._owner?.joins || task._extras?.held ||
    waitsNameHolders;
  if (!isWaitedFor) return;
  const ring = ringOf(task, target);
  if (ring === undefined) return;
  const links = ring.map((member, i) => `${member} waits for ${ring[(i + 1) % ring.length]}`).join(", ");
  throw new DeadlockError(
    `Cannot wait for ${target}, it would close a ring: ${links}`,
    ring.map(infoOf),
    new Map(ring.map((member) => [member.tid, framesOf(member, LOOK.frames, undefined)])),
  );
}

function hasJoiners(task: Task): boolean {
  for (let waiter = task._first; waiter !== null; waiter = waiter._next) {
    // In a chain of a thousand futures of coroutines, each would else look through all the others.
    if (!(waiter instanceof EndCallback)) return true;
    if (waiter.relay !== null && waiter.relay._first !== null) return true;
  }
  return false;
}

/** The ring of waits that `task` would close by waiting for `target`; one under an armed timeout opens by itself. */
function ringOf(task: Task, target: Task): Task[] | undefined {
  const cameFrom = new Map<Task, Task>([[target, task]]);
  const open = [target];
  for (let member = open.pop(); member !== undefined; member = open.pop()) {
    if (hasArmedTimeout(member)) continue;
    if (member === task) {
      const ring: Task[] = [];
      for (let link = cameFrom.get(task)!; link !== task; link = cameFrom.get(link)!) ring.unshift(link);
      return [task, ...ring];
    }
    for (const holder of holdersOf(member._parked?._wait)) {
      if (cameFrom.has(holder)) continue;
      cameFrom.set(holder, member);
      open.push(holder);
    }
  }
  return undefined;
}

/** Whether its wait ends by itself one day: a timeout outside a shield is held back by it, and with it the wait. */
function hasArmedTimeout(task: Task): boolean {
  for (let b = task._boundary; b !== null && !b.shielding; b = b.outer) if (b.armed) return true;
  return false;
}

/** A table of tasks: what each waits for, and who could end that. */
export function listWaits(tasks: Task[]): string[] {
  const rows = tasks.map((task) => [
    String(task.tid),
    task.name,
    task.waitingFor ?? task.state,
    holdersOf(task._parked?._wait).map(String).join(", "),
  ]);
  return tableOf([["tid", "name", "waits for", "held by"], ...rows]).map((line) => `  ${line}`);
}

/** What `ps` says of a task. */
export function infoOf(task: Task): TaskInfo {
  return {
    tid: task.tid,
    parent: task.parent,
    name: task.name,
    state: task.state,
    waitingFor: task.waitingFor,
    since: task._parked?._since,
    steps: task._steps,
    daemon: task.daemon,
  };
}

/** A task and what it waits for, in words. */
export function waits(task: Task): string {
  return `${task} waits for ${task.waitingFor}`;
}
