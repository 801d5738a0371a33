//! Limits per caller (429), and limits of bodies (413).

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tracking_embedded::Store;
use tracking_engine::{Clock, Engine, Settings, secrets::Vault, sender::Sender};
use tracking_http_api::description;

use crate::{
    receiver::Receiver,
    support::{ADMIN, Api, Response, morning},
};

/// A rule that is not saved, for this receiver.
fn preview(url: &str) -> Value {
    json!({"rule": {"name": "x", "request": {"url": format!("{url}/p?t={{transaction_id}}")}}, "send": true})
}

async fn try_out(api: &Api, who: &str, url: &str) -> Response {
    api.call(who, "POST /tracking-apis/preview", preview(url)).await
}

/// The refusal of a request beyond a limit: the seconds to wait and the text.
#[track_caller]
fn refused(answer: &Response) -> (u64, &str) {
    assert_eq!(answer.problem(), (429, "/problems/too-many-requests"), "{}", answer.text);
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("it names seconds");
    (seconds, answer.body["detail"].as_str().expect("a text"))
}

#[tokio::test]
async fn f5_a_caller_sends_ten_trials_a_minute() {
    let api = Api::new();
    let receiver = Receiver::answering(200).await;
    let id = api.rule("aff_a", "mine", json!({"request": {"url": format!("{}/saved", receiver.url)}})).await;
    for number in 0..10 {
        let answer = if number % 2 == 0 {
            try_out(&api, "aff_a", &receiver.url).await
        } else {
            api.call("aff_a", &format!("POST /tracking-apis/{id}/test"), json!({"send": true})).await
        };
        assert_eq!((answer.status, &answer.body["sent"]), (200, &json!(true)), "{number}: {}", answer.text);
    }
    let heard = receiver.heard().len();
    assert_eq!(heard, 10);
    let more = try_out(&api, "aff_a", &receiver.url).await;
    assert_eq!(refused(&more), (60, "expected at most 10 trials a minute: the next is allowed in 60 s"));
    let saved = api.call("aff_a", &format!("POST /tracking-apis/{id}/test"), json!({"send": true})).await;
    assert_eq!(refused(&saved).0, 60);
    assert_eq!(receiver.heard(), Vec::<String>::new(), "what is refused is not sent");
    for _ in 0..300 {
        assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 429);
    }
    let dry = api.call("aff_a", &format!("POST /tracking-apis/{id}/test"), json!({"send": false})).await;
    assert_eq!(dry.status, 200, "what is refused is not counted among those without send");
    for other in ["aff_b", ADMIN] {
        assert_eq!(try_out(&api, other, &receiver.url).await.status, 200, "{other} is another caller");
    }
    api.pass(60);
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200);
}

#[tokio::test]
async fn f5_a_trial_with_faults_or_without_send_is_not_counted() {
    let api = Api::new();
    let receiver = Receiver::answering(200).await;
    let id = api.rule("aff_a", "mine", json!({"request": {"url": "https://a.example/{secret.token}"}})).await;
    for _ in 0..12 {
        let faulty = json!({"rule": {"name": "x", "request": {}}, "send": true});
        assert_eq!(api.call("aff_a", "POST /tracking-apis/preview", faulty).await.status, 422);
        let test = format!("POST /tracking-apis/{id}/test");
        assert_eq!(api.call("aff_a", &test, json!({"send": 1})).await.status, 422);
        assert_eq!(api.call("aff_a", &test, json!({"send": true})).await.status, 409, "the secret has no value");
        assert_eq!(api.call("aff_a", &test, json!({"send": false})).await.status, 200);
        assert_eq!(api.call("aff_a", "POST /tracking-apis/trk_none/test", json!({"send": true})).await.status, 404);
    }
    for number in 0..10 {
        assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200, "{number}");
    }
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 429);
}

#[tokio::test]
async fn f5_two_trials_run_at_once_and_a_third_is_refused() {
    let api = Api::new();
    let receiver = Receiver::hanging(200).await;
    let trials = async { tokio::join!(try_out(&api, "aff_a", &receiver.url), try_out(&api, "aff_a", &receiver.url)) };
    let beside = async {
        receiver.reached(2).await;
        let third = try_out(&api, "aff_a", &receiver.url).await;
        let other = api.call("aff_b", "POST /tracking-apis/preview", json!({"rule": preview("https://a.example")["rule"]})).await;
        receiver.let_go();
        (third, other)
    };
    let ((one, two), (third, other)) = tokio::join!(trials, beside);
    assert_eq!((one.status, two.status, other.status), (200, 200, 200), "{} {}", one.text, two.text);
    let (seconds, detail) = refused(&third);
    assert!((20..=25).contains(&seconds) && detail.starts_with("expected at most 2 trials at once: "), "{seconds} {detail}");
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200, "both have ended");
}

