//! The index of rules: finds the rules that could fire on an event without judging all.
//!
//! A rule is filed under its most selective specific condition, once for each of its values ([`anchors`]); a conversion is looked up at
//! six places at most ([`anchors_of`]). **Every rule whose conditions hold is among those found, and none is found twice**: a rule
//! is filed under one sort of anchor only, and a conversion has one value of each sort.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, str::FromStr};

use crate::{
    change::Conversion,
    conditions::{Conditions, Ids},
    id::{Id, NotAnId},
};

/// The most values of a condition that can anchor its rule.
pub const MAX_ANCHORS: usize = 100;

/// A place of rules in the index. Its text, `affiliate:aff_7` or `any`, is stable and used in keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anchor {
    /// Rules about that affiliate.
    Affiliate(Id),
    /// Rules about that offer.
    Offer(Id),
    /// Rules about that channel.
    Channel(Id),
    /// Rules about that integration.
    Integration(Id),
    /// Rules about that advertiser.
    Advertiser(Id),
    /// All other rules.
    Any,
}

/// The sorts of anchors that carry an id, most selective first.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Affiliate,
    Offer,
    Channel,
    Integration,
    Advertiser,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Affiliate, Self::Offer, Self::Channel, Self::Integration, Self::Advertiser];

    fn anchor(self, id: Id) -> Anchor {
        match self {
            Self::Affiliate => Anchor::Affiliate(id),
            Self::Offer => Anchor::Offer(id),
            Self::Channel => Anchor::Channel(id),
            Self::Integration => Anchor::Integration(id),
            Self::Advertiser => Anchor::Advertiser(id),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Affiliate => "affiliate",
            Self::Offer => "offer",
            Self::Channel => "channel",
            Self::Integration => "integration",
            Self::Advertiser => "advertiser",
        }
    }

    fn condition(self, conditions: &Conditions) -> &Ids {
        match self {
            Self::Affiliate => conditions.affiliate(),
            Self::Offer => conditions.included_offers(),
            Self::Channel => conditions.channel(),
            Self::Integration => conditions.integration(),
            Self::Advertiser => conditions.advertiser(),
        }
    }

    fn attribute(self, conversion: &Conversion) -> Option<&Id> {
        match self {
            Self::Affiliate => Some(&conversion.affiliate_id),
            Self::Offer => Some(&conversion.offer_id),
            Self::Channel => conversion.channel_id.as_ref(),
            Self::Integration => conversion.integration_id.as_ref(),
            Self::Advertiser => Some(&conversion.advertiser_id),
        }
    }

    /// The sort that anchors a rule: the most selective condition that is set and short enough; `None` is [`Anchor::Any`].
    fn of(conditions: &Conditions) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| (1..=MAX_ANCHORS).contains(&sort.condition(conditions).len()))
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sort, id) = match self {
            Self::Affiliate(id) => (Sort::Affiliate, id),
            Self::Offer(id) => (Sort::Offer, id),
            Self::Channel(id) => (Sort::Channel, id),
            Self::Integration(id) => (Sort::Integration, id),
            Self::Advertiser(id) => (Sort::Advertiser, id),
            Self::Any => return f.write_str("any"),
        };
        write!(f, "{}:{id}", sort.word())
    }
}

/// A text that is no anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an anchor: write any, or affiliate, offer, channel, integration or advertiser with a colon and an id")]
pub struct NotAnAnchor;

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let (word, id) = text.split_once(':').ok_or(NotAnAnchor)?;
        let sort = Sort::ALL.into_iter().find(|sort| sort.word() == word).ok_or(NotAnAnchor)?;
        Ok(sort.anchor(id.parse().map_err(|NotAnId| NotAnAnchor)?))
    }
}

/// The anchors of a rule with these conditions; at least one.
pub fn anchors(conditions: &Conditions) -> Vec<Anchor> {
    match Sort::of(conditions) {
        Some(sort) => sort.condition(conditions).iter().map(|id| sort.anchor(id.clone())).collect(),
        None => vec![Anchor::Any],
    }
}

/// Returns true if a look-up for the conversion finds a rule with these conditions: only then is the rule judged.
pub fn is_asked(conditions: &Conditions, conversion: &Conversion) -> bool {
    let is_listed = |sort: Sort| sort.attribute(conversion).is_some_and(|id| sort.condition(conditions).has(id.as_str()));
    Sort::of(conditions).is_none_or(is_listed)
}

