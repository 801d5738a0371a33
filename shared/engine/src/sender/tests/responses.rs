//! Responses as receivers really send them.

use std::sync::{Arc, atomic::AtomicUsize};

use tracking_core::answer::{Cut, Response};

use super::*;

/// Plays each connection by this script: the answer to each of the requests on it, after which it closes. Returns its port, and the
/// requests so far.
async fn playing(connections: &'static [&'static [&'static str]]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&heard);
    tokio::spawn(async move {
        for said in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for response in *said {
                let mut request = [0; 4_096];
                if stream.read(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
                counts.fetch_add(1, Ordering::SeqCst);
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        }
    });
    (port, heard)
}

const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn case_a10_a_kept_connection_that_the_receiver_closes_costs_no_attempt() {
    for body in [None, Some(&b"{\"n\":1}"[..])] {
        let (port, heard) = playing(&[&[KEPT, ""], &[KEPT]]).await;
        let sender = Sender::new(true).unwrap();
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let request = Rendered { method, body: body.map(Into::into), ..get(format!("http://127.0.0.1:{port}/"), 5) };
        for number in 1..=2 {
            assert_eq!(sender.request(request.clone()).await.map(|answer| answer.status), Ok(200), "request {number}");
        }
        assert_eq!(heard.load(Ordering::SeqCst), 3, "the second came twice, and was answered once");
    }
}

#[tokio::test]
async fn case_a10_a_new_connection_that_is_closed_and_an_answer_that_has_begun_are_no_such_sign() {
    const CLOSED: &[&[&str]] = &[&[""], &[KEPT]];
    const BEGUN: &[&[&str]] = &[&[KEPT, "HTTP/1.1 2"], &[KEPT]];
    // The new connection is closed as the kept one was: once more is enough.
    const BOTH: &[&[&str]] = &[&[KEPT, ""], &[""], &[KEPT]];
    for (connections, requests, sent) in [(CLOSED, 1, 1), (BEGUN, 2, 2), (BOTH, 2, 3)] {
        let (port, heard) = playing(connections).await;
        let sender = Sender::new(true).unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        let mut last = None;
        for _ in 0..requests {
            last = Some(sender.request(get(url.clone(), 5)).await);
        }
        assert!(matches!(last, Some(Err(SendFault::Connection(_)))), "{last:?}");
        assert_eq!(heard.load(Ordering::SeqCst), sent, "nothing else was sent again");
    }
}

#[tokio::test]
async fn case_a13_a_response_that_breaks_off_is_one() {
    const SHORT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"status\":\"ok";
    const CHUNKS: &str = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\nall of it";
    for (said, status, body, is_cut) in
        [(SHORT, 200, "{\"status\":\"ok", true), (CHUNKS, 503, "hello", true), (OPEN, 200, "all of it", false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).await;
            stream.write_all(said.as_bytes()).await.unwrap();
        });
        let answer = Sender::new(true).unwrap().request(get(format!("http://127.0.0.1:{port}/"), 5)).await.unwrap();
        assert_eq!((answer.status, String::from_utf8_lossy(answer.body()).as_ref(), answer.is_cut()), (status, body, is_cut));
    }
}

/// The answer of a receiver that says this, and then keeps its connection open if it says so.
async fn answer_to(said: &'static str, is_kept: bool) -> (Response, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                while stream.read(&mut request).await.unwrap_or(0) > 0
                    && stream.write_all(said.as_bytes()).await.is_ok()
                    && is_kept
                {}
            });
        }
    });
    let sender = Sender::new(true).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let first = sender.request(get(url.clone(), 5)).await.unwrap_or_else(|fault| panic!("{said}: {fault}"));
    let second = sender.request(get(url, 5)).await.unwrap_or_else(|fault| panic!("{said}: {fault}"));
    assert_eq!((first.status, first.body()), (second.status, second.body()), "{said}");
    (first, connections)
}

#[tokio::test]
async fn f4_a_body_is_read_in_at_most_20_000_pieces() {
    for (pieces, why_cut) in [(19_000, None), (21_000, Some(Cut::TooManyPieces))] {
        let said = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(pieces));
        let (answer, _) = answer_to(Box::leak(said.into_boxed_str()), false).await;
        assert_eq!((answer.body().len(), answer.why_cut()), (pieces.min(20_000), why_cut));
    }
}

