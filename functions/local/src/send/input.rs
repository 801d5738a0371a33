//! Files of events: one event, an array, or one a line, each event with the line where it begins.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use tracking_core::json;

/// A file can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{name} can't be read")]
pub struct InputError {
    name: String,
    source: io::Error,
}

/// One file of events, read on demand.
pub(super) struct Input {
    name: String,
    size: Option<u64>,
    lines: Box<dyn BufRead>,
    /// The number of lines read so far.
    line: usize,
    begun: bool,
    /// Events of a file that was read as a whole.
    whole: VecDeque<(usize, Vec<u8>)>,
}

impl Input {
    /// Opens a file; `-` is stdin.
    pub(super) fn open(file: &Path) -> Result<Self, InputError> {
        if file == Path::new("-") {
            return Ok(Self::new("stdin".to_owned(), None, Box::new(BufReader::new(io::stdin()))));
        }
        let name = PathBuf::from(file).display().to_string();
        let opened = File::open(file).and_then(|opened| opened.metadata().map(|about| (opened, about)));
        match opened {
            Ok((opened, about)) => {
                let size = about.is_file().then_some(about.len());
                Ok(Self::new(name, size, Box::new(BufReader::new(opened))))
            }
            Err(source) => Err(InputError { name, source }),
        }
    }

    fn new(name: String, size: Option<u64>, lines: Box<dyn BufRead>) -> Self {
        Self { name, size, lines, line: 0, begun: false, whole: VecDeque::new() }
    }

    /// Returns the name for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size in bytes, if it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Reads the next event and the line where it begins.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Vec<u8>)>, InputError> {
        self.read_next().map_err(|source| InputError { name: self.name.clone(), source })
    }

    fn read_next(&mut self) -> io::Result<Option<(usize, Vec<u8>)>> {
        if let Some(event) = self.whole.pop_front() {
            return Ok(Some(event));
        }
        let Some((line, first)) = self.next_line()? else { return Ok(None) };
        // If the first line is an event on its own, the file has one a line; else the file may be a document over several lines.
        let alone = first.first() == Some(&b'{') && json::is_json(&first);
        if std::mem::replace(&mut self.begun, true) || alone {
            return Ok(Some((line, first)));
        }
        let mut text = first;
        text.push(b'\n');
        self.lines.read_to_end(&mut text)?;
        self.whole = events_of(&text, line);
        Ok(self.whole.pop_front())
    }

    /// Reads the next line that is not blank, without the white space around it.
    fn next_line(&mut self) -> io::Result<Option<(usize, Vec<u8>)>> {
        loop {
            let mut text = Vec::new();
            if self.lines.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            // Some editors begin a file with a byte order mark.
            let text = if self.line == 1 { text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text) } else { &text };
            let text = text.trim_ascii();
            if !text.is_empty() {
                return Ok(Some((self.line, text.to_vec())));
            }
        }
    }
}

/// Returns the events of a text that begins at this line.
fn events_of(text: &[u8], line: usize) -> VecDeque<(usize, Vec<u8>)> {
    if let Ok(events) = json::elements(text, usize::MAX) {
        let begin = text.as_ptr().addr();
        let mut counted = (0, line);
        let place = |event: &&[u8]| {
            let offset = event.as_ptr().addr() - begin;
            counted.1 += text[counted.0..offset].split(|byte| *byte == b'\n').count() - 1;
            counted.0 = offset;
            (counted.1, event.to_vec())
        };
        return events.iter().map(place).collect();
    }
    if json::is_json(text) {
        return VecDeque::from([(line, text.trim_ascii().to_vec())]);
    }
    let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(above, text)| (line + above, text.trim_ascii().to_vec()));
    lines.filter(|(_, text)| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &'static str, expected: &[(usize, &str)]) {
        let mut input = Input::new("test".to_owned(), None, Box::new(text.as_bytes()));
        let mut found = Vec::new();
        while let Some((line, event)) = input.next().unwrap() {
            found.push((line, String::from_utf8(event).unwrap()));
        }
        let found: Vec<_> = found.iter().map(|(line, event)| (*line, event.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_event_a_line() {
        check("{\"a\":1}\n\n  {\"a\":2}\r\n{\"a\":3}", &[(1, "{\"a\":1}"), (3, "{\"a\":2}"), (4, "{\"a\":3}")]);
    }

    #[test]
    fn bad_lines_keep_their_numbers() {
        check("{\"a\":1}\n{\"a\":\n[1]\n", &[(1, "{\"a\":1}"), (2, "{\"a\":"), (3, "[1]")]);
        check("\n{\"a\":\n{}\n", &[(2, "{\"a\":"), (3, "{}")]);
    }

    #[test]
    fn one_event_over_several_lines() {
        check("\n{\n \"a\": 1\n}\n", &[(2, "{\n \"a\": 1\n}")]);
    }

    #[test]
    fn an_array_of_events() {
        check("[{\"a\":1},{\"a\":2}]", &[(1, "{\"a\":1}"), (1, "{\"a\":2}")]);
        check("\n[\n {\"a\":\n1.10},\n\n {}\n]", &[(3, "{\"a\":\n1.10}"), (6, "{}")]);
        check("[]", &[]);
    }

    #[test]
    fn no_event_at_all() {
        check("", &[]);
        check(" \n\n", &[]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_an_event() {
        check("\u{feff}{\"a\":1}\n{}", &[(1, "{\"a\":1}"), (2, "{}")]);
    }
}
