//! Holds: `delay: final` (F1–F5), stored and released.
//!
//! Every change of a conversion updates every hold of it, and the hold of every final rule that may match it. The hold's effects
//! (postbacks to hand over, deliveries to end or to show as held) are decided and written with it in one compare-and-set, and carried out
//! after it from its [`outbox`].

mod dry_run;
mod early;
mod outbox;
mod peek;
mod row;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tracking_core::{
    change::Change,
    delivery::{Cause, DeliveryId, State, conversion_hash},
    event::{Event, Subject},
    hold::{DuePostback, Hold},
    id::Id,
    matching::Taken,
    tracking_api::{Delay, Final},
};

use crate::{
    backend::{Ack, Backend, Effects, Lane, Message, Order as ReadOrder, Partition, Range, Received, StoreError, Swap},
    delivery::SWITCHED_OFF,
    due, keys,
    recorder::Recorder,
    rows::{self, DeliveryRow, Task, is_long},
    rules::{Rule, Rules},
    store::Store,
};
pub(crate) use dry_run::DryRunCount;
pub(crate) use early::is_own;
use outbox::Outbox;
pub use peek::HoldInternals;
pub(crate) use peek::peek;
use row::{HoldRow, Stored};

/// Conversions whose final postback waits.
#[derive(Debug)]
pub(crate) struct Holds<B> {
    store: Arc<Store<B>>,
    rules: Arc<Rules<B>>,
    recorder: Arc<Recorder<B>>,
}

impl<B: Backend> Holds<B> {
    /// The service over these.
    pub(crate) fn new(rules: &Arc<Rules<B>>, recorder: &Arc<Recorder<B>>) -> Self {
        Self { store: Arc::clone(&rules.store), rules: Arc::clone(rules), recorder: Arc::clone(recorder) }
    }

    /// Takes a change into the holds of its conversion: those that exist, and those of the rules that may match.
    pub(crate) async fn hold(&self, change: &Change, events: &[Event], candidates: Vec<Rule>) -> Result<(), StoreError> {
        let now = self.store.now();
        let partition = Partition::Table(keys::conversion(&conversion_hash(&change.conversion.conversion_id)));
        let mut rules: BTreeMap<Id, Rule> = BTreeMap::new();
        for rule in candidates.into_iter().filter(|rule| rule.candidate().may_begin(&change.conversion)) {
            rules.insert(rule.id.clone(), rule);
        }
        for item in self.store.backend().query(&partition, &Range::prefix("H#"), ReadOrder::Ascending, 1_000).await? {
            let Some(Ok(id)) = item.key.sort.strip_prefix("H#").map(str::parse::<Id>) else { continue };
            if !rules.contains_key(&id)
                && let Some(rule) = self.rules.matching_rule(&id, now).await?
            {
                rules.insert(id, rule);
            }
        }
        // Each hold stores the change in its row: holds with a long change are written one after another.
        let at_once = if is_long(&change.conversion) { 1 } else { rules.len().max(1) };
        let mut absorbed = stream::iter(rules.into_values().map(|rule| self.absorb(rule, change, events))).buffered(at_once);
        while let Some(absorbed) = absorbed.next().await {
            // The change goes into the holds that can be read; the others stay as they are.
            StoreError::pass_over(absorbed)?;
        }
        Ok(())
    }

