//! The cost of a postback, counted: every call of the functions and of the pollers, at full batches, with warm functions. These are the
//! figures of docs/cost.md.

use std::fmt::Write as _;

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    cloud::{Counts, Queue},
    functions::{BATCH, Functions},
    receiver::{Postback, Receiver, Response},
    world::{event, transaction},
};

use crate::lambda::support::{rule, sale};

/// Postbacks of a case: full batches.
const POSTBACKS: u32 = 100;
/// The functions' memory in GB, as the template has it by default.
const MEMORY: f64 = 0.25;

/// List prices in dollars a million, us-east-1; a million GB-seconds of x86.
mod price {
    pub(super) const INVOCATION: f64 = 0.20;
    pub(super) const GB_SECOND: f64 = 16.6667;
    pub(super) const SQS: f64 = 0.40;
    /// The surcharge of fair queues for each request.
    pub(super) const FAIR: f64 = 0.10;
    pub(super) const WRITE: f64 = 0.625;
    pub(super) const READ: f64 = 0.125;
    pub(super) const BUS: f64 = 1.00;
    /// A kilobyte of log: a million of them are a gigabyte.
    pub(super) const LOG_KB: f64 = 0.50;
}

/// The time of an invocation of ingest, in seconds: one call of SQS.
const INGEST: f64 = 0.010;
/// The time of an invocation of the matcher, for any batch: a read, a call of SQS.
const MATCHER: f64 = 0.030;
/// The time of an invocation of delivery besides its slowest receiver's: a read, claims side by side, a write.
const DELIVERY: f64 = 0.030;
/// Log of one invocation of matcher or delivery, in kilobytes: its metrics.
const LOG: f64 = 1.0;

/// One case: the counts of all its postbacks.
struct Case {
    name: &'static str,
    /// Seconds that a receiver takes.
    receiver: f64,
    ingest: Counts,
    matcher: Counts,
    delivery: Counts,
    invocations: [usize; 3],
    requests: usize,
}

/// Plays a case: these events, each of which owes one postback in the end, and all that follows within a day.
async fn play(
    name: &'static str,
    seconds: f64,
    rules: Vec<Value>,
    events: Vec<Value>,
    answers: fn(&Postback) -> Response,
) -> Case {
    let receiver = Receiver::start(answers).await;
    let mut functions = Functions::start();
    for rule in rules {
        let mut rule = rule;
        let url = rule["request"]["url"].as_str().expect("a rule has a URL").replace("{receiver}", receiver.url());
        rule["request"]["url"] = url.into();
        functions.rule(&Caller::Admin, rule).await;
    }
    // Functions are warm: they have cached everything that they read once a rule, or once in some seconds.
    for number in 0..8 {
        functions.ingest(&sale(1_000_000 + number)).await;
    }
    functions.wait(functions.clock.now() + SignedDuration::from_hours(24)).await;
    let warm = receiver.heard().len();
    let mut invocations = [events.len(), 0, 0];
    functions.cloud.reset_counts();
    for event in &events {
        functions.ingest(event).await;
    }
    let ingest = functions.cloud.calls();
    functions.cloud.reset_counts();
    while functions.work(Queue::Events).await > 0 {
        invocations[1] += 1;
    }
    let matcher = functions.cloud.calls();
    functions.cloud.reset_counts();
    let end = functions.clock.now() + SignedDuration::from_hours(24);
    loop {
        for queue in [Queue::Delivery, Queue::Retry] {
            while functions.work(queue).await > 0 {
                invocations[2] += 1;
            }
        }
        let next = [Queue::Delivery, Queue::Retry].into_iter().filter_map(|queue| functions.cloud.next_visible(queue)).min();
        match next.filter(|next| *next <= end) {
            Some(next) => functions.clock.until(next),
            None => break,
        }
    }
    let delivery = functions.cloud.calls();
    let log = functions.log().await;
    let rows: Vec<_> = log.iter().filter(|row| row["conversion_id"].as_str() < Some("cnv_01")).collect();
    assert_eq!(rows.len(), POSTBACKS as usize, "{name}");
    assert!(rows.iter().all(|row| row["state"] == "delivered"), "{name}: {rows:#?}");
    Case { name, receiver: seconds, ingest, matcher, delivery, invocations, requests: receiver.heard().len() - warm }
}

impl Case {
    fn each(count: u64) -> f64 {
        f64::from(u32::try_from(count).expect("not that many")) / f64::from(POSTBACKS)
    }

    fn all(&self) -> [&Counts; 3] {
        [&self.ingest, &self.matcher, &self.delivery]
    }

    fn writes(&self) -> f64 {
        Self::each(self.all().iter().map(|counts| counts.write_units()).sum())
    }

    fn reads(&self) -> f64 {
        Self::each(self.all().iter().map(|counts| counts.read_half_units()).sum()) / 2.0
    }

    fn sqs(&self) -> f64 {
        Self::each(self.all().iter().map(|counts| counts.sqs_requests() + counts.poller_requests()).sum())
    }

    fn bus(&self) -> f64 {
        Self::each(self.all().iter().map(|counts| counts.bus_events()).sum())
    }

    /// AWS calls in the delivery function.
    fn calls(&self) -> f64 {
        Self::each(self.delivery.total())
    }

