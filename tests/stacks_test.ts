import { assertEquals, assertMatch, assertStrictEquals, assertStringIncludes } from "@std/assert";
import {
  call,
  type Coroutine,
  Future,
  run,
  Scheduler,
  type SchedulerOptions,
  sleep,
  spawn,
  SystemCall,
  type Task,
  taskGroup,
  timeout,
  until,
  type Work,
} from "../mod.ts";

/** What a program fails with. */
async function failureOf(program: Work<unknown>, options: SchedulerOptions = {}): Promise<Error> {
  try {
    await new Scheduler(options).run(program, { name: "main" });
  } catch (error) {
    return error as Error;
  }
  throw new Error("It has not failed");
}

/** The lines of a stack below the message; places in this file are cut to `name:line`. */
function linesOf(error: unknown): string[] {
  const lines = ((error as Error).stack ?? "").split("\n").slice(1);
  return lines.map((line) => line.trim().replaceAll(/\(?file:\S+\/(\w+\.ts):\d+:\d+\)?/g, "<$1>"));
}

function* fail(): Coroutine<void> {
  yield;
  throw new Error("no luck");
}

function* middle(): Coroutine<void> {
  yield* call(fail());
}

Deno.test("the stack of an error that leaves a task goes on with the coroutines that called, the task, and its spawner", async () => {
  const error = await failureOf(function* () {
    yield* yield* spawn(function* server() {
      yield* call(middle());
    });
  });
  assertEquals(linesOf(error), [
    "at fail <stacks_test.ts>",
    "at coroutine middle",
    "at coroutine server",
    'in task 2 "server", spawned by task 1 "main"',
  ]);
  assertEquals(error.stack?.split("\n")[0], "Error: no luck");
});

Deno.test("it is stitched once, though the error passes through tasks that join", async () => {
  const error = await failureOf(function* () {
    const first = yield* spawn(fail(), { name: "first" });
    const second = yield* spawn(first, { name: "second" });
    yield* yield* spawn(function* third() {
      yield* second;
    });
  });
  assertEquals(linesOf(error), ["at fail <stacks_test.ts>", 'in task 2 "first", spawned by task 1 "main"']);
});

Deno.test("a coroutine that cleans up, even one that waits meanwhile, does not lose who called whom", async () => {
  function* careful(): Coroutine<void> {
    try {
      yield middle();
    } finally {
      yield* sleep(1);
    }
  }
  const error = await failureOf(function* () {
    try {
      yield careful();
    } catch (caught) {
      throw caught;
    }
  });
  assertEquals(linesOf(error), [
    "at fail <stacks_test.ts>",
    "at coroutine middle",
    "at coroutine careful",
    "at coroutine (anonymous)",
    'in task 1 "main"',
  ]);
});

Deno.test("an error that comes from outside names the coroutine that waited for it as well", async () => {
  const future = new Future<never>();
  function outside() {
    future.setException(new Error("from outside"));
  }
  setTimeout(outside, 1);
  const error = await failureOf(function* () {
    yield* call(function* asking() {
      yield* future;
    });
  });
  const lines = linesOf(error);
  assertMatch(lines[0]!, /^at .*outside .*<stacks_test.ts>$/);
  assertEquals(lines.slice(-3), ["at coroutine asking", "at coroutine (anonymous)", 'in task 1 "main"']);
});

Deno.test("the errors of a group's children, and of its body, each have their own stack", async () => {
  const error = await failureOf(taskGroup(function* body(group) {
    group.spawn(function* child() {
      throw new Error("of the child");
    });
    try {
      yield* sleep(60_000);
    } finally {
      yield middle();
    }
  })) as AggregateError;
  assertEquals(error.errors.map(linesOf), [
    ["at child <stacks_test.ts>", 'in task 2 "child", spawned by task 1 "main"'],
    ["at fail <stacks_test.ts>", "at coroutine middle", "at coroutine body", 'in task 1 "main"'],
  ]);
});

Deno.test("what a timeout throws, and what a system call throws, is told by whom it was called", async () => {
  const late = await failureOf(function* () {
    yield* call(function* impatient() {
      yield* timeout(1, sleep(60_000));
    });
  });
  assertEquals(linesOf(late).slice(-3), [
    "at coroutine impatient",
    "at coroutine (anonymous)",
    'in task 1 "main"',
  ]);
  class Refuse extends SystemCall<void> {
    handle(): void {
      throw new Error("refused");
    }
  }
  const refused = await failureOf(function* () {
    yield* call(function* asking() {
      yield new Refuse();
    });
  });
  assertMatch(linesOf(refused)[0]!, /^at Refuse\.handle /);
  assertEquals(linesOf(refused).slice(-3), [
    "at coroutine asking",
    "at coroutine (anonymous)",
    'in task 1 "main"',
  ]);
});

Deno.test("of a deep stack the innermost callers are named, and the others counted", async () => {
  function* deep(n: number): Coroutine<void> {
    if (n === 0) throw new Error("deep down");
    yield deep(n - 1);
  }
  const lines = linesOf(await failureOf(deep(1000)));
  assertEquals(lines.slice(0, 2), ["at deep <stacks_test.ts>", "at coroutine deep"]);
  assertEquals(lines.slice(-3), ["at coroutine deep", "… 969 more coroutines", 'in task 1 "main"']);
  assertEquals(lines.length, 34);
});

