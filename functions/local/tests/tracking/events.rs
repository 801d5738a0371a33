//! `POST /events` (docs/events-in.md).

use serde_json::json;

use crate::support::{Server, folder, sale, token};

const NDJSON: &str = "application/x-ndjson";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_events_is_an_object_an_array_or_lines() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let admin = server.token.clone();
    let two_lines = format!("{}\n\n{}\r\n", sale(1), sale(2));
    for (content_type, body, accepted) in [
        ("application/json", sale(1).to_string(), 1),
        ("application/json", format!("[{}, {}]", sale(1), sale(2)), 2),
        ("application/json", two_lines.clone(), 2),
        (NDJSON, two_lines, 2),
        (NDJSON, serde_json::to_string_pretty(&sale(1)).unwrap(), 1),
        (NDJSON, vec![sale(1).to_string(); 1_000].join("\n"), 1_000),
    ] {
        let answer = server.call_as(&admin, "POST /events", content_type, body).await;
        assert_eq!((answer.status, answer.body), (202, json!({"accepted": accepted, "rejected": []})), "{content_type}");
    }
    for (content_type, body) in [
        (NDJSON, vec![sale(1).to_string(); 1_001].join("\n")),
        ("application/json", format!("[{}]", vec!["{}"; 400_000].join(","))),
    ] {
        let answer = server.call_as(&admin, "POST /events", content_type, body).await;
        let problem = (answer.status, answer.body["detail"].as_str());
        assert_eq!(problem, (413, Some("more than 1000 events: send at most 1000 in one request")), "f9: {content_type}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_content_type_or_with_curls_default_the_body_decides() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    // An empty content type counts as none; the client can't send a request without the header.
    for unsaid in ["application/x-www-form-urlencoded", ""] {
        for (body, accepted) in [
            (serde_json::to_string_pretty(&sale(1)).unwrap(), 1),
            (format!("[{}, {}]", sale(1), sale(2)), 2),
            (format!("{}\n{}\n", sale(1), sale(2)), 2),
        ] {
            let answer = server.call_as(&server.token, "POST /events", unsaid, body).await;
            assert_eq!((answer.status, answer.body), (202, json!({"accepted": accepted, "rejected": []})), "{unsaid:?}");
        }
        let form = server.call_as(&server.token, "POST /events", unsaid, "a=b").await;
        assert_eq!((form.status, &form.body["type"]), (400, &json!("/problems/bad-events")), "{unsaid:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_events_are_reported_with_their_faults() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let admin = server.token.clone();
    let mut bad = sale(2);
    bad["detail"]["conversion"]["change"] = json!("deleted");
    bad["detail"]["change_id"] = json!(null);
    let mixed = format!("{}\n{bad}\n\noops\n{}", sale(1), sale(3));
    let some = server.call_as(&admin, "POST /events", NDJSON, mixed).await;
    assert_eq!((some.status, &some.body["accepted"]), (202, &json!(2)));
    let rejected = some.body["rejected"].as_array().unwrap();
    assert_eq!((&rejected[0]["index"], &rejected[1]["index"], rejected.len()), (&json!(1), &json!(2), 2));
    assert_eq!(rejected[0]["errors"].as_array().unwrap().len(), 2);
    assert_eq!(rejected[0]["errors"][0]["pointer"], "/detail/change_id");

    let one = server.call_as(&admin, "POST /events", "application/json", bad.to_string()).await;
    assert_eq!((one.status, &one.body["type"]), (400, &json!("/problems/bad-events")));
    assert_eq!((&one.body["errors"][0]["pointer"], &one.body["rejected"][0]["index"]), (&json!("/detail/change_id"), &json!(0)));
    let both = server.call_as(&admin, "POST /events", "application/json", format!("[{bad},5]")).await;
    assert_eq!((both.status, &both.body["errors"][0]["pointer"]), (400, &json!("/0/detail/change_id")));
    assert_eq!(both.body["rejected"][1]["errors"][0]["detail"], "5 is not allowed: give one event as a JSON object");
    for nothing in ["", "[]", "\n\n"] {
        let answer = server.call_as(&admin, "POST /events", "application/json", nothing).await;
        assert_eq!((answer.status, &answer.body["rejected"]), (400, &json!([])), "{nothing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_has_at_most_256_kib() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let admin = server.token.clone();
    let mut large = sale(1);
    large["detail"]["filler"] = json!("x".repeat(256 * 1024));
    let alone = server.call_as(&admin, "POST /events", "application/json", large.to_string()).await;
    assert_eq!((alone.status, &alone.body["type"]), (413, &json!("/problems/too-large")));
    let beside = server.call_as(&admin, "POST /events", NDJSON, format!("{}\n{large}", sale(2))).await;
    assert_eq!((beside.status, &beside.body["rejected"][0]["index"]), (202, &json!(1)));
    let whole = server.call_as(&admin, "POST /events", NDJSON, vec![b' '; (64 << 20) + 1]).await;
    assert_eq!((whole.status, &whole.body["type"]), (413, &json!("/problems/too-large")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_events_and_the_bus_are_the_admins() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let affiliate = token(data.path(), &["--affiliate", "aff_7"]);
    for line in ["POST /events", "GET /bus/events"] {
        let refused = server.call_as(&affiliate, line, "application/json", sale(1).to_string()).await;
        assert_eq!((refused.status, &refused.body["type"]), (403, &json!("/problems/forbidden")), "{line}");
        let stranger = server.call_as("x", line, "application/json", sale(1).to_string()).await;
        assert_eq!((stranger.status, &stranger.body["type"]), (401, &json!("/problems/unauthorized")), "{line}");
    }
    assert_eq!(server.call_as(&server.token, "POST /events", "text/csv", "a,b").await.status, 415);
    assert_eq!(server.call("PUT /events", sale(1)).await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_c2_a_change_id_with_other_content_is_a_bad_event() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let post = async |body: String| server.call_as(&server.token, "POST /events", "application/json", body).await;
    assert_eq!(post(sale(1).to_string()).await.status, 202);
    let mut other = sale(1);
    other["detail"]["conversion"]["version"] = json!(7);
    let detail = format!("change_id \"{}\" was used for another change", sale(1)["detail"]["change_id"].as_str().unwrap());
    let refused = post(other.to_string()).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["errors"], json!([{"pointer": "/detail/change_id", "detail": detail}]));
    // In a batch, an event is reported by its place, also if both come together.
    let mut twice = sale(3);
    twice["detail"]["occurred_at"] = json!("2026-11-22T08:00:00Z");
    let several = post(format!("[{}, {other}, {}, {}, {twice}]", sale(2), sale(1), sale(3))).await;
    assert_eq!((several.status, &several.body["accepted"]), (202, &json!(3)), "{}", several.body);
    let places: Vec<_> = several.body["rejected"].as_array().unwrap().iter().map(|one| one["index"].clone()).collect();
    assert_eq!(places, [json!(1), json!(4)]);
    let kept = server.call_as(&server.token, "GET /events/rejected", "", String::new()).await;
    assert_eq!(kept.body["items"].as_array().unwrap().len(), 3, "{}", kept.body);
}
