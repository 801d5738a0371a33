// Finds a Chromium: one on the path, else Debian's package, else the one that the npm package @sparticuz/chromium ships.
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** The folder of packages that are fetched for the tests alone. */
const TOOLS = new URL("../node_modules/.tools/", import.meta.url).pathname;

function onPath() {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // The next one.
      }
    }
  }
  return null;
}

function fromDebian() {
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) return null;
  const run = (...args) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0;
  return run("update", "-qq") && run("install", "-y", "-qq", "--no-install-recommends", "chromium") ? onPath() : null;
}

async function fromNpm() {
  try {
    mkdirSync(TOOLS, { recursive: true });
    execFileSync("npm", ["install", "--no-save", "--no-package-lock", "--prefix", TOOLS, "@sparticuz/chromium@153.0.0"], { stdio: ["ignore", "ignore", "inherit"] });
    const { default: chromium } = await import(createRequire(join(TOOLS, "x.js")).resolve("@sparticuz/chromium"));
    return await chromium.executablePath();
  } catch (error) {
    console.error(`@sparticuz/chromium can't be used: ${error.message}`);
    return null;
  }
}

/** The path of a Chromium; it fails with what to do if there is none. */
export async function chromiumPath() {
  const path = process.env.CHROMIUM ?? onPath() ?? fromDebian() ?? (await fromNpm());
  if (path === null) throw new Error("the console's tests need a Chromium: install one (Debian: apt-get install chromium), or name it in CHROMIUM");
  return path;
}
