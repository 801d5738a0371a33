//! Reading a template: literal text, `{{` and `}}`, macros with their modifiers (Q2). One pass, every fault with its place.

use std::borrow::Cow;

use super::{
    Allowed, Piece, Place, Slot, Template, TemplateFault,
    encode::{Encoding, is_control},
    modifier::Modifier,
    selector::{body_prefix, name_length},
};
use crate::{expression::ExpressionBudget, fault::Faults, macros::Macro, path::BLANK};

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.place == other.place
    }
}

impl Eq for Template {}

/// The most modifiers that one macro may have.
const MOST_MODIFIERS: usize = 20;

/// The most texts in braces of a condition that are reported.
const MAX_STRAYS: usize = 20;

/// The pieces of a text, and the texts in its braces that are no macros.
pub(super) type Pieces = (Box<[Piece]>, Vec<Box<str>>);

/// The pieces of a text, with the texts in a condition's braces that are no macros; or all of its faults.
///
/// Reading stops at the last fault that `faults` has room for, and at the first if it has none.
pub(super) fn pieces(text: &str, place: Place, allowed: Allowed, faults: &mut Faults) -> Result<Pieces, Vec<TemplateFault>> {
    let most = faults.room().max(1);
    let mut reader = Reader::of(text, place, allowed, faults.expressions());
    reader.read(most);
    let strays = std::mem::take(&mut reader.strays);
    let (pieces, faults) = reader.end();
    if faults.is_empty() { Ok((pieces, strays)) } else { Err(faults) }
}

struct Reader<'t, 'f> {
    /// The length of the whole text.
    bytes: usize,
    rest: &'t str,
    /// The position of the next character, from 1.
    offset: usize,
    place: Place,
    allowed: Allowed,
    json: JsonText,
    xml: XmlText,
    literal: String,
    pieces: Vec<Piece>,
    /// The number of macros among the pieces.
    slots: usize,
    /// The texts in braces that are literal text.
    strays: Vec<Box<str>>,
    expressions: &'f mut ExpressionBudget,
    faults: Vec<TemplateFault>,
}

impl<'t, 'f> Reader<'t, 'f> {
    fn of(text: &'t str, place: Place, allowed: Allowed, expressions: &'f mut ExpressionBudget) -> Self {
        Self {
            bytes: text.len(),
            rest: text,
            offset: 1,
            place,
            allowed,
            json: JsonText::default(),
            xml: XmlText::default(),
            literal: String::new(),
            pieces: Vec::new(),
            slots: 0,
            strays: Vec::new(),
            expressions,
            faults: Vec::new(),
        }
    }

    /// Reads until it has found `most_faults`.
    fn read(&mut self, most_faults: usize) {
        while self.faults.len() < most_faults
            && let Some(c) = self.next()
        {
            self.step(c);
        }
    }

    /// Returns the pieces and the faults.
    fn end(mut self) -> (Box<[Piece]>, Vec<TemplateFault>) {
        self.end_literal();
        (self.pieces.into(), self.faults)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.offset += 1;
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        self.rest.starts_with(wanted) && self.next().is_some()
    }

    fn fault(&mut self, offset: usize, detail: impl Into<String>) {
        self.faults.push(TemplateFault { offset, detail: detail.into() });
    }

    /// Takes the character that was just read.
    fn step(&mut self, c: char) {
        let at = self.offset - 1;
        match c {
            '{' if self.next_if('{') => self.literal(c, at),
            '{' if self.place == Place::Condition && !self.macro_follows() => self.stray(),
            '{' => self.slot(at),
            '}' if self.next_if('}') || self.place == Place::Condition => self.literal(c, at),
            '}' => self.fault(at, "a lone }: write }} for a brace"),
            _ => self.literal(c, at),
        }
    }

    /// Returns true if the name of a macro follows, with a sign that ends it.
    fn macro_follows(&self) -> bool {
        let end = self.rest.find(['|', '}', '{']).filter(|end| !self.rest[*end..].starts_with('{'));
        end.is_some_and(|end| Macro::is_known(&self.rest[..end]))
    }

