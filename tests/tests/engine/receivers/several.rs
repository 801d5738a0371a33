//! Several engines over one store: one outage, whichever engine notices it.

use std::sync::Arc;

use futures_util::future::join_all;
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{ClaimOutcome, Clock, Engine, Settings, backend::Received, rules::New, secrets::Vault};
use tracking_tests::world::HandClock;

use super::*;

/// Engines that share a store, as functions on AWS do.
struct Several {
    _folder: tempfile::TempDir,
    store: Store,
    clock: HandClock,
    engines: Vec<Arc<Engine<Store>>>,
    sent: usize,
}

impl Several {
    async fn of(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
        let clock = HandClock::default();
        let engine = || {
            let clock = clock.clone();
            let lifetime = Some(SignedDuration::from_secs(5));
            let settings = Settings { private_targets: true, rule_lifetime: lifetime, ..Settings::default() };
            Arc::new(Engine::new(store.clone(), Clock::new(move || clock.now()), Vault::new(&[7; 32]), settings))
        };
        let engines: Vec<_> = (0..count).map(|_| engine()).collect();
        let key = New::IdempotencyKey("rule".to_owned());
        engines[0].writer().create_rule(&Caller::Admin, &rule(), key).await.unwrap();
        Self { _folder: folder, store, clock, engines, sent: 0 }
    }

    async fn post(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.engines[0].matcher().accept(&[change(number, 1).to_string().as_bytes()]).await.unwrap();
        }
    }

    /// Works all messages that are due, in all engines side by side.
    async fn work_all(&mut self, reply: Reply) {
        loop {
            let messages = self.store.receive(self.clock.now(), &Limits::default(), 16).messages;
            if messages.is_empty() {
                return;
            }
            let engines = self.engines.iter().cycle();
            let worked = messages.into_iter().zip(engines).map(|(message, engine)| work(engine, message, reply));
            self.sent += join_all(worked).await.into_iter().sum::<usize>();
        }
    }

    async fn pass(&mut self, time: SignedDuration, reply: Reply) {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            join_all(self.engines.iter().map(|engine| engine.sweeper().sweep())).await;
            self.work_all(reply).await;
            self.clock.pass(SignedDuration::from_secs(20));
        }
    }

    fn published_kinds(&self) -> Vec<String> {
        let published = self.store.published(None, 10_000).unwrap();
        published.into_iter().filter(|event| event.detail_type.starts_with("Receiver ")).map(|event| event.detail_type).collect()
    }
}

async fn work(engine: &Arc<Engine<Store>>, message: Received, reply: Reply) -> usize {
    let ClaimOutcome::Send(claimed) = Box::pin(engine.worker().claim(&message)).await.unwrap() else { return 0 };
    tokio::task::yield_now().await;
    Box::pin(engine.deliveries().conclude(*claimed, reply.sent())).await.unwrap();
    1
}

#[tokio::test]
async fn b6_one_down_and_one_up_of_an_outage_that_several_engines_see() {
    let mut several = Several::of(4).await;
    several.post(0..400).await;
    several.work_all(DOWN).await;
    assert!(several.sent <= 64, "{} were tried", several.sent);
    several.pass(HOUR, DOWN).await;
    let failed = several.sent;
    assert!(failed <= 140, "{failed}");
    assert_eq!(several.published_kinds(), ["Receiver Down"]);
    several.pass(HOUR * 2, OK).await;
    assert_eq!(several.published_kinds(), ["Receiver Down", "Receiver Up"]);
    let (receivers, _) = several.engines[3].receivers().page(&Caller::Admin, 10, None).await.unwrap();
    assert_eq!((receivers[0]["state"].as_str(), receivers[0]["waiting"].as_u64()), (Some("closed"), Some(0)));
    let log = several.engines[0].log().list(&Caller::Admin, &DeliveryFilter::default(), 1_000, None).await.unwrap();
    assert_eq!(log.items.len(), 400);
    assert!(log.items.iter().all(|delivery| delivery["state"] == "delivered"), "{:?}", log.items.first());
    assert_eq!(several.sent - failed, 400, "once each");
}

#[tokio::test]
async fn b2_what_engines_count_each_opens_a_receiver_with_few_postbacks() {
    let mut several = Several::of(3).await;
    // Another engine meets each failure.
    for number in 0..3 {
        several.post(number..number + 1).await;
        let message = several.store.receive(several.clock.now(), &Limits::default(), 1).messages.remove(0);
        let engine = Arc::clone(&several.engines[number]);
        assert_eq!(work(&engine, message, DOWN).await, 1);
        several.clock.pass(SignedDuration::from_secs(61));
    }
    several.post(3..4).await;
    several.work_all(DOWN).await;
    assert_eq!(several.sent, 0, "every engine knows it");
    assert_eq!(several.published_kinds(), ["Receiver Down"]);
}
