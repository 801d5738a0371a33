//! Flows: the steps of a rule, and how a delivery moves through them (W1–W14).
//!
//! A [`Plan`] is the checked definition: named steps in order. A rule with one request is a plan of one `call` step. [`Progress`] is the
//! place of one delivery in it. [`Plan::walk`] runs the steps that need no request, up to the next request, wait or end;
//! [`Plan::after`] decides the continuation after a response. Both are pure: the engine reads, calls them, and writes.

mod callback;
mod check;
mod emit;
mod kinds;
mod listen;
mod mirror;
mod parse;
mod progress;
mod target;
mod texts;
mod wait;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub(crate) use self::check::check_secrets;
pub use self::{
    callback::CallbackTurn,
    emit::Emitted,
    kinds::{STEP_KINDS, StepKindInfo},
    listen::{Incoming, Listen, MAX_CALLBACKS},
    mirror::{Masters, Mirror},
    parse::MAX_RUNS,
    progress::{Answered, Moved, Progress},
    walk::{Stance, Walked, variables_too_long},
};
use self::{emit::Emit, mirror::Reflected, target::Target, wait::Wait};
use crate::{
    answer::{AnswerRules, Verdict, assign::Assignments},
    json,
    json::{Map, Value},
    macros::{CallbackName, StepReference},
    request::{Request, Signing, Timeout, Variables},
    retry::RetryPolicy,
    template::Template,
    when::{Condition, When},
};

/// The most steps of a rule.
pub const MAX_STEPS: usize = 30;
/// The most requests of one step, and of a whole flow, within one budget (W2).
pub const MAX_STEP_REQUESTS: u32 = 31;
/// See [`MAX_STEP_REQUESTS`].
pub const MAX_FLOW_REQUESTS: u32 = 100;

/// The steps of a rule, without faults.
#[derive(Debug, Clone)]
pub struct Plan {
    steps: Vec<Step>,
    /// `true` if the rule was written with `request`, `retry` and `answer` instead of `steps`.
    is_short: bool,
    /// The wait before the first step (W10).
    delay_seconds: Option<u32>,
    derived: Derived,
}

/// Names that follow from the texts of a plan; every request uses them.
#[derive(Debug, Clone, Default)]
struct Derived {
    secret: BTreeSet<String>,
    kept: BTreeSet<String>,
    /// The parts of responses that other steps refer to, each once.
    references: Vec<StepReference>,
    /// The callback URLs that texts hold, each once.
    callbacks: Vec<CallbackName>,
}

/// One step.
#[derive(Debug, Clone)]
struct Step {
    name: Box<str>,
    title: Option<Box<str>>,
    when: Option<When>,
    unless: Option<When>,
    /// The step that follows; `None` if it is the next in order.
    go: Option<Target>,
    /// The most runs, if `max_runs` is set (W2).
    max_runs: Option<u32>,
    /// The mirrored step, if it is a mirror (W19).
    reflects: Option<Box<Reflected>>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Call(Box<Call>),
    Set(Assignments),
    Switch(Vec<Case>),
    Wait(Box<Wait>),
    Emit(Box<Emit>),
    Listen(Box<Listen>),
    End(Option<Template>),
    Fail(Option<Template>),
}

/// A case of a `switch`.
#[derive(Debug, Clone)]
struct Case {
    when: When,
    go: Target,
}

/// A request with the meaning of its responses and its retries.
#[derive(Debug, Clone)]
pub struct Call {
    /// The request (Q1–Q5).
    pub request: Request,
    /// The meaning of responses (A1–A3).
    pub answer: AnswerRules,
    /// The number and times of repeats (L1, L2).
    pub retry: RetryPolicy,
    /// The step that follows when the repeats are used up.
    on_exhausted: Option<Target>,
    /// The targets that its answer rules name, each with its place and its rule's verdict.
    goes: Vec<(String, Target, Option<Verdict>)>,
    /// JSON pointer to the step; empty in a rule with one request.
    at: Box<str>,
}

impl Call {
    /// JSON pointer to its request.
    pub fn request_pointer(&self) -> String {
        format!("{}/{}", self.at, if self.at.is_empty() { "request" } else { "call" })
    }

    /// Every condition of its request and of its answer rules, each with its place.
    pub(crate) fn placed_conditions(&self) -> Vec<(String, &Condition)> {
        let (request, answer) = (self.request_pointer(), self.pointer("answer"));
        let mut all = self.request.placed_conditions(&request);
        all.extend(self.answer.placed_conditions().map(|(place, condition)| (format!("{answer}{place}"), condition)));
        all
    }

    /// JSON pointer to a field beside its request, such as `answer`.
    pub fn pointer(&self, field: &str) -> String {
        format!("{}/{field}", self.at)
    }
}

impl Plan {
    /// The plan of a rule with one request.
    pub fn of_one_request(request: Request, retry: RetryPolicy, answer: AnswerRules) -> Self {
        let call = Call { request, answer, retry, on_exhausted: None, goes: Vec::new(), at: "".into() };
        let step = Step {
            name: "request".into(),
            title: None,
            when: None,
            unless: None,
            go: None,
            max_runs: None,
            reflects: None,
            kind: Kind::Call(Box::new(call)),
        };
        Self::of(vec![step], true)
    }

