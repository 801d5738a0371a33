//! HTTP of the local server: accepts connections, bounds them, and closes them when their clients are too slow.
//!
//! - **There is always room for one more connection** ([`room`]): at the limit, the caller with the most connections loses the one whose
//!   client has been silent for longest. Only a connection with a running handler is kept.
//! - **Every wait for a client has an end** ([`activity`]): for a head, a body, the next request, and for a response to be read.
//! - **Responses that clients don't read are bounded** in bytes ([`unsent`]).
//! - **A head is bounded** in bytes and in headers, and HTTP/1.1 is the only version: a connection has one request at a time.
//! - **A fault stays with its own request**: a panic is answered with 500, an accept that fails is tried again.

mod activity;
mod body;
mod room;
mod stream;
#[cfg(test)]
mod tests;
mod unsent;

use std::{convert::Infallible, io, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{
        Request, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tower::ServiceExt as _;

use activity::{Activity, Patience};
use body::{RequestBody, ResponseBody};
use room::Room;
use stream::PatientStream;
use unsent::{Held, Unsent};

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The most headers of a request.
const MAX_HEADERS: usize = 100;
/// The most connections that wait to be accepted; the operating system may allow fewer. Beyond that, a client tries again after a second,
/// then after three more.
const BACKLOG: u32 = 4_096;
/// The time that running requests may take when the server stops.
const ANSWERS_GRACE: Duration = Duration::from_secs(10);
/// The pause in accepting after a fault of the operating system.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// The shortest time between two log lines about faults in accepting.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// Listens at an address, `HOST:PORT`, on the first free address of the host.
pub(crate) async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for address in tokio::net::lookup_host(address).await? {
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restarted server need not wait for the end of old connections.
            socket.set_reuseaddr(cfg!(unix))?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match bound() {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Serves until `stopped`; then closes connections without a request at once, and gives the others 10 seconds.
pub(crate) async fn serve(listener: TcpListener, routes: Router, connections: usize, stopped: watch::Receiver<bool>) {
    let room = Room::new(connections);
    let unsent = Unsent::new(room.clone());
    let mut tasks = JoinSet::new();
    let mut faults = AcceptFaults::default();
    let mut stop = pin!(until(stopped.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => ended_well(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let activity = Arc::new(Activity::new(Patience::default(), Instant::now()));
                    let place = tokio::select! {
                        () = &mut stop => break,
                        place = room.place(&activity) => place,
                    };
                    let serving = connection(stream, routes.clone(), unsent.clone(), activity, stopped.clone());
                    tasks.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => faults.rest(&room, &error).await,
            },
        }
    }
    drop(listener);
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended_well(ended);
        }
    };
    if tokio::time::timeout(ANSWERS_GRACE, all).await.is_err() {
        tracing::warn!(requests = tasks.len(), "requests were cut off: they took too long to end");
    }
}

fn ended_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection broke");
    }
}

/// Faults in accepting connections, few of which are logged.
#[derive(Debug, Default)]
struct AcceptFaults {
    last_logged: Option<Instant>,
    /// The number of faults since the last log line.
    count: u64,
}

impl AcceptFaults {
    /// Makes room after a fault of the operating system, and pauses, so that a lack of descriptors doesn't use up processor time.
    async fn rest(&mut self, room: &Room, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        self.count += 1;
        let now = Instant::now();
        if self.last_logged.is_none_or(|last| now.duration_since(last) >= LOG_EVERY) {
            tracing::error!(%error, faults = self.count, "connections can't be accepted");
            (self.last_logged, self.count) = (Some(now), 0);
        }
        room.close_idlest();
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

/// Returns true for the fault of a client that has gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves one connection to its end.
async fn connection(stream: TcpStream, routes: Router, unsent: Unsent, activity: Arc<Activity>, stopped: watch::Receiver<bool>) {
    // A response is sent at once; if that can't be set, it is sent a little later.
    let _later = stream.set_nodelay(true);
    if !says_something(&stream, &activity, stopped.clone()).await {
        return;
    }
    let io = TokioIo::new(PatientStream::new(stream, Arc::clone(&activity)));
    let service = service_fn(|request| answer(request, routes.clone(), &unsent, Arc::clone(&activity)));
    // The time limit for a head is kept here, since only this code can distinguish an idle connection from half a head.
    let serving = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_header_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .header_read_timeout(None)
        .serve_connection(io, service);
    let mut serving = pin!(serving);
    let mut stop = pin!(until(stopped));
    let mut overdue = pin!(activity.head_overdue());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = &mut overdue => {
                tracing::debug!("a connection was closed: no request came in time");
                return;
            }
            () = activity.close.notified() => if activity.makes_room() {
                tracing::debug!("an idle connection made room for another one");
                return;
            },
            () = &mut stop, if !is_stopping => {
                if activity.is_between_requests() {
                    return;
                }
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Waits for the first byte of a new connection; until then the connection costs little. Returns false if it must be closed instead.
async fn says_something(stream: &TcpStream, activity: &Activity, stopped: watch::Receiver<bool>) -> bool {
    loop {
        tokio::select! {
            ready = stream.readable() => return ready.is_ok(),
            () = activity.head_overdue() => {
                tracing::debug!("a connection was closed: no request came in time");
                return false;
            }
            () = activity.close.notified() => if activity.makes_room() {
                tracing::debug!("an idle connection made room for another one");
                return false;
            },
            () = until(stopped.clone()) => return false,
        }
    }
}

/// Answers one request. A panic of its handler is answered too.
async fn answer(
    request: Request<Incoming>,
    routes: Router,
    unsent: &Unsent,
    activity: Arc<Activity>,
) -> Result<Response<ResponseBody>, Infallible> {
    activity.begin_request(Instant::now());
    let mut request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&activity))));
    request.extensions_mut().insert(activity.caller.clone());
    let response = match AssertUnwindSafe(routes.oneshot(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_panic) => broken(),
    };
    let size = response.body().size_hint().lower();
    let (response, held) = match unsent.hold(size).await {
        Some(held) => (response, held),
        None => (crowded(), Held::default()),
    };
    Ok(response.map(|body| ResponseBody::new(body, activity, held)))
}

fn broken() -> Response {
    tracing::error!("a handler panicked");
    let problem = r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the request met a fault of the server: see its log"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "application/problem+json")], problem).into_response()
}

fn crowded() -> Response {
    tracing::warn!("a response was given up: too many others wait for their clients to read them");
    let problem = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many large responses wait to be read: ask again in 1 s"}"#;
    let headers = [(CONTENT_TYPE, "application/problem+json"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, problem).into_response()
}

/// Resolves when the server must stop.
pub(crate) async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the server's handle was dropped: that is also a stop.
    let _dropped = stopped.wait_for(|stop| *stop).await;
}
