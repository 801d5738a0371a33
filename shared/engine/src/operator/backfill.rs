//! Judging kept events for a rule that did not see them: counted first, then worked off by messages, one step each.
//!
//! The id of a delivery follows from the rule and the event (P2): existing deliveries are left alone, and a repeated step makes nothing
//! twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range as Span,
};

use jiff::Timestamp;
use tracking_core::{
    caller::Caller, change::Change, delivery::DeliveryId, id::Id, json, json::Value, matching::is_foreign, repair::Backfill,
    tracking_api::Delay,
};

use crate::{
    backend::{Backend, Key, Lane, Message, Partition, Range, Received, StoreError},
    delivery::{hand_over, owed_now},
    holds::DryRunCount,
    keys, limits,
    matching::kept::Kept,
    operator::{
        Operator,
        replay::{MOST_COUNTED, merged_place, per_second},
        replays::{Begin, Progress, ReplayKind},
    },
    rows::{self, Backfilling, Task},
    rules::{Refused, Rule},
};

/// Events that are read at a time.
const FETCH: usize = 100;

/// The counts of a backfill.
#[derive(Debug, Default)]
struct Counted {
    events: usize,
    deliveries: usize,
    held: usize,
    already: usize,
    complete: bool,
}

/// A stretch of kept events.
struct Stretch {
    /// Each with the place after it.
    changes: Vec<(Change, String)>,
    /// The place at which the next stretch begins, if there is one.
    next: Option<String>,
}

impl<B: Backend> Operator<B> {
    /// Judges the kept events of a period for a rule and makes the deliveries that it owes for them, or only counts them (docs/api.md).
    /// Returns the counts, and true if it began.
    pub async fn backfill(&self, caller: &Caller, id: &Id, body: &Value) -> Result<(Value, bool), Refused> {
        self.rules.visible(caller, id).await?;
        let Backfill { period, dry_run } = Backfill::parse(body)?;
        if !self.store.settings.keep_events {
            return Err(Refused::Conflict("events are not kept here: there is nothing to fill in from".to_owned()));
        }
        let rule = self.sending(id).await?;
        if !dry_run {
            self.replays.check_none_runs(id).await?;
            self.limits.charge_affiliate(caller, &limits::REPAIRS).await?;
        }
        let counted = self.dry_run_backfill(&rule, &(period.from..period.to)).await?;
        let mut view = json!({
            "dry_run": dry_run, "events": counted.events, "deliveries": counted.deliveries, "held": counted.held,
            "already": counted.already, "complete": counted.complete, "per_second": per_second(&rule),
        });
        if !dry_run {
            let expected = ((counted.deliveries + counted.held) as u64, counted.complete);
            let (from, to) = (period.from, period.to);
            let begin = Begin { kind: ReplayKind::Backfill, from, to, states: Vec::new(), force: false, expected };
            let (rule_id, epoch) = (id.clone(), rule.head.epoch);
            view["id"] = self
                .replays
                .begin_replay(&rule, begin, |id, asked_at| {
                    let id = id.to_string();
                    backfill_message(&Backfilling { rule: rule_id, epoch, id, asked_at, from, to, place: None }, None)
                })
                .await?;
            tracing::info!(tracking_api_id = %id, "a backfill begins");
        }
        Ok((view, !dry_run))
    }

    async fn dry_run_backfill(&self, rule: &Rule, period: &Span<Timestamp>) -> Result<Counted, StoreError> {
        let mut counted = Counted::default();
        let mut dry_holds = BTreeMap::new();
        let mut owed = BTreeSet::new();
        let mut place = None;
        let until = self.counting_ends();
        loop {
            let stretch = self.kept_stretch(period, place.take()).await?;
            // V3: events of other affiliates are not counted for an affiliate.
            counted.events +=
                stretch.changes.iter().filter(|(change, _)| !is_foreign(&rule.head.owner, &change.conversion)).count();
            let mut ids = Vec::new();
            let changes = stretch.changes.iter().map(|(change, _)| change);
            match rule.definition.delay {
                Delay::None | Delay::Fixed(_) => {
                    for change in changes {
                        ids.extend(owed_now(rule, change, &change.events(), self.store.now()).into_iter().map(|owed| owed.id));
                    }
                }
                Delay::Final(_) => self.holds.dry_run(rule, changes, &mut dry_holds).await?,
            }
            ids.retain(|id| owed.insert(id.clone()));
            let existing = self.existing(&ids).await?;
            counted.already += existing.len();
            counted.deliveries += ids.len() - existing.len();
            counted.complete = stretch.next.is_none();
            if counted.complete || counted.events >= MOST_COUNTED || self.store.now() >= until {
                break;
            }
            place = stretch.next;
        }
        for hold in dry_holds.into_values() {
            let DryRunCount { owed, held, already } = self.holds.dry_run_count(rule, &hold);
            counted.deliveries += owed;
            counted.held += held;
            counted.already += already;
        }
        Ok(counted)
    }

