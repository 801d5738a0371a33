//! The body of a trial or an explanation: an event, whether to send, and a rule that may not be saved yet.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    change::Change,
    document::{Fields, kind},
    fault::{Faults, pointer_token},
    flow::{MAX_RUNS, MAX_STEPS},
    json::Value,
};

/// The longest body of a given response, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1_024;
/// The most headers of a given response.
const MAX_HEADERS: usize = 50;

/// A trial of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The event of the trial; `None` means [`Change::sample`].
    pub event: Option<Change>,
    /// `true` if requests are sent.
    pub send: bool,
    /// Responses to use instead of the receivers', by the steps that need them, in order (W11).
    pub answers: BTreeMap<String, VecDeque<GivenAnswer>>,
}

/// A response that a person gives instead of a receiver's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body; a JSON value as its text.
    pub body: Vec<u8>,
}

impl Trial {
    /// Reads a trial of a saved rule: `{"event": …, "send": false}`. All faults are reported at once.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["event", "send", "answers"], &[], &mut faults);
        let trial = Self::read(&fields, &mut faults);
        if faults.is_empty() { Ok(trial) } else { Err(faults) }
    }

    /// Reads a trial of a rule in the body, `tracking_api` or `rule`. Returns the rule's document and its
    /// pointer; the rule is not parsed yet: its faults are reported together with those in `faults`.
    pub fn parse_with_rule<'v>(body: &'v Value, faults: &mut Faults) -> (Self, Option<(&'v Value, &'static str)>) {
        let fields = Fields::open(Some(body), "", &["tracking_api", "rule", "event", "send", "answers"], &[], faults);
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
        let event = event(fields, faults);
        let send = fields.flag("send", faults).unwrap_or(false);
        Self { event, send, answers: answers(fields, faults) }
    }
}

/// Reads the event to explain: `{"event": …}`. All faults are reported at once.
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

fn answers(fields: &Fields<'_>, faults: &mut Faults) -> BTreeMap<String, VecDeque<GivenAnswer>> {
    let (given, at) = match fields.get("answers") {
        None => return BTreeMap::new(),
        Some(Value::Object(given)) => (given, fields.at("answers")),
        Some(other) => {
            let detail = format!("{} is not an object: write {{\"STEP\": [{{\"status\": 200, \"body\": …}}]}}", kind(other));
            faults.add(fields.at("answers"), detail);
            return BTreeMap::new();
        }
    };
    let mut all = BTreeMap::new();
    for (step, list) in given.iter().take(MAX_STEPS) {
        let at = format!("{at}/{}", pointer_token(step));
        let Some(list) = list.as_array() else {
            faults.add(at, format!("{} is not a list: write [{{\"status\": 200, \"body\": …}}]", kind(list)));
            continue;
        };
        let most = usize::try_from(MAX_RUNS).unwrap_or(usize::MAX);
        if list.len() > most {
            faults.add(&at, format!("expected at most {most} answers of a step, got {}", list.len()));
        }
        let read =
            list.iter().take(most).enumerate().filter_map(|(i, answer)| given_answer(answer, &format!("{at}/{i}"), faults));
        let read = read.collect();
        all.insert(step.clone(), read);
    }
    all
}

fn given_answer(value: &Value, pointer: &str, faults: &mut Faults) -> Option<GivenAnswer> {
    let before = faults.count();
    let fields = Fields::open(Some(value), pointer, &["status", "headers", "body"], &[], faults);
    let status = fields.integer("status", 100..=599, "status", faults).unwrap_or(200);
    let mut headers = Vec::new();
    match fields.get("headers") {
        None => {}
        Some(Value::Object(given)) if given.len() <= MAX_HEADERS => {
            for (name, value) in given.iter() {
                match value.as_str() {
                    Some(value) => headers.push((name.clone(), value.to_owned())),
                    None => faults.add(format!("{}/{}", fields.at("headers"), pointer_token(name)), "expected a text"),
                }
            }
        }
        Some(_) => faults.add(fields.at("headers"), format!("expected an object of at most {MAX_HEADERS} texts")),
    }
    let body = match fields.get("body") {
        None => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    };
    if body.len() > MAX_BODY_BYTES {
        faults.add(fields.at("body"), format!("expected at most {MAX_BODY_BYTES} bytes, got {}", body.len()));
    }
    let status = u16::try_from(status).ok()?;
    (faults.count() == before).then_some(GivenAnswer { status, headers, body })
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
    fn a_trial_has_no_required_field() {
        assert_eq!(Trial::parse(&json!({})), Ok(Trial::default()));
        assert_eq!(Trial::parse(&json!({"event": null, "send": null})), Ok(Trial::default()));
        let whole = Trial::parse(&json!({"event": testing::detail(), "send": true})).unwrap();
        assert!(whole.send && whole.event.is_some());
    }

    #[test]
    fn a_trial_reports_all_its_faults_at_once() {
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
