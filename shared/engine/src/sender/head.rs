//! The head of a response as it came: lines that are no headers, which hyper ignores silently, and invalid lengths.
//!
//! hyper gives a response up for some lines of its head, though its status came. **Such a line is made one that hyper passes over**: the byte
//! at fault is replaced on its way to it. These are a NUL, a `Content-Length` that is no number or another one than before, and a
//! `Transfer-Encoding` of HTTP/1.0. A return that no line feed follows becomes a blank, unless its next byte comes later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::length::Length;

/// The bytes of a line that are looked at.
const MAX_LINE_BYTES: usize = 256;
/// The characters of a line that a note shows.
const MAX_SHOWN_CHARS: usize = 80;
/// The bytes of a status line before its reason phrase.
const STATUS_BYTES: usize = "HTTP/1.1 200".len();
/// The most bytes of all heads before a body, those of interim responses included. hyper reads interim responses for as long as they come,
/// before anybody can count them.
const MAX_BYTES: usize = 256 * 1024;
/// A byte for which hyper passes over its line.
const PASSED_OVER: u8 = 1;

/// Everything odd about the last response's head, as far as it was read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Oddities(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    count: usize,
    first: String,
    has_bad_length: bool,
}

impl Oddities {
    /// The note on lines that are no headers; `None` if there are none.
    pub(super) fn note(&self) -> Option<String> {
        let found = self.lock();
        let lines = if found.count == 1 { "1 line".to_owned() } else { format!("{} lines", found.count) };
        (found.count > 0).then(|| format!("{lines} among the headers ignored: {}", found.first))
    }

    /// Returns true if a length is no number, or another one than before: nobody knows where such a body ends.
    pub(super) fn has_bad_length(&self) -> bool {
        self.lock().has_bad_length
    }

