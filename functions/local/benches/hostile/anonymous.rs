//! The cost of an anonymous client to everybody else: other calls of the API while forged callbacks and webhooks come at a thousand a second,
//! and the pages of the store that they change.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    are_kept, in_words, now, say,
    server::{Server, client},
    victim::{Victim, percentile},
};

/// The name by which it is chosen.
pub(crate) const NAME: &str = "anonymous";

/// The time that each of both phases takes.
const PHASE: Duration = Duration::from_secs(10);
/// Forged requests a second.
const RATE: u32 = 1_000;
/// Connections that they come on.
const CONNECTIONS: u32 = 20;
/// The pause between two calls of the others: 50 a second.
const CALL_EVERY: Duration = Duration::from_millis(20);
/// The most that p99 of the other calls may be, as a multiple of the quiet one.
const MAX_RATIO: f64 = 2.0;
/// The least that the quiet p99 counts as, so that noise does not decide.
const LEAST_QUIET: Duration = Duration::from_millis(5);
/// The most pages of the store that may change: those of a sweep. If forged requests wrote, it would be thousands.
const MAX_CHANGED_PAGES: usize = 16;
/// The bytes of a page of the store.
const PAGE_BYTES: usize = 4_096;

/// Measures other calls without and with the forged requests. Returns true if the limits are kept.
pub(crate) async fn run(server: &Arc<Server>, victim: &Victim) -> bool {
    let calls = usize::try_from(PHASE.as_millis() / CALL_EVERY.as_millis()).expect("a small number");
    victim.call(calls / 10, CALL_EVERY).await;
    let quiet = victim.call(calls, CALL_EVERY).await;
    let before = pages(server);
    let forging = tokio::spawn(forge(Arc::clone(server)));
    let attacked = victim.call(calls, CALL_EVERY).await;
    let outcomes = forging.await.expect("the client does not panic");
    let changed = changed(&before, &pages(server));
    let sent: usize = outcomes.values().sum();
    let [quiet_p99, p99] = [&quiet, &attacked].map(|times| percentile(times, 99));
    say(&format!("anonymous: {} forged requests a second: {}", sent as u64 / PHASE.as_secs(), in_words(&outcomes)));
    say(&format!(
        "other calls: p50 {:.2?}, p99 {quiet_p99:.2?}; with them p50 {:.2?}, p99 {p99:.2?}, {} of {} failed",
        percentile(&quiet, 50),
        percentile(&attacked, 50),
        calls - attacked.len(),
        calls,
    ));
    let ratio = p99.as_secs_f64() / quiet_p99.max(LEAST_QUIET).as_secs_f64();
    let limits = [
        (ratio <= MAX_RATIO, format!("p99 of other calls {ratio:.1} times the quiet one: at most {MAX_RATIO} is allowed")),
        (changed <= MAX_CHANGED_PAGES, format!("{changed} pages of the store changed: at most {MAX_CHANGED_PAGES} are allowed")),
        (outcomes.keys().all(|outcome| outcome == "404"), "every forged request gets 404".to_owned()),
        (attacked.len() == calls, format!("{} of {calls} other calls answered: all are wanted", attacked.len())),
    ];
    are_kept(&limits)
}

/// Sends forged callbacks and webhooks for the time of a phase. Returns how many had which status.
async fn forge(server: Arc<Server>) -> BTreeMap<String, usize> {
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        connections.spawn(forge_on(Arc::clone(&server), connection));
    }
    let mut outcomes = BTreeMap::new();
    for (outcome, count) in connections.join_all().await.into_iter().flatten() {
        *outcomes.entry(outcome).or_default() += count;
    }
    outcomes
}

async fn forge_on(server: Arc<Server>, connection: u32) -> BTreeMap<String, usize> {
    let (client, began, mut outcomes) = (client(), now(), BTreeMap::new());
    let mut ticks = interval(Duration::from_secs(1) * CONNECTIONS / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = u64::from(connection) << 32;
    while began.elapsed() < PHASE {
        ticks.tick().await;
        number += 1;
        let outcome = match client.post(forged(&server.url, number)).body(r#"{"status": "approved"}"#).send().await {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(_) => "closed".to_owned(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// A URL of the form of one that is given away: a token as long as a real one, or the id of no webhook.
fn forged(url: &str, number: u64) -> String {
    let digits =
        format!("{:016x}{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    if number.is_multiple_of(2) {
        format!("{url}/webhooks/whk_{digits}")
    } else {
        format!("{url}/callbacks/{}", digits.repeat(4))
    }
}

/// The pages of the store's files.
fn pages(server: &Server) -> BTreeMap<String, Vec<u8>> {
    ["tracking.db", "tracking.db-wal"]
        .into_iter()
        .map(|name| (name.to_owned(), fs::read(server.folder().join(name)).unwrap_or_default()))
        .collect()
}

fn changed(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> usize {
    let differ = |name: &String, after: &Vec<u8>| {
        let before: Vec<&[u8]> = before[name].chunks(PAGE_BYTES).collect();
        after.chunks(PAGE_BYTES).enumerate().filter(|(place, page)| before.get(*place) != Some(page)).count()
    };
    after.iter().map(|(name, after)| differ(name, after)).sum()
}
