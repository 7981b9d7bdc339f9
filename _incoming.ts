/**
 * The receiving side of a socket: an intake of bytes, and the calls that take from it.
 *
 * They differ only in what is enough for them: some bytes, a number of bytes, a line, all. So each is a `take` of a few
 * lines over one buffer, and none holds bytes of its own while it waits: one that is cancelled leaves them all where they
 * were, for the next call, whichever that is.
 *
 * @module
 */

import { Delimiter } from "./_delimiter.ts";
import { Intake, NOT_YET, Take } from "./_intake.ts";
import { ReceiveBuffer } from "./_receive_buffer.ts";
import { EndOfStreamError, LimitError } from "./errors.ts";
import type { Socket } from "./socket.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export class Incoming extends Intake {
  readonly owner: Socket;
  /** How many bytes have been taken. */
  taken = 0;
  readonly #buffer = new ReceiveBuffer();
  /** The host has said that nothing more will come, or has failed. */
  #ended = false;
  /** What it failed with. */
  #error: unknown;
  /** The memory of a caller, into which the host reads instead of the buffer; and how much it has put there. */
  #lent: Bytes | null = null;
  #landed = 0;
  readonly #pulled: (error: unknown, n: number | null | undefined) => void;

  constructor(socket: Socket) {
    super();
    this.owner = socket;
    this.#pulled = (error, n) => {
      if (this.isClosed) return;
      const lent = this.#lent;
      this.#lent = null;
      if (error !== null) this.#end(socket._readFailed(error));
      else if (n === null) this.#end(socket._failure);
      else if (lent === null) this.#buffer.filled(n!);
      else this.#land(lent, n!);
      this.pulled();
    };
  }

  get name(): string {
    return this.owner._name;
  }

  /** How many bytes can be taken. */
  get size(): number {
    return this.#buffer.size + this.#landed;
  }

  get ready(): boolean {
    return this.size > 0 || this.#ended;
  }

  /** What keeps the connection from being used in another way; undefined if nothing does. */
  get inUse(): string | undefined {
    if (this.#buffer.size > 0) return `${this.#buffer.size} bytes have come that nobody has taken`;
    if (this.#ended) return "the other end has said that nothing more will come";
    if (this.isPulling) return "a read is in flight (one that was cancelled stays with the socket)";
    return undefined;
  }

  /** Takes the first `n` bytes. */
  take(n: number): Bytes {
    this.taken += n;
    return this.#buffer.take(n);
  }

  /** The same; they may share memory with others that this has given out. */
  takeCheaply(n: number): Bytes {
    this.taken += n;
    return this.#buffer.takeCheaply(n);
  }

  /** Takes what there is to the start of a caller's memory, if it is not there already: how many bytes. */
  takeInto(memory: Bytes): number {
    const n = this.#landed > 0 ? this.#landed : this.#buffer.takeInto(memory);
    this.#landed = 0;
    this.taken += n;
    return n;
  }

  /** Takes the first `n` bytes, and gives the first `length` of them as text. */
  takeText(n: number, length: number): string {
    this.taken += n;
    return this.#buffer.takeText(n, length);
  }

  /** Where `delimiter` begins, at `from` or after it; -1 if it has not come. */
  find(delimiter: Delimiter, from: number): number {
    return this.#buffer.find(delimiter, from);
  }

  /** The byte at an index from the first that can be taken. */
  byteAt(index: number): number {
    return this.#buffer.byteAt(index);
  }

  /** Whether nothing will follow what is there; throws what the connection failed with. */
  atEnd(): boolean {
    if (this.#error !== undefined) throw this.#error;
    return this.#ended;
  }

  override close(): void {
    super.close();
    this.#buffer.clear();
    this.#lent = null;
  }

  protected override pull(call: Take<unknown> | null): void {
    this.#lent = call instanceof RecvInto ? call.memory : null;
    this.owner._connection.read(this.#lent ?? this.#buffer.room(), this.#pulled);
  }

  protected override keepAlive(on: boolean): void {
    if (on) this.owner._connection.ref?.();
    else this.owner._connection.unref?.();
  }

  /** The host has read into a caller's memory. If that one has gone, the bytes are anybody's. */
  #land(memory: Bytes, n: number): void {
    const { first } = this;
    if (memory.length < n) this.#end(detached());
    else if (first instanceof RecvInto && first.memory === memory) this.#landed = n;
    else this.#buffer.put(memory.subarray(0, n));
  }

  #end(error: unknown): void {
    this.#ended = true;
    this.#error = error;
  }
}

/** Takes bytes. */
abstract class Receive<T> extends Take<T> {
  readonly intake: Incoming;

  constructor(incoming: Incoming) {
    super();
    this.intake = incoming;
  }
}

/** Some bytes, as soon as there are any. */
export class Recv extends Receive<Bytes | null> {
  readonly #maxBytes: number;

  constructor(incoming: Incoming, maxBytes: number) {
    super(incoming);
    this.#maxBytes = maxBytes;
  }

  get verb(): string {
    return "recv";
  }

  take(): Bytes | null | typeof NOT_YET {
    const { size } = this.intake;
    if (size > 0) return this.intake.takeCheaply(Math.min(size, this.#maxBytes));
    return this.intake.atEnd() ? null : NOT_YET;
  }
}

/** Some bytes, to memory of the caller's. */
export class RecvInto extends Receive<number | null> {
  readonly memory: Bytes;

  constructor(incoming: Incoming, memory: Bytes) {
    super(incoming);
    this.memory = memory;
  }

  get verb(): string {
    return "recvInto";
  }

  take(): number | null | typeof NOT_YET {
    if (this.memory.length === 0) throw detached();
    if (this.intake.size > 0) return this.intake.takeInto(this.memory);
    return this.intake.atEnd() ? null : NOT_YET;
  }
}

/** Some bytes, for a stream that hands the memory on, which must be nobody else's. */
export class Read extends Receive<Bytes | null> {
  get verb(): string {
    return "read";
  }

  take(): Bytes | null | typeof NOT_YET {
    const { size } = this.intake;
    if (size > 0) return this.intake.take(size);
    return this.intake.atEnd() ? null : NOT_YET;
  }
}

export class RecvExactly extends Receive<Bytes> {
  readonly #n: number;

  constructor(incoming: Incoming, n: number) {
    super(incoming);
    this.#n = n;
  }

  get verb(): string {
    return "recvExactly";
  }

  take(): Bytes | typeof NOT_YET {
    const { size } = this.intake;
    if (size >= this.#n) return this.intake.take(this.#n);
    if (!this.intake.atEnd()) return NOT_YET;
    throw endOfStream(this, `after ${size} of ${this.#n} bytes`);
  }
}

export class ReadAll extends Receive<Bytes> {
  readonly #maxBytes: number;

  constructor(incoming: Incoming, maxBytes: number) {
    super(incoming);
    this.#maxBytes = maxBytes;
  }

  get verb(): string {
    return "readAll";
  }

  take(): Bytes | typeof NOT_YET {
    const { size } = this.intake;
    if (size > this.#maxBytes) throw limitExceeded(this, this.#maxBytes);
    return this.intake.atEnd() ? this.intake.take(size) : NOT_YET;
  }
}

/** Takes up to a delimiter. */
abstract class ReceiveDelimited<T> extends Receive<T> {
  readonly #delimiter: Delimiter;
  /** How far the stream has been searched, in bytes from its very start: nothing is looked at twice. */
  #searched = 0;

  constructor(incoming: Incoming, delimiter: Delimiter) {
    super(incoming);
    this.#delimiter = delimiter;
  }

  /** How many bytes there are up to the end of the delimiter; 0 if that has not come. */
  protected find(): number {
    const { intake } = this;
    const at = intake.find(this.#delimiter, Math.max(0, this.#searched - intake.taken));
    if (at >= 0) return at + this.#delimiter.length;
    this.#searched = intake.taken + Math.max(0, intake.size - this.#delimiter.length + 1);
    return 0;
  }
}

export class RecvUntil extends ReceiveDelimited<Bytes> {
  readonly #maxBytes: number;

  constructor(incoming: Incoming, delimiter: Uint8Array, maxBytes: number) {
    super(incoming, new Delimiter(delimiter));
    this.#maxBytes = maxBytes;
  }

  get verb(): string {
    return "recvUntil";
  }

  take(): Bytes | typeof NOT_YET {
    const { intake } = this;
    const found = this.find();
    if (found > this.#maxBytes || (found === 0 && intake.size >= this.#maxBytes)) {
      throw limitExceeded(this, this.#maxBytes);
    }
    if (found > 0) return intake.take(found);
    if (!intake.atEnd()) return NOT_YET;
    throw endOfStream(this, `after ${intake.size} bytes without the delimiter`);
  }
}

const LF = 10;
const CR = 13;
const LINE_END = new Delimiter(new Uint8Array([LF]));

/** A line as text, without its end. */
abstract class ReceiveLine<T> extends ReceiveDelimited<T> {
  readonly #maxBytes: number;

  constructor(incoming: Incoming, maxBytes: number) {
    super(incoming, LINE_END);
    this.#maxBytes = maxBytes;
  }

  protected takeLine(): string | null | typeof NOT_YET {
    const { intake } = this;
    const found = this.find();
    const end = found > 0 ? found - 1 : intake.size;
    // A CR that is the last so far may be half of a CRLF.
    const length = end > 0 && intake.byteAt(end - 1) === CR ? end - 1 : end;
    if (length > this.#maxBytes) throw limitExceeded(this, this.#maxBytes);
    if (found > 0) return intake.takeText(found, length);
    if (!intake.atEnd()) return NOT_YET;
    return end > 0 ? intake.takeText(end, end) : null;
  }
}

export class RecvLine extends ReceiveLine<string | null> {
  get verb(): string {
    return "recvLine";
  }

  take(): string | null | typeof NOT_YET {
    return this.takeLine();
  }
}

/** A line, as an iterator gives it. */
export class NextLine extends ReceiveLine<IteratorResult<string>> {
  get verb(): string {
    return "recvLine";
  }

  take(): IteratorResult<string> | typeof NOT_YET {
    const line = this.takeLine();
    if (line === NOT_YET) return NOT_YET;
    return line === null ? { done: true, value: undefined } : { done: false, value: line };
  }
}

/** The partial result is taken: whoever asked has it. */
function endOfStream(call: Receive<unknown>, where: string): EndOfStreamError {
  const { intake, verb } = call;
  return new EndOfStreamError(`Cannot ${verb}: ${intake.owner} ended ${where}`, intake.take(intake.size));
}

function detached(): TypeError {
  return new TypeError("Cannot recvInto: the memory was detached or resized meanwhile");
}

function limitExceeded(call: Receive<unknown>, limit: number): LimitError {
  return new LimitError(`Cannot ${call.verb}: ${call.intake.owner} has more than ${limit} bytes`, limit);
}
