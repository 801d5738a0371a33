//! The rows that were read about a delivery: as people see them, and as the circumstances from which [`standstill`] derives the reason.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{DeliveryId, State},
    event::{Order as Place, Subject},
    id::Id,
    receiver::{LONGEST_OUTAGE, ReceiverState},
    standstill::{Circumstances, HoldNow, KnownRow, RateNow, ReceiverNow, RuleNow, Standstill, standstill},
    subject_queue::{Claim, ClaimRequest, Entry, Present, Recorded, SubjectQueue},
};

use super::view::{
    ClaimInternals, DueRowInternals, EntryInternals, HoldInternals, Internals, OutboxInternals, QueueInternals, RateInternals,
    RowInternals, RuleInternals, UnreadableRow,
};
use crate::{
    backend::Key,
    delivery::{LONGEST_WAIT, PATIENCE},
    keys,
    rate::NextSlot,
    receivers::row::ReceiverRow,
    rows::{DeliveryRow, Outbox, OwedDelivery},
    rules::{Rule, RuleHead},
};

/// The timeout and the attempts of a rule whose text can't be read: only the reading of its subject queue depends on them.
const USUAL_TIMEOUT_SECONDS: u32 = 40;
const USUAL_MAX_ATTEMPTS: u32 = 13;

/// The rule and subject of a delivery, by which its other rows are found.
pub(super) struct About {
    pub(super) rule: Id,
    pub(super) subject: Subject,
    place: Place,
}

/// The rows about a delivery, as far as they can be read.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) row: Option<(u64, DeliveryRow)>,
    pub(super) queue: Option<(u64, SubjectQueue)>,
    pub(super) head: Option<RuleHead>,
    pub(super) rule: Option<Rule>,
    pub(super) free: Option<NextSlot>,
    pub(super) hold: Option<(HoldInternals, HoldNow)>,
    /// The receiver that it waits for.
    pub(super) receiver: Option<ReceiverRow>,
    pub(super) due: Vec<DueRowInternals>,
    pub(super) swept: Option<Timestamp>,
    /// The rows of the others on its subject queue, and of the first one of its change.
    pub(super) others: HashMap<DeliveryId, DeliveryRow>,
    unreadable: Vec<Key>,
}

/// The delivery that is looked at, and the present time.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) id: &'a DeliveryId,
    pub(super) present: Present,
}

impl About {
    pub(super) fn of(row: &DeliveryRow) -> Self {
        let event = row.owed.event.known();
        Self { rule: row.owed.rule.clone(), subject: event.subject(), place: event.order() }
    }

    /// Reads them from the key of a subject queue.
    pub(super) fn at(queue: &Key, place: Place) -> Option<Self> {
        let (rule, subject) = queue.sort.strip_prefix(keys::SUBJECT_QUEUES)?.split_once('#')?;
        Some(Self { rule: rule.parse().ok()?, subject: subject.parse().ok()?, place })
    }
}

impl Rows {
    /// Notes a row that can't be read.
    pub(super) fn note(&mut self, key: Key) {
        if !self.unreadable.contains(&key) {
            self.unreadable.push(key);
        }
    }

    /// The internals as people see them.
    pub(super) fn view(self, look: Look<'_>, about: Option<About>) -> Internals {
        let unbound = self.unbound();
        let rule_now = self.rule_now(unbound.as_deref());
        let sends = matches!(rule_now, RuleNow::Sends(_));
        let circumstances = Circumstances { rule: rule_now, ..self.circumstances(look, about.as_ref()) };
        let Standstill { cause, why, until } = standstill(&circumstances);
        let subject_queue = about.as_ref().and_then(|_| self.queue(look));
        let rule = self.head.as_ref().filter(|head| !head.deleted);
        Internals {
            id: look.id.clone(),
            at: look.present.now,
            cause,
            why,
            until,
            subject: about.as_ref().map(|about| about.subject.to_string()),
            tracking_api_id: about.map(|about| about.rule),
            row: self.row.as_ref().map(|(revision, row)| shown_row(*revision, row)),
            rule: rule.map(|head| shown_rule(head, self.rule.as_ref(), sends)),
            subject_queue,
            hold: self.hold.map(|(hold, _)| hold),
            due_rows: self.due,
            rate: self.free.map(|free| RateInternals { free_from: free.from, late_from: free.late }),
            swept_until: self.swept,
            unreadable: self.unreadable.into_iter().map(|Key { partition, sort }| UnreadableRow { partition, sort }).collect(),
        }
    }

