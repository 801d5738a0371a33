//! A fair share for every owner: whatever one owner's receivers do, another's postback goes out at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify};
use tracking_core::{caller::Caller, json};
use tracking_embedded::{
    Limits,
    worker::{self, Stop},
};
use tracking_engine::{backend::Received, rules::New};
use tracking_tests::world::{HandClock, event, transaction};

use crate::sending::support::{Connection, Receiver, engine, ok, post, sender, soon, store};

/// A receiver that counts requests and answers none.
async fn hanging(waiting: &Arc<AtomicUsize>) -> Receiver {
    let waiting = Arc::clone(waiting);
    Receiver::playing(move |mut connection: Connection| {
        let waiting = Arc::clone(&waiting);
        async move {
            connection.request().await;
            waiting.fetch_add(1, Ordering::SeqCst);
            connection.until_closed().await;
        }
    })
    .await
}

/// A receiver that answers, and notifies `heard` of it.
async fn healthy(heard: &Arc<Notify>) -> Receiver {
    let heard = Arc::clone(heard);
    Receiver::playing(move |mut connection: Connection| {
        let heard = Arc::clone(&heard);
        async move {
            connection.request().await;
            connection.say(ok("yes")).await;
            heard.notify_one();
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_twenty_receivers_of_one_owner_that_hang_hold_up_no_other_owner_s_postback() {
    const RECEIVERS: usize = 20;
    const CHANGES: usize = 100;
    let (waiting, healthy_heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let hanging = hanging(&waiting).await;
    let healthy = healthy(&healthy_heard).await;

    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = Arc::new(engine(store.clone(), true));
    let owner = |id: &str| Caller::Affiliate(id.parse().unwrap());
    let make = async |owner: Caller, name: String, url: String| {
        let document = json!({"name": name, "request": {"url": url, "timeout_seconds": 30}, "retry": {"max_retries": 0}});
        engine.writer().create_rule(&owner, &document, New::IdempotencyKey(name)).await.unwrap();
    };
    for n in 0..RECEIVERS {
        let url = format!("http://hangs-{n}.localhost:{}/", hanging.address.port());
        make(owner("aff_bad"), format!("hangs {n}"), url).await;
    }
    make(owner("aff_good"), "healthy".to_owned(), healthy.url("/")).await;
    let change = async |name: &str, affiliate: &str| {
        let about = json!({"conversion_id": format!("cnv_{name}"), "affiliate_id": affiliate});
        let transaction = transaction(&format!("trx_{name}"), "created", "approved");
        post(&engine, &event(&format!("chg_{name}"), about, json!([transaction]))).await;
    };
    for n in 0..CHANGES {
        change(&n.to_string(), "aff_bad").await;
    }
    change("good", "aff_good").await;

    let sender = sender();
    let running = Arc::clone(&engine);
    let handle = move |batch: Vec<Received>| {
        let (engine, sender) = (Arc::clone(&running), sender.clone());
        let queued = engine.worker().queue_up(batch);
        async move { assert_eq!(engine.worker().work(queued, &sender, None).await, []) }
    };
    let clock = HandClock::default();
    let stop = Stop { asked: async { healthy_heard.notified().await }, grace: Duration::ZERO };
    soon(worker::work(store.clone(), Limits::default(), move || clock.now(), stop, &Handle::current(), handle)).await;
    let hung = waiting.load(Ordering::SeqCst);
    assert!(hung <= 128, "{hung} of one owner's were under way: an eighth of all that may be");
    let delivery = store.depth().unwrap().delivery;
    assert!(delivery.ready + delivery.in_flight >= RECEIVERS * CHANGES - 128, "{delivery:?}");
}
