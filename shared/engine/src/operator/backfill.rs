//! Judging kept events for a rule that did not see them: counted first, then worked off by messages, each of which does one step.
//!
//! What a rule owes for an event has its id from both (P2): what exists already is left alone, and a step that is repeated makes
//! nothing twice.

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
    backend::{Backend, Effects, Key, Lane, Message, Partition, Range, Received, StoreError},
    delivery::{deliver_message, owed_now},
    holds::Foreseen,
    keys, limits,
    matching::kept::Kept,
    operator::{
        Operator,
        replay::{MOST_COUNTED, merged_place, per_second},
    },
    rows::{self, Task},
    rules::{Refused, Rule},
};

/// Events that are read at a time.
const FETCH: usize = 100;

/// What a backfill comes to.
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
    /// Where the next stretch begins, if there is one.
    next: Option<String>,
}

impl<B: Backend> Operator<B> {
    /// Judges the kept events of a period for a rule and makes what it owes for them, or only counts that (contract §3). Returns the
    /// counts, and whether it began.
    pub async fn backfill(&self, caller: &Caller, id: &Id, body: &Value) -> Result<(Value, bool), Refused> {
        self.rules.visible(caller, id).await?;
        let Backfill { period, dry_run } = Backfill::parse(body)?;
        if !self.store.settings.keep_events {
            return Err(Refused::Conflict("events are not kept here: there is nothing to fill in from".to_owned()));
        }
        let rule = self.sending(id).await?;
        if !dry_run {
            self.limits.charge_affiliate(caller, &limits::REPAIRS).await?;
        }
        let counted = self.count_backfill(&rule, &(period.from..period.to)).await?;
        let view = json!({
            "dry_run": dry_run, "events": counted.events, "deliveries": counted.deliveries, "held": counted.held,
            "already": counted.already, "complete": counted.complete, "per_second": per_second(&rule),
        });
        if !dry_run {
            let first = backfill_message(id, rule.head.epoch, &(period.from..period.to), None, None);
            self.store.commit_one(Effects { send: vec![first], ..Effects::default() }).await?;
            tracing::info!(tracking_api_id = %id, "a backfill begins");
        }
        Ok((view, !dry_run))
    }

    async fn count_backfill(&self, rule: &Rule, period: &Span<Timestamp>) -> Result<Counted, StoreError> {
        let mut counted = Counted::default();
        let mut foreseen = BTreeMap::new();
        let mut owed = BTreeSet::new();
        let mut place = None;
        let until = self.counting_ends();
        loop {
            let stretch = self.kept_stretch(period, place.take()).await?;
            // V3: how much happens to others is no affair of an affiliate.
            counted.events +=
                stretch.changes.iter().filter(|(change, _)| !is_foreign(&rule.head.owner, &change.conversion)).count();
            let mut ids = Vec::new();
            let changes = stretch.changes.iter().map(|(change, _)| change);
            match rule.definition.delay {
                Delay::None => {
                    for change in changes {
                        ids.extend(owed_now(rule, change, &change.events(), self.store.now()).into_iter().map(|job| job.id));
                    }
                }
                Delay::Final(_) => self.holds.foresee(rule, changes, &mut foreseen).await?,
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
        for hold in foreseen.into_values() {
            let Foreseen { owed, held, already } = self.holds.foreseen(rule, &hold);
            counted.deliveries += owed;
            counted.held += held;
            counted.already += already;
        }
        Ok(counted)
    }

    /// One step of a backfill: makes about a second's worth of what is owed, and asks for the next step.
    pub(crate) async fn backfill_step(
        &self,
        received: &Received,
        id: &Id,
        epoch: u64,
        period: Span<Timestamp>,
        place: Option<String>,
    ) -> Result<(), StoreError> {
        let rule = self.rules.read_rule(id).await?.map(|(rule, _)| rule);
        let Some(rule) = rule.filter(|rule| rule.head.sends(epoch)) else { return self.store.commit_one(received.done()).await };
        let rate = per_second(&rule);
        let stretch = self.kept_stretch(&period, place).await?;
        let (mut jobs, mut absorbed, mut stopped_at) = (Vec::new(), 0, None);
        for (change, after) in &stretch.changes {
            match rule.definition.delay {
                Delay::None => jobs.extend(owed_now(&rule, change, &change.events(), self.store.now())),
                Delay::Final(_) => absorbed += usize::from(self.holds.hold_for(&rule, change).await?),
            }
            if jobs.len() + absorbed >= rate as usize {
                stopped_at = Some(after.clone());
                break;
            }
        }
        let ids: Vec<DeliveryId> = jobs.iter().map(|job| job.id.clone()).collect();
        let existing = self.existing(&ids).await?;
        let mut effects = received.done();
        let new = jobs.into_iter().filter(|job| !existing.contains(&job.id));
        effects.send.extend(new.map(|job| deliver_message(rule.definition.request.host(), job)));
        let count = effects.send.len() + absorbed;
        if let Some(place) = stopped_at.or(stretch.next) {
            effects.send.push(backfill_message(id, epoch, &period, Some(place), self.next_step(count, rate)));
        }
        tracing::info!(tracking_api_id = %rule.id, count, "backfilled");
        self.store.commit_one(effects).await
    }

    /// The kept changes of a period from a place on, in the order in which they were received.
    async fn kept_stretch(&self, period: &Span<Timestamp>, place: Option<String>) -> Result<Stretch, StoreError> {
        let partitions: Vec<_> = keys::kept_events().into_iter().map(Partition::Trouble).collect();
        let from = place.unwrap_or_else(|| keys::sortable(period.start));
        let range = Range { from: Some(from), before: Some(keys::sortable(period.end)) };
        let found = self.merged(&partitions, &range, FETCH).await?;
        let keys: Vec<Key> = found.iter().map(|item| item.key.clone()).collect();
        let items = if keys.is_empty() { Vec::new() } else { self.store.backend().get(&keys).await? };
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

    /// Those of these deliveries that the log has.
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

fn backfill_message(
    rule: &Id,
    epoch: u64,
    period: &Span<Timestamp>,
    place: Option<String>,
    not_before: Option<Timestamp>,
) -> Message {
    let task = Task::Backfill { rule: rule.clone(), epoch, from: period.start, to: period.end, place };
    Message { lane: Lane::Retry, group: format!("backfill#{rule}"), not_before, body: rows::write(&task) }
}
