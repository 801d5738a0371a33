//! Texts that look like macros of another system, or like what a browser or a mail made of one (B7).

use crate::macros;

/// The signs around a macro's name: ours doubled or percent-encoded, and those of other systems.
const SIGNS: [(&str, &str); 5] = [("{{", "}}"), ("%7B", "%7D"), ("%7b", "%7d"), ("[", "]"), ("$", "$")];
/// The longest name that is looked at, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A part of a text that is sent as it stands although a macro was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookalike<'t> {
    /// The part.
    pub(super) written: &'t str,
    /// The macro that was probably meant, if there is one of a similar name.
    pub(super) meant: Option<&'static str>,
}

/// The parts of a text that look like macros, in its order. One in brackets must have a macro's very name: `[0]` and `[id]` are common.
pub(super) fn lookalikes(text: &str) -> Vec<Lookalike<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match SIGNS.iter().find_map(|(open, close)| lookalike(rest, open, close)) {
            Some(one) => {
                rest = &rest[one.written.len()..];
                found.push(one);
            }
            None => rest = &rest[c.len_utf8()..],
        }
    }
    found
}

/// The lookalike that a text begins with.
fn lookalike<'t>(text: &'t str, open: &str, close: &str) -> Option<Lookalike<'t>> {
    let inside = text.strip_prefix(open)?;
    let name = &inside[..inside.find(close)?];
    let is_name = name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    let meant = if is_name { macros::meant(name) } else { return None };
    let is_exact = meant.is_some_and(|meant| meant.eq_ignore_ascii_case(name));
    let written = &text[..open.len() + name.len() + close.len()];
    (open != "[" || is_exact).then_some(Lookalike { written, meant })
}
