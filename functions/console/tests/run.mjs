// Runs the tests with what they need: the packages are installed, a Chromium is found or fetched.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { install } from "../scripts/install.mjs";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`the console's tests need Node 20.19 or newer, this is ${process.versions.node}`);
  process.exit(1);
}
if (install() !== 0) {
  console.error("the console's tests need the packages of functions/console/package-lock.json, which could not be installed");
  process.exit(1);
}
const tests = fileURLToPath(new URL("console.test.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, ["--test", "--test-force-exit", "--test-reporter=spec", tests], { stdio: "inherit" });
process.exit(status ?? 1);
