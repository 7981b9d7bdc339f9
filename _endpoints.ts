/**
 * Where to listen and what to connect to: options, as users write them, and the endpoints of the network that they mean.
 *
 * What is wrong with them is said here, at once and to the caller. A network gets only what makes sense.
 *
 * @module
 */

import type {
  ConnectEndpoint,
  DatagramEndpoint,
  Endpoint,
  ListenEndpoint,
  TlsClientOptions,
} from "./_network.ts";
import type { UnixEndpoint } from "./_network.ts";
import { aBoolean, aCount, check, isRecord } from "./_check.ts";
import { describe } from "./_operation.ts";

/** Where to listen: a port of the internet. */
export interface TcpListenOptions {
  /** The number of the port; 0 for any that is free. */
  port: number;
  /** The address to listen on, or its name; `0.0.0.0`, all of the machine's, if not given. */
  hostname?: string;
  /**
   * Others, in this process or another, may listen on the same port, and the system deals the connections out among them.
   * Deno needs the flag `--unstable-net` for it.
   */
  reusePort?: boolean;
  /** How many connections may wait to be accepted; 511 if not given. */
  tcpBacklog?: number;
  /** A Unix socket has one, and no port. */
  path?: never;
  /** With TLS there is one, and a key. */
  cert?: never;
  /** With TLS there is one, and a certificate. */
  key?: never;
  /** With TLS there may be some. */
  alpnProtocols?: never;
}

/** Where to listen for connections that speak TLS. */
export interface TlsListenOptions extends Omit<TcpListenOptions, "cert" | "key" | "alpnProtocols"> {
  /** The certificate, with those that vouch for it, in PEM format. */
  cert: string;
  /** Its private key, in PEM format. */
  key: string;
  /** The application protocols that are spoken, the preferred first (ALPN). */
  alpnProtocols?: string[];
}

/** Where to listen: a Unix socket. */
export interface UnixListenOptions {
  /** The path of its file, which must not exist yet, and is removed by `close`. */
  path: string;
  /** The internet has one, and no path. */
  port?: never;
}

/** Where to listen. */
export type ListenOptions = TcpListenOptions | TlsListenOptions | UnixListenOptions;

/** What to connect to: a port of the internet. */
export interface TcpConnectOptions {
  /** The number of the port. */
  port: number;
  /** The address, or its name; `127.0.0.1` if not given. */
  hostname?: string;
  /** The connection is to speak TLS; `true` for the usual options. */
  tls?: true | TlsConnectOptions;
  /** A Unix socket has one, and no port. */
  path?: never;
}

/** How a connection comes to speak TLS. */
export interface TlsConnectOptions extends TlsClientOptions {
  /** The name that the server's certificate is to bear; the `hostname` if not given. */
  serverName?: string;
  /** A certificate of one's own to show, in PEM format. Deno cannot do that and check another name than the `hostname`. */
  cert?: string;
  /** Its private key, in PEM format. */
  key?: string;
}

/** How a connection that is there comes to speak TLS. */
export interface StartTlsOptions extends TlsClientOptions {
  /** The name that the server's certificate is to bear; the `hostname` that was connected to if not given. */
  hostname?: string;
}

/** What to connect to: a Unix socket. */
export interface UnixConnectOptions {
  /** The path of its file. */
  path: string;
  /** The internet has one, and no path. */
  port?: never;
}

/** What to connect to. */
export type ConnectOptions = TcpConnectOptions | UnixConnectOptions;

/** Where to receive datagrams. */
export interface DatagramOptions {
  /** The number of the port; 0, any that is free, if not given. */
  port?: number;
  /** The address, or its name; `0.0.0.0`, all of the machine's, if not given. */
  hostname?: string;
  /** Takes the address even if another socket has it. */
  reuseAddress?: boolean;
}

export function listenEndpoint(options: ListenOptions): ListenEndpoint {
  checkOptions(options, "listen");
  if (options.path !== undefined) return unixEndpoint(options, "listen");
  const { port, hostname = "0.0.0.0", reusePort, tcpBacklog } = options;
  checkPort(port, 0, "listen");
  checkHostname(hostname, "listen");
  check("listen", "reusePort", reusePort, aBoolean);
  check("listen", "tcpBacklog", tcpBacklog, aCount(1, 2 ** 31 - 1));
  const endpoint = {
    hostname,
    port,
    ...(reusePort === true ? { reusePort } : {}),
    ...(tcpBacklog === undefined ? {} : { tcpBacklog }),
  };
  const { cert, key, alpnProtocols } = options as Partial<TlsListenOptions>;
  if (cert === undefined && key === undefined) {
    if (alpnProtocols !== undefined) {
      throw new TypeError("Cannot listen: TLS wants a certificate and its key, not alpnProtocols alone");
    }
    return endpoint;
  }
  checkKeyPair(cert, key, "listen");
  checkStrings(alpnProtocols, "alpnProtocols", "listen");
  return { ...endpoint, tls: { cert: cert!, key: key!, ...given({ alpnProtocols }) } };
}

