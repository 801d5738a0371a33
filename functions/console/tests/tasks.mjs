import assert from "node:assert/strict";
import { faults, loaded } from "./world.mjs";

export async function editing(world, ids) {
  const page = await world.open("aff_7", { path: `/rules/${ids.good}/edit` });
  // A secret's value is nowhere: not in the form, not in its JSON, not in what was read.
  assert.ok(!(await page.content()).includes("s3cret-value"));
  await page.getByLabel("token", { exact: true }).waitFor();
  assert.equal(await page.getByLabel("token", { exact: true }).inputValue(), "");
  // Modifiers are offered behind a bar.
  const url = page.getByRole("combobox", { name: "URL" });
  await url.focus();
  await page.keyboard.press("End");
  await page.keyboard.type("&r={result|ma");
  await page.getByRole("option", { name: /^map/ }).click();
  assert.ok((await url.inputValue()).endsWith("&r={result|map:"));
  await page.keyboard.type("approved=1}");
  await page.getByRole("complementary", { name: "Preview" }).getByText(/&r=/).first().waitFor();
  // A fault of the API is at its field, and the first one has the focus.
  await page.getByLabel("Retries at most").fill("99");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("99 retries are too many: choose 0 to 30").first().waitFor();
  assert.equal(await page.getByLabel("Retries at most").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Retries at most").fill("7");
  // The JSON view is the same draft.
  await page.getByText("JSON", { exact: true }).first().click();
  const json = page.getByRole("textbox", { name: "JSON" });
  await json.focus();
  await page.keyboard.press("Control+End");
  await json.getByText('"max_retries": 7').waitFor();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("{");
  await page.getByRole("alert").first().waitFor();
  await page.getByText("All fields").click();
  assert.equal(await page.getByLabel("Retries at most").inputValue(), "7");
  // Somebody else saves meanwhile: nothing of theirs is lost.
  await world.call("aff_7", "PATCH", `/tracking-apis/${ids.good}`, { description: "changed meanwhile" });
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("Somebody else saved this rule meanwhile").waitFor();
  assert.equal((await world.call("aff_7", "GET", `/tracking-apis/${ids.good}`)).description, "changed meanwhile");
  assert.deepEqual(await faults(page, ["422 ", "412 PUT"]), []);
  await page.context().close();

  // Body fields, answer rules, a raw body: what is written is what the API gets.
  const blank = await world.open("aff_7", { path: "/rules/new/blank" });
  await blank.getByLabel("Name").first().fill("By hand");
  await blank.getByRole("combobox", { name: "URL" }).fill(`http://${world.receiver.host}/ok`);
  await blank.getByRole("textbox", { name: "Method" }).or(blank.getByLabel("Method")).first().click();
  await blank.getByRole("option", { name: "POST" }).click();
  await blank.getByText("JSON", { exact: true }).last().click();
  await blank.getByRole("button", { name: "Add a field" }).click();
  await blank.getByLabel("Path of row 1").fill("lead.id");
  await blank.getByRole("group", { name: "Body fields" }).getByLabel("Value of row 1").fill("{transaction_id}");
  await blank.getByRole("group", { name: "Answer rules" }).getByRole("button", { name: "Add a rule" }).click();
  await blank.getByRole("complementary").getByText('"lead"').waitFor();
  await blank.getByRole("button", { name: "Save postback" }).click();
  await blank.getByRole("heading", { name: "By hand" }).waitFor();
  const saved = await world.call("aff_7", "GET", `/tracking-apis/${blank.url().split("/").at(-1)}`);
  assert.deepEqual(saved.request.body, { format: "json", fields: [{ path: "lead.id", value: "{transaction_id}", type: "string" }] });
  assert.deepEqual(saved.answer.rules, [{ when: [{ source: "http_code", operator: "equals", value: "200" }], then: "delivered" }]);
  assert.deepEqual(await faults(blank, ["422 "]), []);
  await blank.context().close();
}

/** A ready flow: its few fields, its steps as JSON and in the preview, the rule that is saved. */
export async function flows(world) {
  const { host } = world.receiver;
  const page = await world.open("aff_7", { path: "/rules/new" });
  // Presets that report results to the platform are for admins.
  await page.getByRole("heading", { name: "In several steps" }).waitFor();
  assert.equal(await page.getByRole("button", { name: /^Login with JSON/ }).count(), 0);
  await page.getByRole("button", { name: /^OAuth2 client credentials/ }).click();
  await page.getByRole("heading", { name: "New postback: OAuth2 client credentials" }).waitFor();
  await page.getByLabel("token address").fill(`http://${host}/ok`);
  await page.getByLabel("client id").fill("tracking");
  await page.getByLabel("address", { exact: true }).fill(`http://${host}/ok?in=1`);
  await page.getByLabel("client_secret", { exact: true }).fill("s3cret-value");
  await page.getByRole("complementary", { name: "Preview" }).getByText(`http://${host}/ok?in=1`).first().waitFor();
  await page.getByText("JSON", { exact: true }).first().click();
  await page.getByRole("textbox", { name: "JSON" }).getByText('"steps"').first().waitFor();
  assert.equal(await page.getByText("All fields").count(), 0);
  await page.getByText("Few fields").click();
  await page.getByRole("button", { name: "Save postback" }).click();
  await page.getByRole("heading", { name: "OAuth2 client credentials", exact: true }).waitFor();
  const saved = await world.call("aff_7", "GET", `/tracking-apis/${page.url().split("/").at(-1)}`);
  assert.deepEqual([saved.active, saved.secrets, saved.steps.map((step) => step.call.url)], [true, ["client_secret"], [`http://${host}/ok`, `http://${host}/ok?in=1`]]);
  assert.deepEqual(await faults(page, ["422 POST /tracking-apis/preview"]), []);
  await page.context().close();
  const admin = await world.open("admin", { path: "/rules/new" });
  await admin.getByRole("button", { name: /^Login with JSON/ }).waitFor();
  await admin.context().close();
}

export async function repairing(world, ids) {
  const page = await world.open("aff_7", { path: `/rules/${ids.good}/history` });
  await page.getByText("/retry/max_retries").first().waitFor();
  await page.getByRole("button", { name: "Restore" }).last().click();
  await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  await page.getByText("is restored.").waitFor();
  // Counted first; the number is in the question.
  await world.go(page, `/rules/${ids.bad}/repair`);
  await page.getByRole("button", { name: "Count first" }).click();
  await page.getByRole("button", { name: /^Send \d+ deliver/ }).click();
  await page.getByRole("dialog").getByText(/^Send again \d+ deliver/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
  await page.getByText("It has begun.").waitFor();
  await page.getByText("done").first().waitFor();
  // A copy for another channel.
  await world.go(page, "/affiliate-postbacks");
  await page.getByRole("button", { name: "Actions for My tracker" }).click();
  await page.getByRole("menuitem", { name: "Duplicate" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("My tracker, channel 2");
  await dialog.getByLabel("Channels").first().fill("chn_2");
  await page.keyboard.press("Enter");
  await dialog.getByLabel("Secret token").fill("another-value");
  await dialog.getByRole("button", { name: "Make the copy" }).click();
  await page.getByRole("heading", { name: "My tracker, channel 2" }).waitFor();
  const copy = await world.call("aff_7", "GET", `/tracking-apis/${page.url().split("/").at(-1)}`);
  assert.deepEqual([copy.conditions.channel, copy.active, copy.secrets], [["chn_2"], true, ["token"]]);
  // Deleting is asked about with counts.
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByText("0 deliveries in the last 24 hours").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("My tracker, channel 2 is deleted.").waitFor();
  // Many at once.
  await world.go(page, "/affiliate-postbacks");
  await page.getByRole("checkbox", { name: "Choose My tracker" }).check();
  await page.getByRole("checkbox", { name: "Choose Refusing tracker" }).check();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("dialog").getByText("Pause 2 rules?").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await page.getByText("2 rules changed.").waitFor();
  assert.equal((await world.call("aff_7", "GET", `/tracking-apis/${ids.bad}`)).pause, true);
  await world.call("aff_7", "POST", "/tracking-apis/bulk", { ids: [ids.good, ids.bad], action: "resume" });
  // One that waits is stopped.
  await world.go(page, `/deliveries/${ids.waiting}`);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByText("Somebody stopped it").waitFor();
  // The list as it is filtered, as a file.
  await world.go(page, "/deliveries?state=failed");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  const stream = await file.createReadStream();
  let csv = "";
  for await (const chunk of stream) csv += chunk;
  assert.ok(csv.startsWith("id,") && csv.includes("cnv_1") && !csv.includes(",delivered,"), csv.slice(0, 300));
  assert.deepEqual(await faults(page), []);
  await page.context().close();
}

export async function administering(world) {
  const page = await world.open("admin", { path: "/offers" });
  await page.getByRole("button", { name: "Edit off_5" }).click();
  await page.getByRole("dialog").getByLabel("Category").fill("mortgages");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("off_5 is saved.").waitFor();
  await page.getByText("mortgages").waitFor();
  await world.go(page, "/tracking-apis");
  await page.getByText("mortgages").first().waitFor();
  await page.getByLabel("Search").fill("warehouse");
  await page.getByText("Refusing tracker").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Admin's warehouse" }).waitFor();

  await world.go(page, "/quotas");
  await page.getByLabel("Affiliate id").fill("aff_7");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByLabel("At most").fill("30");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").getByText("Let aff_7 have 30 postbacks?").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("The quota of aff_7 is saved.").waitFor();
  assert.equal((await world.call("admin", "GET", "/affiliates/aff_7/quota")).rules, 30);

  await world.go(page, "/rejected");
  await page.getByRole("button", { name: "Mend" }).click();
  const editor = page.getByRole("textbox", { name: "Event" });
  await editor.focus();
  await page.keyboard.press("Control+a");
  const conversion = { conversion_id: "cnv_mended", version: 1, change: "created", type: "sale", source: "link", affiliate_id: "aff_9", advertiser_id: "adv_2", offer_id: "off_5" };
  await page.keyboard.insertText(JSON.stringify({ "detail-type": "Conversion Changed", detail: { change_id: "chg_mended", occurred_at: "2026-11-22T09:00:00Z", conversion } }));
  await page.getByRole("button", { name: "Take again" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take again" }).click();
  await page.getByText("1 event accepted.").waitFor();
  await loaded(page);
  assert.deepEqual(await faults(page), []);
  await page.context().close();
}
