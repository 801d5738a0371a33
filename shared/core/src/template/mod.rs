//! Texts with macros: read and checked once when a rule is saved, rendered for every attempt (Q2, Q3).
//!
//! A [`Template`] is a list of literal texts and macros. [`Place`] is the place of the text; it decides how values are
//! encoded. The encoding of each macro is fixed while reading, so that no value can break out of its place (Q3). A missing
//! value is the empty text (Q2). Literal braces are doubled.
//!
//! **No template holds the value of a secret**: it holds names, the values are in the [`Scope`] of one attempt (Q5).

mod amount;
mod bound;
mod composed;
pub(crate) mod encode;
mod fault;
mod modifier;
pub(crate) mod modify;
mod parse;
mod selector;
mod traced;
mod value;

use std::{collections::BTreeMap, fmt, ops::Range};

use jiff::Timestamp;

pub(crate) use self::parse::no_macro_in_argument;
pub use self::{
    bound::{Bound, Reach},
    fault::{Expense, RenderFault},
    traced::{MASK, Traced},
};
use self::{encode::Encoding, modifier::Modifier, modify::Stop, value::Value};
pub use crate::expression::{MAX_STEPS, Steps};
use crate::{
    answer::Response,
    event::Event,
    fault::Faults,
    macros::{Fixed, Macro},
};

/// The longest rendered text of one template, in bytes: modifiers can make a short value long.
pub const LONGEST_TEXT_BYTES: usize = 256 * 1024;

/// The values that macros read when a template is rendered; clones share one count of steps. Its `Debug` hides the values of secrets (Q5).
#[derive(Clone)]
pub struct Scope<'a> {
    /// The elementary event that the postback is about.
    pub event: &'a Event,
    /// The delivery's id, the same for every attempt (P2).
    pub delivery_id: &'a str,
    /// The rule's id.
    pub tracking_api_id: &'a str,
    /// The number of the attempt; 1 is the first.
    pub attempt: u32,
    /// The step that the text belongs to (W7).
    pub at: At<'a>,
    /// `true` in a trial of the rule.
    pub is_test: bool,
    /// The time of this attempt.
    pub now: Timestamp,
    /// The values of the rule's secrets by name, or masks (Q5).
    pub secrets: &'a BTreeMap<String, String>,
    /// `true` if `secrets` are masks: a hash that is made with one is a mask too, since the hash of a mask looks like a signature.
    pub masks: bool,
    /// The variables that earlier responses of this delivery set (A3).
    pub variables: &'a BTreeMap<String, String>,
    /// The response, while a `set` is rendered (A3).
    pub answer: Option<&'a Response>,
    /// The values of the present request; `None` outside of requests.
    pub bound: Option<&'a Bound<'a>>,
    /// The remaining steps, shared by all templates of a request or a response.
    pub steps: Steps,
}

/// The place of a text in a flow (W7); the default is outside of flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At<'a> {
    /// The step's name; empty outside of flows.
    pub step: &'a str,
    /// The run of the step; 1 is the first.
    pub run: u32,
    /// The number of the request within its run; 1 is the first, 0 outside of flows.
    pub attempt: u32,
}

impl<'a> Scope<'a> {
    /// The number of the request within its run of the step; outside of flows, within its delivery.
    pub(crate) fn step_attempt(&self) -> u32 {
        if self.at.attempt == 0 { self.attempt } else { self.at.attempt }
    }

    /// The same scope with the values of a request; both share one count of steps.
    #[must_use]
    pub fn with<'s>(&'s self, bound: &'s Bound<'s>) -> Scope<'s>
    where
        'a: 's,
    {
        Scope { bound: Some(bound), steps: self.steps.clone(), ..*self }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("event", &self.event)
            .field("delivery_id", &self.delivery_id)
            .field("tracking_api_id", &self.tracking_api_id)
            .field("attempt", &self.attempt)
            .field("at", &self.at)
            .field("is_test", &self.is_test)
            .field("now", &self.now)
            .field("secrets", &self.secrets.keys())
            .field("variables", &self.variables)
            .field("answer", &self.answer)
            .field("bound", &self.bound)
            .field("steps", &self.steps)
            .finish()
    }
}

