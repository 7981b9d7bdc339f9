/**
 * A stand-in for the one function of [`@std/net`](https://jsr.io/@std/net) that the tests use, so that they run
 * where JSR cannot be reached. `links` in `deno.json` puts it in place; `deno task test:jsr` runs without it.
 *
 * @module
 */

/** Options for {@linkcode getAvailablePort}. */
export interface GetAvailablePortOptions {
  /** The port to take if nobody listens on it. */
  preferredPort?: number;
}

/**
 * Returns a TCP port on which nobody listens at this moment.
 *
 * @param options Which port to try first.
 * @returns The port.
 */
export function getAvailablePort(options?: GetAvailablePortOptions): number {
  if (options?.preferredPort) {
    try {
      using listener = Deno.listen({ port: options.preferredPort });
      return listener.addr.port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  using listener = Deno.listen({ port: 0 });
  return listener.addr.port;
}
