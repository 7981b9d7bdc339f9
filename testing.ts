/**
 * What tests of genos programs are made with: a clock that stands still until it is moved, a network in memory with all the
 * troubles of a real one, an explorer that tries every schedule of a program, and a sweep that interrupts it at each of its
 * steps.
 *
 * @example
 * ```ts
 * import { Scheduler, sleep } from "@genos/kernel";
 * import { VirtualClock } from "@genos/kernel/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new Scheduler({ clock: new VirtualClock() });
 * await scheduler.run(sleep(3_600_000)); // at once
 * assertEquals(scheduler.now(), 3_600_000);
 * ```
 *
 * @module
 */

export type { Clock } from "./_clock.ts";
export { VirtualClock } from "./_virtual_clock.ts";
export {
  explore,
  type ExploreOptions,
  type ExploreReport,
  type ExploreStrategy,
  replay,
  type ReplayOptions,
} from "./_explore.ts";
export { type EventuallyOptions, World } from "./_world.ts";
export { ScheduleError, type ScheduleErrorDetails } from "./errors.ts";
export type { Choices } from "./_chance.ts";
export type { NetworkConditions, SimulatedNetworkOptions, Span } from "./_medium.ts";
export { SimulatedNetwork } from "./_simulated_network.ts";
export { sweep, SweepError, type SweepOptions, type SweepReport } from "./_sweep.ts";
