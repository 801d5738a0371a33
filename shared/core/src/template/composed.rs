//! JSON that an author wrote by hand in a text, and the macros in its strings whose values could break out of them.
//!
//! JSON may begin anywhere: in a parameter of a URL, percent-encoded or not, in an element of XML, in a string of JSON, or in a text
//! that a modifier adds around a value. From its beginning it is read without the escapes of its place.

use super::{Place, Slot, Template, Use, modifier::Modifier};

impl Template {
    /// The macros in JSON strings of the text whose values may break out of the string.
    pub(crate) fn unescaped_in_json(&self) -> impl Iterator<Item = Use<'_>> {
        let mut scan = Scan::of(self.place);
        let mut end = 0;
        let mut open = Vec::new();
        for slot in self.slots() {
            scan.text(self.text.get(end..slot.written.start).unwrap_or_default());
            end = slot.written.end;
            if scan.steps_out(slot) {
                open.push(slot.as_use());
            }
        }
        open.into_iter()
    }

    /// Returns true if its text becomes part of a JSON document that we build.
    pub(crate) fn is_in_json(&self) -> bool {
        matches!(self.place, Place::JsonString | Place::RawJson)
    }
}

/// The progress of a scan up to a macro.
struct Scan {
    place: Place,
    /// The string of the outer document, if the text is JSON.
    outer: Outer,
    json: Json,
}

impl Scan {
    fn of(place: Place) -> Self {
        Self { place, outer: Outer::default(), json: Json::default() }
    }

    /// Reads literal text.
    fn text(&mut self, text: &str) {
        let text = text.replace("{{", "{").replace("}}", "}");
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let (read, bytes) = match self.place {
                Place::Url | Place::RawForm => percent_decoded(rest),
                Place::RawXml => entity_decoded(rest),
                _ => None,
            }
            .unwrap_or((c, c.len_utf8()));
            let is_written_so = bytes == c.len_utf8();
            rest = &rest[bytes..];
            match self.place {
                Place::RawJson => self.outer.step(read, &mut self.json),
                Place::Url | Place::RawForm if is_written_so && read == '&' => self.json = Json::default(),
                Place::Url | Place::RawForm if is_written_so && matches!(read, '=' | '?') => self.json.may_begin(),
                Place::RawXml if is_written_so && read == '>' => self.json.may_begin(),
                _ => self.json.step(read),
            }
        }
    }

    /// Reads a macro with the texts that its modifiers add. Returns true if its value may break out of a JSON string.
    fn steps_out(&mut self, slot: &Slot) -> bool {
        let mut alone = Json::default();
        let is_inside = self.place != Place::RawJson || self.outer.in_string;
        let json = if is_inside { &mut self.json } else { &mut alone };
        for modifier in slot.modifiers.iter().rev() {
            if let Modifier::Prefix(text) = modifier {
                text.chars().for_each(|c| json.step(c));
            }
        }
        let in_string = json.in_string;
        json.value();
        for modifier in &slot.modifiers {
            if let Modifier::Suffix(text) = modifier {
                text.chars().for_each(|c| json.step(c));
            }
        }
        in_string && slot.source.may_hold_quote() && !slot.is_escaped()
    }
}

impl Slot {
    /// Returns true if its modifiers leave no quote in the value before one of them adds a quote around it. What is decoded behind an escape
    /// may hold quotes again.
    fn is_escaped(&self) -> bool {
        let puts_quote = |modifier: &Modifier| match modifier {
            Modifier::Prefix(text) | Modifier::Suffix(text) => text.contains('"'),
            _ => false,
        };
        let modifiers = self.modifiers.iter().take_while(|modifier| !puts_quote(modifier));
        modifiers.fold(false, |is_escaped, modifier| match modifier {
            Modifier::UrlDecode | Modifier::Base64Decode => false,
            modifier => is_escaped || modifier.escapes_quotes(),
        })
    }
}

impl Modifier {
    fn escapes_quotes(&self) -> bool {
        match self {
            Self::Json | Self::UrlEncode | Self::Hex | Self::Base64 => true,
            Self::Map(pairs) => pairs.iter().any(|(from, _)| **from == *"*"),
            other => other.hashes(),
        }
    }
}

/// The progress in a JSON document, up to its strings.
#[derive(Default)]
struct Outer {
    in_string: bool,
    after_backslash: bool,
}

impl Outer {
    fn step(&mut self, c: char, inner: &mut Json) {
        match c {
            _ if self.after_backslash => {
                self.after_backslash = false;
                inner.step(if matches!(c, 'n' | 'r' | 't') { ' ' } else { c });
            }
            '\\' if self.in_string => self.after_backslash = true,
            '"' => {
                self.in_string = !self.in_string;
                *inner = Json::default();
            }
            c if self.in_string => inner.step(c),
            _ => {}
        }
    }
}

/// The progress in a text in which JSON may begin: with a bracket at the start of a value, or with a bracket and a quote.
#[expect(clippy::struct_excessive_bools, reason = "each says yes or no to something of its own")]
struct Json {
    /// `true` if only white space of the value was read.
    at_start: bool,
    open_brackets: usize,
    is_certain: bool,
    in_string: bool,
    after_backslash: bool,
}

impl Default for Json {
    fn default() -> Self {
        Self { at_start: true, open_brackets: 0, is_certain: false, in_string: false, after_backslash: false }
    }
}

