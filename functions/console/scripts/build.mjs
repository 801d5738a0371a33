// Builds the bundle: types from the API's description, type check, licences, bundle, and the budget of the first page.
//
//     node scripts/build.mjs           writes dist/
//     node scripts/build.mjs --check   builds beside it, and fails if dist/ differs from what the sources give
//
// Each build generates the types again: if infra/openapi.json no longer fits the sources, the build fails.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import openapiTS, { astToString } from "openapi-typescript";
import { build } from "vite";

/** The most bytes of the first page, compressed. */
const FIRST_PAGE_BYTES = 400 * 1024;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const isCheck = process.argv.includes("--check");
process.chdir(root);

/** Runs a script of ours or of a package; the script prints its own errors. */
function run(...command) {
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

function fail(text) {
  console.error(`console: ${text}`);
  process.exit(1);
}

/** Every file below a folder by its path. */
function files(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path))]));
}

const description = new URL("../../../infra/openapi.json", import.meta.url);
const schema = `// Generated from infra/openapi.json by the build: do not edit.\n\n${astToString(await openapiTS(description, { defaultNonNullable: false }))}`;
writeFileSync(at("src/api/schema.d.ts"), schema);
run(at("node_modules/typescript/bin/tsc"), "--noEmit");
run(at("scripts/licences.mjs"));

const out = isCheck ? mkdtempSync(join(tmpdir(), "console-dist-")) : at("dist");
try {
  await build({ root, logLevel: "warn", build: { outDir: out, emptyOutDir: true } });
  const built = files(out);
  checkSize(built);
  if (isCheck) checkSame(built, files(at("dist")));
} finally {
  if (isCheck) rmSync(out, { recursive: true, force: true });
}

/** Fails if the files that index.html names are more than the budget. */
function checkSize(built) {
  const index = built.get("index.html").toString();
  const named = [...index.matchAll(/(?:src|href)="\/console\/([^"]+)"/g)].map((match) => match[1]);
  const bytes = ["index.html", ...named].map((name) => gzipSync(built.get(name), { level: 9 }).length);
  const sum = bytes.reduce((one, other) => one + other, 0);
  const all = [...built.values()].map((content) => gzipSync(content, { level: 9 }).length).reduce((one, other) => one + other, 0);
  console.log(`console: first page ${kib(sum)} compressed in ${bytes.length} files, the whole bundle ${kib(all)} in ${built.size}`);
  if (sum > FIRST_PAGE_BYTES) fail(`the first page is over its budget of ${kib(FIRST_PAGE_BYTES)}`);
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

/** Fails if two bundles differ. */
function checkSame(built, committed) {
  const names = [...new Set([...built.keys(), ...committed.keys()])].sort();
  const differing = names.filter((name) => !built.get(name)?.equals(committed.get(name) ?? Buffer.alloc(0)) || !committed.has(name));
  if (differing.length > 0) fail(`dist is not what the sources give, run \`npm run build\` and commit: ${differing.join(", ")}`);
  console.log(`console: dist is what the sources give (${names.length} files)`);
}
