//! Multipart forms (RFC 7578): each field is a part, between boundaries that occur in none of them.

use super::{Field, within_limit};
use crate::{
    hash,
    template::{Filled, RenderFault, Scope},
};

/// Writes the form and returns its content type.
pub(super) fn render(fields: &[Field], scope: &Scope<'_>, out: &mut String) -> Result<String, RenderFault> {
    let mut parts = Vec::with_capacity(fields.len());
    let mut all = String::new();
    for field in fields {
        let start = all.len();
        if field.value.render(scope, &mut all)? == Filled::Written {
            parts.push((&*field.path, start..all.len()));
        }
        within_limit(&all)?;
    }
    let boundary = boundary(scope, |boundary| all.contains(boundary) || parts.iter().any(|(name, _)| name.contains(boundary)));
    for (name, value) in parts {
        out.push_str("--");
        out.push_str(&boundary);
        out.push_str("\r\nContent-Disposition: form-data; name=\"");
        quoted(name, out);
        out.push_str("\"\r\n\r\n");
        out.push_str(&all[value]);
        out.push_str("\r\n");
    }
    out.push_str("--");
    out.push_str(&boundary);
    out.push_str("--\r\n");
    Ok(format!("multipart/form-data; boundary={boundary}"))
}

/// A boundary that is the same for the same delivery and attempt, and not `taken` by a text of the body.
fn boundary(scope: &Scope<'_>, taken: impl Fn(&str) -> bool) -> String {
    let attempt = scope.attempt.to_string();
    let mut n = 0_u32;
    loop {
        let unique = hash::text(&["boundary", scope.delivery_id, &attempt, &n.to_string()], 24);
        let boundary = format!("tracking-{unique}");
        if !taken(&boundary) {
            return boundary;
        }
        n += 1;
    }
}

/// A quoted name, by the rules of HTML's forms: quotes and line breaks are percent-encoded.
fn quoted(name: &str, out: &mut String) {
    for c in name.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            other => out.push(other),
        }
    }
}
