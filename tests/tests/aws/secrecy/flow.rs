//! A flow whose login gives two tokens: one is kept for later deliveries, one is for its own delivery (W5, W8). The receiver sends both
//! back in every response, in every encoding, and the rule uses them in every place that a text of a flow can have.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::secrecy::{
    echo::Echo,
    envelope,
    run::{ADMIN, Run},
    sale,
    search::{KEPT, OWN, TOKEN},
};

/// Returns a login, a status query, a report. The response to the login is kept without its tokens, or not at all.
fn rule(receiver: &str, name: &str, hide: bool) -> Value {
    let is = |status: &str| json!([{"source": "http_code", "operator": "equals", "value": status}]);
    let set = json!({"external_id": "{body.id}", "payout": "{body.encoded[1]}", "result": "{body.session}", "variables": {
        "echo": "{body.echo}", "header": "{header.x-echo}", "shout": "{header.x-shout|lower}", "tokens": "{body.tokens|lower}",
        "bytes": "{body.tokens[5]|base64decode}", "note": "{body.tokens[1]|upper}", "third": "{body.session}"}});
    let tokens = json!({"token": {"value": "{body.access_token}", "secret": true, "keep_seconds": "{body.expires_in|subtract:60}"},
        "session": {"value": "{body.session}", "secret": true}});
    json!({"name": name, "secret_values": {"token": TOKEN}, "steps": [
        {"name": "login", "max_runs": 5, "when": [{"any": [[{"source": "variable", "key": "token", "operator": "is_empty"}],
            [{"source": "variable", "key": "session", "operator": "is_empty"}]]}],
         "call": {"method": "POST", "url": format!("{receiver}/login"),
            "body": {"format": "form", "fields": [{"path": "client_secret", "value": "{secret.token}"}]}},
         "answer": {"hide": hide, "rules": [{"when": is("200"), "then": "delivered", "set": {"variables": tokens}}]}},
        {"name": "status",
         "call": {"url": format!("{receiver}/status?t={{var.token}}&s={{var.session|base64}}"),
            "headers": [{"name": "Authorization", "value": "Bearer {var.token}"}, {"name": "X-Session", "value": "{var.session}"}]},
         "answer": {"otherwise": "retry", "rules": [
            {"when": is("401"), "forget": ["token"], "go": "login"},
            {"when": is("202"), "then": "pending", "go": "login", "set": set},
            {"when": is("200"), "then": "delivered", "set": set}]},
         "retry": {"max_retries": 5, "delay_seconds": 1, "backoff": "fixed"}},
        {"name": "texts", "set": {"variables": {"copy": "{var.token}:{var.session}", "coded": "{var.token|base64}{var.session|hex}",
            "plain": "{var.echo}", "part": "{steps.status.body.session}", "later": {"value": "{var.third}", "keep_seconds": 60}}}},
        {"name": "compared", "switch": [{"when": [{"source": "variable", "key": "part", "operator": "equals", "value": "{var.third}"}],
            "go": "rest"}], "go": "fail"},
        {"name": "rest", "wait": {"seconds": 4}},
        {"name": "again", "set": {"variables": {"after": "{var.part} {steps.status.body.tokens}"}}},
        {"name": "report",
         "call": {"method": "POST", "url": format!("{receiver}/report/{{var.part}}?c={{var.coded}}"),
            "headers": [{"name": "X-Third", "value": "{var.third}"}],
            "body": {"format": "json", "fields": [{"path": "copy", "value": "{var.copy}"}, {"path": "after", "value": "{var.after}"},
                {"path": "all", "value": "{steps.status.body.echo}"}, {"path": "later", "value": "{var.later}"}]}}},
        {"name": "done", "end": {"reason": "done with {var.part} {var.after} {steps.status.body.access_token}"}},
    ]})
}

/// Runs such flows, checks them after every second, and makes every kind of trial.
pub(crate) async fn tokens_of_a_login(run: &mut Run, echo: &Echo) {
    for (number, hide) in [(21, true), (22, false)] {
        let document = rule(&echo.url, &format!("Flow {number}"), hide);
        let preview = json!({"tracking_api": document, "event": sale(number)});
        run.call(ADMIN, "POST /tracking-apis/preview", preview.clone()).await;
        let with = |members: Value| {
            let mut body = preview.clone();
            body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
            body
        };
        let given = json!({"access_token": KEPT, "session": OWN, "expires_in": "3600", "echo": [KEPT, OWN], "tokens": [OWN, KEPT], "id": KEPT});
        let answers = json!({"login": [{"status": 200, "body": given}], "status": [{"status": 202, "body": given}, {"status": 200, "body": given}]});
        let tried = run.call(ADMIN, "POST /tracking-apis/preview", with(json!({"answers": answers}))).await;
        assert_eq!(tried["ends"]["state"], "delivered", "{tried}");
        run.call(ADMIN, "POST /tracking-apis/preview", with(json!({"send": true}))).await;
        let id = run.call(ADMIN, "POST /tracking-apis", document).await["id"].as_str().expect("it was made").to_owned();
        run.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({"event": sale(number), "send": true})).await;
        run.bus(&envelope(&sale(number))).await;
        let is_sealed = watched(run, &id).await;
        assert!(is_sealed, "a delivery with secret variables was seen");
        run.call(ADMIN, &format!("POST /tracking-apis/{id}/test"), json!({"event": sale(number), "send": true})).await;
        run.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"active": false})).await;
    }
}

/// Checks the rule's deliveries after every second, until a flow has ended, including one that was sent again from a step. Returns true if
/// a row held sealed variables meanwhile.
async fn watched(run: &mut Run, id: &str) -> bool {
    let mut is_sealed = false;
    let mut ends = 0;
    for _ in 0..90 {
        run.pass(SignedDuration::from_secs(1)).await;
        is_sealed |= run.rows_with("\"sealed\":\"2:").await > 0;
        let list = run.call(ADMIN, &format!("GET /deliveries?tracking_api_id={id}"), Value::Null).await;
        let items = list["items"].as_array().expect("a list").clone();
        let Some(delivery) = items.first() else { continue };
        let path = format!("/deliveries/{}", delivery["id"].as_str().expect("an id"));
        run.call(ADMIN, &format!("GET {path}"), Value::Null).await;
        run.call(ADMIN, &format!("GET {path}/internals"), Value::Null).await;
        if delivery["ended_at"].is_null() {
            continue;
        }
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        ends += 1;
        if ends == 2 {
            return is_sealed;
        }
        run.call(ADMIN, &format!("POST {path}/resend"), json!({"from_step": "texts", "force": true})).await;
    }
    panic!("the flow of rule {id} has not ended");
}
