/**
 * Where a suspended generator stands, from V8 itself.
 *
 * V8 knows of each suspended generator the line of its `yield` and its local variables, and tells its debugger's protocol.
 * Deno and Node.js let a program speak that protocol with itself (`node:inspector`), so nothing has to be noted while tasks
 * run: the whole price is paid by the one who asks, about 0.1 ms a frame. The alternative, to capture a stack at each call
 * in case somebody will ask, is there as `stacks: true`, and costs microseconds each.
 *
 * A request is carried out inside `post`, and answered in a later microtask. A look at a task takes two requests, so the task
 * may move in between; its steps are counted, and a look at one that has moved is taken again. After some attempts the last
 * one stands: each of its lines was true when it was read. A look that has what it wants ends the conversation, and what is
 * unanswered then comes back as an error, which is nobody's: to wait for it would make a report late, or hang it.
 *
 * The host asks the user for the permission to connect, on the terminal, unless it is given. So that is looked up first, and
 * without it nothing is tried.
 *
 * @module
 */

import { type Frame, framesOf, type LocateOptions, type Locator, type Sight, sightsOf } from "./_frames.ts";
import type { Standing } from "./_frames.ts";
import type { Task } from "./task.ts";

/** How often a task that moves is looked at. */
const ATTEMPTS = 4;

// What is used of the host. It is looked up when it is wanted, and may not be there.

interface Session {
  connect(): void;
  disconnect(): void;
  post(method: string, params: object, answer: (error: Error | null, result: unknown) => void): void;
  on(event: string, listener: (message: { params: { scriptId: string; url: string } }) => void): void;
}

interface SourceMap {
  findEntry(line: number, column: number): {
    originalSource?: string;
    originalLine?: number;
    originalColumn?: number;
  };
}

interface Host {
  Deno?: { permissions?: { querySync?(descriptor: { name: string; kind: string }): { state: string } } };
  process?: { getBuiltinModule?(name: string): Record<string, unknown> | undefined };
}

interface InternalProperty {
  name: string;
  value?: { objectId?: string; value?: unknown };
}

/** The host's modules, if it has them. */
interface Modules {
  Session: new () => Session;
  findSourceMap: ((path: string) => SourceMap | undefined) | undefined;
  fileURLToPath: ((url: string) => string) | undefined;
}

const host = globalThis as Host;

/** Where the engine, which runs a text, finds what it is to look at: a place that only this copy of the module has. */
const PLACE = `genos.shown.${Math.random().toString(36).slice(2)}`;
const SHOWN: unique symbol = Symbol.for(PLACE);
const THERE = `globalThis[Symbol.for("${PLACE}")]`;
const shown = globalThis as { [SHOWN]?: { generators: Generator[]; take(scope: { object: object }): void } };

let modules: Modules | null | undefined;

/** Looks the modules up: null if the host does not have them. */
function modulesOf({ process }: Host): Modules | null {
  try {
    const inspector = process?.getBuiltinModule?.("node:inspector");
    if (typeof inspector?.Session !== "function") return null;
    const { findSourceMap } = process!.getBuiltinModule!("node:module") ?? {};
    const { fileURLToPath } = process!.getBuiltinModule!("node:url") ?? {};
    return { Session: inspector.Session, findSourceMap, fileURLToPath } as Modules;
  } catch {
    return null;
  }
}

/** The URLs of scripts by id, as far as they have been asked for. An id is never given twice. */
const urls = new Map<string, string>();

/** One conversation with the engine. */
class Look {
  readonly #session: Session;
  readonly #modules: Modules;
  readonly #maps = new Map<string, SourceMap | undefined>();
  /** The engine has told the URLs of its scripts. */
  #told: Promise<void> | undefined;

  constructor(modules: Modules) {
    this.#modules = modules;
    this.#session = new modules.Session();
    this.#session.connect();
    if (urls.size === 0) this.#askForUrls(); // it takes long: before a task is looked at, which may move meanwhile
  }

  end(): void {
    try {
      this.#session.disconnect();
    } catch {
      // The host has ended it already.
    }
  }

