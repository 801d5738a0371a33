//! The body of a request: none, JSON, form, multipart form, or raw text (Q1).

mod multipart;
mod tree;

use self::tree::Tree;
use super::{LONGEST_BODY_BYTES, MOST_BODY_FIELDS, name, objects, part::Part, template, within};
use crate::{
    document::Fields,
    fault::Faults,
    json,
    json::{Map, Value},
    path::FieldPath,
    template::{Allowed, Filled, Place, RenderFault, Scope, Template, encode::percent_encoded},
};

/// A checked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// No body.
    None,
    /// Fields grouped into one nested document.
    Json { fields: Vec<Field>, tree: Tree },
    /// Fields, percent-encoded.
    Form(Vec<Field>),
    /// Fields, each a part of its own.
    Multipart(Vec<Field>),
    /// A text, escaped by its content type.
    Raw { content_type: Box<str>, text: Template },
}

/// One field. In a form its path is the name, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    path: Box<str>,
    kind: FieldType,
    value: Part,
}

/// The type of a field's value. In a JSON body a value that doesn't fit becomes `null`. In forms every value is a text; a text of JSON is
/// escaped for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum FieldType {
    #[default]
    String,
    Number,
    Boolean,
    Json,
}

impl FieldType {
    const WORDS: [(&str, Self); 4] =
        [("string", Self::String), ("number", Self::Number), ("boolean", Self::Boolean), ("json", Self::Json)];

    fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    None,
    Json,
    Form,
    Multipart,
    Raw,
}

const FORMATS: [(&str, Format); 5] = [
    ("none", Format::None),
    ("json", Format::Json),
    ("form", Format::Form),
    ("multipart", Format::Multipart),
    ("raw", Format::Raw),
];

impl Body {
    /// Reads `body`; absent means no body.
    pub(super) fn parse(request: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let Some(value) = request.get("body") else { return Some(Self::None) };
        let known = ["format", "fields", "content_type", "text"];
        let body = Fields::open(Some(value), &request.at("body"), &known, &[], faults);
        if value.is_object() && body.get("format").is_none() {
            faults.add(body.at("format"), "missing: choose none, json, form, multipart or raw");
        }
        let format = body.word("format", &FORMATS, faults)?;
        if format != Format::Raw {
            body.refuse(&["content_type", "text"], "it belongs to the format raw", faults);
        }
        if matches!(format, Format::None | Format::Raw) {
            body.refuse(&["fields"], "it belongs to the formats json, form and multipart", faults);
        }
        match format {
            Format::None => Some(Self::None),
            Format::Json => {
                let fields = Field::list(&body, format, allowed, faults)?;
                let tree = Tree::of(&fields, &body.at("fields"), faults)?;
                Some(Self::Json { fields, tree })
            }
            Format::Form => Field::list(&body, format, allowed, faults).map(Self::Form),
            Format::Multipart => Field::list(&body, format, allowed, faults).map(Self::Multipart),
            Format::Raw => Self::raw(&body, allowed, faults),
        }
    }

    fn raw(body: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let content_type = name(body, "content_type", faults);
        if content_type.is_some_and(|text| !text.bytes().all(|b| matches!(b, b'\t' | 0x20..=0x7e)) || !text.contains('/')) {
            faults.add(body.at("content_type"), "not a content type: write one such as application/json; charset=utf-8");
        }
        let text = template(body, "text", raw_place(content_type.unwrap_or_default()), allowed, faults);
        if text.as_ref().is_some_and(Template::may_omit) {
            faults
                .add(body.at("text"), "omit_if_empty drops a query entry, a header or a body field: in a raw text there is none");
        }
        Some(Self::Raw { content_type: content_type?.into(), text: text? })
    }

    pub(super) fn document(&self) -> Value {
        let with_fields = |format: &str, fields: &[Field]| json!({"format": format, "fields": fields.iter().map(Field::document).collect::<Vec<_>>()});
        match self {
            Self::None => json!({"format": "none"}),
            Self::Json { fields, .. } => with_fields("json", fields),
            Self::Form(fields) => with_fields("form", fields),
            Self::Multipart(fields) => with_fields("multipart", fields),
            Self::Raw { content_type, text } => json!({"format": "raw", "content_type": content_type, "text": text.text()}),
        }
    }

