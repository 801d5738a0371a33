//! The reason why a delivery does not move now, and the time at which the reason ends, for a person who looks into a stuck
//! delivery.
//!
//! The reason is computed from the data that decide: the row, the rule, the decision of the queue ([`Position`]), the hold. Nothing here
//! decides.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    delivery::State,
    subject_queue::{Blocker, BlockerKind, Decision, Lease, Position, Returns},
};

/// The kind of reason why a delivery does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCause {
    /// The delivery has ended.
    Ended,
    /// A needed row can't be read.
    Unreadable,
    /// An attempt is claimed and has no record.
    Lease,
    /// Its rule was switched off or deleted (P6).
    RuleOff,
    /// A secret's value must be written again (Q5).
    Secret,
    /// Its rule is paused.
    Paused,
    /// It is held until its conversion is settled (F1).
    Held,
    /// A person stopped it.
    Stopped,
    /// A newer change of the same subject went first (P3).
    Superseded,
    /// All its attempts are used.
    Spent,
    /// It waits for its next attempt on the retry queue.
    Retry,
    /// It waits for its next attempt as a due row.
    DueRow,
    /// It waits for its receiver, which is down (B4).
    Receiver,
    /// Another delivery of its subject queue goes first (P3).
    Behind,
    /// A fault of this system kept its next attempt from leaving.
    GivenBack,
    /// It waits for a slot of its rule's rate.
    RateSlot,
    /// It was due, and there is no reason to wait.
    Late,
    /// There is no reason to wait.
    Nothing,
}

impl WaitCause {
    /// Every cause, in the order of the checks.
    pub const ALL: [Self; 18] = [
        Self::Ended,
        Self::Unreadable,
        Self::Lease,
        Self::RuleOff,
        Self::Secret,
        Self::Paused,
        Self::Held,
        Self::Stopped,
        Self::Superseded,
        Self::Spent,
        Self::Retry,
        Self::DueRow,
        Self::Receiver,
        Self::Behind,
        Self::GivenBack,
        Self::RateSlot,
        Self::Late,
        Self::Nothing,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Unreadable => "unreadable",
            Self::Lease => "lease",
            Self::RuleOff => "rule_off",
            Self::Secret => "secret",
            Self::Paused => "paused",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::Spent => "spent",
            Self::Retry => "retry",
            Self::DueRow => "due_row",
            Self::Receiver => "receiver",
            Self::Behind => "behind",
            Self::GivenBack => "given_back",
            Self::RateSlot => "rate_slot",
            Self::Late => "late",
            Self::Nothing => "nothing",
        }
    }
}

/// The reason why a delivery does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// The kind of reason.
    pub cause: WaitCause,
    /// The reason in a sentence.
    pub why: String,
    /// The end of the reason; `None` if no time ends it.
    pub until: Option<Timestamp>,
}

/// A delivery in its row.
#[derive(Debug, Clone, Copy)]
pub struct KnownRow<'a> {
    /// The state.
    pub state: State,
    /// The reason of the state.
    pub reason: Option<&'a str>,
    /// The time of its next attempt.
    pub next_due: Option<Timestamp>,
    /// The time of its end.
    pub ended_at: Option<Timestamp>,
}

/// The present state of a delivery's rule.
#[derive(Debug, Clone, Copy)]
pub enum RuleNow<'a> {
    /// The rule can't be read.
    Unknown,
    /// The rule does not exist any more.
    Deleted,
    /// The rule is switched off, or lacks a secret.
    Off,
    /// The rule was switched off after the delivery matched, and on again.
    OffSince,
    /// A secret must be written again.
    Unbound {
        /// Names the secret and the change that unbound it.
        reason: &'a str,
        /// The time at which the delivery ends if the secret stays unwritten, if known.
        until: Option<Timestamp>,
    },
    /// The rule is paused.
    Paused {
        /// The time at which the delivery ends if the pause lasts, if known.
        until: Option<Timestamp>,
    },
    /// The rule sends the delivery.
    Sends(Option<RateNow>),
}

/// The rate of a rule.
#[derive(Debug, Clone, Copy)]
pub struct RateNow {
    /// Requests a second.
    pub per_second: u32,
    /// The next free slot, if one was taken lately.
    pub free_from: Option<Timestamp>,
}

