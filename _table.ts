/**
 * Tables for people: columns as wide as what stands in them.
 *
 * @module
 */

// deno-lint-ignore no-control-regex -- they are what is looked for
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** A text on one line, without anything that a terminal would obey: names and reasons may come from the network. */
export function printable(text: string): string {
  return text.replace(CONTROL, (char) => {
    return { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[char] ??
      `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/**
 * Rows as aligned lines.
 *
 * @param rows The cells; the first row is the heading.
 * @param numbers The columns that are aligned to the right.
 */
export function tableOf(rows: string[][], numbers: readonly number[] = []): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths = cells[0]!.map((_, i) => cells.reduce((most, row) => Math.max(most, row[i]!.length), 0));
  return cells.map((row) =>
    row.map((cell, i) => numbers.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))
      .join("  ").trimEnd()
  );
}