    /// Its parts in order; a raw text has none.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.fields().iter().map(|field| &field.value)
    }

    /// The names of its fields, or their paths, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields().iter().map(|field| &*field.path)
    }

    fn fields(&self) -> &[Field] {
        match self {
            Self::None | Self::Raw { .. } => &[],
            Self::Json { fields, .. } | Self::Form(fields) | Self::Multipart(fields) => fields,
        }
    }

    /// The text of a raw body.
    pub(super) fn raw_text(&self) -> Option<&Template> {
        if let Self::Raw { text, .. } = self { Some(text) } else { None }
    }

    /// Every text with macros in it, those of conditions included.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.parts().flat_map(Part::templates).chain(self.raw_text())
    }

    /// The format, place and text of every template that `fits`, in the order of the body.
    pub(super) fn parts_that(&self, fits: impl Fn(&Template) -> bool) -> Vec<&str> {
        let of_fields = |format: &'static str, fields| {
            let fitting = <[Field]>::iter(fields).filter(|field| field.value.templates().any(&fits));
            fitting.flat_map(|field| [format, &field.path, field.kind.as_str(), field.value.written()]).collect()
        };
        match self {
            Self::Json { fields, .. } => of_fields("json", fields),
            Self::Form(fields) => of_fields("form", fields),
            Self::Multipart(fields) => of_fields("multipart", fields),
            Self::Raw { content_type, text } if fits(text) => vec!["raw", content_type, text.text()],
            Self::None | Self::Raw { .. } => Vec::new(),
        }
    }

    /// The content type and the bytes, if there is a body.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<Option<(String, Vec<u8>)>, RenderFault> {
        let mut out = String::new();
        let content_type = match self {
            Self::None => return Ok(None),
            Self::Json { fields, tree } => {
                tree.render(fields, scope, &mut out)?;
                "application/json".to_owned()
            }
            Self::Form(fields) => {
                form(fields, scope, &mut out)?;
                "application/x-www-form-urlencoded".to_owned()
            }
            Self::Multipart(fields) => multipart::render(fields, scope, &mut out)?,
            Self::Raw { content_type, text } => {
                text.render(scope, &mut out)?;
                content_type.to_string()
            }
        };
        within_limit(&out)?;
        Ok(Some((content_type, out.into_bytes())))
    }
}

fn within_limit(body: &str) -> Result<(), RenderFault> {
    within(LONGEST_BODY_BYTES, body.len())
}

/// The escaping of values in a raw text of that content type (Q1).
fn raw_place(content_type: &str) -> Place {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/json" | "application/x-ndjson" => Place::RawJson,
        "application/x-www-form-urlencoded" => Place::RawForm,
        "application/xml" | "text/xml" => Place::RawXml,
        other if other.ends_with("+json") => Place::RawJson,
        other if other.ends_with("+xml") => Place::RawXml,
        _ => Place::Plain,
    }
}

fn form(fields: &[Field], scope: &Scope<'_>, out: &mut String) -> Result<(), RenderFault> {
    for field in fields {
        let start = out.len();
        if start > 0 {
            out.push('&');
        }
        out.push_str(&percent_encoded(&field.path));
        out.push('=');
        if field.render_in_form(scope, out)? == Filled::Omit {
            out.truncate(start);
        }
        within_limit(out)?;
    }
    Ok(())
}

impl Field {
    fn list(body: &Fields<'_>, format: Format, allowed: Allowed, faults: &mut Faults) -> Option<Vec<Self>> {
        let items = objects(body, "fields", MOST_BODY_FIELDS, &["path", "value", "type", "do_not_send"], faults);
        let fields = items.iter().map(|(_, item)| Self::parse(item, format, allowed, faults));
        // All fields are read, so that every fault is found.
        fields.collect::<Vec<_>>().into_iter().collect()
    }

    fn parse(item: &Fields<'_>, format: Format, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let path = name(item, "path", faults);
        if let (Some(path), Format::Json) = (path, format)
            && let Err(fault) = path.parse::<FieldPath>()
        {
            faults.add(item.at("path"), fault.to_string());
        }
        let kind = item.word("type", &FieldType::WORDS, faults).unwrap_or_default();
        let place = match (format, kind) {
            (Format::Json, FieldType::String) => Place::JsonString,
            (_, FieldType::Json) => Place::RawJson,
            (Format::Form, _) => Place::FormValue,
            _ => Place::Plain,
        };
        let value = Part::parse(item, place, allowed, faults);
        let field = Self { path: path?.into(), kind, value: value? };
        (faults.count() == before).then_some(field)
    }

    /// Writes the value percent-encoded. A value in JSON is escaped for JSON first.
    fn render_in_form(&self, scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
        if self.kind != FieldType::Json {
            return self.value.render(scope, out);
        }
        let mut text = String::new();
        let filled = self.value.render(scope, &mut text)?;
        out.push_str(&percent_encoded(&text));
        Ok(filled)
    }

    fn document(&self) -> Value {
        let mut map = Map::from_iter([("path".to_owned(), Value::from(&*self.path))]);
        self.value.add_to(&mut map);
        map.insert("type".to_owned(), self.kind.as_str().into());
        Value::Object(map)
    }
}
