import assert from "node:assert/strict";
import { axe, faults, settled, shots } from "./world.mjs";

/** The responses that a page is there to show. */
const expected = { preset: [], blank: ["422 POST /tracking-apis/preview"], nowhere: [] };

export async function everyPage(world, who, paths) {
  const page = await world.open(who);
  const found = [];
  for (const [name, path] of Object.entries(paths)) {
    page.faults.length = 0;
    await world.visit(page, path);
    if (name === "blank" || name === "preset" || name === "edit") await page.waitForTimeout(500);
    await settled(page);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.waitForFunction((scheme) => document.documentElement.dataset.mantineColorScheme === scheme, scheme);
      found.push(...(await axe(page)).map((violation) => `${name}, ${scheme}: axe ${violation}`));
      if (process.env.SHOTS) await page.screenshot({ path: `${shots}${who}-${name}-${scheme}-1440.png`, fullPage: true });
    }
    found.push(...(await faults(page, expected[name])).map((fault) => `${name}: ${fault}`));
  }
  found.push(...(await overlays(world, page, paths)));
  assert.equal(found.join("\n"), "");
  await page.context().close();
}

/** What opens above a page: menus, questions, choices. */
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
