//! The response to a request, read as far as it may be: at most [`MAX_RESPONSE_BYTES`], and within the [`Room`] that there is.

use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Frame, Incoming};
use tracking_core::answer::{Cut, Response};

use super::{
    MAX_RESPONSE_BYTES, NO_GOODBYE, fault,
    head::Oddities,
    progress::Progress,
    room::{FREE_BYTES, Room, Share},
};

/// The most pieces in which a body is read: each costs time, however short it is.
const MAX_PIECES: u32 = 20_000;

/// Reads a response whose status came. Any later fault still leaves a response.
pub(super) async fn read(response: http::Response<Incoming>, room: &Room, progress: &Progress) -> Response {
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let ends_with_connection = !framed.iter().any(|name| response.headers().contains_key(name));
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let expected = length.map_or(MAX_RESPONSE_BYTES, |length| length.min(MAX_RESPONSE_BYTES));
    let oddities = response.extensions().get::<Oddities>();
    let note = oddities.and_then(Oddities::note);
    if oddities.is_some_and(Oddities::has_bad_length) && has_body_by_length(&response) {
        let answer = Response::new(status, headers, Vec::new()).cut(Cut::BadLength);
        return note.into_iter().fold(answer, Response::with_note);
    }
    let mut incoming = response.into_body();
    let mut reading = Reading { body: Vec::new(), share: None, expected };
    let (mut no_goodbye, mut pieces) = (None, 0);
    let cut = loop {
        pieces += 1;
        let chunk = match reading.next(&mut incoming).await {
            Next::Frame(Ok(_)) if pieces > MAX_PIECES => break Some(Cut::TooManyPieces),
            Next::Frame(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Next::End => break None,
            Next::GivenUp => break Some(Cut::NoRoom),
            // A body that ends with its connection is whole, with or without TLS's close_notify.
            Next::Frame(Err(error)) if ends_with_connection && fault::is_end(&error) => {
                no_goodbye = Some(NO_GOODBYE.to_owned());
                break None;
            }
            Next::Frame(Err(_)) => break Some(Cut::BrokeOff),
        };
        if let Err(cut) = reading.take(&chunk, room, progress).await {
            break Some(cut);
        }
    };
    let answer = Response::new(status, headers, reading.body).holding(reading.share);
    let answer = note.into_iter().chain(no_goodbye).fold(answer, Response::with_note);
    match cut {
        Some(cut) => answer.cut(cut),
        None => answer,
    }
}

/// Returns true if a response's body ends after its `Content-Length`, or with the connection.
fn has_body_by_length(response: &http::Response<Incoming>) -> bool {
    let has_none =
        matches!(response.status(), StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !has_none && !response.headers().contains_key(header::TRANSFER_ENCODING)
}

/// The next part of a body.
enum Next {
    Frame(hyper::Result<Frame<Bytes>>),
    End,
    /// Its room is needed by others.
    GivenUp,
}

/// A body as far as it has been read.
struct Reading {
    body: Vec<u8>,
    share: Option<Share>,
    /// The most bytes that will be read.
    expected: usize,
}

impl Reading {
    async fn next(&self, incoming: &mut Incoming) -> Next {
        let given_up = async {
            match &self.share {
                Some(share) => share.give_up.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            frame = incoming.frame() => frame.map_or(Next::End, Next::Frame),
            () = given_up => Next::GivenUp,
        }
    }

    /// Keeps the bytes that came, and waits for room first if it needs some.
    async fn take(&mut self, chunk: &[u8], room: &Room, progress: &Progress) -> Result<(), Cut> {
        if self.share.is_none() && self.body.len() + chunk.len() > FREE_BYTES {
            progress.waits_for_room(true);
            let share = room.take(&progress.owner, self.expected).await;
            progress.waits_for_room(false);
            self.share = Some(share.ok_or(Cut::NoRoom)?);
            // Once, so that a growing body is never in memory twice.
            self.body.reserve_exact(self.expected - self.body.len());
        }
        let free = MAX_RESPONSE_BYTES - self.body.len();
        self.body.extend_from_slice(&chunk[..chunk.len().min(free)]);
        if chunk.len() > free { Err(Cut::TooLong) } else { Ok(()) }
    }
}
