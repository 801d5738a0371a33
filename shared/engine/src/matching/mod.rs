//! Ingest and match: from the bytes of the bus to one message per postback.

pub(crate) mod kept;
mod rejected;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use futures_util::{FutureExt as _, future::join_all};
use tracing::Instrument as _;
use tracking_core::{
    change::{Change, Envelope, MAX_EVENT_BYTES},
    delivery::conversion_hash,
    fault::Faults,
    hash,
    id::Id,
    index::anchors_of,
    matching::may_fire,
    tracking_api::Delay,
};

use crate::{
    backend::{Ack, Backend, Effects, Lane, Message, Received, StoreError},
    delivery::{hand_over, owed_now},
    failed::Failed,
    holds::Holds,
    rules::{Rule, Rules, offer_item},
    spans,
    store::Store,
};
use kept::Together;

/// The result of matching a message of the events lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// Its effects are durable, and it is acked. The number of postbacks that it owes at once.
    Yes(usize),
    /// It can't be read: dead-letter it.
    Unreadable(Faults),
    /// It is bad; it is kept with its faults.
    Rejected(Faults),
    /// It is to come again.
    Failed(Failed),
}

/// The result of accepting an event.
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

/// The effects of an event; or its faults, if it does not go with those before it.
type Followed = Result<Effects, Faults>;

/// A change, the position of its event, and its text.
type Placed<'a> = (usize, &'a Change, &'a [u8]);

impl<'a> Read<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Faults> {
        Ok(Self { envelope: Envelope::parse(text)?, text })
    }
}

/// Takes events over and matches them against the rules.
#[derive(Debug)]
pub struct Matcher<B> {
    store: Arc<Store<B>>,
    rules: Arc<Rules<B>>,
    holds: Arc<Holds<B>>,
}

impl<B: Backend> Matcher<B> {
    /// The service over these.
    pub(crate) fn new(rules: &Arc<Rules<B>>, holds: &Arc<Holds<B>>) -> Self {
        Self { store: Arc::clone(&rules.store), rules: Arc::clone(rules), holds: Arc::clone(holds) }
    }

    /// Takes events over: reads them, matches them against the rules, and makes the effects durable before it answers. An event without
    /// effects is accepted too; a bad one is kept with every fault (docs/events-in.md).
    ///
    /// # Errors
    /// The store is unavailable: nothing is promised, post them again. Repeats do no harm (P2).
    pub async fn accept(&self, events: &[&[u8]]) -> Result<Vec<Accepted>, StoreError> {
        let (read, mut outcomes, mut effects) = self.read(events);
        let good = outcomes.iter_mut().filter(|outcome| matches!(outcome, Accepted::Yes(_)));
        for ((outcome, read), followed) in good.zip(&read).zip(self.follow(&read).await) {
            match followed? {
                Ok(more) => {
                    *outcome = Accepted::Yes(more.send.len());
                    effects.send.extend(more.send);
                    effects.put.extend(more.put);
                }
                Err(faults) => {
                    effects.put.push(self.store.rejected_item(read.text, &faults));
                    *outcome = Accepted::Rejected(faults);
                }
            }
        }
        self.store.commit_one(effects).await?;
        Ok(outcomes)
    }

    /// Takes events over to be matched later: reads them, and sends the good ones on to the events lane as they are. A bad one is kept
    /// with every fault (docs/events-in.md).
    ///
    /// # Errors
    /// The store is unavailable: nothing is promised, bring them again. Repeats do no harm (P2).
    pub async fn ingest(&self, events: &[&[u8]]) -> Result<Vec<Accepted>, StoreError> {
        let (read, outcomes, mut effects) = self.read(events);
        for Read { envelope, text } in &read {
            let group = match envelope {
                Envelope::ConversionChanged(change) => conversion_hash(&change.conversion.conversion_id),
                Envelope::OfferChanged(offer) => hash::text(&["offer", offer.offer_id.as_str()], 16),
            };
            // A text that was read as JSON is UTF-8.
            let body = String::from_utf8_lossy(text).into_owned();
            effects.send.push(Message { lane: Lane::Events, group, not_before: None, body });
        }
        self.store.commit_one(effects).await?;
        Ok(outcomes)
    }