/// The macros that a template may read, by the owner of its rule and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says yes or no to something of its own")]
pub struct Allowed {
    /// `true` in an admin's rule: it may read revenue (V3).
    pub admin: bool,
    /// `true` in `set` of an answer rule: `body.`, `header.` and `http_code` are allowed (A3).
    pub answer: bool,
    /// `true` if a receiver's address may be private (`--allow-private-targets`).
    pub private_targets: bool,
    /// `true` for a rule from the store: rules that were introduced later do not refuse it.
    pub stored: bool,
}

/// The place of a text; it decides how values are encoded (Q3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A URL: values are percent-encoded; of the literal text only characters that no URL may hold (spaces, non-ASCII).
    Url,
    /// The value of a query entry: values and literal text are percent-encoded.
    QueryValue,
    /// A header's value: control characters are refused, in the literal text and in values.
    Header,
    /// A string of a JSON document that we build: values and literal text get JSON escapes.
    JsonString,
    /// The value of a form field: values and literal text are percent-encoded.
    FormValue,
    /// A JSON text: inside its strings values get JSON escapes; outside, a value that is no JSON becomes `null`.
    RawJson,
    /// A form-encoded text: values are percent-encoded.
    RawForm,
    /// An XML text: values get XML escapes.
    RawXml,
    /// A key or a value of a condition: nothing is encoded, and braces around an unknown name are literal.
    Condition,
    /// Any other text: nothing is encoded.
    Plain,
}

/// One fault of a template: its position, and a sentence with the fault and the allowed values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {offset}: {detail}")]
pub struct TemplateFault {
    /// The position in characters, from 1.
    pub offset: usize,
    /// The fault and the allowed values.
    pub detail: String,
}

/// The result of rendering a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The text was written to the output.
    Written,
    /// The value of an `omit_if_empty` is empty: drop the whole field. The output is unchanged.
    Omit,
}

/// A checked text with macros. Templates are equal if their text and their place are.
#[derive(Debug, Clone)]
pub struct Template {
    text: Box<str>,
    place: Place,
    pieces: Box<[Piece]>,
}

/// A part of a template.
#[derive(Debug, Clone)]
enum Piece {
    /// Literal text, encoded already if its place needs it.
    Literal(Box<str>),
    /// A macro.
    Slot(Slot),
}

/// A macro and its modifiers.
#[derive(Debug, Clone)]
struct Slot {
    source: Macro,
    /// The path of its macro, if the path holds macros.
    selector: Option<Box<Template>>,
    modifiers: Box<[Modifier]>,
    encoding: Encoding,
    /// Its number among the template's macros, from 0: it distinguishes two `{uuid}`.
    number: usize,
    /// Its range in the text, in bytes, braces included.
    written: Range<usize>,
}

/// A template's use of a macro.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'t> {
    /// The macro.
    pub(crate) source: &'t Macro,
    /// `true` if a modifier handles the empty value.
    pub(crate) minds_empty: bool,
    /// `true` if an empty value is hashed, too.
    pub(crate) hashes_empty: bool,
}

/// Adds the faults of a text to those of its document.
pub(crate) fn add_all(found: Vec<TemplateFault>, pointer: &str, faults: &mut Faults) {
    for fault in found {
        faults.add(pointer, fault.to_string());
    }
}

impl Template {
    /// Reads a text for its place (Q2). The error holds every fault, in the order of the text.
    pub fn parse(text: &str, place: Place, allowed: Allowed) -> Result<Self, Vec<TemplateFault>> {
        let mut faults = Faults::default();
        Self::parse_within(text, place, allowed, &mut faults)
    }

    /// Reads a text of a document, as [`Template::parse`] does, within the budget of the document's `faults`: it stops at the last fault
    /// that may be described, and its regular expressions count among the document's. The faults found are returned, not added.
    pub(crate) fn parse_within(
        text: &str,
        place: Place,
        allowed: Allowed,
        faults: &mut Faults,
    ) -> Result<Self, Vec<TemplateFault>> {
        let (pieces, _) = parse::pieces(text, place, allowed, faults)?;
        Ok(Self { text: text.into(), place, pieces })
    }

    /// Reads a text of a document with at most `most` bytes. Every fault is added to `faults`.
    pub(crate) fn read(
        text: &str,
        pointer: &str,
        (place, most): (Place, usize),
        allowed: Allowed,
        faults: &mut Faults,
    ) -> Option<Self> {
        if text.len() > most {
            faults.add(pointer, format!("{} bytes are too many: {most} are allowed", text.len()));
            return None;
        }
        let read = Self::parse_within(text, place, allowed, faults);
        read.map_err(|found| add_all(found, pointer, faults)).ok()
    }

