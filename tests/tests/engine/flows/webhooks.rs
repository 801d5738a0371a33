//! Webhooks (W18).

use tracking_engine::{IncomingRequest, rules::Refused};

use super::{
    callbacks::{sale_of, sent},
    *,
};

/// Returns a flow that waits for a webhook with its order's number.
fn ordered(verify: bool) -> Value {
    let mut listen = json!({"match": {"waiting": "{external_id}", "incoming": "{body.order}"},
        "answer": {"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"variables": {"amount": "{body.amount}"}}}]}});
    if verify {
        listen["verify"] = json!({"incoming": "{header.x-signature}", "expected": "sha256={body|hmac_sha256:key}"});
    }
    let mut rule =
        flow(json!([call("create", "create"), {"name": "paid", "listen": listen}, call("report", "report?amount={var.amount}")]));
    if verify {
        rule["secret_values"] = json!({"key": "s3cr3t-of-bank"});
    }
    rule
}

async fn webhook_of(world: &World) -> String {
    let delivery = world.only_delivery().await;
    let rule = delivery["tracking_api_id"].as_str().unwrap().parse().unwrap();
    let view = world.engine().rules().rule(&Caller::Admin, &rule).await.unwrap();
    view.resource["webhook_id"].as_str().unwrap().to_owned()
}

const PAID: &str = r#"{"order": "X-77", "amount": "3.20"}"#;

#[tokio::test]
async fn w18_a_webhook_goes_to_the_delivery_that_waits_for_its_value() {
    let mut world = begun(ordered(false)).await;
    world.work_all(&mut |_| OK).await;
    let webhook = webhook_of(&world).await;
    assert_eq!((webhook.len(), webhook.starts_with("whk_")), (36, true), "{webhook}");
    let take = async |id: &str, body: &str| world.send_webhook(id, sent(body)).await;
    assert_eq!(take(&webhook, r#"{"order": "X-78"}"#).await, Err(Refused::NotFound), "none waits for it");
    assert_eq!(take(&webhook, r#"{"order": ""}"#).await, Err(Refused::NotFound));
    assert_eq!(take(&webhook, "not JSON").await, Err(Refused::NotFound));
    assert_eq!(take("whk_00000000000000000000000000000000", PAID).await, Err(Refused::NotFound));
    assert_eq!(take(&webhook, PAID).await, Ok(1));
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount=3.20"]);
    assert_eq!(world.only_delivery().await["state"], "delivered");
    let take = async |id: &str, body: &str| world.send_webhook(id, sent(body)).await;
    assert_eq!(take(&webhook, PAID).await, Ok(1), "the same again gets the same answer");
    assert_eq!(take(&webhook, r#"{"order": "X-77", "amount": "4"}"#).await, Err(Refused::NotFound), "nobody waits any more");
    world.pass(SignedDuration::from_hours(73), &mut |_| OK).await;
    assert_eq!((paths(&world.arrivals).len(), world.only_delivery().await["callbacks"].as_array().unwrap().len()), (2, 1));
}

/// An answer that waits on until the content says `"last": true`.
fn until_last() -> Value {
    json!({"otherwise": "pending",
        "rules": [{"when": [{"source": "body", "key": "last", "operator": "equals", "value": "true"}], "then": "delivered"}]})
}

#[tokio::test]
async fn f5_a_webhook_that_one_of_two_deliveries_can_t_take_is_to_come_again() {
    let mut rule = ordered(false);
    rule["steps"][1]["listen"]["answer"] = until_last();
    let mut world = begun(rule).await;
    world.work_all(&mut |_| OK).await;
    let webhook = webhook_of(&world).await;
    for number in 0..31 {
        assert_eq!(world.send_webhook(&webhook, sent(&format!(r#"{{"order": "X-77", "n": {number}}}"#))).await, Ok(1));
    }
    let last = r#"{"order": "X-77", "last": true}"#;
    assert!(matches!(world.send_webhook(&webhook, sent(last)).await, Err(Refused::TooMany(_))));
    // Another delivery begins to wait for the same value: it takes the webhook, and the sender still learns that one has not.
    let mut second = sale_of("cnv_2", "chg_2");
    second["detail"]["conversion"]["external_id"] = json!("X-77");
    world.post(&[second]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    for _ in 0..2 {
        let refused = world.send_webhook(&webhook, sent(last)).await;
        assert!(matches!(refused, Err(Refused::TooMany(_))), "{refused:?}");
        world.work_all(&mut |_| OK).await;
        let states: Vec<_> =
            world.log(&DeliveryFilter::default()).await.iter().map(|delivery| delivery["state"].clone()).collect();
        assert_eq!((states.len(), states.contains(&json!("delivered")), states.contains(&json!("waiting"))), (2, true, true));
    }
}

#[tokio::test]
async fn w18_of_twenty_one_that_wait_twenty_hear_a_webhook_and_the_last_one_the_next() {
    let mut world = begun(ordered(false)).await;
    for number in 2..=21 {
        let mut event = sale_of(&format!("cnv_{number}"), &format!("chg_{number}"));
        event["detail"]["conversion"]["external_id"] = json!("X-77");
        world.post(&[event]).await.unwrap();
    }
    world.work_all(&mut |_| OK).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert_eq!(log.len(), 21);
    let rule = log[0]["tracking_api_id"].as_str().unwrap().parse().unwrap();
    let view = world.engine().rules().rule(&Caller::Admin, &rule).await.unwrap();
    let webhook = view.resource["webhook_id"].as_str().unwrap().to_owned();
    assert_eq!(world.send_webhook(&webhook, sent(PAID)).await, Ok(20));
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.send_webhook(&webhook, sent(PAID)).await, Ok(1));
    world.work_all(&mut |_| OK).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert!(log.iter().all(|entry| entry["state"] == "delivered"), "{log:?}");
}

#[tokio::test]
async fn w18_a_resend_of_a_flow_that_begins_by_listening_waits_for_a_new_webhook() {
    let mut rule = ordered(false);
    rule["steps"].as_array_mut().unwrap().remove(0);
    rule["steps"][0]["listen"]["answer"] = json!({"otherwise": "failed"});
    let mut world = begun(rule).await;
    world.work_all(&mut |_| OK).await;
    let webhook = webhook_of(&world).await;
    assert_eq!(world.send_webhook(&webhook, sent(PAID)).await, Ok(1));
    world.work_all(&mut |_| OK).await;
    let delivery = world.only_delivery().await;
    ends(&delivery, "failed", "step paid: failed: a webhook");
    let id = DeliveryId::parse(delivery["id"].as_str().unwrap()).unwrap();
    world.engine().operator().resend(&Caller::Admin, &id, &json!({})).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.only_delivery().await["state"], "waiting", "what the flow before has heard is not heard again");
}

#[tokio::test]
async fn w18_deliveries_that_were_superseded_do_not_hide_the_one_that_waits() {
    let mut world = begun(ordered(false)).await;
    for version in 2..=8 {
        world.work_all(&mut |_| OK).await;
        world.post(&[sale(&format!("chg_{version}"), version)]).await.unwrap();
    }
    world.work_all(&mut |_| OK).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert_eq!(log.iter().filter(|entry| entry["state"] == "superseded").count(), 7);
    let rule = log[0]["tracking_api_id"].as_str().unwrap().parse().unwrap();
    let view = world.engine().rules().rule(&Caller::Admin, &rule).await.unwrap();
    let webhook = view.resource["webhook_id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(world.send_webhook(&webhook, sent(PAID)).await, Ok(1));
    }
    world.work_all(&mut |_| OK).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert_eq!(log.iter().filter(|entry| entry["state"] == "delivered").count(), 1, "{log:?}");
}

/// The output of `printf '{"order": "X-77", "amount": "3.20"}' | openssl dgst -sha256 -hmac s3cr3t-of-bank`
const SIGNATURE: &str = "sha256=d8dfca4f8079b02f07df2334c366d8716defb75b182c8a113670a9da4b40f731";

#[tokio::test]
async fn w18_verify_takes_only_what_is_signed() {
    let mut world = begun(ordered(true)).await;
    world.work_all(&mut |_| OK).await;
    let webhook = webhook_of(&world).await;
    let signed = |signature: &str| {
        let headers = vec![("x-signature".to_owned(), signature.to_owned())];
        IncomingRequest { headers, ..sent(PAID) }
    };
    for wrong in ["", "sha256=", &SIGNATURE[..SIGNATURE.len() - 1], &SIGNATURE.to_uppercase()] {
        let refused = world.send_webhook(&webhook, signed(wrong)).await;
        assert_eq!(refused, Err(Refused::Unproven), "{wrong}");
    }
    assert_eq!(world.send_webhook(&webhook, sent(PAID)).await, Err(Refused::Unproven));
    assert_eq!(world.only_delivery().await["callbacks"].as_array().unwrap().len(), 0);
    assert_eq!(world.send_webhook(&webhook, signed(SIGNATURE)).await, Ok(1));
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount=3.20"]);
}

#[tokio::test]
async fn w18_a_signature_is_over_the_bytes_as_they_came() {
    let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    // `printf … | openssl dgst -sha256 -hmac s3cr3t-of-bank`: a mark at the beginning and a line break at the end; a byte that is no text.
    for (body, header, signature) in [
        (
            &b"\xef\xbb\xbf{\"order\": \"X-77\", \"amount\": \"3.20\"}\r\n"[..],
            None,
            "674ce2e17064042cdf88a1aacdc7eb0ef0ec4815da15c2a3c00a1ab63e4f607d",
        ),
        (b"order=X-77&amount=3.20&note=\xff", Some(form), "83afbf943901d3bcbad0be8d65040fc80edc73460a8bf16091f300f2ac7f4d3c"),
    ] {
        let mut world = begun(ordered(true)).await;
        world.work_all(&mut |_| OK).await;
        let webhook = webhook_of(&world).await;
        let signature = ("x-signature".to_owned(), format!("sha256={signature}"));
        let headers = header.into_iter().chain([signature]).collect();
        let request = IncomingRequest { headers, body: body.to_vec(), ..sent("") };
        assert_eq!(world.send_webhook(&webhook, request).await, Ok(1), "{body:?}");
        world.work_all(&mut |_| OK).await;
        assert_eq!(paths(&world.arrivals), ["create", "report?amount=3.20"]);
    }
}

#[tokio::test]
async fn w18_forged_webhooks_write_nothing() {
    let mut world = begun(ordered(true)).await;
    world.work_all(&mut |_| OK).await;
    let (webhook, before) = (webhook_of(&world).await, world.fate().writes());
    for number in 0..1_000 {
        let refused = world.send_webhook(&format!("whk_{number:032x}"), sent(PAID)).await;
        assert_eq!(refused, Err(Refused::NotFound), "{number}");
        assert_eq!(world.send_webhook(&webhook, sent(&format!("{PAID} {number}"))).await, Err(Refused::Unproven), "{number}");
    }
    assert_eq!(world.fate().writes(), before);
}

#[tokio::test]
async fn w18_hostile_values_match_nothing_but_themselves() {
    for value in ["*", "X-77|X-78", "x-77", "X-77\u{0}", "{external_id}", "' or 1=1", "X-77#", &"x".repeat(5_000)] {
        let mut world = begun(ordered(false)).await;
        world.work_all(&mut |_| OK).await;
        let webhook = webhook_of(&world).await;
        let body = json!({"order": value}).to_string();
        assert_eq!(world.send_webhook(&webhook, sent(&body)).await, Err(Refused::NotFound), "{value:?}");
    }
}

#[tokio::test]
async fn w18_a_new_webhook_id_ends_the_old_one() {
    let mut world = begun(ordered(false)).await;
    world.work_all(&mut |_| OK).await;
    let old = webhook_of(&world).await;
    let rule = world.only_delivery().await["tracking_api_id"].as_str().unwrap().parse().unwrap();
    let view = world.engine().writer().renew_webhook(&Caller::Admin, &rule, None).await.unwrap();
    let new = view.resource["webhook_id"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    assert_eq!(world.send_webhook(&old, sent(PAID)).await, Err(Refused::NotFound));
    assert_eq!(world.send_webhook(&new, sent(PAID)).await, Ok(1));
}

#[tokio::test]
async fn w18_a_delivery_without_a_value_to_wait_for_fails() {
    let mut rule = ordered(false);
    rule["steps"][1]["listen"]["match"]["waiting"] = json!("{query.none}");
    let mut world = begun(rule).await;
    world.work_all(&mut |_| OK).await;
    ends(&world.only_delivery().await, "failed", "step paid: match: waiting gave no value of 1 to 1024 bytes");
}

#[tokio::test]
async fn w18_without_the_secret_s_value_no_proof_counts() {
    let mut world = World::temporary();
    let rule = world.rule(&Caller::Affiliate("aff_7".parse().unwrap()), ordered(true)).await;
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let webhook = webhook_of(&world).await;
    // Another party's change drops the value.
    let mut steps = ordered(true)["steps"].clone();
    steps[0]["call"]["url"] = json!(url("elsewhere"));
    let engine = world.engine();
    engine.writer().patch_rule(&Caller::Admin, &rule, &json!({"steps": steps}), None).await.unwrap();
    let headers = vec![("x-signature".to_owned(), "sha256=".to_owned())];
    let forged = IncomingRequest { headers, ..sent(PAID) };
    let refused = world.send_webhook(&webhook, forged).await.unwrap_err();
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    assert_eq!(world.only_delivery().await["callbacks"].as_array().unwrap().len(), 0);
}