    /// Matches messages of the events lane, each on its own: its effects are durable before a message is acked.
    pub async fn match_messages(&self, batch: &[Received]) -> Vec<Matched> {
        let read: Vec<_> = batch.iter().map(|received| Read::parse(received.body.as_bytes())).collect();
        let mut followed = self.follow(read.iter().flatten()).await.into_iter();
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut steps = Vec::new();
        for (received, read) in batch.iter().zip(&read) {
            outcomes.push(match read.as_ref().map(|_| followed.next()) {
                Err(faults) => Matched::Unreadable(faults.clone()),
                Ok(Some(Ok(Err(faults)))) => {
                    // The caller that hands out messages takes care of this one, as of those that can't be read.
                    let put = vec![self.store.rejected_item(received.body.as_bytes(), &faults)];
                    steps.push((outcomes.len(), Effects { put, ..Effects::default() }));
                    Matched::Rejected(faults)
                }
                Ok(Some(Ok(Ok(mut effects)))) => {
                    let owed = effects.send.len();
                    effects.acks.push(Ack::Delete(received.receipt.clone()));
                    steps.push((outcomes.len(), effects));
                    Matched::Yes(owed)
                }
                Ok(Some(Err(failed))) => Matched::Failed(failed),
                Ok(None) => Matched::Failed(Failed::Panic),
            });
        }
        let (places, steps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        for (place, outcome) in places.into_iter().zip(self.store.backend().commit(steps).await) {
            if let Err(error) = outcome {
                outcomes[place] = Matched::Failed(error.into());
            }
        }
        outcomes
    }

    /// Reads events: the good ones, the outcome of each, and the rows of the bad ones.
    fn read<'a>(&self, events: &[&'a [u8]]) -> (Vec<Read<'a>>, Vec<Accepted>, Effects) {
        let mut effects = Effects::default();
        let mut good = Vec::with_capacity(events.len());
        let outcomes = events.iter().map(|bytes| match Read::parse(bytes) {
            Ok(read) => {
                good.push(read);
                Accepted::Yes(0)
            }
            Err(faults) => {
                effects.put.push(self.store.rejected_item(bytes, &faults));
                if bytes.len() > MAX_EVENT_BYTES { Accepted::TooLarge(faults) } else { Accepted::Rejected(faults) }
            }
        });
        let outcomes = outcomes.collect();
        (good, outcomes, effects)
    }

    /// The effects of each of these events. Changes of one conversion are matched one after another, conversions side by side.
    async fn follow<'a>(&self, events: impl IntoIterator<Item = &'a Read<'a>>) -> Vec<Result<Followed, Failed>> {
        let mut followed = Vec::new();
        let mut conversions: BTreeMap<&Id, Vec<Placed<'_>>> = BTreeMap::new();
        for (position, Read { envelope, text }) in events.into_iter().enumerate() {
            followed.push(Ok(Ok(Effects::default())));
            match envelope {
                Envelope::OfferChanged(offer) => {
                    followed[position] = Ok(Ok(Effects { put: vec![offer_item(offer)], ..Effects::default() }));
                }
                Envelope::ConversionChanged(change) => {
                    conversions.entry(&change.conversion.conversion_id).or_default().push((position, change, text));
                }
            }
        }
        let matched = conversions.into_values().map(|changes| async move {
            let mut matched = Vec::with_capacity(changes.len());
            let mut together = Together::default();
            for (position, change, text) in changes {
                let followed = AssertUnwindSafe(self.follow_one(change, text, &mut together))
                    .catch_unwind()
                    .instrument(spans::of_change(&change.change_id))
                    .await;
                matched.push((position, followed.map_or(Err(Failed::Panic), |followed| followed.map_err(Failed::from))));
            }
            matched
        });
        for (position, effects) in join_all(matched).await.into_iter().flatten() {
            followed[position] = effects;
        }
        followed
    }

    /// The effects of one of several changes that come together, and the change itself, if events are kept.
    async fn follow_one<'a>(&self, change: &'a Change, text: &[u8], together: &mut Together<'a>) -> Result<Followed, StoreError> {
        if let Err(faults) = self.check_id(change, together).await? {
            return Ok(Err(faults));
        }
        let mut effects = self.match_change(change).await?;
        if self.store.settings.keep_events {
            effects.put.push(self.kept(change, text));
        }
        Ok(Ok(effects))
    }

    /// Everything that follows from a change: messages, and rows of the log.
    pub(crate) async fn match_change(&self, change: &Change) -> Result<Effects, StoreError> {
        let now = self.store.now();
        let events = change.events();
        let mut effects = Effects::default();
        let mut seen = BTreeSet::new();
        let mut holding: Vec<Rule> = Vec::new();
        for anchor in anchors_of(&change.conversion) {
            for id in self.rules.anchored(&anchor, now).await?.iter() {
                if !seen.insert(id.clone()) || !may_fire(change, id) {
                    continue;
                }
                let Some(rule) = self.rules.matching_rule(id, now).await?.filter(|rule| rule.head.live) else { continue };
                match rule.definition.delay {
                    Delay::None | Delay::Fixed(_) => {
                        for owed in owed_now(&rule, change, &events, now) {
                            hand_over(&self.store, &mut effects, rule.definition.first_host(), owed);
                        }
                    }
                    Delay::Final(_) => holding.push(rule),
                }
            }
        }
        self.holds.hold(change, &events, holding).await?;
        self.store.tally.matched(effects.send.len());
        tracing::debug!(change_id = %change.change_id, matched = effects.send.len(), "matched");
        Ok(effects)
    }
}