    fn of(steps: Vec<Step>, is_short: bool) -> Self {
        Self { steps, is_short, delay_seconds: None, derived: Derived::default() }.derived()
    }

    fn derived(mut self) -> Self {
        let mut references: Vec<StepReference> = Vec::new();
        for reference in
            self.texts().all_templates().into_iter().flat_map(Template::uses).filter_map(|used| used.source.step_reference())
        {
            if !references.contains(reference) {
                references.push(reference.clone());
            }
        }
        self.derived.references = references;
        self.derived.callbacks = self.texts().find_callbacks();
        self.derived.kept = self.texts().find_kept();
        self.derived.secret = self.texts().find_secret();
        self
    }

    /// The same plan with the variables and the signature that the rule adds to each request, and its delay.
    #[must_use]
    pub fn with(mut self, variables: &Variables, signing: Option<&Signing>, delay_seconds: Option<u32>) -> Self {
        for step in &mut self.steps {
            if let Kind::Call(call) = &mut step.kind {
                call.request = call.request.clone().with(variables.clone(), signing.cloned());
            }
        }
        self.delay_seconds = delay_seconds;
        self.derived()
    }

    /// Returns true if a delivery has a [`Progress`]: the rule has steps, or a delay before its request.
    pub fn is_flow(&self) -> bool {
        !self.is_short || self.delay_seconds.is_some()
    }

    /// Returns true if it was written with `steps`.
    pub fn has_steps(&self) -> bool {
        !self.is_short
    }

    /// The requests, in the order of the document. There is one at least.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().filter_map(Step::call)
    }

    /// The first request in the order of the document.
    pub fn first_call(&self) -> &Call {
        self.calls().next().expect("a plan without a request is refused when it is read")
    }

    /// The request of the step with this name; a rule with one request ignores the name.
    pub fn call(&self, step: &str) -> Option<&Call> {
        if self.is_short { Some(self.first_call()) } else { self.step(step)?.call() }
    }

    /// The longest timeout of its requests.
    pub fn longest_timeout(&self) -> Timeout {
        self.calls().map(|call| call.request.timeout()).max().unwrap_or_default()
    }

    /// The names of its steps, in order; none in a rule with one request.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|_| !self.is_short).map(|step| &*step.name)
    }

    /// The step of this name, if it listens.
    pub fn listen(&self, step: &str) -> Option<&Listen> {
        self.step(step)?.listen()
    }

    /// Returns true if a step listens.
    pub fn listens(&self) -> bool {
        self.steps.iter().any(|step| step.listen().is_some())
    }

    /// The steps that wait for a webhook of the rule, each with its name.
    pub fn webhooks(&self) -> impl Iterator<Item = (&str, &Listen)> {
        let listening = self.steps.iter().filter_map(|step| Some((&*step.name, step.listen()?)));
        listening.filter(|(_, listen)| listen.is_webhook())
    }

    /// The callback URLs that texts hold: the name of each among the variables, and its step.
    pub fn callback_urls(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.derived.callbacks.iter();
        names.filter_map(|name| Some((name.key(), name.step().or_else(|| self.texts().only_listening())?)))
    }

    /// The first step before this one that reads the URL at which this one waits for a callback; `None` if this one waits for
    /// none. A flow that begins after the returned step never sends the URL.
    pub fn gives_url_of(&self, step: &str) -> Option<&str> {
        self.listen(step).filter(|listen| !listen.is_webhook())?;
        let names: Vec<&str> = self.callback_urls().filter(|(_, of)| *of == step).map(|(name, _)| name).collect();
        let holds = |other: &&Step| match &other.kind {
            Kind::Call(call) => call.request.templates().any(|text| text.reads_url(&names)),
            Kind::Set(set) => set.iter().any(|(_, text)| text.reads_url(&names)),
            _ => false,
        };
        self.steps.iter().take_while(|other| *other.name != *step).find(holds).map(|other| &*other.name)
    }

    fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| *step.name == *name)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| *step.name == *name)
    }

    /// The resource's fields: `steps`, or `request`, `retry` and `answer`.
    pub fn document(&self) -> Map {
        if let [Step { kind: Kind::Call(call), .. }] = &*self.steps
            && self.is_short
        {
            return Map::from_iter([
                ("request".to_owned(), call.request.document()),
                ("retry".to_owned(), call.retry.document()),
                ("answer".to_owned(), call.answer.document()),
            ]);
        }
        let steps: Vec<Value> = self.steps.iter().map(Step::document).collect();
        Map::from_iter([("steps".to_owned(), steps.into())])
    }

    /// The same with the requests of its mirrors filled in.
    pub(crate) fn whole_document(&self) -> Map {
        if self.is_short {
            return self.document();
        }
        let steps: Vec<Value> = self.steps.iter().map(Step::whole_document).collect();
        Map::from_iter([("steps".to_owned(), steps.into())])
    }

    /// The steps of other rules that its mirrors use, but for those that must still be filled in.
    pub fn mirrors(&self) -> impl Iterator<Item = &Mirror> {
        self.placed_mirrors().map(|(_, mirror)| mirror).filter(|mirror| !mirror.is_placeholder())
    }

    /// Its mirrors, each with its JSON pointer.
    pub(crate) fn placed_mirrors(&self) -> impl Iterator<Item = (String, &Mirror)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(index, step)| Some((format!("/steps/{index}/mirror"), &step.reflects.as_deref()?.mirror)))
    }

    /// Returns true if a response or a `set` step sets that variable.
    pub fn sets_variable(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.sets(name))
    }

    /// The variables whose values nobody may see: declared secret, or made of a secret or of a secret variable (W8).
    pub fn secret_variables(&self) -> &BTreeSet<String> {
        &self.derived.secret
    }

    /// The variables that outlive their delivery (W5).
    pub fn kept_variables(&self) -> &BTreeSet<String> {
        &self.derived.kept
    }

    /// Returns true if the step, or a response to it, may set this variable.
    pub fn step_sets(&self, step: &str, variable: &str) -> bool {
        self.step(step).is_some_and(|step| step.sets(variable))
    }

    /// An estimate of the memory that the plan takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let calls: usize = self.calls().map(|call| size_of::<Call>() + call.request.bytes() + call.answer.bytes()).sum();
        let others: usize = self.texts().placed_templates().into_iter().map(|(_, text)| text.bytes()).sum();
        let listening = self.steps.iter().filter_map(Step::listen).map(|listen| size_of::<Listen>() + listen.answer.bytes());
        calls + others + listening.sum::<usize>() + self.steps.len() * size_of::<Step>()
    }
}