/// The rows of trials that a crash left say that two run.
#[tokio::test]
async fn f5_a_trial_that_a_crash_ended_is_free_after_forty_seconds() {
    let api = Api::new();
    let receiver = Receiver::answering(200).await;
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200);
    let [row] = api.rows("LIMIT#affiliate#aff_a", "trials").await.try_into().expect("a row for each caller and limit");
    assert!(row.expires.is_some_and(|expires| expires > api.now()), "an idle caller's row goes");
    let until = (morning().as_second() + 40) * 1_000;
    let leases = format!(r#""leases":[{{"id":"a","until":{until}}},{{"id":"b","until":{until}}}]"#);
    let crashed = format!(r#"{{"v":1,"d":{{"rates":[[]],{leases}}}}}"#);
    api.meddle(vec![tracking_engine::backend::Item { body: crashed, ..row }], Vec::new()).await;
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 429);
    api.pass(40);
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200);
}

/// Several Lambda environments, as several engines over one store.
#[tokio::test]
async fn f5_all_processes_keep_one_limit_together() {
    let api = Api::new();
    let receiver = Receiver::answering(200).await;
    let settings = Settings { private_targets: true, ..Settings::default() };
    let clock = Clock::new(morning);
    let other = Engine::new(api.engine.backend().clone(), clock, Vault::new(&[7; 32]), settings);
    let sender = Sender::new(true).expect("an HTTP client can be made");
    let caller = tracking_core::caller::Caller::Affiliate("aff_a".parse().unwrap());
    for number in 0..5 {
        assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 200, "{number}");
        assert!(other.trials().preview_rule(&caller, &preview(&receiver.url).into(), &sender).await.is_ok(), "{number}");
    }
    assert_eq!(try_out(&api, "aff_a", &receiver.url).await.status, 429);
    assert!(other.trials().preview_rule(&caller, &preview(&receiver.url).into(), &sender).await.is_err());
    assert_eq!(receiver.heard().len(), 10);
}

#[tokio::test]
async fn f5_admins_are_distinguished_by_their_tokens_subjects() {
    let api = Api::new();
    let receiver = Receiver::answering(200).await;
    let sender = Sender::new(true).expect("an HTTP client can be made");
    let body = preview(&receiver.url);
    let admin = |subject| tracking_core::caller::Actor::new(tracking_core::caller::Caller::Admin, Some(subject));
    for _ in 0..10 {
        assert!(api.engine.trials().preview_rule(&admin("user-1"), &body.clone().into(), &sender).await.is_ok());
    }
    assert!(api.engine.trials().preview_rule(&admin("user-1"), &body.clone().into(), &sender).await.is_err());
    assert!(api.engine.trials().preview_rule(&admin("user-2"), &body.clone().into(), &sender).await.is_ok());
}

#[tokio::test]
async fn f5_an_affiliate_makes_three_hundred_trials_without_send_at_a_go() {
    let api = Api::new();
    api.hurry(0);
    let body = json!({"rule": {"name": "x", "request": {"url": "https://a.example/"}}});
    for number in 0..300 {
        assert_eq!(api.call("aff_a", "POST /tracking-apis/preview", body.clone()).await.status, 200, "{number}");
        assert_eq!(api.call(ADMIN, "POST /tracking-apis/preview", body.clone()).await.status, 200, "{number}");
    }
    assert_eq!(refused(&api.call("aff_a", "POST /tracking-apis/preview", body.clone()).await).0, 1);
    assert_eq!(api.call(ADMIN, "POST /tracking-apis/preview", body.clone()).await.status, 200, "admins have no such limit");
    api.pass(1);
    assert_eq!(api.call("aff_a", "POST /tracking-apis/preview", body).await.status, 200);
}