/// The receiver of a delivery that waits for it.
#[derive(Debug, Clone, Copy)]
pub struct ReceiverNow<'a> {
    /// Host and port.
    pub host: &'a str,
    /// The time since which it is down.
    pub since: Timestamp,
    /// `true` if it is half-open.
    pub recovers: bool,
    /// The time at which the delivery ends if it still waits.
    pub until: Timestamp,
}

/// The hold of a held delivery.
#[derive(Debug, Clone, Copy)]
pub enum HoldNow {
    /// The hold does not hold the delivery any more.
    Released,
    /// The hold holds the delivery.
    Holds {
        /// The time since which the conversion is settled.
        settled_at: Option<Timestamp>,
        /// The time at which the hold is due.
        due: Option<Timestamp>,
        /// `true` if it has postbacks to hand over.
        has_outbox: bool,
    },
}

/// All data that decide the next step of a delivery.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// The time.
    pub now: Timestamp,
    /// The row, if there is one.
    pub row: Option<KnownRow<'a>>,
    /// The rule.
    pub rule: RuleNow<'a>,
    /// The position in its subject queue; `None` if that can't be read.
    pub position: Option<Position>,
    /// The row that is needed and can't be read, such as `its hold`.
    pub unreadable: Option<String>,
    /// The time until which it waits for the first delivery of its change at most.
    pub patient_until: Option<Timestamp>,
    /// The hold, if the row is in state `held`.
    pub hold: Option<HoldNow>,
    /// The time of its due row, if there is one.
    pub filed: Option<Timestamp>,
    /// The receiver that it waits for, if that is not closed.
    pub receiver: Option<ReceiverNow<'a>>,
}

/// The end of a sentence about a delivery that only waits for its message.
const AT_ITS_MESSAGE: &str = "when its message is handed out next";

/// Returns the reason why a delivery does not move, and the time at which the reason ends.
pub fn standstill(now: &Circumstances<'_>) -> Standstill {
    let found = ended(now)
        .or_else(|| unreadable(now))
        .or_else(|| leased(now))
        .or_else(|| rule_refuses(now))
        .or_else(|| held(now))
        .or_else(|| person_or_order(now))
        .or_else(|| waits(now))
        .or_else(|| receiver(now))
        .or_else(|| behind(now))
        .or_else(|| given_back(now))
        .or_else(|| rate(now));
    found.unwrap_or_else(|| free(now))
}

#[expect(clippy::unnecessary_wraps, reason = "each question answers with an option")]
fn because(cause: WaitCause, until: Option<Timestamp>, why: String) -> Option<Standstill> {
    Some(Standstill { cause, why, until })
}

fn ended(now: &Circumstances<'_>) -> Option<Standstill> {
    let row = now.row.filter(|row| row.state.is_ended())?;
    let at = row.ended_at.map(|at| format!(" at {at}")).unwrap_or_default();
    let reason = row.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    because(WaitCause::Ended, None, format!("It ended{at} as {}{reason}: only a resend makes it move", row.state.as_str()))
}

fn unreadable(now: &Circumstances<'_>) -> Option<Standstill> {
    let row = now.unreadable.as_ref()?;
    because(WaitCause::Unreadable, None, format!("It can neither be sent nor end: {row} can't be read"))
}

fn leased(now: &Circumstances<'_>) -> Option<Standstill> {
    let Lease { attempt, until, cut_off_at, .. } = now.position.as_ref()?.lease.filter(|lease| lease.is_live)?;
    let late = if cut_off_at > until { format!(", and its record may be on its way until {cut_off_at}") } else { String::new() };
    let why = format!(
        "Attempt {attempt} is claimed and has no record: it is being sent, or the process that claimed it died; its lease ends at {until}{late}"
    );
    because(WaitCause::Lease, Some(cut_off_at), why)
}

