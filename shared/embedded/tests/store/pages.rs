//! The log page by page (docs/api.md): no delivery missing, none twice, whatever is written meanwhile.

use std::{collections::HashSet, sync::Arc};

use tracking_core::{caller::Caller, json::Value};
use tracking_engine::DeliveryFilter;

use crate::long_log::LongLog;

/// Deliveries that are there when the reading begins.
const BEFORE: usize = 100_000;
/// Deliveries that are made while it is read.
const MEANWHILE: usize = 5_000;

async fn page(log: &LongLog, filter: &DeliveryFilter, limit: usize, cursor: Option<&str>) -> (Vec<String>, Option<String>) {
    let page = log.engine.log().list(&Caller::Admin, filter, limit, cursor).await.expect("the log is there");
    let conversion = |item: Value| item["conversion_id"].as_str().expect("an id").to_owned();
    (page.items.into_iter().map(conversion).collect(), page.next)
}

/// Reads every conversion of the list, page by page; none may come twice.
async fn read(log: &LongLog, filter: &DeliveryFilter) -> HashSet<String> {
    let (mut seen, mut cursor) = (HashSet::new(), None);
    loop {
        let (conversions, next) = page(log, filter, 1_000, cursor.as_deref()).await;
        for conversion in conversions {
            assert!(seen.insert(conversion.clone()), "{conversion} comes twice");
        }
        cursor = next;
        if cursor.is_none() {
            return seen;
        }
    }
}

fn missing(seen: &HashSet<String>, upto: usize) -> Vec<usize> {
    (0..upto).filter(|number| !seen.contains(&format!("cnv_{number}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_deliveries_are_paged_while_new_ones_arrive() {
    let log = Arc::new(LongLog::new().await);
    log.fill(0..BEFORE).await.unwrap();

    let writing = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.fill(BEFORE..BEFORE + MEANWHILE).await }
    });
    let all = read(&log, &DeliveryFilter::default()).await;
    assert_eq!(missing(&all, BEFORE), Vec::<usize>::new());
    writing.await.unwrap().unwrap();

    let of_rule = DeliveryFilter { tracking_api_id: Some(log.rule.clone()), ..DeliveryFilter::default() };
    let all = read(&log, &of_rule).await;
    assert_eq!((missing(&all, BEFORE + MEANWHILE), all.len()), (Vec::new(), BEFORE + MEANWHILE));
    let (newest, _) = page(&log, &of_rule, 3, None).await;
    assert_eq!(newest, ["cnv_104999", "cnv_104998", "cnv_104997"], "newest first");
}
