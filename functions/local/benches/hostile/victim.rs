//! The affiliate that suffers from the attacks: a plain rule, a healthy receiver, a steady load. It has a thread of its own, so that the
//! attacker's side of this process does not count as the server's delay.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use serde_json::json;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    now,
    server::{Server, client, sale},
};

/// The time within which postbacks must arrive after the last event.
const GRACE: Duration = Duration::from_secs(30);
/// The pause between two requests to `/healthz`, each on a connection of its own.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// The time after which `/healthz` counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The number of postbacks that a report shows one by one.
const SLOWEST: usize = 16;

/// The affiliate with its receiver.
pub(crate) struct Victim {
    runtime: Handle,
    poster: Arc<Poster>,
    arrived: Arrived,
}

type Arrived = Arc<Mutex<HashMap<String, Instant>>>;

/// The result of a load.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) posted: usize,
    /// The times from each event's first post to the arrival of its postback, sorted.
    pub(crate) times: Vec<Duration>,
    /// The slowest postbacks, in the order of their events: the event's number and its time.
    pub(crate) slowest: Vec<(usize, Duration)>,
    pub(crate) worst_health: Duration,
    pub(crate) asked_health: usize,
    pub(crate) failed_health: usize,
}

impl Load {
    /// Returns the time within which this percentage of postbacks arrived.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.times, percent)
    }

    pub(crate) fn lost(&self) -> usize {
        self.posted - self.times.len()
    }
}

impl Victim {
    pub(crate) async fn start(server: &Server) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let arrived = Arrived::default();
        let (url_sender, url) = oneshot::channel();
        handle.spawn(receive(Arc::clone(&arrived), url_sender));
        let url: String = url.await.expect("the receiver starts");
        let rule = json!({"name": "plain", "request": {"url": format!("{url}/{{conversion_id}}")}});
        server.rule(&server.affiliate("aff_b"), &rule).await;
        let poster = Poster { client: client(), url: server.url.clone(), admin: server.admin.clone() };
        Self { runtime: handle, poster: Arc::new(poster), arrived }
    }

    /// Posts this many events and waits for their postbacks.
    pub(crate) async fn load(&self, name: &'static str, count: usize, every: Duration) -> Load {
        let (poster, arrived) = (Arc::clone(&self.poster), Arc::clone(&self.arrived));
        self.runtime.spawn(load(poster, arrived, name, count, every)).await.expect("the load does not panic")
    }

    /// Asks the API for a list so many times. Returns the times of those that were answered, sorted.
    pub(crate) async fn call(&self, count: usize, every: Duration) -> Vec<Duration> {
        self.runtime.spawn(calls(Arc::clone(&self.poster), count, every)).await.expect("the calls don't panic")
    }
}

/// The time within which so many of a hundred ended; the times are sorted.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or(GRACE)
}

async fn receive(arrived: Arrived, url_sender: oneshot::Sender<String>) {
    let take = move |request: Request| {
        let id = request.uri().path().trim_start_matches('/').to_owned();
        lock(&arrived).entry(id).or_insert_with(now);
        async { "ok" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    url_sender.send(url).expect("it is waited for");
    axum::serve(listener, Router::new().fallback(take)).await.expect("a receiver serves");
}

async fn load(poster: Arc<Poster>, arrived: Arrived, name: &'static str, count: usize, every: Duration) -> Load {
    let health = tokio::spawn(Arc::clone(&poster).ask(every * u32::try_from(count).expect("a small number")));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut events = Vec::new();
    for number in 0..count {
        ticks.tick().await;
        let id = format!("{name}_{number}");
        events.push((id.clone(), now()));
        tokio::spawn(Arc::clone(&poster).post(id));
    }
    let (worst_health, asked_health, failed_health) = health.await.expect("asking does not panic");
    let ended = now();
    while ended.elapsed() < GRACE && events.iter().any(|(id, _)| !lock(&arrived).contains_key(id)) {
        sleep(Duration::from_millis(20)).await;
    }
    let arrived = lock(&arrived);
    let postbacks = events.iter().enumerate().filter_map(|(number, (id, at))| Some((number, *arrived.get(id)? - *at)));
    let mut slowest: Vec<(usize, Duration)> = postbacks.collect();
    slowest.sort_unstable_by_key(|(_, time)| *time);
    let times = slowest.iter().map(|(_, time)| *time).collect();
    slowest.drain(..slowest.len().saturating_sub(SLOWEST));
    slowest.sort_unstable();
    Load { posted: count, times, slowest, worst_health, asked_health, failed_health }
}

async fn calls(poster: Arc<Poster>, count: usize, every: Duration) -> Vec<Duration> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = JoinSet::new();
    for _ in 0..count {
        ticks.tick().await;
        asked.spawn(Arc::clone(&poster).list());
    }
    let mut times: Vec<Duration> = asked.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    times
}

/// The client that posts the platform's events of the victim.
struct Poster {
    client: reqwest::Client,
    url: String,
    admin: String,
}

impl Poster {
    /// Posts until the event is accepted; a repeat is the same change.
    async fn post(self: Arc<Self>, id: String) {
        let event = sale("aff_b", "off_b", &id);
        for _ in 0..100 {
            let call = self.client.post(format!("{}/events", self.url)).bearer_auth(&self.admin).json(&event);
            if call.send().await.is_ok_and(|answer| answer.status() == 202) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for the rules; the time until the answer was whole, if it was.
    async fn list(self: Arc<Self>) -> Option<Duration> {
        let at = now();
        let call = self.client.get(format!("{}/tracking-apis?limit=20", self.url)).bearer_auth(&self.admin);
        let answer = call.send().await.ok().filter(|answer| answer.status() == 200)?;
        answer.bytes().await.ok()?;
        Some(at.elapsed())
    }

    /// Asks for the server's health. Returns the longest wait, the number of requests, and the number of failures.
    async fn ask(self: Arc<Self>, during: Duration) -> (Duration, usize, usize) {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client needs nothing");
        let (began, mut worst, mut asked, mut failed) = (now(), Duration::ZERO, 0, 0);
        while began.elapsed() < during {
            let at = now();
            let answer = timeout(PATIENCE, client.get(format!("{}/healthz", self.url)).send()).await;
            asked += 1;
            failed += usize::from(!matches!(answer, Ok(Ok(answer)) if answer.status() == 200));
            worst = worst.max(at.elapsed());
            sleep(ASK_EVERY).await;
        }
        (worst, asked, failed)
    }
}

fn lock(arrived: &Arrived) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner)
}
