//! XML bodies: a tree of elements, found by the same paths as fields of JSON.
//!
//! **Nothing outside the body is read, and nothing is expanded**: a document type is passed over, and a body that has an entity but the
//! five of XML itself, declared or only used, is refused.

use std::borrow::Cow;

use quick_xml::{
    Error, Reader, XmlVersion,
    escape::{EscapeError, resolve_predefined_entity},
    events::{BytesStart, Event},
};

use crate::{
    json::{MAX_DEPTH, MAX_VALUES},
    path::Step,
};

/// An element without the prefixes of its names.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: Box<str>,
    attributes: Vec<(Box<str>, Box<str>)>,
    children: Vec<Element>,
    /// The element's own text, without that of its children.
    text: String,
}

/// The reason why a body has no elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// The body is not well-formed, nested deeper than [`MAX_DEPTH`], or has more than [`MAX_VALUES`] elements and attributes.
    NotXml,
    /// The body has entities of its own.
    Entities,
}

/// Reads a body. Returns an element without a name, whose one child is the root.
pub(super) fn parse(body: &str) -> Result<Element, Unread> {
    let mut reader = Reader::from_str(body);
    let mut open = vec![Element::default()];
    let (mut values, mut has_entities) = (0, false);
    loop {
        let innermost = open.last_mut().ok_or(Unread::NotXml)?;
        match reader.read_event().map_err(|_| Unread::NotXml)? {
            Event::Start(start) => open.push(Element::open(&start, &mut values, &mut has_entities)?),
            Event::Empty(start) => innermost.children.push(Element::open(&start, &mut values, &mut has_entities)?),
            Event::End(_) => {
                let closed = open.pop().ok_or(Unread::NotXml)?;
                open.last_mut().ok_or(Unread::NotXml)?.children.push(closed);
            }
            Event::Text(text) => innermost.text.push_str(&text.xml10_content()),
            Event::CData(text) => innermost.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(|_| Unread::NotXml)? {
                Some(character) => innermost.text.push(character),
                None => match resolve_predefined_entity(&reference) {
                    Some(text) => innermost.text.push_str(text),
                    None => has_entities = true,
                },
            },
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) if open.len() > 1 || !open.iter().all(|document| document.children.is_empty()) => {
                return Err(Unread::NotXml);
            }
            Event::DocType(declared) => has_entities |= declared.contains("<!ENTITY"),
            Event::Eof => break,
        }
        if open.len() > MAX_DEPTH {
            return Err(Unread::NotXml);
        }
    }
    let document = open.pop().filter(|_| open.is_empty()).ok_or(Unread::NotXml)?;
    let is_whole = document.children.len() == 1 && document.text.trim().is_empty();
    match (is_whole, has_entities) {
        (false, _) => Err(Unread::NotXml),
        (true, true) => Err(Unread::Entities),
        (true, false) => Ok(document),
    }
}

impl Element {
    fn open(start: &BytesStart<'_>, values: &mut usize, has_entities: &mut bool) -> Result<Self, Unread> {
        *values += 1;
        let mut element = Self { name: start.local_name().as_ref().into(), ..Self::default() };
        // Comparing each name with all others is quadratic.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| Unread::NotXml)?;
            *values += 1;
            let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => value,
                Err(Error::Escape(EscapeError::UnrecognizedEntity(..))) => {
                    *has_entities = true;
                    continue;
                }
                Err(_) => return Err(Unread::NotXml),
            };
            element.attributes.push((attribute.key.local_name().as_ref().into(), value.into()));
        }
        if *values <= MAX_VALUES { Ok(element) } else { Err(Unread::NotXml) }
    }

    /// The name of a document's root.
    pub(super) fn root(&self) -> &str {
        self.children.first().map_or("", |root| &root.name)
    }

    /// The text at a path: that of an element, or the value of an attribute, whose key begins with `@`.
    pub(super) fn find<'e>(&'e self, steps: &[Step]) -> Option<Cow<'e, str>> {
        match steps {
            [] => Some(self.text()),
            [Step::Key(key)] if key.starts_with('@') => {
                let mut attributes = self.attributes.iter();
                attributes.find(|(name, _)| **name == key[1..]).map(|(_, value)| Cow::Borrowed(&**value))
            }
            [Step::Key(key), Step::Index(index), rest @ ..] => self.named(key).nth(*index)?.find(rest),
            [Step::Key(name), Step::Select { key, value }, rest @ ..] => {
                self.named(name).find(|child| child.find(&key.0).is_some_and(|text| text == **value))?.find(rest)
            }
            [Step::Key(key), rest @ ..] => self.named(key).next()?.find(rest),
            [Step::Index(_) | Step::Select { .. }, ..] => None,
        }
    }

    fn named<'e, 'n>(&'e self, name: &'n str) -> impl Iterator<Item = &'e Self> + use<'e, 'n> {
        self.children.iter().filter(move |child| *child.name == *name)
    }

    /// The element's own text without surrounding white space; if there is none, the texts of its children.
    fn text(&self) -> Cow<'_, str> {
        let own = self.text.trim();
        if !own.is_empty() || self.children.is_empty() {
            return own.into();
        }
        let texts: Vec<Cow<'_, str>> = self.children.iter().map(Self::text).filter(|text| !text.is_empty()).collect();
        texts.join(" ").into()
    }
}