/// The name of the condition that anchors a rule; `None` is [`Anchor::Any`].
pub fn anchoring_condition(conditions: &Conditions) -> Option<&'static str> {
    Sort::of(conditions).map(|sort| match sort {
        Sort::Offer => "included_offers",
        other => other.word(),
    })
}

/// The anchors at which a conversion is looked up: six at most, the last one [`Anchor::Any`].
pub fn anchors_of(conversion: &Conversion) -> impl Iterator<Item = Anchor> {
    let specific = Sort::ALL.into_iter().filter_map(|sort| Some(sort.anchor(sort.attribute(conversion)?.clone())));
    specific.chain([Anchor::Any])
}

/// Rules in memory by their anchors; `T` is the caller's data of a rule.
#[derive(Debug)]
pub struct Index<T> {
    /// Rules by position; a free position is used again.
    rules: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    positions: HashMap<Id, u32>,
    /// Positions by anchor, a map for each of [`Sort::ALL`]; ascending.
    anchored: [HashMap<Id, Vec<u32>>; 5],
    /// Positions under [`Anchor::Any`]; ascending.
    any: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    anchored: Option<(Sort, Box<[Id]>)>,
    rule: T,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { rules: Vec::new(), free: Vec::new(), positions: HashMap::new(), anchored: Default::default(), any: Vec::new() }
    }
}

impl<T> Index<T> {
    /// Inserts a rule under an id; returns the previous one.
    ///
    /// # Panics
    /// With more than 2³² rules.
    pub fn insert(&mut self, id: Id, conditions: &Conditions, rule: T) -> Option<T> {
        let before = self.remove(&id);
        let position = self.free.pop().unwrap_or_else(|| {
            self.rules.push(None);
            u32::try_from(self.rules.len() - 1).expect("memory ends before four billion rules")
        });
        let anchored = Sort::of(conditions).map(|sort| (sort, sort.condition(conditions).iter().cloned().collect::<Box<[Id]>>()));
        match &anchored {
            None => add(&mut self.any, position),
            Some((sort, values)) => {
                for value in values {
                    add(self.anchored[*sort as usize].entry(value.clone()).or_default(), position);
                }
            }
        }
        self.rules[position as usize] = Some(Entry { anchored, rule });
        self.positions.insert(id, position);
        before
    }

    /// Removes a rule; `None` if there is none with that id.
    pub fn remove(&mut self, id: &Id) -> Option<T> {
        let position = self.positions.remove(id)?;
        let entry = self.rules[position as usize].take()?;
        self.free.push(position);
        match &entry.anchored {
            None => leave(&mut self.any, position),
            Some((sort, values)) => {
                let places = &mut self.anchored[*sort as usize];
                for value in values {
                    if let Some(place) = places.get_mut(value) {
                        leave(place, position);
                        if place.is_empty() {
                            places.remove(value);
                        }
                    }
                }
            }
        }
        Some(entry.rule)
    }

    /// The rule with that id.
    pub fn get(&self, id: &Id) -> Option<&T> {
        let position = *self.positions.get(id)?;
        self.at(position)
    }

    /// The number of rules.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Returns true if there is no rule.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The rules that could fire on an event of this conversion, each once: all whose conditions hold, and some more. The caller
    /// judges trigger and conditions.
    pub fn candidates(&self, conversion: &Conversion) -> impl Iterator<Item = &T> {
        let anchored =
            Sort::ALL.into_iter().zip(&self.anchored).filter_map(|(sort, places)| places.get(sort.attribute(conversion)?));
        anchored.chain([&self.any]).flatten().filter_map(|position| self.at(*position))
    }

    fn at(&self, position: u32) -> Option<&T> {
        self.rules.get(position as usize)?.as_ref().map(|entry| &entry.rule)
    }
}

fn add(place: &mut Vec<u32>, position: u32) {
    if let Err(at) = place.binary_search(&position) {
        place.insert(at, position);
    }
}

fn leave(place: &mut Vec<u32>, position: u32) {
    if let Ok(at) = place.binary_search(&position) {
        place.remove(at);
    }
}
