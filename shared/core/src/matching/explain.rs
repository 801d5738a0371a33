//! Explaining a change to a rule: for each event, whether it fires, with every reason why not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Release, RuleMatcher, is_foreign};
use crate::{
    change::Change,
    conditions::Miss,
    event::{Event, EventKind, Subject},
    hold::{DuePostback, Ending, Hold, Phase},
    id::Id,
    index::anchoring_condition,
    tracking_api::{Delay, Final},
};

/// The effect of a change on a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// `true` if a postback follows, now or at the release.
    pub fires: bool,
    /// `true` if the change begins or updates a hold that is still open after it (F1).
    pub held: bool,
    /// One verdict for each elementary event of the change, in their order.
    pub verdicts: Vec<EventVerdict>,
}

/// The effect of one elementary event on a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventVerdict {
    /// The kind of the event.
    pub event: EventKind,
    /// Its transaction, if it is about one.
    pub transaction_id: Option<Id>,
    /// `true` if a postback about it follows, now or at the release.
    pub fires: bool,
    /// Every reason why not.
    pub reasons: Vec<Miss>,
    /// A remark, such as that the postback is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The event as its postback has it, or would have it.
    #[serde(skip)]
    pub postback_event: Event,
}

/// The outcome of a change for a subject of a hold.
enum Outcome {
    /// The postback is sent.
    Sent(Event),
    /// The postback is held, for this reason, with this event.
    Held(Event, String),
    /// Nothing is sent.
    No(Vec<Miss>),
}

