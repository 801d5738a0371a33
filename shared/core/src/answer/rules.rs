//! The rules that read a response: top down, the first that holds decides (A1–A3).

use std::collections::BTreeSet;

use url::form_urlencoded;

use super::{ExtractedData, Response, Verdict, set::Set};
use crate::{
    caller::Owner,
    document::Fields,
    expression::{MAX_STEPS, Spent, Steps},
    fault::Faults,
    json,
    json::{Map, Value},
    name::check_name,
    path::FieldPath,
    template::{Allowed, Scope, Template},
    when::{Condition, Exchange, Spot, Unjudged, When},
};

/// The most rules that one Tracking API may have.
const MAX_RULES: usize = 50;

/// The answer rules of a Tracking API (A2). The default has no rules; then the status decides (A1).
#[derive(Debug, Clone, Default)]
pub struct AnswerRules {
    rules: Vec<AnswerRule>,
    otherwise: Option<Verdict>,
    /// `true` if only a response's status and length are stored (W8).
    hide: bool,
}

#[derive(Debug, Clone)]
struct AnswerRule {
    when: When,
    then: Option<Verdict>,
    /// The step at which the flow goes on.
    go: Option<Box<str>>,
    /// Kept variables that are deleted.
    forget: Vec<Box<str>>,
    set: Set,
}

/// The kind of rule that the answer rules belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// A rule with one request.
    OneRequest,
    /// A step: rules may go on at another step, forget kept variables and hide responses.
    Flow,
}

/// The result of judging a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The meaning of the response.
    pub verdict: Verdict,
    /// The rule that decided, counted from 0; `None`: `otherwise`, the status (A1) or the reason did.
    pub rule: Option<usize>,
    /// The reason, if neither a rule nor the status decided.
    pub reason: Option<String>,
    /// The data that the deciding rule's `set` took from the response (A3).
    pub extracted: ExtractedData,
    /// The fields of `set` that were left out, each with the reason, for the log.
    pub notes: Vec<String>,
    /// The step at which the flow goes on, or `end` or `fail`.
    pub go: Option<Box<str>>,
    /// Kept variables that are deleted.
    pub forget: Vec<Box<str>>,
}

/// The progress of judging one response.
struct Reading<'a> {
    answer: &'a Response,
    /// The parameters of the request that was sent.
    query: Vec<(String, String)>,
    scope: &'a Scope<'a>,
    /// The number of conditions so far that looked at a field of the body.
    fields: usize,
    notes: Vec<String>,
}

impl Reading<'_> {
    /// Judges one condition of a rule.
    fn judge(&mut self, rule: usize, spot: Spot, condition: &Condition) -> Result<bool, Spent> {
        self.fields += usize::from(condition.field().is_some());
        let exchange = Exchange { answer: self.answer, query: &self.query };
        let why = match condition.holds(Some(exchange), self.scope) {
            Ok(holds) => return Ok(holds),
            Err(Unjudged::Spent) => format!("the answer rules are too expensive for this answer: {MAX_STEPS} steps"),
            Err(Unjudged::Macros(detail)) => format!("{detail}; the condition does not hold"),
            Err(Unjudged::Expression) => {
                "a regular expression over the limits never matches, save the rule with a smaller one".to_owned()
            }
        };
        self.notes.push(format!("/answer/rules/{rule}/when{spot}: {why}"));
        if self.scope.steps.is_spent() { Err(Spent) } else { Ok(false) }
    }
}

impl Judgement {
    /// A verdict without extracted data.
    pub(super) fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            rule: None,
            reason: None,
            extracted: ExtractedData::default(),
            notes: Vec::new(),
            go: None,
            forget: Vec::new(),
        }
    }
}

impl AnswerRules {
    /// Reads `answer` of a rule; absent is no rules. All faults go to `faults`; an affiliate's rule may set variables only (A3, V3).
    pub fn parse(value: Option<&Value>, pointer: &str, owner: &Owner, within: Within, faults: &mut Faults) -> Self {
        let known: &[&str] = if within == Within::Flow { &["rules", "otherwise", "hide"] } else { &["rules", "otherwise"] };
        let fields = Fields::open(value, pointer, known, &[], faults);
        let items = fields.list("rules", faults);
        if items.len() > MAX_RULES {
            faults.add(fields.at("rules"), format!("{} rules are too many: {MAX_RULES} are allowed", items.len()));
        }
        let rules: Vec<AnswerRule> = items
            .iter()
            .take(MAX_RULES)
            .enumerate()
            .filter_map(|(i, rule)| AnswerRule::parse(rule, &format!("{pointer}/rules/{i}"), owner, within, faults))
            .collect();
        let hide = within == Within::Flow && fields.flag("hide", faults).unwrap_or(false);
        Self { rules, otherwise: fields.word("otherwise", &Verdict::WORDS, faults), hide }
    }