impl Json {
    fn step(&mut self, c: char) {
        if self.in_string {
            match c {
                _ if self.after_backslash => self.after_backslash = false,
                '\\' => self.after_backslash = true,
                '"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match c {
            '{' | '[' => {
                self.is_certain |= self.at_start;
                self.open_brackets += 1;
            }
            '}' | ']' => {
                self.open_brackets = self.open_brackets.saturating_sub(1);
                self.is_certain &= self.open_brackets > 0;
            }
            '"' if self.open_brackets > 0 => {
                self.is_certain = true;
                self.in_string = true;
            }
            c if c.is_whitespace() => return,
            _ => self.forget_brackets(),
        }
        self.at_start = false;
    }

    /// Reads the value of a macro.
    fn value(&mut self) {
        self.at_start = false;
        if !self.in_string {
            self.forget_brackets();
        }
    }

    /// Starts a value, unless the scan is inside JSON.
    fn may_begin(&mut self) {
        if !self.is_certain {
            *self = Self::default();
        }
    }

    /// Forgets brackets that no JSON follows.
    fn forget_brackets(&mut self) {
        if !self.is_certain {
            self.open_brackets = 0;
        }
    }
}

/// The ASCII character of a percent-encoding or a `+`, and the length of the encoding in bytes.
fn percent_decoded(text: &str) -> Option<(char, usize)> {
    if text.starts_with('+') {
        return Some((' ', 1));
    }
    let digits = text.strip_prefix('%')?.get(..2)?;
    let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
    Some((byte.into(), 3))
}

/// The quote or ampersand of an entity, and the length of the entity in bytes.
fn entity_decoded(text: &str) -> Option<(char, usize)> {
    let entities = [("&quot;", '"'), ("&#34;", '"'), ("&#x22;", '"'), ("&amp;", '&')];
    entities.iter().find(|(entity, _)| text.starts_with(entity)).map(|(entity, c)| (*c, entity.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Allowed;

    #[track_caller]
    fn check(place: Place, text: &str, expected: &[&str]) {
        let template = Template::parse(text, place, Allowed::default()).unwrap();
        let open: Vec<String> = template.unescaped_in_json().map(|used| used.source.name()).collect();
        assert_eq!(open, expected, "{text}");
    }

    #[test]
    fn case_b3_json_in_a_url() {
        let name = ["offer_name"];
        check(Place::Url, r#"https://a.example/?d={{"name":"{offer_name}"}}"#, &name);
        check(Place::Url, "https://a.example/?a=1&d=%7B%22n%22:%22{offer_name}%22%7D&p={country}", &name);
        check(Place::Url, r#"https://a.example/?d=[{{"n":"{offer_name}"}}]"#, &name);
        check(Place::Url, r#"https://a.example/?d={{"name":"{offer_name|json}","p":"{payout}"}}"#, &[]);
        check(Place::Url, r#"https://a.example/{offer_name}?d={{"name":"x"}}&q="{offer_name}""#, &[]);
        check(Place::Url, r#"https://a.example/?items[{offer_id}]="{offer_name}""#, &[]);
        check(Place::RawForm, r#"a=1&d={{"name":"{offer_name}"}}&c={country}"#, &name);
        check(Place::RawForm, r#"d=[{offer_name},"{country}"]&x="{offer_name}""#, &["country"]);
    }

    #[test]
    fn case_b3_json_inside_json_and_xml() {
        check(Place::RawJson, r#"{{"n":"{offer_name}"}}"#, &[]);
        check(Place::RawJson, r#"{{"p":"{{\"n\":\"{offer_name}\"}}","n":"{country}"}}"#, &["offer_name"]);
        check(Place::RawJson, r#"{{"p":"{{\"n\":\"{offer_name|json}\"}}"}}"#, &[]);
        check(Place::JsonString, r#"{{"n":"{offer_name}"}}"#, &["offer_name"]);
        check(Place::RawXml, r#"<a><p>{{"n":"{offer_name}"}}</p><b c="{country}"/></a>"#, &["offer_name"]);
        check(Place::RawXml, "<p>{{&quot;n&quot;:&quot;{offer_name}&quot;}}</p>", &["offer_name"]);
        check(Place::RawXml, r#"<p a="{offer_name}">{country}</p>"#, &[]);
    }

    #[test]
    fn case_b3_json_by_modifiers() {
        check(Place::FormValue, r#"{offer_name|prefix:\{"n":"|suffix:"\}}"#, &["offer_name"]);
        check(Place::FormValue, r#"{offer_name|json|prefix:\{"n":"|suffix:"\}}"#, &[]);
        check(Place::FormValue, r#"{{"n":{offer_name|prefix:"|suffix:"},"c":"{country}"}}"#, &["offer_name", "country"]);
        check(Place::RawJson, r#"{offer_name|prefix:\{"n":"|suffix:"\}}"#, &["offer_name"]);
        check(Place::Plain, r#"{offer_name|prefix:"|suffix:"}"#, &[]);
        check(Place::FormValue, r#"{{"n":"{offer_name|json|urldecode}"}}"#, &["offer_name"]);
        check(Place::FormValue, r#"{{"n":"{offer_name|json|base64decode}"}}"#, &["offer_name"]);
        check(Place::FormValue, r#"{{"n":"{offer_name|urldecode|json}"}}"#, &[]);
    }
}
