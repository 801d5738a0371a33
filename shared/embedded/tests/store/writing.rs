//! Writing: a step is done wholly or not at all, and a group of jobs is answered together.

use crate::support::{self, ack, all, at, bodies, fresh, send, store};
use rusqlite::Connection;
use tracking_core::json;
use tracking_embedded::{LaneDepth, Store};
use tracking_engine::backend::{Ack, Backend, Effects, Item, Key, Published, Swap, Swapped};

fn item(sort: &str) -> Item {
    Item { key: Key::new("P", sort), rev: 0, body: "{}".to_owned(), expires: None, attention: None }
}

/// Makes the file refuse the item `poison` from here on, as a full disk would.
fn refuse_poison(folder: &tempfile::TempDir) {
    let file = Connection::open(folder.path().join("tracking.db")).unwrap();
    let sql = "CREATE TRIGGER full BEFORE INSERT ON items WHEN NEW.sk = 'poison' BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    file.execute_batch(sql).unwrap();
}

async fn exists(store: &Store, sort: &str) -> bool {
    store.get(&[Key::new("P", sort)]).await.unwrap()[0].is_some()
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "led to it")]).await;
    let led = all(&store, at(0)).remove(0);
    refuse_poison(&folder);
    let published = Published::new(at(0), "Receiver Down", json!({}));
    let step = Effects {
        publish: vec![published],
        put_published: Vec::new(),
        send: vec![fresh("g", "follows")],
        put: vec![item("good"), item("poison")],
        delete: vec![],
        acks: vec![Ack::Delete(led.receipt.clone())],
    };
    let fault = store.commit(vec![step]).await.remove(0).unwrap_err();
    assert_eq!(fault.to_string(), "the store is unavailable: disk full");
    assert!(!exists(&store, "good").await);
    assert_eq!(store.published(None, 9), Ok(vec![]));
    assert_eq!(bodies(&all(&store, at(99))), [""; 0], "what led to it is still out, what follows was not sent");
    ack(&store, vec![Ack::Delete(led.receipt)]).await;
    assert_eq!(store.depth().unwrap().delivery, LaneDepth::default(), "its receipt held");
}

#[tokio::test]
async fn a_message_is_acked_with_the_step_that_it_led_to() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let led = all(&store, at(0)).remove(0);
    let step =
        Effects { send: vec![fresh("g", "b")], put: vec![item("1")], acks: vec![Ack::Delete(led.receipt)], ..Effects::default() };
    support::commit(&store, step).await;
    drop(store);
    let store = support::open(folder.path());
    assert!(exists(&store, "1").await);
    assert_eq!(bodies(&all(&store, at(0))), ["b"]);
}

#[tokio::test]
async fn a_swap_sees_what_came_before_it_in_its_group() {
    let (store, _folder) = store();
    let mut tasks = tokio::task::JoinSet::new();
    for store in (0..200).map(|_| store.clone()) {
        tasks.spawn(async move { store.swap(vec![Swap { key: Key::new("P", "1"), expect: None, new: Some(item("1")) }]).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == [Swapped::Done]).count(), 1);
    let current = Item { rev: 1, ..item("1") };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == [Swapped::Conflict(Some(current.clone()))]).count(), 199);
}

#[tokio::test]
async fn what_was_asked_before_the_last_handle_went_is_written() {
    let (store, folder) = store();
    for n in 0..100 {
        let commit = store.commit(vec![Effects { put: vec![item(&n.to_string())], ..Effects::default() }]);
        // The commit is started and not awaited.
        tokio::select! { biased; _ = commit => {}, () = std::future::ready(()) => {} }
    }
    drop(store);
    let store = support::open(folder.path());
    for n in 0..100 {
        assert!(exists(&store, &n.to_string()).await, "{n}");
    }
}
