//! A hold as a person looks at it: nothing is written, whatever the state of its rule.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{event::Subject, hold::Phase, standstill::HoldNow};

use super::{HoldRow, Stored, delay_of};
use crate::{
    backend::Item,
    rows::{self, Unreadable},
    rules::Rule,
};

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldInternals {
    /// The revision of its row.
    pub revision: u64,
    /// The rule's epoch that it belongs to.
    pub epoch: u64,
    /// The newest version of the conversion that it has seen.
    pub version: u64,
    /// The time since which the conversion is settled.
    pub settled_at: Option<Timestamp>,
    /// The time since which anything is held.
    pub held_since: Option<Timestamp>,
    /// The time at which it is looked at next.
    pub due: Option<Timestamp>,
    /// The time for which its message was sent or filed.
    pub woken_at: Option<Timestamp>,
    /// The subjects that it knows.
    pub subjects: usize,
    /// The held ones of these subjects.
    pub held: usize,
    /// The phase of this delivery's subject, such as `held` or `released`.
    pub phase: Option<String>,
    /// Postbacks that it decided to hand over and has not.
    pub to_send: usize,
    /// Deliveries that it decided to end and has not.
    pub to_end: usize,
    /// Deliveries that are to be shown as held and are not.
    pub to_show: usize,
}

/// Reads a hold for one of its subjects. Without a rule it is read by the usual settings.
pub(crate) fn peek(
    item: &Item,
    rule: Option<&Rule>,
    epoch: Option<u64>,
    subject: &Subject,
) -> Result<(HoldInternals, HoldNow), Unreadable> {
    let stored = rows::read::<HoldRow>(&item.body)?.stored(item.rev)?;
    let due = stored.hold.due(rule.map(delay_of).unwrap_or_default());
    let Stored { hold, outbox, .. } = &stored;
    // A delivery held before the rule was switched off is cancelled (P6).
    let is_current = epoch.is_none_or(|epoch| stored.epoch >= epoch);
    let holds = is_current && hold.held().any(|(held, _)| held == subject);
    let has_outbox = !outbox.is_empty();
    let is_released = !holds && !has_outbox;
    let now = if is_released { HoldNow::Released } else { HoldNow::Holds { settled_at: hold.settled_at, due, has_outbox } };
    let (sent, ended, shown) = outbox.counts();
    let view = HoldInternals {
        revision: item.rev,
        epoch: stored.epoch,
        version: hold.newest.conversion.version,
        settled_at: hold.settled_at,
        held_since: hold.held_since,
        due,
        woken_at: stored.woken_at,
        subjects: hold.subjects.len(),
        held: hold.held().count(),
        phase: hold.subjects.get(subject).map(|held| phase(held.phase).to_owned()),
        to_send: sent,
        to_end: ended,
        to_show: shown,
    };
    Ok((view, now))
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Held => "held",
        Phase::Released(_) => "released",
        Phase::Skipped(_) => "skipped",
        Phase::Expired => "expired",
        Phase::SentAsWas => "sent_as_was",
    }
}
