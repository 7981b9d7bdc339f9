/**
 * The bytes that have arrived on a socket and have not been taken yet.
 *
 * A read of the host needs memory for as long as it is pending, so each idle connection holds some: little at first, and
 * more once what comes fills it. What is given out is the receiver's to keep, and never shares memory with a read that is
 * pending: the receiver may do with it whatever it likes, even transfer it to another thread. So what fills the memory is
 * handed over with it, and less is copied out of memory that is then used again.
 *
 * To copy is cheap, and to allocate is dear in V8: half a microsecond for the smallest `ArrayBuffer`, and a third of one for
 * each KiB, where an echo takes seven in all. For what is given away goes cold until it is collected: it has to be fetched,
 * zeroed and freed. So memory that is not full is not handed over, which would want more of it than a copy; and tiny
 * messages may be copied to memory for several of them, which lie in it side by side. (Nor is the next read cut to the size
 * of the messages, so that each fills it: a read that fills its memory leaves tokio no reason to wait for an event, the turns
 * follow each other without a look for others, and beside 50 connections of 16 KiB some wait for 40 ms.)
 *
 * @module
 */

import type { Delimiter } from "./_delimiter.ts";

/** The first read of a connection, and what an idle one holds: enough for a message, 40 MB for ten thousand of them. */
const SMALL = 4096;
/** The largest read: beyond it the allocation grows as fast as what it saves. */
const LARGE = 65_536;
/** A read with less room than this is not worth its system call. */
const LEAST = 1024;
/** A message of up to this many bytes may share memory with others, of this size. */
const TINY = 128;
const SHARED = 1024;
/** By how much the next read is larger if this one was filled. */
const GROWTH = 4;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A text of up to this many bytes is put together here if it is ASCII: the decoder takes five times as long for four. */
const SHORT = 8;

function textOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT) {
    let text = "";
    let at = start;
    for (; at < end && bytes[at]! < 0x80; at++) text += String.fromCharCode(bytes[at]!);
    if (at === end) return text;
  }
  return decoder.decode(bytes.subarray(start, end));
}

export class ReceiveBuffer {
  #bytes: Uint8Array<ArrayBuffer> | null = null;
  #start = 0;
  #end = 0;
  /** How large the memory for the next read is to be. */
  #next = SMALL;
  /** Where tiny messages go, and how far it is full. */
  #shared: ArrayBuffer | null = null;
  #used = 0;
  /** A read is pending into what is free behind the end: the memory must stay where it is. */
  #reading = false;

  /** How many bytes can be taken. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Memory for the next read. It is in use until `filled` is called. */
  room(): Uint8Array<ArrayBuffer> {
    this.#reading = true;
    const bytes = this.#bytes;
    const size = this.#end - this.#start;
    if (size === 0) {
      this.#start = this.#end = 0;
      if (bytes !== null && bytes.length === this.#next) return bytes;
      return this.#bytes = new Uint8Array(this.#next);
    }
    if (bytes!.length - this.#end < LEAST) {
      const fits = size <= bytes!.length / 2;
      const moved = fits ? bytes! : new Uint8Array(Math.max(2 * bytes!.length, this.#next));
      moved.set(bytes!.subarray(this.#start, this.#end));
      this.#bytes = moved;
      this.#start = 0;
      this.#end = size;
    }
    return this.#bytes!.subarray(this.#end);
  }

  /** The read is over: it has put `n` bytes into the room. */
  filled(n: number): void {
    this.#reading = false;
    this.#end += n;
    if (this.#bytes !== null && this.#end === this.#bytes.length) {
      this.#next = Math.min(GROWTH * this.#next, LARGE);
    } else if (n <= SMALL / 2) {
      this.#next = SMALL;
    }
  }

  /** Takes out the first `n` bytes, which must have come: they fill their memory from its start. */
  take(n: number): Uint8Array<ArrayBuffer> {
    if (n === 0) return new Uint8Array(0);
    const bytes = this.#bytes!;
    const start = this.#start;
    const end = start + n;
    if (n === bytes.length && !this.#reading) {
      this.#bytes = null;
      this.#end = 0;
      return bytes;
    }
    this.#start = end;
    return bytes.slice(start, end);
  }

  /** As `take`; but if they are few, they may lie beside others that this has given out. */
  takeCheaply(n: number): Uint8Array<ArrayBuffer> {
    if (n > TINY) return this.take(n);
    const start = this.#start;
    this.#start += n;
    if (this.#shared === null || this.#shared.byteLength - this.#used < n) { // 0 bytes long if it was transferred
      this.#shared = new ArrayBuffer(SHARED);
      this.#used = 0;
    }
    const copy = new Uint8Array(this.#shared, this.#used, n);
    copy.set(this.#bytes!.subarray(start, start + n));
    this.#used += n;
    return copy;
  }

  /** Takes out the first bytes, as many as fit into `memory`, to its start: how many. */
  takeInto(memory: Uint8Array): number {
    const n = Math.min(this.#end - this.#start, memory.length);
    memory.set(this.#bytes!.subarray(this.#start, this.#start + n));
    this.#start += n;
    return n;
  }

  /** Puts in a copy of what has been read elsewhere. It is the first. */
  put(bytes: Uint8Array): void {
    this.#bytes = new Uint8Array(bytes);
    this.#start = 0;
    this.#end = bytes.length;
  }

  /** Takes out the first `n` bytes, and gives the first `length` of them as text in UTF-8. */
  takeText(n: number, length: number): string {
    const start = this.#start;
    this.#start += n;
    return textOf(this.#bytes!, start, start + length);
  }

  /** Where `delimiter` begins, counted from the first byte, at `from` or after it; -1 if it has not come. */
  find(delimiter: Delimiter, from: number): number {
    if (this.#bytes === null) return -1;
    return delimiter.find(this.#bytes.subarray(this.#start, this.#end), from);
  }

  /** The byte at an index from the first that can be taken. */
  byteAt(index: number): number {
    return this.#bytes![this.#start + index]!;
  }

  /** Forgets everything. */
  clear(): void {
    this.#bytes = this.#shared = null;
    this.#start = this.#end = 0;
  }
}
