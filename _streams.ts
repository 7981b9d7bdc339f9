/**
 * The web's streams over a socket, for code that is written for them: `fetch`, `Response`, `pipeThrough`, compression.
 *
 * They belong to code that awaits, and no task stands behind them: a read of the stream stands in the same line as the tasks
 * that receive, a write in that of those who send. So back-pressure is what it is for tasks: nothing is read from the host
 * before somebody asks, and a write is over when the system has taken it.
 *
 * TCP's two directions end one by one, and so do these streams. To close `writable` is to end writing. To cancel `readable`
 * ends reading, for which TCP has no word. When both are over the socket is closed; to abort `writable`, or to cancel
 * `readable` where nobody has asked for `writable`, closes it at once, as Deno's own streams do.
 *
 * @module
 */

import { toBytes } from "./_bytes.ts";
import { type Incoming, Read } from "./_incoming.ts";
import type { Asked } from "./_intake.ts";
import type { Outgoing } from "./_outgoing.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** How one direction stands: nobody has asked for it, it is in use, or it is over. */
type Direction = "unused" | "open" | "over";

export class SocketStreams {
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #close: () => void;
  #reading: Direction = "unused";
  #writing: Direction = "unused";
  #readable: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  #asked: Asked<Bytes | null> | undefined;
  /** Has the streams fail that are still open: their controllers' `error`. */
  #failReadable: ((error: unknown) => void) | undefined;
  #failWritable: ((error: unknown) => void) | undefined;

  constructor(incoming: Incoming, outgoing: Outgoing, close: () => void) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#close = close;
  }

  get readable(): ReadableStream<Bytes> {
    return this.#readable ??= this.#makeReadable();
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= this.#makeWritable();
  }

  /** The socket is closed: who only waits for the end of a stream is told as well. */
  closed(errorOf: (verb: "read" | "write") => unknown): void {
    if (this.#reading === "open") this.#failReadable?.(errorOf("read"));
    if (this.#writing === "open") this.#failWritable?.(errorOf("write"));
  }

  #makeReadable(): ReadableStream<Bytes> {
    this.#reading = "open";
    return new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.#failReadable = (error) => controller.error(error);
      },
      pull: async (controller) => {
        this.#asked = this.#incoming.ask(new Read(this.#incoming));
        try {
          const chunk = await this.#asked.value;
          if (chunk !== null) {
            controller.enqueue(chunk);
            return;
          }
          controller.close();
          controller.byobRequest?.respond(0); // who reads into memory of his own is told with that
        } catch (error) {
          this.#reading = "over";
          this.#closeIfOver();
          throw error;
        }
        this.#reading = "over";
        this.#closeIfOver();
      },
      cancel: () => {
        this.#asked?.cancel();
        this.#reading = "over";
        if (this.#writing !== "open") this.#close();
      },
    }, { highWaterMark: 0 });
  }

  #makeWritable(): WritableStream<Uint8Array> {
    this.#writing = "open";
    return new WritableStream({
      start: (controller) => {
        this.#failWritable = (error) => controller.error(error);
        // `abort` would be called only when a write in flight is over, which may never be.
        controller.signal.addEventListener("abort", () => {
          this.#writing = "over";
          this.#close();
        }, { once: true });
      },
      write: async (chunk) => {
        try {
          await this.#outgoing.send(toBytes(chunk, "write"));
        } catch (error) {
          this.#writing = "over";
          this.#closeIfOver();
          throw error;
        }
      },
      close: async () => {
        this.#writing = "over";
        try {
          await this.#outgoing.end();
        } finally {
          this.#closeIfOver();
        }
      },
    });
  }

  #closeIfOver(): void {
    if (this.#reading === "over" && this.#writing === "over") this.#close();
  }
}
