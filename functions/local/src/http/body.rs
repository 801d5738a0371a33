//! Bodies of a connection: a request's body fails once the client is too slow; a response's body reports its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{BoxError, body::Body};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::{activity::Activity, stream::Alarm, unsent::Held};

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    activity: Arc<Activity>,
    waiting: Alarm,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, activity: Arc<Activity>) -> Self {
        Self { body, activity, waiting: Alarm::default() }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref).map_or(0, Bytes::len);
                this.activity.body_came(bytes);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let deadline = this.activity.body_awaited(Instant::now());
                this.waiting.poll(context, deadline).map(|()| {
                    this.activity.body_came(0);
                    Some(Err("the body took too long to come".into()))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. When it is dropped, complete or not, the request is over.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    activity: Arc<Activity>,
    held: Held,
}

impl ResponseBody {
    pub(super) fn new(body: Body, activity: Arc<Activity>, held: Held) -> Self {
        Self { body, activity, held }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.activity.end_request(Instant::now());
    }
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|bytes| this.held.count(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
