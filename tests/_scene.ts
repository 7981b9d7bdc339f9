/**
 * What the tests of the examples' servers are written with: a transcript of what hosts do on a simulated network.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Coroutine } from "../mod.ts";
import { SimulatedNetwork, type SimulatedNetworkOptions } from "../testing.ts";
import { type Stage, stage } from "./_transcript.ts";

/** A stage whose sockets are on a simulated network. */
export interface Scene extends Stage {
  network: SimulatedNetwork;
}

/** Runs a program; what it says, with the time. It is to end its servers itself; then nothing may be left. */
export async function perform(
  options: SimulatedNetworkOptions,
  program: (scene: Scene) => Coroutine<void>,
): Promise<string[]> {
  const network = new SimulatedNetwork(options);
  const scene = { ...stage({ network }), network };
  const { scheduler, log } = scene;
  await scheduler.run(function* () {
    yield* program(scene);
    assertEquals([...scheduler.tasks.values()].filter((task) => !task.daemon).length, 1);
  });
  assertEquals([network.open, scheduler.tasks.size], [0, 0]);
  return log;
}
