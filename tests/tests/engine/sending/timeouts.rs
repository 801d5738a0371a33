//! Q4: the timeout covers everything from connecting to the last byte of the answer.

use std::time::Duration;

use tokio::net::TcpSocket;

use crate::sending::support::{Connection, Receiver, get, outcome, sender, soon};

/// Checks that a request with a timeout of one second times out.
async fn hangs<F>(play: impl Fn(Connection) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let receiver = Receiver::playing(play).await;
    let sent = soon(sender().request(get(receiver.url("/"), 1))).await;
    assert_eq!(outcome(sent), Err("no answer within 1 s".to_owned()));
    assert_eq!(receiver.connections(), 1);
}

/// Sends these bytes, and then a few more again and again.
async fn drips(mut connection: Connection, first: &str, more: &str) {
    connection.request().await;
    connection.say(first).await;
    while connection.say(more).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn q4_a_receiver_that_takes_no_connection() {
    // A listener that never accepts has a queue of connections; once it is full, connecting hangs.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sender = sender();
    for _ in 0..4 {
        let sent = soon(sender.request(get(url.clone(), 1))).await;
        assert_eq!(outcome(sent), Err("no answer within 1 s".to_owned()));
    }
}

#[tokio::test]
async fn q4_a_receiver_that_never_answers() {
    hangs(|mut connection| async move { connection.until_closed().await }).await;
}

#[tokio::test]
async fn q4_a_receiver_that_drips_its_headers() {
    hangs(|connection| drips(connection, "HTTP/1.1 200 OK\r\n", "X: y\r\n")).await;
}

#[tokio::test]
async fn q4_a_receiver_that_is_forever_about_to_answer() {
    hangs(|connection| drips(connection, "", "HTTP/1.1 102 Processing\r\n\r\n")).await;
}

#[tokio::test]
async fn q4_a_receiver_that_sends_headers_and_stalls() {
    hangs(|mut connection| async move {
        connection.request().await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        connection.until_closed().await;
    })
    .await;
}

#[tokio::test]
async fn q4_a_receiver_that_drips_its_body_a_byte_at_a_time() {
    hangs(|connection| drips(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "x")).await;
}

#[tokio::test]
async fn q4_a_receiver_that_drips_chunks() {
    hangs(|connection| drips(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n")).await;
}

#[tokio::test]
async fn q4_case_a13_a_response_that_is_held_open_after_its_headers_is_no_answer() {
    const HELD: [&str; 4] = [
        "HTTP/1.1 200 OK\r\n\r\nwhole, but for its end",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.0 201 Created\r\nContent-Type: text/plain\r\n\r\n",
    ];
    for held in HELD {
        hangs(move |mut connection| async move {
            connection.request().await;
            connection.say(held).await;
            connection.until_closed().await;
        })
        .await;
    }
}

#[tokio::test]
async fn q4_a_receiver_that_never_reads() {
    let receiver = Receiver::playing(|connection| async move {
        let _unread = connection;
        std::future::pending::<()>().await;
    })
    .await;
    let mut request = get(receiver.url("/"), 1);
    request.method = tracking_core::request::Method::Post;
    request.body = Some(vec![b'x'; 32 << 20]);
    assert_eq!(outcome(soon(sender().request(request)).await), Err("no answer within 1 s".to_owned()));
}
