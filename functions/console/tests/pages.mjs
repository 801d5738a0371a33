import assert from "node:assert/strict";
import { axe, faults, loaded, shots } from "./world.mjs";

/** The responses that a page is there to show. */
const expected = { preset: [], flow: [], blank: ["422 POST /tracking-apis/preview"], nowhere: [] };

export async function everyPage(world, who, paths) {
  const page = await world.open(who);
  const found = [];
  for (const [name, path] of Object.entries(paths)) {
    page.faults.length = 0;
    await world.visit(page, path);
    if (["blank", "preset", "flow", "edit"].includes(name)) await page.waitForTimeout(500);
    await loaded(page);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.waitForFunction((scheme) => document.documentElement.dataset.mantineColorScheme === scheme, scheme);
      // Colours are all that differs in the dark.
      const violations = await axe(page, scheme === "dark" ? ["color-contrast"] : null);
      found.push(...violations.map((violation) => `${name}, ${scheme}: axe ${violation}`));
      if (process.env.SHOTS) await page.screenshot({ path: `${shots}${who}-${name}-${scheme}-1440.png`, fullPage: true });
    }
    found.push(...(await faults(page, expected[name])).map((fault) => `${name}: ${fault}`));
  }
  found.push(...(await overlays(world, page, paths)));
  assert.equal(found.join("\n"), "");
  await page.context().close();
}

/** Menus, questions and lists of choices, which open above a page. */
async function overlays(world, page, paths) {
  const found = [];
  const look = async (name) => found.push(...(await axe(page)).map((violation) => `${name}: axe ${violation}`));
  await world.go(page, paths.postbacks);
  await page.getByRole("button", { name: "Actions for My tracker" }).click();
  await page.getByRole("menuitem", { name: "Duplicate" }).waitFor();
  await look("menu");
  await page.getByRole("menuitem", { name: "Duplicate" }).click();
  await page.getByRole("dialog").waitFor();
  await look("dialog");
  await page.keyboard.press("Escape");
  await page.getByRole("checkbox", { name: "Choose all rules" }).check();
  await page.getByRole("button", { name: "Switch off", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  await look("question");
  await page.keyboard.press("Escape");
  await world.go(page, paths.deliveries);
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("checkbox", { name: "Duration" }).check();
  await look("columns");
  await world.go(page, paths.edit);
  await page.getByRole("combobox", { name: "URL" }).focus();
  await page.keyboard.press("End");
  await page.keyboard.type("{pay");
  await page.getByRole("option").first().waitFor();
  await look("macros");
  await page.keyboard.press("Escape");
  await page.getByText("JSON", { exact: true }).first().click();
  await page.getByRole("textbox", { name: "JSON" }).waitFor();
  await look("json");
  return found;
}

/** The overview of a server that keeps statistics, in the shape of the API's description. */
export async function statistics(world) {
  const page = await world.open("aff_7");
  const buckets = Array.from({ length: 24 }, (_, hour) => ({
    at: new Date(Date.UTC(2026, 10, 27, hour)).toISOString(),
    counts: { delivered: 40 + 30 * Math.sin(hour / 3), failed: hour % 5, waiting: hour === 23 ? 4 : 0, skipped: 1 },
    latency_ms: hour === 3 ? null : { p50: 40 + hour, p95: 180 + 10 * hour, p99: 400 + 30 * (hour % 7) },
  }));
  for (const bucket of buckets) bucket.counts.delivered = Math.round(bucket.counts.delivered);
  let asked;
  await page.route("**/stats?*", (route) => {
    asked = new URL(route.request().url()).searchParams;
    return route.fulfill({ json: { buckets } });
  });
  await world.visit(page, "/overview");
  await page.getByRole("img", { name: "Deliveries in 24 buckets, 77 in the fullest" }).waitFor();
  await page.getByRole("img", { name: /^Latency of receivers over time/ }).waitFor();
  await page.getByText("95.8 %").waitFor();
  assert.deepEqual([asked.get("bucket"), Date.parse(asked.get("to")) - Date.parse(asked.get("from"))], ["hour", 86_400_000]);
  await page.getByText("As a table").click();
  await page.getByRole("cell", { name: "390 ms" }).first().waitFor();
  await page.getByText("30 days").click();
  await page.waitForFunction(() => document.querySelector(".skeleton") === null);
  assert.equal(asked.get("bucket"), "day");
  assert.deepEqual(await axe(page), []);
  if (process.env.SHOTS) await page.screenshot({ path: `${shots}aff_7-statistics-light-1440.png`, fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  assert.deepEqual(await axe(page, ["color-contrast"]), []);
  assert.deepEqual(await faults(page), []);
  await page.context().close();
}

export async function narrow(world, paths) {
  const found = [];
  for (const width of [390, 360]) {
    const page = await world.open("admin", { width, height: 844 });
    for (const [name, path] of Object.entries(paths)) {
      await world.visit(page, path);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) found.push(`${name}: ${over} pixels too wide at ${width}`);
      if (width === 390 && process.env.SHOTS) await page.screenshot({ path: `${shots}admin-${name}-light-390.png`, fullPage: true });
    }
    if (width === 390) {
      await page.getByRole("button", { name: "Open the navigation" }).click();
      await page.getByRole("dialog").getByRole("link", { name: "Deliveries" }).waitFor();
      found.push(...(await axe(page)).map((violation) => `navigation: axe ${violation}`));
      if (process.env.SHOTS) await page.screenshot({ path: `${shots}admin-navigation-light-390.png` });
      await page.getByRole("dialog").getByRole("link", { name: "Deliveries" }).click();
      await page.getByRole("heading", { name: "Deliveries" }).waitFor();
    }
    await page.context().close();
  }
  assert.equal(found.join("\n"), "");
}
