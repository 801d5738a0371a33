//! The loop: a due message reaches a handler, a message that a handler leaves comes again, and the loop ends at shutdown.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{self, ack, at, fresh, later, send, store};
use jiff::Timestamp;
use tokio::{runtime::Handle, sync::oneshot};
use tracking_embedded::{
    LaneDepth, Limits, Store,
    worker::{self, Stop},
};
use tracking_engine::backend::{Ack, Lane, Received};

/// A clock that advances by a second at each reading.
fn ticking() -> impl Fn() -> Timestamp {
    let seconds = AtomicI64::new(0);
    move || at(seconds.fetch_add(1, Ordering::Relaxed))
}

/// Awaits `what`; nothing in these tests may take longer than this.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it hangs")
}

const GRACE: Duration = Duration::from_secs(10);

/// Works the queue until `shutdown` gets its word.
async fn work<Fut: Future<Output = ()> + Send + 'static>(
    store: &Store,
    clock: impl Fn() -> Timestamp,
    shutdown: oneshot::Receiver<()>,
    grace: Duration,
    costly: &Handle,
    handle: impl Fn(Vec<Received>) -> Fut,
) {
    let stop = Stop { asked: async { shutdown.await.unwrap() }, grace };
    worker::work(store.clone(), Limits::default(), clock, stop, costly, handle).await;
}

#[tokio::test]
async fn every_message_reaches_a_handler_and_a_batch_is_of_one_lane() {
    let (store, _folder) = store();
    store.receive(at(0), &support::WIDE, 0);
    send(&store, (0..50).map(|n| fresh(&n.to_string(), "f")).collect()).await;
    send(&store, (0..50).map(|n| later(&n.to_string(), "r", at(0))).collect()).await;
    let (done, shutdown) = oneshot::channel::<()>();
    let (done, count) = (Arc::new(Mutex::new(Some(done))), Arc::new(AtomicUsize::new(0)));
    let handle = |messages: Vec<Received>| {
        let (store, done, count) = (store.clone(), Arc::clone(&done), Arc::clone(&count));
        async move {
            assert!(messages.len() <= 16);
            let lane = messages[0].receipt.lane;
            assert!(messages.iter().all(|message| message.receipt.lane == lane));
            assert!(messages.iter().all(|message| message.body == if lane == Lane::Retry { "r" } else { "f" }));
            let more = count.fetch_add(messages.len(), Ordering::SeqCst) + messages.len();
            ack(&store, messages.into_iter().map(|message| Ack::Delete(message.receipt)).collect()).await;
            if more == 100 {
                done.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        }
    };
    soon(work(&store, ticking(), shutdown, GRACE, &Handle::current(), handle)).await;
    let depth = store.depth().unwrap();
    assert_eq!((depth.delivery, depth.retry), (LaneDepth::default(), LaneDepth::default()));
}

#[tokio::test]
async fn what_a_handler_leaves_or_panics_on_comes_again() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let (receive_ids, (done, shutdown)) = (Arc::new(Mutex::new(Vec::new())), oneshot::channel::<()>());
    let done = Arc::new(Mutex::new(Some(done)));
    let handle = |messages: Vec<Received>| {
        let (store, receive_ids, done) = (store.clone(), Arc::clone(&receive_ids), Arc::clone(&done));
        async move {
            let round = {
                let mut receive_ids = receive_ids.lock().unwrap();
                receive_ids.push(messages[0].receive_id.clone());
                receive_ids.len()
            };
            match round {
                1 => panic!("a bug"),
                2 => {}
                _ => {
                    ack(&store, vec![Ack::Delete(messages[0].receipt.clone())]).await;
                    done.lock().unwrap().take().unwrap().send(()).unwrap();
                }
            }
        }
    };
    soon(work(&store, ticking(), shutdown, GRACE, &Handle::current(), handle)).await;
    assert_eq!(*receive_ids.lock().unwrap(), ["1-1-1", "1-1-2", "1-1-3"]);
    assert_eq!(store.depth().unwrap().delivery, LaneDepth::default());
}

#[tokio::test]
async fn a_message_that_is_sent_while_it_rests_wakes_it() {
    let (store, _folder) = store();
    let (received, shutdown) = oneshot::channel::<()>();
    let received = Arc::new(Mutex::new(Some(received)));
    let handle = |_: Vec<Received>| {
        let received = Arc::clone(&received);
        async move { received.lock().unwrap().take().unwrap().send(()).unwrap() }
    };
    let costly = Handle::current();
    let working = work(&store, || at(0), shutdown, GRACE, &costly, handle);
    let sending = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        send(&store, vec![fresh("g", "a")]).await;
    };
    soon(async { tokio::join!(working, sending) }).await;
}

#[tokio::test]
async fn a_handler_that_hangs_is_ended_after_the_grace_period() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let (received, shutdown) = oneshot::channel::<()>();
    let received = Arc::new(Mutex::new(Some(received)));
    let handle = |_: Vec<Received>| {
        let received = Arc::clone(&received);
        async move {
            received.lock().unwrap().take().unwrap().send(()).unwrap();
            std::future::pending::<()>().await;
        }
    };
    soon(work(&store, ticking(), shutdown, Duration::from_millis(10), &Handle::current(), handle)).await;
    assert_eq!(store.depth().unwrap().delivery, LaneDepth { ready: 0, waiting: 1, in_flight: 0 }, "it was handed back");
}

#[tokio::test]
async fn f3_messages_of_a_costly_owner_are_worked_by_other_threads() {
    let (store, _folder) = store();
    store.receive(at(0), &support::WIDE, 0);
    let (done, shutdown) = oneshot::channel::<()>();
    let (done, rounds) = (Arc::new(Mutex::new(Some(done))), Arc::new(Mutex::new(Vec::new())));
    let costly = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("costly").build().unwrap();
    send(&store, vec![fresh("dear/g", "dear")]).await;
    let handle = |messages: Vec<Received>| {
        let (store, done, rounds) = (store.clone(), Arc::clone(&done), Arc::clone(&rounds));
        let body = messages[0].body.clone();
        assert!(messages.iter().all(|message| message.body == body), "a batch is of one owner");
        async move {
            let is_apart = std::thread::current().name() == Some("costly");
            let round = {
                let mut rounds = rounds.lock().unwrap();
                rounds.push((body.clone(), is_apart));
                rounds.len()
            };
            ack(&store, messages.into_iter().map(|message| Ack::Delete(message.receipt)).collect()).await;
            if body == "dear" {
                busy_for(Duration::from_millis(50));
            }
            match round {
                // The first batch has ended before the loop picks again.
                1 => drop(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    send(&store, vec![fresh("dear/h", "dear"), fresh("other/g", "other")]).await;
                })),
                3 => done.lock().unwrap().take().unwrap().send(()).unwrap(),
                _ => {}
            }
        }
    };
    soon(work(&store, || at(0), shutdown, GRACE, costly.handle(), handle)).await;
    let mut rounds = rounds.lock().unwrap().clone();
    rounds[1..].sort();
    let expected = [("dear", false), ("dear", true), ("other", false)].map(|(body, is_apart)| (body.to_owned(), is_apart));
    assert_eq!(rounds, expected);
    costly.shutdown_background();
}

/// Keeps the processor busy.
#[expect(clippy::disallowed_methods, reason = "processor time passes as the machine's clock does")]
fn busy_for(time: Duration) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}
