//! P5: a receiver that hangs delays no other, through the loop that works the queue in production.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc};
use tracking_core::json;
use tracking_embedded::{
    Limits, Store,
    worker::{self, Stop},
};
use tracking_engine::backend::{
    Ack, Backend, Effects, Item, Key, Order, Partition, Range, Receipt, Received, StoreError, Swap, Swapped,
};
use tracking_tests::world::{HandClock, event, transaction};

use crate::sending::support::{Connection, Receiver, engine, log, ok, post, rule, sender, soon, store};

/// A store that counts the messages of one crowd that are handed out and not yet acked, so at least those being sent.
#[derive(Clone)]
struct Watched {
    store: Store,
    out: Arc<Mutex<Out>>,
    acked: mpsc::UnboundedSender<()>,
}

#[derive(Default)]
struct Out {
    now: HashSet<Receipt>,
    most: usize,
}

impl Watched {
    fn handed_out(&self, received: &Received) {
        let mut out = self.out.lock().unwrap();
        out.now.insert(received.receipt.clone());
        out.most = out.most.max(out.now.len());
    }
}

impl Backend for Watched {
    fn incarnation(&self) -> u64 {
        self.store.incarnation()
    }

    fn is_transactional(&self) -> bool {
        self.store.is_transactional()
    }

    fn longest_wait(&self) -> jiff::SignedDuration {
        self.store.longest_wait()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.store.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.store.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        self.store.swap(swaps).await
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        let acks: Vec<Ack> = effects.iter().flat_map(|effects| effects.acks.clone()).collect();
        for ack in &acks {
            let (Ack::Delete(receipt) | Ack::Defer(receipt, _)) = ack;
            self.out.lock().unwrap().now.remove(receipt);
        }
        let outcomes = self.store.commit(effects).await;
        for _ in acks {
            self.acked.send(()).unwrap();
        }
        outcomes
    }
}

const HANGING: usize = 300;
const HEALTHY: usize = 50;

/// A receiver that notes its requests; the healthy one answers.
async fn noting(name: &'static str, arrivals: &Arc<Mutex<Vec<&'static str>>>) -> Receiver {
    let arrivals = Arc::clone(arrivals);
    Receiver::playing(move |mut connection: Connection| {
        let arrivals = Arc::clone(&arrivals);
        async move {
            while connection.request().await.is_some() {
                arrivals.lock().unwrap().push(name);
                if name != "healthy" {
                    connection.until_closed().await;
                    return;
                }
                connection.say(ok("yes")).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_receiver_that_hangs_holds_up_no_other() {
    let arrivals: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (hanging, healthy) = (noting("hanging", &arrivals).await, noting("healthy", &arrivals).await);

    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (acked, mut acks) = mpsc::unbounded_channel();
    let watched = Watched { store: store.clone(), out: Arc::default(), acked };
    let engine = Arc::new(engine(watched.clone(), true));
    let retry = json!({"max_retries": 0});
    let mut rules = HashMap::new();
    for (name, offer, receiver) in [("hanging", "off_1", &hanging), ("healthy", "off_2", &healthy)] {
        let request = json!({"url": receiver.url("/{conversion_id}"), "timeout_seconds": 2});
        let document = json!({"name": name, "request": request, "retry": retry, "conditions": {"included_offers": [offer]}});
        rules.insert(name, rule(&engine, document).await.unwrap().id.to_string());
    }
    for (offer, count) in [("off_1", HANGING), ("off_2", HEALTHY)] {
        for n in 0..count {
            let (conversion, name) = (format!("{offer}-{n}"), format!("chg-{offer}-{n}"));
            let about = json!({"conversion_id": conversion, "offer_id": offer});
            post(&engine, &event(&name, about, json!([transaction(&format!("trx-{conversion}"), "created", "approved")]))).await;
        }
    }

    let all = async move {
        for _ in 0..HANGING + HEALTHY {
            acks.recv().await.unwrap();
        }
    };
    let sender = sender();
    let slow = rules["hanging"].clone();
    let handle = |batch: Vec<Received>| {
        let (engine, sender) = (Arc::clone(&engine), sender.clone());
        for received in batch.iter().filter(|received| received.body.contains(&slow)) {
            watched.handed_out(received);
        }
        let queued = engine.worker().queue_up(batch);
        async move { assert_eq!(engine.worker().work(queued, &sender, None).await, []) }
    };
    let clock = HandClock::default();
    let stop = Stop { asked: all, grace: Duration::from_secs(10) };
    soon(worker::work(store.clone(), Limits::default(), move || clock.now(), stop, &Handle::current(), handle)).await;
    let arrivals = arrivals.lock().unwrap().clone();
    let count = |who: &str| arrivals.iter().filter(|other| **other == who).count();
    let tried = count("hanging");
    assert_eq!(count("healthy"), 50, "each was sent once");
    assert!((10..=128).contains(&tried), "the others wait for their receiver once it is known to be down: {tried}");
    let last = arrivals.iter().rposition(|who| *who == "healthy").unwrap();
    let before = arrivals[..last].iter().filter(|who| **who == "hanging").count();
    assert!(before <= 64, "{before} of the hanging ones went before the last healthy one");
    assert_eq!(watched.out.lock().unwrap().most, 64, "as many of the hanging ones run at once as of any group");

    let mut states: HashMap<(String, String), usize> = HashMap::new();
    for item in log(&engine).await {
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        *states.entry((text("tracking_api_id"), text("state"))).or_default() += 1;
    }
    let expected = [(("hanging", "exhausted"), tried), (("hanging", "waiting"), 300 - tried), (("healthy", "delivered"), 50)];
    assert_eq!(states, expected.map(|((rule, state), count)| ((rules[rule].clone(), state.to_owned()), count)).into());
}
