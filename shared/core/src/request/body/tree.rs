//! JSON bodies: fields grouped into one nested document, whatever their order (Q1).

use std::collections::BTreeMap;

use super::{Field, FieldType, within_limit};
use crate::{
    fault::Faults,
    path::{FieldPath, Step},
    template::{
        Filled, RenderFault, Scope,
        encode::{is_json, json_string},
    },
};

/// The skeleton of the document, built when the rule is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::request) struct Tree(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// A value: the number of its field.
    Leaf(usize),
    /// Keys in the order in which they first appear; each is written as `"key":`.
    Object(Vec<(Box<str>, Node)>),
    /// Only positions that have a field take memory, however large they are.
    Array(BTreeMap<usize, Node>),
    /// An array position without a field yet.
    Gap,
}

impl Tree {
    /// Groups the fields. Fields that exclude each other, and lists with gaps, are faults.
    pub(super) fn of(fields: &[Field], pointer: &str, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let mut root = if fields.is_empty() { Node::Object(Vec::new()) } else { Node::Gap };
        for (number, field) in fields.iter().enumerate() {
            let Ok(path) = field.path.parse::<FieldPath>() else { continue };
            if let Err(detail) = root.insert(&path.0, number) {
                faults.add(format!("{pointer}/{number}/path"), format!("{}: {detail}", field.path));
            }
        }
        if faults.count() == before && root.has_gap() {
            faults.add(pointer, "a list has a gap: its positions count from 0 without one missing");
        }
        (faults.count() == before).then_some(Self(root))
    }

    /// Writes the document. Dropped fields leave no trace: lists close up, and an object or a list without remaining fields
    /// is dropped as well; the document is at least `{}` or `[]`.
    pub(super) fn render(&self, fields: &[Field], scope: &Scope<'_>, out: &mut String) -> Result<(), RenderFault> {
        if self.0.render(fields, scope, out)? == Filled::Omit {
            out.push_str(if matches!(self.0, Node::Array(_)) { "[]" } else { "{}" });
        }
        Ok(())
    }
}

impl Node {
    fn insert(&mut self, steps: &[Step], number: usize) -> Result<(), &'static str> {
        let Some((step, rest)) = steps.split_first() else {
            return match self {
                Self::Gap => {
                    *self = Self::Leaf(number);
                    Ok(())
                }
                Self::Leaf(_) => Err("the same path occurs twice, keep one of them"),
                Self::Object(_) | Self::Array(_) => Err("it groups other fields, so it can't have a value of its own"),
            };
        };
        if *self == Self::Gap {
            *self = match step {
                Step::Key(_) => Self::Object(Vec::new()),
                Step::Index(_) => Self::Array(BTreeMap::new()),
                Step::Select { .. } => return Err("a selector finds a field, it can't place one: write a position"),
            };
        }
        let next = match (self, step) {
            (Self::Object(entries), Step::Key(key)) => {
                let written = json_string(key) + ":";
                let at = entries.iter().position(|(earlier, _)| **earlier == *written).unwrap_or(entries.len());
                if at == entries.len() {
                    entries.push((written.into(), Self::Gap));
                }
                &mut entries[at].1
            }
            (Self::Array(items), Step::Index(index)) => items.entry(*index).or_insert(Self::Gap),
            (_, Step::Select { .. }) => return Err("a selector finds a field, it can't place one: write a position"),
            (Self::Leaf(_), _) => return Err("another field gives a value to what this one groups, choose one of them"),
            _ => return Err("one field makes a list of what another makes an object, choose one of them"),
        };
        next.insert(rest, number)
    }

    fn has_gap(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Object(entries) => entries.iter().any(|(_, node)| node.has_gap()),
            Self::Array(items) => {
                items.keys().enumerate().any(|(position, index)| position != *index) || items.values().any(Self::has_gap)
            }
            Self::Gap => true,
        }
    }

    fn render(&self, fields: &[Field], scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
        match self {
            Self::Leaf(number) => leaf(&fields[*number], scope, out),
            Self::Object(entries) => group('{', '}', entries.iter().map(|(key, node)| (&**key, node)), fields, scope, out),
            Self::Array(items) => group('[', ']', items.values().map(|node| ("", node)), fields, scope, out),
            Self::Gap => Ok(Filled::Omit),
        }
    }
}

fn group<'n>(
    open: char,
    close: char,
    nodes: impl Iterator<Item = (&'n str, &'n Node)>,
    fields: &[Field],
    scope: &Scope<'_>,
    out: &mut String,
) -> Result<Filled, RenderFault> {
    let start = out.len();
    out.push(open);
    let first = out.len();
    for (key, node) in nodes {
        let before = out.len();
        if before > first {
            out.push(',');
        }
        out.push_str(key);
        if node.render(fields, scope, out)? == Filled::Omit {
            out.truncate(before);
        }
    }
    if out.len() == first {
        out.truncate(start);
        return Ok(Filled::Omit);
    }
    out.push(close);
    Ok(Filled::Written)
}

fn leaf(field: &Field, scope: &Scope<'_>, out: &mut String) -> Result<Filled, RenderFault> {
    let start = out.len();
    if field.kind == FieldType::String {
        out.push('"');
    }
    if field.value.render(scope, out)? == Filled::Omit {
        out.truncate(start);
        return Ok(Filled::Omit);
    }
    let text = &out[start..];
    let written = match field.kind {
        FieldType::String => {
            out.push('"');
            return within_limit(out).map(|()| Filled::Written);
        }
        FieldType::Number if is_number(text) => return within_limit(out).map(|()| Filled::Written),
        FieldType::Json if is_json(text) => return within_limit(out).map(|()| Filled::Written),
        FieldType::Boolean => match text.trim() {
            "true" | "1" => "true",
            "false" | "0" => "false",
            _ => "null",
        },
        FieldType::Number | FieldType::Json => "null",
    };
    out.truncate(start);
    out.push_str(written);
    Ok(Filled::Written)
}

fn is_number(text: &str) -> bool {
    text.trim_ascii_start().starts_with(|c: char| c == '-' || c.is_ascii_digit()) && is_json(text)
}
