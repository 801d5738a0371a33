//! Receivers of the bench, and the arrivals at them.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

/// Requests of the bare client have this path.
pub(super) const BARE: &str = "/bare";

/// The way in which receivers answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// The time that an answer takes.
    pub(super) latency: Duration,
    /// The percentage of first requests that are answered with 503.
    pub(super) fail_percent: usize,
}

/// The postbacks by the number of their event.
#[derive(Debug)]
pub(super) struct Arrivals {
    began: Instant,
    /// Microseconds since `began`: the time at which each event was due, and the time at which its postback arrived; 0 if it did not.
    due: Vec<AtomicU64>,
    arrived: Vec<AtomicU64>,
    requests: Vec<AtomicU8>,
    count: AtomicUsize,
    twice: AtomicUsize,
}

impl Arrivals {
    pub(super) fn new(events: usize) -> Self {
        let none = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Self {
            began: Instant::now(),
            due: none(),
            arrived: none(),
            requests: (0..events).map(|_| AtomicU8::new(0)).collect(),
            count: AtomicUsize::new(0),
            twice: AtomicUsize::new(0),
        }
    }

    /// Notes the time from which the latency of an event counts.
    pub(super) fn due(&self, event: usize, at: Instant) {
        self.due[event].store(micros(self.since(at)), Ordering::Relaxed);
    }

    /// Returns the time from the start of the bench until then.
    pub(super) fn since(&self, at: Instant) -> Duration {
        at.duration_since(self.began)
    }

    /// Returns the number of postbacks that arrived.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the number of postbacks that arrived more than once.
    pub(super) fn twice(&self) -> usize {
        self.twice.load(Ordering::Relaxed)
    }

    /// Returns the time of the last arrival.
    pub(super) fn last(&self) -> Duration {
        let last = self.arrived.iter().map(|at| at.load(Ordering::Relaxed)).max();
        Duration::from_micros(last.unwrap_or(0))
    }

    /// Returns the time of each arrival with its latency, by the time of the arrival.
    pub(super) fn over_time(&self) -> Vec<(Duration, Duration)> {
        let pairs = self.due.iter().zip(&self.arrived);
        let mut pairs: Vec<(Duration, Duration)> = pairs
            .map(|(due, arrived)| (due.load(Ordering::Relaxed), arrived.load(Ordering::Relaxed)))
            .filter(|(_, arrived)| *arrived > 0)
            .map(|(due, arrived)| (Duration::from_micros(arrived), Duration::from_micros(arrived.saturating_sub(due))))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    /// Returns the latencies from event to arrival.
    pub(super) fn latencies(&self) -> Vec<Duration> {
        self.over_time().into_iter().map(|(_, latency)| latency).collect()
    }

    /// Takes a request for an event. Returns true if it is answered with 200.
    fn take(&self, event: usize, fail_percent: usize) -> bool {
        if event >= self.requests.len() {
            return true;
        }
        let is_first = self.requests[event].fetch_add(1, Ordering::Relaxed) == 0;
        if is_first && event % 100 < fail_percent {
            return false;
        }
        let now = micros(self.since(Instant::now())).max(1);
        if self.arrived[event].compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.count.fetch_add(1, Ordering::Relaxed);
        } else {
            self.twice.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Starts receivers that answer. Returns their URLs.
pub(super) async fn start(count: u32, arrivals: &Arc<Arrivals>, habits: Habits) -> io::Result<Vec<String>> {
    let mut urls = Vec::new();
    for _ in 0..count {
        let arrivals = Arc::clone(arrivals);
        let answer = move |request: Request| {
            let path = request.uri().path();
            let number = path.rsplit_once('_').and_then(|(_, number)| number.parse().ok());
            let is_taken = path == BARE || number.is_none_or(|event| arrivals.take(event, habits.fail_percent));
            async move {
                if !habits.latency.is_zero() {
                    sleep(habits.latency).await;
                }
                if is_taken { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "later") }
            }
        };
        urls.push(serve(Router::new().fallback(answer)).await?);
    }
    Ok(urls)
}

/// Starts receivers that never answer. Returns their URLs.
pub(super) async fn hang(count: u32) -> io::Result<Vec<String>> {
    let mut urls = Vec::new();
    for _ in 0..count {
        urls.push(serve(Router::new().fallback(pending::<()>)).await?);
    }
    Ok(urls)
}

async fn serve(router: Router) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "a receiver ended");
        }
    });
    Ok(url)
}
