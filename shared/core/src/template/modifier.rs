//! Modifiers: reading `name:argument` into a step whose argument is valid.

use std::collections::BTreeSet;

use jiff::{
    SignedDuration, Timestamp,
    fmt::strtime::BrokenDownTime,
    tz::{TimeZone, TimeZoneDatabase},
};
use rust_decimal::Decimal;

use crate::{
    expression::{self, Expression, ExpressionBudget},
    hash::HmacHash,
    macros::{is_known, modifiers, nearest, secret_name, shown},
    money::Money,
};

/// The most days that `date_add` adds: a hundred years.
const MAX_ADDED_DAYS: i64 = 36_500;
/// The longest replacement of a regular expression, in bytes.
const LONGEST_REPLACEMENT_BYTES: usize = 256;

/// The word of `map` for a literal star; one without a backslash matches any other value.
pub(super) const LITERAL_STAR: &str = "\\*";

/// The calculation with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// One step that changes a value.
#[derive(Debug, Clone)]
pub(super) enum Modifier {
    Default(Box<str>),
    Map(Box<[(Box<str>, Box<str>)]>),
    Date { format: Box<str>, zone: TimeZone },
    DateAdd(SignedDuration),
    Unix,
    UnixMs,
    Number { digits: u32 },
    Cents,
    Calculate(Calculation, Decimal),
    Lower,
    Upper,
    Trim,
    UrlEncode,
    UrlDecode,
    Json,
    Base64,
    Hex,
    Base64Decode,
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Hmac { hash: HmacHash, secret: Box<str> },
    Replace { from: Box<str>, to: Box<str> },
    Regex { from: Expression, to: Box<str> },
    First(Expression),
    Prefix(Box<str>),
    Suffix(Box<str>),
    OmitIfEmpty,
}

impl Modifier {
    /// Reads a modifier with its argument as written, escapes included. `None` is `raw`, which is no step but an option of the
    /// encoding. The error is a sentence for the rule's author.
    pub(super) fn parse(name: &str, argument: Option<&str>, expressions: &mut ExpressionBudget) -> Result<Option<Self>, String> {
        let Some(info) = modifiers().iter().find(|info| info.name == name) else { return Err(unknown(name)) };
        let written = match (argument, info.argument) {
            (Some(written), form) if !form.is_empty() => written,
            (None, "") => "",
            (Some(_), _) => return Err(format!("{name} takes no argument: write {}", info.example)),
            (None, form) => return Err(format!("{name} needs an argument: {name}:{form}, such as {}", info.example)),
        };
        if let Some(simple) = Self::without_argument(name) {
            return Ok(Some(simple));
        }
        Ok(Some(match name {
            "default" => Self::Default(text(written)),
            "map" => map(written)?,
            "date" => date(written, expressions.is_of_stored_rule())?,
            "date_add" => date_add(written)?,
            "number" => Self::Number { digits: digits(written)? },
            "add" => calculate(Calculation::Add, written)?,
            "subtract" => calculate(Calculation::Subtract, written)?,
            "times" => calculate(Calculation::Multiply, written)?,
            "divide" => calculate(Calculation::Divide, written)?,
            "hmac_sha1" => hmac(HmacHash::Sha1, written, expressions.is_of_stored_rule())?,
            "hmac_sha256" => hmac(HmacHash::Sha256, written, expressions.is_of_stored_rule())?,
            "hmac_sha512" => hmac(HmacHash::Sha512, written, expressions.is_of_stored_rule())?,
            "replace" => replace(written)?,
            "regex" => regex(written, expressions)?,
            "first" => first(written, expressions)?,
            "prefix" => Self::Prefix(text(written)),
            "suffix" => Self::Suffix(text(written)),
            "raw" => return Ok(None),
            other => return Err(format!("{other} is not built")),
        }))
    }

    /// The modifier with that name, if it takes no argument and is a step.
    fn without_argument(name: &str) -> Option<Self> {
        Some(match name {
            "unix" => Self::Unix,
            "unixms" => Self::UnixMs,
            "cents" => Self::Cents,
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "trim" => Self::Trim,
            "urlencode" => Self::UrlEncode,
            "urldecode" => Self::UrlDecode,
            "json" => Self::Json,
            "base64" => Self::Base64,
            "hex" => Self::Hex,
            "base64decode" => Self::Base64Decode,
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha512" => Self::Sha512,
            "omit_if_empty" => Self::OmitIfEmpty,
            _ => return None,
        })
    }

