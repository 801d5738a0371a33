//! The texts and conditions of a plan, each with its place, and the names that follow from them.

use std::collections::BTreeSet;

use super::{Kind, Listen, Plan, Step};
use crate::{
    answer::{AnswerRules, Response},
    macros::{CallbackName, Macro, StepReference},
    request::Variables,
    template::Template,
    when::{Condition, When},
};

/// The texts and conditions of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'p>(&'p Plan);

impl Plan {
    /// Its texts and conditions.
    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts(self)
    }

    /// The parts of a response to `step` that other steps refer to, by their names among the variables (W7). A part that is missing
    /// replaces the one of an earlier response.
    pub fn references(&self, step: &str, answer: &Response) -> Vec<(String, String)> {
        let taken = |reference: &StepReference| (reference.key().to_owned(), reference.take(answer).unwrap_or_default());
        self.texts().references_to(step).map(taken).collect()
    }

    /// The variables that a delivered response to a step would set, each with the text of its origin in place of a value: `‹body.id›`
    /// (W11).
    pub fn values_to_come(&self, step: &str) -> Vec<(String, String)> {
        let Some(answer) = self.call(step).map(|call| &call.answer).or_else(|| Some(&self.listen(step)?.answer)) else {
            return Vec::new();
        };
        let shown = |text: &str| format!("‹{}›", text.trim_matches(['{', '}']));
        let set = answer.assignments().map(|(name, text)| (name.to_owned(), shown(text.text())));
        let references = self.texts().references_to(step).map(StepReference::key).map(|key| {
            let part = key.strip_prefix("steps.").and_then(|rest| rest.split_once('.')).map_or(key, |(_, part)| part);
            (key.to_owned(), shown(part))
        });
        set.chain(references).collect()
    }
}

impl<'p> Texts<'p> {
    pub(super) fn find_secret(self) -> BTreeSet<String> {
        let mut secret: BTreeSet<&str> = BTreeSet::new();
        for step in &self.0.steps {
            if let Kind::Set(set) = &step.kind {
                secret.extend(set.secret());
            }
            if let Some(answer) = step.answer() {
                secret.extend(answer.secret_variables());
                if answer.hides() {
                    secret.extend(self.references_to(&step.name).map(StepReference::key));
                }
            }
        }
        // Anyone who knows the URL can answer in the receiver's place.
        secret.extend(self.0.derived.callbacks.iter().map(CallbackName::key));
        let made = self.made_variables();
        loop {
            let before = secret.len();
            for (name, text) in &made {
                if text.reads_secret_of(&|read| secret.contains(read)) {
                    secret.insert(name);
                }
            }
            if secret.len() == before {
                return secret.into_iter().map(ToOwned::to_owned).collect();
            }
        }
    }

    /// Every variable that the rule, a step or a response sets, with each of the texts that it is made of.
    pub(super) fn made_variables(self) -> Vec<(&'p str, &'p Template)> {
        let mut made: Vec<(&str, &Template)> = Vec::new();
        for step in &self.0.steps {
            made.extend(step.answer().into_iter().flat_map(AnswerRules::assignments));
            if let Kind::Set(set) = &step.kind {
                made.extend(set.iter());
            }
        }
        let of_rule = self.0.calls().next().map(|call| call.request.variables());
        made.extend(of_rule.into_iter().flat_map(Variables::texts));
        made
    }

