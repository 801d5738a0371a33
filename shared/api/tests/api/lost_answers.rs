//! A store that did a write, whose answer got lost, and that is asked again when somebody else has written since.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_embedded::{Durability, Store};
use tracking_engine::{
    Clock, Engine, Settings,
    backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped},
    rules::New,
    secrets::Vault,
};

/// Answers the next swap as if it had come too late: it is done, another engine patches the rule, and that version is stored.
#[derive(Clone)]
struct Late {
    store: Store,
    other: Arc<Engine<Store>>,
    /// The rule, and the patch of the other engine.
    next: Arc<Mutex<Option<(Id, Value)>>>,
}

impl Backend for Late {
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
        self.store.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.store.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        let key = swaps[0].key.clone();
        let done = self.store.swap(swaps).await;
        let next = self.next.lock().expect("nobody panics with it").take();
        let Some((id, patch)) = next else { return done };
        assert_eq!(done, [Swapped::Done]);
        self.other.writer().patch_rule(&Caller::Admin, &id, &patch, None).await.expect("the rule is there");
        vec![Swapped::Conflict(self.store.get(&[key]).await.expect("the store is there").remove(0))]
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        self.store.commit(effects).await
    }
}

/// An engine over a store, on a clock of its own.
fn engine<B: Backend>(store: B) -> Arc<Engine<B>> {
    let passed = AtomicI64::new(0);
    let now = move || Timestamp::UNIX_EPOCH + SignedDuration::from_millis(passed.fetch_add(1, Ordering::Relaxed));
    let settings = Settings { rule_lifetime: Some(SignedDuration::ZERO), ..Settings::default() };
    Arc::new(Engine::new(store, Clock::new(now), Vault::new(&[7; 32]), settings))
}

#[tokio::test]
async fn a_change_that_was_done_is_answered_as_done_and_stays_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
    let other = engine(store.clone());
    let late = Late { store: store.clone(), other: Arc::clone(&other), next: Arc::default() };
    let engine = engine(late.clone());
    let rule = json!({"name": "first", "request": {"url": "https://a.example/{pcid}"}});
    let (made, _) = engine.writer().create_rule(&Caller::Admin, &rule, New::Random([1; 16])).await.unwrap();

    *late.next.lock().unwrap() = Some((made.id.clone(), json!({"name": "third"})));
    let second = engine.writer().patch_rule(&Caller::Admin, &made.id, &json!({"name": "second"}), Some(1)).await.unwrap();
    assert_eq!((second.version, &second.resource["name"]), (2, &json!("second")));
    let now = other.rules().rule(&Caller::Admin, &made.id).await.unwrap();
    assert_eq!((now.version, &now.resource["name"]), (3, &json!("third")));
    let (history, _) = other.rules().history(&Caller::Admin, &made.id, 10, None).await.unwrap();
    let names: Vec<&Value> = history.iter().filter_map(|entry| Some(&entry["changes"].as_array()?.last()?["to"])).collect();
    assert_eq!(names[..2], [&json!("third"), &json!("second")]);
    assert_eq!(history.len(), 3);
    let own = Partition::Table(format!("R#{}", made.id));
    let left = store.query(&own, &Range::default(), Order::Ascending, 100).await.unwrap();
    assert_eq!(left.len(), 5, "three entries, the head, one text");
    let intents = store.query(&Partition::Table("INTENT".to_owned()), &Range::default(), Order::Ascending, 100).await.unwrap();
    assert_eq!(intents, []);
}
