//! The process is killed at each single AWS call of each path, before and after the call takes effect; messages come again. The result is
//! the same: nothing lost, nothing sent beyond the limit, nothing sent twice but an attempt whose end was not recorded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    crash::Cut,
    functions::Functions,
    receiver::{Postback, Receiver, Response},
    world::{event, transaction},
};

use crate::lambda::support::{down_at_first, rule, sale};

/// The time in which everything ends, whatever is cut off: messages in flight come again after fifteen minutes.
const LONG: SignedDuration = SignedDuration::from_mins(55);
/// The time after which a wait of twenty minutes is over, whatever its jitter: the sweep runs then, if a path needs it.
const LATE: SignedDuration = SignedDuration::from_mins(23);
/// The time until the sweep runs again: messages that were in flight at the kill have come again by then.
const AGAIN: SignedDuration = SignedDuration::from_mins(16);

/// The result of a path.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The transactions with the states of their deliveries, and the attempts counted.
    log: BTreeMap<String, (String, u64)>,
    /// The events on the bus, each with its transaction and result.
    published: BTreeSet<(String, String, String)>,
    /// The requests that the receiver got, each with its transaction.
    heard: Vec<(String, String)>,
}

/// A path: a rule, the platform's events, the answers.
struct Path {
    name: &'static str,
    more: fn() -> Value,
    events: fn() -> Vec<Value>,
    answers: fn(&Postback) -> Response,
    /// The attempts that the rule allows.
    max_attempts: u64,
    /// `true` if the path has to wait for the sweep.
    sweeps: bool,
    /// `true` if an event is published to the platform.
    publishes: bool,
    /// The final state of every delivery.
    ends: &'static str,
}

/// One sale that is delivered at once, by a plain rule.
const USUAL: Path = Path {
    name: "",
    more: || json!({}),
    events: || vec![sale(1)],
    answers: |_| Response::says(200, "approved"),
    max_attempts: 13,
    sweeps: false,
    publishes: false,
    ends: "delivered",
};

const PATHS: [Path; 7] = [
    Path { name: "delivered at once", events: || (1..=3).map(sale).collect(), ..USUAL },
    Path {
        name: "retried",
        more: || json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 5}}),
        answers: down_at_first,
        max_attempts: 6,
        ..USUAL
    },
    Path {
        name: "retried after twenty minutes",
        more: || json!({"retry": {"backoff": "fixed", "delay_seconds": 1200, "max_retries": 5}}),
        answers: down_at_first,
        max_attempts: 6,
        sweeps: true,
        ..USUAL
    },
    Path {
        name: "pending, then approved",
        more: || {
            json!({
                "retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 5},
                "answer": {
                    "rules": [
                        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}],
                         "then": "pending", "set": {"external_id": "{body.status}"}},
                        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}],
                         "then": "delivered", "set": {"result": "approved"}},
                    ],
                },
            })
        },
        answers: |postback| {
            let early = ["n=1", "n=2"].iter().any(|n| postback.target.ends_with(n));
            Response::says(200, if early { "pending" } else { "approved" })
        },
        max_attempts: 6,
        publishes: true,
        ..USUAL
    },
    Path {
        name: "held until it is settled",
        more: || json!({"trigger": "transaction_all", "delay": {"mode": "final", "settle_seconds": 60}}),
        events: || {
            let change = |id: &str, version: u32, how: &str, result: &str, settled: bool| {
                let conversion = json!({"conversion_id": "cnv_f", "version": version, "change": how, "settled": settled});
                event(id, conversion, json!([transaction("trx_f", how, result)]))
            };
            vec![change("chg_a", 1, "created", "pending", false), change("chg_b", 2, "updated", "approved", true)]
        },
        ..USUAL
    },
    Path {
        name: "one a second, with a secret",
        more: || json!({"rate_per_second": 1, "secret_values": {"token": "s3cret"}}),
        events: || vec![sale(1), sale(2)],
        ..USUAL
    },
    Path {
        name: "given up",
        more: || json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 1}}),
        answers: |_| Response::says(500, "down"),
        max_attempts: 2,
        publishes: true,
        ends: "exhausted",
        ..USUAL
    },
];

