import { assert, assertEquals, assertThrows } from "@std/assert";
import type { NetworkConditions, Span } from "../_medium.ts";
import { Random } from "../_random.ts";
import { read, type Recording, Tape, VALUE, write } from "../_tape.ts";

/** Choices as they come: mostly quiet, in rows, and sometimes from a billion. */
function someChoices(random: Random): number[] {
  const values: number[] = [];
  for (let left = random.below(20); left > 0; left--) {
    const value = random.chance(0.5) ? 0 : random.below([2, 36, 37, 2 ** 30][random.below(4)]!);
    for (let again = random.chance(0.3) ? random.below(100) : 0; again >= 0; again--) values.push(value);
  }
  return values;
}

function someConditions(random: Random): NetworkConditions {
  const all: [keyof NetworkConditions, Span][] = [
    ["latency", [0.5, 20]],
    ["bandwidth", 1e21],
    ["segment", [1, Infinity]],
    ["reset", 1e-7],
    ["maxOpen", Infinity],
  ];
  return Object.fromEntries(all.filter(() => random.chance(0.3)));
}

Deno.test("a recording is one word for a shell, and comes back whole", () => {
  const random = new Random(1);
  for (let i = 0; i < 500; i++) {
    const recording: Recording = {
      values: someChoices(random),
      maxSteps: random.chance(0.1) ? Infinity : 1 + random.below(100_000),
      patience: random.chance(0.1) ? Infinity : 1 + random.below(1000),
      length: random.below(100_000),
      mark: random.below(2 ** 32),
      body: random.below(2 ** 32),
      network: someConditions(random),
    };
    const word = write(recording);
    assert(/^g1-[\w.~-]+$/.test(word), word);
    assertEquals(read(word), recording);
    // One letter more, less or other is told.
    const at = random.below(word.length - 3) + 3;
    for (const wrong of [word.slice(0, at) + "q" + word.slice(at), word.slice(0, at) + word.slice(at + 1)]) {
      assertThrows(() => read(wrong), TypeError, "it was not copied whole");
    }
  }
});

Deno.test("a tape grows, and keeps what was prescribed and taken", () => {
  const tape = new Tape();
  const values = Array.from({ length: 1000 }, (_, i) => i % 7);
  tape.prescribe(values);
  assertEquals([tape.given, tape.length], [1000, 0]);
  for (const value of values) tape.put(value, 7, VALUE);
  for (let i = 0; i < 2000; i++) tape.put(0, 2, VALUE);
  assertEquals(tape.length, 3000);
  assertEquals(tape.taken(), values); // 999 % 7 is 5: the zeros after it are left out
  const mark = tape.mark(1000);
  tape.values[999] = 4;
  assert(tape.mark(1000) !== mark && tape.mark(999) !== mark);
});
