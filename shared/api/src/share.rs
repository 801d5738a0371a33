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
