import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { registered } from "../_frames.ts";
import {
  call,
  type Coroutine,
  currentTask,
  DeadlockError,
  defer,
  Event,
  type Frame,
  join,
  kill,
  type Operation,
  Scheduler,
  shield,
  sleep,
  spawn,
  type Task,
  taskGroup,
  timeout,
  until,
  where,
  type Work,
} from "../mod.ts";

// What TypeScript erases shifts the lines of the JavaScript that runs.
interface Erased {
  readonly a: number;
  readonly b: number;
}

const granted = (name: "sys" | "run" | "read") => Deno.permissions.querySync({ name }).state === "granted";
const ignore = !granted("sys") || !granted("read");

/** The number of the line of this file that has a mark, such as `// @inner`. */
function lineWith(mark: string): number {
  const lines = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  return 1 + lines.findIndex((line) => line.endsWith(`// @${mark}`));
}

function perform<T>(program: () => Coroutine<T>): Promise<T> {
  return new Scheduler().run(program);
}

/** Starts a task that is not waited for. */
function start<T>(work: Work<T>): Operation<Task<T>> {
  return spawn(work, { daemon: true });
}

/** What the tests compare of a frame. */
function brief({ kind, name, file, line }: Frame): unknown[] {
  return file === undefined ? [kind, name] : [kind, name, file === import.meta.url ? line : file];
}

const never = new Event();

function* inner(options: Erased): Coroutine<number> {
  const local = [options.a];
  const text = "late".slice(1); // TypeScript's own things below are erased as well
  const typed: number | undefined = local[0] as number;
  yield* never.wait(); // @inner
  return typed + text.length;
}

function* outer(): Coroutine<number> {
  const options: Erased = { a: 1, b: 2 };
  for (let round = 0; round < 2; round++) {
    const name = `round ${round}`;
    const keep = () => [name, round]; // captured, so that they live in a context and not on the stack
    if (round === 1) return keep().length + (yield* call(inner(options))); // @outer
  }
  return 0;
}

class Server {
  *#secret(): Coroutine<void> {
    yield* never.wait(); // @secret
  }

  *serve(): Coroutine<void> {
    yield this.#secret(); // @serve
  }
}

Deno.test({
  name:
    "where() tells the line of the yield where each frame stands, in the TypeScript source, innermost first",
  ignore,
  async fn() {
    const frames = await perform(function* () {
      const task = yield* start(outer());
      yield;
      return yield* until(where(task));
    });
    assertEquals(frames.map(brief), [
      ["coroutine", "inner", lineWith("inner")],
      ["coroutine", "outer", lineWith("outer")],
    ]);
    assertEquals(frames[0]!.column, 3);
    assertEquals(frames[0]!.locals, undefined);
  },
});

Deno.test({
  name: "where() with locals has the variables themselves, those of inner blocks and of closures as well",
  ignore,
  async fn() {
    const options: Erased = { a: 7, b: 8 };
    const [innermost, caller] = await perform(function* () {
      const [first, second] = [yield* start(inner(options)), yield* start(outer())];
      yield;
      return [
        (yield* until(where(first, { locals: true })))[0],
        (yield* until(where(second, { locals: true })))[1],
      ];
    });
    assertEquals(innermost!.locals, { options, local: [7], text: "ate", typed: 7 });
    assert(innermost!.locals!.options === options);
    const { keep, ...rest } = caller!.locals!;
    assertEquals(rest, { options: { a: 1, b: 2 }, round: 1, name: "round 1" });
    assertEquals((keep as () => unknown)(), ["round 1", 1]);
  },
});

Deno.test({
  name: "where() names methods, private and anonymous ones too, and tells boundaries and calls in words",
  ignore,
  async fn() {
    const gate = new Event();
    const frames = await perform(function* () {
      const tasks: Task<unknown>[] = [
        yield* start(new Server().serve()),
        yield* start(function* () {
          yield* defer(sleep(0));
          yield* timeout(60_000, function* patient() {
            yield* shield(taskGroup(function* (group) {
              group.spawn(gate.wait());
              group.spawn(gate.wait());
              yield* gate.wait(); // @body
            }));
          });
        }),
        yield* start(never.wait()),
      ];
      yield;
      yield;
      const frames: Frame[][] = [];
      for (const task of tasks) frames.push(yield* until(where(task)));
      gate.set(); // nothing else ends what is in a shield
      return frames;
    });
    assertEquals(frames[0]!.map(brief), [
      ["coroutine", "#secret", lineWith("secret")],
      ["coroutine", "serve", lineWith("serve")],
    ]);
    assertEquals(frames[1]!.map((frame) => [frame.kind, frame.name]), [
      ["coroutine", ""],
      ["boundary", "group of 2 tasks"],
      ["call", "GroupCall"],
      ["boundary", "shield"],
      ["coroutine", "patient"],
      ["boundary", "timeout of 60000 ms"],
      ["coroutine", ""],
      ["boundary", "1 deferred cleanup to come"],
    ]);
    assertEquals(frames[1]![0]!.line, lineWith("body"));
    assertEquals(frames[2], [{ kind: "call", name: "WaitEvent" }]);
  },
});

