//! Holds: `delay: final` (domain §7), stored and released.
//!
//! Every change of a conversion updates every hold of it, and the hold of every final rule that may match it. What a hold owes goes
//! out first, as messages with ids that repeats share; then the hold says so. A crash in between sends them again, which the claims
//! catch.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracking_core::{
    change::{Change, Transaction},
    delivery::{Cause, DeliveryId, State, conversion_hash},
    event::{Event, EventKind, Order, Subject},
    hold::{Due, Ending, HeldSubject, Hold, Kind, Phase},
    id::Id,
    tracking_api::{Delay, Final},
};

use crate::{
    Engine,
    backend::{
        Backend, Effects, Lane, Message, Order as ReadOrder, Partition, Range, Received, Settle, Swap, Swapped, Unavailable,
    },
    deliver::SWITCHED_OFF,
    due, keys,
    matching::{self, deliver_message},
    record::Listing,
    rows::{self, DeliveryRow, Job, Task},
    rules::Rule,
};

/// A hold as it is stored.
#[derive(Serialize, Deserialize)]
struct HoldRow {
    epoch: u64,
    newest: Value,
    subjects: BTreeMap<String, SubjectRow>,
    settled_at: Option<Timestamp>,
    held_since: Option<Timestamp>,
    /// When its waker comes, so that none is sent twice.
    woken_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct SubjectRow {
    order: Order,
    kind: EventKind,
    transaction: Option<Value>,
    seen: u64,
    phase: PhaseRow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseRow {
    Held,
    Released(u64),
    Skipped(u64),
    Expired,
    SentAsWas,
}

struct Stored {
    hold: Hold,
    epoch: u64,
    woken_at: Option<Timestamp>,
    rev: Option<u64>,
}

impl<B: Backend> Engine<B> {
    /// Takes a change into the holds of its conversion: those that exist, and those of the rules that may match.
    pub(crate) async fn hold(&self, change: &Change, events: &[Event], candidates: Vec<Rule>) -> Result<(), Unavailable> {
        let now = self.now();
        let partition = Partition::Table(keys::conversion(&conversion_hash(&change.conversion.conversion_id)));
        let mut rules: BTreeMap<Id, Rule> = BTreeMap::new();
        for rule in candidates.into_iter().filter(|rule| rule.definition.conditions.fits_lasting(&change.conversion)) {
            rules.insert(rule.id.clone(), rule);
        }
        for item in self.backend.query(&partition, &Range::prefix("H#"), ReadOrder::Ascending, 1_000).await? {
            let Some(Ok(id)) = item.key.sort.strip_prefix("H#").map(str::parse::<Id>) else { continue };
            if !rules.contains_key(&id)
                && let Some(rule) = self.matching_rule(&id, now).await?
            {
                rules.insert(id, rule);
            }
        }
        try_join_all(rules.into_values().map(|rule| self.absorb(rule, change, events))).await?;
        Ok(())
    }

    async fn absorb(&self, mut rule: Rule, change: &Change, events: &[Event]) -> Result<(), Unavailable> {
        let conversion = &change.conversion.conversion_id;
        loop {
            let now = self.now();
            let stored = self.read_hold(conversion, &rule).await?;
            if stored.as_ref().is_some_and(|stored| stored.epoch > rule.head.epoch) {
                // The rule was switched off and on again, and this process has not seen it yet.
                let Some((fresh, _)) = self.read_rule(&rule.id).await? else { return Ok(()) };
                rule = fresh;
                continue;
            }
            let (delay, holds) = delay_of(&rule);
            let may_fire = holds && rule.head.live && matching::may_fire(change, &rule.id);
            let fired: Vec<Event> =
                events.iter().filter(|event| may_fire && rule.definition.trigger.fires_on(event.kind)).cloned().collect();
            let substance = !change.transactions.is_empty() || change.conversion.settled == Some(true);
            let begins = may_fire && (substance || !fired.is_empty());
            if stored.is_none() && !begins {
                return Ok(());
            }
            let mut stored = stored.unwrap_or_else(|| Stored {
                hold: Hold::begin(change, now),
                epoch: rule.head.epoch,
                woken_at: None,
                rev: None,
            });
            let before: BTreeSet<Subject> = stored.hold.held().map(|(subject, _)| subject.clone()).collect();
            let after_final = stored.hold.absorb(change, &fired, delay, now);
            if self.put_hold(&rule, delay, conversion, &mut stored, after_final, &before, now).await? {
                return Ok(());
            }
        }
    }

    /// Sends what the hold owes and files its waker; then writes the hold. `before` are the subjects that the log shows as held.
    /// `false`: somebody else changed the hold meanwhile.
    #[expect(clippy::too_many_arguments, reason = "one step of one hold")]
    async fn put_hold(
        &self,
        rule: &Rule,
        delay: Final,
        conversion: &Id,
        stored: &mut Stored,
        mut owed: Vec<Due>,
        before: &BTreeSet<Subject>,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let mut first = Effects::default();
        if rule.head.live {
            owed.extend(stored.hold.owed(delay, now));
        } else {
            // It sends nothing (P6), but what it knows of the conversion is kept up to date.
            owed.clear();
        }
        for due in owed {
            let sent = self.carry_out(rule, &due, &mut first, now).await?;
            stored.hold.conclude(&due, sent);
        }
        self.log_held(rule, delay, &stored.hold, before, &mut first, now).await?;
        let due = stored.hold.due(delay).filter(|due| rule.head.live && *due > now);
        if due.is_some() && due != stored.woken_at {
            let at = due.unwrap_or(now);
            let task = Task::Release { conversion: conversion.clone(), rule: rule.id.clone() };
            let message = Message {
                lane: Lane::Retry,
                group: format!("release#{}", rule.id),
                not_before: Some(at),
                body: rows::write(&task),
            };
            due::file(&mut first, message, &format!("H#{}#{conversion}", rule.id), now);
            stored.woken_at = due;
        }
        self.commit_one(first).await?;
        let key = keys::hold(conversion, &rule.id);
        let mut item = rows::item(key.clone(), &HoldRow::of(stored));
        if !stored.hold.is_open() {
            item.expires = Some(now + self.memory());
        }
        match self.swap_one(Swap { key, expect: stored.rev, new: Some(item) }).await {
            Swapped::Done => Ok(true),
            Swapped::Conflict(_) => Ok(false),
            Swapped::Unavailable(error) => Err(error),
        }
    }

    /// Turns something owed into a message or a row; whether it was handed over for sending.
    async fn carry_out(&self, rule: &Rule, due: &Due, effects: &mut Effects, now: Timestamp) -> Result<bool, Unavailable> {
        let cause = match due.kind {
            Kind::Final => Some(Cause::Final(rule.head.epoch)),
            Kind::Late => Some(Cause::Late(rule.head.epoch)),
            Kind::Change => None,
        };
        let mut event = due.event.clone();
        let judged = rule.definition.conditions.judge(&event, &due.transactions).map(Option::<&Transaction>::cloned);
        if let Ok(chosen) = &judged
            && !event.kind.is_transaction()
        {
            event.transaction.clone_from(chosen);
        }
        let mut job = self.job(rule, event, cause);
        if let Some(item) = self.backend.get(&[keys::delivery(&job.id)]).await?.pop().flatten() {
            let row: DeliveryRow = rows::read(&item.body)?;
            if row.state.is_ended() {
                return Ok(judged.is_ok());
            }
            // What was held keeps its place in the log.
            job.created_at = row.job.created_at;
            job.held = true;
        }
        let (state, reason) = match (due.instead, judged) {
            (None, Ok(_)) => {
                effects.send.push(deliver_message(rule.definition.request.host(), job));
                return Ok(true);
            }
            (Some(Ending::Expired), _) => (State::Expired, "the conversion was not settled within max_hold_days".to_owned()),
            (Some(Ending::FinalAlreadySent), _) => (State::Skipped, "final already sent".to_owned()),
            (None, Err(misses)) => {
                let why: Vec<String> = misses.into_iter().map(|miss| miss.detail).collect();
                (State::Skipped, format!("the conditions do not hold for the state to be sent: {}", why.join("; ")))
            }
        };
        let listed = job.held;
        let mut row = DeliveryRow::new(job, State::Held, rule.definition.retry.max_attempts());
        row.end(state, reason, now);
        effects.put.push(self.delivery_item(&row));
        if !listed {
            effects.put.extend(self.pages(&[Listing::of(&row)], now));
        }
        Ok(false)
    }

    /// Shows in the log what is held from now on. A row that is there already stays: it may tell more.
    async fn log_held(
        &self,
        rule: &Rule,
        delay: Final,
        hold: &Hold,
        before: &BTreeSet<Subject>,
        effects: &mut Effects,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let newly = hold.held().filter(|(subject, _)| !before.contains(subject));
        let rows: Vec<DeliveryRow> = newly.filter_map(|(subject, _)| self.held_row(rule, delay, hold, subject)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let swaps =
            rows.iter().map(|row| Swap { key: keys::delivery(&row.job.id), expect: None, new: Some(self.delivery_item(row)) });
        for swapped in self.backend.swap(swaps.collect()).await {
            if let Swapped::Unavailable(error) = swapped {
                return Err(error);
            }
        }
        let listings: Vec<Listing> = rows.iter().map(Listing::of).collect();
        effects.put.extend(self.pages(&listings, now));
        Ok(())
    }

    /// The row of a subject that is held from now on.
    fn held_row(&self, rule: &Rule, delay: Final, hold: &Hold, subject: &Subject) -> Option<DeliveryRow> {
        let event = hold.event_about(subject)?;
        let job = Job { held: true, ..self.job(rule, event, Some(Cause::Final(rule.head.epoch))) };
        let mut row = DeliveryRow::new(job, State::Held, rule.definition.retry.max_attempts());
        row.reason = Some("held until the conversion is settled".to_owned());
        row.next_due = hold.settled_at.and(hold.due(delay));
        Some(row)
    }

    /// A nudge: releases what a hold owes by now, or files its waker anew.
    pub(crate) async fn release(&self, received: &Received, conversion: &Id, rule_id: &Id) -> Result<(), Unavailable> {
        let done = || Effects { settle: vec![Settle::Done(received.receipt.clone())], ..Effects::default() };
        loop {
            let now = self.now();
            let Some((rule, _)) = self.read_rule(rule_id).await? else { return self.commit_one(done()).await };
            let (delay, _) = delay_of(&rule);
            let stored = self.read_hold(conversion, &rule).await?.filter(|_| rule.head.live);
            let Some(mut stored) = stored else { return self.commit_one(done()).await };
            if let Some(due) = stored.hold.due(delay).filter(|due| *due > now) {
                // Too early, or moved on: whoever moved it filed a waker for the new time, unless a crash came in between.
                let again = Settle::Again(received.receipt.clone(), due);
                let effects = if due <= now + due::LONGEST_VISIBILITY {
                    Effects { settle: vec![again], ..Effects::default() }
                } else {
                    let mut effects = done();
                    let message = Message {
                        lane: Lane::Retry,
                        group: format!("release#{rule_id}"),
                        not_before: Some(due),
                        body: received.body.clone(),
                    };
                    due::file(&mut effects, message, &format!("H#{rule_id}#{conversion}"), now);
                    effects
                };
                return self.commit_one(effects).await;
            }
            let before = stored.hold.held().map(|(subject, _)| subject.clone()).collect();
            if self.put_hold(&rule, delay, conversion, &mut stored, Vec::new(), &before, now).await? {
                return self.commit_one(done()).await;
            }
        }
    }

    /// Ends the rows of what was held before the rule was switched off (P6), where the search for them has missed any.
    async fn cancel_held(&self, conversion: &Id, rule: &Rule, stored: &Stored) -> Result<(), Unavailable> {
        let cause = Cause::Final(stored.epoch);
        let ids = stored.hold.held().map(|(subject, _)| DeliveryId::derive(conversion, &rule.id, &subject.to_string(), cause));
        let keys: Vec<_> = ids.map(|id| keys::delivery(&id)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut effects = Effects::default();
        for item in self.backend.get(&keys).await?.into_iter().flatten() {
            let mut row: DeliveryRow = rows::read(&item.body)?;
            if row.state == State::Held {
                row.end(State::Cancelled, SWITCHED_OFF, now);
                effects.put.push(self.delivery_item(&row));
            }
        }
        self.commit_one(effects).await
    }

    async fn read_hold(&self, conversion: &Id, rule: &Rule) -> Result<Option<Stored>, Unavailable> {
        let Some(item) = self.backend.get(&[keys::hold(conversion, &rule.id)]).await?.pop().flatten() else { return Ok(None) };
        let row: HoldRow = rows::read(&item.body)?;
        let mut stored = row.stored(item.rev)?;
        if stored.epoch < rule.head.epoch {
            self.cancel_held(conversion, rule, &stored).await?;
            stored.hold.cancel();
            stored.epoch = rule.head.epoch;
            stored.woken_at = None;
        }
        Ok(Some(stored))
    }
}

/// How a rule holds, and whether it still does: what it held before its delay was taken off is released by the usual settings.
fn delay_of(rule: &Rule) -> (Final, bool) {
    match rule.definition.delay {
        Delay::Final(delay) => (delay, true),
        Delay::None => (Final::default(), false),
    }
}

impl HoldRow {
    fn of(stored: &Stored) -> Self {
        let hold = &stored.hold;
        let subjects = hold.subjects.iter().map(|(subject, held)| {
            let row = SubjectRow {
                order: held.newest.0,
                kind: held.newest.1,
                transaction: held
                    .transaction
                    .as_ref()
                    .filter(|transaction| !hold.newest.transactions.contains(transaction))
                    .map(|transaction| serde_json::json!(transaction)),
                seen: held.seen,
                phase: match held.phase {
                    Phase::Held => PhaseRow::Held,
                    Phase::Released(at) => PhaseRow::Released(at),
                    Phase::Skipped(at) => PhaseRow::Skipped(at),
                    Phase::Expired => PhaseRow::Expired,
                    Phase::SentAsWas => PhaseRow::SentAsWas,
                },
            };
            (subject.to_string(), row)
        });
        Self {
            epoch: stored.epoch,
            newest: serde_json::json!(hold.newest),
            subjects: subjects.collect(),
            settled_at: hold.settled_at,
            held_since: hold.held_since,
            woken_at: stored.woken_at,
        }
    }

    fn stored(self, rev: u64) -> Result<Stored, Unavailable> {
        let unreadable = |error: &dyn std::fmt::Display| Unavailable(format!("a hold can't be read: {error}"));
        let newest = Change::parse_detail(&self.newest, "").map_err(|faults| unreadable(&faults))?;
        let mut subjects = BTreeMap::new();
        for (subject, row) in self.subjects {
            let subject: Subject = subject.parse().map_err(|error| unreadable(&error))?;
            let written = row.transaction.map(|value| Transaction::from_value(&value)).transpose();
            let listed =
                || newest.transactions.iter().find(|t| subject == Subject::Transaction(t.transaction_id.clone())).cloned();
            let held = HeldSubject {
                newest: (row.order, row.kind),
                transaction: written.map_err(|faults| unreadable(&faults))?.or_else(listed),
                seen: row.seen,
                phase: match row.phase {
                    PhaseRow::Held => Phase::Held,
                    PhaseRow::Released(at) => Phase::Released(at),
                    PhaseRow::Skipped(at) => Phase::Skipped(at),
                    PhaseRow::Expired => Phase::Expired,
                    PhaseRow::SentAsWas => Phase::SentAsWas,
                },
            };
            subjects.insert(subject, held);
        }
        let hold = Hold { newest, subjects, settled_at: self.settled_at, held_since: self.held_since };
        Ok(Stored { hold, epoch: self.epoch, woken_at: self.woken_at, rev: Some(rev) })
    }
}
