//! Long responses, whose room is bounded.

use std::time::Duration;

use tracking_core::answer::Cut;

use super::*;
use crate::sender::room;

const LONG: usize = 100_000;

/// A receiver that answers with this and closes; its port.
async fn saying(response: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).await;
            let _said = stream.write_all(&response).await;
        }
    });
    port
}

fn long(head: &str) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes(), &vec![b'a'; LONG]].concat()
}

fn affiliate(id: &str) -> Owner {
    Owner::Affiliate { affiliate_id: id.parse().unwrap() }
}

/// All room of an owner.
async fn taken(sender: &Sender, owner: &str) -> Vec<room::Share> {
    let mut shares = Vec::new();
    for _ in 0..4 {
        shares.push(sender.room.take(&owner.into(), 1 << 20).await.unwrap());
    }
    shares
}

#[tokio::test]
async fn f5_a_long_response_keeps_its_room_until_it_is_dropped_and_gives_it_back() {
    for head in [format!("Content-Length: {LONG}\r\n"), String::new()] {
        let port = saying(long(&head)).await;
        let sender = Sender::new(true).unwrap();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let sent = sender.request_for(&affiliate("aff_7"), get(format!("http://127.0.0.1:{port}/"), 5)).await.unwrap();
            assert_eq!((sent.body().len(), sent.is_cut()), (LONG, false), "{head:?}");
            answers.push(sent);
        }
        let bytes = if head.is_empty() { 1 << 20 } else { LONG };
        assert_eq!(sender.room.bytes_held(), 3 * bytes, "{head:?}");
        drop(answers);
        assert_eq!(sender.room.bytes_held(), 0, "{head:?}");
    }
}

#[tokio::test]
async fn f5_a_short_response_needs_no_room() {
    let port = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()).await;
    let sender = Sender::new(true).unwrap();
    let _all = taken(&sender, "aff_7").await;
    let sent = sender.request_for(&affiliate("aff_7"), get(format!("http://127.0.0.1:{port}/"), 5)).await.unwrap();
    assert_eq!(sent.body(), b"ok");
}

#[tokio::test]
async fn f5_the_wait_for_room_is_not_part_of_the_timeout() {
    let port = saying(long("")).await;
    let sender = Sender::new(true).unwrap();
    let all = taken(&sender, "aff_7").await;
    let sending = {
        let sender = sender.clone();
        tokio::spawn(async move { sender.request_for(&affiliate("aff_7"), get(format!("http://127.0.0.1:{port}/"), 2)).await })
    };
    while sender.room.count_waiting() == 0 {
        tokio::task::yield_now().await;
    }
    // Its timeout is over when this one's is.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", hanging.local_addr().unwrap());
    assert_eq!(sender.request(get(url, 2)).await.unwrap_err(), SendFault::Timeout(2));
    drop(all);
    let sent = sending.await.unwrap().unwrap();
    assert_eq!((sent.body().len(), sent.is_cut()), (LONG, false));
}

#[tokio::test]
async fn f5_a_response_that_finds_no_room_is_one_that_is_not_whole() {
    let port = saying(long("")).await;
    let mut sender = Sender::new(true).unwrap();
    let patience = room::Patience { wait: Duration::from_millis(1), ..room::Patience::default() };
    sender.room = room::Room::with(patience);
    let _all = taken(&sender, "aff_7").await;
    let sent = sender.request_for(&affiliate("aff_7"), get(format!("http://127.0.0.1:{port}/"), 2)).await.unwrap();
    assert_eq!((sent.status, sent.why_cut()), (200, Some(Cut::NoRoom)));
}
