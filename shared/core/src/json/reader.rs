//! Reading: one pass over the bytes, recursive to a fixed depth.

use super::value::{Map, Number, Value};

/// The deepest nesting of a document.
pub const MAX_DEPTH: usize = 64;
/// The fields of an event whose keys a visitor can choose.
const DECORATION: [&str; 3] = ["query_params", "cookie_params", "affs"];
/// The most values of a document, those of lists and objects included.
pub const MAX_VALUES: usize = 200_000;
/// The most keys of an object that are compared with each other one by one.
const FEW_KEYS: usize = 16;

/// The reason why a text is not one JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} at line {line} column {column}")]
pub struct JsonError {
    detail: String,
    line: usize,
    column: usize,
}

/// Reads a document that a person or the platform wrote.
///
/// # Errors
/// It is not JSON in UTF-8, it is nested deeper than [`MAX_DEPTH`], it has more than [`MAX_VALUES`] values, or an object has a key twice.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    Reader::new(bytes, Mode::Strict).document()
}

/// Reads an event of the platform. A visitor's data never make an event unreadable: half of a surrogate pair is read as U+FFFD, a
/// value nested deeper than [`MAX_DEPTH`] as `null`, and keys may be repeated among `query_params`, `cookie_params` and `affs`, where the
/// last one counts.
///
/// # Errors
/// It is not JSON in UTF-8, it has more than [`MAX_VALUES`] values, or another object has a key twice.
pub fn parse_event(bytes: &[u8]) -> Result<Value, JsonError> {
    Reader::new(bytes, Mode::Event).document()
}

/// Reads a response of a receiver: a key may be repeated, the last one counts.
///
/// # Errors
/// It is not JSON in UTF-8, it is nested deeper than [`MAX_DEPTH`], or it has more than [`MAX_VALUES`] values.
pub fn parse_lenient(bytes: &[u8]) -> Result<Value, JsonError> {
    Reader::new(bytes, Mode::Lenient).document()
}

/// Returns true if a text is one complete JSON document within the bounds of [`parse_lenient`].
pub fn is_json(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes, Mode::Lenient);
    reader.skip_document().is_ok()
}

/// Returns true if a text is JSON in each of its lines, two at least, and the first is an object or a list.
pub fn is_json_lines(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let is_first = |line: &[u8]| matches!(line, [b'{' | b'[', ..]) && is_json(line);
    lines.next().is_some_and(is_first) && lines.next().is_some_and(is_json) && lines.all(is_json)
}

