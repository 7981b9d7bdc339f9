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
} as const;

/** For these Deno has no class of their own. */
const PLAIN_ERRORS = {
  MessageTooLong: ["Message too long (os error 90)", "EMSGSIZE"],
  TooManyOpenFiles: ["Too many open files (os error 24)", "EMFILE"],
} as const;

/** The error of that name. */
export function hostError(name: keyof typeof ERRORS | keyof typeof PLAIN_ERRORS): Error {
  const { Deno } = globalThis as { Deno?: { errors: Record<string, new (message: string) => Error> } };
  let error: Error & { code?: string };
  if (name in PLAIN_ERRORS) {
    const [message, code] = PLAIN_ERRORS[name as keyof typeof PLAIN_ERRORS];
    error = Object.assign(new Error(message), { code });
  } else {
    const [message, code] = ERRORS[name as keyof typeof ERRORS];
    error = new (Deno?.errors[name] ?? Error)(message);
    error.name = name;
    if (code !== undefined) error.code = code;
  }
  return error;
}