    /// The resource's form.
    pub fn document(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(AnswerRule::document).collect();
        let mut map = Map::from_iter([("rules".to_owned(), rules.into())]);
        map.extend(self.otherwise.map(|verdict| ("otherwise".to_owned(), verdict.as_str().into())));
        map.extend(self.hide.then(|| ("hide".to_owned(), true.into())));
        Value::Object(map)
    }

    /// Returns true if a rule, or `otherwise`, has this verdict.
    pub fn may_say(&self, verdict: Verdict) -> bool {
        self.otherwise == Some(verdict) || self.rules.iter().any(|rule| rule.then == Some(verdict))
    }

    /// The verdict on responses for which no rule holds, if `otherwise` is set.
    pub fn otherwise(&self) -> Option<Verdict> {
        self.otherwise
    }

    /// The first rule that holds for every response, counted from 0; the rules after it are never reached.
    pub fn always(&self) -> Option<usize> {
        self.rules.iter().position(|rule| rule.when.is_always())
    }

    /// The number of rules.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// Returns true if a condition or a `set` looks at the body.
    pub fn looks_at_body(&self) -> bool {
        self.rules.iter().any(|rule| rule.set.looks_at_body()) || self.conditions().any(Condition::looks_at_body)
    }

    /// Returns true if a rule looks at the status.
    pub fn asks_status(&self) -> bool {
        self.conditions().any(Condition::asks_status)
    }

    /// Returns true if only a response's status and length are stored (W8).
    pub fn hides(&self) -> bool {
        self.hide
    }

    /// The steps at which its rules go on, each with its place and its rule's verdict.
    pub fn goes(&self) -> impl Iterator<Item = (String, &str, Option<Verdict>)> {
        let rules = self.rules.iter().enumerate();
        rules.filter_map(|(index, rule)| Some((format!("/rules/{index}/go"), rule.go.as_deref()?, rule.then)))
    }

    /// The kept variables that its rules delete, each with its place.
    pub fn forgotten(&self) -> impl Iterator<Item = (String, &str)> {
        let rules = self.rules.iter().enumerate();
        rules.flat_map(|(index, rule)| rule.forget.iter().map(move |name| (format!("/rules/{index}/forget"), &**name)))
    }

    /// The variables that its rules set, with their texts.
    pub(crate) fn assignments(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.rules.iter().flat_map(|rule| rule.set.assignments())
    }

    /// The texts that are published to the platform.
    pub(crate) fn platform_templates(&self) -> impl Iterator<Item = &Template> {
        self.rules.iter().flat_map(|rule| rule.set.platform_templates())
    }

    /// The fields of `set` that would publish the value of a secret variable to the platform, each with the fault (W8).
    pub(crate) fn leaks(&self) -> impl Iterator<Item = (String, String)> {
        let rules = self.rules.iter().enumerate();
        rules.flat_map(|(index, rule)| {
            rule.set.leaks().into_iter().map(move |(field, detail)| (format!("/rules/{index}/set/{field}"), detail))
        })
    }

