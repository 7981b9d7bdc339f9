import { assert, assertEquals } from "@std/assert";
import { Delimiter } from "../_delimiter.ts";

/** Every word of so many letters or fewer, out of two. */
function words(most: number): Uint8Array[] {
  return Array.from({ length: most }, (_, i) => i + 1).flatMap((length) =>
    Array.from({ length: 2 ** length }, (_, bits) => Uint8Array.from({ length }, (_, i) => bits >> i & 1))
  );
}

const written = (bytes: Uint8Array) => String.fromCharCode(...bytes);

Deno.test("a delimiter is found where it begins first, whatever it and the data repeat", () => {
  for (const bytes of words(5)) {
    const delimiter = new Delimiter(bytes);
    for (const data of words(9)) {
      for (let from = 0; from <= data.length; from++) {
        const found = delimiter.find(data, from);
        const first = written(data).indexOf(written(bytes), from);
        if (found !== first) assert(false, `${bytes} in ${data} from ${from}: at ${found}, not ${first}`);
      }
    }
  }
});

Deno.test("data that almost is the delimiter again and again is looked at once", () => {
  let looks = 0;
  const data = new Proxy(new Uint8Array(2000).fill(7), {
    get(bytes, key) {
      if (key === "length") return bytes.length;
      if (key === "indexOf") return (byte: number, from: number) => bytes.indexOf(byte, from);
      looks++;
      return bytes[Number(key)];
    },
  });
  const delimiter = new Delimiter(new Uint8Array(500).fill(7).with(499, 8));
  assertEquals(delimiter.find(data, 0), -1);
  assert(looks <= 2 * 2000, `${looks} looks`);
});
