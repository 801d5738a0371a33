//! A caller's share of the server: a bounded number of requests of an affiliate are in work at once, and one of those that read much. The
//! others wait; if too many wait, a request is refused, so that connections are left for everybody else.
//!
//! A request is in work from before its body is read until its response has been handed over. So one affiliate
//! takes the memory and the store's time of a request a bounded number of times. Admins have no bound: they are trusted not to
//! harm tenants.
//!
//! **Requests of one affiliate are spread out in time**: beyond a number at a go they are begun at a steady rate, and after one that reads
//! much its caller's next one waits for longer than it took. They wait for it, and are not refused. Otherwise forty clients of one affiliate
//! that only read would keep every processor busy.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{Instrument as _, Span};
use tracking_core::{caller::Caller, id::Id, limit::Exceeded};
use tracking_engine::rules::Refused;

use crate::{
    problem::{Kind, Problem},
    slices::{Sliced, Slices},
};

/// Requests of one affiliate at once, those that wait included: a quarter of the connections of a local server.
const MAX_OPEN_REQUESTS: usize = 128;
/// Requests of one affiliate in work at once.
const MAX_REQUESTS: usize = 8;
/// Requests of one affiliate at once that read much; the others wait for their turn.
const MAX_LARGE_READS: usize = 1;
/// Requests of one affiliate that are begun at a go.
const BURST: u32 = 200;
/// The time between two requests of one affiliate beyond those: 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);
/// The rest of a caller after a request that reads much, as a multiple of the time that it took.
const REST: u32 = 2;
/// The longest such rest.
const MAX_REST: Duration = Duration::from_secs(1);
/// Affiliates that are kept; those without a request go first.
const MOST_AFFILIATES: usize = 1_024;

/// The threads that work affiliates' requests, if these are other threads than those that send: an extension of a router's requests. A
/// long piece of such a request then holds up no postback.
#[derive(Debug, Clone)]
pub struct AffiliateThreads(pub Handle);

/// The shares of all affiliates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<Id, Share>>>);

#[derive(Debug, Clone)]
struct Share {
    open: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    large_reads: Arc<Semaphore>,
    pace: Arc<Mutex<RequestPace>>,
    slices: Arc<Mutex<Slices>>,
}

/// The times at which an affiliate's requests may begin.
#[derive(Debug)]
struct RequestPace {
    /// The time at which a whole burst may begin again.
    whole: Instant,
    /// The end of the rest after a request that reads much.
    rested: Instant,
}

impl RequestPace {
    fn new(now: Instant) -> Self {
        Self { whole: now, rested: now }
    }

    /// The time at which one more request may begin.
    fn begin(&mut self, now: Instant) -> Instant {
        self.whole = self.whole.max(now) + INTERVAL;
        self.whole.checked_sub(INTERVAL * BURST).map_or(now, |at| at.max(now))
    }

    /// Notes the end of a request that read much, and took so long.
    fn rest(&mut self, now: Instant, took: Duration) {
        self.rested = now + (took * REST).min(MAX_REST);
    }
}

impl Shares {
    fn of(&self, affiliate: &Id) -> Share {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= MOST_AFFILIATES {
            shares.retain(|_, share| Arc::strong_count(&share.open) > 1);
        }
        let new = || Share {
            open: Arc::new(Semaphore::new(MAX_OPEN_REQUESTS)),
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            large_reads: Arc::new(Semaphore::new(MAX_LARGE_READS)),
            pace: Arc::new(Mutex::new(RequestPace::new(Instant::now()))),
            slices: Arc::new(Mutex::new(Slices::new(Instant::now()))),
        };
        shares.entry(affiliate.clone()).or_insert_with(new).clone()
    }
}

