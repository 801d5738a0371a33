//! A receiver that is played by hand, and a machine that sends to it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tracking_core::{
    caller::Caller,
    json::Value,
    request::{Method, Rendered, Timeout},
};
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{
    Accepted, Clock, DeliveryFilter, Engine, SendResult, Settings,
    backend::Backend,
    rules::{New, Refused, View},
    secrets::Vault,
    sender::Sender,
};
use tracking_tests::world::HandClock;

/// The time after which a test counts as hanging.
const HANG_TIMEOUT: Duration = Duration::from_mins(2);

/// Awaits `what`, which must end.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG_TIMEOUT, what).await.expect("it ends in time")
}

/// A listener on loopback. Its work ends when this is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

/// One connection of a receiver.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Listens, and plays every connection by this function.
    pub(crate) async fn playing<F>(play: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        let listening = tokio::spawn(async move {
            let mut playing = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                playing.spawn(play(Connection { stream, requests: Arc::clone(&seen) }));
            }
        });
        Self { address, connections, requests, listening }
    }

    /// Answers every request with these bytes, and leaves the connection open.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::playing(move |mut connection| {
            let answer = answer.clone();
            async move {
                while connection.request().await.is_some() {
                    connection.say(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers the first request of a connection with these bytes, and closes it.
    pub(crate) async fn saying_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::playing(move |mut connection| {
            let answer = answer.clone();
            async move {
                connection.request().await;
                connection.say(&answer).await;
            }
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the requests so far, each as it came, whatever the connection.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Connection {
    /// Reads the next request with its body; `None` if there is none.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let whole = loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                break end + length.map_or(0, |length| length.parse::<usize>().unwrap());
            }
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        while bytes.len() < whole {
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let request = String::from_utf8(bytes).unwrap();
        self.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// Sends bytes. Returns true if the other side still accepted them.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Reads until the other side has closed.
    pub(crate) async fn until_closed(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }
}

/// Returns a complete answer with this body, on a connection that may stay.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Makes a sender that may call loopback.
pub(crate) fn sender() -> Sender {
    Sender::new(true).unwrap()
}

/// Returns a plain GET with a timeout in seconds.
pub(crate) fn get(url: String, timeout_seconds: u32) -> Rendered {
    let timeout = Timeout::from_seconds(timeout_seconds).unwrap();
    Rendered { method: Method::Get, url, headers: Vec::new(), body: None, timeout }
}

/// Returns the outcome of a request in short: status and body, or the fault.
pub(crate) fn outcome(sent: SendResult) -> Result<(u16, String), String> {
    match sent {
        Ok(answer) => Ok((answer.status, String::from_utf8_lossy(answer.body()).into_owned())),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Makes an engine on a store, with a clock that doesn't move.
pub(crate) fn engine<B: Backend>(backend: B, private_targets: bool) -> Engine<B> {
    let clock = HandClock::default();
    let settings = Settings { private_targets, ..Settings::default() };
    Engine::new(backend, Clock::new(move || clock.now()), Vault::new(&[7; 32]), settings)
}

pub(crate) fn store(folder: &Path) -> Store {
    Store::open_with(folder, Durability::Relaxed).unwrap()
}

/// Makes an admin's rule.
pub(crate) async fn rule<B: Backend>(engine: &Engine<B>, document: Value) -> Result<View, Refused> {
    let key = New::IdempotencyKey(document.to_string());
    engine.writer().create_rule(&Caller::Admin, &document, key).await.map(|(view, _)| view)
}

/// Puts an event on the bus.
pub(crate) async fn post<B: Backend>(engine: &Engine<B>, event: &Value) {
    let accepted = engine.matcher().accept(&[event.to_string().as_bytes()]).await.unwrap();
    assert!(matches!(accepted[..], [Accepted::Yes(_)]), "{accepted:?}");
}

/// Sends all that is due.
pub(crate) async fn work<B: Backend>(engine: &Engine<B>, store: &Store, sender: &Sender) {
    loop {
        let batch = store.receive(HandClock::default().now(), &Limits::default(), 16).messages;
        if batch.is_empty() {
            return;
        }
        assert_eq!(engine.worker().work(engine.worker().queue_up(batch), sender, None).await, []);
    }
}

/// Returns the deliveries that the log lists.
pub(crate) async fn log<B: Backend>(engine: &Engine<B>) -> Vec<Value> {
    engine.log().list(&Caller::Admin, &DeliveryFilter::default(), 1_000, None).await.unwrap().items
}
