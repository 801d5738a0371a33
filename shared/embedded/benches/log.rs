//! Reading a long log: the time of a page of 100 deliveries on the embedded store, beside a hundred reads of the same rows by their keys.
//!
//! `cargo bench -p tracking-embedded --bench log`. It makes 100 000 deliveries first, which takes some seconds.

#[path = "../tests/store/long_log/mod.rs"]
mod long_log;

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use tracking_core::{caller::Caller, id::Id};
use tracking_engine::{
    DeliveryFilter,
    backend::{Backend as _, Order, Partition, Range},
};

use crate::long_log::LongLog;

const DELIVERIES: u32 = 100_000;
const PAGE: usize = 100;
/// The time that a page may take.
const BUDGET: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let log = LongLog::new().await;
    let began = now();
    log.fill(0..DELIVERIES as usize).await.expect("the store is there");
    let took = began.elapsed();
    say(&format!("{DELIVERIES} deliveries made in {took:.1?}, {:.1?} each", took / DELIVERIES));
    let yardstick = yardstick(&log).await;
    say(&format!("yardstick: one partition of the table with up to {PAGE} rows: {yardstick:.2?}"));
    let of_rule = |rule: &Id| DeliveryFilter { tracking_api_id: Some(rule.clone()), ..DeliveryFilter::default() };
    for (what, filter) in [("of all rules", DeliveryFilter::default()), ("of one rule", of_rule(&log.rule))] {
        let mut times = read(&log, &filter).await;
        times.sort_unstable();
        let (usual, late, worst) = (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]);
        let verdict = if late <= BUDGET { "within" } else { "OVER" };
        let ratio = usual.as_secs_f64() / yardstick.as_secs_f64();
        say(&format!(
            "{} pages of {PAGE} {what}: p50 {usual:.2?} ({ratio:.0} times the yardstick), p99 {late:.2?} ({verdict} {BUDGET:.0?}), worst {worst:.2?}",
            times.len()
        ));
    }
}

/// The time that each page takes, from the newest to the oldest.
async fn read(log: &LongLog, filter: &DeliveryFilter) -> Vec<Duration> {
    let (mut times, mut cursor, mut found) = (Vec::new(), None, 0);
    loop {
        let began = now();
        let page = log.engine.log().list(&Caller::Admin, filter, PAGE, cursor.as_deref()).await.expect("the store is there");
        times.push(began.elapsed());
        found += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            assert_eq!(found, DELIVERIES as usize, "every delivery is on one page");
            return times;
        }
    }
}

/// The time of a plain read of the store: pages of the log itself, whose rows name the deliveries.
async fn yardstick(log: &LongLog) -> Duration {
    let partition = Partition::Table("T#all#0".to_owned());
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = now();
        let rows = log.engine.backend().query(&partition, &Range::default(), Order::Descending, PAGE).await;
        times.push(began.elapsed());
        assert!(!rows.expect("the store is there").is_empty(), "the log has pages");
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

fn say(line: &str) {
    let _closed = writeln!(io::stdout(), "{line}");
}
