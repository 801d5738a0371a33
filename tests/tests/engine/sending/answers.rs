//! The possible answers of receivers: redirects, endless bodies, and bytes that are not HTTP. Each is judged, or counts as no answer.

use tracking_core::answer::Verdict;

use crate::sending::support::{Connection, Receiver, get, ok, outcome, sender, soon};

/// Returns the outcome of an answer, after which the receiver closes.
async fn answered(bytes: impl Into<Vec<u8>>) -> Result<(u16, String), String> {
    let receiver = Receiver::saying_once(bytes).await;
    let sent = outcome(soon(sender().request(get(receiver.url("/"), 10))).await);
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 1));
    sent
}

#[track_caller]
fn check(what: &str, sent: &Result<(u16, String), String>, status: u16, body: &str) {
    assert_eq!(sent.as_ref().map(|(status, body)| (*status, body.as_str())), Ok((status, body)), "{what}");
}

#[track_caller]
fn none(what: &str, sent: &Result<(u16, String), String>) {
    assert!(sent.as_ref().is_err_and(|error| error.starts_with("no answer: ")), "{what}: {sent:?}");
}

#[tokio::test]
async fn a1_redirects_are_not_followed() {
    let elsewhere = Receiver::saying(ok("here")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url("/");
        let sent = answered(format!("HTTP/1.1 {status} R\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")).await;
        check("a redirect", &sent, status, "");
        assert_eq!(Verdict::of_status(status), Verdict::Failed);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// Sends twice to a receiver that answers with this head and then this many bytes, and checks the outcome.
async fn flood(head: &'static str, bytes: usize) {
    let receiver = Receiver::playing(move |mut connection: Connection| async move {
        connection.request().await;
        connection.say(head).await;
        let block = vec![b'x'; 8_192];
        let mut sent = 0;
        while sent < bytes && connection.say(&block).await {
            sent += block.len();
        }
        connection.request().await;
    })
    .await;
    let sender = sender();
    for _ in 0..2 {
        let (status, body) = outcome(soon(sender.request(get(receiver.url("/"), 60))).await).unwrap();
        assert_eq!((status, body.len()), (200, 1_048_576));
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 2), "a connection is not used again");
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_read_to_1_mib() {
    flood("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", 10_485_760).await;
}

#[tokio::test]
async fn an_endless_answer_is_read_to_1_mib() {
    // Unread bytes fill the buffers of the sockets: the receiver's end shows that the sender closed the connection.
    flood("HTTP/1.1 200 OK\r\n\r\n", usize::MAX).await;
}

#[tokio::test]
async fn what_was_read_of_a_long_answer_is_what_counts() {
    let body = format!("{}{}", "a".repeat(1_048_575), "bc");
    check("two bytes too many", &answered(ok(&body)).await, 200, &body[..1_048_576]);
    check("one byte too many", &answered(ok(&body[..1_048_577])).await, 200, &body[..1_048_576]);
    check("just as much", &answered(ok(&body[..1_048_576])).await, 200, &body[..1_048_576]);
    check("one byte less", &answered(ok(&body[..1_048_575])).await, 200, &body[..1_048_575]);
}

#[tokio::test]
async fn a2_what_is_odd_but_complete_is_judged() {
    let rows: &[(&str, &[u8], u16, &str)] = &[
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nold", 200, "old"),
        ("no length: the end is the end", b"HTTP/1.1 201 Created\r\n\r\nall of it", 201, "all of it"),
        ("no reason", b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, ""),
        ("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok"),
        ("a first answer of 1xx", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("early hints", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\n", 503, ""),
        ("a change of protocols", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, ""),
        ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nok\r\n0\r\nT: r\r\n\r\n", 200, "ok"),
        ("a status nobody knows", b"HTTP/1.1 799 ?\r\nContent-Length: 0\r\n\r\n", 799, ""),
        ("no body where there is none", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, ""),
        ("a body that is no text", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xffa\x80", 200, "\u{fffd}a\u{fffd}"),
        ("a header that is no text", b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        (
            "a body that is compressed, though nobody asked",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
            200,
            "\u{1f}\u{fffd}\u{8}\0",
        ),
        (
            "a charset",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\nContent-Length: 1\r\n\r\n\xe9",
            200,
            "\u{fffd}",
        ),
        ("returns within headers", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nY: c\r\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("a transfer encoding of HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", 200, "2\r\nok"),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", 200, "hal"),
        ("chunks without an end", b"HTTP/1.1 503 S\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 503, "ok"),
        ("a chunk without a size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n", 200, ""),
        (
            "a chunk of any size",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nok\r\n0\r\n\r\n",
            200,
            "",
        ),
        ("a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", 200, ""),
        ("a length below zero", b"HTTP/1.1 503 S\r\nContent-Length: -1\r\n\r\nhello", 503, ""),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 200, ""),
        ("a header with NUL", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("cookies", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
    ];
    for (what, bytes, status, body) in rows {
        check(what, &answered(*bytes).await, *status, body);
    }
}

#[tokio::test]
async fn a2_what_is_no_complete_answer_is_none() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20)).into_bytes();
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(1_000)).into_bytes();
    let rows: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("garbage", b"\x16\x03\x01\x02\x00 what is this\r\n\r\n"),
        ("another protocol", b"220 mail.example ESMTP\r\n"),
        ("HTTP/2 unasked", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff"),
        ("HTTP/9", b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ("two lengths, in lines without carriage returns", b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nabc"),
        ("a header of a megabyte", &long),
        ("a thousand headers", &many),
    ];
    for (what, bytes) in rows {
        none(what, &answered(*bytes).await);
    }
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let receiver = Receiver::playing(|mut connection: Connection| async move {
        connection.request().await;
        connection.say("HTTP/1.1 200 OK\r\nX: ").await;
        while connection.say("x".repeat(8_192)).await {}
    })
    .await;
    none("an endless header", &outcome(soon(sender().request(get(receiver.url("/"), 60))).await));
}
