import { assert, assertEquals } from "@std/assert";

const HOME = new URL("../", import.meta.url).href;

interface Graph {
  modules: { specifier: string; dependencies?: { specifier: string }[] }[];
}

Deno.test("the module depends on nothing: all that its entry points load is here, and is named by a relative path", async () => {
  for (const entry of ["mod.ts", "testing.ts", "monitor.ts"]) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", `${HOME}${entry}`],
      stderr: "null",
    }).output();
    const { modules }: Graph = JSON.parse(new TextDecoder().decode(stdout));
    assert(modules.length > 50, `${entry} loads ${modules.length} modules`);
    const foreign = modules.flatMap(({ specifier, dependencies = [] }) => [
      ...(specifier.startsWith(HOME) && !specifier.slice(HOME.length).includes("/") ? [] : [specifier]),
      ...dependencies.map((dependency) => dependency.specifier).filter((name) => !name.startsWith("./")),
    ]);
    assertEquals(foreign, [], entry);
  }
});
