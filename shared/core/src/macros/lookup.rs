//! Finding the macro of a name, or the name that was probably meant.

use super::{CallbackName, Family, Fixed, Kind, Macro, MacroInfo, StepReference, catalogue};
use crate::{
    name::{VALUE_FOR_NAME, check_name, is_probably_value},
    path::FieldPath,
    template::Allowed,
};

/// The longest word that is compared with known ones: comparing takes time by its length.
const LONGEST_LIKENED_BYTES: usize = 64;

/// The known word that a person probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_LIKENED_BYTES {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The macro that a word probably names: the one that differs only in case, else the nearest. Only macros that every rule may
/// use and that are no families are compared.
pub(crate) fn meant(word: &str) -> Option<&'static str> {
    let rows = catalogue().iter().filter(|row| matches!(row.kind, Kind::Fixed(_)) && !row.admins_only && !row.answer_only);
    let names: Vec<&str> = rows.flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied())).collect();
    names.iter().copied().find(|name| name.eq_ignore_ascii_case(word)).or_else(|| nearest(word, names))
}

/// A name shortened for a message.
pub(crate) fn shown(name: &str) -> String {
    if name.chars().count() <= 40 { name.to_owned() } else { name.chars().take(39).chain(['…']).collect() }
}

/// The family and the key of a name. A path into the response may begin with a bracket after its word.
fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.strip_prefix("body") {
        Some(path) if path.starts_with('[') => ("body", Some(path)),
        _ => name.split_once('.').map_or((name, None), |(prefix, key)| (prefix, Some(key))),
    }
}

/// The row of a name, matched exactly.
fn row_of(name: &str) -> Option<&'static MacroInfo> {
    catalogue().iter().find(|row| match (row.kind, split_name(name)) {
        (Kind::Fixed(_), (_, None)) => row.name == name || row.aliases.contains(&name),
        (Kind::Family(_), (prefix, Some(_))) => family_word(row.name) == prefix,
        _ => false,
    })
}

/// Returns true if this is the name of a macro, for any rule and in any place.
pub(crate) fn is_known(name: &str) -> bool {
    row_of(name).is_some() && !name.ends_with('.')
}

impl Macro {
    /// Returns true if this is the name of a macro, for any rule and in any place.
    pub(crate) fn is_known(name: &str) -> bool {
        row_of(name).is_some()
    }

    /// Reads a name, matched exactly (docs/macros.md); the error is a sentence for the rule's author.
    pub(crate) fn parse(name: &str, allowed: Allowed) -> Result<Self, String> {
        let (prefix, key) = split_name(name);
        let Some(row) = row_of(name) else { return Err(unknown(name, prefix, key)) };
        if row.admins_only && !allowed.admin {
            return Err(format!("{{{name}}} is for rules of admins only"));
        }
        if row.answer_only && !allowed.answer {
            return Err(format!("{{{}}} is allowed only in an answer rule: a request has no answer yet", shown(name)));
        }
        match row.kind {
            Kind::Fixed(Fixed::CallbackUrl) => Ok(Self::CallbackUrl(CallbackName::of(""))),
            Kind::Fixed(fixed) => Ok(Self::Fixed(fixed)),
            Kind::Family(family) => Self::with_key(family, key.unwrap_or_default(), allowed),
        }
    }

    fn with_key(family: Family, key: &str, allowed: Allowed) -> Result<Self, String> {
        if key.is_empty() {
            return Err("a key is missing after the dot, such as query.utm_source".to_owned());
        }
        Ok(match family {
            Family::Query => Self::Query(key.into()),
            Family::Cookie => Self::Cookie(key.into()),
            Family::Secret => Self::Secret(secret_name(key, allowed.stored)?),
            Family::Var => Self::Var(plain_name(key)?),
            Family::Body => Self::Body(key.parse::<FieldPath>().map_err(|fault| format!("{}: {fault}", shown(key)))?),
            Family::Header => Self::Header(key.into()),
            Family::Steps => Self::Steps(StepReference::parse(key)?),
            Family::CallbackUrl => Self::CallbackUrl(CallbackName::of(key)),
        })
    }

    /// The secret that it reads, if it is one.
    pub(crate) fn secret(&self) -> Option<&str> {
        if let Self::Secret(name) = self { Some(name) } else { None }
    }