    /// Returns true if it handles the empty value.
    pub(super) fn minds_empty(&self) -> bool {
        match self {
            Self::Default(_) | Self::OmitIfEmpty => true,
            Self::Map(pairs) => pairs.iter().any(|(from, _)| from.is_empty()),
            _ => false,
        }
    }

    /// Returns true if it computes a hash.
    pub(super) fn hashes(&self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Sha512 | Self::Hmac { .. })
    }

    /// An estimate of the memory that it takes besides its source text, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let own = match self {
            Self::Map(pairs) => size_of_val(&**pairs),
            Self::Regex { from, .. } | Self::First(from) => from.bytes(),
            _ => 0,
        };
        size_of::<Self>() + own
    }

    /// Its name, and the name of a macro in braces in the text that it adds.
    pub(super) fn macro_in_argument(&self) -> Option<(&'static str, &str)> {
        let (name, text) = match self {
            Self::Prefix(text) => ("prefix", text),
            Self::Suffix(text) => ("suffix", text),
            _ => return None,
        };
        let inside = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let mut inside = inside.map(|(inside, _)| inside);
        Some((name, inside.find(|inside| is_known(inside))?))
    }

    /// The secret that it reads, if any.
    pub(super) fn secret(&self) -> Option<&str> {
        if let Self::Hmac { secret, .. } = self { Some(secret) } else { None }
    }
}

fn unknown(name: &str) -> String {
    let names = || modifiers().iter().map(|info| info.name);
    let given = shown(name);
    if let Some(exact) = names().find(|exact| exact.eq_ignore_ascii_case(name)) {
        return format!("modifier \"{given}\" differs from {exact} in case only: names are matched exactly, write {exact}");
    }
    match nearest(name, names()) {
        Some(nearest) => format!("unknown modifier \"{given}\"; did you mean {nearest}?"),
        None => format!("unknown modifier \"{given}\": choose {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// An argument without its escapes.
fn text(written: &str) -> Box<str> {
    parts(written, None).swap_remove(0).into()
}

/// An argument's parts between unescaped separators, without escapes: `\` escapes `\ | { } , :` and is literal before all else.
fn parts(written: &str, separator: Option<char>) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        if Some(c) == separator {
            parts.push(String::new());
            continue;
        }
        let escaped = if c == '\\' { chars.next_if(|next| matches!(next, '\\' | '|' | '{' | '}' | ',' | ':')) } else { None };
        parts.last_mut().expect("never empty").push(escaped.unwrap_or(c));
    }
    parts
}

fn hmac(hash: HmacHash, written: &str, is_stored: bool) -> Result<Modifier, String> {
    Ok(Modifier::Hmac { hash, secret: secret_name(&text(written), is_stored)? })
}

fn map(written: &str) -> Result<Modifier, String> {
    let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for pair in parts(written, Some(',')) {
        let Some((from, to)) = pair.split_once('=') else {
            return Err(format!("\"{}\" has no =: write map:from=to,from=to and \\, for a comma", shown(&pair)));
        };
        if !seen.insert(from.to_owned()) {
            return Err(format!("\"{}\" occurs twice in map: keep one of them", shown(from)));
        }
        pairs.push((from.into(), to.into()));
    }
    Ok(Modifier::Map(pairs.into()))
}

/// Letters for parts of a time, as in `yyyy-MM-dd HH:mm:ss`.
const WORDS: [(&str, &str); 12] = [
    ("YYYY", "%Y"),
    ("yyyy", "%Y"),
    ("YY", "%y"),
    ("yy", "%y"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
];
/// The letters of PHP, as in `Y-m-d H:i:s`.
const LETTERS: [(&str, &str); 19] = [
    ("Y", "%Y"),
    ("y", "%y"),
    ("m", "%m"),
    ("n", "%-m"),
    ("M", "%b"),
    ("F", "%B"),
    ("d", "%d"),
    ("j", "%-d"),
    ("D", "%a"),
    ("l", "%A"),
    ("H", "%H"),
    ("G", "%-H"),
    ("h", "%I"),
    ("g", "%-I"),
    ("i", "%M"),
    ("s", "%S"),
    ("A", "%p"),
    ("a", "%P"),
    ("U", "%s"),
];

/// The parts of a format, each with `true` if it is a conversion such as `%Y`: conversions, runs of letters, and single other characters.
fn pieces(format: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut rest = format;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let letters = |text: &str| text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        let bytes = match first {
            '%' => rest[1..].find(|c: char| c.is_ascii_alphabetic() || c == '%').map_or(rest.len(), |at| at + 2),
            _ => letters(rest).max(first.len_utf8()),
        };
        let (piece, behind) = rest.split_at(bytes);
        rest = behind;
        Some((first == '%', piece))
    })
}

