/**
 * Delimiters: where some bytes are found in a stream.
 *
 * The usual search begins anew one byte after the place where a match has failed. That is the fastest for a line's end, and takes
 * the product of the two lengths where the delimiter repeats itself and the data does so too, which whoever sends it decides: 64 KiB
 * of one letter and a boundary of a hundred of the same took milliseconds, in which nobody else has his turn. Knuth, Morris and
 * Pratt's goes on where it is: how much of a match that has failed is the beginning of another depends on the delimiter alone.
 *
 * @module
 */

export class Delimiter {
  readonly bytes: Uint8Array;
  /** For so many bytes matched and one: how many of the last of them are the first of the delimiter again. */
  readonly #borders: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#borders = new Uint32Array(bytes.length);
    for (let i = 1, border = 0; i < bytes.length; i++) {
      while (border > 0 && bytes[i] !== bytes[border]) border = this.#borders[border - 1]!;
      if (bytes[i] === bytes[border]) border++;
      this.#borders[i] = border;
    }
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Where it begins in `data`, at `from` or after it; -1 if it is not there. */
  find(data: Uint8Array, from: number): number {
    const { bytes } = this;
    const first = bytes[0]!;
    let matched = 0;
    for (let at = from; at < data.length;) {
      if (matched === 0) {
        at = data.indexOf(first, at);
        if (at < 0) return -1;
      }
      if (data[at] === bytes[matched]) {
        at++;
        if (++matched === bytes.length) return at - matched;
      } else {
        matched = this.#borders[matched - 1]!; // not 0 before that: the first byte has been found
      }
    }
    return -1;
  }
}
