/**
 * The network of an explored run.
 *
 * @module
 */

import type { Network } from "./_network.ts";
import type { World } from "./_world.ts";

/** The network of a run: the one place that says which it is. */
export function networkOf(_world: World): Network {
  throw new TypeError("Cannot use the network: an explored run has none");
}