    fn circumstances<'a>(&'a self, look: Look<'_>, about: Option<&About>) -> Circumstances<'a> {
        let row = self.row.as_ref().map(|(_, row)| row);
        let held = row.is_some_and(|row| row.state == State::Held);
        let queue = self.queue.as_ref().map(|(_, queue)| queue);
        let position = about.map(|about| {
            let recorded = |id: &DeliveryId| self.recorded(id, look.id);
            queue.unwrap_or(&SubjectQueue::default()).position(&self.claim_request(look, look.id, about.place), &recorded)
        });
        let own_due = |due: &&DueRowInternals| due.sort.ends_with(&format!("#D#{}", look.id));
        Circumstances {
            now: look.present.now,
            row: row.map(|row| KnownRow {
                state: row.state,
                reason: row.reason.as_deref(),
                next_due: row.next_due,
                ended_at: row.ended_at,
            }),
            rule: RuleNow::Unknown,
            position,
            unreadable: self.unreadable.iter().find_map(|key| decisive(key, look.id, held)),
            patient_until: self.owed().map(|owed| owed.created_at + PATIENCE),
            hold: held.then(|| self.hold.as_ref().map_or(HoldNow::Released, |(_, hold)| *hold)),
            filed: self.due.iter().find(own_due).map(|due| due.at),
            receiver: self.receiver_now(),
        }
    }

    /// The receiver that it waits for, if that is down.
    fn receiver_now(&self) -> Option<ReceiverNow<'_>> {
        let (_, row) = self.row.as_ref()?;
        let (wait, standing) = (row.receiver_wait.as_ref()?, self.receiver.as_ref()?);
        let since = standing.health.down_since.filter(|_| row.state == State::Waiting && row.next_due.is_none())?;
        let recovers = standing.health.state == ReceiverState::HalfOpen;
        Some(ReceiverNow { host: &standing.receiver.host, since, recovers, until: wait.since + LONGEST_OUTAGE })
    }

    fn owed(&self) -> Option<&OwedDelivery> {
        self.row.as_ref().map(|(_, row)| &row.owed)
    }

    /// The claim request that a message of a delivery on this subject queue would make now.
    fn claim_request<'a>(&'a self, look: Look<'_>, id: &'a DeliveryId, order: Place) -> ClaimRequest<'a> {
        let definition = self.rule.as_ref().map(|rule| &rule.definition);
        let budget =
            || self.row.as_ref().map_or(USUAL_MAX_ATTEMPTS, |(_, row)| row.max_attempts - row.base.min(row.max_attempts));
        let flow = self.row.as_ref().and_then(|(_, row)| row.flow.as_ref());
        let call = definition.map(|rule| {
            let step = flow.and_then(|flow| rule.plan.call(&flow.step));
            step.unwrap_or_else(|| rule.plan.first_call())
        });
        let owed = if id == look.id { self.owed() } else { self.others.get(id).map(|row| &row.owed) };
        let after = owed.filter(|owed| owed.created_at + PATIENCE > look.present.now).and_then(|owed| owed.after.as_ref());
        ClaimRequest {
            id,
            order,
            after,
            // No hand-out has this receive id.
            receive_id: "",
            present: look.present,
            timeout_seconds: call.map_or(USUAL_TIMEOUT_SECONDS, |call| call.request.timeout().seconds()),
            step: None,
            max_attempts: call.filter(|_| flow.is_none()).map_or_else(budget, |call| call.retry.max_attempts()),
        }
    }

    fn recorded(&self, id: &DeliveryId, own: &DeliveryId) -> Option<Recorded> {
        let own = self.row.as_ref().filter(|_| id == own).map(|(_, row)| row);
        own.or_else(|| self.others.get(id)).map(DeliveryRow::recorded)
    }

    /// The reason why the rule waits for a secret, if it does.
    fn unbound(&self) -> Option<String> {
        let rule = self.rule.as_ref()?;
        rule.head.unbound(&rule.definition).map(|(reason, _)| reason)
    }

    fn rule_now<'a>(&self, unbound: Option<&'a str>) -> RuleNow<'a> {
        let is_rule = |key: &&Key| key.partition.starts_with("R#") && key.sort != keys::PACE;
        if self.unreadable.iter().any(|key| is_rule(&key)) {
            return RuleNow::Unknown;
        }
        let Some(head) = self.head.as_ref().filter(|head| !head.deleted) else { return RuleNow::Deleted };
        if !head.live {
            return RuleNow::Off;
        }
        if self.owed().is_some_and(|owed| !head.sends(owed.epoch)) {
            return RuleNow::OffSince;
        }
        let since = self.row.as_ref().and_then(|(_, row)| row.waits_since);
        let until = since.map(|since| since + LONGEST_WAIT);
        if let Some(reason) = unbound {
            return RuleNow::Unbound { reason, until };
        }
        if self.rule.as_ref().is_some_and(|rule| rule.definition.pause) {
            return RuleNow::Paused { until };
        }
        let rate = self.rule.as_ref().and_then(|rule| rule.definition.rate_per_second);
        RuleNow::Sends(rate.map(|per_second| RateNow { per_second, free_from: self.free.map(|free| free.from) }))
    }

    fn queue(&self, look: Look<'_>) -> Option<QueueInternals> {
        let (revision, queue) = self.queue.as_ref()?;
        let entries = queue.entries.iter().map(|entry| self.entry(queue, entry, look)).collect();
        Some(QueueInternals { revision: *revision, head: queue.head, entries })
    }

    fn entry(&self, queue: &SubjectQueue, entry: &Entry, look: Look<'_>) -> EntryInternals {
        let recorded = |id: &DeliveryId| self.recorded(id, look.id);
        let is_this = entry.id == *look.id;
        let row = if is_this { self.row.as_ref().map(|(_, row)| row) } else { self.others.get(&entry.id) };
        let is_open = row.is_none_or(|row| !row.state.is_ended());
        let behind = || queue.blocker(&self.claim_request(look, &entry.id, entry.order), &recorded);
        EntryInternals {
            id: entry.id.clone(),
            is_this,
            version: entry.order.version,
            rank: entry.order.rank,
            attempts: entry.attempts,
            base: entry.base,
            instruction: entry.instruction,
            claim: entry
                .claim
                .as_ref()
                .map(|claim| shown_claim(claim, is_open && row.is_none_or(|row| row.attempts < entry.attempts), look)),
            parked_until: entry.parked_until,
            slot: entry.slot,
            returns: entry.returns,
            state: row.map(|row| row.state),
            recorded: row.map(|row| row.attempts),
            behind: is_open.then(behind).flatten(),
        }
    }
}

