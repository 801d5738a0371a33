//! From the platform's bus to the receivers and back.

use serde_json::{Value, json};
use tracking_tests::receiver::{Receiver, Response};

use crate::deployed::{OK, change, sale, sorted, stack::on_stack, targets};

#[test]
fn a_change_on_the_bus_is_a_postback_at_the_receiver() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let url = format!("{}/hit?id={{transaction_id}}&payout={{payout}}&r={{result}}", receiver.url());
        let rule = stack.api.rule(&admin, "aff_plain", &url, &json!({})).await;
        stack.bus.change(sale("aff_plain", "cnv_plain")).await;
        let listed = stack.api.all(&admin, &rule, 1, "delivered").await;
        let [got] = receiver.heard().try_into().expect("one postback");
        assert_eq!(got.target, "/hit?id=trx_cnv_plain&payout=5.00&r=pending");
        assert_eq!((listed[0]["id"].as_str(), &listed[0]["attempts"]), (Some(got.delivery_id.as_str()), &json!(1)));
        // A repeat is the same change.
        stack.bus.change(sale("aff_plain", "cnv_plain")).await;
        stack.bus.change(sale("aff_plain", "cnv_plain_2")).await;
        stack.api.all(&admin, &rule, 2, "delivered").await;
        assert_eq!(targets(&receiver).len(), 2);
    });
}

#[test]
fn a_pending_answer_is_asked_again_and_its_result_goes_back_to_the_platform() {
    on_stack(async |stack| {
        let pending = Response::says(200, "pending");
        let receiver =
            Receiver::start(move |got| if got.target == "/?n=1" { pending } else { Response::says(200, "approved") }).await;
        let admin = stack.issuer.admin();
        let more = json!({
            "retry": {"max_retries": 3, "delay_seconds": 1, "backoff": "fixed"},
            "answer": {"rules": [
                {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"},
                {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}], "then": "delivered",
                 "set": {"result": "{body.status}", "payout": "7.50"}},
            ]},
        });
        let rule = stack.api.rule(&admin, "aff_pending", &format!("{}/?n={{attempt}}", receiver.url()), &more).await;
        stack.bus.change(sale("aff_pending", "cnv_pending")).await;
        let listed = stack.api.all(&admin, &rule, 1, "delivered").await;
        assert_eq!(targets(&receiver), ["/?n=1", "/?n=2"]);
        let got = receiver.heard();
        assert_eq!(got[0].delivery_id, got[1].delivery_id);
        assert_eq!(listed[0]["attempts"], 2);
        let event = stack.bus.first_published("Conversion Result Received", &rule).await;
        assert_eq!(event["source"], "tracking-api");
        let detail = &event["detail"];
        let expected = [
            ("conversion_id", "cnv_pending"),
            ("transaction_id", "trx_cnv_pending"),
            ("result", "approved"),
            ("payout", "7.50"),
            ("external_id", "X-cnv_pending"),
            ("delivery_id", &got[0].delivery_id),
        ];
        for (name, value) in expected {
            assert_eq!(detail[name], value, "{name} of {detail}");
        }
    });
}

#[test]
fn a_final_postback_is_held_until_the_conversion_is_settled() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let more = json!({"delay": {"mode": "final", "settle_seconds": 2}});
        let url = format!("{}/?r={{result}}&final={{is_final}}", receiver.url());
        let rule = stack.api.rule(&admin, "aff_final", &url, &more).await;
        let with = |version, result: &str, settled: bool| {
            let mut detail =
                change("aff_final", "cnv_final", version, &json!([{"transaction_id": "trx_final", "result": result}]));
            if settled {
                detail["conversion"]["settled"] = true.into();
            }
            detail
        };
        stack.bus.change(with(1, "pending", false)).await;
        stack.api.all(&admin, &rule, 1, "held").await;
        stack.bus.change(with(2, "approved", false)).await;
        stack.bus.change(with(3, "rejected", true)).await;
        stack.api.all(&admin, &rule, 1, "delivered").await;
        assert_eq!(targets(&receiver), ["/?r=rejected&final=1"]);
    });
}

#[test]
fn two_commissions_are_two_postbacks() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let url = format!("{}/?t={{transaction_id}}&p={{payout}}", receiver.url());
        let rule = stack.api.rule(&admin, "aff_two", &url, &json!({})).await;
        let transactions = json!([
            {"transaction_id": "trx_a", "commission_id": "com_a", "result": "pending", "payout": "5.00"},
            {"transaction_id": "trx_b", "commission_id": "com_b", "result": "pending", "payout": "0.10"},
        ]);
        stack.bus.change(change("aff_two", "cnv_two", 1, &transactions)).await;
        stack.api.all(&admin, &rule, 2, "delivered").await;
        assert_eq!(sorted(&receiver), ["/?t=trx_a&p=5.00", "/?t=trx_b&p=0.10"]);
    });
}

#[test]
fn a_secret_arrives_at_the_receiver_and_lies_nowhere_else() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let more = json!({
            "request": {"url": format!("{}/?token={{secret.token}}", receiver.url())},
            "secret_values": {"token": "s3cr3t-of-e2e"},
        });
        let rule = stack.api.rule(&admin, "aff_secret", "", &more).await;
        stack.bus.change(sale("aff_secret", "cnv_secret")).await;
        let listed = stack.api.all(&admin, &rule, 1, "delivered").await;
        assert_eq!(targets(&receiver), ["/?token=s3cr3t-of-e2e"]);
        let one = format!("GET /deliveries/{}", listed[0]["id"].as_str().unwrap());
        let shown = stack.api.call(Some(&admin), &one, &Value::Null).await;
        assert_eq!(shown.status, 200);
        assert!(!shown.body.to_string().contains("s3cr3t"), "{}", shown.body);
        let items = stack.items().await;
        assert!(items.iter().any(|item| item.contains(&rule)), "the table is readable");
        assert!(!items.iter().any(|item| item.contains("s3cr3t")), "the secret is in the table");
        assert!(!stack.log().contains("s3cr3t"), "the secret is in a function's log");
    });
}

#[test]
fn a_bad_event_lies_among_the_rejected_ones_with_every_fault() {
    on_stack(async |stack| {
        let bad = json!({"change_id": "chg_bad_e2e", "conversion": {"conversion_id": "cnv bad"}});
        stack.bus.change(bad).await;
        let body = stack.queues.found("RejectedQueue", "the bad event", |body| body.contains("chg_bad_e2e")).await;
        for fault in ["/detail/occurred_at", "/detail/conversion/conversion_id", "/detail/conversion/affiliate_id"] {
            assert!(body.contains(fault), "{fault} is not among the faults of {body}");
        }
    });
}

#[test]
fn the_schedule_has_the_matcher_sweep() {
    on_stack(async |stack| {
        let (function, input) = stack.bus.scheduled(&stack.resources["MatcherFunctionSweep"]).await;
        assert!(function.ends_with(&format!(":{}", stack.resources["MatcherFunction"])), "{function}");
        // As the schedule does each minute.
        assert_eq!(stack.invoke("MatcherFunction", &input).await, Value::Null);
        let items = stack.items().await;
        assert!(items.iter().any(|item| item.contains("SWEEP")), "no cursor is left in {items:#?}");
    });
}
