// The data that every page has something of: rules of an admin and of two affiliates, deliveries in several states, hostile texts.
import { hostile } from "./world.mjs";

export async function seed(world) {
  const { receiver } = world;
  receiver.answers = [
    ["/refuses", 404, `<h1>no such click</h1>${hostile[0]}`],
    ["/down", 503, "try later"],
    ["/hostile", 404, hostile.join("\n")],
    ["/story/right", 200, "OK"],
    ["/story", 404, "unknown postback key"],
  ];
  const ids = {};
  await world.call("admin", "PUT", "/offers/off_5", { name: "Hidden offer", country: "CZ", category: "loans" });
  await world.call("admin", "PUT", "/offers/off_6", { name: hostile[0], country: "DE", category: hostile[1] });
  ids.admin = (await world.rule("admin", "Admin's warehouse", "/ok", { conditions: { included_offers: ["off_5"] }, labels: ["warehouse"] })).id;
  ids.good = (await world.rule("aff_7", "My tracker", "/ok", { request: { url: `http://${receiver.host}/ok?c={external_id}`, headers: [{ name: "Authorization", value: "Bearer {secret.token}" }] }, secret_values: { token: "s3cret-value" } })).id;
  ids.bad = (await world.rule("aff_7", "Refusing tracker", "/refuses")).id;
  ids.down = (await world.rule("aff_7", "Sleeping tracker", "/down", { retry: { max_retries: 3, delay_seconds: 600 } })).id;
  ids.foreign = (await world.rule("aff_8", "Somebody else's tracker", "/ok")).id;
  ids.hostile = (
    await world.rule("aff_7", hostile[0], "/hostile", {
      description: hostile.join(" "),
      labels: ["<b>label</b>"],
      request: { url: `http://${receiver.host}/hostile?c={external_id}`, query: [{ name: hostile[1], value: hostile[2] }], headers: [{ name: "X-Note", value: "<script>window.pwned=6</script>" }] },
    })
  ).id;
  await world.call("aff_7", "PATCH", `/tracking-apis/${ids.good}`, { description: "Reports every sale.", retry: { max_retries: 5 } });
  await world.event("cnv_1", "aff_7");
  await world.event("cnv_2", "aff_7", { external_id: hostile[0], affiliate_click_id: hostile[1], offer_id: "off_6", voucher: hostile[4] });
  await world.event("cnv_8", "aff_8");
  await world.call("admin", "POST", "/events", { "detail-type": "Conversion Changed", detail: { change_id: hostile[0], conversion: { conversion_id: "cnv_bad" } } });
  ids.delivered = (await world.delivery(ids.good, "cnv_1", "delivered")).id;
  ids.failed = (await world.delivery(ids.bad, "cnv_1", "failed")).id;
  ids.waiting = (await world.delivery(ids.down, "cnv_1", "waiting")).id;
  ids.hostileDelivery = (await world.delivery(ids.hostile, "cnv_2", "failed")).id;
  const period = { from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 60_000).toISOString() };
  await world.call("aff_7", "POST", `/tracking-apis/${ids.bad}/replay`, { ...period, states: ["failed"], dry_run: false });
  return ids;
}

/** Every page by its path, for each role. */
export function pages(ids) {
  const both = {
    overview: "/overview",
    postbacks: "/affiliate-postbacks",
    gallery: "/rules/new",
    preset: "/rules/new/keitaro",
    flow: "/rules/new/login_form_cookie",
    blank: "/rules/new/blank",
    rule: `/rules/${ids.good}`,
    failing: `/rules/${ids.bad}`,
    edit: `/rules/${ids.good}/edit`,
    history: `/rules/${ids.good}/history`,
    repair: `/rules/${ids.bad}/repair`,
    deliveries: "/deliveries",
    delivered: `/deliveries/${ids.delivered}`,
    failed: `/deliveries/${ids.failed}`,
    waiting: `/deliveries/${ids.waiting}`,
    explain: "/explain?conversion=cnv_1",
    replays: "/replays",
    macros: "/macros",
    nowhere: "/no-such-page",
  };
  const admins = { "tracking-apis": "/tracking-apis", rejected: "/rejected", offers: "/offers", quotas: "/quotas?affiliate=aff_7" };
  return { admin: { ...both, ...admins }, aff_7: both };
}