  /**
   * Adds to the frames of generators where they stand.
   *
   * @returns Whether they have stood still for it: `steps` was the same when the last thing was read.
   */
  async add(sights: Sight[], locals: boolean, steps: () => number): Promise<boolean> {
    const before = steps();
    const coroutines = sights.filter((sight) => sight.generator !== undefined);
    const scopes: Record<string, unknown>[] = [];
    shown[SHOWN] = {
      generators: coroutines.map((sight) => sight.generator!),
      take: (scope) => void scopes.push({ ...scope.object }),
    };
    try {
      const ids = await Promise.all(coroutines.map((_, i) => this.#idOf(i)));
      const reading = Promise.all(ids.map((id) => this.#internalsOf(id)));
      let after = steps();
      const internals = await reading;
      const found = locals ? await Promise.all(internals.map((own) => this.#localsOf(own, scopes))) : [];
      if (locals) after = steps();
      const places = await Promise.all(internals.map((own) => this.#placeOf(own)));
      coroutines.forEach((sight, i) => {
        sight.frame = { ...sight.frame, ...places[i], ...(found[i] && { locals: found[i] }) };
      });
      return before === after;
    } finally {
      delete shown[SHOWN];
    }
  }

  async #idOf(i: number): Promise<string> {
    const expression = `${THERE}.generators[${i}]`;
    const { result } = await this.#post<{ result: { objectId: string } }>("Runtime.evaluate", { expression });
    return result.objectId;
  }

  async #internalsOf(objectId: string): Promise<InternalProperty[]> {
    const { internalProperties } = await this.#post<{ internalProperties?: InternalProperty[] }>(
      "Runtime.getProperties",
      { objectId, ownProperties: true },
    );
    return internalProperties ?? [];
  }

  async #placeOf(
    properties: InternalProperty[],
  ): Promise<Pick<Frame, "file" | "line" | "column"> | undefined> {
    const location = valueOf(properties, "[[GeneratorLocation]]")?.value as
      | { scriptId: string; lineNumber: number; columnNumber: number }
      | undefined;
    if (location === undefined) return undefined;
    if (!urls.has(location.scriptId)) await this.#askForUrls();
    const file = urls.get(location.scriptId);
    if (file === undefined) return undefined;
    const { lineNumber, columnNumber } = location;
    const entry = this.#mapOf(file)?.findEntry(lineNumber, columnNumber);
    const mapped = entry?.originalSource !== undefined && entry.originalLine !== undefined;
    return {
      file: mapped ? entry.originalSource! : file,
      line: (mapped ? entry.originalLine! : lineNumber) + 1,
      column: (mapped ? entry.originalColumn ?? 0 : columnNumber) + 1,
    };
  }

  /** The engine tells the URLs of its scripts only when the debugger is on; with that, all of them. */
  #askForUrls(): Promise<void> {
    if (this.#told === undefined) {
      this.#session.on("Debugger.scriptParsed", ({ params }) => urls.set(params.scriptId, params.url));
      this.#told = Promise.all([this.#post("Debugger.enable"), this.#post("Debugger.disable")]).then(
        () => {},
      );
      this.#told.catch(() => {}); // a look at tasks without a coroutine does not wait for it
    }
    return this.#told;
  }

  #mapOf(url: string): SourceMap | undefined {
    if (!this.#maps.has(url)) {
      const { findSourceMap, fileURLToPath } = this.#modules;
      const path = url.startsWith("file:") ? fileURLToPath?.(url) : undefined;
      this.#maps.set(url, (path && findSourceMap?.(path)) || findSourceMap?.(url));
    }
    return this.#maps.get(url);
  }

  /** The variables of the function and of the blocks that the generator stands in; an inner one hides an outer one. */
  async #localsOf(
    properties: InternalProperty[],
    scopes: Record<string, unknown>[],
  ): Promise<Record<string, unknown> | undefined> {
    const { objectId } = valueOf(properties, "[[Scopes]]") ?? {};
    if (objectId === undefined) return undefined;
    const { result } = await this.#post<{ result: { value?: { objectId: string; description: string } }[] }>(
      "Runtime.getProperties",
      { objectId, ownProperties: true },
    );
    const locals: Record<string, unknown> = {};
    for (const { value: scope } of result) {
      if (scope === undefined || !/^(Local|Block|Catch|With Block|Eval)\b/.test(scope.description)) break;
      const functionDeclaration = `function () { ${THERE}.take(this); }`;
      scopes.length = 0;
      const taken = this.#post("Runtime.callFunctionOn", { objectId: scope.objectId, functionDeclaration });
      const values = scopes.pop(); // a request is carried out at once, only its answer is late
      await taken;
      for (const [name, value] of Object.entries(values ?? {})) {
        if (!Object.hasOwn(locals, name)) locals[name] = value;
      }
      if (scope.description.startsWith("Local")) break;
    }
    return locals;
  }

  #post<T>(method: string, params: object = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, params, (error, result) => error ? reject(error) : resolve(result as T));
    });
  }
}

function valueOf(properties: InternalProperty[], name: string): InternalProperty["value"] {
  return properties.find((property) => property.name === name)?.value;
}

/** One look at a time: they share the place where the engine finds what it is to look at. */
let before: Promise<unknown> = Promise.resolve();

class InspectorLocator implements Locator {
  get refusal(): string | undefined {
    if (host.process?.getBuiltinModule === undefined) return "This host tells no lines";
    try {
      const query = host.Deno?.permissions?.querySync;
      const state = query?.call(host.Deno!.permissions, { name: "sys", kind: "inspector" }).state;
      if (state !== undefined && state !== "granted") return "Allow --allow-sys to see file, line and column";
    } catch {
      return "This host tells no lines";
    }
    return modules === null ? "This host tells no lines" : undefined;
  }

  async locate(tasks: Task[], options: LocateOptions): Promise<Standing[]> {
    const mine = before.then(() => this.#look(tasks, options));
    before = mine.catch(() => {}); // what is wrong with one look is not wrong with the next
    return await mine;
  }

  async #look(tasks: Task[], options: LocateOptions): Promise<Standing[]> {
    let look: Look | undefined;
    const standings: Standing[] = [];
    try {
      if (this.refusal === undefined) modules ??= modulesOf(host);
      if (this.refusal === undefined && modules) look = new Look(modules);
    } catch {
      modules = null; // it cannot be connected to here
    }
    for (const task of tasks) standings.push(await this.#lookAt(task, look, options));
    look?.end();
    return standings;
  }

  async #lookAt(task: Task, look: Look | undefined, { locals, limit }: LocateOptions): Promise<Standing> {
    for (let attempt = 1; look !== undefined; attempt++) {
      const { _steps: steps } = task;
      const sights = sightsOf(task, limit);
      try {
        const stoodStill = await look.add(sights, locals, () => task._steps);
        if (stoodStill || attempt === ATTEMPTS) {
          return { task, steps, frames: sights.map((sight) => sight.frame) };
        }
      } catch {
        break;
      }
    }
    const note = look === undefined ? this.refusal : "The inspector has given no answer";
    return { task, steps: task._steps, frames: framesOf(task, limit, note) };
  }
}

export const inspector: Locator = new InspectorLocator();