    /// Reads a text of a condition, within the budget of the document's `faults`. Also returns the texts in braces that are no macros.
    pub(crate) fn parse_condition(
        text: &str,
        allowed: Allowed,
        faults: &mut Faults,
    ) -> Result<(Self, Vec<Box<str>>), Vec<TemplateFault>> {
        let (pieces, strays) = parse::pieces(text, Place::Condition, allowed, faults)?;
        Ok((Self { text: text.into(), place: Place::Condition, pieces }, strays))
    }

    /// A literal text.
    pub(crate) fn verbatim(text: &str) -> Self {
        Self { text: text.into(), place: Place::Plain, pieces: [Piece::Literal(text.into())].into() }
    }

    /// Returns true if it is one macro without text around it.
    pub(crate) fn is_one_macro(&self) -> bool {
        matches!(&*self.pieces, [Piece::Slot(_)])
    }

    /// Writes the text with its macros filled in. After [`Filled::Omit`] and after an error `out` is unchanged.
    pub fn render(&self, scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
        let start = out.len();
        for piece in &self.pieces {
            let filled = match piece {
                Piece::Literal(text) => {
                    out.push_str(text);
                    Ok(Filled::Written)
                }
                Piece::Slot(slot) => slot.render(scope, out),
            };
            let too_long = out.len() - start > LONGEST_TEXT_BYTES;
            match filled {
                Ok(Filled::Written) if !too_long => {}
                Ok(Filled::Written) => {
                    out.truncate(start);
                    return Err(RenderFault::TooLong { limit_bytes: LONGEST_TEXT_BYTES });
                }
                omitted_or_fault => {
                    out.truncate(start);
                    return omitted_or_fault;
                }
            }
        }
        Ok(Filled::Written)
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if it holds a macro; if not, its text is always the same.
    pub fn has_macros(&self) -> bool {
        self.slots().next().is_some()
    }

    /// The catalogue's names of its macros (aliases resolved), in the order of the text, with repeats.
    pub fn macros(&self) -> impl Iterator<Item = String> {
        self.slots().map(Slot::name)
    }

    /// The names of the secrets that it reads (Q5), including the keys of `hmac_sha256`, with repeats.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.all_slots()
            .flat_map(|slot| slot.source.secret().into_iter().chain(slot.modifiers.iter().filter_map(Modifier::secret)))
    }

