// Patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before what stands for itself.

const [STAR, ANY, OPEN, CLOSE, NOT, TO, ESCAPE] = new TextEncoder().encode("*?[]^-\\");

/**
 * Whether bytes match a pattern. It goes back to the last `*` only, so no pattern takes more steps than the product of both
 * lengths; a regular expression could take for ever.
 */
export function matches(pattern: Uint8Array, bytes: Uint8Array): boolean {
  let p = 0, star = -1, retry = 0;
  for (let i = 0; i < bytes.length;) {
    const end = matchOne(pattern, p, bytes[i]!);
    if (end >= 0) {
      p = end;
      i++;
    } else if (pattern[p] === STAR) {
      star = p++;
      retry = i;
    } else if (star >= 0) {
      p = star + 1;
      i = ++retry;
    } else return false;
  }
  while (pattern[p] === STAR) p++;
  return p === pattern.length;
}

/** The end of the element at `p` if that matches the byte; else, and for a `*`, -1. */
function matchOne(pattern: Uint8Array, p: number, byte: number): number {
  const last = pattern.length - 1;
  const element = pattern[p];
  if (element === ANY) return p + 1;
  if (element === ESCAPE && p < last) return pattern[p + 1] === byte ? p + 2 : -1;
  if (element !== OPEN) return element === byte && element !== STAR ? p + 1 : -1;
  const negated = pattern[p + 1] === NOT;
  let found = false;
  for (p += negated ? 2 : 1; p <= last && pattern[p] !== CLOSE; p++) {
    if (pattern[p] === ESCAPE && p < last) p++;
    const from = pattern[p]!;
    const isRange = pattern[p + 1] === TO && p + 1 < last && pattern[p + 2] !== CLOSE;
    const to = isRange ? pattern[p += 2]! : from;
    if (Math.min(from, to) <= byte && byte <= Math.max(from, to)) found = true;
  }
  return found !== negated ? Math.min(p, last) + 1 : -1;
}
