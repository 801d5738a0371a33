//! `Idempotency-Key`: a request that changes something may be repeated, and nothing is done twice.
//!
//! Every POST of the table goes through [`once`], unless its row says that it needs no key. The same key of the same caller at the same
//! path with the same body and `If-Match` gets the first answer again, marked `Idempotent-Replayed: true`; another body is a conflict, and
//! so is a request that still runs. Only the answers of completed requests are kept. After a refusal, and where nothing was to be done
//! ([`Unkept`]), the request may be repeated: it does no harm twice.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, IF_MATCH, LOCATION},
    },
    middleware::Next,
    response::Response,
};
use tracking_core::caller::Actor;
use tracking_engine::{
    Engine,
    backend::Backend,
    idempotency::{Begun, KeyedRequest, StoredResponse},
};

use crate::{
    body::{self, MaxBytes},
    problem::{Kind, Problem},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks the answer to a request that was done before, by the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The most bytes of a key.
const LONGEST_KEY: usize = 255;
/// The headers of an answer that are kept with it.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, ETAG, LOCATION];

/// An extension of a response that is not kept: nothing was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unkept;

/// The key of a request, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    match key.to_str() {
        Ok(text)
            if (1..=LONGEST_KEY).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && keys.next().is_none() =>
        {
            Ok(Some(text.to_owned()))
        }
        _ => Err(Problem::new(
            Kind::BadRequest,
            "Idempotency-Key can't be used: give one, 1 to 255 visible ASCII characters such as a UUID",
        )),
    }
}

/// Runs a request, or gives the answer that the same one got before.
pub(crate) async fn once<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    Extension(MaxBytes(most)): Extension<MaxBytes>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, most).await.map_err(|_| body::too_large(most))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let preconditions: Vec<&[u8]> = parts.headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
    let asked = KeyedRequest::new(&actor, path, &key, &preconditions, &bytes);
    let claim = match engine.idempotency().begin_once(&asked).await? {
        Begun::Now(claim) => claim,
        Begun::Done(answer) => return replayed(answer),
        Begun::Running => {
            return Err(conflict("the first request with this Idempotency-Key still runs: send this one again later"));
        }
        Begun::Other => return Err(conflict("this Idempotency-Key was used for another request: use a new key")),
        Begun::TooLong => {
            return Err(conflict("this was done before, and its answer is too long to be given again: use a new key"));
        }
    };
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if !response.status().is_success() || response.extensions().get::<Unkept>().is_some() {
        // A claim that can't be forgotten now is void in two minutes.
        if let Err(error) = engine.idempotency().forget_once(claim).await {
            tracing::warn!(%error, "an idempotency key could not be given back");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // It is done, and the caller gets this answer even if it can't be kept.
    if let Err(error) = engine.idempotency().end_once(claim, &kept(parts.status, &parts.headers, &bytes)).await {
        tracing::warn!(%error, "an answer could not be kept for its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn conflict(detail: &str) -> Problem {
    Problem::new(Kind::Conflict, detail)
}

fn kept(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> StoredResponse {
    let kept_headers = KEPT.iter().filter_map(|name| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned())));
    StoredResponse { status: status.as_u16(), headers: kept_headers.collect(), body: String::from_utf8_lossy(body).into_owned() }
}

/// An answer as it was given first.
fn replayed(answer: StoredResponse) -> Result<Response, Problem> {
    let broken =
        || Problem::new(Kind::Conflict, "the answer that was kept for this Idempotency-Key can't be read: use a new key");
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| broken())?;
    for (name, value) in answer.headers {
        let name = name.parse::<HeaderName>().map_err(|_| broken())?;
        response.headers_mut().insert(name, HeaderValue::from_str(&value).map_err(|_| broken())?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
