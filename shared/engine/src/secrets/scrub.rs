//! Masking secrets in what a receiver wrote (Q5): it may send back what it got, escaped once or more.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};

use super::MASK;

/// How many escapes are looked through: a URL in JSON in JSON is three.
const DEEPEST: usize = 3;

/// Masks every secret in a text that a receiver wrote, in the forms in which one might echo it: as it is or in base 64, escaped for
/// a URL, a form, JSON or HTML, up to three times over. Values under 4 bytes are no secrets: masking them would only spoil the log.
pub(crate) fn scrub(text: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut shapes: HashSet<String> = HashSet::new();
    for value in secrets.values().filter(|value| value.len() >= 4) {
        for encoding in [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD] {
            shapes.insert(encoding.encode(value));
        }
        shapes.insert(value.clone());
    }
    if shapes.is_empty() {
        return text.to_owned();
    }
    let written = View { bytes: text.as_bytes().to_vec(), from: (0..=text.len()).collect() };
    let mut search = Search { shapes, seen: HashSet::new(), hidden: Vec::new() };
    search.look(&written, DEEPEST);
    let mut hidden = search.hidden;
    hidden.sort_unstable_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for range in hidden {
        let (start, end) = (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end));
        // A secret inside another, or overlapping it, goes with it under one mask.
        if start >= done {
            clean.push_str(&text[done..start]);
            clean.push_str(MASK);
        }
        done = done.max(end);
    }
    clean.push_str(&text[done..]);
    clean
}

/// A text after some unescaping.
struct View {
    bytes: Vec<u8>,
    /// Where each byte begins in the text as it was written, and at last its end.
    from: Vec<usize>,
}

struct Search {
    shapes: HashSet<String>,
    /// What was looked at: unescaping in another order often comes to the same.
    seen: HashSet<Vec<u8>>,
    hidden: Vec<Range<usize>>,
}

impl Search {
    fn look(&mut self, view: &View, depth: usize) {
        for shape in &self.shapes {
            view.find(shape.as_bytes(), &mut self.hidden);
        }
        if depth == 0 {
            return;
        }
        for unescape in [percent, json, html] {
            if let Some(inner) = view.unescaped(unescape)
                && self.seen.insert(inner.bytes.clone())
            {
                self.look(&inner, depth - 1);
            }
        }
    }
}

impl View {
    /// Where these bytes stand in the text as it was written. A blank may stand as a plus, as in forms.
    fn find(&self, shape: &[u8], found: &mut Vec<Range<usize>>) {
        let same = |(there, wanted): (&u8, &u8)| there == wanted || (*wanted == b' ' && *there == b'+');
        for (start, window) in self.bytes.windows(shape.len()).enumerate() {
            if window.iter().zip(shape).all(same) {
                found.push(self.from[start]..self.from[start + shape.len()]);
            }
        }
    }

    /// What it says once its escapes are read; `None` if it has none.
    fn unescaped(&self, read: Unescape) -> Option<Self> {
        let mut inner = Self { bytes: Vec::with_capacity(self.bytes.len()), from: Vec::with_capacity(self.from.len()) };
        let (mut at, mut any) = (0, false);
        while let Some(byte) = self.bytes.get(at) {
            let escape = read(&self.bytes[at..]);
            any |= escape.is_some();
            let mut buffer = [0; 4];
            let (length, bytes): (usize, &[u8]) = match escape {
                Some((length, Escaped::Byte(byte))) => {
                    buffer[0] = byte;
                    (length, &buffer[..1])
                }
                Some((length, Escaped::Char(c))) => (length, c.encode_utf8(&mut buffer).as_bytes()),
                None => (1, std::slice::from_ref(byte)),
            };
            inner.from.extend(bytes.iter().map(|_| self.from[at]));
            inner.bytes.extend_from_slice(bytes);
            at += length;
        }
        inner.from.push(self.from[at]);
        any.then_some(inner)
    }
}