    pub(crate) async fn absorb(&self, mut rule: Rule, change: &Change, events: &[Event]) -> Result<(), StoreError> {
        let conversion = &change.conversion.conversion_id;
        loop {
            let now = self.store.now();
            let stored = self.read_hold(conversion, &rule).await?;
            if stored.as_ref().is_some_and(|stored| stored.epoch > rule.head.epoch) {
                // The rule was switched off and on again, and this process has not seen it yet.
                let Some((fresh, _)) = self.rules.read_rule(&rule.id).await? else { return Ok(()) };
                rule = fresh;
                continue;
            }
            let delay = delay_of(&rule);
            let Taken { fired, begins } = rule.candidate().takes(change, events);
            if stored.is_none() && !begins {
                return Ok(());
            }
            let mut stored = stored.unwrap_or_else(|| Stored {
                hold: Hold::begin(change, now),
                epoch: rule.head.epoch,
                woken_at: None,
                outbox: Outbox::default(),
                rev: None,
            });
            let before: Vec<Subject> = stored.hold.held().map(|(subject, _)| subject.clone()).collect();
            let after_final = stored.hold.absorb(change, &fired, delay, now);
            if self.put_hold(&rule, delay, &mut stored, after_final, &before).await? {
                return Ok(());
            }
        }
    }

    /// Decides the hold's effects, files its waker, writes the hold, and carries the effects out. `before` are the subjects that the log
    /// shows as held. `false`: somebody else changed the hold meanwhile.
    async fn put_hold(
        &self,
        rule: &Rule,
        delay: Final,
        stored: &mut Stored,
        mut owed: Vec<DuePostback>,
        before: &[Subject],
    ) -> Result<bool, StoreError> {
        let now = self.store.now();
        let conversion = stored.hold.newest.conversion.conversion_id.clone();
        if rule.head.live {
            owed.extend(stored.hold.owed(delay, now));
        } else {
            // The rule sends nothing (P6), but the hold's knowledge of the conversion is kept up to date.
            owed.clear();
        }
        for due in owed {
            let sent = self.carry_out(rule, &due, &mut stored.outbox, now).await?;
            stored.hold.conclude(&due, sent);
        }
        self.note_held(rule, delay, &stored.hold, before, &mut stored.outbox);
        let due = stored.hold.due(delay).filter(|due| rule.head.live && *due > now);
        if let Some(at) = due.filter(|_| due != stored.woken_at) {
            let mut waker = Effects::default();
            due::file(&mut waker, release_message(&conversion, &rule.id, at), &format!("H#{}#{conversion}", rule.id), now);
            self.store.commit_one(waker).await?;
            stored.woken_at = due;
        }
        if !self.write_hold(rule, &conversion, stored, now).await? {
            return Ok(false);
        }
        if let Some(at) = due.filter(|at| *at <= self.store.now()) {
            // The waker may have come before the hold was written, and found nothing to do.
            let waker = Effects { send: vec![release_message(&conversion, &rule.id, at)], ..Effects::default() };
            self.store.commit_one(waker).await?;
        }
        if !stored.outbox.is_empty() {
            self.flush(rule, &stored.outbox, now).await?;
            stored.outbox = Outbox::default();
            // If somebody else changed it meanwhile, that writer has taken the outbox over and sends it again, which does no harm.
            self.write_hold(rule, &conversion, stored, now).await?;
        }
        Ok(true)
    }

    /// Writes the hold if nobody else has changed it since it was read.
    async fn write_hold(&self, rule: &Rule, conversion: &Id, stored: &mut Stored, now: Timestamp) -> Result<bool, StoreError> {
        let key = keys::hold(conversion, &rule.id);
        self.store.set_all_aside(stored.outbox.all_owed_mut()).await?;
        let mut item = rows::item_as(stored.outbox.format(), key.clone(), &HoldRow::of(stored));
        if !stored.hold.is_open() {
            item.expires = Some(now + self.store.memory());
        }
        let written = self.store.swap_one(Swap { key, expect: stored.rev, new: Some(item) }).await.is_done()?;
        if written {
            stored.rev = Some(stored.rev.map_or(1, |rev| rev + 1));
        }
        Ok(written)
    }

