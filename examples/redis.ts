// Enough of Redis for redis-cli and redis-benchmark: strings that expire, and pipelining.
//   deno run --allow-net examples/redis.ts [port [hostname]]
//   redis-cli -p 6380 set greeting hello ex 10
//   redis-benchmark -p 6380 -t ping,set,get -P 16 -q

import {
  type Coroutine,
  EndOfStreamError,
  hostSignal,
  kill,
  LimitError,
  listen,
  race,
  run,
  Scheduler,
  serve,
  sleep,
  type Socket,
  spawn,
  type Task,
} from "../mod.ts";
import { matches } from "./_glob.ts";
import {
  type Bytes,
  encode,
  encodeRefusal,
  LARGEST,
  ProtocolError,
  receive,
  Refusal,
  Replies,
  type Reply,
  Simple,
} from "./_resp.ts";

/** The most bytes that the data may take, and what an entry takes besides its own. */
const MEMORY = 1 << 26;
const OVERHEAD = 256;

const OK = new Simple("OK");
const PONG = new Simple("PONG");
const encoder = new TextEncoder();
const ZERO = encoder.encode("0");

// ---- The data --------------------------------------------------------------------------------------------------------

interface Entry {
  readonly key: Bytes;
  value: Bytes;
  /** When it expires, in ms, and the task that sees to it. */
  deadline: number;
  expiry: Task | undefined;
}

class Database {
  readonly #entries = new Map<string, Entry>();
  #memory = 0;

  get size(): number {
    return this.#entries.size;
  }

  get memory(): number {
    return this.#memory;
  }

  get(key: Bytes): Entry | undefined {
    return this.#entries.get(binary(key));
  }

  /** Sets the value of a key, and leaves its deadline as it is. */
  set(key: Bytes, value: Bytes): Entry {
    const entry = this.get(key);
    const more = entry === undefined
      ? OVERHEAD + key.length + value.length
      : value.length - entry.value.length;
    if (more > 0 && this.#memory + more > MEMORY) {
      throw new Refusal("OOM command not allowed when used memory > 'maxmemory'.");
    }
    this.#memory += more;
    if (entry !== undefined) {
      entry.value = own(value);
      return entry;
    }
    const fresh = { key: own(key), value: own(value), deadline: Infinity, expiry: undefined };
    this.#entries.set(binary(key), fresh);
    return fresh;
  }

  /** Gives a key a deadline: a task that sleeps until then. `Infinity` for none. */
  *expire(entry: Entry, deadline: number): Coroutine<void> {
    const before = entry.expiry;
    entry.deadline = deadline;
    entry.expiry = undefined;
    if (before !== undefined) yield* kill(before, { wait: false });
    if (deadline < Infinity) entry.expiry = yield* spawn(this.#expiry(entry, deadline), { daemon: true });
  }

  *#expiry(entry: Entry, deadline: number): Coroutine<void> {
    yield* sleep(deadline - now());
    if (entry.deadline === deadline) this.#erase(entry); // else it was killed when it had woken up already
  }

  *delete(key: Bytes): Coroutine<boolean> {
    const entry = this.get(key);
    if (entry === undefined) return false;
    this.#erase(entry);
    yield* this.expire(entry, Infinity);
    return true;
  }

  #erase({ key, value }: Entry): void {
    this.#entries.delete(binary(key));
    this.#memory -= OVERHEAD + key.length + value.length;
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }
}

/** Bytes that hold on to no more memory than their own. */
function own(bytes: Bytes): Bytes {
  return bytes.buffer.byteLength > bytes.length + 2 ? bytes.slice() : bytes;
}

function now(): number {
  return Scheduler.current().now();
}

// ---- Commands --------------------------------------------------------------------------------------------------------

/** How many arguments a command takes, its name not counted, and what it does. */
type Command = [least: number, most: number, (this: Redis, ...args: Bytes[]) => Reply | Coroutine<Reply>];