    /// The variables that later deliveries read (W5).
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.set.kept())
    }

    /// Every text that its rules set, each with its place.
    pub(crate) fn placed_templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let rules = self.rules.iter().enumerate();
        rules.flat_map(|(index, rule)| {
            rule.set.placed_templates().map(move |(place, template)| (format!("/rules/{index}/set{place}"), template))
        })
    }

    /// Returns true if a rule sets the variable (A3).
    pub fn sets_variable(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.set.sets_variable(name))
    }

    /// The variables whose values nobody may see: one that is secret in one rule is secret in all (A3).
    pub fn secret_variables(&self) -> BTreeSet<&str> {
        self.rules.iter().flat_map(|rule| rule.set.secret_variables()).collect()
    }

    /// Reads a complete response, whatever its status: the first rule that holds decides, else `otherwise`, else the status (A1, A2).
    ///
    /// A cut response is judged by the rules if none of them looks at the body, with a note; else its verdict is retry.
    /// A response whose reading takes more than [`MAX_STEPS`] never counts as delivered: its verdict is retry, with a note.
    ///
    /// `sent_url` is the URL of the request. The `set` of the deciding rule is rendered with `scope` and this response; a text that is no
    /// valid result or amount is left out, with a note (A3).
    pub fn judge(&self, answer: &Response, sent_url: &str, scope: &Scope<'_>) -> Judgement {
        let scope = Scope { answer: Some(answer), steps: Steps::default(), ..*scope };
        let mut notes = answer.notes().to_vec();
        if let Some(cut) = answer.why_cut() {
            if self.looks_at_body() {
                let reason = cut.as_str().to_owned();
                notes.push(reason.clone());
                return Judgement { notes, reason: Some(reason), ..Judgement::of(Verdict::Retry) };
            }
            notes.push(format!("{}: the rest was not read", cut.as_str()));
        }
        let mut reading = Reading { answer, query: parameters(sent_url), scope: &scope, fields: 0, notes };
        let decided = self.decide(&mut reading);
        let Reading { fields, mut notes, .. } = reading;
        let Ok(decided) = decided else { return Judgement { notes, ..Judgement::of(Verdict::Retry) } };
        let misfit = if fields > 0 { answer.misfit(self.fields()) } else { None };
        if let Some(misfit) = &misfit {
            notes.push(format!("{misfit}; {fields} condition{} found nothing", if fields == 1 { "" } else { "s" }));
        }
        let Some((index, rule)) = decided else {
            let verdict = self.otherwise.unwrap_or_else(|| Verdict::of_status(answer.status));
            // While a rule polls, an error page must not end the delivery.
            let is_lost = self.otherwise.is_none() && verdict == Verdict::Delivered && self.asks_again();
            return match misfit.filter(|_| is_lost) {
                Some(misfit) => Judgement { reason: Some(misfit), notes, ..Judgement::of(Verdict::Retry) },
                None => Judgement { notes, ..Judgement::of(verdict) },
            };
        };
        let verdict = rule.then.unwrap_or(Verdict::Branch);
        let is_lost = match verdict {
            Verdict::Delivered => !rule.knows(answer),
            Verdict::Failed => rule.reads_fields() && !rule.reads_text() && Verdict::of_status(answer.status) != Verdict::Failed,
            _ => false,
        };
        if let Some(misfit) = misfit.filter(|_| is_lost && self.asks_again()) {
            return Judgement { reason: Some(misfit), notes, ..Judgement::of(Verdict::Retry) };
        }
        if rule.set.reads_fields()
            && let Some(why) = answer.unreadable()
        {
            notes.push(format!("{why}; set found nothing"));
        }
        let extracted = rule.set.extract(&scope, &mut |field, why| {
            notes.push(format!("/answer/rules/{index}/set/{field}: {why}; left out"));
        });
        Judgement {
            rule: Some(index),
            extracted,
            notes,
            go: rule.go.clone(),
            forget: rule.forget.clone(),
            ..Judgement::of(verdict)
        }
    }

    /// The first rule that holds. A condition that can't be judged does not hold, with a note.
    fn decide(&self, reading: &mut Reading<'_>) -> Result<Option<(usize, &AnswerRule)>, Spent> {
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.when.decide(|spot, condition| reading.judge(index, spot, condition))? {
                return Ok(Some((index, rule)));
            }
        }
        Ok(None)
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.rules.iter().flat_map(AnswerRule::conditions)
    }

    /// The conditions, each with the end of its JSON pointer.
    pub(crate) fn placed_conditions(&self) -> impl Iterator<Item = (String, &Condition)> {
        let rules = self.rules.iter().enumerate();
        rules.flat_map(|(index, rule)| {
            rule.when.conditions().map(move |(spot, condition)| (format!("/rules/{index}/when{spot}"), condition))
        })
    }

    /// The fields of the body that conditions look at.
    fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.conditions().filter_map(Condition::field)
    }

    /// Returns true if a field of the body, or what no rule names, may ask for the same request again.
    fn asks_again(&self) -> bool {
        let goes_on = matches!(self.otherwise, Some(Verdict::Pending | Verdict::Retry));
        let mut rules = self.rules.iter().filter(|rule| rule.then == Some(Verdict::Pending));
        goes_on || rules.any(AnswerRule::reads_fields)
    }

    /// Returns true if a rule takes some bodies as delivered and no rule names the meaning of the others: with a 2xx status they count as
    /// delivered, too.
    pub(crate) fn delivers_without_end(&self) -> bool {
        let mut delivers = self.rules.iter().filter(|rule| rule.then == Some(Verdict::Delivered));
        let by_body = delivers.any(|rule| rule.conditions().any(Condition::looks_at_body));
        let goes_on = self.rules.iter().any(|rule| rule.then.is_none());
        let says_more = self.otherwise.is_some() || self.always().is_some() || goes_on;
        let waits = self.may_say(Verdict::Pending) || self.may_say(Verdict::Retry);
        by_body && !says_more && !waits
    }

    /// Returns true if a body may mean that the receiver has not decided.
    pub(crate) fn polls(&self) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.then == Some(Verdict::Pending));
        rules.any(|rule| rule.conditions().any(Condition::looks_at_body))
    }

    /// An estimate of the memory that the rules take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rules.iter().map(AnswerRule::bytes).sum()
    }
}

