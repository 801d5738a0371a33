//! The wire: one endpoint for all services, distinguished by the header that names the action.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response, header::CONTENT_TYPE},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    Shared,
    wire::{Refused, Reply},
};

/// The end of a call, as its caller sees it.
pub(super) enum Ending {
    Answered(Reply),
    /// The connection ends.
    Dropped,
    /// There is no answer, and the connection stays open.
    Silence,
}

/// The marker for a connection that must end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped, as ordered")]
struct Dropped;

/// A server of its own thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _end: oneshot::Sender<Infallible>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that doesn't block");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket that doesn't block");
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = ended => {}
                }
            });
        };
        std::thread::Builder::new().name("cloud".to_owned()).spawn(run).expect("a thread");
        Self { address, _end: end }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("the port stays open");
        tokio::spawn(converse(stream, shared.clone()));
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).expect("TCP can go without delay");
    let service = service_fn(|request| answer(shared.clone(), request));
    // A client that goes away ends the connection, and so does `Dropped`.
    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(|_| Dropped)?;
    let body = String::from_utf8(body.into()).expect("JSON is UTF-8");
    let latency = shared.state().latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let ending = match action(&head.headers) {
        Some((service, action)) => shared.work(service, action, &body),
        None => Ending::Answered(Err(Refused::unknown(&format!("{:?}", head.headers)))),
    };
    match ending {
        Ending::Answered(answer) => Ok(written(answer)),
        Ending::Dropped => Err(Dropped),
        Ending::Silence => std::future::pending().await,
    }
}

/// Returns service and action of a call in one of the JSON protocols.
fn action(headers: &HeaderMap) -> Option<(&'static str, &str)> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if !text(CONTENT_TYPE.as_str())?.starts_with("application/x-amz-json-1.") {
        return None;
    }
    let (service, action) = text("x-amz-target")?.split_once('.')?;
    let service = match service {
        "DynamoDB_20120810" => "DynamoDB",
        "AmazonSQS" => "SQS",
        "AWSEvents" => "EventBridge",
        "TrentService" => "KMS",
        _ => return None,
    };
    Some((service, action))
}

fn written(answer: Reply) -> Response<Body> {
    let response = Response::builder().header(CONTENT_TYPE, "application/x-amz-json-1.0");
    let response = match answer {
        Ok(body) => response.body(Body::from(body.to_string())),
        Err(Refused { status, body, query_error }) => {
            let response = response.status(status);
            let response = match query_error {
                Some(error) => response.header("x-amzn-query-error", error),
                None => response,
            };
            response.body(Body::from(body.to_string()))
        }
    };
    response.expect("an answer has good headers")
}
