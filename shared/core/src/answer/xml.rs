//! XML bodies: a tree of elements, found by the same paths as fields of JSON.
//!
//! **Nothing outside the body is read**: a body with a document type is refused, and with it every entity but the five of XML itself.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
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
    /// Its own text, that of its children left out.
    text: String,
}

/// Reads a body. Returns an element without a name, whose one child is the root; `None` if the body is not well-formed, has a document
/// type, is nested deeper than [`MAX_DEPTH`] or has more than [`MAX_VALUES`] elements and attributes.
pub(super) fn parse(body: &str) -> Option<Element> {
    let mut reader = Reader::from_str(body);
    let mut open = vec![Element::default()];
    let mut values = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => open.push(Element::open(&start, &mut values)?),
            Event::Empty(start) => open.last_mut()?.children.push(Element::open(&start, &mut values)?),
            Event::End(_) => {
                let closed = open.pop()?;
                open.last_mut()?.children.push(closed);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => open.last_mut()?.text.push(character),
                None => open.last_mut()?.text.push_str(resolve_predefined_entity(&reference)?),
            },
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return None,
            Event::Eof => break,
        }
        if open.len() > MAX_DEPTH {
            return None;
        }
    }
    let document = open.pop().filter(|_| open.is_empty())?;
    (document.children.len() == 1 && document.text.trim().is_empty()).then_some(document)
}

impl Element {
    fn open(start: &BytesStart<'_>, values: &mut usize) -> Option<Self> {
        *values += 1;
        let mut element = Self { name: start.local_name().as_ref().into(), ..Self::default() };
        // Comparing each name with all others takes the square of their number.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.ok()?;
            *values += 1;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            element.attributes.push((attribute.key.local_name().as_ref().into(), value.into()));
        }
        (*values <= MAX_VALUES).then_some(element)
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
                let key = [Step::Key(key.clone())];
                self.named(name).find(|child| child.find(&key).is_some_and(|text| text == **value))?.find(rest)
            }
            [Step::Key(key), rest @ ..] => self.named(key).next()?.find(rest),
            [Step::Index(_) | Step::Select { .. }, ..] => None,
        }
    }

    fn named<'e, 'n>(&'e self, name: &'n str) -> impl Iterator<Item = &'e Self> + use<'e, 'n> {
        self.children.iter().filter(move |child| *child.name == *name)
    }

    /// Its own text without the white space around it; if it has none, the texts of its children.
    fn text(&self) -> Cow<'_, str> {
        let own = self.text.trim();
        if !own.is_empty() || self.children.is_empty() {
            return own.into();
        }
        let texts: Vec<Cow<'_, str>> = self.children.iter().map(Self::text).filter(|text| !text.is_empty()).collect();
        texts.join(" ").into()
    }
}