    /// Returns true if it reads the body of the response.
    pub(crate) fn is_of_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Fixed(Fixed::Body))
    }

    /// The variable that it reads, if it is one.
    pub(crate) fn variable(&self) -> Option<&str> {
        if let Self::Var(name) = self { Some(name) } else { None }
    }

    /// The reference to the response of another step, if it is one.
    pub(crate) fn step_reference(&self) -> Option<&StepReference> {
        if let Self::Steps(reference) = self { Some(reference) } else { None }
    }

    /// The name of its value among the variables, if it is a variable, a part of a response or a callback URL.
    pub(crate) fn kept_name(&self) -> Option<&str> {
        match self {
            Self::Var(name) => Some(name),
            Self::Steps(reference) => Some(reference.key()),
            Self::CallbackUrl(name) => Some(name.key()),
            _ => None,
        }
    }

    /// The name of the callback URL, if it is one.
    pub(crate) fn callback(&self) -> Option<&CallbackName> {
        if let Self::CallbackUrl(name) = self { Some(name) } else { None }
    }

    /// The macro's name in the catalogue's spelling, aliases resolved.
    pub(crate) fn name(&self) -> String {
        let keyed = |family: Family, key: &str| {
            let row = catalogue().iter().find(|row| row.kind == Kind::Family(family)).expect("every family has a row");
            format!("{}.{key}", family_word(row.name))
        };
        match self {
            Self::Fixed(fixed) => fixed.name().to_owned(),
            Self::Query(key) => keyed(Family::Query, key),
            Self::Cookie(key) => keyed(Family::Cookie, key),
            Self::Secret(key) => keyed(Family::Secret, key),
            Self::Var(key) => keyed(Family::Var, key),
            Self::Body(path) => keyed(Family::Body, &path.to_string()),
            Self::Header(key) => keyed(Family::Header, key),
            Self::Steps(reference) => reference.key().to_owned(),
            Self::CallbackUrl(name) => name.step().map_or_else(|| "callback_url".to_owned(), |_| name.key().to_owned()),
        }
    }
}

impl Fixed {
    fn name(self) -> &'static str {
        catalogue().iter().find(|row| row.kind == Kind::Fixed(self)).expect("every macro has a row").name
    }
}

/// The name of a secret or a variable.
pub(crate) fn plain_name(name: &str) -> Result<Box<str>, String> {
    // The text may be a secret's value by mistake, so the fault does not repeat it.
    check_name(name).map_err(|fault| fault.to_string())?;
    Ok(name.into())
}

/// The name of a secret. A text that is probably a value is refused, unless the rule is read from the store.
pub(crate) fn secret_name(name: &str, is_stored: bool) -> Result<Box<str>, String> {
    if is_probably_value(name) && !is_stored {
        return Err(VALUE_FOR_NAME.to_owned());
    }
    plain_name(name)
}

/// `query` of `query.<key>`.
fn family_word(name: &'static str) -> &'static str {
    name.split_once('.').map_or(name, |(word, _)| word)
}

fn unknown(name: &str, prefix: &str, key: Option<&str>) -> String {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | ',' | '<' | ';' | '=')) {
        return format!("\"{}\" is no macro: write {{{{ and }}}} for literal braces, and a macro without spaces", shown(name));
    }
    if let (None, Some(family)) =
        (key, catalogue().iter().find(|row| matches!(row.kind, Kind::Family(_)) && family_word(row.name) == name))
    {
        return format!("{{{name}}} needs a key: write {{{}}}", family.name);
    }
    let names = || catalogue().iter().flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
    let (word, known): (&str, Vec<&str>) = match key {
        None => (name, names().filter(|name| !name.contains('.')).collect()),
        Some(_) => (prefix, names().filter(|name| name.contains('.')).map(family_word).collect()),
    };
    let rest = key.map(|key| format!(".{}", shown(key))).unwrap_or_default();
    let shown = shown(name);
    if let Some(exact) = known.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        return format!(
            "{{{shown}}} differs from {{{exact}{rest}}} in case only: names are matched exactly, write {{{exact}{rest}}}"
        );
    }
    match nearest(word, known) {
        Some(nearest) => format!("unknown macro {{{shown}}}; did you mean {{{nearest}{rest}}}?"),
        None if key.is_none() => {
            format!("unknown macro {{{shown}}}: for a parameter of the affiliate's link write {{query.{shown}}}")
        }
        None => format!("unknown macro {{{shown}}}: the catalogue of macros lists all of them"),
    }
}