fn rule_refuses(now: &Circumstances<'_>) -> Option<Standstill> {
    let off = |what: &str| {
        let until = now.row.and_then(|row| row.next_due);
        because(WaitCause::RuleOff, until, format!("Its Tracking API {what}: it ends cancelled {AT_ITS_MESSAGE}"))
    };
    match now.rule {
        RuleNow::Sends(_) | RuleNow::Unknown => None,
        RuleNow::Deleted => off("is deleted"),
        RuleNow::Off => off("is switched off"),
        RuleNow::OffSince => off("was switched off and on again since it matched"),
        RuleNow::Unbound { reason, until } => {
            let ends = until.map(|until| format!("; without it, it ends failed at {until}")).unwrap_or_default();
            because(WaitCause::Secret, until, format!("Its Tracking API can't send: {reason}{ends}"))
        }
        RuleNow::Paused { until } => {
            let ends = until.map(|until| format!("; if that lasts, it ends expired at {until}")).unwrap_or_default();
            because(WaitCause::Paused, until, format!("Its Tracking API is paused{ends}"))
        }
    }
}

fn held(now: &Circumstances<'_>) -> Option<Standstill> {
    if now.row.is_none_or(|row| row.state != State::Held) {
        return None;
    }
    match now.hold? {
        HoldNow::Released => because(
            WaitCause::Nothing,
            None,
            "Its hold has let it go: it is sent, or ends, when its message is handed out".to_owned(),
        ),
        HoldNow::Holds { has_outbox: true, .. } => {
            let why = "Its hold has decided, and what it decided is not carried out yet: the next change or message of the \
                conversion does it";
            because(WaitCause::Held, None, why.to_owned())
        }
        HoldNow::Holds { due: Some(due), .. } if due <= now.now => because(
            WaitCause::Late,
            None,
            format!("Its hold was due at {due}, and the message that releases it has not come yet"),
        ),
        HoldNow::Holds { settled_at: Some(settled), due, .. } => {
            let at = due.map(|due| format!(" at {due}")).unwrap_or_default();
            because(WaitCause::Held, due, format!("It is held: its conversion is settled since {settled} and it goes out{at}"))
        }
        HoldNow::Holds { settled_at: None, due, .. } => {
            let at = due.map(|due| format!(", or until the hold expires at {due}")).unwrap_or_default();
            because(WaitCause::Held, due, format!("It is held until its conversion is settled{at}"))
        }
    }
}

fn person_or_order(now: &Circumstances<'_>) -> Option<Standstill> {
    let position = now.position.as_ref()?;
    match &position.decision {
        Decision::Stopped { .. } => {
            because(WaitCause::Stopped, None, format!("A person stopped it: it ends cancelled {AT_ITS_MESSAGE}"))
        }
        Decision::Superseded => {
            let head = position.head;
            let why = format!("A newer change of its subject (version {head}) went first: it ends superseded {AT_ITS_MESSAGE}");
            because(WaitCause::Superseded, None, why)
        }
        Decision::Spent { attempts, .. } => {
            because(WaitCause::Spent, None, format!("Its {attempts} attempts are used: it ends {AT_ITS_MESSAGE}"))
        }
        Decision::Ended => because(WaitCause::Ended, None, "It is over on its subject queue: nothing more is sent".to_owned()),
        _ => None,
    }
}

/// A wait for the next attempt. A delivery whose last attempt has no record waits only for its message.
fn waits(now: &Circumstances<'_>) -> Option<Standstill> {
    let position = now.position.as_ref()?;
    let row = now.row?;
    let due = row.next_due.filter(|due| *due > now.now && position.lease.is_none() && position.attempts > 0)?;
    let (last, next) = (position.attempts, position.attempts + 1);
    let reason = row.reason.unwrap_or("no reason is recorded");
    let why = format!("Attempt {last} ended with: {reason}; attempt {next} is due at {due}");
    match now.filed {
        Some(_) => because(WaitCause::DueRow, Some(due), format!("{why} and waits in a due row, which the sweep sends in time")),
        None => because(WaitCause::Retry, Some(due), why),
    }
}

fn receiver(now: &Circumstances<'_>) -> Option<Standstill> {
    let ReceiverNow { host, since, recovers, until } = now.receiver?;
    let goes = if recovers { "has answered again, and lets those go that wait for it, the oldest first" } else { "is probed" };
    let why = format!("Its receiver {host} is down since {since} and {goes}; it waits uncharged, at most until {until}");
    because(WaitCause::Receiver, Some(until), why)
}

