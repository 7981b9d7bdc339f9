/**
 * The same small programs in genos and in its peers: run by `main.ts` in the folder where that has installed them.
 *
 * Each is written as the peer's documentation would have it. What gives way is in genos a bare `yield`, in Effection a promise
 * that is resolved, in Effect `yieldNow`.
 */

// deno-lint-ignore-file no-explicit-any -- the peers are installed when this runs

const genos: any = await import(Deno.args[0]!);
// Not literal, or they would have to be there when this is checked.
const [effectionName, effectName] = ["effection", "effect"];
const effection: any = await import(effectionName);
const { Effect, Fiber, Queue }: any = await import(effectName);

const SWITCHES = 100_000;
const SPAWNS = 10_000;
const MESSAGES = 20_000;

type Program = () => unknown;

function genosSwitch(tasks: number): Program {
  function* loop(times: number): any {
    for (let i = 0; i < times; i++) yield;
  }
  return () =>
    new genos.Scheduler().run(function* (): any {
      for (let i = 0; i < tasks; i++) yield* genos.spawn(loop(SWITCHES / tasks));
    });
}

function effectionSwitch(tasks: number): Program {
  function* loop(times: number): any {
    for (let i = 0; i < times; i++) yield* effection.until(Promise.resolve());
  }
  return () =>
    effection.run(function* (): any {
      const children = [];
      for (let i = 0; i < tasks; i++) children.push(yield* effection.spawn(() => loop(SWITCHES / tasks)));
      for (const child of children) yield* child;
    });
}

function effectSwitch(tasks: number): Program {
  const loop = (times: number) =>
    Effect.gen(function* (): any {
      for (let i = 0; i < times; i++) yield* Effect.yieldNow;
    });
  return () =>
    Effect.runPromise(Effect.gen(function* (): any {
      const children = [];
      for (let i = 0; i < tasks; i++) children.push(yield* Effect.forkChild(loop(SWITCHES / tasks)));
      for (const child of children) yield* Fiber.join(child);
    }));
}

function* one(): any {
  return 1;
}

const programs: Record<string, [number, Record<string, Program>]> = {
  "switch among 100 tasks": [SWITCHES, {
    genos: genosSwitch(100),
    Effection: effectionSwitch(100),
    Effect: effectSwitch(100),
  }],
  "switch among 1 000 tasks": [SWITCHES, {
    genos: genosSwitch(1000),
    Effection: effectionSwitch(1000),
    Effect: effectSwitch(1000),
  }],
  "spawn and join, one at a time": [SPAWNS, {
    genos: () =>
      new genos.Scheduler().run(function* (): any {
        for (let i = 0; i < SPAWNS; i++) yield* yield* genos.spawn(one());
      }),
    Effection: () =>
      effection.run(function* (): any {
        for (let i = 0; i < SPAWNS; i++) yield* yield* effection.spawn(one);
      }),
    Effect: () =>
      Effect.runPromise(Effect.gen(function* (): any {
        for (let i = 0; i < SPAWNS; i++) yield* Fiber.join(yield* Effect.forkChild(Effect.succeed(1)));
      })),
  }],
  "message through a queue": [MESSAGES, {
    genos: () =>
      new genos.Scheduler().run(function* (): any {
        const queue = new genos.Queue();
        yield* genos.spawn(function* (): any {
          for (let i = 0; i < MESSAGES; i++) yield* queue.put(i);
        });
        for (let i = 0; i < MESSAGES; i++) yield* queue.get();
      }),
    Effection: () =>
      effection.run(function* (): any {
        const queue = effection.createQueue();
        yield* effection.spawn(function* (): any {
          for (let i = 0; i < MESSAGES; i++) {
            queue.add(i);
            if (i % 100 === 0) yield* effection.until(Promise.resolve());
          }
        });
        for (let i = 0; i < MESSAGES; i++) yield* queue.next();
      }),
    Effect: () =>
      Effect.runPromise(Effect.gen(function* (): any {
        const queue = yield* Queue.unbounded();
        yield* Effect.forkChild(Effect.gen(function* (): any {
          for (let i = 0; i < MESSAGES; i++) yield* Queue.offer(queue, i);
        }));
        for (let i = 0; i < MESSAGES; i++) yield* Queue.take(queue);
      })),
  }],
};

const ROUNDS = 5;
/** How long a round lasts at least, in ms: what runs faster runs more often, and is as warm. */
const LEAST = 500;
for (const [subject, [operations, peers]] of Object.entries(programs)) {
  console.log(subject);
  const times: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, program] of Object.entries(peers)) {
      const start = performance.now();
      let runs = 0;
      do {
        await program();
        runs++;
      } while (performance.now() - start < LEAST);
      (times[name] ??= []).push((performance.now() - start) * 1e6 / (runs * operations));
    }
  }
  const median = (name: string) => times[name]!.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  for (const name of Object.keys(peers)) {
    const ratio = (median(name) / median("genos")).toFixed(1);
    console.log(`  ${name.padEnd(10)}${median(name).toFixed(0).padStart(8)} ns ${ratio.padStart(8)} ×`);
  }
}
