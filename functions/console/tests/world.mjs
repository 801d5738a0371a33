// The world of the tests: the real `tracking serve` on a temporary folder, a receiver on loopback, and a browser.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { chromiumPath } from "../scripts/chromium.mjs";

const binary = process.env.TRACKING_BIN ?? new URL("../../../target/debug/tracking", import.meta.url).pathname;
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const shots = new URL("../test-results/", import.meta.url).pathname;

/** Texts that would run or break something if anything took them for more than texts. */
export const hostile = [
  `<img src=x onerror="window.pwned=1">`,
  `"><script>window.pwned=2</script>`,
  `javascript:window.pwned=3`,
  `{{constructor.constructor('window.pwned=4')()}}`,
  `</textarea><svg onload=window.pwned=5>`,
  `\u202Etxt.exe \u0000 '--`.replace("\u0000", ""),
];

class Receiver {
  /** Prefixes of paths with their answers; the first that fits counts. */
  answers = [];
  requests = [];

  async start() {
    this.server = createServer((request, response) => {
      this.requests.push(request.url);
      const [, status, body] = this.answers.find(([prefix]) => request.url.startsWith(prefix)) ?? ["", 200, "OK"];
      response.writeHead(status, { "content-type": "text/html" });
      response.end(body);
    });
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.host = `127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export class World {
  async start() {
    this.folder = mkdtempSync(join(tmpdir(), "tracking-console-"));
    this.data = join(this.folder, "data");
    this.receiver = await new Receiver().start();
    this.server = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--data", this.data, "--allow-private-targets"], { stdio: ["ignore", "pipe", "ignore"] });
    const [line] = await new Promise((done, fail) => {
      this.server.once("error", (error) => fail(new Error(`${binary} can't be run (${error.message}): build it with cargo build -p tracking-local`)));
      createInterface({ input: this.server.stdout }).once("line", (text) => done([text]));
    });
    this.url = line.replace("listening on ", "");
    this.browser = await chromium.launch({ executablePath: await chromiumPath(), args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-features=LocalNetworkAccessChecks"] });
    mkdirSync(shots, { recursive: true });
    return this;
  }

  /** Saves a screenshot of each open page, and closes the pages. */
  async showFailure(name) {
    for (const context of this.browser.contexts()) {
      for (const page of context.pages()) {
        await page.screenshot({ path: `${shots}failed ${name.replaceAll(/[^a-z0-9]+/gi, " ")}.png` }).catch(() => {});
        if (page.faults?.length > 0) console.error(page.faults.join("\n"));
      }
      await context.close();
    }
  }

  async stop() {
    await this.browser?.close();
    this.receiver?.stop();
    if (this.server?.pid && this.server.exitCode === null) {
      const ended = new Promise((done) => this.server.once("exit", done));
      this.server.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  run(...args) {
    return execFileSync(binary, args, { encoding: "utf8", env: { ...process.env, RUST_LOG: "error" } }).trim();
  }

  token(who) {
    return this.run("token", "--data", this.data, ...(who === "admin" ? ["--admin"] : ["--affiliate", who]));
  }

  link(who) {
    return this.run("console", "--data", this.data, "--server", this.url, ...(who === "admin" ? ["--admin"] : ["--affiliate", who]));
  }

  async call(who, method, path, body) {
    this.tokens ??= {};
    this.tokens[who] ??= this.token(who);
    const answer = await fetch(this.url + path, { method, headers: { authorization: `Bearer ${this.tokens[who]}`, "content-type": "application/json" }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok && !(path === "/events" && answer.status === 400)) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  rule(who, name, path, more = {}) {
    return this.call(who, "POST", "/tracking-apis", { name, request: { url: `http://${this.receiver.host}${path}?c={external_id}` }, ...more });
  }

  event(conversion, affiliate, more = {}) {
    return this.call("admin", "POST", "/events", {
      "detail-type": "Conversion Changed",
      detail: {
        change_id: `chg_${conversion}`,
        occurred_at: new Date().toISOString(),
        conversion: { conversion_id: conversion, version: 1, change: "created", type: "sale", source: "link", affiliate_id: affiliate, advertiser_id: "adv_2", offer_id: "off_5", external_id: `X-${conversion}`, affiliate_click_id: `click-${conversion}`, ...more },
        transactions: [{ transaction_id: `trx_${conversion}`, result: "approved", payout: "5.00", currency: "EUR" }],
      },
    });
  }

  /** Waits until a rule's delivery of a conversion is in one of these states. */
  async delivery(rule, conversion, ...states) {
    for (let tries = 0; tries < 100; tries += 1) {
      const { items } = await this.call("admin", "GET", `/deliveries?tracking_api_id=${rule}&conversion_id=${conversion}`);
      if (items[0] && states.includes(items[0].state)) return items[0];
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`no delivery of ${conversion} became ${states}`);
  }

  /** A page of the console, signed in by the link that the command line prints. */
  async open(who, { path = null, scheme = "light", width = 1440, height = 900 } = {}) {
    const context = await this.browser.newContext({ colorScheme: scheme, viewport: { width, height }, reducedMotion: "reduce", locale: "en-GB", timezoneId: "Europe/Prague" });
    await context.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    const page = await context.newPage();
    page.faults = [];
    page.asked = [];
    page.on("console", (message) => {
      // Chromium also logs statuses of responses: the handler of responses below reads them.
      if (["error", "warning"].includes(message.type()) && !message.text().startsWith("Failed to load resource")) page.faults.push(message.text());
    });
    page.on("pageerror", (error) => page.faults.push(String(error)));
    page.on("dialog", (dialog) => {
      page.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.running = 0;
    page.on("request", (request) => {
      page.running += 1;
      page.asked.push({ method: request.method(), url: request.url() });
    });
    for (const end of ["requestfinished", "requestfailed"]) page.on(end, () => (page.running -= 1));
    page.on("response", (response) => {
      if (response.status() >= 400) page.faults.push(`${response.status()} ${response.request().method()} ${new URL(response.url()).pathname}`);
    });
    page.setDefaultTimeout(5_000);
    if (who !== null) {
      await page.goto(this.link(who));
      await page.getByRole("navigation", { name: "Pages" }).or(page.getByRole("button", { name: "Open the navigation" })).first().waitFor();
      await loaded(page);
    }
    if (path !== null) await this.go(page, path);
    return page;
  }

  /** Opens a page of the console as a link does; a page that is shown already is loaded again. */
  async visit(page, path) {
    if (page.url() === `${this.url}/console${path}`) return this.go(page, path);
    await page.evaluate((address) => window.history.pushState(null, "", address), `/console${path}`);
    await page.locator("h1").first().waitFor();
    await loaded(page);
  }

  async go(page, path) {
    await page.goto(`${this.url}/console${path}`);
    await page.locator("h1").first().waitFor();
    await loaded(page);
  }
}

/** Waits until a page has loaded everything that it requested. */
export async function loaded(page) {
  for (let quiet = 0; quiet < 3; ) {
    await new Promise((done) => setTimeout(done, 25));
    const isLoading = page.running > 0 || (await page.evaluate(() => document.querySelector(".skeleton") !== null));
    quiet = isLoading ? 0 : quiet + 1;
  }
}

/** The faults of a page so far, without those that a test expects. */
export async function faults(page, expected = []) {
  const violations = await page.evaluate(() => window.violations);
  const all = [...page.faults, ...violations.map((violation) => `policy: ${violation}`)];
  return all.filter((fault) => !expected.some((known) => fault.startsWith(known)));
}

/** The violations that axe finds, of all its rules or of some. */
export async function axe(page, rules = null) {
  // The script runs by the browser's debugger: the page's policy has no say in it, and is not loosened.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) }), rules);
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")} — ${node.failureSummary?.split("\n")[1]?.trim() ?? ""}`));
}