/// Plays a path, killed at the n-th call if that is given. Returns the outcome, and the number of calls.
async fn play(path: &Path, cut: Option<(u64, Cut)>) -> (Outcome, u64) {
    let receiver = Receiver::start(path.answers).await;
    let mut functions = Functions::start();
    let mut document = rule(receiver.url(), (path.more)());
    if document["secret_values"].is_object() {
        document["request"]["headers"] = json!([{"name": "Authorization", "value": "Bearer {secret.token}"}]);
    }
    functions.rule(&Caller::Admin, document).await;
    if path.sweeps {
        // The first sweep of a stack looks a day back.
        functions.sweep().await;
    }
    // An environment that has read nothing yet, no secret either.
    functions.restart();
    functions.cloud.reset_counts();
    if let Some((n, cut)) = cut {
        functions.cloud.cut_at(n, cut);
    }
    for event in (path.events)() {
        functions.ingest(&event).await;
        functions.work_all().await;
    }
    // The calls until everything has ended, without those of reading the log.
    let (mut calls, mut looking) = (None, 0);
    let end = functions.clock.now() + LONG;
    let mut pause = if path.sweeps { LATE } else { AGAIN };
    while functions.clock.now() < end {
        functions.wait((functions.clock.now() + pause).min(end)).await;
        pause = AGAIN;
        if cut.is_none() && calls.is_none() {
            let before = functions.cloud.calls().total();
            if functions.log().await.iter().all(|row| row["ended_at"].as_str().is_some()) {
                calls = Some(before - looking);
            }
            looking += functions.cloud.calls().total() - before;
        }
        if path.sweeps {
            functions.sweep().await;
        }
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut ids = BTreeMap::new();
    let mut log = BTreeMap::new();
    for row in functions.log().await {
        ids.insert(text(&row, "id"), text(&row, "transaction_id"));
        log.insert(text(&row, "transaction_id"), (text(&row, "state"), row["attempts"].as_u64().expect("attempts are counted")));
    }
    let published = functions
        .cloud
        .published()
        .iter()
        .map(|event| {
            let detail: Value = event.detail.clone().into();
            (event.detail_type.clone(), text(&detail, "transaction_id"), text(&detail, "result"))
        })
        .collect();
    let heard = receiver.heard().into_iter().map(|postback| (ids[&postback.delivery_id].clone(), postback.target)).collect();
    (Outcome { log, published, heard }, calls.unwrap_or(0))
}

/// Checks one cut of a path against the path without it.
fn check(path: &Path, what: &str, whole: &Outcome, cut: &Outcome) {
    let states =
        |outcome: &Outcome| -> Vec<_> { outcome.log.iter().map(|(of, (state, _))| (of.clone(), state.clone())).collect() };
    assert_eq!(states(cut), states(whole), "{what}: every delivery ends as it would have");
    assert_eq!(cut.published, whole.published, "{what}: the platform gets the same events");
    for (of, (_, attempts)) in &cut.log {
        assert!(*attempts <= path.max_attempts, "{what}: {of} had {attempts} attempts");
        let heard = |outcome: &Outcome| outcome.heard.iter().filter(|(heard, _)| heard == of).count();
        let (heard, due) = (heard(cut), heard(whole));
        // A claim counts an attempt, whether or not a request is sent then (L1).
        assert!((due.max(2) - 1..=due + 1).contains(&heard), "{what}: {of} was heard {heard} times, and {due} without the cut");
    }
    let numbered: BTreeSet<_> = cut.heard.iter().collect();
    assert_eq!(numbered.len(), cut.heard.len(), "{what}: no attempt was sent twice under one number");
}

async fn survives(path: &Path) {
    let (whole, calls) = play(path, None).await;
    assert!(!whole.heard.is_empty() && whole.log.values().all(|(state, _)| state == path.ends), "{}: {whole:#?}", path.name);
    assert_eq!(whole.published.is_empty(), !path.publishes, "{}: {whole:#?}", path.name);
    for n in 1..=calls {
        for cut in [Cut::Before, Cut::After] {
            let (outcome, _) = play(path, Some((n, cut))).await;
            check(path, &format!("{}, cut {cut:?} call {n} of {calls}", path.name), &whole, &outcome);
        }
    }
    assert!(calls >= 8, "{}: {calls} calls", path.name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_an_immediate_success_changes_nothing() {
    survives(&PATHS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_retry_changes_nothing() {
    survives(&PATHS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_long_wait_changes_nothing() {
    survives(&PATHS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_poll_changes_nothing() {
    survives(&PATHS[3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_final_changes_nothing() {
    survives(&PATHS[4]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_rate_with_a_secret_changes_nothing() {
    survives(&PATHS[5]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_one_that_is_given_up_changes_nothing() {
    survives(&PATHS[6]).await;
}
