//! One condition: a source, and a demand on the text found there (A2, Q6).

use std::borrow::Cow;

use super::{
    blanks::{Filled, Text},
    operator::{OPERATORS, Operator, OperatorInfo, Refusal},
    source::{Exchange, Source, read_source},
};
use crate::{
    document::{Fields, kind},
    expression::{ExpressionBudget, Spent, Stop},
    fault::Faults,
    json::{Map, Value},
    path::FieldPath,
    template::{Allowed, Expense, RenderFault, Scope, Template},
};

/// The memory of a condition's parts besides their texts, in bytes.
const PARTS_BYTES: usize = 160;
/// The longest key or value of a condition, in bytes.
const MAX_TEXT: usize = 16 * 1_024;

/// One condition: source, operator and values.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// The source, with blanks for macros; only `always` needs none.
    source: Option<Source>,
    key: Text,
    /// The demand; an example of it if its values have macros.
    operator: Operator,
    info: &'static OperatorInfo,
    value: Option<Text>,
    value2: Option<Text>,
}

/// The reason why a condition can't be judged.
#[derive(Debug)]
pub(crate) enum Unjudged {
    /// No step is left.
    Spent,
    /// Its expression is over a limit.
    Expression,
    /// Its macros give no valid key or value for this event.
    Macros(String),
}

impl From<Spent> for Unjudged {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

impl From<Stop> for Unjudged {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Spent => Self::Spent,
            Stop::Unusable | Stop::TooLong => Self::Expression,
        }
    }
}

impl From<RenderFault> for Unjudged {
    fn from(fault: RenderFault) -> Self {
        match fault {
            RenderFault::TooExpensive { expense: Expense::Steps, .. } => Self::Spent,
            fault => Self::Macros(fault.to_string()),
        }
    }
}

impl Condition {
    /// Reads one entry of `when`; `None` after a fault.
    pub(super) fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let known = ["source", "key", "operator", "value", "value2"];
        if value.is_null() {
            faults.add(pointer, format!("null is not an object: write {{…}} with {}", known.join(", ")));
            return None;
        }
        let fields = Fields::open(Some(value), pointer, &known, &[], faults);
        if !value.is_object() {
            return None;
        }
        let before = faults.count();
        let words = OPERATORS.each_ref().map(|info| (info.word, info));
        let info = fields.word("operator", &words, faults);
        if fields.get("operator").is_none() {
            faults.add(fields.at("operator"), format!("required: choose {}", words.map(|(word, _)| word).join(", ")));
        }
        let always = info.is_some_and(|info| info.word == "always");
        let (source, key) = read_source(&fields, always, allowed, faults);
        let with_macros = info.is_none_or(OperatorInfo::takes_macros).then_some(allowed);
        let value = read_operand(&fields, "value", with_macros, faults);
        let value2 = read_operand(&fields, "value2", with_macros, faults);
        let info = info?;
        for (n, key) in [(1, "value"), (2, "value2")] {
            match (fields.get(key).is_some(), info.values >= n) {
                (false, true) => faults.add(fields.at(key), format!("required: {} compares with it", info.word)),
                (true, false) => faults.add(fields.at(key), format!("{} takes no {key}: leave it out", info.word)),
                _ => {}
            }
        }
        if faults.count() > before {
            return None;
        }
        match make(info, [&value, &value2], |text| Ok(text.sample()), faults.expressions()).expect("samples are at hand") {
            Ok(operator) => Some(Self { source, key, operator, info, value, value2 }),
            Err((key, detail)) => {
                faults.add(fields.at(key), detail);
                None
            }
        }
    }

    /// The resource's form as it was written.
    pub(super) fn document(&self) -> Value {
        let mut map = Map::new();
        if let Some(source) = &self.source {
            map.insert("source".to_owned(), source.word().into());
            if !matches!(source, Source::WholeBody | Source::HttpCode) {
                map.insert("key".to_owned(), self.key.written().into());
            }
        }
        map.insert("operator".to_owned(), self.info.word.into());
        map.extend(self.value.as_ref().map(|value| ("value".to_owned(), value.written().into())));
        map.extend(self.value2.as_ref().map(|value| ("value2".to_owned(), value.written().into())));
        Value::Object(map)
    }

    /// Returns true if the condition holds for the event, and for the response if there is one.
    pub(crate) fn holds(&self, exchange: Option<Exchange<'_>>, scope: &Scope<'_>) -> Result<bool, Unjudged> {
        let keys = self.key.values(scope)?;
        let source = match &self.source {
            Some(source) if !keys.is_empty() => Some(Cow::Owned(source.filled(&keys))),
            source => source.as_ref().map(Cow::Borrowed),
        };
        // A name with an empty part would be another name.
        let is_nameless = keys.iter().any(String::is_empty) && !matches!(self.source, Some(Source::Constant(_)));
        let found = match source.as_deref().filter(|_| !is_nameless) {
            None => Cow::default(),
            Some(source) => {
                scope.steps.take(exchange.map_or(0, |exchange| source.steps(exchange)))?;
                source.find(exchange, scope)?
            }
        };
        if !self.values().any(Text::has_macros) {
            return Ok(self.operator.holds(&found, &scope.steps)?);
        }
        let values = [&self.value, &self.value2];
        match make(self.info, values, |text| text.values(scope), &mut ExpressionBudget::default())? {
            Ok(operator) => Ok(operator.holds(&found, &scope.steps)?),
            Err((_, detail)) => Err(Unjudged::Macros(detail)),
        }
    }

    /// The name of its source, for messages: the key, or the source's word.
    pub(super) fn name(&self) -> &str {
        match self.key.written() {
            "" => self.source.as_ref().map_or("", Source::word),
            key => key,
        }
    }

    fn values(&self) -> impl Iterator<Item = &Text> {
        [&self.value, &self.value2].into_iter().flatten()
    }

    /// Its texts with macros, each with its field.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let source = self.source.as_ref().and_then(Source::template).unwrap_or_else(|| self.key.template());
        let values = [("value", self.value.as_ref()), ("value2", self.value2.as_ref())];
        let values = values.into_iter().filter_map(|(name, text)| Some((name, text?.template())));
        std::iter::once(("key", source)).chain(values).filter(|(_, template)| template.has_macros())
    }

    /// Its key and its values, each with its field.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        let parts = [("key", Some(&self.key)), ("value", self.value.as_ref()), ("value2", self.value2.as_ref())];
        parts.into_iter().filter_map(|(field, text)| Some((field, text?)))
    }

    /// Its texts as they were written, each with its field.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parts().map(|(field, text)| (field, text.written()))
    }

    /// The texts in braces that are no macros, as they were written, each with its field.
    pub(crate) fn strays(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parts().flat_map(|(field, text)| text.strays().map(move |stray| (field, stray)))
    }

    /// The variable that it reads, and whether it only asks if the variable is empty.
    pub(crate) fn variable(&self) -> Option<(&str, bool)> {
        let Some(Source::Variable(template)) = &self.source else { return None };
        let asks_if_empty = matches!(self.operator, Operator::IsEmpty | Operator::IsNotEmpty);
        template.variables().next().map(|name| (name, asks_if_empty))
    }

    /// Returns true if it compares with a number that can be written in several ways.
    pub(crate) fn compares_numbers(&self) -> bool {
        matches!(&self.operator, Operator::Fits(pattern) | Operator::FitsNot(pattern) if pattern.has_numbers())
    }

    /// Returns true if it always holds.
    pub(super) fn is_always(&self) -> bool {
        matches!(self.operator, Operator::Always)
    }

    /// Returns true if it reads the body, directly or by its macros.
    pub(crate) fn looks_at_body(&self) -> bool {
        let reads_body = self.templates().any(|(_, template)| template.reads_body());
        reads_body || matches!(self.source, Some(Source::Body(_) | Source::WholeBody))
    }

    /// The field of the body that it reads, with blanks for macros.
    pub(crate) fn field(&self) -> Option<&FieldPath> {
        match &self.source {
            Some(Source::Body(path)) => Some(path),
            Some(Source::Macro(template)) => template.body_field(),
            _ => None,
        }
    }

    /// Returns true if it reads the whole body or a header.
    pub(crate) fn reads_text(&self) -> bool {
        matches!(self.source, Some(Source::WholeBody | Source::Header(_)))
    }

    /// Returns true if it reads the status.
    pub(crate) fn asks_status(&self) -> bool {
        matches!(self.source, Some(Source::HttpCode))
    }

    /// An estimate of the memory that the condition takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let values: usize = self.values().map(Text::bytes).sum();
        let source = self.source.as_ref().and_then(Source::template).map_or(self.key.bytes(), Template::bytes);
        size_of::<Self>() + PARTS_BYTES + self.key.bytes() + source + values + self.operator.bytes()
    }
}

