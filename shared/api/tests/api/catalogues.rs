//! Building blocks of rules: presets and macros; and the texts about the rules that were built.

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

#[tokio::test]
async fn presets_are_shown_to_everybody() {
    let api = Api::new();
    let shown = api.get("aff_a", "/presets").await;
    assert_eq!((shown.status, &shown.body["next_cursor"]), (200, &Value::Null));
    let receivers =
        "voluum keitaro redtrack binom bemob everflow affise tune cake scaleo trackier post_affiliate_pro ga4 meta tiktok";
    let flows = "oauth2_client_credentials login_form_cookie office_hours sign_several_values several_channels";
    assert_eq!(shown.each("id").join(" "), format!("{receivers} {flows}"));
    let mut voluum = shown.body["items"][0].clone();
    assert!(voluum["description"].take().as_str().is_some_and(|text| text.starts_with("Reports each approved transaction")));
    let example = voluum["example"].take();
    assert_eq!(
        (&example["event"]["change_id"], &example["event"]["transactions"][0]["payout"]),
        (&json!("chg_550231"), &json!("62.50"))
    );
    let url = "https://track.example.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&currency=EUR&txid=trx_9001&et=sale";
    assert_eq!(example["request"], json!({"method": "GET", "url": url, "headers": [], "body": null}));
    let because = "the address is wrong: it is not tried again";
    assert_eq!(example["responses"][1], json!({"status": 404, "body": "", "means": "failed", "because": because}));
    let expected = json!({
        "id": "voluum", "name": "Voluum", "kind": "tracker", "description": null,
        "documentation": "https://doc.voluum.com/article/parameters-in-postback-urls",
        "fill_in": [{"pointer": "/request/url", "name": "domain", "placeholder": "YOUR-DOMAIN.example",
                     "description": "The tracking domain of your Voluum workspace.", "example": "track.example.com"}],
        "secrets": [],
        "tracking_api": {
            "name": "Voluum", "trigger": "transaction_all", "conditions": {"result": ["approved"]},
            "request": {"method": "GET", "url": "https://YOUR-DOMAIN.example/postback", "query": [
                {"name": "cid", "value": "{affiliate_click_id}"}, {"name": "payout", "value": "{payout}"},
                {"name": "currency", "value": "{payout_currency}"}, {"name": "txid", "value": "{transaction_id}"},
                {"name": "et", "value": "{conversion_type}"}]},
            "retry": {"max_retries": 16, "max_delay_seconds": 14_400}},
        "example": null,
    });
    assert_eq!(voluum, expected);
    assert_eq!(shown.body["items"][13]["kind"], "ad_platform");
    assert_eq!(shown.body["items"][13]["secrets"], json!(["access_token"]));
}

