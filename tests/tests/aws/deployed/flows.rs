//! Flows through the deployed stack: a login whose token serves all environments, a status query, a report.

use serde_json::json;
use tracking_tests::receiver::{Receiver, Response};

use crate::deployed::{sale, sorted, stack::on_stack};

#[test]
fn w3_w5_a_login_a_status_query_and_a_report_go_through_the_stack() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|got| {
            if got.target == "/login" { Response::says(200, "t-o-k-e-n-of-e2e") } else { Response::says(200, "approved") }
        })
        .await;
        let admin = stack.issuer.admin();
        let url = |path: &str| format!("{}/{path}", receiver.url());
        let always = json!([{"operator": "always"}]);
        let token = json!({"token": {"value": "{body.status}", "secret": true, "keep_seconds": 3_600}});
        let steps = json!([
            {"name": "login", "when": [{"source": "variable", "key": "token", "operator": "is_empty"}],
             "call": {"method": "POST", "url": url("login"), "timeout_seconds": 10},
             "answer": {"hide": true, "rules": [{"when": always, "then": "delivered", "set": {"variables": token}}]}},
            {"name": "status", "call": {"url": url("status?id={external_id}&t={var.token}"), "timeout_seconds": 10},
             "answer": {"rules": [{"when": always, "then": "delivered", "set": {"result": "{body.status}"}}]}},
            {"name": "rest", "wait": {"seconds": 1}},
            {"name": "report", "call": {"url": url("report?id={external_id}&r={steps.status.body.status}"), "timeout_seconds": 10}},
        ]);
        let rule = stack.api.rule(&admin, "aff_flow", "", &json!({"steps": steps})).await;
        for number in 1..=2 {
            stack.bus.change(sale("aff_flow", &format!("cnv_flow_{number}"))).await;
            stack.api.all(&admin, &rule, number, "delivered").await;
        }
        let expected = [
            "/login",
            "/report?id=X-cnv_flow_1&r=approved",
            "/report?id=X-cnv_flow_2&r=approved",
            "/status?id=X-cnv_flow_1&t=t-o-k-e-n-of-e2e",
            "/status?id=X-cnv_flow_2&t=t-o-k-e-n-of-e2e",
        ];
        assert_eq!(sorted(&receiver), expected);
        let event = stack.bus.first_published("Conversion Result Received", &rule).await;
        assert_eq!(event["detail"]["result"], "approved", "{event}");
        let items = stack.items().await;
        assert!(items.iter().any(|item| item.contains(&rule)), "the table is readable");
        assert!(!items.iter().any(|item| item.contains("t-o-k-e-n-of-e2e")), "the token is in the table");
        assert!(!stack.log().contains("t-o-k-e-n-of-e2e"), "the token is in a function's log");
    });
}
