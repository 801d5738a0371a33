//! Masking secrets in a receiver's texts (Q5), once for each answer, before anything reads it.
//!
//! The work is linear in the answer: one search for all shapes in each of at most sixteen layers of it. Shapes take 512 KiB at most; where
//! a rule's secrets have more, nothing of an answer is shown or read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use tracking_core::{
    answer::Response,
    json::{is_json, is_json_lines},
};

use super::{MASK, automaton::Automaton, layers, shapes};

/// Shapes of so many bytes in all are searched for. 50 secrets of 4 KiB have 260 KiB.
const MAX_SHAPE_BYTES: usize = 512 << 10;

/// The text in place of one in which too much would have to be searched for.
const HIDDEN: &str = "*** (hidden: the secrets of this rule are too long to be searched for, or were written by two parties)";

/// Masks secrets in texts that a receiver wrote, in the shapes in which one might echo them.
#[derive(Default)]
pub(crate) enum Scrubber {
    /// There are no secrets.
    #[default]
    Idle,
    /// Masks the secrets that it finds.
    Searching(Box<Automaton>),
    /// Hides answers whole, and masks secrets as they are in other texts: too much would have to be searched for, or two parties have
    /// values. If both were masked, a party that chooses its values could learn the other's from the places of the masks.
    Hiding(Box<Automaton>),
}

/// A rule's secrets, and the texts that its request made of them.
#[derive(Default)]
pub(crate) struct Texts<'a> {
    /// The values by their names.
    pub(crate) secrets: BTreeMap<&'a str, &'a str>,
    /// The texts that a request made of them.
    pub(crate) derived: BTreeSet<String>,
}

impl Scrubber {
    /// A scrubber for the secrets of one party.
    pub(crate) fn new(texts: &Texts<'_>) -> Self {
        if texts.secrets.is_empty() {
            return Self::Idle;
        }
        let mut automaton = Automaton::new(MAX_SHAPE_BYTES);
        let mut values = shapes::values(&texts.secrets).chain(texts.derived.iter().map(String::as_str));
        if !values.all(|value| shapes::add_all(&mut automaton, value)) {
            return Self::hiding(&texts.secrets);
        }
        automaton.link();
        Self::Searching(Box::new(automaton))
    }

    /// A scrubber that shows nothing of an answer.
    pub(crate) fn hiding(secrets: &BTreeMap<&str, &str>) -> Self {
        let mut automaton = shapes::as_they_are(secrets, MAX_SHAPE_BYTES);
        automaton.link();
        Self::Hiding(Box::new(automaton))
    }

    /// A text with masks in place of secrets. Secrets that overlap go under one mask.
    pub(crate) fn scrub(&self, text: &str) -> String {
        match self {
            Self::Idle => text.to_owned(),
            Self::Searching(shapes) | Self::Hiding(shapes) => {
                let hidden = layers::find(text.as_bytes(), 0, shapes);
                String::from_utf8_lossy(&plain(text.as_bytes(), &hidden)).into_owned()
            }
        }
    }

    /// An answer with masks in place of secrets, in its headers' values and its body. A body that is JSON stays JSON: a number, `true`,
    /// `false` or `null` with a secret in it becomes the text `***`. If the body is cut, its end is masked, as far as a secret may
    /// reach that begins there.
    pub(crate) fn answer(&self, mut answer: Response) -> Response {
        let body = match self {
            Self::Idle => return answer,
            Self::Searching(shapes) => masked(answer.body(), answer.is_cut(), shapes),
            Self::Hiding(_) if answer.body().is_empty() => Vec::new(),
            Self::Hiding(_) => HIDDEN.as_bytes().to_vec(),
        };
        let header = |value: &str| if matches!(self, Self::Hiding(_)) { MASK.to_owned() } else { self.scrub(value) };
        for (_, value) in &mut answer.headers {
            *value = header(value);
        }
        answer.with_body(body)
    }
}

fn masked(body: &[u8], is_cut: bool, shapes: &Automaton) -> Vec<u8> {
    let hidden = layers::find(body, if is_cut { shapes.reach() } else { 0 }, shapes);
    if hidden.is_empty() {
        return body.to_vec();
    }
    let document = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if is_json(document) || is_json_lines(document) { json(body, &hidden) } else { plain(body, &hidden) }
}

/// A text with masks in these places.
fn plain(text: &[u8], hidden: &[Range<usize>]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    let mut done = 0;
    for place in hidden {
        clean.extend_from_slice(&text[done..place.start]);
        clean.extend_from_slice(MASK.as_bytes());
        done = place.end;
    }
    clean.extend_from_slice(&text[done..]);
    clean
}

/// A JSON text with masks in these places, or JSON no more if it was none: its structure stays.
fn json(text: &[u8], hidden: &[Range<usize>]) -> Vec<u8> {
    let mut masking = Masking { text, hidden, at: 0, clean: Vec::with_capacity(text.len()), masked_keys: 0 };
    while let Some(byte) = text.get(masking.at) {
        match byte {
            b'"' => masking.string(),
            byte if is_structure(*byte) => masking.keep(1),
            _ => masking.scalar(),
        }
    }
    masking.clean
}

fn is_structure(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b' ' | b'\t' | b'\r' | b'\n')
}

/// The masking of a JSON text, token by token.
struct Masking<'a> {
    text: &'a [u8],
    /// Places to mask that are not over yet.
    hidden: &'a [Range<usize>],
    at: usize,
    clean: Vec<u8>,
    masked_keys: usize,
}

impl Masking<'_> {
    fn keep(&mut self, length: usize) {
        self.clean.extend_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
    }

    /// The end of the place to mask that the next so many bytes reach into.
    fn hidden_end(&mut self, length: usize) -> Option<usize> {
        while self.hidden.first().is_some_and(|place| place.end <= self.at) {
            self.hidden = &self.hidden[1..];
        }
        self.hidden.first().filter(|place| place.start < self.at + length).map(|place| place.end)
    }

    fn string(&mut self) {
        self.keep(1);
        let mut last = None;
        while let Some(byte) = self.text.get(self.at).filter(|byte| **byte != b'"') {
            let length = if *byte == b'\\' { layers::string_unit(&self.text[self.at..]) } else { 1 };
            match self.hidden_end(length) {
                None => self.keep(length),
                end => {
                    if end != last {
                        self.clean.extend_from_slice(MASK.as_bytes());
                        last = end;
                    }
                    self.at += length;
                }
            }
        }
        if last.is_some() && self.is_key() {
            // Different keys stay different.
            self.masked_keys += 1;
            if self.masked_keys > 1 {
                self.clean.extend_from_slice(self.masked_keys.to_string().as_bytes());
            }
        }
        self.keep(usize::from(self.at < self.text.len()));
    }

    /// Returns true if a colon follows the string whose end was reached.
    fn is_key(&self) -> bool {
        let after = self.text.get(self.at + 1..).unwrap_or_default();
        after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    }

    fn scalar(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| is_structure(*byte)).unwrap_or(rest.len());
        if self.hidden_end(length).is_some() {
            self.clean.extend_from_slice(format!("\"{MASK}\"").as_bytes());
            self.at += length;
        } else {
            self.keep(length);
        }
    }
}

#[cfg(test)]
mod tests;
