//! Rows that can't be read, one after another: none of them stops a list, a page, a health, an explanation, a batch, a cancellation or a
//! sweep. Admins see it with its key, affiliates don't.

use serde_json::{Value, json};
use tracking_embedded::Limits;
use tracking_engine::{backend::Item, sender::Sender};

use crate::support::{ADMIN, Api};

const LISTS: [&str; 12] = [
    "/tracking-apis",
    "/tracking-apis?active=true",
    "/affiliate-postbacks",
    "/deliveries",
    "/deliveries?state=failed",
    "/deliveries?conversion_id=cnv_1",
    "/deliveries?tracking_api_id={other}",
    "/tracking-apis/{other}",
    "/tracking-apis/{other}/history",
    "/conversions/cnv_1/explain",
    "/offers",
    "/events/rejected",
];

/// An API with something of everything in its store: rules of three owners, deliveries, holds, offers, kept and rejected events.
async fn full() -> (Api, String) {
    let api = Api::new();
    let other = api.rule(ADMIN, "other", json!({"conditions": {"included_offers": ["off_5"]}})).await;
    api.rule("aff_7", "own", json!({})).await;
    api.rule("aff_8", "of another", json!({})).await;
    api.rule(ADMIN, "final", json!({"delay": {"mode": "final"}})).await;
    api.call(ADMIN, &format!("PATCH /tracking-apis/{other}"), json!({"name": "other still"})).await;
    api.call(ADMIN, "PUT /offers/off_5", json!({"name": "Loan", "country": "CZ"})).await;
    for number in 1..=3 {
        api.sale(number, "aff_7").await;
    }
    api.accept(b"{\"detail-type\": \"Conversion Changed\"}").await;
    (api, other)
}

/// Every row of the partitions that hold more than one thing.
async fn rows(api: &Api) -> Vec<Item> {
    let deliveries = api.get(ADMIN, "/deliveries?limit=1000").await;
    let rules = api.get(ADMIN, "/tracking-apis?limit=1000").await;
    let mut partitions: Vec<String> = deliveries.each("id").iter().map(|id| format!("C#{}", &id[4..20])).collect();
    partitions.extend(rules.each("id").iter().map(|id| format!("R#{id}")));
    partitions.extend((0..8).map(|shard| format!("T#all#{shard}")));
    partitions.extend(
        ["U#all", "U#admin", "U#affiliates", "U#affiliate#aff_7", "O", "X", "Q#aff_7", "SWEEP", "INTENT"].map(str::to_owned),
    );
    partitions.sort_unstable();
    partitions.dedup();
    let mut rows = Vec::new();
    for partition in partitions {
        rows.extend(api.rows(&partition, "").await);
    }
    rows
}

#[tokio::test]
async fn f1_no_row_that_can_t_be_read_stops_a_list_or_a_batch() {
    let (mut api, other) = full().await;
    let rows = rows(&api).await;
    let kinds: Vec<&str> = ["D#", "H#", "E#", "L#", "HEAD", "BODY#", "A#"]
        .into_iter()
        .filter(|kind| rows.iter().any(|row| row.key.sort.starts_with(kind)))
        .collect();
    assert_eq!(kinds, ["D#", "H#", "E#", "L#", "HEAD", "BODY#", "A#"], "something of everything is there");
    for (number, row) in rows.iter().enumerate() {
        for junk in ["junk", r#"{"v":99,"d":{}}"#] {
            let damaged = Item { body: junk.to_owned(), ..row.clone() };
            api.meddle(vec![damaged], Vec::new()).await;
            if row.key.partition.starts_with("R#") {
                api.restart();
            }
            for line in LISTS {
                let path = line.replace("{other}", &other);
                for who in [ADMIN, "aff_7"] {
                    let answer = api.get(who, &path).await;
                    // A request for the damaged rule alone can't be answered.
                    let alone = row.key.partition == format!("R#{other}") && path.contains(&other);
                    assert!(answer.status < 500 || alone && who == ADMIN, "{:?} {who} {path}: {}", row.key, answer.text);
                    assert!(who == ADMIN || !answer.text.contains("unreadable"), "{:?} {path}: {}", row.key, answer.text);
                }
            }
            let explained = api.call(ADMIN, "POST /explain", json!({"event": sale(900)})).await;
            assert_eq!(explained.status, 200, "{:?}: {}", row.key, explained.text);
            // A change of the same conversion, and one of another: everything that the row is not about goes on.
            let again = json!({"change_id": format!("again_{number}_{}", junk.len()), "occurred_at": "2026-11-22T09:00:00Z",
                "conversion": {"conversion_id": "cnv_1", "version": 2 + number, "change": "updated", "type": "sale", "source": "link",
                    "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
                "transactions": [{"transaction_id": "trx_1", "result": "pending"}]});
            let other_sale = 1_000 + 2 * number + usize::from(junk == "junk");
            for detail in [again, sale(other_sale)] {
                let event = json!({"detail-type": "Conversion Changed", "detail": detail});
                api.accept(event.to_string().as_bytes()).await;
            }
            work(&api).await;
            let made = api.get(ADMIN, &format!("/deliveries?conversion_id=cnv_{other_sale}")).await;
            let expected = if row.key.partition.starts_with("R#") { 2 } else { 3 };
            assert!(made.each("state").len() >= expected, "{:?}: {}", row.key, made.text);
            api.engine.sweeper().sweep().await.unwrap_or_else(|error| panic!("{:?}: {error}", row.key));
            api.meddle(vec![row.clone()], Vec::new()).await;
            if row.key.partition.starts_with("R#") {
                api.restart();
            }
        }
    }
}

/// Makes the postbacks that are due. One that needs the unreadable row comes again later.
async fn work(api: &Api) {
    let sender = Sender::new(true).expect("an HTTP client can be made");
    loop {
        let picked = api.engine.backend().receive(api.now(), &Limits::default(), 16);
        if picked.messages.is_empty() {
            return;
        }
        api.engine.worker().work(api.engine.worker().queue_up(picked.messages), &sender, None).await;
    }
}

fn sale(number: usize) -> Value {
    json!({"change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": format!("trx_{number}"), "result": "pending"}]})
}

