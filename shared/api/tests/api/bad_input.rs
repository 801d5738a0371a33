//! Bad input of every operation: the answer names the field, the fault and the allowed values, and nothing is half-done.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{support::ADMIN, world::World};

impl World {
    /// Everything in the store.
    async fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let history = format!("/tracking-apis/{}/history", self.rule);
        for path in [
            "/tracking-apis",
            &history,
            "/deliveries",
            "/offers",
            "/events/rejected",
            "/affiliates/aff_a/quota",
            "/replays",
            "/receivers",
        ] {
            let mut body = self.api.get(ADMIN, path).await.body;
            for item in body["items"].as_array_mut().into_iter().flatten() {
                // The health names the beginning of its counts, which moves with the time.
                item.as_object_mut().map(|item| item.remove("health"));
            }
            seen.push(body.to_string());
        }
        seen
    }
}

/// Sends each operation bad input, and compares status and faults.
struct Check {
    world: World,
    asked: BTreeSet<String>,
}

impl Check {
    /// `line` with names in its path, the rest of the path, headers, a body or null; the status and every fault.
    async fn refuses(
        &mut self,
        (line, query): (&str, &str),
        headers: &[(&str, &str)],
        body: Value,
        expected: (u16, &[(&str, &str)]),
    ) {
        let before = self.world.seen().await;
        let refused =
            self.world.api.call_with(ADMIN, &format!("{}{query}", self.world.about(line, true)), headers, body.clone()).await;
        assert_eq!(refused.problem().0, expected.0, "{line}{query} {body}: {}", refused.text);
        assert_eq!(refused.faults(), expected.1, "{line}{query} {body}");
        assert_eq!(self.world.seen().await, before, "{line}{query} {body} left something behind");
        self.asked.insert(line.to_owned());
    }
}

const LIMIT: (&str, &str) = ("/limit", "limit=\"0\" is not allowed: choose 1 to 1000");
const CURSOR: (&str, &str) = ("/cursor", "cursor=\"/\" is not allowed: use the next_cursor of a page as it is");
const COLOUR: &str = "?colour=red&limit=0&cursor=%2F";

#[tokio::test]
async fn every_operation_names_what_is_wrong_with_its_input() {
    let mut check = Check { world: World::of(ADMIN).await, asked: BTreeSet::new() };
    let colour = |known: &str| format!("unknown parameter \"colour\"; expected one of {known}");
    for (line, known) in [
        ("GET /tracking-apis", "owner, country, category, offer, trigger, label, active, failing, q, limit, cursor"),
        ("GET /affiliate-postbacks", "affiliate_id, country, category, offer, trigger, label, active, failing, q, limit, cursor"),
        ("GET /offers", "limit, cursor"),
        ("GET /replays", "limit, cursor"),
        ("GET /receivers", "limit, cursor"),
        ("GET /events/rejected", "limit, cursor"),
        ("GET /conversions/{id}/explain", "limit, cursor"),
    ] {
        check.refuses((line, COLOUR), &[], Value::Null, (400, &[("/colour", &colour(known)), LIMIT, CURSOR])).await;
    }
    let states = "state=\"lost\" is not allowed: choose waiting, held, sending, delivered, failed, exhausted, unresolved, expired, superseded, \
                  cancelled, skipped";
    let time = "from=\"today\" is not allowed: give a time such as 2026-11-22T09:00:00Z (RFC 3339)";
    let id = "conversion_id=\"a b\" is not allowed: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -";
    let query = "?conversion_id=a%20b&state=lost&from=today";
    let faults = [("/conversion_id", id), ("/state", states), ("/from", time)];
    check.refuses(("GET /deliveries", query), &[], Value::Null, (400, &faults)).await;
    let bucket = "bucket=\"week\" is not allowed: choose hour, day";
    let faults = [
        ("/colour", "unknown parameter \"colour\"; expected one of from, to, bucket, tracking_api_id"),
        ("/from", time),
        ("/bucket", bucket),
    ];
    check.refuses(("GET /stats", "?colour=red&from=today&bucket=week"), &[], Value::Null, (400, &faults)).await;
    let long = [("/from", "expected at most 31 days with bucket=hour, or bucket=day")];
    check.refuses(("GET /stats", "?from=2026-10-01T00:00:00Z"), &[], Value::Null, (400, &long)).await;
    let none = [("/x", "unknown parameter \"x\"; none is allowed")];
    for line in ["GET /macros", "GET /step-kinds", "GET /presets", "GET /openapi.json"] {
        check.refuses((line, "?x=1"), &[], Value::Null, (400, &none)).await;
    }
    rules(&mut check).await;
    trials(&mut check).await;
    repairs(&mut check).await;

    let many = [
        ("/colour", "unknown field \"colour\"; expected one of name, country, category"),
        ("/name", "5 is not allowed: give a text of at most 2048 bytes"),
    ];
    check.refuses(("PUT /offers/{id}", ""), &[], json!({"colour": "red", "name": 5}), (422, &many)).await;
    let resubmit = ("POST /events/rejected/{id}/resubmit", "");
    let version = [("/event/conversion/version", "-1 is not allowed: give an integer from 0 to 9007199254740991")];
    check.refuses(resubmit, &[], json!({"event": event(-1)}), (400, &version)).await;
    let event_only = [("/evnt", "unknown field \"evnt\"; did you mean \"event\"?")];
    check.refuses(resubmit, &[], json!({"evnt": {}}), (422, &event_only)).await;
    check.refuses(resubmit, &[("idempotency-key", "a b")], json!({"event": event(1)}), (400, &[])).await;
    let renew = ("POST /tracking-apis/{id}/webhook-id", "");
    check.refuses(renew, &[("if-match", "4")], Value::Null, (400, &[])).await;
    check.refuses(renew, &[], Value::Null, (409, &[])).await;

    let described = check.world.api.get(ADMIN, "/openapi.json").await;
    assert_eq!(check.asked, with_input(&described.body));
}