#[tokio::test]
async fn f10_an_affiliate_changes_rules_three_hundred_times_a_minute() {
    let api = Api::new();
    let id = api.rule("aff_a", "mine", json!({"secret_values": {"spare": "1"}})).await;
    let rule = format!("/tracking-apis/{id}");
    for number in 1..297 {
        let patched = api.call("aff_a", &format!("PATCH {rule}"), json!({"name": format!("name {number}")})).await;
        assert_eq!(patched.status, 200, "{number}: {}", patched.text);
        assert_eq!(api.call("aff_a", &format!("PATCH {rule}"), json!({"nam": 1})).await.status, 422, "it is not counted");
        let stale = api.call_with("aff_a", &format!("PATCH {rule}"), &[("if-match", "\"999\"")], json!({"name": "y"})).await;
        assert_eq!(stale.status, 412, "it is not counted");
    }
    assert_eq!(api.call("aff_a", &format!("PUT {rule}/secrets/token"), json!({"value": "t"})).await.status, 204);
    assert_eq!(api.call("aff_a", &format!("DELETE {rule}/secrets/token"), Value::Null).await.status, 204);
    assert_eq!(api.call("aff_a", &format!("POST {rule}/duplicate"), json!({"name": "copy"})).await.status, 201);
    let whole = json!({"name": "x", "request": {"url": "https://a.example/"}});
    for (line, body) in [
        ("POST /tracking-apis".to_owned(), whole.clone()),
        (format!("PUT {rule}"), whole),
        (format!("PATCH {rule}"), json!({"name": "z"})),
        (format!("DELETE {rule}"), Value::Null),
        (format!("PUT {rule}/secrets/spare"), json!({"value": "t"})),
        (format!("DELETE {rule}/secrets/spare"), Value::Null),
        (format!("POST {rule}/duplicate"), Value::Null),
        (format!("POST {rule}/history/1/restore"), Value::Null),
    ] {
        let beyond = api.call("aff_a", &line, body).await;
        let (seconds, detail) = refused(&beyond);
        assert!((1..=60).contains(&seconds), "{line}: {seconds}");
        assert!(detail.starts_with("expected at most 300 changes of rules a minute: "), "{line}: {detail}");
    }
    assert_eq!(api.get("aff_a", &rule).await.body["name"], "name 296", "nothing was changed");
    assert_eq!(api.call(ADMIN, &format!("PATCH {rule}"), json!({"name": "of the admin"})).await.status, 200);
    api.rule("aff_b", "of another", json!({})).await;
    api.pass(60);
    assert_eq!(api.call("aff_a", &format!("DELETE {rule}"), Value::Null).await.status, 204);
    assert_eq!(api.rows("LIMIT#admin", "").await.len(), 0);
}

#[tokio::test]
async fn f5_an_affiliate_has_so_many_requests_at_once() {
    let api = Api::new();
    let (mine, other) = (json!({"name": "mine"}), Value::Null);
    let all = (0..300).map(|_| api.call("aff_a", "POST /tracking-apis", mine.clone()));
    let (answers, other) =
        futures_util::future::join(futures_util::future::join_all(all), api.call("aff_b", "GET /tracking-apis", other)).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // Some may end before the last one is begun.
    assert!((128..=200).contains(&with(422)), "{}", with(422));
    assert_eq!((with(422) + with(429), other.status), (300, 200));
    let refusal = answers.iter().find(|answer| answer.status == 429).map(refused);
    assert_eq!(refusal, Some((1, "expected at most 128 requests at once: the next is allowed in 1 s")));
}

#[tokio::test]
async fn f10_changes_at_the_same_moment_are_all_counted() {
    let api = Api::new();
    let id = api.rule("aff_a", "mine", json!({})).await;
    let patch = format!("PATCH /tracking-apis/{id}");
    let mut answers = Vec::new();
    for some in 0..5 {
        let all = (0..62).map(|number| api.call("aff_a", &patch, json!({"name": format!("name {some} {number}")})));
        answers.extend(futures_util::future::join_all(all).await);
    }
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(200), with(429)), (299, 11));
}

