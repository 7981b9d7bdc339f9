/**
 * What the page `CLASSIC_BUGS.md` says holds: each of the classics is found, told with the fewest preemptions that it needs, and
 * gone when it is mended.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { explore, replay, ScheduleError } from "../testing.ts";
import { CLASSIC_BUGS, type ClassicBug, examine } from "./_classic_bugs.ts";

for (const bug of CLASSIC_BUGS) {
  Deno.test(`a classic: explore finds a ${bug.name.toLowerCase()}, and nothing where it is mended`, () => {
    const { error, report } = examine(bug);
    assertEquals([error.kind, error.preemptions], [bug.kind, bug.preemptions]);
    assert(error.runs < 1000 && error.schedule.length <= 6, error.message);
    for (const sentence of error.schedule) assertStringIncludes(error.message, sentence);
    for (let i = 0; i < 2; i++) {
      assertEquals(assertThrows(() => replay(error.replay, bug.wrong), ScheduleError).message, error.message);
    }
    // Three tasks of 30 yields have more schedules than there are seconds since the Big Bang.
    assertEquals(report.complete, bug.name !== "Order violation");
  });
}

function named(name: string): ClassicBug {
  return CLASSIC_BUGS.find((bug) => bug.name === name)!;
}

Deno.test("the bounded search finds the order violation in less than a thousand runs, where 10 000 random ones do not", () => {
  const { wrong } = named("Order violation");
  const error = assertThrows(() => explore(wrong, { strategy: "bounded" }), ScheduleError);
  assert(error.runs < 1000);
  const report = explore(wrong, { strategy: "random", runs: 10_000 });
  assertEquals([report.runs, report.complete], [10_000, false]);
});

Deno.test("the story of a torn message says how it was split", () => {
  const { error } = examine(named("Torn message"));
  assert(error.schedule.some((sentence) => /; segment gave \d of 5/.test(sentence)));
  assertEquals((error.cause as Error).name, "AssertionError");
});

Deno.test("the page of classic bugs tells what is found", () => {
  const page = Deno.readTextFileSync(new URL("./CLASSIC_BUGS.md", import.meta.url));
  for (const bug of CLASSIC_BUGS) {
    assertStringIncludes(page, `## ${bug.name}`);
    const { error, report } = examine(bug);
    for (const sentence of error.schedule) assertStringIncludes(page, sentence);
    assertStringIncludes(page, report.summary);
  }
});
