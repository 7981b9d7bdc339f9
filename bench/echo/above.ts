/**
 * What the echo servers cost above the host: the same programs, on connections that are a promise and nothing else, in ns of
 * processor time for an echo, by the number of connections.
 *
 * `deno run -A bench/echo/above.ts [--bytes=64] [--connections=1,10,100,1000,10000]`; each figure is the best of some runs.
 *
 * Two thirds of an echo are spent in the system, and vary with the weather. Here there is no system, so that what is left is
 * what a server adds, and a change of some ten ns can be seen. Each turn of this host ends all that is pending, so the more
 * connections the more of them speak at once.
 *
 * @module
 */

import process from "node:process";

const SERVERS = ["raw", "genos", "genos_into"];
const RUNS = 3;
const WARM_UP = 500;
const MS = 1000;

/** The server's end of a connection whose client answers every echo with the next message. */
class Connection {
  static readonly #pending: (() => void)[][] = [[], []];
  static bytes = 64;
  static echoes = 0;
  readonly localAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: 2 };
  #left = 0;

  /** A turn of the host. */
  static turn(): void {
    const [writes, reads] = this.#pending.map((pending) => pending.splice(0));
    for (const end of writes!) end();
    for (const end of reads!) end();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    await new Promise<void>((resolve) => Connection.#pending[1]!.push(resolve));
    if (this.#left === 0) this.#left = Connection.bytes;
    const n = Math.min(this.#left, buffer.length);
    this.#left -= n;
    return n;
  }

  async write(data: Uint8Array): Promise<number> {
    await new Promise<void>((resolve) => Connection.#pending[0]!.push(resolve));
    if (this.#left === 0) Connection.echoes++;
    return data.length;
  }

  setNoDelay(): void {}
  close(): void {}
  ref(): void {}
  unref(): void {}
}

class Listener {
  readonly addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  #left: number;

  constructor(connections: number) {
    this.#left = connections;
  }

  accept(): Promise<Connection> {
    return this.#left-- > 0 ? Promise.resolve(new Connection()) : new Promise(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for (;;) yield await this.accept();
  }

  close(): void {}
  ref(): void {}
  unref(): void {}
}

async function serve(name: string, connections: number, bytes: number): Promise<void> {
  (Deno as unknown as { listen: () => Listener }).listen = () => new Listener(connections);
  Connection.bytes = bytes;
  let from: { readonly used: NodeJS.CpuUsage; readonly echoes: number } | undefined;
  setTimeout(() => from = { used: process.cpuUsage(), echoes: Connection.echoes }, WARM_UP);
  setTimeout(() => {
    const { user, system } = process.cpuUsage(from!.used);
    console.log((user + system) * 1000 / (Connection.echoes - from!.echoes));
    Deno.exit();
  }, WARM_UP + MS);
  const turn = () => {
    Connection.turn();
    setImmediate(turn);
  };
  setImmediate(turn);
  await import(`./${name}.ts`);
}

async function measure(...args: (string | number)[]): Promise<number> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.filename!, "serve", ...args.map(String)],
  });
  const { stdout } = await command.output();
  return Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1));
}

if (Deno.args[0] === "serve") {
  await serve(Deno.args[1]!, Number(Deno.args[2]), Number(Deno.args[3]));
} else {
  const option = (name: string, otherwise: string) =>
    (Deno.args.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise).split(",")
      .map(Number);
  const counts = option("connections", "1,10,100,1000,10000");
  const [bytes] = option("bytes", "64") as [number];
  console.log(`${"ns for an echo".padEnd(16)}${counts.map((count) => String(count).padStart(8)).join("")}`);
  const best = new Map(SERVERS.map((name) => [name, counts.map(() => Infinity)]));
  for (let run = 0; run < RUNS; run++) {
    for (const [name, figures] of best) {
      for (const [i, count] of counts.entries()) {
        figures[i] = Math.min(figures[i]!, await measure(name, count, bytes));
      }
    }
  }
  for (const [name, figures] of best) {
    console.log(`${name.padEnd(16)}${figures.map((ns) => ns.toFixed(0).padStart(8)).join("")}`);
  }
}
