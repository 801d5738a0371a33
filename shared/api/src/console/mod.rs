//! The console: the files of a single-page app at `/console`, served without a token.
//!
//! - **The files hold no data and no secret.** The app reads everything from the API, with the token of the person who uses it.
//! - **A page of the app is its `index.html`**, whatever the path below `/console/`; a file that is missing is 404.
//! - **Nothing but this origin's own files runs in it** ([`policy`]): no inline script, no inline style, no other host.
//! - **The files are stored compressed**; a client that does not take gzip gets them inflated.

mod policy;
mod sign_in;
#[cfg(test)]
mod tests;

use std::{io::Read as _, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::read::GzDecoder;

use crate::problem::{Kind, Problem};
pub use sign_in::{Console, SignIn};

/// A file of the bundle.
struct File {
    /// Its path below `/console/`.
    name: &'static str,
    /// Its content, compressed.
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The file that starts the app.
const INDEX: &str = "index.html";
/// The folder of the files whose names change with their content.
const HASHED: &str = "assets/";
/// Content that never changes under its name.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Content that is asked for again each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The answers that are the same for every request, made once.
struct Served {
    config: Bytes,
    policy: HeaderValue,
}

/// Returns the routes of the console.
pub(crate) fn routes(console: &Console) -> Router {
    let served = Arc::new(Served { config: console.config().into(), policy: policy::of(console) });
    Router::new()
        .route("/console", get(index))
        .route("/console/", get(index))
        .route("/console/config.json", get(config))
        .route("/console/{*path}", get(file))
        .with_state(served)
}

async fn index(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    find(INDEX).map_or_else(missing, |file| answer(file, &served, &headers))
}

async fn file(State(served): State<Arc<Served>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    // A path whose last part has a dot names a file; any other is a page of the app.
    let is_file = path.starts_with(HASHED) || path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    find(if is_file { &path } else { INDEX }).map_or_else(missing, |file| answer(file, &served, &headers))
}

async fn config(State(served): State<Arc<Served>>) -> Response {
    let mut answer = Response::new(Body::from(served.config.clone()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    policy::protect(answer.headers_mut(), &served.policy);
    answer
}

fn missing() -> Response {
    Problem::new(Kind::NotFound, "the console has no such file").into_response()
}

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

fn answer(file: &'static File, served: &Served, asked: &HeaderMap) -> Response {
    let tag = tag(file);
    let known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if known { StatusCode::NOT_MODIFIED.into_response() } else { content(file, asked) };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, if file.name.starts_with(HASHED) { FOREVER } else { ASK_AGAIN });
    headers.insert(ETAG, tag);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    policy::protect(headers, &served.policy);
    answer
}

/// The content of a file, compressed if the client takes that.
fn content(file: &'static File, asked: &HeaderMap) -> Response {
    let mut answer = if takes_gzip(asked) {
        let mut answer = Response::new(Body::from(Bytes::from_static(file.gzip)));
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answer
    } else {
        let mut inflated = Vec::new();
        GzDecoder::new(file.gzip).read_to_end(&mut inflated).expect("the build script compressed it");
        Response::new(Body::from(inflated))
    };
    answer.headers_mut().insert(CONTENT_TYPE, content_type(file.name));
    answer
}

/// Returns true if the client names gzip among what it takes, and does not refuse it.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let refused = |weight: &str| weight.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

/// The checksum and the size that gzip keeps at the end of a file: a name of its content.
fn tag(file: &File) -> HeaderValue {
    let end = file.gzip.last_chunk().map_or(0, |end| u64::from_be_bytes(*end));
    HeaderValue::try_from(format!("\"{end:016x}\"")).expect("hexadecimal digits and quotes are visible")
}

fn content_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}
