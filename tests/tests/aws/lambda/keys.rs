//! The key of the secrets: only deliveries with secrets need it opened, and only they wait for it.

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json};
use tracking_tests::{
    cloud::{Fault, Queue},
    functions::Functions,
};

use crate::lambda::support::{approving, rule, sale};

/// The client's tries of a call before it gives up.
const TRIES: usize = 3;

#[tokio::test]
async fn without_kms_only_what_has_secrets_waits_and_is_not_charged() {
    let (open, secret) = (approving().await, approving().await);
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(open.url(), json!({}))).await;
    let mut with_secret = rule(secret.url(), json!({"secret_values": {"token": "s3cret"}}));
    with_secret["request"]["headers"] = json!([{"name": "Authorization", "value": "Bearer {secret.token}"}]);
    functions.rule(&Caller::Admin, with_secret).await;
    // A new environment has never opened a secret.
    functions.restart();
    for number in 1..=2 {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    for _ in 0..2 * TRIES {
        functions.cloud.fail_next("KMS.Decrypt", Fault::InternalError);
    }
    functions.work(Queue::Delivery).await;
    assert_eq!((open.heard().len(), secret.heard().len()), (2, 0));
    functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
    assert_eq!((open.heard().len(), secret.heard().len()), (2, 2));
    let rows = functions.log().await;
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!((&row["state"], &row["attempts"]), (&"delivered".into(), &1.into()), "{row}");
    }
}

#[tokio::test]
async fn the_key_is_opened_once_and_only_for_what_has_secrets() {
    let receiver = approving().await;
    let mut functions = Functions::start();
    let plain = functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    functions.ingest(&sale(1)).await;
    functions.work_all().await;
    assert_eq!(opened(&functions), 0, "nothing has a secret yet");
    functions.stack().engine.writer().put_secret(&Caller::Admin, &plain, ("token", "s3cret"), None).await.unwrap();
    for number in 2..=4 {
        functions.ingest(&sale(number)).await;
    }
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 4);
    assert_eq!(opened(&functions), 1);
}

/// Returns the number of calls to KMS that opened the key.
fn opened(functions: &Functions) -> u64 {
    functions.cloud.calls().of("KMS.Decrypt").calls
}
