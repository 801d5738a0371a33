//! Ingest and match: from the bytes of the bus to one message per postback.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
};

use futures_util::{FutureExt as _, future::join_all};
use tracing::Instrument as _;
use tracking_core::{
    change::{Change, Envelope, MAX_EVENT_BYTES},
    delivery::{Cause, DeliveryId, conversion_hash},
    event::{Event, Subject},
    fault::Faults,
    hash,
    id::Id,
    index::anchors_of,
    json,
    json::Value,
    matching::{DEEPEST_CAUSE, may_fire},
    tracking_api::Delay,
};

use crate::{
    Engine, Failed,
    backend::{Backend, Effects, Lane, Message, Received, Settle, Unavailable},
    offers,
    rows::{self, Job, StoredEvent, Task},
    rules::Rule,
    spans,
};

/// What became of a message of the events lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// What follows from it is durable, and it is settled. The number of postbacks that it owes at once.
    Yes(usize),
    /// It can't be read: set it aside.
    Unreadable(Faults),
    /// It is to come again.
    Failed(Failed),
}

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

/// A good event, and the text that it was read from.
struct Read<'a> {
    envelope: Envelope,
    text: &'a [u8],
}

/// A change, which of the events it is, and its text.
type Placed<'a> = (usize, &'a Change, &'a [u8]);

impl<'a> Read<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Faults> {
        Ok(Self { envelope: Envelope::parse(text)?, text })
    }
}

impl<B: Backend> Engine<B> {
    /// Takes events over: reads them, matches them against the rules, and makes what follows durable before it answers. An event that
    /// follows from none is accepted too; a bad one is kept with every fault (contract §1).
    ///
    /// # Errors
    /// The store is unavailable: nothing is promised, post them again. Repeats do no harm (P2).
    pub async fn accept(&self, events: &[&[u8]]) -> Result<Vec<Accepted>, Unavailable> {
        let (read, mut outcomes, mut effects) = self.read(events);
        for (outcome, matched) in
            outcomes.iter_mut().filter(|outcome| matches!(outcome, Accepted::Yes(_))).zip(self.follow(&read).await)
        {
            let more = matched?;
            *outcome = Accepted::Yes(more.send.len());
            effects.send.extend(more.send);
            effects.put.extend(more.put);
        }
        self.commit_one(effects).await?;
        Ok(outcomes)
    }

    /// Takes events over to be matched later: reads them, and sends the good ones on to the events lane as they are. A bad one is
    /// kept with every fault (contract §1).
    ///
    /// # Errors
    /// The store is unavailable: nothing is promised, bring them again. Repeats do no harm (P2).
    pub async fn ingest(&self, events: &[&[u8]]) -> Result<Vec<Accepted>, Unavailable> {
        let (read, outcomes, mut effects) = self.read(events);
        for Read { envelope, text } in &read {
            let group = match envelope {
                Envelope::ConversionChanged(change) => conversion_hash(&change.conversion.conversion_id),
                Envelope::OfferChanged(offer) => hash::text(&["offer", offer.offer_id.as_str()], 16),
            };
            // What was read as JSON is UTF-8.
            let body = String::from_utf8_lossy(text).into_owned();
            effects.send.push(Message { lane: Lane::Events, group, not_before: None, body });
        }
        self.commit_one(effects).await?;
        Ok(outcomes)
    }

