// Installs the packages of package-lock.json, unless they are there. Exit 3: npm's registry can't be reached.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** A copy of the lock file that was installed last. */
const stamp = join(root, "node_modules", ".installed.json");
const UNREACHABLE = /EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network|E5\d\d/;

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Installs what is missing; the exit code says how that ended. */
export function install() {
  const lock = read(join(root, "package-lock.json"));
  if (lock !== null && lock === read(stamp)) return 0;
  const done = spawnSync("npm", ["ci", "--no-progress"], { cwd: root, encoding: "utf8" });
  if (done.error) {
    console.error(`npm can't be run (${done.error.message}): the console needs Node 20.19 or newer with npm`);
    return 1;
  }
  if (done.status !== 0) {
    console.error(done.stderr);
    return UNREACHABLE.test(done.stderr) ? 3 : 1;
  }
  writeFileSync(stamp, lock);
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exit(install());
