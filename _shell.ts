/**
 * The commands of the monitor: a line in, some lines out.
 *
 * @module
 */

import { formatPs, formatTree, formatWhere } from "./_listing.ts";
import type { Coroutine } from "./_operation.ts";
import type { Parked } from "./_parking.ts";
import { counters } from "./_counters.ts";
import { tableOf } from "./_table.ts";
import { logSystemCalls } from "./_system_call_log.ts";
import { trace } from "./_trace.ts";
import type { Scheduler } from "./scheduler.ts";
import { select } from "./_select.ts";
import { kill, SystemCall, waitTask } from "./syscalls.ts";
import type { Task } from "./task.ts";

/** The most tasks, and the most lines of a log, that one answer has. */
const MOST = 1000;

/** The most events of a trace: to write more of them would keep the tasks waiting. */
const MOST_EVENTS = 20_000;

/** How long, in ms, a kill is waited for. A cleanup may take long, and a shield for ever. */
const PATIENCE = 250;

/** The longest that a command may watch, in ms. */
const LONGEST = 600_000;

/** Whom the commands are about. */
export interface Shell {
  readonly scheduler: Scheduler;
  /** The monitor's own tasks, which are not listed unless they are asked for. */
  readonly own: ReadonlySet<Task>;
}

/**
 * A wait for what the host brings, a timer or an inspector. As a wait for the host of a daemon it does not count: a monitor
 * that watches keeps nobody from seeing a deadlock, and no virtual clock from going on.
 */
export class FromHost<T> extends SystemCall<T> {
  readonly #reason: string;
  readonly #start: () => { promise: Promise<T>; cancel?(): void };

  constructor(reason: string, start: () => { promise: Promise<T>; cancel?(): void }) {
    super();
    this.#reason = reason;
    this.#start = start;
  }

