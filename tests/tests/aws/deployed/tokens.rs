//! The gateway's authorizer in front of the API.

use serde_json::{Value, json};
use tracking_tests::receiver::Receiver;

use crate::deployed::{
    OK,
    issuer::now,
    stack::{Stack, on_stack},
};

async fn check(stack: &Stack, what: &str, token: Option<&str>, line: &str, expected: u16) -> Value {
    let answer = stack.api.call(token, line, &Value::Null).await;
    assert_eq!(answer.status, expected, "{what}: {}", answer.body);
    answer.body
}

#[test]
fn only_a_token_that_is_good_in_every_way_opens_the_api() {
    on_stack(async |stack| {
        let (issuer, past) = (&stack.issuer, now().as_second() - 600);
        let admin = json!({"role": "admin"});
        let list = "GET /tracking-apis";
        let body = check(stack, "a good one", Some(&issuer.admin()), list, 200).await;
        assert!(body["items"].is_array(), "{body}");
        check(stack, "none", None, list, 401).await;
        check(stack, "nonsense", Some("x.y.z"), list, 401).await;
        check(stack, "an expired one", Some(&issuer.token(&json!({"role": "admin", "exp": past}))), list, 401).await;
        check(stack, "a forged one", Some(&issuer.forged(&admin)), list, 401).await;
        check(stack, "one for others", Some(&issuer.token(&json!({"role": "admin", "aud": "billing"}))), list, 401).await;
        check(stack, "one of others", Some(&issuer.token(&json!({"role": "admin", "iss": "http://127.0.0.1:9"}))), list, 401)
            .await;
        check(stack, "one that names nobody", Some(&issuer.token(&json!({"role": "root"}))), list, 403).await;
        check(stack, "an affiliate without a name", Some(&issuer.token(&json!({"role": "affiliate"}))), list, 403).await;
    });
}

#[test]
fn health_alone_needs_no_token() {
    on_stack(async |stack| {
        check(stack, "health", None, "GET /healthz", 200).await;
        for line in ["GET /", "GET /deliveries", "GET /openapi.json", "POST /healthz", "GET /healthz/x", "POST /console"] {
            check(stack, line, None, line, 401).await;
        }
    });
}

#[test]
fn an_affiliate_sees_its_own_rules_and_no_others() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let (admin, own) = (stack.issuer.admin(), stack.issuer.token(&json!({"role": "affiliate", "affiliate_id": "aff_own"})));
        let of_admin = stack.api.rule(&admin, "aff_own", receiver.url(), &json!({})).await;
        let of_affiliate = stack.api.rule(&own, "aff_own", receiver.url(), &json!({})).await;
        let body = check(stack, "its list", Some(&own), "GET /affiliate-postbacks", 200).await;
        let ids: Vec<_> = body["items"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [of_affiliate.as_str()]);
        check(stack, "its own", Some(&own), &format!("GET /tracking-apis/{of_affiliate}"), 200).await;
        check(stack, "an admin's", Some(&own), &format!("GET /tracking-apis/{of_admin}"), 404).await;
    });
}
