//! Callbacks and webhooks through the deployed HTTP API: anyone may call their routes, nothing else.

use aws_lc_rs::hmac;
use reqwest::Url;
use serde_json::{Value, json};
use tracking_tests::receiver::Receiver;

use crate::deployed::{
    OK, sale, soon, sorted,
    stack::{PUBLIC_URL, on_stack},
    targets,
};

#[test]
fn w17_a_flow_waits_for_its_callback_through_the_stack_and_goes_on() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let url = |path: &str| format!("{}/{path}", receiver.url());
        let approved = json!({"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}],
                              "then": "delivered", "set": {"result": "{body.status}"}});
        let steps = json!([
            {"name": "create", "call": {"url": url("create?back={callback_url}"), "timeout_seconds": 10}},
            {"name": "decision", "on_timeout": "fail",
             "listen": {"timeout_seconds": 3_600, "answer": {"otherwise": "pending", "rules": [approved]}}},
            {"name": "report", "call": {"url": url("report?r={steps.decision.body.status}&id={external_id}"), "timeout_seconds": 10}},
        ]);
        let rule = stack.api.rule(&admin, "aff_callback", "", &json!({"steps": steps})).await;
        stack.bus.change(sale("aff_callback", "cnv_callback")).await;
        let created = soon("the first request", async || targets(&receiver).pop().ok_or_else(|| "none".to_owned())).await;
        let created = Url::parse(&url("")).unwrap().join(&created).unwrap();
        let (_, back) = created.query_pairs().next().unwrap();
        let path = back.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{back} is not below {PUBLIC_URL}"));
        let line = format!("POST {path}");
        // A URL with one character changed is nobody's.
        let mut forged = path.to_owned();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.push(last);
        let told = |status: &str| json!({"status": status});
        assert_eq!(stack.api.call(None, &format!("POST {forged}"), &told("approved")).await.status, 404);
        for status in ["pending", "approved", "approved"] {
            let answer = stack.api.call(None, &line, &told(status)).await;
            assert_eq!(answer.status, 202, "{status}: {}", answer.body);
        }
        let listed = stack.api.all(&admin, &rule, 1, "delivered").await;
        assert_eq!(targets(&receiver)[1..], ["/report?r=approved&id=X-cnv_callback"]);
        let one = format!("GET /deliveries/{}", listed[0]["id"].as_str().unwrap());
        let shown = stack.api.call(Some(&admin), &one, &Value::Null).await.body;
        assert_eq!(shown["callbacks"].as_array().map(Vec::len), Some(2), "{shown}");
        let token = path.rsplit('/').next().unwrap();
        assert!(!shown.to_string().contains(token) && !stack.log().contains(token), "the URL is as good as a password");
        let event = stack.bus.first_published("Conversion Result Received", &rule).await;
        assert_eq!(event["detail"]["result"], "approved", "{event}");
        assert_eq!(stack.api.call(None, &line, &told("rejected")).await.status, 410, "the step has ended");
    });
}

#[test]
fn w18_a_verified_webhook_goes_through_the_stack_to_the_delivery_that_waits_for_it() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let steps = json!([
            {"name": "order", "call": {"url": format!("{}/order?ref={{external_id}}", receiver.url()), "timeout_seconds": 10}},
            {"name": "paid", "listen": {
                "timeout_seconds": 3_600, "match": {"waiting": "{external_id}", "incoming": "{body.ref}"},
                "verify": {"incoming": "{header.x-signature}", "expected": "sha256={body|hmac_sha256:key}"},
                "answer": {"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"value": "{body.total}"}}]}}},
        ]);
        let more = json!({"steps": steps, "secret_values": {"key": "k3y-of-e2e"}});
        let rule = stack.api.rule(&admin, "aff_webhook", "", &more).await;
        let shown = stack.api.call(Some(&admin), &format!("GET /tracking-apis/{rule}"), &Value::Null).await.body;
        let line = format!("POST /webhooks/{}", shown["webhook_id"].as_str().unwrap());
        for conversion in ["cnv_webhook_1", "cnv_webhook_2"] {
            stack.bus.change(sale("aff_webhook", conversion)).await;
        }
        soon("both orders", async || if targets(&receiver).len() == 2 { Ok(()) } else { Err("less".to_owned()) }).await;
        assert_eq!(sorted(&receiver), ["/order?ref=X-cnv_webhook_1", "/order?ref=X-cnv_webhook_2"]);
        let body = json!({"ref": "X-cnv_webhook_2", "total": "12.40"});
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"k3y-of-e2e"), body.to_string().as_bytes());
        let signature = signature.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        for wrong in [None, Some("sha256=00")] {
            assert_eq!(stack.api.signed(&line, wrong, &body).await.status, 401, "{wrong:?}");
        }
        let right = format!("sha256={signature}");
        soon("a delivery that waits", async || {
            let answer = stack.api.signed(&line, Some(&right), &body).await;
            if answer.status == 202 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let event = stack.bus.first_published("Conversion Result Received", &rule).await;
        assert_eq!((&event["detail"]["conversion_id"], &event["detail"]["value"]), (&json!("cnv_webhook_2"), &json!("12.40")));
        let states = async || {
            let listed = stack.api.deliveries(&admin, &rule).await;
            let mut states: Vec<String> = listed.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect();
            states.sort();
            states
        };
        soon("one delivered", async || {
            let states = states().await;
            if states == ["delivered", "waiting"] { Ok(()) } else { Err(format!("{states:?}")) }
        })
        .await;
    });
}
