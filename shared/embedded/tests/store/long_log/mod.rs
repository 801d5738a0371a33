//! A long log: very many deliveries on the embedded store, made by the engine itself, with answers in place of receivers.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tracking_core::{answer::Response, caller::Caller, id::Id, json};
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{ClaimOutcome, Clock, Engine, Settings, backend::StoreError, rules::New, secrets::Vault};

/// Events that are posted in one step.
const STEP: usize = 500;

/// An engine with one admin's rule, and the parts of its log.
pub(crate) struct LongLog {
    /// The engine.
    pub(crate) engine: Arc<Engine<Store>>,
    /// The rule that owes every delivery.
    pub(crate) rule: Id,
    store: Store,
    _folder: TempDir,
}

impl LongLog {
    /// A store with one rule and an empty log. Its clock moves by a tenth of a millisecond whenever it is read.
    ///
    /// # Panics
    /// There is no place for temporary files.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open_with(folder.path(), Durability::Relaxed).expect("the store opens");
        let begin: Timestamp = "2026-11-22T09:00:00Z".parse().expect("a time");
        let passed = AtomicI64::new(0);
        let clock = Clock::new(move || begin + SignedDuration::from_micros(100 * passed.fetch_add(1, Ordering::Relaxed)));
        let settings = Settings { private_targets: true, ..Settings::default() };
        let engine = Arc::new(Engine::new(store.clone(), clock, Vault::new(&[7; 32]), settings));
        let document = json!({"name": "all", "request": {"url": "http://127.0.0.1:9/?t={transaction_id}"}});
        let made = engine.writer().create_rule(&Caller::Admin, &document, New::Random([1; 16])).await.expect("it is a rule");
        Self { engine, rule: made.0.id, store, _folder: folder }
    }

    /// Makes the deliveries of these conversions, in order; each is delivered at once.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn fill(&self, conversions: std::ops::Range<usize>) -> Result<(), StoreError> {
        let numbers: Vec<usize> = conversions.collect();
        for step in numbers.chunks(STEP) {
            let events: Vec<String> = step.iter().map(|number| sale(*number)).collect();
            let bytes: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
            self.engine.matcher().accept(&bytes).await?;
            let far = Timestamp::MAX;
            let picked = self
                .store
                .receive(
                    far,
                    &Limits { per_group: usize::MAX, per_owner: usize::MAX, total: usize::MAX, ..Limits::default() },
                    usize::MAX,
                )
                .messages;
            try_join_all(picked.iter().map(|received| async move {
                let ClaimOutcome::Send(claimed) = self.engine.worker().claim(received).await? else { return Ok(()) };
                self.engine.deliveries().conclude(*claimed, Ok(Response::new(200, Vec::new(), Vec::new()))).await.map(drop)
            }))
            .await?;
        }
        Ok(())
    }
}

fn sale(number: usize) -> String {
    let event = json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5", "value": "100.00", "currency": "EUR"},
        "transactions": [{"transaction_id": format!("trx_{number}"), "result": "approved", "payout": "5.00", "currency": "EUR"}]}});
    event.to_string()
}
