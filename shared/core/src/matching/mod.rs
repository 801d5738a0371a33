//! The decision whether a rule fires on a change, with the reasons why not; matching and explaining share it.
//!
//! [`RuleMatcher::fires`] and [`RuleMatcher::reasons`] use the same checks: one returns whether all hold, the other those that fail. A rule
//! with a hold ([`RuleMatcher::takes`], [`RuleMatcher::release`]) is explained by holding and releasing ([`RuleMatcher::explain`]).

mod explain;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::explain::{EventVerdict, Explained};
use crate::{
    caller::Owner,
    change::{Causation, Change, Conversion, Transaction},
    conditions::Miss,
    event::Event,
    hold::{DuePostback, Ending},
    id::Id,
    index::is_asked,
    tracking_api::{Delay, RuleDefinition},
};

/// The longest chain of causes that still fires rules (P4).
pub const DEEPEST_CAUSE: u32 = 5;

/// A rule that may fire.
#[derive(Debug, Clone, Copy)]
pub struct RuleMatcher<'a> {
    /// The rule's id.
    pub id: &'a Id,
    /// The owner of the rule.
    pub owner: &'a Owner,
    /// The rule's definition.
    pub definition: &'a RuleDefinition,
    /// `true` if the rule is active: switched on, and with a value for every secret that it names (V4).
    pub live: bool,
    /// The secrets that have a value, by name; the values are not read.
    pub secrets: &'a BTreeMap<String, String>,
}

/// A check that comes before the conditions.
#[derive(Debug, Clone, Copy)]
enum Check {
    Active,
    Cause,
    Trigger,
}

impl Check {
    const ALL: [Self; 3] = [Self::Active, Self::Cause, Self::Trigger];
}

/// The part of a change that a hold takes (F1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The events that fire the trigger, whatever the conditions.
    pub fired: Vec<Event>,
    /// `true` if the change begins a hold, if there is none.
    pub begins: bool,
}

/// The end of a postback that a hold owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// It is sent.
    Send,
    /// The conversion is not the affiliate's, or not any more: the rule must not see it (V3).
    Foreign,
    /// The hold ends it without sending.
    End(Ending),
    /// The conditions do not hold for the state that would be sent (F3).
    Unfit(Vec<Miss>),
}

/// Returns false for an event that the rule's own response caused, and at the end of a long chain of causes (P4).
pub fn may_fire(change: &Change, rule: &Id) -> bool {
    let fits = |cause: &Causation| cause.tracking_api_id != *rule && cause.depth <= DEEPEST_CAUSE;
    change.causation.as_ref().is_none_or(fits)
}

/// Returns true if the rule is an affiliate's and the conversion is not, or not any more: the rule must not see it (V3).
pub fn is_foreign(owner: &Owner, conversion: &Conversion) -> bool {
    owner.affiliate().is_some_and(|owner| *owner != conversion.affiliate_id)
}

impl RuleMatcher<'_> {
    /// The event to send, with the transaction that it is about (C2), if the rule fires on it; for a rule that
    /// sends each change at once.
    pub fn fires(&self, change: &Change, event: &Event) -> Option<Event> {
        let passes = Check::ALL.into_iter().all(|check| self.passes(check, change, event));
        let fires = passes && self.definition.conditions.fits(event, &change.transactions);
        fires.then(|| self.postback_event(event, &change.transactions))
    }

    /// Every reason why it does not fire on an event; none if [`RuleMatcher::fires`].
    pub fn reasons(&self, change: &Change, event: &Event) -> Vec<Miss> {
        let mut reasons = self.failed_checks(change, event);
        reasons.extend(self.definition.conditions.misses(event, &change.transactions));
        reasons
    }

    /// The event with the transaction that its postback is about (C2), whether it fires or not.
    pub fn postback_event(&self, event: &Event, transactions: &[Transaction]) -> Event {
        let mut postback = event.clone();
        if !event.kind.is_transaction() {
            postback.transaction = self.definition.conditions.transaction_of(event, transactions).cloned();
        }
        postback
    }

    /// The part of a change with these events that a hold of this rule takes (F1).
    pub fn takes(&self, change: &Change, events: &[Event]) -> Taken {
        let may = matches!(self.definition.delay, Delay::Final(_))
            && !is_foreign(self.owner, &change.conversion)
            && [Check::Active, Check::Cause].into_iter().all(|check| self.passes_change(check, change));
        let fired = |event: &&Event| may && self.definition.trigger.fires_on(event.kind);
        let fired: Vec<Event> = events.iter().filter(fired).cloned().collect();
        let begins = may && self.may_begin(&change.conversion) && (change.has_substance() || !fired.is_empty());
        Taken { fired, begins }
    }

    /// Returns true if a hold may begin with that conversion: the conditions that can't change with time hold, and the index finds the
    /// rule.
    pub fn may_begin(&self, conversion: &Conversion) -> bool {
        let conditions = &self.definition.conditions;
        is_asked(conditions, conversion) && conditions.fits_lasting(conversion)
    }

    /// The end of a postback that a hold of this rule owes, and its event.
    pub fn release(&self, due: &DuePostback) -> (Event, Release) {
        let misses = self.definition.conditions.misses(&due.event, &due.transactions);
        let event = if misses.is_empty() { self.postback_event(&due.event, &due.transactions) } else { due.event.clone() };
        let release = match due.instead {
            _ if is_foreign(self.owner, &due.event.conversion) => Release::Foreign,
            Some(ending) => Release::End(ending),
            None if misses.is_empty() => Release::Send,
            None => Release::Unfit(misses),
        };
        (event, release)
    }

    fn passes(&self, check: Check, change: &Change, event: &Event) -> bool {
        match check {
            Check::Trigger => self.definition.trigger.fires_on(event.kind),
            of_change => self.passes_change(of_change, change),
        }
    }

    /// A check with the same result for every event of a change.
    fn passes_change(&self, check: Check, change: &Change) -> bool {
        match check {
            Check::Active => self.live,
            Check::Cause => may_fire(change, self.id),
            Check::Trigger => true,
        }
    }

    fn failed_checks(&self, change: &Change, event: &Event) -> Vec<Miss> {
        let failed = Check::ALL.into_iter().filter(|check| !self.passes(*check, change, event));
        failed.map(|check| self.why(check, change, event)).collect()
    }

    fn why(&self, check: Check, change: &Change, event: &Event) -> Miss {
        let (condition, detail) = match check {
            Check::Active => ("active", self.why_inactive()),
            Check::Cause => ("cause", self.why_cause(change)),
            Check::Trigger => {
                let detail = format!("the event is {}; the rule's trigger is {}", event.kind.as_str(), self.definition.trigger);
                ("trigger", detail)
            }
        };
        Miss { condition, detail }
    }

    fn why_inactive(&self) -> String {
        let names = self.definition.secret_names();
        let missing: BTreeSet<String> = names.into_iter().filter(|name| !self.secrets.contains_key(name)).collect();
        match self.definition.why_inactive(&missing).filter(|_| self.definition.active) {
            Some(reason) => format!("the rule is not active: {reason}"),
            None => "the rule is switched off: active is false".to_owned(),
        }
    }

    fn why_cause(&self, change: &Change) -> String {
        match &change.causation {
            Some(cause) if cause.tracking_api_id == *self.id => {
                "the rule's own answer caused this change: it does not fire on it".to_owned()
            }
            Some(cause) => {
                format!(
                    "the change is at the end of a chain of {} causes: the longest that fires is {DEEPEST_CAUSE}",
                    cause.depth
                )
            }
            None => "the change has no cause".to_owned(),
        }
    }
}
