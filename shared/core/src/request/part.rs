//! A part of a request: its text, or several to choose from by conditions, and the conditions that drop it (Q6).

use super::{LONGEST_TEMPLATE_BYTES, PLACE_BYTES};
use crate::{
    document::{Fields, kind},
    fault::Faults,
    json,
    json::{Map, Value},
    template::{Allowed, Filled, Place, RenderFault, Scope, Template},
    when::{Condition, When},
};

/// The most texts to choose from.
const MAX_CHOICES: usize = 20;

/// A part of a request. Parts are equal if they were written equally.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    do_not_send: Option<When>,
    choices: Vec<Choice>,
    /// The JSON as it was written; `None` if that is one text alone.
    written: Option<Box<str>>,
}

/// A text, and the conditions under which it is chosen.
#[derive(Debug, Clone)]
struct Choice {
    when: Option<When>,
    text: Template,
}

/// A text with macros and its place, a JSON pointer below its part's.
pub(crate) type Placed<'p> = (String, &'p Template);

impl Part {
    /// Reads `value` and `do_not_send` of an object.
    pub(super) fn parse(fields: &Fields<'_>, place: Place, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let pointer = fields.at("value");
        let choices = match fields.get("value") {
            None => {
                faults.add(&pointer, "missing: write a text, which may hold macros such as {transaction_id}");
                None
            }
            Some(value) => read_value(value, &pointer, (place, LONGEST_TEMPLATE_BYTES), allowed, faults),
        };
        let is_conditional = fields.get("do_not_send").is_some();
        let do_not_send = is_conditional.then(|| When::parse(fields, "do_not_send", allowed, faults));
        Some(Self::new(choices?, do_not_send))
    }

    /// Reads a value that is not in an object; its texts have `most` bytes at most.
    pub(super) fn of_value(value: &Value, pointer: &str, most: usize, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        Some(Self::new(read_value(value, pointer, (Place::Plain, most), allowed, faults)?, None))
    }

    fn new(choices: Vec<Choice>, do_not_send: Option<When>) -> Self {
        let mut part = Self { do_not_send, choices, written: None };
        if part.plain().is_none() {
            let mut map = Map::new();
            part.add_to(&mut map);
            part.written = Some(Value::Object(map).to_string().into());
        }
        part
    }

    /// The one text that is always sent; `None` if there are choices or conditions.
    fn plain(&self) -> Option<&Template> {
        match (&*self.choices, &self.do_not_send) {
            ([Choice { when: None, text }], None) => Some(text),
            _ => None,
        }
    }

    /// The written text, or JSON if it is more than a text.
    pub(super) fn written(&self) -> &str {
        self.written.as_deref().or_else(|| self.plain().map(Template::text)).unwrap_or_default()
    }

    /// The value in the resource's form.
    pub(super) fn value_document(&self) -> Value {
        if let [Choice { when: None, text }] = &*self.choices {
            return text.text().into();
        }
        let choices = self.choices.iter().map(|choice| match &choice.when {
            Some(when) => json!({"when": when.document(), "text": choice.text.text()}),
            None => json!({"text": choice.text.text()}),
        });
        Value::from(choices.collect::<Vec<_>>())
    }

    /// Adds the resource's form to that of the object that holds the part.
    pub(super) fn add_to(&self, document: &mut Map) {
        document.insert("value".to_owned(), self.value_document());
        document.extend(self.do_not_send.as_ref().map(|when| ("do_not_send".to_owned(), when.document())));
    }

    /// Writes the text, unless the part is dropped.
    pub(super) fn render(&self, scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
        match self.chosen(scope)? {
            Some((_, text)) => text.render(scope, out),
            None => Ok(Filled::Omit),
        }
    }

    /// The chosen text with its number; `None` if the part is dropped.
    fn chosen(&self, scope: &Scope<'_>) -> Result<Option<(usize, &Template)>, RenderFault> {
        if let Some(when) = &self.do_not_send
            && when.holds(scope)?
        {
            return Ok(None);
        }
        for (number, Choice { when, text }) in self.choices.iter().enumerate() {
            if when.as_ref().map_or(Ok(true), |when| when.holds(scope))? {
                return Ok(Some((number, text)));
            }
        }
        Ok(None)
    }