/// Makes an operator of these values; `fill` returns the values of their macros.
fn make(
    info: &OperatorInfo,
    [first, second]: [&Option<Text>; 2],
    fill: impl Fn(&Text) -> Result<Vec<String>, RenderFault>,
    expressions: &mut ExpressionBudget,
) -> Result<Result<Operator, Refusal>, RenderFault> {
    let values = |text: &Option<Text>| text.as_ref().map_or(Ok(Vec::new()), &fill);
    let (first_values, second_values) = (values(first)?, values(second)?);
    Ok((info.make)(&filled(first.as_ref(), &first_values), &filled(second.as_ref(), &second_values), expressions))
}

fn filled<'a>(text: Option<&'a Text>, values: &'a [String]) -> Filled<'a> {
    text.map_or(Filled { text: "", values }, |text| text.with(values))
}

/// Reads a value to compare with: a text, or a number or flag as it is written.
fn read_operand(fields: &Fields<'_>, key: &str, macros: Option<Allowed>, faults: &mut Faults) -> Option<Text> {
    let value = fields.get(key)?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => {
            faults.add(fields.at(key), format!("{} can't be compared with: write a text, a number, true or false", kind(other)));
            return None;
        }
    };
    if !fits(key, &text, fields, faults) {
        return None;
    }
    match macros {
        Some(allowed) => Text::parse(&text, &fields.at(key), allowed, faults),
        None => Some(Text::literal(&text)),
    }
}

/// Returns true if a text is not too long; else adds a fault.
pub(super) fn fits(key: &str, text: &str, fields: &Fields<'_>, faults: &mut Faults) -> bool {
    // A character that is literal in a pattern takes two bytes, also in texts that were accepted before there were patterns.
    let is_too_long = text.len() > MAX_TEXT && !faults.is_of_stored_rule();
    if is_too_long {
        faults.add(fields.at(key), format!("{} bytes are too many: {MAX_TEXT} are allowed", text.len()));
    }
    !is_too_long
}
