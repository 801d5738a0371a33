//! The layers of a text: as it was written, and with its escapes read, over and over.

use std::{collections::HashSet, hash::BuildHasher as _, hash::RandomState, ops::Range};

use super::automaton::Automaton;

/// Escapes of a URL or a form.
const PERCENT: u8 = 1;
/// Escapes of a JSON or a JavaScript string.
const STRING: u8 = 2;
/// Character references of HTML and XML.
const REFERENCE: u8 = 4;
/// Each kind of escape.
const KINDS: [u8; 3] = [PERCENT, STRING, REFERENCE];
/// Escapes of any kind.
const ANY: u8 = PERCENT | STRING | REFERENCE;

/// The most escapes around each other that are read: a URL in JSON in JSON is three.
const DEEPEST: usize = 3;

/// The places of secrets in a text, in order; none overlap. They begin and end between characters.
///
/// At most sixteen layers are searched: the text; each kind of escape read alone, and each other kind or all that is left of any kind then;
/// and all kinds at once, up to three times over. So many bytes at the end of each layer are hidden whatever they are. A layer that another one equals, or that has no escapes to read, costs nothing.
pub(super) fn find(text: &[u8], tail: usize, automaton: &Automaton) -> Vec<Range<usize>> {
    let mut search = Search { automaton, tail, seen: HashSet::new(), hasher: RandomState::new(), hidden: Vec::new() };
    automaton.find(text, tail, &mut search.hidden);
    for outer in KINDS {
        let Some(layer) = Layer::read(text, None, outer) else { continue };
        search.look(&layer);
        for inner in KINDS.into_iter().filter(|inner| *inner != outer).chain([ANY]) {
            if let Some(layer) = Layer::read(&layer.bytes, Some(&layer.from), inner) {
                search.look(&layer);
            }
        }
    }
    search.descend(text);
    let mut hidden = search.hidden;
    for place in &mut hidden {
        *place = character_start(text, place.start)..character_end(text, place.end);
    }
    hidden.sort_unstable_by_key(|place| place.start);
    hidden.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
    hidden
}

/// The texts that a value itself may be read as, such as `a b` for `a%20b`: where several escapes were read at once, a secret that looks
/// escaped appears as its meaning.
pub(super) fn meanings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut meanings: Vec<Vec<u8>> = Vec::new();
    for kinds in 1..=ANY {
        if let Some(layer) = Layer::read(value, None, kinds)
            && !meanings.contains(&layer.bytes)
        {
            meanings.push(layer.bytes);
        }
    }
    meanings
}

struct Search<'a> {
    automaton: &'a Automaton,
    /// Bytes at the end of each layer that are hidden whatever they are.
    tail: usize,
    /// Hashes of the layers that were searched: reading escapes in another order often results in the same layer.
    seen: HashSet<u64>,
    hasher: RandomState,
    hidden: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Looks at the layers below a text, each with the escapes of any kind read.
    fn descend(&mut self, text: &[u8]) {
        let mut layer: Option<Layer> = None;
        for _ in 0..DEEPEST {
            let (text, from) = layer.as_ref().map_or((text, None), |layer| (&layer.bytes[..], Some(&layer.from[..])));
            layer = Layer::read(text, from, ANY);
            let Some(layer) = &layer else { return };
            self.look(layer);
        }
    }

    fn look(&mut self, layer: &Layer) {
        if !self.seen.insert(self.hasher.hash_one(&layer.bytes)) {
            return;
        }
        let mut found = Vec::new();
        self.automaton.find(&layer.bytes, self.tail, &mut found);
        self.hidden.extend(found.into_iter().map(|place| layer.origin(place.start)..layer.origin(place.end)));
    }
}

/// A text after some reading of escapes.
struct Layer {
    bytes: Vec<u8>,
    /// The position of each byte's origin in the text as it was written, and at last its end.
    from: Vec<u32>,
}

