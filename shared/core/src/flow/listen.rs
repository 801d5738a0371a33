//! `listen`: a step that waits for an incoming request, a callback or a webhook (W17, W18).

use std::{collections::BTreeMap, sync::OnceLock};

use jiff::Timestamp;

use super::target::Target;
use crate::{
    answer::{AnswerRules, Response, Verdict, Within},
    caller::Owner,
    change::Change,
    document::{Fields, kind},
    event::Event,
    fault::Faults,
    hash, json,
    json::{Map, Value},
    macros::Macro,
    template::{Allowed, At, Filled, Place, Scope, Steps, Template},
};

/// The time for which a step listens unless it says otherwise, in seconds: a day.
const DEFAULT_TIMEOUT_SECONDS: u32 = 86_400;
/// The longest time for which a step listens, in seconds: as long as a flow lasts.
const MAX_TIMEOUT_SECONDS: u32 = 120 * 86_400;
/// The longest text of `verify` and `match`, as it is written, in bytes.
const MAX_TEXT: usize = 4_096;
/// The longest value that a webhook is matched by, in bytes.
const MAX_MATCH_BYTES: usize = 1_024;
/// The length of the name under which a delivery waits for a value, in characters.
const AWAITED_CHARS: usize = 25;

/// The most callbacks of one run of a step (W17).
pub const MAX_CALLBACKS: usize = 31;

/// A step that waits for an incoming request.
#[derive(Debug, Clone)]
pub struct Listen {
    timeout_seconds: u32,
    /// The meaning of the request (A1–A3).
    pub answer: AnswerRules,
    verify: Option<Verify>,
    matching: Option<Match>,
    /// The step that follows if no request ended the step in time.
    pub(super) on_timeout: Option<Target>,
    /// The targets that its answer rules name, each with its place and its rule's verdict.
    pub(super) goes: Vec<(String, Target, Option<Verdict>)>,
    /// JSON pointer to the step.
    at: Box<str>,
}

/// A proof that the receiver sent a request: both texts must be the same.
#[derive(Debug, Clone)]
struct Verify {
    incoming: Template,
    expected: Template,
}

/// The deliveries that a webhook is for: those that wait for its value.
#[derive(Debug, Clone)]
struct Match {
    waiting: Template,
    incoming: Template,
}

/// An incoming request.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The request in the form of a response.
    pub answer: &'a Response,
    /// The secrets of the rule.
    pub secrets: &'a BTreeMap<String, String>,
    /// The rule's id.
    pub rule: &'a str,
    /// The time.
    pub now: Timestamp,
    /// The remaining steps, shared by all texts about the request.
    pub steps: &'a Steps,
}

impl Listen {
    /// Reads `listen` of a step, and `on_timeout` beside it. Every fault is added to `faults`.
    pub(super) fn parse(
        value: &Value,
        step: &Fields<'_>,
        pointer: &str,
        (owner, allowed): (&Owner, Allowed),
        faults: &mut Faults,
    ) -> Option<Self> {
        let fields =
            Fields::open(Some(value), &step.at("listen"), &["timeout_seconds", "answer", "verify", "match"], &[], faults);
        if !value.is_object() {
            return None;
        }
        let timeout = fields.integer("timeout_seconds", 1..=MAX_TIMEOUT_SECONDS, "seconds", faults);
        let answer = AnswerRules::parse(fields.get("answer"), &fields.at("answer"), owner, Within::Flow, faults);
        for (place, _, then) in answer.goes() {
            if matches!(then, Some(Verdict::Pending | Verdict::Retry)) {
                let at = format!("{}{place}", fields.at("answer"));
                faults.add(at, "after pending or retry the step goes on listening: write go with another verdict, or with none");
            }
        }
        let allowed = Allowed { answer: true, ..allowed };
        let verify = pair(&fields, "verify", ["incoming", "expected"], allowed, faults);
        let verify = verify.map(|[incoming, expected]| Verify { incoming, expected });
        if let Some(Verify { expected, .. }) = &verify
            && expected.secrets().next().is_none()
        {
            let at = format!("{}/expected", fields.at("verify"));
            faults.add(at, "reads no secret, so that everybody can send it: write {secret.NAME}, or {body|hmac_sha256:NAME}");
        }
        let matching = pair(&fields, "match", ["waiting", "incoming"], allowed, faults);
        let matching = matching.map(|[waiting, incoming]| Match { waiting, incoming });
        let on_timeout = step.text("on_timeout", faults).map(Target::of);
        let goes = answer.goes().map(|(place, go, then)| (place, Target::of(go), then)).collect();
        let timeout_seconds = timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        Some(Self { timeout_seconds, answer, verify, matching, on_timeout, goes, at: pointer.into() })
    }

