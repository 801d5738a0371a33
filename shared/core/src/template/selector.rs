//! Macros inside the path of a macro: `{body.leads[id={external_id}].payout}` (A3).
//!
//! **A macro's value is data**: the path is parsed with a blank in its place, and the value goes where the blank ended up. A value
//! that is empty selects nothing.

use super::{Piece, RenderFault, Scope, Slot, Template, value::Value};
use crate::macros::Macro;

/// The word that a path into the response begins with.
pub(super) const BODY: &str = "body.";

/// The bytes of the name that a text begins with; `None` if it is not ended. Of a path into the response, what stands in brackets
/// belongs to it, with the macros in there; a path inside these has none, since the first `}` ends it.
pub(super) fn name_length(text: &str) -> Option<usize> {
    let is_end = |c: char| matches!(c, '|' | '}' | '{');
    let plain = text.find(is_end).filter(|end| !text[*end..].starts_with('{'));
    if !text.starts_with(BODY) {
        return plain;
    }
    let (mut in_brackets, mut in_braces) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '}' if in_braces => in_braces = false,
            _ if in_braces => {}
            '{' if in_brackets => in_braces = true,
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '{' => return None,
            '|' | '}' => return Some(at),
            _ => {}
        }
    }
    plain
}

impl Slot {
    /// The value of its macro before modifiers.
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

    /// The name of its macro in the catalogue's spelling, with the macros in its path as they were written.
    pub(super) fn name(&self) -> String {
        match &self.selector {
            Some(selector) => format!("{BODY}{}", selector.text),
            None => self.source.name(),
        }
    }
}

impl Template {
    /// Its macros, those inside paths included.
    pub(super) fn all_slots(&self) -> impl Iterator<Item = &Slot> {
        fn own(pieces: &[Piece]) -> impl Iterator<Item = &Slot> {
            pieces.iter().filter_map(|piece| if let Piece::Slot(slot) = piece { Some(slot) } else { None })
        }
        own(&self.pieces).flat_map(|slot| std::iter::once(slot).chain(slot.selector.iter().flat_map(|inner| own(&inner.pieces))))
    }
}