/// Works a request within its caller's share. Beyond it: 429.
pub(crate) async fn within(
    State(shares): State<Shares>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Caller::Affiliate(affiliate) = &caller else { return Ok(next.run(request).await) };
    let share = shares.of(affiliate);
    let Ok(open) = share.open.try_acquire_owned() else {
        let exceeded = Exceeded { allowed: format!("{MAX_OPEN_REQUESTS} requests at once"), wait_seconds: 1 };
        return Err(Refused::from(exceeded).into());
    };
    let permit = share.requests.acquire_owned().await.ok();
    let begin = lock(&share.pace).begin(Instant::now());
    wait_until(begin).await;
    let threads = request.extensions().get::<AffiliateThreads>().cloned();
    let work = Sliced::new(next.run(request), share.slices);
    let response = apart(threads, work).await?;
    Ok(held(response, [Some(open), permit]))
}

/// Works a request from outside on the threads of affiliates' requests, if there are any: its sender has no account here.
pub(crate) async fn outside(request: Request, next: Next) -> Result<Response, Problem> {
    let threads = request.extensions().get::<AffiliateThreads>().cloned();
    apart(threads, next.run(request)).await
}

/// Works a request on other threads, if there are any. If this is dropped, the work stops.
async fn apart(
    threads: Option<AffiliateThreads>,
    work: impl Future<Output = Response> + Send + 'static,
) -> Result<Response, Problem> {
    let Some(threads) = threads else { return Ok(work.await) };
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work.instrument(Span::current()), &threads.0);
    match tasks.join_next().await {
        Some(Ok(response)) => Ok(response),
        Some(Err(fault)) if fault.is_panic() => std::panic::resume_unwind(fault.into_panic()),
        Some(Err(_)) | None => Err(Problem::new(Kind::Unavailable, "the server stops: ask again")),
    }
}

/// Lets a request that reads much wait for its caller's turn.
pub(crate) async fn in_turn(
    State(shares): State<Shares>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let Caller::Affiliate(affiliate) = &caller else { return next.run(request).await };
    let share = shares.of(affiliate);
    let turn = share.large_reads.acquire_owned().await.ok();
    let rested = lock(&share.pace).rested;
    wait_until(rested).await;
    let began = Instant::now();
    let response = next.run(request).await;
    lock(&share.pace).rest(Instant::now(), began.elapsed());
    held(response, [turn, None])
}

/// Waits until a time, and not at all if it is past.
async fn wait_until(time: Instant) {
    if time > Instant::now() {
        sleep_until(time).await;
    }
}

fn lock(pace: &Mutex<RequestPace>) -> MutexGuard<'_, RequestPace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A response that keeps permits until its body has been handed over.
fn held(response: Response, permits: [Option<OwnedSemaphorePermit>; 2]) -> Response {
    response.map(|body| Body::new(Held { body, _permits: permits }))
}