Deno.test({
  name:
    "where() of a task that has not begun is its function, of the asking task its own yield, of one that has ended nothing",
  ignore,
  async fn() {
    const [fresh, self, ended] = await perform(function* () {
      const fresh = yield* start(outer);
      const early = where(fresh); // looked at before it has had its turn
      const self = yield* currentTask();
      const own = where(self);
      const frames = [yield* until(early), yield* until(own)]; // @self
      yield* kill(fresh);
      return [...frames, yield* until(where(fresh))];
    });
    assertEquals(fresh!.map((frame) => frame.name).includes("outer"), true);
    assertEquals(self!.map((frame) => [frame.kind, frame.line]), [["coroutine", lineWith("self")]]);
    assertEquals(ended, []);
  },
});

Deno.test({
  name: "where() of a task that runs on all the time answers; several may ask at once",
  ignore,
  async fn() {
    const answers = await perform(function* () {
      const busy = yield* start(function* spinning() {
        for (;;) {
          yield; // @spin
        }
      });
      const still = yield* start(outer);
      yield;
      const asked = [busy, still, busy].map((task) => where(task));
      const answers: Frame[][] = [];
      for (const answer of asked) answers.push(yield* until(answer));
      yield* kill(busy);
      return answers;
    });
    const spinning = [["coroutine", "spinning", lineWith("spin")]];
    assertEquals(answers.map((frames) => frames.map(brief)), [
      spinning,
      [["coroutine", "inner", lineWith("inner")], ["coroutine", "outer", lineWith("outer")]],
      spinning,
    ]);
    assert(!Object.getOwnPropertySymbols(globalThis).some((symbol) => symbol.description?.includes("genos")));
  },
});

Deno.test("where() lists a native yield* chain as its outermost generator, and so many frames as it is told", async () => {
  function* deep(n: number): Coroutine<void> {
    if (n === 0) yield* never.wait();
    else if (n === 2) yield* deep(n - 1); // native: the kernel does not see it
    else yield* call(deep(n - 1));
  }
  const [all, two, deepest] = await perform(function* () {
    const task = yield* start(deep(4));
    const deepest = yield* start(deep(100_000));
    while (deepest.state !== "waiting") yield;
    return [
      yield* until(where(task)),
      yield* until(where(task, { limit: 2 })),
      yield* until(where(deepest, { limit: 3 })),
    ];
  });
  const coroutine = ["coroutine", "deep"];
  const names = (frames: Frame[]) => frames.map(({ kind, name }) => [kind, name]);
  assertEquals(names(all!), [coroutine, coroutine, coroutine, coroutine]);
  assertEquals(names(two!), [coroutine, coroutine, ["omitted", "2 more frames"]]);
  assertEquals(names(deepest!), [coroutine, coroutine, coroutine, ["omitted", "99997 more frames"]]);
});

Deno.test("where() takes a task, and a limit of 1 or more", async () => {
  await assertRejects(
    () => where(7 as unknown as Task),
    TypeError,
    "Cannot tell where 7 is: a task is wanted",
  );
  await perform(function* () {
    const task = yield* currentTask();
    yield* until(
      assertRejects(
        () => where(task, { limit: 0 }),
        RangeError,
        "limit is a whole number from 1, or Infinity, not 0",
      ),
    );
  });
});

Deno.test({
  name: "DeadlockError says at which line each task stands, in its message and as data",
  ignore,
  async fn() {
    const scheduler = new Scheduler();
    const error = await assertRejects(
      () =>
        scheduler.run(function* main() {
          yield* join(yield* spawn(outer(), { name: "stuck" })); // @main
        }),
      DeadlockError,
    );
    assertStringIncludes(
      error.message,
      `
where they stand:
  task 1 "main"
    at main (${import.meta.url}:${lineWith("main")}:`,
    );
    assertStringIncludes(error.message, `\n    at inner (${import.meta.url}:${lineWith("inner")}:3)\n`);
    assertEquals(error.frames.get(2)!.map(brief), [
      ["coroutine", "inner", lineWith("inner")],
      ["coroutine", "outer", lineWith("outer")],
    ]);
    assertEquals(scheduler.tasks.size, 0);
  },
});

Deno.test("a deadlock that code outside breaks while it is looked at is none", async () => {
  const { locator } = registered;
  const gate = new Event();
  let looks = 0;
  registered.locator = {
    refusal: undefined,
    locate() {
      looks++;
      gate.set();
      return Promise.resolve([]);
    },
  };
  try {
    await new Scheduler().run(gate.wait());
  } finally {
    registered.locator = locator;
  }
  assertEquals(looks, 1);
});