/// The texts of the events in a list, without surrounding white space; at most `limit` + 1.
///
/// # Errors
/// The text is not a JSON list.
pub fn elements(bytes: &[u8], limit: usize) -> Result<Vec<&[u8]>, JsonError> {
    let mut reader = Reader::new(bytes, Mode::Event);
    let mut found = Vec::new();
    reader.space();
    reader.expect(b'[', "a list")?;
    reader.space();
    if reader.take(b']') {
        return reader.end().map(|()| found);
    }
    loop {
        reader.space();
        let start = reader.at;
        reader.values = 0;
        reader.skip(1)?;
        found.push(&bytes[start..reader.at]);
        if found.len() > limit {
            return Ok(found);
        }
        reader.space();
        if reader.take(b']') {
            return reader.end().map(|()| found);
        }
        reader.expect(b',', ", or ]")?;
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Values begun so far.
    values: usize,
    mode: Mode,
}

/// The strictness of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    /// Keys may be repeated.
    Lenient,
    /// The mode of [`parse_event`].
    Event,
    /// The same, inside decorating fields of an event.
    Decoration,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8], mode: Mode) -> Self {
        Self { bytes, at: 0, values: 0, mode }
    }

    fn document(mut self) -> Result<Value, JsonError> {
        self.space();
        let value = self.value(0)?;
        self.space();
        self.end().map(|()| value)
    }

    fn skip_document(&mut self) -> Result<(), JsonError> {
        self.space();
        self.skip(0)?;
        self.space();
        self.end()
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, wanted: &str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Counts a value that begins at this depth.
    fn begin(&mut self, depth: usize) -> Result<(), JsonError> {
        self.values += 1;
        if depth > MAX_DEPTH && !self.is_of_event() {
            return Err(self.error(self.at, format!("nested deeper than {MAX_DEPTH}")));
        }
        if self.values > MAX_VALUES {
            return Err(self.error(self.at, format!("more than {MAX_VALUES} values")));
        }
        Ok(())
    }

    fn is_of_event(&self) -> bool {
        matches!(self.mode, Mode::Event | Mode::Decoration)
    }

    /// Skips a list or an object with all its contents, whatever its depth.
    fn pass_over(&mut self) -> Result<(), JsonError> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string_span()?;
                }
                Some(byte) => {
                    open += usize::from(matches!(byte, b'{' | b'['));
                    open -= usize::from(matches!(byte, b'}' | b']'));
                    self.at += 1;
                }
                None => return Err(self.unexpected("the end of a list or an object")),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.begin(depth)?;
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => self.pass_over().map(|()| Value::Null),
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.at;
                self.number()?;
                let digits = std::str::from_utf8(&self.bytes[start..self.at]).expect("a number is ASCII");
                Ok(Value::Number(Number(digits.into())))
            }
            _ => self.word().map(|word| word.map_or(Value::Null, Value::Bool)),
        }
    }

    /// Reads and drops a value.
    fn skip(&mut self, depth: usize) -> Result<(), JsonError> {
        self.begin(depth)?;
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => self.pass_over(),
            Some(open @ (b'{' | b'[')) => self.skip_members(depth, open == b'{'),
            Some(b'"') => self.string_span().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word().map(|_| ()),
        }
    }

    fn skip_members(&mut self, depth: usize, keyed: bool) -> Result<(), JsonError> {
        let (close, wanted) = if keyed { (b'}', ", or }") } else { (b']', ", or ]") };
        self.at += 1;
        self.space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.space();
            if keyed {
                self.key_span()?;
            }
            self.skip(depth + 1)?;
            self.space();
            if self.take(close) {
                return Ok(());
            }
            self.expect(b',', wanted)?;
        }
    }

    /// Reads a key and its colon.
    fn key_span(&mut self) -> Result<(usize, usize, bool), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let span = self.string_span()?;
        self.space();
        self.expect(b':', "a colon")?;
        self.space();
        Ok(span)
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, JsonError> {
        let mut entries = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(entries);
        }
        loop {
            self.space();
            entries.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(entries);
            }
            self.expect(b',', ", or ]")?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map, JsonError> {
        let start = self.at;
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(Map(members));
        }
        loop {
            self.space();
            let span = self.key_span()?;
            let key = self.text(span)?;
            let mode = self.mode;
            if mode == Mode::Event && DECORATION.contains(&&*key) {
                self.mode = Mode::Decoration;
            }
            members.push((key, self.value(depth + 1)?));
            self.mode = mode;
            self.space();
            if self.take(b'}') {
                break;
            }
            self.expect(b',', ", or }")?;
        }
        match repeated(&members).filter(|_| matches!(self.mode, Mode::Strict | Mode::Event)) {
            Some(key) => {
                let shown: String = key.chars().take(64).collect();
                Err(self.error(start, format!("an object has the key {shown:?} twice")))
            }
            None => Ok(Map(members)),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let span = self.string_span()?;
        self.text(span)
    }

    /// Finds the end of a string: the beginning and end of its text, and whether it has escapes.
    fn string_span(&mut self) -> Result<(usize, usize, bool), JsonError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let span = (start, self.at, escaped);
                    if std::str::from_utf8(&self.bytes[start..self.at]).is_err() {
                        return Err(self.error(start, "a text that is not UTF-8"));
                    }
                    self.at += 1;
                    return Ok(span);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(self.error(self.at, "a control character inside a text")),
                Some(_) => self.at += 1,
                None => return Err(self.unexpected("a closing quote")),
            }
        }
    }

    /// Skips one escape, or the two of a surrogate pair.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let kind = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        Ok(match kind {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex(start)?;
                let before = self.at;
                let second = if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
                    self.at += 2;
                    Some(self.hex(start)?)
                } else {
                    None
                };
                let units = std::iter::once(first).chain(second);
                let mut decoded = char::decode_utf16(units);
                match (decoded.next(), decoded.next()) {
                    (Some(Ok(c)), None) => c,
                    _ if self.is_of_event() => {
                        // The second escape may be complete by itself.
                        self.at = before;
                        char::REPLACEMENT_CHARACTER
                    }
                    _ => return Err(self.error(start, "half of a surrogate pair")),
                }
            }
            _ => {
                self.at = start;
                return Err(self.error(start, "an unknown escape"));
            }
        })
    }

    fn hex(&mut self, start: usize) -> Result<u16, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let number = digits.and_then(|digits| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        self.at += 4;
        number.ok_or_else(|| self.error(start, "an escape without four hexadecimal digits"))
    }

    /// The text of a skipped string.
    fn text(&mut self, (start, end, escaped): (usize, usize, bool)) -> Result<String, JsonError> {
        let raw = std::str::from_utf8(&self.bytes[start..end]).expect("checked when the string was passed over");
        if !escaped {
            return Ok(raw.to_owned());
        }
        let after = self.at;
        let mut text = String::with_capacity(raw.len());
        self.at = start;
        while self.at < end {
            let run = self.bytes[self.at..end].iter().position(|byte| *byte == b'\\').map_or(end, |offset| self.at + offset);
            text.push_str(&raw[self.at - start..run - start]);
            self.at = run;
            if run < end {
                text.push(self.escape()?);
            }
        }
        self.at = after;
        Ok(text)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.unexpected("a digit")) }
    }

    /// `true`, `false`, or `None` for `null`.
    fn word(&mut self) -> Result<Option<bool>, JsonError> {
        for (word, meaning) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(meaning);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn unexpected(&self, wanted: &str) -> JsonError {
        let found = match self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            None => "the end".to_owned(),
            Some(rest) => {
                let start = &rest[..rest.len().min(4)];
                let c = String::from_utf8_lossy(start).chars().next().unwrap_or('\u{fffd}');
                format!("{c:?}")
            }
        };
        self.error(self.at, format!("expected {wanted}, found {found}"))
    }

    fn error(&self, at: usize, detail: impl Into<String>) -> JsonError {
        let before = &self.bytes[..at.min(self.bytes.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        JsonError { detail: detail.into(), line, column: before.len() - line_start + 1 }
    }
}

/// A key that occurs twice.
fn repeated(members: &[(String, Value)]) -> Option<&str> {
    if members.len() <= FEW_KEYS {
        let twice = |(i, (key, _)): (usize, &(String, Value))| members[..i].iter().any(|(other, _)| other == key);
        return members.iter().enumerate().find(|entry| twice(*entry)).map(|(_, (key, _))| key.as_str());
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
