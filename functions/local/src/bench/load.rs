//! The load: events of the platform, and the same requests from a bare client.

use std::{ops::Range, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use tokio::{
    runtime::Builder,
    task::{JoinError, JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};
use tracking_core::{json, json::Value};

use super::{
    BenchError,
    receivers::{Arrivals, BARE},
    report::Figures,
    server::{Poster, usage},
};

/// Events of one call, at most.
const BATCH: usize = 50;
/// Events whose postbacks have not arrived, at most, without a rate.
const OPEN: usize = 500;
/// Calls at once.
const CALLS: usize = 32;
/// Requests of the bare client at once.
const BARE_AT_ONCE: usize = 64;

/// The events that are posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) events: usize,
    /// Events a second.
    pub(super) rate: Option<u32>,
    pub(super) receivers: usize,
    pub(super) hang: usize,
}

impl Load {
    /// Posts all events.
    pub(super) async fn post(&self, poster: &Poster, arrivals: &Arrivals, bar: &ProgressBar) -> Result<(), BenchError> {
        let began = Instant::now();
        let mut calls: JoinSet<Result<(), BenchError>> = JoinSet::new();
        let mut next = 0;
        while next < self.events {
            let end = self.end_of_batch(next, began, arrivals).await;
            for event in next..end {
                arrivals.due(event, self.due(began, event));
            }
            let (poster, events) = (poster.clone(), self.batch(next..end));
            calls.spawn(async move { poster.post(events).await });
            next = end;
            bar.set_position(arrivals.count() as u64);
            while let Some(done) = if calls.len() >= CALLS { calls.join_next().await } else { calls.try_join_next() } {
                ended(done)?;
            }
        }
        while let Some(done) = calls.join_next().await {
            ended(done)?;
        }
        Ok(())
    }

    /// Returns the time at which an event is due: now, if there is no rate.
    fn due(&self, began: Instant, event: usize) -> Instant {
        self.rate.map_or_else(Instant::now, |rate| began + Duration::from_secs(event as u64) / rate)
    }

    /// Returns the end of the next batch, once its first event is due.
    async fn end_of_batch(&self, next: usize, began: Instant, arrivals: &Arrivals) -> usize {
        let end = (next + BATCH).min(self.events);
        if self.rate.is_some() {
            sleep_until(self.due(began, next)).await;
            let now = Instant::now();
            return (next + 1..end).find(|event| self.due(began, *event) > now).unwrap_or(end);
        }
        while next.saturating_sub(arrivals.count()) >= OPEN {
            sleep(Duration::from_micros(200)).await;
        }
        end
    }

    /// Returns these events as the body of a call.
    fn batch(&self, events: Range<usize>) -> String {
        let mut all = Vec::new();
        for event in events {
            all.push(sale(&format!("aff_{}", event % self.receivers), &format!("cnv_{event}")));
            if self.hang > 0 && event % 10 == 0 {
                all.push(sale(&format!("aff_hang{}", event / 10 % self.hang), &format!("hang_{event}")));
            }
        }
        json!(all).to_string()
    }
}

/// Returns a typical sale with all fields and one transaction.
fn sale(affiliate: &str, id: &str) -> Value {
    json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": format!("chg_{id}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": id, "version": 1, "change": "created", "type": "sale", "source": "link", "affiliate_id": affiliate,
            "advertiser_id": "adv_2", "advertiser_name": "Bank of Prague", "offer_id": "off_5", "offer_name": "Loan CZ",
            "country": "CZ", "pcid": format!("pc-{id}"), "external_id": format!("X-{id}"),
            "affiliate_click_id": format!("click-9f8e7d6c5b{id}"), "affs": {"affs1": "summer", "affs2": "z"},
            "query_params": {"utm_source": "mail", "gclid": "EAIaIQobChMI7vfl"}, "ip": "203.0.113.9",
            "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"},
        "transactions": [{"transaction_id": format!("trx_{id}"), "change": "created", "result": "approved", "payout": "5.00", "currency": "EUR"}]}})
}

/// Sends as many requests to the same receivers by a client alone, and measures its thread.
pub(super) async fn bare(load: Load, urls: Vec<String>) -> Result<Figures, BenchError> {
    let sent = spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let before = usage("/proc/thread-self").unwrap_or_default();
            let began = Instant::now();
            let requests = stream::iter(0..load.events).map(|event| {
                let call = client.get(format!("{}{BARE}?payout=5.00&click=click-9f8e7d6c5b{event}", urls[event % urls.len()]));
                async move {
                    let due = load.due(began, event);
                    sleep_until(due).await;
                    call.send().await?.bytes().await?;
                    Ok::<Duration, BenchError>(due.elapsed())
                }
            });
            let latencies = requests.buffer_unordered(BARE_AT_ONCE).try_collect().await?;
            let used = usage("/proc/thread-self").unwrap_or_default().since(before);
            Ok(Figures::new(latencies, began.elapsed(), used))
        })
    });
    ended(sent.await)
}

/// Returns the result of a task of the bench.
fn ended<T>(task: Result<Result<T, BenchError>, JoinError>) -> Result<T, BenchError> {
    task.map_err(|error| BenchError::Server(error.to_string()))?
}