/// What an escape stands for.
enum Escaped {
    Byte(u8),
    Char(char),
}

/// Reads the escape that a text begins with, if it does: its length and its meaning.
type Unescape = fn(&[u8]) -> Option<(usize, Escaped)>;

fn percent(text: &[u8]) -> Option<(usize, Escaped)> {
    let byte = number(text.strip_prefix(b"%")?.get(..2)?, 16)?;
    Some((3, Escaped::Byte(u8::try_from(byte).ok()?)))
}

fn json(text: &[u8]) -> Option<(usize, Escaped)> {
    let rest = text.strip_prefix(b"\\")?;
    let short = match rest.first()? {
        c @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*c),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((2, Escaped::Char(short)))
}

/// `\u` and four digits, twice for what lies beyond the first 65 536.
fn unicode(text: &[u8]) -> Option<(usize, Escaped)> {
    let unit = |text: &[u8]| u16::try_from(number(text.strip_prefix(b"\\u")?.get(..4)?, 16)?).ok();
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let units = [first, second.unwrap_or_default()];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((6 * c.len_utf16(), Escaped::Char(c)))
}

fn html(text: &[u8]) -> Option<(usize, Escaped)> {
    const LONGEST_NAME: usize = 10;
    let rest = text.strip_prefix(b"&")?;
    let end = rest.iter().take(LONGEST_NAME).position(|byte| *byte == b';')?;
    let c = match &rest[..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((end + 2, Escaped::Char(c)))
}

/// Digits as a number.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let add = |sum: u32, digit: &u8| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?);
    digits.iter().try_fold(0, add).filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let secrets = [("a", "Jd4K"), ("b", "Jd4Kf7Ws"), ("c", "7WsTail"), ("token", r#"a/b "c"\ž%2"#), ("tiny", "x")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(scrub(text, &secrets.into()), expected, "{text}");
    }

    #[test]
    fn q5_echoed_secrets_are_masked_in_every_form() {
        check(r#"x a/b "c"\ž%2 y"#, "x *** y");
        check("a%2Fb%20%22c%22%5C%C5%BE%252|a%2fb+%22c%22%5c%c5%be%252", "***|***");
        check(
            "a%252Fb%2520%2522c%2522%255C%25C5%25be%25252 %7b%22t%22%3A%22a%2fb+%5C%22c%5c%22%5c%5c%5cu017e%252%22%7D",
            "*** %7b%22t%22%3A%22***%22%7D",
        );
        check(r#"{"t":"a/b \"c\"\\ž%2"} a\/b \u0022c\u0022\\\u017E%2 %61/b "c"\ž%2"#, r#"{"t":"***"} *** ***"#);
        check(r#"{"d":"{\"t\":\"a\\/b \\\"c\\\"\\\\\\u017e%2\"}"}"#, r#"{"d":"{\"t\":\"***\"}"}"#);
        check(r"<b>a/b &quot;c&#34;\ž%2</b>", "<b>***</b>");
        check("YS9iICJjIlzFviUy Sm Smp SmQ0Sw== SmQ0Sw YS9iICJjIlzFviUy", "*** Sm Smp *** *** ***");
    }

    #[test]
    fn q5_secrets_that_share_letters_go_under_one_mask() {
        check("Jd4K Jd4Kf7Ws Jd4Kf7WsTail Jd4Jd4KK", "*** *** *** Jd4***K");
    }

    #[test]
    fn q5_what_is_no_secret_stays() {
        for text in [
            "",
            "a/b",
            "%",
            "%2",
            "\\",
            "\\u",
            "\\\\\\",
            "&",
            "a%2Fb+",
            "a%252",
            "a%25252Fb",
            "a\\/b \\u002",
            "ž\u{10ffff}",
            "x",
            r#"a/b "c"\ž%"#,
        ] {
            check(text, text);
        }
    }
}
