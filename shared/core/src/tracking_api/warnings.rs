//! Warnings about a rule: texts that are allowed but probably not meant. They are shown with the rule and never refuse it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Delay, OnExpiry, Placeholder, RuleDefinition,
    lookalikes::{Lookalike, lookalikes, macro_in_name},
};
use crate::{
    answer::Verdict,
    change::TransactionResult,
    conditions::ResultCondition,
    flow::Call,
    macros::{self, Macro},
    request::Signing,
    template::{Template, Use, no_macro_in_argument},
    trigger::Trigger,
    when::Condition,
};

/// A part of a rule that its author should check: its place, and the consequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// JSON pointer into the rule.
    pub pointer: String,
    /// The consequence, and a better way.
    pub detail: String,
}

/// The most macros that one warning names.
const MAX_NAMED: usize = 20;
/// The most warnings of a rule.
const MAX_WARNINGS: usize = 100;

#[derive(Default)]
struct Noted(Vec<Warning>);

impl Noted {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() == MAX_WARNINGS {
            return;
        }
        self.0.push(Warning { pointer: pointer.into(), detail: detail.into() });
    }
}

impl RuleDefinition {
    /// The warnings about the rule, in the order of the document.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut noted = Noted::default();
        self.about_placeholders(&mut noted);
        self.about_firing(&mut noted);
        self.about_variables(&mut noted);
        for call in self.plan.calls() {
            self.about_request(call, &mut noted);
            self.about_answers(call, &mut noted);
        }
        self.about_steps(&mut noted);
        self.about_delay(&mut noted);
        noted.0
    }

    /// Returns true if the rule fires on events of a conversion that may have no transaction (C2, F1).
    fn may_lack_transaction(&self) -> bool {
        let at_once = !matches!(self.delay, Delay::Final(_));
        at_once && !self.trigger.is_transaction() && *self.conditions.result() == ResultCondition::NotChosen
    }

    fn is_about_new_ones(&self) -> bool {
        matches!(self.trigger, Trigger::TransactionCreated | Trigger::ConversionCreated)
    }

    fn about_placeholders(&self, noted: &mut Noted) {
        let mut placeholders = self.placeholders();
        placeholders.dedup_by(|later, first| later.pointer == first.pointer);
        for Placeholder { pointer, text } in placeholders {
            noted.add(pointer, format!("{text} is a placeholder: write your own value in its place"));
        }
    }

    fn about_firing(&self, noted: &mut Noted) {
        let trigger = self.trigger;
        let clicks_fire = matches!(trigger, Trigger::ConversionAll | Trigger::ConversionCreated);
        if clicks_fire && self.may_lack_transaction() && self.conditions.conversion_type().is_empty() {
            let detail = format!("without it {trigger} fires on every click too: name the types, such as [\"lead\", \"sale\"]");
            noted.add("/conditions/conversion_type", detail);
        }
        if !self.conditions.included_offers().is_empty() && !self.conditions.excluded_offers().is_empty() {
            let detail =
                "without effect: included_offers names the only offers that there are for this rule, leave one of them out";
            noted.add("/conditions/excluded_offers", detail);
        }
        for name in self.conditions.named_all() {
            let detail = "the rule fires for nothing: \"all\" was an id when it was saved; write [] or \"all\" again if everything is meant";
            noted.add(format!("/conditions/{name}"), detail);
        }
        let ResultCondition::Specific(results) = self.conditions.result() else { return };
        if !matches!(self.delay, Delay::Final(_)) && self.is_about_new_ones() && !results.contains(&TransactionResult::Pending) {
            let all = if trigger.is_transaction() { Trigger::TransactionAll } else { Trigger::ConversionAll };
            let detail = format!(
                "a new transaction is pending unless it was approved automatically, so {trigger} hardly ever fires with these \
                 results: choose the trigger {all}"
            );
            noted.add("/conditions/result", detail);
        }
        if let Delay::Final(settings) = self.delay
            && settings.on_expiry == OnExpiry::Expire
            && *results == [TransactionResult::Pending]
        {
            let detail = "the final postback waits until nothing is pending any more, so that this result hardly ever fits";
            noted.add("/conditions/result", detail);
        }
    }

    fn about_variables(&self, noted: &mut Noted) {
        for (place, text) in self.variables().placed_templates() {
            about_json(text, &place, noted);
            about_literals(text, &place, &place, noted);
            self.about_cents(text, &place, noted);
            self.about_empty_values(text, &place, noted);
        }
        for (place, text) in self.signing().into_iter().flat_map(Signing::placed_texts) {
            about_lookalikes(text, place, noted);
        }
        for name in self.variables().names() {
            if !self.plan.texts().reads(|source| source.variable() == Some(name)) {
                noted.add(format!("/variables/{name}"), format!("without effect: nothing reads {{var.{name}}}"));
            }
        }
    }

    /// The texts and conditions of steps other than requests.
    fn about_steps(&self, noted: &mut Noted) {
        for (place, text) in self.plan.texts().placed_templates() {
            about_json(text, &place, noted);
            about_lookalikes(text.text(), &place, noted);
            self.about_cents(text, &place, noted);
            self.about_empty_values(text, &place, noted);
        }
        for (place, condition) in self.plan.texts().placed_conditions() {
            self.about_condition(condition, &place, noted);
        }
        for (place, listen) in self.plan.texts().listening() {
            if listen.is_webhook() && listen.publishes() && !listen.verifies() {
                let detail =
                    "anyone with the webhook's id can send the platform a result or an amount: write verify with a secret";
                noted.add(place, detail);
            }
        }
        let sets_results = self.plan.texts().answers().any(|(_, answer)| answer.platform_templates().next().is_some());
        if self.plan.has_steps() && sets_results {
            let reads = |source: &Macro| matches!(source.name().as_str(), "result" | "payout");
            if self.plan.texts().reads(reads) {
                let detail = "{result} and {payout} are those of the event, also after a response has set others: read what was set by \
                              {var.NAME} or {steps.NAME.body.KEY}";
                noted.add("/steps", detail);
            }
        }
    }

    fn about_request(&self, call: &Call, noted: &mut Noted) {
        let request_at = call.request_pointer();
        let mut is_identified = false;
        for (place, template) in call.request.placed_templates() {
            let pointer = format!("{request_at}{place}");
            let is_url = place == "/url";
            if is_url && template.text().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://")) {
                let detail = "http:// is not encrypted, anyone on the way can read and change it: write https:// if the receiver \
                              takes it";
                noted.add(&pointer, detail);
            }
            if is_url || place.starts_with("/query/") {
                about_secrets(template, &pointer, noted);
            }
            about_json(template, &pointer, noted);
            about_literals(template, &place, &pointer, noted);
            self.about_cents(template, &pointer, noted);
            self.about_empty_values(template, &pointer, noted);
            is_identified |= template.uses().any(|used| used.source.identifies_conversion());
        }
        for (place, name) in call.request.placed_names() {
            about_name(name, &format!("{request_at}{place}"), noted);
        }
        for (place, condition) in call.request.placed_conditions(&request_at) {
            self.about_condition(condition, &place, noted);
        }
        if !is_identified && !self.plan.has_steps() {
            let detail = "no macro identifies the conversion for the receiver: add one, such as {affiliate_click_id} or \
                          {transaction_id}";
            noted.add("/request", detail);
        }
    }

    /// Returns true if a macro may be missing. A variable of the rule or of a `set` step has its warning at its own place.
    fn may_be_missing(&self, source: &Macro, on_transaction: bool) -> bool {
        let sets = |step: &str, name: &str| self.plan.call(step).is_none() && self.plan.step_sets(step, name);
        let is_written = |name: &str| self.variables().contains(name) || self.plan.step_names().any(|step| sets(step, name));
        let is_variable = source.variable().is_some_and(is_written);
        !is_variable && source.may_be_missing(on_transaction)
    }

    fn about_cents(&self, template: &Template, pointer: &str, noted: &mut Noted) {
        let names = named(template.cents_without_currency(&|name| self.variables().is_money(name)));
        if !names.is_empty() {
            let detail = format!(
                "cents takes hundredths where it does not know the currency, also of JPY and KWD: {names}; write it right behind {{value}}, \
                 {{payout}} or {{revenue}}"
            );
            noted.add(pointer, detail);
        }
    }

    fn about_empty_values(&self, template: &Template, pointer: &str, noted: &mut Noted) {
        if self.may_lack_transaction() {
            let names = named(template.uses().filter(|used| used.source.is_of_transaction() && !used.minds_empty));
            if !names.is_empty() {
                let detail = format!(
                    "empty for a conversion without a transaction: {names}; set conditions.result, add default or omit_if_empty, or \
                     choose a trigger of transactions"
                );
                noted.add(pointer, detail);
            }
        }
        let on_transaction = self.trigger.is_transaction();
        let hashed = named(template.uses().filter(|used| used.hashes_empty && self.may_be_missing(used.source, on_transaction)));
        if !hashed.is_empty() {
            let detail = format!(
                "where it is missing, the hash of an empty text is sent: {hashed}; put omit_if_empty or default before the hash"
            );
            noted.add(pointer, detail);
        }
        let unset = named(template.uses().filter(|used| match used.source {
            Macro::Var(name) => !self.sets_variable(name),
            _ => false,
        }));
        if !unset.is_empty() {
            noted.add(pointer, format!("always empty, neither variables nor an answer rule sets it: {unset}"));
        }
    }

    fn about_condition(&self, condition: &Condition, place: &str, noted: &mut Noted) {
        for (field, stray) in condition.strays() {
            let name = stray.trim_matches(['{', '}']);
            let advice = macros::meant(name).map_or_else(String::new, |meant| format!(", if a macro is meant write {{{meant}}}"));
            let detail = format!("{stray} is no macro and is taken literally: write {{{{ and }}}} for braces{advice}");
            noted.add(format!("{place}/{field}"), detail);
        }
        let is_of_answer = place.contains("/answer/");
        let sets = |name: &str| if is_of_answer { self.plan.sets_variable(name) } else { self.sets_variable(name) };
        let unset = |source: &Macro| source.variable().is_some_and(|name| !sets(name));
        let names = named(condition.templates().flat_map(|(_, template)| template.uses()).filter(|used| unset(used.source)));
        if !names.is_empty() {
            let setters = if is_of_answer { "no answer rule sets it" } else { "neither variables nor an answer rule sets it" };
            noted.add(place, format!("always empty, {setters}: {names}"));
        }
    }

    fn sets_variable(&self, name: &str) -> bool {
        self.plan.sets_variable(name) || self.variables().contains(name)
    }

    fn about_answers(&self, call: &Call, noted: &mut Noted) {
        let at = call.pointer("answer");
        if !self.plan.has_steps() {
            for (place, text) in call.answer.placed_templates() {
                let pointer = format!("{at}{place}");
                about_json(text, &pointer, noted);
                about_lookalikes(text.text(), &pointer, noted);
                self.about_cents(text, &pointer, noted);
            }
        }
        for (place, condition) in call.answer.placed_conditions() {
            self.about_condition(condition, &format!("{at}{place}"), noted);
            if self.compared_texts && condition.compares_numbers() {
                let detail = "texts were compared when this was saved, now numbers are: 0 is also 0.00; save the rule again if that is right, \
                              or compare the text by the operator matches, with ^0$";
                noted.add(format!("{at}{place}/value"), detail);
            }
        }
        let asks_again = call.answer.may_say(Verdict::Pending) || call.answer.may_say(Verdict::Retry);
        if asks_again && call.retry.limit().retries() == 0 {
            let detail = "with 0 retries nobody asks again after an answer that means pending or retry: choose 1 to 30";
            noted.add(call.pointer("retry/max_retries"), detail);
        }
        if call.answer.polls() && call.answer.always().is_none() && call.answer.otherwise().is_none() {
            let detail = "without it a 2xx response that no rule knows ends the delivery as delivered: write pending or retry, and a \
                          rule for what means delivered";
            noted.add(format!("{at}/otherwise"), detail);
        }
        if call.answer.delivers_without_end() {
            let detail = "a 2xx response in which none of the rules holds, such as one that is still pending, counts as delivered too: add a \
                          rule that says pending, or write otherwise";
            noted.add(format!("{at}/rules"), detail);
        }
        if let Some(always) = call.answer.always() {
            if always + 1 < call.answer.count() {
                noted.add(format!("{at}/rules/{}", always + 1), format!("never reached: rule {always} holds for every answer"));
            } else if call.answer.otherwise().is_some() {
                noted.add(format!("{at}/otherwise"), format!("never reached: rule {always} holds for every answer"));
            }
        } else if call.answer.otherwise() == Some(Verdict::Delivered) && !call.answer.asks_status() {
            let detail = "takes errors such as 404 and 503 for delivered too: leave it out, or add a rule about http_code";
            noted.add(format!("{at}/otherwise"), detail);
        }
    }

    fn about_delay(&self, noted: &mut Noted) {
        let Delay::Final(settings) = self.delay else { return };
        if !self.is_about_new_ones() {
            return;
        }
        let trigger = self.trigger;
        let all = if trigger.is_transaction() { Trigger::TransactionAll } else { Trigger::ConversionAll };
        if settings.corrections {
            let detail = format!(
                "there are none: only a change that fires the trigger is a correction, and {trigger} fires once; choose {all}"
            );
            noted.add("/delay/corrections", detail);
        } else {
            let detail = format!(
                "the final postback has the newest state anyway; {trigger} leaves out what was created before this \
                 rule was active, {all} does not"
            );
            noted.add("/delay/mode", detail);
        }
    }
}

