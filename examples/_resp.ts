// The protocol of Redis (RESP 2): commands that come in, replies that go out.

import { type Coroutine, Queue, Semaphore, type Socket } from "../mod.ts";

export type Bytes = Uint8Array;
export type Reply = Simple | bigint | number | string | Bytes | null | Reply[];

/** The most bytes of a command and of an answer: what hostile clients can have it hold is some of these for each connection. */
export const LARGEST = 1 << 18;
/** The most arguments of a command, and the longest line. */
const ARGUMENTS = 1024;
const LINE = 1 << 16;
/** The most bytes of replies that wait to be read. */
const REPLIES = 1 << 16;

const encoder = new TextEncoder();

/** A reply that is a word: `+OK`. What else is text is sent as bytes. */
export class Simple {
  readonly encoded: Bytes;

  constructor(word: string) {
    this.encoded = encoder.encode(`+${word}\r\n`);
  }
}

/** What a client is told with `-`: the word before the first blank says which kind it is. */
export class Refusal extends Error {}
/** After this one nobody knows where the next command begins. */
export class ProtocolError extends Refusal {
  constructor(what: string) {
    super(`ERR Protocol error: ${what}`);
  }
}

/** The next command; null at the end of the stream. Nothing is allocated because a client announces it. */
export function* receive(socket: Socket): Coroutine<Bytes[] | null> {
  const line = yield* socket.recvLine({ maxBytes: LINE });
  if (line === null) return null;
  if (!line.startsWith("*")) return line.split(/\s+/).filter(Boolean).map((word) => encoder.encode(word));
  const count = lengthOf(line);
  if (!(count <= ARGUMENTS)) throw new ProtocolError("invalid multibulk length");
  const args: Bytes[] = [];
  for (let room = LARGEST; args.length < count;) {
    const header = yield* socket.recvLine({ maxBytes: LINE });
    if (header === null) return null;
    if (!header.startsWith("$")) throw new ProtocolError(`expected '$', got '${header.slice(0, 1)}'`);
    const length = lengthOf(header);
    if (!(length >= 0 && length <= room)) throw new ProtocolError("invalid bulk length");
    room -= length;
    args.push((yield* socket.recvExactly(length + 2)).subarray(0, length));
  }
  return args;
}

function lengthOf(line: string): number {
  return /^.-?\d{1,10}$/.test(line) ? Number(line.slice(1)) : NaN;
}

export function encode(reply: Reply): Bytes {
  if (reply === null) return NIL;
  if (reply instanceof Simple) return reply.encoded;
  if (typeof reply === "number" || typeof reply === "bigint") return framed(`:${reply}`, NOTHING);
  if (Array.isArray(reply)) return concat([framed(`*${reply.length}`, NOTHING), ...reply.map(encode)]);
  const bytes = typeof reply === "string" ? encoder.encode(reply) : reply;
  return framed(`$${bytes.length}\r\n`, bytes);
}

const NIL = encoder.encode("$-1\r\n");
const NOTHING = new Uint8Array();

/** A head in ASCII, some bytes, and the end of a line. */
function framed(head: string, bytes: Bytes): Bytes {
  const whole = new Uint8Array(head.length + bytes.length + 2);
  for (let i = 0; i < head.length; i++) whole[i] = head.charCodeAt(i); // a TextEncoder takes longer for so little
  whole.set(bytes, head.length);
  whole[whole.length - 2] = 13;
  whole[whole.length - 1] = 10;
  return whole;
}

/** An error is one line, whatever the client has put into it. */
export function encodeRefusal({ message }: Refusal): Bytes {
  return encoder.encode(`-${message.replaceAll(/[\r\n]/g, " ")}\r\n`);
}

function concat(parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Replies on their way out. Their writer runs when the reader of commands waits for more: so all that is answered to a
 * pipeline goes out in one write. Who does not read its replies is not asked for more commands.
 */
export class Replies {
  readonly #room = new Semaphore(REPLIES, "room for replies");
  readonly #queue = new Queue<Bytes>({ name: "replies" });

  *put(reply: Bytes): Coroutine<void> {
    yield* this.#room.acquire(Math.min(reply.length, REPLIES));
    this.#queue.tryPut(reply);
  }

  *write(socket: Socket): Coroutine<never> {
    for (;;) {
      const batch = [yield* this.#queue.get()];
      for (let next; (next = this.#queue.tryGet()) !== undefined;) batch.push(next.value);
      yield* socket.send(batch.length === 1 ? batch[0]! : concat(batch));
      for (const { length } of batch) {
        this.#room.release(Math.min(length, REPLIES));
        this.#queue.taskDone();
      }
    }
  }

  /** Waits until all are out. */
  *flush(): Coroutine<void> {
    yield* this.#queue.join();
  }
}