/// The strftime format for one in other letters.
fn strftime(format: &str) -> String {
    let is_word = |(is_conversion, piece): (bool, &str)| !is_conversion && WORDS.iter().any(|(word, _)| piece.contains(word));
    let known: &[(&str, &str)] = if pieces(format).any(is_word) { &WORDS } else { &LETTERS };
    let mut meant = String::new();
    for (is_conversion, piece) in pieces(format) {
        if is_conversion {
            meant.push_str(piece);
            continue;
        }
        let mut rest = piece;
        while let Some(c) = rest.chars().next() {
            let (length, text) = match known.iter().find(|(word, _)| rest.starts_with(word)) {
                Some((word, letter)) => (word.len(), *letter),
                // `T` and `Z` of ISO 8601.
                None if !c.is_ascii_alphabetic() || matches!(c, 'T' | 'Z') => (c.len_utf8(), &rest[..c.len_utf8()]),
                None => return NO_FORMAT.to_owned(),
            };
            meant.push_str(text);
            rest = &rest[length..];
        }
    }
    if meant.contains('%') { meant } else { NO_FORMAT.to_owned() }
}

/// The advice for a format that can't be translated.
const NO_FORMAT: &str = "strftime letters such as %Y-%m-%dT%H:%M:%SZ";

/// Letters that stand where a part of the time is expected: between signs such as `-` and `:`, and not behind a conversion, as the `h`
/// of `%Hh%M` is.
fn lone_letters(format: &str) -> Option<&str> {
    let is_sign = |piece: Option<&(bool, &str)>| piece.is_some_and(|(_, text)| matches!(*text, "-" | "/" | ":" | "."));
    let all: Vec<_> = pieces(format).collect();
    let lone = all.iter().enumerate().find(|(at, (is_conversion, piece))| {
        let before = at.checked_sub(1).and_then(|before| all.get(before));
        let is_part = WORDS.iter().chain(&LETTERS).any(|(word, _)| word == piece);
        let is_between = is_sign(before) || (is_sign(all.get(at + 1)) && before.is_none_or(|(is_conversion, _)| !is_conversion));
        !is_conversion && is_part && is_between
    });
    lone.map(|(_, (_, piece))| *piece)
}

fn date(written: &str, stored: bool) -> Result<Modifier, String> {
    let parts = parts(written, Some(','));
    let (format, zone) = match parts.as_slice() {
        [format] => (format, None),
        [format, zone] => (format, Some(zone.trim())),
        _ => return Err("date takes a format and a zone: write date:FORMAT,ZONE and \\, for a comma in the format".to_owned()),
    };
    if !format.is_empty() && !format.contains('%') && !stored {
        return Err(format!("a format without %: write {} if that is meant", strftime(format)));
    }
    if let Some(letters) = lone_letters(format).filter(|_| !stored) {
        return Err(format!(
            "without % \"{letters}\" is text and no part of the time: write {} if that is meant",
            strftime(format)
        ));
    }
    if format.is_empty() {
        return Err("date needs a format, such as date:%Y-%m-%d".to_owned());
    }
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZoneDatabase::bundled().get(name).map_err(|_| no_zone(name))?,
    };
    let sample = Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    BrokenDownTime::from(&sample)
        .to_string(format)
        .map_err(|fault| format!("not a format of a time: {fault}; use strftime letters, such as %Y-%m-%d %H:%M:%S"))?;
    Ok(Modifier::Date { format: format.as_str().into(), zone })
}

