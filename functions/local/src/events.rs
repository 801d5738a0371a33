//! `POST /events`: the input of changes without a bus (docs/events-in.md).
//!
//! A body is one envelope, an array of them, or one a line. Valid events are accepted; invalid ones are reported with all their faults.

use std::sync::Arc;

use axum::{
    Extension,
    body::HttpBody as _,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tracking_core::{batches::batches, caller::Caller, fault::Faults, json, json::Value};
use tracking_embedded::Store;
use tracking_engine::{Accepted, Engine};
use tracking_http_api::{
    Operation,
    body::{Json, is_json, media_type, unsupported, whole},
    openapi::paths,
    problem::{Kind, Problem},
};

/// The most bytes of a body.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The most events of a body.
const MOST_EVENTS: usize = 1_000;
/// The most events that are stored together.
const TOGETHER: usize = 500;
/// The most bytes of events that are stored together, except for a single longer event. Parsed events take several times as much memory.
const TOGETHER_BYTES: usize = 2 * 1024 * 1024;
/// The length from which bodies wait for their turn before they are read; bodies of unknown length wait too.
const LARGE_BYTES: u64 = 1024 * 1024;
/// The number of such bodies that are read and worked on at once.
const MAX_LARGE: usize = 2;
/// Media types of one event a line.
const LINES: [&str; 4] = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

/// Returns the operation. It needs no idempotency key: a repeat is the same change (P2).
pub(crate) fn operation(engine: Arc<Engine<Store>>) -> Operation {
    let operation = Operation::new(Method::POST, "/events", accept, paths::events::post);
    operation.without_key().with_most_bytes(MAX_BODY_BYTES).with(Arc::new(Intake { engine, large: Semaphore::new(MAX_LARGE) }))
}

struct Intake {
    engine: Arc<Engine<Store>>,
    /// The turns of large bodies.
    large: Semaphore,
}

async fn accept(
    State(intake): State<Arc<Intake>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    // Nothing is read from a caller who may not post.
    Problem::unless_admin(&caller)?;
    let arrays = arrays_allowed(media_type(request.headers()).as_deref())?;
    let is_small = request.body().size_hint().upper().is_some_and(|most| most < LARGE_BYTES);
    let _turn = if is_small { None } else { intake.large.acquire().await.ok() };
    let body = whole(request, &()).await?;
    let events = split(&body, arrays);
    if events.len() > MOST_EVENTS {
        return Err(Problem::new(
            Kind::TooLarge,
            format!("more than {MOST_EVENTS} events: send at most {MOST_EVENTS} in one request"),
        ));
    }
    let mut outcomes = Vec::with_capacity(events.len());
    for some in together(events) {
        outcomes.extend(intake.engine.matcher().accept(&some).await?);
    }
    answer(outcomes)
}

/// Returns true if a body of this media type may be an array. A body without a media type may have any accepted form.
fn arrays_allowed(kind: Option<&str>) -> Result<bool, Problem> {
    match kind {
        None => Ok(true),
        Some(kind) if is_json(kind) => Ok(true),
        Some(kind) if LINES.contains(&kind) => Ok(false),
        Some(other) => Err(unsupported(other, "application/json, or application/x-ndjson")),
    }
}

/// Splits a body into events: one event, those of an array, or those of its lines. Blank lines are skipped.
///
/// Returns at most one event more than [`MOST_EVENTS`]. A body of lines is never parsed as an array, so that each event's index is its
/// line's.
fn split(body: &[u8], arrays: bool) -> Vec<&[u8]> {
    if arrays && let Ok(events) = json::elements(body, MOST_EVENTS) {
        return events;
    }
    let body = body.trim_ascii();
    if !body.is_empty() && json::is_json(body) {
        return vec![body];
    }
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).take(MOST_EVENTS + 1).collect()
}

/// Splits the events into the parts that are stored together.
fn together(events: Vec<&[u8]>) -> Vec<Vec<&[u8]>> {
    batches(events, TOGETHER, TOGETHER_BYTES, |event| event.len())
}

/// Returns 202 if any event was accepted, else the problem with every fault.
fn answer(outcomes: Vec<Accepted>) -> Result<Response, Problem> {
    let sent = outcomes.len();
    let (mut rejected, mut all) = (Vec::new(), Faults::default());
    let mut too_large = false;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let faults = match outcome {
            Accepted::Yes(_) => continue,
            Accepted::Rejected(faults) => faults,
            Accepted::TooLarge(faults) => {
                too_large = true;
                faults
            }
        };
        for fault in &faults.0 {
            let place = if sent == 1 { String::new() } else { format!("/{index}") };
            all.add(format!("{place}{}", fault.pointer), fault.detail.clone());
        }
        rejected.push(json!({"index": index, "errors": faults}));
    }
    let accepted = sent - rejected.len();
    if accepted > 0 {
        return Ok((StatusCode::ACCEPTED, Json(json!({"accepted": accepted, "rejected": rejected}))).into_response());
    }
    if sent == 0 {
        all.add("", "the body holds no event: give one envelope, a JSON array of them, or one a line");
    }
    let kind = if sent == 1 && too_large { Kind::TooLarge } else { Kind::BadEvents };
    Err(Problem::with_faults(kind, all).with_member("rejected", Value::Array(rejected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, arrays: bool, expected: &[&str]) {
        let found: Vec<_> = split(body.as_bytes(), arrays).into_iter().map(|event| std::str::from_utf8(event).unwrap()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_body_holds_one_event_or_several() {
        check("{\"a\": 1}", true, &["{\"a\": 1}"]);
        check(" {\"a\":\n 1}\n", true, &["{\"a\":\n 1}"]);
        check("[{\"a\": 1.10}, {}]", true, &["{\"a\": 1.10}", "{}"]);
        check("{}\r\n\n {\"a\":1}\n", true, &["{}", "{\"a\":1}"]);
        check("{}\nnot json\n{}", false, &["{}", "not json", "{}"]);
        check("{\"a\":\n1}", false, &["{\"a\":\n1}"]);
        check("", true, &[]);
        check("[]", true, &[]);
        check(" \n\n", false, &[]);
    }

    #[test]
    fn f9_so_many_events_become_durable_together_and_so_many_bytes_of_them() {
        let (small, large, over) = (b"{}".as_slice(), vec![b' '; 1 << 20], vec![b' '; 3 << 20]);
        let sizes = |events: &[&[u8]]| together(events.to_vec()).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[small; 1_000]), [500, 500]);
        assert_eq!(sizes(&[small; 501]), [500, 1]);
        assert_eq!(sizes(&[&large[..]; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[&over[..], small, small]), [1, 2]);
        assert_eq!(sizes(&[small, &over[..], small]), [1, 1, 1]);
    }

    #[test]
    fn a_line_with_an_array_is_one_bad_line() {
        check("[{},{}]", false, &["[{},{}]"]);
    }
}