    fn add(&self, line: &[u8]) {
        let mut found = self.lock();
        found.count += 1;
        if found.count == 1 {
            let text = String::from_utf8_lossy(line);
            found.first = text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A head that is being read.
#[derive(Debug, Default)]
pub(super) struct ResponseHead {
    oddities: Oddities,
    length: Length,
    line: Line,
    part: Part,
    /// `true` if the response is one of HTTP/1.0, which knows no transfer encoding.
    is_old: bool,
    /// The bytes of all heads since the request.
    bytes: usize,
}

/// The line at hand.
#[derive(Debug, Default)]
struct Line {
    /// Its beginning.
    bytes: Vec<u8>,
    /// `true` behind the colon of `Content-Length`, and in lines that continue such a one.
    is_length: bool,
    has_name: bool,
    is_odd: bool,
}

/// The part of a head that is read next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Status,
    Headers {
        /// Another head follows.
        is_interim: bool,
    },
    Over,
}

impl ResponseHead {
    /// Everything odd about the head, also what is still to come.
    pub(super) fn oddities(&self) -> Oddities {
        self.oddities.clone()
    }

    /// Begins with the next response.
    pub(super) fn restart(&mut self) {
        *self.oddities.lock() = Found::default();
        self.length = Length::default();
        self.line = Line::default();
        self.part = Part::Status;
        self.bytes = 0;
    }

    /// Returns true if so much came that no response is expected any more.
    pub(super) fn is_too_long(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// Reads what came, and replaces bytes for which hyper would give the response up.
    pub(super) fn read(&mut self, bytes: &mut [u8]) {
        for place in 0..bytes.len() {
            let next = bytes.get(place + 1).copied();
            let place = &mut bytes[place];
            if *place == b'\r' && next.is_some_and(|next| next != b'\n') && !self.line.bytes.is_empty() && self.part != Part::Over
            {
                *place = b' ';
            }
            let byte = *place;
            let is_header = match self.part {
                Part::Over => return,
                Part::Status => false,
                Part::Headers { .. } => true,
            };
            self.bytes += 1;
            if is_header && self.is_odd(byte) {
                self.line.is_odd = true;
                // A line has to end.
                if byte != b'\n' {
                    *place = PASSED_OVER;
                }
            } else if is_control(byte) && self.line.bytes.len() >= STATUS_BYTES {
                *place = b' ';
            }
            match byte {
                b'\n' => self.end_line(),
                byte if self.line.bytes.len() < MAX_LINE_BYTES => self.line.bytes.push(byte),
                _ => {}
            }
        }
    }

    /// Returns true if hyper would give the response up for this byte of a header.
    fn is_odd(&mut self, byte: u8) -> bool {
        let line = &mut self.line;
        if line.bytes.is_empty() && !matches!(byte, b' ' | b'\t') {
            (line.has_name, line.is_length) = (false, false);
        }
        if line.is_length && !self.length.accepts(byte) {
            self.oddities.lock().has_bad_length = true;
            return true;
        }
        if byte == b':' && !line.has_name {
            line.has_name = true;
            let name = line.bytes.trim_ascii_end();
            line.is_length = name.eq_ignore_ascii_case(b"content-length");
            self.length.begin_value();
            if self.is_old && name.eq_ignore_ascii_case(b"transfer-encoding") {
                return true;
            }
        }
        is_control(byte)
    }

    fn end_line(&mut self) {
        let line = self.line.bytes.strip_suffix(b"\r").unwrap_or(&self.line.bytes);
        self.part = match self.part {
            // Empty lines before a status, and after an interim response.
            Part::Status | Part::Headers { is_interim: true } if line.is_empty() => Part::Status,
            Part::Status => {
                let status = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                self.is_old = line.starts_with(b"HTTP/1.0");
                self.length = Length::default();
                self.oddities.lock().has_bad_length = false;
                Part::Headers { is_interim: status.len() == 3 && status.starts_with(b"1") }
            }
            Part::Headers { .. } if line.is_empty() => Part::Over,
            part => {
                if self.line.is_odd || !is_header(line) {
                    self.oddities.add(line);
                }
                part
            }
        };
        self.line.bytes.clear();
        self.line.is_odd = false;
    }
}

/// Returns true if no line of a head may hold this byte.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n')
}

/// Returns true if a line is a header, or the continuation of one.
fn is_header(line: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_whole = name.len() < line.len();
    // A line whose name is longer than the bytes looked at is none of these.
    line.starts_with(b" ") || line.starts_with(b"\t") || line.len() == MAX_LINE_BYTES && !is_whole || {
        let name = name.trim_ascii_end();
        is_whole && !name.is_empty() && name.iter().all(is_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_heads_that_never_end_are_too_long_and_bodies_are_not() {
        let hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let mut head = ResponseHead::default();
        for _ in 0..MAX_BYTES / hint.len() {
            head.read(&mut hint.to_vec());
        }
        assert!(!head.is_too_long());
        head.read(&mut hint.to_vec());
        assert!(head.is_too_long());
        head.restart();
        head.read(&mut b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
        head.read(&mut vec![b'a'; MAX_BYTES]);
        assert!(!head.is_too_long(), "a body follows");
    }

    #[track_caller]
    fn check(response: &[u8], expected: Option<&str>) {
        for size in [1, 7, response.len()] {
            let mut head = ResponseHead::default();
            response.to_vec().chunks_mut(size).for_each(|bytes| head.read(bytes));
            assert_eq!(head.oddities().note().as_deref(), expected, "{}", String::from_utf8_lossy(response));
        }
    }

    #[test]
    fn case_a9_lines_that_are_no_headers_are_noted() {
        check(b"HTTP/1.1 200 OK\r\nA: 1\r\nX-Status : ok\r\nB:\r\n folded\r\n\r\nbody without colon\r\n", None);
        let php = b"HTTP/1.1 200 OK\r\nPHP Warning:  Undefined index\r\nContent-Length: 2\r\n\r\nok";
        check(php, Some("1 line among the headers ignored: PHP Warning:  Undefined index"));
        check(b"HTTP/1.1 200 OK\n<br />\nA: 1\n: x\n\nok", Some("2 lines among the headers ignored: <br />"));
        let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nno header\r\n\r\nneither";
        check(interim, Some("1 line among the headers ignored: no header"));
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n{}\r\n\r\n", "x".repeat(9_000), "é\u{7}".repeat(84));
        check(long.as_bytes(), Some(&format!("1 line among the headers ignored: {}", "é".repeat(80))));
    }

    #[test]
    fn case_a9_a_restart_forgets_the_oddities_of_the_last_response() {
        let mut head = ResponseHead::default();
        let oddities = head.oddities();
        head.read(&mut b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: x\r\n\r\n".to_vec());
        assert!(oddities.note().is_some() && oddities.has_bad_length());
        head.restart();
        head.read(&mut b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n".to_vec());
        assert_eq!((oddities.note(), oddities.has_bad_length()), (None, false));
    }

    #[test]
    fn case_a9_a13_returns_within_lines_are_blanks_and_a_transfer_encoding_of_http_1_0_is_passed_over() {
        let passed_on = |response: &str| {
            let mut bytes = response.as_bytes().to_vec();
            let mut head = ResponseHead::default();
            head.read(&mut bytes);
            (String::from_utf8(bytes).unwrap(), head.oddities().note())
        };
        for (response, expected) in [
            (
                "HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\r\nA: 1\r\n\r\nx\ry",
                "HTTP/1.1 200 OK\r\nX-Powered-By: PHP \r\nA: 1\r\n\r\nx\ry",
            ),
            ("HTTP/1.1 200 OK\r\r\nX-A: a\rb\r\n\r\n", "HTTP/1.1 200 OK \r\nX-A: a b\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ] {
            assert_eq!(passed_on(response), (expected.to_owned(), None));
        }
        let (bytes, note) = passed_on("HTTP/1.0 200 OK\r\nTransfer-encoding: chunked\r\n\r\n");
        assert_eq!(bytes, "HTTP/1.0 200 OK\r\nTransfer-encoding\u{1} chunked\r\n\r\n");
        assert_eq!(note.as_deref(), Some("1 line among the headers ignored: Transfer-encoding: chunked"));
    }

    /// The bytes that hyper reads of a response.
    fn passed_on(response: &str) -> String {
        let mut bytes = response.as_bytes().to_vec();
        let mut head = ResponseHead::default();
        bytes.chunks_mut(3).for_each(|bytes| head.read(bytes));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn case_a9_a_nul_is_replaced_in_a_head_alone() {
        let nul = "HTTP/1.1 200 O\0K\r\nX: a\0b\r\nY\u{7}: 1\r\n\r\nbody\0\r\n\0";
        assert_eq!(passed_on(nul), "HTTP/1.1 200 O K\r\nX: a\u{1}b\r\nY\u{1}: 1\r\n\r\nbody\0\r\n\0");
        assert_eq!(passed_on("HTTP/1.1\x00200 OK\r\n\r\n"), "HTTP/1.1\x00200 OK\r\n\r\n", "no status");
        check(nul.as_bytes(), Some("2 lines among the headers ignored: X: ab"));
    }

    #[test]
    fn case_a13_a_length_that_is_none_is_passed_over() {
        #[track_caller]
        fn length(lines: &str, expected: &str, is_bad: bool) {
            let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: five");
            assert_eq!(passed_on(&response), format!("HTTP/1.1 200 OK\r\n{expected}\r\nContent-Length: five"));
            let mut head = ResponseHead::default();
            head.read(&mut response.into_bytes());
            assert_eq!(head.oddities().has_bad_length(), is_bad, "{lines}");
        }
        length("Content-Length: -1\r\n", "Content-Length: \u{1}\u{1}\r\n", true);
        length("content-length : 5a\r\nX: 1\r\n", "content-length : 5\u{1}\r\nX: 1\r\n", true);
        length("Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\nContent-Length: 3\u{1}\n", true);
        length("Content-Length:\r\n", "Content-Length:\u{1}\n", true);
        length("Content-Length: 5\r\n 6\r\n", "Content-Length: 5\r\n \u{1}\r\n", true);
        for good in ["Content-Length: 2\r\ncontent-length: 2\r\n", "Content-Length: 2, 2\n", "X: Content-Length: x\r\n"] {
            length(good, good, false);
        }
        let interim = "HTTP/1.1 103 E\r\nContent-Length: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        let mut head = ResponseHead::default();
        head.read(&mut interim.as_bytes().to_vec());
        assert!(!head.oddities().has_bad_length(), "an interim response has no body");
    }
}