/// Returns true if this is the name of a callback URL, which is no variable of a delivery.
pub fn is_callback_url(name: &str) -> bool {
    CallbackName::is_one(name)
}

impl Step {
    fn call(&self) -> Option<&Call> {
        if let Kind::Call(call) = &self.kind { Some(call) } else { None }
    }

    fn listen(&self) -> Option<&Listen> {
        if let Kind::Listen(listen) = &self.kind { Some(listen) } else { None }
    }

    /// The rules that read its response or callback, if it has one.
    fn answer(&self) -> Option<&AnswerRules> {
        self.call().map(|call| &call.answer).or_else(|| Some(&self.listen()?.answer))
    }

    fn sets(&self, variable: &str) -> bool {
        match &self.kind {
            Kind::Set(set) => set.sets(variable),
            _ => self.answer().is_some_and(|answer| answer.sets_variable(variable)),
        }
    }

    fn document(&self) -> Value {
        let Value::Object(mut map) = self.whole_document() else { return Value::Null };
        if let Some(Reflected { mirror, .. }) = self.reflects.as_deref() {
            for key in ["call", "answer", "retry"] {
                map.remove(key);
            }
            map.insert("mirror".to_owned(), mirror.document());
        }
        Value::Object(map)
    }

    fn whole_document(&self) -> Value {
        let mut map = Map::from_iter([("name".to_owned(), (&*self.name).into())]);
        map.extend(self.title.as_ref().map(|title| ("title".to_owned(), (&**title).into())));
        map.extend(self.when.as_ref().map(|when| ("when".to_owned(), when.document())));
        map.extend(self.unless.as_ref().map(|unless| ("unless".to_owned(), unless.document())));
        let reason = |reason: &Option<Template>| match reason {
            Some(reason) => json!({"reason": reason.text()}),
            None => json!({}),
        };
        let (key, value) = match &self.kind {
            Kind::Call(call) => {
                map.insert("answer".to_owned(), call.answer.document());
                map.insert("retry".to_owned(), call.retry.document());
                map.extend(call.on_exhausted.as_ref().map(|target| ("on_exhausted".to_owned(), target.as_str().into())));
                ("call", call.request.document())
            }
            Kind::Set(set) => ("set", json!({"variables": set.document().unwrap_or_else(|| json!({}))})),
            Kind::Switch(cases) => {
                let cases = cases.iter().map(|case| json!({"when": case.when.document(), "go": case.go.as_str()}));
                ("switch", cases.collect::<Vec<_>>().into())
            }
            Kind::Wait(wait) => ("wait", wait.document()),
            Kind::Emit(emit) => ("emit", emit.document()),
            Kind::Listen(listen) => {
                map.extend(listen.on_timeout.as_ref().map(|target| ("on_timeout".to_owned(), target.as_str().into())));
                ("listen", listen.document())
            }
            Kind::End(why) => ("end", reason(why)),
            Kind::Fail(why) => ("fail", reason(why)),
        };
        map.insert(key.to_owned(), value);
        map.extend(self.go.as_ref().map(|go| ("go".to_owned(), go.as_str().into())));
        map.extend(self.max_runs.map(|runs| ("max_runs".to_owned(), runs.into())));
        Value::Object(map)
    }
}