const COMMANDS: Record<string, Command> = {
  ping: [0, 1, (message) => message ?? PONG],
  echo: [1, 1, (message) => message!],
  get: [1, 1, function (key) {
    return this.data.get(key!)?.value ?? null;
  }],
  set: [2, Infinity, function* (key, value, ...options) {
    let ms = Infinity, only = "";
    for (let i = 0; i < options.length; i++) {
      const option = binary(options[i]!.subarray(0, 3)).toLowerCase();
      if ((option === "ex" || option === "px") && ms === Infinity && i + 1 < options.length) {
        ms = toInteger(options[++i]!) * (option === "ex" ? 1000 : 1);
        if (!(ms > 0 && ms <= Number.MAX_SAFE_INTEGER)) {
          throw new Refusal("ERR invalid expire time in 'set' command");
        }
      } else if ((option === "nx" || option === "xx") && only === "") only = option;
      else throw new Refusal("ERR syntax error");
    }
    const known = this.data.get(key!) !== undefined;
    if (known ? only === "nx" : only === "xx") return null;
    const entry = this.data.set(key!, value!);
    if (ms < Infinity || entry.expiry !== undefined) yield* this.data.expire(entry, now() + ms);
    return OK;
  }],
  del: [1, Infinity, function* (...keys) {
    let n = 0;
    for (const key of keys) if (yield* this.data.delete(key)) n++;
    return n;
  }],
  exists: [1, Infinity, function (...keys) {
    return keys.filter((key) => this.data.get(key) !== undefined).length;
  }],
  incr: [1, 1, function (key) {
    const text = binary(this.data.get(key!)?.value.subarray(0, 21) ?? ZERO);
    const number = /^(0|-?[1-9]\d{0,18})$/.test(text) ? BigInt(text) : undefined;
    if (number === undefined || BigInt.asIntN(64, number) !== number) {
      throw new Refusal("ERR value is not an integer or out of range");
    }
    if (BigInt.asIntN(64, number + 1n) !== number + 1n) {
      throw new Refusal("ERR increment or decrement would overflow");
    }
    this.data.set(key!, encoder.encode(`${number + 1n}`));
    return number + 1n;
  }],
  expire: [2, 2, function* (key, seconds) {
    const ms = 1000 * toInteger(seconds!);
    if (Math.abs(ms) > Number.MAX_SAFE_INTEGER) {
      throw new Refusal("ERR invalid expire time in 'expire' command");
    }
    const entry = this.data.get(key!);
    if (entry === undefined) return 0;
    if (ms > 0) yield* this.data.expire(entry, now() + ms);
    else yield* this.data.delete(key!);
    return 1;
  }],
  ttl: [1, 1, function (key) {
    const entry = this.data.get(key!);
    if (entry === undefined) return -2;
    return entry.deadline === Infinity ? -1 : Math.round((entry.deadline - now()) / 1000);
  }],
  keys: [1, 1, function* (pattern) {
    const found: Bytes[] = [];
    let i = 0, bytes = 0;
    for (const { key } of this.data.entries()) {
      if (matches(pattern!, key)) {
        found.push(key);
        bytes += key.length;
        if (bytes > LARGEST) throw new Refusal("ERR too many keys match that pattern");
      }
      if (++i % 1000 === 0) yield; // others get their turn
    }
    return found;
  }],
  info: [0, Infinity, function () {
    const expires = [...this.data.entries()].filter(({ deadline }) => deadline < Infinity).length;
    return [
      "# Server",
      "server_name:genos",
      `uptime_in_seconds:${Math.floor((now() - this.started) / 1000)}`,
      "# Clients",
      `connected_clients:${this.clients}`,
      "# Memory",
      `used_memory:${this.data.memory}`,
      `maxmemory:${MEMORY}`,
      "# Stats",
      `total_commands_processed:${this.processed}`,
      "# Keyspace",
      ...this.data.size === 0 ? [] : [`db0:keys=${this.data.size},expires=${expires},avg_ttl=0`],
      "",
    ].join("\r\n");
  }],
  select: [1, 1, (index) => {
    if (binary(index) === "0") return OK;
    throw new Refusal("ERR DB index is out of range");
  }],
  // What clients ask before they begin: there is nothing to configure, and the documentation is Redis' own.
  command: [0, Infinity, () => []],
  config: [2, Infinity, (verb, parameter) => {
    const known: Record<string, string> = { save: "", appendonly: "no" };
    const name = binary(parameter).toLowerCase();
    if (binary(verb).toLowerCase() === "get") return Object.hasOwn(known, name) ? [name, known[name]!] : [];
    throw new Refusal("ERR there is nothing to configure");
  }],
};