impl RuleMatcher<'_> {
    /// The effect of a change on this rule. `hold` is the rule's hold of the conversion before the change, and then the hold after
    /// it; a rule that sends each change at once leaves `hold` alone. `now` is the time of the change.
    pub fn explain(&self, change: &Change, hold: &mut Option<Hold>, now: Timestamp) -> Explained {
        let events = change.events();
        match self.definition.delay {
            Delay::None | Delay::Fixed(_) => {
                let verdicts: Vec<EventVerdict> = events.iter().map(|event| self.verdict(change, event)).collect();
                Explained { fires: verdicts.iter().any(|verdict| verdict.fires), held: false, verdicts }
            }
            Delay::Final(delay) => self.explain_final(delay, change, &events, hold, now),
        }
    }

    fn verdict(&self, change: &Change, event: &Event) -> EventVerdict {
        match self.fires(change, event) {
            Some(sent) => EventVerdict::about(event, Vec::new(), sent),
            None => EventVerdict::about(event, self.reasons(change, event), self.postback_event(event, &change.transactions)),
        }
    }

    fn explain_final(
        &self,
        delay: Final,
        change: &Change,
        events: &[Event],
        hold: &mut Option<Hold>,
        now: Timestamp,
    ) -> Explained {
        let taken = self.takes(change, events);
        let began_before = hold.is_some();
        let mut released = BTreeMap::new();
        if began_before || taken.begins {
            let hold = hold.get_or_insert_with(|| Hold::begin(change, now));
            // Postbacks that fell due since the previous change.
            let due_before = hold.owed(delay, now);
            self.carry_out(hold, due_before);
            let mut owed = hold.absorb(change, &taken.fired, delay, now);
            owed.extend(hold.owed(delay, now));
            released = self.carry_out(hold, owed);
        }
        let verdict = |event: &Event| {
            let mut reasons = self.failed_checks(change, event);
            reasons.extend(self.not_taken(change, event, began_before));
            let subject = event.subject();
            let fired = taken.fired.iter().any(|fired| fired.subject() == subject);
            let goes_out = !fired && matches!(released.get(&subject), Some((_, Release::Send)));
            match hold.as_ref().filter(|_| reasons.is_empty()) {
                None => {
                    let mut verdict = EventVerdict::about(event, reasons, self.postback_event(event, &change.transactions));
                    verdict.note = goes_out.then(|| "the conversion is settled: the postback that was held goes out".to_owned());
                    verdict
                }
                Some(hold) => match self.after(delay, hold, event, released.get(&subject)) {
                    Outcome::Sent(sent) => EventVerdict::about(event, Vec::new(), sent),
                    Outcome::Held(postback, note) => {
                        EventVerdict { note: Some(note), ..EventVerdict::about(event, Vec::new(), postback) }
                    }
                    Outcome::No(reasons) => EventVerdict::about(event, reasons, self.postback_event(event, &change.transactions)),
                },
            }
        };
        let verdicts: Vec<EventVerdict> = events.iter().map(verdict).collect();
        let sent = released.values().any(|(_, release)| *release == Release::Send);
        Explained {
            fires: sent || verdicts.iter().any(|verdict| verdict.fires),
            held: self.live && hold.as_ref().is_some_and(Hold::is_open),
            verdicts,
        }
    }

    /// Every condition that keeps a hold from taking an event, or from beginning.
    fn not_taken(&self, change: &Change, event: &Event, began_before: bool) -> Vec<Miss> {
        let conditions = &self.definition.conditions;
        let foreign = is_foreign(self.owner, &change.conversion);
        let mut reasons = conditions.misses(event, &change.transactions);
        let lasting = if began_before { Vec::new() } else { conditions.lasting_misses(event, &change.transactions) };
        let anchoring_condition = anchoring_condition(conditions).filter(|_| !began_before);
        reasons.retain(|miss| {
            Some(miss.condition) == anchoring_condition || (miss.condition == "affiliate" && foreign) || lasting.contains(miss)
        });
        reasons
    }

    /// Carries out the postbacks that a hold owes; a rule that is not active does nothing (P6).
    fn carry_out(&self, hold: &mut Hold, owed: Vec<DuePostback>) -> BTreeMap<Subject, (Event, Release)> {
        let mut released = BTreeMap::new();
        for due in owed.into_iter().filter(|_| self.live) {
            let (event, release) = self.release(&due);
            hold.conclude(&due, release == Release::Send);
            released.insert(due.subject, (event, release));
        }
        released
    }

    /// The decision of a hold about an event that it took.
    fn after(&self, delay: Final, hold: &Hold, event: &Event, released: Option<&(Event, Release)>) -> Outcome {
        let no = |detail: &str| Outcome::no(detail);
        match released {
            Some((sent, Release::Send)) if sent.kind == event.kind => return Outcome::Sent(sent.clone()),
            Some((sent, Release::Send)) => return Outcome::not_newest(sent.kind),
            Some((_, Release::Foreign)) => return no("the conversion belongs to another affiliate now"),
            Some((_, Release::End(Ending::Expired))) => return no("the conversion was not settled within max_hold_days"),
            Some((_, Release::End(Ending::FinalAlreadySent))) => return no("final already sent"),
            Some((_, Release::Unfit(misses))) => return Outcome::No(misses.clone()),
            None => {}
        }
        let subject = event.subject();
        match hold.subjects.get(&subject).map(|held| held.phase) {
            Some(Phase::Held) if hold.is_open() => self.held(delay, hold, &subject, event),
            Some(Phase::Held) | None => no("the conversion has no transaction yet: nothing is held before its first one"),
            Some(Phase::Released(_)) if hold.settled_at.is_some() => no("the final postback of this state went out before"),
            Some(Phase::Released(_)) if delay.corrections => {
                no("the final postback went out before: a correction follows once the conversion is settled again")
            }
            Some(Phase::Released(_)) => no("final already sent"),
            Some(Phase::Skipped(_)) => {
                no("the final postback was skipped before: a newer state is judged once the conversion is settled")
            }
            Some(Phase::Expired | Phase::SentAsWas) => {
                no("it was held for too long before: it is sent once the conversion is settled")
            }
        }
    }

    fn held(&self, delay: Final, hold: &Hold, subject: &Subject, event: &Event) -> Outcome {
        let about = hold.event_about(subject).unwrap_or_else(|| event.clone());
        if about.kind != event.kind {
            return Outcome::not_newest(about.kind);
        }
        let transactions = &hold.newest.transactions;
        let mut note = match hold.settled_at {
            None => "held until the conversion is settled".to_owned(),
            Some(_) => format!("held for {} s after the conversion was settled", delay.settle_seconds),
        };
        note.push_str("; the conditions are judged then, on the state that is sent");
        let misses = self.definition.conditions.misses(&about, transactions);
        if !misses.is_empty() {
            let details: Vec<String> = misses.into_iter().map(|miss| miss.detail).collect();
            note = format!("{note}. As it is now it would be skipped: {}", details.join("; "));
        }
        Outcome::Held(self.postback_event(&about, transactions), note)
    }
}

impl Outcome {
    fn no(detail: impl Into<String>) -> Self {
        Self::No(vec![Miss { condition: "delay", detail: detail.into() }])
    }

    fn not_newest(newest: EventKind) -> Self {
        Self::no(format!("one final postback goes out, about the newest event: {}", newest.as_str()))
    }
}

impl EventVerdict {
    fn about(event: &Event, reasons: Vec<Miss>, postback_event: Event) -> Self {
        let transaction_id = event.transaction.as_ref().filter(|_| event.kind.is_transaction());
        Self {
            event: event.kind,
            transaction_id: transaction_id.map(|transaction| transaction.transaction_id.clone()),
            fires: reasons.is_empty(),
            reasons,
            note: None,
            postback_event,
        }
    }
}
