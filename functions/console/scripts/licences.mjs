// Checks the licence of every installed package: permissive ones only. What is in the bundle comes with no other terms than those.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PERMISSIVE = new Set(["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "ISC", "MIT", "Python-2.0", "Unlicense", "MIT OR CC0-1.0", "(MIT OR CC0-1.0)"]);
/** Tools of the build and of the tests under other terms: no byte of theirs is in the bundle. */
const TOOLS_ONLY = new Map([
  ["axe-core", "MPL-2.0"],
  ["lightningcss", "MPL-2.0"],
]);

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const faults = [];
let count = 0;
for (const [path, locked] of Object.entries(packages)) {
  if (path === "") continue;
  count += 1;
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  const licence = locked.license ?? "none said";
  const tool = [...TOOLS_ONLY].find(([tool]) => name === tool || name.startsWith(`${tool}-`));
  const isTool = locked.dev === true && tool?.[1] === licence;
  if (!PERMISSIVE.has(licence) && !isTool) faults.push(`${name}: ${licence}`);
  if (locked.resolved !== undefined) faults.push(`${name}: package-lock.json names a host`);
}
if (faults.length > 0) {
  console.error(`console: packages that may not be used:\n  ${faults.join("\n  ")}`);
  process.exit(1);
}
console.log(`console: licences of ${count} packages are permissive, but for test and build tools: ${[...TOOLS_ONLY.keys()].join(", ")}`);
