//! A lookup of another owner's rule takes the same work as one of a missing rule.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracking_core::{caller::Caller, id::Id};
use tracking_embedded::{Durability, Store};
use tracking_engine::{
    Clock, Engine, Settings,
    backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped},
    rules::{New, Refused},
    secrets::Vault,
};

/// Counts the keys that are read.
#[derive(Clone)]
struct Counting {
    store: Store,
    reads: Arc<AtomicUsize>,
}

impl Backend for Counting {
    fn incarnation(&self) -> u64 {
        self.store.incarnation()
    }

    fn is_transactional(&self) -> bool {
        self.store.is_transactional()
    }

    fn longest_wait(&self) -> SignedDuration {
        self.store.longest_wait()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.reads.fetch_add(keys.len(), Ordering::Relaxed);
        self.store.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        self.store.swap(swaps).await
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        self.store.commit(effects).await
    }
}

fn engine(counting: Counting) -> Engine<Counting> {
    let settings = Settings { rule_lifetime: Some(SignedDuration::ZERO), ..Settings::default() };
    Engine::new(counting, Clock::new(|| Timestamp::UNIX_EPOCH), Vault::new(&[7; 32]), settings)
}

#[tokio::test]
async fn f13_another_s_rule_is_read_no_further_than_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
    let counting = Counting { store, reads: Arc::default() };
    let affiliate = |id: &str| Caller::Affiliate(id.parse().unwrap());
    let rule = json!({"name": "x", "request": {"url": "https://a.example/"}});
    let made = engine(counting.clone())
        .writer()
        .create_rule(&affiliate("aff_a"), &rule.clone().into(), New::Random([1; 16]))
        .await
        .unwrap();
    let none: Id = "trk_none".parse().unwrap();
    let reads = async |id: &Id, caller: &Caller| {
        // A process that remembers nothing.
        let engine = engine(counting.clone());
        counting.reads.store(0, Ordering::Relaxed);
        let found = engine.rules().rule(caller, id).await;
        let patched = engine.writer().patch_rule(caller, id, &json!({"name": 5}).into(), None).await;
        let secret = engine.writer().put_secret(caller, id, ("token", "value"), None).await;
        let history = engine.rules().history(caller, id, 10, None).await;
        let answers = (found.err(), patched.err(), secret.err(), history.err());
        (answers, counting.reads.load(Ordering::Relaxed))
    };
    let (answers, foreign) = reads(&made.0.id, &affiliate("aff_b")).await;
    let not_found = || Some(Refused::NotFound);
    assert_eq!(answers, (not_found(), not_found(), not_found(), not_found()));
    assert_eq!(reads(&none, &affiliate("aff_b")).await, (answers, foreign));
    assert_eq!(foreign, 4, "a head for each");
}