/// Names a row that the delivery needs: while the row can't be read, the delivery neither moves nor ends.
fn decisive(key: &Key, id: &DeliveryId, held: bool) -> Option<String> {
    let Key { partition, sort } = key;
    if *key == keys::delivery(id) {
        return Some("its row".to_owned());
    }
    if let Some(other) = sort.strip_prefix("D#") {
        return Some(format!("the row of {other} on its subject queue"));
    }
    let name = match sort.split('#').next() {
        _ if partition.starts_with("DUE#") => "its due row",
        Some("L") => "its subject queue",
        Some("HEAD" | "BODY") => "its Tracking API",
        Some("H") if held => "its hold",
        _ => return None,
    };
    Some(name.to_owned())
}

fn shown_claim(claim: &Claim, is_unrecorded: bool, look: Look<'_>) -> ClaimInternals {
    ClaimInternals {
        lease_until: claim.lease_until,
        incarnation: claim.incarnation,
        is_live: is_unrecorded && claim.incarnation == look.present.incarnation && claim.lease_until > look.present.now,
        is_shared: claim.shared,
    }
}

fn shown_row(revision: u64, row: &DeliveryRow) -> RowInternals {
    let DeliveryRow { owed, state, reason, attempts, base, max_attempts, next_due, waits_since, pending, ended_at, .. } = row;
    let event = owed.event.known();
    RowInternals {
        revision,
        state: *state,
        reason: reason.clone(),
        attempts: *attempts,
        base: *base,
        max_attempts: *max_attempts,
        next_due: *next_due,
        waits_since: *waits_since,
        waits_for_receiver: row.receiver_wait.as_ref().map(|wait| wait.receiver.clone()),
        pending: *pending,
        epoch: owed.epoch,
        was_held: owed.held,
        after: owed.after.clone(),
        owner: owed.owner.clone(),
        change_id: event.change_id.clone(),
        event: event.kind,
        conversion_id: event.conversion.conversion_id.clone(),
        version: event.conversion.version,
        created_at: owed.created_at,
        ended_at: *ended_at,
        outbox: row.outbox.as_deref().map(shown_outbox),
    }
}

fn shown_outbox(outbox: &Outbox) -> OutboxInternals {
    OutboxInternals {
        attempt: outbox.attempt,
        at: outbox.at,
        has_result: outbox.extracted.is_some(),
        has_end: outbox.ended.is_some(),
    }
}

fn shown_rule(head: &RuleHead, rule: Option<&Rule>, sends: bool) -> RuleInternals {
    let definition = rule.map(|rule| &rule.definition);
    RuleInternals {
        version: head.version,
        epoch: head.epoch,
        live: head.live,
        sends,
        unbound_secrets: definition.map(|definition| head.unbound_names(definition)).unwrap_or_default(),
        max_attempts: definition.map(|definition| definition.plan.first_call().retry.max_attempts()),
        timeout_seconds: definition.map(|definition| definition.plan.first_call().request.timeout().seconds()),
        rate_per_second: definition.and_then(|definition| definition.rate_per_second),
    }
}

/// The beginning of an hour that is counted from 1970.
pub(super) fn beginning(hour: i64) -> Option<Timestamp> {
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(hour.checked_mul(3_600)?)).ok()
}