/// Trials and explanations: events, and rules that are not saved.
async fn trials(check: &mut Check) {
    let version = ("/event/conversion/version", "-1 is not allowed: give an integer from 0 to 9007199254740991");
    let test = ("POST /tracking-apis/{id}/test", "");
    let sned = ("/sned", "unknown field \"sned\"; did you mean \"send\"?");
    check.refuses(test, &[], json!({"sned": true, "event": event(-1)}), (422, &[sned, version])).await;
    let send = ("/send", "a number is not a flag: choose true or false");
    let name = ("/tracking_api/name", "required: 1 to 200 characters");
    let url = ("/tracking_api/request/url", "missing: write a text, which may hold macros such as {transaction_id}");
    let bad = json!({"tracking_api": {"request": {}}, "event": event(-1), "send": 1});
    check.refuses(("POST /tracking-apis/preview", ""), &[], bad, (422, &[version, send, name, url])).await;
    let ids = ("/ids/0", "give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -");
    let action = ("/action", "unknown action \"stop\"; expected one of activate, deactivate, pause, resume");
    let bad = json!({"ids": ["a b"], "action": "stop"});
    check.refuses(("POST /tracking-apis/bulk", ""), &[], bad, (422, &[ids, action])).await;
    let missing = ("/event", "missing: give the detail of a Conversion Changed event");
    let evnt = ("/evnt", "unknown field \"evnt\"; did you mean \"event\"?");
    check.refuses(("POST /explain", ""), &[], json!({"evnt": {}}), (422, &[evnt, missing])).await;
    check.refuses(("POST /explain", "?limit=0"), &[], json!({"event": event(1)}), (400, &[LIMIT])).await;
    let colour = ("/colour", "unknown parameter \"colour\"; expected one of limit, cursor");
    check.refuses(("GET /conversions/{id}/explain", COLOUR), &[], Value::Null, (400, &[colour, LIMIT, CURSOR])).await;
}

