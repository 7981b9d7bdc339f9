/**
 * Places in the source: where a call was made, read from a stack while its maker is still on it.
 *
 * @module
 */

/** Where this module lies: what lies beside it is the kernel, and no place of a program. */
const KERNEL = new URL(".", import.meta.url).href;

export interface Place {
  readonly url: string;
  readonly line: string;
  readonly column: string;
  /** The name of the function; may be empty. */
  readonly inside: string;
}

/** A stack of which only the text is read later, if ever: the text is what costs. */
export function mark(): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const stack = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return stack;
}

/** The innermost place on a stack that is not the kernel's; undefined if there is none in the run. */
export function placeOf(marked: Error | undefined): Place | undefined {
  return placesOf(marked)[0];
}

/** All of them, innermost first. */
export function placesOf(marked: Error | undefined): Place[] {
  const places: Place[] = [];
  for (const line of marked?.stack?.split("\n") ?? []) {
    const match = /^\s+at (?:(.*) \()?(.+):(\d+):(\d+)\)?$/.exec(line);
    if (match === null) continue;
    const [, inside = "", url, row, column] = match;
    if (inside.endsWith("._turnAlone")) break; // what lies below is who explores
    if (isKernel(url!) || /^(ext|node|deno):/.test(url!)) continue;
    places.push({ url: url!, line: row!, column: column!, inside: inside.replace(/^(async|new) /, "") });
  }
  return places;
}

/** Whether a file is one of the kernel's modules. */
export function isKernel(url: string): boolean {
  return url.startsWith(KERNEL) && /^\w+\.[jt]s$/.test(url.slice(KERNEL.length));
}

/** A place in words: the name of the file alone if it lies beside `home`. */
export function inWords(place: Place, home: Place | undefined): string {
  const end = place.url.lastIndexOf("/") + 1;
  const isBeside = home !== undefined &&
    place.url.slice(0, end) === home.url.slice(0, home.url.lastIndexOf("/") + 1);
  const path = isBeside ? decodeURIComponent(place.url.slice(end)) : pathOf(place.url);
  return `${path}:${place.line}:${place.column}`;
}

/** The path of a file, for a shell. */
export function pathOf(url: string): string {
  return url.startsWith("file://") ? decodeURIComponent(url.slice("file://".length)) : url;
}
