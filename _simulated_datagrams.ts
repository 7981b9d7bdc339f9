/**
 * Datagrams in memory: each on its own.
 *
 * Nothing is held back for one that is late, so what is sent later may arrive sooner; and nothing is told of one that is
 * lost: by chance, behind a partition, where nobody receives, and where nobody has read for so long that the buffer is full.
 *
 * @module
 */

import { Delay } from "./_delay.ts";
import { hostError } from "./_host_error.ts";
import type { Medium } from "./_medium.ts";
import type { DatagramPort, Done, InetEndpoint } from "./_network.ts";

/** The most bytes of a datagram that IP can carry. */
const LARGEST = 65_507;

type Received = Done<readonly [number, Deno.NetAddr]>;

export class SimulatedDatagramPort implements DatagramPort {
  readonly source = "tasks";
  readonly addr: Deno.NetAddr;
  readonly host: string;
  readonly #medium: Medium;
  /** Who receives there, and the address that it sees. */
  readonly #find: (to: InetEndpoint) => [port: SimulatedDatagramPort | undefined, from: Deno.NetAddr];
  readonly #closed: () => void;
  readonly #unread: { data: Uint8Array; from: Deno.NetAddr }[] = [];
  #held = 0;
  #receiver: { buffer: Uint8Array; done: Received } | undefined;
  #isClosed = false;

  constructor(
    medium: Medium,
    host: string,
    addr: Deno.NetAddr,
    find: (to: InetEndpoint) => [port: SimulatedDatagramPort | undefined, from: Deno.NetAddr],
    closed: () => void,
  ) {
    this.#medium = medium;
    this.host = host;
    this.addr = addr;
    this.#find = find;
    this.#closed = closed;
  }

  receive(buffer: Uint8Array<ArrayBuffer>, done: Received): void {
    if (this.#isClosed) return done(hostError("BadResource"), undefined);
    this.#receiver = { buffer, done };
    this.#flow();
  }

  send(data: Uint8Array, to: InetEndpoint, done: Done<number>): void {
    if (this.#isClosed) return done(hostError("BadResource"), undefined);
    if (data.length > LARGEST) return done(hostError("MessageTooLong"), undefined);
    const copy = new Uint8Array(data);
    const isLost = this.#medium.happens("lose");
    const arrive = new Delay(() => {
      const [port, from] = this.#find(to);
      if (port === undefined || this.#medium.isParted(this.host, port.host)) return;
      port.#arrive(copy, from);
    });
    const latency = this.#medium.latency();
    if (!isLost) arrive.start(this.#medium.scheduler, latency);
    done(null, copy.length);
  }

  #arrive(data: Uint8Array, from: Deno.NetAddr): void {
    if (this.#held + data.length > this.#medium.buffer) return;
    this.#held += data.length;
    this.#unread.push({ data, from });
    this.#flow();
  }

  #flow(): void {
    const receiver = this.#receiver;
    const first = this.#unread[0];
    if (receiver === undefined || first === undefined) return;
    this.#receiver = undefined;
    this.#unread.shift();
    this.#held -= first.data.length;
    const { buffer, done } = receiver;
    const part = first.data.subarray(0, buffer.length);
    buffer.set(part);
    done(null, [part.length, first.from]);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed();
    this.#medium.release(this.host);
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.done(hostError("Interrupted"), undefined);
  }
}
