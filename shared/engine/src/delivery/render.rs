//! The request of an attempt, and the reading of its response: the same for deliveries and for trials.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use tracking_core::{
    answer::{AnswerRules, ExtractedData, Judgement, Response, Verdict, no_answer},
    event::Event,
    flow::{Answered, Call, Listen, Progress, variables_too_long},
    id::Id,
    request::Rendered,
    template::{At, RenderFault, Scope, Steps},
    tracking_api::RuleDefinition,
};

use super::{
    SendResult,
    decoded::decoded,
    flow::{InFlow, call_of},
    shown_headers::shown_headers,
};
use crate::{
    rows::{LoggedRequest, OwedDelivery},
    rules::Rule,
    secrets::{INACTIVE, MASK, Scrubber, Texts, derived, masks},
    sender::SendFault,
};

/// The most bytes of an answer that people see.
pub(crate) const SHOWN_ANSWER: usize = 4_096;

/// A body up to so many bytes takes less than a millisecond to read, mask and judge.
const LIGHT_BODY_BYTES: usize = 64 * 1_024;

/// Everything that an attempt is rendered from.
#[derive(Clone, Copy)]
pub(crate) struct Rendering<'a> {
    pub(crate) rule: &'a Id,
    pub(crate) definition: &'a RuleDefinition,
    pub(crate) event: &'a Event,
    pub(crate) delivery_id: &'a str,
    /// 1 is the first.
    pub(crate) attempt: u32,
    /// Its place in the flow of the rule, if that is one.
    pub(crate) flow: Option<&'a InFlow>,
    pub(crate) is_test: bool,
    pub(crate) at: Timestamp,
    pub(crate) secrets: &'a BTreeMap<String, String>,
    /// The variables that earlier answers set (A3).
    pub(crate) variables: &'a BTreeMap<String, String>,
    /// The names of those that were secret when they were set, whatever the rule says of them now.
    pub(crate) secret_variables: &'a BTreeSet<String>,
}

/// The meaning of an answer, or of its absence.
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The verdict in words.
    pub(crate) why: String,
    pub(crate) extracted: ExtractedData,
    /// The variables in `extracted` whose values nobody sees.
    pub(crate) hidden: BTreeSet<String>,
    pub(crate) notes: Vec<String>,
    /// The target that the deciding answer rule names.
    pub(crate) go: Option<Box<str>>,
    /// Kept variables that are dropped (W5).
    pub(crate) forget: Vec<Box<str>>,
    /// Parts of the response that other steps refer to, by the names under which they are kept (W7).
    pub(crate) references: Vec<(String, String)>,
}

impl Judged {
    /// The variables after the response: those that it set, the parts of it to which other steps refer, and earlier ones that it did not
    /// drop.
    pub(crate) fn variables_after(&self, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let is_dropped = |name: &String| self.forget.iter().any(|dropped| **dropped == **name);
        let kept = before.iter().filter(|(name, _)| !is_dropped(name)).map(|(name, value)| (name.clone(), value.clone()));
        kept.chain(self.references.iter().cloned()).chain(self.extracted.variables.clone()).collect()
    }

    /// The response as a flow takes it.
    pub(crate) fn answered(&self, retry_after: Option<Duration>, attempt: u32) -> Answered<'_> {
        Answered { verdict: self.verdict, why: &self.why, go: self.go.as_deref(), retry_after, attempt }
    }
}

/// The part of a response that people see, secrets masked (Q5).
pub(crate) struct ShownResponse {
    pub(crate) status: Option<u16>,
    pub(crate) answer: Option<String>,
    pub(crate) answer_headers: Vec<(String, String)>,
    pub(crate) error: Option<String>,
}

impl<'a> Rendering<'a> {
    /// The rendering of a delivery with these variables that has no attempt claimed; its texts read no step.
    pub(super) fn unclaimed(
        rule: &'a Rule,
        owed: &'a OwedDelivery,
        (flow, attempts): (&'a InFlow, u32),
        secrets: &'a BTreeMap<String, String>,
        now: Timestamp,
    ) -> Self {
        Self {
            rule: &rule.id,
            definition: &rule.definition,
            event: owed.event.whole(),
            delivery_id: owed.id.as_str(),
            attempt: attempts,
            flow: None,
            is_test: false,
            at: now,
            secrets,
            variables: &flow.variables,
            secret_variables: &flow.hidden,
        }
    }

    /// The values that macros read, with these values or masks for secrets.
    pub(crate) fn scope<'s>(&'s self, secrets: &'s BTreeMap<String, String>, answer: Option<&'s Response>) -> Scope<'s>
    where
        'a: 's,
    {
        Scope {
            event: self.event,
            delivery_id: self.delivery_id,
            tracking_api_id: self.rule.as_str(),
            attempt: self.attempt,
            at: self.place(),
            is_test: self.is_test,
            masks: !std::ptr::eq(secrets, self.secrets),
            now: self.at,
            secrets,
            variables: self.variables,
            answer,
            bound: None,
            steps: Steps::default(),
        }
    }

