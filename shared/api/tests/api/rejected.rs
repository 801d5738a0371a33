//! Bad events: seen with their faults, and sent in again (docs/events-in.md, docs/api.md).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

/// A sale without a conversion's type and affiliate.
fn bad(number: u32) -> Value {
    json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "source": "link",
            "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": "trx_1", "result": "approved"}]}})
}

fn mended(number: u32) -> Value {
    let mut event = bad(number);
    event["detail"]["conversion"]["type"] = "sale".into();
    event["detail"]["conversion"]["affiliate_id"] = "aff_7".into();
    event
}

#[tokio::test]
async fn bad_events_are_listed_with_their_faults_for_admins() {
    let api = Api::new();
    for number in 1..=3 {
        api.accept(bad(number).to_string().as_bytes()).await;
    }
    api.accept(b"no json").await;
    let first = api.get(ADMIN, "/events/rejected?limit=3").await;
    assert_eq!(first.each("event"), ["no json", &bad(3).to_string(), &bad(2).to_string()]);
    assert_eq!(
        first.body["items"][1]["errors"],
        json!([
            {"pointer": "/detail/conversion/type", "detail": "missing: give a text of 1 to 2048 bytes"},
            {"pointer": "/detail/conversion/affiliate_id", "detail": "missing: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"},
        ])
    );
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let rest = api.get(ADMIN, &format!("/events/rejected?limit=3&cursor={cursor}")).await;
    assert_eq!((rest.each("event"), &rest.body["next_cursor"]), (vec![bad(1).to_string().as_str()], &Value::Null));
    assert_eq!(api.get("aff_7", "/events/rejected").await.problem(), (403, "/problems/forbidden"));
}

#[tokio::test]
async fn f10_of_bad_events_so_much_is_kept_whole_and_the_beginning_of_the_others() {
    let api = Api::new();
    // Each byte takes six in JSON, which it never does in a good event.
    api.accept(&vec![1; 256 * 1_024]).await;
    let bytes = async || api.rows("X", "").await.iter().map(|row| row.body.len()).sum::<usize>();
    assert!(bytes().await < 16_000);
    let event = |number: u32| {
        let mut event = bad(number);
        event["detail"]["conversion"]["query_params"] = (0..100).map(|n| (format!("p{n}"), "x".repeat(2_000))).collect();
        event.to_string()
    };
    for some in 0..50 {
        let events: Vec<String> = (0..10).map(|number| event(some * 10 + number)).collect();
        let events: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
        api.engine.matcher().accept(&events).await.unwrap();
    }
    // 100 MiB came. All are listed, of the first 64 MiB all that came.
    assert_eq!(api.rows("X", "").await.len(), 501);
    let kept = bytes().await;
    assert!((60 << 20..66 << 20).contains(&kept), "{kept}");
    let newest = api.get(ADMIN, "/events/rejected?limit=1").await.body["items"][0].clone();
    assert_eq!((&newest["cut"], newest["event"].as_str().unwrap().len()), (&json!(true), 2_048));
    assert_eq!(newest["errors"].as_array().unwrap().len(), 2);
    let path = format!("POST /events/rejected/{}/resubmit", newest["id"].as_str().unwrap());
    let refused = api.call(ADMIN, &path, Value::Null).await;
    assert_eq!(refused.faults(), [("/event", "missing: only the beginning of this event is kept, so give all of it")]);
    assert_eq!(api.call(ADMIN, &path, json!({"event": mended(1)})).await.status, 202);
    // A day later there is room again.
    api.pass(24 * 60 * 60);
    api.accept(event(1_000).as_bytes()).await;
    let newest = api.get(ADMIN, "/events/rejected?limit=1").await.body["items"][0].clone();
    assert_eq!((&newest["cut"], newest["event"].as_str().unwrap().len()), (&json!(false), event(1_000).len()));
}

#[tokio::test]
async fn a_mended_event_is_taken_over_and_leaves_the_list() {
    let api = Api::new();
    api.rule(ADMIN, "all", Value::Null).await;
    api.accept(bad(1).to_string().as_bytes()).await;
    let listed = api.get(ADMIN, "/events/rejected").await;
    let path = format!("POST /events/rejected/{}/resubmit", listed.each("id")[0]);
    assert_eq!(api.call("aff_7", &path, Value::Null).await.problem(), (403, "/problems/forbidden"));

    let as_it_was = api.call(ADMIN, &path, Value::Null).await;
    assert_eq!(as_it_was.problem(), (400, "/problems/bad-request"));
    assert_eq!(as_it_was.faults().len(), 2);
    let mut half = mended(1);
    half["detail"]["conversion"]["version"] = (-1).into();
    let half = api.call(ADMIN, &path, json!({"event": half})).await;
    assert_eq!(half.faults()[0].0, "/event/detail/conversion/version");
    let detail = api.call(ADMIN, &path, json!({"event": bad(1)["detail"]})).await;
    assert_eq!(detail.faults()[0].0, "/event/conversion/type");
    let large = json!({"event": {"x": "x".repeat(256 * 1_024)}});
    assert_eq!(api.call(ADMIN, &path, large).await.problem(), (413, "/problems/too-large"));
    let typo = api.call(ADMIN, &path, json!({"evnt": {}, "event": mended(1)})).await;
    assert_eq!(typo.faults(), [("/evnt", "unknown field \"evnt\"; did you mean \"event\"?")]);
    assert_eq!(api.get(ADMIN, "/events/rejected").await.each("id").len(), 1, "nothing is half-done");
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("id").len(), 0);

    let done = api.call(ADMIN, &path, json!({"event": mended(1)["detail"]})).await;
    assert_eq!((done.status, &done.body), (202, &json!({"accepted": 1})));
    assert_eq!(api.get(ADMIN, "/events/rejected").await.each("id").len(), 0);
    api.work().await;
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("conversion_id"), ["cnv_1"]);
    assert_eq!(api.call(ADMIN, &path, json!({"event": mended(1)})).await.problem(), (404, "/problems/not-found"));
}
