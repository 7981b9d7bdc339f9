/**
 * A connection in memory: two streams, and an end on either side.
 *
 * A stream is a line of segments, each with the time of its arrival, and one timer for the first. What else travels is in
 * the same line: the end of the stream, and a reset. So nothing overtakes anything, and whatever is to befall a segment, a
 * delay, a partition, a loss, befalls what is behind it as well: that is what TCP makes of the troubles of packets.
 *
 * An end has the states of a Linux socket as Deno shows them. What has arrived is read first; then a failure is told, once,
 * to the first who reads or writes; and after that a read gives the end of the stream and a write a broken pipe. Who closes
 * an end with bytes unread resets the other one, and so does what arrives at an end that is closed.
 *
 * @module
 */

import { Delay } from "./_delay.ts";
import { hostError } from "./_host_error.ts";
import type { Medium } from "./_medium.ts";
import type { Connection, Done, TlsInfo } from "./_network.ts";

/** How long Linux goes on sending what nobody acknowledges, in ms (`tcp_retries2`). */
const PATIENCE = 924_600;
/** How long a segment may wait for the next one, in ms (`TCP_CORK`). */
const CORKED = 200;

/** What is on its way: bytes, the end of the stream, or a reset. */
class Segment {
  readonly kind: "bytes" | "end" | "reset";
  bytes: Uint8Array;
  next: Segment | null = null;
  arrives = 0;
  /** It waits for the one behind it. */
  corked = false;
  /** A read does not go on beyond it. */
  cut = false;
  /** What becomes of the connection when it arrives. */
  fate: "none" | "lose" | "reset" = "none";

  constructor(kind: "bytes" | "end" | "reset", bytes: Uint8Array = NOTHING) {
    this.kind = kind;
    this.bytes = bytes;
  }

  /** The one behind it has come: it goes on with that, or waits for one more, no longer than it would have. */
  join(segment: Segment): void {
    const both = new Uint8Array(this.bytes.length + segment.bytes.length);
    both.set(this.bytes);
    both.set(segment.bytes, this.bytes.length);
    this.bytes = both;
    this.cut = segment.cut;
    if (this.fate === "none") this.fate = segment.fate;
    if (!segment.corked) this.uncork(segment.arrives);
  }

  uncork(arrives: number): void {
    this.corked = false;
    this.arrives = arrives;
  }
}

const NOTHING = new Uint8Array();

/** A line of segments. */
class Segments {
  first: Segment | null = null;
  last: Segment | null = null;

  push(segment: Segment): void {
    if (this.last === null) this.first = segment;
    else this.last.next = segment;
    this.last = segment;
  }

  shift(): void {
    this.first = this.first!.next;
    if (this.first === null) this.last = null;
  }

  clear(): void {
    this.first = this.last = null;
  }
}

