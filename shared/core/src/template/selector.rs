//! Macros inside the path of a macro: `{body.leads[id={external_id}].payout}`, `{body.{external_id}.payout}` (A3).
//!
//! **A macro's value is data**: the path is parsed with a blank in its place, and the value then replaces the blank. An empty
//! value selects nothing.

use super::{Piece, RenderFault, Scope, Slot, Template, modifier::Modifier, value::Value};
use crate::{
    macros::{Fixed, Macro},
    path::FieldPath,
};

/// The first word of a path into the response.
const BODY: &str = "body";

/// The prefix of a path into the response: the word and a dot; the dot may be missing before a bracket.
pub(super) fn body_prefix(text: &str) -> Option<&str> {
    let path = text.strip_prefix(BODY)?;
    let dot = match path.chars().next() {
        Some('.') => 1,
        Some('[') => 0,
        _ => return None,
    };
    Some(&text[..BODY.len() + dot])
}

/// The length of the name at the beginning of a text, in bytes; `None` if it has no end. Macros in a path into the response are part of
/// the name; a path inside such a macro holds none, since the first `}` ends it.
pub(super) fn name_length(text: &str) -> Option<usize> {
    let is_end = |c: char| matches!(c, '|' | '}' | '{');
    let plain = text.find(is_end).filter(|end| !text[*end..].starts_with('{'));
    if body_prefix(text).is_none() {
        return plain;
    }
    let mut in_braces = false;
    for (at, c) in text.char_indices() {
        match c {
            '}' if in_braces => in_braces = false,
            _ if in_braces => {}
            '{' => in_braces = true,
            '|' | '}' => return Some(at),
            _ => {}
        }
    }
    plain
}

impl Slot {
    /// The value of its macro, before modifiers.
    pub(super) fn value<'a>(&self, scope: &Scope<'a>) -> Result<Value<'a>, RenderFault> {
        let (Some(selector), Macro::Body(path)) = (&self.selector, &self.source) else {
            return Ok(Value::of(&self.source, self.number, scope));
        };
        let values = selector.values(scope)?;
        if values.iter().any(String::is_empty) {
            return Ok(Value::MISSING);
        }
        Ok(Value::of(&Macro::Body(path.filled(&mut values.iter())), self.number, scope))
    }

    /// The catalogue's name of its macro, with the macros in its path as they were written.
    pub(super) fn name(&self) -> String {
        match &self.selector {
            Some(selector) => format!("{BODY}.{}", selector.text),
            None => self.source.name(),
        }
    }
}

impl Template {
    /// Returns true if a macro reads a field of the response's body.
    pub(crate) fn reads_fields(&self) -> bool {
        self.body_field().is_some()
    }

    /// The first field of the response's body that a macro reads.
    pub(crate) fn body_field(&self) -> Option<&FieldPath> {
        self.uses().find_map(|used| if let Macro::Body(path) = &used.source { Some(path) } else { None })
    }

    /// Its macros, including those inside paths.
    pub(super) fn all_slots(&self) -> impl Iterator<Item = &Slot> {
        fn own(pieces: &[Piece]) -> impl Iterator<Item = &Slot> {
            pieces.iter().filter_map(|piece| if let Piece::Slot(slot) = piece { Some(slot) } else { None })
        }
        own(&self.pieces).flat_map(|slot| std::iter::once(slot).chain(slot.selector.iter().flat_map(|inner| own(&inner.pieces))))
    }

    /// The macros that read a part of the response, as they were written, without their modifiers; for the whole body with them.
    pub(crate) fn response_parts(&self) -> impl Iterator<Item = &str> {
        let part = |slot: &Slot| {
            let written = self.text.get(slot.written.clone())?;
            match &slot.source {
                Macro::Body(_) if slot.selector.is_some() => Some(written),
                Macro::Body(_) | Macro::Header(_) => written.get(1..)?.split(['|', '}']).next(),
                Macro::Fixed(Fixed::Body) => Some(written),
                _ => None,
            }
        };
        self.slots().filter_map(part)
    }

    /// The names of macros in braces in a text that a modifier adds: they are sent without rendering.
    pub(crate) fn macros_in_arguments(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.slots().flat_map(|slot| slot.modifiers.iter()).filter_map(Modifier::macro_in_argument)
    }
}
