//! Conditions of rules from before values were patterns and keys and values could hold macros.

use crate::json::Value;

/// The answer rules of an older text, escaped so that they keep their old meaning under today's syntax.
pub(crate) fn upgraded(mut answer: Value) -> Value {
    let rules = answer.get_mut("rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let conditions = rule.get_mut("when").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            let operator = condition.get("operator").and_then(Value::as_str).unwrap_or_default();
            let escape = match operator {
                "matches" => str::to_owned,
                "equals" | "not_equals" => |text: &str| braces(&stars(text)),
                operator if operator.starts_with("string_") => |text: &str| braces(&signs(text)),
                _ => braces,
            };
            for (field, escape) in [("key", braces as fn(&str) -> String), ("value", escape), ("value2", escape)] {
                if let Some(Value::String(text)) = condition.get_mut(field) {
                    *text = escape(text);
                }
            }
        }
    }
    answer
}

fn braces(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A text from before it could have signs.
fn signs(text: &str) -> String {
    text.replace('\\', r"\\").replace('*', r"\*").replace('|', r"\|")
}

/// Alternatives from before `*` was a sign: a `\` was literal unless before `|` or `\`.
fn stars(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('|' | '\\')) => escaped.extend([Some(c), chars.next()].into_iter().flatten()),
            ('\\', Some('*')) => escaped.push_str(r"\\"),
            ('*', _) => escaped.push_str(r"\*"),
            (c, _) => escaped.push(c),
        }
    }
    escaped
}
