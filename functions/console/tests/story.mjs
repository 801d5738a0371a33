import assert from "node:assert/strict";
import { faults, loaded } from "./world.mjs";

/** The only fault of the story that the tests expect. */
const expectedFaults = ["422 POST /tracking-apis/preview"];

export async function storyByMouse(world) {
  const { host } = world.receiver;
  const page = await world.open("aff_20");
  // Nothing is there yet: the page says what to do.
  await page.getByText("There is no postback yet").waitFor();
  await page.getByRole("link", { name: "Choose a receiver" }).click();
  await page.getByRole("button", { name: /^Keitaro/ }).click();
  await page.getByLabel("domain").fill(host);
  await page.getByLabel("postback key").fill("story/wrong");
  const preview = page.getByRole("complementary", { name: "Preview" });
  await preview.getByText(`https://${host}/story/wrong/postback?`).first().waitFor();
  await preview.getByText("Fires", { exact: true }).waitFor();
  await preview.getByText("16 retries").waitFor();
  assert.equal(await preview.locator(".value").first().getAttribute("title"), "{affiliate_click_id} from /conversion/affiliate_click_id");
  // The receiver here speaks no TLS.
  await page.getByText("All fields").click();
  const url = page.getByRole("combobox", { name: "URL" });
  await url.fill((await url.inputValue()).replace("https://", "http://"));
  await page.getByRole("button", { name: "Save postback" }).click();
  await page.getByRole("heading", { name: "Keitaro", exact: true }).waitFor();
  const rule = page.url().split("/").at(-1);

  await page.getByRole("button", { name: "Send the test" }).click();
  const answer = page.getByRole("region", { name: "Answer" });
  await answer.getByText("unknown postback key").waitFor();
  await answer.getByText("status 404").waitFor();

  await world.event("cnv_story_1", "aff_20");
  await world.delivery(rule, "cnv_story_1", "failed");
  await page.getByRole("link", { name: "Deliveries", exact: true }).click();
  await page.getByLabel("Click id").fill("click-cnv_story_1");
  await page.getByRole("link", { name: "Delivery of cnv_story_1" }).click();
  await page.getByText("unknown postback key").waitFor();
  const delivery = page.url().split("/").at(-1);

  await page.getByRole("link", { name: "Keitaro" }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await url.fill((await url.inputValue()).replace("/story/wrong/", "/story/right/"));
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByRole("heading", { name: "Keitaro", exact: true }).waitFor();

  await world.go(page, `/deliveries/${delivery}`);
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByRole("dialog").getByText("1 attempt so far.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Send again" }).click();
  await page.getByText("The receiver has it.").waitFor();
  await page.getByText("Attempt 2").waitFor();
  assert.ok(world.receiver.requests.some((path) => path.startsWith("/story/right/postback?subid=click-cnv_story_1&status=sale")));
  assert.deepEqual(await faults(page, expectedFaults), []);
  await page.context().close();
}

/** A person without a pointing device. */
class Keyboard {
  constructor(page) {
    this.page = page;
  }

  /** The accessible name and role of what has the focus, as far as the story needs them. */
  focused() {
    return this.page.evaluate(() => {
      const element = document.activeElement;
      if (!element) return "";
      const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
      return `${element.getAttribute("role") ?? element.tagName.toLowerCase()}: ${label.trim()}`;
    });
  }

  /** Tabs until something has the focus that reads so. */
  async to(pattern, key = "Tab") {
    const seen = [];
    for (let presses = 0; presses < 120; presses += 1) {
      const focused = await this.focused();
      if (pattern.test(focused)) return;
      seen.push(focused);
      await this.page.keyboard.press(key);
    }
    assert.fail(`no focus on ${pattern}: ${seen.slice(0, 60).join(" | ")}`);
  }

  async press(pattern, key = "Enter") {
    await this.to(pattern);
    await this.page.keyboard.press(key);
  }

  async write(pattern, text) {
    await this.to(pattern);
    await this.page.keyboard.press("Control+a");
    await this.page.keyboard.type(text);
  }
}

export async function storyByKeyboard(world) {
  const { host } = world.receiver;
  const page = await world.open("aff_21");
  const keyboard = new Keyboard(page);
  await keyboard.press(/^a: Choose a receiver/);
  await page.getByRole("heading", { name: "New postback" }).waitFor();
  await loaded(page);
  await keyboard.press(/^button: Keitaro/);
  await page.getByRole("heading", { name: "New postback to Keitaro" }).waitFor();
  await keyboard.write(/^input: domain/, host);
  await keyboard.write(/^input: postback key/, "story/wrong");
  await page.getByText(`https://${host}/story/wrong/postback?`).first().waitFor();
  // Back to the choice of the view, on to all fields.
  await keyboard.to(/^input: Few fields/, "Shift+Tab");
  await page.keyboard.press("ArrowRight");
  await keyboard.to(/^combobox: URL/);
  await page.keyboard.press("Home");
  for (let moves = 0; moves < "https".length; moves += 1) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Backspace");
  await keyboard.press(/^button: Save postback/);
  await page.getByRole("heading", { name: "Keitaro", exact: true }).waitFor();
  await loaded(page);
  const rule = page.url().split("/").at(-1);

  await keyboard.press(/^button: Send the test/);
  await page.getByRole("region", { name: "Answer" }).getByText("unknown postback key").waitFor();
  await world.event("cnv_story_2", "aff_21");
  await world.delivery(rule, "cnv_story_2", "failed");
  await keyboard.press(/^a: All of them/);
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  await loaded(page);
  await keyboard.press(/^a: [^|]*Delivery of cnv_story_2/);
  await page.getByText("unknown postback key").waitFor();
  await loaded(page);
  const delivery = page.url().split("/").at(-1);
  await keyboard.press(/^a: Keitaro/);
  await page.getByRole("heading", { name: "Keitaro", exact: true }).waitFor();
  await loaded(page);
  await keyboard.press(/^a: Edit/);
  await page.getByRole("heading", { name: "Edit Keitaro" }).waitFor();
  await keyboard.write(/^combobox: URL/, `http://${host}/story/right/postback?subid=`);
  await page.keyboard.type("{affiliate_cl");
  await page.getByRole("option", { name: /^affiliate_click_id/ }).waitFor();
  // The choice of macros is made by keyboard, too.
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await page.getByRole("combobox", { name: "URL" }).inputValue(), `http://${host}/story/right/postback?subid={affiliate_click_id}`);
  await keyboard.press(/^button: Save changes/);
  await page.getByRole("heading", { name: "Keitaro", exact: true }).waitFor();
  await loaded(page);
  await keyboard.press(/^a: All of them/);
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  await loaded(page);
  await keyboard.press(/^a: [^|]*Delivery of cnv_story_2/);
  await page.getByRole("heading", { name: "Delivery of cnv_story_2" }).waitFor();
  await loaded(page);
  await keyboard.press(/^button: Send again/);
  await page.getByRole("dialog").waitFor();
  await keyboard.to(/^button: Cancel/);
  await keyboard.to(/^button: Send again/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByText("The receiver has it.").waitFor();
  assert.equal(page.url().split("/").at(-1), delivery);
  assert.ok(world.receiver.requests.some((path) => path.startsWith("/story/right/postback?subid=click-cnv_story_2")));
  assert.deepEqual(await faults(page, expectedFaults), []);
  await page.context().close();
}
