//! Texts that look like macros of another system, or like macros that a browser or a mail program has changed.

use crate::macros;

/// The signs around a macro's name: ours doubled or percent-encoded, and those of other systems.
const SIGNS: [(&str, &str); 11] = [
    ("{{", "}}"),
    ("%7B", "%7D"),
    ("%7b", "%7d"),
    ("%5B", "%5D"),
    ("%5b", "%5d"),
    ("%%", "%%"),
    ("%", "%"),
    ("[", "]"),
    ("<", ">"),
    ("$", "$"),
    ("__", "__"),
];
/// The longest name that is compared, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A part of a text that is sent without rendering although a macro was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookalike<'t> {
    /// The part.
    pub(super) written: &'t str,
    /// The macro that was probably meant, if one has a similar name.
    pub(super) meant: Option<&'t str>,
}

/// The parts of a text that look like macros, in order. In signs that are common, as in `[0]`, a macro's name must be
/// right but for case and underscores.
pub(super) fn lookalikes(text: &str) -> Vec<Lookalike<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let one = SIGNS.iter().find_map(|(open, close)| lookalike(rest, open, close)).or_else(|| behind_dollar(rest));
        let bytes = match &one {
            Some(one) => one.written.len(),
            // The second brace of a pair opens no macro, and the first of three is one of a pair.
            None if rest.starts_with("{{") => 2,
            None => c.len_utf8(),
        };
        // An element of XML is no macro.
        found.extend(one.filter(|one| !one.written.starts_with('<') || !has_end_tag(text, &one.written[1..])));
        rest = &rest[bytes..];
    }
    found
}

/// The macro in single braces in a text that is not rendered, such as the name of a parameter.
pub(super) fn macro_in_name(text: &str) -> Option<Lookalike<'_>> {
    let start = text.find('{')?;
    let inside = &text[start + 1..];
    let name = &inside[..inside.find('}')?];
    let written = &text[start..start + name.len() + 2];
    macros::is_known(name).then_some(Lookalike { written, meant: Some(name) })
}

/// The lookalike at the beginning of a text.
fn lookalike<'t>(text: &'t str, open: &str, close: &str) -> Option<Lookalike<'t>> {
    let inside = text.strip_prefix(open)?;
    let inside = &inside[..inside.find(close)?];
    let name = if open == "{{" { inside.trim_matches(' ') } else { inside };
    let is_name = name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    if !is_name {
        return None;
    }
    let meant = if macros::is_known(name) { Some(name) } else { macros::meant(name) };
    let letters = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let is_exact = meant.is_some_and(|meant| letters(meant) == letters(name));
    let written = &text[..open.len() + inside.len() + close.len()];
    let is_meant = match open {
        "{{" | "%7B" | "%7b" | "$" => true,
        "%%" => meant.is_some(),
        _ => is_exact,
    };
    is_meant.then_some(Lookalike { written, meant })
}

/// A `$` before a macro, as in `${click_id}`: the sign is sent, too. Before an amount of money it is a currency sign.
fn behind_dollar(text: &str) -> Option<Lookalike<'_>> {
    const MONEY: [&str; 7] = ["value", "amount", "sale_amount", "payout", "sum", "revenue", "var"];
    let inside = text.strip_prefix("${").filter(|inside| !inside.starts_with('{'))?;
    let written = &text[..inside.find('}')? + 3];
    let name = inside.split(['|', '}']).next()?;
    let is_money = MONEY.contains(&name.split('.').next()?);
    (!is_money && macros::is_known(name)).then_some(Lookalike { written, meant: Some(name) })
}

fn has_end_tag(text: &str, tag: &str) -> bool {
    text.match_indices("</").any(|(at, mark)| text[at + mark.len()..].starts_with(tag))
}