    /// Takes a brace and the text up to its closing brace as literal text.
    fn stray(&mut self) {
        let end = self.rest.find(['{', '}']).filter(|end| self.rest[*end..].starts_with('}'));
        let inside = self.take(end.map_or(0, |end| end + 1));
        self.literal.push('{');
        self.literal.push_str(inside);
        if !inside.is_empty() && self.strays.len() < MAX_STRAYS {
            self.strays.push(format!("{{{inside}").into());
        }
    }

    fn literal(&mut self, c: char, at: usize) {
        match (self.place, c) {
            (Place::Header, c) if is_control(c) => {
                self.fault(at, "a control character, such as a line break: a header's value can't hold one");
            }
            (Place::Url, c) if c.is_control() => self.fault(at, "a control character: a URL can't hold one"),
            (Place::Url, '#') => self.fault(at, "a fragment: a request has none, write %23 for a #"),
            (Place::Url, '\\') => self.fault(at, "a backslash: a URL can't hold one, write / or %5C"),
            _ => {}
        }
        if self.place == Place::RawJson {
            self.json.step(c);
        }
        if self.place == Place::RawXml {
            self.xml.step(c);
        }
        self.literal.push(c);
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            let mut encoded = String::with_capacity(self.literal.len());
            Encoding::of_literals(self.place).write_text(&self.literal, &mut encoded).expect("literals are never refused");
            self.pieces.push(Piece::Literal(encoded.into()));
            self.literal.clear();
        }
    }

    /// Reads a macro whose `{` at `at` has been read. After a lone brace nothing more is read.
    fn slot(&mut self, at: usize) {
        let start = self.bytes - self.rest.len() - 1;
        let Some(end) = name_length(self.rest) else {
            return self.fault(at, "a lone {: write {{ for a brace, or close the macro with }");
        };
        let name = self.take(end);
        let (name, selector) = self.selector(name, at);
        let source = Macro::parse(&name, self.allowed);
        if let Err(detail) = &source {
            self.fault(at, detail.replace(BLANK, "{…}"));
        }
        let Some((modifiers, raw)) = self.modifiers(at) else { return };
        if self.json.after_backslash && !self.allowed.stored {
            self.fault(at, "a backslash is right before a macro inside a JSON string: write \\\\ for a backslash");
        }
        let encoding = Encoding::of_values(self.place, raw, self.json.in_string || self.xml.in_cdata());
        self.end_literal();
        if let Ok(source) = source {
            let number = self.slots;
            self.slots += 1;
            let written = start..self.bytes - self.rest.len();
            self.pieces.push(Piece::Slot(Slot { source, selector, modifiers: modifiers.into(), encoding, number, written }));
        }
    }

    /// Reads the macros in the path of a macro whose name begins at `at`. Returns the name with blanks, and the macros for the blanks.
    fn selector<'n>(&mut self, name: &'n str, at: usize) -> (Cow<'n, str>, Option<Box<Template>>) {
        if !name.contains('{') {
            return (name.into(), None);
        }
        if name.contains(BLANK) {
            self.fault(at, "holds a NUL character: leave it out");
            return (name.into(), None);
        }
        let prefix = body_prefix(name).unwrap_or_default();
        let text = &name[prefix.len()..];
        let mut inner = Reader::of(text, Place::Plain, self.allowed, self.expressions);
        inner.read(1);
        let (pieces, faults) = inner.end();
        for fault in faults {
            self.fault(at + fault.offset + prefix.len(), fault.detail);
        }
        let template = Template { text: text.into(), place: Place::Plain, pieces };
        if template.secrets().next().is_some() {
            self.fault(at, "a secret has no place in a path: responses are masked before they are read");
        }
        (format!("{prefix}{}", template.blanks(BLANK)).into(), Some(template.into()))
    }

    /// Reads up to and including the `}` of the macro at `at`; `None` if the `}` is missing.
    fn modifiers(&mut self, at: usize) -> Option<(Vec<Modifier>, bool)> {
        let mut modifiers = Vec::new();
        let mut raw = false;
        while !self.next_if('}') {
            self.next_if('|');
            let start = self.offset;
            let Some(end) = self.rest.find([':', '|', '}']) else {
                self.take(self.rest.len());
                self.fault(at, "a macro without its }: close it, or write {{ for a brace");
                return None;
            };
            let name = self.take(end);
            let mut argument = None;
            if self.next_if(':') {
                let Some(end) = argument_length(name, self.rest) else {
                    self.take(self.rest.len());
                    let detail = match name {
                        "first" => "a macro without its }: write first:/regex/ with two slashes, and } behind it",
                        "regex" => "a macro without its }: write regex:/from/to/ with three slashes, and } behind it",
                        _ => "a macro without its }: close it, and in arguments write \\} and \\| for these signs",
                    };
                    self.fault(at, detail);
                    return None;
                };
                let written = self.take(end);
                if let Some(detail) = self.macro_in_argument(name, written) {
                    self.take(self.rest.len());
                    self.fault(start, detail);
                    return None;
                }
                argument = Some(written);
            }
            match Modifier::parse(name, argument, self.expressions) {
                Ok(Some(modifier)) => modifiers.push(modifier),
                Ok(None) => raw = true,
                Err(detail) => self.fault(start, detail),
            }
        }
        if modifiers.len() > MOST_MODIFIERS {
            self.fault(at, format!("{} modifiers are too many: {MOST_MODIFIERS} are allowed", modifiers.len()));
        }
        Some((modifiers, raw))
    }

    /// The fault of an argument that was meant to hold a macro whose `}` ended the argument.
    fn macro_in_argument(&self, modifier: &str, written: &str) -> Option<String> {
        let (before, name) = written.rsplit_once('{')?;
        let is_meant = !before.ends_with('\\') && Macro::is_known(name) && self.rest.starts_with('}');
        (is_meant && !self.expressions.is_of_stored_rule()).then(|| no_macro_in_argument(modifier, name))
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.offset += taken.chars().count();
        taken
    }
}