#[derive(Debug)]
struct Held {
    body: Body,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Router, body::to_bytes, middleware::from_fn_with_state, routing::get};
    use futures_util::{FutureExt as _, future::join_all};
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    /// A handler that notes how many of it run, and waits until it is let go.
    #[derive(Debug, Default)]
    struct Handler {
        running: AtomicUsize,
        most: AtomicUsize,
        let_go: Notify,
    }

    fn router(handler: &Arc<Handler>) -> Router {
        let handler = Arc::clone(handler);
        let shares = Shares::default();
        let work = move || {
            let handler = Arc::clone(&handler);
            async move {
                let running = handler.running.fetch_add(1, Ordering::SeqCst) + 1;
                handler.most.fetch_max(running, Ordering::SeqCst);
                handler.let_go.notified().await;
                handler.running.fetch_sub(1, Ordering::SeqCst);
                "done"
            }
        };
        let large = get(work.clone()).layer(from_fn_with_state(shares.clone(), in_turn));
        Router::new().route("/large", large).route("/", get(work)).layer(from_fn_with_state(shares, within))
    }

    async fn call(router: &Router, caller: Caller, path: &str) -> Response {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(caller);
        router.clone().oneshot(request).await.unwrap()
    }

    /// The most of so many requests that run at once.
    async fn at_once(caller: &str, path: &str, count: usize) -> usize {
        let handler = Arc::new(Handler::default());
        let router = router(&handler);
        let caller = match caller {
            "admin" => Caller::Admin,
            affiliate => Caller::Affiliate(affiliate.parse().unwrap()),
        };
        let all = async {
            let answers = join_all((0..count).map(|_| async {
                let answer = call(&router, caller.clone(), path).await;
                // The request is in work until the response has been handed over.
                to_bytes(answer.into_body(), 10).await.unwrap()
            }));
            assert!(answers.await.iter().all(|answer| answer == "done"));
        };
        let letting_go = async {
            loop {
                tokio::task::yield_now().await;
                handler.let_go.notify_one();
            }
        };
        tokio::select! {
            () = all => {}
            () = letting_go => {}
        }
        handler.most.load(Ordering::SeqCst)
    }

    #[test]
    fn f5_an_affiliate_begins_two_hundred_requests_at_a_go_and_a_hundred_a_second() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = RequestPace::new(start);
        for count in 0..200 {
            assert_eq!(pace.begin(start), start, "{count}");
        }
        for milliseconds in [10, 20, 30] {
            assert_eq!(pace.begin(start), after(milliseconds));
        }
        assert_eq!(pace.begin(after(40)), after(40));
        assert_eq!(pace.begin(after(40)), after(50));
        // After two idle seconds a whole burst may begin again.
        for count in 0..200 {
            assert_eq!(pace.begin(after(2_050)), after(2_050), "{count}");
        }
        assert_eq!(pace.begin(after(2_050)), after(2_060));
    }

    #[test]
    fn f5_after_a_read_of_much_its_caller_rests_for_longer_than_it_took() {
        let start = Instant::now();
        let mut pace = RequestPace::new(start);
        pace.rest(start, Duration::from_millis(40));
        assert_eq!(pace.rested, start + Duration::from_millis(80));
        pace.rest(start, Duration::from_mins(1));
        assert_eq!(pace.rested, start + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn f5_requests_beyond_their_pace_wait() {
        let shares = Shares::default();
        let affiliate: Id = "aff_1".parse().unwrap();
        lock(&shares.of(&affiliate).pace).whole = Instant::now() + Duration::from_mins(1);
        lock(&shares.of(&affiliate).pace).rested = Instant::now() + Duration::from_mins(1);
        let answer = || async { "done" };
        let large = get(answer).layer(from_fn_with_state(shares.clone(), in_turn));
        let outer = Router::new().route("/", get(answer)).layer(from_fn_with_state(shares.clone(), within));
        let router = outer.route("/large", large);
        for path in ["/", "/large"] {
            let one = call(&router, Caller::Affiliate(affiliate.clone()), path);
            assert!(one.now_or_never().is_none(), "{path}");
            let other = call(&router, Caller::Affiliate("aff_2".parse().unwrap()), path);
            assert!(other.now_or_never().is_some(), "{path}");
        }
    }

    #[tokio::test]
    async fn f5_of_one_affiliate_eight_requests_are_worked_and_one_that_reads_much() {
        assert_eq!(at_once("aff_1", "/", 100).await, 8);
        assert_eq!(at_once("aff_1", "/large", 20).await, 1);
        assert_eq!(at_once("admin", "/large", 20).await, 20);
    }

    #[tokio::test]
    async fn f5_an_affiliate_that_waits_holds_up_no_other() {
        let handler = Arc::new(Handler::default());
        let router = router(&handler);
        let [one, other] = ["aff_1", "aff_2"].map(|id| Caller::Affiliate(id.parse().unwrap()));
        let mut waiting = Vec::new();
        for _ in 0..MAX_OPEN_REQUESTS {
            let (router, one) = (router.clone(), one.clone());
            waiting.push(tokio::spawn(async move { call(&router, one, "/large").await.status().as_u16() }));
        }
        for _ in 0..MAX_OPEN_REQUESTS {
            tokio::task::yield_now().await;
        }
        assert_eq!(call(&router, one, "/").await.status(), 429);
        let asked = tokio::spawn(async move { call(&router, other, "/large").await.status().as_u16() });
        while handler.running.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        while !asked.is_finished() {
            handler.let_go.notify_waiters();
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.await.unwrap(), 200);
        for waiting in waiting {
            waiting.abort();
        }
    }
}