fn about_secrets(template: &Template, pointer: &str, noted: &mut Noted) {
    let names = named(template.uses().filter(|used| used.source.secret().is_some()));
    if !names.is_empty() {
        let detail = format!(
            "a secret in the URL may end up in the logs of the receiver and of proxies before it: {names}; use a header or the \
             body if the receiver allows"
        );
        noted.add(pointer, detail);
    }
}

fn about_literals(template: &Template, place: &str, pointer: &str, noted: &mut Noted) {
    let text = template.text();
    about_lookalikes(text, pointer, noted);
    for (modifier, name) in template.macros_in_arguments() {
        noted.add(pointer, format!("{{{name}}} is text here and not the macro: {}", no_macro_in_argument(modifier, name)));
    }
    if place == "/url" && text.contains("&amp;") {
        noted.add(pointer, "&amp; is HTML for &, and the name of the parameter behind it would begin with amp;: write & alone");
    }
    if place != "/body/text" && text.ends_with(char::is_whitespace) {
        noted.add(pointer, "ends in a blank, which is sent too: leave it out");
    }
}

fn about_lookalikes(text: &str, pointer: &str, noted: &mut Noted) {
    for Lookalike { written, meant } in lookalikes(text).into_iter().take(MAX_NAMED) {
        let advice = match meant {
            Some(name) => format!("if a macro is meant, write {{{name}}}"),
            None => "if a macro is meant, write its name in single braces, such as {click_id}".to_owned(),
        };
        let detail = if written.starts_with("${") {
            format!("the $ of {written} is sent too: {advice}")
        } else {
            format!("{written} is no macro and is sent unchanged: {advice}")
        };
        noted.add(pointer, detail);
    }
}

