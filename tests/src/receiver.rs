//! A receiver of postbacks on loopback that answers as the test says and remembers the requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

/// A postback as it came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Postback {
    /// The delivery's id, from its header.
    pub delivery_id: String,
    /// Path and query.
    pub target: String,
}

/// A response: a status with the body `{"status": word}`, after a while.
#[derive(Debug, Clone, Copy)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The word.
    pub word: &'static str,
    /// The time until the response.
    pub after: std::time::Duration,
}

impl Response {
    /// Returns an immediate response.
    pub const fn says(status: u16, word: &'static str) -> Self {
        Self { status, word, after: std::time::Duration::ZERO }
    }
}

type Decides = Arc<dyn Fn(&Postback) -> Response + Send + Sync>;

/// The response of a receiver that works.
pub const OK: Response = Response::says(200, "ok");

/// Returns the requested paths of a receiver, in order.
pub fn targets(receiver: &Receiver) -> Vec<String> {
    receiver.heard().into_iter().map(|postback| postback.target).collect()
}

/// Returns the requested paths of a receiver, sorted.
pub fn sorted(receiver: &Receiver) -> Vec<String> {
    let mut targets = targets(receiver);
    targets.sort_unstable();
    targets
}

/// The receiver; it ends when it is dropped.
pub struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Postback>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that answers by this function.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start(decides: impl Fn(&Postback) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let heard: Arc<Mutex<Vec<Postback>>> = Arc::default();
        let decides: Decides = Arc::new(decides);
        let router = Router::new().fallback(answer).with_state((heard.clone(), decides));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, heard, serving }
    }

    /// Returns the receiver's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the postbacks that came, in order.
    pub fn heard(&self) -> Vec<Postback> {
        lock(&self.heard).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State((heard, decides)): State<(Arc<Mutex<Vec<Postback>>>, Decides)>,
    request: Request,
) -> axum::response::Response {
    let header = request.headers().get("tracking-delivery-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let postback = Postback { delivery_id: header.to_owned(), target: target.to_owned() };
    lock(&heard).push(postback.clone());
    let answer = decides(&postback);
    tokio::time::sleep(answer.after).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(json!({"status": answer.word}))).into_response()
}

fn lock(heard: &Mutex<Vec<Postback>>) -> MutexGuard<'_, Vec<Postback>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
