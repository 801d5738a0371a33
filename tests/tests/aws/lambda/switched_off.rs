//! The price of switching a rule off: it depends on the rule's own open deliveries, not on those of others.

use tracking_core::{caller::Caller, json};
use tracking_engine::backend::{Backend as _, Effects, Item, Key, Order, Partition, Range};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

/// Rows that are written at once.
const AT_ONCE: usize = 1_000;

/// Copies a delivery's row this many times for another rule.
async fn give_others(functions: &Functions, row: &Item, count: usize) {
    let place = |n: usize| {
        (Key::new(format!("C#other{n:08}"), format!("D#{n}")), Key::new(format!("open#trk_other#{}", n % 8), format!("{n}")))
    };
    for first in (0..count).step_by(AT_ONCE) {
        let rows = (first..first + AT_ONCE).map(|n| {
            let (key, attention) = place(n);
            Item { key, attention: Some(attention), ..row.clone() }
        });
        let effects = Effects { put: rows.collect(), ..Effects::default() };
        functions.stack().engine.backend().commit(vec![effects]).await.remove(0).expect("the table is there");
    }
}

/// Returns the reads, in half units, and the calls that switching a rule off takes with three open deliveries of its own and this many of
/// another rule.
async fn price_of_switching_off(others: usize) -> (u64, u64) {
    let receiver = Receiver::start(|_| Response::says(503, "down")).await;
    let mut functions = Functions::start();
    let id = functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for number in 1..=3 {
        functions.ingest(&sale(number)).await;
    }
    functions.work_all().await;
    let backend = functions.stack().engine.backend().clone();
    let mut open = Vec::new();
    for shard in 0..8 {
        let partition = Partition::Attention(format!("open#{id}#{shard}"));
        open.extend(backend.query(&partition, &Range::default(), Order::Ascending, 10).await.expect("the table is there"));
    }
    assert_eq!(open.len(), 3, "they wait for their second attempt");
    let row = backend.get(&[open[0].key.clone()]).await.expect("the table is there").remove(0).expect("a row");
    give_others(&functions, &row, others).await;
    functions
        .stack()
        .engine
        .writer()
        .patch_rule(&Caller::Admin, &id, &json!({"active": false}), None)
        .await
        .expect("it can be switched off");
    functions.cloud.reset_counts();
    while functions.work(Queue::Retry).await > 0 {}
    let counts = functions.cloud.calls();
    let log = functions.log().await;
    assert!(log.len() == 3 && log.iter().all(|listed| listed["state"] == "cancelled"), "{log:?}");
    (counts.read_half_units(), counts.of("DynamoDB.Query").calls)
}

#[tokio::test]
async fn p6_switching_a_rule_off_reads_no_delivery_of_others() {
    let alone = price_of_switching_off(0).await;
    assert_eq!(price_of_switching_off(100_000).await, alone);
}
