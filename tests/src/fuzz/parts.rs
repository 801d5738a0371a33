//! Inputs that consist of several texts: the parts of a fuzzer's bytes.

use std::borrow::Cow;

/// The byte between two parts. No UTF-8 text holds it, so that every text can be a part.
const SEPARATOR: u8 = 0xff;

/// The parts of an input, in their order; a missing one is empty.
pub(super) struct Parts<'d>(Option<&'d [u8]>);

impl<'d> Parts<'d> {
    pub(super) fn of(data: &'d [u8]) -> Self {
        Self(Some(data))
    }

    /// Returns the bytes of the next part.
    pub(super) fn bytes(&mut self) -> &'d [u8] {
        let rest = self.0.take().unwrap_or_default();
        match rest.iter().position(|byte| *byte == SEPARATOR) {
            Some(end) => {
                self.0 = Some(&rest[end + 1..]);
                &rest[..end]
            }
            None => rest,
        }
    }

    /// Returns all remaining bytes, separators included.
    pub(super) fn rest(&mut self) -> &'d [u8] {
        self.0.take().unwrap_or_default()
    }

    /// Returns the next part as text, with replacements for bytes that are not UTF-8.
    pub(super) fn text(&mut self) -> Cow<'d, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// Returns the next part as a text that an event can carry: at most 2 048 bytes.
    pub(super) fn value(&mut self) -> String {
        let text = self.text();
        text[..text.floor_char_boundary(2_048)].to_owned()
    }

    /// Returns the first byte of the next part, 0 if it is empty.
    pub(super) fn choice(&mut self) -> usize {
        self.bytes().first().copied().unwrap_or_default().into()
    }
}