    /// The place in a flow that macros read; nothing in a rule with one request (W7).
    fn place(&self) -> At<'_> {
        let Some(flow) = self.flow.filter(|_| self.definition.plan.has_steps()) else { return At::default() };
        let Progress { step, .. } = &flow.progress;
        At { step, run: flow.progress.run(), attempt: flow.progress.attempt_of_run(self.attempt) }
    }

    /// The request with its answer rules.
    pub(crate) fn call(&self) -> &'a Call {
        call_of(self.definition, self.flow)
    }

    /// The rules that read the response, or the callback where its step listens.
    fn answer(&self) -> &'a AnswerRules {
        self.listening().map_or(&self.call().answer, |listen| &listen.answer)
    }

    /// The step that it is at, if that listens.
    fn listening(&self) -> Option<&'a Listen> {
        self.definition.plan.listen(&self.flow?.progress.step)
    }

    /// The request as it is to be sent, with the secrets in it (Q5).
    pub(crate) fn request(&self) -> Result<Rendered, RenderFault> {
        self.render(self.secrets)
    }

    /// The request as people may see it, masks in place of the secrets (Q5).
    pub(crate) fn shown(&self) -> Result<Rendered, RenderFault> {
        let variables = self.shown_variables();
        Rendering { variables: &variables, ..*self }.render(&masks(self.secrets))
    }

    fn render(&self, secrets: &BTreeMap<String, String>) -> Result<Rendered, RenderFault> {
        self.call().request.render(&self.scope(secrets, None))
    }

    /// The scrubber of this attempt's secrets, and of texts that its request made of them (Q5). `shown` is the request as people may see
    /// it. Where the values are of `two_parties`, nothing of a response is shown or read.
    pub(crate) fn scrubber(&self, shown: Option<&Rendered>, two_parties: bool) -> Scrubber {
        let secrets = self.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if two_parties {
            return Scrubber::hiding(&secrets);
        }
        // Without a request there is no answer: the reason that follows holds at most the secrets.
        let real = if secrets.is_empty() { None } else { self.request().ok() };
        // The rule may read its secret variables again.
        let with_variables = self.has_secret_variables().then(|| self.render(&masks(self.secrets)).ok()).flatten();
        let shown = with_variables.as_ref().or(shown);
        let derived = |real| derived(&self.call().request, &self.scope(self.secrets, None), &real, shown);
        Scrubber::new(&Texts { secrets, derived: real.map(derived).unwrap_or_default() })
    }

    /// Judges a response, masked (A1, A2), and extracts its data (A3). Returns the response as people may see it, with its meaning.
    /// `shown` is the request as people may see it.
    pub(crate) fn read(&self, sent: SendResult, shown: Option<&Rendered>, scrubber: &Scrubber) -> (SendResult, Judged) {
        // The URL as people see it: a rule that asks for a parameter that holds a secret sees the mask.
        self.read_at(sent, shown.map_or("", |shown| &shown.url), shown, scrubber)
    }

    /// Judges a request that came to this URL, or a response from it, in the same way.
    pub(crate) fn read_at(
        &self,
        sent: SendResult,
        url: &str,
        shown: Option<&Rendered>,
        scrubber: &Scrubber,
    ) -> (SendResult, Judged) {
        let judged = self.judge(&sent, url, scrubber);
        self.hide(sent, judged, shown)
    }

    /// The part of the masked response that people see: all that is shown of one, or its status and length where it is hidden (W8).
    pub(crate) fn heard(&self, sent: &SendResult, judged: &Judged, scrubber: &Scrubber) -> ShownResponse {
        let answered = sent.as_ref().ok();
        let status = answered.map(|answer| answer.status);
        if let Some(answer) = answered.filter(|_| self.answer().hides()) {
            let (bytes, more) = (answer.body().len(), if answer.is_cut() { " or more" } else { "" });
            let error = Some(format!("the response of {bytes} bytes{more} is not kept: answer.hide"));
            return ShownResponse { status, answer: None, answer_headers: Vec::new(), error };
        }
        let mut error = sent.as_ref().err().map(SendFault::to_string);
        if !judged.notes.is_empty() {
            error = Some(judged.notes.join("; "));
        }
        ShownResponse {
            status,
            answer: answered.map(shown_answer),
            answer_headers: answered.map(|answer| shown_headers(answer, scrubber)).unwrap_or_default(),
            error: error.map(|error| scrubber.scrub(&error)),
        }
    }

    /// The fault's text if these values would exceed the bound of the delivery's variables. Variables that are kept for later
    /// deliveries do not count.
    fn too_long(&self, extracted: &ExtractedData, references: &[(String, String)]) -> Option<String> {
        let kept = self.definition.plan.kept_variables();
        let new = || references.iter().map(|(name, value)| (name, value)).chain(&extracted.variables);
        let is_new = |name: &String| extracted.variables.contains_key(name) || references.iter().any(|(new, _)| new == name);
        let old = self.variables.iter().filter(|(name, _)| !is_new(name));
        let counted = new().chain(old).filter(|(name, _)| !kept.contains(*name));
        new().next()?;
        variables_too_long(counted.map(|(_, value)| value))
    }

    fn judge(&self, sent: &SendResult, url: &str, scrubber: &Scrubber) -> Judged {
        match sent {
            Ok(answer) => {
                let hidden = masks(self.secrets);
                let scope = self.scope(&hidden, None);
                let Judgement { mut verdict, rule, mut reason, mut extracted, mut notes, go, forget } =
                    self.answer().judge(answer, url, &scope);
                let references = self.flow.map(|flow| self.definition.plan.references(&flow.progress.step, answer));
                let mut references = references.unwrap_or_default();
                if let Some(too_long) = self.too_long(&extracted, &references) {
                    extracted.variables.clear();
                    references.clear();
                    notes.push(format!("{too_long}; left out"));
                    if self.flow.is_some() {
                        (verdict, reason) = (Verdict::Failed, Some(too_long));
                    }
                }
                // The answer was masked; its templates may have decoded it.
                for value in extracted.variables.values_mut() {
                    *value = scrubber.scrub(value);
                }
                let by = rule.map_or_else(String::new, |rule| format!(", answer rule {}", rule + 1));
                let elsewhere = redirect(answer);
                notes.extend(elsewhere.clone());
                let elsewhere = elsewhere.map_or_else(String::new, |text| format!("; {text}"));
                let reason = reason.unwrap_or_else(|| match self.listening() {
                    Some(listen) => format!("a {}{by}", if listen.is_webhook() { "webhook" } else { "callback" }),
                    None => format!("status {}{by}{elsewhere}", answer.status),
                });
                Judged {
                    verdict,
                    why: format!("{}: {reason}", verdict.as_str()),
                    extracted,
                    hidden: BTreeSet::new(),
                    notes,
                    go,
                    forget,
                    references,
                }
            }
            Err(fault) => {
                let verdict = if fault.is_for_good() { Verdict::Failed } else { no_answer() };
                let why = format!("{}: {}", verdict.as_str(), scrubber.scrub(&fault.to_string()));
                Judged {
                    verdict,
                    why,
                    extracted: ExtractedData::default(),
                    hidden: BTreeSet::new(),
                    notes: Vec::new(),
                    go: None,
                    forget: Vec::new(),
                    references: Vec::new(),
                }
            }
        }
    }
}

