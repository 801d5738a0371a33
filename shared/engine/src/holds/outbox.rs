//! The consequences of a hold: decided and written with the hold in one compare-and-set, carried out after it.
//!
//! Concurrent changes decide one after another, since only one of them wins the hold; a crash before the messages are out leaves them in
//! the outbox, and the next step that touches the hold sends them. Sending twice does no harm: the ids are the same (P2).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    delivery::{Cause, State},
    event::Subject,
    hold::{DuePostback, Ending, Hold, PostbackKind},
    matching::{Release, is_foreign},
    tracking_api::Final,
};

use crate::{
    backend::{Backend, Effects, StoreError, Swap, Swapped},
    delivery::{hand_over, owed_delivery},
    holds::Holds,
    keys,
    recorder::Listing,
    rows::{self, DeliveryRow, OwedDelivery},
    rules::Rule,
};

/// The tries to end deliveries that others write at the same time.
const TRIES: usize = 10;

/// Messages and rows that a hold still has to send and write.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Outbox {
    /// Postbacks to hand over.
    send: Vec<OwedDelivery>,
    /// Deliveries that end without one.
    ended: Vec<DeliveryRow>,
    /// Deliveries that the log is to show as held.
    held: Vec<DeliveryRow>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.send.is_empty() && self.ended.is_empty() && self.held.is_empty()
    }

    /// The number of postbacks to hand over, of deliveries to end, and of those to be shown as held.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.send.len(), self.ended.len(), self.held.len())
    }

    /// Postbacks to hand over.
    pub(super) fn to_send(&self) -> impl Iterator<Item = &OwedDelivery> {
        self.send.iter()
    }
}

impl Outbox {
    /// The owed deliveries in it.
    pub(super) fn all_owed_mut(&mut self) -> impl Iterator<Item = &mut OwedDelivery> {
        let rows = self.ended.iter_mut().chain(&mut self.held);
        self.send.iter_mut().chain(rows.map(|row| &mut row.owed))
    }

    /// The format of a row that holds this outbox.
    pub(super) fn format(&self) -> u32 {
        let rows = self.ended.iter().chain(&self.held);
        let formats = self.send.iter().chain(rows.map(|row| &row.owed)).map(|owed| owed.event.format());
        formats.max().unwrap_or(rows::FORMAT)
    }
}

impl<B: Backend> Holds<B> {
    /// Puts a due postback into the outbox. Returns true if it is handed over for sending.
    pub(super) async fn carry_out(
        &self,
        rule: &Rule,
        due: &DuePostback,
        outbox: &mut Outbox,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let cause = match due.kind {
            PostbackKind::Final => Some(Cause::Final(rule.head.epoch)),
            PostbackKind::Late => Some(Cause::Late(rule.head.epoch)),
            PostbackKind::Change => None,
        };
        let (event, release) = rule.candidate().release(due);
        let mut owed = owed_delivery(rule, event, cause, self.store.now());
        let existing = self.store.get_one(keys::delivery(&owed.id)).await?;
        let existing = existing.map(|item| rows::read_item::<DeliveryRow>(&item)).transpose()?;
        if let Some(row) = existing.as_ref().filter(|row| row.state.is_ended()) {
            // A delivery that a person stopped before its first attempt never went out.
            let stopped = row.state == State::Cancelled && row.attempts == 0;
            return Ok(!stopped && !matches!(row.state, State::Skipped | State::Expired));
        }
        if let Some(row) = &existing {
            // A held delivery keeps its place in the log.
            owed.created_at = row.owed.created_at;
            owed.held = true;
        }
        let (state, reason) = match release {
            Release::Foreign => {
                if let Some(mut row) = existing {
                    row.end(State::Skipped, "the conversion belongs to another affiliate now", now);
                    outbox.ended.push(row);
                }
                return Ok(false);
            }
            Release::Send => {
                outbox.send.push(owed);
                return Ok(true);
            }
            Release::End(Ending::Expired) => (State::Expired, "the conversion was not settled within max_hold_days".to_owned()),
            Release::End(Ending::FinalAlreadySent) => (State::Skipped, "final already sent".to_owned()),
            Release::Unfit(misses) => {
                let why: Vec<String> = misses.into_iter().map(|miss| miss.detail).collect();
                (State::Skipped, format!("the conditions do not hold for the state to be sent: {}", why.join("; ")))
            }
        };
        let mut row = DeliveryRow::new(owed, State::Held, rule.definition.plan.first_call().retry.max_attempts());
        row.end(state, reason, now);
        outbox.ended.push(row);
        Ok(false)
    }