fn about_name(name: &str, pointer: &str, noted: &mut Noted) {
    about_lookalikes(name, pointer, noted);
    if let Some(Lookalike { written, .. }) = macro_in_name(name).filter(|_| lookalikes(name).is_empty()) {
        noted.add(pointer, format!("{written} is sent unchanged: names hold no macros, only values do"));
    }
}

fn about_json(template: &Template, pointer: &str, noted: &mut Noted) {
    let names = named(template.unescaped_in_json());
    if !names.is_empty() {
        let advice = if pointer.contains("/body/fields/") && !template.is_in_json() {
            "give the field the type json, or add the modifier json"
        } else {
            "add the modifier json"
        };
        noted.add(pointer, format!("looks like JSON, and a value with a quote would step out of its string: {names}; {advice}"));
    }
}

/// The macros by name, each once: `{payout}, {result}`.
fn named<'t>(uses: impl Iterator<Item = Use<'t>>) -> String {
    let mut seen = BTreeSet::new();
    let mut names: Vec<String> = Vec::new();
    for name in uses.map(|used| format!("{{{}}}", used.source.name())) {
        if seen.insert(name.clone()) && seen.len() <= MAX_NAMED {
            names.push(name);
        }
    }
    if seen.len() > MAX_NAMED {
        names.push(format!("and {} more", seen.len() - MAX_NAMED));
    }
    names.join(", ")
}
