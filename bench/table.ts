/**
 * All benchmarks as one table: `deno task bench`, or `deno task bench switch calls` for some.
 *
 * Every file is run in a process of its own, several times, in turn with the others, so that a slow minute of the machine
 * hits all of them. A figure is the median over these runs; a ratio, which is what to read, is the median of the ratios
 * within each run. The group of a benchmark begins with the number of operations in an iteration: figures are for one.
 *
 * @module
 */

const ROUNDS = 3;

interface Bench {
  origin: string;
  group: string;
  name: string;
  baseline: boolean;
  results: { ok?: { avg: number } }[];
}

/** What the runs have shown of one benchmark. */
interface Row {
  name: string;
  baseline: boolean;
  times: number[];
  ratios: number[];
}

const here = new URL("./", import.meta.url);
const wanted = Deno.args;
const files = [...Deno.readDirSync(here)].map(({ name }) => name)
  .filter((name) => name.endsWith("_bench.ts"))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)))
  .sort();
if (files.length === 0) throw new Error(`No benchmark is called ${wanted.join(" or ")}`);

/** What a benchmark has printed in its last run. */
const notes = new Map<string, string>();

async function runOnce(file: string): Promise<Bench[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bench", "-A", "--json", file],
    cwd: here,
  }).output();
  if (!success) throw new Error(`${file} failed: ${new TextDecoder().decode(stderr)}`);
  // Some print figures of their own, before the report.
  const [, own, report] = /^([^]*?)^(\{[^]*)$/m.exec(new TextDecoder().decode(stdout))!;
  if (own!.trim() !== "") notes.set(file, own!.trim());
  return JSON.parse(report!).benches;
}

function averageOf(results: Bench["results"]): number {
  const result = results[0]?.ok;
  if (result === undefined) throw new Error("A benchmark has failed");
  return result.avg;
}

/** The number that a group begins with, its digits parted by spaces. */
function operationsOf(group: string): number {
  return Number(/^[\d ]+/.exec(group)?.[0].replaceAll(" ", "") || 1);
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function inWords(ns: number): string {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]] as const) {
    if (ns >= size) return `${(ns / size).toPrecision(3)} ${unit}`;
  }
  return `${ns.toPrecision(3)} ns`;
}

const groups = new Map<string, Map<string, Row>>();
for (let round = 0; round < ROUNDS; round++) {
  for (const file of files) {
    const benches = await runOnce(file);
    for (const { group, name, baseline, results } of benches) {
      const time = averageOf(results);
      const base = benches.find((other) => other.group === group && other.baseline);
      if (!groups.has(group)) groups.set(group, new Map());
      const rows = groups.get(group)!;
      if (!rows.has(name)) rows.set(name, { name, baseline, times: [], ratios: [] });
      const row = rows.get(name)!;
      row.times.push(time / operationsOf(group));
      if (base !== undefined) row.ratios.push(time / averageOf(base.results));
    }
  }
}

console.log(`Deno ${Deno.version.deno}, V8 ${Deno.version.v8}: medians of ${ROUNDS} runs\n`);
for (const [group, rows] of groups) {
  console.log(group);
  const width = Math.max(...[...rows.keys()].map((name) => name.length));
  for (const { name, baseline, times, ratios } of rows.values()) {
    const ratio = baseline ? "baseline" : ratios.length > 0 ? `${median(ratios).toFixed(2)} ×` : "";
    console.log(`  ${name.padEnd(width)}  ${inWords(median(times)).padStart(8)}  ${ratio.padStart(8)}`);
  }
  console.log();
}
for (const note of notes.values()) console.log(`${note}\n`);
