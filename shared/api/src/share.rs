//! A caller's share of the server: so many requests of an affiliate are in work at once, and one of those that read much. The others wait,
//! and beyond a number of those that wait a request is refused, so that connections are left for everybody else.
//!
//! A request is in work from before its body is read until its response has been handed over. What a request takes in memory, or in time
//! of the store, is therefore taken a bounded number of times by one affiliate. Admins have no bound: they are trusted not to harm tenants.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    Extension,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracking_core::{caller::Caller, id::Id, limit::Exceeded};
use tracking_engine::rules::Refused;

use crate::problem::Problem;

/// Requests of one affiliate at once, those that wait included: a quarter of the connections of a local server.
const MAX_OPEN_REQUESTS: usize = 128;
/// Requests of one affiliate in work at once.
const MAX_REQUESTS: usize = 8;
/// Requests of one affiliate at once that read much; the others wait for their turn.
const MAX_LARGE_READS: usize = 1;
/// Affiliates that are kept; those without a request go first.
const MOST_AFFILIATES: usize = 1_024;

/// The shares of all affiliates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<Id, Share>>>);

#[derive(Debug, Clone)]
struct Share {
    open: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    large_reads: Arc<Semaphore>,
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
    Ok(held(next.run(request).await, [Some(open), permit]))
}

/// Lets a request that reads much wait for its caller's turn.
pub(crate) async fn in_turn(
    State(shares): State<Shares>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let Caller::Affiliate(affiliate) = &caller else { return next.run(request).await };
    let turn = shares.of(affiliate).large_reads.acquire_owned().await.ok();
    held(next.run(request).await, [turn, None])
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
    use futures_util::future::join_all;
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
                // Until it has been handed over it is in work.
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
