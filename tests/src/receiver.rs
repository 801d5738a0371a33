//! A receiver of postbacks on loopback that answers as it is told and remembers what came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
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

/// What is answered: a status with the body `{"status": word}`, after a while.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The word.
    pub word: &'static str,
    /// How long it takes.
    pub after: std::time::Duration,
}

impl Answer {
    /// An answer at once.
    pub const fn says(status: u16, word: &'static str) -> Self {
        Self { status, word, after: std::time::Duration::ZERO }
    }
}

type Decides = Arc<dyn Fn(&Postback) -> Answer + Send + Sync>;

/// What receivers say when all is well.
pub const OK: Answer = Answer::says(200, "ok");

/// What was asked of a receiver, in order.
pub fn targets(receiver: &Receiver) -> Vec<String> {
    receiver.heard().into_iter().map(|postback| postback.target).collect()
}

/// What was asked of a receiver, in the order of the alphabet.
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
    /// A receiver that answers like this.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start(decides: impl Fn(&Postback) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let heard: Arc<Mutex<Vec<Postback>>> = Arc::default();
        let decides: Decides = Arc::new(decides);
        let router = Router::new().fallback(answer).with_state((heard.clone(), decides));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, heard, serving }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came, in order.
    pub fn heard(&self) -> Vec<Postback> {
        lock(&self.heard).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State((heard, decides)): State<(Arc<Mutex<Vec<Postback>>>, Decides)>, request: Request) -> Response {
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
