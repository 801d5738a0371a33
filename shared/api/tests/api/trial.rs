//! Trying rules out: the request that would be sent, the reasons, and a receiver's response (docs/api.md).

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    log,
    support::{ADMIN, Api, Response},
};

const SECRET: &str = "hush/hush 1";

/// A rule that reads a bit of everything.
fn bank(url: &str) -> Value {
    json!({
        "name": "Bank", "trigger": "transaction_all", "conditions": {"result": ["approved"], "source": ["link"]},
        "request": {
            "method": "POST", "url": format!("{url}/status?id={{external_id}}"),
            "query": [{"name": "sum", "value": "{payout|cents}"}, {"name": "test", "value": "{is_test}"}],
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
            "body": {"format": "json", "fields": [{"path": "login", "value": "{secret.token|base64}"}, {"path": "v", "value": "{voucher}"}]},
        },
        "answer": {"rules": [{
            "when": [{"source": "body", "key": "ok", "operator": "is_true"}], "then": "delivered",
            "set": {"result": "approved", "external_id": "{body.id}", "variables": {"seen": "{body.echo}"}},
        }]},
    })
}

fn event(affiliate: &str) -> Value {
    json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": "cnv_1", "version": 2, "change": "updated", "type": "sale", "source": "link",
            "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": "off_5", "external_id": "X 77"},
        "transactions": [
            {"transaction_id": "trx_1", "result": "pending", "payout": "1.00"},
            {"transaction_id": "trx_2", "result": "approved", "payout": "5.00"},
        ],
    })
}

/// A receiver of one request: `say` makes its response from the request, its body or the whole of it; `None`: no response, ever.
async fn receiver(say: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let hearing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        let mut heard = String::new();
        let mut bytes = [0; 8_192];
        while !heard.contains("\r\n\r\n") || (heard.contains("application/json") && !heard.ends_with('}')) {
            let length = stream.read(&mut bytes).await.expect("a request is sent");
            heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        match say(&heard) {
            Some(body) => {
                let is_whole = body.starts_with("HTTP/1.1 ");
                let start = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let answer = if is_whole { body } else { start + &body };
                stream.write_all(answer.as_bytes()).await.expect("the answer is read");
            }
            // Until the other side gives up.
            None => while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {},
        }
        heard
    });
    (url, hearing)
}

async fn preview(api: &Api, who: &str, body: Value) -> Response {
    let answer = api.call(who, "POST /tracking-apis/preview", body).await;
    assert!(!answer.text.contains("hush"), "{}", answer.text);
    answer
}