/** One character for each byte, whatever the bytes: what keys are compared by. */
function binary(bytes: Bytes): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

function toInteger(bytes: Bytes): number {
  const text = binary(bytes);
  const number = /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new Refusal("ERR value is not an integer or out of range");
}

// ---- The server ------------------------------------------------------------------------------------------------------

/** A database and those who use it. `client` serves one connection. */
export class Redis {
  readonly data = new Database();
  readonly started = now();
  clients = 0;
  processed = 0;

  *client(socket: Socket): Coroutine<void> {
    const replies = new Replies();
    this.clients++;
    try {
      yield* race([this.#read(socket, replies), replies.write(socket)]);
    } finally {
      this.clients--;
    }
  }

  *#read(socket: Socket, replies: Replies): Coroutine<void> {
    try {
      for (let args; (args = yield* receive(socket)) !== null;) {
        if (args.length === 0) continue;
        const name = binary(args[0]!.subarray(0, 128)).toLowerCase();
        yield* replies.put(name === "quit" ? encode(OK) : yield* this.#answer(name, args.slice(1)));
        if (name === "quit") break;
      }
    } catch (error) {
      if (error instanceof ProtocolError) yield* replies.put(encodeRefusal(error));
      else if (error instanceof LimitError) {
        yield* replies.put(encodeRefusal(new ProtocolError("too big request")));
      } else if (!(error instanceof EndOfStreamError)) throw error;
    }
    yield* replies.flush();
  }

  *#answer(name: string, args: Bytes[]): Coroutine<Bytes> {
    this.processed++;
    try {
      if (!Object.hasOwn(COMMANDS, name)) {
        const shown = args.slice(0, 5).map((arg) => `'${binary(arg.subarray(0, 128))}' `);
        throw new Refusal(`ERR unknown command '${name}', with args beginning with: ${shown.join("")}`);
      }
      const [least, most, command] = COMMANDS[name]!;
      if (args.length < least || args.length > most) {
        throw new Refusal(`ERR wrong number of arguments for '${name}' command`);
      }
      const result = command.call(this, ...args);
      return encode(isCoroutine(result) ? yield* result : result);
    } catch (error) {
      if (error instanceof Refusal) return encodeRefusal(error);
      throw error;
    }
  }
}

function isCoroutine(result: Reply | Coroutine<Reply>): result is Coroutine<Reply> {
  return typeof (result as Coroutine<Reply> | null)?.next === "function";
}

if (import.meta.main) {
  const [port = "6380", hostname = "127.0.0.1"] = Deno.args;
  await run(function* () {
    const listener = listen({ port: Number(port), hostname });
    console.log(`listening on ${listener.addr.hostname}:${listener.addr.port}`);
    const redis = new Redis();
    const server = serve(listener, (socket) => redis.client(socket), {
      maxConnections: 500,
      onError: (error, _socket, { hostname, port }) => console.log(`${hostname}:${port}: ${error}`),
    });
    // The first signal ends the server, and its clients, the newest first. Then nobody waits for a second one: it ends all.
    yield* race([server, hostSignal("SIGINT"), hostSignal("SIGTERM")]);
    console.log("all closed");
  });
}
