//! The store that crashes on demand: before the crash it behaves like any other store.

use tracking_embedded::{Durability, Store};
use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped};
use tracking_tests::{
    crash::{Crashing, Cut},
    port,
};

fn store() -> (Crashing<Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Crashing::new(Store::open_with(folder.path(), Durability::Relaxed).expect("a new store")), folder)
}

fn item(sort: &str) -> Item {
    Item { key: Key::new("P", sort), rev: 0, body: "{}".to_owned(), expires: None, attention: None }
}

fn put(sort: &str) -> Vec<Effects> {
    vec![Effects { put: vec![item(sort)], ..Effects::default() }]
}

#[tokio::test]
async fn a_call_is_cut_off_before_or_after_it_takes_effect() {
    let (store, _folder) = store();
    let crashed = StoreError::Unavailable("it crashed".to_owned());
    let exists = async |sort: &str| store.get(&[Key::new("P", sort)]).await.map(|items| items[0].is_some());

    store.crash_at(2, Cut::Before);
    assert_eq!(store.commit(put("1")).await, [Ok(())]);
    assert_eq!(store.commit(put("2")).await, [Err(crashed.clone())]);
    assert!(store.is_down());
    assert_eq!(exists("1").await, Err(crashed.clone()));
    assert_eq!(store.commit(put("3")).await, [Err(crashed.clone())]);
    let all = Partition::Table("P".to_owned());
    assert_eq!(store.query(&all, &Range::default(), Order::Ascending, 9).await, Err(crashed.clone()));
    store.revive();
    assert_eq!((exists("1").await, exists("2").await, exists("3").await), (Ok(true), Ok(false), Ok(false)));

    store.crash_at(1, Cut::After);
    let swap = || vec![Swap { key: Key::new("P", "4"), expect: None, new: Some(item("4")) }];
    assert_eq!(store.swap(swap()).await, [Swapped::Unavailable(crashed)]);
    store.revive();
    assert_eq!(store.swap(swap()).await, [Swapped::Conflict(Some(Item { rev: 1, ..item("4") }))]);
    assert_eq!((store.writes(), store.is_down()), (4, false));
}

#[tokio::test]
async fn a_store_that_does_not_crash_keeps_the_ports_contract() {
    let (store, _folder) = store();
    port::contract(store).await;
}