    /// Dollars a million postbacks.
    fn dollars(&self) -> f64 {
        let [ingest, matcher, delivery] = self.invocations.map(|count| Self::each(count as u64));
        let seconds = ingest * INGEST + matcher * MATCHER + delivery * (DELIVERY + self.receiver);
        let fair = Self::each(self.delivery.sqs_requests() + self.delivery.poller_requests() + self.matcher.sqs_requests());
        (ingest + matcher + delivery) * price::INVOCATION
            + seconds * MEMORY * price::GB_SECOND
            + self.sqs() * price::SQS
            + fair * price::FAIR
            + self.writes() * price::WRITE
            + self.reads() * price::READ
            + self.bus() * price::BUS
            + (matcher + delivery) * LOG * price::LOG_KB
    }

    fn row(&self) -> String {
        format!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            self.name,
            Self::each(self.requests as u64),
            self.writes(),
            self.reads(),
            self.sqs(),
            self.bus(),
            self.calls(),
            self.dollars()
        )
    }
}

fn network(more: Value) -> Value {
    rule("{receiver}", more)
}

/// Returns rules of this many affiliates, so that the events of a batch belong to as many rules.
fn of_affiliates(count: usize) -> Vec<Value> {
    (0..count).map(|number| network(json!({"conditions": {"affiliate": [format!("aff_{number}")]}}))).collect()
}

fn sales(affiliates: usize) -> Vec<Value> {
    let sale = |number: usize| {
        let mut sale = sale(number);
        sale["detail"]["conversion"]["affiliate_id"] = format!("aff_{}", number % affiliates).into();
        sale
    };
    (1..=POSTBACKS as usize).map(sale).collect()
}

fn finals() -> Vec<Value> {
    let change = |number: usize, version: usize| {
        let (how, result) = if version == 1 { ("created", "pending") } else { ("updated", "approved") };
        let conversion =
            json!({"conversion_id": format!("cnv_{number:08}"), "version": version, "change": how, "settled": version == 2});
        event(&format!("chg_{number}_{version}"), conversion, json!([transaction(&format!("trx_{number}"), how, result)]))
    };
    (1..=2).flat_map(|version| (1..=POSTBACKS as usize).map(move |number| change(number, version))).collect()
}

/// Answers as a receiver that refuses every first attempt, and is not down.
fn busy_at_first(postback: &Postback) -> Response {
    if postback.target.ends_with("n=1") { Response::says(408, "later") } else { Response::says(200, "approved") }
}

const APPROVED: fn(&Postback) -> Response = |_| Response::says(200, "approved");

/// Checks the figures of docs/cost.md, and the budgets of an immediate success.
#[tokio::test]
async fn a_postback_costs_what_the_documents_say() {
    let polls = json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 30}});
    let finally = json!({"trigger": "transaction_all", "delay": {"mode": "final", "settle_seconds": 60}});
    let last = |postback: &Postback| Response::says(200, if postback.target.ends_with("n=31") { "approved" } else { "pending" });
    let cases = [
        play("success at once, one rule", 0.3, of_affiliates(1), sales(1), APPROVED).await,
        play("success at once, eight rules in turn", 0.3, of_affiliates(8), sales(8), APPROVED).await,
        play("one retry", 0.3, vec![network(json!({}))], sales(1), busy_at_first).await,
        play("thirty polls", 0.3, vec![network(polls)], sales(1), last).await,
        play("final, held once", 0.3, vec![network(finally)], finals(), APPROVED).await,
        play("success at once, receivers of 5 s", 5.0, of_affiliates(8), sales(8), APPROVED).await,
        play("five a second, all but a few wait", 0.3, vec![network(json!({"rate_per_second": 5}))], sales(1), APPROVED).await,
    ];
    for case in &cases[..2] {
        assert!(case.writes() <= 3.0, "{}: {} write units\n{}", case.name, case.writes(), case.delivery);
        assert!(case.calls() <= 1.3, "{}: {} calls\n{}", case.name, case.calls(), case.delivery);
    }
    let base = cases[0].dollars() + 0.05 * (cases[2].dollars() - cases[0].dollars());
    assert!(base <= 3.0, "{base}");
    let mut table = String::new();
    for case in &cases {
        writeln!(table, "{}", case.row()).unwrap();
    }
    writeln!(table, "| **base case: one rule, 5 % retried once** | | | | | | | **{base:.2}** |").unwrap();
    let document = include_str!("../../../../docs/cost.md");
    for counted in table.lines() {
        let name = counted.split('|').nth(1).unwrap();
        let written = document.lines().find(|line| line.split('|').nth(1) == Some(name));
        assert!(
            written.is_some_and(|written| agree(written, counted)),
            "docs/cost.md says {written:?}, and counted was:\n{table}"
        );
    }
}

/// Returns true if two rows of the table agree. Deliveries that wait fall due in other batches each time, so the numbers may differ a
/// little.
fn agree(written: &str, counted: &str) -> bool {
    let numbers = |row: &str| -> Vec<f64> {
        row.split('|').skip(2).filter_map(|cell| cell.trim_matches([' ', '*']).parse().ok()).collect()
    };
    let (written, counted) = (numbers(written), numbers(counted));
    let close = |(written, counted): (&f64, &f64)| (written - counted).abs() <= (counted * 0.15).max(0.02);
    written.len() == counted.len() && written.iter().zip(&counted).all(close)
}

/// Checks that the batch is the largest that Lambda's mapping hands over.
#[test]
fn a_batch_is_ten() {
    assert_eq!(BATCH, 10);
}
