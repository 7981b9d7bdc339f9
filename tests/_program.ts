/**
 * Programs that a test starts and talks to: the project's examples, and foreign clients.
 *
 * @module
 */

/** Whether a test may start programs. */
export const ignore: boolean = Deno.permissions.querySync({ name: "run" }).state !== "granted";

/** A program that is running; at the latest when it is disposed of, it is killed. */
export class Program implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  /** What it has printed so far. */
  said = "";

  constructor(command: string, ...args: string[]) {
    this.#process = new Deno.Command(command, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#input = this.#process.stdin.getWriter();
  }

  /** Reads what it prints until that includes some text so often. */
  async says(text: string, times = 1): Promise<void> {
    while (this.said.split(text).length <= times) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`It has ended without saying ${text}: ${this.said}`);
      this.said += value;
    }
  }

  async hears(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Closes its input. */
  async hearsNoMore(): Promise<void> {
    await this.#input.close();
  }

  /** Waits for its end, and reads what it prints until then. */
  async end(): Promise<Deno.CommandStatus> {
    for (let part = await this.#output.read(); !part.done; part = await this.#output.read()) {
      this.said += part.value;
    }
    return await this.#process.status;
  }

  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Sends it a signal, and waits for its end. */
  async endBy(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    this.signal(signal);
    return await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.#output.cancel();
    await this.#input.close().catch(() => {});
    await this.#process.status;
  }
}

/** Runs a program to its end: what it prints. */
export async function outputOf(command: string, args: string[], input = ""): Promise<string> {
  await using program = new Program(command, ...args);
  await program.hears(input).catch(() => {});
  await program.hearsNoMore().catch(() => {});
  await program.end();
  return program.said;
}

/** A server of `examples/`, started as a user starts it. */
export class ExampleServer extends Program {
  /** The port that it listens on. */
  port = 0;

  private constructor(example: string, permissions: string[], args: string[]) {
    super(Deno.execPath(), "run", "--no-prompt", ...permissions, `examples/${example}`, ...args);
  }

  /** Starts it, and waits until it listens. */
  static async start(
    example: string,
    args: string[] = ["0"],
    permissions: string[] = ["--allow-net"],
  ): Promise<ExampleServer> {
    const server = new ExampleServer(example, permissions, args);
    await server.says("listening on 127.0.0.1:");
    await server.says("\n");
    server.port = Number(/listening on 127\.0\.0\.1:(\d+)/.exec(server.said)![1]);
    return server;
  }
}