/// The text for a redirect, which is not followed.
fn redirect(answer: &Response) -> Option<String> {
    const SHOWN_BYTES: usize = 500;
    let location = answer.header("location").filter(|_| (300..400).contains(&answer.status));
    location.map(|location| {
        let shown = &location[..location.floor_char_boundary(SHOWN_BYTES)];
        format!("redirects are not followed; Location: {shown}")
    })
}

/// Returns true if reading the response may take milliseconds.
pub(crate) fn is_heavy(sent: &SendResult) -> bool {
    sent.as_ref().is_ok_and(|answer| answer.body().len() > LIGHT_BODY_BYTES || answer.header("content-encoding").is_some())
}

/// Decodes a response and masks the secrets in it (Q5), before anything judges, reads or shows it.
pub(crate) fn masked(sent: SendResult, scrubber: &Scrubber) -> SendResult {
    sent.map(|answer| scrubber.answer(decoded(answer)))
}

/// The beginning of a body as text.
fn shown_answer(answer: &Response) -> String {
    // A character takes up to 4 bytes, and a byte that is in none becomes one of 3.
    let beginning = &answer.body()[..answer.body().len().min(SHOWN_ANSWER + 4)];
    let mut text = String::from_utf8_lossy(beginning).into_owned();
    text.truncate(text.floor_char_boundary(SHOWN_ANSWER));
    text
}

/// The masked request as people read it, with so many bytes of its body: a mask in a URL or a form is not percent-encoded.
pub(crate) fn shown_request(rendered: Rendered, longest_body: usize) -> LoggedRequest {
    let plain = |text: &str| text.replace("%2A%2A%2A", MASK).replace("%28inactive%29", INACTIVE);
    let body = rendered.body.map(|body| {
        let mut text = plain(&String::from_utf8_lossy(&body));
        text.truncate(text.floor_char_boundary(longest_body));
        text
    });
    LoggedRequest { method: rendered.method.as_str().to_owned(), url: plain(&rendered.url), headers: rendered.headers, body }
}