Deno.test("what is no error, is frozen, or has a stack of its own making, is left alone", async () => {
  const frozen = Object.freeze(new Error("frozen"));
  const before = frozen.stack;
  const accessor = Object.defineProperty(new Error("accessor"), "stack", {
    get: () => "mine",
    configurable: true,
  });
  const none = Object.defineProperty(new Error("none"), "stack", { value: 7, configurable: true });
  const hostile = new Proxy(new Error("hostile"), {
    getOwnPropertyDescriptor() {
      throw new Error("do not look");
    },
  });
  const bare = Object.create(null);
  for (
    const thrown of [frozen, accessor, none, hostile, bare, 7, undefined, null, "text", Symbol("s")]
  ) {
    const caught = await failureOf(function* () {
      throw thrown;
    });
    assertStrictEquals(caught, thrown as Error);
  }
  assertEquals([frozen.stack, accessor.stack, none.stack as unknown], [before, "mine", 7]);
  const assigned = new Error("assigned");
  assigned.stack = "a text";
  assertEquals(
    (await failureOf(function* () {
      throw assigned;
    })).stack,
    'a text\n    at coroutine (anonymous)\n    in task 1 "main"',
  );
  assigned.stack = "changed";
  assertEquals([assigned.stack, Object.keys(assigned)], ["changed", []]);
});

Deno.test("an error that is thrown again by another task has its first stack; a copy of it in a clone", async () => {
  const thrown = new Error("twice");
  const [first, second] = [await failureOf(throwing(thrown)), await failureOf(throwing(thrown))];
  assertStrictEquals(first, second);
  assertEquals(linesOf(first).filter((line) => line.startsWith("in task")), ['in task 1 "main"']);
  assertEquals(structuredClone(first).stack, first.stack);
});

function* throwing(error: unknown): Coroutine<void> {
  throw error;
}

Deno.test("onUnhandledError's default prints it", async () => {
  const printed: string[] = [];
  const { error } = console;
  console.error = (...parts: unknown[]) => printed.push(parts.map((part) => Deno.inspect(part)).join(" "));
  try {
    await new Scheduler().run(function* () {
      yield* spawn(middle(), { name: "loser" });
    }, { name: "main" });
  } finally {
    console.error = error;
  }
  assertEquals(printed.length, 1);
  assertStringIncludes(printed[0]!, "\n    at coroutine middle\n");
  assertStringIncludes(printed[0]!, '\n    in task 2 "loser", spawned by task 1 "main"');
});

Deno.test("the stack of the default scheduler's errors is stitched too, and says when the spawner has ended", async () => {
  let task: Task<void> | undefined;
  await run(function* () {
    yield* spawn(function* parent() {
      task = yield* spawn(function* orphan() {
        yield* sleep(1);
        throw new Error("alone");
      });
    });
    try {
      yield* sleep(0);
      yield* task!;
    } catch {
      // it is looked at below
    }
  });
  const { outcome } = task!;
  const lines = linesOf(outcome?.kind === "failed" ? outcome.error : undefined);
  assertMatch(lines.at(-1)!, /^in task \d+ "orphan", spawned by task \d+$/);
});

// ---- With lines ----------------------------------------------------------------------------------------------------

Deno.test("with stacks: true the calls and the spawn have their lines", async () => {
  const error = await failureOf(function* main() {
    yield* yield* spawn(function* server() {
      yield* call(middle());
    });
  }, { stacks: true });
  assertEquals(linesOf(error), [
    "at fail <stacks_test.ts>",
    "at coroutine middle <stacks_test.ts>",
    "at coroutine server <stacks_test.ts>",
    'in task 2 "server", spawned by task 1 "main" at main <stacks_test.ts>',
  ]);
});

Deno.test("with stacks: true a frame has the line of the call that the error came from, and not of a later one", async () => {
  const lines: number[] = [];
  const here = () => Number(/stacks_test\.ts:(\d+)/.exec(new Error().stack!.split("\n")[2]!)![1]);
  function* cleaning(): Coroutine<void> {
    yield* sleep(1);
    try {
      lines.push(here() + 1);
      yield* call(middle());
    } finally {
      yield* sleep(1);
    }
  }
  const error = await failureOf(cleaning(), { stacks: true });
  const called = /coroutine cleaning \(\S+?:(\d+):\d+\)/.exec(error.stack!)!;
  assertEquals([Number(called[1])], lines);
});

Deno.test("with stacks: true an error from outside has the line that waited for it, generators of a native chain included", async () => {
  const rejected = Promise.reject(new Error("from a promise"));
  const error = await failureOf(function* main() {
    yield* (function* native(): Coroutine<void> {
      yield* until(rejected);
    })();
  }, { stacks: true });
  assertEquals(linesOf(error).slice(-3), [
    "at coroutine native <stacks_test.ts>",
    "at coroutine main <stacks_test.ts>",
    'in task 1 "main", spawned at failureOf <stacks_test.ts>',
  ]);
});

Deno.test("with stacks: true a bare yield, which leaves the coroutine before the kernel sees it, has the name only", async () => {
  const error = await failureOf(function* main() {
    yield* sleep(1);
    yield middle();
  }, { stacks: true });
  assertEquals(linesOf(error).slice(1, 3), ["at coroutine middle <stacks_test.ts>", "at coroutine main"]);
});