Deno.test("DeadlockError of runSync, which cannot wait for lines, has the names", () => {
  let message = "";
  try {
    new Scheduler().runSync(outer());
  } catch (error) {
    message = (error as Error).message;
  }
  assertStringIncludes(message, "where they stand:\n  task 1\n    at inner\n    at outer\n");
});

// ---- Without the permission, and without the host ----------------------------------------------------------------

interface Told {
  frames: Frame[];
  /** The host's modules that were looked up. */
  asked: string[];
  /** The end of the message of a deadlock. */
  deadlock: string[];
}

const PROGRAM = new URL("_where_program.ts", import.meta.url).href;
const ALLOW = "Allow --allow-sys to see file, line and column";

/** What the program is told in a process of its own. */
async function told(variant: string, ...permissions: string[]): Promise<Told> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", ...permissions, PROGRAM, variant],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  assertEquals([code, text.decode(stderr)], [0, ""]);
  return JSON.parse(text.decode(stdout));
}

Deno.test({
  name: "where() without the permission tells names, says what to allow, and does not touch the inspector",
  ignore: !granted("run"),
  async fn() {
    const { frames, asked, deadlock } = await told("plain");
    assertEquals(frames, [
      { kind: "coroutine", name: "inner", note: ALLOW },
      { kind: "coroutine", name: "worker", note: ALLOW },
    ]);
    assertEquals(asked, []);
    assertEquals(deadlock, [
      "where they stand:",
      "  task 1",
      "    at WaitEvent",
      'If callbacks outside the kernel feed this program, say so: { deadlock: "wait" }',
    ]);
  },
});

Deno.test({
  name: "where() never asks for the permission, not even on a terminal",
  ignore: !granted("run"),
  async fn() {
    // script(1) gives the program a terminal.
    const command = [Deno.execPath(), "run", "--quiet", PROGRAM, "plain"].map((word) => `'${word}'`).join(
      " ",
    );
    const { stdout } = await new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      stdin: "null",
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      signal: AbortSignal.timeout(20_000),
    }).output();
    const { frames } = JSON.parse(new TextDecoder().decode(stdout)) as Told;
    assertEquals(frames.map((frame) => frame.name), ["inner", "worker"]);
  },
});

Deno.test({
  name:
    "where() with the permission loads the inspector when it is asked, and then has file, line and column",
  ignore: !granted("run"),
  async fn() {
    const { frames, asked, deadlock } = await told("plain", "--allow-sys");
    assertEquals(frames.map(({ name, file, note }) => [name, file, note]), [
      ["inner", PROGRAM, undefined],
      ["worker", PROGRAM, undefined],
    ]);
    assertEquals(asked[0], "node:inspector");
    assertEquals(deadlock.slice(0, 3), ["where they stand:", "  task 1", "    at WaitEvent"]);
  },
});

Deno.test({
  name:
    "where() of tasks without a coroutine, and DeadlockError of such, may be the first that a process asks",
  ignore: !granted("run"),
  async fn() {
    const { frames, deadlock } = await told("operations", "--allow-sys");
    assertEquals(frames.map(({ name, file }) => [name, file]), [["inner", PROGRAM], ["worker", PROGRAM]]);
    assertEquals(deadlock.slice(0, 3), ["where they stand:", "  task 1", "    at WaitEvent"]);
  },
});

Deno.test({
  name: "where() tells names when the inspector fails half way, and lines as soon as it does not",
  ignore: !granted("run"),
  async fn() {
    const note = "The inspector has given no answer";
    const { frames } = await told("fails", "--allow-sys");
    assertEquals(frames.map(({ name, file, note }) => [name, file, note]), [
      ["inner", undefined, note],
      ["worker", undefined, note],
      ["inner", PROGRAM, undefined],
      ["worker", PROGRAM, undefined],
    ]);
  },
});

Deno.test({
  name: "where() with stacks: true has the lines of calls without any permission",
  ignore: !granted("run"),
  async fn() {
    const [plain, stacks] = [await told("plain", "--allow-sys"), await told("stacks")];
    const places = ({ frames }: Told) => frames.map(({ name, file, line }) => [name, file, line]);
    assertEquals(places(stacks), places(plain));
    assertEquals(stacks.asked, []);
  },
});

Deno.test({
  name: "where() in a host with neither Deno nor process tells names",
  ignore: !granted("run"),
  async fn() {
    const { frames } = await told("no-host", "--allow-sys");
    assertEquals(frames, [
      { kind: "coroutine", name: "inner", note: "This host tells no lines" },
      { kind: "coroutine", name: "worker", note: "This host tells no lines" },
    ]);
  },
});
