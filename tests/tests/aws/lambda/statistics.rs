//! Statistics on AWS: counted once, then read as few rows.

use std::collections::BTreeMap;

use tracking_core::{caller::Caller, delivery::State, json, statistics::BucketSize};
use tracking_engine::{Statistics, StatisticsQuery};
use tracking_tests::{
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

/// Reads all counts of a period of 31 days by day. Returns them with the write units and half read units of the reading.
async fn read(functions: &Functions, caller: &Caller) -> (BTreeMap<State, u64>, [u64; 2]) {
    functions.cloud.reset_counts();
    let engine = &functions.stack().engine;
    let now = functions.clock.now();
    let query = StatisticsQuery {
        tracking_api_id: None,
        size: BucketSize::Hour,
        from: Some(now - jiff::SignedDuration::from_hours(24 * 31)),
        to: None,
    };
    let Statistics { buckets, complete } = engine.log().statistics(caller, &query).await.expect("AWS is there");
    assert!(complete && buckets.len() >= 744);
    let mut sum = BTreeMap::new();
    for (state, count) in buckets.into_iter().flat_map(|bucket| bucket.counts) {
        *sum.entry(state).or_default() += count;
    }
    let counts = functions.cloud.calls();
    (sum, [counts.write_units(), counts.read_half_units()])
}

#[tokio::test]
async fn statistics_cost_rows_once_and_little_after_that() {
    let receiver = Receiver::start(|_| Response::says(200, "no word")).await;
    let mut functions = Functions::start();
    let refusing = json!({"conditions": {"affiliate": ["aff_7"]}, "answer": {"otherwise": "failed"}});
    functions.rule(&Caller::Affiliate("aff_7".parse().unwrap()), rule(receiver.url(), refusing)).await;
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for number in 1..=200 {
        functions.ingest(&sale(number)).await;
    }
    functions.work_all().await;
    functions.clock.until(functions.clock.now() + jiff::SignedDuration::from_hours(2));

    let both = BTreeMap::from([(State::Delivered, 200), (State::Failed, 4)]);
    let own = BTreeMap::from([(State::Failed, 4)]);
    let (first, [writes, reads]) = read(&functions, &Caller::Admin).await;
    assert_eq!(first, both);
    // A row for each of 32 days, and each delivery with the pages that list it.
    assert!(writes <= 40 && reads <= 480, "{writes} write units, {reads} half read units");
    let (second, [writes, reads]) = read(&functions, &Caller::Admin).await;
    assert_eq!(second, both);
    // The hour of those that failed is counted again, and the present one: two rows of days, and the pages of 8 shards.
    assert!(writes <= 3 && reads <= 40, "{writes} write units, {reads} half read units");
    let (found, [writes, reads]) = read(&functions, &Caller::Affiliate("aff_7".parse().unwrap())).await;
    assert_eq!(found, own);
    assert!(writes <= 40 && reads <= 24, "{writes} write units, {reads} half read units");
    let (none, units) = read(&functions, &Caller::Affiliate("aff_8".parse().unwrap())).await;
    assert_eq!((none, units), (BTreeMap::new(), [0, 2]), "an owner without rules has no rows");
}