    pub(super) fn document(&self) -> Value {
        let mut map = Map::from_iter([
            ("timeout_seconds".to_owned(), self.timeout_seconds.into()),
            ("answer".to_owned(), self.answer.document()),
        ]);
        let verify = self.verify.as_ref();
        map.extend(verify.map(|Verify { incoming, expected }| {
            ("verify".to_owned(), json!({"incoming": incoming.text(), "expected": expected.text()}))
        }));
        let matching = self.matching.as_ref();
        map.extend(matching.map(|Match { waiting, incoming }| {
            ("match".to_owned(), json!({"waiting": waiting.text(), "incoming": incoming.text()}))
        }));
        Value::Object(map)
    }

    /// JSON pointer to its answer rules.
    pub fn answer_pointer(&self) -> String {
        format!("{}/listen/answer", self.at)
    }

    /// Every text of `verify` and `match`, with its place.
    pub(super) fn placed_templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let verify = self.verify.iter();
        let verify = verify.flat_map(|verify| [("verify/incoming", &verify.incoming), ("verify/expected", &verify.expected)]);
        let matching = self.matching.iter();
        let matching =
            matching.flat_map(|matching| [("match/waiting", &matching.waiting), ("match/incoming", &matching.incoming)]);
        let all = verify.chain(matching);
        all.map(|(place, text)| (format!("{}/listen/{place}", self.at), text))
    }

    /// The time for which the step listens, in seconds.
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    /// Returns true if the step waits for a webhook of the rule, not at its own callback URL.
    pub fn is_webhook(&self) -> bool {
        self.matching.is_some()
    }

    /// Returns true if the step asks for a proof that the receiver sent a request.
    pub fn verifies(&self) -> bool {
        self.verify.is_some()
    }

    /// Returns true if its answer rules publish a result or an amount to the platform.
    pub(crate) fn publishes(&self) -> bool {
        self.answer.platform_templates().next().is_some()
    }

    /// Returns true if `verify` proves that the receiver sent the request; without `verify` every request passes. Returns `None` if a
    /// secret that `verify` reads has no value now.
    pub fn accepts(&self, incoming: &Incoming<'_>) -> Option<bool> {
        let Some(Verify { incoming: shown, expected }) = &self.verify else { return Some(true) };
        let has_value = |name: &str| incoming.secrets.get(name).is_some_and(|value| !value.is_empty());
        if !shown.secrets().chain(expected.secrets()).all(has_value) {
            return None;
        }
        let (Some(shown), Some(expected)) = (incoming.render(shown), incoming.render(expected)) else { return Some(false) };
        Some(!expected.is_empty() && is_same(shown.as_bytes(), expected.as_bytes()))
    }

    /// The name under which the webhook's deliveries wait; `None` if it brings no value.
    pub fn awaited_by(&self, step: &str, incoming: &Incoming<'_>) -> Option<String> {
        let value = incoming.render(&self.matching.as_ref()?.incoming)?;
        awaited(step, &value)
    }

    /// The name under which a delivery waits for a webhook, or the reason why it has none. A step without `match` has no name.
    pub(super) fn expects(&self, step: &str, scope: &Scope<'_>) -> Result<Option<String>, String> {
        let Some(Match { waiting, .. }) = &self.matching else { return Ok(None) };
        let mut value = String::new();
        waiting.render(scope, &mut value).map_err(|fault| format!("match: {fault}"))?;
        let name = awaited(step, &value);
        name.map(Some).ok_or_else(|| format!("match: waiting gave no value of 1 to {MAX_MATCH_BYTES} bytes"))
    }
}