    /// Matches messages of the events lane, each on its own: what follows is durable before a message is settled.
    pub async fn match_messages(&self, batch: &[Received]) -> Vec<Matched> {
        let read: Vec<_> = batch.iter().map(|received| Read::parse(received.body.as_bytes())).collect();
        let mut followed = self.follow(read.iter().flatten()).await.into_iter();
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut steps = Vec::new();
        for (received, read) in batch.iter().zip(&read) {
            outcomes.push(match read.as_ref().map(|_| followed.next()) {
                Err(faults) => Matched::Unreadable(faults.clone()),
                Ok(Some(Ok(mut effects))) => {
                    let owed = effects.send.len();
                    effects.settle.push(Settle::Done(received.receipt.clone()));
                    steps.push((outcomes.len(), effects));
                    Matched::Yes(owed)
                }
                Ok(Some(Err(failed))) => Matched::Failed(failed),
                Ok(None) => Matched::Failed(Failed::Panic),
            });
        }
        let (places, steps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        for (place, outcome) in places.into_iter().zip(self.backend.commit(steps).await) {
            if let Err(error) = outcome {
                outcomes[place] = Matched::Failed(error.into());
            }
        }
        outcomes
    }

    /// Reads events: the good ones, what becomes of each, and the rows of the bad ones.
    fn read<'a>(&self, events: &[&'a [u8]]) -> (Vec<Read<'a>>, Vec<Accepted>, Effects) {
        let mut effects = Effects::default();
        let mut good = Vec::with_capacity(events.len());
        let outcomes = events.iter().map(|bytes| match Read::parse(bytes) {
            Ok(read) => {
                good.push(read);
                Accepted::Yes(0)
            }
            Err(faults) => {
                effects.put.push(self.rejected_item(bytes, &faults));
                if bytes.len() > MAX_EVENT_BYTES { Accepted::TooLarge(faults) } else { Accepted::Rejected(faults) }
            }
        });
        let outcomes = outcomes.collect();
        (good, outcomes, effects)
    }

    /// What follows from each of these events. Changes of one conversion are matched one after another, conversions side by side.
    async fn follow<'a>(&self, events: impl IntoIterator<Item = &'a Read<'a>>) -> Vec<Result<Effects, Failed>> {
        let mut followed = Vec::new();
        let mut conversions: BTreeMap<&Id, Vec<Placed<'_>>> = BTreeMap::new();
        for (position, Read { envelope, text }) in events.into_iter().enumerate() {
            followed.push(Ok(Effects::default()));
            match envelope {
                Envelope::OfferChanged(offer) => {
                    followed[position] = Ok(Effects { put: vec![offers::offer_item(offer)], ..Effects::default() });
                }
                Envelope::ConversionChanged(change) => {
                    conversions.entry(&change.conversion.conversion_id).or_default().push((position, change, text));
                }
            }
        }
        let matched = conversions.into_values().map(|changes| async move {
            let mut matched = Vec::with_capacity(changes.len());
            for (position, change, text) in changes {
                let effects = AssertUnwindSafe(self.match_change(change))
                    .catch_unwind()
                    .instrument(spans::of_change(&change.change_id))
                    .await;
                let mut effects = effects.map_or(Err(Failed::Panic), |effects| effects.map_err(Failed::from));
                if let (true, Ok(effects)) = (self.settings.keep_events, &mut effects) {
                    effects.put.push(self.kept(change, text));
                }
                matched.push((position, effects));
            }
            matched
        });
        for (position, effects) in join_all(matched).await.into_iter().flatten() {
            followed[position] = effects;
        }
        followed
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
                    Delay::None => {
                        let owed = self.owed_now(&rule, change, &events).into_iter();
                        effects.send.extend(owed.map(|job| deliver_message(rule.definition.request.host(), job)));
                    }
                    Delay::Final(_) => holding.push(rule),
                }
            }
        }
        self.hold(change, &events, holding).await?;
        self.tally.matched(effects.send.len());
        tracing::debug!(change_id = %change.change_id, matched = effects.send.len(), "matched");
        Ok(effects)
    }

    /// The postbacks of a rule that sends each change as it comes.
    pub(crate) fn owed_now(&self, rule: &Rule, change: &Change, events: &[Event]) -> Vec<Job> {
        let mut first: BTreeMap<Subject, DeliveryId> = BTreeMap::new();
        let mut jobs = Vec::new();
        let candidate = rule.candidate();
        for event in events {
            let Some(event) = candidate.fires(change, event) else { continue };
            let subject = event.subject();
            let mut job = self.job(rule, event, None);
            job.after = first.insert(subject, job.id.clone());
            jobs.push(job);
        }
        jobs
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

/// A first try. The group is the owner and the receiver's host, so that a slow receiver holds up no other (P5).
pub(crate) fn deliver_message(host: &str, job: Job) -> Message {
    let group = group(&job, host);
    Message { lane: Lane::Delivery, group, not_before: None, body: rows::write(&Task::Deliver(Box::new(job))) }
}

/// Whose turn a postback waits for.
pub(crate) fn group(job: &Job, host: &str) -> String {
    let owner = job.owner.affiliate().map_or("admin", Id::as_str);
    format!("{}/{}", hash::text(&["owner", owner], 16), hash::text(&["group", owner, host], 16))
}

/// The delivery's causation for what its answer tells the platform; `None` when the chain would be too long (P4).
pub(crate) fn next_causation(event: &Event, rule: &Id) -> Option<Value> {
    let depth = event.causation.as_ref().map_or(0, |causation| causation.depth) + 1;
    (depth <= DEEPEST_CAUSE).then(|| json!({"tracking_api_id": rule, "depth": depth}))
}
