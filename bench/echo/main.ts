/**
 * The echo comparison: genos beside the raw loop, and beside what others make of the same machine.
 *
 * `deno task bench:echo [--servers=genos,raw] [--connections=1,50,1000,10000] [--bytes=64,16384] [--rounds=5]
 * [--ms=1500] [--warm-up=1000] [--mode=together|joining] [--json=FILE]`
 *
 * A machine is never twice the same, so nothing is compared across runs. In each round every server is started afresh and
 * measured once, in an order that turns with the rounds; the figures are medians, and a ratio is the median of the ratios
 * of the single rounds. The server has one core and the load (`load.c`) another, where the machine allows. What counts is
 * the server's processor time for a reply: the rate is its inverse as long as the server is the bottleneck.
 *
 * A round in which other processes took more than a tenth of a core is repeated, a few times; the largest share that was
 * left in is told at the end.
 *
 * @module
 */

interface Spread {
  count: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** What `load.c` prints. Times in ms, but for `serverMicros`. */
interface Measured {
  replies: number;
  rate: number;
  serverMicros: number;
  serverShare: number;
  loadShare: number;
  othersShare: number;
  latency: Spread;
  firstReply: Spread;
  unanswered: number;
  connectMs: number;
}

interface Server {
  name: string;
  /** How it is started; or why it cannot be. */
  command: string[] | string;
}

const TRIES = 4;
const QUIET = 0.1;
const HERE = import.meta.dirname!;

const options = new Map(Deno.args.map((argument) => {
  const [name, value] = argument.replace(/^--/, "").split("=");
  if (value === undefined) throw new TypeError(`Cannot read ${argument}: options are given as --name=value`);
  return [name!, value];
}));
const numbers = (name: string, otherwise: string) => (options.get(name) ?? otherwise).split(",").map(Number);
const [rounds] = numbers("rounds", "5") as [number];
const [ms] = numbers("ms", "1500") as [number];
const [warmUp] = numbers("warm-up", "1000") as [number];
const connections = numbers("connections", "1,50,1000,10000");
const sizes = numbers("bytes", "64,16384");
const mode = options.get("mode") ?? "together";

/** Runs a command to its end; undefined if there is no such program. */
async function output(command: string, ...args: string[]): Promise<Deno.CommandOutput | undefined> {
  try {
    return await new Deno.Command(command, { args, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function version(command: string, ...args: string[]): Promise<string | undefined> {
  const result = await output(command, ...args);
  return result?.success ? new TextDecoder().decode(result.stdout).trim().split("\n")[0] : undefined;
}

async function compile(folder: string, name: string): Promise<string> {
  const result = await output("cc", "-O2", "-o", `${folder}/${name}`, `${HERE}/${name}.c`);
  if (result === undefined) {
    console.error(
      "Cannot measure: the load generator is a C program, and there is no cc (Debian: apt-get install gcc)",
    );
    Deno.exit(1);
  }
  if (!result.success) throw new Error(new TextDecoder().decode(result.stderr));
  return `${folder}/${name}`;
}

async function serversIn(folder: string): Promise<Server[]> {
  const deno = [Deno.execPath(), "run", "-A"];
  const python = Deno.env.get("ECHO_PYTHON") ?? "python3";
  const has = async (module: string) => (await output(python, "-c", `import ${module}`))?.success;
  const node = await version("node", "--version");
  const go = (await output("go", "build", "-o", `${folder}/go`, `${HERE}/echo.go`))?.success;
  const peers = (kind: string, ready: boolean | undefined) =>
    ready ? [python, `${HERE}/peers.py`, kind] : "not installed: see bench/echo/peers.sh";
  return [
    { name: "raw", command: [...deno, `${HERE}/raw.ts`] },
    { name: "raw-keep", command: [...deno, `${HERE}/raw_keep.ts`] },
    { name: "genos", command: [...deno, `${HERE}/genos.ts`] },
    { name: "genos-into", command: [...deno, `${HERE}/genos_into.ts`] },
    { name: "deno-net", command: [...deno, `${HERE}/net.mjs`] },
    { name: "node-net", command: node ? ["node", `${HERE}/net.mjs`] : "there is no node" },
    { name: "c", command: [await compile(folder, "epoll")] },
    { name: "go", command: go ? [`${folder}/go`] : "there is no go" },
    { name: "uvloop", command: peers("uvloop", await has("uvloop")) },
    { name: "asyncio", command: peers("asyncio", await has("asyncio")) },
    { name: "tornado", command: peers("tornado", await has("tornado")) },
  ];
}

async function readLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The server ended before it had told its port: ${text}`);
    text += value;
  }
  reader.cancel().catch(() => {});
  return text.trim();
}

/** Starts a server, puts it under load, and ends it. */
async function measure(
  load: string,
  pin: boolean,
  command: string[],
  count: number,
  bytes: number,
): Promise<Measured> {
  const on = (core: number, words: string[]) => pin ? ["taskset", "-c", String(core), ...words] : words;
  const [program, ...args] = on(0, command) as [string, ...string[]];
  const server = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  try {
    const port = await readLine(server.stdout);
    const words = on(1, [load, port, String(server.pid), ...[count, bytes, warmUp, ms].map(String), mode]);
    const result = await output(words[0]!, ...words.slice(1));
    if (!result!.success) throw new Error(new TextDecoder().decode(result!.stderr).trim());
    return JSON.parse(new TextDecoder().decode(result!.stdout));
  } finally {
    try {
      server.kill("SIGKILL");
    } catch { /* it has ended by itself */ }
    await server.status;
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function figure(value: number): string {
  if (value >= 1000) return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, " ");
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")} |`;
  const rule = widths.map((width, i) => i < 3 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(rows[0]!), `| ${rule.join(" | ")} |`, ...rows.slice(1).map(line)].join("\n");
}

const folder = await Deno.makeTempDir({ prefix: "genos-echo-" });
const results: { server: string; connections: number; bytes: number; rounds: Measured[] }[] = [];
let noise = 0;
try {
  const load = await compile(folder, "load");
  const pin = navigator.hardwareConcurrency > 1 &&
    (await output("taskset", "-c", "1", "true"))?.success === true;
  const wanted = options.get("servers")?.split(",");
  const servers: { name: string; command: string[] }[] = [];
  for (const { name, command } of await serversIn(folder)) {
    if (wanted !== undefined && !wanted.includes(name)) continue;
    if (typeof command === "string") console.error(`without ${name}: ${command}`);
    else servers.push({ name, command });
  }
  console.error(
    `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}, Node ${await version("node", "--version") ?? "–"}, ` +
      `${
        await version(Deno.env.get("ECHO_PYTHON") ?? "python3", "--version") ?? "no Python"
      }; ${navigator.hardwareConcurrency} cores, ` +
      `${
        pin ? "server and load on one each" : "not pinned"
      }; ${rounds} rounds of ${ms} ms after ${warmUp} ms, ${mode}`,
  );
  for (const bytes of sizes) {
    for (const count of connections) {
      const here = servers.map(({ name }) => ({
        server: name,
        connections: count,
        bytes,
        rounds: [] as Measured[],
      }));
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < servers.length; i++) {
          const turn = (i + round) % servers.length;
          const { name, command } = servers[turn]!;
          let best: Measured | undefined;
          for (let tried = 0; tried < TRIES && (best === undefined || best.othersShare > QUIET); tried++) {
            try {
              const measured = await measure(load, pin, command, count, bytes);
              if (best === undefined || measured.othersShare < best.othersShare) best = measured;
            } catch (error) {
              console.error(`${name}, ${count} × ${bytes} B: ${(error as Error).message}`);
            }
          }
          if (best === undefined) continue;
          noise = Math.max(noise, best.othersShare);
          here[turn]!.rounds.push(best);
        }
      }
      results.push(...here);
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}

const rows = [[
  "bytes",
  "connections",
  "server",
  "replies/s",
  "µs/reply",
  "ratio",
  "p50 ms",
  "p99",
  "p99.9",
  "max",
  "p99 ratio",
  "first reply ms",
  "load",
]];
for (const { server, connections, bytes, rounds } of results) {
  if (rounds.length === 0) continue;
  const raw = results.find((other) =>
    other.server === "raw" && other.connections === connections && other.bytes === bytes
  )?.rounds;
  const of = (read: (round: Measured) => number) => median(rounds.map(read));
  const ratio = (read: (round: Measured) => number) =>
    raw === undefined || raw.length < rounds.length
      ? "–"
      : median(rounds.map((round, i) => read(round) / read(raw[i]!))).toFixed(2);
  const starved = Math.max(...rounds.map(({ unanswered }) => unanswered));
  rows.push([
    String(bytes),
    String(connections),
    server,
    figure(of(({ rate }) => rate)),
    figure(of(({ serverMicros }) => serverMicros)),
    ratio(({ serverMicros }) => serverMicros),
    figure(of(({ latency }) => latency.p50)),
    figure(of(({ latency }) => latency.p99)),
    figure(of(({ latency }) => latency.p999)),
    figure(of(({ latency }) => latency.max)),
    ratio(({ latency }) => latency.p99),
    figure(of(({ firstReply }) => firstReply.max)) + (starved > 0 ? ` (${starved} none)` : ""),
    of(({ loadShare }) => loadShare).toFixed(2),
  ]);
}
console.log(table(rows));
console.error(`Other processes took at most ${noise.toFixed(2)} of a core in a round.`);
const file = options.get("json");
if (file !== undefined) await Deno.writeTextFile(file, JSON.stringify(results, null, 1));
