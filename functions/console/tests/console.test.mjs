// The console in a browser, against the real server.
import { after, before, test } from "node:test";
import { World } from "./world.mjs";
import { pages, seed } from "./seed.mjs";
import { everyPage, narrow, statistics } from "./pages.mjs";
import { affiliateSeesItsOwn, hostileTexts, tokenStaysInside, signInAtIssuer } from "./safety.mjs";
import { storyByKeyboard, storyByMouse } from "./story.mjs";
import { editing, flows, repairing, administering } from "./tasks.mjs";

const world = new World();
let ids;

before(async () => {
  await world.start();
  ids = await seed(world);
});
after(() => world.stop());

/** A browser that hangs fails its own test; how its pages looked then is in test-results. */
const inTime = (name, run) =>
  test(name, { timeout: 90_000 }, async () => {
    try {
      await run();
    } catch (error) {
      await world.showFailure(name);
      throw error;
    }
  });

for (const who of ["admin", "aff_7"]) {
  inTime(`every page of ${who}, light and dark: no axe violation, no error, no policy violation`, () => everyPage(world, who, pages(ids)[who]));
}
inTime("every page fits a width of 360 and 390 pixels", () => narrow(world, pages(ids).admin));
inTime("the overview draws what GET /stats answers", () => statistics(world));
inTime("an affiliate's console asks for nothing that is an admin's", () => affiliateSeesItsOwn(world, pages(ids), ids));
inTime("hostile texts run nowhere", () => hostileTexts(world, ids));
inTime("the token stays in memory and in the tab's storage", () => tokenStaysInside(world));
inTime("sign-in at an issuer: authorization code with PKCE", () => signInAtIssuer(world));
inTime("the story: set up, preview, test, failure, repair, resend", () => storyByMouse(world));
inTime("the same story by keyboard alone", () => storyByKeyboard(world));
inTime("the editor: macros, faults at their fields, JSON, secrets, two editors at a time", () => editing(world, ids));
inTime("a ready flow: few fields, steps as JSON, preview, save", () => flows(world));
inTime("repair: history, replay, stop, duplicate, many at once, CSV", () => repairing(world, ids));
inTime("administration: offers, quotas, rejected events", () => administering(world, ids));
