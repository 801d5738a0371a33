//! The head of a response as it came: lines that are no headers, which hyper passes over silently.

use std::sync::{Arc, Mutex, PoisonError};

/// The bytes of a line that are looked at.
const MAX_LINE_BYTES: usize = 256;
/// The characters of a line that a note shows.
const MAX_SHOWN_CHARS: usize = 80;

/// The lines of the last response's head that are no headers, as far as it was read. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Strays(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    count: usize,
    first: String,
}

impl Strays {
    /// The note on them; `None` if there are none.
    pub(super) fn note(&self) -> Option<String> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = if found.count == 1 { "1 line".to_owned() } else { format!("{} lines", found.count) };
        (found.count > 0).then(|| format!("{lines} among the headers ignored: {}", found.first))
    }

    fn add(&self, line: &[u8]) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.count += 1;
        if found.count == 1 {
            let text = String::from_utf8_lossy(line);
            found.first = text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect();
        }
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Found::default();
    }
}

/// A head that is being read.
#[derive(Debug, Default)]
pub(super) struct Head {
    strays: Strays,
    /// The beginning of the line at hand.
    line: Vec<u8>,
    part: Part,
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

impl Head {
    /// The lines that are no headers, also those that are still to come.
    pub(super) fn strays(&self) -> Strays {
        self.strays.clone()
    }

    /// Begins with the next response.
    pub(super) fn restart(&mut self) {
        self.strays.clear();
        self.line.clear();
        self.part = Part::Status;
    }

    /// Reads the bytes that came.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match (self.part, byte) {
                (Part::Over, _) => return,
                (_, b'\n') => self.end_line(),
                (_, byte) if self.line.len() < MAX_LINE_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        self.part = match self.part {
            // Empty lines before a status, and after an interim response.
            Part::Status | Part::Headers { is_interim: true } if line.is_empty() => Part::Status,
            Part::Status => {
                let status = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                Part::Headers { is_interim: status.len() == 3 && status.starts_with(b"1") }
            }
            Part::Headers { .. } if line.is_empty() => Part::Over,
            part => {
                if !is_header(line) {
                    self.strays.add(line);
                }
                part
            }
        };
        self.line.clear();
    }
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

    #[track_caller]
    fn check(response: &[u8], expected: Option<&str>) {
        for size in [1, 7, response.len()] {
            let mut head = Head::default();
            response.chunks(size).for_each(|bytes| head.read(bytes));
            assert_eq!(head.strays().note().as_deref(), expected, "{}", String::from_utf8_lossy(response));
        }
    }

    #[test]
    fn case_a9_lines_that_are_no_headers_are_told() {
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
    fn case_a9_the_next_response_begins_anew() {
        let mut head = Head::default();
        let strays = head.strays();
        head.read(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n");
        assert!(strays.note().is_some());
        head.restart();
        head.read(b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n");
        assert_eq!(strays.note(), None);
    }
}