    /// The currency of the chosen text, if that is a single amount.
    pub(super) fn currency<'a>(&self, scope: &Scope<'a>) -> Option<&'a str> {
        self.chosen(scope).ok()??.1.currency(scope)
    }

    /// Returns true if a modifier in its texts may drop it.
    pub(super) fn may_omit(&self) -> bool {
        self.texts().any(Template::may_omit)
    }

    /// The texts that it may send.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Template> {
        self.choices.iter().map(|choice| &choice.text)
    }

    /// Every text with macros: those that it may send, and those of its conditions.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.texts().chain(self.conditions().flat_map(|(_, condition)| condition.templates().map(|(_, template)| template)))
    }

    /// The texts that it may send, each with its place.
    pub(super) fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        self.choices.iter().enumerate().map(|(number, choice)| (self.place_of(number), &choice.text))
    }

    /// The text that it sends in this scope, and those of its conditions, each with its place.
    pub(super) fn placed_in(&self, scope: &Scope<'_>) -> Vec<Placed<'_>> {
        let chosen = self.chosen(scope).ok().flatten();
        let chosen = chosen.map(|(number, text)| (self.place_of(number), text));
        let of_conditions = self.conditions().flat_map(|(place, condition)| {
            condition.templates().map(move |(field, template)| (format!("{place}/{field}"), template))
        });
        chosen.into_iter().chain(of_conditions).collect()
    }

    fn place_of(&self, number: usize) -> String {
        match &*self.choices {
            [Choice { when: None, .. }] => "/value".to_owned(),
            _ => format!("/value/{number}/text"),
        }
    }

    /// Its conditions, each with its place, a JSON pointer below the part's.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (String, &Condition)> {
        let choosing = self.choices.iter().enumerate().filter_map(|(number, choice)| {
            let when = choice.when.as_ref()?;
            Some((format!("/value/{number}/when"), when))
        });
        let all = choosing.chain(self.do_not_send.iter().map(|when| ("/do_not_send".to_owned(), when)));
        all.flat_map(|(place, when)| when.conditions().map(move |(spot, condition)| (format!("{place}{spot}"), condition)))
    }

    /// An estimate of the memory that the part and its place take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.texts().map(|text| text.bytes() + PLACE_BYTES).sum();
        let choosing = self.choices.iter().filter_map(|choice| choice.when.as_ref());
        let conditions: usize = choosing.chain(&self.do_not_send).map(When::bytes).sum();
        texts + conditions + self.written.as_ref().map_or(0, |written| written.len())
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written() && self.written.is_some() == other.written.is_some()
    }
}

impl Eq for Part {}

/// Reads a text, or a list of texts to choose from.
fn read_value(
    value: &Value,
    pointer: &str,
    (place, most): (Place, usize),
    allowed: Allowed,
    faults: &mut Faults,
) -> Option<Vec<Choice>> {
    let Some(items) = value.as_array() else {
        let text = read_text(value, pointer, (place, most), allowed, faults)?;
        return Some(vec![Choice { when: None, text }]);
    };
    if items.is_empty() || items.len() > MAX_CHOICES {
        faults.add(pointer, format!("expected 1 to {MAX_CHOICES} texts to choose from, got {}", items.len()));
    }
    let mut is_over = false;
    let mut choices = Vec::new();
    for (number, item) in items.iter().take(MAX_CHOICES).enumerate() {
        let pointer = format!("{pointer}/{number}");
        if is_over {
            faults.add(&pointer, "never reached: the text before it has no conditions");
        }
        let fields = Fields::open(Some(item), &pointer, &["when", "text"], &[], faults);
        let when = fields.get("when").map(|_| When::parse(&fields, "when", allowed, faults));
        is_over |= when.is_none();
        let text = fields.get("text");
        if text.is_none() {
            faults.add(fields.at("text"), "missing: write a text, which may hold macros such as {transaction_id}");
        }
        let text = text.and_then(|text| read_text(text, &fields.at("text"), (place, most), allowed, faults));
        choices.push(text.map(|text| Choice { when, text }));
    }
    choices.into_iter().collect()
}

fn read_text(
    value: &Value,
    pointer: &str,
    (place, most): (Place, usize),
    allowed: Allowed,
    faults: &mut Faults,
) -> Option<Template> {
    let Some(text) = value.as_str() else {
        faults.add(pointer, format!("{} is not a text: write a JSON string", kind(value)));
        return None;
    };
    Template::read(text, pointer, (place, most), allowed, faults)
}