    /// Notes the deliveries that the log is to show as held: those that are held now and were not held before.
    pub(super) fn note_held(&self, rule: &Rule, delay: Final, hold: &Hold, before: &[Subject], outbox: &mut Outbox) {
        outbox.held.retain(|row| hold.held().any(|(subject, _)| *subject == row.owed.event.known().subject()));
        if is_foreign(&rule.head.owner, &hold.newest.conversion) {
            return;
        }
        for (subject, _) in hold.held().filter(|(subject, _)| !before.contains(subject)) {
            let Some(event) = hold.event_about(subject) else { continue };
            let owed =
                OwedDelivery { held: true, ..owed_delivery(rule, event, Some(Cause::Final(rule.head.epoch)), self.store.now()) };
            let mut row = DeliveryRow::new(owed, State::Held, rule.definition.plan.first_call().retry.max_attempts());
            row.reason = Some("held until the conversion is settled".to_owned());
            row.next_due = hold.settled_at.and(hold.due(delay));
            outbox.held.push(row);
        }
    }

    /// Carries out the outbox.
    pub(super) async fn flush(&self, rule: &Rule, outbox: &Outbox, now: Timestamp) -> Result<(), StoreError> {
        let mut listings = Vec::new();
        let insert = |row: &DeliveryRow| Swap {
            key: keys::delivery(&row.owed.id),
            expect: None,
            new: Some(self.store.delivery_item(row)),
        };
        if !outbox.held.is_empty() {
            let swapped = self.store.backend().swap(outbox.held.iter().map(insert).collect()).await;
            for (row, swapped) in outbox.held.iter().zip(swapped) {
                match swapped {
                    Swapped::Done => listings.push(Listing::of(row)),
                    // The row exists already, and may say more; its creation time counts.
                    Swapped::Conflict(Some(item)) => {
                        listings.extend(self.store.readable(&item).map(|row: DeliveryRow| Listing::of(&row)));
                    }
                    Swapped::Conflict(None) => {}
                    Swapped::Unavailable(error) => return Err(error),
                }
            }
        }
        let host = rule.definition.first_host();
        let mut effects = Effects::default();
        for owed in &outbox.send {
            hand_over(&self.store, &mut effects, host, owed.clone());
        }
        listings.extend(outbox.ended.iter().filter(|row| !row.owed.held).map(Listing::of));
        effects.put.extend(self.recorder.pages(&listings, now));
        self.store.commit_one(effects).await?;
        self.end_held(&outbox.ended).await
    }

    /// Writes the ends of deliveries that were never sent, unless more is known of them.
    async fn end_held(&self, ended: &[DeliveryRow]) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = ended.iter().map(|row| keys::delivery(&row.owed.id)).collect();
        for _ in 0..TRIES {
            let mut swaps = Vec::new();
            for ((row, key), stored) in ended.iter().zip(&keys).zip(self.store.backend().get(&keys).await?) {
                let known: Option<DeliveryRow> = stored.as_ref().map(rows::read_item).transpose()?;
                if known.is_none_or(|known| known.state == State::Held) {
                    let expect = stored.map(|item| item.rev);
                    swaps.push(Swap { key: key.clone(), expect, new: Some(self.store.delivery_item(row)) });
                }
            }
            let mut all_done = true;
            for swapped in self.store.backend().swap(swaps).await {
                all_done &= swapped.is_done()?;
            }
            if all_done {
                return Ok(());
            }
        }
        Err(StoreError::Contended("the row of what was held".to_owned()))
    }
}
