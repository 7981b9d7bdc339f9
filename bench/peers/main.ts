/**
 * genos beside other kernels for generators: `deno task bench:peers`.
 *
 * They are no dependencies: npm installs them in a temporary folder, the programs run there, and the folder is removed.
 *
 * @module
 */

const PEERS = ["effection@4.1.1", "effect@4.1.0"];

const folder = await Deno.makeTempDir({ prefix: "genos-peers-" });
try {
  await Deno.writeTextFile(`${folder}/package.json`, "{}");
  await perform("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", ...PEERS]);
  await Deno.copyFile(new URL("subjects.ts", import.meta.url), `${folder}/subjects.ts`);
  const genos = new URL("../../mod.ts", import.meta.url).href;
  console.log(`Deno ${Deno.version.deno}, ${PEERS.join(", ")}: medians\n`);
  await perform(Deno.execPath(), [
    "run",
    "-A",
    "--no-check",
    "--node-modules-dir=manual",
    "subjects.ts",
    genos,
  ]);
} finally {
  await Deno.remove(folder, { recursive: true });
}

async function perform(command: string, args: string[]): Promise<void> {
  const child = new Deno.Command(command, { args, cwd: folder, stdout: "inherit", stderr: "inherit" })
    .spawn();
  const { success } = await child.status;
  if (!success) throw new Error(`${command} ${args[0]} failed`);
}
