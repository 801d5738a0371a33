import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { axe, faults, hostile, loaded } from "./world.mjs";

/** The operations for admins. */
const admins = [/^GET \/offers/, /^PUT \/offers/, /^GET \/events\/rejected/, /^POST \/events/, /^PUT \/affiliates/, /internals$/];

export async function affiliateSeesItsOwn(world, pages, ids) {
  const page = await world.open("aff_7");
  for (const path of Object.values(pages.admin)) {
    await world.visit(page, path);
    const text = await page.locator("body").innerText();
    for (const foreign of ["Admin's warehouse", "Somebody else's tracker", "Rejected events", "Hidden offer"]) assert.ok(!text.includes(foreign), `${path} shows ${foreign}`);
  }
  const asked = page.asked.map(({ method, url }) => `${method} ${new URL(url).pathname}`);
  assert.deepEqual(asked.filter((line) => admins.some((pattern) => pattern.test(line))), []);
  for (const path of ["/tracking-apis", "/offers", "/rejected", "/quotas"]) {
    await world.visit(page, path);
    await page.getByText("There is no page at this address.").waitFor();
  }
  assert.deepEqual(await faults(page, ["422 POST /tracking-apis/preview"]), []);
  // A rule of somebody else is not found.
  await world.go(page, `/rules/${ids.foreign}`);
  await page.getByRole("alert").getByText("Not found", { exact: true }).waitFor();
  await page.context().close();
}

export async function hostileTexts(world, ids) {
  for (const who of ["admin", "aff_7"]) {
    const page = await world.open(who);
    const paths = [`/rules/${ids.hostile}`, `/rules/${ids.hostile}/edit`, `/rules/${ids.hostile}/history`, `/rules/${ids.hostile}/repair`, "/affiliate-postbacks", "/deliveries", `/deliveries/${ids.hostileDelivery}`, "/explain?conversion=cnv_2", "/overview", `/explain?conversion=${encodeURIComponent(hostile[0])}`, `/affiliate-postbacks?q=${encodeURIComponent(hostile[1])}`, `/deliveries?click_id=${encodeURIComponent(hostile[1])}`];
    if (who === "admin") paths.push("/rejected", "/offers", "/tracking-apis", "/quotas?affiliate=aff_7");
    for (const path of paths) {
      await world.visit(page, path);
      // Everything that is folded is looked at, too.
      await page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      await page.waitForTimeout(50);
      assert.equal(await page.evaluate(() => window.pwned), undefined, path);
    }
    // A test that really sends shows the receiver's answer as text.
    await world.go(page, `/rules/${ids.hostile}`);
    await page.getByRole("button", { name: "Send the test" }).click();
    await page.getByRole("region", { name: "Answer" }).getByText("<svg onload").waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByText(hostile[0]).waitFor();
    await page.keyboard.press("Escape");
    await world.go(page, `/rules/${ids.hostile}/edit`);
    await page.getByText("JSON", { exact: true }).first().click();
    await page.getByRole("textbox", { name: "JSON" }).waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.deepEqual(await faults(page, ["404 GET /conversions/", "400 GET /conversions/", "400 GET /deliveries", "422 POST"]), []);
    await page.context().close();
  }
}

export async function tokenStaysInside(world) {
  const page = await world.open("aff_7");
  assert.ok(!page.url().includes("token"), page.url());
  const token = await page.evaluate(() => sessionStorage.getItem("tracking-console-token"));
  assert.ok(token?.startsWith("ey"));
  assert.equal(await page.evaluate((token) => JSON.stringify(localStorage).includes(token) || document.cookie.includes(token), token), false);
  await page.reload();
  await page.getByRole("heading", { name: "Affiliate postbacks" }).waitFor();
  await page.goBack().catch(() => {});
  for (const { url } of page.asked) assert.ok(!url.includes(token), url);
  await world.go(page, "/deliveries");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.deepEqual(await axe(page), []);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.deepEqual(await axe(page, ["color-contrast"]), []);
  // A token that the server takes no longer ends the session in words.
  const other = await world.open("aff_7");
  await other.route("**/deliveries?*", (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: "{}" }));
  await other.goto(`${world.url}/console/deliveries`);
  await other.getByText("Your session has ended: sign in again.").waitFor();
  // Nonsense instead of a token is refused in words, and a pasted link is taken.
  await other.getByLabel("Or paste the link or a token here").fill("nonsense");
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByText("expected the link of").waitFor();
  await other.unroute("**/deliveries?*");
  await other.getByLabel("Or paste the link or a token here").fill(world.link("admin"));
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("link", { name: "Rejected events" }).waitFor();
  await page.context().close();
  await other.context().close();
}