/// The decoded parameters of a URL, in order.
fn parameters(url: &str) -> Vec<(String, String)> {
    let before_fragment = url.split('#').next().unwrap_or_default();
    let query = before_fragment.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl AnswerRule {
    fn parse(value: &Value, pointer: &str, owner: &Owner, within: Within, faults: &mut Faults) -> Option<Self> {
        if value.is_null() {
            faults.add(pointer, "null is not an object: write {…} with when, then, set");
            return None;
        }
        let known: &[&str] =
            if within == Within::Flow { &["when", "then", "set", "go", "forget"] } else { &["when", "then", "set"] };
        let fields = Fields::open(Some(value), pointer, known, &[], faults);
        if !value.is_object() {
            return None;
        }
        let allowed = Allowed { admin: owner.affiliate().is_none(), answer: true, ..Allowed::default() };
        let when = When::parse(&fields, "when", allowed, faults);
        let then = fields.word("then", &Verdict::WORDS, faults);
        let go = fields.text("go", faults).filter(|_| within == Within::Flow);
        if fields.get("then").is_none() && go.is_none() {
            faults.add(fields.at("then"), "required: choose delivered, pending, retry or failed");
        }
        let forget = if within == Within::Flow { read_forget(&fields, faults) } else { Vec::new() };
        let set = Set::parse(fields.get("set"), &fields.at("set"), owner, within == Within::Flow, faults);
        if then.is_none() && go.is_none() {
            return None;
        }
        Some(Self { when, then, go: go.map(Into::into), forget, set })
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.when.conditions().map(|(_, condition)| condition)
    }

    /// Returns true if the rule holds for a reason other than missing fields in a body without any: for its text, a header, any response,
    /// or the status of a response without a body.
    fn knows(&self, answer: &Response) -> bool {
        let is_of_status = !self.reads_fields() && self.conditions().any(Condition::asks_status);
        self.when.is_always() || self.reads_text() || (is_of_status && answer.body().trim_ascii().is_empty())
    }

    /// Returns true if a condition looks at a field of the body.
    fn reads_fields(&self) -> bool {
        self.conditions().any(|condition| condition.field().is_some())
    }

    /// Returns true if a condition looks at the whole body or a header.
    fn reads_text(&self) -> bool {
        self.conditions().any(Condition::reads_text)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.when.bytes() + self.set.bytes()
    }

    fn document(&self) -> Value {
        let mut map = Map::from_iter([("when".to_owned(), self.when.document())]);
        map.extend(self.then.map(|then| ("then".to_owned(), then.as_str().into())));
        map.extend(self.go.as_ref().map(|go| ("go".to_owned(), (&**go).into())));
        let forget = (!self.forget.is_empty()).then(|| json!(self.forget));
        map.extend(forget.map(|forget| ("forget".to_owned(), forget)));
        map.extend(self.set.document().map(|set| ("set".to_owned(), set)));
        Value::Object(map)
    }
}

/// Reads the names of kept variables that are deleted.
fn read_forget(fields: &Fields<'_>, faults: &mut Faults) -> Vec<Box<str>> {
    let mut names = Vec::new();
    for (place, name) in fields.list("forget", faults).iter().enumerate() {
        match name.as_str() {
            Some(name) if check_name(name).is_ok() => names.push(name.into()),
            _ => faults.add(format!("{}/{place}", fields.at("forget")), "expected the name of a kept variable"),
        }
    }
    names
}