/// The fault of a macro in a modifier's argument; it explains how to join values before the modifier.
pub(crate) fn no_macro_in_argument(modifier: &str, name: &str) -> String {
    format!(
        "the argument of {modifier} holds no macros: join the values in a variable, such as \"variables\": {{\"joined\": \
         \"{{click_id}}{{{name}}}\"}}, and write {{var.joined|md5}}"
    )
}

/// The length of a modifier's argument in bytes: up to the next unescaped `|` or `}`. Between the slashes of a
/// regular expression these signs are literal.
fn argument_length(modifier: &str, rest: &str) -> Option<usize> {
    let mut slashes = match modifier {
        "regex" if rest.starts_with('/') => 3,
        "first" if rest.starts_with('/') => 2,
        _ => 0,
    };
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '/' if slashes > 0 => slashes -= 1,
            '|' | '}' if slashes == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The position in a JSON text: inside a string or not.
#[derive(Default)]
struct JsonText {
    in_string: bool,
    after_backslash: bool,
}

impl JsonText {
    fn step(&mut self, c: char) {
        match c {
            _ if self.after_backslash => self.after_backslash = false,
            '\\' if self.in_string => self.after_backslash = true,
            '"' => self.in_string = !self.in_string,
            _ => {}
        }
    }
}

/// The position in an XML text: its elements, or a section in which no other begins.
#[derive(Default)]
struct XmlText {
    section: Option<Section>,
    /// The last characters, as many as in the longest mark.
    recent: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Cdata,
    Comment,
    Instruction,
}

impl XmlText {
    /// The marks around each section.
    const SECTIONS: [(Section, &str, &str); 3] =
        [(Section::Cdata, "<![CDATA[", "]]>"), (Section::Comment, "<!--", "-->"), (Section::Instruction, "<?", "?>")];
    const LONGEST_MARK: usize = 9;

    fn in_cdata(&self) -> bool {
        self.section == Some(Section::Cdata)
    }

    fn step(&mut self, c: char) {
        self.recent.push(c);
        let next = Self::SECTIONS.iter().find_map(|(section, open, close)| match self.section {
            None => self.recent.ends_with(open).then_some(Some(*section)),
            Some(inside) => (inside == *section && self.recent.ends_with(close)).then_some(None),
        });
        if let Some(next) = next {
            self.section = next;
            self.recent.clear();
        } else if self.recent.chars().count() > Self::LONGEST_MARK {
            self.recent.remove(0);
        }
    }
}