/** An ID token that names a person and no role: the role is in the access token. */
function identity(origin) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ iss: origin, aud: "console", sub: "jana", iat: now, exp: now + 3600 })}.`;
}

/** An issuer as people know them: it asks nobody, and gives a code for a challenge and a token for code and verifier. */
async function issuer(world) {
  const state = { challenge: "", origin: "", verified: false };
  const server = createServer((request, response) => {
    const url = new URL(request.url, state.origin);
    const json = (value) => {
      response.writeHead(200, { "content-type": "application/json", "access-control-allow-origin": world.url, "access-control-allow-headers": "*" });
      response.end(JSON.stringify(value));
    };
    if (url.pathname === "/.well-known/openid-configuration") {
      json({ issuer: state.origin, authorization_endpoint: `${state.origin}/authorize`, token_endpoint: `${state.origin}/token`, jwks_uri: `${state.origin}/keys` });
    } else if (url.pathname === "/authorize") {
      state.challenge = url.searchParams.get("code_challenge");
      state.query = Object.fromEntries(url.searchParams);
      const back = new URL(url.searchParams.get("redirect_uri"));
      back.search = new URLSearchParams({ code: "c0de", state: url.searchParams.get("state") }).toString();
      // A page that leads back, as an issuer's form does: the browser reports that request to the test, but no redirection.
      response.writeHead(200, { "content-type": "text/html" });
      response.end(`<script>window.location.replace(${JSON.stringify(back.href)})</script>`);
    } else {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        const form = new URLSearchParams(body);
        const hash = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
        state.verified = form.get("code") === "c0de" && hash === state.challenge;
        json({ access_token: world.token("aff_7"), id_token: identity(state.origin), token_type: "Bearer", expires_in: 3600, scope: "openid" });
      });
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  state.origin = `http://127.0.0.1:${server.address().port}`;
  return { state, stop: () => server.close() };
}

export async function signInAtIssuer(world) {
  const { state, stop } = await issuer(world);
  try {
    await signIn(world, state);
  } finally {
    stop();
  }
}

async function signIn(world, state) {
  const page = await world.open(null);
  // As the function api serves it with a ConsoleClientId: a client in the configuration, the issuer in the policy.
  await page.route("**/console/config.json", (route) => route.fulfill({ json: { sign_in: { issuer: state.origin, client_id: "console", scopes: "openid" }, role_claim: "role", affiliate_claim: "affiliate_id" } }));
  await page.route(/\/console\/(deliveries|signed-in.*)?$/, async (route) => {
    const answer = await route.fetch();
    const headers = answer.headers();
    headers["content-security-policy"] += ` ${state.origin}`;
    await route.fulfill({ response: answer, headers });
  });
  await page.goto(`${world.url}/console/deliveries`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  await loaded(page);
  assert.equal(state.verified, true, "the verifier fits the challenge");
  assert.equal(state.query.code_challenge_method, "S256");
  assert.equal(state.query.redirect_uri, `${world.url}/console/signed-in`);
  assert.equal(new URL(page.url()).pathname, "/console/deliveries");
  assert.ok(!page.url().includes("code="), page.url());
  await page.getByText("aff_7").first().waitFor();
  assert.deepEqual(await faults(page), []);
  await page.context().close();
}