export function connectEndpoint(options: ConnectOptions): ConnectEndpoint {
  checkOptions(options, "connect");
  if (options.path !== undefined) return unixEndpoint(options, "connect");
  const { port, hostname = "127.0.0.1", tls } = options;
  checkPort(port, 1, "connect");
  checkHostname(hostname, "connect");
  if (tls === undefined || tls as unknown === false) return { hostname, port };
  if (tls === true) return { hostname, port, tls: { serverName: hostname } };
  if (!isRecord(tls)) {
    throw new TypeError(`Cannot connect: tls is true or options, not ${describe(tls)}`);
  }
  const { serverName = hostname, cert, key } = tls;
  checkString(serverName, "serverName", "connect");
  const client = tlsClientOptions(tls, "connect");
  if (cert === undefined && key === undefined) return { hostname, port, tls: { ...client, serverName } };
  checkKeyPair(cert, key, "connect");
  if (serverName !== hostname) {
    throw new TypeError("Cannot connect: with a certificate of one's own, serverName must be the hostname");
  }
  return { hostname, port, tls: { ...client, serverName, cert: cert!, key: key! } };
}

export function datagramEndpoint(options: DatagramOptions): DatagramEndpoint {
  checkOptions(options, "listen for datagrams");
  const { port = 0, hostname = "0.0.0.0", reuseAddress } = options;
  checkPort(port, 0, "listen for datagrams");
  checkHostname(hostname, "listen for datagrams");
  check("listen for datagrams", "reuseAddress", reuseAddress, aBoolean);
  return { hostname, port, ...(reuseAddress === true ? { reuseAddress } : {}) };
}

/** What a TLS client is told, checked, and without what was not given. */
export function tlsClientOptions(options: TlsClientOptions, verb: string): TlsClientOptions {
  const { caCerts, alpnProtocols, unsafelyDisableHostnameVerification } = options;
  checkStrings(caCerts, "caCerts", verb);
  checkStrings(alpnProtocols, "alpnProtocols", verb);
  check(verb, "unsafelyDisableHostnameVerification", unsafelyDisableHostnameVerification, aBoolean);
  return given({ caCerts, alpnProtocols, unsafelyDisableHostnameVerification });
}

/** An address in words: `127.0.0.1:5678`, `[::1]:5678`, a path. */
export function nameOf(addr: Endpoint | Deno.Addr): string {
  if ("hostname" in addr) {
    return addr.hostname.includes(":") ? `[${addr.hostname}]:${addr.port}` : `${addr.hostname}:${addr.port}`;
  }
  // A client of a Unix socket has no path.
  return "path" in addr ? addr.path || "unix" : `${addr.transport}:${addr.cid}:${addr.port}`;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function given<T extends object>(record: T): Given<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Given<T>;
}

function unixEndpoint(options: UnixListenOptions, verb: string): UnixEndpoint {
  if (options.port !== undefined) throw new TypeError(`Cannot ${verb}: a port or a path is wanted, not both`);
  const { path } = options;
  checkString(path, "path", verb);
  if (path === "") throw new TypeError(`Cannot ${verb}: the path is empty`);
  return { path };
}

function checkOptions(options: unknown, verb: string): asserts options is object {
  if (isRecord(options)) return;
  throw new TypeError(`Cannot ${verb}: options with a port are wanted, not ${describe(options)}`);
}

export function checkPort(port: unknown, least: number, verb: string): void {
  if (typeof port !== "number") {
    throw new TypeError(`Cannot ${verb}: a port is a number, not ${describe(port)}`);
  }
  if (!Number.isInteger(port) || port < least || port > 65_535) {
    throw new RangeError(`Cannot ${verb}: a port is a whole number from ${least} to 65535, not ${port}`);
  }
}

export function checkString(value: unknown, name: string, verb: string): void {
  if (typeof value === "string") return;
  throw new TypeError(`Cannot ${verb}: a ${name} is a string, not ${describe(value)}`);
}

function checkHostname(hostname: unknown, verb: string): void {
  checkString(hostname, "hostname", verb);
  if (hostname === "") throw new TypeError(`Cannot ${verb}: the hostname is empty`);
}

function checkStrings(value: unknown, name: string, verb: string): void {
  if (value === undefined) return;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return;
  throw new TypeError(`Cannot ${verb}: ${name} is a list of strings, not ${describe(value)}`);
}

function checkKeyPair(cert: unknown, key: unknown, verb: string): void {
  if (typeof cert === "string" && typeof key === "string") return;
  throw new TypeError(
    `Cannot ${verb}: TLS wants a certificate and its key, both in PEM format: ` +
      `cert is ${pemOf(cert)}, key ${pemOf(key)}`,
  );
}

/** What stands for a certificate or a key, without telling it. */
function pemOf(value: unknown): string {
  return typeof value === "string" ? "given" : describe(value);
}
