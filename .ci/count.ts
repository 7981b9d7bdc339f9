/**
 * Reads a JUnit report and says how many test cases passed and failed, steps and documentation examples included.
 *
 * `deno run --allow-read .ci/count.ts REPORT [STATUS]`, where STATUS is the exit status of the run that wrote it: a
 * module that throws while it loads has no case in the report, so a run that failed without a failed case counts as
 * one failure; and so does a report that is missing, cut off or empty.
 *
 * @module
 */

const [path = "", status = "0"] = Deno.args;

let report = "";
try {
  report = Deno.readTextFileSync(path);
} catch (error) {
  console.error(`Cannot read the test report: ${error instanceof Error ? error.message : error}`);
}

let passed = 0, failed = 0, skipped = 0;
for (const [, body = ""] of report.matchAll(/<testcase\b[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs)) {
  if (/<(failure|error)\b/.test(body)) failed++;
  else if (/<skipped\b/.test(body)) skipped++;
  else passed++;
}

const whole = report.trimEnd().endsWith("</testsuites>") && passed + failed + skipped > 0;
if (failed === 0 && (status !== "0" || !whole)) failed = 1;

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
Deno.exit(failed > 0 ? 1 : 0);