/// Reads a signed whole number of seconds, minutes, hours or days of 24 hours.
fn date_add(written: &str) -> Result<Modifier, String> {
    let wrong = || {
        let given = shown(written);
        format!("expected a sign, a whole number and s, m, h or d, such as +3d, up to {MAX_ADDED_DAYS} days, got \"{given}\"")
    };
    let (is_back, rest) = match (written.strip_prefix('-'), written.strip_prefix('+')) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(wrong()),
    };
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let unit = units.iter().find_map(|(unit, seconds)| Some((rest.strip_suffix(*unit)?, *seconds)));
    let (digits, seconds) = unit.ok_or_else(wrong)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = if is_number { digits.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    let added = number.checked_mul(seconds).filter(|added| *added <= MAX_ADDED_DAYS * 86_400).ok_or_else(wrong)?;
    Ok(Modifier::DateAdd(SignedDuration::from_secs(if is_back { -added } else { added })))
}

/// The fault of an unknown zone: a comma of the format may have been read as the one before the zone.
fn no_zone(name: &str) -> String {
    if name.contains('%') {
        let name = shown(name);
        return format!(
            "a comma separates format and time zone, so that \"{name}\" is read as a zone: write \\, for a comma in the format"
        );
    }
    format!("unknown time zone \"{}\": choose one of the IANA database, such as Europe/Prague", shown(name))
}

fn digits(written: &str) -> Result<u32, String> {
    match written.parse::<u32>() {
        Ok(digits) if digits <= 18 && written.bytes().all(|b| b.is_ascii_digit()) => Ok(digits),
        _ => Err(format!("\"{}\" decimal places are not possible: choose 0 to 18", shown(written))),
    }
}

fn calculate(calculation: Calculation, written: &str) -> Result<Modifier, String> {
    let number = written.parse::<Money>().map_err(|_| format!("expected a number such as 0.85, got \"{}\"", shown(written)))?;
    if calculation == Calculation::Divide && number.0.is_zero() {
        return Err("nothing can be divided by 0".to_owned());
    }
    Ok(Modifier::Calculate(calculation, number.0))
}

fn replace(written: &str) -> Result<Modifier, String> {
    match parts(written, Some(',')).as_slice() {
        [from, to] if !from.is_empty() => Ok(Modifier::Replace { from: from.as_str().into(), to: to.as_str().into() }),
        _ => Err("replace takes two texts, the first not empty: write replace:from,to and \\, for a comma".to_owned()),
    }
}

fn regex(written: &str, expressions: &mut ExpressionBudget) -> Result<Modifier, String> {
    let form = "write regex:/from/to/ and \\/ for a slash";
    let [from, to] = sections(written).ok_or_else(|| format!("not complete: {form}"))?;
    if to.len() > LONGEST_REPLACEMENT_BYTES {
        return Err(format!("the replacement has {} bytes: {LONGEST_REPLACEMENT_BYTES} are allowed", to.len()));
    }
    Ok(Modifier::Regex { from: compile(&from, form, expressions)?, to: to.into() })
}

fn first(written: &str, expressions: &mut ExpressionBudget) -> Result<Modifier, String> {
    let form = "write first:/regex/ and \\/ for a slash";
    let [from] = sections(written).ok_or_else(|| format!("not complete: {form}"))?;
    Ok(Modifier::First(compile(&from, form, expressions)?))
}

fn compile(pattern: &str, form: &str, expressions: &mut ExpressionBudget) -> Result<Expression, String> {
    expressions.compile(pattern).map_err(|refused| match refused {
        syntax @ expression::Refused::Syntax(_) => format!("{syntax}; {form}"),
        other => other.to_string(),
    })
}

/// The sections of `/from/to/` or `/from/`; inside, `\/` is a slash and every other backslash is literal.
fn sections<const COUNT: usize>(written: &str) -> Option<[String; COUNT]> {
    let mut sections = vec![String::new()];
    let mut chars = written.strip_prefix('/')?.chars().peekable();
    while let Some(c) = chars.next() {
        let section = sections.last_mut()?;
        match c {
            '/' => sections.push(String::new()),
            '\\' if chars.peek() == Some(&'/') => section.extend(chars.next()),
            '\\' => section.extend(std::iter::once(c).chain(chars.next())),
            other => section.push(other),
        }
    }
    let end = sections.pop()?;
    let sections = <[String; COUNT]>::try_from(sections).ok()?;
    (end.is_empty() && sections.first().is_some_and(|from| !from.is_empty())).then_some(sections)
}
