//! One exchange with a receiver: the request that a rule sends, and the meaning of the response.

use std::collections::BTreeMap;

use tracking_core::{
    answer::{Judgement, Response},
    caller::Owner,
    change::Change,
    event::Event,
    json,
    json::Value,
    template::{At, Scope, Steps},
    tracking_api::{RuleDefinition, Settings},
};

/// The value of every secret in these tests.
const SECRET: &str = "s3cr3t+1";

/// A rule and the event that it fires on.
pub(crate) struct Exchange {
    rule: RuleDefinition,
    event: Event,
    variables: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
}

impl Exchange {
    /// Makes the exchange about the first event of these changes on which the rule fires.
    #[track_caller]
    pub(crate) fn new(document: &Value, owner: &Owner, changes: &[Change]) -> Self {
        let rule =
            RuleDefinition::parse(document, owner, &Settings::default()).unwrap_or_else(|faults| panic!("{document}: {faults}"));
        let fits = |event: &Event, change: &Change| {
            rule.trigger.fires_on(event.kind) && rule.conditions.fits(event, &change.transactions)
        };
        let fired = |change: &Change| change.events().into_iter().find(|event| fits(event, change));
        let event = changes.iter().find_map(fired).unwrap_or_else(|| panic!("it does not fire: {document}"));
        let secrets = rule.secret_names().into_iter().map(|name| (name, SECRET.to_owned())).collect();
        Self { rule, event, variables: BTreeMap::new(), secrets }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            event: &self.event,
            delivery_id: "dlv_01h455vb4pex",
            tracking_api_id: "trk_1",
            attempt: 1,
            at: At::default(),
            is_test: false,
            masks: false,
            now: "2026-11-23T09:00:00Z".parse().expect("a time"),
            secrets: &self.secrets,
            variables: &self.variables,
            answer: None,
            bound: None,
            steps: Steps::default(),
        }
    }

    /// Returns the request, without the two headers that every request carries: method and URL, the headers, the body.
    pub(crate) fn request(&self) -> Vec<String> {
        let rendered = self.rule.plan.first_call().request.render(&self.scope()).expect("it can be rendered");
        let mut lines = vec![format!("{} {}", rendered.method, rendered.url)];
        lines.extend(rendered.headers.iter().skip(2).map(|(name, value)| format!("{name}: {value}")));
        lines.extend(rendered.body.map(|body| String::from_utf8(body).expect("bodies are text")));
        lines
    }

    /// Returns the verdict on a response and its extracted data, in words.
    pub(crate) fn meaning(&self, status: u16, body: &str) -> String {
        let answer = Response::new(status, Vec::new(), body.as_bytes().to_vec());
        let url = self.rule.plan.first_call().request.render(&self.scope()).expect("it can be rendered").url;
        words(&self.rule.plan.first_call().answer.judge(&answer, &url, &self.scope()))
    }
}

fn words(judged: &Judgement) -> String {
    let extracted = &judged.extracted;
    let mut words = vec![judged.verdict.as_str().to_owned()];
    words.extend(extracted.result.map(|result| format!("result={}", result.as_str())));
    words.extend(extracted.payout.map(|payout| format!("payout={}", payout.0)));
    words.extend(extracted.external_id.as_ref().map(|id| format!("external_id={id}")));
    words.join(" ")
}

/// Parses a document that a test holds as text.
#[track_caller]
pub(crate) fn parsed(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {text}"))
}
