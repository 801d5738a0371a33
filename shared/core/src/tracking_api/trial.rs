//! What a person asks to be tried out or explained: an event, whether to send, and a rule that may not be saved yet (contract §3).

use crate::{change::Change, document::Fields, fault::Faults, json::Value};

/// What is asked of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The event to try it with; `None`: [`Change::sample`].
    pub event: Option<Change>,
    /// Whether it is really sent.
    pub send: bool,
}

impl Trial {
    /// Reads what is asked of a rule that is saved: `{"event": …, "send": false}`. All faults are told at once.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["event", "send"], &[], &mut faults);
        let trial = Self::read(&fields, &mut faults);
        if faults.is_empty() { Ok(trial) } else { Err(faults) }
    }

    /// Reads what is asked of a rule that the body holds too, as `tracking_api` or `rule`: the rule as it was written, and the
    /// pointer to it. It is not read yet: its faults are to be told together with those that are noted here.
    pub fn parse_with_rule<'v>(body: &'v Value, faults: &mut Faults) -> (Self, Option<(&'v Value, &'static str)>) {
        let fields = Fields::open(Some(body), "", &["tracking_api", "rule", "event", "send"], &[], faults);
        let rule = match (fields.get("tracking_api"), fields.get("rule")) {
            (Some(rule), None) => Some((rule, "/tracking_api")),
            (None, Some(rule)) => Some((rule, "/rule")),
            (Some(rule), Some(_)) => {
                faults.add("/rule", "given as tracking_api too: give the rule once");
                Some((rule, "/tracking_api"))
            }
            (None, None) => {
                if body.is_object() {
                    faults.add("/tracking_api", "missing: give the rule as it would be created, with name and request.url");
                }
                None
            }
        };
        (Self::read(&fields, faults), rule)
    }

    /// Returns true if a body that may have faults asks to send.
    pub fn asks_to_send(body: &Value) -> bool {
        body.get("send").and_then(Value::as_bool) == Some(true)
    }

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self { event: event(fields, faults), send: fields.flag("send", faults).unwrap_or(false) }
    }
}

/// Reads the event that is to be explained: `{"event": …}`. All faults are told at once.
pub fn explained_event(body: &Value) -> Result<Change, Faults> {
    let mut faults = Faults::default();
    let fields = Fields::open(Some(body), "", &["event"], &[], &mut faults);
    if body.is_object() && fields.get("event").is_none() {
        faults.add("/event", "missing: give the detail of a Conversion Changed event");
    }
    match event(&fields, &mut faults) {
        Some(change) if faults.is_empty() => Ok(change),
        _ => Err(faults),
    }
}

fn event(fields: &Fields<'_>, faults: &mut Faults) -> Option<Change> {
    let given = fields.get("event")?;
    match Change::parse_given(given, &fields.at("event")) {
        Ok(change) => Some(change),
        Err(more) => {
            faults.append(more);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, testing};

    #[test]
    fn contract_3_a_trial_needs_nothing() {
        assert_eq!(Trial::parse(&json!({})), Ok(Trial::default()));
        assert_eq!(Trial::parse(&json!({"event": null, "send": null})), Ok(Trial::default()));
        let whole = Trial::parse(&json!({"event": testing::detail(), "send": true})).unwrap();
        assert!(whole.send && whole.event.is_some());
    }

    #[test]
    fn contract_3_all_faults_of_a_trial_are_told_at_once() {
        #[track_caller]
        fn check(faults: &Faults, expected: &[&str]) {
            assert_eq!(faults.0.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), expected);
        }
        let body = json!({"evnt": 1, "event": {"change_id": "c", "occurred_at": "x", "conversion": null}, "send": "yes"});
        check(&Trial::parse(&body).unwrap_err(), &["/evnt", "/event/occurred_at", "/event/conversion", "/send"]);
        check(&Trial::parse(&json!([])).unwrap_err(), &[""]);
        check(&explained_event(&json!({})).unwrap_err(), &["/event"]);
        check(&explained_event(&json!(5)).unwrap_err(), &[""]);
        let mut faults = Faults::default();
        Trial::parse_with_rule(&json!({"send": 1}), &mut faults);
        check(&faults, &["/tracking_api", "/send"]);
        let both = json!({"rule": {}, "tracking_api": {}});
        let mut faults = Faults::default();
        assert_eq!(Trial::parse_with_rule(&both, &mut faults).1.map(|(_, place)| place), Some("/tracking_api"));
        check(&faults, &["/rule"]);
        assert_eq!(Trial::parse_with_rule(&json!({"rule": {}}), &mut Faults::default()).1.map(|(_, place)| place), Some("/rule"));
    }
}