#[tokio::test]
async fn case_a9_a_header_line_with_nul_is_left_out_with_a_note() {
    for (said, line) in [
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\nX-Status: ok\r\nContent-Length: 2\r\n\r\nok", "X: ab"),
        ("HTTP/1.1 200 OK\r\nX-Status: ok\r\nContent-Length: 2\r\n\0\0: 1\r\n\r\nok", ": 1"),
        (
            "HTTP/1.1 200 OK\r\nSet-Cookie: id=1\0; path=/\r\nX-Status: ok\r\nContent-Length: 2\r\n\r\nok",
            "Set-Cookie: id=1; path=/",
        ),
        ("HTTP/1.1 200 O\0K\r\nX-Status: ok\r\nX\0: 1\r\nContent-Length: 2\r\n\r\nok", "X: 1"),
    ] {
        let (answer, connections) = answer_to(said, true).await;
        assert_eq!((answer.status, answer.body(), answer.why_cut()), (200, &b"ok"[..], None), "{said}");
        assert_eq!(
            (answer.header("x-status"), answer.header("x"), answer.header("set-cookie")),
            (Some("ok"), None, None),
            "{said}"
        );
        assert_eq!(answer.notes(), [format!("1 line among the headers ignored: {line}")]);
        assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection is kept");
    }
}

#[tokio::test]
async fn case_a13_a_content_length_that_is_none_or_several_is_a_response_without_its_body() {
    const SAID: [(&str, &str); 7] = [
        ("HTTP/1.1 201 Made\r\nContent-Length: five\r\nX: y\r\n\r\nhello", "Content-Length: five"),
        ("HTTP/1.1 201 Made\r\nContent-Length: -1\r\nX: y\r\n\r\nhello", "Content-Length: -1"),
        ("HTTP/1.1 201 Made\r\nContent-Length: +5\r\nX: y\r\n\r\nhello", "Content-Length: +5"),
        ("HTTP/1.1 201 Made\r\nX: y\r\nContent-Length: \r\n\r\nhello", "Content-Length: "),
        ("HTTP/1.1 201 Made\r\nX: y\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "Content-Length: 3"),
        ("HTTP/1.1 201 Made\r\nX: y\r\nContent-Length: 2, 3\r\n\r\nabc", "Content-Length: 2, 3"),
        (
            "HTTP/1.1 201 Made\r\nX: y\r\nContent-Length: 0\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "Content-Length: 18446744073709551616",
        ),
    ];
    for (said, line) in SAID {
        for is_kept in [true, false] {
            let (answer, connections) = answer_to(said, is_kept).await;
            let parts = (answer.status, answer.body(), answer.header("x"), answer.why_cut());
            assert_eq!(parts, (201, &b""[..], Some("y"), Some(Cut::BadLength)), "{said}");
            assert_eq!(answer.notes(), [format!("1 line among the headers ignored: {line}")]);
            assert_eq!(connections.load(Ordering::SeqCst), 2, "no request follows on such a connection: {said}");
        }
    }
}

#[tokio::test]
async fn case_a13_a_content_length_that_decides_nothing_does_no_harm() {
    for (said, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\nContent-Length: five\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: five\r\n\r\n", ""),
    ] {
        let (answer, _) = answer_to(said, true).await;
        assert_eq!((answer.body(), answer.why_cut()), (body.as_bytes(), None), "{said}");
    }
}

#[tokio::test]
async fn case_a9_lines_that_are_no_headers_are_left_out() {
    const ODD: [&str; 3] = [
        "HTTP/1.1 200 OK\r\nPHP Warning: Undefined index in /a.php on line 3\r\nX-Status: ok\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-Status : ok\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n<br />\r\nX-Status: ok\r\nContent-Length: 2\r\n\r\nok",
    ];
    let (port, _) = playing(&[&[ODD[0], ODD[1], ODD[2]]]).await;
    let sender = Sender::new(true).unwrap();
    for odd in ODD {
        let answer = sender.request(get(format!("http://127.0.0.1:{port}/"), 5)).await.unwrap();
        assert_eq!((answer.status, answer.body(), answer.header("x-status")), (200, &b"ok"[..], Some("ok")), "{odd}");
        let stray = ["PHP Warning: Undefined index in /a.php on line 3", "<br />"].into_iter().find(|stray| odd.contains(stray));
        let note = stray.map(|stray| format!("1 line among the headers ignored: {stray}"));
        assert_eq!(answer.notes(), note.as_slice(), "{odd}");
    }
}