#[tokio::test]
async fn f10_an_affiliate_begins_thirty_replays_and_backfills_an_hour() {
    let api = Api::new();
    let id = api.rule("aff_a", "mine", json!({})).await;
    let period = |dry_run: bool| json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-22T01:00:00Z", "dry_run": dry_run});
    let (replay, backfill) = (format!("POST /tracking-apis/{id}/replay"), format!("POST /tracking-apis/{id}/backfill"));
    for number in 0..15 {
        for line in [&replay, &backfill] {
            let begun = api.call("aff_a", line, period(false)).await;
            assert_eq!(begun.status, 202, "{number} {line}");
            let stop = format!("POST /replays/{}/cancel", begun.body["id"].as_str().unwrap());
            assert_eq!(api.call("aff_a", &stop, Value::Null).await.status, 200, "a rule has one at a time");
            assert_eq!(api.call("aff_a", line, period(true)).await.status, 200, "a count is not counted");
        }
    }
    for line in [&replay, &backfill] {
        let (seconds, detail) = refused_owned(&api.call("aff_a", line, period(false)).await);
        assert!((3_590..=3_600).contains(&seconds), "{seconds}");
        assert!(detail.starts_with("expected at most 30 replays and backfills an hour: "), "{detail}");
        assert_eq!(api.call("aff_a", line, period(true)).await.status, 200);
        let begun = api.call(ADMIN, line, period(false)).await;
        assert_eq!(begun.status, 202);
        let stop = format!("POST /replays/{}/cancel", begun.body["id"].as_str().unwrap());
        assert_eq!(api.call(ADMIN, &stop, Value::Null).await.status, 200);
    }
}

fn refused_owned(answer: &Response) -> (u64, String) {
    let (seconds, detail) = refused(answer);
    (seconds, detail.to_owned())
}

/// A body of exactly so many bytes: white space, which is no JSON document.
async fn post(api: &Api, line: &str, headers: &[(&str, &str)], bytes: usize) -> Response {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("authorization", format!("Bearer {}", api.token(ADMIN))).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(Body::from(" ".repeat(bytes))).expect("the test's parts are well-formed")).await
}

/// Operations and the most KiB of their bodies.
const MOST_KIB: [(&str, usize); 14] = [
    ("POST /tracking-apis", 128),
    ("PUT /tracking-apis/{id}", 128),
    ("PATCH /tracking-apis/{id}", 128),
    ("POST /tracking-apis/{id}/duplicate", 128),
    ("POST /tracking-apis/preview", 384),
    ("POST /tracking-apis/{id}/test", 320),
    ("POST /explain", 320),
    ("POST /events/rejected/{id}/resubmit", 320),
    ("PUT /tracking-apis/{id}/secrets/{name}", 64),
    ("PUT /affiliates/{id}/quota", 64),
    ("POST /deliveries/{id}/resend", 64),
    ("POST /tracking-apis/{id}/replay", 64),
    ("POST /tracking-apis/{id}/backfill", 64),
    ("PUT /offers/{id}", 64),
];

#[tokio::test]
async fn f2_a_body_is_measured_before_it_is_read() {
    let api = Api::new();
    let id = api.rule(ADMIN, "mine", json!({})).await;
    for (line, kib) in MOST_KIB {
        let path =
            line.replace("/tracking-apis/{id}", &format!("/tracking-apis/{id}")).replace("{id}", "x1").replace("{name}", "n");
        let most = kib * 1_024;
        for key in [&[][..], &[("idempotency-key", "k-1")][..]] {
            let beyond = post(&api, &path, key, most + 1).await;
            assert_eq!(beyond.problem(), (413, "/problems/too-large"), "{line}");
            assert_eq!(beyond.body["detail"], format!("the body is too large: expected at most {kib} KiB"), "{line}");
        }
        let just = post(&api, &path, &[], most).await;
        assert!(just.status != 413, "{line}: {}", just.text);
    }
}

#[test]
fn f5_limits_are_described() {
    let described = description::<Store>();
    let answers = |line: &str| {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        described["paths"][path][method.to_lowercase()]["responses"].clone()
    };
    for (line, kib) in MOST_KIB {
        let text = answers(line)["413"]["description"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(&format!("more than {kib} KiB")), "{line}: {text}");
    }
    for line in [
        "POST /tracking-apis/preview",
        "POST /tracking-apis/{id}/test",
        "POST /tracking-apis",
        "PUT /tracking-apis/{id}",
        "PATCH /tracking-apis/{id}",
        "DELETE /tracking-apis/{id}",
        "POST /tracking-apis/{id}/duplicate",
        "POST /tracking-apis/{id}/history/{version}/restore",
        "PUT /tracking-apis/{id}/secrets/{name}",
        "DELETE /tracking-apis/{id}/secrets/{name}",
        "POST /tracking-apis/{id}/replay",
        "POST /tracking-apis/{id}/backfill",
        "POST /deliveries/{id}/resend",
    ] {
        let refused = &answers(line)["429"];
        assert!(refused["headers"]["Retry-After"].is_object(), "{line}: {refused}");
        assert_eq!(refused["content"]["application/problem+json"]["example"]["status"], 429, "{line}");
    }
}
