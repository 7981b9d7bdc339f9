/**
 * A program that explores one with a bug, and says what found it and how to run that again.
 *
 * @module
 */
import { explore, ScheduleError } from "../testing.ts";

try {
  explore((world) => {
    let balance = 0;
    for (let i = 0; i < 2; i++) {
      world.spawn(function* () {
        const before = balance;
        yield;
        balance = before + 1;
      });
    }
    return () => {
      if (balance !== 2) throw new Error("lost");
    };
  });
} catch (error) {
  if (!(error instanceof ScheduleError)) throw error;
  console.log(`${error.strategy}\n${error.command}`);
}