impl Layer {
    /// A text with its escapes of these kinds read; `None` if it has none. `from` is the origin of its bytes, if it is a layer itself.
    fn read(text: &[u8], from: Option<&[u32]>, kinds: u8) -> Option<Self> {
        let marks = [(PERCENT, b'%'), (STRING, b'\\'), (REFERENCE, b'&')];
        if !marks.iter().any(|(kind, mark)| kinds & kind != 0 && text.contains(mark)) {
            return None;
        }
        let mark_of = |byte: u8| marks.iter().any(|(kind, mark)| kinds & kind != 0 && *mark == byte);
        let is_mark: [bool; 256] = std::array::from_fn(|byte| u8::try_from(byte).is_ok_and(mark_of));
        let mut layer = Self { bytes: Vec::with_capacity(text.len()), from: Vec::with_capacity(text.len() + 1) };
        let (mut at, mut any) = (0, false);
        while at < text.len() {
            let plain = text[at..].iter().position(|byte| is_mark[usize::from(*byte)]).unwrap_or(text.len() - at);
            layer.keep(text, from, at..at + plain);
            at += plain;
            let escape = match text.get(at) {
                Some(b'%') => percent(&text[at..]),
                Some(b'\\') => string(&text[at..]),
                Some(b'&') => reference(&text[at..]),
                _ => None,
            };
            let Some((length, meaning)) = escape else {
                let mark = at..text.len().min(at + 1);
                at = mark.end;
                layer.keep(text, from, mark);
                continue;
            };
            any = true;
            let mut buffer = [0; 4];
            let meaning: &[u8] = match meaning {
                Meaning::Byte(byte) => {
                    buffer[0] = byte;
                    &buffer[..1]
                }
                Meaning::Char(c) => c.encode_utf8(&mut buffer).as_bytes(),
            };
            layer.bytes.extend_from_slice(meaning);
            layer.from.extend(meaning.iter().map(|_| origin(from, at)));
            at += length;
        }
        layer.from.push(origin(from, at));
        any.then_some(layer)
    }

    /// Takes bytes over as they are.
    fn keep(&mut self, text: &[u8], from: Option<&[u32]>, bytes: Range<usize>) {
        self.bytes.extend_from_slice(&text[bytes.clone()]);
        match from {
            Some(from) => self.from.extend_from_slice(&from[bytes]),
            None => self.from.extend(bytes.map(|at| origin(None, at))),
        }
    }

    /// The position of a byte's origin in the text as it was written.
    fn origin(&self, at: usize) -> usize {
        usize::try_from(self.from[at]).unwrap_or(usize::MAX)
    }
}

/// The origin of a byte of a text, which is a layer itself if it has `from`.
fn origin(from: Option<&[u32]>, at: usize) -> u32 {
    from.map_or_else(|| u32::try_from(at).unwrap_or(u32::MAX), |from| from[at])
}

fn character_start(text: &[u8], mut at: usize) -> usize {
    while at > 0 && text.get(at).is_some_and(|byte| is_continuation(*byte)) {
        at -= 1;
    }
    at
}

fn character_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_continuation(*byte)) {
        at += 1;
    }
    at
}

/// Returns true if a byte continues a character of UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The meaning of an escape.
enum Meaning {
    Byte(u8),
    Char(char),
}

fn percent(text: &[u8]) -> Option<(usize, Meaning)> {
    let byte = number(text.get(1..3)?, 16)?;
    Some((3, Meaning::Byte(u8::try_from(byte).ok()?)))
}

fn string(text: &[u8]) -> Option<(usize, Meaning)> {
    let short = match text.get(1)? {
        c @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*c),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(text),
        b'x' => return Some((4, Meaning::Char(char::from_u32(number(text.get(2..4)?, 16)?)?))),
        _ => return None,
    };
    Some((2, Meaning::Char(short)))
}

/// Reads `\u` and four digits, twice for characters beyond the first 65 536, or `\u{…}`.
fn unicode(text: &[u8]) -> Option<(usize, Meaning)> {
    if let Some(braced) = text.strip_prefix(b"\\u{") {
        let length = braced.iter().take(7).position(|byte| *byte == b'}')?;
        return Some((length + 4, Meaning::Char(char::from_u32(number(&braced[..length], 16)?)?)));
    }
    let unit = |text: &[u8]| u16::try_from(number(text.strip_prefix(b"\\u")?.get(..4)?, 16)?).ok();
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let units = [first, second.unwrap_or_default()];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((6 * c.len_utf16(), Meaning::Char(c)))
}

/// The length of the first character of a JSON string, however it is written.
pub(super) fn string_unit(text: &[u8]) -> usize {
    let length = match text {
        [b'\\', b'u', ..] => unicode(text).map_or(6, |(length, _)| length),
        [b'\\', ..] => 2,
        _ => 1,
    };
    length.min(text.len())
}

fn reference(text: &[u8]) -> Option<(usize, Meaning)> {
    // A number may have any number of zeros before it.
    const LONGEST_NAME: usize = 10;
    let rest = text.get(1..)?;
    let marks = rest.iter().take(2).take_while(|byte| matches!(byte, b'#' | b'x' | b'X')).count();
    let zeros = if marks == 0 { 0 } else { rest[marks..].iter().take_while(|byte| **byte == b'0').count() };
    let name = rest.get(zeros..).unwrap_or_default();
    let length = name.iter().take(LONGEST_NAME).position(|byte| *byte == b';')?;
    let end = zeros + length;
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
    Some((end + 2, Meaning::Char(c)))
}

/// Digits as a number.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let add = |sum: u32, digit: &u8| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?);
    digits.iter().try_fold(0, add).filter(|_| !digits.is_empty())
}
