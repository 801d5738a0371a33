//! Connections are kept and shared. A request is sent once, whatever happens to it: only the engine counts and repeats attempts (L1).

use std::sync::Arc;

use tokio::sync::Notify;

use crate::sending::support::{Receiver, get, ok, outcome, sender, soon};

#[tokio::test]
async fn two_sends_use_one_connection() {
    let receiver = Receiver::saying(ok("yes")).await;
    let sender = sender();
    for _ in 0..2 {
        assert_eq!(outcome(soon(sender.request(get(receiver.url("/"), 10))).await), Ok((200, "yes".to_owned())));
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_connection_that_the_receiver_said_it_closes_is_not_used_again() {
    let receiver = Receiver::saying_once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let sender = sender();
    for _ in 0..5 {
        assert_eq!(outcome(soon(sender.request(get(receiver.url("/"), 10))).await), Ok((200, String::new())));
    }
    assert_eq!(receiver.connections(), 5);
}

#[tokio::test]
async fn a_connection_that_was_closed_in_between_is_no_error() {
    let closed = Arc::new(Notify::new());
    let notifier = Arc::clone(&closed);
    let receiver = Receiver::playing(move |mut connection| {
        let notifier = Arc::clone(&notifier);
        async move {
            connection.request().await;
            connection.say(ok("yes")).await;
            drop(connection);
            notifier.notify_one();
        }
    })
    .await;
    let sender = sender();
    for round in 1..=3 {
        assert_eq!(outcome(soon(sender.request(get(receiver.url("/"), 10))).await), Ok((200, "yes".to_owned())), "{round}");
        closed.notified().await;
        // Nothing shows when the client has noticed the end.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn what_follows_an_answer_unasked_is_no_answer_to_the_next_request() {
    let receiver = Receiver::saying(format!("{}{}", ok("yes"), ok("forged"))).await;
    let sender = sender();
    for _ in 0..3 {
        assert_eq!(outcome(soon(sender.request(get(receiver.url("/"), 10))).await), Ok((200, "yes".to_owned())));
    }
}

#[tokio::test]
async fn l1_a_receiver_that_closes_after_the_request_sees_it_once() {
    let receiver = Receiver::saying_once("").await;
    let error = outcome(soon(sender().request(get(receiver.url("/"), 10))).await).unwrap_err();
    assert!(error.starts_with("no answer: "), "{error}");
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 1));
}

#[tokio::test]
async fn case_a10_what_meets_a_kept_connection_that_is_closed_goes_once_more() {
    let receiver = Receiver::playing(|mut connection| async move {
        connection.request().await;
        connection.say(ok("yes")).await;
        connection.request().await;
    })
    .await;
    let sender = sender();
    assert_eq!(outcome(soon(sender.request(get(receiver.url("/1"), 10))).await), Ok((200, "yes".to_owned())));
    assert_eq!(outcome(soon(sender.request(get(receiver.url("/2"), 10))).await), Ok((200, "yes".to_owned())));
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 3));
}

#[tokio::test]
async fn nobody_listens() {
    let receiver = Receiver::saying("").await;
    let url = receiver.url("/secret?token=secret");
    drop(receiver);
    tokio::task::yield_now().await;
    let error = outcome(soon(sender().request(get(url, 10))).await).unwrap_err();
    assert!(error.starts_with("no answer: ") && error.contains("refused"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