    /// Handles a nudge: releases the postbacks that a hold owes by now, or files its waker again.
    pub(crate) async fn release(&self, received: &Received, conversion: &Id, rule_id: &Id) -> Result<(), StoreError> {
        loop {
            let now = self.store.now();
            let Some((rule, _)) = self.rules.read_rule(rule_id).await? else {
                // The deliveries that it held go with it (P6).
                let gone = Effects { delete: vec![keys::hold(conversion, rule_id)], ..received.done() };
                return self.store.commit_one(gone).await;
            };
            let delay = delay_of(&rule);
            let stored = self.read_hold(conversion, &rule).await?.filter(|_| rule.head.live);
            let Some(mut stored) = stored else { return self.store.commit_one(received.done()).await };
            if let Some(due) = stored.hold.due(delay).filter(|due| *due > now && stored.outbox.is_empty()) {
                // Too early, or moved on: the writer that moved it filed a waker for the new time, unless a crash came in between.
                let again = Ack::Defer(received.receipt.clone(), due);
                let effects = if due <= now + self.store.backend().longest_wait() {
                    Effects { acks: vec![again], ..Effects::default() }
                } else {
                    let mut effects = received.done();
                    due::file(&mut effects, release_message(conversion, rule_id, due), &format!("H#{rule_id}#{conversion}"), now);
                    effects
                };
                return self.store.commit_one(effects).await;
            }
            let before: Vec<Subject> = stored.hold.held().map(|(subject, _)| subject.clone()).collect();
            if self.put_hold(&rule, delay, &mut stored, Vec::new(), &before).await? {
                return self.store.commit_one(received.done()).await;
            }
        }
    }

    /// Ends the rows of deliveries held before the rule was switched off (P6), where the search for them has missed any.
    async fn cancel_held(&self, conversion: &Id, rule: &Rule, stored: &Stored) -> Result<(), StoreError> {
        let cause = Cause::Final(stored.epoch);
        let ids = stored.hold.held().map(|(subject, _)| DeliveryId::derive(conversion, &rule.id, &subject.to_string(), cause));
        let keys: Vec<_> = ids.map(|id| keys::delivery(&id)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.store.now();
        let mut swaps = Vec::new();
        for item in self.store.backend().get(&keys).await?.into_iter().flatten() {
            let Some(mut row) = self.store.readable::<DeliveryRow>(&item) else { continue };
            if row.state == State::Held {
                row.end(State::Cancelled, SWITCHED_OFF, now);
                swaps.push(Swap { key: item.key, expect: Some(item.rev), new: Some(self.store.delivery_item(&row)) });
            }
        }
        for swapped in self.store.backend().swap(swaps).await {
            // If somebody else was faster, that writer knows more of it.
            swapped.is_done()?;
        }
        Ok(())
    }

    async fn read_hold(&self, conversion: &Id, rule: &Rule) -> Result<Option<Stored>, StoreError> {
        let Some(item) = self.store.get_one(keys::hold(conversion, &rule.id)).await? else { return Ok(None) };
        let read = rows::read::<HoldRow>(&item.body).and_then(|row| row.stored(item.rev));
        let mut stored = read.inspect_err(|error| self.store.note_unreadable(&item.key, error))?;
        if stored.epoch < rule.head.epoch {
            self.cancel_held(conversion, rule, &stored).await?;
            stored.hold.cancel();
            stored.epoch = rule.head.epoch;
            stored.woken_at = None;
        }
        Ok(Some(stored))
    }
}

/// The settings of a rule's holds. Deliveries held before its delay was removed are released by the usual settings.
fn delay_of(rule: &Rule) -> Final {
    match rule.definition.delay {
        Delay::Final(delay) => delay,
        Delay::None | Delay::Fixed(_) => Final::default(),
    }
}

/// Asks to look at a hold at this time.
fn release_message(conversion: &Id, rule: &Id, at: Timestamp) -> Message {
    let task = Task::Release { conversion: conversion.clone(), rule: rule.clone() };
    Message { lane: Lane::Retry, group: format!("release#{rule}"), not_before: Some(at), body: rows::write_task(&task) }
}