    pub(super) fn find_kept(self) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        for step in &self.0.steps {
            kept.extend(step.answer().into_iter().flat_map(AnswerRules::kept));
            if let Kind::Set(set) = &step.kind {
                kept.extend(set.kept());
            }
        }
        kept.into_iter().map(ToOwned::to_owned).collect()
    }

    /// Every text outside of requests, those of conditions included, each with its place.
    pub(crate) fn placed_templates(self) -> Vec<(String, &'p Template)> {
        let mut all = Vec::new();
        for (index, step) in self.0.steps.iter().enumerate().filter(|_| !self.0.is_short) {
            let at = format!("/steps/{index}");
            match &step.kind {
                Kind::Set(set) => {
                    all.extend(set.placed_templates().map(|(place, text)| (format!("{at}/set/variables{place}"), text)));
                }
                Kind::End(reason) => all.extend(reason.iter().map(|text| (format!("{at}/end/reason"), text))),
                Kind::Fail(reason) => all.extend(reason.iter().map(|text| (format!("{at}/fail/reason"), text))),
                Kind::Wait(wait) => all.extend(wait.template().map(|text| (format!("{at}/wait/until"), text))),
                Kind::Emit(emit) => {
                    all.extend(emit.placed_templates().map(|(place, text)| (format!("{at}/emit{place}"), text)));
                }
                Kind::Call(call) => {
                    all.extend(call.answer.placed_templates().map(|(place, text)| (format!("{at}/answer{place}"), text)));
                }
                Kind::Listen(listen) => {
                    all.extend(listen.placed_templates());
                    let (at, texts) = (listen.answer_pointer(), listen.answer.placed_templates());
                    all.extend(texts.map(|(place, text)| (format!("{at}{place}"), text)));
                }
                Kind::Switch(_) => {}
            }
        }
        let of_conditions = self.placed_conditions().into_iter();
        all.extend(
            of_conditions.flat_map(|(place, condition)| condition.templates().map(move |(_, text)| (place.clone(), text))),
        );
        all
    }

    /// The conditions outside of requests and answer rules, each with its place.
    pub(crate) fn placed_conditions(self) -> Vec<(String, &'p Condition)> {
        let mut all = Vec::new();
        for (index, step) in self.0.steps.iter().enumerate() {
            let at = format!("/steps/{index}");
            for (key, when) in [("when", &step.when), ("unless", &step.unless)] {
                let conditions = when.iter().flat_map(When::conditions);
                all.extend(conditions.map(|(spot, condition)| (format!("{at}/{key}{spot}"), condition)));
            }
            if let Kind::Switch(cases) = &step.kind {
                for (number, case) in cases.iter().enumerate() {
                    let conditions = case.when.conditions();
                    all.extend(conditions.map(|(spot, condition)| (format!("{at}/switch/{number}/when{spot}"), condition)));
                }
            }
        }
        all
    }

    /// Every condition of the plan, each with its place.
    pub(crate) fn all_conditions(self) -> Vec<(String, &'p Condition)> {
        let mut all = Vec::new();
        for call in self.0.calls() {
            all.extend(call.placed_conditions());
        }
        all.extend(self.placed_conditions());
        all.extend(self.conditions_of_listening());
        all
    }

    /// The conditions on callbacks and webhooks, each with its place.
    pub(super) fn conditions_of_listening(self) -> Vec<(String, &'p Condition)> {
        let mut all = Vec::new();
        for listen in self.0.steps.iter().filter_map(Step::listen) {
            let at = listen.answer_pointer();
            all.extend(listen.answer.placed_conditions().map(|(place, condition)| (format!("{at}{place}"), condition)));
        }
        all
    }

    /// The steps that listen, each with its place.
    pub(crate) fn listening(self) -> impl Iterator<Item = (String, &'p Listen)> {
        let steps = self.0.steps.iter().enumerate();
        steps.filter_map(|(index, step)| Some((format!("/steps/{index}/listen"), step.listen()?)))
    }

    /// The answer rules of every step, each with its place.
    pub(crate) fn answers(self) -> impl Iterator<Item = (String, &'p AnswerRules)> {
        self.0.steps.iter().filter_map(|step| match &step.kind {
            Kind::Call(call) => Some((call.pointer("answer"), &call.answer)),
            Kind::Listen(listen) => Some((listen.answer_pointer(), &listen.answer)),
            _ => None,
        })
    }

    /// Secrets that steps other than requests read, with repeats.
    pub(crate) fn secrets(self) -> impl Iterator<Item = &'p str> {
        self.placed_templates().into_iter().flat_map(|(_, text)| text.secrets())
    }

    pub(super) fn references_to(self, step: &str) -> impl Iterator<Item = &'p StepReference> {
        self.0.derived.references.iter().filter(move |reference| reference.step() == step)
    }

    /// Every text of the plan.
    pub(super) fn all_templates(self) -> Vec<&'p Template> {
        let mut all: Vec<&Template> = self.placed_templates().into_iter().map(|(_, text)| text).collect();
        for call in self.0.calls() {
            all.extend(call.request.templates());
            let conditions = call.answer.placed_conditions();
            all.extend(conditions.flat_map(|(_, condition)| condition.templates().map(|(_, text)| text)));
        }
        let of_listening = self.conditions_of_listening().into_iter();
        all.extend(of_listening.flat_map(|(_, condition)| condition.templates().map(|(_, text)| text)));
        all
    }

    /// Returns true if a text of the plan, or a condition, names this macro.
    pub(crate) fn reads(self, is_read: impl Fn(&Macro) -> bool) -> bool {
        self.all_templates().into_iter().flat_map(Template::uses).any(|used| is_read(used.source))
    }

    /// The only step that listens at its own URL, if there is exactly one.
    pub(super) fn only_listening(self) -> Option<&'p str> {
        let mut listening = self.0.steps.iter().filter(|step| step.listen().is_some_and(|listen| !listen.is_webhook()));
        let only = listening.next().map(|step| &*step.name);
        only.filter(|_| listening.next().is_none())
    }

    pub(super) fn find_callbacks(self) -> Vec<CallbackName> {
        let mut names: Vec<CallbackName> = Vec::new();
        for name in self.all_templates().into_iter().flat_map(Template::uses).filter_map(|used| used.source.callback()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
