//! Requests of a person to repair failures: a resend, a replay of a period, a backfill from kept events (L1).

use jiff::Timestamp;

use crate::{
    delivery::State,
    document::{Fields, kind},
    fault::{Faults, unknown},
    json::Value,
};

/// The states that a replay sends again by default.
pub const USUALLY_REPLAYED: [State; 5] = [State::Failed, State::Exhausted, State::Unresolved, State::Cancelled, State::Expired];

/// A period: from a time up to another, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// A request to send one delivery again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resend {
    /// Also if a newer one was delivered (L1).
    pub force: bool,
    /// The step at which a flow begins, with its present variables (W13); the first step by default.
    pub from_step: Option<String>,
}

/// A request to send the deliveries of a period again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The period of the deliveries' creation.
    pub period: Period,
    /// The states of the deliveries.
    pub states: Vec<State>,
    /// `true` to count them only.
    pub dry_run: bool,
    /// Also deliveries of which a newer one was delivered (L1).
    pub force: bool,
}

/// A request to judge the kept events of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The period in which the events were received.
    pub period: Period,
    /// `true` to count the owed deliveries only.
    pub dry_run: bool,
}

impl Resend {
    /// Reads the body of a resend.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["force", "from_step"], &[], &mut faults);
        let force = fields.flag("force", &mut faults).unwrap_or(false);
        let from_step = fields.text("from_step", &mut faults).map(str::to_owned);
        if faults.is_empty() { Ok(Self { force, from_step }) } else { Err(faults) }
    }
}

impl Replay {
    /// Reads the body of a replay; without `dry_run` it only counts.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["from", "to", "states", "dry_run", "force"], &[], &mut faults);
        let period = Period::read(&fields, &mut faults);
        let states = read_states(&fields, &mut faults);
        let dry_run = fields.flag("dry_run", &mut faults).unwrap_or(true);
        let force = fields.flag("force", &mut faults).unwrap_or(false);
        match period {
            Some(period) if faults.is_empty() => Ok(Self { period, states, dry_run, force }),
            _ => Err(faults),
        }
    }
}

impl Backfill {
    /// Reads the body of a backfill; without `dry_run` it only counts.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["from", "to", "dry_run"], &[], &mut faults);
        let period = Period::read(&fields, &mut faults);
        let dry_run = fields.flag("dry_run", &mut faults).unwrap_or(true);
        match period {
            Some(period) if faults.is_empty() => Ok(Self { period, dry_run }),
            _ => Err(faults),
        }
    }
}

impl Period {
    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Option<Self> {
        let mut time = |key: &str| {
            let allowed = "give a time such as \"2026-11-22T09:00:00Z\" (RFC 3339)";
            if fields.get(key).is_none() {
                faults.add(fields.at(key), format!("{key} is missing: {allowed}"));
                return None;
            }
            let text = fields.text(key, faults)?;
            let read: Option<Timestamp> = text.parse().ok();
            if read.is_none() {
                let shown: String = text.chars().take(64).collect();
                faults.add(fields.at(key), format!("{shown:?} is not a time: {allowed}"));
            }
            read
        };
        let (from, to) = (time("from"), time("to"));
        let (from, to) = (from?, to?);
        if from >= to {
            faults.add(fields.at("to"), format!("{to} is not after from: choose a time after {from}"));
            return None;
        }
        Some(Self { from, to })
    }
}

/// `states`: each a state of an ended delivery.
fn read_states(fields: &Fields<'_>, faults: &mut Faults) -> Vec<State> {
    let given = fields.list("states", faults);
    if given.is_empty() {
        return USUALLY_REPLAYED.to_vec();
    }
    let over: Vec<&str> = State::ALL.into_iter().filter(|state| state.is_ended()).map(State::as_str).collect();
    let mut states = Vec::new();
    for (place, value) in given.iter().enumerate() {
        let Some(word) = value.as_str() else {
            faults.add(
                format!("{}/{place}", fields.at("states")),
                format!("expected one of {}, got {}", over.join(", "), kind(value)),
            );
            continue;
        };
        match State::from_word(word).filter(|state| state.is_ended()) {
            Some(state) if !states.contains(&state) => states.push(state),
            Some(_) => {}
            None => {
                faults.add(format!("{}/{place}", fields.at("states")), unknown("final state", word, &over));
            }
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn pointers_and_details(faults: &Faults) -> Vec<(&str, &str)> {
        faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect()
    }

    #[test]
    fn a_replay_only_counts_unless_dry_run_is_false() {
        let replay = Replay::parse(&json!({"from": "2026-11-22T09:00:00Z", "to": "2026-11-22T10:00:00+01:00"}));
        assert_eq!(
            pointers_and_details(&replay.unwrap_err()),
            [("/to", "2026-11-22T09:00:00Z is not after from: choose a time after 2026-11-22T09:00:00Z")]
        );
        let replay = Replay::parse(&json!({"from": "2026-11-22T09:00:00Z", "to": "2026-11-23T09:00:00Z"})).unwrap();
        assert_eq!((replay.dry_run, replay.force), (true, false));
        let usual = ["failed", "exhausted", "unresolved", "cancelled", "expired"];
        assert_eq!(replay.states.into_iter().map(State::as_str).collect::<Vec<_>>(), usual);
        let real =
            Replay::parse(&json!({"from": "2026-11-22T09:00:00Z", "to": "2026-11-23T09:00:00Z", "dry_run": false, "force": true,
            "states": ["delivered", "delivered"]}));
        let real = real.unwrap();
        assert_eq!((real.dry_run, real.force, real.states), (false, true, vec![State::Delivered]));
    }

    #[test]
    fn a_replay_reports_all_its_faults_at_once() {
        let faults = Replay::parse(&json!({"from": "yesterday", "states": ["held", 3], "dry_run": "no", "form": 1})).unwrap_err();
        let over = "expected one of delivered, failed, exhausted, unresolved, expired, superseded, cancelled, skipped";
        assert_eq!(
            pointers_and_details(&faults),
            [
                ("/form", "unknown field \"form\"; did you mean \"from\"?"),
                ("/from", "\"yesterday\" is not a time: give a time such as \"2026-11-22T09:00:00Z\" (RFC 3339)"),
                ("/to", "to is missing: give a time such as \"2026-11-22T09:00:00Z\" (RFC 3339)"),
                ("/states/0", format!("unknown final state \"held\"; {over}").as_str()),
                ("/states/1", format!("{over}, got a number").as_str()),
                ("/dry_run", "a text is not a flag: choose true or false"),
            ]
        );
    }

    #[test]
    fn a_backfill_requires_from_and_to() {
        let faults = Backfill::parse(&json!({})).unwrap_err();
        assert_eq!(pointers_and_details(&faults).into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>(), ["/from", "/to"]);
        let faults = Backfill::parse(&json!([])).unwrap_err();
        assert_eq!(pointers_and_details(&faults)[0], ("", "a list is not an object: write {…} with from, to, dry_run"));
    }

    #[test]
    fn l1_a_resend_is_not_forced_unless_it_says_so() {
        assert_eq!(Resend::parse(&json!({})), Ok(Resend { force: false, from_step: None }));
        assert_eq!(Resend::parse(&json!({"force": true})), Ok(Resend { force: true, from_step: None }));
        assert_eq!(
            pointers_and_details(&Resend::parse(&json!({"force": 1})).unwrap_err()),
            [("/force", "a number is not a flag: choose true or false")]
        );
    }
}
