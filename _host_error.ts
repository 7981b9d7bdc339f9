/**
 * The errors of a host that is simulated: the classes, messages and codes of Deno's, so that a program cannot tell the
 * difference; where there is no Deno, plain errors of the same names.
 *
 * @module
 */

const ERRORS = {
  AddrInUse: ["Address already in use (os error 98)", "EADDRINUSE"],
  BadResource: ["Bad resource ID", undefined],
  BrokenPipe: ["Broken pipe (os error 32)", "EPIPE"],
  ConnectionRefused: ["Connection refused (os error 111)", "ECONNREFUSED"],
  ConnectionReset: ["Connection reset by peer (os error 104)", "ECONNRESET"],
  Interrupted: ["operation canceled", "EINTR"],
  NotConnected: ["Transport endpoint is not connected (os error 107)", "ENOTCONN"],
  TimedOut: ["Connection timed out (os error 110)", "ETIMEDOUT"],
  /** Out of descriptors: for this Deno has no class. */
  Error: ["Too many open files (os error 24)", "EMFILE"],
} as const;

/** The error of that name. */
export function hostError(name: keyof typeof ERRORS): Error {
  const [message, code] = ERRORS[name];
  const { Deno } = globalThis as { Deno?: { errors: Record<string, new (message: string) => Error> } };
  const error = new (Deno?.errors[name] ?? Error)(message);
  error.name = name;
  if (code !== undefined) (error as Error & { code?: string }).code = code;
  return error;
}