#[tokio::test]
async fn f1_admins_see_what_can_t_be_read_with_its_key() {
    let (api, other) = full().await;
    let delivery = api.get(ADMIN, "/deliveries?conversion_id=cnv_1").await.each("id")[0].to_owned();
    let row = api.rows(&format!("C#{}", &delivery[4..20]), &format!("D#{delivery}")).await.remove(0);
    let key = json!({"unreadable": {"partition": row.key.partition, "sort": row.key.sort}});
    api.meddle(vec![Item { body: "junk".to_owned(), ..row }], Vec::new()).await;
    for path in ["/deliveries", "/deliveries?conversion_id=cnv_1"] {
        let listed = api.get(ADMIN, path).await;
        assert!(listed.body["items"].as_array().unwrap().contains(&key), "{path}: {}", listed.text);
    }
    assert_eq!(api.get(ADMIN, &format!("/deliveries/{delivery}")).await.body, key);
    assert_eq!(api.get("aff_7", &format!("/deliveries/{delivery}")).await.status, 404);
    // Whose it is is not known: for affiliates it is as if there were none.
    let missing = api.call("aff_7", "POST /deliveries/dlv_00000000000000000000000000000000/resend", json!({})).await;
    for action in ["resend", "cancel"] {
        let line = format!("POST /deliveries/{delivery}/{action}");
        for affiliate in ["aff_7", "aff_8"] {
            let answer = api.call(affiliate, &line, json!({})).await;
            assert_eq!((answer.status, answer.text), (404, missing.text.clone()), "{affiliate} {line}");
        }
        let answer = api.call(ADMIN, &line, json!({})).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3600")), "{line}: {}", answer.text);
        let why = "a stored row that this request needs can't be read, and has to be restored: the log names it";
        assert_eq!(answer.body["detail"], why, "{line}");
    }

    let head = api.rows(&format!("R#{other}"), "HEAD").await.remove(0);
    api.meddle(vec![Item { body: "junk".to_owned(), ..head }], Vec::new()).await;
    let listed = api.get(ADMIN, "/tracking-apis").await;
    let key = json!({"unreadable": {"partition": format!("R#{other}"), "sort": "HEAD"}});
    assert!(listed.body["items"].as_array().unwrap().contains(&key), "{}", listed.text);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 4);
    assert_eq!(api.get("aff_7", "/tracking-apis").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get(ADMIN, &format!("/tracking-apis/{other}")).await.status, 503);
    for line in ["GET /tracking-apis/{other}", "GET /tracking-apis/{other}/history", "PATCH /tracking-apis/{other}"] {
        let answer = api.call("aff_8", &line.replace("{other}", &other), json!({})).await;
        assert_eq!((answer.status, answer.text), (404, missing.text.clone()), "{line}");
    }
}

/// The schema of a 200 of a GET.
fn schema<'d>(document: &'d Value, path: &str) -> &'d Value {
    let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).expect("a reference");
    &document["components"]["schemas"][name]
}

#[tokio::test]
async fn f1_what_can_t_be_read_is_described_wherever_admins_see_it() {
    let (api, _) = full().await;
    let document = api.get(ADMIN, "/openapi.json").await.body;
    let key = json!({"$ref": "#/components/schemas/Unreadable"});
    let may_be_unreadable = |schema: &Value| schema["anyOf"].as_array().is_some_and(|forms| forms.contains(&key));
    let delivery = api.get(ADMIN, "/deliveries?conversion_id=cnv_1").await.each("id")[0].to_owned();
    for row in rows(&api).await {
        api.meddle(vec![Item { body: "junk".to_owned(), ..row }], Vec::new()).await;
    }
    for path in ["/tracking-apis", "/affiliate-postbacks", "/deliveries", "/offers", "/events/rejected"] {
        let shown = api.get(ADMIN, path).await;
        assert!(shown.text.contains("\"unreadable\""), "{path}: {}", shown.text);
        assert!(may_be_unreadable(&schema(&document, path)["properties"]["items"]["items"]), "{path}");
    }
    let shown = api.get(ADMIN, &format!("/deliveries/{delivery}")).await;
    assert_eq!(shown.body["unreadable"]["partition"], format!("C#{}", &delivery[4..20]));
    assert!(may_be_unreadable(schema(&document, "/deliveries/{id}")));
    let explained = api.call(ADMIN, "POST /explain", json!({"event": sale(900)})).await;
    assert!(explained.text.contains("\"unreadable\""), "{}", explained.text);
    let things = &document["components"]["schemas"];
    assert!(may_be_unreadable(&things["ExplanationPage"]["properties"]["items"]["items"]));
    assert_eq!(
        (&things["Unreadable"]["required"], &things["RowKey"]["required"]),
        (&json!(["unreadable"]), &json!(["partition", "sort"]))
    );
}