    /// One step of a backfill: makes about a second's worth of the owed deliveries, and asks for the next step.
    pub(crate) async fn backfill_step(&self, received: &Received, backfilling: Backfilling) -> Result<(), StoreError> {
        if self.replays.held_up(received, &backfilling.id, backfilling.asked_at).await? {
            return Ok(());
        }
        let rule = self.rules.read_rule(&backfilling.rule).await?.map(|(rule, _)| rule);
        let Some(rule) = rule.filter(|rule| rule.head.sends(backfilling.epoch)) else {
            self.replays.end_with_rule(&backfilling.id).await?;
            return self.store.commit_one(received.done()).await;
        };
        let rate = per_second(&rule);
        let stretch = self.kept_stretch(&(backfilling.from..backfilling.to), backfilling.place.clone()).await?;
        let (mut all_owed, mut absorbed, mut stopped_at, mut looked_at) = (Vec::new(), 0, None, 0);
        for (change, after) in &stretch.changes {
            // V3: events of other affiliates are not counted for an affiliate.
            looked_at += u64::from(!is_foreign(&rule.head.owner, &change.conversion));
            match rule.definition.delay {
                Delay::None | Delay::Fixed(_) => all_owed.extend(owed_now(&rule, change, &change.events(), self.store.now())),
                Delay::Final(_) => absorbed += usize::from(self.holds.hold_for(&rule, change).await?),
            }
            if all_owed.len() + absorbed >= rate as usize {
                stopped_at = Some(after.clone());
                break;
            }
        }
        let ids: Vec<DeliveryId> = all_owed.iter().map(|owed| owed.id.clone()).collect();
        let existing = self.existing(&ids).await?;
        let mut effects = received.done();
        for owed in all_owed.into_iter().filter(|owed| !existing.contains(&owed.id)) {
            hand_over(&self.store, &mut effects, rule.definition.first_host(), owed);
        }
        let count = effects.send.len() + absorbed;
        let next = stopped_at.or(stretch.next);
        let did = Progress { looked_at, deliveries: effects.send.len() as u64, held: absorbed as u64 };
        self.replays.note_step(&backfilling.id, backfilling.place.as_deref(), did, next.as_deref()).await?;
        if let Some(place) = next {
            let next = Backfilling { place: Some(place), ..backfilling };
            effects.send.push(backfill_message(&next, self.next_step(count, rate)));
        }
        tracing::info!(tracking_api_id = %rule.id, count, "backfilled");
        self.store.commit_one(effects).await
    }

    /// The kept changes of a period from a place on, in the order in which they were received.
    async fn kept_stretch(&self, period: &Span<Timestamp>, place: Option<String>) -> Result<Stretch, StoreError> {
        let partitions: Vec<_> = keys::kept_events().into_iter().map(Partition::Attention).collect();
        let from = place.unwrap_or_else(|| keys::sortable(period.start));
        let range = Range { from: Some(from), before: Some(keys::sortable(period.end)) };
        let found = self.merged(&partitions, &range, FETCH).await?;
        let keys: Vec<Key> = found.iter().map(|item| item.key.clone()).collect();
        let items = self.store.get_all(&keys).await?;
        let after = |place: &str| format!("{place}\0");
        let mut changes = Vec::new();
        for (item, listed) in items.into_iter().zip(&found) {
            let Some(item) = item else { continue };
            if let Some(Kept { change, .. }) = self.store.or_unreadable(&item, Kept::read(&item)).flatten() {
                changes.push((change, after(merged_place(listed))));
            }
        }
        let next = found.last().filter(|_| found.len() == FETCH).map(|last| after(merged_place(last)));
        Ok(Stretch { changes, next })
    }

    /// The ones of these deliveries that the log has.
    async fn existing(&self, ids: &[DeliveryId]) -> Result<BTreeSet<DeliveryId>, StoreError> {
        let mut existing = BTreeSet::new();
        for ids in ids.chunks(FETCH) {
            let keys: Vec<Key> = ids.iter().map(keys::delivery).collect();
            for (item, id) in self.store.backend().get(&keys).await?.into_iter().zip(ids) {
                existing.extend(item.map(|_| id.clone()));
            }
        }
        Ok(existing)
    }
}

fn backfill_message(backfilling: &Backfilling, not_before: Option<Timestamp>) -> Message {
    let group = format!("backfill#{}", backfilling.rule);
    Message { lane: Lane::Retry, group, not_before, body: rows::write_task(&Task::Backfill(Box::new(backfilling.clone()))) }
}