/** One direction. */
class Stream {
  readonly #wire: Wire;
  readonly #sender: SimulatedConnection;
  readonly #receiver: SimulatedConnection;
  readonly #travelling = new Segments();
  readonly #arrival = new Delay(() => this.proceed());
  readonly #patience = new Delay(() => {
    this.clear();
    this.#sender._fail("TimedOut");
  });
  /** The time for which the timer of the arrival is set. */
  #due = 0;
  /** When the line is free for more, and the arrival of the last that is on its way. */
  #freeAt = 0;
  #lastArrives = 0;
  #proceeding = false;
  #wasReset = false;
  /** How many bytes are on their way or unread. */
  #held = 0;

  constructor(wire: Wire, sender: SimulatedConnection, receiver: SimulatedConnection) {
    this.#wire = wire;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** How many more bytes it takes. */
  get room(): number {
    return this.#wire.medium.buffer - this.#held;
  }

  send(bytes: Uint8Array): void {
    this.#held += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const { size, cut } = this.#wire.medium.segment(bytes.length - at);
      const segment = new Segment("bytes", bytes.subarray(at, at += size));
      segment.cut = cut;
      this.#push(segment);
    }
    this.proceed();
  }

  end(): void {
    this.#push(new Segment("end"));
    this.proceed();
  }

  reset(): void {
    if (this.#wasReset) return;
    this.#wasReset = true;
    this.#push(new Segment("reset"));
    this.proceed();
  }

  /** The receiver has read so many bytes. */
  free(n: number): void {
    this.#held -= n;
    this.#sender._write();
  }

  #push(segment: Segment): void {
    const { medium } = this.#wire;
    const rate = medium.rateOf(this.#receiver.host);
    this.#freeAt = Math.max(this.#freeAt, medium.now()) + 1000 * segment.bytes.length / rate;
    const arrives = Math.max(this.#lastArrives, this.#freeAt + medium.latency());
    this.#lastArrives = segment.arrives = arrives;
    const { last } = this.#travelling;
    const follows = last !== null && last.corked && last.arrives >= arrives;
    if (segment.kind === "bytes") {
      if (medium.happens("reset")) segment.fate = "reset";
      else if (medium.happens("lose")) segment.fate = "lose";
      segment.corked = medium.happens("merge");
      if (segment.corked) segment.arrives += CORKED;
      if (follows) return last.join(segment);
    } else if (follows) {
      last.uncork(arrives);
    }
    this.#travelling.push(segment);
  }

  /** What is due arrives, unless it cannot get through. */
  proceed(): void {
    if (this.#proceeding) return;
    this.#proceeding = true;
    for (let segment = this.#travelling.first; segment !== null; segment = this.#travelling.first) {
      const left = segment.arrives - this.#wire.medium.now();
      if (left > 0) {
        this.#wakeAt(segment.arrives, left);
        break;
      }
      if (segment.fate === "lose") this.#wire.lost = true;
      if (!this.#wire.isUp) {
        const { scheduler } = this.#wire.medium;
        if (!this.#patience.isRunning) this.#patience.start(scheduler, PATIENCE);
        break;
      }
      this.#stop(this.#patience);
      this.#travelling.shift();
      if (segment.fate === "reset") this.#wire.reset();
      else this.#receiver._receive(segment);
    }
    this.#proceeding = false;
  }

  #wakeAt(time: number, left: number): void {
    if (this.#arrival.isRunning && this.#due === time) return;
    this.#stop(this.#arrival);
    this.#due = time;
    this.#arrival.start(this.#wire.medium.scheduler, left);
  }

  #stop(delay: Delay): void {
    if (delay.isRunning) delay.stop(this.#wire.medium.scheduler);
  }

  /** Nothing that is on its way will arrive. */
  clear(): void {
    this.#travelling.clear();
    this.#stop(this.#arrival);
    this.#stop(this.#patience);
  }
}

/** One end. */
export class SimulatedConnection implements Connection {
  readonly source = "tasks";
  readonly host: string;
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** TLS is taken at its word: who is there is known, and nobody listens on the way. */
  handshake?: Required<Connection>["handshake"];
  startTls?: Required<Connection>["startTls"];
  readonly #wire: Wire;
  #in!: Stream;
  #out!: Stream;
  readonly #unread = new Segments();
  #reader: { buffer: Uint8Array; done: Done<number | null> } | undefined;
  #writer: { data: Uint8Array; done: Done<number> } | undefined;
  /** The other end will send nothing more. */
  #ended = false;
  #writeClosed = false;
  #closed = false;
  /** The connection has failed; with what, until somebody has been told. */
  #failed = false;
  #error: Error | undefined;

  constructor(wire: Wire, host: string, localAddr: Deno.Addr, remoteAddr: Deno.Addr) {
    this.#wire = wire;
    this.host = host;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  /** @internal */
  _attach(incoming: Stream, outgoing: Stream): void {
    this.#in = incoming;
    this.#out = outgoing;
  }

  /** It speaks TLS. */
  secure(tls: TlsInfo): void {
    this.handshake = (done) => done(null, tls);
  }

  /** It can be made to speak TLS. */
  allowTls(): void {
    this.startTls = (_serverName, _options, done) => {
      this.secure({ alpnProtocol: null });
      done(null, this);
      return { cancel() {} };
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  get failed(): boolean {
    return this.#failed;
  }

  read(buffer: Uint8Array, done: Done<number | null>): void {
    if (this.#closed) return done(hostError("BadResource"), undefined);
    this.#reader = { buffer, done };
    this.#read();
  }

  write(data: Uint8Array, done: Done<number>): void {
    if (this.#closed) return done(hostError("BadResource"), undefined);
    this.#writer = { data, done };
    this._write();
  }

  closeWrite(done: Done<void>): void {
    if (this.#closed) return done(hostError("BadResource"), undefined);
    this.#endWriting();
    done(null, undefined);
  }

  close(): void {
    if (this.#closed) return;
    const { medium } = this.#wire;
    if (!this.#failed && this.#unread.first !== null) this.#out.reset();
    else this.#endWriting();
    this.#closed = true;
    medium.release(this.host);
    const reader = this.#reader;
    const writer = this.#writer;
    this.#reader = this.#writer = undefined;
    this.#unread.clear();
    this.#wire.endClosed();
    reader?.done(hostError("Interrupted"), undefined);
    writer?.done(hostError("Interrupted"), undefined);
  }

  /** Closes it without a word to its owner, who never got it: the other end is reset. */
  abandon(): void {
    this.#closed = true;
    if (!this.#failed) this.#out.reset();
    this.#wire.endClosed();
  }

  #endWriting(): void {
    if (this.#writeClosed || this.#failed) return;
    this.#writeClosed = true;
    this.#out.end();
  }

  /** @internal Something has arrived. */
  _receive(segment: Segment): void {
    if (this.#closed) {
      if (segment.kind === "bytes") this.#out.reset();
    } else if (segment.kind === "reset") {
      this._fail(this.#ended ? "BrokenPipe" : "ConnectionReset");
    } else {
      if (segment.kind === "end") {
        this.#ended = true;
      } else {
        segment.next = null;
        this.#unread.push(segment);
      }
      this.#read();
    }
  }

  /** @internal The connection has failed: whoever reads or writes is told, and nothing more gets out. */
  _fail(why: "BrokenPipe" | "ConnectionReset" | "TimedOut"): void {
    this.#out.clear();
    if (this.#failed || this.#closed) return;
    this.#failed = true;
    this.#error = hostError(why);
    this.#read();
    this._write();
  }

  /** The failure, for the first who asks. */
  #takeError(): Error | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** Lets who reads go on if there is something for him. */
  #read(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    if (this.#unread.first !== null) {
      this.#reader = undefined;
      const n = this.#fill(reader.buffer);
      this.#in.free(n);
      reader.done(null, n);
    } else if (this.#ended) {
      this.#reader = undefined;
      reader.done(null, null);
    } else if (this.#failed) {
      this.#reader = undefined;
      const error = this.#takeError();
      if (error === undefined) reader.done(null, null);
      else reader.done(error, undefined);
    }
  }

  /** Fills a buffer with what has arrived, up to the next cut. */
  #fill(buffer: Uint8Array): number {
    let n = 0;
    for (let segment = this.#unread.first; segment !== null && n < buffer.length; segment = segment.next) {
      const part = segment.bytes.subarray(0, buffer.length - n);
      buffer.set(part, n);
      n += part.length;
      segment.bytes = segment.bytes.subarray(part.length);
      if (segment.bytes.length > 0) break;
      this.#unread.shift();
      if (segment.cut) break;
    }
    return n;
  }

  /** @internal Lets who writes go on if there is room, or nothing to be hoped for. */
  _write(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    const { data, done } = writer;
    if (this.#failed || this.#writeClosed) {
      this.#writer = undefined;
      done(this.#takeError() ?? hostError("BrokenPipe"), undefined);
      return;
    }
    const { room } = this.#out;
    if (room <= 0) return;
    this.#writer = undefined;
    const n = Math.min(room, data.length);
    this.#out.send(new Uint8Array(data.subarray(0, n)));
    done(null, n);
  }
}

/** The pair of ends. */
export class Wire {
  readonly medium: Medium;
  readonly client: SimulatedConnection;
  readonly server: SimulatedConnection;
  /** Nothing gets through any more. */
  lost = false;
  readonly #streams: readonly [Stream, Stream];

  constructor(
    medium: Medium,
    client: { host: string; addr: Deno.Addr },
    server: { host: string; addr: Deno.Addr },
  ) {
    this.medium = medium;
    this.client = new SimulatedConnection(this, client.host, client.addr, server.addr);
    this.server = new SimulatedConnection(this, server.host, server.addr, client.addr);
    const there = new Stream(this, this.client, this.server);
    const back = new Stream(this, this.server, this.client);
    this.client._attach(back, there);
    this.server._attach(there, back);
    this.#streams = [there, back];
    medium.wires.add(this);
  }

  /** Whether something gets through. */
  get isUp(): boolean {
    return !this.lost && !this.medium.isParted(this.client.host, this.server.host);
  }

  /** Whether it is between two hosts, or of one host, or just any. */
  isBetween(one: string | undefined, other: string | undefined): boolean {
    const { client, server } = this;
    if (one === undefined) return true;
    if (other === undefined) return client.host === one || server.host === one;
    return client.host === one && server.host === other || client.host === other && server.host === one;
  }

  /** Both ends fail. */
  reset(): void {
    this.client._fail("ConnectionReset");
    this.server._fail("ConnectionReset");
  }

  /** What was held back may get through. */
  proceed(): void {
    for (const stream of this.#streams) stream.proceed();
  }

  /** An end has been closed: when both are, nobody wants what is on its way. */
  endClosed(): void {
    if (!this.client.closed || !this.server.closed) return;
    for (const stream of this.#streams) stream.clear();
    this.medium.wires.delete(this);
  }
}
