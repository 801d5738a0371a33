//! Ingest and match: from the bytes of the bus to one message per postback.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tracking_core::{
    change::{Causation, Change, Envelope, MAX_EVENT_BYTES},
    delivery::{Cause, DeliveryId},
    event::{Event, Subject},
    fault::Faults,
    hash,
    id::Id,
    index::anchors_of,
    tracking_api::Delay,
};

use crate::{
    Engine,
    backend::{Backend, Effects, Item, Key, Lane, Message, Unavailable},
    keys, offers,
    rows::{self, Job, StoredEvent, Task},
    rules::Rule,
};

/// The longest chain of causes that still fires rules (P4).
const DEEPEST_CAUSE: u32 = 5;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is taken over: everything that follows from it is certain. The number of postbacks that it owes at once.
    Yes(usize),
    /// It is bad; it is kept with its faults.
    Rejected(Faults),
    /// It is bad and longer than 256 KiB; it is kept cut off.
    TooLarge(Faults),
}

impl<B: Backend> Engine<B> {
    /// Takes events over: reads them, matches them against the rules, and makes what follows durable before it answers. An event that
    /// follows from none is accepted too; a bad one is kept with every fault (contract §1).
    ///
    /// # Errors
    /// The store is unavailable: nothing is promised, post them again. Repeats do no harm (P2).
    pub async fn accept(&self, events: &[&[u8]]) -> Result<Vec<Accepted>, Unavailable> {
        let read: Vec<_> = events.iter().map(|bytes| Envelope::parse(bytes)).collect();
        // Changes of one conversion are matched one after another, conversions side by side: what they write goes out together.
        let mut conversions: BTreeMap<&Id, Vec<(usize, &Change)>> = BTreeMap::new();
        for (position, envelope) in read.iter().enumerate() {
            if let Ok(Envelope::ConversionChanged(change)) = envelope {
                conversions.entry(&change.conversion.conversion_id).or_default().push((position, change));
            }
        }
        let matched = conversions.into_values().map(|changes| async move {
            let mut matched = Vec::with_capacity(changes.len());
            for (position, change) in changes {
                matched.push((position, self.match_change(change).await?));
            }
            Ok::<_, Unavailable>(matched)
        });
        let matched: Vec<Vec<(usize, Effects)>> = try_join_all(matched).await?;
        let mut matched: BTreeMap<usize, Effects> = matched.into_iter().flatten().collect();
        let mut effects = Effects::default();
        let mut outcomes = Vec::with_capacity(events.len());
        for (position, envelope) in read.into_iter().enumerate() {
            outcomes.push(match envelope {
                Ok(Envelope::ConversionChanged(_)) => {
                    let more = matched.remove(&position).unwrap_or_default();
                    let owed = more.send.len();
                    effects.send.extend(more.send);
                    Accepted::Yes(owed)
                }
                Ok(Envelope::OfferChanged(offer)) => {
                    effects.put.push(offers::offer_item(&offer));
                    Accepted::Yes(0)
                }
                Err(faults) => {
                    let bytes = events[position];
                    effects.put.push(self.rejected(bytes, &faults));
                    if bytes.len() > MAX_EVENT_BYTES { Accepted::TooLarge(faults) } else { Accepted::Rejected(faults) }
                }
            });
        }
        self.commit_one(effects).await?;
        Ok(outcomes)
    }

    /// A bad event, kept for people.
    fn rejected(&self, bytes: &[u8], faults: &Faults) -> Item {
        let now = self.now();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_EVENT_BYTES)]);
        let row = json!({"received_at": now, "event": text, "errors": faults});
        let place = format!("{}#{}", keys::sortable(now), hash::text(&["rejected", &text], 10));
        let mut item = rows::item(Key::new(keys::REJECTED, place), &row);
        item.expires = Some(now + self.settings.log_retention);
        item
    }

    /// Everything that follows from a change: messages, and rows of the log.
    pub(crate) async fn match_change(&self, change: &Change) -> Result<Effects, Unavailable> {
        let now = self.now();
        let events = change.events();
        let mut effects = Effects::default();
        let mut seen = BTreeSet::new();
        let mut holding: Vec<Rule> = Vec::new();
        for anchor in anchors_of(&change.conversion) {
            for id in self.anchored(&anchor, now).await?.iter() {
                if !seen.insert(id.clone()) || !may_fire(change, id) {
                    continue;
                }
                let Some(rule) = self.matching_rule(id, now).await?.filter(|rule| rule.head.live) else { continue };
                match rule.definition.delay {
                    Delay::None => effects.send.extend(self.owed_now(&rule, change, &events)),
                    Delay::Final(_) => holding.push(rule),
                }
            }
        }
        self.hold(change, &events, holding).await?;
        tracing::debug!(change_id = %change.change_id, matched = effects.send.len(), "matched");
        Ok(effects)
    }

    /// The messages of a rule that sends each change as it comes.
    fn owed_now(&self, rule: &Rule, change: &Change, events: &[Event]) -> Vec<Message> {
        let mut first: BTreeMap<Subject, DeliveryId> = BTreeMap::new();
        let mut messages = Vec::new();
        for event in events {
            if !rule.definition.trigger.fires_on(event.kind) {
                continue;
            }
            let Ok(chosen) = rule.definition.conditions.judge(event, &change.transactions) else { continue };
            let mut event = event.clone();
            if !event.kind.is_transaction() {
                event.transaction = chosen.cloned();
            }
            let subject = event.subject();
            let mut job = self.job(rule, event, None);
            job.after = first.insert(subject, job.id.clone());
            messages.push(deliver_message(rule.definition.request.host(), job));
        }
        messages
    }

    /// A postback that a rule owes for a change, or for a hold's cause.
    pub(crate) fn job(&self, rule: &Rule, event: Event, cause: Option<Cause<'_>>) -> Job {
        let cause = cause.unwrap_or(Cause::Change(&event.change_id, event.kind));
        let subject = event.subject().to_string();
        Job {
            id: DeliveryId::derive(&event.conversion.conversion_id, &rule.id, &subject, cause),
            rule: rule.id.clone(),
            owner: rule.head.owner.clone(),
            epoch: rule.head.epoch,
            after: None,
            held: false,
            created_at: self.now(),
            event: StoredEvent(event),
        }
    }
}

/// P4: a rule does not fire on an event that its own answer caused, and none fires at the end of a long chain of causes.
pub(crate) fn may_fire(change: &Change, rule: &Id) -> bool {
    let fits = |cause: &Causation| cause.tracking_api_id != *rule && cause.depth <= DEEPEST_CAUSE;
    change.causation.as_ref().is_none_or(fits)
}

/// A first try. The group is the owner and the receiver's host, so that a slow receiver holds up no other (P5).
pub(crate) fn deliver_message(host: &str, job: Job) -> Message {
    let group = group(&job, host);
    Message { lane: Lane::Delivery, group, not_before: None, body: rows::write(&Task::Deliver(Box::new(job))) }
}

/// Whose turn a postback waits for.
pub(crate) fn group(job: &Job, host: &str) -> String {
    let owner = job.owner.affiliate().map_or("admin", Id::as_str);
    hash::text(&["group", owner, host], 16)
}

/// The delivery's causation for what its answer tells the platform; `None` when the chain would be too long (P4).
pub(crate) fn next_causation(event: &Event, rule: &Id) -> Option<Value> {
    let depth = event.causation.as_ref().map_or(0, |causation| causation.depth) + 1;
    (depth <= DEEPEST_CAUSE).then(|| json!({"tracking_api_id": rule, "depth": depth}))
}