fn behind(now: &Circumstances<'_>) -> Option<Standstill> {
    let Blocker { id, kind, until } = now.position.as_ref()?.blocker.as_ref()?;
    let until = until.or(now.patient_until);
    let at = until.map(|until| format!(", at most until {until}")).unwrap_or_default();
    let why = match kind {
        BlockerKind::InFlight => format!("{id} is in flight about the same subject: it waits for that answer{at}"),
        BlockerKind::Older => format!("{id} goes first, an older one that has had no attempt yet: it waits for that{at}"),
        BlockerKind::BetweenSteps => format!("{id} sends the next step of its flow at once: it waits for that{at}"),
        BlockerKind::SameChange => {
            format!("{id} of the same change goes first and has had no attempt yet: it waits for that{at}")
        }
    };
    because(WaitCause::Behind, until, why)
}

fn given_back(now: &Circumstances<'_>) -> Option<Standstill> {
    let position = now.position.as_ref().filter(|position| position.lease.is_none())?;
    let Returns { attempt, times } = position.returns.filter(|returns| returns.attempt == position.attempts + 1)?;
    let until = position.looks_at.filter(|at| *at > now.now);
    let at = until.map(|until| format!(" at {until}")).unwrap_or_default();
    let plural = if times == 1 { "" } else { "s" };
    let why = format!("A fault of this system kept attempt {attempt} from leaving, {times} time{plural}: it is tried again{at}");
    because(WaitCause::GivenBack, until, why)
}

fn rate(now: &Circumstances<'_>) -> Option<Standstill> {
    let RuleNow::Sends(Some(RateNow { per_second, free_from })) = now.rule else { return None };
    let position = now.position.as_ref()?;
    let future = |time: Option<Timestamp>| time.filter(|time| *time > now.now);
    if let Some(slot) = future(position.slot) {
        let why = format!("Its Tracking API sends at most {per_second} a second: its slot is at {slot}");
        return because(WaitCause::RateSlot, Some(slot), why);
    }
    let free = future(free_from)?;
    let looks = future(position.looks_at).map(|at| format!(", and it asks again at {at}")).unwrap_or_default();
    let why = format!("Its Tracking API sends at most {per_second} a second, and the slots up to {free} are taken{looks}");
    because(WaitCause::RateSlot, Some(free), why)
}

fn free(now: &Circumstances<'_>) -> Standstill {
    let attempts = now.position.as_ref().map_or(0, |position| position.attempts);
    let lease = now.position.as_ref().and_then(|position| position.lease);
    let next = attempts + 1;
    let (cause, until, why) = if let Some(filed) = now.filed.filter(|filed| *filed <= now.now) {
        (WaitCause::Late, None, format!("It was due at {filed}, and the sweep has not sent its due row yet"))
    } else if let Some(Lease { attempt, until, .. }) = lease {
        let why = format!(
            "Nothing keeps it: attempt {attempt} has no record and its lease (until {until}) is void, so attempt {next} \
             follows {AT_ITS_MESSAGE}"
        );
        (WaitCause::Nothing, None, why)
    } else if let Some(looks) = now.position.as_ref().and_then(|position| position.looks_at).filter(|at| *at > now.now) {
        (WaitCause::Nothing, Some(looks), format!("Nothing keeps it: it waited for its turn and looks again at {looks}"))
    } else if let Some(due) = now.row.and_then(|row| row.next_due).filter(|due| *due > now.now) {
        (WaitCause::Nothing, Some(due), format!("Nothing keeps it: attempt {next} follows when its message comes, at {due}"))
    } else if let Some(due) = now.row.and_then(|row| row.next_due) {
        let why = format!("Nothing keeps it: it was due at {due}, and attempt {next} follows when its message is handed out");
        (WaitCause::Late, None, why)
    } else {
        (WaitCause::Nothing, None, format!("Nothing keeps it: attempt {next} follows when its message is handed out"))
    };
    Standstill { cause, why, until }
}

#[cfg(test)]
mod tests;