impl Incoming<'_> {
    fn render(&self, text: &Template) -> Option<String> {
        let variables = BTreeMap::new();
        let scope = Scope {
            event: nobody(),
            delivery_id: "",
            tracking_api_id: self.rule,
            attempt: 0,
            at: At::default(),
            is_test: false,
            masks: false,
            now: self.now,
            secrets: self.secrets,
            variables: &variables,
            answer: Some(self.answer),
            bound: None,
            steps: self.steps.clone(),
        };
        let mut value = String::new();
        matches!(text.render(&scope, &mut value), Ok(Filled::Written)).then_some(value)
    }
}

/// The name for a value that deliveries wait for at a step.
fn awaited(step: &str, value: &str) -> Option<String> {
    let value = value.trim();
    let fits = !value.is_empty() && value.len() <= MAX_MATCH_BYTES;
    fits.then(|| hash::text(&["awaited", step, value], AWAITED_CHARS))
}

/// Two texts of `verify` or `match`. Only `match.waiting` reads a delivery: none is known yet for an incoming request.
fn pair(
    fields: &Fields<'_>,
    key: &str,
    names: [&'static str; 2],
    allowed: Allowed,
    faults: &mut Faults,
) -> Option<[Template; 2]> {
    let value = fields.get(key)?;
    if !value.is_object() {
        let detail = format!("{} is no object: write {{\"{}\": …, \"{}\": …}}", kind(value), names[0], names[1]);
        faults.add(fields.at(key), detail);
        return None;
    }
    let inner = Fields::open(Some(value), &fields.at(key), &names, &[], faults);
    let read = names.map(|name| {
        let at = inner.at(name);
        if inner.get(name).is_none() {
            faults.add(&at, "required: a text with macros");
        }
        let text = inner.text(name, faults)?;
        let is_of_delivery = name == "waiting";
        let allowed = Allowed { answer: !is_of_delivery, ..allowed };
        let text = Template::read(text, &at, (Place::Plain, MAX_TEXT), allowed, faults)?;
        let foreign = text.uses().find(|used| !is_of_delivery && !used.source.is_of_answer() && used.source.secret().is_none());
        if let Some(used) = foreign {
            let name = used.source.name();
            faults.add(&at, format!("{{{name}}} is not known yet when a request comes: read body, header and secret"));
        }
        Some(text)
    });
    let [Some(first), Some(second)] = read else { return None };
    Some([first, second])
}

impl Macro {
    /// Returns true if it reads a response or an incoming request.
    fn is_of_answer(&self) -> bool {
        self.is_of_body() || matches!(self, Self::Header(_))
    }
}

/// Returns true if both are the same; takes a time that does not depend on where they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// An empty event: texts about an incoming request read none.
fn nobody() -> &'static Event {
    static NOBODY: OnceLock<Event> = OnceLock::new();
    NOBODY.get_or_init(|| {
        let conversion = json!({
            "conversion_id": "none", "version": 1, "change": "created", "type": "sale", "source": "none", "affiliate_id": "none",
            "advertiser_id": "none", "offer_id": "none",
        });
        let detail = json!({"change_id": "none", "occurred_at": "2026-01-01T00:00:00Z", "conversion": conversion});
        let change = Change::parse_detail(&detail, "").expect("it has every field that is required");
        change.events().into_iter().next().expect("an event follows from a conversion that was made")
    })
}