    /// The names of the variables that it reads, with repeats.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.all_slots().filter_map(|slot| slot.source.variable())
    }

    /// Returns true if it reads a secret, or one of these variables or parts of responses.
    pub(crate) fn reads_secret_of(&self, names: &dyn Fn(&str) -> bool) -> bool {
        let read = |source: &Macro| source.kept_name().is_some_and(names);
        self.secrets().next().is_some() || self.all_slots().any(|slot| read(&slot.source))
    }

    /// Returns true if it holds one of these callback URLs.
    pub(crate) fn reads_url(&self, names: &[&str]) -> bool {
        self.all_slots().any(|slot| slot.source.callback().is_some_and(|name| names.contains(&name.key())))
    }

    /// Returns true if it reads the sorted query.
    pub(crate) fn reads_sorted_query(&self) -> bool {
        self.all_slots().any(|slot| slot.source == Macro::Fixed(Fixed::QuerySorted))
    }

    /// Returns true if it may render as [`Filled::Omit`].
    pub fn may_omit(&self) -> bool {
        self.slots().any(Slot::may_omit)
    }

    /// Its uses of macros, for warnings, in the order of the text.
    pub(crate) fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        self.slots().map(Slot::as_use)
    }

    /// Returns true if a macro reads the body of the response.
    pub(crate) fn reads_body(&self) -> bool {
        self.uses().any(|used| used.source.is_of_body())
    }

    /// The text with `blank` in place of each macro.
    pub(crate) fn blanks(&self, blank: char) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Slot(_) => text.push(blank),
            }
        }
        text
    }

    /// The values of its macros, in the order of the text; an empty text for one that is missing.
    pub(crate) fn values(&self, scope: &Scope<'_>) -> Result<Vec<String>, RenderFault> {
        let render = |slot: &Slot| {
            let mut value = String::new();
            slot.render(scope, &mut value).map(|_| value)
        };
        self.slots().map(render).collect()
    }

    /// The literal text, if it holds no macro.
    pub(crate) fn literal(&self) -> Option<String> {
        let literals = self.pieces.iter().map(|piece| if let Piece::Literal(text) = piece { Some(&**text) } else { None });
        literals.collect()
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.pieces.iter().filter_map(|piece| if let Piece::Slot(slot) = piece { Some(slot) } else { None })
    }

    /// The template after its literal beginning `prefix`, without a text of its own.
    pub(crate) fn behind(&self, prefix: &str) -> Self {
        let mut encoded = String::with_capacity(prefix.len());
        Encoding::of_literals(self.place).write_text(prefix, &mut encoded).expect("literals are never refused");
        let mut pieces = self.pieces.to_vec();
        if let Some(Piece::Literal(first)) = pieces.first_mut() {
            *first = first.strip_prefix(&*encoded).unwrap_or(first).into();
        }
        Self { text: "".into(), place: self.place, pieces: pieces.into() }
    }

    /// An estimate of the memory that the template takes, in bytes; a shared expression counts in each template.
    pub(crate) fn bytes(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Slot(slot) => {
                2 * slot.written.len()
                    + slot.selector.as_ref().map_or(0, |selector| selector.bytes())
                    + slot.modifiers.iter().map(Modifier::bytes).sum::<usize>()
            }
        });
        size_of::<Self>() + self.text.len() + self.pieces.len() * size_of::<Piece>() + pieces.sum::<usize>()
    }

    /// The parts between the literal `separator`s, each a template without a text of its own. `limit` parts at most.
    pub(crate) fn split(&self, separator: char, limit: usize) -> Vec<Self> {
        let mut parts = vec![Vec::new()];
        let last = |parts: &mut Vec<Vec<Piece>>, piece| parts.last_mut().expect("never empty").push(piece);
        for piece in &self.pieces {
            match piece {
                Piece::Slot(slot) => last(&mut parts, Piece::Slot(slot.clone())),
                Piece::Literal(text) => {
                    for (i, stretch) in text.splitn(limit - parts.len() + 1, separator).enumerate() {
                        if i > 0 {
                            parts.push(Vec::new());
                        }
                        last(&mut parts, Piece::Literal(stretch.into()));
                    }
                }
            }
        }
        parts.into_iter().map(|pieces| Self { text: "".into(), place: self.place, pieces: pieces.into() }).collect()
    }
}

impl Slot {
    fn may_omit(&self) -> bool {
        self.modifiers.iter().any(|modifier| matches!(modifier, Modifier::OmitIfEmpty))
    }

    fn as_use(&self) -> Use<'_> {
        let minded = self.modifiers.iter().position(Modifier::minds_empty);
        let hashed = self.modifiers.iter().position(Modifier::hashes);
        Use {
            source: &self.source,
            minds_empty: minded.is_some(),
            hashes_empty: hashed.is_some_and(|hashed| minded.is_none_or(|minded| hashed < minded)),
        }
    }

    fn render(&self, scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
        if let (Macro::Body(_), Some(answer)) = (&self.source, scope.answer) {
            scope.steps.take(answer.lookup_steps()).map_err(|spent| self.fault(spent.into()))?;
        }
        let mut value = self.value(scope)?;
        let hides_hashes = scope.masks && self.reads_secret(scope);
        for modifier in &self.modifiers {
            if hides_hashes && modifier.hashes() {
                value = Value::Text(MASK.into());
                break;
            }
            if matches!(modifier, Modifier::OmitIfEmpty) {
                if value.is_empty() {
                    return Ok(Filled::Omit);
                }
            } else {
                value = modifier.apply(value, scope).map_err(|stop| self.fault(stop))?;
            }
        }
        let start = out.len();
        self.encoding.write(value, out).map_err(|encode::Control| RenderFault::ControlInHeader { name: self.name().into() })?;
        scope.steps.take(out.len() - start).map_err(|spent| self.fault(spent.into()))?;
        Ok(Filled::Written)
    }

    fn fault(&self, stop: Stop) -> RenderFault {
        let expense = match stop {
            Stop::TooLong { limit_bytes } => return RenderFault::TooLong { limit_bytes },
            Stop::Expensive(expense) => expense,
        };
        RenderFault::TooExpensive { name: self.name().into(), expense }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