/// Place, macro, origin, value and text of each macro.
fn macros(answer: &Response) -> Vec<[&str; 5]> {
    let fields = ["place", "macro", "from", "value", "text"];
    let macros = answer.body["macros"].as_array().expect("a list");
    macros.iter().map(|one| fields.map(|field| one[field].as_str().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_preview_shows_the_request_and_the_origin_of_its_values() {
    let api = Api::new();
    let mut rule = bank("https://bank.example");
    rule["secret_values"] = json!({"token": SECRET});
    let shown = preview(&api, ADMIN, json!({"tracking_api": rule, "event": event("aff_7")})).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert_eq!((&shown.body["fires"], &shown.body["held"], &shown.body["sample"]), (&json!(true), &json!(false), &json!(false)));
    assert_eq!((&shown.body["event"], &shown.body["transaction_id"]), (&json!("transaction_updated"), &json!("trx_2")));
    let request = &shown.body["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], "https://bank.example/status?id=X%2077&sum=500&test=1");
    assert_eq!(request["headers"]["Authorization"], "Bearer ***");
    assert_eq!(request["body"], r#"{"login":"Kioq","v":""}"#);
    let id = request["headers"]["Tracking-Delivery-Id"].as_str().unwrap();
    assert!(id.starts_with("dlv_") && id.len() == 36, "{id}");
    assert_eq!(
        macros(&shown),
        [
            ["/url", "{external_id}", "/conversion/external_id", "X 77", "X 77"],
            ["/query/0/value", "{payout|cents}", "/transactions/1/payout", "5.00", "500"],
            ["/query/1/value", "{is_test}", "the delivery", "1", "1"],
            ["/headers/0/value", "{secret.token}", "secret token", "***", "***"],
            ["/body/fields/0/value", "{secret.token|base64}", "secret token", "***", "***"],
            ["/body/fields/1/value", "{voucher}", "/conversion/voucher", "", ""],
        ]
    );
    assert_eq!((&shown.body["macros"][5]["missing"], &shown.body["macros"][0]["missing"]), (&json!(true), &json!(false)));
    assert_eq!(
        shown.body["verdicts"],
        json!([
            {"event": "conversion_updated", "transaction_id": null, "fires": false, "reasons": [
                {"condition": "trigger", "detail": "the event is conversion_updated; the rule's trigger is transaction_all"}]},
            {"event": "transaction_updated", "transaction_id": "trx_1", "fires": false, "reasons": [
                {"condition": "result", "detail": "result is pending; the rule wants approved"}]},
            {"event": "transaction_updated", "transaction_id": "trx_2", "fires": true, "reasons": []},
        ])
    );
    assert_eq!((&shown.body["sent"], &shown.body["status"], &shown.body["error"]), (&json!(false), &Value::Null, &Value::Null));
    assert_eq!(
        (&shown.body["schedule"]["waits_seconds"][0], &shown.body["warnings"][0]["pointer"]),
        (&json!(60), &json!("/answer/rules"))
    );
    assert_eq!(api.get(ADMIN, "/tracking-apis").await.each("id").len(), 0, "a preview is not kept");
}

#[tokio::test]
async fn without_an_event_a_sample_is_taken() {
    let api = Api::new();
    let id = api.rule("aff_7", "mine", json!({"conditions": {"source": ["api"]}})).await;
    let shown = api.call("aff_7", &format!("POST /tracking-apis/{id}/test"), Value::Null).await;
    assert_eq!((shown.status, &shown.body["sample"], &shown.body["fires"]), (200, &json!(true), &json!(false)));
    assert_eq!(shown.body["request"]["url"], "http://127.0.0.1:1/p?t=trx_sample");
    let reasons = &shown.body["verdicts"][1]["reasons"];
    assert_eq!(reasons, &json!([{"condition": "source", "detail": "source is link; the rule wants api"}]));
    let rule = json!({"name": "x", "request": {"url": "https://a.example/?a={affiliate_id}"}, "trigger": "conversion_updated"});
    let own = preview(&api, "aff_7", json!({"rule": rule})).await;
    assert_eq!(own.body["request"]["url"], "https://a.example/?a=aff_7");
    assert_eq!(own.body["event"], "conversion_created", "none fires, so the first is shown");
    let held = preview(
        &api,
        ADMIN,
        json!({"rule": {"name": "x", "request": {"url": "https://a.example/"},
        "delay": {"mode": "final", "settle_seconds": 5}}}),
    )
    .await;
    assert_eq!((&held.body["fires"], &held.body["held"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn a_test_is_really_sent_and_leaves_no_trace() {
    let api = Api::new();
    let (url, hearing) = receiver(|heard| {
        let token = heard.lines().find_map(|line| line.strip_prefix("Authorization: Bearer ")).unwrap();
        Some(json!({"ok": true, "id": "B-1", "echo": format!("you said {token}"), "all": heard}).to_string())
    })
    .await;
    let mut rule = bank(&url);
    rule["secret_values"] = json!({"token": SECRET});
    rule["signing"] = json!({"secret": "token"});
    let id = api.call(ADMIN, "POST /tracking-apis", rule).await.body["id"].as_str().unwrap().to_owned();
    let body = json!({"event": {"detail-type": "Conversion Changed", "detail": event("aff_7")}, "send": true});
    let answer = api.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), body).await;
    let heard = hearing.await.unwrap();
    assert!(heard.starts_with("POST /status?id=X%2077&sum=500&test=1 HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("Authorization: Bearer hush/hush 1\r\n") && heard.contains("webhook-signature: v1,"), "{heard}");
    assert!(heard.ends_with(r#"{"login":"aHVzaC9odXNoIDE=","v":""}"#), "{heard}");
    assert_eq!(
        (&answer.body["sent"], &answer.body["status"], &answer.body["verdict"]),
        (&json!(true), &json!(200), &json!("delivered"))
    );
    assert_eq!(answer.body["told"], json!({"result": "approved", "external_id": "B-1", "variables": {"seen": "you said ***"}}));
    assert!(answer.body["duration_ms"].is_u64() && answer.body["error"].is_null());
    assert!(answer.body["answer"].as_str().unwrap().contains("you said ***"));
    for secret in ["hush", "aHVzaC9odXNoIDE"] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("id").len(), 0);
}

/// Tries out a rule that asks again while the body says so, against a receiver that answers with this body.
async fn polled(body: String) -> [Value; 3] {
    let (url, _hearing) = receiver(move |_| Some(body.clone())).await;
    let when = json!([{"source": "body", "key": "status", "operator": "equals", "value": "pending"}]);
    let rule = json!({"name": "x", "request": {"url": url}, "answer": {"rules": [{"when": when, "then": "pending"}]}});
    let shown = preview(&Api::new(), ADMIN, json!({"tracking_api": rule, "send": true})).await.body;
    ["verdict", "error", "answer"].map(|field| shown[field].clone())
}

#[tokio::test]
async fn case_a5_a7_a_trial_says_why_a_body_was_not_judged() {
    let long = |bytes: usize| json!({"filler": "x".repeat(bytes), "status": "pending"}).to_string();
    let [verdict, error, answer] = polled(long(120 << 10)).await;
    assert_eq!((verdict, error, answer.as_str().map(str::len)), (json!("pending"), Value::Null, Some(4_096)));
    let [verdict, error, answer] = polled(long(1 << 20)).await;
    let why = json!("response longer than 1 MiB");
    assert_eq!((verdict, error, answer.as_str().map(str::len)), (json!("retry"), why, Some(4_096)));
    let why = json!("the body is neither JSON, XML nor a form; 1 condition found nothing");
    assert_eq!(polled("<br>oops".to_owned()).await, [json!("retry"), why, json!("<br>oops")]);
}

#[tokio::test]
async fn case_a11_a_test_and_a_preview_name_the_location_of_a_redirect() {
    for (status, location) in [(301, "https://b.example/p?x=1"), (302, "/login"), (308, "//b.example/")] {
        let error = json!(format!("redirects are not followed; Location: {location}"));
        for is_saved in [false, true] {
            let said = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let (url, _hearing) = receiver(move |_| Some(said.clone())).await;
            let api = Api::new();
            let rule = json!({"name": "x", "request": {"url": url}});
            let shown = if is_saved {
                let id = api.call(ADMIN, "POST /tracking-apis", rule).await.body["id"].as_str().unwrap().to_owned();
                api.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({"send": true})).await
            } else {
                preview(&api, ADMIN, json!({"tracking_api": rule, "send": true})).await
            };
            let found = ["status", "verdict", "error"].map(|field| shown.body[field].clone());
            assert_eq!(found, [json!(status), json!("failed"), error.clone()], "{}", shown.text);
        }
    }
}

#[tokio::test]
async fn q4_q5_what_does_not_arrive_says_why() {
    let slow = |url: &str| json!({"name": "x", "request": {"url": url, "timeout_seconds": 1}});
    let (url, _hearing) = receiver(|_| None).await;
    let api = Api::new();
    let silent = preview(&api, ADMIN, json!({"tracking_api": slow(&url), "send": true})).await;
    assert_eq!((&silent.body["error"], &silent.body["verdict"]), (&json!("no answer within 1 s"), &json!("retry")));
    assert_eq!((&silent.body["sent"], &silent.body["status"], &silent.body["told"]), (&json!(true), &Value::Null, &Value::Null));
    let guarded = Api::guarded();
    let refused = preview(&guarded, ADMIN, json!({"tracking_api": slow("http://127.0.0.1:1/"), "send": true})).await;
    let error = "not sent: the receiver's address 127.0.0.1 is not public";
    assert_eq!((&refused.body["error"], &refused.body["verdict"]), (&json!(error), &json!("failed")));
    assert_eq!((&refused.body["sent"], &refused.body["duration_ms"]), (&json!(false), &Value::Null));
    let mut broken = slow("http://127.0.0.1:1/");
    broken["request"]["headers"] = json!([{"name": "X-Id", "value": "{external_id}"}]);
    let mut lines = event("aff_7");
    lines["conversion"]["external_id"] = json!("a\r\nb");
    let unsendable = preview(&api, ADMIN, json!({"tracking_api": broken, "event": lines, "send": true})).await;
    let why = "not sent: the header X-Id can't be sent: {external_id} holds a control character, such as a line break";
    assert_eq!((&unsendable.body["error"], &unsendable.body["request"]), (&json!(why), &Value::Null));
    assert_eq!((&unsendable.body["sent"], &unsendable.body["verdict"]), (&json!(false), &json!("failed")));
}

#[tokio::test]
async fn f11_a_trial_shows_an_affiliate_no_address_that_is_not_public() {
    let guarded = Api::guarded();
    let body = json!({"tracking_api": {"name": "x", "request": {"url": "http://127.0.0.1:1/"}}, "send": true});
    for (caller, error) in [
        (ADMIN, "not sent: the receiver's address 127.0.0.1 is not public"),
        ("aff_7", "not sent: the receiver's address is not public"),
    ] {
        let refused = preview(&guarded, caller, body.clone()).await;
        assert_eq!(refused.body["error"], error);
        assert!(caller == ADMIN || !refused.text.contains("address 127"), "{}", refused.text);
    }
}

#[tokio::test]
async fn faults_of_the_rule_and_the_event_are_reported_at_once() {
    let api = Api::new();
    let body = json!({
        "tracking_api": {"name": "", "request": {"url": "https://a.example/?r={revenue}"}, "secret_values": {"a b": "x"}},
        "event": {"change_id": "c d", "occurred_at": "2026-11-22T08:59:59Z", "conversion": event("aff_7")["conversion"]},
        "sent": true,
    });
    let refused = preview(&api, "aff_7", body).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let places: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    let wanted =
        ["/sent", "/event/change_id", "/tracking_api/secret_values/a b", "/tracking_api/name", "/tracking_api/request/url"];
    assert_eq!(places, wanted, "{}", refused.text);
    let revenue = json!({"name": "x", "request": {"url": "https://a.example/?r={revenue}"}});
    let shown = preview(&api, ADMIN, json!({"rule": revenue})).await;
    assert_eq!(shown.body["request"]["url"], "https://a.example/?r=180.00");
    let nothing = preview(&api, ADMIN, json!({})).await;
    assert_eq!((nothing.status, nothing.faults()[0].0), (422, "/tracking_api"));
    let others = json!({"rule": {"name": "x", "request": {"url": "https://a.example/"}, "owner": {"kind": "admin"}}});
    assert_eq!(preview(&api, "aff_7", others).await.faults()[0].0, "/rule/owner");
}

#[tokio::test]
async fn v2_v3_an_affiliate_tries_its_own_rules_on_its_own_conversions() {
    let api = Api::new();
    let id = api.rule("aff_a", "A's", Value::Null).await;
    let hidden = api.call("aff_b", &format!("POST /tracking-apis/{id}/test"), json!({"sned": 1})).await;
    let absent = api.call("aff_b", "POST /tracking-apis/trk_none/test", json!({"sned": 1})).await;
    assert_eq!(hidden.problem(), (404, "/problems/not-found"));
    assert_eq!((&hidden.text, &hidden.headers), (&absent.text, &absent.headers));
    let others = api.call("aff_a", &format!("POST /tracking-apis/{id}/test"), json!({"event": event("aff_b")})).await;
    assert_eq!((others.status, &others.body["fires"]), (200, &json!(false)));
    let reason = json!([{"condition": "affiliate", "detail": "affiliate is aff_b; the rule wants aff_a"}]);
    assert_eq!(others.body["verdicts"][1]["reasons"], reason);
}

#[tokio::test]
async fn v4_a_secret_without_a_value_holds_a_test_off() {
    let api = Api::new();
    let request = json!({"url": "http://127.0.0.1:1/p?t={secret.token}"});
    let id = api.rule(ADMIN, "x", json!({"request": request})).await;
    let refused = api.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({"send": true})).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    assert_eq!(refused.body["detail"], "secret token has no value yet: write it, or try without send");
    let shown = api.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({})).await;
    let reasons = &shown.body["verdicts"][1]["reasons"];
    assert_eq!(reasons, &json!([{"condition": "active", "detail": "the rule is not active: secret token has no value yet"}]));
    assert_eq!(
        (&shown.body["macros"][0]["missing"], &shown.body["request"]["url"]),
        (&json!(true), &json!("http://127.0.0.1:1/p?t="))
    );
}

#[tokio::test]
async fn r10_an_event_in_which_nothing_changed_has_nothing_to_send() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let mut unchanged = event("aff_7");
    unchanged["conversion"]["change"] = json!("unchanged");
    let shown = api.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({"event": unchanged, "send": true})).await;
    assert_eq!((shown.status, &shown.body["verdicts"], &shown.body["request"]), (200, &json!([]), &Value::Null));
    assert_eq!(shown.body["error"], "nothing changed in this event: there is nothing to send");
    assert_eq!(shown.body["sent"], false);
}

#[tokio::test]
async fn each_trial_that_is_sent_is_logged_without_values() {
    let api = Api::new();
    let (url, hearing) = receiver(|_| Some("{}".to_owned())).await;
    let mut rule = bank(&url);
    rule["secret_values"] = json!({"token": SECRET});
    rule["answer"] = Value::Null;
    let id = api.rule("aff_7", "Bank", rule.clone()).await;
    api.call("aff_7", &format!("POST /tracking-apis/{id}/test"), json!({"event": event("aff_7")})).await;
    assert_eq!(log::fields("a trial is sent"), [Value::Null; 0], "it was only shown");
    let sent = api.call("aff_7", &format!("POST /tracking-apis/{id}/test"), json!({"event": event("aff_7"), "send": true})).await;
    assert_eq!((sent.status, &sent.body["sent"]), (200, &json!(true)), "{}", sent.text);
    hearing.await.unwrap();
    let (other, hearing) = receiver(|_| Some("{}".to_owned())).await;
    rule["request"]["url"] = format!("{other}/status?id={{external_id}}").into();
    let sent = preview(&api, ADMIN, json!({"tracking_api": rule, "event": event("aff_7"), "send": true})).await;
    assert_eq!((sent.status, &sent.body["sent"]), (200, &json!(true)), "{}", sent.text);
    hearing.await.unwrap();
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    assert_eq!(
        log::fields("a trial is sent"),
        [
            json!({"message": "a trial is sent", "tracking_api_id": id, "by": "affiliate", "host": host(&url)}),
            json!({"message": "a trial is sent", "tracking_api_id": "trk_preview", "by": "admin", "host": host(&other)}),
        ]
    );
}

#[tokio::test]
async fn f9_a_trials_answer_is_bounded_whatever_is_tried() {
    let api = Api::new();
    // Each character takes six in JSON.
    let value = "\u{1}".repeat(2_048);
    let mut event = event("aff_a");
    event["conversion"]["source"] = json!(value);
    event["conversion"]["query_params"] = json!({"x": value});
    let transactions: Vec<Value> =
        (0..1_000).map(|n| json!({"transaction_id": format!("trx_{n}"), "result": "pending"})).collect();
    event["transactions"] = transactions.into();
    let different: Vec<String> = (0..700).map(|n| format!("{{query.x|default:{n}}}")).collect();
    for text in ["{query.x}".repeat(1_500), different.concat()] {
        let request = json!({"method": "POST", "url": "https://a.example/", "body": {"format": "raw", "content_type": "text/plain", "text": text}});
        let rule = json!({"name": "R", "conditions": {"source": ["link"]}, "request": request});
        let answer = preview(&api, "aff_a", json!({"tracking_api": rule, "event": event})).await;
        assert_eq!(answer.status, 200, "{}", &answer.text[..answer.text.len().min(1_000)]);
        assert_eq!(answer.body["shortened"], true);
        assert!(answer.text.len() < 2 << 20, "{}", answer.text.len());
        let body = json!({"event": event});
        let explained = api.call("aff_a", "POST /explain", body).await;
        assert_eq!((explained.status, explained.body["items"].as_array().map(Vec::len)), (200, Some(0)));
    }
}
