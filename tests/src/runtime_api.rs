//! The Lambda runtime API as a function sees it: it hands out events one by one and takes the answers. It does less than the official
//! emulator, and adds no time between a function's start and its first event.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

/// A deadline later than any event needs: the end of the year 2100.
const DEADLINE: &str = "4133894400000";

/// The API for one function. It ends when this is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<String>,
    heard: Mutex<mpsc::UnboundedReceiver<Heard>>,
    serving: JoinHandle<()>,
}

/// A call of a function.
#[derive(Debug)]
enum Heard {
    /// The function asks for an event.
    Next,
    /// The function's answer, or its failure.
    Response(Result<Bytes, Bytes>),
}

struct Shared {
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    heard: mpsc::UnboundedSender<Heard>,
}

impl RuntimeApi {
    /// Listens on a free port.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let (events, waiting) = mpsc::unbounded_channel();
        let (said, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { events: Mutex::new(waiting), heard: said });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(end))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(shared);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it listens until it is dropped") });
        Self { address, events, heard: Mutex::new(heard), serving }
    }

    /// Returns the variables with which a function finds this API.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ]
    }

    /// Waits until the function asks for an event.
    ///
    /// # Panics
    /// The function fails instead.
    pub async fn asked(&self) {
        match self.hear().await {
            Heard::Next => {}
            Heard::Response(answer) => panic!("it asks for nothing but says {answer:?}"),
        }
    }

    /// Hands an event to the function, which has asked, and waits for the answer and for the next request.
    ///
    /// # Panics
    /// The function fails.
    pub async fn invoke(&self, event: &Value) -> Value {
        self.events.send(event.to_string()).expect("it serves");
        let answer = match self.hear().await {
            Heard::Response(Ok(answer)) => serde_json::from_slice(&answer).expect("an answer is JSON"),
            other => panic!("no answer but {other:?}"),
        };
        self.asked().await;
        answer
    }

    async fn hear(&self) -> Heard {
        self.heard.lock().await.recv().await.expect("it serves")
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let _nobody_listens = shared.heard.send(Heard::Next);
    let Some(event) = shared.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let mut headers = HeaderMap::new();
    let arn = "arn:aws:lambda:eu-central-1:000000000000:function:function";
    for (name, value) in [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", DEADLINE),
        ("lambda-runtime-invoked-function-arn", arn),
        ("content-type", "application/json"),
    ] {
        headers.insert(name, value.parse().expect("these are good headers"));
    }
    (headers, event).into_response()
}

async fn end(State(shared): State<Arc<Shared>>, Path((_, outcome)): Path<(String, String)>, body: Bytes) -> StatusCode {
    let _nobody_listens = shared.heard.send(Heard::Response(if outcome == "response" { Ok(body) } else { Err(body) }));
    StatusCode::ACCEPTED
}

async fn failed(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _nobody_listens = shared.heard.send(Heard::Response(Err(body)));
    StatusCode::ACCEPTED
}