/// Rules: bodies, preconditions, keys.
async fn rules(check: &mut Check) {
    let retries = ("/retry/max_retries", "31 retries are too many: choose 0 to 30");
    let name = ("/name", "required: 1 to 200 characters");
    let url = ("/request/url", "missing: write a text, which may hold macros such as {transaction_id}");
    let bad = json!({"request": {}, "retry": {"max_retries": 31}});
    for line in ["POST /tracking-apis", "PUT /tracking-apis/{id}"] {
        check.refuses((line, ""), &[], bad.clone(), (422, &[name, url, retries])).await;
        check
            .refuses(
                (line, ""),
                &[],
                json!([]),
                (422, &[("", "a list is not a rule: write an object with at least name and request.url")]),
            )
            .await;
    }
    let patch = ("PATCH /tracking-apis/{id}", "");
    check.refuses(patch, &[], json!({"name": null, "retry": {"max_retries": 31}}), (422, &[name, retries])).await;
    for line in ["PUT /tracking-apis/{id}", "PATCH /tracking-apis/{id}", "DELETE /tracking-apis/{id}"] {
        let body = if line.starts_with("DELETE") {
            Value::Null
        } else {
            json!({"name": "x", "request": {"url": "http://127.0.0.1:1/"}})
        };
        check.refuses((line, ""), &[("if-match", "4")], body.clone(), (400, &[])).await;
        check.refuses((line, ""), &[("if-match", "\"4\"")], body, (412, &[])).await;
    }
    check.refuses(("POST /tracking-apis", ""), &[("idempotency-key", "")], json!({}), (400, &[])).await;
    let copy = ("POST /tracking-apis/{id}/duplicate", "");
    check.refuses(copy, &[], json!({"retry": {"max_retries": 31}}), (422, &[retries])).await;
    check.refuses(copy, &[("idempotency-key", "")], json!({}), (400, &[])).await;
    let cursor = ("/cursor", "cursor=\"/\" is not allowed: use the next_cursor of a page as it is");
    let colour = ("/colour", "unknown parameter \"colour\"; expected one of limit, cursor");
    check.refuses(("GET /tracking-apis/{id}/history", COLOUR), &[], Value::Null, (400, &[colour, LIMIT, cursor])).await;
    let restore = ("POST /tracking-apis/{id}/history/{version}/restore", "");
    check.refuses(restore, &[("if-match", "4")], Value::Null, (400, &[])).await;
    check.refuses(restore, &[("if-match", "\"4\"")], Value::Null, (412, &[])).await;
    let quota = ("PUT /affiliates/{id}/quota", "");
    check.refuses(quota, &[], json!({"rules": 1_001}), (422, &[("/rules", "1001 rules are too many: choose 0 to 1000")])).await;
    let secret = ("PUT /tracking-apis/{id}/secrets/{name}", "");
    let faults = [("/vale", "unknown field \"vale\"; did you mean \"value\"?"), ("/value", "give the secret's value as a text")];
    check.refuses(secret, &[], json!({"vale": "x"}), (422, &faults)).await;
    for line in [secret, ("DELETE /tracking-apis/{id}/secrets/{name}", "")] {
        check.refuses(line, &[("if-match", "4")], json!({"value": "x"}), (400, &[])).await;
        check.refuses(line, &[("if-match", "\"4\"")], json!({"value": "x"}), (412, &[])).await;
    }
}

/// Resending and stopping.
async fn repairs(check: &mut Check) {
    let force = ("/force", "a text is not a flag: choose true or false");
    check.refuses(("POST /deliveries/{id}/resend", ""), &[], json!({"force": "yes"}), (422, &[force])).await;
    check.refuses(("POST /deliveries/{id}/cancel", ""), &[("idempotency-key", "a b")], Value::Null, (400, &[])).await;
    for line in ["POST /replays/{id}/cancel", "POST /receivers/{id}/probe", "POST /receivers/{id}/reset"] {
        check.refuses((line, ""), &[("idempotency-key", "a b")], Value::Null, (400, &[])).await;
    }
    let allowed = "give a time such as \"2026-11-22T09:00:00Z\" (RFC 3339)";
    let (from, to) = (format!("\"today\" is not a time: {allowed}"), format!("to is missing: {allowed}"));
    let state = "unknown final state \"lost\"; expected one of delivered, failed, exhausted, unresolved, expired, \
                 superseded, cancelled, skipped";
    let (replay, backfill) = (("POST /tracking-apis/{id}/replay", ""), ("POST /tracking-apis/{id}/backfill", ""));
    let (from, to) = (("/from", from.as_str()), ("/to", to.as_str()));
    let period = json!({"from": "today", "states": ["lost"]});
    check.refuses(replay, &[], period, (422, &[from, to, ("/states/0", state)])).await;
    check.refuses(backfill, &[], json!({"from": "today"}), (422, &[from, to])).await;
    let backwards = json!({"from": "2026-11-22T09:00:00Z", "to": "2026-11-22T09:00:00Z", "dry_run": 1});
    let after = ("/to", "2026-11-22T09:00:00Z is not after from: choose a time after 2026-11-22T09:00:00Z");
    let flag = ("/dry_run", "a number is not a flag: choose true or false");
    check.refuses(backfill, &[], backwards, (422, &[after, flag])).await;
}

fn event(version: i64) -> Value {
    json!({"change_id": "chg_9", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_9", "version": version, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_a", "advertiser_id": "adv_2", "offer_id": "off_5"}})
}

/// The operations that take a body, a query or a header, and those that say that they take none.
fn with_input(description: &Value) -> BTreeSet<String> {
    let paths = description["paths"].as_object().expect("a description has paths");
    let each = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .expect("a path has operations")
            .iter()
            .filter(|(_, operation)| operation["responses"]["400"].is_object())
            .map(move |(method, _)| (method, path))
    });
    each.map(|(method, path)| format!("{} {path}", method.to_uppercase())).collect()
}
