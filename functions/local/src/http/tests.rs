//! Connections whose clients are slow, send too much, or meet a fault, on loopback and with short time limits.

use std::sync::Arc;

use axum::{body::Bytes, extract::rejection::BytesRejection, routing};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    task::JoinHandle,
};

use super::*;

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_hours(1);
const PATIENT: Patience = Patience { head: LONG, idle: LONG, transfer: LONG, bytes_per_second: 1 };

/// One connection of a server: its client, its end, and the handle that stops it.
struct Opened {
    client: TcpStream,
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

async fn length(body: Result<Bytes, BytesRejection>) -> (StatusCode, String) {
    body.map_or((StatusCode::BAD_REQUEST, String::new()), |body| (StatusCode::OK, body.len().to_string()))
}

fn routes() -> Router {
    Router::new()
        .route("/", routing::get(async || "hello"))
        .route("/body", routing::post(length))
        .route("/large", routing::get(async || vec![b'x'; 64 * 1024 * 1024]))
        .route("/panic", routing::get(async || -> &'static str { panic!("a fault of the handler, which a test wants") }))
}

async fn open(patience: Patience, routes: Router) -> Opened {
    open_in(&Room::new(1), patience, routes, Unsent::new(Room::new(1))).await
}

async fn open_in(room: &Room, patience: Patience, routes: Router, unsent: Unsent) -> Opened {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let activity = Arc::new(Activity::new(patience, Instant::now()));
    let place = room.place(&activity).await;
    let serving = tokio::spawn(async move {
        connection(accepted, routes, unsent, activity, stopped).await;
        drop(place);
    });
    Opened { client, serving, stop }
}

impl Opened {
    async fn write(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until the server has sent this.
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = self.client.read_u8().await;
            text.push(byte.unwrap_or_else(|error| panic!("{error} after {}", String::from_utf8_lossy(&text))));
        }
        String::from_utf8(text).unwrap()
    }

    /// Reads until the server closes the connection.
    async fn rest(mut self) -> String {
        let mut text = String::new();
        // Unread bytes of the client reset the connection: that is an end too.
        let _reset = self.client.read_to_string(&mut text).await;
        self.serving.await.unwrap();
        text
    }
}

#[tokio::test]
async fn f6_silence_and_half_a_head_are_closed() {
    for begin in ["", "POST /body HTTP/1.1\r\nHost: a\r\nX-"] {
        let mut opened = open(Patience { head: SHORT, ..PATIENT }, routes()).await;
        opened.write(begin).await;
        assert_eq!(opened.rest().await, "", "{begin:?}");
    }
}

#[tokio::test]
async fn f6_an_idle_connection_is_closed_and_a_used_one_kept() {
    let mut opened = open(Patience { idle: SHORT, ..PATIENT }, routes()).await;
    for _ in 0..2 {
        opened.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(opened.read_until("hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(opened.rest().await, "");
}

#[tokio::test]
async fn f6_a_body_that_does_not_come_is_answered_and_closed() {
    let mut opened = open(Patience { transfer: SHORT, ..PATIENT }, routes()).await;
    opened.write("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await;
    let answer = opened.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[tokio::test]
async fn f6_a_body_may_come_in_parts() {
    let mut opened = open(PATIENT, routes()).await;
    opened.write("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    opened.write("2\r\nde\r\n0\r\n\r\n").await;
    assert!(opened.read_until("\r\n\r\n5").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn f6_a_response_that_nobody_reads_is_given_up() {
    let mut opened = open(Patience { transfer: SHORT, bytes_per_second: u64::MAX, ..PATIENT }, routes()).await;
    opened.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    opened.serving.await.unwrap();
}

#[tokio::test]
async fn f6_responses_that_nobody_reads_make_room_for_one_more() {
    let room = Room::new(10);
    let unsent = Unsent::new(room.clone());
    let routes = || Router::new().route("/", routing::get(async || vec![b'x'; 12 << 20]));
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut opened = open_in(&room, PATIENT, routes(), unsent.clone()).await;
        opened.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        opened.read_until("\r\n\r\n").await;
        silent.push(opened);
    }
    // There is room for 32 MiB: the client that has waited for longest makes room for a third response.
    let mut reader = open_in(&room, PATIENT, routes(), unsent.clone()).await;
    reader.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answer = reader.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.len() > 12 << 20);
    let closed: Vec<bool> = silent.iter().map(|opened| opened.serving.is_finished()).collect();
    assert_eq!(closed, [true, false]);
    // If no client waits, the response itself is dropped.
    let _all = unsent.hold(24 << 20).await.unwrap();
    silent.truncate(1);
    let mut late = open_in(&room, PATIENT, routes(), unsent.clone()).await;
    late.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answer = late.rest().await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(answer.contains("\r\nretry-after: 1\r\n"));
}

#[tokio::test]
async fn f6_a_panic_is_an_answer_and_the_connection_goes_on() {
    let mut opened = open(PATIENT, routes()).await;
    opened.write("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = opened.read_until("}").await;
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-type: application/problem+json\r\n"), "{answer}");
    opened.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    opened.read_until("hello").await;
}

#[tokio::test]
async fn f6_a_head_is_bounded() {
    let filler = "a".repeat(33 * 1024);
    let many = "X-Many: a\r\n".repeat(101);
    for more in [format!("X-Long: {filler}\r\n"), many] {
        let mut opened = open(PATIENT, routes()).await;
        opened.write(&format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n")).await;
        let answer = opened.rest().await;
        // Unread bytes of the head reset the connection, perhaps before the answer has been read.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn f6_http_2_in_clear_text_is_closed() {
    let mut opened = open(PATIENT, routes()).await;
    opened.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(opened.rest().await, "");
}

#[tokio::test]
async fn f6_a_stop_closes_idle_connections_at_once() {
    for begin in ["", "GET / HTTP/1.1\r\nHo"] {
        let mut opened = open(PATIENT, routes()).await;
        opened.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        opened.read_until("hello").await;
        opened.write(begin).await;
        opened.stop.send_replace(true);
        assert_eq!(opened.rest().await, "", "{begin:?}");
    }
}

/// Makes a handler that notifies its beginning, and answers `done` once it may go on.
fn slow() -> (routing::MethodRouter, Arc<Notify>, Arc<Notify>) {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let handler = async move || {
        begins.notify_one();
        goes_on.notified().await;
        "done"
    };
    (routing::get(handler), begun, go_on)
}

#[tokio::test]
async fn f6_a_stop_lets_a_request_end() {
    let (slow, begun, go_on) = slow();
    let mut opened = open(PATIENT, Router::new().route("/", slow)).await;
    opened.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    begun.notified().await;
    opened.stop.send_replace(true);
    tokio::task::yield_now().await;
    go_on.notify_one();
    assert!(opened.rest().await.ends_with("\r\n\r\ndone"));
}

#[tokio::test]
async fn f6_an_idle_connection_makes_room_and_one_that_works_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let (slow, begun, go_on) = slow();
    let serving = tokio::spawn(serve(listener, routes().route("/slow", slow), 2, stopped));

    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    begun.notified().await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        crowd.push(half);
    }
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");

    go_on.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    stop.send_replace(true);
    serving.await.unwrap();
}

/// Linux lets this many wait unless `net.core.somaxconn` is set below its default.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn f6_more_than_a_thousand_connections_wait_to_be_accepted() {
    crate::descriptors::raise();
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for number in 0..1_500 {
        let client = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await;
        clients.push(client.unwrap_or_else(|_| panic!("client {number} was not heard")).unwrap());
    }
}

#[tokio::test]
async fn a_host_without_a_free_address_is_refused() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(listen(&address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert!(listen("no host").await.is_err());
}