#[tokio::test]
async fn a3_presets_that_report_results_are_shown_to_admins_alone() {
    let api = Api::new();
    let (admins, affiliates) = (api.get(ADMIN, "/presets").await, api.get("aff_a", "/presets").await);
    let seen = affiliates.body["items"].as_array().expect("a list");
    let more: Vec<_> = admins.body["items"].as_array().expect("a list").iter().filter(|preset| !seen.contains(preset)).collect();
    let ids: Vec<_> = more.iter().map(|preset| preset["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["login_json", "create_and_poll", "create_and_callback", "poll_30_days"]);
    assert!(more.iter().all(|preset| preset["admins_only"] == true && preset["kind"] == "flow"));
    let refused = api.call("aff_a", "POST /tracking-apis", more[0]["tracking_api"].clone()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let example = &more[1]["example"];
    assert_eq!((&example["request"], &example["responses"]), (&Value::Null, &Value::Null), "it has steps");
    assert_eq!(
        (&example["steps"][1]["step"], &example["steps"][1]["request"]["url"], &example["steps"][1]["means"]),
        (&json!("status"), &json!("https://api.network.example/v2/leads/N-5512"), &json!("pending"))
    );
}

#[tokio::test]
async fn every_preset_can_be_posted_as_it_is() {
    let api = Api::new();
    for who in [ADMIN, "aff_a"] {
        let presets = api.get(who, "/presets").await.body;
        for preset in presets["items"].as_array().expect("a list") {
            let made = api.call(who, "POST /tracking-apis", preset["tracking_api"].clone()).await;
            assert_eq!(made.status, 201, "{}: {}", preset["id"], made.text);
            assert_eq!(made.body["active"], false, "{}: until it is filled in", preset["id"]);
        }
    }
}

#[tokio::test]
async fn presets_take_no_parameters() {
    let refused = Api::new().get(ADMIN, "/presets?kind=tracker").await;
    assert_eq!(refused.problem(), (400, "/problems/bad-request"));
}

#[tokio::test]
async fn v3_macros_come_with_examples_and_affiliates_see_theirs() {
    let api = Api::new();
    let shown = api.get(ADMIN, "/macros").await.body;
    let row = |body: &Value, list: &str, name: &str| {
        body[list].as_array().expect("a list").iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    };
    let payout = json!({"name": "payout", "aliases": ["sum"], "group": "transaction", "description": "What the affiliate gets.",
                        "example": "{payout}", "gives": "5.00", "admins_only": false, "answer_only": false});
    assert_eq!(row(&shown, "macros", "payout"), payout);
    let cents = json!({"name": "cents", "argument": "", "example": "{payout|cents}", "gives": "500",
                       "description": "In the smaller unit of its currency as a whole number: hundredths, but whole JPY and thousandths of \
                           KWD (ISO 4217); halves away from zero; what is no number is left as it is."});
    assert_eq!(row(&shown, "modifiers", "cents"), cents);
    assert_eq!(row(&shown, "macros", "revenue")["gives"], "8.00");
    let theirs = api.get("aff_a", "/macros").await.body;
    assert_eq!(row(&theirs, "macros", "revenue"), Value::Null);
    assert_eq!(row(&theirs, "macros", "payout"), payout);
}

#[tokio::test]
async fn a_rule_shows_its_retries_in_times_and_its_warnings() {
    let api = Api::new();
    let members = json!({"trigger": "conversion_created", "retry": {"max_retries": 3},
                         "request": {"url": "http://a.example/?c={click_id}"}});
    let id = api.rule("aff_a", "x", members).await;
    let path = format!("/tracking-apis/{id}");
    let shown = api.get("aff_a", &path).await.body;
    let schedule = json!({"waits_seconds": [60, 120, 240], "longest_seconds": 462,
                          "text": "1 min, 2 min, 4 min; at most 7 min 42 s, or longer if the receiver asks for it"});
    assert_eq!(shown["schedule"], schedule);
    let warnings = json!([
        {"pointer": "/conditions/conversion_type",
         "detail": "without it conversion_created fires on every click too: name the types, such as [\"lead\", \"sale\"]"},
        {"pointer": "/request/url",
         "detail": "http:// is not encrypted, anyone on the way can read and change it: write https:// if the receiver takes it"},
    ]);
    assert_eq!(shown["warnings"], warnings);
    assert_eq!(api.get("aff_a", "/tracking-apis").await.body["items"][0]["warnings"], warnings);

    let mut mended = shown;
    mended["conditions"]["conversion_type"] = json!(["sale"]);
    mended["request"]["url"] = json!("https://a.example/?c={click_id}");
    let after = api.call("aff_a", &format!("PUT {path}"), mended).await;
    assert_eq!((after.status, &after.body["warnings"], &after.body["schedule"]), (200, &json!([]), &schedule));
}

#[tokio::test]
async fn a_rule_is_checked_as_it_will_be_used() {
    let api = Api::new();
    let wrong = json!({
        "name": "x",
        "request": {
            "method": "POST", "url": "https://a.example/../{click_idd}/#x",
            "query": [{"name": "a", "value": "{payout|cent} {revenue} {"}],
            "headers": [{"name": "X Y", "value": "a"}, {"name": "Host", "value": "a"}, {"name": "X-A", "value": "a\r\nB: c"},
                        {"name": "x-a", "value": "{now|date:%Y,Nowhere}"}],
            "body": {"format": "json", "fields": [{"path": "a..b", "value": "{body.x}"}, {"path": "c", "value": "{value|number:19}"}]},
        },
    });
    let refused = api.call("aff_a", "POST /tracking-apis", wrong).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let found: Vec<String> =
        refused.faults().iter().map(|(pointer, detail)| format!("{pointer} {}", &detail[..detail.len().min(46)])).collect();
    let expected = [
        "/request/url character 22: unknown macro {click_idd}; did y",
        "/request/url character 34: a fragment: a request has none, ",
        "/request/url a segment . or .. in the path: write the path ",
        "/request/query/0/value character 9: unknown modifier \"cent\"; did you ",
        "/request/query/0/value character 15: {revenue} is for rules of admins",
        "/request/query/0/value character 25: a lone {: write {{ for a brace, ",
        "/request/headers/0/name not a header's name: letters, digits and !#$%&",
        "/request/headers/1/name Host is written by the sending itself: a rule ",
        "/request/headers/2/value character 2: a control character, such as a li",
        "/request/headers/2/value character 3: a control character, such as a li",
        "/request/headers/3/name the header x-a occurs twice: keep one of them",
        "/request/headers/3/value character 6: unknown time zone \"Nowhere\": choo",
        "/request/body/fields/0/path not a path: write keys joined by dots and posi",
        "/request/body/fields/0/value character 1: {body.x} is allowed only in an an",
        "/request/body/fields/1/value character 8: \"19\" decimal places are not possi",
    ];
    assert_eq!(found, expected);
}
