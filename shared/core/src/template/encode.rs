//! Encoding values so that they stay inside their place (Q3).

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use super::{Place, value::Value};
use crate::json;

/// The error for a control character where none is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Control;

/// The encoding of a macro's value in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// None.
    Plain,
    /// Percent-encoding of everything but RFC 3986's unreserved characters.
    Percent,
    /// Percent-encoding of characters that no URL may hold, and of `#` and `\`: the effect of `raw`.
    Url,
    /// JSON escapes, inside a string.
    JsonString,
    /// A JSON value outside of strings: anything else becomes `null`.
    JsonValue,
    /// XML escapes.
    Xml,
    /// Text in a CDATA section, which it never ends.
    Cdata,
    /// None, but control characters are refused.
    Header,
}

impl Encoding {
    /// The encoding of values in a place; `raw` only disables percent-encoding. `is_inside`: in a string of JSON, or in a CDATA
    /// section of XML.
    pub(super) fn of_values(place: Place, raw: bool, is_inside: bool) -> Self {
        match place {
            Place::Url | Place::QueryValue | Place::FormValue | Place::RawForm if raw => Self::Url,
            Place::Url | Place::QueryValue | Place::FormValue | Place::RawForm => Self::Percent,
            Place::JsonString => Self::JsonString,
            Place::RawJson if is_inside => Self::JsonString,
            Place::RawJson => Self::JsonValue,
            Place::RawXml if is_inside => Self::Cdata,
            Place::RawXml => Self::Xml,
            Place::Header => Self::Header,
            Place::Condition | Place::Plain => Self::Plain,
        }
    }

    /// The encoding of literal text in a place. If the author also writes the syntax, the text is not encoded.
    pub(super) fn of_literals(place: Place) -> Self {
        match place {
            Place::Url => Self::Url,
            Place::QueryValue | Place::FormValue => Self::Percent,
            Place::JsonString => Self::JsonString,
            Place::Header | Place::RawJson | Place::RawForm | Place::RawXml | Place::Condition | Place::Plain => Self::Plain,
        }
    }

    /// Writes a value.
    pub(super) fn write(self, value: Value<'_>, out: &mut String) -> Result<(), Control> {
        match value {
            Value::Text(_) | Value::Raw(_) => self.write_text(&value.into_text(), out),
            Value::Time(_) if self == Self::JsonValue => {
                out.push_str("null");
                Ok(())
            }
            Value::Time(time) if self == Self::Percent => {
                write!(Percent(out), "{time}").expect("a string takes everything");
                Ok(())
            }
            // Digits, signs and points need no encoding, and times need none in the remaining encodings.
            value => {
                write!(out, "{value}").expect("a string takes everything");
                Ok(())
            }
        }
    }

    /// Writes a text.
    pub(super) fn write_text(self, text: &str, out: &mut String) -> Result<(), Control> {
        match self {
            Self::Percent => percent(text, &UNRESERVED, out),
            Self::Url => percent(text, &URL, out),
            Self::JsonString => json::write_escaped(text, out).expect("a string takes everything"),
            Self::JsonValue => out.push_str(if is_json(text) { text } else { "null" }),
            Self::Xml => xml(text, out),
            Self::Cdata => cdata(text, out),
            Self::Header if text.chars().any(is_control) => return Err(Control),
            Self::Plain | Self::Header => out.push_str(text),
        }
        Ok(())
    }
}

/// A string that is percent-encoded on writing.
struct Percent<'o>(&'o mut String);

impl fmt::Write for Percent<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        percent(text, &UNRESERVED, self.0);
        Ok(())
    }
}

/// The bytes that percent-encoding leaves unchanged (RFC 3986, section 2.3).
static UNRESERVED: [bool; 256] = bytes_of(b"-._~");

/// The bytes that the path and query of a URL may hold, `%` included, without `#` and `\`.
static URL: [bool; 256] = bytes_of(b"-._~:/?[]@!$&'()*+,;=%");

const fn bytes_of(marks: &[u8]) -> [bool; 256] {
    let mut kept = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        kept[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < marks.len() {
        kept[marks[i] as usize] = true;
        i += 1;
    }
    kept
}

fn percent(text: &str, kept: &[bool; 256], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    escape(
        text,
        out,
        |byte| !kept[usize::from(byte)],
        |byte, out| {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        },
    );
}

fn xml(text: &str, out: &mut String) {
    // XML 1.0 can't write most control characters, nor the two non-characters.
    let text = if text.contains(['\u{fffe}', '\u{ffff}']) {
        Cow::Owned(text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    };
    let special = |byte| (byte < 0x20 && !matches!(byte, b'\t' | b'\n')) || matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    escape(&text, out, special, |byte, out| {
        out.push_str(match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            b'\r' => "&#13;",
            _ => "\u{fffd}",
        });
    });
}

/// Text in a CDATA section. A new section begins before each `>` and after a `]` at the end, so that no `]]>` occurs, neither in the
/// text nor together with the text around it.
fn cdata(text: &str, out: &mut String) {
    const NEW_SECTION: &str = "]]><![CDATA[";
    let is_unwritable = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    for c in text.chars() {
        match c {
            '>' => {
                out.push_str(NEW_SECTION);
                out.push('>');
            }
            c if is_unwritable(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    if text.ends_with(']') {
        out.push_str(NEW_SECTION);
    }
}

/// Copies `text` in runs and passes special bytes to `write`. If one byte of a character is special, all its bytes must be.
fn escape(text: &str, out: &mut String, special: impl Fn(u8) -> bool, write: impl Fn(u8, &mut String)) {
    let mut run = 0;
    for (i, byte) in text.bytes().enumerate() {
        if special(byte) {
            if run < i {
                out.push_str(&text[run..i]);
            }
            write(byte, out);
            run = i + 1;
        }
    }
    if run < text.len() {
        out.push_str(&text[run..]);
    }
}

/// Characters that no header may hold: all control characters but the tab.
pub(super) fn is_control(c: char) -> bool {
    c.is_ascii_control() && c != '\t'
}

/// Returns true if a text is one complete JSON value.
pub(crate) fn is_json(text: &str) -> bool {
    json::is_json(text.as_bytes())
}

/// `text` percent-encoded except for unreserved characters (RFC 3986).
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    percent(text, &UNRESERVED, &mut out);
    out
}

/// `text` as the inside of a JSON string.
pub(super) fn json_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    json::write_escaped(text, &mut out).expect("a string takes everything");
    out
}

/// `text` as a JSON string, quotes included.
pub(crate) fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    json::write_text(text, &mut out).expect("a string takes everything");
    out
}
