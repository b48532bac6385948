// Bundles third-party code for offline use: `npm ci && node build.mjs` writes vendor/, which git ignores and the
// wheel holds. Our own modules are served as they are written.
import { createHash } from "node:crypto";
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const staging = `${folder}vendor.partial`;
await rm(staging, { recursive: true, force: true });
await mkdir(staging);

const { metafile } = await build({
  absWorkingDir: folder,
  entryPoints: { graphiql: "graphiql.js", "graphql-ws": "graphql-ws/client", three: "three-parts.js" },
  outdir: staging,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".woff2": "empty", ".woff": "empty", ".ttf": "empty" },
  legalComments: "eof",
  metafile: true,
  logLevel: "warning",
});
// GraphiQL's style sheet carries its fonts inside it, two thirds of its size; the system's fonts do as well.
const sheet = `${staging}/graphiql.css`;
await writeFile(sheet, (await readFile(sheet, "utf8")).replace(/@font-face\s*\{[^}]*\}/g, ""));

// What the bundles are made from, by which build_backend.py sees whether they are still the right ones.
const own = Object.keys(metafile.inputs).filter((name) => !name.includes("node_modules"));
const sources = {};
for (const name of ["build.mjs", "package-lock.json", ...own])
  sources[name] = createHash("sha256").update(await readFile(folder + name)).digest("hex");
await writeFile(`${staging}/sources.json`, JSON.stringify(sources, null, 2));
await writeFile(`${staging}/README`, "Made by `node build.mjs` from package-lock.json; do not edit.\n");

// A half-written folder must not be mistaken for a finished one, so it is renamed into place at the end.
await rm(`${folder}vendor`, { recursive: true, force: true });
await rename(staging, `${folder}vendor`);
for (const name of ["graphiql.js", "graphiql.css", "graphql-ws.js", "three.js"]) {
  const bytes = await readFile(`${folder}vendor/${name}`);
  console.log(`${name}: ${Math.round(bytes.length / 1024)} kB, ${Math.round(gzipSync(bytes).length / 1024)} kB compressed`);
}