  handle(task: Task, scheduler: Scheduler): Parked {
    const { promise, cancel } = this.#start();
    const undo = cancel === undefined ? {} : { cancel };
    const parked = scheduler.park(task, { reason: this.#reason, source: "host", ...undo });
    promise.then((value) => scheduler.resume(parked, value), (error) => scheduler.fail(parked, error));
    return parked;
  }
}

/** Waits so many ms of the host's time, and keeps no process alive. */
export function hostTime(ms: number): FromHost<void> {
  return new FromHost(`${ms} ms to pass`, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    Deno.unrefTimer(timer);
    return { promise, cancel: () => clearTimeout(timer) };
  });
}

/** Something that the user has got wrong. */
class Mistake extends Error {}

interface Command {
  readonly usage: string;
  readonly help: string;
  run(shell: Shell, words: string[]): Coroutine<string>;
}

const commands: Record<string, Command> = {
  ps: {
    usage: "ps [TID] [all]",
    help: "lists the tasks, from TID on; all: the monitor's own as well",
    *run(shell, words) {
      return formatPs(listingOf(shell, words));
    },
  },
  tree: {
    usage: "tree [TID] [all]",
    help: "lists the tasks by who spawned them",
    *run(shell, words) {
      return formatTree(listingOf(shell, words));
    },
  },
  where: {
    usage: "where TID [locals]",
    help: "tells where a task stands, with its local variables",
    *run({ scheduler }, words) {
      const locals = takeWord(words, "locals");
      const task = takeTask(scheduler, words);
      const reason = `the inspector's look at ${task}`;
      return yield* new FromHost(reason, () => ({ promise: formatWhere(task, { locals, limit: 100 }) }));
    },
  },
  kill: {
    usage: "kill TID [force]",
    help: "kills a task, and waits a little for its end; force: closes its frames at once",
    *run({ scheduler, own }, words) {
      const force = takeWord(words, "force");
      const task = takeTask(scheduler, words);
      if (own.has(task)) throw new Mistake(`${task} is the monitor's own`);
      yield* kill(task, { reason: new Error("killed from the monitor"), force, wait: false });
      const { name } = yield* select({ ended: waitTask(task.tid), later: hostTime(PATIENCE) });
      if (name === "ended") return `${task} has ended: ${task._endedAs}`;
      return `${task} has been told to end, and is still ${task._standing}`;
    },
  },
  trace: {
    usage: "trace [MS]",
    help: "watches so long, 1000 ms if not given, and prints a trace for Perfetto: one line of JSON",
    *run({ scheduler }, words) {
      const ms = takeSpan(words);
      using taken = trace({ scheduler, capacity: MOST_EVENTS });
      yield* hostTime(ms);
      return JSON.stringify(taken);
    },
  },
  strace: {
    usage: "strace [MS] [TID]",
    help: "watches so long, and prints the system calls that were made",
    *run({ scheduler, own }, words) {
      const ms = takeSpan(words);
      const only = words.length === 0 ? undefined : takeTask(scheduler, words);
      const lines: string[] = [];
      let more = 0;
      using _log = logSystemCalls((line) => lines.length < MOST ? void lines.push(line) : void more++, {
        scheduler,
        filter: (task) => only === undefined ? !own.has(task) : task === only,
      });
      yield* hostTime(ms);
      if (more > 0) lines.push(`… ${more} more`);
      return lines.join("\n");
    },
  },
  count: {
    usage: "count [MS]",
    help: "watches so long, and prints how often everything happened",
    *run({ scheduler }, words) {
      const ms = takeSpan(words);
      using counting = counters({ scheduler });
      yield* hostTime(ms);
      const { calls, ...counts } = counting.read();
      const rows = Object.entries(counts);
      for (const [kind, times] of Object.entries(calls).sort(([, a], [, b]) => b - a)) {
        rows.push([`call ${kind}`, times]);
      }
      return tableOf(rows.map(([name, times]) => [name, String(times)]), [1]).join("\n");
    },
  },
  help: {
    usage: "help",
    help: "lists the commands",
    *run() {
      return helpText();
    },
  },
  quit: {
    usage: "quit",
    help: "ends the connection",
    *run() {
      return "";
    },
  },
};

function helpText(): string {
  return tableOf(Object.values(commands).map(({ usage, help }) => [usage, help])).join("\n");
}

function takeWord(words: string[], word: string): boolean {
  const at = words.indexOf(word);
  if (at !== -1) words.splice(at, 1);
  return at !== -1;
}

function takeTask(scheduler: Scheduler, words: string[]): Task {
  const word = words.shift();
  const task = scheduler.tasks.get(takeNumber(word, "a task's number is wanted"));
  if (task === undefined) throw new Mistake(`there is no task ${word}`);
  return task;
}

function takeNumber(word: string | undefined, wanted: string): number {
  if (word === undefined || !/^\d{1,15}$/.test(word)) throw new Mistake(wanted);
  return Number(word);
}

function takeSpan(words: string[]): number {
  if (words.length === 0) return 1000;
  const ms = takeNumber(words.shift(), "a time in ms is wanted");
  if (ms > LONGEST) throw new Mistake(`${LONGEST} ms are the most`);
  return ms;
}

function listingOf({ scheduler, own }: Shell, words: string[]) {
  const all = takeWord(words, "all");
  const from = words.length === 0 ? 1 : takeNumber(words.shift(), "a task's number is wanted");
  return { scheduler, from, limit: MOST, filter: (task: Task) => all || !own.has(task) };
}

/** Carries out a command. What goes wrong is told in the answer. */
export function* execute(shell: Shell, line: string): Coroutine<string> {
  const [name = "", ...words] = line.trim().split(/\s+/);
  const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
  if (command === undefined) return `unknown command; help lists those that are known`;
  try {
    const answer: string = yield* command.run(shell, words);
    if (words.length > 0) return `usage: ${command.usage}`;
    return answer;
  } catch (error) {
    if (error instanceof Mistake) return `${error.message}; usage: ${command.usage}`;
    throw error;
  }
}
